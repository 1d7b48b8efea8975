//! Which of many automata accept a path, found in one pass over its bytes.
//!
//! A state of the union is the states of all members that are not dead. What has been met is kept:
//! where a byte leads from a state that was there before costs one load, and only what is new asks
//! each member. Nothing is made when members come or go but a list of them.
//! Invariant: what does not fit is forgotten whole, and a place in it ([`At`]) leads nowhere then.
//! Whether states are kept never decides what is accepted. Lock rule: see `states`.

mod states;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;

use super::words::dfa::Dfa;
use states::{Alive, Met, START, States, UNKNOWN};

/// The automata of several patterns.
#[derive(Default)]
pub(super) struct Union {
    members: Box<[Arc<Dfa>]>,
    classes: Classes,
    states: ArcSwap<States>,
}

/// How far a path has led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    /// Of which memory.
    memory: u64,
    state: u32,
}

/// Bytes that no member tells from each other are of one class.
struct Classes {
    of: [u8; 256],
    count: usize,
}

impl Union {
    /// Of these, each known by its place. There are never more than a table has faults.
    pub(super) fn new(members: Box<[Arc<Dfa>]>) -> Union {
        let classes = Classes::of(&members);
        Union { members, classes, states: ArcSwap::default() }
    }

    /// Calls `accepts` with each member that accepts the path.
    pub(super) fn accepting(&self, path: &[u8], accepts: &mut dyn FnMut(usize)) {
        if self.members.is_empty() {
            return;
        }
        let states = self.states.load();
        let ended = self.begin(&states).and_then(|at| self.walk(&states, at, path));
        match ended.and_then(|at| states.get(at)) {
            Some(met) => self.tell(met, accepts),
            None => {
                self.forget(&states);
                let mut alive = self.first();
                path.iter().for_each(|byte| alive = self.step(&alive, *byte));
                self.accepted(&alive).iter().for_each(|member| accepts(usize::from(*member)));
            }
        }
    }

    /// How far what paths have in common leads; none if it cannot be kept.
    pub(super) fn lead(&self, prefix: &[u8]) -> Option<At> {
        let states = self.states.load();
        let state = self.begin(&states).and_then(|at| self.walk(&states, at, prefix))?;
        Some(At { memory: states.memory, state })
    }

    /// Calls `accepts` with each member that accepts what led there and this rest. False if that is
    /// not known any more, or there is no room to find out.
    pub(super) fn go_on(&self, from: At, rest: &[u8], accepts: &mut dyn FnMut(usize)) -> bool {
        let states = self.states.load();
        if states.memory != from.memory {
            return false;
        }
        let ended = self.walk(&states, from.state, rest);
        let Some(met) = ended.and_then(|at| states.get(at)) else { return false };
        self.tell(met, accepts);
        true
    }

    fn tell(&self, met: &Met, accepts: &mut dyn FnMut(usize)) {
        let accepting = met.accepting.get_or_init(|| self.accepted(&met.alive));
        accepting.iter().for_each(|member| accepts(usize::from(*member)));
    }

    /// The number of the first state.
    fn begin(&self, states: &States) -> Option<u32> {
        if states.get(START).is_none() {
            states.enter(self.first(), self.classes.count)?;
        }
        Some(START)
    }

    /// Where the bytes lead from a state; none if there is no room for a new one on the way.
    fn walk(&self, states: &States, from: u32, bytes: &[u8]) -> Option<u32> {
        let mut at = from;
        for byte in bytes {
            let met = states.get(at)?;
            if met.alive.is_empty() {
                break;
            }
            let next = met.next.get(self.classes.of_byte(*byte))?;
            at = match next.load(Ordering::Acquire) {
                UNKNOWN => {
                    let alive = self.step(&met.alive, *byte);
                    let found = states.enter(alive, self.classes.count)?;
                    next.store(found, Ordering::Release);
                    found
                }
                known => known,
            };
        }
        Some(at)
    }

    /// The states of all members at the start.
    fn first(&self) -> Box<[Alive]> {
        let alive = (0..).zip(&self.members);
        alive.map(|(member, dfa)| Alive { member, state: dfa.start() }).collect()
    }

    /// Where a byte leads each of them.
    fn step(&self, alive: &[Alive], byte: u8) -> Box<[Alive]> {
        let next = alive.iter().filter_map(|Alive { member, state }| {
            let dfa = self.members.get(usize::from(*member))?;
            let state = dfa.step(*state, byte);
            (!dfa.is_dead(state)).then_some(Alive { member: *member, state })
        });
        next.collect()
    }

    /// Those that accept what ends there.
    fn accepted(&self, alive: &[Alive]) -> Box<[u16]> {
        let accepts = |of: &&Alive| {
            let dfa = self.members.get(usize::from(of.member));
            dfa.is_some_and(|dfa| dfa.accepts_at(of.state))
        };
        alive.iter().filter(accepts).map(|alive| alive.member).collect()
    }

    /// There is no room: begins anew, unless another has.
    #[cold]
    fn forget(&self, full: &Arc<States>) {
        self.states.compare_and_swap(full, Arc::default());
    }
}

impl Classes {
    fn of(members: &[Arc<Dfa>]) -> Classes {
        let mut edges = [0; 256];
        members.iter().for_each(|dfa| dfa.mark_edges(&mut edges));
        let mut last = 0;
        let of = edges.map(|edge| {
            last += edge;
            last
        });
        Classes { of, count: usize::from(last) + 1 }
    }

    #[inline]
    fn of_byte(&self, byte: u8) -> usize {
        self.of.get(usize::from(byte)).map_or(0, |class| usize::from(*class))
    }
}

impl Default for Classes {
    fn default() -> Classes {
        Classes::of(&[])
    }
}

#[cfg(test)]
mod tests;

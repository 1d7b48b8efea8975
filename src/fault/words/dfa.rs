//! A regular expression as an automaton: one step for each byte, whatever the expression.
//!
//! It is made when a fault is set, whole, and never changes. Each takes at most [`LIMIT`] bytes: a
//! number of a state fits in 16 bits. No locks.

use std::collections::HashSet;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_automata::util::{start, syntax};
use regex_automata::{Anchored, MatchKind};

/// The most bytes that an automaton takes. Ordinary patterns take 2 to 8 KiB; those with more states
/// than this has room for are asked by other engines.
const LIMIT: usize = 32 << 10;

/// The most bytes that it takes to make one: that bounds the time, too.
const MAKING_LIMIT: usize = 256 << 10;

/// The most bytes of the program that it is made from.
const PROGRAM_LIMIT: usize = 1 << 20;

/// A state of an automaton.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::fault) struct State(pub(in crate::fault) u16);

/// An automaton.
pub(in crate::fault) struct Dfa {
    dfa: dense::DFA<Vec<u32>>,
    start: State,
}

impl Dfa {
    /// Of an expression in the crates' syntax, over bytes, without Unicode; none if it takes too much.
    pub(super) fn new(regex: &str) -> Option<Dfa> {
        let config = dense::Config::new()
            .accelerate(false)
            .start_kind(StartKind::Anchored)
            .match_kind(MatchKind::All)
            .dfa_size_limit(Some(LIMIT))
            .determinize_size_limit(Some(MAKING_LIMIT));
        let program = thompson::Config::new()
            .utf8(false)
            .nfa_size_limit(Some(PROGRAM_LIMIT))
            .which_captures(thompson::WhichCaptures::None);
        let dfa = dense::Builder::new()
            .configure(config)
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .thompson(program)
            .build(regex)
            .ok()?;
        let start = dfa.start_state(&start::Config::new().anchored(Anchored::Yes)).ok()?;
        Some(Dfa { start: State::of(start), dfa })
    }

    /// Where it begins.
    pub(in crate::fault) fn start(&self) -> State {
        self.start
    }

    /// Where a byte leads.
    #[inline]
    pub(in crate::fault) fn step(&self, from: State, byte: u8) -> State {
        State::of(self.dfa.next_state(from.id(), byte))
    }

    /// Whether nothing that may follow is accepted.
    #[inline]
    pub(in crate::fault) fn is_dead(&self, state: State) -> bool {
        self.dfa.is_dead_state(state.id())
    }

    /// Whether what led there is accepted, if it ends there.
    #[inline]
    pub(in crate::fault) fn accepts_at(&self, state: State) -> bool {
        self.dfa.is_match_state(self.dfa.next_eoi_state(state.id()))
    }

    /// Whether all of the path is accepted.
    pub(in crate::fault) fn accepts(&self, path: &[u8]) -> bool {
        self.accepts_at(path.iter().fold(self.start, |state, byte| self.step(state, *byte)))
    }

    /// Whether it accepts anything that goes on from there as a path does: names, each behind a slash.
    pub(in crate::fault) fn accepts_below(&self, from: State) -> bool {
        let classes = self.dfa.byte_classes();
        let others =
            classes.representatives(1..=b'.').chain(classes.representatives(b'0'..=u8::MAX));
        let in_names: Vec<u8> = others.filter_map(|class| class.as_u8()).collect();
        let begin = (self.step(from, b'/'), true);
        let mut known = HashSet::from([begin]);
        let mut open = vec![begin];
        while let Some((state, is_behind_slash)) = open.pop() {
            if !is_behind_slash && self.accepts_at(state) {
                return true;
            }
            let slash = (!is_behind_slash).then_some(b'/');
            for byte in slash.into_iter().chain(in_names.iter().copied()) {
                let next = (self.step(state, byte), byte == b'/');
                if !self.is_dead(next.0) && known.insert(next) {
                    open.push(next);
                }
            }
        }
        false
    }

    /// Marks with 1 each byte that it tells from the one before.
    pub(in crate::fault) fn mark_edges(&self, edges: &mut [u8; 256]) {
        let classes = self.dfa.byte_classes();
        let pairs = (0..=u8::MAX).zip(1..=u8::MAX);
        for ((before, byte), edge) in pairs.zip(edges.iter_mut().skip(1)) {
            *edge |= u8::from(classes.get(before) != classes.get(byte));
        }
    }
}

impl State {
    /// A number is a place in a table of at most [`LIMIT`] bytes, four each.
    fn of(id: StateID) -> State {
        const { assert!(LIMIT / 4 <= u16::MAX as usize) };
        State(id.as_u32() as u16)
    }

    fn id(self) -> StateID {
        StateID::new_unchecked(usize::from(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_much_is_none() {
        assert!(Dfa::new(r"\A(?:[^\n\r]*/wal/[^\n\r]*)\z").is_some());
        assert!(Dfa::new(r"\A(?:[^\n\r]*a[^\n\r]{20})\z").is_none());
    }

    #[test]
    fn a_path_that_can_no_longer_match_is_dead() {
        let dfa = Dfa::new(r"\A(?:/data/[^\n\r]*)\z").unwrap();
        let lead = |path: &[u8]| path.iter().fold(dfa.start(), |at, byte| dfa.step(at, *byte));
        assert!(!dfa.is_dead(lead(b"/da")) && !dfa.is_dead(lead(b"/data/x")));
        assert!(dfa.is_dead(lead(b"/tmp")) && dfa.is_dead(lead(b"/data/x\n")));
        assert!(dfa.accepts(b"/data/x") && !dfa.accepts(b"/data"));
    }
}

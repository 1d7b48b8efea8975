//! The states of a union that have been met.
//!
//! Invariant: a number means the same state for good, and is known only once its state is there.
//! Lock rule: what is known is read without a lock. A new state is entered under a lock over memory,
//! innermost, after it was worked out.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::fault::words::dfa::State;

/// The most that the states of one union take: of a thousand patterns some two thousand states,
/// where an ordinary directory takes some hundred.
const MOST_BYTES: usize = 8 << 20;

/// States are kept in so many chunks of so many: a chunk never moves.
const CHUNKS: u32 = 64;
const CHUNK: u32 = 64;

/// What a state takes beside the members that are alive and the classes of bytes.
const OWN_BYTES: usize = 160;

/// The number of no state.
pub(super) const UNKNOWN: u32 = 0;

/// The number of the first that is entered.
pub(super) const START: u32 = 1;

type Chunk = Box<[OnceLock<Met>]>;

/// The states that have been met.
pub(super) struct States {
    /// Another one for each memory.
    pub(super) memory: u64,
    chunks: Box<[OnceLock<Chunk>]>,
    growth: Mutex<Growth>,
}

#[derive(Default)]
struct Growth {
    /// The numbers by a digest of what is alive.
    known: HashMap<u64, Vec<u32>>,
    last: u32,
    bytes: usize,
}

/// A state that has been met.
pub(super) struct Met {
    pub(super) alive: Box<[Alive]>,
    /// The number of the state to which each class of bytes leads.
    pub(super) next: Box<[AtomicU32]>,
    /// The members that accept what ends there.
    pub(super) accepting: OnceLock<Box<[u16]>>,
}

/// A member that is not dead, and its state.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Alive {
    pub(super) member: u16,
    pub(super) state: State,
}

impl Default for States {
    fn default() -> States {
        static MEMORIES: AtomicU64 = AtomicU64::new(0);
        States {
            memory: MEMORIES.fetch_add(1, Ordering::Relaxed),
            chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect(),
            growth: Mutex::default(),
        }
    }
}

impl States {
    /// The state of that number.
    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&Met> {
        let chunk = self.chunks.get((number / CHUNK) as usize)?.get()?;
        chunk.get((number % CHUNK) as usize)?.get()
    }

    /// The number of a state, which is entered if it is new; none if there is no room.
    pub(super) fn enter(&self, alive: Box<[Alive]>, classes: usize) -> Option<u32> {
        let digest = digest(&alive);
        let bytes = size_of_val(&*alive) + classes * size_of::<AtomicU32>() + OWN_BYTES;
        let next = (0..classes).map(|_| AtomicU32::new(UNKNOWN)).collect();
        let mut growth = self.growth.lock();
        let alike = growth.known.get(&digest).into_iter().flatten();
        let is_it = |number: &&u32| self.get(**number).is_some_and(|met| met.alive == alive);
        if let Some(known) = { alike }.find(is_it) {
            return Some(*known);
        }
        let number = growth.last + 1;
        let chunk = self.chunks.get((number / CHUNK) as usize)?;
        if growth.bytes + bytes > MOST_BYTES {
            return None;
        }
        let chunk = chunk.get_or_init(|| (0..CHUNK).map(|_| OnceLock::new()).collect());
        let met = Met { alive, next, accepting: OnceLock::new() };
        chunk.get((number % CHUNK) as usize)?.set(met).ok()?;
        growth.last = number;
        growth.bytes += bytes;
        growth.known.entry(digest).or_default().push(number);
        Some(number)
    }
}

/// Where two states have the same, they are still compared.
fn digest(alive: &[Alive]) -> u64 {
    alive.iter().fold(0, |digest: u64, Alive { member, state }| {
        let both = u64::from(*member) << 16 | u64::from(state.0);
        (digest.rotate_left(5) ^ both).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    })
}

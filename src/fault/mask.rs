//! The one word that every operation looks at: whether anything at all concerns it.
//!
//! The methods are the low bits; what else makes an operation more than a call on the mirror has a
//! bit of its own from the top. Relaxed is enough: a change is in force for operations that begin
//! after the call that made it has returned, and word of that return reaches their callers through
//! the kernel.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::ops::{Method, MethodSet};

/// Every operation is timed, not only those while a fault is set.
const TIMED: u64 = 1 << 63;

/// Every operation that is answered is traced.
const TRACED: u64 = 1 << 62;

/// Every operation that is answered is logged.
const LOGGED: u64 = 1 << 61;

/// Every operation is timed, as a scenario runs that reports it.
const TIMED_FOR_RUN: u64 = 1 << 60;

/// Something is remembered of what is stored: operations that write there are looked at.
const GUARDED: u64 = 1 << 59;

const _: () = assert!(Method::COUNT < 59, "methods and flags share a word");

/// All that are no methods.
const FLAGS: u64 = TIMED | TRACED | LOGGED | TIMED_FOR_RUN | GUARDED;

/// What the word says at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask(u64);

impl Mask {
    /// Whether nothing concerns any operation.
    #[inline]
    #[must_use]
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The methods that have a fault.
    #[inline]
    #[must_use]
    pub(crate) fn methods(self) -> MethodSet {
        MethodSet::from_bits(self.0)
    }

    /// Whether operations are traced.
    #[inline]
    #[must_use]
    pub fn traces(self) -> bool {
        self.0 & TRACED != 0
    }

    /// Whether operations are logged.
    #[inline]
    #[must_use]
    pub(crate) fn logs(self) -> bool {
        self.0 & LOGGED != 0
    }

    /// Whether operations that write are looked at, whatever they write.
    #[inline]
    #[must_use]
    pub(crate) fn guards(self) -> bool {
        self.0 & GUARDED != 0
    }

    /// Whether operations are timed: whatever else concerns them, but for the log and
    /// what is stored.
    #[inline]
    #[must_use]
    pub(crate) fn times(self) -> bool {
        self.0 & !(LOGGED | GUARDED) != 0
    }
}

/// The word itself.
#[derive(Default)]
pub(super) struct MaskWord(AtomicU64);

impl MaskWord {
    #[inline]
    pub(super) fn load(&self) -> Mask {
        Mask(self.0.load(Ordering::Relaxed))
    }

    /// Has these methods armed and no others.
    pub(super) fn arm(&self, methods: MethodSet) {
        let armed = |word: u64| Some(word & FLAGS | methods.bits());
        // It never answers none.
        let _ = self.0.fetch_update(Ordering::Release, Ordering::Relaxed, armed);
    }

    pub(super) fn time_all(&self) {
        self.0.fetch_or(TIMED, Ordering::Release);
    }

    /// Has operations that write looked at, or no longer. One caller at a time.
    pub(super) fn guard(&self, on: bool) {
        if self.load().guards() != on {
            self.turn(GUARDED, on);
        }
    }

    pub(super) fn log_all(&self) {
        self.0.fetch_or(LOGGED, Ordering::Release);
    }

    pub(super) fn trace(&self, on: bool) {
        self.turn(TRACED, on);
    }

    pub(super) fn time_for_run(&self, on: bool) {
        self.turn(TIMED_FOR_RUN, on);
    }

    fn turn(&self, flag: u64, on: bool) {
        if on {
            self.0.fetch_or(flag, Ordering::Release);
        } else {
            self.0.fetch_and(!flag, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_and_flags_leave_each_other_alone() {
        let word = MaskWord::default();
        assert!(word.load().is_empty());
        word.arm(MethodSet::ALL);
        assert_eq!(word.load().methods(), MethodSet::ALL);
        word.time_all();
        word.arm(MethodSet::EMPTY);
        assert!(!word.load().is_empty() && word.load().methods().is_empty());
        assert!(word.load().times() && !word.load().logs());
    }

    /// Who reads the log asks for no times.
    #[test]
    fn what_is_only_logged_is_not_timed() {
        let word = MaskWord::default();
        word.log_all();
        assert!(word.load().logs() && !word.load().times() && !word.load().is_empty());
        word.arm(MethodSet::ALL);
        assert!(word.load().times());
        word.arm(MethodSet::EMPTY);
        assert!(word.load().logs() && !word.load().times());
    }

    #[test]
    fn what_is_guarded_stays_so_until_it_is_not_and_is_not_timed() {
        let word = MaskWord::default();
        word.guard(true);
        word.arm(MethodSet::ALL);
        word.arm(MethodSet::EMPTY);
        assert!(word.load().guards() && !word.load().times() && !word.load().is_empty());
        word.guard(false);
        assert!(word.load().is_empty());
    }

    /// So one load tells all of it, and without fault and trace there is nothing to do.
    #[test]
    fn tracing_is_a_bit_of_the_same_word() {
        let word = MaskWord::default();
        word.trace(true);
        assert!(word.load().traces() && word.load().methods().is_empty());
        word.arm(MethodSet::ALL);
        assert!(word.load().traces());
        word.trace(false);
        assert!(!word.load().traces() && word.load().methods() == MethodSet::ALL);
        word.arm(MethodSet::EMPTY);
        assert!(word.load().is_empty());
    }
}

//! A state for each file, of so many files at most. No locks: who has it has one.

use std::collections::HashMap;

/// How many files have a state of their own; one more shares that of all that are too many.
pub(super) const MOST: usize = 1 << 16;

/// After how many new files at least those are forgotten that need no state any more.
const SWEEP: usize = 1 << 10;

/// The states of files, by inode.
#[derive(Debug, Default)]
pub(super) struct Files<T> {
    own: HashMap<u64, T>,
    rest: T,
    /// How many new files may come until the next sweep.
    until_sweep: usize,
}

impl<T: Clone + Default> Files<T> {
    /// The state of a file. A new one goes on from that of those that were too many: their rates and
    /// their times hold for it too. `is_idle` tells what may be forgotten.
    pub(super) fn of(&mut self, inode: u64, is_idle: impl Fn(&T) -> bool) -> &mut T {
        if !self.own.contains_key(&inode) {
            self.make_room(is_idle);
            if self.own.len() >= MOST {
                return &mut self.rest;
            }
        }
        self.own.entry(inode).or_insert_with(|| self.rest.clone())
    }

    /// The same, as it is.
    pub(super) fn get(&self, inode: u64) -> &T {
        self.own.get(&inode).unwrap_or(&self.rest)
    }

    fn make_room(&mut self, is_idle: impl Fn(&T) -> bool) {
        if self.until_sweep > 0 {
            self.until_sweep -= 1;
            return;
        }
        self.own.retain(|_, state| !is_idle(state));
        if is_idle(&self.rest) {
            self.rest = T::default();
        }
        self.until_sweep = self.own.len().max(SWEEP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_idle_is_forgotten_and_what_is_too_much_shares() {
        let mut files = Files::<u64>::default();
        for inode in 0..10_000 {
            *files.of(inode, |_| true) = 1;
        }
        assert!(files.own.len() <= 2 * SWEEP + 1, "{}", files.own.len());
        let mut files = Files::<u64>::default();
        for inode in 0..MOST as u64 + 5_000 {
            *files.of(inode, |state| *state == 0) += 1;
        }
        assert_eq!((files.own.len(), files.rest), (MOST, 5_000));
        // As soon as there is room a file has its own again, and none begins anew.
        let (until, idle) = (files.until_sweep as u64, |state: &u64| *state == 1);
        for inode in 0..=until {
            files.of(1 << 40 | inode, idle);
        }
        assert_eq!(*files.of(1 << 40 | until, idle), 5_000);
        assert!(files.own.len() < MOST);
    }
}

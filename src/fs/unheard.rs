//! Inodes that the kernel is to ask anew for as soon as it knows them.
//!
//! Invariant: while there are any, somebody looks after them.
//! Lock rule: the list is locked for memory work only, and innermost.

use std::collections::BTreeSet;

use parking_lot::Mutex;

use crate::mirror::Ino;

#[derive(Default)]
pub(super) struct Unheard(Mutex<BTreeSet<Ino>>);

impl Unheard {
    /// Adds some. True if there were none: then the caller looks after all.
    pub(super) fn add(&self, inos: Vec<Ino>) -> bool {
        let mut all = self.0.lock();
        let (before, _) = (all.len(), all.extend(inos));
        before == 0 && !all.is_empty()
    }

    /// Keeps those for which that holds; whether any are left.
    pub(super) fn retain(&self, keeps: impl Fn(Ino) -> bool) -> bool {
        let asked: Vec<Ino> = self.0.lock().iter().copied().collect();
        let gone: Vec<Ino> = asked.into_iter().filter(|ino| !keeps(*ino)).collect();
        let mut all = self.0.lock();
        gone.iter().for_each(|ino| _ = all.remove(ino));
        !all.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_adds_the_first_looks_after_all() {
        let unheard = Unheard::default();
        assert!(!unheard.add(Vec::new()), "there is nothing to look after");
        assert!(unheard.add(vec![Ino(1), Ino(2)]));
        assert!(!unheard.add(vec![Ino(2), Ino(3)]));
        assert!(unheard.retain(|ino| ino != Ino(2)));
        assert!(!unheard.retain(|_| false));
        assert!(unheard.add(vec![Ino(2)]));
    }

    #[test]
    fn what_is_added_while_they_are_asked_for_stays() {
        let unheard = Unheard::default();
        unheard.add(vec![Ino(1)]);
        assert!(unheard.retain(|_| unheard.add(vec![Ino(2)])), "nobody else looks after it");
        assert!(!unheard.retain(|_| false));
    }
}

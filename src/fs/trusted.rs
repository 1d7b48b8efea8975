//! Which inodes' attributes the kernel may be trusting: whom a change of the faults may concern.
//!
//! Nothing is noted until a fault on attributes or reads is set; then every inode that the kernel
//! knows is, and from then on each that is granted a time. So the next change looks at few. Notes
//! are taken a while longer than there are such faults, for tests that set and clear in turns.
//! Lock rule: the notes are locked for memory work only, and innermost.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::mirror::Ino;

/// How long a note is kept: the time that is granted, which the kernel counts from when the caller
/// has run again, and so much more that no busy machine exceeds it.
const KEPT: Duration = Duration::from_secs(10);

/// How long notes are taken after the last fault that needs them.
const LINGERING: Duration = Duration::from_secs(10);

/// Below so many notes, old ones are no burden.
const FEW: usize = 4096;

/// An inode, and when its attributes were last granted a time.
pub(super) type Trust = (Ino, Instant);

/// The inodes noted, while notes are taken.
#[derive(Default)]
pub(super) struct Trusted {
    taking: AtomicBool,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    granted: HashMap<Ino, Instant>,
    /// All that was granted before notes were taken is noted too.
    complete: bool,
    /// When no more are taken.
    end: Option<Instant>,
    /// At how many to look for old ones.
    crowd: usize,
}

impl Trusted {
    /// Whether notes are taken: one relaxed load. A reply that misses the beginning is to an inode
    /// that is known, and so noted with all the others.
    #[inline]
    pub(super) fn taking(&self) -> bool {
        self.taking.load(Ordering::Relaxed)
    }

    /// Notes an inode, *before* it is asked a last time whether a fault concerns it: who sets one
    /// later finds the note.
    pub(super) fn note(&self, ino: Ino) {
        let mut notes = self.notes.lock();
        let now = Instant::now();
        // Not while somebody completes them, who would call complete what is gone.
        if notes.complete && notes.end.is_some_and(|end| end <= now) {
            self.taking.store(false, Ordering::Relaxed);
            *notes = Notes::default();
        }
        notes.granted.insert(ino, now);
        if notes.granted.len() >= notes.crowd.max(FEW) {
            notes.drop_old(now);
        }
    }

    /// There is a fault that needs notes. False if they are not complete: then everything known is
    /// to be noted, and [`Trusted::completed`] to be called.
    pub(super) fn needed(&self) -> bool {
        let mut notes = self.notes.lock();
        notes.end = None;
        self.taking.store(true, Ordering::Relaxed);
        notes.complete
    }

    /// Everything known was noted.
    pub(super) fn completed(&self) {
        self.notes.lock().complete = true;
    }

    /// No fault needs notes any more.
    pub(super) fn rest(&self) {
        if self.taking() {
            self.notes.lock().end.get_or_insert_with(|| Instant::now() + LINGERING);
        }
    }

    /// The inodes whose attributes the kernel may be trusting.
    pub(super) fn all(&self) -> Vec<Trust> {
        let mut notes = self.notes.lock();
        notes.drop_old(Instant::now());
        notes.granted.iter().map(|(ino, at)| (*ino, *at)).collect()
    }

    /// The kernel asks for these anew; what was granted since they were listed stays noted.
    pub(super) fn settled(&self, expired: &[Trust]) {
        let mut notes = self.notes.lock();
        for (ino, at) in expired {
            if notes.granted.get(ino) == Some(at) {
                notes.granted.remove(ino);
            }
        }
    }
}

impl Trusted {
    /// Gives back the memory of notes that are not needed any more. Whether few are left.
    pub(super) fn shrink(&self) -> bool {
        let mut notes = self.notes.lock();
        let now = Instant::now();
        if notes.complete && notes.end.is_some_and(|end| end <= now) {
            self.taking.store(false, Ordering::Relaxed);
            *notes = Notes::default();
        }
        notes.drop_old(now);
        notes.granted.shrink_to_fit();
        notes.granted.len() < FEW
    }
}

impl Notes {
    fn drop_old(&mut self, now: Instant) {
        self.granted.retain(|_, at| now.duration_since(*at) < KEPT);
        self.crowd = 2 * self.granted.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inodes(trusted: &Trusted) -> Vec<u64> {
        let mut inodes: Vec<_> = trusted.all().into_iter().map(|(ino, _)| ino.0).collect();
        inodes.sort_unstable();
        inodes
    }

    #[test]
    fn what_was_expired_is_looked_at_no_more_until_it_is_granted_again() {
        let trusted = Trusted::default();
        trusted.needed();
        (1..=3).for_each(|ino| trusted.note(Ino(ino)));
        let listed = trusted.all();
        trusted.note(Ino(2));
        trusted.settled(&listed);
        assert_eq!(inodes(&trusted), [2]);
    }

    #[test]
    fn everything_known_is_asked_for_once() {
        let trusted = Trusted::default();
        assert!(!trusted.taking());
        assert!(!trusted.needed() && !trusted.needed(), "nobody has completed them");
        trusted.completed();
        trusted.rest();
        assert!(trusted.needed());
    }

    #[test]
    fn notes_end_some_time_after_the_last_fault() {
        let trusted = Trusted::default();
        trusted.needed();
        trusted.completed();
        trusted.note(Ino(1));
        trusted.rest();
        trusted.note(Ino(2));
        assert_eq!(inodes(&trusted), [1, 2]);
        trusted.notes.lock().end = Some(Instant::now());
        trusted.note(Ino(3));
        assert!(!trusted.taking());
        assert!(!trusted.needed(), "not complete any more");
        trusted.notes.lock().end = Some(Instant::now() + LINGERING);
        trusted.needed();
        assert_eq!(trusted.notes.lock().end, None, "needed again");
    }

    #[test]
    fn notes_do_not_end_while_they_are_completed() {
        let trusted = Trusted::default();
        trusted.needed();
        trusted.note(Ino(1));
        trusted.rest();
        trusted.notes.lock().end = Some(Instant::now());
        trusted.note(Ino(2));
        trusted.completed();
        assert!(trusted.taking());
        assert_eq!(inodes(&trusted), [1, 2]);
        trusted.note(Ino(3));
        assert!(!trusted.taking(), "they have ended since");
    }

    #[test]
    fn old_notes_are_dropped() {
        let trusted = Trusted::default();
        trusted.needed();
        let old = Instant::now().checked_sub(KEPT).unwrap();
        trusted.notes.lock().granted.extend((0..FEW as u64).map(|ino| (Ino(ino), old)));
        trusted.note(Ino(FEW as u64));
        assert_eq!(trusted.notes.lock().granted.len(), 1);
    }
}

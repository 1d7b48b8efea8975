//! Which inodes' attributes the kernel may be trusting: of whom it is told when the faults change.
//!
//! Invariant: an inode whose attributes were granted a time is noted here, unless the kernel was told
//! afterwards to ask anew. There is room for so many and no more: one more takes the place of
//! another, of which the kernel is told first. So a change of the faults, or of the paths of all below
//! a directory, takes no longer with more files, with other patterns, or beside other faults. To be
//! asked whether a fault concerns it would take longer for each than to tell the kernel of it.
//! Lock rule: no locks but that of the faults covered, for memory work only. A note is one word. Who
//! is to take notes of a bucket away claims it; nobody waits for that.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::thread;

use parking_lot::Mutex;

use crate::fault::FaultId;
use crate::mirror::Ino;

/// Notes in a bucket: with its claim it fills one line of the processor's cache.
const NOTES: usize = 7;

/// How many buckets there are, of which so many are used while there are faults that need the notes.
/// A notice takes about a microsecond: 21,504 may be due when the first fault is set, 1,120 later.
const BUCKETS: usize = 3072;
const BUCKETS_ARMED: usize = 160;

/// Who tells the kernel of all lets others have the processor after so many notices, which take some 50 us. The
/// kernel itself would let them wait for the end of a turn.
const TURN: usize = 32;

/// No inode.
const FREE: u64 = 0;

/// The bit of an inode whose note is about to be taken away: the kernel is being told. Numbers of
/// inodes are smaller.
const LEAVING: u64 = 1 << 63;

/// The inodes noted.
pub(super) struct Trusted {
    buckets: Box<[Bucket]>,
    /// Faults need the notes.
    armed: AtomicBool,
    /// Where to look first for a note to take away.
    turn: AtomicUsize,
    covered: Mutex<Vec<FaultId>>,
}

#[derive(Default)]
#[repr(align(64))]
struct Bucket {
    notes: [AtomicU64; NOTES],
    claimed: AtomicBool,
}

impl Default for Trusted {
    fn default() -> Trusted {
        Trusted {
            buckets: std::iter::repeat_with(Bucket::default).take(BUCKETS).collect(),
            armed: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
            covered: Mutex::default(),
        }
    }
}

impl Trusted {
    /// Notes an inode, *before* it is asked a last time whether a fault concerns it: who sets one
    /// later finds the note. False if there is no room: then it may not be granted a time.
    ///
    /// `distrust` has the kernel ask anew for an inode; false if it may still come to trust it.
    #[inline]
    pub(super) fn note(&self, ino: Ino, distrust: impl Fn(Ino) -> bool) -> bool {
        let used = if self.armed.load(Ordering::Relaxed) { BUCKETS_ARMED } else { BUCKETS };
        let Some(bucket) = self.buckets.get(place(ino, used)) else { return false };
        // No fence: who changed the faults and did not find the note had changed them, for all to see, before the
        // note was made. That holds where a store becomes visible to all others at once (x86-64, ARMv8).
        if bucket.notes.iter().any(|note| note.load(Ordering::Acquire) == ino.0) {
            return true;
        }
        let noted = bucket.enter(ino) || self.displace(bucket, ino, distrust);
        // Who changes the faults does so before it looks for notes.
        fence(Ordering::SeqCst);
        noted
    }

    /// Puts an inode in the place of another.
    #[cold]
    fn displace(&self, bucket: &Bucket, ino: Ino, distrust: impl Fn(Ino) -> bool) -> bool {
        if !bucket.claim() {
            return false;
        }
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % NOTES;
        let (before, from) = bucket.notes.split_at(first);
        let noted = from.iter().chain(before).any(|note| take(note, ino.0, &distrust).is_ok());
        bucket.release();
        noted
    }

    /// Has the kernel ask anew for all inodes noted, whose notes are taken away. Returns those that it
    /// may still come to trust.
    pub(super) fn distrust_all(&self, distrust: impl Fn(Ino) -> bool) -> Vec<Ino> {
        fence(Ordering::SeqCst);
        let (mut unheard, mut told) = (Vec::new(), 0);
        for bucket in &self.buckets {
            if told >= TURN {
                thread::yield_now();
                told = 0;
            }
            let claimed = bucket.claim();
            for note in &bucket.notes {
                let noted = note.load(Ordering::Acquire) & !LEAVING;
                told += usize::from(noted != FREE);
                let taken = match noted {
                    FREE => Ok(()),
                    _ if claimed => take(note, FREE, &distrust),
                    // Whoever takes it away may not have told the kernel yet.
                    ino if distrust(Ino(ino)) => Ok(()),
                    ino => Err(Ino(ino)),
                };
                unheard.extend(taken.err());
            }
            if claimed {
                bucket.release();
            }
        }
        unheard
    }

    /// Whether these are all the faults that need the notes, or more than there are, of which the
    /// kernel has been told: [`Trusted::covers`].
    pub(super) fn is_covered(&self, faults: &[FaultId]) -> bool {
        self.armed.store(!faults.is_empty(), Ordering::Relaxed);
        let covered = self.covered.lock();
        faults.iter().all(|fault| covered.contains(fault))
    }

    /// Since these faults were set, the kernel has been told of all inodes noted.
    pub(super) fn covers(&self, faults: Vec<FaultId>) {
        *self.covered.lock() = faults;
    }
}

/// Takes a note away and leaves another in its place. By whoever has claimed the bucket: so a mark
/// that stands was made here. If it stays: an inode that the kernel may still come to trust, or that
/// somebody notes again meanwhile.
fn take(note: &AtomicU64, other: u64, distrust: impl Fn(Ino) -> bool) -> Result<(), Ino> {
    let ino = note.load(Ordering::Acquire);
    let swap = |from, to| {
        let swapped = note.compare_exchange(from, to, Ordering::SeqCst, Ordering::Relaxed);
        swapped.map(drop).map_err(|_| Ino(ino))
    };
    if ino == FREE {
        return swap(FREE, other);
    }
    swap(ino, ino | LEAVING)?;
    fence(Ordering::SeqCst);
    if distrust(Ino(ino)) {
        return swap(ino | LEAVING, other);
    }
    let _ = swap(ino | LEAVING, ino);
    Err(Ino(ino))
}

impl Bucket {
    /// Notes an inode where there is room, or where its note is about to be taken away.
    fn enter(&self, ino: Ino) -> bool {
        let enter = |from| {
            let mut notes = self.notes.iter().filter(|note| note.load(Ordering::Relaxed) == from);
            notes.any(|note| {
                note.compare_exchange(from, ino.0, Ordering::SeqCst, Ordering::Relaxed).is_ok()
            })
        };
        enter(ino.0 | LEAVING) || enter(FREE)
    }

    fn claim(&self) -> bool {
        !self.claimed.swap(true, Ordering::Acquire)
    }

    fn release(&self) {
        self.claimed.store(false, Ordering::Release);
    }
}

/// Of so many buckets, that of an inode.
fn place(ino: Ino, buckets: usize) -> usize {
    let mixed = ino.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    (mixed as usize * buckets) >> 32
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// More than there is room for.
    const MANY: u64 = 2 * (BUCKETS * NOTES) as u64;

    /// The kernel, which has heard of these.
    #[derive(Default)]
    struct Kernel(RefCell<Vec<u64>>);

    impl Kernel {
        fn distrust(&self, ino: Ino) -> bool {
            self.0.borrow_mut().push(ino.0);
            true
        }

        fn heard(&self) -> Vec<u64> {
            let mut heard = self.0.take();
            heard.sort_unstable();
            heard
        }
    }

    fn deaf(_: Ino) -> bool {
        false
    }

    /// What a change tells the kernel of.
    fn told(trusted: &Trusted) -> Vec<u64> {
        let kernel = Kernel::default();
        assert_eq!(trusted.distrust_all(|ino| kernel.distrust(ino)), []);
        kernel.heard()
    }

    #[test]
    fn what_was_noted_is_told_once_until_it_is_noted_again() {
        let trusted = Trusted::default();
        for ino in [1, 2, 3, 2] {
            assert!(trusted.note(Ino(ino), deaf));
        }
        assert_eq!(told(&trusted), [1, 2, 3]);
        assert!(trusted.note(Ino(2), deaf));
        assert_eq!(told(&trusted), [2]);
        assert!(told(&trusted).is_empty());
    }

    #[test]
    fn each_is_noted_or_told_and_few_are_noted() {
        let trusted = Trusted::default();
        let faults = [FaultId(1)];
        for (faults, room) in [(&faults[..0], BUCKETS), (&faults, BUCKETS_ARMED)] {
            trusted.is_covered(faults);
            let kernel = Kernel::default();
            assert!((1..=MANY).all(|ino| trusted.note(Ino(ino), |ino| kernel.distrust(ino))));
            let (before, after) = (kernel.heard(), told(&trusted));
            assert!(after.len() <= room * NOTES && after.len() > room * NOTES * 9 / 10);
            let mut all = [before, after].concat();
            all.sort_unstable();
            assert!(all.into_iter().eq(1..=MANY), "each once");
        }
    }

    #[test]
    fn what_the_kernel_may_still_come_to_trust_stays_noted() {
        let trusted = Trusted::default();
        let noted = (1..=MANY).filter(|ino| trusted.note(Ino(*ino), deaf)).count();
        let mut unheard = trusted.distrust_all(deaf);
        unheard.sort_unstable();
        assert_eq!(unheard.len(), noted, "the others are not to be granted a time");
        assert!(noted < MANY as usize);
        assert_eq!(told(&trusted), unheard.iter().map(|ino| ino.0).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_noted_again_while_the_kernel_is_told_stays() {
        let trusted = Trusted::default();
        trusted.note(Ino(7), deaf);
        let again = |ino| trusted.note(ino, deaf);
        assert_eq!(trusted.distrust_all(again), [Ino(7)]);
        assert_eq!(told(&trusted), [7]);
    }

    #[test]
    fn a_change_finds_what_another_is_taking_away() {
        let trusted = Trusted::default();
        trusted.note(Ino(7), deaf);
        let unheard = trusted.distrust_all(|_| {
            assert_eq!(told(&trusted), [7]);
            true
        });
        assert_eq!(unheard, []);
        assert!(told(&trusted).is_empty());
    }

    #[test]
    fn faults_are_covered_until_others_come() {
        let trusted = Trusted::default();
        let faults = [FaultId(1), FaultId(2)];
        assert!(trusted.is_covered(&[]) && !trusted.is_covered(&faults));
        trusted.covers(faults.to_vec());
        assert!(trusted.is_covered(&faults) && trusted.is_covered(&faults[1..]));
        assert!(!trusted.is_covered(&[FaultId(2), FaultId(3)]));
    }
}

//! Which requests are reads of a file through the page cache, so that each rolls the dice once.
//!
//! A read(2) of a cached file first asks for its attributes with its handle, and is decided there,
//! with no page locked; what READs then follow from the same thread are part of it. lseek(SEEK_END)
//! asks the same and is no read. Pages that come in for a mapping, sendfile(2), splice(2) or ahead
//! of time are READs that nothing announces, and are decided as they arrive. Of one that failed the
//! kernel asks once more for the page that is wanted: the same read, with the same outcome. Kept
//! only of files that a read fault concerns.
//! Lock rule: the table of readers is locked for memory work only, and innermost.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Core;
use super::op::Op;
use super::subject::TreeSubject;
use crate::fault::operation::Span;
use crate::fault::{Hit, Operation};
use crate::mirror::Ino;
use crate::ops::{Call, MethodSet};
use crate::sys::syscall;

/// More threads than this at once are forgotten rather than remembered.
const MOST_THREADS: usize = 4096;

/// Of so many failed requests of one thread the repetitions are known.
const MOST_FAILED: usize = 8;

/// How soon after it was failed the kernel repeats a request: a switch to its caller and one back, on a
/// busy machine too.
const SOON: Duration = Duration::from_secs(1);

/// How often it does for a page fault: by itself after a readahead, then with the address space
/// unlocked, then with it locked.
const OF_A_FAULT: u32 = 3;

/// How long to look for who asks for attributes, who always waits for them.
const PATIENCE: Duration = Duration::from_millis(20);

/// How long to look for who reads, who does not wait for what is read ahead.
const GLANCE: Duration = Duration::from_micros(100);

/// What one thread reads.
#[derive(Default)]
struct Reader {
    /// What it is about to read from.
    announced: Option<Announced>,
    /// Its READs that were failed, oldest first.
    failed: Vec<Failed>,
}

/// An inode whose attributes a thread asked for last, to read from.
#[derive(Clone, Copy)]
struct Announced {
    ino: Ino,
    /// By io_uring_enter(2). It begins a read, waits for the page as for any event, and then reads,
    /// asking for the attributes again.
    by_ring: bool,
    /// How many such reads have yet to do so.
    owed: u32,
    /// Nothing was read since.
    fresh: bool,
}

/// A READ that was failed and is going to be repeated.
struct Failed {
    ino: Ino,
    span: Span,
    hit: Hit,
    until: Instant,
    /// How often at most.
    left: u32,
}

/// The readers of files that a read fault concerns.
#[derive(Default)]
pub(super) struct Readers {
    readers: Mutex<HashMap<u32, Reader>>,
    pending: AtomicBool,
}

impl Readers {
    fn change<T>(&self, tid: u32, change: impl FnOnce(&mut Reader) -> T) -> T {
        let mut readers = self.readers.lock();
        if readers.len() >= MOST_THREADS && !readers.contains_key(&tid) {
            readers.clear();
        }
        change(readers.entry(tid).or_default())
    }

    /// The thread asks for attributes to read from an inode. False if that goes on with a read that
    /// was announced before, which it may do at the end of any system call.
    fn announce(&self, tid: u32, ino: Ino, by_ring: bool) -> bool {
        self.change(tid, |reader| {
            let before = reader.announced.filter(|announced| announced.ino == ino);
            let owed = before.map_or(0, |announced| announced.owed);
            let goes_on = owed > 0;
            let owed = owed - u32::from(goes_on);
            reader.announced = Some(Announced { ino, by_ring, owed, fresh: true });
            !goes_on
        })
    }

    /// The thread asks for attributes to read from an inode or to write to it, which cannot be told.
    /// If it reads, that goes on with a read that was announced before, or is announced by nothing.
    pub(super) fn doubt(&self, tid: u32, ino: Ino) {
        let mut readers = self.readers.lock();
        let Some(Reader { announced, .. }) = readers.get_mut(&tid) else { return };
        match announced {
            Some(before) if before.ino == ino && before.owed > 0 => before.owed -= 1,
            _ => *announced = None,
        }
    }

    fn is_announced(&self, tid: u32, ino: Ino) -> bool {
        let readers = self.readers.lock();
        let announced = readers.get(&tid).and_then(|reader| reader.announced);
        announced.is_some_and(|announced| announced.ino == ino)
    }

    /// The thread reads what it announced.
    fn reads(&self, tid: u32) {
        self.change(tid, |reader| {
            if let Some(announced) = &mut reader.announced {
                announced.owed += u32::from(announced.fresh && announced.by_ring);
                announced.fresh = false;
            }
        });
    }

    fn fail(&self, tid: u32, failed: Failed) {
        self.change(tid, |reader| {
            // With the lock, as whoever forgets takes it back with the lock.
            self.pending.store(true, Ordering::Relaxed);
            if reader.failed.len() >= MOST_FAILED {
                reader.failed.remove(0);
            }
            reader.failed.push(failed);
        });
    }

    /// Whether there may be repetitions, also of a fault that has left the table: one relaxed load.
    pub(super) fn pending(&self) -> bool {
        self.pending.load(Ordering::Relaxed)
    }

    /// The outcome that a READ repeats, if it is a repetition.
    fn repeated(&self, tid: u32, ino: Ino, span: Span) -> Option<Hit> {
        let mut readers = self.readers.lock();
        let failed = &mut readers.get_mut(&tid)?.failed;
        let now = Instant::now();
        failed.retain_mut(|f| f.left > 0 && now < f.until && f.hit.settle());
        let found = failed.iter_mut().find(|f| f.ino == ino && f.span.holds(span))?;
        found.left -= 1;
        found.until = now + SOON;
        // The page that is wanted; the others that were read ahead are nobody's yet.
        found.span = span;
        found.hit.repeat()
    }

    /// No read fault is set any more: only what one has failed before it was spent still counts.
    pub(super) fn forget(&self) {
        let now = Instant::now();
        let mut readers = self.readers.lock();
        readers.retain(|_, reader| {
            reader.announced = None;
            reader.failed.retain_mut(|f| now < f.until && f.hit.settle());
            !reader.failed.is_empty()
        });
        self.pending.store(!readers.is_empty(), Ordering::Relaxed);
    }
}

impl Core {
    /// Whether the request may be part of a read through the page cache.
    pub(super) fn is_cached_read(op: &Op) -> bool {
        op.paged || matches!(op.call, Call::GetattrHandle) && op.consults(Call::Read)
    }

    /// Decides such a request.
    pub(super) fn decide_read(
        &self,
        op: &Op,
        subject: &TreeSubject<'_>,
        view: Operation<'_>,
    ) -> Option<Hit> {
        let tid = op.caller.tid;
        if self.may_precede_write(op, subject.inode().ino()) {
            return self.gate.decide(&[&subject.consulting(MethodSet::EMPTY)], &view);
        }
        let repeated = |span| self.readers.repeated(tid, subject.inode().ino(), span);
        if let Some(before) = op.pages().and_then(repeated) {
            return self.gate.decide_standing(&[subject], &view, Some(before));
        }
        let read = subject.consulting(Call::Read.methods());
        let concerned = self.gate.concerns(&[&read]);
        match (concerned, op.paged) {
            (true, true) => self.decide_page_in(subject, view),
            (true, false) => self.decide_announcement(subject, &view),
            (false, true) => self.gate.decide(&[subject], &view),
            (false, false) => {
                let other = op.methods().minus(Call::Read.methods());
                self.gate.decide(&[&subject.consulting(other)], &view)
            }
        }
    }

    /// A GETATTR with handle: a read(2) that begins, or a seek to the end.
    fn decide_announcement(&self, subject: &TreeSubject<'_>, view: &Operation<'_>) -> Option<Hit> {
        let tid = view.caller.tid;
        let call = syscall::waited_in(tid, PATIENCE);
        if call.is_some_and(|call| call.is_seek()) {
            let asked = subject.consulting(Call::GetattrHandle.methods());
            return self.gate.decide(&[&asked], view);
        }
        // Threads that are not visible from here all have the number 0: what they announce counts
        // for each of them.
        let by_ring = call.is_some_and(|call| call.is_ring());
        if !self.readers.announce(tid, subject.inode().ino(), by_ring) {
            return self.gate.decide_standing(&[subject], view, None);
        }
        self.gate.decide(&[subject], view)
    }

    /// A READ into the page cache.
    fn decide_page_in(&self, subject: &TreeSubject<'_>, mut view: Operation<'_>) -> Option<Hit> {
        let tid = view.caller.tid;
        let of_a_read = || {
            let call = syscall::waited_in(tid, GLANCE);
            call.is_none_or(|call| !call.is_page_in())
        };
        if self.readers.is_announced(tid, subject.inode().ino()) && of_a_read() {
            self.readers.reads(tid);
            view.is_announced = true;
        }
        self.gate.decide(&[subject], &view)
    }

    /// A fault is about to fail a request: if it is a READ into the page cache, the kernel repeats it
    /// for the page that its caller wants.
    pub(super) fn read_fails(&self, op: &Op, hit: &Hit) {
        let (Some(span), Some(ino), false) = (op.pages(), op.inode(), hit.is_repeated()) else {
            return;
        };
        let Some(hit) = hit.repeat() else { return };
        let tid = op.caller.tid;
        let left = match syscall::waited_in(tid, GLANCE) {
            Some(call) if call.is_readahead() => 0,
            // What was read ahead is asked for by itself, and that is the end of it.
            Some(call) if call.is_splice() => u32::from(syscall::waits_for_page(tid)),
            _ => OF_A_FAULT,
        };
        if left > 0 {
            let until = Instant::now() + SOON;
            self.readers.fail(tid, Failed { ino, span, hit, until, left });
        }
    }
}

#[cfg(test)]
mod tests;

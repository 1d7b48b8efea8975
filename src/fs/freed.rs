//! Memory that goes back to the system once much of it is free.
//!
//! A walk through a large tree makes an inode of each file, and patterns compile to much; when the
//! kernel has forgotten the files, and the faults are cleared, tables keep their size and the heap is
//! left in pieces, for good. So after many a thread waits until it is calm, and gives back what is
//! free. There is none at other times. Lock rule: the backlog is locked for memory work only.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Core;
use super::reply::Granted;
use super::underway::Share;
use crate::fault::Snapshot;
use crate::mirror::Ino;
use crate::sys::memory;

/// Fewer freed inodes are not worth it: half a mebibyte.
const MANY: u64 = 1000;
/// So many inodes weigh as much as a fault with its pattern.
const FAULT: u64 = 100;
/// It is calm when not so many were freed in this time.
const CALM: Duration = Duration::from_secs(2);
/// After this it is done, calm or not.
const AT_LAST: Duration = Duration::from_secs(30);

/// How much was freed, in inodes, and of how much the memory was given back.
#[derive(Default)]
pub(super) struct Freed {
    count: AtomicU64,
    given_back: AtomicU64,
    waiting: AtomicBool,
    faults: AtomicU64,
    backlog: Mutex<Backlog>,
}

/// What is still to be forgotten: inode and lookups of each.
#[derive(Default)]
struct Backlog {
    inodes: Vec<(Ino, u64)>,
    /// A thread sees to it.
    seen_to: bool,
}

impl Freed {
    /// Counts so many. Whether the memory is to be given back, by whoever asks.
    fn enough(&self, more: u64) -> bool {
        let count = self.count.fetch_add(more, Ordering::Relaxed) + more;
        count.saturating_sub(self.given_back.load(Ordering::Relaxed)) >= MANY
            && !self.waiting.swap(true, Ordering::Relaxed)
    }
}

impl Core {
    /// Takes back what the kernel is not told of.
    #[cold]
    pub(super) fn withdraw(&self, Granted { entries, opened }: Granted) {
        if let Some(Err(error)) = opened.map(|fh| self.closed_untold(fh)) {
            tracing::debug!("closing what nobody is told of: {error}");
        }
        for ino in entries {
            self.tree.forget(ino, 1);
        }
    }

    /// Runs a FORGET, which nobody waits for and which may close files of the backing.
    pub(super) fn run_forget(self: &Arc<Self>, ino: Ino, lookups: u64) {
        self.underway.sit();
        if self.underway.enter(Share::Any) {
            self.forget(ino, lookups);
            self.underway.leave();
        } else {
            self.forget_later(ino, lookups);
        }
    }

    /// The kernel has forgotten so many lookups of an inode.
    pub(super) fn forget(self: &Arc<Self>, ino: Ino, lookups: u64) {
        self.keep_path(ino);
        self.tree.forget(ino, lookups);
        self.freed(1);
    }

    /// The same by another thread, one for all of them: the kernel forgets a hundred thousand at once.
    pub(super) fn forget_later(self: &Arc<Self>, ino: Ino, lookups: u64) {
        {
            let mut backlog = self.freed.backlog.lock();
            backlog.inodes.push((ino, lookups));
            if std::mem::replace(&mut backlog.seen_to, true) {
                return;
            }
        }
        let core = Arc::clone(self);
        self.line.run(Box::new(move || core.forget_backlog()));
    }

    fn forget_backlog(self: &Arc<Self>) {
        loop {
            let inodes = {
                let mut backlog = self.freed.backlog.lock();
                backlog.seen_to = !backlog.inodes.is_empty();
                std::mem::take(&mut backlog.inodes)
            };
            if inodes.is_empty() {
                return;
            }
            inodes.into_iter().for_each(|(ino, lookups)| self.forget(ino, lookups));
        }
    }

    /// The faults have changed to these.
    pub(super) fn faults_changed(self: &Arc<Self>, faults: &Snapshot) {
        let left = faults.len() as u64;
        let gone = self.freed.faults.swap(left, Ordering::Relaxed).saturating_sub(left);
        if gone > 0 {
            self.freed(gone * FAULT);
        }
    }

    fn freed(self: &Arc<Self>, inodes: u64) {
        if self.freed.enough(inodes) {
            let core = Arc::downgrade(self);
            let spawn = thread::Builder::new().name("slowfs-memory".into()).stack_size(256 * 1024);
            if spawn.spawn(move || give_back_when_calm(&core)).is_err() {
                self.freed.waiting.store(false, Ordering::Relaxed);
            }
        }
    }

    fn give_back(&self) {
        self.tree.shrink();
        self.gate.shrink();
        memory::trim();
    }
}

fn give_back_when_calm(core: &Weak<Core>) {
    let began = Instant::now();
    let mut before = 0;
    loop {
        thread::sleep(CALM);
        let Some(core) = core.upgrade() else { return };
        let count = core.freed.count.load(Ordering::Relaxed);
        let late = began.elapsed() >= AT_LAST;
        let calm = count - before < MANY;
        if calm || late {
            core.give_back();
            core.freed.given_back.store(count, Ordering::Relaxed);
            core.freed.waiting.store(false, Ordering::Relaxed);
            return;
        }
        before = count;
    }
}

//! Keeping the kernel's caches honest: what is armed acts on the very next system call.
//!
//! The kernel answers from cached attributes without asking, so inodes that an attribute or read
//! fault concerns get an attribute timeout of zero, and arming invalidates the attributes of those
//! that it knows already. That notification never blocks, whatever is held; those of entries and
//! pages do, and are never sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fuser::{FileHandle, FopenFlags, INodeNo, Notifier};
use parking_lot::Mutex;

use super::Core;
use super::attributes::file_attr;
use super::init::Kernel;
use super::reply::{Attributes, Entry, Opened};
use crate::fault::{FaultTable, Memo};
use crate::mirror::{self, Attr, Inode};
use crate::ops::{MethodSet, Request};

/// How long the kernel may trust entries, and attributes that no fault concerns.
const TTL: Duration = Duration::from_secs(1);

/// The bit of a file handle that says "opened past the page cache"; the mirror's own numbers are
/// small.
const DIRECT: u64 = 1 << 63;

/// The mirror's handle behind the kernel's, and whether it was opened past the page cache.
pub(super) fn handle(fh: FileHandle) -> (u64, bool) {
    (fh.0 & !DIRECT, fh.0 & DIRECT != 0)
}

/// The methods whose faults must not be hidden by cached attributes: a cached read is gated at
/// the GETATTR that an expired attribute makes the kernel send first.
const fn hidden_by_attributes() -> MethodSet {
    Request::Getattr
        .methods()
        .union(Request::GetattrHandle.methods())
        .union(Request::Read.methods())
}

impl Core {
    /// How long the kernel may trust this inode's attributes.
    fn attribute_ttl(&self, inode: &Arc<Inode<Memo>>) -> Duration {
        if self.concerned(inode, hidden_by_attributes()) { Duration::ZERO } else { TTL }
    }

    /// Attributes as replied, for the inode the kernel calls `node`. A listing also tells of some
    /// that the kernel was not given, "." and "..": whatever faults there are, those are listed.
    pub(super) fn attributes(&self, node: u64, attr: &Attr) -> std::io::Result<Attributes> {
        let ttl = match self.gate.armed(hidden_by_attributes()) {
            true => {
                self.tree.inode(node).map_or(Duration::ZERO, |inode| self.attribute_ttl(&inode))
            }
            false => TTL,
        };
        Ok(Attributes { attr: file_attr(attr)?, ttl })
    }

    /// A directory entry as replied.
    pub(super) fn entry(&self, entry: &mirror::Entry) -> std::io::Result<Entry> {
        let attributes = self.attributes(entry.attr.ino, &entry.attr)?;
        Ok(Entry { attributes, generation: entry.generation, ttl: TTL })
    }

    /// An open file as replied: past the page cache while a read fault concerns it, so that each
    /// read arrives; else with its pages kept, which AUTO_INVAL_DATA drops when the file changed.
    pub(super) fn opened(&self, ino: u64, fh: u64) -> Opened {
        let direct = self.options.direct_io
            || self.gate.armed(Request::Read.methods())
                && self
                    .tree
                    .inode(ino)
                    .is_ok_and(|inode| self.concerned(&inode, Request::Read.methods()));
        if direct {
            Opened { fh: fh | DIRECT, flags: FopenFlags::FOPEN_DIRECT_IO }
        } else {
            Opened { fh, flags: FopenFlags::FOPEN_KEEP_CACHE }
        }
    }

    /// Invalidates the cached attributes of the inodes that an attribute or read fault concerns.
    pub(super) fn refresh(&self) {
        let Some(notifier) = self.notifier.get() else { return };
        self.lookups.forget_all();
        if !self.gate.armed(hidden_by_attributes()) {
            return;
        }
        let mut concerned = Vec::new();
        self.tree.known(&mut |inode| {
            if self.concerned(inode, hidden_by_attributes()) {
                concerned.push(inode.ino());
            }
        });
        for ino in concerned {
            // Offset -1: attributes only. The kernel has forgotten it already: nothing to do.
            if let Err(error) = notifier.inval_inode(INodeNo(ino), -1, 0) {
                tracing::debug!("inode {ino}: attributes not invalidated: {error}");
            }
        }
    }
}

/// Tells the kernel of changes to the fault table.
pub struct Watcher {
    core: Arc<Core>,
}

impl Watcher {
    pub(super) fn new(core: Arc<Core>) -> Watcher {
        Watcher { core }
    }

    /// What was agreed with the kernel; none before the session was.
    #[must_use]
    pub fn kernel(&self) -> Kernel {
        self.core.kernel.get().cloned().unwrap_or_default()
    }

    /// From now on each change of `table` reaches the kernel's caches before the call that made it
    /// returns.
    pub fn attach(self, table: &FaultTable, notifier: Notifier) {
        let core = self.core;
        if core.notifier.set(notifier).is_ok() {
            table.subscribe(Box::new(move |_| core.refresh()));
        }
    }
}

/// More threads than this at once are forgotten, and rolled once more, rather than remembered.
const MOST_THREADS: usize = 4096;

impl Core {
    /// A LOOKUP by `tid` that a fault let pass has found `ino`.
    pub(super) fn looked_up(&self, tid: u32, ino: u64) {
        if self.gate.armed(Request::Lookup.methods()) {
            self.lookups.remember(tid, ino);
        }
    }
}

/// The inode that each thread looked up last, kept only while an attribute fault is armed.
///
/// stat(2) on a path with expired attributes sends LOOKUP and then GETATTR: one system call, one
/// roll of the dice. So a GETATTR that directly follows the same thread's LOOKUP of that inode is
/// not rolled again.
#[derive(Default)]
pub(super) struct LastLookups(Mutex<HashMap<u32, u64>>);

impl LastLookups {
    /// Remembers that `tid` was just given `ino` by a LOOKUP that a fault let pass.
    pub(super) fn remember(&self, tid: u32, ino: u64) {
        let mut lookups = self.0.lock();
        if lookups.len() >= MOST_THREADS {
            lookups.clear();
        }
        lookups.insert(tid, ino);
    }

    /// What `tid` looked up, if that was the last it asked; forgotten by asking.
    pub(super) fn take(&self, tid: u32) -> Option<u64> {
        self.0.lock().remove(&tid)
    }

    fn forget_all(&self) {
        self.0.lock().clear();
    }
}

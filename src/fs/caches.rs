//! Keeping the kernel's caches honest: what is armed acts on the very next system call.
//!
//! The kernel answers from cached attributes without asking, so inodes that an attribute or read
//! fault concerns get an attribute timeout of zero, and arming invalidates the attributes of all
//! that it may be trusting, which are not many at a time. That notification never blocks, whatever
//! is held; that of entries does, and is never sent; that of pages too, and is sent where the
//! operation may wait for them.
//! Lock rule: the table of files past the page cache is locked for memory work only, and innermost.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use fuser::{FileHandle, FopenFlags};
use parking_lot::Mutex;

use super::attributes::file_attr;
use super::op::Operands;
use super::passthrough::{Note, Register};
use super::reply::{Attributes, EntryReply, Opened};
use super::written_back::KEPT_TTL_OVER;
use super::{Core, Node};
use crate::fault::{PastCache, Snapshot};
use crate::mirror::{self, Attr, Fh, Ino, Moved};
use crate::ops::{Call, MethodSet};

/// How long the kernel may trust entries.
const TTL: Duration = Duration::from_secs(1);

/// How long after its reply an inode may be unknown to the kernel: until the caller has run again,
/// which on a busy machine may not be soon.
const ARRIVAL: Duration = Duration::from_millis(80);

/// How often to look for such inodes, and for those that come later.
const LOOK_EVERY: Duration = Duration::from_micros(50);
const LOOK_BEHIND_EVERY: Duration = Duration::from_micros(200);

/// How often to look at least for those that come much later, which takes a notice each.
const LOOK_BEHIND_AT_LEAST_EVERY: Duration = Duration::from_millis(10);

/// The bit of a file handle that says "opened past the page cache"; the mirror's own numbers are
/// small.
const DIRECT: u64 = 1 << 63;

/// The bit of one that was so opened because of a fault.
const COUNTED: u64 = 1 << 62;

/// The mirror's handle behind the kernel's, and whether it was opened past the page cache.
pub(super) fn handle(fh: FileHandle) -> (Fh, bool) {
    (Fh(fh.0 & !(DIRECT | COUNTED)), fh.0 & DIRECT != 0)
}

/// The files that are open past the page cache because of a fault, by the mirror's handle.
pub(super) type Counted = Mutex<HashMap<Fh, PastCache>>;

/// The methods whose faults must not be hidden by cached attributes: a cached read is gated at
/// the GETATTR that an expired attribute makes the kernel send first.
const fn hidden_by_attributes() -> MethodSet {
    Call::Getattr.methods().union(Call::GetattrHandle.methods()).union(Call::Read.methods())
}

impl Core {
    /// How long the kernel may trust the attributes of the inode of that number.
    fn attribute_ttl(&self, ino: Ino, attr: &Attr) -> Duration {
        if self.is_concerned(ino) {
            return Duration::ZERO;
        }
        let noted = self.trusted.note(ino, |other| self.distrusts(other));
        if noted && !self.is_concerned(ino) { self.ttl(attr) } else { Duration::ZERO }
    }

    /// Whether a fault concerns it that cached attributes would hide. A listing also tells of inodes
    /// that the kernel was not given, "." and "..": whatever faults there are, those are listed.
    fn is_concerned(&self, ino: Ino) -> bool {
        let hidden = hidden_by_attributes();
        let concerned = |inode| self.concerned(&inode, hidden);
        self.gate.armed(hidden) && self.tree.inode(ino).map_or(true, concerned)
    }

    /// Attributes as replied, for the inode the kernel calls `node`.
    pub(super) fn attributes(&self, node: Ino, attr: &Attr) -> Attributes {
        Attributes { attr: file_attr(attr), ttl: self.attribute_ttl(node, attr) }
    }

    /// Attributes as replied to a request that changed them. The kernel would trust these even if a
    /// fault was armed, and they were invalidated, before it took the reply in; those of the other
    /// requests it then drops. So it is to ask for them.
    pub(super) fn changed(&self, attr: &Attr) -> Attributes {
        Attributes { attr: file_attr(attr), ttl: Duration::ZERO }
    }

    /// A directory entry as replied. One that is answered late may be trusted for no time: of a fault that
    /// is set meanwhile the kernel cannot be told, as it does not know the inode yet.
    pub(super) fn entry(&self, entry: &mirror::Entry, operands: &Operands<'_>) -> EntryReply {
        let attributes = match operands.is_answered_late() {
            true => self.changed(&entry.attr),
            false => self.attributes(entry.ino, &entry.attr),
        };
        EntryReply { attributes, generation: self.generation(entry), ttl: TTL }
    }

    /// An open file as replied: to be served by the kernel; or past the page cache, while a read
    /// fault concerns it, so that each read arrives, and with O_DIRECT, so that syncing what is
    /// written asynchronously is ours; else through it. Pages are kept, as AUTO_INVAL_DATA drops
    /// them when the file changed, unless it may have changed in a way that the kernel cannot see, or
    /// its reads are to arrive.
    pub(super) fn opened(&self, ino: Ino, fh: Fh, flags: i32, register: Register<'_>) -> Opened {
        self.begins_open(ino, fh);
        if let Some(backing) = self.handed_over(fh, register) {
            self.goes_past_cache(fh);
            return Opened {
                fh: FileHandle(fh.0 | DIRECT),
                flags: FopenFlags::empty(),
                backing: Some(backing),
            };
        }
        let inode = self.tree.inode(ino).ok();
        let asked = self.options.direct_io || flags & libc::O_DIRECT != 0 || self.cannot_page(fh);
        let bits = match (asked, inode.as_ref()) {
            (true, _) => DIRECT,
            (false, Some(inode)) => self.bits_by_fault(inode, fh),
            (false, None) => 0,
        };
        let way = match bits {
            0 => FopenFlags::empty(),
            _ => {
                self.goes_past_cache(fh);
                FopenFlags::FOPEN_DIRECT_IO
            }
        };
        // sendfile(2) and splice(2) would find them also where read(2) goes past them.
        let to_be_met = self.options.direct_io || bits & COUNTED != 0;
        let doubt = inode.is_some_and(|inode| inode.take_doubt());
        let kept =
            if to_be_met || doubt { FopenFlags::empty() } else { FopenFlags::FOPEN_KEEP_CACHE };
        Opened { fh: FileHandle(fh.0 | bits), flags: way | kept, backing: None }
    }

    /// The bits of a handle that is opened now: those of one past the page cache if a read fault
    /// concerns the file. It stays so until it is closed, whatever becomes of the fault.
    fn bits_by_fault(&self, inode: &Arc<Node>, fh: Fh) -> u64 {
        let read = Call::Read.methods();
        let past_cache = || self.gate.past_cache(&self.subject_of(inode, read));
        match self.gate.armed(read).then(past_cache).flatten() {
            Some(counted) => {
                self.counted.lock().insert(fh, counted);
                DIRECT | COUNTED
            }
            None => 0,
        }
    }

    fn goes_past_cache(&self, fh: Fh) {
        if let Ok(handle) = self.tree.handle(fh) {
            handle.uncached.store(true, Ordering::Relaxed);
        }
    }

    /// How many open files are read through the kernel's cache that have a path which is wanted.
    pub(super) fn cached(&self, wanted: &dyn Fn(&[u8]) -> bool) -> u64 {
        let is_wanted = |inode: &Node| {
            let mut found = false;
            self.tree.paths(inode, &mut |path| found = found || wanted(path));
            found
        };
        let all = self.tree.open_handles().into_iter();
        let cached = all.filter(|of| !of.uncached.load(Ordering::Relaxed) && !of.inode().is_dir());
        cached.filter(|of| of.reads() && is_wanted(of.inode())).count() as u64
    }

    /// Closes a handle of a file, as the kernel knows it.
    pub(super) fn closed(&self, fh: FileHandle) -> io::Result<()> {
        let known = handle(fh).0;
        if fh.0 & COUNTED != 0 {
            let counted = self.counted.lock().remove(&known);
            drop(counted);
        }
        self.forgive(known, None, 0);
        self.released(known)
    }

    /// After a change of the faults: has the kernel ask anew for all attributes that it may be
    /// trusting, unless it has been told since the last fault came that attributes would hide.
    pub(super) fn refresh(&self, faults: &Snapshot) {
        if !self.gate.armed(Call::Read.methods()) {
            self.readers.forget();
        }
        let hidden = faults.hidden_by_caches(hidden_by_attributes());
        if !self.trusted.is_covered(&hidden) {
            if self.options.writeback_cache {
                thread::sleep(KEPT_TTL_OVER);
            }
            self.distrust_all(ARRIVAL);
            self.trusted.covers(hidden);
        }
    }

    /// Has the kernel ask anew for all attributes that it may be trusting, and waits so long for
    /// inodes that a fault concerns and the kernel does not know yet. Of those that it knows no sooner it is
    /// told behind.
    pub(super) fn distrust_all(&self, patience: Duration) {
        let mut unheard = self.trusted.distrust_all(|ino| self.distrusts(ino));
        unheard.retain(|ino| self.is_concerned(*ino));
        let deadline = Instant::now() + patience;
        while !unheard.is_empty() && Instant::now() < deadline {
            thread::sleep(LOOK_EVERY);
            unheard.retain(|ino| !self.distrusts(*ino));
        }
        if !patience.is_zero() && !unheard.is_empty() {
            tracing::warn!(
                "files that are new to callers which have not run for {patience:?}, whose next call may miss what \
                 was set: {}",
                unheard.len()
            );
        }
        self.distrust_behind(unheard);
    }

    /// Has the kernel ask anew for these as soon as it knows them.
    fn distrust_behind(&self, unheard: Vec<Ino>) {
        if !self.unheard.add(unheard) {
            return;
        }
        let Some(core) = self.itself.upgrade() else { return };
        self.line.run(Box::new(move || {
            let mut pause = LOOK_BEHIND_EVERY;
            while core.unheard.retain(|ino| !core.distrusts(ino)) {
                thread::sleep(pause);
                pause = (pause + pause / 8).min(LOOK_BEHIND_AT_LEAST_EVERY);
            }
        }));
    }

    /// The same after a rename that gave these new paths, and all below them: unless no fault concerns
    /// them there. Runs on a loop thread, so it waits for nothing.
    pub(super) fn renamed(&self, moved: Moved<Note>) {
        if !self.gate.armed(hidden_by_attributes()) {
            return;
        }
        for inode in moved.into_iter().flatten() {
            if inode.is_dir() {
                self.distrust_all(Duration::ZERO);
            } else if self.is_concerned(inode.ino()) {
                let unheard = !self.distrusts(inode.ino());
                self.distrust_behind(unheard.then_some(inode.ino()).into_iter().collect());
            }
        }
    }

    /// An operation has changed attributes of this inode that the kernel goes on trusting: those
    /// that neither its reply tells nor the kernel drops by itself. To be called before the reply.
    pub(super) fn changed_unseen(&self, ino: Ino) {
        self.distrusts(ino);
    }

    /// An operation has changed names that the kernel goes on trusting. To be called before the reply.
    pub(super) fn entries_changed_unseen(&self) {
        let Some(notices) = self.notices.get() else { return };
        if let Err(error) = notices.expire_entries() {
            tracing::debug!("entries not invalidated: {error}");
        }
    }

    /// A READ is going to fill the page cache: told before the backing is read, so that whoever writes
    /// there, and then finds nothing told, has written before.
    pub(super) fn pages_in(&self, fh: Fh) {
        if let Ok(handle) = self.tree.handle(fh) {
            let paged = &handle.inode().note.paged;
            if !paged.load(Ordering::Relaxed) {
                paged.swap(true, Ordering::SeqCst);
            }
        }
    }

    /// Whether the kernel may have pages of the file.
    pub(super) fn is_paged(&self, fh: Fh) -> bool {
        self.tree.handle(fh).is_ok_and(|handle| handle.inode().note.paged.load(Ordering::SeqCst))
    }

    /// Has the kernel drop pages of what was written past the page cache, which it does by itself
    /// only for a caller that waits. Blocks as long as one of them is being read, held or not.
    pub(super) fn outdate_pages(&self, ino: Ino, bytes: &Range<u64>) {
        let Some(notices) = self.notices.get() else { return };
        if let Err(error) = notices.write_back(ino, bytes) {
            tracing::debug!("inode {ino}: pages not dropped: {error}");
        }
    }

    /// Has the kernel ask anew for an inode's attributes. False if it may still come to trust them: it
    /// has yet to take in the reply that tells of the inode, and may say that no fault concerns it.
    fn distrusts(&self, ino: Ino) -> bool {
        // Else the kernel has forgotten it or is about to.
        let known = || self.tree.inode(ino).is_ok_and(|inode| inode.lookups() > 0);
        let Some(notices) = self.notices.get() else { return false };
        match notices.expire_attributes(ino) {
            Ok(heard) => heard || !known(),
            Err(error) => {
                tracing::debug!("inode {ino}: attributes not invalidated: {error}");
                true
            }
        }
    }
}

//! What each kind of fuser reply is given: a value, or an errno.

use std::cell::Cell;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use fuser::{
    BackingId, Errno, FileAttr, FileHandle, FopenFlags, Generation, PollEvents, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl,
    ReplyLseek, ReplyOpen, ReplyPoll, ReplyStatfs, ReplyWrite, ReplyXattr,
};
use rustix::fs::StatVfs;

use crate::fault::injections::Wrong;
use crate::fault::plan::{Edit, Space};
use crate::mirror::{Buffer, DirEntry, Ino, Xattr};

/// A reply that is sent exactly once.
pub(super) trait Answer: Send + 'static {
    /// What a success carries.
    type Value: Send + 'static;

    /// How many bytes a success has moved.
    fn moved(_: &Self::Value) -> u64 {
        0
    }

    /// Makes a success tell of so many bytes, whatever was moved.
    fn pretend(_: &mut Self::Value, _: u64) {}

    /// Makes a success carry so many bytes at most, and fewer than it has.
    fn cut(_: &mut Self::Value, _: u64) {}

    /// Makes a success carry other bytes; which are wrong, where they begin counted from its first.
    fn edit(_: &mut Self::Value, _: &[Edit]) -> Vec<Wrong> {
        Vec::new()
    }

    /// Makes a success tell of no more space.
    fn limit(_: &mut Self::Value, _: Space) {}

    /// Replies with success.
    fn ok(self, value: Self::Value);
    /// Replies with an errno.
    fn err(self, errno: Errno);
    /// What a success with this value would grant the kernel, or an error what it had granted so far:
    /// for one that is answered otherwise.
    fn granted(&mut self, value: Option<&Self::Value>) -> Granted;
}

/// What the kernel gives back one day: lookups by FORGET, an open file or directory by RELEASE.
#[derive(Default)]
pub(super) struct Granted {
    /// One lookup of each of these inodes.
    pub(super) entries: Vec<Ino>,
    /// The handle as the kernel would have it.
    pub(super) opened: Option<FileHandle>,
}

impl Granted {
    fn nothing<T>(_: T) -> Granted {
        Granted::default()
    }

    fn entry(entry: &EntryReply) -> Granted {
        Granted { entries: vec![Ino(entry.attributes.attr.ino.0)], opened: None }
    }

    fn opened(opened: &Opened) -> Granted {
        Granted { entries: Vec::new(), opened: Some(opened.fh) }
    }

    pub(super) fn created((entry, opened): &(EntryReply, Opened)) -> Granted {
        Granted { opened: Granted::opened(opened).opened, ..Granted::entry(entry) }
    }
}

/// An inode's attributes and how long the kernel may trust them.
pub(super) struct Attributes {
    pub(super) attr: FileAttr,
    pub(super) ttl: Duration,
}

/// A directory entry: one more lookup of its inode.
pub(super) struct EntryReply {
    pub(super) attributes: Attributes,
    pub(super) generation: u64,
    pub(super) ttl: Duration,
}

impl EntryReply {
    /// Adds it to a listing; true if it did not fit.
    pub(super) fn add_to(&self, reply: &mut ReplyDirectoryPlus, offset: u64, name: &OsStr) -> bool {
        // fuser has one timeout for entry and attributes here; the shorter is the right one.
        let ttl = self.ttl.min(self.attributes.ttl);
        let attr = &self.attributes.attr;
        reply.add(attr.ino, offset, name, &ttl, attr, Generation(self.generation))
    }
}

/// A listing whose entries are lookups.
pub(super) struct Listing {
    pub(super) reply: ReplyDirectoryPlus,
    /// The inodes of the entries added, but for "." and "..", which are no lookups.
    pub(super) granted: Vec<Ino>,
}

impl Listing {
    /// Adds an entry; true if it did not fit.
    pub(super) fn add(&mut self, entry: &EntryReply, listed: DirEntry<'_>) -> bool {
        let full = entry.add_to(&mut self.reply, listed.offset, listed.name);
        if !full && !listed.is_dot() {
            self.granted.push(Ino(entry.attributes.attr.ino.0));
        }
        full
    }
}

impl Answer for Listing {
    type Value = ();
    fn ok(self, (): ()) {
        self.reply.ok();
    }
    fn err(self, errno: Errno) {
        self.reply.error(errno);
    }
    fn granted(&mut self, _: Option<&()>) -> Granted {
        Granted { entries: std::mem::take(&mut self.granted), opened: None }
    }
}

/// What poll(2) finds a regular file ready for: always everything.
pub(super) const READY: PollEvents = PollEvents::POLLIN
    .union(PollEvents::POLLOUT)
    .union(PollEvents::POLLRDNORM)
    .union(PollEvents::POLLWRNORM);

/// An open file or directory.
pub(super) struct Opened {
    /// The handle as the kernel has it.
    pub(super) fh: FileHandle,
    pub(super) flags: FopenFlags,
    /// What the kernel serves it from, if it does so by itself.
    pub(super) backing: Option<Arc<BackingId>>,
}

thread_local! {
    /// The buffer of the last read of this thread, so that large reads allocate once.
    static SPARE: Cell<Buffer> = const { Cell::new(Buffer::new()) };
}

/// Bytes read, in a buffer that goes back to its thread after the reply.
pub(super) struct Bytes(pub(super) Buffer);

impl Bytes {
    /// A buffer to read into, which empties it; it may have room already.
    pub(super) fn spare() -> Bytes {
        Bytes(SPARE.take())
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        SPARE.set(std::mem::take(&mut self.0));
    }
}

/// `impl Answer` for a reply whose success is one call with its value, and grants that.
macro_rules! answer {
    ($reply:ty, $value:ty, |$self:ident, $v:pat_param| $ok:expr) => {
        answer!($reply, $value, Granted::nothing, |$self, $v| $ok);
    };
    ($reply:ty, $value:ty, $grants:expr, |$self:ident, $v:pat_param| $ok:expr $(, $hook:item)*) => {
        impl Answer for $reply {
            type Value = $value;
            $($hook)*
            fn ok($self, $v: $value) {
                $ok;
            }
            fn err(self, errno: Errno) {
                self.error(errno);
            }
            fn granted(&mut self, value: Option<&$value>) -> Granted {
                value.map_or_else(Granted::default, $grants)
            }
        }
    };
}

answer!(ReplyEmpty, (), |self, ()| self.ok());
answer!(ReplyDirectory, (), |self, ()| self.ok());
answer!(ReplyDirectoryPlus, (), |self, ()| self.ok());
answer!(
    ReplyData,
    Bytes,
    Granted::nothing,
    |self, bytes| self.data(&bytes.0),
    fn moved(bytes: &Bytes) -> u64 {
        bytes.0.len() as u64
    },
    fn edit(bytes: &mut Bytes, edits: &[Edit]) -> Vec<Wrong> {
        let edited = edits.iter().filter_map(|edit| {
            let start = usize::try_from(edit.at).ok()?;
            let place = start..bytes.0.len().min(start.saturating_add(edit.bytes.len()));
            let should = bytes.0.get(place.clone())?.to_vec();
            edit.apply(&mut bytes.0);
            Wrong::found(edit.at, &should, bytes.0.get(place)?)
        });
        edited.collect()
    },
    fn cut(bytes: &mut Bytes, most: u64) {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let short = bytes.0.len().saturating_sub(1).max(1);
        bytes.0.truncate(most.min(short));
    }
);
answer!(ReplyAttr, Attributes, |self, a| self.attr(&a.ttl, &a.attr));
answer!(ReplyEntry, EntryReply, Granted::entry, |self, e| self.entry_with_ttls(
    &e.attributes.ttl,
    &e.ttl,
    &e.attributes.attr,
    Generation(e.generation)
));
answer!(ReplyOpen, Opened, Granted::opened, |self, o| match &o.backing {
    None => self.opened(o.fh, o.flags),
    Some(backing) => self.opened_passthrough(o.fh, o.flags, backing),
});
answer!(ReplyCreate, (EntryReply, Opened), Granted::created, |self, (e, o)| {
    let Attributes { ttl, attr } = &e.attributes;
    let (generation, fh) = (Generation(e.generation), o.fh);
    match &o.backing {
        None => self.created(ttl, attr, generation, fh, o.flags),
        Some(backing) => self.created_passthrough(ttl, attr, generation, fh, o.flags, backing),
    }
});
answer!(
    ReplyWrite,
    u32,
    Granted::nothing,
    |self, size| self.written(size),
    fn moved(size: &u32) -> u64 {
        (*size).into()
    },
    fn pretend(size: &mut u32, len: u64) {
        *size = u32::try_from(len).unwrap_or(u32::MAX);
    }
);
answer!(ReplyLseek, i64, |self, offset| self.offset(offset));
answer!(ReplyPoll, PollEvents, |self, events| self.poll(events));
answer!(ReplyIoctl, (i32, Vec<u8>), |self, (code, data)| self.ioctl(code, &data));
answer!(ReplyXattr, Xattr, |self, x| match x {
    Xattr::Size(size) => self.size(size),
    Xattr::Value(value) => self.data(&value),
});
answer!(
    ReplyStatfs,
    StatVfs,
    Granted::nothing,
    |self, s| self.statfs(
        s.f_blocks,
        s.f_bfree,
        s.f_bavail,
        s.f_files,
        s.f_ffree,
        u32::try_from(s.f_bsize).unwrap_or(u32::MAX),
        u32::try_from(s.f_namemax).unwrap_or(255),
        u32::try_from(s.f_frsize).unwrap_or(u32::MAX)
    ),
    fn limit(s: &mut StatVfs, space: Space) {
        let blocks = space.free / s.f_frsize.max(1);
        s.f_bfree = s.f_bfree.min(blocks);
        s.f_bavail = s.f_bavail.min(blocks);
        s.f_ffree = s.f_ffree.min(space.inodes);
        s.f_favail = s.f_favail.min(space.inodes);
    }
);

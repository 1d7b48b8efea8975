//! Requests on directories: OPENDIR, READDIR and READDIRPLUS. No locks.

use fuser::{
    FileHandle, FopenFlags, INodeNo, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyOpen,
    Request,
};

use super::SlowFs;
use super::attributes::kind;
use super::op::{Op, Operands, Target};
use super::reply::{Listing, Opened};
use crate::mirror::{Fh, Ino};
use crate::ops::Call;

impl SlowFs {
    /// Serves an OPENDIR with the flags of open(2).
    pub(super) fn serve_opendir(&self, req: &Request, ino: Ino, flags: i32, reply: ReplyOpen) {
        let op = Op::new(req, Call::Opendir, Target::Inode(ino)).opened(flags, false);
        self.serve(op, Operands::default(), reply, move |core, _, _| {
            let fh = core.tree.opendir(ino)?;
            core.begins_open(ino, fh);
            Ok(Opened { fh: FileHandle(fh.0), flags: FopenFlags::empty(), backing: None })
        });
    }

    /// Serves the RELEASEDIR of a directory that was opened with these flags.
    pub(super) fn serve_releasedir(
        &self,
        req: &Request,
        (ino, fh): (Ino, Fh),
        flags: i32,
        reply: ReplyEmpty,
    ) {
        let op = Op::new(req, Call::Releasedir, Target::Inode(ino)).by(fh);
        let op = op.opened(flags, true).must_run();
        self.serve(op, Operands::default(), reply, move |core, _, _| {
            core.forgive(fh, None, 0);
            core.tree.releasedir(fh)
        });
    }

    /// Serves a READDIR from that offset on.
    pub(super) fn serve_readdir(
        &self,
        req: &Request,
        (ino, fh): (Ino, Fh),
        offset: u64,
        reply: ReplyDirectory,
    ) {
        let op = Op::new(req, Call::Readdir, Target::Inode(ino)).by(fh);
        self.serve_filling(op, Operands::default(), reply, move |core, _, _, reply| {
            core.tree.readdir(fh, offset, &mut |entry| {
                let kind = kind(entry.kind.as_raw_mode());
                reply.add(INodeNo(entry.shown), entry.offset, kind, entry.name)
            })
        });
    }

    /// Serves a READDIRPLUS from that offset on: each entry is a lookup.
    pub(super) fn serve_readdirplus(
        &self,
        req: &Request,
        (ino, fh): (Ino, Fh),
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        let op = Op::new(req, Call::Readdir, Target::Inode(ino)).by(fh);
        let listing = Listing { reply, granted: Vec::new() };
        self.serve_filling(op, Operands::default(), listing, move |core, _, operands, listing| {
            core.tree.readdirplus(fh, offset, &mut |listed, found| {
                listing.add(&core.entry(found, operands), listed)
            })
        });
    }
}

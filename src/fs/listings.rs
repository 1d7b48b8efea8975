//! Requests on directories: OPENDIR, READDIR and READDIRPLUS. No locks.

use fuser::{
    FileHandle, FopenFlags, INodeNo, ReplyDirectory, ReplyDirectoryPlus, ReplyOpen, Request,
};

use super::SlowFs;
use super::attributes::kind;
use super::op::{Op, Operands, Target};
use super::reply::{Listing, Opened};
use crate::mirror::{Fh, Ino};
use crate::ops::Call;

impl SlowFs {
    /// Serves an OPENDIR.
    pub(super) fn serve_opendir(&self, req: &Request, ino: INodeNo, reply: ReplyOpen) {
        self.serve_inode(req, Call::Opendir, ino, reply, move |core, ino, _| {
            let fh = core.tree.opendir(ino)?;
            Ok(Opened { fh: FileHandle(fh.0), flags: FopenFlags::empty(), backing: None })
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
        let op = Op::new(req, Call::Readdir, Target::Inode(ino));
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
        let op = Op::new(req, Call::Readdir, Target::Inode(ino));
        let listing = Listing { reply, granted: Vec::new() };
        self.serve_filling(op, Operands::default(), listing, move |core, _, _, listing| {
            core.tree.readdirplus(fh, offset, &mut |listed, found| {
                listing.add(&core.entry(found), listed)
            })
        });
    }
}

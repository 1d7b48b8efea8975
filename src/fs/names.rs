//! Requests on names: LOOKUP, and those that make, remove, rename and link entries. No locks.

use std::ffi::OsStr;

use fuser::{ReplyEmpty, ReplyEntry, Request};

use super::SlowFs;
use super::op::{Args, On, Op};
use super::reply::EntryReply;
use crate::mirror::Ino;
use crate::ops::Call;

/// An entry of a directory.
pub(super) type Name<'a> = (Ino, &'a OsStr);

impl SlowFs {
    /// Serves a LOOKUP.
    pub(super) fn serve_lookup(&self, req: &Request, (dir, name): Name<'_>, reply: ReplyEntry) {
        let op = Op::new(req, Call::Lookup, On::Name(dir));
        self.serve(op, Args::name(name), reply, move |core, caller, args| {
            let entry = core.tree.lookup(dir, args.name)?;
            core.looked_up(caller.tid, entry.ino);
            Ok(core.entry(&entry))
        });
    }

    /// Serves a MKNOD with the mode, the umask and the device number.
    pub(super) fn serve_mknod(
        &self,
        req: &Request,
        (dir, name): Name<'_>,
        (mode, umask, rdev): (u32, u32, u32),
        reply: ReplyEntry,
    ) {
        let op = Op::new(req, Call::Mknod, On::Name(dir)).umask(umask);
        self.serve(op, Args::name(name), reply, move |core, caller, args| {
            Ok(core.entry(&core.tree.mknod(&caller, dir, args.name, mode, rdev)?))
        });
    }

    /// Serves a MKDIR with the mode and the umask.
    pub(super) fn serve_mkdir(
        &self,
        req: &Request,
        (dir, name): Name<'_>,
        (mode, umask): (u32, u32),
        reply: ReplyEntry,
    ) {
        let op = Op::new(req, Call::Mkdir, On::Name(dir)).umask(umask);
        self.serve(op, Args::name(name), reply, move |core, caller, args| {
            Ok(core.entry(&core.tree.mkdir(&caller, dir, args.name, mode)?))
        });
    }

    /// Serves a SYMLINK that leads to `target`.
    pub(super) fn serve_symlink(
        &self,
        req: &Request,
        (dir, name): Name<'_>,
        target: &OsStr,
        reply: ReplyEntry,
    ) {
        let op = Op::new(req, Call::Symlink, On::Name(dir));
        self.serve(op, Args::names(name, target), reply, move |core, caller, args| {
            Ok(core.entry(&core.tree.symlink(&caller, dir, args.name, args.other)?))
        });
    }

    /// Serves an UNLINK.
    pub(super) fn serve_unlink(&self, req: &Request, (dir, name): Name<'_>, reply: ReplyEmpty) {
        let op = Op::new(req, Call::Unlink, On::Name(dir));
        self.serve(op, Args::name(name), reply, move |core, _, args| {
            core.tree.unlink(dir, args.name)
        });
    }

    /// Serves a RMDIR.
    pub(super) fn serve_rmdir(&self, req: &Request, (dir, name): Name<'_>, reply: ReplyEmpty) {
        let op = Op::new(req, Call::Rmdir, On::Name(dir));
        self.serve(op, Args::name(name), reply, move |core, _, args| {
            core.tree.rmdir(dir, args.name)
        });
    }

    /// Serves a RENAME with the flags of renameat2(2).
    pub(super) fn serve_rename(
        &self,
        req: &Request,
        (from, name): Name<'_>,
        (to, new): Name<'_>,
        flags: u32,
        reply: ReplyEmpty,
    ) {
        let op =
            Op::new(req, Call::Rename, On::Name(from)).and(On::Other(to), Call::Rename.methods());
        self.serve(op, Args::names(name, new), reply, move |core, _, args| {
            core.tree.rename(from, args.name, to, args.other, flags)?;
            core.renamed([(from, args.name), (to, args.other)]);
            Ok(())
        });
    }

    /// Serves a LINK of an inode to a new name.
    pub(super) fn serve_link(
        &self,
        req: &Request,
        ino: Ino,
        (dir, name): Name<'_>,
        reply: ReplyEntry,
    ) {
        let op = Op::new(req, Call::Link, On::Name(dir)).and(On::Inode(ino), Call::Link.methods());
        self.serve(op, Args::name(name), reply, move |core, _, args| {
            let entry = core.tree.link(ino, dir, args.name)?;
            Ok(EntryReply { attributes: core.changed(&entry.attr), ..core.entry(&entry) })
        });
    }
}

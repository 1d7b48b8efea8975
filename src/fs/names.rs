//! Requests on names: LOOKUP, and those that make, remove, rename and link entries. No locks.

use std::ffi::OsStr;

use fuser::{ReplyEmpty, ReplyEntry, Request};

use super::SlowFs;
use super::op::{Op, Operands, Target};
use super::reply::EntryReply;
use super::tracked::{linked, made, moved};
use crate::mirror::Ino;
use crate::ops::Call;

/// An entry of a directory.
pub(super) type Name<'a> = (Ino, &'a OsStr);

impl SlowFs {
    /// Serves a LOOKUP.
    pub(super) fn serve_lookup(&self, req: &Request, (dir, name): Name<'_>, reply: ReplyEntry) {
        let op = Op::new(req, Call::Lookup, Target::Name(dir));
        self.serve(op, Operands::name(name), reply, move |core, caller, operands| {
            let entry = core.tree.lookup(dir, operands.name)?;
            core.looked_up(caller.tid, entry.ino);
            Ok(core.entry(&entry, operands))
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
        let op = Op::new(req, Call::Mknod, Target::Name(dir)).umask(umask);
        self.serve(op, Operands::name(name), reply, move |core, caller, operands| {
            let make = || core.tree.mknod(caller, dir, operands.name, mode, rdev);
            Ok(core.entry(&core.tracked(|| made((dir, operands.name)), make)?, operands))
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
        let op = Op::new(req, Call::Mkdir, Target::Name(dir)).umask(umask);
        self.serve(op, Operands::name(name), reply, move |core, caller, operands| {
            let make = || core.tree.mkdir(caller, dir, operands.name, mode);
            Ok(core.entry(&core.tracked(|| made((dir, operands.name)), make)?, operands))
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
        let op = Op::new(req, Call::Symlink, Target::Name(dir));
        self.serve(op, Operands::names(name, target), reply, move |core, caller, operands| {
            let make = || core.tree.symlink(caller, dir, operands.name, operands.other);
            Ok(core.entry(&core.tracked(|| made((dir, operands.name)), make)?, operands))
        });
    }

    /// Serves an UNLINK.
    pub(super) fn serve_unlink(&self, req: &Request, (dir, name): Name<'_>, reply: ReplyEmpty) {
        let op = Op::new(req, Call::Unlink, Target::Name(dir));
        self.serve(op, Operands::name(name), reply, move |core, _, operands| {
            let name = operands.name;
            core.tracked(|| moved((dir, name), None), || core.tree.unlink(dir, name))
        });
    }

    /// Serves a RMDIR.
    pub(super) fn serve_rmdir(&self, req: &Request, (dir, name): Name<'_>, reply: ReplyEmpty) {
        let op = Op::new(req, Call::Rmdir, Target::Name(dir));
        self.serve(op, Operands::name(name), reply, move |core, _, operands| {
            let name = operands.name;
            core.tracked(|| moved((dir, name), None), || core.tree.rmdir(dir, name))
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
        let op = Op::new(req, Call::Rename, Target::Name(from))
            .and(Target::Other(to), Call::Rename.methods())
            .exchanging(flags & libc::RENAME_EXCHANGE != 0);
        self.serve(op, Operands::names(name, new), reply, move |core, _, operands| {
            let (name, new) = (operands.name, operands.other);
            let rename = || core.tree.rename(from, name, to, new, flags);
            let moved = core.tracked(|| moved((from, name), Some((to, new))), rename)?;
            core.renamed(moved);
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
        let op = Op::new(req, Call::Link, Target::Inode(ino))
            .and(Target::Name(dir), Call::Link.methods());
        self.serve(op, Operands::name(name), reply, move |core, _, operands| {
            let name = operands.name;
            let link = || core.tree.link(ino, dir, name);
            let entry = core.tracked(|| linked(ino, (dir, name)), link)?;
            Ok(EntryReply { attributes: core.changed(&entry.attr), ..core.entry(&entry, operands) })
        });
    }
}

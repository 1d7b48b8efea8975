//! Requests on an inode itself: GETATTR and SETATTR, and those on extended attributes. No locks.

use std::ffi::OsStr;

use fuser::{FileHandle, ReplyAttr, ReplyEmpty, ReplyXattr, Request};

use super::SlowFs;
use super::caches::handle;
use super::op::{Op, Operands, Target};
use super::tracked::set as sets;
use crate::mirror::{Changes, Ino};
use crate::ops::{Call, MethodSet};
use crate::unsynced::About;

/// The capabilities that a program gets from its file: capabilities(7).
const CAPABILITY: &str = "security.capability";

impl SlowFs {
    /// Serves a GETATTR, through the handle if it came with one.
    pub(super) fn serve_getattr(
        &self,
        req: &Request,
        ino: Ino,
        fh: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        let mut op = Op::new(req, Call::Getattr, Target::Inode(ino));
        let fh = fh.map(handle);
        if let Some((fh, direct)) = fh {
            op = Op::new(req, Call::GetattrHandle, Target::Inode(ino)).by(fh);
            // On a cached file this request stands for the read that it precedes.
            if !direct {
                op = op.consulting(Call::GetattrHandle.methods().union(Call::Read.methods()));
            }
        }
        self.serve(op, Operands::default(), reply, move |core, _, _| {
            let attr = core.tree.getattr(ino, fh.map(|(fh, _)| fh))?;
            Ok(core.attributes(ino, &attr))
        });
    }

    /// Serves a SETATTR, through the handle if it came with one.
    pub(super) fn serve_setattr(
        &self,
        req: &Request,
        ino: Ino,
        fh: Option<FileHandle>,
        changes: Changes,
        reply: ReplyAttr,
    ) {
        let fh = fh.map(|fh| handle(fh).0);
        let (call, methods) = consulted(&changes, fh.is_some());
        let mut op = Op::new(req, call, Target::Inode(ino)).consulting(methods);
        if changes.size.is_some() {
            op = op.slow();
        }
        if let Some(fh) = fh {
            op = op.by(fh);
        }
        let told = self.core.tells_times(&op, &changes, fh.is_some());
        if told {
            op = op.consulting(MethodSet::EMPTY).opened(0, true);
        }
        self.serve(op, Operands::default(), reply, move |core, caller, operands| {
            let set = || core.tree.setattr(caller, ino, fh, &changes);
            let set = || if told { core.told_times(caller, (ino, fh), set) } else { set() };
            let attr = core.tracked(|| sets(ino, &changes), set)?;
            if let Some(size) = changes.size.filter(|_| operands.guarded) {
                core.written_over(ino, size..u64::MAX);
            }
            // Else the write(2) after each fsync(2) would ask for them.
            Ok(if told { core.attributes(ino, &attr) } else { core.changed(&attr) })
        });
    }

    /// Serves a SETXATTR with the flags of setxattr(2).
    pub(super) fn serve_setxattr(
        &self,
        req: &Request,
        ino: Ino,
        (name, value, flags): (&OsStr, &[u8], i32),
        reply: ReplyEmpty,
    ) {
        let mut op = Op::new(req, Call::Setxattr, Target::Inode(ino));
        // A write takes capabilities away: one from before this is not to do so when it is written back.
        let catches_up = name == CAPABILITY && self.core.options.writeback_cache;
        if catches_up {
            op = op.slow();
        }
        let operands = Operands { name, data: value, ..Operands::default() };
        self.serve(op, operands, reply, move |core, caller, operands| {
            let (name, value) = (operands.name, operands.data);
            if catches_up {
                core.catch_up(ino);
            }
            let set = || core.tree.setxattr(caller, ino, name, value, flags);
            core.tracked(|| About::Attribute { ino, name }, set)
        });
    }

    /// Serves a GETXATTR of so many bytes; 0 asks for the size.
    pub(super) fn serve_getxattr(
        &self,
        req: &Request,
        ino: Ino,
        (name, size): (&OsStr, u32),
        reply: ReplyXattr,
    ) {
        let mut op = Op::new(req, Call::Getxattr, Target::Inode(ino));
        // The kernel's own question before it changes a file whose attributes it just refreshed:
        // part of that write or truncation, and no getxattr(2) of anybody.
        if size == 0 && name == CAPABILITY {
            op = op.consulting(MethodSet::EMPTY);
        }
        self.serve(op, Operands::name(name), reply, move |core, _, operands| {
            core.tree.getxattr(ino, operands.name, size)
        });
    }

    /// Serves a REMOVEXATTR.
    pub(super) fn serve_removexattr(
        &self,
        req: &Request,
        ino: Ino,
        name: &OsStr,
        reply: ReplyEmpty,
    ) {
        let op = Op::new(req, Call::Removexattr, Target::Inode(ino));
        self.serve(op, Operands::name(name), reply, move |core, _, operands| {
            let name = operands.name;
            let remove = || core.tree.removexattr(ino, name);
            core.tracked(|| About::Attribute { ino, name }, remove)
        });
    }
}

/// What a SETATTR is called in the table, and the methods of all that it sets.
fn consulted(changes: &Changes, by_handle: bool) -> (Call, MethodSet) {
    let size_by = if by_handle { Call::SetattrSizeHandle } else { Call::SetattrSize };
    let sized = changes.size.is_some();
    // The kernel sends the times along with a new size; those are not utimens(2).
    let timed = !sized && (changes.atime.is_some() || changes.mtime.is_some());
    let parts = [
        (changes.mode.is_some(), Call::SetattrMode),
        (changes.uid.is_some() || changes.gid.is_some(), Call::SetattrOwner),
        (sized, size_by),
        (timed, Call::SetattrTimes),
    ];
    let set = parts.into_iter().filter(|(sets, _)| *sets).map(|(_, call)| call);
    let call = set.clone().next().unwrap_or(Call::SetattrTimes);
    (call, set.fold(MethodSet::EMPTY, |methods, call| methods.union(call.methods())))
}

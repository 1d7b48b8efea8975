//! Requests on open files: OPEN, CREATE, READ, FSYNC, LSEEK, IOCTL. Those that write are in `writes`. No
//! locks.

use std::io;

use fuser::{
    FileHandle, LockOwner, ReplyCreate, ReplyData, ReplyEmpty, ReplyIoctl, ReplyLseek, ReplyOpen,
    Request,
};

use super::SlowFs;
use super::caches::handle;
use super::names::Name;
use super::op::{Op, Operands, Target};
use super::reply::Bytes;
use super::tracked::{made, set};

use crate::mirror::{Changes, Fh, Ino};
use crate::ops::Call;
use crate::sys::ioctl;

impl SlowFs {
    /// Serves an OPEN with the flags of open(2).
    pub(super) fn serve_open(&self, req: &Request, ino: Ino, flags: i32, reply: ReplyOpen) {
        let op = Op::new(req, Call::Open, Target::Inode(ino)).opened(flags, false);
        self.serve_filling(op, Operands::default(), reply, move |core, _, _, reply| {
            let fh = core.tree.open(ino, flags)?;
            Ok(core.opened(ino, fh, flags, &|fd| reply.open_backing(fd)))
        });
    }

    /// Serves a CREATE with the mode, the umask and the flags of open(2).
    pub(super) fn serve_create(
        &self,
        req: &Request,
        (dir, name): Name<'_>,
        (mode, umask, flags): (u32, u32, i32),
        reply: ReplyCreate,
    ) {
        let op = Op::new(req, Call::Create, Target::Name(dir)).umask(umask).opened(flags, false);
        self.serve_filling(
            op,
            Operands::name(name),
            reply,
            move |core, caller, operands, reply| {
                let create = || core.tree.create(caller, dir, operands.name, mode, flags);
                let (entry, fh) = core.tracked(|| made((dir, operands.name)), create)?;
                core.looked_up(caller.tid, entry.ino);
                let register = |fd| reply.open_backing(fd);
                let opened = core.opened(entry.ino, fh, flags, &register);
                Ok((core.entry(&entry, operands), opened))
            },
        );
    }

    /// Serves a READ of so many bytes, by a file that was opened with these flags. Past the page cache
    /// a read(2) comes with the owner of its locks, a page of a mapping without.
    pub(super) fn serve_read(
        &self,
        req: &Request,
        (ino, fh): (Ino, FileHandle),
        (offset, size): (u64, u32),
        (flags, owner): (i32, Option<LockOwner>),
        reply: ReplyData,
    ) {
        let (fh, direct) = handle(fh);
        let paged = !direct || owner.is_none();
        let op = Op::new(req, Call::Read, Target::Inode(ino));
        let mut op = op.bytes(fh, offset, size.into()).opened(flags, false).filling(paged);
        if direct && self.core.options.writeback_cache {
            op = op.slow();
        }
        self.serve(op, Operands::default(), reply, move |core, _, _| {
            if paged {
                core.pages_in(fh);
            }
            let mut bytes = Bytes::spare();
            match paged {
                true => core.tree.read(fh, offset, size, &mut bytes.0)?,
                false => core.read_past_cache((ino, fh), (offset, size), &mut bytes.0)?,
            }
            Ok(bytes)
        });
    }

    /// Serves an FSYNC or FSYNCDIR, whichever the call is.
    pub(super) fn serve_sync(
        &self,
        (req, call): (&Request, Call),
        (ino, fh): (Ino, Fh),
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        let op = Op::new(req, call, Target::Inode(ino)).by(fh).slow();
        self.serve(op, Operands::default(), reply, move |core, caller, operands| {
            core.sync(caller.tid, (fh, datasync), operands)
        });
    }

    /// Serves an LSEEK, which the kernel sends for data and holes.
    pub(super) fn serve_lseek(
        &self,
        req: &Request,
        (ino, fh): (Ino, Fh),
        (offset, whence): (i64, i32),
        reply: ReplyLseek,
    ) {
        let op = Op::new(req, Call::Lseek, Target::Inode(ino)).by(fh).slow();
        self.serve(op, Operands::default(), reply, move |core, _, _| {
            let at = core.seek(ino, fh, offset, whence)?;
            i64::try_from(at).map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))
        });
    }

    /// Serves the FLUSH of a close(2).
    pub(super) fn serve_flush(&self, req: &Request, (ino, fh): (Ino, Fh), reply: ReplyEmpty) {
        let op = Op::new(req, Call::Flush, Target::Inode(ino)).by(fh);
        self.serve(op, Operands::default(), reply, move |core, _, _| core.tree.flush(fh));
    }

    /// Serves the RELEASE of a file that was opened with these flags.
    pub(super) fn serve_release(
        &self,
        req: &Request,
        (ino, fh): (Ino, FileHandle),
        flags: i32,
        reply: ReplyEmpty,
    ) {
        let op = Op::new(req, Call::Release, Target::Inode(ino)).by(handle(fh).0);
        let op = op.opened(flags, true).must_run();
        self.serve(op, Operands::default(), reply, move |core, _, _| core.closed(fh));
    }

    /// Serves an IOCTL on a file or a directory, with as much of an answer as it has room for.
    pub(super) fn serve_ioctl(
        &self,
        req: &Request,
        (ino, fh): (Ino, Fh),
        (cmd, data, room): (u32, &[u8], u32),
        reply: ReplyIoctl,
    ) {
        let op = Op::new(req, Call::Ioctl, Target::Inode(ino)).by(fh);
        self.serve(op, Operands::data(data), reply, move |core, _, operands| {
            let run = || core.tree.ioctl(fh, cmd, operands.data, room);
            if !ioctl::changes_inode(cmd) {
                return Ok((0, run()?));
            }
            let answer = core.tracked(|| set(ino, &Changes::default()), run)?;
            core.changed_unseen(ino);
            Ok((0, answer))
        });
    }
}

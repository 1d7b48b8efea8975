//! The door: every request as fuser hands it over, in this room's types from here on. What it is in the
//! table, which path it is about and what it does is said here where that is one line; else in `names`,
//! `inodes`, `files`, `writes` and `listings`.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, FileHandle, Filesystem, INodeNo, IoctlFlags,
    KernelConfig, LockOwner, OpenFlags, PollEvents, PollFlags, PollNotifier, RenameFlags,
    ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry,
    ReplyIoctl, ReplyLseek, ReplyOpen, ReplyPoll, ReplyStatfs, ReplyWrite, ReplyXattr, Request,
    TimeOrNow, WriteFlags,
};

use super::SlowFs;
use super::attributes::time_change;
use super::caches::handle;
use super::op::{Op, Operands, Target};
use super::reply::{Bytes, READY};
use super::writes::{Side, Write};
use crate::mirror::{Changes, Ino};
use crate::ops::Call;

impl Filesystem for SlowFs {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let kernel =
            super::init::negotiate(config, &self.core.options, self.core.tree.is_stacked());
        // There is one INIT in the life of a connection.
        let _ = self.core.kernel.set(kernel);
        Ok(())
    }

    fn lookup(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.serve_lookup(req, (Ino(parent.0), name), reply);
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        self.core.run_forget(Ino(ino.0), nlookup);
    }

    fn getattr(&self, req: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        self.serve_getattr(req, Ino(ino.0), fh, reply);
    }

    fn setattr(
        &self,
        req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let (atime, mtime, told) =
            (atime.map(time_change), mtime.map(time_change), ctime.is_some());
        let changes = Changes { mode, uid, gid, size, atime, mtime, told };
        self.serve_setattr(req, Ino(ino.0), fh, changes, reply);
    }

    fn readlink(&self, req: &Request, ino: INodeNo, reply: ReplyData) {
        self.serve_inode(req, Call::Readlink, ino, reply, move |core, ino, _| {
            core.tree.readlink(ino).map(|target| Bytes(target.as_slice().into()))
        });
    }

    fn mknod(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        self.serve_mknod(req, (Ino(parent.0), name), (mode, umask, rdev), reply);
    }

    fn mkdir(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        self.serve_mkdir(req, (Ino(parent.0), name), (mode, umask), reply);
    }

    fn unlink(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.serve_unlink(req, (Ino(parent.0), name), reply);
    }

    fn rmdir(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.serve_rmdir(req, (Ino(parent.0), name), reply);
    }

    fn symlink(
        &self,
        req: &Request,
        parent: INodeNo,
        link_name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        self.serve_symlink(req, (Ino(parent.0), link_name), target.as_os_str(), reply);
    }

    fn rename(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (from, to) = ((Ino(parent.0), name), (Ino(newparent.0), newname));
        self.serve_rename(req, from, to, flags.bits(), reply);
    }

    fn link(
        &self,
        req: &Request,
        ino: INodeNo,
        newparent: INodeNo,
        newname: &OsStr,
        reply: ReplyEntry,
    ) {
        self.serve_link(req, Ino(ino.0), (Ino(newparent.0), newname), reply);
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        self.serve_open(req, Ino(ino.0), flags.0, reply);
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        self.serve_create(req, (Ino(parent.0), name), (mode, umask, flags), reply);
    }

    fn read(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        flags: OpenFlags,
        lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let bytes = (offset, size);
        self.serve_read(req, (Ino(ino.0), fh), bytes, (flags.0, lock_owner), reply);
    }

    fn write(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let kill = write_flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID);
        let stored = write_flags.contains(WriteFlags::FUSE_WRITE_CACHE);
        let (fh, direct) = handle(fh);
        let write = Write { ino: Ino(ino.0), fh, direct, offset, kill, flags, stored };
        self.serve_write(req, write, data, reply);
    }

    fn flush(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        self.serve_flush(req, (Ino(ino.0), handle(fh).0), reply);
    }

    fn release(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.serve_release(req, (Ino(ino.0), fh), flags.0, reply);
    }

    fn fsync(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        let call = if datasync { Call::Fdatasync } else { Call::Fsync };
        self.serve_sync((req, call), (Ino(ino.0), handle(fh).0), datasync, reply);
    }

    fn opendir(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        self.serve_opendir(req, Ino(ino.0), flags.0, reply);
    }

    fn readdir(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        reply: ReplyDirectory,
    ) {
        self.serve_readdir(req, (Ino(ino.0), handle(fh).0), offset, reply);
    }

    fn readdirplus(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        self.serve_readdirplus(req, (Ino(ino.0), handle(fh).0), offset, reply);
    }

    fn releasedir(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.serve_releasedir(req, (Ino(ino.0), handle(fh).0), flags.0, reply);
    }

    fn fsyncdir(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        self.serve_sync((req, Call::Fsyncdir), (Ino(ino.0), handle(fh).0), datasync, reply);
    }

    fn statfs(&self, req: &Request, ino: INodeNo, reply: ReplyStatfs) {
        self.serve_inode(req, Call::Statfs, ino, reply, move |core, ino, _| core.tree.statfs(ino));
    }

    fn setxattr(
        &self,
        req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        self.serve_setxattr(req, Ino(ino.0), (name, value, flags), reply);
    }

    fn getxattr(&self, req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        self.serve_getxattr(req, Ino(ino.0), (name, size), reply);
    }

    fn listxattr(&self, req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        self.serve_inode(req, Call::Listxattr, ino, reply, move |core, ino, caller| {
            core.tree.listxattr(caller, ino, size)
        });
    }

    fn removexattr(&self, req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.serve_removexattr(req, Ino(ino.0), name, reply);
    }

    fn access(&self, req: &Request, ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        self.serve_inode(req, Call::Access, ino, reply, move |core, ino, caller| {
            core.tree.access(caller, ino, mask.bits().cast_unsigned())
        });
    }

    fn ioctl(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _flags: IoctlFlags,
        cmd: u32,
        in_data: &[u8],
        out_size: u32,
        reply: ReplyIoctl,
    ) {
        self.serve_ioctl(req, (Ino(ino.0), handle(fh).0), (cmd, in_data, out_size), reply);
    }

    fn poll(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _ph: PollNotifier,
        events: PollEvents,
        _flags: PollFlags,
        reply: ReplyPoll,
    ) {
        let op = Op::new(req, Call::Poll, Target::Inode(Ino(ino.0))).by(handle(fh).0);
        self.serve(op, Operands::default(), reply, move |_, _, _| Ok(events & READY));
    }

    fn fallocate(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        self.serve_fallocate(req, (Ino(ino.0), handle(fh).0), (mode, offset, length), reply);
    }

    fn lseek(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        self.serve_lseek(req, (Ino(ino.0), handle(fh).0), (offset, whence), reply);
    }

    fn copy_file_range(
        &self,
        req: &Request,
        ino_in: INodeNo,
        fh_in: FileHandle,
        offset_in: u64,
        ino_out: INodeNo,
        fh_out: FileHandle,
        offset_out: u64,
        len: u64,
        flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let from = Side { ino: Ino(ino_in.0), fh: handle(fh_in).0, offset: offset_in };
        let to = Side { ino: Ino(ino_out.0), fh: handle(fh_out).0, offset: offset_out };
        self.serve_copy(req, from, to, (len, flags.bits()), reply);
    }
}

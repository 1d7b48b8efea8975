//! Every request the kernel sends, decoded: which row of the table, which path, which operation.

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
use super::attributes::{consulted, kind, time_change};
use super::caches::handle;
use super::op::{Args, On, Op};
use super::reply::{Bytes, EntryReply, Listing, Opened, READY};
use super::writes::{Range, Write};
use crate::mirror::{Changes, Ino};
use crate::ops::{Call, MethodSet};
use crate::sys::ioctl;

impl Filesystem for SlowFs {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let kernel =
            super::init::negotiate(config, &self.core.options, self.core.tree.is_stacked());
        // There is one INIT in the life of a connection.
        let _ = self.core.kernel.set(kernel);
        Ok(())
    }

    fn lookup(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let parent = Ino(parent.0);
        let op = Op::new(req, Call::Lookup, On::Name(parent));
        self.serve(op, Args::name(name), reply, move |core, caller, args| {
            let entry = core.tree.lookup(parent, args.name)?;
            core.looked_up(caller.tid, entry.ino);
            Ok(core.entry(&entry))
        });
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        self.core.run_forget(Ino(ino.0), nlookup);
    }

    fn getattr(&self, req: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        let ino = Ino(ino.0);
        let mut op = Op::new(req, Call::Getattr, On::Inode(ino));
        let fh = fh.map(handle);
        if let Some((_, direct)) = fh {
            op = Op::new(req, Call::GetattrHandle, On::Inode(ino));
            // On a cached file this request stands for the read that it precedes.
            if !direct {
                op = op.consulting(Call::GetattrHandle.methods().union(Call::Read.methods()));
            }
        }
        self.serve(op, Args::default(), reply, move |core, _, _| {
            let attr = core.tree.getattr(ino, fh.map(|(fh, _)| fh))?;
            Ok(core.attributes(ino, &attr))
        });
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
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let ino = Ino(ino.0);
        let changes = Changes {
            mode,
            uid,
            gid,
            size,
            atime: atime.map(time_change),
            mtime: mtime.map(time_change),
        };
        let fh = fh.map(|fh| handle(fh).0);
        let (request, methods) = consulted(&changes, fh.is_some());
        let mut op = Op::new(req, request, On::Inode(ino)).consulting(methods);
        if size.is_some() {
            op = op.slow();
        }
        self.serve(op, Args::default(), reply, move |core, caller, _| {
            Ok(core.changed(&core.tree.setattr(&caller, ino, fh, &changes)?))
        });
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
        let parent = Ino(parent.0);
        let op = Op::new(req, Call::Mknod, On::Name(parent)).umask(umask);
        self.serve(op, Args::name(name), reply, move |core, caller, args| {
            Ok(core.entry(&core.tree.mknod(&caller, parent, args.name, mode, rdev)?))
        });
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
        let parent = Ino(parent.0);
        let op = Op::new(req, Call::Mkdir, On::Name(parent)).umask(umask);
        self.serve(op, Args::name(name), reply, move |core, caller, args| {
            Ok(core.entry(&core.tree.mkdir(&caller, parent, args.name, mode)?))
        });
    }

    fn unlink(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let parent = Ino(parent.0);
        let op = Op::new(req, Call::Unlink, On::Name(parent));
        self.serve(op, Args::name(name), reply, move |core, _, args| {
            core.tree.unlink(parent, args.name)
        });
    }

    fn rmdir(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let parent = Ino(parent.0);
        let op = Op::new(req, Call::Rmdir, On::Name(parent));
        self.serve(op, Args::name(name), reply, move |core, _, args| {
            core.tree.rmdir(parent, args.name)
        });
    }

    fn symlink(
        &self,
        req: &Request,
        parent: INodeNo,
        link_name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let parent = Ino(parent.0);
        let op = Op::new(req, Call::Symlink, On::Name(parent));
        let args = Args::names(link_name, target.as_os_str());
        self.serve(op, args, reply, move |core, caller, args| {
            Ok(core.entry(&core.tree.symlink(&caller, parent, args.name, args.other)?))
        });
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
        let parent = Ino(parent.0);
        let newparent = Ino(newparent.0);
        let op = Op::new(req, Call::Rename, On::Name(parent))
            .and(On::Other(newparent), Call::Rename.methods());
        let args = Args::names(name, newname);
        self.serve(op, args, reply, move |core, _, args| {
            let flags = flags.bits();
            core.tree.rename(parent, args.name, newparent, args.other, flags)?;
            core.renamed([(parent, args.name), (newparent, args.other)]);
            Ok(())
        });
    }

    fn link(
        &self,
        req: &Request,
        ino: INodeNo,
        newparent: INodeNo,
        newname: &OsStr,
        reply: ReplyEntry,
    ) {
        let ino = Ino(ino.0);
        let newparent = Ino(newparent.0);
        let op =
            Op::new(req, Call::Link, On::Name(newparent)).and(On::Inode(ino), Call::Link.methods());
        self.serve(op, Args::name(newname), reply, move |core, _, args| {
            let entry = core.tree.link(ino, newparent, args.name)?;
            Ok(EntryReply { attributes: core.changed(&entry.attr), ..core.entry(&entry) })
        });
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let ino = Ino(ino.0);
        let op = Op::new(req, Call::Open, On::Inode(ino));
        self.serve_filling(op, Args::default(), reply, move |core, _, _, reply| {
            let fh = core.tree.open(ino, flags.0)?;
            Ok(core.opened(ino, fh, flags.0, &|fd| reply.open_backing(fd)))
        });
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
        let parent = Ino(parent.0);
        let op = Op::new(req, Call::Create, On::Name(parent)).umask(umask);
        self.serve_filling(op, Args::name(name), reply, move |core, caller, args, reply| {
            let (entry, fh) = core.tree.create(&caller, parent, args.name, mode, flags)?;
            core.looked_up(caller.tid, entry.ino);
            let register = |fd| reply.open_backing(fd);
            let opened = core.opened(entry.ino, fh, flags, &register);
            Ok((core.entry(&entry), opened))
        });
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
        let (fh, direct) = handle(fh);
        // Past the page cache a read(2) comes with the owner of its locks, a page of a mapping without.
        let paged = !direct || lock_owner.is_none();
        let op = Op::new(req, Call::Read, On::Inode(Ino(ino.0)));
        let op = op.bytes(fh, offset, size.into()).opened(flags.0, false).filling(paged);
        self.serve(op, Args::default(), reply, move |core, _, _| {
            if paged {
                core.pages_in(fh);
            }
            let mut bytes = Bytes::spare();
            core.tree.read(fh, offset, size, &mut bytes.0)?;
            Ok(bytes)
        });
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
        self.serve_inode(req, Call::Flush, ino, reply, move |core, _, _| {
            core.tree.flush(handle(fh).0)
        });
    }

    fn release(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let op = Op::new(req, Call::Release, On::Inode(Ino(ino.0)));
        let op = op.by(handle(fh).0).opened(0, true).must_run();
        self.serve(op, Args::default(), reply, move |core, _, _| core.closed(fh));
    }

    fn fsync(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        let request = if datasync { Call::Fdatasync } else { Call::Fsync };
        let op = Op::new(req, request, On::Inode(Ino(ino.0))).by(handle(fh).0).slow();
        self.serve(op, Args::default(), reply, move |core, _, _| {
            core.tree.fsync(handle(fh).0, datasync)
        });
    }

    fn opendir(&self, req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        self.serve_inode(req, Call::Opendir, ino, reply, move |core, ino, _| {
            let fh = core.tree.opendir(ino)?;
            Ok(Opened { fh: FileHandle(fh.0), flags: fuser::FopenFlags::empty(), backing: None })
        });
    }

    fn readdir(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        reply: ReplyDirectory,
    ) {
        let op = Op::new(req, Call::Readdir, On::Inode(Ino(ino.0)));
        self.serve_filling(op, Args::default(), reply, move |core, _, _, reply| {
            core.tree.readdir(handle(fh).0, offset, &mut |entry| {
                reply.add(
                    INodeNo(entry.shown),
                    entry.offset,
                    kind(entry.kind.as_raw_mode()),
                    entry.name,
                )
            })
        });
    }

    fn readdirplus(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        let op = Op::new(req, Call::Readdir, On::Inode(Ino(ino.0)));
        let listing = Listing { reply, granted: Vec::new() };
        self.serve_filling(op, Args::default(), listing, move |core, _, _, listing| {
            core.tree.readdirplus(handle(fh).0, offset, &mut |listed, found| {
                listing.add(&core.entry(found), listed)
            })
        });
    }

    fn releasedir(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        let op = Op::new(req, Call::Releasedir, On::Inode(Ino(ino.0))).opened(0, true).must_run();
        self.serve(op, Args::default(), reply, move |core, _, _| {
            core.tree.releasedir(handle(fh).0)
        });
    }

    fn fsyncdir(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        let op = Op::new(req, Call::Fsyncdir, On::Inode(Ino(ino.0))).slow();
        self.serve(op, Args::default(), reply, move |core, _, _| {
            core.tree.fsyncdir(handle(fh).0, datasync)
        });
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
        let ino = Ino(ino.0);
        let op = Op::new(req, Call::Setxattr, On::Inode(ino));
        let args = Args { name, data: value, ..Args::default() };
        self.serve(op, args, reply, move |core, caller, args| {
            core.tree.setxattr(&caller, ino, args.name, args.data, flags)
        });
    }

    fn getxattr(&self, req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let ino = Ino(ino.0);
        let mut op = Op::new(req, Call::Getxattr, On::Inode(ino));
        // The kernel's own question before it changes a file whose attributes it just refreshed:
        // part of that write or truncation, and no getxattr(2) of anybody.
        if size == 0 && name == "security.capability" {
            op = op.consulting(MethodSet::EMPTY);
        }
        self.serve(op, Args::name(name), reply, move |core, _, args| {
            core.tree.getxattr(ino, args.name, size)
        });
    }

    fn listxattr(&self, req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        self.serve_inode(req, Call::Listxattr, ino, reply, move |core, ino, caller| {
            core.tree.listxattr(&caller, ino, size)
        });
    }

    fn removexattr(&self, req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let ino = Ino(ino.0);
        let op = Op::new(req, Call::Removexattr, On::Inode(ino));
        self.serve(op, Args::name(name), reply, move |core, _, args| {
            core.tree.removexattr(ino, args.name)
        });
    }

    fn access(&self, req: &Request, ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        self.serve_inode(req, Call::Access, ino, reply, move |core, ino, caller| {
            core.tree.access(&caller, ino, mask.bits().cast_unsigned())
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
        let ino = Ino(ino.0);
        let op = Op::new(req, Call::Ioctl, On::Inode(ino));
        self.serve(op, Args::data(in_data), reply, move |core, _, args| {
            let answer = core.tree.ioctl(handle(fh).0, cmd, args.data, out_size)?;
            if ioctl::changes_inode(cmd) {
                core.changed_unseen(ino);
            }
            Ok((0, answer))
        });
    }

    fn poll(
        &self,
        req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _ph: PollNotifier,
        events: PollEvents,
        _flags: PollFlags,
        reply: ReplyPoll,
    ) {
        self.serve_inode(req, Call::Poll, ino, reply, move |_, _, _| Ok(events & READY));
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
        let op = Op::new(req, Call::Fallocate, On::Inode(Ino(ino.0))).slow();
        let op = op.bytes(handle(fh).0, offset, length);
        self.serve(op, Args::default(), reply, move |core, caller, _| {
            core.tree.fallocate(&caller, handle(fh).0, mode, offset, length)
        });
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
        let ino = Ino(ino.0);
        let op = Op::new(req, Call::Lseek, On::Inode(ino)).slow();
        self.serve(op, Args::default(), reply, move |core, _, _| {
            let at = core.seek(ino, handle(fh).0, offset, whence)?;
            i64::try_from(at).map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))
        });
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
        let from = Range { ino: Ino(ino_in.0), fh: handle(fh_in).0, offset: offset_in };
        let to = Range { ino: Ino(ino_out.0), fh: handle(fh_out).0, offset: offset_out };
        self.serve_copy(req, from, to, (len, flags.bits()), reply);
    }
}

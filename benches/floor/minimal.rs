//! The least that mirrors a directory on the library that slowfs uses: a map of paths, and one path
//! call a request. No faults, no races won, no owners. What it takes is the floor of the transport.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, KernelConfig,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, ReplyXattr, Request,
    TimeOrNow, WriteFlags,
};
use slowfs::fs::{FsOptions, negotiate};

use crate::nodes::{Minimal, Open};

/// As slowfs trusts names and attributes.
const TTL: Duration = Duration::from_secs(1);

fn errno(error: io::Error) -> Errno {
    Errno::from(error)
}

/// Replies with what came out, the value by the reply's own method.
macro_rules! answer {
    ($reply:ident, $done:expr, |$value:pat_param| $ok:expr) => {
        match $done {
            Ok($value) => $ok,
            Err(error) => $reply.error(errno(error)),
        }
    };
}

impl Filesystem for Minimal {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        negotiate(config, &FsOptions::default(), false);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.child(parent, name).and_then(|path| self.find(path));
        answer!(reply, found, |attr| reply.entry(&TTL, &attr, Generation(0)));
    }

    fn forget(&self, _: &Request, ino: INodeNo, lookups: u64) {
        self.forgotten(ino, lookups);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        answer!(reply, self.stat(ino, fh), |attr| reply.attr(&TTL, &attr));
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let truncated = match (size, fh) {
            (Some(size), Some(fh)) => self.with_file(fh, |file| file.set_len(size)),
            (Some(size), None) => self
                .path(ino)
                .and_then(|path| File::options().write(true).open(path)?.set_len(size)),
            (None, _) => Ok(()),
        };
        let changed = truncated.and_then(|()| self.stat(ino, fh));
        answer!(reply, changed, |attr| reply.attr(&TTL, &attr));
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let made = self.child(parent, name).and_then(|path| {
            fs::create_dir(&path)?;
            self.find(path)
        });
        answer!(reply, made, |attr| reply.entry(&TTL, &attr, Generation(0)));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, self.child(parent, name).and_then(fs::remove_file), |()| reply.ok());
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, self.child(parent, name).and_then(fs::remove_dir), |()| reply.ok());
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let from = self.child(parent, name);
        let to = self.child(newparent, newname);
        let renamed = from.and_then(|from| self.renamed(from, to?));
        answer!(reply, renamed, |()| reply.ok());
    }

    fn open(&self, _: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let opened = self.path(ino).and_then(|path| {
            let writes = flags.0 & libc::O_ACCMODE != libc::O_RDONLY;
            let reads = flags.0 & libc::O_ACCMODE != libc::O_WRONLY;
            File::options().read(reads).write(writes).open(path)
        });
        let opened = opened.map(|file| self.hand_out(Open::File(file)));
        answer!(reply, opened, |fh| reply.opened(fh, FopenFlags::empty()));
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self.child(parent, name).and_then(|path| {
            let reads = flags & libc::O_ACCMODE != libc::O_WRONLY;
            let mut options = File::options();
            options.read(reads).write(true).create_new(true).mode(mode);
            let file = options.open(&path)?;
            let attr = self.enter(path, &file.metadata()?);
            Ok((attr, self.hand_out(Open::File(file))))
        });
        answer!(reply, made, |(attr, fh)| {
            reply.created(&TTL, &attr, Generation(0), fh, FopenFlags::empty());
        });
    }

    fn read(
        &self,
        _: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut bytes = Vec::with_capacity(size as usize);
        let read = self.with_file(fh, |file| {
            Ok(rustix::io::pread(file, rustix::buffer::spare_capacity(&mut bytes), offset)?)
        });
        answer!(reply, read, |_| reply.data(&bytes));
    }

    fn write(
        &self,
        _: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.with_file(fh, |file| file.write_at(data, offset));
        answer!(reply, written, |size| reply.written(size as u32));
    }

    fn flush(
        &self,
        _: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.close(fh);
        reply.ok();
    }

    fn fsync(&self, _: &Request, _ino: INodeNo, fh: FileHandle, datasync: bool, reply: ReplyEmpty) {
        let sync = if datasync { File::sync_data } else { File::sync_all };
        answer!(reply, self.with_file(fh, sync), |()| reply.ok());
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let listed = self.list(ino).map(|listed| self.hand_out(listed));
        answer!(reply, listed, |fh| reply.opened(fh, FopenFlags::empty()));
    }

    fn readdir(
        &self,
        _: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let open = self.opened(fh);
        let Some(Open::Directory(_, entries)) = open.as_deref() else {
            return reply.error(Errno::EBADF);
        };
        for (n, (ino, kind, name)) in (1..).zip(entries).skip(offset as usize) {
            if reply.add(INodeNo(*ino), n, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn readdirplus(
        &self,
        _: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let open = self.opened(fh);
        let Some(Open::Directory(path, entries)) = open.as_deref() else {
            return reply.error(Errno::EBADF);
        };
        for (n, (_, _, name)) in (1..).zip(entries).skip(offset as usize) {
            let Ok(attr) = self.find(path.join(&**name)) else { continue };
            if reply.add(attr.ino, n, name, &TTL, &attr, Generation(0)) {
                self.forgotten(attr.ino, 1);
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.close(fh);
        reply.ok();
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let mut value = Vec::with_capacity(size as usize);
        let asked = self.path(ino).and_then(|path| {
            Ok(rustix::fs::lgetxattr(&*path, name, rustix::buffer::spare_capacity(&mut value))?)
        });
        answer!(reply, asked, |length| match size {
            0 => reply.size(length as u32),
            _ => reply.data(&value),
        });
    }
}

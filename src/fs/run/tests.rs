//! What faults plan for an operation, and learn of it, on a real directory without FUSE.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use fuser::{OpenFlags, ReplyCreate, ReplyData, ReplyEmpty, ReplyStatfs, ReplyWrite};
use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags};

use super::*;
use crate::fault::injections::Wrong;
use crate::fault::kinds::sketches::{State, sketch, sketch_of};
use crate::fault::plan::{Edit, Space};
use crate::fault::words::{Args as Values, Value};
use crate::fault::{DelayLine, Fault, FaultTable, FaultWords, Placement};
use crate::fs::notices::Notices;
use crate::fs::op::Target;
use crate::fs::reply::Bytes;
use crate::fs::reply::Granted;
use crate::fs::writes::Write;
use crate::fs::{FsOptions, SlowFs, Tree};
use crate::kept::Keep;
use crate::mirror::Fh;
use crate::mirror::Ino;
use crate::ops::{Call, MethodSet};

const ROOT: Ino = Ino(1);
const CALLER: Caller = Caller { uid: 0, gid: 0, tid: 0, process: None, umask: 0 };
const BLOCK: u64 = 4096;

/// The answer as the kernel would have it, without a kernel.
struct Told<R: Answer> {
    tell: Sender<Result<R::Value, i32>>,
    grants: fn(&R::Value) -> Granted,
    of: PhantomData<fn(R)>,
}

impl<R: Answer> Answer for Told<R> {
    type Value = R::Value;

    fn moved(value: &R::Value) -> u64 {
        R::moved(value)
    }

    fn pretend(value: &mut R::Value, len: u64) {
        R::pretend(value, len);
    }

    fn edit(value: &mut R::Value, edits: &[Edit]) -> Vec<Wrong> {
        R::edit(value, edits)
    }

    fn cut(value: &mut R::Value, most: u64) {
        R::cut(value, most);
    }

    fn limit(value: &mut R::Value, space: Space) {
        R::limit(value, space);
    }

    fn ok(self, value: R::Value) {
        self.tell.send(Ok(value)).unwrap();
    }

    fn err(self, errno: fuser::Errno) {
        self.tell.send(Err(errno.code())).unwrap();
    }

    fn granted(&mut self, value: Option<&R::Value>) -> Granted {
        value.map_or_else(Granted::default, self.grants)
    }
}

impl SlowFs {
    /// One of that directory that nothing is mounted on, and its faults.
    pub(in crate::fs) fn of_directory(dir: &Path) -> (SlowFs, Arc<FaultTable>) {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(dir, flags, Mode::empty()).unwrap();
        let tree = Tree::new(root, dir).unwrap();
        let line = DelayLine::new().unwrap();
        let table = FaultTable::new(Arc::clone(&line), Some(1));
        let keep = Arc::new(Keep::in_memory_only());
        let fs = SlowFs::new((tree, None), Arc::clone(&table), line, keep, FsOptions::default());
        (fs, table)
    }
}

/// A directory, behind a filesystem that nothing is mounted on.
struct Room {
    fs: SlowFs,
    table: Arc<FaultTable>,
    dir: tempfile::TempDir,
}

impl Room {
    fn new() -> Room {
        let dir = tempfile::tempdir().unwrap();
        let (fs, table) = SlowFs::of_directory(dir.path());
        Room { fs, table, dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("f")
    }

    fn stand(&self, (fault, state): (Fault, Arc<Mutex<State>>)) -> Arc<Mutex<State>> {
        self.table.put(fault, Placement::Add).unwrap();
        state
    }

    /// A file of these bytes, known to the kernel and open.
    fn open(&self, bytes: &[u8], flags: i32) -> (Ino, Fh) {
        fs::write(self.path(), bytes).unwrap();
        let tree = &self.fs.core.tree;
        let ino = tree.lookup(ROOT, OsStr::new("f")).unwrap().ino;
        (ino, tree.open(ino, flags).unwrap())
    }

    fn serve<R: Answer, F: Work<Told<R>>>(
        &self,
        op: Op,
        operands: Operands<'_>,
        grants: fn(&R::Value) -> Granted,
        run: F,
    ) -> Result<R::Value, i32> {
        let (tell, told) = channel();
        self.fs.serve_filling(op, operands, Told::<R> { tell, grants, of: PhantomData }, run);
        told.recv_timeout(Duration::from_secs(10)).unwrap()
    }

    fn write(&self, (ino, fh): (Ino, Fh), offset: u64, data: &[u8]) -> Result<u32, i32> {
        let op = ask(Call::Write, Target::Inode(ino)).bytes(fh, offset, data.len() as u64);
        let (direct, kill, stored, flags) = (true, false, false, OpenFlags(0));
        let write = Write { ino, fh, direct, offset, kill, flags, stored };
        self.serve::<ReplyWrite, _>(
            op,
            Operands::data(data),
            nothing,
            move |core, caller, operands, _| {
                core.write(&write, false, caller, operands).map(|w| u32::try_from(w.bytes).unwrap())
            },
        )
    }

    fn read(&self, (ino, fh): (Ino, Fh), offset: u64, len: u32) -> Result<Vec<u8>, i32> {
        let op = ask(Call::Read, Target::Inode(ino)).bytes(fh, offset, len.into());
        let read =
            self.serve::<ReplyData, _>(op, Operands::default(), nothing, move |core, _, _, _| {
                let mut bytes = Bytes::spare();
                core.tree.read(fh, offset, len, &mut bytes.0).map(|()| bytes)
            });
        read.map(|bytes| bytes.0.to_vec())
    }

    fn release(&self, (ino, fh): (Ino, Fh)) -> Result<(), i32> {
        let op = ask(Call::Release, Target::Inode(ino)).by(fh).must_run();
        let run = move |core: &Core, _: &_, _: &Operands<'_>, _: &mut _| core.tree.release(fh);
        self.serve::<ReplyEmpty, _>(op, Operands::default(), nothing, run)
    }

    fn create(&self) -> Result<(Ino, Fh), i32> {
        let op = ask(Call::Create, Target::Name(ROOT));
        let operands = Operands::name(OsStr::new("f"));
        let created = self.serve::<ReplyCreate, _>(
            op,
            operands,
            Granted::created,
            |core, caller, operands, _| {
                let flags = libc::O_RDWR;
                let (entry, fh) = core.tree.create(caller, ROOT, operands.name, 0o600, flags)?;
                let opened = core.opened(entry.ino, fh, flags, &|_| unreachable!("by passthrough"));
                Ok((core.entry(&entry, operands), opened))
            },
        );
        created.map(|(entry, opened)| {
            (Ino(entry.attributes.attr.ino.0), crate::fs::caches::handle(opened.fh).0)
        })
    }

    fn unlink(&self) -> Result<(), i32> {
        let op = ask(Call::Unlink, Target::Name(ROOT));
        let operands = Operands::name(OsStr::new("f"));
        let run = |core: &Core, _: &_, operands: &Operands<'_>, _: &mut _| {
            core.tree.unlink(ROOT, operands.name)
        };
        self.serve::<ReplyEmpty, _>(op, operands, nothing, run)
    }
}

fn nothing<T>(_: &T) -> Granted {
    Granted::default()
}

fn ask(call: Call, on: Target) -> Op {
    Op::asked(1, CALLER, call, on)
}

#[test]
fn edits_change_what_is_written_and_what_is_read() {
    let room = Room::new();
    let file = room.open(b"abc", libc::O_RDWR);
    let modified = || fs::metadata(room.path()).unwrap().modified().unwrap();
    // Later than what the write itself makes of it.
    let before = modified() + Duration::from_secs(3600);
    fs::File::open(room.path()).unwrap().set_modified(before).unwrap();
    room.stand(sketch("corrupt", Call::Write.methods()));
    assert_eq!(room.write(file, 1, b"XY"), Ok(2));
    assert_eq!(fs::read(room.path()).unwrap(), b"a\0Y");
    // The kernel has other bytes in its cache, and drops them.
    assert!(modified() > before);
    room.table.clear_all();
    room.stand(sketch("corrupt", Call::Read.methods()));
    assert_eq!(room.read(file, 0, 3).unwrap(), b"`\0Y");
    assert_eq!(fs::read(room.path()).unwrap(), b"a\0Y", "the backing is as it was");
}

#[test]
fn a_sync_that_is_not_done_does_not_reach_the_backing() {
    let room = Room::new();
    let (ino, fh) = room.open(b"", libc::O_RDWR);
    room.fs.core.tree.release(fh).unwrap();
    let sync = || {
        let op = ask(Call::Fsync, Target::Inode(ino)).by(fh);
        let run = move |core: &Core, _: &_, operands: &Operands<'_>, _: &mut _| {
            core.sync(0, (fh, false), operands)
        };
        room.serve::<ReplyEmpty, _>(op, Operands::default(), nothing, run)
    };
    // It would fail.
    assert_eq!(sync(), Err(libc::EBADF));
    let state = room.stand(sketch("failing-sync", Call::Fsync.methods()));
    assert_eq!(sync(), Err(libc::EIO));
    let state = state.lock();
    assert_eq!((&state.done[..], state.errno), (&[true][..], 0), "the backing was not asked");
}

#[test]
fn bytes_replaced_are_told_though_the_handle_cannot_read_them() {
    let room = Room::new();
    let state = room.stand(sketch("failing-sync", Call::Fsync.methods()));
    for flags in [libc::O_RDWR, libc::O_WRONLY] {
        let file = room.open(b"abcdef", flags);
        assert_eq!(room.write(file, 4, b"1234"), Ok(4));
        assert_eq!(state.lock().undo.pop(), Some((4, b"ef".to_vec())), "{flags}");
        room.release(file).unwrap();
    }
}

#[test]
fn a_full_disk_learns_what_is_taken_and_freed_and_tells_it() {
    let room = Room::new();
    let values =
        Values::new().with("free", Value::Whole(4 * BLOCK as i64)).with("inodes", Value::Whole(3));
    let state = room.stand(sketch_of("filled", &values, MethodSet::ALL));
    let left = || {
        let state = state.lock();
        (state.free / BLOCK, state.inodes)
    };
    let told = || {
        let run = |core: &Core, _: &_, _: &Operands<'_>, _: &mut _| core.tree.statfs(ROOT);
        let op = ask(Call::Statfs, Target::Inode(ROOT));
        let told = room.serve::<ReplyStatfs, _>(op, Operands::default(), nothing, run).unwrap();
        (told.f_bavail * told.f_frsize / BLOCK, told.f_ffree)
    };
    assert_eq!(told(), (4, 3));
    let file = room.create().unwrap();
    assert_eq!((left(), told()), ((4, 2), (4, 2)));
    // What does not fit goes in short, and then nothing more.
    let data = vec![7; 5 * BLOCK as usize];
    assert_eq!(room.write(file, 0, &data), Ok(4 * BLOCK as u32));
    assert_eq!((left(), told()), ((0, 2), (0, 2)));
    assert_eq!(room.write(file, 4 * BLOCK, b"x"), Err(libc::ENOSPC));
    // It is freed when the last who has it open closes it.
    room.unlink().unwrap();
    assert_eq!(left(), (0, 2));
    room.release(file).unwrap();
    assert_eq!((left(), told()), ((4, 3), (4, 3)));
    // Or with its last name.
    let file = room.create().unwrap();
    room.write(file, 0, &data[..BLOCK as usize]).unwrap();
    room.release(file).unwrap();
    assert_eq!(left(), (3, 2));
    room.unlink().unwrap();
    assert_eq!(left(), (4, 3));
}

#[test]
fn a_file_that_is_renamed_over_is_freed() {
    let room = Room::new();
    let values = Values::new().with("free", Value::Whole(0)).with("inodes", Value::Whole(0));
    let state = room.stand(sketch_of("filled", &values, MethodSet::ALL));
    let file = room.open(&[7; BLOCK as usize], libc::O_RDONLY);
    room.fs.core.tree.release(file.1).unwrap();
    fs::write(room.dir.path().join("new"), b"").unwrap();
    let (from, to) = (OsStr::new("new"), OsStr::new("f"));
    let op = ask(Call::Rename, Target::Name(ROOT)).and(Target::Other(ROOT), Call::Rename.methods());
    let renamed =
        room.serve::<ReplyEmpty, _>(op, Operands::names(from, to), nothing, |core, _, a, _| {
            core.tree.rename(ROOT, a.name, ROOT, a.other, 0).map(drop)
        });
    assert_eq!(renamed, Ok(()));
    let state = state.lock();
    assert_eq!((state.free, state.inodes), (BLOCK, 1));
}

#[test]
fn bad_sectors_are_read_again_once_they_were_written() {
    let room = Room::new();
    room.stand(sketch("bad-spot", Call::Read.methods()));
    let file = room.open(&[7; 16], libc::O_RDWR);
    assert_eq!(room.read(file, 0, 4), Err(libc::EIO));
    assert_eq!(room.write(file, 0, b"1234"), Ok(4));
    assert_eq!(room.read(file, 0, 4).unwrap(), b"1234");
    assert_eq!(room.read(file, 0, 5), Err(libc::EIO));
}

#[test]
fn what_fails_once_it_has_run_grants_nothing() {
    let room = Room::new();
    room.stand(sketch("late-error", Call::Create.methods()));
    assert_eq!(room.create(), Err(libc::EIO));
    assert!(room.path().exists(), "it has run");
    room.table.clear_all();
    let known = room.fs.core.tree.known_at(ROOT, OsStr::new("f"));
    assert!(known.is_none(), "a lookup is left");
}

/// The inodes of notices that stand in a pipe, in whose place the kernel would be.
fn noticed(pipe: &mut std::io::PipeReader, most: usize) -> Vec<u64> {
    // The last of them ends what is read.
    let mut notices = vec![0; 40 * most];
    let read = pipe.read(&mut notices).unwrap();
    let inode = |notice: &[u8]| u64::from_ne_bytes(notice[16..24].try_into().unwrap());
    notices[..read].chunks(40).map(inode).collect()
}

#[test]
fn a_rename_is_noticed_only_where_a_fault_concerns_it() {
    let room = Room::new();
    let (mut told, tells) = std::io::pipe().unwrap();
    assert!(room.fs.core.notices.set(Notices::new(tells.into())).is_ok());
    let file = room.open(b"x", libc::O_RDONLY);
    let pattern = format!("{}/hidden", room.dir.path().display());
    let words = FaultWords { methods: vec!["getattr".into()], pattern, ..FaultWords::default() };
    let fault = words.and("error", "EIO").fault().unwrap();
    room.table.put(fault, Placement::Add).unwrap();
    let rename = |from: &str, to: &str| {
        let renamed = room.fs.core.tree.rename(ROOT, from.as_ref(), ROOT, to.as_ref(), 0).unwrap();
        room.fs.core.renamed(renamed);
    };
    rename("f", "g");
    rename("g", "hidden");
    rename("hidden", "h");
    assert_eq!(noticed(&mut told, 4), [file.0.0]);
}

//! `error --when after`: what is done is reported as failed, and everybody sees that it is done.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{AtFlags, FallocateFlags, Mode, Timespec, Timestamps, XattrFlags};

use super::EIO;
use super::common::calls::truncate;
use super::common::{Mount, errno_of, slowfs, stdout_of, text_of};

/// All that is told of what lies below a directory, by lstat(2) and read(2). When an inode was changed last
/// (ctime) is the backing's own matter where the kernel keeps the times.
fn told(dir: &Path, kept: bool) -> Vec<String> {
    let mut all = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(dir).unwrap().display();
        let content = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        let size = if meta.is_dir() { 0 } else { meta.len() };
        let figures = [meta.nlink(), u64::from(meta.mode()), u64::from(meta.uid()), size];
        let changed = (!kept).then(|| (meta.ctime(), meta.ctime_nsec()));
        let times = (meta.mtime(), meta.mtime_nsec(), changed);
        all.push(format!("{name} {figures:?} {times:?} {}", content.len()));
        all.push(format!("{content:?}"));
        if meta.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    all.sort();
    all
}

/// What stands at each name that a case may touch, by the name alone: who reads a directory first has
/// the kernel learn its names anew.
fn found(dir: &Path) -> Vec<String> {
    let names = ["a", "b", "new", "moved", "moved/c", "empty", "full", "full/c", "full/a2"];
    let stat = |name: &str| {
        let meta = fs::symlink_metadata(dir.join(name));
        let told = meta.map(|meta| (meta.mode(), meta.is_file().then_some(meta.len())));
        format!("{name} {:?}", told.map_err(|error| error.kind()))
    };
    names.map(stat).into()
}

/// Files and directories as each case finds them, all of them in the kernel's caches.
fn prepare(mnt: &Path) {
    for dir in ["full", "empty"] {
        fs::create_dir(mnt.join(dir)).unwrap();
    }
    for (file, len) in [("a", 9000), ("b", 9001), ("full/c", 9002)] {
        fs::write(mnt.join(file), vec![b'x'; len]).unwrap();
    }
    fs::hard_link(mnt.join("a"), mnt.join("full/a2")).unwrap();
    told(mnt, false);
}

type Case = (&'static str, fn(&Path) -> std::io::Result<()>);

fn open(mnt: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(mnt.join("a")).unwrap()
}

const CASES: [Case; 22] = [
    ("mkdir", |mnt| fs::create_dir(mnt.join("new"))),
    ("mknod", |mnt| {
        let fifo = rustix::fs::FileType::Fifo;
        Ok(rustix::fs::mknodat(rustix::fs::CWD, mnt.join("new"), fifo, Mode::RUSR, 0)?)
    }),
    ("symlink", |mnt| symlink("b", mnt.join("new"))),
    ("link", |mnt| fs::hard_link(mnt.join("b"), mnt.join("new"))),
    ("unlink", |mnt| fs::remove_file(mnt.join("b"))),
    ("unlink", |mnt| fs::remove_file(mnt.join("full/a2"))),
    ("rmdir", |mnt| fs::remove_dir(mnt.join("empty"))),
    ("rename", |mnt| fs::rename(mnt.join("b"), mnt.join("new"))),
    ("rename", |mnt| fs::rename(mnt.join("b"), mnt.join("full/c"))),
    ("rename", |mnt| fs::rename(mnt.join("full"), mnt.join("moved"))),
    ("chmod", |mnt| fs::set_permissions(mnt.join("a"), Permissions::from_mode(0o600))),
    ("chown", |mnt| std::os::unix::fs::chown(mnt.join("a"), Some(7), Some(7))),
    ("truncate", |mnt| truncate(mnt.join("a"), 100)),
    ("ftruncate", |mnt| open(mnt).set_len(20_000)),
    ("utimens", |mnt| {
        let second = Timespec { tv_sec: 77, tv_nsec: 5 };
        let times = Timestamps { last_access: second, last_modification: second };
        Ok(rustix::fs::utimensat(rustix::fs::CWD, mnt.join("a"), &times, AtFlags::empty())?)
    }),
    ("setxattr", |mnt| {
        Ok(rustix::fs::setxattr(mnt.join("a"), "user.x", b"y", XattrFlags::empty())?)
    }),
    ("write", |mnt| open(mnt).write_all_at(b"yyyy", 4090)),
    ("write", |mnt| open(mnt).write_all_at(b"yyyy", 12_000)),
    ("fallocate", |mnt| {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(rustix::fs::fallocate(open(mnt), hole, 0, 4096)?)
    }),
    ("fallocate", |mnt| Ok(rustix::fs::fallocate(open(mnt), FallocateFlags::empty(), 0, 30_000)?)),
    ("copy_file_range", |mnt| {
        let from = File::open(mnt.join("b"))?;
        Ok(rustix::fs::copy_file_range(from.as_fd(), None, open(mnt), None, 9000).map(drop)?)
    }),
    ("fsync", |mnt| open(mnt).sync_all()),
];

/// What fails is done, and through the mount everything is as behind it, at once and not when caches run
/// out.
#[test]
fn what_is_reported_as_failed_is_done_and_seen() {
    for (place, case) in CASES.into_iter().enumerate() {
        assert_done_and_seen(place, case, &[]);
    }
}

/// With `--writeback-cache` the kernel takes neither size nor times from the mount: what would change these
/// cannot be set, and all else is seen as ever.
#[test]
fn where_the_kernel_keeps_sizes_what_changes_them_is_refused() {
    const RESIZING: [&str; 6] =
        ["write", "truncate", "ftruncate", "utimens", "fallocate", "copy_file_range"];
    let written_back = ["--writeback-cache"];
    let mount = Mount::with(&written_back);
    for method in RESIZING {
        let line = ["error", "EIO", "--when", "after", "-m", method, "--addr", &mount.addr];
        let output = slowfs().args(line).output().unwrap();
        let told = text_of(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("cannot be on a mount with --writeback-cache"), "{told}");
        assert!(told.contains(method), "{told}");
    }
    assert_eq!(mount.client().list_faults().unwrap().len(), 0);
    for (place, case) in CASES.into_iter().enumerate() {
        if !RESIZING.contains(&case.0) {
            assert_done_and_seen(place, case, &written_back);
        }
    }
}

fn assert_done_and_seen(place: usize, (method, case): Case, options: &[&str]) {
    let mount = Mount::with(options);
    prepare(&mount.mnt());
    let plain = tempfile::tempdir().unwrap();
    prepare(plain.path());
    let kept = !options.is_empty();
    let before = told(&mount.raw(), false);
    let line = format!("error EIO --when after -m {method} --count 1");
    let mut command = slowfs();
    command.args(line.split(' ')).args(["--addr", &mount.addr]);
    stdout_of(&mut command);
    found(&mount.mnt());
    assert_eq!(errno_of(case(&mount.mnt())), EIO, "case {place}: {method}");
    assert_eq!(found(&mount.mnt()), found(&mount.raw()), "case {place}: {method}");
    let (through, behind) = (told(&mount.mnt(), kept), told(&mount.raw(), kept));
    assert_eq!(through, behind, "case {place}: {method}");
    if method != "fsync" {
        assert_ne!(before, told(&mount.raw(), false), "case {place}: {method} was not done");
    }
    // And as it would be if it had been told as done.
    case(plain.path()).unwrap();
    let names = |told: Vec<String>| -> Vec<String> {
        told.iter().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    };
    assert_eq!(names(behind), names(told(plain.path(), kept)), "case {place}: {method}");
}

#[test]
fn what_nobody_could_tell_to_be_done_is_refused() {
    let mount = Mount::new();
    let why = |line: &[&str]| {
        let output = slowfs().args(line).args(["--addr", &mount.addr]).output().unwrap();
        assert!(!output.status.success(), "{line:?}");
        text_of(&output)
    };
    let read = why(&["error", "EIO", "--when", "after", "-m", "read,fsync"]);
    assert!(read.contains("error makes no sense on read; it can be set on "), "{read}");
    let all = why(&["error", "EIO", "--when", "after", "-m", "all"]);
    assert!(all.contains("error makes no sense on "), "{all}");
    let torn = why(&["torn-write", "random", "--and", "error EIO --when after", "-m", "write"]);
    assert!(torn.contains("exclude each other"), "{torn}");
    let when = why(&["delay", "x10", "--when", "before", "-m", "all"]);
    assert!(when.contains("delay: --when: what is measured"), "{when}");
    let bytes = why(&["delay", "1ms", "--per-byte", "1ns", "-m", "fsync,mkdir"]);
    assert!(bytes.contains("delay by bytes needs methods that have some"), "{bytes}");
}

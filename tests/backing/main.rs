//! The mirror and what is behind it: the same content, the same attributes, changes from either
//! side, and more files than the daemon could have open.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod changes;
#[path = "../common/mod.rs"]
mod common;
mod size;

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::user::as_user;
use common::{Mount, Within, assert_fuse, errno_of, is_fuse, slowfs, stdout_of, wait_for};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long the kernel may answer from what it knows, with some to spare.
const KNOWN_FOR: Duration = Duration::from_secs(5);

/// Waits until the mirror shows what the backing has, which must be soon.
fn soon<T>(what: &str, seen: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    let seen = wait_for(what, seen);
    assert!(started.elapsed() < KNOWN_FOR, "{what}: after {:?}", started.elapsed());
    seen
}

fn create(path: impl AsRef<Path>) -> File {
    File::options().read(true).write(true).create_new(true).open(path).unwrap()
}

fn open_rw(path: impl AsRef<Path>) -> File {
    File::options().read(true).write(true).open(path).unwrap()
}

/// A reference that keeps the kernel from forgetting an inode, and opens nothing.
fn held(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

fn names(dir: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// Everything stat(2) tells but the device.
fn attributes(path: &Path) -> impl PartialEq + std::fmt::Debug + use<> {
    let m = fs::symlink_metadata(path).unwrap();
    let times =
        [(m.atime(), m.atime_nsec()), (m.mtime(), m.mtime_nsec()), (m.ctime(), m.ctime_nsec())];
    let size = (m.size(), m.blocks(), m.blksize());
    ((m.ino(), m.mode(), m.nlink()), (m.uid(), m.gid(), m.rdev()), size, times)
}

#[test]
fn what_is_made_through_the_mirror_is_in_the_backing() {
    let mount = Mount::new();
    let (mnt, raw) = (mount.mnt(), mount.raw());
    fs::set_permissions(&mnt, PermissionsExt::from_mode(0o777)).unwrap();
    as_user(65_534, 65_534, &[50_001], || {
        fs::write(mnt.join("file"), vec![7; 300_000]).unwrap();
        fs::create_dir(mnt.join("directory")).unwrap();
        symlink("nowhere", mnt.join("symlink")).unwrap();
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(CWD, mnt.join("fifo"), FileType::Fifo, mode, 0).unwrap();
        fs::hard_link(mnt.join("file"), mnt.join("directory/link")).unwrap();
    });
    assert_eq!(attributes(&mnt), attributes(&raw));
    assert_eq!(names(&raw), ["directory", "fifo", "file", "symlink"]);
    for name in ["directory", "fifo", "file", "symlink", "directory/link"] {
        let made = fs::symlink_metadata(raw.join(name)).unwrap();
        assert_eq!((made.uid(), made.gid()), (65_534, 65_534), "{name}");
        assert_eq!(attributes(&mnt.join(name)), attributes(&raw.join(name)), "{name}");
    }
    assert_eq!(fs::read(raw.join("file")).unwrap(), vec![7; 300_000]);
    assert_eq!(fs::read_link(raw.join("symlink")).unwrap(), Path::new("nowhere"));
}

#[test]
fn what_is_in_the_backing_is_in_the_mirror() {
    let scratch = tempfile::tempdir().unwrap();
    let raw = scratch.path().join("raw");
    fs::create_dir_all(raw.join("a/b/c")).unwrap();
    fs::write(raw.join("a/b/file"), "content").unwrap();
    fs::hard_link(raw.join("a/b/file"), raw.join("a/link")).unwrap();
    symlink("b/file", raw.join("a/symlink")).unwrap();
    fs::set_permissions(raw.join("a/b/file"), PermissionsExt::from_mode(0o4751)).unwrap();
    std::os::unix::fs::chown(raw.join("a/b/c"), Some(7), Some(8)).unwrap();
    let mount = Mount::over(scratch, &[] as &[&str]);
    for name in ["", "a", "a/b", "a/b/c", "a/b/file", "a/link", "a/symlink"] {
        let (there, here) = (attributes(&raw.join(name)), attributes(&mount.mnt().join(name)));
        assert_eq!(here, there, "{name:?}");
    }
    assert_eq!(fs::read(mount.mnt().join("a/symlink")).unwrap(), b"content");
}

#[test]
fn data_is_in_the_backing_when_write_returns() {
    let mount = Mount::new();
    let file = create(mount.mnt().join("f"));
    let behind = open_rw(mount.raw().join("f"));
    let mut read = [0; 100];
    for n in 0..50u8 {
        file.write_all_at(&[n; 100], u64::from(n) * 100).unwrap();
        behind.read_exact_at(&mut read, u64::from(n) * 100).unwrap();
        assert_eq!(read, [n; 100]);
        assert_eq!(behind.metadata().unwrap().size(), u64::from(n) * 100 + 100);
    }
    file.set_len(10).unwrap();
    assert_eq!(behind.metadata().unwrap().size(), 10);
}

#[test]
fn filesystems_mounted_within_the_backing_are_part_of_the_mirror() {
    let scratch = tempfile::tempdir().unwrap();
    fs::create_dir(scratch.path().join("raw")).unwrap();
    let _one = Within::mount(scratch.path().join("raw/one"));
    let _two = Within::mount(scratch.path().join("raw/two"));
    let mount = Mount::over(scratch, &[] as &[&str]);
    let mnt = mount.mnt();
    let mut numbers = vec![fs::metadata(&mnt).unwrap().ino()];
    for place in ["one", "two"] {
        for n in 0..20 {
            let name = format!("{place}/f{n}");
            fs::write(mnt.join(&name), &name).unwrap();
            assert_eq!(fs::read_to_string(mount.raw().join(&name)).unwrap(), name);
            numbers.push(fs::metadata(mnt.join(&name)).unwrap().ino());
        }
        numbers.push(fs::metadata(mnt.join(place)).unwrap().ino());
    }
    // Each has numbers of its own in the backing, the same ones perhaps; not so in the mirror.
    numbers.sort_unstable();
    let all = numbers.len();
    numbers.dedup();
    assert_eq!(numbers.len(), all);
    for place in ["", "one", "two"] {
        for entry in fs::read_dir(mnt.join(place)).unwrap() {
            let entry = entry.unwrap();
            use std::os::unix::fs::DirEntryExt;
            assert_eq!(entry.ino(), entry.metadata().unwrap().ino(), "{entry:?}");
        }
    }
    assert_eq!(errno_of(fs::rename(mnt.join("one/f0"), mnt.join("two/g"))), libc::EXDEV);
    assert_eq!(errno_of(fs::hard_link(mnt.join("one/f0"), mnt.join("g"))), libc::EXDEV);
    fs::rename(mnt.join("one/f0"), mnt.join("one/g")).unwrap();
    assert_eq!(errno_of(fs::remove_dir(mnt.join("two"))), libc::EBUSY);
}

#[test]
fn tmpfs_behind_the_mirror_works_from_its_root() {
    let scratch = tempfile::tempdir().unwrap();
    // The root of a filesystem, which on tmpfs is numbered 1.
    let _raw = Within::mount(scratch.path().join("raw"));
    let mount = Mount::over(scratch, &[] as &[&str]);
    let mnt = mount.mnt();
    for n in 0..50 {
        fs::write(mnt.join(format!("f{n}")), n.to_string()).unwrap();
    }
    fs::create_dir(mnt.join("d")).unwrap();
    fs::rename(mnt.join("f7"), mnt.join("d/seven")).unwrap();
    assert_eq!(fs::read(mnt.join("d/seven")).unwrap(), b"7");
    assert_eq!(names(&mnt).len(), 50);
    assert_eq!(attributes(&mnt), attributes(&mount.raw()));
    for n in (0..50).filter(|n| *n != 7) {
        let (here, there) = (mnt.join(format!("f{n}")), mount.raw().join(format!("f{n}")));
        assert_eq!(attributes(&here), attributes(&there));
    }
}

/// A daemon started by hand, ended with the test.
struct Daemon {
    child: Child,
    at: PathBuf,
}

impl Daemon {
    /// Runs a command that ends in `slowfs mount ...` and waits for its mount.
    fn start(command: &mut Command, at: PathBuf) -> Daemon {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut daemon = Daemon { child: command.spawn().unwrap(), at };
        wait_for("the mount", || {
            let ended = daemon.child.try_wait().unwrap();
            assert!(ended.is_none(), "the daemon ended with {ended:?}");
            is_fuse(&daemon.at).then_some(())
        });
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + KNOWN_FOR;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let detach = rustix::mount::UnmountFlags::DETACH;
        while common::is_ours(&self.at) && rustix::mount::unmount(&self.at, detach).is_ok() {}
    }
}

#[test]
fn directory_mirrors_itself() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    fs::create_dir_all(dir.join("member/wal.tmp")).unwrap();
    fs::write(dir.join("member/wal.tmp/0.wal"), "before").unwrap();
    let beneath = fs::metadata(&dir).unwrap().ino();
    let mut command = slowfs();
    command.arg("mount").arg(&dir).args(["--listen", "none"]);
    let daemon = Daemon::start(&mut command, dir.clone());
    assert_eq!(fs::metadata(&dir).unwrap().ino(), beneath);
    let mut log = File::options().append(true).open(dir.join("member/wal.tmp/0.wal")).unwrap();
    fs::rename(dir.join("member/wal.tmp"), dir.join("member/wal")).unwrap();
    log.write_all(b" after").unwrap();
    log.sync_all().unwrap();
    drop(log);
    fs::write(dir.join("new"), "made on the mirror").unwrap();
    assert_eq!(fs::read(dir.join("member/wal/0.wal")).unwrap(), b"before after");
    drop(daemon);
    assert!(!is_fuse(&dir));
    assert_eq!(fs::read(dir.join("member/wal/0.wal")).unwrap(), b"before after");
    assert_eq!(fs::read(dir.join("new")).unwrap(), b"made on the mirror");
}

#[test]
fn mirror_is_what_it_says_in_the_mount_table() {
    let mount = Mount::new();
    assert_fuse(&mount.mnt());
    let mut command = Command::new("findmnt");
    command.args(["--noheadings", "--output", "SOURCE,FSTYPE"]).arg(mount.mnt());
    let raw = mount.raw();
    let said = stdout_of(&mut command);
    let said: Vec<_> = said.split_whitespace().collect();
    assert_eq!(said, [raw.to_str().unwrap(), "fuse.slowfs"]);
    let _: TempDir = tempfile::tempdir_in(mount.mnt()).unwrap();
}

#[test]
fn churn_by_many_leaves_both_sides_agreeing() {
    let mount = Mount::new();
    let mnt = mount.mnt();
    for d in 0..3 {
        fs::create_dir(mnt.join(format!("d{d}"))).unwrap();
    }
    // Who fails because another was first says so with one of these, and nothing else.
    let expected = [libc::ENOENT, libc::EEXIST, libc::ENOTEMPTY, libc::EISDIR, libc::ENOTDIR];
    std::thread::scope(|scope| {
        for worker in 0..4usize {
            let mnt = &mnt;
            scope.spawn(move || {
                let place = |n: usize| mnt.join(format!("d{}/f{}", n % 3, n % 7));
                for n in 0..400usize {
                    let (a, b) = (place(n * 5 + worker), place(n * 11 + worker * 3));
                    let outcome = match (n + worker) % 8 {
                        0 | 1 => fs::write(&a, "x"),
                        2 => fs::rename(&a, &b),
                        3 => fs::remove_file(&a),
                        4 => fs::hard_link(&a, &b),
                        5 => fs::read(&a).map(drop),
                        6 => fs::metadata(&a).map(drop),
                        _ => fs::rename(mnt.join(format!("d{}", n % 3)), mnt.join("away"))
                            .and_then(|()| {
                                fs::rename(mnt.join("away"), mnt.join(format!("d{}", n % 3)))
                            }),
                    };
                    if let Err(error) = outcome {
                        let code = error.raw_os_error().unwrap();
                        assert!(expected.contains(&code), "step {n}: {error}");
                    }
                }
            });
        }
    });
    for d in names(mount.raw()) {
        assert_eq!(names(mnt.join(&d)), names(mount.raw().join(&d)));
        for name in names(mount.raw().join(&d)) {
            let (here, there) = (mnt.join(&d).join(&name), mount.raw().join(&d).join(&name));
            let (here, there) = (fs::metadata(here).unwrap(), fs::metadata(there).unwrap());
            assert_eq!(
                (here.ino(), here.nlink(), here.size()),
                (there.ino(), there.nlink(), there.size())
            );
        }
    }
}

//! Each method fires on exactly the requests that the contract's section 3 gives it, and a
//! stranger's file stays untouched.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::ffi::CStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::{Mount, wait_for};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{
    AtFlags, FallocateFlags, FileType, Mode, OFlags, RawDir, SeekFrom, Timespec, Timestamps,
    XattrFlags,
};
use slowfs::fault::FaultWords;
use slowfs::ops::Method;

/// Tests take turns: a child that one of them starts copies the open files of all, and closing the
/// copies is a FLUSH of them.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A system call on `target`, made ready beforehand so that nothing else is asked meanwhile. What
/// it returns keeps files open until the counts are read.
type Trigger = Box<dyn FnOnce() -> io::Result<Option<OwnedFd>>>;

/// A case: its name, what makes it ready, and the methods that must be consulted.
type Case = (&'static str, fn(&Path) -> Trigger, &'static [&'static str]);

fn open_rw(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

fn open_dir(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()).unwrap()
}

fn nothing<E: Into<io::Error>>(result: Result<(), E>) -> io::Result<Option<OwnedFd>> {
    result.map(|()| None).map_err(Into::into)
}

/// A trigger on the path itself.
fn by_path(path: &Path, call: fn(&Path) -> io::Result<()>) -> Trigger {
    let path = path.to_owned();
    Box::new(move || nothing(call(&path)))
}

/// A trigger on the file opened beforehand. It stays open.
fn by_handle(path: &Path, call: fn(&File) -> io::Result<()>) -> Trigger {
    let file = open_rw(path);
    Box::new(move || call(&file).map(|()| Some(file.into())))
}

/// A trigger on the directory opened beforehand.
fn by_directory(path: &Path, call: fn(&OwnedFd) -> io::Result<()>) -> Trigger {
    let dir = open_dir(path);
    Box::new(move || call(&dir).map(|()| Some(dir)))
}

fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let name = format!("{}-{suffix}", path.file_name().unwrap().to_str().unwrap());
    path.with_file_name(name)
}

/// What FS_IOC_GETFLAGS is on this platform, from rustix.
fn get_flags(file: &File) -> io::Result<()> {
    rustix::fs::ioctl_getflags(file).map(drop).map_err(Into::into)
}

fn list_dir(dir: &OwnedFd) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(dir, &mut space);
    match entries.next() {
        Some(entry) => entry.map(drop).map_err(Into::into),
        None => Ok(()),
    }
}

const XATTR: &CStr = c"user.slowfs";

const CASES: &[Case] = &[
    (
        "chmod",
        |p| by_path(p, |p| fs::set_permissions(p, PermissionsExt::from_mode(0o640))),
        &["chmod"],
    ),
    ("chown", |p| by_path(p, |p| std::os::unix::fs::chown(p, Some(7), Some(7))), &["chown"]),
    ("truncate", |p| by_path(p, truncate_by_path), &["truncate"]),
    ("ftruncate", |p| by_handle(p, |f| f.set_len(2)), &["ftruncate"]),
    (
        "utimens",
        |p| {
            by_path(p, |p| {
                let now = Timespec { tv_sec: 1, tv_nsec: 2 };
                let times = Timestamps { last_access: now, last_modification: now };
                Ok(rustix::fs::utimensat(rustix::fs::CWD, p, &times, AtFlags::empty())?)
            })
        },
        &["utimens"],
    ),
    (
        "open",
        |p| {
            let path = p.to_owned();
            Box::new(move || Ok(Some(open_or_fail(&path)?.into())))
        },
        &["open"],
    ),
    (
        "create",
        |p| {
            let path = sibling(p, "new");
            Box::new(move || {
                let file = OpenOptions::new().write(true).create_new(true).open(path)?;
                Ok(Some(file.into()))
            })
        },
        &["create"],
    ),
    ("read", |p| by_handle(p, |f| f.read_at(&mut [0; 3], 0).map(drop)), &["read", "read_buf"]),
    ("write", |p| by_handle(p, |f| f.write_at(b"abc", 0).map(drop)), &["write", "write_buf"]),
    ("fsync", |p| by_handle(p, File::sync_all), &["fsync"]),
    ("fdatasync", |p| by_handle(p, File::sync_data), &["fdatasync", "fsync"]),
    (
        "fallocate",
        |p| by_handle(p, |f| Ok(rustix::fs::fallocate(f, FallocateFlags::empty(), 0, 8192)?)),
        &["fallocate"],
    ),
    (
        "lseek",
        |p| by_handle(p, |f| Ok(rustix::fs::seek(f, SeekFrom::Data(0)).map(drop)?)),
        &["lseek"],
    ),
    // For the attributes of a file, as lsattr asks them, the kernel opens one of its own.
    ("ioctl", |p| by_handle(p, get_flags), &["ioctl", "open", "release"]),
    (
        "poll",
        |p| by_handle(p, |f| Ok(poll(&mut [PollFd::new(f, PollFlags::IN)], None).map(drop)?)),
        &["poll"],
    ),
    (
        "close",
        |p| {
            let file = open_rw(p);
            Box::new(move || {
                drop(file);
                Ok(None)
            })
        },
        &["flush", "release"],
    ),
    (
        "copy_file_range within",
        |p| {
            by_handle(p, |f| {
                let (mut from, mut to) = (0, 4096);
                Ok(rustix::fs::copy_file_range(f, Some(&mut from), f, Some(&mut to), 4)
                    .map(drop)?)
            })
        },
        &["copy_file_range", "read", "read_buf", "write", "write_buf"],
    ),
    ("mkdir", |p| by_path(&sibling(p, "dir"), |p| fs::create_dir(p)), &["mkdir"]),
    (
        "rmdir",
        |p| {
            let dir = sibling(p, "empty");
            fs::create_dir(&dir).unwrap();
            by_path(&dir, |p| fs::remove_dir(p))
        },
        &["rmdir"],
    ),
    (
        "mknod",
        |p| {
            by_path(&sibling(p, "pipe"), |p| {
                let mode = Mode::from_raw_mode(0o600);
                Ok(rustix::fs::mknodat(rustix::fs::CWD, p, FileType::Fifo, mode, 0)?)
            })
        },
        &["mknod"],
    ),
    ("symlink", |p| by_path(&sibling(p, "link"), |p| symlink("anywhere", p)), &["symlink"]),
    (
        "readlink",
        |p| {
            let link = sibling(p, "read");
            symlink("anywhere", &link).unwrap();
            by_path(&link, |p| fs::read_link(p).map(drop))
        },
        &["readlink"],
    ),
    ("link", |p| by_path(p, |p| fs::hard_link(p, sibling(p, "hard"))), &["link"]),
    ("rename", |p| by_path(p, |p| fs::rename(p, sibling(p, "moved"))), &["rename"]),
    (
        "unlink",
        |p| {
            let file = sibling(p, "gone");
            fs::write(&file, "x").unwrap();
            by_path(&file, |p| fs::remove_file(p))
        },
        &["unlink"],
    ),
    ("statfs", |p| by_path(p, |p| Ok(rustix::fs::statfs(p).map(drop)?)), &["statfs"]),
    (
        "setxattr",
        |p| by_handle(p, |f| Ok(rustix::fs::fsetxattr(f, XATTR, b"v", XattrFlags::empty())?)),
        &["setxattr"],
    ),
    (
        "getxattr",
        |p| {
            let file = open_rw(p);
            rustix::fs::fsetxattr(&file, XATTR, b"v", XattrFlags::empty()).unwrap();
            by_handle(p, |f| Ok(rustix::fs::fgetxattr(f, XATTR, &mut [0; 8]).map(drop)?))
        },
        &["getxattr"],
    ),
    (
        "listxattr",
        |p| by_handle(p, |f| Ok(rustix::fs::flistxattr(f, &mut [0u8; 64]).map(drop)?)),
        &["listxattr"],
    ),
    (
        "removexattr",
        |p| {
            let file = open_rw(p);
            rustix::fs::fsetxattr(&file, XATTR, b"v", XattrFlags::empty()).unwrap();
            by_handle(p, |f| Ok(rustix::fs::fremovexattr(f, XATTR)?))
        },
        &["removexattr"],
    ),
    (
        "opendir",
        |p| {
            let dir = sibling(p, "opened");
            fs::create_dir(&dir).unwrap();
            Box::new(move || {
                Ok(Some(rustix::fs::open(dir, OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty())?))
            })
        },
        &["opendir"],
    ),
    ("readdir", |p| by_directory(&made_dir(p, "listed"), list_dir), &["readdir"]),
    (
        "fsyncdir",
        |p| by_directory(&made_dir(p, "synced"), |d| Ok(rustix::fs::fsync(d)?)),
        &["fsyncdir"],
    ),
    (
        "closedir",
        |p| {
            let dir = open_dir(&made_dir(p, "closed"));
            Box::new(move || {
                drop(dir);
                Ok(None)
            })
        },
        &["releasedir"],
    ),
    ("stat", |p| by_path(p, |p| fs::metadata(p).map(drop)), &["getattr"]),
    (
        "lseek to the end",
        |p| by_handle(p, |f| Ok(rustix::fs::seek(f, SeekFrom::End(0)).map(drop)?)),
        &["fgetattr"],
    ),
];

fn open_or_fail(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// std opens the file to truncate it; truncate(2) is meant here.
#[allow(unsafe_code, reason = "no crate at hand has truncate(2)")]
fn truncate_by_path(path: &Path) -> io::Result<()> {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
    // SAFETY: the path is a C string that outlives the call.
    match unsafe { libc::truncate(path.as_ptr(), 1) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn made_dir(path: &Path, suffix: &str) -> PathBuf {
    let dir = sibling(path, suffix);
    fs::create_dir(&dir).unwrap();
    dir
}

/// Faults that count every operation on paths with `target` in them and never fire, one for each
/// method: their `matched` is what was consulted.
fn count_all(mount: &Mount) {
    for method in Method::all() {
        let fault = FaultWords {
            pattern: ".*/target[^/]*".to_owned(),
            ..common::failing(&[method.name()], "EIO").with("probability", "0")
        };
        mount.add(&fault);
    }
}

/// How often each method was consulted so far.
fn counts(mount: &Mount) -> Vec<(String, i64)> {
    let faults = mount.client().list_faults().unwrap();
    faults.into_iter().map(|f| (f.fault.methods.concat(), f.matched)).collect()
}

fn consulted_since(mount: &Mount, before: &[(String, i64)]) -> Vec<String> {
    let after = counts(mount);
    let raised = after.iter().zip(before).filter(|(now, then)| now.1 > then.1);
    raised.map(|(now, _)| now.0.clone()).collect()
}

/// Attributes are refreshed on the way to anything; only the cases about them look at those.
fn without_attributes(mut methods: Vec<String>, wanted: &[&str]) -> Vec<String> {
    methods.retain(|m| wanted.contains(&m.as_str()) || !m.ends_with("getattr"));
    methods
}

fn prepared(mount: &Mount, name: &str) -> PathBuf {
    let path = mount.mnt().join(name);
    fs::write(&path, [7; 8192]).unwrap();
    path
}

/// Every close of the preparation has arrived: nothing changes any more.
fn settled(mount: &Mount) -> Vec<(String, i64)> {
    let mut last = counts(mount);
    wait_for("the daemon to be idle", || {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let now = counts(mount);
        let idle = now == last;
        last = now.clone();
        idle.then_some(now)
    })
}

#[test]
fn each_system_call_consults_exactly_its_methods() {
    let _alone = alone();
    let mount = Mount::new();
    count_all(&mount);
    let mut wrong = Vec::new();
    for (number, (name, prepare, wanted)) in CASES.iter().enumerate() {
        let target = prepared(&mount, &format!("target{number}"));
        let trigger = prepare(&target);
        let before = settled(&mount);
        let kept = trigger().unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut got = Vec::new();
        // RELEASE comes after close(2) returned: wait for what is wanted, then for silence.
        wait_for_or_give_up(|| {
            got = without_attributes(consulted_since(&mount, &before), wanted);
            got == *wanted
        });
        drop(settled(&mount));
        got = without_attributes(consulted_since(&mount, &before), wanted);
        if got != *wanted {
            wrong.push(format!("{name}: consulted {got:?}, wanted {wanted:?}"));
        }
        drop(kept);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn wait_for_or_give_up(mut done: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(2);
    while !done() && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_strangers_file_consults_nothing() {
    let _alone = alone();
    let mount = Mount::new();
    count_all(&mount);
    let before = settled(&mount);
    for (number, (name, prepare, _)) in CASES.iter().enumerate() {
        let stranger = prepared(&mount, &format!("stranger{number}"));
        prepare(&stranger)().unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    assert_eq!(settled(&mount), before);
}

#[test]
fn each_method_of_the_table_has_a_case_or_says_why_it_cannot_fire() {
    let _alone = alone();
    let mount = Mount::new();
    for method in mount.client().list_methods().unwrap() {
        let covered = CASES.iter().any(|(_, _, methods)| methods.contains(&method.name.as_str()));
        assert_eq!(covered, method.obstacle.is_none(), "{}: {:?}", method.name, method.obstacle);
    }
}

/// Set beside a system call's outcome: what a caller of a failing method sees.
#[test]
fn each_method_returns_the_injected_errno_to_its_caller() {
    let _alone = alone();
    let mount = Mount::new();
    // The kernel drops the errors of RELEASE and RELEASEDIR, and makes POLLERR of POLL's.
    let silent = ["close", "closedir", "poll"];
    let mut wrong = Vec::new();
    for (number, (name, prepare, methods)) in CASES.iter().enumerate() {
        if silent.contains(name) {
            continue;
        }
        let trigger = prepare(&prepared(&mount, &format!("target{number}")));
        let stranger = prepare(&prepared(&mount, &format!("stranger{number}")));
        let fault = FaultWords {
            pattern: ".*/target[^/]*".to_owned(),
            ..common::failing(methods, "EREMOTEIO")
        };
        mount.add(&fault);
        match trigger() {
            Err(error) if error.raw_os_error() == Some(libc::EREMOTEIO) => {}
            other => wrong.push(format!("{name}: {other:?}")),
        }
        stranger().unwrap_or_else(|e| panic!("{name} on a stranger's file: {e}"));
        mount.clear();
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn flush_faults_come_back_from_close_and_poll_faults_as_pollerr() {
    let _alone = alone();
    let mount = Mount::new();
    let file = open_rw(&prepared(&mount, "target"));
    mount.add(&common::failing(&["flush", "poll"], "EIO"));
    let mut fds = [PollFd::new(&file, PollFlags::IN)];
    poll(&mut fds, None).unwrap();
    assert!(fds[0].revents().contains(PollFlags::ERR), "{:?}", fds[0].revents());
    // sync_all is no close: std drops the error of close(2), dd reports it.
    let path = mount.mnt().join("target");
    let dd = std::process::Command::new("dd")
        .args(["if=/dev/zero", "bs=1", "count=1", "conv=notrunc"])
        .arg(format!("of={}", path.display()))
        .output()
        .unwrap();
    assert!(!dd.status.success() && common::text_of(&dd).contains("Input/output error"));
}

#[test]
fn access_faults_fire_when_the_kernel_asks() {
    let _alone = alone();
    let mount = Mount::with(&["-o", "no_default_permissions"]);
    let methods = mount.client().list_methods().unwrap();
    assert!(methods.iter().any(|m| m.name == "access" && m.obstacle.is_none()));
    let file = prepared(&mount, "target");
    rustix::fs::access(&file, rustix::fs::Access::READ_OK).unwrap();
    mount.add(&common::failing(&["access"], "EIO"));
    let denied = rustix::fs::access(&file, rustix::fs::Access::READ_OK);
    assert_eq!(denied, Err(rustix::io::Errno::IO));
}

#[test]
fn a_rename_matches_by_either_path_and_fires_once() {
    let _alone = alone();
    let mount = Mount::new();
    let fault = FaultWords {
        pattern: ".*/target.*".to_owned(),
        ..common::failing(&["rename"], "EIO").with("probability", "0")
    };
    let id = mount.add(&fault);
    let (ours, strange) = (prepared(&mount, "target"), mount.mnt().join("stranger"));
    fs::rename(&ours, &strange).unwrap();
    assert_eq!(mount.listed(id).matched, 1);
    fs::rename(&strange, &ours).unwrap();
    assert_eq!(mount.listed(id).matched, 2);
    fs::rename(&ours, sibling(&ours, "moved")).unwrap();
    assert_eq!(mount.listed(id).matched, 3, "both paths match: still one operation");
}

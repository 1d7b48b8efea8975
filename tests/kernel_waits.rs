//! docs/limits.md, each as it is said there: what the kernel serialises behind a held operation,
//! and what it answers by itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod alone;
use slowfs::fault::FaultWords;
mod common;

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use libc::MAP_SHARED;
use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FileType, Mode, SeekFrom, StatxAttributes, StatxFlags, XattrFlags,
};

use common::calls::Mapping;
use common::{Mount, errno_of, failing, hanging, stdout_of, wait_for};

/// A program that is started while a file is held closes it on its way, and is held as well: one test
/// at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> impl Drop {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a thread must be seen waiting before it counts as stopped.
const STOPPED_FOR: Duration = Duration::from_millis(50);

/// An operation in a thread of its own.
struct Under<'s> {
    tid: i32,
    thread: ScopedJoinHandle<'s, ()>,
}

fn start<'s>(scope: &'s Scope<'s, '_>, act: impl FnOnce() + Send + 's) -> Under<'s> {
    let (tell, told) = mpsc::channel();
    let thread = scope.spawn(move || {
        tell.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
        act();
    });
    Under { tid: told.recv().unwrap(), thread }
}

impl Under<'_> {
    /// Whether it waits for a lock of the kernel's, or for the answer to a request.
    fn waits(&self) -> bool {
        let of = |what| fs::read_to_string(format!("/proc/self/task/{}/{what}", self.tid));
        let stat = of("stat").unwrap_or_default();
        let asleep = stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('D'));
        asleep || of("wchan").is_ok_and(|place| place == "request_wait_answer")
    }

    #[track_caller]
    fn is_stopped(&self, what: &str) {
        let mut since = None;
        wait_for(what, || {
            assert!(!self.thread.is_finished(), "{what} did not wait");
            since = self.waits().then(|| since.unwrap_or_else(Instant::now));
            since.filter(|since| since.elapsed() >= STOPPED_FOR)
        });
    }
}

type Act = fn(&Path);

/// What is held, by which method and where; what stops behind it, and what does not. Each acts on a
/// directory with the files `f` and `g` and the directories `d` and `e`.
struct Case {
    method: &'static str,
    on: &'static str,
    held: Act,
    stops: &'static [Act],
    goes_on: &'static [Act],
}

fn rw(path: PathBuf) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

const WRITE_F: Act = |at| assert_eq!(rw(at.join("f")).write_at(b"x", 0).unwrap(), 1);
const WRITE_G: Act = |at| assert_eq!(rw(at.join("g")).write_at(b"x", 0).unwrap(), 1);
const CREATE: Act = |at| assert!(File::create_new(at.join("d/created")).is_ok());
const CREATE_BESIDE: Act = |at| assert!(File::create_new(at.join("e/created")).is_ok());
const LIST: Act = |at| assert!(fs::read_dir(at.join("d")).unwrap().count() > 0);
const LOOK_UP: Act = |at| assert!(!at.join("d/missing").exists());

fn copy(at: &Path) {
    let (from, to) = (File::open(at.join("g")).unwrap(), rw(at.join("f")));
    let copied = rustix::fs::copy_file_range(&from, Some(&mut 0), &to, Some(&mut 0), 4);
    assert_eq!(copied, Ok(4));
}

fn mknod(at: &Path) {
    let mode = Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(CWD, at.join("d/fifo"), FileType::Fifo, mode, 0).unwrap();
}

/// What holds a file.
const ON_FILES: [Case; 7] = [
    Case {
        method: "ioctl",
        on: "/f",
        held: |at| drop(stdout_of(Command::new("chattr").arg("+d").arg(at.join("f")))),
        stops: &[WRITE_F],
        goes_on: &[WRITE_G],
    },
    Case {
        method: "lseek",
        on: "/f",
        held: |at| {
            rustix::fs::seek(rw(at.join("f")), SeekFrom::Data(0)).unwrap();
        },
        stops: &[WRITE_F],
        goes_on: &[WRITE_G],
    },
    Case {
        method: "setxattr",
        on: "/f",
        held: |at| {
            rustix::fs::setxattr(at.join("f"), "user.a", b"1", XattrFlags::empty()).unwrap();
        },
        stops: &[WRITE_F],
        goes_on: &[WRITE_G],
    },
    Case {
        method: "removexattr",
        on: "/f",
        held: |at| {
            let _ = rustix::fs::removexattr(at.join("f"), "user.none").unwrap_err();
        },
        stops: &[WRITE_F],
        goes_on: &[WRITE_G],
    },
    Case {
        method: "copy_file_range",
        on: "/f",
        held: copy,
        stops: &[WRITE_F],
        goes_on: &[WRITE_G],
    },
    Case {
        method: "fallocate",
        on: "/f",
        held: |at| {
            let mode = FallocateFlags::empty();
            rustix::fs::fallocate(rw(at.join("f")), mode, 0, 9).unwrap();
        },
        stops: &[WRITE_F],
        goes_on: &[WRITE_G],
    },
    Case {
        method: "unlink",
        on: "/d/victim",
        held: |at| fs::remove_file(at.join("d/victim")).unwrap(),
        stops: &[WRITE_F],
        goes_on: &[WRITE_G],
    },
];

/// What holds a directory: against changes and listings, or against changes alone.
const ON_DIRECTORIES: [Case; 8] = [
    Case {
        method: "rename",
        on: "/d/victim",
        held: |at| fs::rename(at.join("d/victim"), at.join("d/renamed")).unwrap(),
        stops: &[CREATE, LIST, WRITE_F],
        goes_on: &[CREATE_BESIDE, WRITE_G],
    },
    Case {
        method: "link",
        on: "/d/link",
        held: |at| fs::hard_link(at.join("f"), at.join("d/link")).unwrap(),
        stops: &[CREATE, LIST, WRITE_F],
        goes_on: &[CREATE_BESIDE, WRITE_G],
    },
    Case {
        method: "symlink",
        on: "/d/link",
        held: |at| symlink("x", at.join("d/link")).unwrap(),
        stops: &[CREATE, LIST],
        goes_on: &[CREATE_BESIDE, WRITE_F],
    },
    Case {
        method: "mknod",
        on: "/d/fifo",
        held: mknod,
        stops: &[CREATE, LIST],
        goes_on: &[CREATE_BESIDE],
    },
    Case {
        method: "rmdir",
        on: "/d/sub",
        held: |at| fs::remove_dir(at.join("d/sub")).unwrap(),
        stops: &[CREATE, LIST],
        goes_on: &[CREATE_BESIDE],
    },
    Case {
        method: "fsyncdir",
        on: "/d",
        held: |at| File::open(at.join("d")).unwrap().sync_all().unwrap(),
        stops: &[CREATE, LIST],
        goes_on: &[CREATE_BESIDE],
    },
    Case {
        method: "readdir",
        on: "/d",
        held: LIST,
        stops: &[CREATE],
        goes_on: &[CREATE_BESIDE, LOOK_UP],
    },
    Case {
        method: "getattr",
        on: "/d/new",
        held: |at| assert!(!at.join("d/new").exists()),
        stops: &[CREATE],
        goes_on: &[CREATE_BESIDE, LIST],
    },
];

fn check(cases: &[Case]) {
    let _alone = alone();
    let mount = Mount::new();
    for (n, case) in cases.iter().enumerate() {
        let raw = mount.raw().join(n.to_string());
        fs::create_dir(&raw).unwrap();
        ["d", "e", "d/sub"].iter().for_each(|dir| fs::create_dir(raw.join(dir)).unwrap());
        ["f", "g"].iter().for_each(|file| fs::write(raw.join(file), "content").unwrap());
        fs::hard_link(raw.join("f"), raw.join("d/victim")).unwrap();
        let at = &mount.mnt().join(n.to_string());
        let pattern = format!(".*/{n}{}", case.on);
        thread::scope(|scope| {
            let clear = mount.clear_on_drop();
            // chattr(1) first asks for the flags that are set, which holds nothing.
            let after = i64::from(case.method == "ioctl");
            let id = mount.add(&FaultWords {
                pattern,
                ..hanging(&[case.method]).with("after", &after.to_string())
            });
            let held = start(scope, || (case.held)(at));
            wait_for(case.method, || (mount.listed(id).held == 1).then_some(()));
            for act in case.goes_on {
                let other = start(scope, || act(at));
                wait_for("what goes on", || other.thread.is_finished().then_some(()));
            }
            // Last, since what waits for a lock of its own stops all that come after.
            let behind: Vec<_> = case.stops.iter().map(|act| start(scope, || act(at))).collect();
            behind.iter().for_each(|other| other.is_stopped(case.method));
            assert!(!held.thread.is_finished() && mount.listed(id).held == 1, "{}", case.method);
            drop(clear);
        });
    }
}

#[test]
fn operations_that_hold_their_file() {
    check(&ON_FILES);
}

#[test]
fn operations_that_hold_their_directory() {
    check(&ON_DIRECTORIES);
}

#[test]
fn a_rename_across_directories_holds_all_others_of_the_mount() {
    let _alone = alone();
    let mount = Mount::new();
    for dir in ["a", "b", "c", "d"] {
        fs::create_dir(mount.raw().join(dir)).unwrap();
        fs::write(mount.raw().join(dir).join("file"), "").unwrap();
    }
    let rename = |from: &str, to: &str| {
        fs::rename(mount.mnt().join(from), mount.mnt().join(to)).unwrap();
    };
    thread::scope(|scope| {
        let clear = mount.clear_on_drop();
        let pattern = ".*/a/file".to_owned();
        let id = mount.add(&FaultWords { pattern, ..hanging(&["rename"]) });
        start(scope, || rename("a/file", "b/moved"));
        wait_for("the rename", || (mount.listed(id).held == 1).then_some(()));
        start(scope, || rename("c/file", "d/moved")).is_stopped("the other rename");
        rename("d/file", "d/renamed");
        drop(clear);
    });
}

#[test]
fn a_search_for_data_waits_for_what_was_stored_into_the_hole() {
    let _alone = alone();
    let mount = Mount::new();
    let files = ["held", "other"].map(|name| {
        let file = File::create_new(mount.mnt().join(name)).unwrap();
        file.set_len(1 << 20).unwrap();
        rw(mount.mnt().join(name))
    });
    let _stored = files.each_ref().map(|file| {
        let mut map = Mapping::new(file, 1 << 20, MAP_SHARED).unwrap();
        map[300_000] = 1;
        map
    });
    let data = |n: usize| rustix::fs::seek(&files[n], SeekFrom::Data(0)).unwrap();
    thread::scope(|scope| {
        let clear = mount.clear_on_drop();
        let pattern = ".*/held".to_owned();
        let id = mount.add(&FaultWords { pattern, ..hanging(&["write"]) });
        let searching = start(scope, || assert_eq!(data(0), 299_008));
        wait_for("the page", || (mount.listed(id).held == 1).then_some(()));
        searching.is_stopped("the search");
        assert_eq!(data(1), 299_008);
        drop(clear);
    });
}

#[test]
fn what_the_kernel_answers_from_what_it_knows() {
    let _alone = alone();
    let mount = Mount::new();
    let file = File::create_new(mount.mnt().join("f")).unwrap();
    let pattern = ".*/f".to_owned();
    let clear = mount.clear_on_drop();
    mount.add(&FaultWords { pattern, ..failing(&["getattr", "fgetattr"], "EIO") });
    assert_eq!(errno_of(file.metadata()), libc::EIO);
    let statx = |flags| {
        let flags = flags | AtFlags::EMPTY_PATH;
        rustix::fs::statx(file.as_fd(), c"", flags, StatxFlags::BASIC_STATS)
    };
    assert_eq!(statx(AtFlags::STATX_FORCE_SYNC).unwrap_err(), rustix::io::Errno::IO);
    statx(AtFlags::STATX_DONT_SYNC).unwrap();
    drop(clear);
}

#[test]
fn a_copy_refused_with_exdev_is_made_by_the_kernel_itself() {
    let _alone = alone();
    let mount = Mount::new();
    fs::write(mount.mnt().join("g"), "content").unwrap();
    for (errno, made) in [("EXDEV", true), ("EOPNOTSUPP", true), ("EIO", false)] {
        fs::write(mount.mnt().join("f"), "").unwrap();
        let clear = mount.clear_on_drop();
        let id = mount.add(&failing(&["copy_file_range"], errno));
        let (from, to) = (File::open(mount.mnt().join("g")).unwrap(), rw(mount.mnt().join("f")));
        let copied = rustix::fs::copy_file_range(&from, Some(&mut 0), &to, Some(&mut 0), 4);
        assert_eq!((copied.is_ok(), mount.listed(id).fired), (made, 1), "{errno}");
        drop(clear);
    }
}

#[test]
fn what_statx_and_lseek_do_not_tell() {
    let _alone = alone();
    let mount = Mount::new();
    let (here, beneath) = (mount.mnt().join("f"), mount.raw().join("f"));
    fs::write(&beneath, "").unwrap();
    let append_only = |path: &Path| {
        let told = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS).unwrap();
        told.stx_attributes.contains(StatxAttributes::APPEND)
    };
    stdout_of(Command::new("chattr").arg("+a").arg(&beneath));
    let told = [append_only(&here), append_only(&beneath)];
    let flags = stdout_of(Command::new("lsattr").arg(&here));
    stdout_of(Command::new("chattr").arg("-a").arg(&beneath));
    assert_eq!(told, [false, true]);
    assert!(flags.split(' ').next().unwrap().contains('a'), "{flags}");
    // However small the largest size of the backing is.
    let (file, largest) = (rw(here), i64::MAX as u64);
    assert_eq!(rustix::fs::seek(&file, SeekFrom::Start(largest)), Ok(largest));
    let written = [rw(beneath), file].map(|file| rustix::io::pwrite(file, b"x", largest - 1));
    assert_eq!(written[0], written[1]);
}

#[test]
fn mlock_of_pages_that_fail_to_come_in_asks_until_it_is_killed() {
    let _alone = alone();
    alone::run(
        r#"
export SLOWFS_ADDR=127.0.0.1:9191
head -c 100000 /dev/zero >raw/file
slowfs mount mnt --subdir raw --listen "$SLOWFS_ADDR" --daemon 2>log
slowfs error EIO -m read
python3 - <<'END' &
import ctypes, os
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
file = os.open("mnt/file", os.O_RDONLY)
start = libc.mmap(None, ctypes.c_size_t(100000), 1, 1, file, ctypes.c_long(0))
os._exit(libc.mlock(ctypes.c_void_p(start), ctypes.c_size_t(100000)))
END
asks() { slowfs list --json | python3 -c 'import json, sys; sys.exit(json.load(sys.stdin)["faults"][0]["fired"] < 100)'; }
soon asks
kill -KILL $!
within 5000 eval "wait $! || [ \$? = 137 ]"
slowfs clear
soon umount mnt
"#,
    );
}

#[test]
fn a_program_with_open_files_cannot_clear_a_hang_on_flush_by_its_child() {
    let _alone = alone();
    alone::run(
        r#"
export SLOWFS_ADDR=127.0.0.1:9191
touch raw/file
slowfs mount mnt --subdir raw --listen "$SLOWFS_ADDR" --daemon 2>log
slowfs hang -m flush
held() { slowfs list --json | python3 -c 'import json, sys; sys.exit(json.load(sys.stdin)["faults"][0]["held"] != 1)'; }
python3 -c 'import subprocess
file = open("mnt/file")
subprocess.run(["slowfs", "clear"])' &
soon held
sleep 0.3
held || die 'the child cleared it'
slowfs clear
within 5000 wait $!
umount mnt
"#,
    );
}

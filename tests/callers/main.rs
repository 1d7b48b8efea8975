//! Whose operation it is: a caller is a thread, and its life is its process's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
mod cost;
mod ending;
mod executing;
mod unseen;

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::aio::Aio;
use common::{Mount, delaying, fault_on, hanging, wait_for};
use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to end that is promised to end at once, on a busy machine.
const SOON: Duration = Duration::from_secs(4);

/// A program of `caller.py` on a file of the mount.
struct Caller {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Caller {
    fn new(mount: &Mount, words: &[&str]) -> Caller {
        Caller::with_groups(mount, words, None)
    }

    fn with_groups(mount: &Mount, words: &[&str], groups: Option<&str>) -> Caller {
        let mut command = Command::new("/usr/bin/python3");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/callers/caller.py"));
        command.arg(words[0]).arg(mount.mnt().join("f")).args(&words[1..]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        command.envs(groups.map(|groups| ("GROUPS", groups)));
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Caller { child, lines }
    }

    fn hear(&mut self, what: &str) {
        assert_eq!(self.lines.next().expect("the caller has ended").unwrap(), what);
    }

    fn go(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    fn kill(&self) {
        kill_process(Pid::from_child(&self.child), Signal::KILL).unwrap();
    }

    fn end(&mut self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        let status = wait_for("the caller to end", || self.child.try_wait().unwrap());
        (status, started.elapsed())
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        // With its children. Not waited for: of a test that failed it may be held.
        let _ = rustix::process::kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.try_wait();
    }
}

/// A mirror with a file `f` of 64 KiB that anybody may use.
fn mount() -> Mount {
    with_file(Mount::new())
}

fn with_file(mount: Mount) -> Mount {
    fs::write(mount.mnt().join("f"), [0; 65536]).unwrap();
    fs::set_permissions(mount.mnt().join("f"), PermissionsExt::from_mode(0o666)).unwrap();
    mount
}

fn wait_until_held(mount: &Mount, id: i64, wanted: i64) {
    wait_for("operations to be held", || (mount.listed(id).held == wanted).then_some(()));
}

#[test]
fn asynchronous_operations_of_a_thread_that_has_ended_are_delayed_and_run() {
    let mount = mount();
    let delay = Duration::from_millis(600);
    mount.add(&delaying(&["read", "write"], delay));
    for what in ["aio-read", "aio-write"] {
        for when in ["early", "late"] {
            let started = Instant::now();
            let mut caller = Caller::new(&mount, &[what, when, "reap"]);
            if when == "late" {
                caller.hear("ready");
                caller.go();
            }
            caller.hear("submitted");
            caller.hear("4096");
            assert!(started.elapsed() >= delay, "{what} {when}: {:?}", started.elapsed());
            assert!(caller.end().0.success());
        }
    }
    assert_eq!(fs::read(mount.raw().join("f")).unwrap()[..4096], [b'x'; 4096]);
}

/// The same of io_uring: what its thread leaves under way is no matter of the thread's own.
#[test]
fn a_ring_outlives_the_thread_that_submitted() {
    let mount = mount();
    let delay = Duration::from_millis(600);
    mount.add(&delaying(&["read", "write"], delay));
    let mut ring = Aio::new("uring", &mount.mnt().join("f"), "direct,thread");
    let started = Instant::now();
    assert_eq!(ring.results("w:0:4096:120 r:8192:4096"), [4096, 4096]);
    assert!(started.elapsed() >= delay, "{:?}", started.elapsed());
    assert_eq!(fs::read(mount.raw().join("f")).unwrap()[..4096], [b'x'; 4096]);
}

#[test]
fn a_hang_holds_what_a_thread_left_behind_until_cleared() {
    let mount = mount();
    let id = mount.add(&hanging(&["write"]));
    let mut caller = Caller::new(&mount, &["aio-write", "late", "reap"]);
    caller.hear("ready");
    caller.go();
    caller.hear("submitted");
    // Several looks at a thread that is no more.
    thread::sleep(Duration::from_millis(600));
    assert_eq!(mount.listed(id).held, 1);
    mount.clear();
    caller.hear("4096");
}

#[test]
fn a_killed_process_does_not_wait_for_what_its_threads_left_behind() {
    let mount = mount();
    let _clear = mount.clear_on_drop();
    let id = mount.add(&hanging(&["write"]));
    for when in ["early", "late"] {
        let mut caller = Caller::new(&mount, &["aio-write", when, "stay"]);
        if when == "late" {
            caller.hear("ready");
            caller.go();
        }
        caller.hear("submitted");
        wait_until_held(&mount, id, 1);
        caller.kill();
        let (status, took) = caller.end();
        assert_eq!(status.signal(), Some(libc::SIGKILL));
        assert!(took < SOON, "{when}: {took:?}");
        wait_until_held(&mount, id, 0);
    }
}

#[test]
fn a_kill_is_not_spent_where_nobody_can_be_killed() {
    let mount = mount();
    let kill = fault_on(&["write", "release"]).and("kill", "").with("count", "1");
    let mut caller = Caller::new(&mount, &["map", "msync"]);
    caller.hear("ready");
    let id = mount.add(&kill.with("after", "1"));
    caller.go();
    caller.hear("dirty");
    wait_for("the page to be written back", || (mount.listed(id).skipped >= 1).then_some(()));
    // A release has no caller either, and this very process writes nothing.
    drop(fs::File::open(mount.mnt().join("f")).unwrap());
    wait_for("the release", || (mount.listed(id).skipped >= 2).then_some(()));
    let listed = mount.listed(id);
    assert_eq!((listed.matched, listed.fired), (0, 0));
    // Two writes: the first is let pass, the second is its caller's last.
    let file = mount.mnt().join("f");
    let script = "exec 9<>\"$1\"; printf a >&9; printf b >&9; printf c >&9";
    let status = Command::new("sh").args(["-c", script, "sh"]).arg(file).status().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGKILL));
    mount.wait_until_logged("skips operations without a caller");
}

#[test]
fn a_delayed_kill_ends_the_process_of_a_thread_that_has_ended() {
    let mount = mount();
    let delay = Duration::from_millis(700);
    let id = mount.add(&delaying(&["write"], delay).and("kill", ""));
    let mut caller = Caller::new(&mount, &["aio-write", "late", "stay"]);
    caller.hear("ready");
    wait_until_held(&mount, id, 1);
    caller.go();
    caller.hear("submitted");
    assert_eq!(caller.end().0.signal(), Some(libc::SIGKILL));
}

/// A file of a group that others may not execute keeps its setgid bit when a member writes to it.
#[test]
fn groups_are_those_of_the_process_when_the_thread_has_ended() {
    const GROUP: u32 = 54_321;
    let mount = mount();
    let file = mount.mnt().join("f");
    std::os::unix::fs::chown(&file, Some(0), Some(GROUP)).unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o2666)).unwrap();
    let id = mount.add(&delaying(&["write"], Duration::from_millis(700)));
    for (groups, mode) in [("54321", 0o2666), ("", 0o666)] {
        let mut caller = Caller::with_groups(&mount, &["aio-write", "late", "reap"], Some(groups));
        caller.hear("ready");
        wait_until_held(&mount, id, 1);
        caller.go();
        caller.hear("submitted");
        caller.hear("4096");
        let found = fs::metadata(mount.raw().join("f")).unwrap().mode() & 0o7777;
        assert_eq!(found, mode, "{found:o}");
        fs::set_permissions(&file, PermissionsExt::from_mode(0o2666)).unwrap();
    }
}

/// An operation that blocks in the backing is answered with EINTR only where its process was killed.
#[test]
fn what_blocks_in_the_backing_is_not_given_up_when_its_thread_ends() {
    let inner = Mount::new();
    let _clear = inner.clear_on_drop();
    let scratch = common::scratch();
    std::os::unix::fs::symlink(inner.mnt(), scratch.path().join("raw")).unwrap();
    let outer = Mount::over(scratch, &[] as &[&str]);
    fs::write(outer.mnt().join("f"), [0; 65536]).unwrap();
    let id = inner.add(&hanging(&["write"]));
    let mut callers = ["reap", "stay"].map(|how| {
        let mut caller = Caller::new(&outer, &["aio-write", "late", how]);
        caller.hear("ready");
        caller
    });
    wait_for("a write to block", || (inner.listed(id).held >= 1).then_some(()));
    // Until it is known whose they are.
    thread::sleep(Duration::from_millis(400));
    let [living, killed] = &mut callers;
    for caller in [&mut *living, &mut *killed] {
        caller.go();
        caller.hear("submitted");
    }
    killed.kill();
    let (status, took) = killed.end();
    assert_eq!(status.signal(), Some(libc::SIGKILL));
    assert!(took < SOON, "{took:?}");
    thread::sleep(Duration::from_millis(300));
    inner.clear();
    living.hear("4096");
}

/// The number of a thread is given to another sooner or later.
#[test]
fn a_call_that_ended_long_ago_is_not_continued() {
    let mount = mount();
    let id = mount.add(&delaying(&["getattr"], Duration::from_nanos(1)));
    let path = mount.mnt().join("f");
    let open = fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path).unwrap();
    let before = mount.listed(id).matched;
    thread::sleep(Duration::from_millis(1100));
    open.metadata().unwrap();
    assert_eq!(mount.listed(id).matched, before + 1);
}

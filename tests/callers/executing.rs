//! A process that executes a program: the kernel lets nobody read some of its files in /proc meanwhile.

use std::os::unix::process::ExitStatusExt as _;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::common::{self, Mount, hanging, wait_for};
use super::{Caller, SOON, mount, wait_until_held};

#[test]
fn a_program_is_executed_or_a_process_ended_although_another_thread_is_held() {
    let mount = mount();
    let _clear = mount.clear_on_drop();
    let id = mount.add(&hanging(&["fsync"]));
    for what in ["exec", "leave"] {
        let mut caller = Caller::new(&mount, &[what]);
        caller.hear("ready");
        wait_until_held(&mount, id, 1);
        // Several looks.
        thread::sleep(Duration::from_millis(300));
        caller.go();
        let (status, took) = caller.end();
        assert!(status.success(), "{what}");
        assert!(took < SOON, "{what}: {took:?}");
    }
}

/// While it closes files on its way the kernel lets nobody read some of its files in /proc.
#[test]
fn a_close_on_the_way_to_another_program_is_held_like_any_other() {
    let mount = mount();
    let _clear = mount.clear_on_drop();
    for kills in [false, true] {
        let mut caller = Caller::new(&mount, &["close"]);
        caller.hear("ready");
        let id = mount.add(&hanging(&["flush"]));
        caller.go();
        wait_until_held(&mount, id, 1);
        // Several looks.
        thread::sleep(Duration::from_millis(300));
        assert_eq!(mount.listed(id).held, 1);
        if kills {
            caller.kill()
        } else {
            mount.clear()
        }
        let (status, took) = caller.end();
        assert_eq!(status.signal(), kills.then_some(libc::SIGKILL));
        assert!(took < SOON, "{took:?}");
        mount.clear();
    }
}

/// A caller of `fsync`, which is held, is killed; it is free soon.
fn assert_the_killed_are_freed(mount: &Mount, fault: i64) {
    let before = mount.listed(fault).held;
    let mut killed = Caller::new(mount, &["sync", "1"]);
    killed.hear("ready");
    wait_until_held(mount, fault, before + 1);
    killed.kill();
    let (status, took) = killed.end();
    assert_eq!(status.signal(), Some(libc::SIGKILL));
    assert!(took < SOON, "{took:?}");
}

/// On that way it waits for its asynchronous operations, too.
#[test]
fn one_who_executes_a_program_over_what_is_held_keeps_no_other() {
    let mount = mount();
    let _clear = mount.clear_on_drop();
    let id = mount.add(&hanging(&["write", "fsync"]));
    for when in ["early", "late"] {
        let mut caller = Caller::new(&mount, &["aio-write", when, "exec"]);
        if when == "late" {
            caller.hear("ready");
            caller.go();
        }
        caller.hear("submitted");
        wait_until_held(&mount, id, 1);
        // Until it waits.
        thread::sleep(Duration::from_millis(200));
        assert_the_killed_are_freed(&mount, id);
        assert_eq!(mount.listed(id).held, 1);
        caller.kill();
        let (status, took) = caller.end();
        assert_eq!(status.signal(), Some(libc::SIGKILL));
        assert!(took < SOON, "{when}: {took:?}");
    }
}

/// It is held by another mount, which nothing ends: its daemon does not run.
#[test]
fn one_who_was_killed_on_the_way_to_another_program_keeps_no_other() {
    let (mount, other) = (mount(), mount());
    let _clears = [mount.clear_on_drop(), other.clear_on_drop()];
    let id = other.add(&hanging(&["flush"]));
    let mut stranger = Caller::new(&other, &["close"]);
    stranger.hear("ready");
    stranger.go();
    wait_until_held(&other, id, 1);
    other.signal(Signal::STOP);
    stranger.kill();
    // What is written back has no caller: who may wait for it is searched for.
    let id = mount.add(&hanging(&["write", "fsync"]));
    let mut writer = Caller::new(&mount, &["map", "msync"]);
    writer.hear("ready");
    writer.go();
    writer.hear("dirty");
    wait_until_held(&mount, id, 1);
    // Several searches.
    thread::sleep(Duration::from_millis(600));
    assert_the_killed_are_freed(&mount, id);
    // One that was killed and waits for write-back is found all the same.
    writer.kill();
    let (_, took) = writer.end();
    assert!(took < SOON, "{took:?}");
    other.signal(Signal::CONT);
    assert_eq!(stranger.end().0.signal(), Some(libc::SIGKILL));
}

#[test]
fn a_process_on_the_way_to_another_program_keeps_no_unmount() {
    let (mount, mut other) = (mount(), mount());
    let _clear = mount.clear_on_drop();
    let mut caller = Caller::new(&mount, &["close"]);
    caller.hear("ready");
    let id = mount.add(&hanging(&["flush"]));
    caller.go();
    wait_until_held(&mount, id, 1);
    let mut umount = common::slowfs().arg("umount").arg(other.mnt()).spawn().unwrap();
    let done = wait_for("the other mount to be unmounted", || umount.try_wait().unwrap());
    assert!(done.success());
    assert!(other.wait().success());
    mount.clear();
    assert!(caller.end().0.success());
}

//! /healthz asks the mount, and not only the port.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::common::http::{Answer, Http};
use crate::common::{Mount, Within, fault_on, hanging, scratch, wait_for};

fn health(mount: &Mount) -> Answer {
    let began = Instant::now();
    let answer = Http::socket(mount).get("/healthz");
    // It is bounded by a second; this machine may be busy.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    answer
}

fn becomes(mount: &Mount, status: u16) -> Answer {
    let what = format!("{} to be {status}", mount.mnt().display());
    wait_for(&what, || Some(health(mount)).filter(|answer| answer.status == status))
}

#[test]
fn faults_are_no_illness() {
    let mount = Mount::new();
    let _clear = mount.clear_on_drop();
    becomes(&mount, 200);
    let before = mount.client().stats().unwrap();
    let asked = |stats: &slowfs::rpc::Statistics| {
        let statfs = stats.methods.iter().find(|method| method.name == "statfs");
        statfs.map_or(0, |statfs| statfs.calls)
    };
    let id = mount.add(&hanging(&["all"]));
    let looked = health(&mount);
    assert_eq!(looked.status, 200, "{looked:?}");
    // It did ask, and met nothing.
    let after = mount.client().stats().unwrap();
    assert!(asked(&after) > asked(&before));
    assert_eq!(mount.listed(id).matched, 0);
    mount.clear();
    let id = mount.add(&fault_on(&["statfs"]).and("error", "EIO"));
    assert_eq!(health(&mount).status, 200);
    assert_eq!(mount.listed(id).matched, 0);
    assert!(rustix::fs::statfs(mount.mnt()).is_err(), "others meet it");
}

/// A mirror, and a mirror of it, whose backing answers nothing while a fault holds it. The second is to end first.
fn of_a_mirror() -> (Mount, Mount) {
    let inner = Mount::new();
    let scratch = scratch();
    std::os::unix::fs::symlink(inner.mnt(), scratch.path().join("raw")).unwrap();
    (inner, Mount::over(scratch, &[] as &[&str]))
}

#[test]
fn a_mount_that_does_not_answer_is_unwell_and_gets_well_again() {
    let (inner, outer) = of_a_mirror();
    let _clear = inner.clear_on_drop();
    becomes(&outer, 200);
    let id = inner.add(&hanging(&["statfs"]));
    let answer = health(&outer);
    assert_eq!(answer.status, 503, "{answer:?}");
    let why = answer.json()["error"].as_str().unwrap().to_owned();
    assert!(why.contains("has not answered for"), "{why}");
    // Who asks again waits for the same look, and nothing piles up.
    (0..3).for_each(|_| assert_eq!(health(&outer).status, 503));
    assert_eq!(inner.listed(id).held, 1);
    // The port answers all the while.
    assert_eq!(Http::socket(&outer).get("/v1/faults").status, 200);
    inner.clear();
    becomes(&outer, 200);
    // An error is an answer of the backing, and told.
    inner.add(&fault_on(&["statfs"]).and("error", "EIO"));
    let why = becomes(&outer, 503).json()["error"].as_str().unwrap().to_owned();
    assert!(why.contains("Input/output error"), "{why}");
}

#[test]
fn a_mount_that_is_covered_is_not_taken_for_itself() {
    let mount = Mount::new();
    becomes(&mount, 200);
    let cover = Within::over("tmpfs", mount.mnt(), None);
    let answer = health(&mount);
    assert_eq!(answer.status, 503, "{answer:?}");
    drop(cover);
    assert_eq!(health(&mount).status, 200);
}

/// A look that waits keeps nothing open: else a daemon that is killed meanwhile would wait for itself.
#[test]
fn a_daemon_that_is_killed_during_a_look_is_gone() {
    let (inner, mut outer) = of_a_mirror();
    let _clear = inner.clear_on_drop();
    becomes(&outer, 200);
    let id = inner.add(&hanging(&["statfs"]));
    assert_eq!(health(&outer).status, 503);
    wait_for("the look to be held", || (inner.listed(id).held == 1).then_some(()));
    outer.signal(Signal::KILL);
    assert!(!outer.wait().success());
    // Its mount has no server any more.
    let error = fs::read_dir(outer.mnt()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOTCONN), "{error}");
}

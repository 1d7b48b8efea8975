//! A process on its way out, by itself or killed: what it waits for is let go.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use slowfs::fault::FaultWords;

use super::common::{self, Mount, PATIENCE, delaying, hanging, long_or, wait_for};
use super::{Caller, SOON, mount, wait_until_held};

#[test]
fn a_process_that_ends_by_itself_is_let_go_from_a_hang_in_its_last_close() {
    let mount = mount();
    let _clear = mount.clear_on_drop();
    for (how, signal) in [("exit", None), ("abort", Some(libc::SIGABRT))] {
        let mut caller = Caller::new(&mount, &["open", how]);
        caller.hear("ready");
        let id = mount.add(&hanging(&["flush"]));
        caller.go();
        let (status, took) = caller.end();
        assert_eq!(status.signal(), signal, "{how}");
        assert!(took < SOON, "{how}: {took:?}");
        assert_eq!(mount.listed(id).let_go, 1, "{how}");
        mount.clear();
    }
    // By a signal's default action, and then kill -9, which the kernel drops.
    let mut caller = Caller::new(&mount, &["open", "stay"]);
    caller.hear("ready");
    let id = mount.add(&hanging(&["flush"]));
    kill_process(Pid::from_child(&caller.child), Signal::TERM).unwrap();
    wait_for("its last close", || (mount.listed(id).fired == 1).then_some(()));
    caller.kill();
    let (status, took) = caller.end();
    assert_eq!(status.signal(), Some(libc::SIGTERM));
    assert!(took < SOON, "{took:?}");
    assert_eq!(mount.listed(id).let_go, 1);
    let list = common::stdout_of(common::slowfs().args(["list", "--addr", &mount.addr]));
    assert!(list.contains("let 1 go early"), "{list}");
}

/// A process that dumps core where `f` is, another thread of which is held in a close, up to the held
/// writes of its core.
fn dumping(mount: &Mount, fault: &FaultWords) -> Caller {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    assert!(
        !pattern.contains(['|', '/']),
        "this test needs cores in the directory of who dumps them, and they go to {}: \
         `sysctl kernel.core_pattern=core`",
        pattern.trim()
    );
    let mut caller = Caller::new(mount, &["core"]);
    caller.hear("ready");
    let close = mount.add(&hanging(&["flush"]));
    let writes = mount.add(fault);
    caller.go();
    caller.hear("ready");
    wait_until_held(mount, close, 1);
    caller.go();
    wait_for("the core to be written", || (mount.listed(writes).fired >= 1).then_some(()));
    assert_eq!(mount.listed(close).held, 0, "the kernel waits for the other threads first");
    caller
}

/// How much memory is in the core of such a process.
const IN_CORE: usize = 2 << 20;

/// What is in the core of that process.
fn core(mount: &Mount) -> Vec<u8> {
    let mut names = fs::read_dir(mount.raw()).unwrap().map(|entry| entry.unwrap().path());
    let is_core = |path: &PathBuf| path.file_name().unwrap().as_bytes().starts_with(b"core");
    fs::read(names.find(is_core).expect("a core was made")).unwrap()
}

#[test]
fn a_core_that_a_hang_holds_is_let_go_and_whole() {
    let mount = mount();
    let _clear = mount.clear_on_drop();
    let mut caller = dumping(&mount, &hanging(&["write"]));
    let (status, took) = caller.end();
    assert_eq!(status.signal(), Some(libc::SIGABRT));
    assert!(status.core_dumped());
    assert!(took < SOON, "{took:?}");
    let core = core(&mount);
    assert!(core.starts_with(b"\x7fELF") && core.len() > IN_CORE, "{} bytes", core.len());
    let listed = mount.client().list_faults().unwrap();
    let writes = listed.iter().find(|listed| listed.fault.methods == ["write"]).unwrap();
    assert!(writes.let_go >= 1 && writes.held == 0, "{writes:?}");
}

#[test]
fn a_kill_ends_a_core_that_is_delayed() {
    let mount = mount();
    let _clear = mount.clear_on_drop();
    let mut caller = dumping(&mount, &delaying(&["write"], Duration::from_millis(900)));
    caller.kill();
    let (status, took) = caller.end();
    assert!(status.signal().is_some());
    assert!(took < SOON, "{took:?}");
    assert!(core(&mount).len() < IN_CORE);
}

/// From these the kernel wakes nobody whom SIGKILL ends.
#[test]
fn one_who_cannot_be_woken_is_free_soon_when_killed() {
    let mount = mount();
    let _clear = mount.clear_on_drop();
    for (what, method) in [("ahead", "read"), ("direct", "write"), ("shut", "flush")] {
        let id = mount.add(&hanging(&[method]));
        let mut caller = Caller::new(&mount, &[what]);
        caller.hear("ready");
        caller.go();
        wait_until_held(&mount, id, 1);
        if what == "shut" {
            kill_process(Pid::from_child(&caller.child), Signal::USR1).unwrap();
        }
        let status = format!("/proc/{}/status", caller.child.id());
        let sleeps = || fs::read_to_string(&status).unwrap().contains("State:\tD");
        wait_for("it to sleep deeply", || sleeps().then_some(()));
        // Several looks.
        thread::sleep(Duration::from_millis(300));
        caller.kill();
        let (status, took) = caller.end();
        assert_eq!(status.signal(), Some(libc::SIGKILL));
        assert!(took < SOON, "{what}: {took:?}");
        mount.clear();
    }
}

#[test]
fn a_delay_of_a_last_close_runs_its_length_up_to_five_seconds() {
    let mount = mount();
    let run = |delay| {
        let mut caller = Caller::new(&mount, &["open", "exit"]);
        caller.hear("ready");
        let id = mount.add(&delaying(&["flush"], delay));
        let started = Instant::now();
        caller.go();
        let (status, _) = caller.end();
        assert!(status.success());
        let let_go = mount.listed(id).let_go;
        mount.clear();
        (started.elapsed(), let_go)
    };
    let (took, let_go) = run(Duration::from_millis(700));
    assert!(took >= Duration::from_millis(700), "{took:?}");
    assert_eq!(let_go, 0);
    // The bound itself is tested on the delay line.
    if long_or(true, false) {
        let (took, let_go) = run(Duration::from_secs(60));
        assert!(took >= Duration::from_secs(5) && took < PATIENCE, "{took:?}");
        assert_eq!(let_go, 1);
    }
}

#[test]
fn a_process_with_a_dirty_mapping_ends_and_its_data_is_written() {
    let mount = mount();
    let _clear = mount.clear_on_drop();
    for how in ["stay", "msync", "exit"] {
        fs::write(mount.mnt().join("f"), [0; 65536]).unwrap();
        let mut caller = Caller::new(&mount, &["map", how]);
        caller.hear("ready");
        let id = mount.add(&hanging(&["write"]));
        caller.go();
        caller.hear("dirty");
        if how == "msync" {
            wait_until_held(&mount, id, 1);
        }
        if how != "exit" {
            caller.kill();
        }
        let (_, took) = caller.end();
        assert!(took < SOON, "{how}: {took:?}");
        let listed = mount.listed(id);
        assert_eq!((listed.fired, listed.let_go), (1, 1), "{how}");
        let data = fs::read(mount.raw().join("f")).unwrap();
        assert_eq!(&data[5000..5005], b"dirty", "{how}: what was stored is not lost");
        mount.clear();
    }
}

/// A process that dies elsewhere lets nothing go here.
#[test]
fn what_is_written_back_for_those_that_live_stays_held() {
    let (mount, other) = (mount(), mount());
    let _clears = [mount.clear_on_drop(), other.clear_on_drop()];
    let mut living = Caller::new(&mount, &["map", "msync"]);
    living.hear("ready");
    let id = mount.add(&hanging(&["write"]));
    living.go();
    living.hear("dirty");
    wait_until_held(&mount, id, 1);
    let mut dying = Caller::new(&other, &["map", "stay"]);
    dying.hear("ready");
    other.add(&hanging(&["write"]));
    dying.go();
    dying.hear("dirty");
    dying.kill();
    dying.end();
    assert_eq!((mount.listed(id).held, mount.listed(id).let_go), (1, 0));
}

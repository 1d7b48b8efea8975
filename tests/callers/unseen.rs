//! Callers in a pid namespace that the daemon cannot see: told at the start, and the ways out of what is
//! held for them.

use std::process::Command;
use std::thread;
use std::time::Duration;

use super::common::{Mount, hanging, slowfs};
use super::{Caller, SOON, wait_until_held, with_file};

/// A daemon in a pid namespace of its own, as in a container; who uses its mount is not. It ends when this
/// is dropped.
struct Contained {
    mount: Mount,
}

impl Contained {
    fn start() -> Contained {
        let mut program = Command::new("unshare");
        program.args(["--pid", "--fork", "--kill-child=TERM"]).arg(slowfs().get_program());
        Contained { mount: with_file(Mount::by(program)) }
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        // What a failed test has held would else keep its caller.
        let _ = Command::new("umount").arg("-f").arg(self.mount.mnt()).output();
        let _ = Command::new("umount").arg("-l").arg(self.mount.mnt()).output();
    }
}

/// A caller that is killed while a write-back for it is held, and stays.
fn stuck(mount: &Mount) -> Caller {
    let mut caller = Caller::new(mount, &["map", "msync"]);
    caller.hear("ready");
    let id = mount.add(&hanging(&["write"]));
    caller.go();
    caller.hear("dirty");
    wait_until_held(mount, id, 1);
    caller.kill();
    // Half a second is what a visible one takes.
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(mount.listed(id).held, 1);
    assert!(caller.child.try_wait().unwrap().is_none(), "the limits say that it stays");
    caller
}

#[test]
fn a_clear_frees_a_caller_that_the_daemon_cannot_see() {
    let daemon = Contained::start();
    let mount = &daemon.mount;
    let _clear = mount.clear_on_drop();
    let mut caller = stuck(mount);
    let log = mount.log_text();
    assert!(
        log.contains("/proc is not that of this pid namespace: callers count as unknown"),
        "{log}"
    );
    let clear = slowfs().args(["clear", "--addr", &mount.addr]).output().unwrap();
    assert!(clear.status.success(), "{clear:?}");
    let (_, took) = caller.end();
    assert!(took < SOON, "{took:?}");
}

#[test]
fn a_forced_unmount_frees_a_caller_that_the_daemon_cannot_see() {
    let daemon = Contained::start();
    let mut caller = stuck(&daemon.mount);
    // Busy: the connection is aborted all the same.
    let _ = Command::new("umount").arg("-f").arg(daemon.mount.mnt()).output().unwrap();
    let (_, took) = caller.end();
    assert!(took < SOON, "{took:?}");
}

//! As a service: the manager is told when the mount is ready, lives and ends, and the unit is one that it takes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Mount, PATIENCE, fault_on, hanging, is_fuse, scratch, slowfs, text_of, wait_for};
use rustix::process::Signal;

/// The end of the socket that a service manager has.
struct Manager {
    socket: UnixDatagram,
    name: String,
}

impl Manager {
    fn new(name: &str) -> Manager {
        let name = format!("slowfs-test-{name}-{}", std::process::id());
        let socket = SocketAddr::from_abstract_name(&name).unwrap();
        Manager { socket: UnixDatagram::bind_addr(&socket).unwrap(), name: format!("@{name}") }
    }

    /// A daemon that it starts, with a watchdog of that many milliseconds.
    fn starts(&self, watchdog: Option<u64>) -> Command {
        let mut command = slowfs();
        command.env("NOTIFY_SOCKET", &self.name);
        if let Some(ms) = watchdog {
            command.env("WATCHDOG_USEC", (ms * 1000).to_string());
        }
        command
    }

    /// The next that it is told within that time.
    fn told(&self, within: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(within)).unwrap();
        let mut text = vec![0; 4096];
        let length = self.socket.recv(&mut text).ok()?;
        text.truncate(length);
        Some(String::from_utf8(text).unwrap())
    }

    fn next(&self) -> String {
        self.told(PATIENCE).expect("the manager is told something")
    }

    /// What comes for it to be that.
    fn wait_for(&self, part: &str) -> String {
        let began = Instant::now();
        loop {
            let told = self.next();
            if told.contains(part) {
                return told;
            }
            assert!(began.elapsed() < PATIENCE, "waited for {part}");
        }
    }

    /// Others take the room that it has.
    fn fill(&self) {
        let name = SocketAddr::from_abstract_name(&self.name[1..]).unwrap();
        let other = UnixDatagram::unbound().unwrap();
        other.set_nonblocking(true).unwrap();
        while other.send_to_addr(b"of others", &name).is_ok() {}
    }

    /// What was told so far is of no matter.
    fn forget(&self) {
        while self.told(Duration::from_millis(1)).is_some() {}
    }
}

#[test]
fn the_manager_is_told_of_the_start_and_of_the_end() {
    let manager = Manager::new("ends");
    let mut command = manager.starts(Some(200));
    // The watchdog of whoever started this is not for it.
    command.env("WATCHDOG_PID", "1");
    let mut mount = Mount::run(command, scratch(), &[] as &[&str]);
    let ready = manager.next();
    assert!(is_fuse(&mount.mnt()));
    let lines: Vec<_> = ready.lines().collect();
    assert_eq!((lines[0], lines.len()), ("READY=1", 2), "{ready}");
    let mirrors = format!("{} mirrors {}", mount.mnt().display(), mount.raw().display());
    assert!(lines[1].starts_with(&format!("STATUS={mirrors}; control: 127.0.0.1:")), "{ready}");
    mount.signal(Signal::TERM);
    assert_eq!(manager.next().lines().next(), Some("STOPPING=1"), "and nothing between");
    assert!(mount.wait().success());
    assert_eq!(manager.told(Duration::from_millis(1)), None);
    // A command that goes to the background is no service.
    let dir = scratch();
    let mut background = manager.starts(None);
    background.arg("mount").arg(dir.path()).args(["--listen", "none", "--daemon"]);
    assert!(background.status().unwrap().success());
    assert!(is_fuse(dir.path()));
    assert!(slowfs().arg("umount").arg(dir.path()).status().unwrap().success());
    assert_eq!(manager.told(Duration::from_millis(1)), None);
}

#[test]
fn a_manager_that_has_no_room_for_a_while_is_told_of_the_start_all_the_same() {
    let manager = Manager::new("full");
    manager.fill();
    let mut mount = Mount::run(manager.starts(None), scratch(), &[] as &[&str]);
    let began = Instant::now();
    mount.wait_until_logged("the service manager has no room for READY=1");
    // Longer than any other message waits.
    wait_for("a while to pass", || (began.elapsed() >= Duration::from_millis(1_500)).then_some(()));
    let ready = manager.wait_for("READY=1");
    assert!(ready.contains(" mirrors "), "{ready}");
    mount.wait_until_logged("the service manager is told READY=1");
    assert_eq!(mount.log_text().matches("has no room").count(), 1, "{}", mount.log_text());
    mount.signal(Signal::TERM);
    assert_eq!(manager.next().lines().next(), Some("STOPPING=1"), "and nothing between");
    assert!(mount.wait().success());
    // Where somebody looks at the mount the status is his: it may not be well any more.
    manager.fill();
    let mut mount = Mount::run(manager.starts(Some(300)), scratch(), &[] as &[&str]);
    mount.wait_until_logged("the service manager has no room for READY=1");
    let (mut told, began) = (Vec::new(), Instant::now());
    let has = |told: &[String], wanted: &str| told.iter().any(|told| told.starts_with(wanted));
    while !has(&told, "READY=1") || !has(&told, "WATCHDOG=1\nSTATUS=") {
        assert!(began.elapsed() < PATIENCE, "{told:?}");
        told.push(manager.next());
    }
    assert!(told.iter().any(|told| told == "READY=1"), "{told:?}");
    mount.signal(Signal::TERM);
    manager.wait_for("STOPPING=1");
    assert!(mount.wait().success());
    // Nor does the end wait for room.
    manager.fill();
    let mut mount = Mount::run(manager.starts(None), scratch(), &[] as &[&str]);
    mount.wait_until_logged("the service manager has no room for READY=1");
    mount.signal(Signal::TERM);
    assert!(mount.wait().success());
    manager.forget();
}

#[test]
fn the_watchdog_is_fed_whatever_faults_there_are() {
    let manager = Manager::new("fed");
    let mount = Mount::run(manager.starts(Some(300)), scratch(), &["--track-unsynced"]);
    let _clear = mount.clear_on_drop();
    manager.wait_for("READY=1");
    let is_fed = |what: &str| {
        manager.forget();
        let began = Instant::now();
        (0..3).for_each(|_| assert_eq!(manager.next(), "WATCHDOG=1", "{what}"));
        // At half of the time.
        assert!(began.elapsed() >= Duration::from_millis(150), "{:?}", began.elapsed());
    };
    is_fed("well");
    mount.add(&hanging(&["all"]));
    is_fed("held");
    mount.clear();
    let addr = ["--addr", &mount.addr];
    let off = slowfs().args(["power-cut", "--now", "--stay-off"]).args(addr).output().unwrap();
    assert!(off.status.success(), "{}", text_of(&off));
    assert!(rustix::fs::statfs(mount.mnt()).is_err(), "the power is off");
    is_fed("off");
}

#[test]
fn the_watchdog_is_not_fed_while_the_mount_does_not_answer() {
    let inner = Mount::new();
    let _clear = inner.clear_on_drop();
    let scratch = scratch();
    std::os::unix::fs::symlink(inner.mnt(), scratch.path().join("raw")).unwrap();
    let manager = Manager::new("hungry");
    let outer = Mount::run(manager.starts(Some(300)), scratch, &[] as &[&str]);
    manager.wait_for("WATCHDOG=1");
    let id = inner.add(&hanging(&["statfs"]));
    let status = manager.wait_for("STATUS=the mount has not answered for ");
    assert_eq!(status.lines().count(), 1);
    wait_for("the look to be held", || (inner.listed(id).held == 1).then_some(()));
    assert_eq!(manager.told(Duration::from_millis(900)), None, "it is told of once");
    inner.clear();
    let again = manager.wait_for("WATCHDOG=1");
    assert!(again.contains(" mirrors "), "the status is that of a mount that is well: {again}");
    // An error is no sign of life.
    inner.add(&fault_on(&["statfs"]).and("error", "EIO"));
    manager.wait_for("STATUS=cannot ask the mount: Input/output error");
    outer.wait_until_logged("the watchdog is not fed");
}

/// What `systemd-analyze verify` says of the unit, with programs that are there.
#[test]
fn the_unit_is_one_that_the_manager_takes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let unit = fs::read_to_string(root.join("packaging/slowfs@.service")).unwrap();
    let dir = scratch();
    let path = dir.path().join("slowfs@data.service");
    let program = slowfs();
    let program = program.get_program().to_str().unwrap();
    assert_eq!(unit.matches("=/usr/bin/slowfs ").count(), 2);
    fs::write(&path, unit.replace("/usr/bin/slowfs ", &format!("{program} "))).unwrap();
    let mut verify = Command::new("systemd-analyze");
    let verify = verify.args(["verify", "--man=no"]).arg(&path).output();
    let verify = verify.expect("systemd-analyze of Debian's systemd");
    assert!(verify.status.success() && text_of(&verify).is_empty(), "{}", text_of(&verify));
}

/// The command lines of the unit, with what its file of settings says, do what they say.
#[test]
fn the_unit_mounts_and_applies_anew() {
    let unit = include_str!("../packaging/slowfs@.service");
    let dir = scratch();
    for name in ["raw", "mnt"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    let faults = dir.path().join("faults");
    fs::write(&faults, "delay 1ms -m fsync --name slow\n").unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let typed = |verb: &str| -> Vec<String> {
        let line =
            unit.lines().find_map(|line| line.strip_prefix(&format!("{verb}=/usr/bin/slowfs ")));
        let line = line.unwrap().replace("$OPTIONS", &format!("--state {}", at("state")));
        let line = line.replace("${SUBDIR}", &at("raw")).replace("${MOUNTPOINT}", &at("mnt"));
        line.replace("${FAULTS}", &at("faults")).split(' ').map(str::to_owned).collect()
    };
    let manager = Manager::new("unit");
    let mut daemon = manager.starts(Some(30_000)).args(typed("ExecStart")).spawn().unwrap();
    manager.wait_for("READY=1");
    fs::write(&faults, "delay 2ms -m fsync --name slow\n").unwrap();
    let reloaded = slowfs().args(typed("ExecReload")).output().unwrap();
    assert!(
        text_of(&reloaded).contains("changed: delay 1ms -> delay 2ms"),
        "{}",
        text_of(&reloaded)
    );
    let pid = rustix::process::Pid::from_child(&daemon);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert!(wait_for("the daemon to end", || daemon.try_wait().unwrap()).success());
    assert!(!is_fuse(&dir.path().join("mnt")));
    assert!(fs::read_to_string(at("state")).unwrap().contains("delay 2ms"));
}

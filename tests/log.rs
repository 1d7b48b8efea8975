//! A log that nobody takes: it keeps nothing from its work and nobody from an answer, and ends nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, PipeReader, Read, Write, pipe};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::{PATIENCE, Within, failing, is_fuse, is_ours, slowfs, text_of, wait_for};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Action, tcflow};
use slowfs::rpc::Client;
use tempfile::TempDir;

/// A daemon that logs each operation, wherever its log goes.
struct Daemon {
    scratch: TempDir,
    child: Option<Child>,
    addr: String,
}

/// A port that is free, that the system gives nobody by itself and no other test takes.
fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + u16::try_from(std::process::id() * 50 % 20_000).unwrap();
    let mut ports = std::iter::repeat_with(|| first + TAKEN.fetch_add(1, Ordering::Relaxed));
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

impl Daemon {
    /// Mounts with these options; `streams` says where standard output and error go.
    fn start(scratch: TempDir, options: &[&str], streams: impl FnOnce(&mut Command)) -> Daemon {
        let addr = format!("127.0.0.1:{}", free_port());
        for dir in ["raw", "mnt"] {
            fs::create_dir(scratch.path().join(dir)).unwrap();
        }
        let mut daemon = Daemon { scratch, child: None, addr };
        let mut command = daemon.command();
        command.arg("--log-ops").args(options).stdin(Stdio::null()).process_group(0);
        streams(&mut command);
        daemon.child = Some(command.spawn().unwrap());
        // It holds copies of the streams.
        drop(command);
        wait_for("the daemon to answer", || {
            assert_eq!(daemon.child.as_mut().unwrap().try_wait().unwrap(), None, "it ended");
            Client::connect(&daemon.addr, Duration::from_secs(5)).ok()?.info().ok()
        });
        daemon
    }

    fn command(&self) -> Command {
        let mut command = slowfs();
        command.arg("mount").arg(self.mnt()).arg("--subdir").arg(self.scratch.path().join("raw"));
        command.args(["--listen", &self.addr]);
        command
    }

    fn mnt(&self) -> PathBuf {
        self.scratch.path().join("mnt")
    }

    fn client(&self) -> Client {
        Client::connect(&self.addr, Duration::from_secs(5)).unwrap()
    }

    fn lost(&self) -> i64 {
        self.client().stats().unwrap().log_lines_lost
    }

    /// Twelve thousand operations, each a line of the log: more than a pipe and the queue hold.
    fn operate(&self) {
        let mnt = self.mnt();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            fs::write(mnt.join("file"), "written").unwrap();
            for n in 0..12_000 {
                assert!(!mnt.join(format!("there-is-no-file-of-this-name-{n}")).exists());
            }
            assert_eq!(fs::read_to_string(mnt.join("file")).unwrap(), "written");
            tell.send(()).unwrap();
        });
        told.recv_timeout(3 * PATIENCE).expect("operations go on");
    }

    /// Control calls are answered, and change what they say.
    fn control(&self) {
        let mut client = self.client();
        client.put_fault(&failing(&["mkdir"], "EIO"), false).unwrap();
        assert_eq!(common::errno_of(fs::create_dir(self.mnt().join("d"))), libc::EIO);
        client.clear_all_faults().unwrap();
        fs::create_dir(self.mnt().join("d")).unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), signal).unwrap();
    }

    /// Waits for its end.
    fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        wait_for("the daemon to end", || child.try_wait().unwrap())
    }

    /// SIGTERM ends it in time, and leaves no mount.
    fn stop(&mut self) {
        let began = Instant::now();
        self.signal(Signal::TERM);
        let status = self.wait();
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert!(status.success(), "{status}");
        assert!(!is_ours(&self.mnt()), "a dead mount is left");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        common::detach_all(&self.mnt());
    }
}

/// All that must go on while nobody takes the log.
fn works(mut daemon: Daemon) {
    daemon.operate();
    daemon.control();
    assert!(daemon.lost() > 0, "lines are lost, and counted");
    daemon.stop();
}

fn to(stream: impl AsFd) -> impl FnOnce(&mut Command) {
    let [out, err] = [(); 2].map(|()| stream.as_fd().try_clone_to_owned().unwrap());
    move |command| {
        command.stdout(out).stderr(err);
    }
}

/// A pipe that takes nothing any more, and its reader.
fn full_pipe() -> (PipeReader, OwnedFd) {
    let (reader, writer) = pipe().unwrap();
    let writer = OwnedFd::from(writer);
    fill(&writer);
    (reader, writer)
}

fn fill(writer: &OwnedFd) {
    let flags = rustix::fs::fcntl_getfl(writer).unwrap();
    rustix::fs::fcntl_setfl(writer, flags | OFlags::NONBLOCK).unwrap();
    for size in [4096, 1] {
        while rustix::io::write(writer, &vec![b'-'; size]).is_ok() {}
    }
    rustix::fs::fcntl_setfl(writer, flags).unwrap();
}

#[test]
fn a_reader_that_goes_after_two_lines_ends_nothing() {
    let (reader, writer) = pipe().unwrap();
    let mut daemon = Daemon::start(common::scratch(), &[], to(&writer));
    drop(writer);
    // As `2>&1 | head -2` does.
    let mut lines = BufReader::new(reader).lines();
    assert!(lines.next().unwrap().unwrap().contains("mirrors"));
    // The line for whoever waits for the mount, on standard output, says that too; either comes first.
    let next = lines.next().unwrap().unwrap();
    assert!(next.contains("mirrors") || next.contains("served on"), "{next}");
    drop(lines);
    daemon.operate();
    daemon.control();
    assert!(daemon.lost() > 0);
    daemon.stop();
}

#[test]
fn a_pipe_that_is_never_read_holds_nothing_up() {
    let (_reader, writer) = full_pipe();
    works(Daemon::start(common::scratch(), &[], to(&writer)));
}

#[test]
fn a_terminal_that_was_stopped_holds_nothing_up() {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = rustix::fs::open(name, flags, Mode::empty()).unwrap();
    // ctrl-S
    tcflow(&terminal, Action::OOff).unwrap();
    works(Daemon::start(common::scratch(), &[], to(&terminal)));
}

#[test]
fn a_full_disk_under_the_log_holds_nothing_up() {
    let scratch = common::scratch();
    let disk = scratch.path().join("disk");
    let _mounted = Within::mount_of("tmpfs", disk.clone(), Some("size=64k"));
    let log = disk.join("log");
    let mut daemon = Daemon::start(
        scratch,
        &["--log-file", log.to_str().unwrap()],
        to(File::create("/dev/null").unwrap()),
    );
    daemon.operate();
    daemon.control();
    assert!(daemon.lost() > 0);
    // With room again the log goes on, and says what is missing.
    fs::write(&log, "").unwrap();
    fs::remove_dir(daemon.mnt().join("d")).unwrap();
    let text = wait_for("the log to go on", || {
        let text = fs::read_to_string(&log).unwrap();
        text.contains("lost here: No space left on device").then_some(text)
    });
    assert!(
        text.starts_with('\n') || text.starts_with("20"),
        "no line begins within another: {text}"
    );
    daemon.stop();
}

#[test]
fn a_device_that_is_always_full_holds_nothing_up() {
    let null = File::create("/dev/null").unwrap();
    works(Daemon::start(common::scratch(), &["--log-file", "/dev/full"], to(null)));
    let full = File::options().write(true).open("/dev/full").unwrap();
    works(Daemon::start(common::scratch(), &[], to(full)));
}

#[test]
fn a_fifo_that_nobody_reads_holds_nothing_up() {
    let scratch = common::scratch();
    let fifo = scratch.path().join("fifo");
    rustix::fs::mkfifoat(CWD, &fifo, Mode::RWXU).unwrap();
    let option = fifo.to_str().unwrap().to_owned();
    let null = File::create("/dev/null").unwrap();
    let mut daemon = Daemon::start(scratch, &["--log-file", &option], to(null));
    daemon.operate();
    daemon.control();
    let lost = daemon.lost();
    assert!(lost > 0);
    // Who reads at last gets all but those lines, and is told how many are missing.
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let lines = BufReader::new(File::open(fifo).unwrap()).lines();
        let missing = lines.map(Result::unwrap).find(|line| line.contains("lost here"));
        tell.send(missing.unwrap()).unwrap();
    });
    let missing = told.recv_timeout(PATIENCE).unwrap();
    assert!(
        missing.contains(&format!(" {lost} log lines were lost here: nobody took")),
        "{missing}"
    );
    daemon.stop();
}

#[test]
fn a_start_waits_for_no_reader() {
    let (_reader, writer) = full_pipe();
    let mut daemon = Daemon { scratch: common::scratch(), child: None, addr: "none".into() };
    for dir in ["raw", "mnt"] {
        fs::create_dir(daemon.scratch.path().join(dir)).unwrap();
    }
    let mut command = daemon.command();
    command.arg("--daemon");
    to(&writer)(&mut command);
    daemon.child = Some(command.spawn().unwrap());
    assert!(daemon.wait().success());
    assert!(is_fuse(&daemon.mnt()));
    let output = slowfs().arg("umount").arg(daemon.mnt()).output().unwrap();
    assert!(output.status.success(), "{}", text_of(&output));
    // One that fails ends, whoever is to read why.
    fs::remove_dir(daemon.scratch.path().join("raw")).unwrap();
    let mut command = daemon.command();
    to(&writer)(&mut command);
    daemon.child = Some(command.spawn().unwrap());
    assert_eq!(daemon.wait().code(), Some(1));
}

/// Waits for the log to have a line with that in it.
fn logged(log: &Path, part: &str) {
    wait_for(part, || fs::read_to_string(log).unwrap_or_default().contains(part).then_some(()));
}

#[test]
fn hangup_reopens_the_log_of_a_daemon() {
    let scratch = common::scratch();
    let (log, moved) = (scratch.path().join("log"), scratch.path().join("log.1"));
    let pid_file = scratch.path().join("pid");
    let options = ["--daemon", "--log-file", log.to_str().unwrap(), "--pid-file"];
    let mut daemon = Daemon { scratch, child: None, addr: format!("127.0.0.1:{}", free_port()) };
    for dir in ["raw", "mnt"] {
        fs::create_dir(daemon.scratch.path().join(dir)).unwrap();
    }
    let mut command = daemon.command();
    let output = command.args(options).arg(&pid_file).output().unwrap();
    assert!(output.status.success(), "{}", text_of(&output));
    let pid = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    let hangup = || kill_process(Pid::from_raw(pid).unwrap(), Signal::HUP).unwrap();
    let set = |errno: &str| daemon.client().put_fault(&failing(&["mkdir"], errno), false).unwrap();

    set("EIO");
    logged(&log, "EIO");
    // logrotate's ordinary way
    fs::rename(&log, &moved).unwrap();
    hangup();
    logged(&log, "the log goes on");
    set("ENOSPC");
    logged(&log, "ENOSPC");
    assert!(!fs::read_to_string(&moved).unwrap().contains("ENOSPC"));
    assert_eq!(common::errno_of(fs::create_dir(daemon.mnt().join("d"))), libc::ENOSPC);
    // A file that cannot be opened leaves the one that is open.
    fs::rename(&log, &moved).unwrap();
    fs::create_dir(&log).unwrap();
    hangup();
    logged(&moved, "cannot reopen the log");
    // copytruncate
    fs::write(&moved, "").unwrap();
    set("EROFS");
    logged(&moved, "EROFS");
    assert!(!fs::read(&moved).unwrap().contains(&0), "no hole is left");

    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    wait_for("the mount to go", || (!is_ours(&daemon.mnt())).then_some(()));
    wait_for("the daemon to end", || (!pid_file.exists()).then_some(()));
    daemon.child = None;
}

/// Through the mount each of its lines would make another one.
#[test]
fn a_log_below_its_own_mount_is_reopened_beneath_it() {
    let scratch = common::scratch();
    let dir = scratch.path().join("dir");
    fs::create_dir(&dir).unwrap();
    let (log, pid_file) = (dir.join("log"), scratch.path().join("pid"));
    let mut command = common::slowfs();
    command.arg("mount").arg(&dir).args(["--listen", "none", "--daemon", "--log-ops"]);
    let output = command.arg("--log-file").arg(&log).arg("--pid-file").arg(&pid_file).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", text_of(&output));
    let pid = Pid::from_raw(fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap());
    let pid = pid.unwrap();
    fs::rename(&log, dir.join("log.1")).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    logged(&log, "the log goes on");
    for n in 0..100 {
        fs::create_dir(dir.join(format!("dir{n}"))).unwrap();
    }
    logged(&log, "dir99");
    let told = fs::read_to_string(&log).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    wait_for("the mount to go", || (!is_ours(&dir)).then_some(()));
    wait_for("the daemon to end", || (!pid_file.exists()).then_some(()));
    assert!(!told.contains("by slowfs"), "{told}");
}

#[test]
fn hangup_ends_what_is_in_the_foreground_with_a_log_file_too() {
    let scratch = common::scratch();
    let log = scratch.path().join("log").to_str().unwrap().to_owned();
    let mut daemon =
        Daemon::start(scratch, &["--log-file", &log], to(File::create("/dev/null").unwrap()));
    daemon.signal(Signal::HUP);
    assert!(daemon.wait().success());
    assert!(!is_ours(&daemon.mnt()));
    assert!(fs::read_to_string(log).unwrap().contains("signal 1: unmounted"));
}

#[test]
fn hangup_ends_a_daemon_without_a_log_file() {
    let scratch = common::scratch();
    let pid_file = scratch.path().join("pid");
    let daemon = Daemon { scratch, child: None, addr: "none".into() };
    for dir in ["raw", "mnt"] {
        fs::create_dir(daemon.scratch.path().join(dir)).unwrap();
    }
    let output = daemon.command().arg("--daemon").arg("--pid-file").arg(&pid_file).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", text_of(&output));
    assert!(is_fuse(&daemon.mnt()));
    let pid = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::HUP).unwrap();
    wait_for("the daemon to end", || (!pid_file.exists()).then_some(()));
    assert!(!is_ours(&daemon.mnt()));
}

/// At the moment when the line comes nothing of the mount is left, at whatever number of places it lay.
#[test]
fn the_unmount_comes_before_the_line_that_tells_of_it() {
    const PLACES: usize = 60;
    let (reader, writer) = pipe().unwrap();
    let mut daemon = Daemon::start(common::scratch(), &[], to(&writer));
    drop(writer);
    let places: Vec<_> =
        (0..PLACES).map(|n| daemon.scratch.path().join(format!("at{n}"))).collect();
    for place in &places {
        fs::create_dir(place).unwrap();
        rustix::mount::mount_bind(daemon.mnt(), place).unwrap();
        assert!(is_ours(place));
    }
    daemon.signal(Signal::TERM);
    let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
    let told = lines.find(|line| line.contains("signal 15: unmounted"));
    let left = places.iter().chain([&daemon.mnt()]).filter(|place| is_ours(place)).count();
    assert!(told.is_some());
    places.iter().for_each(|place| common::detach_all(place));
    assert_eq!(left, 0, "the line comes first");
    drop(lines);
    assert!(daemon.wait().success());
}

#[test]
fn what_peers_make_long_is_short_in_the_log() {
    let (mut reader, writer) = pipe().unwrap();
    let mut daemon = Daemon::start(common::scratch(), &[], to(&writer));
    drop(writer);
    let mut fault = failing(&["mkdir"], "EIO");
    fault.pattern = "x".repeat(16_000);
    daemon.client().put_fault(&fault, false).unwrap();
    assert_eq!(daemon.client().list_faults().unwrap()[0].fault.pattern, fault.pattern);
    // Hundreds that are dropped for nonsense make a line or two.
    for _ in 0..300 {
        let mut stream = std::net::TcpStream::connect(&daemon.addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let _ = stream.read(&mut [0; 1]);
    }
    wait_for("all to be counted", || {
        (daemon.client().stats().unwrap().connections_dropped == 300).then_some(())
    });
    daemon.stop();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let set = text.lines().find(|line| line.contains("EIO")).unwrap();
    assert!(set.len() < 400, "{set}");
    let dropped: Vec<_> = text.lines().filter(|line| line.contains("dropped")).collect();
    assert!((2..=10).contains(&dropped.len()), "{dropped:#?}");
    assert!(text.contains("300 control connections were dropped in all"), "{dropped:#?}");
}

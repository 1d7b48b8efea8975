//! One harness for every test that needs a mount: it mounts for real, asserts that what it mounted
//! is FUSE, and unmounts and waits when dropped, also when the test fails.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

pub mod aio;
pub mod calls;
pub mod disk;
pub mod http;
pub mod sqlite;
pub mod trace;
pub mod user;
pub mod xattr;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use slowfs::fault::{FaultWords, time_text};
use slowfs::rpc::{Client, ListedFault};
use tempfile::TempDir;

/// `statfs(2)`'s name for a FUSE filesystem.
const FUSE_MAGIC: i64 = 0x6573_5546;

/// How long anything may take before the test calls it a hang.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The program under test.
pub fn slowfs() -> Command {
    Command::new(env!("CARGO_BIN_EXE_slowfs"))
}

/// The same with these limits (prlimit(1)), and without what would let it raise them.
pub fn limited(limits: &[&str]) -> Command {
    let mut command = Command::new("prlimit");
    command.args(limits).args(["setpriv", "--bounding-set=-sys_resource"]);
    command.arg(slowfs().get_program());
    command
}

/// The figure for the full-length run, which `make test-long` asks for, or for the ordinary one.
pub fn long_or<T>(long: T, ordinary: T) -> T {
    match std::env::var("SLOWFS_TESTS") {
        Err(std::env::VarError::NotPresent) => ordinary,
        Ok(how) if how == "long" => long,
        other => panic!("SLOWFS_TESTS may be `long` or unset, it is {other:?}"),
    }
}

/// Waits until `condition` yields something, or fails the test.
pub fn wait_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_up_to(PATIENCE, what, condition)
}

/// Waits that long at most.
pub fn wait_up_to<T>(
    patience: Duration,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a race that began then goes on: at least that long, and on a busy machine up to two minutes
/// more, until it has shown enough.
pub fn goes_on(began: Instant, least: Duration, enough: impl FnOnce() -> bool) -> bool {
    let took = began.elapsed();
    took < least || took < least + 6 * PATIENCE && !enough()
}

/// A fresh directory to mount in.
pub fn scratch() -> TempDir {
    tempfile::Builder::new().prefix("slowfs-test-").tempdir().unwrap()
}

/// A directory on the filesystem that the mirrors of these tests have behind them; others may
/// enter it.
pub fn plain_directory() -> TempDir {
    let dir = tempfile::Builder::new().prefix("slowfs-plain-").tempdir().unwrap();
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    dir
}

/// A mirror of a fresh directory, served by a daemon of its own on a port of its own.
pub struct Mount {
    scratch: TempDir,
    daemon: Option<Child>,
    pub addr: String,
    /// The line that tells of the mount.
    pub told: Value,
}

impl Mount {
    pub fn new() -> Mount {
        Mount::with(&[] as &[&str])
    }

    /// A mirror with more options of `slowfs mount`.
    pub fn with(options: &[impl AsRef<OsStr>]) -> Mount {
        Mount::over(scratch(), options)
    }

    /// A mirror of `scratch/raw` (made if missing) at `scratch/mnt`.
    pub fn over(scratch: TempDir, options: &[impl AsRef<OsStr>]) -> Mount {
        Mount::run(slowfs(), scratch, options)
    }

    /// The same, by a daemon that may not have more descriptors than that, whatever it asks for.
    pub fn limited(descriptors: u32, scratch: TempDir, options: &[&str]) -> Mount {
        let nofile = format!("--nofile={descriptors}:{descriptors}");
        Mount::run(limited(&[&nofile]), scratch, options)
    }

    /// The same, by a daemon that is started with these options of prlimit(1) and may not raise what
    /// they limit.
    pub fn with_limits(limits: &[&str]) -> Mount {
        Mount::run(limited(limits), scratch(), &[] as &[&str])
    }

    /// A mirror by that command in the place of the program's own.
    pub fn by(program: Command) -> Mount {
        Mount::run(program, scratch(), &[] as &[&str])
    }

    /// A mirror of `scratch/raw` by that command in the place of the program's own.
    pub fn run(program: Command, scratch: TempDir, options: &[impl AsRef<OsStr>]) -> Mount {
        // Other users must be able to reach the mount.
        fs::set_permissions(scratch.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let mut mount = Mount { scratch, daemon: None, addr: String::new(), told: Value::Null };
        fs::create_dir_all(mount.raw()).unwrap();
        fs::create_dir_all(mount.mnt()).unwrap();
        mount.spawn(program, options);
        mount
    }

    /// Starts the daemon (again) over what is there.
    pub fn start(&mut self, options: &[impl AsRef<OsStr>]) {
        self.spawn(slowfs(), options);
    }

    fn spawn(&mut self, mut command: Command, options: &[impl AsRef<OsStr>]) {
        let log = File::create(self.log()).unwrap();
        command.arg("mount").arg(self.mnt()).arg("--subdir").arg(self.raw());
        command.args(["--listen", "127.0.0.1:0"]).args(options);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).process_group(0);
        let told = self.daemon.insert(command.arg("--json").spawn().unwrap()).stdout.take();
        self.told = line_told(told.unwrap())
            .unwrap_or_else(|| panic!("the daemon has ended:\n{}", self.log_text()));
        let addr = self.told["listen"].as_str().or(self.told["socket"].as_str());
        self.addr = addr.expect("an address of the mount").to_owned();
        assert_fuse(&self.mnt());
    }

    /// The mountpoint.
    pub fn mnt(&self) -> PathBuf {
        self.scratch.path().join("mnt")
    }

    /// The directory behind it.
    pub fn raw(&self) -> PathBuf {
        self.scratch.path().join("raw")
    }

    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    fn log(&self) -> PathBuf {
        self.scratch.path().join("daemon.log")
    }

    /// Everything the daemon has logged.
    pub fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Waits until the daemon has logged that.
    pub fn wait_until_logged(&self, part: &str) {
        wait_for(&format!("{part:?} in the log"), || self.log_text().contains(part).then_some(()));
    }

    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().unwrap().id()
    }

    /// How long the daemon's threads have run on a processor.
    pub fn ran(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let stats = tasks.filter_map(|t| fs::read_to_string(t.ok()?.path().join("schedstat")).ok());
        let ran = stats.map(|stat| stat.split(' ').next().unwrap().parse::<u64>().unwrap());
        Duration::from_nanos(ran.sum())
    }

    /// A connection to the daemon.
    pub fn client(&self) -> Client {
        Client::connect(&self.addr, Duration::from_secs(5)).unwrap()
    }

    /// Sets a fault beside those that are set.
    pub fn add(&self, fault: &FaultWords) -> i64 {
        self.client().put_fault(fault, true).unwrap().id
    }

    /// Clears every fault when dropped: what a failing test has held would else never end.
    pub fn clear_on_drop(&self) -> impl Drop + use<> {
        struct Clear(String);
        impl Drop for Clear {
            fn drop(&mut self) {
                if let Ok(mut client) = Client::connect(&self.0, Duration::from_secs(5)) {
                    let _ = client.clear_all_faults();
                }
            }
        }
        Clear(self.addr.clone())
    }

    pub fn clear(&self) {
        self.client().clear_all_faults().unwrap();
    }

    /// The fault of that id, as listed.
    pub fn listed(&self, id: i64) -> ListedFault {
        let faults = self.client().list_faults().unwrap();
        faults.into_iter().find(|f| f.id == id).unwrap_or_else(|| panic!("fault {id} is listed"))
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.daemon.as_ref().unwrap()), signal).unwrap();
    }

    /// Waits for the daemon's end and says how it ended.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        let mut daemon = self.daemon.take().unwrap();
        wait_for("the daemon to end", || daemon.try_wait().unwrap())
    }

    /// Ends the daemon as an administrator would; what was mounted is gone afterwards.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert!(status.success(), "the daemon ended with {status}:\n{}", self.log_text());
        assert!(!is_fuse(&self.mnt()), "{} is still mounted", self.mnt().display());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = kill_process(Pid::from_child(&daemon), Signal::TERM);
            let deadline = Instant::now() + Duration::from_secs(5);
            while matches!(daemon.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        detach_all(&self.mnt());
        if std::thread::panicking() {
            eprintln!("--- the daemon's log:\n{}", self.log_text());
        }
    }
}

/// A mirror with `--passthrough-except`. None on a kernel without passthrough, once it was seen that
/// the mirror is refused there.
pub fn passing(except: &str) -> Option<Mount> {
    passing_over(scratch(), &["--passthrough-except", except])
}

/// The same of `scratch/raw` and with these options, as [`Mount::over`].
pub fn passing_over(scratch: TempDir, options: &[&str]) -> Option<Mount> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    if (numbers.next().unwrap(), numbers.next().unwrap()) >= (6, 9) {
        return Some(Mount::over(scratch, options));
    }
    let mut mount = slowfs();
    let output = mount.arg("mount").arg(scratch.path()).args(options).output().unwrap();
    assert!(text_of(&output).contains("Linux 6.9"), "{}", text_of(&output));
    assert_eq!(output.status.code(), Some(1));
    None
}

/// Another filesystem mounted behind the mirror, until the end of the test.
pub struct Within(PathBuf);

impl Within {
    /// An empty tmpfs.
    pub fn mount(at: PathBuf) -> Within {
        Within::mount_of("tmpfs", at, None)
    }

    /// A filesystem of that type with that option, on a new directory.
    pub fn mount_of(kind: &str, at: PathBuf, option: Option<&str>) -> Within {
        fs::create_dir(&at).unwrap();
        Within::over(kind, at, option)
    }

    /// On a directory that is there, and be it a mount.
    pub fn over(kind: &str, at: PathBuf, option: Option<&str>) -> Within {
        let flags = rustix::mount::MountFlags::empty();
        let option = option.map(|option| std::ffi::CString::new(option).unwrap());
        rustix::mount::mount("within", &at, kind, flags, option.as_deref())
            .expect("this test needs root");
        Within(at)
    }

    /// One that is there, and goes at the end.
    pub fn there(at: PathBuf) -> Within {
        Within(at)
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

/// The line that a mount writes once it answers; none if it ends instead.
fn line_told(told: ChildStdout) -> Option<Value> {
    let patience = Timespec::try_from(PATIENCE).unwrap();
    let mut fds = [PollFd::new(&told, PollFlags::IN)];
    assert_eq!(
        poll(&mut fds, Some(&patience)),
        Ok(1),
        "waited {PATIENCE:?} for the daemon to answer"
    );
    let mut line = String::new();
    BufReader::new(told).read_line(&mut line).unwrap();
    serde_json::from_str(&line).ok()
}

/// Detaches whatever a test has left mounted on `path`.
pub fn detach_all(path: &Path) {
    let detach = rustix::mount::UnmountFlags::DETACH;
    while is_ours(path) && rustix::mount::unmount(path, detach).is_ok() {}
}

/// Whether a mount of this program lies on `path`, living or dead.
pub fn is_ours(path: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let at = format!(" {} ", path.display());
    mounts.lines().any(|line| line.contains(&at) && line.contains(" - fuse."))
}

/// Whether `path` lies on a FUSE filesystem.
pub fn is_fuse(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|s| s.f_type == FUSE_MAGIC)
}

/// What a test runs on must be what it claims to test.
pub fn assert_fuse(path: &Path) {
    assert!(is_fuse(path), "{} is not on FUSE", path.display());
}

/// Runs a command to its end, which must be a success, and returns what it printed.
pub fn stdout_of(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text_of(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Both streams of a finished command.
pub fn text_of(output: &Output) -> String {
    let streams = [&output.stdout, &output.stderr];
    streams.map(|s| String::from_utf8_lossy(s).into_owned()).concat()
}

/// The errno of a failure.
pub fn errno_of<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
    result.unwrap_err().raw_os_error().expect("an errno of the system")
}

/// A fault on these methods, everywhere, always.
pub fn fault_on(methods: &[&str]) -> FaultWords {
    let methods = methods.iter().map(|m| (*m).to_owned()).collect();
    FaultWords { methods, ..FaultWords::default() }
}

/// Fails these methods with an errno.
pub fn failing(methods: &[&str], errno: &str) -> FaultWords {
    fault_on(methods).and("error", errno)
}

/// Delays these methods.
pub fn delaying(methods: &[&str], delay: Duration) -> FaultWords {
    fault_on(methods).and("delay", &time_text(delay))
}

/// Holds these methods until the fault is cleared.
pub fn hanging(methods: &[&str]) -> FaultWords {
    fault_on(methods).and("hang", "")
}

//! A backing that blocks slows the operations that it blocks, and nothing else. It is a slowfs
//! itself here, told what to hold.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Mount, calls, delaying, hanging, long_or, scratch, wait_for};
use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags, SeekFrom, StatxFlags, XattrFlags};
use rustix::process::{Pid, Resource, Rlimit};
use slowfs::fault::FaultWords;
use slowfs::rpc::Client;

/// A mirror, and the mirror that is its backing.
struct Stacked {
    outer: Mount,
    inner: Mount,
}

impl Stacked {
    fn new(options: &[&str]) -> Stacked {
        Stacked::by(common::slowfs(), options)
    }

    /// The outer one by that command in the place of the program's own.
    fn by(program: Command, options: &[&str]) -> Stacked {
        let inner = Mount::new();
        let scratch = scratch();
        symlink(inner.mnt(), scratch.path().join("raw")).unwrap();
        let stacked = Stacked { outer: Mount::run(program, scratch, options), inner };
        // Linux 6.18 stops asking for copies if the first of a mount come together.
        let [from, to] = ["from", "to"].map(|name| {
            fs::write(stacked.inner.raw().join(name), b"first").unwrap();
            OpenOptions::new().read(true).write(true).open(stacked.outer.mnt().join(name)).unwrap()
        });
        assert_eq!(rustix::fs::copy_file_range(from, None, to, None, 5), Ok(5));
        stacked
    }

    /// A directory of the outer mirror, made beneath both.
    fn dir(&self, name: &str) -> PathBuf {
        fs::create_dir_all(self.inner.raw().join(name)).unwrap();
        self.outer.mnt().join(name)
    }

    /// Has the backing fault what lies below `block`.
    fn fault(&self, fault: FaultWords) -> i64 {
        self.inner.add(&FaultWords { pattern: ".*/block/.*".to_owned(), ..fault })
    }

    /// So many callers, each with what it works on, and the fault that will block them.
    fn block(&self, case: &str, methods: &str, many: usize) -> (Callers, i64) {
        static ROUNDS: AtomicU64 = AtomicU64::new(0);
        let round = ROUNDS.fetch_add(1, Ordering::Relaxed);
        let dir = format!("block/{}-{round}", case.replace(' ', "-"));
        for n in 0..many {
            Spot::make(&self.inner.raw().join(format!("{dir}/{n}")));
        }
        let callers = Callers::start(case, &self.outer.mnt().join(&dir), many);
        let methods: Vec<&str> = methods.split(',').collect();
        (callers, self.fault(hanging(&methods)))
    }

    fn wait_until_held(&self, fault: i64, wanted: usize) {
        wait_for(&format!("{wanted} to be held"), || {
            (self.inner.listed(fault).held >= wanted as i64).then_some(())
        });
    }

    /// How many calls of a method the outer mirror has answered with an errno.
    fn failed(&self, method: &str) -> i64 {
        let methods = self.outer.client().stats().unwrap().methods;
        methods.iter().find(|of| of.name == method).unwrap().errors
    }

    fn wait_until_failed(&self, method: &str, wanted: i64) {
        wait_for(&format!("{wanted} calls of {method} to have failed"), || {
            (self.failed(method) >= wanted).then_some(())
        });
    }
}

impl Drop for Stacked {
    fn drop(&mut self) {
        // What the backing holds would keep the outer daemon.
        if let Ok(mut client) = Client::connect(&self.inner.addr, Duration::from_secs(5)) {
            let _ = client.clear_all_faults();
        }
        if thread::panicking() {
            eprintln!("--- the outer daemon's log:\n{}", self.outer.log_text());
        }
    }
}

/// What one caller works on: a directory of its own, so that the kernel has nothing to serialise.
struct Spot {
    dir: PathBuf,
    file: File,
    direct: File,
    open_dir: OwnedFd,
}

impl Spot {
    /// Beneath both mirrors, which have seen nothing of it.
    fn make(raw: &Path) {
        fs::create_dir_all(raw.join("sub")).unwrap();
        fs::write(raw.join("file"), [7; 65_536]).unwrap();
        fs::write(raw.join("other"), [8; 65_536]).unwrap();
        symlink("file", raw.join("link")).unwrap();
    }

    fn open(dir: PathBuf) -> Spot {
        let how = |flags| OpenOptions::new().read(true).write(true).custom_flags(flags).clone();
        let file = how(0).open(dir.join("file")).unwrap();
        // The kernel does not trust what it has of attributes after this.
        file.set_permissions(Permissions::from_mode(0o640)).unwrap();
        rustix::fs::setxattr(dir.join("file"), c"user.had", b"1", XattrFlags::empty()).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let open_dir = rustix::fs::open(&dir, flags, Mode::empty()).unwrap();
        Spot { direct: how(libc::O_DIRECT).open(dir.join("other")).unwrap(), file, open_dir, dir }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// A case, the method that the backing holds for it, and the call.
type Case = (&'static str, &'static str, fn(&Spot) -> io::Result<()>);

/// Every method that can block and whose caller waits for it.
const CASES: &[Case] = &[
    ("write", "write", |s| s.file.write_at(&[1; 4096], 0).map(drop)),
    ("direct write", "write", |s| s.direct.write_at(&calls::aligned(4096), 0).map(drop)),
    ("read", "read", |s| s.file.read_at(&mut [0; 4096], 0).map(drop)),
    ("direct read", "read", |s| s.direct.read_at(&mut calls::aligned(4096), 0).map(drop)),
    ("open", "open", |s| File::open(s.at("file")).map(drop)),
    ("create", "create", |s| File::create(s.at("new")).map(drop)),
    ("lookup", "getattr", |s| fs::symlink_metadata(s.at("sub")).map(drop)),
    ("getattr", "getattr", |s| s.file.metadata().map(drop)),
    ("mkdir", "mkdir", |s| fs::create_dir(s.at("made"))),
    ("mknod", "mknod", |s| {
        let kind = rustix::fs::FileType::Fifo;
        Ok(rustix::fs::mknodat(&s.open_dir, "fifo", kind, Mode::RUSR, 0)?)
    }),
    ("unlink", "unlink", |s| fs::remove_file(s.at("link"))),
    ("rmdir", "rmdir", |s| fs::remove_dir(s.at("sub"))),
    ("rename", "rename", |s| fs::rename(s.at("link"), s.at("renamed"))),
    ("link", "link", |s| fs::hard_link(s.at("other"), s.at("linked"))),
    ("symlink", "symlink", |s| symlink("x", s.at("symbolic"))),
    ("readlink", "readlink", |s| fs::read_link(s.at("link")).map(drop)),
    ("chmod", "chmod", |s| s.file.set_permissions(Permissions::from_mode(0o600))),
    ("truncate", "truncate,ftruncate", |s| s.file.set_len(10)),
    ("utimens", "utimens", |s| s.file.set_modified(std::time::UNIX_EPOCH)),
    ("fsync", "fsync", |s| s.file.sync_all()),
    ("fdatasync", "fdatasync", |s| s.file.sync_data()),
    ("fsyncdir", "fsyncdir", |s| Ok(rustix::fs::fsync(&s.open_dir)?)),
    ("flush", "flush", |s| {
        drop(s.file.try_clone()?);
        Ok(())
    }),
    ("opendir", "opendir", |s| fs::read_dir(&s.dir).map(drop)),
    ("readdir", "readdir", |s| {
        let mut room = Vec::with_capacity(4096);
        let mut entries = rustix::fs::RawDir::new(&s.open_dir, room.spare_capacity_mut());
        entries.next().transpose()?;
        Ok(())
    }),
    ("statfs", "statfs", |s| Ok(rustix::fs::statfs(s.at("file")).map(drop)?)),
    ("setxattr", "setxattr", |s| {
        Ok(rustix::fs::fsetxattr(&s.file, c"user.new", b"1", XattrFlags::empty())?)
    }),
    ("getxattr", "getxattr", |s| {
        Ok(rustix::fs::fgetxattr(&s.file, c"user.had", &mut [0u8; 8]).map(drop)?)
    }),
    ("listxattr", "listxattr", |s| Ok(rustix::fs::flistxattr(&s.file, &mut [0u8; 64]).map(drop)?)),
    ("removexattr", "removexattr", |s| Ok(rustix::fs::fremovexattr(&s.file, c"user.had")?)),
    ("fallocate", "fallocate", |s| {
        Ok(rustix::fs::fallocate(&s.file, FallocateFlags::empty(), 0, 100_000)?)
    }),
    ("lseek", "lseek", |s| Ok(rustix::fs::seek(&s.file, SeekFrom::Data(0)).map(drop)?)),
    ("copy_file_range", "copy_file_range", |s| {
        Ok(rustix::fs::copy_file_range(&s.direct, None, &s.file, None, 4096).map(drop)?)
    }),
    ("ioctl", "ioctl", |s| Ok(rustix::fs::ioctl_getflags(&s.file).map(drop)?)),
];

const CALLERS: &str = "SLOWFS_TEST_CALLERS";

/// A process whose threads make one call each. Not a test: what others start.
#[test]
#[ignore = "the callers of the tests below"]
fn callers() {
    let Ok(job) = std::env::var(CALLERS) else { return };
    let words: Vec<&str> = job.split('|').collect();
    let (_, _, call) = CASES.iter().find(|(name, ..)| *name == words[0]).unwrap();
    let many: usize = words[2].parse().unwrap();
    let spots: Vec<Spot> =
        (0..many).map(|n| Spot::open(Path::new(words[1]).join(n.to_string()))).collect();
    say("ready");
    io::stdin().read_line(&mut String::new()).unwrap();
    let failed: usize = thread::scope(|scope| {
        let threads: Vec<_> = spots.iter().map(|spot| scope.spawn(|| call(spot).err())).collect();
        let results = threads.into_iter().map(|t| t.join().unwrap());
        results.flatten().map(|error| eprintln!("{}: {error}", words[0])).count()
    });
    say(if failed == 0 { "done" } else { "failed" });
    io::stdin().read_line(&mut String::new()).unwrap();
}

fn say(word: &str) {
    println!("\n{word}");
    io::stdout().flush().unwrap();
}

/// Such a process.
struct Callers {
    child: Child,
    told: BufReader<std::process::ChildStdout>,
}

impl Callers {
    fn start(case: &str, dir: &Path, many: usize) -> Callers {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "callers", "--ignored", "--nocapture", "--test-threads", "1"])
            .env(CALLERS, format!("{case}|{}|{many}", dir.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(child.stdout.take().unwrap());
        let mut callers = Callers { child, told };
        callers.wait_for("ready");
        callers
    }

    fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        while self.told.read_line(&mut line).unwrap() > 0 {
            if ["ready", "done", "failed"].contains(&line.trim()) {
                assert_eq!(line.trim(), word);
                return;
            }
            line.clear();
        }
        panic!("the callers ended before they said {word}");
    }

    fn go(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    /// How long they take to be gone after a SIGKILL.
    fn kill(&mut self) -> Duration {
        let began = Instant::now();
        self.child.kill().unwrap();
        wait_for("the killed callers to be gone", || self.child.try_wait().unwrap());
        began.elapsed()
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// Has the backing let everything go if the test does not come to it in time, so that a failure is
/// one and no hang.
struct Watchdog {
    over: &'static AtomicBool,
}

impl Watchdog {
    fn over(mount: &Mount, patience: Duration) -> Watchdog {
        let over: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
        let addr = mount.addr.clone();
        thread::spawn(move || {
            let deadline = Instant::now() + patience;
            while Instant::now() < deadline && !over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(20));
            }
            if !over.load(Ordering::Relaxed)
                && let Ok(mut client) = Client::connect(&addr, Duration::from_secs(5))
            {
                let _ = client.clear_all_faults();
            }
        });
        Watchdog { over }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// The bounds of a quiet machine, for the long run; else those of any machine.
fn within(quiet: Duration) -> Duration {
    long_or(quiet, Duration::from_secs(5))
}

/// How long something takes that nothing is in the way of: as long as that lasts, each try would
/// take as long, but for what else the machine does.
fn fastest(bound: Duration, mut once: impl FnMut() -> Duration) -> Duration {
    let mut tries = (0..5).map(|_| once());
    let first = tries.next().unwrap();
    if first < bound { first } else { tries.min().unwrap().min(first) }
}

/// The longest of some stats of names that the mount has never seen.
fn slowest_stat(beside: &Path, names: &AtomicU64) -> Duration {
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let name = names.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        assert!(fs::symlink_metadata(beside.join(format!("none{name}"))).is_err());
        slowest = slowest.max(began.elapsed());
    }
    slowest
}

/// What must go on beside `many` callers of a case that are blocked in the backing.
struct Beside<'a> {
    stacked: &'a Stacked,
    dir: PathBuf,
    file: File,
    names: AtomicU64,
    usual: Duration,
}

/// What a delay of the outer mount takes that nothing disturbs.
const DELAY: Duration = Duration::from_millis(10);

impl Beside<'_> {
    fn new(stacked: &Stacked) -> Beside<'_> {
        let dir = stacked.dir("beside");
        let pattern = ".*/beside/.*".to_owned();
        stacked.outer.add(&FaultWords { pattern, ..delaying(&["fsync"], DELAY) });
        let file = File::create(dir.join("file")).unwrap();
        let names = AtomicU64::new(0);
        let usual = slowest_stat(&dir, &names);
        Beside { stacked, dir, file, names, usual }
    }

    /// Blocks the callers, looks at what is beside them, and kills them.
    fn check(&self, case: &Case, many: usize) {
        let bound = within(Duration::from_millis(200));
        let free = fastest(bound, || self.look(case, many));
        assert!(free < bound, "{}: killed, free after {free:?}", case.0);
    }

    /// The same once, and how long the killed ones took to be gone.
    fn look(&self, (case, methods, _): &Case, many: usize) -> Duration {
        let Beside { stacked, dir, file, names, usual } = self;
        let (mut callers, fault) = stacked.block(case, methods, many);
        let _watchdog = Watchdog::over(&stacked.inner, Duration::from_secs(15));
        callers.go();
        stacked.wait_until_held(fault, many);

        let stat = fastest(*usual + within(DELAY), || slowest_stat(dir, names));
        assert!(stat < *usual + within(DELAY), "{case}: a stat took {stat:?}, usually {usual:?}");
        let due = fastest(DELAY + within(DELAY), || {
            let began = Instant::now();
            file.sync_all().unwrap();
            began.elapsed()
        });
        assert!(due >= DELAY && due < DELAY + within(DELAY), "{case}: {DELAY:?} took {due:?}");
        let told = fastest(within(Duration::from_millis(50)), || {
            let began = Instant::now();
            stacked.outer.client().list_faults().unwrap();
            began.elapsed()
        });
        assert!(told < within(Duration::from_millis(50)), "{case}: a call took {told:?}");
        let free = callers.kill();
        // What they had open is released now, which may block as well.
        let after = fastest(*usual + within(DELAY), || slowest_stat(dir, names));
        assert!(after < *usual + within(DELAY), "{case}: a stat took {after:?} after the kill");
        println!(
            "{case:15} stat {stat:9.1?} 10 ms delay {due:9.1?} call {told:9.1?} free {free:9.1?}"
        );
        assert!(stacked.inner.listed(fault).held >= many as i64, "{case}: the backing held on");
        stacked.inner.clear();
        free
    }
}

fn case(name: &str) -> &'static Case {
    CASES.iter().find(|(case, ..)| *case == name).unwrap()
}

#[test]
fn each_method_that_blocks_in_the_backing_stops_nothing_else() {
    let stacked = Stacked::new(&["--threads", "4"]);
    let beside = Beside::new(&stacked);
    for case in CASES {
        beside.check(case, long_or(200, 10));
    }
}

#[test]
fn slow_syncs_make_no_delay_late_and_keep_no_killed_caller() {
    let stacked = Stacked::new(&["--threads", "4"]);
    let beside = Beside::new(&stacked);
    beside.check(case("fsync"), 80);
    // Those that are delayed first take the threads for what is due.
    let pattern = ".*/block/.*".to_owned();
    let millisecond = Duration::from_millis(1);
    stacked.outer.add(&FaultWords { pattern, ..delaying(&["fdatasync"], millisecond) });
    beside.check(case("fdatasync"), 80);
}

#[test]
fn a_hit_with_a_short_delay_runs_as_a_miss_does() {
    let stacked = Stacked::new(&["--threads", "4"]);
    let beside = Beside::new(&stacked);
    for (name, delay) in [("fdatasync", 1), ("write", 40)] {
        let pattern = ".*/block/.*".to_owned();
        let delay = Duration::from_micros(delay);
        let id = stacked.outer.add(&FaultWords { pattern, ..delaying(&[name], delay) });
        beside.check(case(name), 8);
        assert!(stacked.outer.listed(id).fired >= 8);
    }
}

#[test]
fn killed_callers_are_free_also_after_a_lazy_unmount() {
    let mut stacked = Stacked::new(&["--threads", "4"]);
    let (mut callers, fault) = stacked.block("write", "write", 10);
    let _watchdog = Watchdog::over(&stacked.inner, Duration::from_secs(15));
    callers.go();
    stacked.wait_until_held(fault, 10);
    rustix::mount::unmount(stacked.outer.mnt(), rustix::mount::UnmountFlags::DETACH).unwrap();
    wait_for("the daemon to see it", || {
        stacked.outer.log_text().contains("was unmounted").then_some(())
    });
    let free = callers.kill();
    assert!(free < within(Duration::from_millis(200)), "killed, free after {free:?}");
    // Without callers the daemon ends, and the backing lets go what is held for its threads. That the
    // fault is still set shows that it held on until then.
    stacked.inner.listed(fault);
    stacked.inner.clear();
    assert!(stacked.outer.wait().success());
}

/// A descriptor of the device that somebody else opened is none that the kernel knows our requests by.
#[test]
fn killed_callers_are_free_whatever_the_daemon_was_started_with() {
    let mut program = Command::new("sh");
    program.args(["-c", "exec 9<>/dev/fuse; exec \"$@\"", "sh"]);
    program.arg(common::slowfs().get_program());
    let stacked = Stacked::by(program, &["--threads", "4"]);
    let beside = Beside::new(&stacked);
    beside.check(case("write"), 10);
}

/// While there is no descriptor to answer killed callers by they wait, and no longer.
#[test]
fn killed_callers_are_free_once_there_are_descriptors_for_it() {
    let stacked = Stacked::new(&["--threads", "4"]);
    let (mut callers, fault) = stacked.block("write", "write", 10);
    let _watchdog = Watchdog::over(&stacked.inner, Duration::from_secs(15));
    callers.go();
    stacked.wait_until_held(fault, 10);
    let descriptors = |most: u64| {
        let daemon = Pid::from_raw(stacked.outer.pid().cast_signed());
        let before = rustix::process::getrlimit(Resource::Nofile).maximum;
        let limit = Rlimit { current: Some(most), maximum: before };
        rustix::process::prlimit(daemon, Resource::Nofile, limit).unwrap().current.unwrap()
    };
    // One to look at them by. Those that accept, on port and socket, each have one put aside that does not
    // show.
    let open = format!("/proc/{}/fd", stacked.outer.pid());
    let is_free = |n: &u64| !Path::new(&open).join(n.to_string()).is_symlink();
    let before = descriptors((0..).filter(is_free).nth(2).unwrap() + 1);
    callers.child.kill().unwrap();
    wait_for("the daemon to say so", || {
        stacked.outer.log_text().contains("cannot free the killed thread").then_some(())
    });
    descriptors(before);
    wait_for("the killed callers to be gone", || callers.child.try_wait().unwrap());
    assert_eq!(stacked.inner.listed(fault).held, 10, "the backing held on");
    stacked.inner.clear();
}

/// What was done for callers that were killed meanwhile leaves nothing behind.
#[test]
fn an_answer_that_nobody_waits_for_keeps_no_file_open() {
    let stacked = Stacked::new(&["--threads", "4"]);
    let open = || fs::read_dir(format!("/proc/{}/fd", stacked.outer.pid())).unwrap().count();
    for (round, name) in ["mkdir", "create", "open", "opendir", "mknod"].into_iter().enumerate() {
        let (_, methods, _) = case(name);
        let before = open();
        let (mut callers, fault) = stacked.block(name, methods, 10);
        callers.go();
        stacked.wait_until_held(fault, 10);
        callers.kill();
        stacked.inner.clear();
        if round > 0 {
            // What the kernel knows keeps a descriptor each: the directories, and the callers' files.
            wait_for("the files to be closed", || {
                let dir = format!("block/{name}");
                fs::remove_dir_all(stacked.inner.raw().join(dir)).ok();
                rustix::fs::sync();
                fs::write("/proc/sys/vm/drop_caches", "2").unwrap();
                (open() <= before + 8).then_some(())
            });
        }
    }
}

/// A listing whose caller was killed tells of the directory itself and of the one above, which are
/// no lookups of theirs.
#[test]
fn a_listing_that_nobody_waits_for_keeps_its_directory() {
    let stacked = Stacked::new(&["--threads", "4"]);
    stacked.dir("block/above/empty");
    let _watchdog = Watchdog::over(&stacked.inner, Duration::from_secs(15));
    let known = ["block/above", "block/above/empty"].map(|name| {
        let dir = stacked.outer.mnt().join(name);
        rustix::fs::open(dir, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
    });
    for dir in ["block/above/empty", "block/above"] {
        let (before, fault) = (stacked.failed("readdir"), stacked.fault(hanging(&["readdir"])));
        let mut lister = Command::new("ls").arg(stacked.outer.mnt().join(dir)).spawn().unwrap();
        stacked.wait_until_held(fault, 1);
        lister.kill().unwrap();
        lister.wait().unwrap();
        stacked.inner.clear();
        stacked.wait_until_failed("readdir", before + 1);
    }
    fs::write("/proc/sys/vm/drop_caches", "2").unwrap();
    for dir in &known {
        let flags = AtFlags::EMPTY_PATH
            | AtFlags::from_bits_retain(libc::AT_STATX_FORCE_SYNC.cast_unsigned());
        let found = rustix::fs::statx(dir, "", flags, StatxFlags::BASIC_STATS);
        assert!(found.is_ok(), "the directory is forgotten: {found:?}");
    }
}

/// Files that were opened past the page cache for callers that were killed are counted no more.
#[test]
fn an_open_that_nobody_waits_for_is_not_counted_in_the_listing() {
    let stacked = Stacked::new(&["--threads", "4"]);
    let (mut callers, fault) = stacked.block("open", "open", 10);
    let _watchdog = Watchdog::over(&stacked.inner, Duration::from_secs(15));
    let pattern = ".*/block/.*".to_owned();
    let reads = FaultWords { pattern, ..delaying(&["read"], DELAY) };
    let (reads, before) = (stacked.outer.add(&reads), stacked.failed("open"));
    callers.go();
    stacked.wait_until_held(fault, 10);
    callers.kill();
    stacked.inner.clear();
    stacked.wait_until_failed("open", before + 10);
    assert_eq!(stacked.outer.listed(reads).past_cache, 0);
}

/// What a file has that was opened for a killed caller comes back: nobody releases it.
#[test]
fn an_open_that_nobody_waits_for_keeps_no_space() {
    let stacked = Stacked::new(&["--threads", "4", "--fault", "full --free 1MiB"]);
    let left = || {
        let told = rustix::fs::statvfs(stacked.outer.mnt()).unwrap();
        told.f_bavail * told.f_frsize
    };
    let (path, before) = (stacked.dir("block").join("file"), left());
    fs::write(&path, [1; 64 << 10]).unwrap();
    // Else the kernel forgets it before it is open.
    let _known = rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let _watchdog = Watchdog::over(&stacked.inner, Duration::from_secs(15));
    let (fault, failed) = (stacked.fault(hanging(&["open"])), stacked.failed("open"));
    let mut reader = Command::new("cat").arg(&path).stdout(Stdio::null()).spawn().unwrap();
    stacked.wait_until_held(fault, 1);
    fs::remove_file(&path).unwrap();
    reader.kill().unwrap();
    reader.wait().unwrap();
    stacked.inner.clear();
    stacked.wait_until_failed("open", failed + 1);
    assert_eq!(left(), before);
}

/// Reads that take 10 ms each, 32 at once: as many as the backing itself delivers.
#[test]
fn a_queue_of_reads_is_as_deep_as_the_backing_takes_it() {
    const QUEUE: usize = 32;
    let stacked = Stacked::new(&["--threads", "4"]);
    fs::create_dir_all(stacked.inner.raw().join("block")).unwrap();
    fs::write(stacked.inner.raw().join("block/file"), vec![1; 16 << 20]).unwrap();
    stacked.fault(delaying(&["read"], Duration::from_millis(10)));
    let rate = |mount: &Mount| {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECT)
            .open(mount.mnt().join("block/file"))
            .unwrap();
        let (done, began) = (AtomicU64::new(0), Instant::now());
        let time = long_or(Duration::from_secs(5), Duration::from_millis(600));
        thread::scope(|scope| {
            for job in 0..QUEUE as u64 {
                let (file, done) = (&file, &done);
                scope.spawn(move || {
                    let mut buffer = calls::aligned(4096);
                    let mut at = job * 397;
                    while began.elapsed() < time {
                        file.read_exact_at(&mut buffer, at % 4096 * 4096).unwrap();
                        done.fetch_add(1, Ordering::Relaxed);
                        at += 1;
                    }
                });
            }
        });
        done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
    };
    let (beneath, through) = (rate(&stacked.inner), rate(&stacked.outer));
    println!("beneath {beneath:.0}/s, through {through:.0}/s");
    // With a quarter of the queue under way it would be a quarter.
    assert!(through > beneath * long_or(0.9, 0.6), "{through:.0}/s of {beneath:.0}/s");
}

//! `--passthrough-except`: the kernel reads and writes what does not match, and faults do all else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::calls::Mapping;
use common::{
    Mount, Within, delaying, errno_of, failing, is_fuse, passing, passing_over, slowfs, stdout_of,
    text_of, wait_for,
};
use rustix::fs::FallocateFlags;
use rustix::process::{Resource, Rlimit};
use slowfs::rpc::{FaultSpec, PassthroughStatistics};

/// What stays with slowfs in these tests.
const LOG: &str = ".*/log/.*";
const OPTIONS: [&str; 2] = ["--passthrough-except", LOG];

fn served(mount: &Mount) -> PassthroughStatistics {
    mount.client().stats().unwrap().passthrough.unwrap()
}

/// RELEASE comes after close(2) has returned.
fn wait_until_open(mount: &Mount, files: i64) {
    wait_for("files to be open, and no more", || (served(mount).open == files).then_some(()));
}

fn calls(mount: &Mount, method: &str) -> i64 {
    let methods = mount.client().stats().unwrap().methods;
    methods.iter().find(|m| m.name == method).unwrap().calls
}

fn read_write(path: impl AsRef<Path>) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

fn control(mount: &Mount, words: &[&str]) -> Output {
    slowfs().args(words).args(["--addr", &mount.addr]).output().unwrap()
}

/// A mirror with a directory `log`.
fn with_log() -> Option<Mount> {
    let mount = passing(LOG)?;
    fs::create_dir(mount.mnt().join("log")).unwrap();
    Some(mount)
}

#[test]
fn the_kernel_reads_and_writes_what_does_not_match() {
    let Some(mount) = with_log() else { return };
    for (name, calls_each) in [("data", 0), ("log/data", 1)] {
        let before = ["read", "write"].map(|method| calls(&mount, method));
        let mut file = read_write(mount.mnt().join(name));
        file.write_all(b"content").unwrap();
        let mut back = [0; 7];
        file.read_exact_at(&mut back, 0).unwrap();
        assert_eq!(&back, b"content");
        let after = ["read", "write"].map(|method| calls(&mount, method));
        assert_eq!(after, before.map(|n| n + calls_each), "{name}");
        assert_eq!(fs::read(mount.raw().join(name)).unwrap(), b"content");
    }
    wait_until_open(&mount, 0);
    assert_eq!(served(&mount), PassthroughStatistics { open: 0, files: 1, refused: 0 });
}

#[test]
fn faults_on_data_reach_what_matches_and_nothing_else() {
    let Some(mount) = with_log() else { return };
    let files = ["data", "log/data"].map(|name| read_write(mount.mnt().join(name)));
    mount.add(&failing(&["write", "read"], "EIO"));
    let [data, log] = &files;
    let mut byte = [0];
    for file in [data, &read_write(mount.mnt().join("data"))] {
        assert_eq!(file.write_at(b"x", 0).unwrap(), 1);
        assert_eq!(file.read_at(&mut byte, 0).unwrap(), 1);
    }
    for file in [log, &read_write(mount.mnt().join("log/data"))] {
        assert_eq!(errno_of(file.write_at(b"x", 0)), libc::EIO);
        assert_eq!(errno_of(file.read_at(&mut byte, 0)), libc::EIO);
    }
}

#[test]
fn faults_on_everything_but_data_reach_every_file() {
    let Some(mount) = with_log() else { return };
    let path = mount.mnt().join("data");
    let file = read_write(&path);
    let tries: [(&str, &dyn Fn() -> std::io::Result<()>); 8] = [
        ("fsync", &|| file.sync_all()),
        ("fdatasync", &|| file.sync_data()),
        ("open", &|| File::open(&path).map(drop)),
        ("getattr", &|| fs::metadata(&path).map(drop)),
        ("ftruncate", &|| file.set_len(1)),
        ("chmod", &|| file.set_permissions(fs::Permissions::from_mode(0o600))),
        ("fallocate", &|| Ok(rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, 10)?)),
        ("unlink", &|| fs::remove_file(&path)),
    ];
    for (method, attempt) in tries {
        mount.add(&failing(&[method], "EDQUOT"));
        assert_eq!(errno_of(attempt()), libc::EDQUOT, "{method}");
        mount.clear();
        attempt().unwrap_or_else(|e| panic!("{method}, cleared: {e}"));
    }
    let delay = Duration::from_millis(20);
    mount.add(&delaying(&["fsync"], delay));
    let started = Instant::now();
    file.sync_all().unwrap();
    assert!(started.elapsed() >= delay);
}

#[test]
fn a_fault_that_may_miss_files_comes_with_a_warning() {
    let Some(mount) = with_log() else { return };
    let _open = read_write(mount.mnt().join("data"));
    let missed = format!("does not reach files outside of {LOG:?}");
    for words in ["error EIO -m write", "delay 1us -m all", "error EIO -m read -r .*/log/x"] {
        let words: Vec<_> = words.split(' ').collect();
        let text = text_of(&control(&mount, &words));
        assert!(text.contains("warning") && text.contains(&missed), "{text}");
    }
    assert!(mount.log_text().contains(&missed) && mount.log_text().contains("1 are open"));
    assert!(text_of(&control(&mount, &["list"])).contains(&missed));
    let listed: serde_json::Value =
        serde_json::from_slice(&control(&mount, &["list", "--json"]).stdout).unwrap();
    assert!(listed["faults"][0]["out_of_reach"].as_str().unwrap().contains(LOG), "{listed}");
    assert!(listed["warnings"][0].as_str().unwrap().contains(&missed), "{listed}");
    mount.clear();
    let log = mount.log_text();
    for words in [vec!["error", "EIO", "-m", "write", "-r", LOG], vec!["hang", "-m", "fsync,open"]]
    {
        let text = text_of(&control(&mount, &words));
        assert!(!text.contains("warning"), "{text}");
    }
    assert!(!mount.log_text()[log.len()..].contains("does not reach"));
}

#[test]
fn methods_stats_and_ping_tell_of_it() {
    let Some(mount) = with_log() else { return };
    let _open = read_write(mount.mnt().join("data"));
    drop(read_write(mount.mnt().join("other")));
    wait_until_open(&mount, 1);
    let methods = text_of(&control(&mount, &["methods"]));
    let noted: Vec<_> = methods.lines().filter(|l| l.contains("does not reach files")).collect();
    let names: Vec<_> = noted.iter().map(|l| l.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["read", "read_buf", "write", "write_buf"]);
    let stats = text_of(&control(&mount, &["stats"]));
    assert!(stats.contains("by the kernel itself: 2 files, 1 still open\n"), "{stats}");
    let json = control(&mount, &["stats", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["passthrough"], serde_json::json!({"open": 1, "files": 2, "refused": 0}));
    assert!(text_of(&control(&mount, &["ping"])).contains(LOG));
    assert_eq!(mount.client().info().unwrap().passthrough_except.as_deref(), Some(LOG));
    let ordinary = Mount::new();
    assert_eq!(ordinary.client().stats().unwrap().passthrough, None);
    assert_eq!(ordinary.client().info().unwrap().passthrough_except, None);
}

/// Opened before, moved, opened again: both handles are served as the first was until both are gone.
fn moved_while_open(mount: &Mount, from: &str, to: &str, fires_before: bool) {
    let (from, to) = (mount.mnt().join(from), mount.mnt().join(to));
    let fault = FaultSpec { pattern: ".*/(data|moved)".into(), ..failing(&["write"], "EIO") };
    let first = read_write(&from);
    fs::rename(&from, &to).unwrap();
    let second = read_write(&to);
    first.write_all_at(b"first", 0).unwrap();
    second.write_all_at(b"SE", 0).unwrap();
    for file in [&first, &second] {
        let mut back = [0; 5];
        file.read_exact_at(&mut back, 0).unwrap();
        assert_eq!(&back, b"SErst");
    }
    let open = served(mount).open;
    mount.add(&fault);
    for file in [&first, &second] {
        assert_eq!(file.write_at(b"x", 0).is_err(), fires_before);
    }
    drop(first);
    let third = read_write(&to);
    assert_eq!(third.write_at(b"x", 0).is_err(), fires_before);
    drop((second, third));
    mount.clear();
    wait_for("the file to be closed", || {
        // Whether it is still open shows only in how it is opened again.
        mount.add(&fault);
        let fires = read_write(&to).write_at(b"y", 0).is_err();
        mount.clear();
        (fires != fires_before).then_some(())
    });
    wait_until_open(mount, 0);
    assert_eq!(open, i64::from(!fires_before));
}

#[test]
fn an_open_file_is_served_one_way_whatever_renames_do() {
    let Some(mount) = with_log() else { return };
    moved_while_open(&mount, "data", "log/moved", false);
    moved_while_open(&mount, "log/data", "moved", true);
}

#[test]
fn opens_that_race_with_renames_agree() {
    let Some(mount) = with_log() else { return };
    let names = [mount.mnt().join("data"), mount.mnt().join("log/data")];
    fs::write(&names[0], "content").unwrap();
    let done = AtomicBool::new(false);
    let opened: usize = thread::scope(|scope| {
        let readers: Vec<_> = (0..6)
            .map(|n| {
                let (names, done) = (&names, &done);
                scope.spawn(move || {
                    let mut opened = 0;
                    while !done.load(Ordering::Relaxed) {
                        match OpenOptions::new().read(true).append(n % 2 == 0).open(&names[n % 2]) {
                            Ok(file) => {
                                let mut back = [0; 7];
                                file.read_exact_at(&mut back, 0).unwrap();
                                assert_eq!(&back, b"content");
                                opened += 1;
                            }
                            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
                        }
                    }
                    opened
                })
            })
            .collect();
        let deadline = Instant::now() + Duration::from_millis(1500);
        while Instant::now() < deadline {
            fs::rename(&names[0], &names[1]).unwrap();
            thread::sleep(Duration::from_micros(300));
            fs::rename(&names[1], &names[0]).unwrap();
            thread::sleep(Duration::from_micros(300));
        }
        done.store(true, Ordering::Relaxed);
        readers.into_iter().map(|reader| reader.join().unwrap()).sum()
    });
    wait_until_open(&mount, 0);
    let files = served(&mount).files;
    assert!(
        opened > 100 && files > 5 && calls(&mount, "read") > 5,
        "{opened} opens, {files} files"
    );
}

#[test]
fn a_file_matches_by_any_of_its_names() {
    let Some(mount) = with_log() else { return };
    let (one, other) = (mount.mnt().join("data"), mount.mnt().join("log/link"));
    drop(read_write(&one));
    wait_until_open(&mount, 0);
    fs::hard_link(&one, &other).unwrap();
    let file = read_write(&one);
    mount.add(&failing(&["write"], "EIO"));
    assert_eq!(errno_of(file.write_at(b"x", 0)), libc::EIO);
    assert_eq!(served(&mount).open, 0);
}

#[test]
fn every_mode_of_opening_a_file_works_beside_every_other() {
    let Some(mount) = with_log() else { return };
    let path = mount.mnt().join("data");
    fs::write(&path, "0123456789").unwrap();
    fs::hard_link(&path, mount.mnt().join("link")).unwrap();
    wait_until_open(&mount, 0);
    let reader = File::open(&path).unwrap();
    let options = |flags: i32| {
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(flags);
        options
    };
    let files = [0, libc::O_DIRECT, libc::O_SYNC, libc::O_DSYNC, libc::O_NOATIME]
        .map(|flags| options(flags).open(&path).unwrap());
    let linked = OpenOptions::new().write(true).open(mount.mnt().join("link")).unwrap();
    linked.write_all_at(b"ab", 0).unwrap();
    files[3].write_all_at(b"cd", 2).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"abcd456789");
    let mut appender = OpenOptions::new().append(true).open(&path).unwrap();
    appender.write_all(b"!").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"abcd456789!");
    let emptied = options(libc::O_TRUNC).open(&path).unwrap();
    let mut buffer = [0; 16];
    for file in [&reader, &files[0], &emptied] {
        assert_eq!((file.read_at(&mut buffer, 0).unwrap(), file.metadata().unwrap().len()), (0, 0));
    }
    appender.write_all(b"!").unwrap();
    assert_eq!(reader.read_at(&mut buffer, 0).unwrap(), 1);
    assert_eq!(served(&mount), PassthroughStatistics { open: 1, files: 2, refused: 0 });
    // The first that is opened only for writing serves those that read.
    let writer = File::create(mount.mnt().join("other")).unwrap();
    writer.write_all_at(b"other", 0).unwrap();
    assert_eq!(fs::read(mount.mnt().join("other")).unwrap(), b"other");
}

#[test]
fn sizes_and_times_show_at_once() {
    let Some(mount) = with_log() else { return };
    let path = mount.mnt().join("data");
    let file = read_write(&path);
    let mut last = (0, 0);
    for n in 1..=50u64 {
        file.write_all_at(&[1; 100], (n - 1) * 100).unwrap();
        let (by_name, by_handle) = (fs::metadata(&path).unwrap(), file.metadata().unwrap());
        assert_eq!((by_name.len(), by_handle.len()), (n * 100, n * 100));
        let raw = fs::metadata(mount.raw().join("data")).unwrap();
        let times = |m: &fs::Metadata| (m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
        assert_eq!((times(&by_name), by_name.blocks()), (times(&raw), raw.blocks()));
        assert!((raw.mtime(), raw.mtime_nsec()) >= last);
        last = (raw.mtime(), raw.mtime_nsec());
        thread::sleep(Duration::from_millis(1));
    }
    file.set_len(10).unwrap();
    assert_eq!(fs::read(&path).unwrap(), [1; 10]);
    file.write_all_at(&[2], 20).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 21);
}

#[test]
fn appenders_do_not_write_over_each_other() {
    const EACH: usize = 500;
    let Some(mount) = with_log() else { return };
    let path = mount.mnt().join("data");
    thread::scope(|scope| {
        for writer in b'a'..b'e' {
            let path = &path;
            scope.spawn(move || {
                let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
                for _ in 0..EACH {
                    file.write_all(&[writer; 10]).unwrap();
                }
            });
        }
    });
    let content = fs::read(&path).unwrap();
    assert_eq!(content.len(), 4 * EACH * 10);
    assert!(content.chunks(10).all(|record| record.iter().all(|byte| *byte == record[0])));
    assert_eq!(calls(&mount, "write"), 0);
}

#[test]
fn mappings_and_calls_see_the_same() {
    let Some(mount) = with_log() else { return };
    let path = mount.mnt().join("data");
    let file = read_write(&path);
    file.set_len(8192).unwrap();
    let mut mapping = Mapping::new(&file, 8192, libc::MAP_SHARED).unwrap();
    file.write_all_at(b"call", 4096).unwrap();
    assert_eq!(&mapping[4096..4100], b"call");
    mapping[..6].copy_from_slice(b"mapped");
    let mut back = [0; 6];
    file.read_exact_at(&mut back, 0).unwrap();
    assert_eq!(&back, b"mapped");
    drop(file);
    wait_until_open(&mount, 0);
    mapping[..6].copy_from_slice(b"MAPPED");
    assert_eq!(fs::read(&path).unwrap()[..6], *b"MAPPED");
    assert_eq!(fs::read(mount.raw().join("data")).unwrap()[..6], *b"MAPPED");
    assert_eq!(calls(&mount, "read") + calls(&mount, "write"), 0);
}

#[test]
fn programs_run_and_are_busy_while_they_may_change() {
    let Some(mount) = with_log() else { return };
    let path = mount.mnt().join("sleep");
    fs::copy("/bin/sleep", &path).unwrap();
    let run = |path: &Path| Command::new(path).arg("0").status();
    assert!(run(&path).unwrap().success());
    let reader = File::open(&path).unwrap();
    let writer = OpenOptions::new().write(true).open(&path).unwrap();
    assert_eq!(errno_of(run(&path)), libc::ETXTBSY);
    drop(writer);
    assert!(run(&path).unwrap().success());
    // What the daemon holds for the reader does not count as writing in the backing either.
    let raw = mount.raw().join("sleep");
    wait_for("the writer's handle to be closed", || run(&raw).ok()?.success().then_some(()));
    drop(reader);
    let mut running = Command::new(&path).arg("60").spawn().unwrap();
    let writing = OpenOptions::new().write(true).open(&path);
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(errno_of(writing), libc::ETXTBSY);
    assert_eq!(calls(&mount, "read") + calls(&mount, "write"), 0);
}

#[test]
fn what_reaches_slowfs_agrees_with_what_does_not() {
    let Some(mount) = with_log() else { return };
    let (data, log) = (mount.mnt().join("data"), mount.mnt().join("log/data"));
    let (data, log) = (read_write(data), read_write(log));
    let mut wanted = vec![7; 20_000];
    data.write_all_at(&wanted, 0).unwrap();
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&data, hole, 4096, 8192).unwrap();
    wanted[4096..12_288].fill(0);
    for (from, to) in [(&data, &log), (&log, &data)] {
        let (mut at, mut onto) = (100, 5000);
        let copied =
            rustix::fs::copy_file_range(from, Some(&mut at), to, Some(&mut onto), 3000).unwrap();
        assert_eq!(copied, 3000);
    }
    log.write_all_at(b"log", 0).unwrap();
    // What went to the log at 5000 came back from 100, where there was nothing.
    wanted[5000..8000].fill(0);
    let mut back = vec![1; 20_000];
    data.read_exact_at(&mut back, 0).unwrap();
    assert!(back == wanted);
    rustix::fs::fallocate(&data, FallocateFlags::empty(), 0, 30_000).unwrap();
    assert_eq!(data.metadata().unwrap().len(), 30_000);
    data.set_len(12_000).unwrap();
    assert_eq!(rustix::fs::seek(&data, rustix::fs::SeekFrom::End(0)).unwrap(), 12_000);
    let mut rest = Vec::new();
    let mut again = File::open(mount.mnt().join("data")).unwrap();
    again.read_to_end(&mut rest).unwrap();
    assert!(rest == wanted[..12_000]);
}

#[test]
fn a_removed_file_goes_on_and_its_name_is_another_file() {
    let Some(mount) = with_log() else { return };
    let path = mount.mnt().join("data");
    let file = read_write(&path);
    file.write_all_at(b"old", 0).unwrap();
    fs::remove_file(&path).unwrap();
    let new = read_write(&path);
    new.write_all_at(b"new", 0).unwrap();
    file.write_all_at(b"OLD!", 0).unwrap();
    let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    assert_eq!(fs::read(again).unwrap(), b"OLD!");
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(file.metadata().unwrap().nlink(), 0);
    assert_eq!(served(&mount).open, 2);
    drop((file, new));
    wait_until_open(&mount, 0);
}

/// Runs a shell command as nobody, with the path as `$1`, and returns what it prints.
fn as_nobody(words: &str, path: &Path) -> String {
    let mut shell = Command::new("setpriv");
    shell.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c", words, "sh"]);
    stdout_of(shell.arg(path))
}

#[test]
fn a_setuid_bit_that_a_write_took_is_gone_for_the_next_exec() {
    let [a, b] = OPTIONS;
    let scratch = tempfile::tempdir().unwrap();
    let Some(mount) = passing_over(scratch, &[a, b, "-o", "suid"]) else { return };
    let path = mount.mnt().join("id");
    fs::copy("/usr/bin/id", &path).unwrap();
    let open = File::open(&path).unwrap();
    for (write, user) in [("", "0"), ("head -c 4 /usr/bin/id 1<>\"$1\";", "65534")] {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o4777)).unwrap();
        fs::metadata(&path).unwrap();
        assert_eq!(as_nobody(&format!("{write} exec \"$1\" -u"), &path).trim(), user);
    }
    assert_eq!(served(&mount).open, 1);
    drop(open);
}

#[test]
fn setuid_bits_are_no_safer_with_the_kernel_than_with_slowfs() {
    let Some(mount) = with_log() else { return };
    let path = mount.mnt().join("data");
    let mode = || fs::metadata(&path).unwrap().mode() & 0o7777;
    let set = || fs::set_permissions(&path, fs::Permissions::from_mode(0o6777)).unwrap();
    let file = read_write(&path);
    set();
    as_nobody("echo x >>\"$1\"", &path);
    assert_eq!(mode(), 0o777);
    drop(file);
    wait_until_open(&mount, 0);
    set();
    // It has the bits when it is opened, so that it stays with slowfs, and root keeps them.
    fs::write(&path, "x").unwrap();
    assert_eq!((mode(), served(&mount).open), (0o6777, 0));
    as_nobody("echo x >>\"$1\"", &path);
    assert_eq!(mode(), 0o777);
}

/// Inodes in use of the filesystem that `path` is on.
fn inodes(path: &Path) -> u64 {
    let stat = rustix::fs::statvfs(path).unwrap();
    stat.f_files - stat.f_ffree
}

#[test]
fn ten_thousand_opens_leave_nothing_behind() {
    let scratch = tempfile::tempdir().unwrap();
    // A file that the kernel still held would keep its inode.
    let _raw = Within::mount(scratch.path().join("raw"));
    let Some(mount) = passing_over(scratch, &OPTIONS) else { return };
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(Resource::Nofile, raised).unwrap();
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", mount.pid())).unwrap().count();
    let (before, empty) = (descriptors(), inodes(&mount.raw()));
    let name = |n: usize| mount.mnt().join(n.to_string());
    let mut open = Vec::new();
    for n in 0..10_000 {
        let file = read_write(name(n % 2_500));
        file.write_all_at(b"x", n as u64 / 2_500).unwrap();
        open.push(file);
        if open.len() == 700 {
            open.clear();
        }
    }
    assert_eq!(fs::read(name(0)).unwrap(), b"xxxx");
    drop(open);
    wait_until_open(&mount, 0);
    let files = served(&mount);
    assert!((2_500..=10_001).contains(&files.files) && files.refused == 0, "{files:?}");
    for n in 0..2_500 {
        fs::remove_file(name(n)).unwrap();
    }
    wait_for("every inode to be free", || (inodes(&mount.raw()) == empty).then_some(()));
    assert!(descriptors() <= before, "{} descriptors, {before} before", descriptors());
    assert_eq!(calls(&mount, "write"), 0);
}

/// An overlayfs of two tmpfs directories at `at`.
fn overlay(scratch: &Path, at: &Path) -> [Within; 2] {
    let layers = Within::mount(scratch.join("layers"));
    let [lower, upper, work] = ["lower", "upper", "work"].map(|d| scratch.join("layers").join(d));
    for dir in [&lower, &upper, &work] {
        fs::create_dir(dir).unwrap();
    }
    fs::write(lower.join("old"), "from below").unwrap();
    let [lower, upper, work] = [lower, upper, work].map(|dir| dir.display().to_string());
    let option = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    [Within::mount_of("overlay", at.to_owned(), Some(&option)), layers]
}

/// Reads what overlayfs has below and copies it up.
fn use_overlay(dir: &Path) {
    let file = File::open(dir.join("old")).unwrap();
    let mut content = String::new();
    (&file).read_to_string(&mut content).unwrap();
    assert_eq!(content, "from below");
    drop(file);
    OpenOptions::new().append(true).open(dir.join("old")).unwrap().write_all(b", up").unwrap();
    assert_eq!(fs::read_to_string(dir.join("old")).unwrap(), "from below, up");
}

#[test]
fn overlayfs_behind_the_mirror_is_passed_through_too() {
    let scratch = tempfile::tempdir().unwrap();
    let _overlay = overlay(scratch.path(), &scratch.path().join("raw"));
    let Some(mount) = passing_over(scratch, &OPTIONS) else { return };
    fs::write(mount.mnt().join("new"), "new").unwrap();
    assert_eq!(fs::read(mount.mnt().join("new")).unwrap(), b"new");
    let files = served(&mount);
    assert!(files.files > 0 && files.refused == 0, "{files:?}");
    use_overlay(&mount.mnt());
    assert_eq!(calls(&mount, "write"), 0);
}

#[test]
fn files_that_the_kernel_refuses_stay_with_slowfs() {
    let scratch = tempfile::tempdir().unwrap();
    fs::create_dir(scratch.path().join("raw")).unwrap();
    let _overlay = overlay(scratch.path(), &scratch.path().join("raw/deeper"));
    let Some(mount) = passing_over(scratch, &OPTIONS) else { return };
    fs::write(mount.mnt().join("plain"), "plain").unwrap();
    assert_eq!(served(&mount).refused, 0);
    use_overlay(&mount.mnt().join("deeper"));
    let files = served(&mount);
    assert!(files.files > 0 && files.refused > 0, "{files:?}");
    assert!(mount.log_text().contains("/deeper/old: the kernel cannot serve it by itself"));
    assert!(text_of(&control(&mount, &["stats"])).contains("left to slowfs"));
    let file = read_write(mount.mnt().join("deeper/old"));
    mount.add(&failing(&["write"], "EIO"));
    assert_eq!(errno_of(file.write_at(b"x", 0)), libc::EIO);
}

#[test]
fn the_mount_ends_while_files_are_open() {
    let Some(mut mount) = with_log() else { return };
    let file = read_write(mount.mnt().join("data"));
    file.write_all_at(b"before", 0).unwrap();
    mount.stop();
    drop(file);
    assert_eq!(fs::read(mount.raw().join("data")).unwrap(), b"before");
}

#[test]
fn without_the_privilege_the_mount_is_refused() {
    let Some(privileged) = passing(LOG) else { return };
    drop(privileged);
    let scratch = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    // Root of a user namespace may mount, and no more.
    command.args(["--user", "--map-root-user", "--mount"]).arg(env!("CARGO_BIN_EXE_slowfs"));
    command.arg("mount").arg(scratch.path()).args(["--listen", "127.0.0.1:0"]);
    let output = command.args(["--passthrough-except", LOG]).output().unwrap();
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("--passthrough-except") && text.contains("CAP_SYS_ADMIN"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(!is_fuse(scratch.path()));
    let output = slowfs().args(["mount", "/", "--passthrough-except", "("]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text_of(&output));
}

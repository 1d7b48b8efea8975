//! `--writeback-cache`: a write(2) ends in the kernel's cache and meets faults when it is written back;
//! all else is as without it. That every file is right is in tests/mirror, tests/programs and
//! tests/suites, which run on such a mirror too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::io::Write as _;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use common::aio::Aio;
use common::{
    Mount, PATIENCE, delaying, errno_of, failing, hanging, scratch, slowfs, stdout_of, text_of,
    wait_for,
};
use rustix::fs::{SeekFrom, Timespec, Timestamps, UTIME_OMIT};

const PAGE: usize = 4096;

fn written_back() -> Mount {
    Mount::with(&["--writeback-cache"])
}

fn opened(path: impl AsRef<Path>, flags: i32) -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).custom_flags(flags);
    options.open(path).unwrap()
}

fn calls(mount: &Mount, method: &str) -> i64 {
    let methods = mount.client().stats().unwrap().methods;
    methods.iter().find(|m| m.name == method).unwrap().calls
}

#[test]
fn a_write_ends_in_the_cache_and_reaches_the_backing_by_fsync_and_close() {
    let mount = written_back();
    let file = opened(mount.mnt().join("f"), 0);
    for page in 0..100 {
        file.write_all_at(&[7; PAGE], page * PAGE as u64).unwrap();
    }
    assert_eq!(file.metadata().unwrap().len(), 100 * PAGE as u64);
    file.sync_all().unwrap();
    assert_eq!(fs::read(mount.raw().join("f")).unwrap(), [7; 100 * PAGE]);
    // Usually 1. The kernel writes back as soon as it likes.
    assert!(calls(&mount, "write") < 50, "as much in a request as it takes");
    file.write_all_at(b"end", 0).unwrap();
    drop(file);
    assert_eq!(fs::read(mount.raw().join("f")).unwrap()[..4], *b"end\x07");
}

/// Its clock ticks slowly: a write in the tick of the creation changes no time that it would tell.
#[test]
fn the_backing_has_the_time_that_the_kernel_keeps_however_late_it_writes_back() {
    let mount = written_back();
    for n in 0..20 {
        let name = format!("f{n}");
        let file = opened(mount.mnt().join(&name), 0);
        file.write_all_at(b"x", 0).unwrap();
        thread::sleep(Duration::from_millis(10));
        let kept = file.metadata().unwrap();
        drop(file);
        let stored = fs::metadata(mount.raw().join(&name)).unwrap();
        let times = [&kept, &stored].map(|of| (of.mtime(), of.mtime_nsec()));
        assert_eq!(times[0], times[1], "{name}");
    }
}

#[test]
fn an_error_of_a_write_comes_with_fsync_and_with_close() {
    let mount = written_back();
    for (name, code) in [("enospc", libc::ENOSPC), ("eio", libc::EIO)] {
        let file = opened(mount.mnt().join(name), 0);
        mount.add(&failing(&["write"], &name.to_uppercase()));
        file.write_all_at(b"lost", 0).unwrap();
        assert_eq!(errno_of(file.sync_all()), code);
        file.sync_all().expect("it is told once to each who has the file open");
        // dd(1) tells what close(2) said.
        let to = format!("of={}", mount.mnt().join(name).display());
        let output = Command::new("dd").args(["if=/dev/zero", "bs=4k", "count=1", &to]).output();
        let said = text_of(&output.unwrap());
        mount.clear();
        assert!(said.contains("closing output file"), "{said}");
        assert!(fs::read(mount.raw().join(name)).unwrap().is_empty());
        assert_eq!(errno_of(file.sync_all()), code, "that one too");
        file.write_all_at(b"kept", 0).unwrap();
        file.sync_all().unwrap();
        assert!(fs::read(mount.raw().join(name)).unwrap().starts_with(b"kept"));
    }
}

#[test]
fn a_delay_and_a_hang_of_writes_hold_who_waits_for_the_disk() {
    let mount = written_back();
    let file = opened(mount.mnt().join("f"), 0);
    let delay = Duration::from_millis(300);
    let id = mount.add(&delaying(&["write"], delay));
    let began = Instant::now();
    file.write_all_at(b"x", 0).unwrap();
    file.sync_data().unwrap();
    assert!(began.elapsed() >= delay);
    assert_eq!(mount.listed(id).fired, 1);
    mount.clear();
    let _cleared = mount.clear_on_drop();
    let id = mount.add(&hanging(&["write"]));
    thread::scope(|scope| {
        let syncing = scope.spawn(|| {
            file.write_all_at(b"y", 0).unwrap();
            file.sync_data()
        });
        wait_for("the write-back to be held", || (mount.listed(id).held == 1).then_some(()));
        assert!(!syncing.is_finished());
        // Nobody else waits.
        fs::write(mount.mnt().join("meanwhile"), "").unwrap();
        assert_eq!(fs::metadata(mount.mnt().join("f")).unwrap().len(), 1);
        mount.clear();
        syncing.join().unwrap().unwrap();
    });
    assert_eq!(fs::read(mount.raw().join("f")).unwrap(), b"y");
}

/// Nothing says for whom a write-back is; but a killed process that does not end is noticed.
#[test]
fn who_is_killed_while_a_write_back_is_held_is_freed() {
    let mount = written_back();
    let id = mount.add(&hanging(&["write"]));
    let to = format!("of={}", mount.mnt().join("f").display());
    let words = ["if=/dev/zero", "bs=4k", "count=1", "conv=fsync", &to];
    let mut syncing = Command::new("dd").args(words).spawn().unwrap();
    wait_for("the write-back to be held", || (mount.listed(id).held == 1).then_some(()));
    syncing.kill().unwrap();
    let ended = wait_for("the killed process to end", || syncing.try_wait().unwrap());
    assert!(!ended.success());
    assert_eq!(mount.listed(id).let_go, 1);
}

#[test]
fn nobody_is_the_caller_of_a_write() {
    let mount = written_back();
    let file = opened(mount.mnt().join("f"), 0);
    let own = [("uid", "0".to_owned()), ("pid", std::process::id().to_string())];
    let ids =
        own.map(|(filter, value)| mount.add(&failing(&["write"], "EIO").with(filter, &value)));
    file.write_all_at(b"x", 0).unwrap();
    file.sync_all().unwrap();
    assert_eq!(ids.map(|id| mount.listed(id).matched), [0, 0]);
}

#[test]
fn a_read_fault_is_met_by_the_very_next_read_of_a_cached_file() {
    let mount = written_back();
    let file = opened(mount.mnt().join("f"), 0);
    file.write_all_at(&[1; PAGE], 0).unwrap();
    for round in 0..20 {
        let mut byte = [0];
        // From the cache, by attributes that are trusted from now on.
        file.read_exact_at(&mut byte, 0).unwrap();
        assert!(file.metadata().is_ok() && byte == [1], "{round}");
        mount.add(&failing(&["read"], "EIO"));
        assert_eq!(errno_of(file.read_exact_at(&mut byte, 0)), libc::EIO, "{round}");
        mount.clear();
        mount.add(&failing(&["getattr", "fgetattr"], "EIO"));
        assert_eq!(errno_of(file.metadata()), libc::EIO, "{round}");
        mount.clear();
    }
}

#[test]
fn what_the_kernel_asks_and_tells_on_its_own_meets_no_fault() {
    let mount = written_back();
    let [path, other] = ["f", "g"].map(|name| mount.mnt().join(name));
    let file = opened(&path, 0);
    file.write_all_at(b"x", 0).unwrap();
    let id = mount.add(&failing(&["read", "fgetattr", "utimens"], "EIO"));
    // It looks for setuid bits before each write, and tells the times that it keeps after each sync,
    // and when names come and go.
    for round in 0..5 {
        thread::sleep(Duration::from_millis(20));
        file.write_all_at(b"y", round).unwrap();
        file.sync_all().unwrap();
        fs::rename(&path, &other).unwrap();
        fs::hard_link(&other, &path).unwrap();
        fs::remove_file(&other).unwrap();
    }
    assert_eq!(mount.listed(id).matched, 0);
    let mtime = Timespec { tv_sec: 1_000_000, tv_nsec: 7 };
    let omitted = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    for last_access in [mtime, omitted] {
        let times = Timestamps { last_access, last_modification: mtime };
        assert_eq!(rustix::fs::futimens(&file, &times), Err(rustix::io::Errno::IO));
    }
    assert_eq!(mount.listed(id).matched, 2);
}

/// Linux AIO and the threads of a ring, whose system calls do not tell reads from writes.
#[test]
fn who_may_write_meets_read_faults_at_what_it_reads_from_the_backing() {
    let mount = written_back();
    let path = mount.mnt().join("f");
    let mut plain = Aio::new("plain", &path, "random");
    for engine in ["libaio", "uring"] {
        let mut aio = Aio::new(engine, &path, "random");
        assert_eq!(aio.results("w:0:4096:1"), [PAGE as i64], "{engine}");
        let id = mount.add(&failing(&["read", "fgetattr"], "EIO"));
        assert_eq!(aio.results("w:0:4096:2 w:4096:4096:2"), [PAGE as i64; 2], "{engine}");
        assert_eq!(mount.listed(id).matched, 0, "{engine}");
        assert_eq!(plain.results("w:0:4096:2 r:0:4096"), [PAGE as i64, -5], "{engine}");
        assert_eq!(mount.listed(id).matched, 1, "{engine}");
        assert_eq!(plain.results("fsync drop"), [0, 0], "{engine}");
        assert_eq!(aio.results("r:0:4096"), [-5], "{engine}");
        mount.clear();
    }
}

/// A daemon that has no more rights to the times of others' files than an ordinary user's.
#[test]
fn times_that_the_daemon_may_not_set_fail_no_later_sync() {
    let mut program = Command::new("setpriv");
    program.args(["--bounding-set", "-fowner", "--inh-caps", "-fowner"]);
    program.arg(slowfs().get_program());
    let mount = Mount::run(program, scratch(), &["--writeback-cache"]);
    let (path, other) = (mount.mnt().join("f"), mount.mnt().join("g"));
    fs::write(mount.raw().join("f"), "begin").unwrap();
    std::os::unix::fs::chown(mount.raw().join("f"), Some(65534), None).unwrap();
    fs::rename(&path, &other).unwrap();
    fs::hard_link(&other, &path).unwrap();
    fs::remove_file(&other).unwrap();
    let file = opened(&path, 0);
    file.write_all_at(b"again", 0).unwrap();
    file.sync_all().unwrap();
    let last_modification = Timespec { tv_sec: 1_000_000, tv_nsec: 7 };
    let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let asked = rustix::fs::futimens(&file, &Timestamps { last_access, last_modification });
    assert_eq!(asked, Err(rustix::io::Errno::PERM), "nobody is told that it was set");
}

#[test]
fn the_backing_gets_the_times_that_the_kernel_keeps() {
    let mount = written_back();
    let file = opened(mount.mnt().join("f"), 0);
    let raw = || fs::metadata(mount.raw().join("f")).unwrap();
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(20));
        file.write_all_at(b"x", 0).unwrap();
        let kept = file.metadata().unwrap();
        file.sync_all().unwrap();
        let [kept, told] = [kept, raw()].map(|of| (of.mtime(), of.mtime_nsec()));
        assert_eq!(told, kept);
    }
}

/// A file whose last page is written, but not yet to the backing, which ends at 0.
fn with_a_tail(mount: &Mount, name: &str) -> File {
    wait_for("a write that the kernel keeps for a while", || {
        let _ = fs::remove_file(mount.mnt().join(name));
        let file = opened(mount.mnt().join(name), 0);
        file.write_all_at(&[3; PAGE], 2 * PAGE as u64).unwrap();
        (fs::metadata(mount.raw().join(name)).unwrap().len() == 0).then_some(file)
    })
}

#[test]
fn what_lies_before_data_that_is_not_written_back_is_found() {
    let mount = written_back();
    let page = PAGE as u64;
    let _open = with_a_tail(&mount, "direct");
    let direct = opened(mount.mnt().join("direct"), libc::O_DIRECT);
    let mut buffer = vec![9; PAGE];
    assert_eq!(direct.read_at(&mut buffer, 0).unwrap(), PAGE);
    assert_eq!(buffer, [0; PAGE]);

    let file = with_a_tail(&mount, "holes");
    let seek = |to| rustix::fs::seek(&file, to).unwrap();
    assert_eq!((seek(SeekFrom::Data(0)), seek(SeekFrom::Hole(2 * page))), (2 * page, 3 * page));

    let (from, to) = (with_a_tail(&mount, "from"), opened(mount.mnt().join("to"), 0));
    let (mut at, mut into) = (0, 0);
    let copied = rustix::fs::copy_file_range(&from, Some(&mut at), &to, Some(&mut into), PAGE);
    assert_eq!((copied, to.metadata().unwrap().len()), (Ok(PAGE), page));

    let _open = with_a_tail(&mount, "append");
    let mut appending = OpenOptions::new();
    appending.append(true).custom_flags(libc::O_DIRECT);
    appending.open(mount.mnt().join("append")).unwrap().write_all(b"end").unwrap();
    let content = fs::read(mount.mnt().join("append")).unwrap();
    assert_eq!((content.len(), &content[3 * PAGE..]), (3 * PAGE + 3, &b"end"[..]));
    assert_eq!(content[2 * PAGE..3 * PAGE], [3; PAGE]);
}

#[test]
fn files_that_cannot_be_paged_are_written_past_the_cache() {
    let mount = written_back();
    let raw = mount.raw().join("log");
    fs::write(&raw, "begin ").unwrap();
    stdout_of(Command::new("chattr").arg("+a").arg(&raw));
    let append = || OpenOptions::new().append(true).open(mount.mnt().join("log")).unwrap();
    let written = [append(), append()].map(|mut log| log.write_all(b"more "));
    let content = fs::read(&raw);
    stdout_of(Command::new("chattr").arg("-a").arg(&raw));
    assert!(written.iter().all(Result::is_ok), "{written:?}");
    assert_eq!(content.unwrap(), b"begin more more ");
}

/// The kernel gives what it has in its cache to any handle that writes, also to one that only appends.
#[test]
fn what_was_written_in_place_is_written_back_so_when_the_file_is_append_only() {
    let mount = written_back();
    let (path, raw) = (mount.mnt().join("log"), mount.raw().join("log"));
    fs::write(&raw, "0123456789").unwrap();
    let file = opened(&path, 0);
    stdout_of(Command::new("chattr").arg("+a").arg(&raw));
    let log = OpenOptions::new().append(true).open(&path);
    file.write_all_at(b"ab", 2).unwrap();
    let synced = file.sync_all();
    let content = fs::read(&raw);
    stdout_of(Command::new("chattr").arg("-a").arg(&raw));
    assert!(log.is_ok() && synced.is_ok(), "{log:?} {synced:?}");
    assert_eq!(content.unwrap(), b"01ab456789");
}

#[test]
fn a_file_that_is_open_for_writing_only_keeps_what_it_had() {
    let mount = written_back();
    fs::write(mount.raw().join("f"), [1; 2 * PAGE]).unwrap();
    let file = OpenOptions::new().write(true).open(mount.mnt().join("f")).unwrap();
    (0..100).for_each(|_| file.write_all_at(b"within", 100).unwrap());
    file.sync_all().unwrap();
    assert!(calls(&mount, "write") < 50, "the kernel has the page that this is within");
    let content = fs::read(mount.raw().join("f")).unwrap();
    assert_eq!((content.len(), &content[99..107]), (2 * PAGE, &b"\x01within\x01"[..]));
}

#[test]
fn the_end_of_the_daemon_takes_no_longer() {
    let mut mount = written_back();
    let file = opened(mount.mnt().join("f"), 0);
    let id = mount.add(&hanging(&["write"]));
    file.write_all_at(b"x", 0).unwrap();
    thread::scope(|scope| {
        let syncing = scope.spawn(|| file.sync_all());
        wait_for("the write-back to be held", || (mount.listed(id).held == 1).then_some(()));
        let began = Instant::now();
        mount.stop();
        assert!(began.elapsed() < PATIENCE);
        let _: io::Result<()> = syncing.join().unwrap();
    });
}

#[test]
fn it_excludes_what_goes_past_the_cache() {
    let dir = scratch();
    for other in [&["--direct-io"][..], &["--passthrough-except", ".*"]] {
        let mut command = slowfs();
        command.arg("mount").arg(dir.path()).arg("--writeback-cache").args(other);
        let output = command.output().unwrap();
        let said = text_of(&output);
        assert!(
            said.contains("--writeback-cache") && said.contains("cannot be used with"),
            "{said}"
        );
        assert!(said.contains(other[0]), "{said}");
        assert_eq!(output.status.code(), Some(2));
    }
}

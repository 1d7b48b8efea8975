//! Files that the kernel serves are files like any others, beside those that slowfs serves.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::fs::FallocateFlags;
use slowfs::rpc::PassthroughStatistics;

use super::common::calls::Mapping;
use super::common::{errno_of, passing_over, stdout_of, wait_for};
use super::{OPTIONS, calls, read_write, served, wait_until_open, with_log};

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

//! What held operations keep is bounded in memory, and right wherever it was kept.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread::{self, JoinHandle};

use common::{Mount, Within, hanging, long_or, scratch, slowfs, text_of, wait_for};
use tempfile::TempDir;

const MIB: usize = 1 << 20;

/// What the n-th writer writes: no two blocks are alike.
fn pattern(n: usize) -> Vec<u8> {
    let mut data = vec![n as u8; MIB];
    for (block, bytes) in data.chunks_exact_mut(512).enumerate() {
        bytes[..8].copy_from_slice(&((n * MIB + block) as u64).to_le_bytes());
    }
    data
}

/// So many writes of 1 MiB, each of a file of its own.
fn write_all(mnt: &Path, many: usize) -> Vec<JoinHandle<()>> {
    let write = |n: usize| {
        let file = File::create(mnt.join(format!("file{n}"))).unwrap();
        let writer = move || assert_eq!(file.write_at(&pattern(n), 0).unwrap(), MIB);
        thread::Builder::new().stack_size(128 << 10).spawn(writer).unwrap()
    };
    (0..many).map(write).collect()
}

fn assert_written(mount: &Mount, many: usize) {
    for n in 0..many {
        let found = fs::read(mount.raw().join(format!("file{n}"))).unwrap();
        assert!(found == pattern(n), "file {n} holds something else");
    }
}

/// The most that the daemon has had in memory, KiB.
fn peak(mount: &Mount) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", mount.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn hold_all(mount: &Mount, many: usize) -> Vec<JoinHandle<()>> {
    let id = mount.add(&hanging(&["write"]));
    let writers = write_all(&mount.mnt(), many);
    wait_for("all to be held", || (mount.listed(id).held == many as i64).then_some(()));
    writers
}

#[test]
fn what_held_writes_keep_goes_to_a_file_beyond_the_bound() {
    let many = long_or(1000, 320);
    let mount = Mount::with(&["--direct-io", "--held-max", "16M"]);
    let _clear = mount.clear_on_drop();
    let writers = hold_all(&mount, many);
    wait_for("the rest to be in the file", || {
        let stats = mount.client().stats().unwrap();
        let [memory, file] = [stats.held_bytes_in_memory, stats.held_bytes_in_file];
        // A buffer that begins within a page makes a request that is that much shorter.
        let all = memory + file;
        let right = all <= (many * MIB) as i64 && all > (many * (MIB - 4096)) as i64;
        (memory <= 16 * MIB as i64 && right).then_some(())
    });
    mount.clear();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    println!("{many} MiB held, the daemon had {} KiB at most", peak(&mount));
    assert!(peak(&mount) < 160 << 10, "{} KiB", peak(&mount));
    let stats = mount.client().stats().unwrap();
    assert_eq!([stats.held_bytes_in_memory, stats.held_bytes_in_file], [0, 0]);
    assert_written(&mount, many);
}

#[test]
fn what_finds_no_room_in_the_file_stays_in_memory() {
    const MANY: usize = 12;
    let scratch = scratch();
    let small = Within::mount_of("tmpfs", scratch.path().join("small"), Some("size=2m"));
    let dir = scratch.path().join("small").to_str().unwrap().to_owned();
    let mount = Mount::over(scratch, &["--direct-io", "--held-max", "1M", "--held-dir", &dir]);
    let _clear = mount.clear_on_drop();
    let writers = hold_all(&mount, MANY);
    wait_for("the warning", || mount.log_text().contains("stays in memory").then_some(()));
    let stats = mount.client().stats().unwrap();
    assert!(stats.held_bytes_in_file <= 2 * MIB as i64, "{stats:?}");
    mount.clear();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_written(&mount, MANY);
    assert_eq!(mount.log_text().matches("stays in memory").count(), 1, "once is enough");
    drop(mount);
    drop(small);
}

#[test]
fn a_directory_that_cannot_be_used_is_told_at_the_start() {
    let mount = Mount::with(&["--held-max", "0", "--held-dir", "/proc/none"]);
    let _clear = mount.clear_on_drop();
    mount.wait_until_logged("cannot make a file in /proc/none");
    let writers = hold_all(&mount, 3);
    mount.clear();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_written(&mount, 3);
}

#[test]
fn the_file_lies_not_below_the_mount() {
    let scratch = scratch();
    fs::create_dir(scratch.path().join("inside")).unwrap();
    let mut command = slowfs();
    command.arg("mount").arg(scratch.path()).args(["--listen", "127.0.0.1:0", "--held-dir"]);
    let output = command.arg(scratch.path().join("inside")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text_of(&output).contains("lies below"), "{}", text_of(&output));
}

/// As on a disk that has stopped. More wait for it than there are threads that take requests.
#[test]
fn a_directory_that_blocks_keeps_nobody_else_waiting() {
    const MANY: usize = 24;
    let blocked = Mount::new();
    let _let_go = blocked.clear_on_drop();
    let store = blocked.add(&hanging(&["write"]));
    let dir = blocked.mnt().to_str().unwrap().to_owned();
    let mount =
        Mount::with(&["--direct-io", "--threads", "2", "--held-max", "1M", "--held-dir", &dir]);
    let _clear = mount.clear_on_drop();
    let writers = hold_all(&mount, MANY);
    wait_for("what is kept to be written there", || {
        (blocked.listed(store).held >= 1).then_some(())
    });
    let mnt = mount.mnt();
    let others = thread::spawn(move || {
        for n in 0..100 {
            let name = mnt.join(format!("dir{n}"));
            fs::create_dir(&name).unwrap();
            assert_eq!(fs::read(mnt.join(format!("file{}", n % MANY))).unwrap(), b"");
            fs::remove_dir(name).unwrap();
        }
    });
    wait_for("others to be done", || others.is_finished().then_some(()));
    others.join().unwrap();
    let stats = mount.client().stats().unwrap();
    assert_eq!(stats.held_bytes_in_file, 0, "{stats:?}");
    // What goes on does not wait for it either.
    mount.clear();
    wait_for("the writes", || writers.iter().all(JoinHandle::is_finished).then_some(()));
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_written(&mount, MANY);
    assert!(blocked.listed(store).held >= 1, "it blocks still");
    blocked.clear();
}

/// A mirror whose directory for temporary files is that one, within the scratch directory.
fn with_tmpdir(scratch: TempDir, name: &str) -> Mount {
    fs::create_dir_all(scratch.path().join(name)).unwrap();
    let mut program = slowfs();
    program.env("TMPDIR", scratch.path().join(name));
    Mount::run(program, scratch, &["--direct-io", "--held-max", "0"])
}

#[test]
fn unless_told_the_file_lies_where_temporary_files_do() {
    let mount = with_tmpdir(scratch(), "temporary");
    let _clear = mount.clear_on_drop();
    let writers = hold_all(&mount, 3);
    wait_for("the file to be used", || {
        (mount.client().stats().unwrap().held_bytes_in_memory == 0).then_some(())
    });
    let open = fs::read_dir(format!("/proc/{}/fd", mount.pid())).unwrap();
    let dir = mount.scratch().join("temporary");
    let within = open
        .filter_map(|fd| fs::read_link(fd.unwrap().path()).ok())
        .filter(|path| path.starts_with(&dir));
    assert_eq!(within.count(), 1);
    mount.clear();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_written(&mount, 3);
}

#[test]
fn where_temporary_files_lie_below_the_mount_all_stays_in_memory() {
    let mount = with_tmpdir(scratch(), "mnt/temporary");
    let _clear = mount.clear_on_drop();
    let log = mount.log_text();
    assert!(log.contains("mnt/temporary lies below the mountpoint"), "{log}");
    assert!(log.contains("stays in memory (name a directory with --held-dir)"), "{log}");
    let writers = hold_all(&mount, 3);
    let stats = mount.client().stats().unwrap();
    assert_eq!(stats.held_bytes_in_file, 0, "{stats:?}");
    assert!(stats.held_bytes_in_memory > 2 * MIB as i64, "{stats:?}");
    mount.clear();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_written(&mount, 3);
}

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

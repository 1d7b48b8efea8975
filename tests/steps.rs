//! One system call rolls a fault on attributes once, however often the kernel asks on its way; two
//! system calls roll twice, however alike they are.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use common::{Mount, delaying, failing};

/// A name, what makes ready in a directory, and system calls there: how many.
type Case = (&'static str, fn(&Path), fn(&Path) -> usize);

fn nothing(_: &Path) {}

fn file(dir: &Path) {
    fs::write(dir.join("file"), "x").unwrap();
}

fn full(dir: &Path) {
    fs::create_dir_all(dir.join("full/entry")).unwrap();
}

const CASES: [Case; 14] = [
    ("mkdir, rmdir", nothing, |d| {
        fs::create_dir(d.join("made")).unwrap();
        fs::remove_dir(d.join("made")).unwrap();
        2
    }),
    ("create, unlink", nothing, |d| {
        rustix::fs::open(
            d.join("made"),
            rustix::fs::OFlags::CREATE | rustix::fs::OFlags::RDWR,
            rustix::fs::Mode::RWXU,
        )
        .unwrap();
        fs::remove_file(d.join("made")).unwrap();
        2
    }),
    ("symlink, unlink", nothing, |d| {
        symlink("x", d.join("made")).unwrap();
        fs::remove_file(d.join("made")).unwrap();
        2
    }),
    ("link, unlink", file, |d| {
        fs::hard_link(d.join("file"), d.join("made")).unwrap();
        fs::remove_file(d.join("made")).unwrap();
        2
    }),
    ("rename there and back", file, |d| {
        fs::rename(d.join("file"), d.join("moved")).unwrap();
        fs::rename(d.join("moved"), d.join("file")).unwrap();
        2
    }),
    ("mkdir of what is there", full, |d| {
        fs::create_dir(d.join("full")).unwrap_err();
        1
    }),
    ("rmdir of what is full", full, |d| {
        fs::remove_dir(d.join("full")).unwrap_err();
        1
    }),
    ("unlink of nothing", nothing, |d| {
        fs::remove_file(d.join("nothing")).unwrap_err();
        1
    }),
    ("link onto what is there", full, |d| {
        fs::hard_link(d.join("full"), d.join("full")).unwrap_err();
        1
    }),
    ("open of nothing", nothing, |d| {
        File::open(d.join("nothing")).unwrap_err();
        1
    }),
    ("open of what may be there", file, |d| {
        let mut open = File::options();
        open.write(true).create(true).truncate(false).mode(0o644).open(d.join("file")).unwrap();
        1
    }),
    ("stat", file, |d| {
        fs::metadata(d.join("file")).unwrap();
        1
    }),
    ("stat of nothing", nothing, |d| {
        fs::metadata(d.join("nothing")).unwrap_err();
        1
    }),
    ("truncate", file, |d| {
        common::calls::truncate(d.join("file"), 1).unwrap();
        1
    }),
];

#[test]
fn each_system_call_rolls_an_attribute_fault_once() {
    let mount = Mount::new();
    let mut wrong = Vec::new();
    for depth in ["", "a/b"] {
        for (number, (name, prepare, call)) in CASES.iter().enumerate() {
            let dir = mount.mnt().join(depth).join(format!("case{number}"));
            // Directly below the root the directory is the root itself.
            let dir = if depth.is_empty() { mount.mnt() } else { dir };
            fs::create_dir_all(&dir).unwrap();
            prepare(&dir);
            let counting = failing(&["getattr"], "EIO").with("probability", "0");
            let id = mount.add(&counting);
            let calls: usize = (0..20).map(|_| call(&dir)).sum();
            let rolled = mount.listed(id).matched;
            if rolled != calls as i64 {
                wrong.push(format!("{name} in {depth:?}: {rolled} rolls of {calls} calls"));
            }
            mount.clear();
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn two_fstats_of_a_directory_and_of_a_file_in_it_roll_twice() {
    let mount = Mount::new();
    let dir = mount.mnt().join("dir");
    fs::create_dir(&dir).unwrap();
    file(&dir);
    let (of_dir, of_file) = (File::open(&dir).unwrap(), File::open(dir.join("file")).unwrap());
    let id = mount.add(&failing(&["getattr"], "EIO").with("probability", "0"));
    for n in 1..=20 {
        of_dir.metadata().unwrap();
        of_file.metadata().unwrap();
        assert_eq!(mount.listed(id).matched, 2 * n);
    }
}

/// The kernel asks for the attributes of each directory on the way: a fault that fires on the first is
/// the one that decides on the file too.
#[test]
fn behind_a_fault_that_always_fires_first_none_fires_on_a_later_step() {
    let mount = Mount::new();
    let dir = mount.mnt().join("a/b");
    fs::create_dir_all(&dir).unwrap();
    file(&dir);
    let first = mount.add(&delaying(&["getattr"], Duration::from_millis(1)));
    let second = mount.client().put_fault(&failing(&["getattr"], "EIO"), true).unwrap().id;
    for n in 1..=5 {
        fs::metadata(dir.join("file")).unwrap();
        let (first, second) = (mount.listed(first), mount.listed(second));
        assert_eq!((first.fired, second.matched, second.fired), (n, 0, 0));
    }
}

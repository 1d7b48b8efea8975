//! Looking at all that is there: bounded in what is kept, and ended where nobody wants more.

use std::cell::Cell;
use std::ops::ControlFlow;

use rustix::fs::{CWD, mkdirat, openat};

use super::*;

/// How many names there are, and what the visit has come to.
fn walked(disk: &Disk, goes_on: &dyn Fn() -> bool) -> (usize, Walked) {
    let mut names = 0;
    let visit = &mut |_: &[u8]| {
        names += 1;
        ControlFlow::Continue(true)
    };
    let walked = disk.mirror.visit_all(goes_on, visit).unwrap();
    (names, walked)
}

/// Their paths together are more than is kept of what is to be looked into.
#[test]
fn many_long_names_of_directories_are_not_all_kept() {
    const DEEP: usize = 14;
    const MANY: usize = 9_000;
    let disk = Disk::new();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let make = |at: &OwnedFd, name: &str| mkdirat(at, name, Mode::RWXU).unwrap();
    let mut at = openat(CWD, &disk.backing, flags, Mode::empty()).unwrap();
    for _ in 0..DEEP {
        let name = "d".repeat(255);
        make(&at, &name);
        at = openat(&at, &name, flags, Mode::empty()).unwrap();
    }
    for n in 0..MANY {
        make(&at, &format!("{n:0255}"));
    }
    let all = 1 + DEEP + MANY;
    assert_eq!(walked(&disk, &|| true), (all, Walked { left_out: 0, whole: false }));
    // As many less deep ones are.
    let all_but_last = (1..DEEP).fold(disk.backing.clone(), |at, _| at.join("d".repeat(255)));
    fs::rename(all_but_last.join("d".repeat(255)), disk.backing.join("d")).unwrap();
    assert_eq!(walked(&disk, &|| true), (all, Walked { left_out: 0, whole: true }));
}

#[test]
fn a_visit_ends_at_an_empty_directory_too() {
    let disk = Disk::new();
    for n in 0..10 {
        fs::create_dir(disk.backing.join(n.to_string())).unwrap();
    }
    assert_eq!(walked(&disk, &|| true), (11, Walked { left_out: 0, whole: true }));
    // The root, its ten names, and five of those.
    let asked = Cell::new(0);
    let goes_on = || asked.replace(asked.get() + 1) < 16;
    assert_eq!(walked(&disk, &goes_on), (11, Walked { left_out: 0, whole: false }));
    assert_eq!(asked.get(), 17);
}

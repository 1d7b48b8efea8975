//! `full -r`: names move the space of files, and of directories with all that is in them.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::{CWD, FallocateFlags, RenameFlags, fallocate, renameat_with};

use super::common::disk::Disk;
use super::common::{Mount, errno_of, wait_for};

const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;
const BLOCK: usize = 4096;

/// A mount on which some files have 64 KiB. Directories take no blocks there.
struct Partly {
    mount: Mount,
    _disk: Disk,
}

impl Partly {
    fn new(fault: &str) -> Partly {
        let disk = Disk::tmpfs();
        let mount = Mount::over(disk.directory(), &["--fault", fault]);
        for name in ["in", "out"] {
            fs::create_dir(mount.mnt().join(name)).unwrap();
        }
        Partly { mount, _disk: disk }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.mount.mnt().join(name)
    }

    /// Makes a file of so many KiB.
    fn make(&self, name: &str, kib: usize) {
        fs::write(self.at(name), vec![b'x'; kib << 10]).unwrap();
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    /// How many KiB are left of it.
    fn left(&self) -> usize {
        let probe = self.at("in/probe");
        let file = File::create_new(&probe).unwrap();
        let bytes = (0_u64..)
            .take_while(|n| file.write_at(&black_box([b'x'; BLOCK]), n << 12).is_ok())
            .count();
        file.set_len(0).unwrap();
        fs::remove_file(probe).unwrap();
        (bytes * BLOCK) >> 10
    }

    /// So many are left, once all that was closed is.
    fn expect(&self, kib: usize) {
        wait_for(&format!("{kib} KiB to be left"), || (self.left() == kib).then_some(()));
    }

    fn is_there(&self, name: &str) -> bool {
        match fs::symlink_metadata(self.at(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            found => found.map(|_| true).unwrap(),
        }
    }
}

#[test]
fn what_comes_by_a_rename_takes_space_and_what_leaves_gives_it_back() {
    let partly = Partly::new("full --free 64KiB -r .*/in/.*");
    partly.make("out/a", 32);
    partly.expect(64);
    partly.rename("out/a", "in/a").unwrap();
    partly.expect(32);
    partly.rename("in/a", "in/b").unwrap();
    partly.expect(32);
    partly.rename("in/b", "out/a").unwrap();
    partly.expect(64);
    fs::remove_file(partly.at("out/a")).unwrap();
    partly.expect(64);
    // What was there before has taken nothing, and what is removed makes room.
    partly.make("in/c", 16);
    partly.make("out/d", 8);
    partly.rename("in/c", "out/d").unwrap();
    partly.expect(64);
    partly.rename("out/d", "in/c").unwrap();
    partly.expect(48);
    fs::remove_file(partly.at("in/c")).unwrap();
    partly.expect(64);
}

#[test]
fn what_does_not_fit_is_not_moved() {
    for (errno, told) in [("ENOSPC", ENOSPC), ("EDQUOT", EDQUOT)] {
        let partly = Partly::new(&format!("full --free 64KiB --errno {errno} -r .*/in/.*"));
        partly.make("out/a", 68);
        assert_eq!(errno_of(partly.rename("out/a", "in/a")), told);
        assert!(partly.is_there("out/a") && !partly.is_there("in/a"));
        let fault = &partly.mount.client().list_faults().unwrap()[0];
        assert_eq!(fault.fired, 1, "{fault:?}");
        partly.expect(64);
        partly.make("in/a", 40);
        partly.make("out/b", 40);
        assert_eq!(errno_of(partly.rename("out/b", "in/a")), told, "beside what it replaces");
        partly.make("out/b", 24);
        partly.rename("out/b", "in/a").unwrap();
        partly.expect(40);
    }
    let partly = Partly::new("full --free 64KiB --inodes 2 -r .*/in/.*");
    ["in/a", "in/b", "out/c"].iter().for_each(|name| partly.make(name, 0));
    assert_eq!(errno_of(partly.rename("out/c", "in/c")), ENOSPC, "an inode, too");
    assert!(partly.is_there("out/c"));
}

#[test]
fn two_files_that_take_each_others_names_change_sides() {
    let partly = Partly::new("full --free 64KiB -r .*/in/.*");
    partly.make("in/a", 16);
    partly.make("out/b", 32);
    partly.make("out/large", 100);
    let exchange = |one: &str, other: &str| {
        renameat_with(CWD, partly.at(one), CWD, partly.at(other), RenameFlags::EXCHANGE)
            .map_err(rustix::io::Errno::raw_os_error)
    };
    exchange("in/a", "out/b").unwrap();
    partly.expect(32);
    exchange("out/b", "in/a").unwrap();
    partly.expect(48);
    assert_eq!(exchange("in/a", "out/large"), Err(ENOSPC));
    assert_eq!(exchange("out/large", "in/a"), Err(ENOSPC));
    partly.expect(48);
}

#[test]
fn a_file_counts_as_long_as_one_of_its_names_does() {
    let partly = Partly::new("full --free 64KiB -r .*/in/.*");
    partly.make("out/a", 32);
    fs::hard_link(partly.at("out/a"), partly.at("in/a")).unwrap();
    partly.expect(32);
    fs::hard_link(partly.at("out/a"), partly.at("in/b")).unwrap();
    partly.rename("in/a", "out/b").unwrap();
    partly.expect(32);
    fs::remove_file(partly.at("in/b")).unwrap();
    partly.expect(64);
    fs::rename(partly.at("out/b"), partly.at("in/b")).unwrap();
    partly.expect(32);
    let open = File::open(partly.at("in/b")).unwrap();
    fs::remove_file(partly.at("in/b")).unwrap();
    fs::remove_file(partly.at("out/a")).unwrap();
    drop(open);
    partly.expect(64);
    partly.make("out/a", 68);
    assert_eq!(errno_of(fs::hard_link(partly.at("out/a"), partly.at("in/a"))), ENOSPC);
    assert!(!partly.is_there("in/a"));
}

#[test]
fn a_directory_moves_all_that_is_in_it() {
    // By its own path, and where only what is in it matches.
    for (fault, to) in [
        ("full --free 64KiB --inodes 20 -r .*/in/.*", "in/d"),
        ("full --free 64KiB --inodes 20 -r .*/in/.*|.*/late/.*", "late"),
    ] {
        let partly = Partly::new(fault);
        fs::create_dir_all(partly.at("out/d/e/f")).unwrap();
        for name in ["a", "e/b", "e/f/c"] {
            partly.make(&format!("out/d/{name}"), 8);
        }
        fs::hard_link(partly.at("out/d/a"), partly.at("out/d/e/a")).unwrap();
        // What the kernel has never met.
        fs::write(partly.mount.raw().join("out/d/unmet"), [b'x'; 8 << 10]).unwrap();
        partly.expect(64);
        partly.rename("out/d", to).unwrap();
        partly.expect(32);
        fs::remove_file(partly.at(to).join("e/b")).unwrap();
        fs::remove_file(partly.at(to).join("unmet")).unwrap();
        partly.expect(48);
        partly.rename(to, "out/d").unwrap();
        partly.expect(64);
        partly.make("out/d/e/f/c", 60);
        assert_eq!(errno_of(partly.rename("out/d", to)), ENOSPC, "{fault}");
        assert!(partly.is_there("out/d/e/f/c") && !partly.is_there(to));
        let fault = &partly.mount.client().list_faults().unwrap()[0];
        assert!(fault.fired >= 1 && fault.fired <= fault.matched, "{fault:?}");
        partly.expect(64);
        fs::remove_file(partly.at("out/d/a")).unwrap();
        fs::remove_file(partly.at("out/d/e/a")).unwrap();
        partly.rename("out/d", to).unwrap();
        partly.expect(4);
    }
}

#[test]
fn what_was_removed_and_is_open_moves_with_its_directory() {
    let partly = Partly::new("full --free 64KiB -r .*/in/.*");
    fs::create_dir(partly.at("in/d")).unwrap();
    partly.make("in/d/a", 16);
    let open = File::open(partly.at("in/d/a")).unwrap();
    fs::remove_file(partly.at("in/d/a")).unwrap();
    partly.expect(48);
    partly.rename("in/d", "out/d").unwrap();
    partly.expect(64);
    partly.rename("out/d", "in/d").unwrap();
    partly.expect(48);
    drop(open);
    partly.expect(64);
}

/// Those who write meanwhile are counted once.
#[test]
fn a_file_that_is_written_while_it_comes_and_goes_is_counted_once() {
    let partly = Partly::new("full --free 64KiB -r .*/in/.*");
    partly.make("out/a", 4);
    let file = File::options().write(true).open(partly.at("out/a")).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..300_u64 {
                let block = round % 8;
                file.write_all_at(&black_box([b'y'; BLOCK]), block << 12).unwrap();
                let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                fallocate(&file, punch, block << 12, BLOCK as u64).unwrap();
            }
            file.set_len(0).unwrap();
            file.write_all_at(&black_box([b'y'; 3 * BLOCK]), 0).unwrap();
        });
        while !writer.is_finished() {
            partly.rename("out/a", "in/a").unwrap();
            partly.rename("in/a", "out/a").unwrap();
        }
        writer.join().unwrap();
    });
    partly.expect(64);
    partly.rename("out/a", "in/a").unwrap();
    partly.expect(52);
}

//! `lost-write`: told as done, and nothing of it is; the size is what was told.

use std::fs::{self, File};
use std::hint::black_box;
use std::os::unix::fs::{FileExt, MetadataExt};

use rustix::fs::{FallocateFlags, fallocate};

use super::common::Mount;
use super::common::aio::Aio;
use super::common::calls::Mapping;
use super::common::disk::Disk;
use super::{copied, expected, mount_with, open, persisted, told};

#[test]
fn a_lost_write_is_told_and_not_there() {
    for flags in [0, libc::O_DIRECT, libc::O_SYNC] {
        let mount = mount_with("lost-write -m write -r .*/f --count 1", 8192);
        let file = open(&mount, flags);
        assert_eq!(told(&mount), expected(8192, &[]), "and so it is cached");
        assert_eq!(file.write_at(&black_box([b'b'; 2048]), 1024).unwrap(), 2048, "{flags:o}");
        assert_eq!(persisted(&mount), expected(8192, &[]), "{flags:o}");
        let mut read = vec![0; 8192];
        file.read_exact_at(&mut read, 0).unwrap();
        assert_eq!(read, persisted(&mount), "{flags:o}: what the cache had is dropped");
        file.write_all_at(&black_box([b'b'; 512]), 1024).unwrap();
        assert_eq!(persisted(&mount), expected(8192, &[(1024, 1536)]), "only one is lost");
    }
}

#[test]
fn what_is_lost_of_a_file_that_grows_is_a_hole() {
    // One request, that ends within a block.
    const LEN: usize = (1000 << 10) - 100;
    for (kind, at, stored) in [("lost-write", 10, 0), ("torn-write prefix:8KiB", 4096, 8 << 10)] {
        for disk in [Disk::tmpfs(), Disk::ext4()] {
            let fault = format!("{kind} -m write -r .*/f");
            let mount = Mount::over(disk.directory(), &["--fault", &fault]);
            let raw = mount.raw().join("f");
            let blocks = || fs::metadata(&raw).unwrap().blocks();
            fs::write(&raw, vec![b'a'; at]).unwrap();
            let before = blocks();
            let file = open(&mount, libc::O_APPEND);
            assert_eq!(file.write_at(&black_box([b'b'; LEN]), at as u64).unwrap(), LEN);
            let bytes = persisted(&mount);
            assert_eq!((bytes.len(), told(&mount)), (at + LEN, bytes.clone()));
            assert_eq!(bytes[..at + stored], expected(at + stored, &[(at, at + stored)]), "{kind}");
            assert!(bytes[at + stored..].iter().all(|byte| *byte == 0), "{kind}");
            assert_eq!(blocks() - before, stored as u64 / 512, "{kind}: what is lost has none");
        }
    }
}

/// What is beside the last byte of what is lost stays.
#[test]
fn the_block_in_which_a_lost_write_ends_keeps_what_it_has() {
    for disk in [Disk::tmpfs(), Disk::ext4()] {
        let mount = Mount::over(disk.directory(), &["--fault", "lost-write -m write -r .*/f"]);
        let raw = mount.raw().join("f");
        let ahead = File::create_new(&raw).unwrap();
        fallocate(&ahead, FallocateFlags::KEEP_SIZE, 0, 64 << 10).unwrap();
        let blocks = fs::metadata(&raw).unwrap().blocks();
        ahead.write_all_at(&black_box([b'a'; 100]), 0).unwrap();
        let file = open(&mount, 0);
        assert_eq!(file.write_at(&black_box([b'b'; 200]), 100).unwrap(), 200);
        assert_eq!(persisted(&mount), [[b'a'; 100].as_slice(), &[0; 200]].concat());
        assert_eq!(file.write_at(&black_box([b'b'; 9000]), 300).unwrap(), 9000);
        assert_eq!(persisted(&mount).len(), 9300);
        assert_eq!(fs::metadata(&raw).unwrap().blocks(), blocks, "what was allocated ahead");
    }
}

#[test]
fn every_way_to_write_is_lost() {
    let mount = mount_with("lost-write -m write -r .*/f", 8192);
    let file = open(&mount, 0);
    let mut mapped = Mapping::new(&file, 8192, libc::MAP_SHARED).unwrap();
    mapped[5000..6000].fill(b'b');
    mapped.sync().unwrap();
    assert_eq!(persisted(&mount), expected(8192, &[]), "through a mapping");
    drop(mapped);
    assert_eq!(copied(&mount, 100, 1000), 1000);
    assert_eq!(persisted(&mount), expected(8192, &[]), "by a copy");
    assert_eq!(copied(&mount, 8000, 1000), 1000);
    assert_eq!(persisted(&mount).len(), 9000, "a copy that lets the file grow");
    for (engine, flags) in [("libaio", "direct"), ("uring", "direct"), ("uring", "none")] {
        let mut aio = Aio::new(engine, &mount.mnt().join("f"), flags);
        assert_eq!(aio.results("w:0:4096:98"), [4096], "{engine} {flags}");
        assert_eq!(persisted(&mount)[..8192], expected(8192, &[]), "{engine} {flags}");
    }
}

#[test]
fn what_is_hidden_shows_once_the_cache_is_passed_by() {
    let mount = mount_with("lost-write --hidden -m write", 4096);
    let time = || fs::metadata(mount.raw().join("f")).unwrap().modified().unwrap();
    let (file, before) = (open(&mount, 0), time());
    assert_eq!(told(&mount), expected(4096, &[]), "and so it is cached");
    file.write_all_at(&black_box([b'b'; 100]), 0).unwrap();
    assert_eq!(time(), before);
    let mut read = [0; 100];
    file.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(read, [b'b'; 100], "the kernel's cache");
    open(&mount, libc::O_DIRECT).read_exact_at(&mut read, 0).unwrap();
    assert_eq!(read, [b'a'; 100], "what is stored");
}

#[test]
fn what_is_stored_of_a_mapping_is_what_read_finds() {
    for kind in ["lost-write", "corrupt zero --unit 4KiB", "torn-write prefix:512 --unit 512"] {
        let mount = mount_with(&format!("{kind} -m write -r .*/f"), 4096);
        let file = open(&mount, 0);
        let mut mapped = Mapping::new(&file, 4096, libc::MAP_SHARED).unwrap();
        mapped[..].fill(b'b');
        mapped.sync().unwrap();
        let mut read = vec![0; 4096];
        file.read_exact_at(&mut read, 0).unwrap();
        assert_eq!(read, persisted(&mount), "{kind}");
        assert_ne!(read, [b'b'; 4096], "{kind}");
    }
}

//! `torn-write`: the bytes persisted are those kept and no others.

use std::fs::{self, File};
use std::hint::black_box;
use std::os::unix::fs::{FileExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use super::common::aio::Aio;
use super::common::calls::Mapping;
use super::common::{Mount, errno_of, scratch, wait_for};
use super::{EIO, expected, mount_with, open, persisted, told};

#[test]
fn a_torn_write_persists_what_is_kept_and_nothing_else() {
    for flags in [0, libc::O_DIRECT, libc::O_SYNC] {
        let mount = mount_with("torn-write units:0,3 -m write -r .*/f", 8192);
        let file = open(&mount, flags);
        assert_eq!(told(&mount), expected(8192, &[]), "and so it is cached");
        assert_eq!(file.write_at(&black_box([b'b'; 2048]), 1024).unwrap(), 2048, "{flags:o}");
        let kept = expected(8192, &[(1024, 1536), (2560, 3072)]);
        assert_eq!(persisted(&mount), kept, "{flags:o}");
        let mut read = vec![0; 8192];
        file.read_exact_at(&mut read, 0).unwrap();
        assert_eq!(read, kept, "{flags:o}: what the cache had is dropped");
        assert_eq!(told(&mount), kept, "{flags:o}");
    }
}

#[test]
fn what_is_stored_through_a_mapping_is_torn_when_it_is_written_back() {
    let mount = mount_with("torn-write units:0,3 -m write -r .*/f", 8192);
    let file = open(&mount, 0);
    let mut mapped = Mapping::new(&file, 8192, libc::MAP_SHARED).unwrap();
    mapped[1024..3072].fill(b'b');
    mapped.sync().unwrap();
    // The kernel writes the whole page.
    assert_eq!(persisted(&mount), expected(8192, &[(1536, 2048)]));
}

#[test]
fn a_torn_append_leaves_zeros_and_the_size_that_was_told() {
    let mount = mount_with("torn-write prefix:100 -m write", 0);
    assert_eq!(open(&mount, libc::O_APPEND).write_at(&black_box([b'b'; 1000]), 0).unwrap(), 1000);
    let bytes = persisted(&mount);
    assert_eq!((bytes.len(), &bytes[..100]), (1000, &[b'b'; 100][..]));
    assert!(bytes[100..].iter().all(|byte| *byte == 0));
    assert_eq!(told(&mount), bytes);
}

#[test]
fn what_is_lost_whole_is_not_told_from_the_cache() {
    let mount = mount_with("torn-write prefix:0 -m write", 4096);
    let file = open(&mount, 0);
    assert_eq!(told(&mount), expected(4096, &[]));
    file.write_all_at(&black_box([b'b'; 100]), 0).unwrap();
    let mut read = [0; 100];
    file.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(read, [b'a'; 100]);
    assert_eq!(persisted(&mount), expected(4096, &[]));
}

#[test]
fn a_torn_write_may_fail_or_end_its_caller() {
    let mount = mount_with("torn-write prefix:100 --and 'error EIO' -m write", 500);
    let file = open(&mount, 0);
    assert_eq!(errno_of(file.write_at(&black_box([b'b'; 1000]), 0)), EIO);
    assert_eq!(persisted(&mount), expected(500, &[(0, 100)]), "no success told, no size to keep");
    drop(file);
    let mount = mount_with("torn-write prefix:100 --and kill -m write", 1000);
    let path = mount.mnt().join("f");
    let script = "head -c 1000 /dev/zero | tr '\\0' b | exec dd bs=1000 conv=notrunc of=\"$1\"";
    let status = Command::new("sh").args(["-c", script, "sh"]).arg(path).status().unwrap();
    assert!(status.signal() == Some(9) || status.code() == Some(128 + 9), "{status}");
    wait_for("the write that it died within", || {
        (persisted(&mount) == expected(1000, &[(0, 100)])).then_some(())
    });
}

#[test]
fn a_copy_is_a_write_of_its_target() {
    let mount = mount_with("torn-write prefix:100 -m write -r .*/f", 1000);
    fs::write(mount.raw().join("from"), [b'b'; 1000]).unwrap();
    let from = File::open(mount.mnt().join("from")).unwrap();
    let copied =
        rustix::fs::copy_file_range(&from, Some(&mut 0), open(&mount, 0), Some(&mut 0), 1000);
    assert_eq!(copied, Ok(1000));
    assert_eq!(persisted(&mount), expected(1000, &[(0, 100)]));
}

/// The kernel asks for what it takes the source to have.
#[test]
fn a_torn_copy_of_a_source_that_others_cut_is_told_no_more_than_there_is() {
    let mount = mount_with("torn-write prefix:100 -m write -r .*/f", 10);
    fs::write(mount.raw().join("from"), [b'b'; 1000]).unwrap();
    let from = File::open(mount.mnt().join("from")).unwrap();
    let to = open(&mount, 0);
    File::options().write(true).open(mount.raw().join("from")).unwrap().set_len(700).unwrap();
    let copied =
        rustix::fs::copy_file_range(&from, Some(&mut 400), &to, Some(&mut 400), 600).unwrap();
    assert_eq!((copied, persisted(&mount).len()), (300, 700));
}

#[test]
fn a_torn_copy_that_fails_is_not_hidden_by_the_cache() {
    let mount = mount_with("torn-write prefix:100 --and 'error EIO' -m write -r .*/f", 1000);
    fs::write(mount.raw().join("from"), [b'b'; 1000]).unwrap();
    let from = File::open(mount.mnt().join("from")).unwrap();
    let to = open(&mount, 0);
    let mut read = vec![0; 1000];
    to.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(read, expected(1000, &[]), "and so it is cached");
    let copied = rustix::fs::copy_file_range(&from, Some(&mut 0), &to, Some(&mut 0), 1000);
    assert_eq!(copied, Err(rustix::io::Errno::IO));
    to.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(read, expected(1000, &[(0, 100)]));
    assert_eq!(persisted(&mount), read);
}

#[test]
fn a_mapping_shows_any_page_of_a_torn_write_past_the_cache() {
    let fault = "torn-write units:1 --unit 4KiB --and 'delay 300ms' -m write -r .*/f";
    let mount = mount_with(fault, 12288);
    let file = open(&mount, 0);
    let mapped = Mapping::new(&file, 12288, libc::MAP_SHARED).unwrap();
    assert_eq!(mapped[..], expected(12288, &[]), "and so it has pages when the write arrives");
    let mut aio = Aio::new("libaio", &mount.mnt().join("f"), "direct");
    thread::scope(|scope| {
        let writing = scope.spawn(|| aio.results("w:0:12288:98"));
        wait_for("the write", || {
            (mount.client().list_faults().unwrap()[0].held == 1).then_some(())
        });
        // The kernel has dropped the pages before the write, so they come in during it.
        assert_eq!(mapped[..], expected(12288, &[]));
        assert_eq!(writing.join().unwrap(), [12288]);
    });
    assert_eq!(mapped[..], expected(12288, &[(4096, 8192)]));
}

/// A mirror with a fault of its own, of a mirror with another one.
fn mount_over(beneath: &Mount, fault: &str) -> Mount {
    let above = scratch();
    symlink(beneath.mnt(), above.path().join("raw")).unwrap();
    Mount::over(above, &["--fault", fault])
}

#[test]
fn the_size_that_was_told_is_kept_on_a_backing_without_fallocate() {
    let beneath = mount_with("error EOPNOTSUPP -m fallocate", 0);
    let mount = mount_over(&beneath, "torn-write prefix:100 -m write");
    open(&mount, 0).write_all_at(&black_box([b'b'; 1000]), 0).unwrap();
    let bytes = persisted(&beneath);
    assert_eq!((bytes.len(), &bytes[..100]), (1000, &[b'b'; 100][..]));
}

#[test]
fn the_time_of_modification_moves_on_when_a_later_part_fails() {
    let beneath = mount_with("error EIO -m write --after 1", 8192);
    let mount = mount_over(&beneath, "torn-write units:0,3 -m write");
    let file = open(&mount, 0);
    // Later than the clock, which would move it by itself.
    let before = SystemTime::now() + Duration::from_secs(1000);
    file.set_modified(before).unwrap();
    assert_eq!(errno_of(file.write_at(&black_box([b'b'; 2048]), 0)), EIO);
    assert_eq!(persisted(&beneath), expected(8192, &[(0, 512)]));
    let after = fs::metadata(beneath.raw().join("f")).unwrap().modified().unwrap();
    assert!(after > before, "{after:?} {before:?}");
}

#[test]
fn the_same_seed_tears_the_same_units() {
    let torn = || {
        let mount = mount_with("torn-write random -m write", 64 << 10);
        open(&mount, 0).write_all_at(&vec![b'b'; 64 << 10], 0).unwrap();
        persisted(&mount)
    };
    let first = torn();
    let units: Vec<_> = first.chunks(512).collect();
    assert!(units.iter().all(|unit| unit.iter().all(|byte| *byte == unit[0])), "whole units");
    let kept = units.iter().filter(|unit| unit[0] == b'b').count();
    assert!((30..98).contains(&kept), "about half of 128: {kept}");
    assert_eq!(first, torn());
}

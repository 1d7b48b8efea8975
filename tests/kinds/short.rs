//! `short`: the bytes answered are the bytes moved, and what the kernel writes back is never cut.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Read;
use std::os::unix::fs::FileExt;

use super::common::aio::Aio;
use super::common::calls::Mapping;
use super::common::{slowfs, text_of, wait_for};
use super::{EIO, copied, counts, expected, mount_with, open, persisted, told};

#[test]
fn the_bytes_answered_are_those_persisted() {
    for flags in [0, libc::O_DIRECT, libc::O_SYNC] {
        let mount = mount_with("short -m write -r .*/f", 8192);
        let file = open(&mount, flags);
        assert_eq!(told(&mount), expected(8192, &[]), "and so it is cached");
        assert_eq!(file.write_at(&black_box([b'b'; 2048]), 1024).unwrap(), 1024, "{flags:o}");
        assert_eq!(persisted(&mount), expected(8192, &[(1024, 2048)]), "{flags:o}");
        assert_eq!(told(&mount), persisted(&mount), "{flags:o}");
        file.write_all_at(&black_box([b'c'; 2048]), 1024).unwrap();
        assert_eq!(persisted(&mount)[1024..3072], [b'c'; 2048], "who goes on loses nothing");
        let (fired, skipped) = counts(&mount);
        assert_eq!((fired, skipped), (12, 1), "{flags:o}: 2048, 1024, ... 2, and 1 is not cut");
    }
}

#[test]
fn msync_loses_nothing() {
    let mount = mount_with("short -m write", 8192);
    let file = open(&mount, 0);
    let mut mapped = Mapping::new(&file, 8192, libc::MAP_SHARED).unwrap();
    mapped[100..5000].fill(b'b');
    mapped.sync().unwrap();
    assert_eq!(persisted(&mount), expected(8192, &[(100, 5000)]));
    let (fired, skipped) = counts(&mount);
    assert!(fired == 0 && skipped >= 1, "{fired} {skipped}");
}

#[test]
fn every_way_to_write_is_told_the_truth() {
    let mount = mount_with("short 100 -m write -r .*/f", 8192);
    assert_eq!(copied(&mount, 0, 1000), 100);
    assert_eq!(persisted(&mount), expected(8192, &[(0, 100)]));
    // Of an asynchronous one past the cache the kernel itself makes an error.
    let eio = -i64::from(EIO);
    let engines = [("libaio", "direct", eio), ("uring", "direct", eio), ("uring", "none", 100)];
    for (n, (engine, flags, result)) in engines.into_iter().enumerate() {
        let (mut aio, at) = (Aio::new(engine, &mount.mnt().join("f"), flags), 1000 * (n + 1));
        assert_eq!(aio.results(&format!("w:{at}:4096:98")), [result], "{engine} {flags}");
        let bytes = [(0, 100), (1000, 1100), (2000, 2100), (3000, 3100)];
        assert_eq!(persisted(&mount), expected(8192, &bytes[..n + 2]), "{engine} {flags}");
    }
}

#[test]
fn a_short_read_is_not_the_end_of_the_file() {
    let mount = mount_with("short 1000 -m read -r .*/f", 5000);
    let mut file = File::open(mount.mnt().join("f")).unwrap();
    let mut read = vec![0; 4096];
    assert_eq!(file.read(&mut read).unwrap(), 1000);
    assert_eq!(read[..1000], [b'a'; 1000]);
    // Of what is there one byte is left to the next.
    assert_eq!(file.read_at(&mut read, 4500).unwrap(), 499);
    let mut rest = Vec::new();
    file.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, expected(4000, &[]));
    for engine in ["libaio", "uring"] {
        let mut aio = Aio::new(engine, &mount.mnt().join("f"), "direct");
        assert_eq!(aio.results("r:0:4096"), [1000], "{engine}");
    }
}

#[test]
fn what_fills_the_cache_is_never_cut() {
    let mount = mount_with("short -m read -r .*/f", 8192);
    let file = open(&mount, 0);
    let mapped = Mapping::new(&file, 8192, libc::MAP_SHARED).unwrap();
    assert_eq!(mapped[..], expected(8192, &[]));
    let (fired, skipped) = counts(&mount);
    assert!(fired == 0 && skipped >= 1, "{fired} {skipped}");
}

/// As for all that looks at the bytes of reads.
#[test]
fn files_that_are_open_through_the_cache_are_told_to_be_out_of_reach() {
    let mount = mount_with("delay 1us -m mkdir", 4096);
    let reach = || mount.client().list_faults().unwrap()[1].out_of_reach.clone();
    let path = mount.mnt().join("f");
    let _past_cache = open(&mount, libc::O_DIRECT);
    let _writes = File::options().write(true).open(&path).unwrap();
    fs::write(mount.mnt().join("other"), "x").unwrap();
    let _other = File::open(mount.mnt().join("other")).unwrap();
    for fault in ["short -m read", "corrupt flip -m read", "delay 1us --range 0..1 -m read"] {
        let before = File::open(&path).unwrap();
        let words = fault.split(' ').chain(["-r", ".*/f", "--name", "own", "--addr", &mount.addr]);
        let output = slowfs().args(words).output().unwrap();
        let said = "1 open file that the kernel reads from its cache until it is opened again";
        assert!(text_of(&output).contains(said), "{fault}: {}", text_of(&output));
        let _since = File::open(&path).unwrap();
        assert_eq!(reach().as_deref(), Some(said), "{fault}");
        drop(before);
        wait_for("the last close", || reach().is_none().then_some(()));
        mount.client().clear(&["own".to_owned()]).unwrap();
    }
}

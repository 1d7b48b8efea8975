//! `corrupt`: spoilt are so many spots of what is asked for, and nothing else; on reads nothing is stored.

use std::fs;
use std::hint::black_box;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::common::Mount;
use super::common::aio::Aio;
use super::common::calls::Mapping;
use super::{copied, counts, expected, mount_with, open, persisted, told};

const UNIT: usize = 512;

/// The units that are not what they should be.
fn spoilt(is: &[u8], should: &[u8]) -> Vec<usize> {
    assert_eq!(is.len(), should.len());
    let units = is.chunks(UNIT).zip(should.chunks(UNIT));
    units.enumerate().filter(|(_, (is, should))| is != should).map(|(unit, _)| unit).collect()
}

/// How many bits differ.
fn bits(is: &[u8], should: &[u8]) -> u32 {
    is.iter().zip(should).map(|(is, should)| (is ^ should).count_ones()).sum()
}

/// What `how` may make of a unit of `b` that was one of `a`.
fn is_made_by(how: &str, unit: &[u8]) -> bool {
    match how {
        "flip" => bits(unit, &[b'b'; UNIT]) == 1,
        "zero" => unit == [0; UNIT],
        "random" => (1_600..2_500).contains(&bits(unit, &[b'b'; UNIT])),
        _ => unit == [b'a'; UNIT],
    }
}

fn check(mount: &Mount, how: &str, written: Range<usize>, spots: usize) {
    let (is, should) = (persisted(mount), expected(8192, &[(written.start, written.end)]));
    let units = spoilt(&is, &should);
    assert_eq!(units.len(), spots, "{how}");
    for unit in units {
        let place = unit * UNIT..(unit + 1) * UNIT;
        assert!(written.contains(&place.start) && place.end <= written.end, "{how} {unit}");
        assert!(is_made_by(how, &is[place]), "{how} {unit}");
    }
    assert_eq!(told(mount), is, "{how}: what the cache had is dropped");
}

#[test]
fn a_write_stores_other_bytes_in_so_many_spots() {
    for how in ["flip", "zero", "random", "stale"] {
        for flags in [0, libc::O_DIRECT, libc::O_SYNC] {
            let mount = mount_with(&format!("corrupt {how} --spots 3 -m write -r .*/f"), 8192);
            // Open, it stays cached though others have the kernel drop what is not in use.
            let file = open(&mount, flags);
            assert_eq!(told(&mount), expected(8192, &[]), "and so it is cached");
            assert_eq!(file.write_at(&black_box([b'b'; 4096]), 1024).unwrap(), 4096, "{how}");
            check(&mount, how, 1024..5120, 3);
        }
        let mount = mount_with(&format!("corrupt {how} --spots 2 -m write -r .*/f"), 8192);
        assert_eq!(copied(&mount, 1024, 4096), 4096, "{how}");
        check(&mount, how, 1024..5120, 2);
    }
}

#[test]
fn what_is_stored_through_a_mapping_is_spoilt_when_it_is_written_back() {
    let mount = mount_with("corrupt flip -m write -r .*/f", 8192);
    let file = open(&mount, 0);
    let mut mapped = Mapping::new(&file, 8192, libc::MAP_SHARED).unwrap();
    mapped[4096..8192].fill(b'b');
    mapped.sync().unwrap();
    check(&mount, "flip", 4096..8192, 1);
}

#[test]
fn asynchronous_writes_are_spoilt_alike() {
    for (engine, flags) in [("libaio", "direct"), ("uring", "direct"), ("uring", "none")] {
        let mount = mount_with("corrupt flip --spots 2 -m write -r .*/f", 8192);
        let mut aio = Aio::new(engine, &mount.mnt().join("f"), flags);
        assert_eq!(aio.results("w:4096:4096:98"), [4096], "{engine} {flags}");
        check(&mount, "flip", 4096..8192, 2);
    }
}

#[test]
fn an_append_is_spoilt_where_it_came_to_be() {
    let mount = mount_with("corrupt zero -m write -r .*/f", 4096);
    assert_eq!(open(&mount, libc::O_APPEND).write_at(&black_box([b'b'; 4096]), 0).unwrap(), 4096);
    check(&mount, "zero", 4096..8192, 1);
}

#[test]
fn a_read_is_answered_other_bytes_than_are_stored() {
    for how in ["flip", "zero", "random"] {
        let mount = mount_with(&format!("corrupt {how} --spots 2 -m read -r .*/f"), 8192);
        let time = || fs::metadata(mount.raw().join("f")).unwrap().modified().unwrap();
        let (before, stored) = (time(), expected(8192, &[]));
        let file = open(&mount, 0);
        for _ in 0..3 {
            let mut read = vec![0; 8192];
            file.read_exact_at(&mut read, 0).unwrap();
            assert_eq!(spoilt(&read, &stored).len(), 2, "{how}");
        }
        // Of a larger request the spots are among the bytes that are there.
        let mut read = vec![0; 1 << 20];
        assert_eq!(file.read_at(&mut read, 4096).unwrap(), 4096);
        assert_eq!(spoilt(&read[..4096], &stored[4096..]).len(), 2, "{how}");
        for engine in ["libaio", "uring"] {
            let mut aio = Aio::new(engine, &mount.mnt().join("f"), "direct");
            let done = aio.batch("r:0:4096");
            assert_eq!((done[0].result, done[0].byte.as_str()), (4096, "mixed"), "{engine}");
        }
        assert_eq!((persisted(&mount), time()), (stored, before), "{how}");
    }
}

#[test]
fn a_read_is_answered_what_was_there_before() {
    let mount = mount_with("corrupt stale --spots 2 -m read -r .*/f", 8192);
    let file = open(&mount, 0);
    let read = || {
        let mut bytes = vec![0; 8192];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    };
    assert_eq!(read(), expected(8192, &[]));
    assert_eq!(counts(&mount), (0, 1), "nothing was written over");
    assert_eq!(file.write_at(&black_box([b'b'; 2048]), 1024).unwrap(), 2048);
    assert_eq!(copied(&mount, 4096, 512), 512);
    let stored = expected(8192, &[(1024, 3072), (4096, 4608)]);
    for _ in 0..9 {
        let bytes = read();
        let units = spoilt(&bytes, &stored);
        assert!(units.len() == 2 && units.iter().all(|unit| [2, 3, 4, 5, 8].contains(unit)));
        let stale = |unit: &usize| bytes[unit * UNIT..(unit + 1) * UNIT] == [b'a'; UNIT];
        assert!(units.iter().all(stale), "{units:?}");
    }
    let injections = mount.client().injections(0, 100).unwrap().injections;
    assert_eq!(injections.len(), 18);
    assert!(injections.iter().all(|one| one.state == "transient" && one.len == 512));
    // What was there before the last write, and nothing of a write that was there before.
    file.write_all_at(&black_box([b'c'; 2048]), 1024).unwrap();
    let is_older = |bytes: &[u8]| bytes[1024..3072].contains(&b'a');
    assert!(!(0..9).any(|_| is_older(&read())));
    assert_eq!(persisted(&mount)[1024..3072], [b'c'; 2048]);
}

#[test]
fn what_fills_the_cache_is_never_spoilt() {
    let mount = mount_with("corrupt random -m read -r .*/f", 8192);
    let file = open(&mount, 0);
    let mapped = Mapping::new(&file, 8192, libc::MAP_SHARED).unwrap();
    assert_eq!(mapped[..], expected(8192, &[]));
    let (fired, skipped) = counts(&mount);
    assert!(fired == 0 && skipped >= 1, "{fired} {skipped}");
}

/// A copy reads its source, too, but nothing of that is answered.
#[test]
fn a_fault_on_reads_leaves_copies_alone() {
    let mount = mount_with("corrupt random -m read", 8192);
    assert_eq!(copied(&mount, 0, 4096), 4096);
    assert_eq!(persisted(&mount), expected(8192, &[(0, 4096)]));
    assert_eq!(counts(&mount).0, 0);
}

#[test]
fn what_is_hidden_keeps_its_time() {
    for (hidden, moves) in [("", true), ("--hidden", false)] {
        let mount = mount_with(&format!("corrupt flip {hidden} -m write"), 4096);
        let time = || fs::metadata(mount.raw().join("f")).unwrap().modified().unwrap();
        let before = time();
        open(&mount, 0).write_all_at(&black_box([b'b'; 4096]), 0).unwrap();
        assert_eq!(time() > before, moves, "{hidden}");
        assert_eq!(bits(&persisted(&mount), &[b'b'; 4096]), 1, "{hidden}");
    }
}

#[test]
fn the_same_seed_spoils_the_same_bits() {
    let written = || {
        let mount = mount_with("corrupt flip:3 --spots 5 -m write", 64 << 10);
        let file = open(&mount, 0);
        (0..4).for_each(|n| file.write_all_at(&vec![b'b'; 16 << 10], n << 14).unwrap());
        persisted(&mount)
    };
    let first = written();
    assert_eq!(bits(&first, &[b'b'; 64 << 10]), 4 * 5 * 3);
    assert_eq!(first, written());
}

//! Files mapped into memory.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use libc::{MAP_PRIVATE, MAP_SHARED};
use rustix::fs::{OFlags, SeekFrom};
use rustix::io::Errno;

use super::calls::{Mapping, begin_write_back};
use super::common::long_or;
use super::{create, errno, fstat, open, stat};

cases!(
    shared_mapping_writes_reach_the_file,
    shared_mapping_sees_writes_to_the_file,
    two_shared_mappings_are_one_memory,
    private_mapping_leaves_the_file_alone,
    mapping_outlives_handle_and_name,
    writing_through_a_mapping_changes_mtime,
    shared_writable_mapping_needs_a_writable_handle,
    mapping_of_a_grown_file_reads_zeros_and_takes_writes,
    holes_that_were_stored_into_are_data,
    holes_that_fill_while_they_are_looked_for_are_data,
);

const PAGE: usize = 4096;

fn shared_mapping_writes_reach_the_file(dir: &Path) {
    let file = create(dir.join("db"));
    file.set_len(16 * PAGE as u64).unwrap();
    let mut map = Mapping::new(&file, 16 * PAGE, MAP_SHARED).unwrap();
    for page in 0..16 {
        map[page * PAGE..page * PAGE + 5].copy_from_slice(b"dirty");
    }
    map.sync().unwrap();
    file.sync_data().unwrap();
    let content = fs::read(dir.join("db")).unwrap();
    for page in 0..16 {
        assert_eq!(&content[page * PAGE..page * PAGE + 6], b"dirty\0");
    }
    map[100] = b'!';
    // What is not yet synced is there for readers of the same system all the same.
    let mut byte = [0];
    file.read_exact_at(&mut byte, 100).unwrap();
    assert_eq!(byte, *b"!");
}

fn shared_mapping_sees_writes_to_the_file(dir: &Path) {
    let file = create(dir.join("db"));
    file.set_len(4 * PAGE as u64).unwrap();
    let map = Mapping::new(&file, 4 * PAGE, MAP_SHARED).unwrap();
    assert!(map.iter().all(|b| *b == 0));
    for n in 1..20u8 {
        file.write_all_at(&[n; 100], 2 * PAGE as u64 - 50).unwrap();
        assert_eq!((map[2 * PAGE - 50], map[2 * PAGE], map[2 * PAGE + 49]), (n, n, n));
    }
    assert_eq!(map[2 * PAGE + 50], 0);
}

fn two_shared_mappings_are_one_memory(dir: &Path) {
    let file = create(dir.join("db"));
    file.set_len(PAGE as u64).unwrap();
    let again = open(dir.join("db"), OFlags::RDWR).unwrap();
    let mut first = Mapping::new(&file, PAGE, MAP_SHARED).unwrap();
    let second = Mapping::new(&again, PAGE, MAP_SHARED).unwrap();
    first[7] = 42;
    assert_eq!(second[7], 42);
}

fn private_mapping_leaves_the_file_alone(dir: &Path) {
    fs::write(dir.join("f"), "content").unwrap();
    let file = open(dir.join("f"), OFlags::RDONLY).unwrap();
    let mut map = Mapping::new(&file, PAGE, MAP_PRIVATE).unwrap();
    assert_eq!(&map[..8], b"content\0");
    map[0] = b'C';
    assert_eq!(fs::read(dir.join("f")).unwrap(), b"content");
}

fn mapping_outlives_handle_and_name(dir: &Path) {
    let file = create(dir.join("f"));
    file.set_len(PAGE as u64).unwrap();
    let mut map = Mapping::new(&file, PAGE, MAP_SHARED).unwrap();
    fs::hard_link(dir.join("f"), dir.join("g")).unwrap();
    fs::remove_file(dir.join("f")).unwrap();
    drop(file);
    map[..5].copy_from_slice(b"alive");
    map.sync().unwrap();
    assert_eq!(&fs::read(dir.join("g")).unwrap()[..5], b"alive");
    fs::remove_file(dir.join("g")).unwrap();
    map[..5].copy_from_slice(b"still");
    map.sync().unwrap();
    assert_eq!(&map[..5], b"still");
}

fn writing_through_a_mapping_changes_mtime(dir: &Path) {
    let file = create(dir.join("f"));
    file.set_len(PAGE as u64).unwrap();
    let past = rustix::fs::Timespec { tv_sec: 1_000_000, tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: past, last_modification: past };
    rustix::fs::futimens(&file, &times).unwrap();
    let mut map = Mapping::new(&file, PAGE, MAP_SHARED).unwrap();
    map[0] = 1;
    map.sync().unwrap();
    file.sync_all().unwrap();
    assert!(fstat(&file).st_mtime > 1_000_000);
    assert!(stat(dir.join("f")).st_mtime > 1_000_000);
}

fn shared_writable_mapping_needs_a_writable_handle(dir: &Path) {
    fs::write(dir.join("f"), "content").unwrap();
    let reader = open(dir.join("f"), OFlags::RDONLY).unwrap();
    let writer = open(dir.join("f"), OFlags::WRONLY).unwrap();
    assert_eq!(errno(Mapping::new(&reader, PAGE, MAP_SHARED).map(drop)), Errno::ACCESS);
    assert_eq!(errno(Mapping::new(&writer, PAGE, MAP_SHARED).map(drop)), Errno::ACCESS);
}

fn mapping_of_a_grown_file_reads_zeros_and_takes_writes(dir: &Path) {
    let file = create(dir.join("db"));
    file.write_all_at(b"head", 0).unwrap();
    let mut map = Mapping::new(&file, 8 * PAGE, MAP_SHARED).unwrap();
    assert_eq!(&map[..5], b"head\0");
    file.set_len(8 * PAGE as u64).unwrap();
    assert_eq!(map[7 * PAGE], 0);
    map[7 * PAGE] = 9;
    map.sync().unwrap();
    let content = fs::read(dir.join("db")).unwrap();
    assert_eq!((content.len(), content[7 * PAGE], &content[..4]), (8 * PAGE, 9, &b"head"[..]));
}

fn holes_that_were_stored_into_are_data(dir: &Path) {
    let page = PAGE as u64;
    let file = create(dir.join("db"));
    file.set_len(64 * page).unwrap();
    file.write_all_at(&[1; PAGE], 3 * page).unwrap();
    let reader = open(dir.join("db"), OFlags::RDONLY).unwrap();
    let mut map = Mapping::new(&file, 64 * PAGE, MAP_SHARED).unwrap();
    let seek = |to| rustix::fs::seek(&reader, to);
    assert_eq!(errno(seek(SeekFrom::Data(4 * page))), Errno::NXIO);
    // Nothing has asked for these to be written back.
    map[10 * PAGE + 7] = 1;
    assert_eq!(seek(SeekFrom::Data(4 * page)).unwrap(), 10 * page);
    map[4 * PAGE] = 1;
    map[5 * PAGE] = 1;
    assert_eq!(seek(SeekFrom::Hole(3 * page)).unwrap(), 6 * page);
    // Of two holes that follow one another the first is filled to the end.
    (6..10).for_each(|n| map[n * PAGE] = 1);
    map[11 * PAGE] = 1;
    assert_eq!(seek(SeekFrom::Hole(3 * page)).unwrap(), 12 * page);
    map[63 * PAGE] = 1;
    assert_eq!(rustix::fs::seek(&file, SeekFrom::Data(12 * page)).unwrap(), 63 * page);
    // The mapping keeps the file open, and what it holds is as it was.
    drop(file);
    map[40 * PAGE] = 9;
    assert_eq!(seek(SeekFrom::Data(12 * page)).unwrap(), 40 * page);
    assert_eq!((map[3 * PAGE], map[10 * PAGE + 7], map[40 * PAGE], map[41 * PAGE]), (1, 1, 9, 0));
    // The last bytes of a page are in it, too.
    map[50 * PAGE - 1] = 1;
    assert_eq!(seek(SeekFrom::Data(41 * page + 5)).unwrap(), 49 * page);
    drop(map);
    assert_eq!(seek(SeekFrom::Hole(3 * page)).unwrap(), 12 * page);
}

/// The kernel writes back by itself, too, and so at any moment of a search.
fn holes_that_fill_while_they_are_looked_for_are_data(dir: &Path) {
    const PAGES: usize = 64;
    for round in 0..long_or(2_000, 40) {
        let file = create(dir.join(format!("db{round}")));
        file.set_len((PAGES * PAGE) as u64).unwrap();
        for page in (0..PAGES).step_by(2) {
            file.write_all_at(&[1; PAGE], (page * PAGE) as u64).unwrap();
        }
        let mut map = Mapping::new(&file, PAGES * PAGE, MAP_SHARED).unwrap();
        (1..PAGES).step_by(2).for_each(|page| map[page * PAGE] = 1);
        begin_write_back(&file).unwrap();
        let hole = rustix::fs::seek(&file, SeekFrom::Hole(0)).unwrap();
        assert_eq!(hole, (PAGES * PAGE) as u64, "{round}: page {}", hole / PAGE as u64);
    }
}

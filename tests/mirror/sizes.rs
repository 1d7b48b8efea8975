//! Appending and truncating: where a file ends.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::calls::truncate;
use super::{create, errno, fstat, kernel_writes_back, open, open_rw, plain_directory, stat};

cases!(
    append_from_two_handles_interleaves,
    append_ignores_the_offset_of_pwrite,
    append_can_be_turned_on_later,
    concurrent_appends_lose_nothing,
    append_follows_a_truncation,
    open_with_trunc_empties_the_file_for_every_handle,
    truncate_grows_with_zeros_and_forgets_what_it_cut,
    truncate_by_path_and_by_handle_agree,
    truncate_refuses_what_it_must,
    truncate_needs_no_open_handle_but_permission,
    size_and_times_are_fresh_after_each_write,
    setting_the_size_it_has_changes_times_as_the_backing_does,
);

/// A time at which nothing happened.
const PAST: Timespec = Timespec { tv_sec: 1_000_000, tv_nsec: 0 };

fn append_from_two_handles_interleaves(dir: &Path) {
    let append = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
    let mut first = open(dir.join("log"), append).unwrap();
    let mut second = open(dir.join("log"), append).unwrap();
    for _ in 0..3 {
        first.write_all(b"one ").unwrap();
        second.write_all(b"two ").unwrap();
    }
    assert_eq!(fs::read(dir.join("log")).unwrap(), b"one two one two one two ");
    // A third handle that does not append grows the file; the others still append to its end.
    open_rw(dir.join("log")).write_all_at(b"end ", 24).unwrap();
    first.write_all(b"one").unwrap();
    assert_eq!(fs::read(dir.join("log")).unwrap(), b"one two one two one two end one");
}

fn append_ignores_the_offset_of_pwrite(dir: &Path) {
    fs::write(dir.join("f"), "start ").unwrap();
    let file = open(dir.join("f"), OFlags::RDWR | OFlags::APPEND).unwrap();
    // Linux appends there whatever the offset: pwrite(2), BUGS.
    file.write_all_at(b"end", 0).unwrap();
    assert_eq!(fs::read(dir.join("f")).unwrap(), b"start end");
    let mut buffer = [0; 5];
    file.read_exact_at(&mut buffer, 0).unwrap();
    assert_eq!(&buffer, b"start");
}

fn append_can_be_turned_on_later(dir: &Path) {
    let mut file = create(dir.join("f"));
    file.write_all(b"0123456789").unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    rustix::fs::fcntl_setfl(&file, OFlags::APPEND).unwrap();
    file.write_all(b"end").unwrap();
    rustix::fs::fcntl_setfl(&file, OFlags::empty()).unwrap();
    file.write_all_at(b"start", 0).unwrap();
    assert_eq!(fs::read(dir.join("f")).unwrap(), b"start56789end");
}

fn concurrent_appends_lose_nothing(dir: &Path) {
    std::thread::scope(|scope| {
        for writer in 0..4u8 {
            scope.spawn(move || {
                let append = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
                let mut log = open(dir.join("log"), append).unwrap();
                for _ in 0..100 {
                    log.write_all(&[b'a' + writer; 64]).unwrap();
                }
            });
        }
    });
    let log = fs::read(dir.join("log")).unwrap();
    assert_eq!(log.len(), 4 * 100 * 64);
    let mut records = [0; 4];
    for record in log.chunks(64) {
        assert!(record.iter().all(|b| *b == record[0]), "a torn record");
        records[usize::from(record[0] - b'a')] += 1;
    }
    assert_eq!(records, [100; 4]);
}

fn append_follows_a_truncation(dir: &Path) {
    let append = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
    let mut log = open(dir.join("log"), append).unwrap();
    log.write_all(b"first segment").unwrap();
    log.set_len(5).unwrap();
    log.write_all(b"!").unwrap();
    rustix::fs::ftruncate(open_rw(dir.join("log")), 0).unwrap();
    log.write_all(b"anew").unwrap();
    assert_eq!(fs::read(dir.join("log")).unwrap(), b"anew");
}

fn open_with_trunc_empties_the_file_for_every_handle(dir: &Path) {
    let mut file = create(dir.join("f"));
    file.write_all(&[b'x'; 10_000]).unwrap();
    let inode = fstat(&file).st_ino;
    let emptied = open(dir.join("f"), OFlags::WRONLY | OFlags::TRUNC | OFlags::CREATE).unwrap();
    assert_eq!((fstat(&file).st_size, fstat(&emptied).st_ino), (0, inode));
    assert_eq!(file.read_at(&mut [0; 10], 0).unwrap(), 0);
    file.write_all(b"y").unwrap();
    assert_eq!(stat(dir.join("f")).st_size, 10_001);
    assert_eq!(fs::read(dir.join("f")).unwrap()[..2], [0, 0]);
}

fn truncate_grows_with_zeros_and_forgets_what_it_cut(dir: &Path) {
    let file = create(dir.join("f"));
    file.write_all_at(&[b'x'; 10_000], 0).unwrap();
    let mut buffer = [1; 10_000];
    file.read_exact_at(&mut buffer, 0).unwrap();
    file.set_len(4_097).unwrap();
    file.set_len(10_000).unwrap();
    file.read_exact_at(&mut buffer, 0).unwrap();
    assert!(buffer[..4_097].iter().all(|b| *b == b'x'));
    assert!(buffer[4_097..].iter().all(|b| *b == 0));
    file.set_len(0).unwrap();
    file.set_len(5).unwrap();
    assert_eq!(fs::read(dir.join("f")).unwrap(), [0; 5]);
}

fn truncate_by_path_and_by_handle_agree(dir: &Path) {
    fs::write(dir.join("f"), "0123456789").unwrap();
    let reader = open(dir.join("f"), OFlags::RDONLY).unwrap();
    // truncate(2) through a name: SETATTR without a handle.
    truncate(dir.join("f"), 7).unwrap();
    assert_eq!(fstat(&reader).st_size, 7);
    open_rw(dir.join("f")).set_len(3).unwrap();
    assert_eq!(fstat(&reader).st_size, 3);
    assert_eq!(fs::read(dir.join("f")).unwrap(), b"012");
    std::os::unix::fs::symlink("f", dir.join("s")).unwrap();
    truncate(dir.join("s"), 1).unwrap();
    assert_eq!(stat(dir.join("f")).st_size, 1);
}

fn truncate_refuses_what_it_must(dir: &Path) {
    let file = create(dir.join("f"));
    file.write_all_at(b"kept", 0).unwrap();
    assert_eq!(errno(rustix::fs::ftruncate(&file, u64::MAX)), Errno::INVAL);
    fs::create_dir(dir.join("d")).unwrap();
    assert_eq!(errno(truncate(dir.join("d"), 0)), Errno::ISDIR);
    assert_eq!(errno(truncate(dir.join("missing"), 0)), Errno::NOENT);
    assert_eq!(fs::read(dir.join("f")).unwrap(), b"kept");
}

fn truncate_needs_no_open_handle_but_permission(dir: &Path) {
    fs::write(dir.join("f"), "0123456789").unwrap();
    super::chmod(dir.join("f"), 0o644).unwrap();
    super::as_user(super::NOBODY, super::NOBODY, &[], || {
        assert_eq!(errno(truncate(dir.join("f"), 0)), Errno::ACCESS);
    });
    super::chmod(dir.join("f"), 0o622).unwrap();
    super::as_user(super::NOBODY, super::NOBODY, &[], || truncate(dir.join("f"), 4).unwrap());
    assert_eq!(fs::read(dir.join("f")).unwrap(), b"0123");
}

fn size_and_times_are_fresh_after_each_write(dir: &Path) {
    let file = create(dir.join("f"));
    let times = Timestamps { last_access: PAST, last_modification: PAST };
    for n in 1..=20u64 {
        rustix::fs::futimens(&file, &times).unwrap();
        assert_eq!(stat(dir.join("f")).st_mtime, PAST.tv_sec);
        file.write_all_at(b"x", n).unwrap();
        let after = stat(dir.join("f"));
        assert_eq!(after.st_size, i64::try_from(n + 1).unwrap());
        assert!(after.st_mtime > PAST.tv_sec);
        assert_eq!(fstat(&file).st_mtime, after.st_mtime);
    }
    let before = fstat(&file);
    rustix::fs::futimens(&file, &times).unwrap();
    file.set_len(3).unwrap();
    assert!(fstat(&file).st_mtime >= before.st_mtime);
}

fn setting_the_size_it_has_changes_times_as_the_backing_does(dir: &Path) {
    let plain = plain_directory();
    let changes = |dir: &Path| {
        let path = dir.join("f");
        let file = open(&path, OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC).unwrap();
        let times = Timestamps { last_access: PAST, last_modification: PAST };
        let changed = |act: &dyn Fn()| {
            rustix::fs::futimens(&file, &times).unwrap();
            act();
            stat(&path).st_mtime != PAST.tv_sec
        };
        let trunc = || drop(open(&path, OFlags::WRONLY | OFlags::TRUNC).unwrap());
        let empty = [changed(&|| file.set_len(0).unwrap()), changed(&trunc)];
        file.write_all_at(b"12345", 0).unwrap();
        let full =
            [changed(&|| file.set_len(5).unwrap()), changed(&|| truncate(&path, 5).unwrap())];
        (empty, full)
    };
    let mut expected = changes(plain.path());
    if kernel_writes_back() {
        // It keeps the times itself, and takes truncate(2) to the same size for no change.
        let (_, [_, by_name]) = &mut expected;
        *by_name = false;
    }
    assert_eq!(changes(dir), expected);
}

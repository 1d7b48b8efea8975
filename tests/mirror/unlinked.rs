//! Files and directories that are still in use after their last name is gone.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::{chmod, chown, create, errno, fstat, kind, open, permissions, stat, through_proc};

cases!(
    unlinked_open_file_reads_and_writes,
    unlinked_open_file_changes_attributes,
    unlinked_open_file_takes_extended_attributes,
    unlinked_open_file_opens_again_through_proc,
    unlinked_open_file_changes_by_path_through_proc,
    unlinked_file_cannot_be_linked_back,
    unlinked_file_held_by_path_descriptor_only,
    unlinked_files_are_each_their_own,
    overwritten_file_is_unlinked_but_open,
    removed_directory_is_still_a_directory,
    removed_parent_does_not_matter_to_an_open_file,
    unlinked_symlink_held_by_path_descriptor_is_readable,
);

/// An open file with some content whose name is gone.
fn unlinked(dir: &Path) -> File {
    let file = create(dir.join("f"));
    file.write_all_at(b"0123456789", 0).unwrap();
    fs::remove_file(dir.join("f")).unwrap();
    file
}

fn content(file: &File) -> Vec<u8> {
    let mut content = vec![0; usize::try_from(fstat(file).st_size).unwrap()];
    file.read_exact_at(&mut content, 0).unwrap();
    content
}

fn unlinked_open_file_reads_and_writes(dir: &Path) {
    let file = unlinked(dir);
    assert_eq!(content(&file), b"0123456789");
    file.write_all_at(b"ab", 8).unwrap();
    file.write_all_at(b"end", 10).unwrap();
    assert_eq!(content(&file), b"01234567abend");
    file.sync_all().unwrap();
    file.sync_data().unwrap();
    assert_eq!(fstat(&file).st_nlink, 0);
    assert_eq!(fstat(&file).st_size, 13);
}

fn unlinked_open_file_changes_attributes(dir: &Path) {
    let file = unlinked(dir);
    file.set_len(4).unwrap();
    assert_eq!(content(&file), b"0123");
    file.set_len(6).unwrap();
    assert_eq!(content(&file), b"0123\0\0");
    rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o4711)).unwrap();
    assert_eq!(permissions(&fstat(&file)), 0o4711);
    let (uid, gid) = (rustix::process::Uid::from_raw(7), rustix::process::Gid::from_raw(8));
    rustix::fs::fchown(&file, Some(uid), Some(gid)).unwrap();
    assert_eq!((fstat(&file).st_uid, fstat(&file).st_gid), (7, 8));
    let time = Timespec { tv_sec: 1_000_000_000, tv_nsec: 123_456_789 };
    rustix::fs::futimens(&file, &Timestamps { last_access: time, last_modification: time })
        .unwrap();
    let after = fstat(&file);
    assert_eq!((after.st_mtime, after.st_mtime_nsec), (1_000_000_000, 123_456_789));
    assert_eq!((after.st_atime, after.st_atime_nsec), (1_000_000_000, 123_456_789));
}

fn unlinked_open_file_takes_extended_attributes(dir: &Path) {
    let file = unlinked(dir);
    rustix::fs::fsetxattr(&file, "user.x", b"value", rustix::fs::XattrFlags::CREATE).unwrap();
    let mut value = [0; 16];
    let size = rustix::fs::fgetxattr(&file, "user.x", &mut value).unwrap();
    assert_eq!(&value[..size], b"value");
    rustix::fs::fremovexattr(&file, "user.x").unwrap();
    assert_eq!(errno(rustix::fs::fgetxattr(&file, "user.x", &mut value)), Errno::NODATA);
}

fn unlinked_open_file_opens_again_through_proc(dir: &Path) {
    let file = unlinked(dir);
    let again = open(through_proc(&file), OFlags::RDWR).unwrap();
    assert_eq!(fstat(&again).st_ino, fstat(&file).st_ino);
    again.write_all_at(b"again", 0).unwrap();
    assert_eq!(content(&file), b"again56789");
    drop(file);
    assert_eq!(content(&again), b"again56789");
    let truncated = open(through_proc(&again), OFlags::WRONLY | OFlags::TRUNC).unwrap();
    assert_eq!(fstat(&truncated).st_size, 0);
}

fn unlinked_open_file_changes_by_path_through_proc(dir: &Path) {
    let file = unlinked(dir);
    let path = through_proc(&file);
    chmod(&path, 0o640).unwrap();
    chown(&path, 7, 8).unwrap();
    let after = fstat(&file);
    assert_eq!((permissions(&after), after.st_uid, after.st_gid), (0o640, 7, 8));
    assert_eq!(rustix::fs::stat(&path).unwrap().st_ino, after.st_ino);
    rustix::fs::setxattr(&path, "user.x", b"v", rustix::fs::XattrFlags::empty()).unwrap();
    assert_eq!(rustix::fs::fgetxattr(&file, "user.x", &mut [0; 4]).unwrap(), 1);
}

fn unlinked_file_cannot_be_linked_back(dir: &Path) {
    let file = unlinked(dir);
    let link =
        rustix::fs::linkat(CWD, through_proc(&file), CWD, dir.join("g"), AtFlags::SYMLINK_FOLLOW);
    assert_eq!(errno(link), Errno::NOENT);
}

fn unlinked_file_held_by_path_descriptor_only(dir: &Path) {
    fs::write(dir.join("f"), "content").unwrap();
    let before = stat(dir.join("f"));
    let held = open(dir.join("f"), OFlags::PATH).unwrap();
    fs::remove_file(dir.join("f")).unwrap();
    // The number must not go to another file meanwhile.
    for n in 0..50 {
        create(dir.join(format!("other{n}")));
    }
    let after = fstat(&held);
    assert_eq!((after.st_ino, after.st_size, after.st_nlink), (before.st_ino, 7, 0));
    chmod(through_proc(&held), 0o600).unwrap();
    assert_eq!(permissions(&fstat(&held)), 0o600);
    let opened = open(through_proc(&held), OFlags::RDWR).unwrap();
    assert_eq!(content(&opened), b"content");
}

fn unlinked_files_are_each_their_own(dir: &Path) {
    let mut files: Vec<_> = (0..20).map(|_| unlinked(dir)).collect();
    for (n, file) in files.iter_mut().enumerate() {
        writeln!(file, "file {n:03}").unwrap();
    }
    let mut numbers: Vec<_> = files.iter().map(|f| fstat(f).st_ino).collect();
    for (n, file) in files.iter().enumerate() {
        assert_eq!(content(file)[..8], *format!("file {n:03}").as_bytes());
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 20);
}

fn overwritten_file_is_unlinked_but_open(dir: &Path) {
    fs::write(dir.join("f"), "old").unwrap();
    let old = open(dir.join("f"), OFlags::RDWR).unwrap();
    fs::write(dir.join("g"), "new").unwrap();
    fs::rename(dir.join("g"), dir.join("f")).unwrap();
    assert_eq!(fstat(&old).st_nlink, 0);
    assert_eq!(content(&old), b"old");
    old.write_all_at(b"still", 0).unwrap();
    rustix::fs::fchmod(&old, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    chmod(through_proc(&old), 0o400).unwrap();
    assert_eq!(content(&old), b"still");
    assert_eq!(fs::read(dir.join("f")).unwrap(), b"new");
}

fn removed_directory_is_still_a_directory(dir: &Path) {
    fs::create_dir(dir.join("d")).unwrap();
    let held = open(dir.join("d"), OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
    let path_only = open(dir.join("d"), OFlags::PATH).unwrap();
    fs::remove_dir(dir.join("d")).unwrap();
    fs::create_dir(dir.join("d")).unwrap();
    fs::write(dir.join("d/f"), "").unwrap();
    for gone in [&held, &path_only] {
        let stat = fstat(gone);
        assert!(kind(&stat).is_dir());
        assert_eq!(stat.st_nlink, 0);
    }
    assert_eq!(errno(rustix::fs::statat(&held, "f", AtFlags::empty())), Errno::NOENT);
    rustix::fs::fchmod(&held, rustix::fs::Mode::from_raw_mode(0o700)).unwrap();
    assert_eq!(permissions(&fstat(&path_only)), 0o700);
    held.sync_all().unwrap();
}

fn removed_parent_does_not_matter_to_an_open_file(dir: &Path) {
    fs::create_dir_all(dir.join("a/b")).unwrap();
    let file = create(dir.join("a/b/f"));
    fs::remove_dir_all(dir.join("a")).unwrap();
    file.write_all_at(b"written", 0).unwrap();
    rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    assert_eq!(content(&file), b"written");
    assert_eq!(content(&open(through_proc(&file), OFlags::RDONLY).unwrap()), b"written");
    assert_eq!(fstat(&file).st_nlink, 0);
}

fn unlinked_symlink_held_by_path_descriptor_is_readable(dir: &Path) {
    std::os::unix::fs::symlink("target", dir.join("s")).unwrap();
    let held = open(dir.join("s"), OFlags::PATH | OFlags::NOFOLLOW).unwrap();
    fs::remove_file(dir.join("s")).unwrap();
    let target = rustix::fs::readlinkat(&held, "", Vec::new()).unwrap();
    assert_eq!(target.to_bytes(), b"target");
    assert_eq!(fstat(&held).st_nlink, 0);
}

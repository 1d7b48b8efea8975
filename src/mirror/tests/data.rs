//! Contents.

use std::os::unix::fs::MetadataExt;

use rustix::fs::{FileType, Mode};

use super::*;
use crate::sys::ioctl;

fn open(disk: &Disk, name: &str, flags: i32) -> (Ino, Fh) {
    let ino = disk.walk(name);
    (ino, disk.mirror.open(ino, flags).unwrap())
}

#[test]
fn what_is_written_is_read() {
    let disk = Disk::new();
    let (entry, fh) = disk.mirror.create(&USER, ROOT, os("a"), 0o644, libc::O_RDWR).unwrap();
    assert_eq!(disk.mirror.write(None, fh, 3, b"hello").unwrap().bytes, 5);
    assert_eq!(disk.contents(fh), b"\0\0\0hello");
    let mut buf = Buffer::new();
    disk.mirror.read(fh, 4, 2, &mut buf).unwrap();
    assert_eq!(*buf, *b"el");
    disk.mirror.read(fh, 3, 1, &mut buf).unwrap();
    assert_eq!(*buf, *b"h", "no more than asked for, whatever the buffer held");
    disk.mirror.read(fh, 100, 10, &mut buf).unwrap();
    assert!(buf.is_empty());
    assert_eq!(disk.mirror.getattr(entry.ino, Some(fh)).unwrap().size, 8);
    disk.mirror.flush(fh).unwrap();
    disk.mirror.fsync(fh, true).unwrap();
    disk.mirror.fsync(fh, false).unwrap();
    disk.mirror.release(fh).unwrap();
    assert_eq!(code(disk.mirror.read(fh, 0, 1, &mut buf)), libc::EBADF);
    assert_eq!(code(disk.mirror.release(fh)), libc::EBADF);
    assert_eq!(disk.lookups(entry.ino), 1);
}

#[test]
fn appending_and_direct_handles_write_where_the_kernel_says() {
    let disk = Disk::new();
    fs::write(disk.backing.join("a"), b"12345").unwrap();
    let flags = libc::O_RDWR | libc::O_APPEND | libc::O_DIRECT | libc::O_SYNC;
    let (_, fh) = open(&disk, "a", flags);
    disk.mirror.write(None, fh, 1, b"xx").unwrap();
    assert_eq!(disk.contents(fh), b"1xx45");
}

#[test]
fn access_mode_of_a_handle_is_kept() {
    let disk = Disk::new();
    disk.touch("a");
    let (_, reader) = open(&disk, "a", libc::O_RDONLY);
    assert_eq!(code(disk.mirror.write(None, reader, 0, b"x")), libc::EBADF);
    let (_, writer) = open(&disk, "a", libc::O_WRONLY);
    assert_eq!(code(disk.mirror.read(writer, 0, 1, &mut Buffer::new())), libc::EBADF);
}

#[test]
fn open_takes_nothing_that_came_in_the_place_of_the_file() {
    let disk = Disk::new();
    let other = disk.backing.join("other");
    fs::write(&other, b"other").unwrap();
    let fifo = disk.backing.join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0)
        .unwrap();
    std::os::unix::fs::symlink("other", disk.backing.join("symlink")).unwrap();
    fs::create_dir(disk.backing.join("directory")).unwrap();
    for kind in ["other", "fifo", "symlink", "directory"] {
        disk.touch("a");
        let ino = disk.walk("a");
        fs::remove_file(disk.backing.join("a")).unwrap();
        fs::rename(disk.backing.join(kind), disk.backing.join("a")).unwrap();
        for flags in [libc::O_RDONLY, libc::O_RDWR | libc::O_TRUNC] {
            assert_eq!(code(disk.mirror.open(ino, flags)), libc::ESTALE, "{kind}");
        }
        fs::rename(disk.backing.join("a"), disk.backing.join(kind)).unwrap();
    }
    assert_eq!(fs::read(other).unwrap(), b"other");
}

#[test]
fn open_finds_a_file_that_its_current_name_leads_to_no_more() {
    let disk = Disk::new();
    fs::write(disk.backing.join("a"), b"a").unwrap();
    fs::hard_link(disk.backing.join("a"), disk.backing.join("b")).unwrap();
    disk.walk("b");
    let ino = disk.walk("a");
    fs::rename(disk.backing.join("a"), disk.backing.join("gone")).unwrap();
    fs::write(disk.backing.join("a"), b"new").unwrap();
    let fh = disk.mirror.open(ino, libc::O_RDONLY).unwrap();
    assert_eq!(disk.contents(fh), b"a", "by its other name");
    fs::remove_file(disk.backing.join("b")).unwrap();
    let again = disk.mirror.open(ino, libc::O_RDWR).unwrap();
    assert_eq!(disk.contents(again), b"a", "by its open handle");
}

#[test]
fn create_never_opens_what_is_there_already() {
    let disk = Disk::new();
    disk.touch("a");
    std::os::unix::fs::symlink("/etc/passwd", disk.backing.join("s")).unwrap();
    for name in ["a", "s"] {
        let create = |flags| disk.mirror.create(&USER, ROOT, os(name), 0o644, libc::O_RDWR | flags);
        assert_eq!(code(create(libc::O_CREAT)), libc::ESTALE);
        assert_eq!(code(create(libc::O_CREAT | libc::O_EXCL)), libc::EEXIST);
    }
}

#[test]
fn unlinked_open_file_stays_whole() {
    let disk = Disk::new();
    let (entry, fh) = disk.mirror.create(&USER, ROOT, os("a"), 0o644, libc::O_RDWR).unwrap();
    let ino = entry.ino;
    disk.mirror.unlink(ROOT, os("a")).unwrap();
    disk.mirror.write(None, fh, 0, b"still").unwrap();
    assert_eq!(disk.mirror.getattr(ino, None).unwrap().size, 5);
    let again = disk.mirror.open(ino, libc::O_RDWR).unwrap();
    assert_eq!(disk.contents(again), b"still");
    disk.mirror.release(fh).unwrap();
    disk.mirror.release(again).unwrap();
    disk.evict();
    assert_eq!(disk.mirror.getattr(ino, None).unwrap().nlink, 0, "known until forgotten");
}

#[test]
fn open_file_removed_behind_our_back_still_answers() {
    let disk = Disk::new();
    disk.touch("a");
    let (ino, fh) = open(&disk, "a", libc::O_RDWR);
    fs::remove_file(disk.backing.join("a")).unwrap();
    disk.evict();
    assert_eq!(disk.mirror.getattr(ino, None).unwrap().nlink, 0);
    disk.mirror.release(fh).unwrap();
    disk.evict();
    assert_eq!(code(disk.mirror.getattr(ino, None)), libc::ESTALE);
}

#[test]
fn released_handle_leaves_no_descriptor() {
    let disk = Disk::new();
    let (entry, fh) = disk.mirror.create(&USER, ROOT, os("a"), 0o755, libc::O_RDWR).unwrap();
    disk.mirror.rename(ROOT, os("a"), ROOT, os("b"), 0).unwrap();
    disk.mirror.release(fh).unwrap();
    let inode = disk.mirror.inode(entry.ino).unwrap();
    assert!(inode.state.lock().descriptor().is_none());
}

#[test]
fn flagged_write_clears_setuid_and_others_do_not() {
    let disk = Disk::new();
    disk.touch("a");
    let (ino, fh) = open(&disk, "a", libc::O_RDWR);
    let mode = || disk.backing.join("a").metadata().unwrap().mode() & 0o7777;
    let set = Changes { mode: Some(0o6755), ..Changes::default() };
    disk.mirror.setattr(&ROOT_USER, ino, None, &set).unwrap();
    disk.mirror.write(None, fh, 0, b"x").unwrap();
    assert_eq!(mode(), 0o6755);
    disk.mirror.write(Some(&USER), fh, 0, b"x").unwrap();
    assert_eq!(mode(), 0o755);
    disk.mirror.setattr(&ROOT_USER, ino, None, &set).unwrap();
    disk.mirror.fallocate(&ROOT_USER, fh, 0, 0, 4096).unwrap();
    assert_eq!(mode(), 0o6755);
    disk.mirror.fallocate(&USER, fh, 0, 0, 8192).unwrap();
    assert_eq!(mode(), 0o755);
}

#[test]
fn fallocate_has_its_modes_and_lseek_sees_them() {
    let disk = Disk::new();
    disk.touch("a");
    let (ino, fh) = open(&disk, "a", libc::O_RDWR);
    let m = &disk.mirror;
    let size = || m.getattr(ino, None).unwrap().size;
    m.fallocate(&ROOT_USER, fh, libc::FALLOC_FL_KEEP_SIZE, 0, 1 << 20).unwrap();
    assert_eq!(size(), 0);
    m.write(None, fh, 0, &vec![7; 3 << 16]).unwrap();
    let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    m.fallocate(&ROOT_USER, fh, punch, 1 << 16, 1 << 16).unwrap();
    assert_eq!(m.lseek(fh, 0, libc::SEEK_HOLE).unwrap(), 1 << 16);
    assert_eq!(m.lseek(fh, 1 << 16, libc::SEEK_DATA).unwrap(), 2 << 16);
    assert_eq!(m.lseek(fh, -5, libc::SEEK_END).unwrap(), (3 << 16) - 5);
    assert_eq!(code(m.lseek(fh, 1 << 30, libc::SEEK_DATA)), libc::ENXIO);
    assert_eq!(code(m.lseek(fh, -1, libc::SEEK_DATA)), libc::ENXIO);
    assert_eq!(code(m.lseek(fh, -1, libc::SEEK_SET)), libc::EINVAL);
    assert_eq!(code(m.lseek(fh, 0, libc::SEEK_CUR)), libc::EINVAL);
    let mut buf = Buffer::new();
    m.read(fh, (1 << 16) - 1, 2, &mut buf).unwrap();
    assert_eq!(*buf, [7, 0]);
    m.fallocate(&ROOT_USER, fh, 0, 0, 1 << 20).unwrap();
    assert_eq!(size(), 1 << 20);
    assert_eq!(code(m.fallocate(&ROOT_USER, fh, 0, 0, 0)), libc::EINVAL);
}

#[test]
fn copy_file_range_copies_between_files() {
    let disk = Disk::new();
    fs::write(disk.backing.join("a"), b"0123456789").unwrap();
    disk.touch("b");
    let (_, from) = open(&disk, "a", libc::O_RDONLY);
    let (_, to) = open(&disk, "b", libc::O_RDWR);
    let copy = |flags| disk.mirror.copy_file_range(&USER, (from, 2), (to, 1), 5, flags);
    assert_eq!(copy(0).unwrap(), 5);
    assert_eq!(disk.contents(to), b"\x0023456");
    assert_eq!(code(copy(1)), libc::EINVAL);
}

#[test]
fn file_flags_are_those_of_the_backing_and_append_only_holds() {
    let disk = Disk::new();
    fs::write(disk.backing.join("a"), b"123").unwrap();
    let (ino, fh) = open(&disk, "a", libc::O_RDONLY);
    let m = &disk.mirror;
    let get = || {
        let out = m.ioctl(fh, ioctl::GETFLAGS, &[], 4).unwrap();
        u32::from_ne_bytes(out.try_into().unwrap())
    };
    let set = |flags: u32| m.ioctl(fh, ioctl::SETFLAGS, &flags.to_ne_bytes(), 0).unwrap();
    const APPEND_ONLY: u32 = 0x20;
    let flags = get();
    set(flags | APPEND_ONLY);
    assert_eq!(get(), flags | APPEND_ONLY);
    assert_eq!(code(m.open(ino, libc::O_WRONLY)), libc::EPERM);
    let appending = m.open(ino, libc::O_WRONLY | libc::O_APPEND).unwrap();
    m.write(None, appending, 3, b"4").unwrap();
    set(flags);
    assert_eq!(disk.contents(fh), b"1234");
    assert_eq!(code(m.ioctl(fh, 0x5401, &[], 60)), libc::ENOTTY);
    assert_eq!(code(m.ioctl(fh, ioctl::SETFLAGS, &[], 0)), libc::EINVAL);
}

#[test]
fn handle_numbers_are_distinct_while_open() {
    let disk = Disk::new();
    let ino = disk.make_file("a");
    let mut all: Vec<Fh> =
        (0..100).map(|_| disk.mirror.open(ino, libc::O_RDONLY).unwrap()).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 100);
    all.iter().for_each(|fh| disk.mirror.release(*fh).unwrap());
    let inode = disk.mirror.inode(ino).unwrap();
    assert!(inode.state.lock().open().is_empty());
}

/// Two WRITEs of the kernel's cache at once, and what it tells of the time meanwhile.
#[test]
fn what_is_written_back_changes_no_time_but_the_one_that_is_told() {
    let mut disk = Disk::new();
    disk.mirror.written_back = true;
    let ino = disk.make_file("a");
    let fh = disk.mirror.open(ino, libc::O_RDWR).unwrap();
    let tell = |mtime| {
        let changes = Changes { mtime: Some(mtime), ..Changes::default() };
        disk.mirror.setattr(&ROOT_USER, ino, Some(fh), &changes).unwrap();
    };
    let write = || disk.mirror.write_back(None, fh, 0, b"new").map(drop);
    let time = || disk.mirror.getattr(ino, Some(fh)).unwrap().mtime;
    let (old, new) = (TimeChange::At(1_000, 1), TimeChange::At(2_000, 2));
    let handle = disk.mirror.handle(fh).unwrap();
    let writing = |meanwhile: &dyn Fn()| {
        tell(old);
        let both = || {
            meanwhile();
            write()
        };
        disk.mirror.writing_back(&handle.inode, handle.as_fd(), both).unwrap();
        time()
    };
    assert_eq!(writing(&|| {}), (1_000, 1));
    assert_eq!(writing(&|| write().unwrap()), (1_000, 1));
    assert_eq!(writing(&|| tell(new)), (2_000, 2));
    assert_eq!(
        writing(&|| [write().unwrap(), tell(new), write().unwrap()].into_iter().collect()),
        (2_000, 2)
    );
    assert!(writing(&|| tell(TimeChange::Now)).0 > 1_000_000, "the backing's clock tells");
    tell(new);
    let _ = handle.inode.take_doubt();
    write().unwrap();
    assert_eq!(time(), (2_000, 2));
    assert!(!handle.inode.take_doubt(), "nobody else has changed it");
    // Nothing is remembered of it once it is written.
    let file = fs::File::options().write(true).open(disk.backing.join("a")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    write().unwrap();
    assert_eq!(time(), (0, 0));
}

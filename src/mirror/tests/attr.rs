//! Attributes and extended attributes.

use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;

use super::*;
use crate::sys;

fn size(size: u64) -> Changes {
    Changes { size: Some(size), ..Changes::default() }
}
fn mode(mode: u32) -> Changes {
    Changes { mode: Some(mode), ..Changes::default() }
}

#[test]
fn attributes_are_those_of_the_backing() {
    let disk = Disk::new();
    let ino = disk.make_file("a");
    fs::write(disk.backing.join("a"), b"12345").unwrap();
    let meta = disk.backing.join("a").metadata().unwrap();
    let attr = disk.mirror.getattr(ino, None).unwrap();
    assert_eq!((attr.shown, attr.size, attr.blocks), (meta.ino(), 5, meta.blocks()));
    assert_eq!(attr.mtime, (meta.mtime(), meta.mtime_nsec() as u32));
    assert_eq!((attr.mode, attr.nlink, attr.blksize), (meta.mode(), 1, meta.blksize() as u32));
}

#[test]
fn root_shows_the_number_of_the_backing() {
    let disk = Disk::new();
    let attr = disk.mirror.getattr(ROOT, None).unwrap();
    assert_eq!(attr.shown, disk.backing.metadata().unwrap().ino());
    let set = disk.mirror.setattr(&ROOT_USER, ROOT, None, &mode(0o700)).unwrap();
    assert_eq!((set.shown, set.mode & 0o777), (attr.shown, 0o700));
}

#[test]
fn mode_owner_and_times_change_without_and_with_a_handle() {
    let disk = Disk::new();
    let ino = disk.make_file("a");
    let fh = disk.mirror.open(ino, libc::O_RDWR).unwrap();
    for fh in [None, Some(fh)] {
        let changes = Changes {
            mode: Some(0o4751),
            uid: Some(5),
            gid: Some(6),
            size: Some(7),
            atime: Some(TimeChange::At(-2, 800_000_000)),
            mtime: Some(TimeChange::At(4_102_444_800, 1)),
            told: false,
        };
        let attr = disk.mirror.setattr(&ROOT_USER, ino, fh, &changes).unwrap();
        assert_eq!((attr.mode & 0o7777, attr.uid, attr.gid, attr.size), (0o4751, 5, 6, 7));
        assert_eq!((attr.atime, attr.mtime), ((-2, 800_000_000), (4_102_444_800, 1)));
        let back = Changes { uid: Some(0), gid: Some(0), size: Some(0), ..Changes::default() };
        let attr = disk.mirror.setattr(&ROOT_USER, ino, fh, &back).unwrap();
        assert_eq!(attr.mode & 0o7777, 0o751, "a change of owner clears setuid");
    }
}

#[test]
fn times_left_out_stay_and_now_is_now() {
    let disk = Disk::new();
    let ino = disk.make_file("a");
    let only = |atime, mtime| Changes { atime, mtime, ..Changes::default() };
    let old = Some(TimeChange::At(1000, 1));
    disk.mirror.setattr(&ROOT_USER, ino, None, &only(old, old)).unwrap();
    let attr =
        disk.mirror.setattr(&ROOT_USER, ino, None, &only(None, Some(TimeChange::Now))).unwrap();
    assert_eq!(attr.atime, (1000, 1));
    assert!(attr.mtime.0 > 1_600_000_000);
}

#[test]
fn symlinks_and_fifos_change_without_being_opened() {
    let disk = Disk::new();
    let link = disk.mirror.symlink(&ROOT_USER, ROOT, os("s"), os("nowhere")).unwrap().ino;
    let fifo = disk.mirror.mknod(&ROOT_USER, ROOT, os("p"), libc::S_IFIFO | 0o600, 0).unwrap().ino;
    let changes = Changes {
        uid: Some(5),
        atime: Some(TimeChange::At(-1, 0)),
        mtime: Some(TimeChange::At(-86_400, 5)),
        ..Changes::default()
    };
    for ino in [link, fifo] {
        let attr = disk.mirror.setattr(&ROOT_USER, ino, None, &changes).unwrap();
        assert_eq!((attr.uid, attr.atime, attr.mtime), (5, (-1, 0), (-86_400, 5)));
    }
    let chmod = |ino| disk.mirror.setattr(&ROOT_USER, ino, None, &mode(0o640));
    assert_eq!(code(chmod(link)), libc::EOPNOTSUPP);
    assert_eq!(chmod(fifo).unwrap().mode, libc::S_IFIFO | 0o640);
}

#[test]
fn truncate_to_the_same_size_changes_times_as_the_backing_does() {
    let disk = Disk::new();
    let old = Changes { mtime: Some(TimeChange::At(1000, 0)), ..Changes::default() };
    let file = |name| {
        fs::write(disk.backing.join(name), b"12345").unwrap();
        let ino = disk.walk(name);
        disk.mirror.setattr(&ROOT_USER, ino, None, &old).unwrap();
        ino
    };
    let (here, there) = (file("a"), file("b"));
    let path = CString::new(disk.backing.join("b").into_os_string().into_vec()).unwrap();
    sys::truncate(&path, 5).unwrap();
    let theirs = disk.mirror.getattr(there, None).unwrap();
    let ours = disk.mirror.setattr(&ROOT_USER, here, None, &size(5)).unwrap();
    assert_eq!((ours.size, ours.mtime == (1000, 0)), (5, theirs.mtime == (1000, 0)));
    let ours = disk.mirror.setattr(&ROOT_USER, here, None, &size(4)).unwrap();
    assert!(ours.size == 4 && ours.mtime > (1000, 0));
    for new in [0, 5] {
        assert_eq!(code(disk.mirror.setattr(&ROOT_USER, ROOT, None, &size(new))), libc::EISDIR);
    }
}

#[test]
fn truncate_by_a_user_clears_setuid_and_by_root_does_not() {
    let disk = Disk::new();
    let ino = disk.make_file("a");
    disk.mirror.setattr(&ROOT_USER, ino, None, &mode(0o6755)).unwrap();
    let attr = disk.mirror.setattr(&ROOT_USER, ino, None, &size(10)).unwrap();
    assert_eq!(attr.mode & 0o7777, 0o6755);
    let attr = disk.mirror.setattr(&USER, ino, None, &size(5)).unwrap();
    assert_eq!(attr.mode & 0o7777, 0o755);
}

#[test]
fn statfs_is_that_of_the_backing() {
    let disk = Disk::new();
    let ino = disk.make_file("a");
    let ours = disk.mirror.statfs(ino).unwrap();
    let theirs = rustix::fs::statvfs(&disk.backing).unwrap();
    assert_eq!((ours.f_blocks, ours.f_frsize), (theirs.f_blocks, theirs.f_frsize));
    assert_eq!(ours.f_namemax, theirs.f_namemax);
}

#[test]
fn access_is_judged_for_the_caller() {
    let disk = Disk::new();
    let ino = disk.make_file("a");
    disk.mirror.setattr(&ROOT_USER, ino, None, &mode(0o640)).unwrap();
    let (read, write) = (libc::R_OK as u32, libc::W_OK as u32);
    assert_eq!(code(disk.mirror.access(&USER, ino, read)), libc::EACCES);
    let member = Caller { gid: 0, ..USER };
    disk.mirror.access(&member, ino, read).unwrap();
    assert_eq!(code(disk.mirror.access(&member, ino, write)), libc::EACCES);
    disk.mirror.access(&ROOT_USER, ino, read | write).unwrap();
    assert_eq!(code(disk.mirror.access(&USER, ino, 64)), libc::EINVAL);
}

#[test]
fn extended_attributes_of_every_kind_of_file() {
    let disk = Disk::new();
    let m = &disk.mirror;
    let link = m.symlink(&ROOT_USER, ROOT, os("s"), os("nowhere")).unwrap().ino;
    let fifo = m.mknod(&ROOT_USER, ROOT, os("p"), libc::S_IFIFO | 0o600, 0).unwrap().ino;
    for ino in [link, fifo, disk.make_file("a"), disk.make_dir("d"), ROOT] {
        let name = os("trusted.slowfs");
        assert_eq!(code(m.getxattr(ino, name, 0)), libc::ENODATA);
        m.setxattr(&ROOT_USER, ino, name, b"value", libc::XATTR_CREATE).unwrap();
        assert_eq!(code(m.setxattr(&ROOT_USER, ino, name, b"", libc::XATTR_CREATE)), libc::EEXIST);
        assert_eq!(m.getxattr(ino, name, 0).unwrap(), Xattr::Size(5));
        assert_eq!(code(m.getxattr(ino, name, 4)), libc::ERANGE);
        assert_eq!(m.getxattr(ino, name, 64).unwrap(), Xattr::Value(b"value".to_vec()));
        let Xattr::Value(list) = m.listxattr(&ROOT_USER, ino, 1000).unwrap() else { panic!() };
        assert!(list.ends_with(b"trusted.slowfs\0"), "{list:?}");
        m.removexattr(ino, name).unwrap();
        assert_eq!(code(m.removexattr(ino, name)), libc::ENODATA);
    }
}

#[test]
fn trusted_attributes_are_not_listed_to_users() {
    let disk = Disk::new();
    let ino = disk.make_file("a");
    let m = &disk.mirror;
    m.setxattr(&ROOT_USER, ino, os("trusted.slowfs"), b"1", 0).unwrap();
    m.setxattr(&ROOT_USER, ino, os("user.slowfs"), b"1", 0).unwrap();
    assert_eq!(m.listxattr(&USER, ino, 12).unwrap(), Xattr::Value(b"user.slowfs\0".to_vec()));
    assert_eq!(m.listxattr(&USER, ino, 0).unwrap(), Xattr::Size(12));
    assert_eq!(code(m.listxattr(&USER, ino, 11)), libc::ERANGE);
    assert_eq!(m.listxattr(&ROOT_USER, ino, 0).unwrap(), Xattr::Size(27));
}

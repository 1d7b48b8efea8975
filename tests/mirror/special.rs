//! What is no regular file, and what is asked of files beyond reading and writing.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::fs::{FileType, IFlags, OFlags, makedev};
use rustix::io::Errno;

use super::calls::{fs_xattr, unknown_ioctl};
use super::{
    create, errno, kind, mknod, on_fuse, open, open_rw, permissions, plain_directory, stat,
};

cases!(
    mknod_makes_every_kind,
    mknod_refuses_a_taken_name_and_a_missing_directory,
    fifo_joins_its_readers_and_writers,
    socket_takes_connections,
    device_numbers_are_kept_in_full,
    devices_cannot_be_opened_through_the_mirror,
    inode_flags_are_those_of_the_backing,
    inode_flags_of_a_directory,
    immutable_files_refuse_changes,
    fsxattr_is_that_of_the_backing,
    unknown_ioctls_are_refused_as_such,
    bytes_left_to_read_are_told,
);

fn mknod_makes_every_kind(dir: &Path) {
    let kinds = [
        ("regular", FileType::RegularFile, 0),
        ("fifo", FileType::Fifo, 0),
        ("socket", FileType::Socket, 0),
        ("char", FileType::CharacterDevice, makedev(1, 3)),
        ("block", FileType::BlockDevice, makedev(7, 200)),
    ];
    super::with_umask(0, || {
        for (name, kind, dev) in kinds {
            mknod(dir.join(name), kind, 0o642, dev).unwrap();
        }
    });
    for (name, expected, dev) in kinds {
        let made = stat(dir.join(name));
        assert_eq!((kind(&made), permissions(&made), made.st_rdev), (expected, 0o642, dev));
        assert_eq!((made.st_nlink, made.st_size), (1, 0));
        fs::rename(dir.join(name), dir.join("renamed")).unwrap();
        assert_eq!(kind(&stat(dir.join("renamed"))), expected);
        fs::remove_file(dir.join("renamed")).unwrap();
    }
}

fn mknod_refuses_a_taken_name_and_a_missing_directory(dir: &Path) {
    fs::write(dir.join("f"), "").unwrap();
    assert_eq!(errno(mknod(dir.join("f"), FileType::Fifo, 0o600, 0)), Errno::EXIST);
    assert_eq!(errno(mknod(dir.join("x/f"), FileType::Fifo, 0o600, 0)), Errno::NOENT);
    super::chmod(dir, 0o777).unwrap();
    super::as_user(super::NOBODY, super::NOBODY, &[], || {
        let device = mknod(dir.join("dev"), FileType::CharacterDevice, 0o600, makedev(1, 3));
        assert_eq!(errno(device), Errno::PERM);
        mknod(dir.join("fifo"), FileType::Fifo, 0o600, 0).unwrap();
    });
    assert_eq!(stat(dir.join("fifo")).st_uid, super::NOBODY);
}

fn fifo_joins_its_readers_and_writers(dir: &Path) {
    mknod(dir.join("fifo"), FileType::Fifo, 0o600, 0).unwrap();
    let without_reader = open(dir.join("fifo"), OFlags::WRONLY | OFlags::NONBLOCK);
    assert_eq!(errno(without_reader), Errno::NXIO);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = open(dir.join("fifo"), OFlags::WRONLY).unwrap();
            writer.write_all(b"through the pipe").unwrap();
        });
        let mut reader = open(dir.join("fifo"), OFlags::RDONLY).unwrap();
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "through the pipe");
    });
    assert_eq!(stat(dir.join("fifo")).st_size, 0);
}

fn socket_takes_connections(dir: &Path) {
    let listener = UnixListener::bind(dir.join("s")).unwrap();
    assert!(kind(&stat(dir.join("s"))).is_socket());
    let mut client = UnixStream::connect(dir.join("s")).unwrap();
    let (mut served, _) = listener.accept().unwrap();
    client.write_all(b"hello").unwrap();
    drop(client);
    let mut heard = String::new();
    served.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "hello");
    assert_eq!(errno(open(dir.join("s"), OFlags::RDONLY)), Errno::NXIO);
    assert_eq!(errno(UnixListener::bind(dir.join("s"))), Errno::ADDRINUSE);
    fs::remove_file(dir.join("s")).unwrap();
}

fn device_numbers_are_kept_in_full(dir: &Path) {
    for (n, (major, minor)) in [(259, 0), (8, 300), (4095, 1_048_575)].into_iter().enumerate() {
        let path = dir.join(format!("dev{n}"));
        mknod(&path, FileType::BlockDevice, 0o600, makedev(major, minor)).unwrap();
        assert_eq!(stat(&path).st_rdev, makedev(major, minor));
    }
}

fn devices_cannot_be_opened_through_the_mirror(dir: &Path) {
    mknod(dir.join("null"), FileType::CharacterDevice, 0o666, makedev(1, 3)).unwrap();
    let opened = open(dir.join("null"), OFlags::RDWR);
    if on_fuse(dir) {
        // The mount is nodev unless told otherwise.
        assert_eq!(errno(opened), Errno::ACCESS);
    } else {
        opened.unwrap();
    }
}

fn inode_flags_are_those_of_the_backing(dir: &Path) {
    let plain = plain_directory();
    let there = create(plain.path().join("f"));
    let here = create(dir.join("f"));
    let flags = rustix::fs::ioctl_getflags(&here).unwrap();
    assert_eq!(flags, rustix::fs::ioctl_getflags(&there).unwrap());
    rustix::fs::ioctl_setflags(&here, flags | IFlags::NODUMP | IFlags::NOATIME).unwrap();
    let changed = rustix::fs::ioctl_getflags(&here).unwrap();
    assert_eq!(changed, flags | IFlags::NODUMP | IFlags::NOATIME);
    rustix::fs::ioctl_setflags(&here, flags).unwrap();
    assert_eq!(rustix::fs::ioctl_getflags(&here).unwrap(), flags);
}

fn inode_flags_of_a_directory(dir: &Path) {
    fs::create_dir(dir.join("d")).unwrap();
    let directory = open(dir.join("d"), OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
    let flags = rustix::fs::ioctl_getflags(&directory).unwrap();
    rustix::fs::ioctl_setflags(&directory, flags | IFlags::NODUMP).unwrap();
    assert_eq!(rustix::fs::ioctl_getflags(&directory).unwrap(), flags | IFlags::NODUMP);
    // A file handle's number must not be taken for a directory's.
    let file = create(dir.join("f"));
    assert!(!rustix::fs::ioctl_getflags(&file).unwrap().contains(IFlags::NODUMP));
}

fn immutable_files_refuse_changes(dir: &Path) {
    fs::write(dir.join("f"), "kept").unwrap();
    let reader = open(dir.join("f"), OFlags::RDONLY).unwrap();
    let flags = rustix::fs::ioctl_getflags(&reader).unwrap();
    rustix::fs::ioctl_setflags(&reader, flags | IFlags::IMMUTABLE).unwrap();
    let refused = [
        errno(open(dir.join("f"), OFlags::WRONLY)),
        errno(fs::remove_file(dir.join("f"))),
        errno(fs::rename(dir.join("f"), dir.join("g"))),
        errno(super::chmod(dir.join("f"), 0o600)),
    ];
    rustix::fs::ioctl_setflags(&reader, flags).unwrap();
    assert_eq!(refused, [Errno::PERM; 4]);
    open_rw(dir.join("f"));
}

fn fsxattr_is_that_of_the_backing(dir: &Path) {
    let plain = plain_directory();
    let there = fs_xattr(&create(plain.path().join("f"))).unwrap();
    assert_eq!(fs_xattr(&create(dir.join("f"))).unwrap(), there);
}

fn unknown_ioctls_are_refused_as_such(dir: &Path) {
    let file = create(dir.join("f"));
    assert_eq!(errno(unknown_ioctl(&file)), Errno::NOTTY);
    let directory = open(dir, OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
    assert_eq!(errno(unknown_ioctl(&directory)), Errno::NOTTY);
}

fn bytes_left_to_read_are_told(dir: &Path) {
    fs::write(dir.join("f"), "0123456789").unwrap();
    let mut file = open(dir.join("f"), OFlags::RDONLY).unwrap();
    file.read_exact(&mut [0; 3]).unwrap();
    assert_eq!(rustix::io::ioctl_fionread(&file).unwrap(), 7);
}

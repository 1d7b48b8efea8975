//! Locks among the users of one directory.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc;

use libc::{F_GETLK, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_RDLCK, F_SETLK, F_UNLCK, F_WRLCK};
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use super::calls::{record_lock, unshare_descriptors};
use super::common::{PATIENCE, wait_for};
use super::{create, errno, open, open_rw};

cases!(
    flock_excludes_other_open_files,
    flock_is_shared_by_duplicates_and_ends_with_the_last,
    flock_waits_for_its_turn,
    record_locks_exclude_other_processes_where_they_overlap,
    record_locks_end_when_any_descriptor_is_closed,
    record_locks_of_open_files_exclude_each_other,
    record_locks_of_open_files_wait_for_their_turn,
    record_locks_need_the_right_access,
);

const EXCLUSIVE: FlockOperation = FlockOperation::NonBlockingLockExclusive;
const SHARED: FlockOperation = FlockOperation::NonBlockingLockShared;

fn flock(file: &File, operation: FlockOperation) -> rustix::io::Result<()> {
    rustix::fs::flock(file, operation)
}

fn flock_excludes_other_open_files(dir: &Path) {
    let first = create(dir.join("LOCK"));
    let second = open(dir.join("LOCK"), OFlags::RDONLY).unwrap();
    flock(&first, EXCLUSIVE).unwrap();
    assert_eq!(errno(flock(&second, SHARED)), Errno::WOULDBLOCK);
    flock(&first, SHARED).unwrap();
    flock(&second, SHARED).unwrap();
    assert_eq!(errno(flock(&first, EXCLUSIVE)), Errno::WOULDBLOCK);
    flock(&second, FlockOperation::Unlock).unwrap();
    flock(&first, EXCLUSIVE).unwrap();
    // Another process is no different.
    let mut other = std::process::Command::new("flock");
    other.arg("--nonblock").arg(dir.join("LOCK")).arg("true");
    assert_eq!(other.status().unwrap().code(), Some(1));
    drop(first);
    // Not at once: a process that another test is starting has every descriptor until it execs.
    wait_for("the lock to end", || (other.status().unwrap().code() == Some(0)).then_some(()));
}

fn flock_is_shared_by_duplicates_and_ends_with_the_last(dir: &Path) {
    let file = create(dir.join("LOCK"));
    let twin = file.try_clone().unwrap();
    let other = open_rw(dir.join("LOCK"));
    flock(&file, EXCLUSIVE).unwrap();
    flock(&twin, EXCLUSIVE).unwrap();
    drop(file);
    assert_eq!(errno(flock(&other, EXCLUSIVE)), Errno::WOULDBLOCK);
    drop(twin);
    // Not at once: a process that another test is starting has every descriptor until it execs.
    wait_for("the lock to end", || flock(&other, EXCLUSIVE).ok());
}

fn flock_waits_for_its_turn(dir: &Path) {
    let first = create(dir.join("LOCK"));
    let second = open_rw(dir.join("LOCK"));
    flock(&first, EXCLUSIVE).unwrap();
    let (got, has) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            flock(&second, FlockOperation::LockExclusive).unwrap();
            got.send(()).unwrap();
        });
        assert_eq!(has.try_recv(), Err(mpsc::TryRecvError::Empty));
        flock(&first, FlockOperation::Unlock).unwrap();
        has.recv_timeout(PATIENCE).unwrap();
    });
}

/// Runs `act` as another process would, as far as record locks can tell: with descriptors of its
/// own.
fn elsewhere<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            unshare_descriptors();
            act()
        });
        other.join().unwrap()
    })
}

fn record_locks_exclude_other_processes_where_they_overlap(dir: &Path) {
    let file = create(dir.join("f"));
    record_lock(&file, F_SETLK, F_WRLCK, (100, 50)).unwrap();
    elsewhere(|| {
        let file = open_rw(dir.join("f"));
        assert_eq!(errno(record_lock(&file, F_SETLK, F_RDLCK, (149, 1)).map(drop)), Errno::AGAIN);
        let found = record_lock(&file, F_GETLK, F_WRLCK, (0, 0)).unwrap();
        assert_eq!((i32::from(found.l_type), found.l_start, found.l_len), (F_WRLCK, 100, 50));
        assert_eq!(found.l_pid, i32::try_from(std::process::id()).unwrap());
        record_lock(&file, F_SETLK, F_WRLCK, (150, 10)).unwrap();
        let free = record_lock(&file, F_GETLK, F_WRLCK, (0, 100)).unwrap();
        assert_eq!(i32::from(free.l_type), F_UNLCK);
    });
    record_lock(&file, F_SETLK, F_UNLCK, (110, 10)).unwrap();
    elsewhere(|| {
        let file = open_rw(dir.join("f"));
        record_lock(&file, F_SETLK, F_WRLCK, (110, 10)).unwrap();
        assert_eq!(errno(record_lock(&file, F_SETLK, F_WRLCK, (120, 1)).map(drop)), Errno::AGAIN);
    });
}

fn record_locks_end_when_any_descriptor_is_closed(dir: &Path) {
    elsewhere(|| {
        let file = create(dir.join("f"));
        record_lock(&file, F_SETLK, F_WRLCK, (0, 0)).unwrap();
        elsewhere(|| {
            let other = open_rw(dir.join("f"));
            let refused = record_lock(&other, F_SETLK, F_WRLCK, (0, 0)).map(drop);
            assert_eq!(errno(refused), Errno::AGAIN);
        });
        // fcntl(2): a process's locks go when it closes any descriptor of the file.
        drop(open(dir.join("f"), OFlags::RDONLY).unwrap());
        elsewhere(|| {
            record_lock(&open_rw(dir.join("f")), F_SETLK, F_WRLCK, (0, 0)).unwrap();
        });
    });
}

fn record_locks_of_open_files_exclude_each_other(dir: &Path) {
    let first = create(dir.join("f"));
    let second = open_rw(dir.join("f"));
    record_lock(&first, F_OFD_SETLK, F_WRLCK, (0, 10)).unwrap();
    let refused = record_lock(&second, F_OFD_SETLK, F_RDLCK, (5, 10)).map(drop);
    assert_eq!(errno(refused), Errno::AGAIN);
    let found = record_lock(&second, F_OFD_GETLK, F_WRLCK, (0, 0)).unwrap();
    assert_eq!((i32::from(found.l_type), found.l_start, found.l_len), (F_WRLCK, 0, 10));
    record_lock(&second, F_OFD_SETLK, F_RDLCK, (10, 10)).unwrap();
    drop(first);
    // Not at once: a process that another test is starting has every descriptor until it execs.
    wait_for("the lock to end", || record_lock(&second, F_OFD_SETLK, F_WRLCK, (0, 0)).ok());
}

fn record_locks_of_open_files_wait_for_their_turn(dir: &Path) {
    let first = create(dir.join("f"));
    let second = open_rw(dir.join("f"));
    record_lock(&first, F_OFD_SETLK, F_WRLCK, (0, 10)).unwrap();
    let (got, has) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            record_lock(&second, F_OFD_SETLKW, F_WRLCK, (0, 10)).unwrap();
            got.send(()).unwrap();
        });
        assert_eq!(has.try_recv(), Err(mpsc::TryRecvError::Empty));
        record_lock(&first, F_OFD_SETLK, F_UNLCK, (0, 10)).unwrap();
        has.recv_timeout(PATIENCE).unwrap();
    });
}

fn record_locks_need_the_right_access(dir: &Path) {
    create(dir.join("f"));
    let reader = open(dir.join("f"), OFlags::RDONLY).unwrap();
    let writer = open(dir.join("f"), OFlags::WRONLY).unwrap();
    let refused = record_lock(&reader, F_OFD_SETLK, F_WRLCK, (0, 1)).map(drop);
    assert_eq!(errno(refused), Errno::BADF);
    let refused = record_lock(&writer, F_OFD_SETLK, F_RDLCK, (0, 1)).map(drop);
    assert_eq!(errno(refused), Errno::BADF);
}

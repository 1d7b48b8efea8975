//! `read-only` and `shutdown`: set once, they stay until they are cleared.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::fs::{AtFlags, FallocateFlags, Timestamps, XattrFlags};

use super::common::calls::Mapping;
use super::common::{Mount, delaying, errno_of, fault_on, slowfs, stdout_of, text_of, wait_for};
use super::{EIO, open, persisted};

const EROFS: i32 = 30;

/// Sets what is typed so after `slowfs`.
fn set(mount: &Mount, typed: &[&str]) {
    stdout_of(slowfs().args(typed).args(["--addr", &mount.addr]));
}

/// An operation by name, on a mount with a file `f`, a file `g` and a directory `d`.
type Operation = (&'static str, fn(&Path, &File) -> io::Result<()>);

/// What changes something, or says that it is stored.
const CHANGES: [Operation; 22] = [
    ("write", |_, f| f.write_at(b"x", 0).map(drop)),
    ("fsync", |_, f| f.sync_all()),
    ("fdatasync", |_, f| f.sync_data()),
    ("fsync of a directory", |dir, _| File::open(dir)?.sync_all()),
    ("open to write", |dir, _| File::options().write(true).open(dir.join("g")).map(drop)),
    ("create", |dir, _| File::create_new(dir.join("new")).map(drop)),
    ("ftruncate", |_, f| f.set_len(1)),
    ("truncate", |dir, _| super::common::calls::truncate(dir.join("g"), 1)),
    ("fallocate", |_, f| Ok(rustix::fs::fallocate(f, FallocateFlags::empty(), 0, 1 << 20)?)),
    ("chmod", |dir, _| fs::set_permissions(dir.join("g"), Permissions::from_mode(0o600))),
    ("fchmod", |_, f| f.set_permissions(Permissions::from_mode(0o600))),
    ("chown", |dir, _| std::os::unix::fs::chown(dir.join("g"), Some(1), None)),
    ("utimens", |dir, _| {
        let times = Timestamps { last_access: time(1), last_modification: time(2) };
        let path = dir.join("g");
        Ok(rustix::fs::utimensat(rustix::fs::CWD, &path, &times, AtFlags::empty())?)
    }),
    ("mkdir", |dir, _| fs::create_dir(dir.join("new"))),
    ("mknod", |dir, _| {
        let (at, mode) = (dir.join("new"), rustix::fs::Mode::RUSR);
        Ok(rustix::fs::mknodat(rustix::fs::CWD, &at, rustix::fs::FileType::Fifo, mode, 0)?)
    }),
    ("symlink", |dir, _| symlink("f", dir.join("new"))),
    ("link", |dir, _| fs::hard_link(dir.join("g"), dir.join("new"))),
    ("rename", |dir, _| fs::rename(dir.join("g"), dir.join("new"))),
    ("unlink", |dir, _| fs::remove_file(dir.join("g"))),
    ("rmdir", |dir, _| fs::remove_dir(dir.join("d"))),
    ("setxattr", |dir, _| {
        Ok(rustix::fs::setxattr(dir.join("g"), "user.a", b"1", XattrFlags::empty())?)
    }),
    ("copy_file_range", |dir, f| {
        let from = File::open(dir.join("g"))?;
        Ok(rustix::fs::copy_file_range(from, Some(&mut 0), f, Some(&mut 0), 100).map(drop)?)
    }),
];

/// What does not.
const LOOKS: [Operation; 8] = [
    ("read", |_, f| f.read_exact_at(&mut [0; 100], 0)),
    ("open to read", |dir, _| File::open(dir.join("g")).map(drop)),
    ("read of another", |dir, _| fs::read(dir.join("g")).map(drop)),
    ("stat", |dir, _| fs::metadata(dir.join("g")).map(drop)),
    ("fstat", |_, f| f.metadata().map(drop)),
    ("readdir", |dir, _| fs::read_dir(dir)?.try_for_each(|entry| entry.map(drop))),
    ("readlink", |dir, _| fs::read_link(dir.join("l")).map(drop)),
    ("statfs", |dir, _| Ok(rustix::fs::statfs(dir).map(drop)?)),
];

fn time(seconds: i64) -> rustix::fs::Timespec {
    rustix::fs::Timespec { tv_sec: seconds, tv_nsec: 0 }
}

/// A mount with what the operations need, all of it in the kernel's caches.
fn scene(fault: &str) -> (Mount, File) {
    let mount = Mount::new();
    fs::write(mount.raw().join("f"), [b'a'; 4096]).unwrap();
    fs::write(mount.raw().join("g"), [b'a'; 4096]).unwrap();
    fs::create_dir(mount.raw().join("d")).unwrap();
    symlink("f", mount.raw().join("l")).unwrap();
    let file = open(&mount, 0);
    for (what, look) in LOOKS {
        look(&mount.mnt(), &file).unwrap_or_else(|e| panic!("{what}: {e}"));
    }
    if !fault.is_empty() {
        set(&mount, &fault.split(' ').collect::<Vec<_>>());
    }
    (mount, file)
}

#[test]
fn what_changes_fails_on_a_read_only_mount_and_what_looks_goes_on() {
    let (mount, file) = scene("read-only");
    for (what, change) in CHANGES {
        assert_eq!(errno_of(change(&mount.mnt(), &file)), EROFS, "{what}");
    }
    for (what, look) in LOOKS {
        look(&mount.mnt(), &file).unwrap_or_else(|e| panic!("{what}: {e}"));
    }
    assert_eq!(persisted(&mount), [b'a'; 4096]);
    // Each of them would have been done.
    mount.clear();
    for (what, change) in CHANGES.into_iter().filter(|(what, _)| *what != "unlink") {
        let done = change(&mount.mnt(), &file);
        done.unwrap_or_else(|e| panic!("{what} after clear: {e}"));
        let _ = (fs::remove_file(mount.mnt().join("new")), fs::remove_dir(mount.mnt().join("new")));
        fs::write(mount.mnt().join("g"), [b'a'; 4096]).unwrap();
    }
}

#[test]
fn everything_fails_on_a_mount_that_has_shut_down_whatever_the_caches_have() {
    let (mount, file) = scene("shutdown");
    for _ in 0..2 {
        for (what, operation) in CHANGES.into_iter().chain(LOOKS) {
            assert_eq!(errno_of(operation(&mount.mnt(), &file)), EIO, "{what}");
        }
    }
    assert_eq!(persisted(&mount), [b'a'; 4096]);
    mount.clear();
    for (what, look) in LOOKS {
        look(&mount.mnt(), &file).unwrap_or_else(|e| panic!("{what} after clear: {e}"));
    }
    file.write_all_at(b"b", 0).unwrap();
}

/// What was stored through a mapping and cannot be written back: msync(2) says so, and so does the fsync(2)
/// after it, and the pages keep it.
#[test]
fn what_is_stored_through_a_mapping_is_not_written_back() {
    for (fault, errno) in [("read-only", EROFS), ("shutdown", EIO)] {
        let (mount, file) = scene("");
        let mut mapped = Mapping::new(&file, 4096, libc::MAP_SHARED).unwrap();
        mapped[0] = b'b';
        // By no other process: one that closes what it inherits has the pages written back.
        mount.add(&fault_on(&[]).and(fault, ""));
        let told = errno_of(mapped.sync());
        assert!([errno, EIO].contains(&told), "{fault}: {told}");
        assert_eq!(errno_of(file.sync_all()), errno, "{fault}");
        assert_eq!((mapped[0], persisted(&mount)[0]), (b'b', b'a'), "{fault}");
        mount.clear();
        mapped[1] = b'c';
        mapped.sync().unwrap();
        assert_eq!(&persisted(&mount)[..2], b"bc", "{fault}: the page is stored again as a whole");
    }
}

#[test]
fn a_latch_may_be_for_what_is_below_a_directory() {
    for (fault, errno) in [("read-only", EROFS), ("shutdown", EIO)] {
        let (mount, file) = scene("");
        let inner = mount.mnt().join("d/inner");
        fs::write(&inner, "a").unwrap();
        let below = format!("{}/d", mount.raw().display());
        set(&mount, &[fault, "--below", &below]);
        assert_eq!(errno_of(fs::write(&inner, "b")), errno);
        assert_eq!(errno_of(fs::create_dir(mount.mnt().join("d/new"))), errno);
        assert_eq!(errno_of(fs::rename(&inner, mount.mnt().join("inner"))), errno, "out of it");
        assert_eq!(errno_of(fs::rename(mount.mnt().join("g"), &inner)), errno, "into it");
        file.write_all_at(b"b", 0).unwrap();
        fs::create_dir(mount.mnt().join("dd")).unwrap();
        if fault == "read-only" {
            let from = File::open(&inner).unwrap();
            let to = File::create(mount.mnt().join("copy")).unwrap();
            let copied = rustix::fs::copy_file_range(from, Some(&mut 0), to, Some(&mut 0), 1);
            assert_eq!(copied, Ok(1), "a copy out of it changes nothing there");
        }
    }
}

/// Three syncs go by, the fourth finds it read-only; before that nothing else fails, after that all does.
#[test]
fn a_latch_sets_in_at_the_operation_it_waits_for_and_stays() {
    let (mount, file) = scene("read-only --at fsync,fdatasync --after 3 --name latch");
    let mut client = mount.client();
    client.trace_start(&[], "", true).unwrap();
    for _ in 0..3 {
        file.write_all_at(b"b", 0).unwrap();
        file.sync_data().unwrap();
    }
    file.write_all_at(b"c", 0).unwrap();
    let listed = |mount: &Mount| mount.client().list_faults().unwrap().remove(0);
    assert_eq!((listed(&mount).matched, listed(&mount).fired), (3, 0));
    assert_eq!(listed(&mount).state, "off");
    assert_eq!(errno_of(file.sync_all()), EROFS);
    for _ in 0..2 {
        assert_eq!(errno_of(file.write_at(b"d", 0)), EROFS);
    }
    file.read_exact_at(&mut [0; 10], 0).unwrap();
    assert_eq!(persisted(&mount)[0], b'c');
    assert_eq!((listed(&mount).fired, listed(&mount).state.as_str()), (3, "on"));
    mount.wait_until_logged("a read-only, sets in at fsync");
    let events = super::all_of(&mut client);
    let hits: Vec<_> = events.iter().flat_map(|event| &event.hits).collect();
    assert_eq!(hits.len(), 3, "{events:?}");
    assert!(hits.iter().all(|hit| hit.kind == "read-only" && hit.action == "failed"), "{hits:?}");
    // Faults and their methods leave it.
    set(&mount, &["clear", "write"]);
    mount.add(&delaying(&["write"], Duration::from_millis(1)));
    assert_eq!(errno_of(file.write_at(b"d", 0)), EROFS);
    set(&mount, &["clear", "latch"]);
    file.write_all_at(b"d", 0).unwrap();
    file.sync_all().unwrap();
}

#[test]
fn what_had_arrived_before_a_latch_is_done_and_what_is_open_is_closed() {
    for fault in ["read-only", "shutdown"] {
        let (mount, file) = scene("");
        let delayed = mount.add(&delaying(&["write"], Duration::from_millis(400)));
        let descriptors = || fs::read_dir(format!("/proc/{}/fd", mount.pid())).unwrap().count();
        let before = descriptors();
        thread::scope(|scope| {
            let write = scope.spawn(|| file.write_all_at(b"b", 0));
            wait_for("a held write", || (mount.listed(delayed).held == 1).then_some(()));
            set(&mount, &[fault]);
            write.join().unwrap().unwrap();
        });
        assert_eq!(persisted(&mount)[0], b'b', "{fault}");
        drop(file);
        wait_for("its descriptor to be closed", || (descriptors() < before).then_some(()));
    }
}

#[test]
fn what_a_latch_does_not_take_is_refused_by_name() {
    let mount = Mount::new();
    let refused = |line: &str| {
        let output = slowfs().args(line.split(' ')).args(["--addr", &mount.addr]).output().unwrap();
        assert!(!output.status.success(), "{line}");
        text_of(&output)
    };
    for kind in ["read-only", "shutdown"] {
        for option in ["count 3", "nth 3", "starts 1s", "for 1s", "probability 50%"] {
            let told = refused(&format!("{kind} --{option}"));
            let name = option.split(' ').next().unwrap();
            assert!(told.contains(&format!("{kind} takes no --{name}: it stays")), "{told}");
        }
        let told = refused(&format!("{kind} --on-for 1s --off-for 1s"));
        assert!(told.contains(&format!("{kind} takes no --on-for: it stays")), "{told}");
        let told = refused(&format!("{kind} --and hang"));
        assert!(told.contains("is a latch, which stands alone"), "{told}");
        let told = refused(&format!("{kind} --at wirte"));
        assert!(told.contains("did you mean write?"), "{told}");
        let told = refused(&format!("{kind} --at fsync -m write"));
        assert!(told.contains("fsync is not among those"), "{told}");
        let told = refused(&format!("{kind} -m release"));
        assert!(told.contains(&format!("{kind} makes no sense on release")), "{told}");
    }
    assert!(mount.client().list_faults().unwrap().is_empty());
}

//! Once a control call has returned, the very next system call is subject to it, whatever the
//! kernel has cached.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use slowfs::fault::FaultWords;
mod common;

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use common::{Mount, errno_of, failing, long_or};
use rustix::fs::{XattrFlags, getxattr, setxattr};

type Call = fn(&Tree) -> io::Result<()>;

/// What lies in one directory, and what of it was opened when it lay there first.
struct Tree {
    dir: PathBuf,
    opened: File,
}

const SIZE: usize = 100_000;

impl Tree {
    /// A directory of everything that the kernel caches.
    fn new(dir: PathBuf) -> Tree {
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("file"), vec![1; SIZE]).unwrap();
        symlink("file", dir.join("link")).unwrap();
        setxattr(dir.join("file"), c"user.test", b"value", XattrFlags::empty()).unwrap();
        let opened = File::open(dir.join("file")).unwrap();
        let tree = Tree { dir, opened };
        tree.warm();
        tree
    }

    /// Has the kernel cache what it can, by calls that must succeed.
    fn warm(&self) {
        for (method, call) in CALLS {
            call(self).unwrap_or_else(|e| panic!("{method} with nothing armed: {e}"));
        }
    }

    fn file(&self) -> PathBuf {
        self.dir.join("file")
    }
}

/// What each method is felt by.
const CALLS: [(&str, Call); 13] = [
    ("getattr", |t| fs::metadata(t.file()).map(drop)),
    ("getattr", |t| fs::symlink_metadata(t.dir.join("link")).map(drop)),
    ("getattr", |t| t.opened.metadata().map(drop)),
    ("getattr", |t| Ok(rustix::fs::access(t.file(), rustix::fs::Access::READ_OK)?)),
    ("open", |t| File::open(t.file()).map(drop)),
    ("opendir", |t| fs::read_dir(&t.dir).map(drop)),
    ("readdir", |t| fs::read_dir(&t.dir)?.try_for_each(|entry| entry.map(drop))),
    ("read", |t| fs::read(t.file()).map(|read| assert_eq!(read.len(), SIZE))),
    ("read", |t| t.opened.read_exact_at(&mut [0; 512], 4096)),
    ("read", |t| t.opened.read_exact_at(&mut [0; SIZE], 0)),
    ("readlink", |t| fs::read_link(t.dir.join("link")).map(drop)),
    ("getxattr", |t| Ok(getxattr(t.file(), c"user.test", &mut [0; 16]).map(drop)?)),
    ("listxattr", |t| Ok(rustix::fs::listxattr(t.file(), &mut [0; 64]).map(drop)?)),
];

#[test]
fn arming_and_clearing_act_on_the_very_next_call() {
    let mount = Mount::new();
    let tree = Tree::new(mount.mnt().join("dir"));
    for (n, (method, call)) in CALLS.into_iter().enumerate() {
        for _ in 0..20 {
            tree.warm();
            mount.add(&failing(&[method], "EIO"));
            let met = call(&tree);
            mount.clear();
            let free = call(&tree);
            assert_eq!(errno_of(met), libc::EIO, "call {n} ({method}), armed");
            free.unwrap_or_else(|e| panic!("call {n} ({method}), cleared: {e}"));
        }
    }
}

/// Each fault acts at once on what was cached before, between and after those set earlier, whether
/// those concerned it or not.
#[test]
fn each_of_several_faults_acts_at_once() {
    const FILES: usize = 3;
    let mount = Mount::new();
    let mut client = mount.client();
    let paths: Vec<_> = (0..FILES).map(|n| mount.mnt().join(format!("f{n}"))).collect();
    paths.iter().for_each(|p| fs::write(p, "x").unwrap());
    // First what was cached before there was any fault, then orders of all kinds.
    paths.iter().for_each(|p| assert!(fs::metadata(p).is_ok()));
    let mut ids = <[Option<String>; FILES]>::default();
    for step in 0..long_or(20_000, 2_000_usize) {
        let n = if step < FILES { step } else { step.wrapping_mul(0x9e37_79b9) >> 7 };
        let (file, cached) = (n % FILES, (n / FILES) % (1 << FILES));
        for (other, path) in paths.iter().enumerate().filter(|(other, _)| cached >> other & 1 == 1)
        {
            assert_eq!(fs::metadata(path).is_err(), ids[other].is_some(), "step {step}: f{other}");
        }
        ids[file] = match &ids[file] {
            Some(id) => {
                assert!(client.remove_fault(id).unwrap());
                None
            }
            None => {
                let pattern = format!(".*/f{file}");
                let fault = FaultWords { pattern, ..failing(&["getattr"], "EIO") };
                Some(client.put_fault(&fault, true).unwrap().id.to_string())
            }
        };
        let met = fs::metadata(&paths[file]);
        assert_eq!(met.is_err(), ids[file].is_some(), "step {step}: f{file}");
    }
}

/// Paths follow renames, of what lies there and of any directory above it.
#[test]
fn what_is_renamed_into_a_pattern_meets_it_at_once() {
    let mount = Mount::new();
    let above = mount.mnt().join("above");
    fs::create_dir(&above).unwrap();
    let mut tree = Tree::new(above.join("dir"));
    let pattern = ".*/wal/.*".to_owned();
    for (n, (method, call)) in CALLS.into_iter().enumerate() {
        if method == "opendir" || method == "readdir" {
            continue;
        }
        mount.add(&FaultWords { pattern: pattern.clone(), ..failing(&[method], "EIO") });
        for _ in 0..5 {
            // The directory itself, then one above it.
            for (from, to, inside) in [
                (above.join("dir"), above.join("wal"), above.join("wal")),
                (above.clone(), mount.mnt().join("wal"), mount.mnt().join("wal/dir")),
            ] {
                tree.warm();
                fs::rename(&from, &to).unwrap();
                tree.dir = inside;
                assert_eq!(errno_of(call(&tree)), libc::EIO, "call {n} ({method}), renamed in");
                fs::rename(&to, &from).unwrap();
                tree.dir = above.join("dir");
                call(&tree)
                    .unwrap_or_else(|e| panic!("call {n} ({method}), renamed out again: {e}"));
            }
        }
        mount.clear();
    }
}

#[test]
fn a_file_renamed_into_a_pattern_meets_it_at_once() {
    let mount = Mount::new();
    let tree = Tree::new(mount.mnt().join("dir"));
    for (n, (method, call)) in CALLS.into_iter().enumerate() {
        if method == "opendir" || method == "readdir" || method == "readlink" {
            continue;
        }
        let pattern = ".*/(file|link)".to_owned();
        let away = |name: &str| tree.dir.join(format!("{name}.tmp"));
        for name in ["file", "link"] {
            fs::rename(tree.dir.join(name), away(name)).unwrap();
        }
        // Cached under a name that does not match.
        fs::read(away("file")).unwrap();
        tree.opened.metadata().unwrap();
        // rename(2) itself looks up the new name.
        let after = if method == "getattr" { 2 } else { 0 };
        mount.add(&FaultWords {
            pattern,
            ..failing(&[method], "EIO").with("after", &after.to_string())
        });
        for name in ["file", "link"] {
            fs::rename(away(name), tree.dir.join(name)).unwrap();
        }
        let met = call(&tree);
        mount.clear();
        assert_eq!(errno_of(met), libc::EIO, "call {n} ({method}), renamed in");
        tree.warm();
    }
}

/// Where 99.99% of the counts of `n` fair tosses lie.
fn half_of(n: usize) -> std::ops::RangeInclusive<usize> {
    let off = 3.8906 * (n as f64).sqrt() / 2.0;
    (n as f64 / 2.0 - off) as usize..=(n as f64 / 2.0 + off) as usize
}

/// How many of `n` preads fail that `readers` share out among them.
fn failed_reads(file: &File, n: usize, readers: usize) -> usize {
    let share = |reader: usize| {
        let read = |i: usize| file.read_at(&mut [0; 512], (i as u64 * 512) % (1 << 16));
        (0..n / readers).filter(|i| read(reader + i).is_err()).count()
    };
    thread::scope(|scope| {
        let readers: Vec<_> = (0..readers).map(|r| scope.spawn(move || share(r))).collect();
        readers.into_iter().map(|r| r.join().unwrap()).sum()
    })
}

#[test]
fn no_read_of_a_cached_file_escapes_and_half_is_half() {
    let reads = long_or(100_000, 4_000);
    for readers in [1, 4] {
        let mount = Mount::with(&["--seed", "7"]);
        let path = mount.mnt().join("file");
        fs::write(&path, vec![1; 1 << 16]).unwrap();
        let before = File::open(&path).unwrap();
        before.read_exact_at(&mut vec![0; 1 << 16], 0).unwrap();
        assert_eq!(failed_reads(&before, reads, readers), 0);

        mount.add(&failing(&["read"], "EIO"));
        let after = File::open(&path).unwrap();
        for (file, when) in [(&before, "before"), (&after, "after")] {
            let escaped = reads - failed_reads(file, reads, readers);
            println!("{readers} readers, opened {when} arming: {escaped} of {reads} escaped");
            assert_eq!(escaped, 0, "{readers} readers, opened {when} arming");
        }
        mount.clear();
        for file in [&before, &after] {
            assert_eq!(failed_reads(file, reads, readers), 0, "cleared");
        }

        let id = mount.add(&failing(&["read"], "EIO").with("probability", "0.5"));
        for (file, when) in [(&before, "before"), (&after, "after")] {
            let failed = failed_reads(file, reads, readers);
            println!("{readers} readers, opened {when} arming 50%: {failed} of {reads} failed");
            assert!(half_of(reads).contains(&failed), "{failed} of {reads} failed ({when})");
        }
        assert_eq!(mount.listed(id).matched, 2 * reads as i64, "each read rolls once");
    }
}

/// stat(2) of a path asks for the attributes of each directory on it, then for the entry, then for
/// the attributes: one call, one roll.
#[test]
fn one_stat_rolls_the_dice_once() {
    let stats = long_or(20_000, 2_000);
    for pattern in [".*/file", ""] {
        for place in ["file", "a/b/file"] {
            let mount = Mount::with(&["--seed", "11"]);
            let path = mount.mnt().join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "x").unwrap();
            let pattern = pattern.to_owned();
            let fault =
                FaultWords { pattern, ..failing(&["getattr"], "EIO").with("probability", "0.5") };
            let id = mount.add(&fault);
            let failed = (0..stats).filter(|_| fs::metadata(&path).is_err()).count();
            let what = format!("{place}, pattern {:?}", fault.pattern);
            println!("{what}: {failed} of {stats} stats failed");
            assert!(half_of(stats).contains(&failed), "{what}: {failed} of {stats} failed");
            assert_eq!(mount.listed(id).matched, stats as i64, "{what}: rolls");
        }
    }
}

/// Whoever was on its way into the kernel's caches when a fault was armed is caught too.
#[test]
fn what_is_being_cached_while_a_fault_is_armed_does_not_escape() {
    const FILES: usize = 200;
    type Touch = fn(&Path);
    let kinds: [(&str, Touch); 4] = [
        ("stat", |p| drop(fs::metadata(p))),
        ("chmod", |p| drop(fs::set_permissions(p, Permissions::from_mode(0o600)))),
        ("create", |p| drop(File::create(p))),
        ("utimens", |p| {
            let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
            let both = rustix::fs::Timestamps { last_access: now, last_modification: now };
            let _ = rustix::fs::utimensat(rustix::fs::CWD, p, &both, rustix::fs::AtFlags::empty());
        }),
    ];
    let mount = Mount::new();
    let mut client = mount.client();
    let fault = FaultWords { pattern: ".*/f[0-9-]+".into(), ..failing(&["getattr"], "EIO") };
    for (kind, touch) in kinds {
        let mut escaped = 0;
        for round in 0..long_or(100, 10) {
            let names: Vec<_> = (0..FILES).map(|n| format!("f{round}-{n}")).collect();
            if kind != "create" {
                names.iter().for_each(|n| fs::write(mount.raw().join(n), "x").unwrap());
            }
            let paths: Vec<_> = names.iter().map(|n| mount.mnt().join(n)).collect();
            let (next, armed) = (AtomicUsize::new(0), AtomicBool::new(false));
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        while !armed.load(Ordering::Relaxed) {
                            let n = next.fetch_add(1, Ordering::Relaxed);
                            let Some(path) = paths.get(n) else { return };
                            touch(path);
                        }
                    });
                }
                // Somewhere within the touching, elsewhere each round.
                while next.load(Ordering::Relaxed) < (round * 37) % (FILES / 2) {
                    std::hint::spin_loop();
                }
                client.put_fault(&fault, true).unwrap();
                armed.store(true, Ordering::Relaxed);
            });
            let touched = next.load(Ordering::Relaxed).min(FILES);
            escaped += paths[..touched].iter().filter(|p| fs::metadata(p).is_ok()).count();
            client.clear_all_faults().unwrap();
            paths.iter().for_each(|p| drop(fs::remove_file(p)));
        }
        println!("{kind}: {escaped} escaped");
        assert_eq!(escaped, 0, "{kind}: stats that a fault armed before did not meet");
    }
}

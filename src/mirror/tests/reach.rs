//! Reaching inodes: eviction, depth, devices, changes behind our back, races.

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, UnmountFlags};

use super::*;

#[test]
fn more_inodes_than_descriptors_work() {
    let disk = Disk::with_cache(16);
    let mut all = Vec::new();
    for d in 0..100 {
        disk.make_dir(&format!("d{d}"));
        for f in 0..3 {
            all.push((disk.make_file(&format!("d{d}/f{f}")), format!("/d{d}/f{f}")));
        }
    }
    for (ino, path) in &all {
        let mode = Changes { mode: Some(0o640), ..Changes::default() };
        assert_eq!(disk.mirror.setattr(&ROOT_USER, *ino, None, &mode).unwrap().shown, ino.0);
        assert_eq!(disk.path(*ino), *path);
    }
    let mut held = 0;
    disk.mirror.known(&mut |inode| held += usize::from(inode.state.lock().own().is_some()));
    assert!(held <= 17, "{held} descriptors are held");
}

#[test]
fn evicted_inode_is_found_after_renames_above_it() {
    let disk = Disk::new();
    disk.make_dir("a");
    disk.make_dir("a/b");
    let ino = disk.make_file("a/b/f");
    disk.mirror.rename(ROOT, os("a"), ROOT, os("x"), 0).unwrap();
    disk.mirror.rename(disk.walk("x"), os("b"), ROOT, os("y"), 0).unwrap();
    disk.evict();
    assert_eq!(disk.mirror.getattr(ino, None).unwrap().shown, ino.0);
    disk.evict();
    disk.mirror.release(disk.mirror.open(ino, libc::O_RDONLY).unwrap()).unwrap();
    assert_eq!(disk.path(ino), "/y/f");
}

#[test]
fn file_replaced_behind_our_back_is_another_inode() {
    let disk = Disk::new();
    let old = disk.make_file("a");
    disk.touch("b");
    fs::rename(disk.backing.join("b"), disk.backing.join("a")).unwrap();
    disk.evict();
    let new = disk.walk("a");
    assert_ne!(old, new);
    assert_eq!(code(disk.mirror.getattr(old, None)), libc::ESTALE);
    assert_eq!(code(disk.mirror.open(old, libc::O_RDONLY)), libc::ESTALE);
    assert_eq!(disk.mirror.getattr(new, None).unwrap().shown, new.0);
}

#[test]
fn moved_behind_our_back_is_found_by_its_next_lookup() {
    let disk = Disk::new();
    let dir = disk.make_dir("d");
    let ino = disk.make_file("d/a");
    let epoch = disk.epoch(ino);
    fs::rename(disk.backing.join("d"), disk.backing.join("e")).unwrap();
    disk.evict();
    assert_eq!(code(disk.mirror.getattr(ino, None)), libc::ESTALE);
    assert_eq!(disk.walk("e"), dir);
    assert_eq!(disk.mirror.getattr(ino, None).unwrap().shown, ino.0);
    assert_eq!(disk.path(ino), "/e/a");
    assert!(disk.epoch(ino) > epoch);
}

#[test]
fn link_removed_behind_our_back_leaves_the_other_names() {
    let disk = Disk::new();
    let ino = disk.make_file("a");
    disk.mirror.link(ino, ROOT, os("b")).unwrap();
    fs::remove_file(disk.backing.join("b")).unwrap();
    disk.evict();
    assert_eq!(disk.mirror.getattr(ino, None).unwrap().nlink, 1);
    assert_eq!(disk.path(ino), "/a");
}

#[test]
fn names_that_went_behind_our_back_go_with_the_next_lookup() {
    let disk = Disk::new();
    let (d, _e) = (disk.make_dir("d"), disk.make_dir("e"));
    let ino = disk.make_file("a");
    disk.mirror.link(ino, ROOT, os("b")).unwrap();
    disk.mirror.link(ino, d, os("c")).unwrap();
    let there = |name: &str| disk.backing.join(name);
    fs::rename(there("a"), there("e/a")).unwrap();
    fs::remove_file(there("b")).unwrap();
    disk.walk("e/a");
    assert_eq!(disk.paths(ino), ["/d/c", "/e/a"]);
    // Its name is another file's, its directory is gone.
    fs::remove_file(there("e/a")).unwrap();
    let other = disk.make_file("e/a");
    fs::rename(there("d/c"), there("f")).unwrap();
    fs::remove_dir(there("d")).unwrap();
    disk.evict();
    assert_eq!(disk.walk("f"), ino);
    assert_eq!((disk.paths(ino), disk.paths(other)), (vec!["/f".into()], vec!["/e/a".into()]));
}

#[test]
fn trees_may_be_deeper_than_path_max() {
    const DEPTH: usize = 300;
    let name = "a-name-of-twenty-odd";
    let disk = Disk::with_cache(16);
    let mut at = ROOT;
    for _ in 0..DEPTH {
        at = disk.mirror.mkdir(&ROOT_USER, at, os(name), 0o755).unwrap().ino;
    }
    let (entry, fh) = disk.mirror.create(&USER, at, os("f"), 0o644, libc::O_RDWR).unwrap();
    disk.mirror.release(fh).unwrap();
    disk.evict();
    assert_eq!(disk.mirror.getattr(entry.ino, None).unwrap().shown, entry.ino.0);
    assert_eq!(disk.path(entry.ino).len(), DEPTH * (name.len() + 1) + 2);
    disk.mirror.unlink(at, os("f")).unwrap();
    disk.mirror.forget(entry.ino, 1);
    // Remove it from within, so that the temporary directory can go.
    let mut chain = Vec::new();
    let mut up = disk.mirror.inode(at).unwrap();
    while let Some((name, _)) = up.current() {
        chain.push(up.ino());
        up = disk.mirror.inode(name.parent).unwrap();
    }
    for pair in chain.windows(2) {
        disk.mirror.rmdir(pair[1], os(name)).unwrap();
        disk.mirror.forget(pair[0], 1);
    }
    assert_eq!(disk.mirror.table.len(), 2);
}

#[test]
fn forgetting_from_the_top_frees_a_deep_tree_from_the_bottom() {
    let disk = Disk::new();
    let mut chain = Vec::new();
    let mut at = ROOT;
    for _ in 0..1000 {
        at = disk.mirror.mkdir(&ROOT_USER, at, os("d"), 0o755).unwrap().ino;
        chain.push(at);
    }
    let last = chain.pop().unwrap();
    chain.iter().for_each(|ino| disk.mirror.forget(*ino, 1));
    assert_eq!(disk.mirror.table.len(), 1001);
    disk.mirror.forget(last, 1);
    assert_eq!(disk.mirror.table.len(), 1);
}

/// A tmpfs on a directory below the root, unmounted when it goes.
struct Mounted(PathBuf);

impl Mounted {
    fn at(path: PathBuf) -> Mounted {
        fs::create_dir(&path).unwrap();
        rustix::mount::mount("tmpfs", &path, "tmpfs", MountFlags::empty(), None)
            .expect("this test must be able to mount a tmpfs");
        Mounted(path)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn other_devices_below_the_root_have_numbers_of_their_own() {
    let disk = Disk::new();
    let mounts = ["m", "n"].map(|name| Mounted::at(disk.backing.join(name)));
    let (m, n) = (disk.walk("m"), disk.walk("n"));
    assert_eq!(
        mounts[0].0.metadata().unwrap().ino(),
        mounts[1].0.metadata().unwrap().ino(),
        "both roots have one number, on two devices"
    );
    assert_ne!(m, n);
    disk.touch("a");
    let (x, y) = (disk.make_file("m/x"), disk.make_file("n/y"));
    assert_ne!(x, y);
    disk.evict();
    assert_eq!(disk.mirror.getattr(x, None).unwrap().shown, x.0);
    assert_eq!(disk.path(x), "/m/x");
    assert_eq!(code(disk.mirror.rename(m, os("x"), n, os("x"), 0)), libc::EXDEV);
    assert_eq!(code(disk.mirror.link(x, ROOT, os("x"))), libc::EXDEV);
    assert_eq!(disk.path(x), "/m/x");
    let fh = disk.mirror.opendir(m).unwrap();
    let mut listed = None;
    disk.mirror
        .readdir(fh, 0, &mut |entry| {
            listed = if entry.name == "x" { Some(entry.shown) } else { listed };
            false
        })
        .unwrap();
    assert_eq!(listed, Some(x.0), "a listing shows the number that stat shows");
}

#[test]
fn directory_mounted_over_itself_is_seen_beneath() {
    let disk = Disk::new();
    disk.touch("a");
    let over = &disk.backing;
    rustix::mount::mount("tmpfs", over, "tmpfs", MountFlags::empty(), None)
        .expect("this test must be able to mount a tmpfs");
    let _unmount = Mounted(over.clone());
    assert!(!over.join("a").exists());
    let ino = disk.walk("a");
    disk.mirror.getattr(ino, None).unwrap();
    let up = disk.mirror.opendir(ROOT).unwrap();
    assert!(disk.mirror.handle(up).unwrap().as_fd().try_clone_to_owned().is_ok());
}

/// Runs `work` again and again while the others do, in as many threads as there are.
fn race(time: Duration, work: &[&(dyn Fn() + Sync)]) {
    let end = Instant::now() + time;
    let failed = AtomicBool::new(false);
    thread::scope(|scope| {
        for job in work {
            scope.spawn(|| {
                struct Tell<'a>(&'a AtomicBool);
                impl Drop for Tell<'_> {
                    fn drop(&mut self) {
                        self.0.fetch_or(thread::panicking(), Ordering::SeqCst);
                    }
                }
                let _tell = Tell(&failed);
                while Instant::now() < end && !failed.load(Ordering::SeqCst) {
                    job();
                }
            });
        }
    });
}

#[test]
fn inodes_answer_while_they_and_their_parents_are_renamed() {
    let disk = Disk::with_cache(16);
    let m = &disk.mirror;
    let d = disk.make_dir("d");
    let ino = disk.make_file("d/a");
    let there_and_back = |dir, a: &str, b: &str| {
        m.rename(dir, os(a), dir, os(b), 0).unwrap();
        m.rename(dir, os(b), dir, os(a), 0).unwrap();
    };
    let ask = || {
        assert_eq!(m.getattr(ino, None).unwrap().shown, ino.0);
        let fd = m.descriptor(&m.inode(ino).unwrap()).unwrap();
        assert_eq!(m.identity(&stat_of(&fd).unwrap()), m.inode(ino).unwrap().identity);
        m.release(m.open(ino, libc::O_RDONLY).unwrap()).unwrap();
    };
    race(
        Duration::from_secs(2),
        &[
            &|| there_and_back(d, "a", "b"),
            &|| there_and_back(ROOT, "d", "e"),
            &|| disk.evict(),
            &ask,
            &ask,
        ],
    );
    assert_eq!(disk.path(ino), "/d/a");
    assert_eq!(disk.lookups(ino), 1);
}

#[test]
fn no_lookup_brings_an_old_name_back() {
    let disk = Disk::with_cache(16);
    let m = &disk.mirror;
    let ino = disk.make_file("a");
    let look = |name: &str| {
        if let Ok(entry) = m.lookup(ROOT, os(name)) {
            assert_eq!(entry.ino, ino);
            m.forget(ino, 1);
        }
    };
    let rename = || {
        for (from, to) in [("a", "b"), ("b", "c"), ("c", "a")] {
            m.rename(ROOT, os(from), ROOT, os(to), 0).unwrap();
            assert_eq!(disk.path(ino), format!("/{to}"));
        }
    };
    race(Duration::from_secs(2), &[&rename, &|| look("a"), &|| look("b"), &|| look("c")]);
    assert_eq!(disk.lookups(ino), 1);
    assert_eq!(m.inode(ino).unwrap().state.lock().count(), 1);
}

#[test]
fn no_name_that_leads_to_it_is_lost() {
    let disk = Disk::with_cache(16);
    let m = &disk.mirror;
    let ino = disk.make_file("a");
    let look = |name: &str| {
        if let Ok(entry) = m.lookup(ROOT, os(name)) {
            assert_eq!(entry.ino, ino);
            m.forget(ino, 1);
        }
        assert!(disk.paths(ino).iter().any(|path| path == "/a"));
    };
    let link = |remove: &dyn Fn()| {
        m.link(ino, ROOT, os("b")).unwrap();
        assert!(disk.paths(ino).iter().any(|path| path == "/b"));
        m.forget(ino, 1);
        remove();
    };
    let unlinked = || {
        m.unlink(ROOT, os("b")).unwrap();
        assert!(disk.paths(ino).iter().all(|path| path != "/b"));
    };
    // More names than links again and again, so that each is asked for.
    let removed = || fs::remove_file(disk.backing.join("b")).unwrap();
    let behind_our_back = || {
        fs::hard_link(disk.backing.join("a"), disk.backing.join("c")).unwrap();
        look("c");
        fs::remove_file(disk.backing.join("c")).unwrap();
        look("a");
    };
    race(
        Duration::from_secs(2),
        &[
            &|| {
                link(&unlinked);
                link(&removed);
            },
            &behind_our_back,
            &|| look("a"),
            &|| look("b"),
            &|| disk.evict(),
        ],
    );
    look("a");
    assert_eq!(disk.paths(ino), ["/a"]);
    assert_eq!(disk.lookups(ino), 1);
}

#[test]
fn counts_are_exact_under_contention() {
    let disk = Disk::with_cache(16);
    let m = &disk.mirror;
    (0..20).for_each(|n| disk.touch(&format!("f{n}")));
    let look = || {
        for n in 0..20 {
            let ino = m.lookup(ROOT, os(&format!("f{n}"))).unwrap().ino;
            m.getattr(ino, None).unwrap();
            m.forget(ino, 1);
        }
    };
    let list = || {
        let fh = m.opendir(ROOT).unwrap();
        m.readdirplus(fh, 0, &mut |entry, looked_up| {
            let full = entry.name == "f7";
            if !full && !entry.name.as_bytes().starts_with(b".") {
                m.forget(looked_up.ino, 1);
            }
            full
        })
        .unwrap();
        m.release(fh).unwrap();
    };
    race(Duration::from_secs(2), &[&look, &look, &list]);
    assert_eq!(m.table.len(), 1);
    assert_eq!(m.inode(ROOT).unwrap().children.load(Ordering::SeqCst), 0);
}

#[test]
fn inode_answers_while_it_moves_between_directories_that_come_and_go() {
    let disk = Disk::with_cache(16);
    let m = &disk.mirror;
    let ino = disk.make_file("a");
    let travel = || {
        let d = m.mkdir(&ROOT_USER, ROOT, os("d"), 0o755).unwrap().ino;
        m.rename(ROOT, os("a"), d, os("b"), 0).unwrap();
        m.rename(d, os("b"), ROOT, os("a"), 0).unwrap();
        m.rmdir(ROOT, os("d")).unwrap();
        m.forget(d, 1);
    };
    let ask = || {
        assert_eq!(m.getattr(ino, None).unwrap().shown, ino.0);
        m.descriptor(&m.inode(ino).unwrap()).unwrap();
    };
    race(Duration::from_secs(2), &[&travel, &|| disk.evict(), &ask, &ask]);
    assert_eq!(m.table.len(), 2);
}

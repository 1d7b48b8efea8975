use std::ffi::OsStr;
use std::sync::atomic::AtomicU64;

use rustix::mount::UnmountFlags;

use super::*;
use crate::daemon::MountOptions;

/// A mount that nobody serves, and that is attached nowhere.
pub(in crate::daemon) fn made(mountpoint: &Mountpoint) -> (Mounted, OwnedFd) {
    let device = mount::open_device().unwrap();
    let root = mount::create(&device, OsStr::new("none"), &MountOptions::default()).unwrap();
    let identity = Identity::of(&root).unwrap();
    let table = MountTable::open().unwrap();
    (Mounted::new(&mountpoint.path, identity, device.as_fd(), table).unwrap(), root)
}

#[test]
fn what_was_made_first_may_lie_on_top() {
    let dir = tempfile::tempdir().unwrap();
    let mountpoint = Mountpoint::open(dir.path()).unwrap();
    let (first, upper) = made(&mountpoint);
    let (second, lower) = made(&mountpoint);
    mount::attach(&lower, &mountpoint.dir).unwrap();
    mount::attach(&upper, &mountpoint.dir).unwrap();
    drop((lower, upper));
    second.detach().unwrap();
    assert!(!second.is_left());
    assert!(first.is_at(dir.path()));
    first.detach().unwrap();
    assert!(!first.is_left());
}

/// One that is gone, and another that has got its number.
fn taken_over(mountpoint: &Mountpoint) -> (Mounted, Mounted, OwnedFd) {
    let taken_over = (0..50).find_map(|_| {
        let (first, root) = made(mountpoint);
        // Attached nowhere it ends with its last descriptor.
        drop(root);
        let (second, root) = made(mountpoint);
        // Else another test has taken the number.
        (first.device() == second.device()).then_some((first, second, root))
    });
    taken_over.expect("the number is taken over once")
}

/// The number of the connection is that of the filesystem, which the next one gets.
#[test]
fn an_abort_spares_who_has_the_number_now() {
    let dir = tempfile::tempdir().unwrap();
    let mountpoint = Mountpoint::open(dir.path()).unwrap();
    let (first, second, _root) = taken_over(&mountpoint);
    assert!(!first.is_connected() && second.is_connected());
    first.abort().unwrap();
    assert!(second.is_connected());
    second.abort().unwrap();
    assert!(!second.is_connected());
}

/// Others mount and unmount there all the while.
#[test]
fn what_lies_on_it_may_go_while_it_is_detached() {
    let dir = tempfile::tempdir().unwrap();
    let mountpoint = Mountpoint::open(dir.path()).unwrap();
    let (over, covers) = (AtomicBool::new(false), AtomicU64::new(0));
    // A cover may have got the number of its filesystem.
    let is_left = |mounted: &Mounted| {
        let here = |line: &MountLine| line.mountpoint == mountpoint.path && is_ours(&line.kind);
        mounted.table.mounts().unwrap().iter().any(here)
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let flags = MountFlags::empty();
                // What it would lie on may go just then.
                let covered = rustix::mount::mount("cover", dir.path(), "tmpfs", flags, None);
                covers.fetch_add(u64::from(covered.is_ok()), Ordering::Relaxed);
                let _ = rustix::mount::unmount(dir.path(), UnmountFlags::DETACH);
            }
        });
        let results: Vec<_> = (0..500)
            .map(|_| {
                let (mounted, root) = made(&mountpoint);
                mount::attach(&root, &mountpoint.dir).unwrap();
                drop(root);
                mounted.detach().map(|()| is_left(&mounted))
            })
            .collect();
        over.store(true, Ordering::Relaxed);
        let failed: Vec<_> = results.iter().filter(|it| !matches!(it, Ok(false))).collect();
        assert!(failed.is_empty(), "{failed:?}");
    });
    while rustix::mount::unmount(dir.path(), UnmountFlags::DETACH).is_ok() {}
    assert!(covers.load(Ordering::Relaxed) > 0);
}

/// As before Linux 6.8.
fn without_ids(mounted: &mut Mounted) {
    mounted.identity.id = None;
    *mounted.ids.lock() = Vec::new();
}

#[test]
fn a_dead_mount_that_has_the_number_now_is_spared() {
    let dir = tempfile::tempdir().unwrap();
    let mountpoint = Mountpoint::open(dir.path()).unwrap();
    let (first, second, root) = taken_over(&mountpoint);
    assert!(first.identity.id.is_some(), "this test needs Linux 6.8, which has unique ids");
    mount::attach(&root, &mountpoint.dir).unwrap();
    drop(root);
    second.abort().unwrap();
    assert!(!first.is_left());
    first.detach().unwrap();
    assert!(second.is_left(), "it was taken for another's");
    second.detach().unwrap();
    assert!(!second.is_left());
}

#[test]
fn without_unique_ids_what_is_dead_goes_and_what_lives_is_spared() {
    let dir = tempfile::tempdir().unwrap();
    let mountpoint = Mountpoint::open(dir.path()).unwrap();
    let (mut first, second, root) = taken_over(&mountpoint);
    without_ids(&mut first);
    mount::attach(&root, &mountpoint.dir).unwrap();
    drop(root);
    // It is not served, and so does not answer, as one that is held.
    assert!(!first.is_left());
    first.detach().unwrap();
    assert!(second.is_left(), "a living one was taken");
    let mut second = second;
    without_ids(&mut second);
    second.abort().unwrap();
    assert!(second.is_left());
    second.detach().unwrap();
    assert!(!second.is_left());
}

/// Its first place is gone when its connection ends; the others are its own.
#[test]
fn what_is_bound_elsewhere_is_known_when_it_is_dead() {
    let dir = tempfile::tempdir().unwrap();
    let [first, bound] = ["first", "bound"].map(|name| dir.path().join(name));
    [&first, &bound].into_iter().for_each(|place| std::fs::create_dir(place).unwrap());
    let mountpoint = Mountpoint::open(&first).unwrap();
    let (mounted, root) = made(&mountpoint);
    mount::attach(&root, &mountpoint.dir).unwrap();
    drop(root);
    rustix::mount::mount_bind(&first, &bound).unwrap();
    assert!(mounted.is_visible().unwrap());
    rustix::mount::unmount(&first, UnmountFlags::DETACH).unwrap();
    mounted.abort().unwrap();
    assert!(mounted.is_left());
    mounted.detach().unwrap();
    assert!(!mounted.is_left());
}

//! `fsync-fail` and `lying-sync`: what a power cut takes back then, and who learns of it.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use slowfs::rpc::Cut;

use super::EIO;
use super::common::{Mount, errno_of, scratch, slowfs, stdout_of, text_of};

/// A mount that remembers, with a file `f` of two pages that is durable.
fn tracking() -> Mount {
    let scratch = scratch();
    let images = scratch.path().join("images");
    fs::create_dir(&images).unwrap();
    let images = images.to_str().unwrap().to_owned();
    let mount =
        Mount::over(scratch, &["--track-unsynced", "--unsynced-age", "1h", "--images", &images]);
    fs::write(mount.mnt().join("f"), [b'o'; 8192]).unwrap();
    mount.client().checkpoint().unwrap();
    mount
}

fn open(mount: &Mount, flags: i32) -> File {
    let path = mount.mnt().join("f");
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).unwrap()
}

fn set(mount: &Mount, typed: &[&str]) {
    stdout_of(slowfs().args(typed).args(["--addr", &mount.addr]));
}

/// The first byte of each page after a power cut that keeps only what is durable.
fn left(mount: &Mount) -> [char; 2] {
    let cut = Cut { name: "cut".to_owned(), ..Cut::default() };
    mount.client().power_cut(&cut).unwrap();
    let image = mount.scratch().join("images/cut");
    let data = fs::read(image.join("f")).unwrap();
    fs::remove_dir_all(&image).unwrap();
    fs::remove_file(image.with_extension("json")).unwrap();
    [0, 4096].map(|at: usize| char::from(data[at]))
}

#[test]
fn what_a_failed_sync_loses_the_next_does_not_store_until_it_is_written_again() {
    let mount = tracking();
    set(&mount, &["fsync-fail", "lost", "--count", "1"]);
    let file = open(&mount, 0);
    file.write_all_at(b"n", 0).unwrap();
    assert_eq!(errno_of(file.sync_data()), EIO);
    assert_eq!(fs::read(mount.mnt().join("f")).unwrap()[0], b'n');
    file.sync_data().unwrap();
    file.sync_all().unwrap();
    assert_eq!(left(&mount), ['o', 'o']);
    let shown = stdout_of(slowfs().args(["unsynced", "--addr", &mount.addr]));
    assert!(shown.contains("0+1 1 lost"), "{shown}");
    file.write_all_at(b"n", 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(left(&mount), ['n', 'o']);
    let shown = stdout_of(slowfs().args(["unsynced", "--addr", &mount.addr]));
    assert_eq!(shown, "everything is durable\n");
}

#[test]
fn each_descriptor_that_is_open_learns_once_that_a_sync_has_failed() {
    let mount = tracking();
    set(&mount, &["fsync-fail", "lost", "--count", "1"]);
    let (one, other) = (open(&mount, 0), open(&mount, 0));
    one.write_all_at(b"n", 0).unwrap();
    assert_eq!(errno_of(one.sync_all()), EIO);
    one.sync_all().unwrap();
    open(&mount, 0).sync_all().unwrap();
    assert_eq!(errno_of(other.sync_all()), EIO);
    other.sync_all().unwrap();
    let (mnt, fault) = (mount.mnt(), ["fsync-fail", "lost", "-m", "fsyncdir", "--count", "1"]);
    set(&mount, &fault);
    let (one, other) = (File::open(&mnt).unwrap(), File::open(&mnt).unwrap());
    assert_eq!([&one, &other].map(|dir| errno_of(dir.sync_all())), [EIO; 2]);
    for dir in [one, other] {
        dir.sync_all().unwrap();
    }
}

#[test]
fn where_pages_stay_dirty_a_sync_that_is_tried_again_stores_them() {
    let mount = tracking();
    set(&mount, &["fsync-fail", "dirty", "--count", "1"]);
    let (file, other) = (open(&mount, 0), open(&mount, 0));
    file.write_all_at(b"n", 0).unwrap();
    assert_eq!(errno_of(file.sync_data()), EIO);
    assert_eq!(left(&mount), ['o', 'o']);
    other.sync_data().unwrap();
    assert_eq!(left(&mount), ['n', 'o']);
}

#[test]
fn a_write_that_syncs_itself_loses_its_own_pages() {
    let mount = tracking();
    open(&mount, 0).write_all_at(b"n", 0).unwrap();
    set(&mount, &["fsync-fail", "lost", "--count", "2"]);
    for flags in [libc::O_DSYNC, libc::O_DSYNC | libc::O_DIRECT] {
        let page = Page([b'n'; 4096]);
        assert_eq!(errno_of(open(&mount, flags).write_at(&page.0, 4096)), EIO);
    }
    open(&mount, 0).sync_data().unwrap();
    assert_eq!(left(&mount), ['n', 'o']);
    open(&mount, libc::O_DSYNC).write_all_at(b"n", 4096).unwrap();
    assert_eq!(left(&mount), ['n', 'n']);
}

/// As O_DIRECT wants it.
#[repr(align(4096))]
struct Page([u8; 4096]);

#[test]
fn a_sync_that_lies_stores_nothing_and_the_next_honest_one_does() {
    let mount = tracking();
    set(&mount, &["lying-sync"]);
    let file = open(&mount, 0);
    file.write_all_at(b"n", 0).unwrap();
    file.sync_all().unwrap();
    open(&mount, libc::O_DSYNC).write_all_at(b"n", 4096).unwrap();
    File::open(mount.mnt()).unwrap().sync_all().unwrap();
    assert_eq!(left(&mount), ['o', 'o']);
    set(&mount, &["clear"]);
    file.sync_data().unwrap();
    assert_eq!(left(&mount), ['n', 'n']);
    set(&mount, &["lying-sync", "--forever", "--count", "1"]);
    file.write_all_at(b"m", 0).unwrap();
    file.sync_all().unwrap();
    file.sync_all().unwrap();
    assert_eq!(left(&mount), ['n', 'n']);
    file.write_all_at(b"m", 1).unwrap();
    file.sync_all().unwrap();
    assert_eq!(left(&mount), ['m', 'n']);
}

#[test]
fn a_mount_that_does_not_remember_takes_what_needs_no_memory() {
    let mount = Mount::new();
    let refused = |typed: &[&str]| {
        let output = slowfs().args(typed).args(["--addr", &mount.addr]).output().unwrap();
        assert!(!output.status.success());
        text_of(&output)
    };
    for typed in [&["fsync-fail", "lost"][..], &["fsync-fail", "dirty"]] {
        assert!(refused(typed).contains("fsync-fail needs a mount with --track-unsynced"));
    }
    let told = refused(&["lying-sync", "--forever"]);
    assert!(told.contains("lying-sync --forever needs a mount with --track-unsynced"), "{told}");
    set(&mount, &["lying-sync"]);
    let file = File::create(mount.mnt().join("f")).unwrap();
    file.sync_all().unwrap();
    assert_eq!(mount.client().list_faults().unwrap()[0].fired, 1);
}

/// The kernel sends no further sync for a write whose sync has failed: the next one is the program's.
#[test]
fn the_sync_of_a_write_that_a_fault_answers_is_over() {
    for fault in [&["error", "EIO"][..], &["error", "EIO", "--when", "after"], &["lying-sync"]] {
        let mount = tracking();
        open(&mount, 0).write_all_at(b"n", 0).unwrap();
        set(&mount, &[fault, &["-m", "fdatasync", "--count", "1"]].concat());
        let file = open(&mount, libc::O_DSYNC);
        let _ = file.write_at(b"n", 4096);
        file.sync_data().unwrap();
        assert_eq!(left(&mount), ['n', 'n'], "{fault:?}");
    }
}

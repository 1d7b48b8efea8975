//! What others do in the backing directory shows in the mirror.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::time::UNIX_EPOCH;

use rustix::fs::{Mode, OFlags};

use super::common::{Mount, wait_for};
use super::{held, names, open_rw, soon};

#[test]
fn changes_of_content_in_the_backing_are_seen() {
    let mount = Mount::new();
    let (mnt, raw) = (mount.mnt(), mount.raw());
    fs::write(raw.join("f"), "first").unwrap();
    let open = open_rw(mnt.join("f"));
    let mut five = [0; 5];
    open.read_exact_at(&mut five, 0).unwrap();
    assert_eq!(&five, b"first");
    // Of the same length, so that only its times tell.
    wait_for("the clock that stamps files to tick", || {
        let before = fs::metadata(raw.join("f")).unwrap();
        fs::write(raw.join("f"), "other").unwrap();
        let after = fs::metadata(raw.join("f")).unwrap();
        (after.mtime_nsec() != before.mtime_nsec()).then_some(())
    });
    soon("the content through an open file", || {
        open.read_exact_at(&mut five, 0).unwrap();
        (&five == b"other").then_some(())
    });
    assert_eq!(fs::read(mnt.join("f")).unwrap(), b"other");
    fs::write(raw.join("f"), "much longer than before").unwrap();
    soon("the content through a new one", || {
        (fs::read(mnt.join("f")).unwrap() == b"much longer than before").then_some(())
    });
    assert_eq!(open.metadata().unwrap().size(), 23);
}

#[test]
fn content_changed_under_its_old_times_is_seen_by_the_next_open() {
    let mount = Mount::new();
    let (mnt, raw) = (mount.mnt(), mount.raw());
    let rewrite = |content: &str| {
        let mut how = File::options();
        let file = how.write(true).create(true).truncate(false).open(raw.join("f")).unwrap();
        file.write_all_at(content.as_bytes(), 0).unwrap();
        file.set_modified(UNIX_EPOCH).unwrap();
    };
    rewrite("first");
    assert_eq!(fs::read(mnt.join("f")).unwrap(), b"first");
    rewrite("other");
    soon("the content", || (fs::read(mnt.join("f")).unwrap() == b"other").then_some(()));
    // Also if what has changed was looked at in between.
    rewrite("third");
    let changed = fs::metadata(raw.join("f")).unwrap().ctime_nsec();
    soon("the change", || {
        (fs::metadata(mnt.join("f")).unwrap().ctime_nsec() == changed).then_some(())
    });
    assert_eq!(fs::read(mnt.join("f")).unwrap(), b"third");
}

#[test]
fn changes_of_names_and_attributes_in_the_backing_are_seen() {
    let mount = Mount::new();
    let (mnt, raw) = (mount.mnt(), mount.raw());
    // What was missing is there at once.
    assert!(!mnt.join("f").exists());
    fs::write(raw.join("f"), "x").unwrap();
    assert!(mnt.join("f").exists());
    fs::create_dir(raw.join("d")).unwrap();
    fs::write(raw.join("d/below"), "").unwrap();
    assert_eq!(names(mnt.join("d")), ["below"]);
    fs::write(raw.join("d/more"), "").unwrap();
    assert_eq!(names(mnt.join("d")), ["below", "more"]);

    fs::set_permissions(raw.join("f"), PermissionsExt::from_mode(0o640)).unwrap();
    soon("the mode", || {
        (fs::metadata(mnt.join("f")).unwrap().mode() & 0o777 == 0o640).then_some(())
    });
    fs::rename(raw.join("d"), raw.join("e")).unwrap();
    soon("the old name to go", || (!mnt.join("d").exists()).then_some(()));
    assert_eq!(names(mnt.join("e")), ["below", "more"]);
    fs::remove_file(raw.join("f")).unwrap();
    soon("the file to go", || (!mnt.join("f").exists()).then_some(()));
    fs::create_dir(raw.join("f")).unwrap();
    soon("the directory of that name", || mnt.join("f").is_dir().then_some(()));
}

#[test]
fn number_given_to_another_file_is_another_file() {
    let mount = Mount::new();
    let (mnt, raw) = (mount.mnt(), mount.raw());
    for round in 0..20 {
        let (old, new) = (format!("old{round}"), format!("new{round}"));
        fs::write(raw.join(&old), "the content of the old one").unwrap();
        assert_eq!(fs::read(mnt.join(&old)).unwrap(), b"the content of the old one");
        // Disk filesystems give the number to the next file at once.
        fs::remove_file(raw.join(&old)).unwrap();
        fs::write(raw.join(&new), "new").unwrap();
        assert_eq!(fs::read(mnt.join(&new)).unwrap(), b"new");
        assert_eq!(fs::metadata(mnt.join(&new)).unwrap().size(), 3);
        fs::remove_file(mnt.join(&new)).unwrap();
        fs::create_dir(raw.join(&new)).unwrap();
        soon("a directory", || mnt.join(&new).is_dir().then_some(()));
        fs::create_dir(mnt.join(&new).join("below")).unwrap();
    }
}

#[test]
fn file_removed_in_the_backing_stays_with_its_open_handle() {
    let mount = Mount::new();
    fs::write(mount.raw().join("f"), "content").unwrap();
    let file = open_rw(mount.mnt().join("f"));
    fs::remove_file(mount.raw().join("f")).unwrap();
    file.write_all_at(b"C", 0).unwrap();
    file.set_len(4).unwrap();
    let mut content = String::new();
    (&file).read_to_string(&mut content).unwrap();
    assert_eq!(content, "Cont");
    file.set_permissions(PermissionsExt::from_mode(0o600)).unwrap();
    file.sync_all().unwrap();
    soon("no link to be left", || (file.metadata().unwrap().nlink() == 0).then_some(()));
}

#[test]
fn symlink_put_in_a_directorys_place_leads_nowhere_outside() {
    let mount = Mount::new();
    let (mnt, raw) = (mount.mnt(), mount.raw());
    let outside = mount.scratch().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    for round in 0..10 {
        let (d, aside) = (format!("d{round}"), format!("aside{round}"));
        fs::create_dir(raw.join(&d)).unwrap();
        fs::write(raw.join(&d).join("secret"), "ours").unwrap();
        // The kernel knows the directory from now on, and for a while does not ask again.
        let known = held(&mnt.join(&d));
        fs::rename(raw.join(&d), raw.join(&aside)).unwrap();
        symlink(&outside, raw.join(&d)).unwrap();
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        let _ = rustix::fs::openat(&known, "made", flags, Mode::from_raw_mode(0o600));
        let read = rustix::fs::openat(&known, "secret", OFlags::RDONLY, Mode::empty());
        if let Ok(file) = read {
            let mut content = String::new();
            File::from(file).read_to_string(&mut content).unwrap();
            assert_eq!(content, "ours");
        }
        let _ = rustix::fs::unlinkat(&known, "secret", rustix::fs::AtFlags::empty());
        assert_eq!(names(&outside), ["secret"]);
    }
}

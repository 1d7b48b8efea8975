//! Lookup counts, names, paths.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use rustix::fs::RenameFlags;

use super::*;

const NOREPLACE: u32 = RenameFlags::NOREPLACE.bits();
const EXCHANGE: u32 = RenameFlags::EXCHANGE.bits();
const WHITEOUT: u32 = RenameFlags::WHITEOUT.bits();

#[test]
fn inode_is_known_until_every_lookup_is_forgotten() {
    let disk = Disk::new();
    let ino = disk.make_file("a");
    assert_eq!(disk.walk("a"), ino);
    assert_eq!(ino.0, disk.backing.join("a").metadata().unwrap().ino());
    disk.mirror.forget(ino, 1);
    disk.mirror.getattr(ino, None).unwrap();
    disk.mirror.forget(ino, 1);
    assert_eq!(code(disk.mirror.getattr(ino, None)), libc::ESTALE);
    assert_eq!(disk.mirror.table.len(), 1);
}

#[test]
fn directory_stays_while_a_known_inode_is_below() {
    let disk = Disk::new();
    let dir = disk.make_dir("d");
    let ino = disk.make_file("d/a");
    disk.mirror.forget(dir, 2);
    disk.evict();
    disk.mirror.getattr(ino, None).unwrap();
    assert_eq!(disk.path(ino), "/d/a");
    disk.mirror.forget(ino, 1);
    assert_eq!(disk.mirror.table.len(), 1, "nothing is left of either");
}

#[test]
fn children_are_counted_once_per_name() {
    let disk = Disk::new();
    let (d, e) = (disk.make_dir("d"), disk.make_dir("e"));
    let ino = disk.make_file("d/a");
    let m = &disk.mirror;
    m.link(ino, e, os("b")).unwrap();
    m.rename(d, os("a"), e, os("c"), 0).unwrap();
    m.unlink(e, os("b")).unwrap();
    m.unlink(e, os("c")).unwrap();
    for ino in [ino, d, e] {
        m.forget(ino, disk.lookups(ino));
    }
    assert_eq!(m.table.len(), 1);
}

#[test]
fn known_visits_what_the_kernel_knows() {
    let disk = Disk::new();
    let mut expected = vec![ROOT, disk.make_file("a"), disk.make_dir("d")];
    let mut seen = Vec::new();
    disk.mirror.known(&mut |inode| seen.push(inode.ino()));
    expected.sort_unstable();
    seen.sort_unstable();
    assert_eq!(seen, expected);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let disk = Disk::new();
    for name in ["", ".", "..", "a/b", "/", "a\0b"] {
        assert_eq!(code(disk.mirror.lookup(ROOT, os(name))), libc::EINVAL, "{name:?}");
        assert_eq!(code(disk.mirror.mkdir(&ROOT_USER, ROOT, os(name), 0o755)), libc::EINVAL);
        assert_eq!(code(disk.mirror.rename(ROOT, os("x"), ROOT, os(name), 0)), libc::EINVAL);
    }
    assert_eq!(code(disk.mirror.lookup(ROOT, os(&"x".repeat(256)))), libc::ENAMETOOLONG);
    assert_eq!(code(disk.mirror.lookup(ROOT, os("x"))), libc::ENOENT);
}

#[test]
fn names_need_not_be_utf8() {
    let disk = Disk::new();
    let name = OsStr::from_bytes(b"caf\xe9 \xff");
    let entry = disk.mirror.mkdir(&ROOT_USER, ROOT, name, 0o755).unwrap();
    let mut path = Vec::new();
    disk.mirror.path(&disk.mirror.inode(entry.ino).unwrap(), &mut path);
    assert!(path.ends_with(b"/caf\xe9 \xff"));
    disk.mirror.rmdir(ROOT, name).unwrap();
}

#[test]
fn symlinks_are_not_followed() {
    let disk = Disk::new();
    let entry = disk.mirror.symlink(&USER, ROOT, os("link"), os("/etc")).unwrap();
    assert_eq!(entry.attr.mode & libc::S_IFMT, libc::S_IFLNK);
    assert_eq!((entry.attr.uid, entry.attr.gid), (USER.uid, USER.gid));
    assert_eq!(disk.mirror.readlink(entry.ino).unwrap(), b"/etc");
    assert_eq!(code(disk.mirror.lookup(entry.ino, os("passwd"))), libc::ENOTDIR);
    assert_eq!(code(disk.mirror.open(entry.ino, libc::O_RDONLY)), libc::ELOOP);
}

#[test]
fn path_follows_renames_of_the_file_and_of_its_parents() {
    let disk = Disk::new();
    let d = disk.make_dir("wal.tmp");
    let ino = disk.make_file("wal.tmp/0.wal");
    let epoch = disk.epoch(ino);
    disk.mirror.rename(ROOT, os("wal.tmp"), ROOT, os("wal"), 0).unwrap();
    assert_eq!(disk.path(ino), "/wal/0.wal");
    assert!(disk.epoch(ino) > epoch);
    let epoch = disk.epoch(ino);
    disk.mirror.rename(d, os("0.wal"), ROOT, os("1.wal"), 0).unwrap();
    assert_eq!(disk.path(ino), "/1.wal");
    assert!(disk.epoch(ino) > epoch);
    let mut child = Vec::new();
    disk.mirror.child_path(&disk.mirror.inode(d).unwrap(), os("x"), &mut child);
    assert!(child.ends_with(b"/backing/wal/x"));
}

#[test]
fn epoch_stays_while_the_paths_do() {
    let disk = Disk::new();
    let (a, _b) = (disk.make_file("a"), disk.make_file("b"));
    disk.mirror.link(a, ROOT, os("l")).unwrap();
    let epoch = disk.epoch(a);
    disk.walk("a");
    disk.walk("l");
    disk.mirror.rename(ROOT, os("b"), ROOT, os("c"), 0).unwrap();
    disk.walk("a");
    disk.make_dir("d");
    assert_eq!(disk.epoch(a), epoch);
}

#[test]
fn rename_over_a_file_keeps_the_replaced_one_reachable() {
    let disk = Disk::new();
    let (a, b) = (disk.make_file("a"), disk.make_file("b"));
    disk.mirror.rename(ROOT, os("a"), ROOT, os("b"), 0).unwrap();
    disk.evict();
    assert_eq!(disk.path(a), "/b");
    assert_eq!(disk.path(b), "/b");
    assert_eq!(disk.mirror.getattr(b, None).unwrap().nlink, 0);
    assert_eq!(disk.mirror.getattr(a, None).unwrap().nlink, 1);
    assert_eq!(disk.walk("b"), a);
}

#[test]
fn exchange_swaps_both_paths() {
    let disk = Disk::new();
    let (d, f) = (disk.make_dir("d"), disk.make_file("f"));
    let below = disk.make_file("d/x");
    disk.mirror.rename(ROOT, os("d"), ROOT, os("f"), EXCHANGE).unwrap();
    assert_eq!((disk.path(d), disk.path(f)), ("/f".into(), "/d".into()));
    assert_eq!(disk.path(below), "/f/x");
    disk.evict();
    assert_eq!(disk.mirror.getattr(f, None).unwrap().shown, f.0);
    assert_eq!(disk.mirror.getattr(below, None).unwrap().shown, below.0);
}

#[test]
fn exchange_within_two_directories_counts_children_right() {
    let disk = Disk::new();
    let (d, e) = (disk.make_dir("d"), disk.make_dir("e"));
    let (x, y) = (disk.make_file("d/x"), disk.make_file("e/y"));
    disk.mirror.rename(d, os("x"), e, os("y"), EXCHANGE).unwrap();
    assert_eq!((disk.path(x), disk.path(y)), ("/e/y".into(), "/d/x".into()));
    for ino in [x, y, d, e] {
        disk.mirror.forget(ino, disk.lookups(ino));
    }
    assert_eq!(disk.mirror.table.len(), 1);
}

#[test]
fn failed_rename_changes_no_path() {
    let disk = Disk::new();
    let (a, b) = (disk.make_file("a"), disk.make_file("b"));
    let renamed = disk.mirror.rename(ROOT, os("a"), ROOT, os("b"), NOREPLACE);
    assert_eq!(code(renamed), libc::EEXIST);
    assert_eq!((disk.path(a), disk.path(b)), ("/a".into(), "/b".into()));
    assert_eq!(code(disk.mirror.rename(ROOT, os("x"), ROOT, os("y"), 0)), libc::ENOENT);
    let both = disk.mirror.rename(ROOT, os("a"), ROOT, os("b"), NOREPLACE | EXCHANGE);
    assert_eq!(code(both), libc::EINVAL);
}

#[test]
fn whiteout_takes_the_place_of_the_renamed() {
    let disk = Disk::new();
    let a = disk.make_file("a");
    disk.mirror.rename(ROOT, os("a"), ROOT, os("b"), WHITEOUT).unwrap();
    assert_eq!(disk.path(a), "/b");
    let whiteout = disk.mirror.lookup(ROOT, os("a")).unwrap().attr;
    assert_eq!((whiteout.mode & libc::S_IFMT, whiteout.rdev), (libc::S_IFCHR, 0));
    assert_ne!(whiteout.shown, a.0);
}

#[test]
fn renaming_one_link_onto_another_leaves_both() {
    let disk = Disk::new();
    let a = disk.make_file("a");
    disk.mirror.link(a, ROOT, os("b")).unwrap();
    disk.mirror.rename(ROOT, os("a"), ROOT, os("b"), 0).unwrap();
    assert_eq!((disk.walk("a"), disk.walk("b")), (a, a));
}

#[test]
fn hard_links_have_a_path_each_and_the_one_used_last_is_current() {
    let disk = Disk::new();
    let a = disk.make_file("a");
    assert_eq!(disk.paths(a), ["/a"]);
    let entry = disk.mirror.link(a, ROOT, os("b")).unwrap();
    assert_eq!((entry.ino, entry.attr.nlink), (a, 2));
    assert_eq!((disk.path(a), disk.paths(a)), ("/b".into(), vec!["/a".into(), "/b".into()]));
    disk.walk("a");
    assert_eq!((disk.path(a), disk.paths(a)), ("/a".into(), vec!["/a".into(), "/b".into()]));
    disk.mirror.unlink(ROOT, os("a")).unwrap();
    disk.evict();
    assert_eq!((disk.path(a), disk.paths(a)), ("/b".into(), vec!["/b".into()]));
    assert_eq!(disk.mirror.getattr(a, None).unwrap().nlink, 1);
    disk.mirror.unlink(ROOT, os("b")).unwrap();
    assert_eq!(disk.paths(a), ["/b"]);
    assert_eq!(disk.paths(ROOT), [""]);
}

#[test]
fn paths_of_hard_links_follow_renames_of_each_and_of_parents() {
    let disk = Disk::new();
    let (wal, _bak) = (disk.make_dir("wal"), disk.make_dir("bak"));
    let ino = disk.make_file("wal/1");
    let bak = disk.walk("bak");
    disk.mirror.link(ino, bak, os("1")).unwrap();
    disk.mirror.rename(ROOT, os("wal"), ROOT, os("log"), 0).unwrap();
    assert_eq!(disk.paths(ino), ["/bak/1", "/log/1"]);
    disk.mirror.rename(wal, os("1"), ROOT, os("2"), 0).unwrap();
    assert_eq!(disk.paths(ino), ["/2", "/bak/1"]);
    let over = disk.make_file("over");
    disk.mirror.rename(ROOT, os("over"), bak, os("1"), 0).unwrap();
    assert_eq!((disk.paths(ino), disk.paths(over)), (vec!["/2".into()], vec!["/bak/1".into()]));
}

#[test]
fn epoch_grows_with_every_change_of_the_set_of_names() {
    let disk = Disk::new();
    let m = &disk.mirror;
    let a = disk.make_file("a");
    let mut before = disk.epoch(a);
    let mut grown = |what: &str| {
        let now = disk.epoch(a);
        assert!(now > before, "{what}");
        before = now;
    };
    m.link(a, ROOT, os("b")).unwrap();
    grown("linked");
    fs::hard_link(disk.backing.join("a"), disk.backing.join("c")).unwrap();
    disk.walk("c");
    grown("met");
    disk.walk("b");
    // "c" and "a" are not current now.
    m.rename(ROOT, os("c"), ROOT, os("d"), 0).unwrap();
    grown("renamed");
    disk.walk("b");
    m.unlink(ROOT, os("a")).unwrap();
    grown("unlinked");
    disk.touch("e");
    m.rename(ROOT, os("e"), ROOT, os("d"), 0).unwrap();
    grown("replaced");
    assert_eq!(disk.paths(a), ["/b"]);
}

#[test]
fn symlinks_and_fifos_can_be_linked() {
    let disk = Disk::new();
    let link = disk.mirror.symlink(&ROOT_USER, ROOT, os("s"), os("nowhere")).unwrap();
    assert_eq!(disk.mirror.link(link.ino, ROOT, os("t")).unwrap().attr.nlink, 2);
    let fifo = disk.mirror.mknod(&USER, ROOT, os("p"), libc::S_IFIFO | 0o666, 0).unwrap();
    assert_eq!(fifo.attr.mode, libc::S_IFIFO | 0o644);
    assert_eq!(disk.mirror.link(fifo.ino, ROOT, os("q")).unwrap().attr.nlink, 2);
}

#[test]
fn unlinked_inode_keeps_its_last_path_and_answers() {
    let disk = Disk::new();
    let d = disk.make_dir("d");
    let ino = disk.make_file("d/a");
    let m = &disk.mirror;
    m.unlink(d, os("a")).unwrap();
    disk.evict();
    m.rename(ROOT, os("d"), ROOT, os("e"), 0).unwrap();
    assert_eq!(disk.path(ino), "/e/a");
    assert_eq!(m.getattr(ino, None).unwrap().nlink, 0);
    let changes = Changes { mode: Some(0o600), size: Some(5), ..Changes::default() };
    let attr = m.setattr(&ROOT_USER, ino, None, &changes).unwrap();
    assert_eq!((attr.mode & 0o777, attr.size), (0o600, 5));
    assert_eq!(code(m.link(ino, ROOT, os("x"))), libc::ENOENT);
    assert_eq!(code(m.lookup(d, os("a"))), libc::ENOENT);
}

#[test]
fn removed_directory_answers_until_forgotten() {
    let disk = Disk::new();
    let d = disk.make_dir("d");
    assert_eq!(code(disk.mirror.unlink(ROOT, os("d"))), libc::EISDIR);
    disk.mirror.rmdir(ROOT, os("d")).unwrap();
    disk.evict();
    assert_eq!(disk.mirror.getattr(d, None).unwrap().nlink, 0);
    assert_eq!(code(disk.mirror.mkdir(&ROOT_USER, d, os("x"), 0o755)), libc::ENOENT);
    disk.mirror.forget(d, 1);
    assert_eq!(disk.mirror.table.len(), 1);
}

#[test]
fn number_of_an_unlinked_inode_is_not_reused_before_it_is_forgotten() {
    let disk = Disk::new();
    let old = disk.make_file("a");
    disk.mirror.unlink(ROOT, os("a")).unwrap();
    for n in 0..50 {
        assert_ne!(disk.make_file(&format!("new{n}")), old);
    }
    disk.mirror.forget(old, 1);
    assert_eq!(code(disk.mirror.inode(old).map(drop)), libc::ESTALE);
}

#[test]
fn mknod_makes_every_kind() {
    let disk = Disk::new();
    let make = |name: &str, mode, rdev| {
        disk.mirror.mknod(&ROOT_USER, ROOT, os(name), mode | 0o640, rdev).unwrap().attr
    };
    assert_eq!(make("file", libc::S_IFREG, 0).mode, libc::S_IFREG | 0o640);
    assert_eq!(make("sock", libc::S_IFSOCK, 0).mode, libc::S_IFSOCK | 0o640);
    assert_eq!(make("null", libc::S_IFCHR, 0x103).rdev, 0x103);
    assert_eq!(make("disk", libc::S_IFBLK, 0x0010_0801).rdev, 0x0010_0801);
    let null = disk.backing.join("null").metadata().unwrap();
    assert!(null.file_type().is_char_device());
    assert_eq!(null.rdev(), rustix::fs::makedev(1, 3));
}

#[test]
fn new_files_belong_to_their_caller_under_its_umask() {
    let disk = Disk::new();
    let entry = disk.mirror.mkdir(&USER, ROOT, os("d"), 0o777).unwrap();
    let (ino, dir) = (entry.ino, entry.attr);
    assert_eq!((dir.uid, dir.gid, dir.mode & 0o777), (1234, 4321, 0o755));
    let strict = Caller { umask: 0o077, ..USER };
    let (entry, fh) = disk.mirror.create(&strict, ino, os("f"), 0o666, libc::O_RDWR).unwrap();
    assert_eq!((entry.attr.uid, entry.attr.mode & 0o777), (1234, 0o600));
    disk.mirror.release(fh).unwrap();
    let node = disk.mirror.mknod(&USER, ROOT, os("n"), libc::S_IFREG | 0o666, 0).unwrap().attr;
    assert_eq!((node.uid, node.gid, node.mode & 0o777), (1234, 4321, 0o644));
}

#[test]
fn setgid_directory_passes_its_group_on() {
    let disk = Disk::new();
    let d = disk.make_dir("d");
    std::os::unix::fs::chown(disk.backing.join("d"), Some(0), Some(77)).unwrap();
    fs::set_permissions(disk.backing.join("d"), PermissionsExt::from_mode(0o2777)).unwrap();
    let dir = disk.mirror.mkdir(&USER, d, os("x"), 0o755).unwrap().attr;
    assert_eq!((dir.uid, dir.gid, dir.mode & 0o7777), (1234, 77, 0o2755));
}

#[test]
fn default_acl_takes_the_place_of_the_umask() {
    let disk = Disk::new();
    let d = disk.make_dir("d");
    let entry = |tag: u16, perm: u16, id: u32| {
        [&tag.to_le_bytes()[..], &perm.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let none = u32::MAX;
    let acl = [
        2u32.to_le_bytes().to_vec(),
        entry(0x01, 7, none),
        entry(0x02, 7, 99),
        entry(0x04, 5, none),
        entry(0x10, 7, none),
        entry(0x20, 0, none),
    ]
    .concat();
    disk.mirror.setxattr(&ROOT_USER, d, os("system.posix_acl_default"), &acl, 0).unwrap();
    let strict = Caller { umask: 0o077, ..USER };
    let file = disk.mirror.mknod(&strict, d, os("f"), libc::S_IFREG | 0o666, 0).unwrap().attr;
    assert_eq!(file.mode & 0o777, 0o660, "the mask of the ACL shows as group permissions");
}

//! Renames in all their forms, and what is open while they happen.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{chmod, chown, create, errno, fstat, kind, names, open, open_rw, stat};

cases!(
    rename_replaces_a_file,
    rename_moves_an_open_file,
    rename_between_links_of_one_file_changes_nothing,
    rename_onto_itself_changes_nothing,
    rename_refuses_the_other_kind,
    rename_replaces_only_empty_directories,
    rename_refuses_to_move_a_directory_below_itself,
    rename_of_missing_names_fails,
    rename_moves_symlinks_themselves,
    rename_moves_between_directories,
    rename_of_a_directory_changes_its_parent,
    rename_keeps_identity_and_changes_ctime,
    open_files_below_a_renamed_directory_go_with_it,
    noreplace_refuses_a_taken_name,
    exchange_swaps_files,
    exchange_swaps_a_file_and_a_directory,
    exchange_across_directories_takes_open_files_along,
    exchange_needs_both_names,
    flags_that_contradict_each_other_are_refused,
    whiteout_leaves_a_whiteout,
    sticky_directories_protect_the_names_of_others,
    a_name_that_is_replaced_is_never_missing,
    concurrent_exchanges_lose_nothing,
);

fn rename_with(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    flags: RenameFlags,
) -> rustix::io::Result<()> {
    rustix::fs::renameat_with(CWD, from.as_ref(), CWD, to.as_ref(), flags)
}

fn content(mut file: File) -> String {
    let mut content = String::new();
    file.read_to_string(&mut content).unwrap();
    content
}

fn rename_replaces_a_file(dir: &Path) {
    fs::write(dir.join("a"), "new").unwrap();
    fs::write(dir.join("b"), "old").unwrap();
    let old = open_rw(dir.join("b"));
    let moved = stat(dir.join("a")).st_ino;
    fs::rename(dir.join("a"), dir.join("b")).unwrap();
    assert_eq!(names(dir), ["b"]);
    assert_eq!(stat(dir.join("b")).st_ino, moved);
    assert_eq!(fs::read(dir.join("b")).unwrap(), b"new");
    assert_eq!(errno(open(dir.join("a"), OFlags::RDONLY)), Errno::NOENT);
    assert_eq!(content(old), "old");
}

fn rename_moves_an_open_file(dir: &Path) {
    let mut file = create(dir.join("a"));
    file.write_all(b"before ").unwrap();
    fs::rename(dir.join("a"), dir.join("b")).unwrap();
    file.write_all(b"after").unwrap();
    assert_eq!(fs::read(dir.join("b")).unwrap(), b"before after");
    assert_eq!(fstat(&file).st_ino, stat(dir.join("b")).st_ino);
    file.set_len(3).unwrap();
    assert_eq!(stat(dir.join("b")).st_size, 3);
}

fn rename_between_links_of_one_file_changes_nothing(dir: &Path) {
    fs::write(dir.join("a"), "x").unwrap();
    fs::hard_link(dir.join("a"), dir.join("b")).unwrap();
    // rename(2): hard links to the same file, then it does nothing and succeeds.
    fs::rename(dir.join("a"), dir.join("b")).unwrap();
    assert_eq!(names(dir), ["a", "b"]);
    assert_eq!(stat(dir.join("a")).st_nlink, 2);
}

fn rename_onto_itself_changes_nothing(dir: &Path) {
    fs::write(dir.join("a"), "x").unwrap();
    fs::create_dir(dir.join("d")).unwrap();
    fs::rename(dir.join("a"), dir.join("a")).unwrap();
    fs::rename(dir.join("d"), dir.join("d")).unwrap();
    assert_eq!(names(dir), ["a", "d"]);
    assert_eq!(fs::read(dir.join("a")).unwrap(), b"x");
}

fn rename_refuses_the_other_kind(dir: &Path) {
    fs::write(dir.join("f"), "").unwrap();
    fs::create_dir(dir.join("d")).unwrap();
    assert_eq!(errno(fs::rename(dir.join("f"), dir.join("d"))), Errno::ISDIR);
    assert_eq!(errno(fs::rename(dir.join("d"), dir.join("f"))), Errno::NOTDIR);
    assert_eq!(names(dir), ["d", "f"]);
}

fn rename_replaces_only_empty_directories(dir: &Path) {
    for name in ["a/x", "full/x", "empty"] {
        fs::create_dir_all(dir.join(name)).unwrap();
    }
    assert_eq!(errno(fs::rename(dir.join("a"), dir.join("full"))), Errno::NOTEMPTY);
    fs::rename(dir.join("a"), dir.join("empty")).unwrap();
    assert_eq!(names(dir), ["empty", "full"]);
    assert_eq!(names(dir.join("empty")), ["x"]);
    assert_eq!(errno(fs::rename(dir.join("empty/x"), dir.join("empty"))), Errno::NOTEMPTY);
}

fn rename_refuses_to_move_a_directory_below_itself(dir: &Path) {
    fs::create_dir_all(dir.join("a/b")).unwrap();
    assert_eq!(errno(fs::rename(dir.join("a"), dir.join("a/b/c"))), Errno::INVAL);
    assert_eq!(errno(fs::rename(dir.join("a"), dir.join("a/b"))), Errno::INVAL);
    assert_eq!(names(dir.join("a")), ["b"]);
}

fn rename_of_missing_names_fails(dir: &Path) {
    fs::write(dir.join("f"), "").unwrap();
    assert_eq!(errno(fs::rename(dir.join("missing"), dir.join("f"))), Errno::NOENT);
    assert_eq!(errno(fs::rename(dir.join("f"), dir.join("missing/f"))), Errno::NOENT);
    assert_eq!(errno(fs::rename(dir.join("f"), dir.join("f/below"))), Errno::NOTDIR);
    assert_eq!(names(dir), ["f"]);
}

fn rename_moves_symlinks_themselves(dir: &Path) {
    fs::write(dir.join("target"), "").unwrap();
    symlink("target", dir.join("s")).unwrap();
    symlink("target", dir.join("t")).unwrap();
    fs::write(dir.join("f"), "f").unwrap();
    fs::rename(dir.join("s"), dir.join("s2")).unwrap();
    assert_eq!(fs::read_link(dir.join("s2")).unwrap(), Path::new("target"));
    fs::rename(dir.join("f"), dir.join("t")).unwrap();
    assert!(kind(&stat(dir.join("t"))).is_file());
    assert_eq!(names(dir), ["s2", "t", "target"]);
}

fn rename_moves_between_directories(dir: &Path) {
    fs::create_dir(dir.join("x")).unwrap();
    fs::create_dir(dir.join("y")).unwrap();
    let mut file = create(dir.join("x/f"));
    fs::rename(dir.join("x/f"), dir.join("y/g")).unwrap();
    assert_eq!(names(dir.join("x")), [""; 0]);
    assert_eq!(names(dir.join("y")), ["g"]);
    file.write_all(b"written").unwrap();
    assert_eq!(fs::read(dir.join("y/g")).unwrap(), b"written");
    fs::remove_dir(dir.join("x")).unwrap();
}

fn rename_of_a_directory_changes_its_parent(dir: &Path) {
    fs::create_dir_all(dir.join("x/sub")).unwrap();
    fs::create_dir(dir.join("y")).unwrap();
    let held = open(dir.join("x/sub"), OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
    assert_eq!((stat(dir.join("x")).st_nlink, stat(dir.join("y")).st_nlink), (3, 2));
    fs::rename(dir.join("x/sub"), dir.join("y/sub")).unwrap();
    assert_eq!((stat(dir.join("x")).st_nlink, stat(dir.join("y")).st_nlink), (2, 3));
    let up = rustix::fs::statat(&held, "..", rustix::fs::AtFlags::empty()).unwrap();
    assert_eq!(up.st_ino, stat(dir.join("y")).st_ino);
    assert_eq!(stat(dir.join("y/sub/..")).st_ino, stat(dir.join("y")).st_ino);
}

fn rename_keeps_identity_and_changes_ctime(dir: &Path) {
    fs::write(dir.join("a"), "x").unwrap();
    let before = stat(dir.join("a"));
    let time = |s: &rustix::fs::Stat| (s.st_ctime, s.st_ctime_nsec);
    // Until the clock that stamps files has moved on.
    super::common::wait_for("the rename to change ctime", || {
        fs::rename(dir.join("a"), dir.join("b")).unwrap();
        fs::rename(dir.join("b"), dir.join("a")).unwrap();
        let after = stat(dir.join("a"));
        assert_eq!((after.st_ino, after.st_mtime_nsec), (before.st_ino, before.st_mtime_nsec));
        (time(&after) > time(&before)).then_some(())
    });
}

fn open_files_below_a_renamed_directory_go_with_it(dir: &Path) {
    fs::create_dir_all(dir.join("member/wal.tmp")).unwrap();
    let mut log = create(dir.join("member/wal.tmp/0.wal"));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let wal = open(dir.join("member/wal.tmp"), flags).unwrap();
    log.write_all(b"before ").unwrap();
    fs::rename(dir.join("member/wal.tmp"), dir.join("member/wal")).unwrap();
    log.write_all(b"after").unwrap();
    log.sync_data().unwrap();
    wal.sync_all().unwrap();
    assert_eq!(fs::read(dir.join("member/wal/0.wal")).unwrap(), b"before after");
    let mode = Mode::from_raw_mode(0o600);
    let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    rustix::fs::openat(&wal, "1.wal", create, mode).unwrap();
    rustix::fs::renameat(&wal, "1.wal", &wal, "2.wal").unwrap();
    assert_eq!(names(dir.join("member/wal")), ["0.wal", "2.wal"]);
    fs::rename(dir.join("member"), dir.join("elsewhere")).unwrap();
    log.write_all(b" all").unwrap();
    rustix::fs::unlinkat(&wal, "2.wal", rustix::fs::AtFlags::empty()).unwrap();
    assert_eq!(names(dir.join("elsewhere/wal")), ["0.wal"]);
    assert_eq!(fs::read(dir.join("elsewhere/wal/0.wal")).unwrap(), b"before after all");
    // Another directory under the old name is another directory.
    fs::create_dir_all(dir.join("member/wal.tmp")).unwrap();
    assert_eq!(names(dir.join("member/wal.tmp")), [""; 0]);
}

fn noreplace_refuses_a_taken_name(dir: &Path) {
    fs::write(dir.join("a"), "a").unwrap();
    fs::write(dir.join("b"), "b").unwrap();
    symlink("nowhere", dir.join("s")).unwrap();
    let refused = rename_with(dir.join("a"), dir.join("b"), RenameFlags::NOREPLACE);
    assert_eq!(errno(refused), Errno::EXIST);
    let refused = rename_with(dir.join("a"), dir.join("s"), RenameFlags::NOREPLACE);
    assert_eq!(errno(refused), Errno::EXIST);
    assert_eq!(fs::read(dir.join("b")).unwrap(), b"b");
    rename_with(dir.join("a"), dir.join("c"), RenameFlags::NOREPLACE).unwrap();
    assert_eq!(fs::read(dir.join("c")).unwrap(), b"a");
    assert_eq!(names(dir), ["b", "c", "s"]);
}

fn exchange_swaps_files(dir: &Path) {
    fs::write(dir.join("a"), "was a").unwrap();
    fs::write(dir.join("b"), "was b").unwrap();
    let (a, b) = (open_rw(dir.join("a")), open_rw(dir.join("b")));
    rename_with(dir.join("a"), dir.join("b"), RenameFlags::EXCHANGE).unwrap();
    assert_eq!(fs::read(dir.join("a")).unwrap(), b"was b");
    assert_eq!(fs::read(dir.join("b")).unwrap(), b"was a");
    assert_eq!(fstat(&a).st_ino, stat(dir.join("b")).st_ino);
    assert_eq!(fstat(&b).st_ino, stat(dir.join("a")).st_ino);
    a.write_all_at(b"now", 0).unwrap();
    assert_eq!(fs::read(dir.join("b")).unwrap(), b"now a");
}

fn exchange_swaps_a_file_and_a_directory(dir: &Path) {
    fs::write(dir.join("x"), "file").unwrap();
    fs::create_dir_all(dir.join("y/below")).unwrap();
    rename_with(dir.join("x"), dir.join("y"), RenameFlags::EXCHANGE).unwrap();
    assert!(kind(&stat(dir.join("x"))).is_dir());
    assert_eq!(names(dir.join("x")), ["below"]);
    assert_eq!(fs::read(dir.join("y")).unwrap(), b"file");
}

fn exchange_across_directories_takes_open_files_along(dir: &Path) {
    fs::create_dir_all(dir.join("one/sub")).unwrap();
    fs::create_dir_all(dir.join("two/sub")).unwrap();
    let mut first = create(dir.join("one/sub/f"));
    let mut second = create(dir.join("two/sub/f"));
    rename_with(dir.join("one/sub"), dir.join("two/sub"), RenameFlags::EXCHANGE).unwrap();
    first.write_all(b"first").unwrap();
    second.write_all(b"second").unwrap();
    assert_eq!(fs::read(dir.join("two/sub/f")).unwrap(), b"first");
    assert_eq!(fs::read(dir.join("one/sub/f")).unwrap(), b"second");
    assert_eq!(stat(dir.join("one/sub/..")).st_ino, stat(dir.join("one")).st_ino);
}

fn exchange_needs_both_names(dir: &Path) {
    fs::write(dir.join("a"), "").unwrap();
    let exchange = |from, to| rename_with(dir.join(from), dir.join(to), RenameFlags::EXCHANGE);
    assert_eq!(errno(exchange("a", "missing")), Errno::NOENT);
    assert_eq!(errno(exchange("missing", "a")), Errno::NOENT);
    assert_eq!(names(dir), ["a"]);
}

fn flags_that_contradict_each_other_are_refused(dir: &Path) {
    fs::write(dir.join("a"), "").unwrap();
    fs::write(dir.join("b"), "").unwrap();
    let rename = |flags| rename_with(dir.join("a"), dir.join("b"), flags);
    let both = RenameFlags::NOREPLACE | RenameFlags::EXCHANGE;
    assert_eq!(errno(rename(both)), Errno::INVAL);
    assert_eq!(errno(rename(RenameFlags::WHITEOUT | RenameFlags::EXCHANGE)), Errno::INVAL);
    assert_eq!(errno(rename(RenameFlags::from_bits_retain(1 << 10))), Errno::INVAL);
    assert_eq!(names(dir), ["a", "b"]);
}

fn whiteout_leaves_a_whiteout(dir: &Path) {
    fs::write(dir.join("a"), "x").unwrap();
    rename_with(dir.join("a"), dir.join("b"), RenameFlags::WHITEOUT).unwrap();
    assert_eq!(fs::read(dir.join("b")).unwrap(), b"x");
    let whiteout = stat(dir.join("a"));
    assert!(kind(&whiteout).is_char_device());
    assert_eq!(whiteout.st_rdev, 0);
    fs::remove_file(dir.join("a")).unwrap();
}

fn sticky_directories_protect_the_names_of_others(dir: &Path) {
    fs::create_dir(dir.join("tmp")).unwrap();
    chmod(dir.join("tmp"), 0o1777).unwrap();
    fs::write(dir.join("tmp/root"), "").unwrap();
    fs::write(dir.join("tmp/own"), "").unwrap();
    chown(dir.join("tmp/own"), super::NOBODY, super::NOBODY).unwrap();
    super::as_user(super::NOBODY, super::NOBODY, &[], || {
        let refused = fs::rename(dir.join("tmp/root"), dir.join("tmp/x"));
        assert_eq!(errno(refused), Errno::PERM);
        let refused = fs::rename(dir.join("tmp/own"), dir.join("tmp/root"));
        assert_eq!(errno(refused), Errno::PERM);
        assert_eq!(errno(fs::remove_file(dir.join("tmp/root"))), Errno::PERM);
        fs::rename(dir.join("tmp/own"), dir.join("tmp/mine")).unwrap();
    });
    assert_eq!(names(dir.join("tmp")), ["mine", "root"]);
}

fn a_name_that_is_replaced_is_never_missing(dir: &Path) {
    fs::write(dir.join("current"), "0").unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut last = 0;
            while !done.load(Ordering::Relaxed) {
                let read = fs::read_to_string(dir.join("current")).unwrap();
                let version: u32 = read.parse().unwrap();
                assert!(version >= last, "{version} after {last}");
                last = version;
            }
        });
        for version in 1..=300 {
            fs::write(dir.join("next"), version.to_string()).unwrap();
            fs::rename(dir.join("next"), dir.join("current")).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    assert_eq!(fs::read(dir.join("current")).unwrap(), b"300");
}

fn concurrent_exchanges_lose_nothing(dir: &Path) {
    for name in ["a", "b", "c"] {
        fs::create_dir(dir.join(name)).unwrap();
        fs::write(dir.join(name).join("f"), name).unwrap();
    }
    std::thread::scope(|scope| {
        for (from, to) in [("a", "b"), ("b", "c"), ("c", "a")] {
            scope.spawn(move || {
                for _ in 0..50 {
                    rename_with(dir.join(from), dir.join(to), RenameFlags::EXCHANGE).unwrap();
                }
            });
        }
    });
    let mut found: Vec<_> =
        ["a", "b", "c"].map(|n| fs::read_to_string(dir.join(n).join("f")).unwrap()).to_vec();
    found.sort_unstable();
    assert_eq!(found, ["a", "b", "c"]);
}

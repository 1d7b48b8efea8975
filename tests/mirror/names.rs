//! Names: creating, opening, linking and removing them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Barrier;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags};
use rustix::io::Errno;

use super::{
    bytes, chmod, create, elsewhere, errno, fstat, kind, names, on_fuse, open, permissions, stat,
};

cases!(
    exclusive_create_refuses_an_existing_name,
    exclusive_create_refuses_a_dangling_symlink,
    exclusive_create_has_one_winner,
    create_opens_what_exists_and_leaves_it_alone,
    create_through_a_dangling_symlink_makes_its_target,
    created_without_write_permission_is_still_writable_by_its_creator,
    create_in_a_removed_directory_fails,
    open_says_what_is_wrong_with_the_path,
    nofollow_refuses_a_symlink,
    same_file_in_same_directory_under_names_that_differ_in_case,
    removed_name_can_be_created_anew,
    unlink_and_rmdir_refuse_the_other_kind,
    rmdir_refuses_what_is_not_empty,
    hard_links_are_one_file,
    hard_links_across_directories_outlive_the_first_name,
    link_refuses_directories_missing_and_taken_names,
    link_of_a_symlink_is_the_symlink,
    link_follows_a_symlink_when_told,
    link_through_proc_gives_an_open_file_another_name,
    names_of_255_bytes_work_and_longer_ones_are_refused,
    names_are_bytes,
    symlink_targets_are_bytes_of_any_length,
    symlink_is_as_long_as_its_target,
    symlink_loops_are_found,
    symlink_refuses_an_empty_target_and_a_taken_name,
    relative_symlinks_resolve_within_the_tree,
    deep_trees_work_by_path,
    trees_deeper_than_a_path_work_by_descriptor,
    unnamed_temporary_files,
    other_filesystems_are_another_device,
);

fn exclusive_create_refuses_an_existing_name(dir: &Path) {
    let exclusive = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    fs::write(dir.join("f"), "kept").unwrap();
    assert_eq!(errno(open(dir.join("f"), exclusive)), Errno::EXIST);
    assert_eq!(errno(open(dir.join("f"), exclusive | OFlags::TRUNC)), Errno::EXIST);
    assert_eq!(fs::read(dir.join("f")).unwrap(), b"kept");
    fs::create_dir(dir.join("d")).unwrap();
    assert_eq!(errno(open(dir.join("d"), exclusive)), Errno::EXIST);
    open(dir.join("new"), exclusive).unwrap();
}

fn exclusive_create_refuses_a_dangling_symlink(dir: &Path) {
    symlink("nowhere", dir.join("s")).unwrap();
    let exclusive = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    assert_eq!(errno(open(dir.join("s"), exclusive)), Errno::EXIST);
    assert_eq!(names(dir), ["s"]);
}

fn exclusive_create_has_one_winner(dir: &Path) {
    for round in 0..20 {
        let path = dir.join(format!("lock{round}"));
        let start = Barrier::new(4);
        let winners: usize = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        match open(&path, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL) {
                            Ok(_) => 1,
                            Err(error) => {
                                assert_eq!(error, Errno::EXIST);
                                0
                            }
                        }
                    })
                })
                .collect();
            racers.into_iter().map(|r| r.join().unwrap()).sum()
        });
        assert_eq!(winners, 1);
    }
}

fn create_opens_what_exists_and_leaves_it_alone(dir: &Path) {
    fs::write(dir.join("f"), "content").unwrap();
    chmod(dir.join("f"), 0o640).unwrap();
    let before = stat(dir.join("f"));
    let mut file = open(dir.join("f"), OFlags::RDWR | OFlags::CREATE).unwrap();
    let after = fstat(&file);
    assert_eq!((after.st_ino, permissions(&after)), (before.st_ino, 0o640));
    let mut content = String::new();
    file.read_to_string(&mut content).unwrap();
    assert_eq!(content, "content");
}

fn create_through_a_dangling_symlink_makes_its_target(dir: &Path) {
    fs::create_dir(dir.join("d")).unwrap();
    symlink("d/target", dir.join("s")).unwrap();
    fs::write(dir.join("s"), "x").unwrap();
    assert_eq!(fs::read(dir.join("d/target")).unwrap(), b"x");
    assert!(kind(&stat(dir.join("s"))).is_symlink());
}

fn created_without_write_permission_is_still_writable_by_its_creator(dir: &Path) {
    chmod(dir, 0o777).unwrap();
    super::as_user(super::NOBODY, super::NOBODY, &[], || {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let mode = Mode::from_raw_mode(0);
        let mut file = File::from(rustix::fs::open(dir.join("f"), flags, mode).unwrap());
        file.write_all(b"written").unwrap();
        assert_eq!(errno(open(dir.join("f"), OFlags::RDONLY)), Errno::ACCESS);
    });
    assert_eq!(fs::read(dir.join("f")).unwrap(), b"written");
}

fn create_in_a_removed_directory_fails(dir: &Path) {
    fs::create_dir(dir.join("d")).unwrap();
    let gone = open(dir.join("d"), OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
    fs::remove_dir(dir.join("d")).unwrap();
    let mode = Mode::from_raw_mode(0o755);
    let create = OFlags::WRONLY | OFlags::CREATE;
    assert_eq!(errno(rustix::fs::openat(&gone, "f", create, mode)), Errno::NOENT);
    assert_eq!(errno(rustix::fs::mkdirat(&gone, "d", mode)), Errno::NOENT);
    assert_eq!(errno(rustix::fs::symlinkat("t", &gone, "s")), Errno::NOENT);
}

fn open_says_what_is_wrong_with_the_path(dir: &Path) {
    fs::write(dir.join("f"), "").unwrap();
    fs::create_dir(dir.join("d")).unwrap();
    assert_eq!(errno(open(dir.join("missing"), OFlags::RDONLY)), Errno::NOENT);
    assert_eq!(errno(open(dir.join("missing/f"), OFlags::RDWR | OFlags::CREATE)), Errno::NOENT);
    assert_eq!(errno(open(dir.join("f/below"), OFlags::RDWR | OFlags::CREATE)), Errno::NOTDIR);
    assert_eq!(errno(open(dir.join("f"), OFlags::RDONLY | OFlags::DIRECTORY)), Errno::NOTDIR);
    assert_eq!(errno(open(dir.join("d"), OFlags::WRONLY)), Errno::ISDIR);
    assert_eq!(errno(open(dir.join("d"), OFlags::RDONLY | OFlags::CREATE)), Errno::ISDIR);
    // A name that was missing is found as soon as it is there.
    fs::write(dir.join("missing"), "").unwrap();
    open(dir.join("missing"), OFlags::RDONLY).unwrap();
}

fn nofollow_refuses_a_symlink(dir: &Path) {
    fs::write(dir.join("f"), "").unwrap();
    symlink("f", dir.join("s")).unwrap();
    assert_eq!(errno(open(dir.join("s"), OFlags::RDONLY | OFlags::NOFOLLOW)), Errno::LOOP);
    let link = open(dir.join("s"), OFlags::PATH | OFlags::NOFOLLOW).unwrap();
    assert!(kind(&fstat(&link)).is_symlink());
}

fn same_file_in_same_directory_under_names_that_differ_in_case(dir: &Path) {
    fs::write(dir.join("Name"), "upper").unwrap();
    fs::write(dir.join("name"), "lower").unwrap();
    assert_eq!(fs::read(dir.join("Name")).unwrap(), b"upper");
    assert_eq!(fs::read(dir.join("name")).unwrap(), b"lower");
    assert_ne!(stat(dir.join("Name")).st_ino, stat(dir.join("name")).st_ino);
}

fn removed_name_can_be_created_anew(dir: &Path) {
    let old = create(dir.join("f"));
    fs::remove_file(dir.join("f")).unwrap();
    assert_eq!(errno(open(dir.join("f"), OFlags::RDONLY)), Errno::NOENT);
    let new = create(dir.join("f"));
    assert_ne!(fstat(&old).st_ino, fstat(&new).st_ino);
    fs::remove_file(dir.join("f")).unwrap();
    fs::create_dir(dir.join("f")).unwrap();
    assert!(kind(&stat(dir.join("f"))).is_dir());
    fs::remove_dir(dir.join("f")).unwrap();
    symlink("elsewhere", dir.join("f")).unwrap();
    assert!(kind(&stat(dir.join("f"))).is_symlink());
}

fn unlink_and_rmdir_refuse_the_other_kind(dir: &Path) {
    fs::write(dir.join("f"), "").unwrap();
    fs::create_dir(dir.join("d")).unwrap();
    symlink("d", dir.join("s")).unwrap();
    assert_eq!(errno(rustix::fs::unlink(dir.join("d"))), Errno::ISDIR);
    assert_eq!(errno(rustix::fs::rmdir(dir.join("f"))), Errno::NOTDIR);
    assert_eq!(errno(rustix::fs::rmdir(dir.join("s"))), Errno::NOTDIR);
    assert_eq!(errno(rustix::fs::unlink(dir.join("missing"))), Errno::NOENT);
    assert_eq!(errno(rustix::fs::rmdir(dir.join("missing"))), Errno::NOENT);
    rustix::fs::unlink(dir.join("s")).unwrap();
    assert_eq!(names(dir), ["d", "f"]);
}

fn rmdir_refuses_what_is_not_empty(dir: &Path) {
    fs::create_dir_all(dir.join("d/below")).unwrap();
    assert_eq!(errno(rustix::fs::rmdir(dir.join("d"))), Errno::NOTEMPTY);
    assert_eq!(errno(rustix::fs::rmdir(dir.join("d/."))), Errno::INVAL);
    assert_eq!(errno(rustix::fs::rmdir(dir.join("d/below/.."))), Errno::NOTEMPTY);
    rustix::fs::rmdir(dir.join("d/below")).unwrap();
    rustix::fs::rmdir(dir.join("d")).unwrap();
    assert_eq!(names(dir), [""; 0]);
}

fn hard_links_are_one_file(dir: &Path) {
    fs::write(dir.join("a"), "one").unwrap();
    fs::hard_link(dir.join("a"), dir.join("b")).unwrap();
    let (a, b) = (stat(dir.join("a")), stat(dir.join("b")));
    assert_eq!((a.st_ino, a.st_nlink), (b.st_ino, 2));
    assert_eq!(b.st_nlink, 2);
    fs::write(dir.join("b"), "changed").unwrap();
    assert_eq!(fs::read(dir.join("a")).unwrap(), b"changed");
    chmod(dir.join("a"), 0o600).unwrap();
    assert_eq!(permissions(&stat(dir.join("b"))), 0o600);
    let handle = open(dir.join("a"), OFlags::RDONLY).unwrap();
    fs::remove_file(dir.join("a")).unwrap();
    assert_eq!(stat(dir.join("b")).st_nlink, 1);
    assert_eq!(fstat(&handle).st_nlink, 1);
    assert_eq!(stat(dir.join("b")).st_ino, a.st_ino);
}

fn hard_links_across_directories_outlive_the_first_name(dir: &Path) {
    fs::create_dir(dir.join("x")).unwrap();
    fs::create_dir(dir.join("y")).unwrap();
    fs::write(dir.join("x/f"), "content").unwrap();
    for n in 0..20 {
        fs::hard_link(dir.join("x/f"), dir.join(format!("y/f{n}"))).unwrap();
    }
    assert_eq!(stat(dir.join("x/f")).st_nlink, 21);
    fs::remove_file(dir.join("x/f")).unwrap();
    fs::remove_dir(dir.join("x")).unwrap();
    for n in 0..20 {
        assert_eq!(stat(dir.join(format!("y/f{n}"))).st_nlink, 20 - n);
        assert_eq!(fs::read(dir.join(format!("y/f{n}"))).unwrap(), b"content");
        fs::remove_file(dir.join(format!("y/f{n}"))).unwrap();
    }
}

fn link_refuses_directories_missing_and_taken_names(dir: &Path) {
    fs::create_dir(dir.join("d")).unwrap();
    fs::write(dir.join("f"), "f").unwrap();
    fs::write(dir.join("g"), "g").unwrap();
    let link = |from: &str, to: &str| rustix::fs::link(dir.join(from), dir.join(to));
    assert_eq!(errno(link("d", "new")), Errno::PERM);
    assert_eq!(errno(link("missing", "new")), Errno::NOENT);
    assert_eq!(errno(link("f", "g")), Errno::EXIST);
    assert_eq!(errno(link("f", "f")), Errno::EXIST);
    assert_eq!(errno(link("f", "g/below")), Errno::NOTDIR);
    assert_eq!(fs::read(dir.join("g")).unwrap(), b"g");
    assert_eq!(stat(dir.join("f")).st_nlink, 1);
}

fn link_of_a_symlink_is_the_symlink(dir: &Path) {
    symlink("target", dir.join("s")).unwrap();
    rustix::fs::linkat(CWD, dir.join("s"), CWD, dir.join("t"), AtFlags::empty()).unwrap();
    assert_eq!(stat(dir.join("s")).st_ino, stat(dir.join("t")).st_ino);
    assert_eq!(fs::read_link(dir.join("t")).unwrap(), Path::new("target"));
}

fn link_follows_a_symlink_when_told(dir: &Path) {
    fs::write(dir.join("f"), "").unwrap();
    symlink("f", dir.join("s")).unwrap();
    rustix::fs::linkat(CWD, dir.join("s"), CWD, dir.join("g"), AtFlags::SYMLINK_FOLLOW).unwrap();
    assert_eq!(stat(dir.join("g")).st_ino, stat(dir.join("f")).st_ino);
}

fn link_through_proc_gives_an_open_file_another_name(dir: &Path) {
    let file = create(dir.join("f"));
    let proc = super::through_proc(&file);
    rustix::fs::linkat(CWD, proc, CWD, dir.join("g"), AtFlags::SYMLINK_FOLLOW).unwrap();
    assert_eq!(stat(dir.join("g")).st_ino, fstat(&file).st_ino);
    assert_eq!(fstat(&file).st_nlink, 2);
}

fn names_of_255_bytes_work_and_longer_ones_are_refused(dir: &Path) {
    let (longest, longer) = ("n".repeat(255), "n".repeat(256));
    fs::write(dir.join(&longest), "x").unwrap();
    assert_eq!(names(dir), [longest.as_str()]);
    assert_eq!(fs::read(dir.join(&longest)).unwrap(), b"x");
    let too_long = dir.join(&longer);
    assert_eq!(errno(rustix::fs::lstat(&too_long)), Errno::NAMETOOLONG);
    assert_eq!(errno(open(&too_long, OFlags::RDONLY)), Errno::NAMETOOLONG);
    assert_eq!(errno(open(&too_long, OFlags::RDWR | OFlags::CREATE)), Errno::NAMETOOLONG);
    assert_eq!(errno(fs::create_dir(&too_long)), Errno::NAMETOOLONG);
    assert_eq!(errno(symlink("t", &too_long)), Errno::NAMETOOLONG);
    assert_eq!(errno(fs::hard_link(dir.join(&longest), &too_long)), Errno::NAMETOOLONG);
    assert_eq!(errno(fs::rename(dir.join(&longest), &too_long)), Errno::NAMETOOLONG);
    assert_eq!(errno(fs::remove_file(&too_long)), Errno::NAMETOOLONG);
    let umlauts = "ä".repeat(127);
    fs::rename(dir.join(&longest), dir.join(&umlauts)).unwrap();
    assert_eq!(names(dir), [umlauts]);
}

fn names_are_bytes(dir: &Path) {
    let every_byte = (1..=255u8).filter(|b| !matches!(b, b'/' | b'.'));
    let mut expected: Vec<OsString> = every_byte.map(|b| OsString::from_vec(vec![b])).collect();
    expected.push(OsString::from_vec(b"\xff\xfe broken \xc3\n".to_vec()));
    expected.push("...".into());
    expected.push(" ".repeat(3).into());
    for name in &expected {
        fs::write(dir.join(name), name.as_bytes()).unwrap();
    }
    let mut found: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name()).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    for name in &expected {
        assert_eq!(fs::read(dir.join(name)).unwrap(), name.as_bytes());
        fs::remove_file(dir.join(name)).unwrap();
    }
    assert_eq!(names(dir), [""; 0]);
}

fn symlink_targets_are_bytes_of_any_length(dir: &Path) {
    let longest = "t".repeat(4095);
    for (n, target) in [b"a".as_slice(), b"\xff\xfe/\x01", longest.as_bytes()].iter().enumerate() {
        let link = dir.join(format!("s{n}"));
        symlink(bytes(target), &link).unwrap();
        assert_eq!(fs::read_link(&link).unwrap().as_os_str().as_bytes(), *target);
    }
    assert_eq!(errno(symlink("t".repeat(4096), dir.join("long"))), Errno::NAMETOOLONG);
}

fn symlink_is_as_long_as_its_target(dir: &Path) {
    for length in [1, 59, 60, 61, 1000] {
        let link = dir.join(format!("s{length}"));
        symlink("x".repeat(length), &link).unwrap();
        assert_eq!(stat(&link).st_size, i64::try_from(length).unwrap());
        assert_eq!(permissions(&stat(&link)), 0o777);
    }
    fs::write(dir.join("f"), "").unwrap();
    assert_eq!(errno(fs::read_link(dir.join("f"))), Errno::INVAL);
}

fn symlink_loops_are_found(dir: &Path) {
    symlink("b", dir.join("a")).unwrap();
    symlink("a", dir.join("b")).unwrap();
    symlink("self/x", dir.join("self")).unwrap();
    assert_eq!(errno(open(dir.join("a"), OFlags::RDONLY)), Errno::LOOP);
    assert_eq!(errno(open(dir.join("self"), OFlags::RDONLY)), Errno::LOOP);
}

fn symlink_refuses_an_empty_target_and_a_taken_name(dir: &Path) {
    fs::write(dir.join("f"), "").unwrap();
    assert_eq!(errno(symlink("", dir.join("s"))), Errno::NOENT);
    assert_eq!(errno(symlink("t", dir.join("f"))), Errno::EXIST);
}

fn relative_symlinks_resolve_within_the_tree(dir: &Path) {
    fs::create_dir_all(dir.join("a/b")).unwrap();
    fs::write(dir.join("a/f"), "found").unwrap();
    symlink("../f", dir.join("a/b/s")).unwrap();
    symlink("a/b", dir.join("short")).unwrap();
    assert_eq!(fs::read(dir.join("short/s")).unwrap(), b"found");
    assert_eq!(fs::read(dir.join("short/../f")).unwrap(), b"found");
}

fn deep_trees_work_by_path(dir: &Path) {
    let mut path = PathBuf::from(dir);
    for _ in 0..150 {
        path.push("deeper");
    }
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("f"), "bottom").unwrap();
    assert_eq!(fs::read(path.join("f")).unwrap(), b"bottom");
    assert_eq!(stat(path.join("../deeper")).st_ino, stat(&path).st_ino);
    fs::remove_dir_all(dir.join("deeper")).unwrap();
    assert_eq!(names(dir), [""; 0]);
}

fn trees_deeper_than_a_path_work_by_descriptor(dir: &Path) {
    let (name, mode) = ("d".repeat(100), Mode::from_raw_mode(0o755));
    let mut here = open(dir, OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
    for _ in 0..80 {
        rustix::fs::mkdirat(&here, &name, mode).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        here = File::from(rustix::fs::openat(&here, &name, flags, mode).unwrap());
    }
    let flags = OFlags::RDWR | OFlags::CREATE;
    let mut file = File::from(rustix::fs::openat(&here, "f", flags, mode).unwrap());
    file.write_all(b"bottom").unwrap();
    let entries = Dir::read_from(here.as_fd()).unwrap();
    let found = entries.map(|e| e.unwrap().file_name().to_bytes().to_vec());
    assert!(found.into_iter().any(|name| name == b"f"));
    let up = rustix::fs::openat(&here, "../../..", OFlags::RDONLY, mode).unwrap();
    assert!(kind(&fstat(&up)).is_dir());
}

fn unnamed_temporary_files(dir: &Path) {
    let unnamed = open(dir, OFlags::RDWR | OFlags::TMPFILE);
    if on_fuse(dir) {
        // The request reaches no FUSE filesystem that does not implement it, as open(2) says.
        assert_eq!(errno(unnamed), Errno::OPNOTSUPP);
        return;
    }
    let file = unnamed.unwrap();
    let proc = super::through_proc(&file);
    rustix::fs::linkat(CWD, proc, CWD, dir.join("f"), AtFlags::SYMLINK_FOLLOW).unwrap();
    assert_eq!(stat(dir.join("f")).st_ino, fstat(&file).st_ino);
}

fn other_filesystems_are_another_device(dir: &Path) {
    fs::write(dir.join("f"), "").unwrap();
    let elsewhere = elsewhere(dir);
    let target = elsewhere.path().join("f");
    assert_eq!(errno(fs::rename(dir.join("f"), &target)), Errno::XDEV);
    assert_eq!(errno(fs::hard_link(dir.join("f"), &target)), Errno::XDEV);
}

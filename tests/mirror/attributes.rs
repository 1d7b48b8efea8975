//! Attributes: times, permissions, link counts, and what the filesystem says of itself.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, Stat, StatxFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT,
};
use rustix::io::Errno;

use super::common::wait_for;
use super::{
    as_user, chmod, chown, create, errno, fstat, kernel_writes_back, kind, on_fuse, open,
    permissions, plain_directory, stat,
};

cases!(
    times_are_kept_to_the_nanosecond,
    times_before_1970_keep_their_fraction,
    times_far_ahead_are_kept_as_the_backing_keeps_them,
    times_can_be_set_apart_or_left_alone,
    times_can_be_set_to_now,
    times_of_a_symlink_are_its_own,
    times_out_of_range_are_refused,
    times_are_for_the_owner_to_set,
    set_times_survive_reading_and_closing,
    changing_content_and_names_moves_the_right_times,
    chmod_sets_every_bit_by_path_and_by_handle,
    chmod_follows_symlinks_and_is_for_the_owner,
    chmod_takes_effect_on_the_next_open,
    chmod_of_a_read_only_open_file_keeps_the_handle_writable,
    every_way_to_stat_agrees,
    time_of_birth_is_told_where_it_can_be,
    access_answers_for_the_caller,
    directories_count_their_subdirectories,
    blocks_and_block_size_are_those_of_the_backing,
    statfs_is_that_of_the_backing,
    numbers_of_inodes_stay_and_differ,
);

fn at(seconds: i64, nanos: i64) -> Timespec {
    Timespec { tv_sec: seconds, tv_nsec: nanos }
}

fn times(last_access: Timespec, last_modification: Timespec) -> Timestamps {
    Timestamps { last_access, last_modification }
}

fn set(path: impl AsRef<Path>, times: &Timestamps, flags: AtFlags) -> rustix::io::Result<()> {
    rustix::fs::utimensat(CWD, path.as_ref(), times, flags)
}

fn atime(stat: &Stat) -> (i64, u64) {
    (stat.st_atime, stat.st_atime_nsec)
}

fn mtime(stat: &Stat) -> (i64, u64) {
    (stat.st_mtime, stat.st_mtime_nsec)
}

fn ctime(stat: &Stat) -> (i64, u64) {
    (stat.st_ctime, stat.st_ctime_nsec)
}

const OMIT: Timespec = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };

fn times_are_kept_to_the_nanosecond(dir: &Path) {
    let file = create(dir.join("f"));
    let by_path = times(at(1_234_567_890, 123_456_789), at(1_600_000_000, 1));
    set(dir.join("f"), &by_path, AtFlags::empty()).unwrap();
    assert_eq!(atime(&fstat(&file)), (1_234_567_890, 123_456_789));
    assert_eq!(mtime(&stat(dir.join("f"))), (1_600_000_000, 1));
    let by_handle = times(at(0, 0), at(1, 999_999_999));
    rustix::fs::futimens(&file, &by_handle).unwrap();
    assert_eq!(atime(&stat(dir.join("f"))), (0, 0));
    assert_eq!(mtime(&stat(dir.join("f"))), (1, 999_999_999));
    fs::create_dir(dir.join("d")).unwrap();
    set(dir.join("d"), &by_path, AtFlags::empty()).unwrap();
    assert_eq!(mtime(&stat(dir.join("d"))), (1_600_000_000, 1));
}

fn times_before_1970_keep_their_fraction(dir: &Path) {
    create(dir.join("f"));
    for (seconds, nanos) in [(-1, 0), (-1, 999_999_999), (-2, 800_000_000), (-1_000_000_000, 7)] {
        let then = times(at(seconds, nanos), at(seconds, nanos));
        set(dir.join("f"), &then, AtFlags::empty()).unwrap();
        let after = stat(dir.join("f"));
        let expected = (seconds, u64::try_from(nanos).unwrap());
        assert_eq!((atime(&after), mtime(&after)), (expected, expected));
    }
}

fn times_far_ahead_are_kept_as_the_backing_keeps_them(dir: &Path) {
    let plain = plain_directory();
    for seconds in [1 << 31, 1 << 32, 15_000_000_000, 20_000_000_000, -3_000_000_000] {
        let kept = |dir: &Path| {
            fs::write(dir.join("f"), "").unwrap();
            let then = times(at(seconds, 5), at(seconds, 5));
            set(dir.join("f"), &then, AtFlags::empty()).unwrap();
            mtime(&stat(dir.join("f")))
        };
        // The kernel that writes back keeps the time itself, as it was set.
        let expected = if kernel_writes_back() { (seconds, 5) } else { kept(plain.path()) };
        assert_eq!(kept(dir), expected, "{seconds}");
    }
}

fn times_can_be_set_apart_or_left_alone(dir: &Path) {
    create(dir.join("f"));
    set(dir.join("f"), &times(at(100, 1), at(200, 2)), AtFlags::empty()).unwrap();
    set(dir.join("f"), &times(at(300, 3), OMIT), AtFlags::empty()).unwrap();
    assert_eq!(atime(&stat(dir.join("f"))), (300, 3));
    assert_eq!(mtime(&stat(dir.join("f"))), (200, 2));
    set(dir.join("f"), &times(OMIT, at(400, 4)), AtFlags::empty()).unwrap();
    assert_eq!(atime(&stat(dir.join("f"))), (300, 3));
    assert_eq!(mtime(&stat(dir.join("f"))), (400, 4));
    let before = ctime(&stat(dir.join("f")));
    set(dir.join("f"), &times(OMIT, OMIT), AtFlags::empty()).unwrap();
    assert_eq!(ctime(&stat(dir.join("f"))), before);
}

fn times_can_be_set_to_now(dir: &Path) {
    let file = create(dir.join("f"));
    let now = || i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
    let before = now().unwrap() - 1;
    rustix::fs::futimens(&file, &times(at(1, 1), at(1, 1))).unwrap();
    rustix::fs::futimens(&file, &times(NOW, OMIT)).unwrap();
    let after = fstat(&file);
    assert!((before..=now().unwrap()).contains(&after.st_atime));
    assert_eq!(mtime(&after), (1, 1));
    set(dir.join("f"), &times(OMIT, NOW), AtFlags::empty()).unwrap();
    assert!((before..=now().unwrap()).contains(&fstat(&file).st_mtime));
}

fn times_of_a_symlink_are_its_own(dir: &Path) {
    create(dir.join("f"));
    symlink("f", dir.join("s")).unwrap();
    set(dir.join("f"), &times(at(1, 0), at(1, 0)), AtFlags::empty()).unwrap();
    set(dir.join("s"), &times(at(2, 0), at(2, 5)), AtFlags::SYMLINK_NOFOLLOW).unwrap();
    assert_eq!(mtime(&stat(dir.join("s"))), (2, 5));
    assert_eq!(mtime(&stat(dir.join("f"))), (1, 0));
    set(dir.join("s"), &times(at(3, 0), at(3, 0)), AtFlags::empty()).unwrap();
    assert_eq!(mtime(&stat(dir.join("f"))), (3, 0));
    symlink("nowhere", dir.join("dangling")).unwrap();
    set(dir.join("dangling"), &times(at(4, 0), at(4, 0)), AtFlags::SYMLINK_NOFOLLOW).unwrap();
    assert_eq!(mtime(&stat(dir.join("dangling"))), (4, 0));
}

fn times_out_of_range_are_refused(dir: &Path) {
    create(dir.join("f"));
    for nanos in [-1, 1_000_000_000] {
        let refused = set(dir.join("f"), &times(at(0, nanos), at(0, 0)), AtFlags::empty());
        assert_eq!(errno(refused), Errno::INVAL);
    }
}

fn times_are_for_the_owner_to_set(dir: &Path) {
    create(dir.join("f"));
    let set = |t: &Timestamps| set(dir.join("f"), t, AtFlags::empty());
    as_user(super::NOBODY, super::NOBODY, &[], || {
        assert_eq!(errno(set(&times(at(1, 0), at(1, 0)))), Errno::PERM);
        assert_eq!(errno(set(&times(NOW, NOW))), Errno::ACCESS);
    });
    chmod(dir.join("f"), 0o666).unwrap();
    as_user(super::NOBODY, super::NOBODY, &[], || {
        assert_eq!(errno(set(&times(at(1, 0), at(1, 0)))), Errno::PERM);
        // Whoever may write may set both to now, but not one.
        set(&times(NOW, NOW)).unwrap();
        assert_eq!(errno(set(&times(NOW, OMIT))), Errno::PERM);
    });
    chown(dir.join("f"), super::NOBODY, super::NOBODY).unwrap();
    chmod(dir.join("f"), 0o400).unwrap();
    as_user(super::NOBODY, super::NOBODY, &[], || set(&times(at(1, 0), at(2, 0))).unwrap());
    assert_eq!(mtime(&stat(dir.join("f"))), (2, 0));
}

fn set_times_survive_reading_and_closing(dir: &Path) {
    fs::write(dir.join("f"), "content").unwrap();
    let file = super::open_rw(dir.join("f"));
    rustix::io::pwrite(&file, b"C", 0).unwrap();
    rustix::fs::futimens(&file, &times(at(5, 6), at(7, 8))).unwrap();
    file.sync_all().unwrap();
    drop(file);
    assert_eq!(mtime(&stat(dir.join("f"))), (7, 8));
    assert_eq!(fs::read(dir.join("f")).unwrap(), b"Content");
    assert_eq!(mtime(&stat(dir.join("f"))), (7, 8));
}

/// Repeats `act` until `time` has moved on: the clock that stamps files ticks slowly.
fn moves(what: &str, time: impl Fn() -> (i64, u64), mut act: impl FnMut()) {
    let before = time();
    wait_for(what, || {
        act();
        let now = time();
        assert!(now >= before, "{what}: time went back");
        (now > before).then_some(())
    });
}

fn changing_content_and_names_moves_the_right_times(dir: &Path) {
    let f = dir.join("f");
    let file = create(&f);
    moves(
        "write moves mtime",
        || mtime(&stat(&f)),
        || {
            rustix::io::pwrite(&file, b"x", 0).unwrap();
        },
    );
    moves(
        "write moves ctime",
        || ctime(&fstat(&file)),
        || {
            rustix::io::pwrite(&file, b"x", 0).unwrap();
        },
    );
    moves("truncate moves mtime", || mtime(&stat(&f)), || file.set_len(10).unwrap());
    moves("chmod moves ctime", || ctime(&stat(&f)), || chmod(&f, 0o600).unwrap());
    moves("chown moves ctime", || ctime(&stat(&f)), || chown(&f, 1, 1).unwrap());
    moves(
        "link moves ctime",
        || ctime(&stat(&f)),
        || {
            fs::hard_link(&f, dir.join("g")).unwrap();
            fs::remove_file(dir.join("g")).unwrap();
        },
    );
    let before = mtime(&stat(&f));
    chmod(&f, 0o644).unwrap();
    assert_eq!(mtime(&stat(&f)), before);
    moves(
        "create moves the directory's mtime",
        || mtime(&stat(dir)),
        || {
            create(dir.join("n"));
            fs::remove_file(dir.join("n")).unwrap();
        },
    );
    fs::create_dir(dir.join("d")).unwrap();
    moves(
        "rename moves the new parent's mtime",
        || mtime(&stat(dir.join("d"))),
        || {
            fs::rename(&f, dir.join("d/f")).unwrap();
            fs::rename(dir.join("d/f"), &f).unwrap();
        },
    );
}

fn chmod_sets_every_bit_by_path_and_by_handle(dir: &Path) {
    let file = create(dir.join("f"));
    fs::create_dir(dir.join("d")).unwrap();
    for mode in [0, 0o1, 0o644, 0o755, 0o1777, 0o2755, 0o4755, 0o7777] {
        chmod(dir.join("f"), mode).unwrap();
        assert_eq!(permissions(&fstat(&file)), mode);
        chmod(dir.join("d"), mode).unwrap();
        assert_eq!(permissions(&stat(dir.join("d"))), mode);
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode ^ 0o111)).unwrap();
        assert_eq!(permissions(&stat(dir.join("f"))), mode ^ 0o111);
    }
}

fn chmod_follows_symlinks_and_is_for_the_owner(dir: &Path) {
    create(dir.join("f"));
    symlink("f", dir.join("s")).unwrap();
    chmod(dir.join("s"), 0o751).unwrap();
    assert_eq!(permissions(&stat(dir.join("f"))), 0o751);
    assert_eq!(permissions(&stat(dir.join("s"))), 0o777);
    as_user(super::NOBODY, super::NOBODY, &[], || {
        assert_eq!(errno(chmod(dir.join("f"), 0o777)), Errno::PERM);
    });
    chown(dir.join("f"), super::NOBODY, 0).unwrap();
    as_user(super::NOBODY, super::NOBODY, &[], || {
        // The owner outside of the file's group cannot set setgid: chmod(2).
        chmod(dir.join("f"), 0o6755).unwrap();
    });
    assert_eq!(permissions(&stat(dir.join("f"))), 0o4755);
    as_user(super::NOBODY, super::NOBODY, &[0], || chmod(dir.join("f"), 0o2755).unwrap());
    assert_eq!(permissions(&stat(dir.join("f"))), 0o2755);
}

fn chmod_takes_effect_on_the_next_open(dir: &Path) {
    fs::write(dir.join("f"), "secret").unwrap();
    for _ in 0..10 {
        chmod(dir.join("f"), 0o600).unwrap();
        as_user(super::NOBODY, super::NOBODY, &[], || {
            assert_eq!(errno(open(dir.join("f"), OFlags::RDONLY)), Errno::ACCESS);
        });
        chmod(dir.join("f"), 0o604).unwrap();
        as_user(super::NOBODY, super::NOBODY, &[], || {
            assert_eq!(fs::read(dir.join("f")).unwrap(), b"secret");
        });
    }
}

fn chmod_of_a_read_only_open_file_keeps_the_handle_writable(dir: &Path) {
    chmod(dir, 0o777).unwrap();
    as_user(super::NOBODY, super::NOBODY, &[], || {
        let file = create(dir.join("f"));
        chmod(dir.join("f"), 0).unwrap();
        assert_eq!(rustix::io::pwrite(&file, b"x", 0).unwrap(), 1);
        assert_eq!(rustix::io::pread(&file, &mut [0], 0).unwrap(), 1);
        file.set_len(0).unwrap();
        file.sync_all().unwrap();
        rustix::fs::futimens(&file, &times(at(1, 0), at(1, 0))).unwrap();
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 10).unwrap();
    });
}

fn every_way_to_stat_agrees(dir: &Path) {
    fs::write(dir.join("f"), "content").unwrap();
    let file = open(dir.join("f"), OFlags::RDONLY).unwrap();
    let held = open(dir.join("f"), OFlags::PATH).unwrap();
    let path = stat(dir.join("f"));
    let same = |other: Stat| {
        assert_eq!((other.st_dev, other.st_ino), (path.st_dev, path.st_ino));
        assert_eq!((other.st_mode, other.st_size, other.st_nlink), (path.st_mode, 7, 1));
        assert_eq!((mtime(&other), ctime(&other)), (mtime(&path), ctime(&path)));
    };
    same(fstat(&file));
    same(fstat(&held));
    same(rustix::fs::stat(dir.join("f")).unwrap());
    let parent = open(dir, OFlags::PATH).unwrap();
    same(rustix::fs::statat(&parent, "f", AtFlags::SYMLINK_NOFOLLOW).unwrap());
    for flags in [AtFlags::STATX_FORCE_SYNC, AtFlags::STATX_DONT_SYNC] {
        let x = rustix::fs::statx(&parent, "f", flags, StatxFlags::BASIC_STATS).unwrap();
        assert_eq!((x.stx_ino, x.stx_size, u32::from(x.stx_mode)), (path.st_ino, 7, path.st_mode));
        assert_eq!((x.stx_mtime.tv_sec, u64::from(x.stx_mtime.tv_nsec)), mtime(&path));
    }
}

fn time_of_birth_is_told_where_it_can_be(dir: &Path) {
    create(dir.join("f"));
    let told = |dir: &Path| {
        let flags = AtFlags::empty();
        let found = rustix::fs::statx(CWD, dir.join("f"), flags, StatxFlags::BTIME).unwrap();
        found.stx_mask & StatxFlags::BTIME.bits() != 0
    };
    let plain = plain_directory();
    create(plain.path().join("f"));
    // FUSE has it in its STATX request only, which fuser does not deliver.
    assert_eq!(told(dir), told(plain.path()) && !on_fuse(dir));
}

fn access_answers_for_the_caller(dir: &Path) {
    use rustix::fs::Access;
    create(dir.join("f"));
    chmod(dir.join("f"), 0o640).unwrap();
    let access = |a| rustix::fs::access(dir.join("f"), a);
    access(Access::EXISTS | Access::READ_OK | Access::WRITE_OK).unwrap();
    // Root too executes only what is executable by somebody.
    assert_eq!(errno(access(Access::EXEC_OK)), Errno::ACCESS);
    as_user(super::NOBODY, super::NOBODY, &[], || {
        access(Access::EXISTS).unwrap();
        assert_eq!(errno(access(Access::READ_OK)), Errno::ACCESS);
    });
    as_user(super::NOBODY, super::NOBODY, &[0], || {
        access(Access::READ_OK).unwrap();
        assert_eq!(errno(access(Access::WRITE_OK)), Errno::ACCESS);
    });
    assert_eq!(errno(rustix::fs::access(dir.join("missing"), Access::EXISTS)), Errno::NOENT);
}

fn directories_count_their_subdirectories(dir: &Path) {
    fs::create_dir(dir.join("d")).unwrap();
    assert_eq!(stat(dir.join("d")).st_nlink, 2);
    fs::create_dir(dir.join("d/one")).unwrap();
    fs::create_dir(dir.join("d/two")).unwrap();
    fs::write(dir.join("d/file"), "").unwrap();
    assert_eq!(stat(dir.join("d")).st_nlink, 4);
    fs::remove_dir(dir.join("d/one")).unwrap();
    assert_eq!(stat(dir.join("d")).st_nlink, 3);
}

fn blocks_and_block_size_are_those_of_the_backing(dir: &Path) {
    let plain = plain_directory();
    let of = |dir: &Path| {
        fs::write(dir.join("f"), vec![1; 100_000]).unwrap();
        open(dir.join("f"), OFlags::RDONLY).unwrap().sync_all().unwrap();
        let stat = stat(dir.join("f"));
        (stat.st_blocks, stat.st_blksize, stat.st_size)
    };
    assert_eq!(of(dir), of(plain.path()));
}

fn statfs_is_that_of_the_backing(dir: &Path) {
    let plain = plain_directory();
    fs::write(dir.join("f"), "").unwrap();
    let file = open(dir.join("f"), OFlags::RDONLY).unwrap();
    let there = rustix::fs::statvfs(plain.path()).unwrap();
    for here in [rustix::fs::statvfs(dir).unwrap(), rustix::fs::fstatvfs(&file).unwrap()] {
        assert_eq!((here.f_bsize, here.f_frsize), (there.f_bsize, there.f_frsize));
        assert_eq!((here.f_blocks, here.f_files), (there.f_blocks, there.f_files));
        assert_eq!(here.f_namemax, there.f_namemax);
        // Others use the same disk meanwhile.
        assert!(here.f_bavail.abs_diff(there.f_bavail) < there.f_blocks / 20);
        assert!(here.f_bfree.abs_diff(there.f_bfree) < there.f_blocks / 20);
        assert!(here.f_ffree.abs_diff(there.f_ffree) < there.f_files / 20);
    }
}

fn numbers_of_inodes_stay_and_differ(dir: &Path) {
    let mut numbers = Vec::new();
    for n in 0..100 {
        create(dir.join(format!("f{n}")));
        numbers.push(stat(dir.join(format!("f{n}"))).st_ino);
    }
    for (n, number) in numbers.iter().enumerate() {
        assert_eq!(stat(dir.join(format!("f{n}"))).st_ino, *number);
    }
    numbers.push(stat(dir).st_ino);
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 101);
    assert!(kind(&stat(dir)).is_dir());
    assert!(!on_fuse(dir) || stat(dir).st_dev != stat(dir.parent().unwrap()).st_dev);
}

//! `full`: to the block what is left, and what comes back.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, chown};
use std::path::Path;
use std::thread;

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use super::common::calls::Mapping;
use super::common::disk::Disk;
use super::common::{Mount, errno_of, slowfs, stdout_of, text_of, wait_for};
use super::{all_of, mount_with, open};

const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;
const BLOCK: usize = 4096;
const MIB: u64 = 1 << 20;

/// A mount of a fresh directory on that filesystem, with so much left.
fn on(disk: &Disk, fault: &str) -> Mount {
    Mount::over(disk.directory(), &["--fault", fault])
}

/// What statfs(2) says is left, bytes.
fn left(mount: &Mount) -> u64 {
    let told = statvfs(mount.mnt()).unwrap();
    told.f_bavail * told.f_frsize
}

fn create(mount: &Mount, name: &str) -> File {
    let path = mount.mnt().join(name);
    File::options().read(true).write(true).create_new(true).open(path).unwrap()
}

/// Appends pieces of that length until nothing more fits; how much that was.
fn fill(file: &File, piece: usize) -> u64 {
    let bytes = vec![b'x'; piece];
    let mut all = 0;
    loop {
        match file.write_at(&bytes, all) {
            Ok(n) => all += n as u64,
            failed => {
                assert_eq!(errno_of(failed), ENOSPC);
                return all;
            }
        }
    }
}

#[test]
fn a_disk_is_filled_to_the_block_and_as_much_comes_back() {
    for disk in [Disk::tmpfs(), Disk::ext4()] {
        let mount = on(&disk, "full --free 1MiB");
        assert_eq!(left(&mount), MIB);
        let half = create(&mount, "half");
        half.write_all_at(&black_box([b'x'; 300 << 10]), 0).unwrap();
        half.write_all_at(b"x", 301 << 10).unwrap();
        assert_eq!(left(&mount), MIB - (304 << 10), "in blocks of 4 KiB");
        assert_eq!(fill(&create(&mount, "rest"), 100_000), MIB - (304 << 10));
        assert_eq!(left(&mount), 0);
        half.write_all_at(&black_box([b'y'; 300 << 10]), 0).unwrap();
        for round in 0..2 {
            for name in ["half", "rest", "again"] {
                let _ = fs::remove_file(mount.mnt().join(name));
            }
            if round == 0 {
                assert_eq!(left(&mount), 720 << 10, "what is open is there still");
                half.write_all_at(b"x", 0).unwrap();
                assert_eq!(fill(&create(&mount, "again"), BLOCK), 720 << 10);
                fs::remove_file(mount.mnt().join("again")).unwrap();
            }
            wait_for("the last close", || (left(&mount) >= 720 << 10).then_some(()));
        }
        drop(half);
        wait_for("all of it", || (left(&mount) == MIB).then_some(()));
        assert_eq!(fill(&create(&mount, "again"), 77_777), MIB);
        let df = stdout_of(
            std::process::Command::new("df").args(["--output=avail", "-B1"]).arg(mount.mnt()),
        );
        assert_eq!(df.lines().last().unwrap().trim(), "0");
    }
}

#[test]
fn a_write_that_does_not_fit_ends_short_and_the_next_fails() {
    for flags in [0, libc::O_DIRECT, libc::O_APPEND] {
        let mount = mount_with("full --free 8KiB --name disk", 0);
        let fired = || mount.client().list_faults().unwrap()[0].fired;
        // The harness has looked at the mount by statfs(2).
        let before = fired();
        let mut client = mount.client();
        client.trace_start(&["write".to_owned()], "", true).unwrap();
        let file = open(&mount, flags);
        let bytes: Vec<u8> = (0..5 * BLOCK).map(|n| (n % 251) as u8).collect();
        assert_eq!(file.write_at(&bytes, 0).unwrap(), 2 * BLOCK, "{flags:o}");
        assert_eq!(errno_of(file.write_at(&bytes, 2 * BLOCK as u64)), ENOSPC, "{flags:o}");
        assert_eq!(super::persisted(&mount), bytes[..2 * BLOCK], "{flags:o}");
        let mut read = vec![0; 2 * BLOCK];
        file.read_exact_at(&mut read, 0).unwrap();
        assert_eq!(read, bytes[..2 * BLOCK], "{flags:o}");
        let hits: Vec<_> = all_of(&mut client).into_iter().flat_map(|event| event.hits).collect();
        let actions: Vec<_> = hits.iter().map(|hit| hit.action.as_str()).collect();
        assert_eq!(actions, ["changed", "failed"], "{hits:?}");
        assert_eq!(fired() - before, 2);
    }
}

#[test]
fn holes_and_what_is_there_take_nothing_and_what_is_cut_comes_back() {
    for disk in [Disk::tmpfs(), Disk::ext4()] {
        let mount = on(&disk, "full --free 64KiB");
        let file = create(&mount, "f");
        file.set_len(1 << 30).unwrap();
        assert_eq!(left(&mount), 64 << 10);
        for block in 0..16 {
            file.write_all_at(b"x", block << 20).unwrap();
        }
        assert_eq!(left(&mount), 0);
        assert_eq!(errno_of(file.write_at(b"x", 16 << 20)), ENOSPC, "a hole");
        for block in 0..16 {
            file.write_all_at(&black_box([b'y'; BLOCK]), block << 20).unwrap();
        }
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&file, punch, 0, 2 << 20).unwrap();
        assert_eq!(left(&mount), 2 * BLOCK as u64);
        file.set_len(9 << 20).unwrap();
        assert_eq!(left(&mount), 9 * BLOCK as u64);
        file.write_all_at(&black_box([b'x'; 9 * BLOCK]), 64 << 20).unwrap();
        assert_eq!(left(&mount), 0);
        // Over another: that is gone.
        fs::write(mount.mnt().join("g"), []).unwrap();
        fs::rename(mount.mnt().join("g"), mount.mnt().join("f")).unwrap();
        drop(file);
        wait_for("what was replaced", || (left(&mount) == 64 << 10).then_some(()));
    }
}

#[test]
fn an_open_that_races_the_removal_of_its_file_gives_back_once() {
    let mount = mount_with("full --free 1MiB", 0);
    let path = mount.mnt().join("g");
    fs::write(&path, [b'x'; 64 << 10]).unwrap();
    wait_for("what was written", || (left(&mount) == MIB - (64 << 10)).then_some(()));
    let mut client = mount.client();
    let set = |typed: &[&str]| {
        let output = slowfs().args(typed).args(["--addr", &mount.addr]).output().unwrap();
        assert!(output.status.success(), "{}", text_of(&output));
    };
    set(&["hang", "-m", "open", "--name", "held"]);
    let opened = thread::scope(|scope| {
        let opening = scope.spawn(|| File::open(&path).unwrap());
        let mut held = || client.list_faults().unwrap().iter().any(|fault| fault.held > 0);
        wait_for("the open", || held().then_some(()));
        fs::remove_file(&path).unwrap();
        set(&["clear", "held"]);
        opening.join().unwrap()
    });
    assert_eq!(left(&mount), MIB - (64 << 10), "it is there still");
    drop(opened);
    wait_for("the last close", || (left(&mount) != MIB - (64 << 10)).then_some(()));
    assert_eq!(left(&mount), MIB);
    assert_eq!(fill(&create(&mount, "rest"), BLOCK), MIB);
}

#[test]
fn what_the_backing_adds_by_itself_is_not_given_back() {
    let disk = Disk::ext4();
    let mount = on(&disk, "full --free 4MiB");
    let path = mount.mnt().join("f");
    let raw = mount.raw().join("f");
    let blocks = || fs::metadata(&raw).unwrap().blocks() / 8;
    let empty = || wait_for("all of it", || (left(&mount) >= 4 * MIB).then_some(()));
    let file = create(&mount, "f");
    for block in 0..20 {
        file.write_all_at(b"x", block << 16).unwrap();
    }
    file.sync_all().unwrap();
    assert!(blocks() > 20, "a record of where they are");
    drop(file);
    fs::remove_file(&path).unwrap();
    empty();
    assert_eq!(left(&mount), 4 * MIB);
    fs::create_dir(&path).unwrap();
    for name in 0..300 {
        fs::write(path.join(format!("{name:0>40}")), []).unwrap();
    }
    assert!(blocks() > 1);
    fs::remove_dir_all(&path).unwrap();
    empty();
    assert_eq!(left(&mount), 4 * MIB);
}

#[test]
fn an_allocation_is_done_whole_or_not_and_is_written_to_for_nothing() {
    for disk in [Disk::tmpfs(), Disk::ext4()] {
        let mount = on(&disk, "full --free 64KiB");
        let file = create(&mount, "f");
        let allocate = |len| fallocate(&file, FallocateFlags::empty(), 0, len);
        assert_eq!(allocate((64 << 10) + 1).unwrap_err().raw_os_error(), ENOSPC);
        assert_eq!((left(&mount), file.metadata().unwrap().blocks()), (64 << 10, 0));
        allocate(64 << 10).unwrap();
        assert_eq!(left(&mount), 0);
        file.write_all_at(&black_box([b'x'; 64 << 10]), 0).unwrap();
        assert_eq!(errno_of(file.write_at(b"x", 64 << 10)), ENOSPC);
    }
}

/// Also where lseek(2) tells of a hole.
#[test]
fn what_is_allocated_ahead_in_a_file_with_holes_is_there() {
    for disk in [Disk::tmpfs(), Disk::ext4()] {
        let mount = on(&disk, "full --free 64KiB");
        let file = create(&mount, "f");
        file.set_len(1 << 20).unwrap();
        fallocate(&file, FallocateFlags::empty(), 512 << 10, 64 << 10).unwrap();
        assert_eq!(left(&mount), 0);
        assert_eq!(errno_of(file.write_at(b"x", 508 << 10)), ENOSPC, "a hole");
        file.write_all_at(&black_box([b'x'; 64 << 10]), 512 << 10).unwrap();
        assert_eq!(left(&mount), 0);
        file.set_len(0).unwrap();
        file.set_len(16 << 10).unwrap();
        fallocate(&file, FallocateFlags::KEEP_SIZE, 16 << 10, 64 << 10).unwrap();
        assert_eq!(errno_of(file.write_at(b"x", 0)), ENOSPC, "a hole before what is ahead");
        file.write_all_at(&black_box([b'x'; 64 << 10]), 16 << 10).unwrap();
    }
}

#[test]
fn a_directory_that_is_open_gives_back_with_its_last_close() {
    let mount = mount_with("full --free 1MiB --inodes 3", 0);
    let inodes = || statvfs(mount.mnt()).unwrap().f_favail;
    let path = mount.mnt().join("d");
    fs::create_dir(&path).unwrap();
    let directory = File::open(&path).unwrap();
    fs::remove_dir(&path).unwrap();
    assert_eq!(inodes(), 2, "it is there still");
    drop(directory);
    wait_for("the last close", || (inodes() == 3).then_some(()));
}

#[test]
fn what_is_stored_through_a_mapping_is_written_back_whole_or_fails() {
    let mount = mount_with("full --free 8KiB", 0);
    let file = open(&mount, 0);
    file.set_len(4 * BLOCK as u64).unwrap();
    let mut mapped = Mapping::new(&file, 4 * BLOCK, libc::MAP_SHARED).unwrap();
    mapped.fill(b'x');
    assert!([ENOSPC, super::EIO].contains(&errno_of(mapped.sync())));
    assert_eq!(super::persisted(&mount), [0; 4 * BLOCK], "nothing of it");
    assert_eq!(left(&mount), 8 << 10);
    mount.clear();
    mapped.fill(b'y');
    mapped.sync().unwrap();
    assert_eq!(super::persisted(&mount), [b'y'; 4 * BLOCK]);
}

#[test]
fn inodes_are_counted_where_they_are_limited() {
    let mount = mount_with("full --free 1MiB --inodes 3", 0);
    let make = |name: &str| File::create_new(mount.mnt().join(name)).map(drop);
    let inodes = || statvfs(mount.mnt()).unwrap().f_favail;
    make("a").unwrap();
    fs::create_dir(mount.mnt().join("d")).unwrap();
    std::os::unix::fs::symlink("a", mount.mnt().join("l")).unwrap();
    assert_eq!(inodes(), 0);
    assert_eq!(errno_of(make("b")), ENOSPC);
    assert_eq!(errno_of(fs::create_dir(mount.mnt().join("e"))), ENOSPC);
    fs::hard_link(mount.mnt().join("a"), mount.mnt().join("b")).unwrap();
    fs::remove_file(mount.mnt().join("a")).unwrap();
    assert_eq!(inodes(), 0, "it has another name");
    fs::remove_file(mount.mnt().join("b")).unwrap();
    fs::remove_dir(mount.mnt().join("d")).unwrap();
    assert_eq!(inodes(), 2);
    make("a").unwrap();
    fs::rename(mount.mnt().join("l"), mount.mnt().join("a")).unwrap();
    assert_eq!(inodes(), 2);
}

#[test]
fn those_who_write_at_once_never_get_more_than_there_is() {
    let mount = mount_with("full --free 4MiB", 0);
    let got: Vec<u64> = thread::scope(|scope| {
        let fills = (0..8).map(|n| {
            let file = create(&mount, &format!("f{n}"));
            scope.spawn(move || fill(&file, 4096 * (n + 1)))
        });
        let fills: Vec<_> = fills.collect();
        fills.into_iter().map(|fill| fill.join().unwrap()).collect()
    });
    let there: u64 = fs::read_dir(mount.raw())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().blocks() * 512)
        .sum();
    assert!(there <= 4 * MIB, "{there}: {got:?}");
    // Who comes while others hold what they then do not need is refused; what is left then fits.
    let all: u64 = got.iter().sum();
    assert_eq!(all, there);
    assert_eq!(left(&mount), 4 * MIB - there);
    assert_eq!(fill(&create(&mount, "last"), BLOCK), 4 * MIB - there);
}

#[test]
fn it_may_be_for_some_files_and_then_df_shows_the_backings() {
    let mount = Mount::new();
    let before = left(&mount);
    let set = |typed: &[&str]| {
        let output = slowfs().args(typed).args(["--addr", &mount.addr]).output().unwrap();
        assert!(output.status.success(), "{}", text_of(&output));
        text_of(&output)
    };
    let told = set(&["full", "--free", "4KiB", "--errno", "EDQUOT", "--owner", "1234"]);
    assert!(told.contains("df and statfs do not show it"), "{told}");
    let told = set(&["list"]);
    assert!(told.contains("df and statfs do not show it"), "{told}");
    let [own, other] = ["own", "other"].map(|name| create(&mount, name));
    chown(mount.mnt().join("own"), Some(1234), None).unwrap();
    own.write_all_at(&black_box([b'x'; BLOCK]), 0).unwrap();
    other.write_all_at(&black_box([b'x'; 9 * BLOCK]), 0).unwrap();
    assert_eq!(errno_of(own.write_at(b"x", BLOCK as u64)), EDQUOT);
    assert!(left(&mount) > before / 2);
    // Whose it is may change.
    chown(mount.mnt().join("own"), Some(0), None).unwrap();
    chown(mount.mnt().join("other"), Some(1234), None).unwrap();
    assert_eq!(errno_of(other.write_at(b"x", 9 * BLOCK as u64)), EDQUOT);
    other.set_len(0).unwrap();
    other.write_all_at(b"x", 0).unwrap();
    mount.clear();
    set(&["full", "--free", "0", "-r", ".*/own"]);
    assert_eq!(errno_of(own.write_at(b"x", BLOCK as u64)), ENOSPC);
    other.write_all_at(&black_box([b'x'; 9 * BLOCK]), 0).unwrap();
}

#[test]
fn a_copy_and_a_directory_take_space_too() {
    let mount = mount_with("full --free 8KiB", 0);
    fs::write(mount.raw().join("from"), [b'x'; 4 * BLOCK]).unwrap();
    let (from, to) = (File::open(mount.mnt().join("from")).unwrap(), open(&mount, 0));
    let copy = |at: usize| {
        let (mut source, mut target) = (at as u64, at as u64);
        rustix::fs::copy_file_range(&from, Some(&mut source), &to, Some(&mut target), 4 * BLOCK)
            .map_err(rustix::io::Errno::raw_os_error)
    };
    assert_eq!(copy(0), Ok(2 * BLOCK));
    assert_eq!(copy(2 * BLOCK), Err(ENOSPC));
    let made = fs::create_dir(mount.mnt().join("d"));
    assert_eq!(errno_of(made), ENOSPC);
    assert_eq!(made_by_appending(&mount.mnt().join("f")), ENOSPC);
    to.set_len(0).unwrap();
    fs::create_dir(mount.mnt().join("d")).unwrap();
}

/// What an append(3) to a file that ends with a whole block is answered.
fn made_by_appending(path: &Path) -> i32 {
    let append = |mut file: File| -> io::Result<()> { file.write_all(b"x") };
    errno_of(append(File::options().append(true).open(path).unwrap()))
}

#[test]
fn what_does_not_fit_is_told_by_no_fault_that_tells_success() {
    const ROOM: usize = 40 << 10;
    for (fault, stored) in [
        ("torn-write prefix:80KiB -m write", ROOM),
        ("torn-write prefix:8KiB -m write", 8 << 10),
        ("lost-write -m write", 0),
        ("corrupt zero --unit 128KiB -m write", 0),
    ] {
        let disk = Disk::tmpfs();
        let faults = ["--fault", "full --free 40KiB", "--fault", fault];
        let mount = Mount::over(disk.directory(), &faults);
        let file = create(&mount, "f");
        assert_eq!(file.write_at(&black_box([b'x'; 96 << 10]), 0).unwrap(), ROOM, "{fault}");
        let bytes = fs::read(mount.raw().join("f")).unwrap();
        assert_eq!(bytes.len(), ROOM, "{fault}: how far it has grown");
        let kept = bytes.iter().filter(|byte| **byte == b'x').count();
        assert!(kept <= stored && kept + 512 >= stored, "{fault}: {kept}");
        let told = mount.client().injections(0, 100).unwrap().injections;
        assert_eq!(told.is_empty(), fault.contains("80KiB"), "{fault}: what fits is all right");
        assert!(told.iter().all(|one| one.offset + one.len <= ROOM as i64), "{told:?}");
    }
}

//! Directories: making, listing and syncing them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FileType, Mode, OFlags, RawDir, SeekFrom, makedev};
use rustix::io::Errno;

use super::{create, errno, fstat, mknod, names, open, stat};

cases!(
    mkdir_makes_an_empty_directory,
    mkdir_refuses_taken_names_and_missing_parents,
    listing_has_every_entry_once,
    listing_tells_numbers_and_kinds_as_stat_does,
    listing_has_dot_and_dotdot,
    listing_works_with_the_smallest_buffers,
    listing_misses_and_doubles_nothing_while_others_come_and_go,
    listing_can_be_taken_up_at_any_place,
    rewound_listing_sees_what_changed,
    listing_while_removing_empties_the_directory,
    listing_a_removed_directory_finds_nothing,
    listings_at_once_do_not_disturb_each_other,
    listing_brings_fresh_attributes,
    listing_needs_a_directory,
    names_of_every_length_are_listed,
    recursive_removal_leaves_nothing,
    sync_of_a_directory_succeeds,
    seek_of_a_directory_is_its_own_handles,
);

/// An entry as getdents(2) tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    name: String,
    ino: u64,
    kind: FileType,
    next: u64,
}

fn opened(dir: impl AsRef<Path>) -> File {
    open(dir, OFlags::RDONLY | OFlags::DIRECTORY).unwrap()
}

/// What is left to read from an open directory, in order.
fn rest(directory: &File, buffer: usize) -> rustix::io::Result<Vec<Listed>> {
    let mut buffer = vec![MaybeUninit::uninit(); buffer];
    let mut entries = RawDir::new(directory, &mut buffer);
    let mut listed = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        listed.push(Listed {
            name: String::from_utf8_lossy(entry.file_name().to_bytes()).into_owned(),
            ino: entry.ino(),
            kind: entry.file_type(),
            next: entry.next_entry_cookie(),
        });
    }
    Ok(listed)
}

fn all(dir: impl AsRef<Path>) -> Vec<Listed> {
    rest(&opened(dir), 32_768).unwrap()
}

fn sorted_names(listed: &[Listed]) -> Vec<&str> {
    let mut names: Vec<_> =
        listed.iter().map(|e| e.name.as_str()).filter(|n| !matches!(*n, "." | "..")).collect();
    names.sort_unstable();
    names
}

/// Makes that many files, whose names sort as they were made.
fn fill(dir: &Path, count: usize) -> Vec<String> {
    let names: Vec<_> = (0..count).map(|n| format!("entry-{n:05}")).collect();
    for name in &names {
        create(dir.join(name));
    }
    names
}

fn mkdir_makes_an_empty_directory(dir: &Path) {
    super::with_umask(0, || {
        rustix::fs::mkdir(dir.join("d"), Mode::from_raw_mode(0o750)).unwrap();
    });
    assert_eq!(super::permissions(&stat(dir.join("d"))), 0o750);
    assert_eq!(stat(dir.join("d")).st_nlink, 2);
    assert_eq!(names(dir.join("d")), [""; 0]);
}

fn mkdir_refuses_taken_names_and_missing_parents(dir: &Path) {
    fs::create_dir(dir.join("d")).unwrap();
    fs::write(dir.join("f"), "").unwrap();
    symlink("nowhere", dir.join("s")).unwrap();
    for name in ["d", "f", "s", "d/.", "d/.."] {
        assert_eq!(errno(fs::create_dir(dir.join(name))), Errno::EXIST, "{name}");
    }
    assert_eq!(errno(fs::create_dir(dir.join("missing/d"))), Errno::NOENT);
    assert_eq!(errno(fs::create_dir(dir.join("f/d"))), Errno::NOTDIR);
}

fn listing_has_every_entry_once(dir: &Path) {
    let expected = fill(dir, 2000);
    assert_eq!(names(dir), expected);
    assert_eq!(sorted_names(&all(dir)), expected);
}

fn listing_tells_numbers_and_kinds_as_stat_does(dir: &Path) {
    create(dir.join("file"));
    fs::create_dir(dir.join("directory")).unwrap();
    symlink("nowhere", dir.join("symlink")).unwrap();
    mknod(dir.join("fifo"), FileType::Fifo, 0o600, 0).unwrap();
    mknod(dir.join("socket"), FileType::Socket, 0o600, 0).unwrap();
    mknod(dir.join("char"), FileType::CharacterDevice, 0o600, makedev(1, 3)).unwrap();
    mknod(dir.join("block"), FileType::BlockDevice, 0o600, makedev(7, 0)).unwrap();
    fs::hard_link(dir.join("file"), dir.join("link")).unwrap();
    // Twice: before and after the names are looked up.
    for _ in 0..2 {
        let listed = all(dir);
        assert_eq!(listed.len(), 10);
        for entry in listed.iter().filter(|e| e.name != "..") {
            let stat = stat(dir.join(&entry.name));
            assert_eq!((entry.ino, entry.kind), (stat.st_ino, super::kind(&stat)), "{entry:?}");
        }
    }
}

fn listing_has_dot_and_dotdot(dir: &Path) {
    fs::create_dir_all(dir.join("a/b")).unwrap();
    let ino = |path: &str, name: &str| {
        let listed = all(dir.join(path));
        listed.iter().find(|e| e.name == name).map(|e| e.ino)
    };
    assert_eq!(all(dir.join("a/b")).len(), 2);
    assert_eq!(ino("a/b", "."), Some(stat(dir.join("a/b")).st_ino));
    assert_eq!(ino("a/b", ".."), Some(stat(dir.join("a")).st_ino));
    assert_eq!(ino("a", ".."), Some(stat(dir).st_ino));
    assert_eq!(ino(".", "."), Some(stat(dir).st_ino));
    assert!(ino(".", "..").is_some());
}

fn listing_works_with_the_smallest_buffers(dir: &Path) {
    let expected = fill(dir, 300);
    assert_eq!(sorted_names(&rest(&opened(dir), 40).unwrap()), expected);
    create(dir.join("n".repeat(255)));
    assert_eq!(errno(rest(&opened(dir), 100)), Errno::INVAL);
    assert_eq!(rest(&opened(dir), 280).unwrap().len(), 303);
}

fn listing_misses_and_doubles_nothing_while_others_come_and_go(dir: &Path) {
    let staying = fill(dir, 1000);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let restless = scope.spawn(|| {
            let mut round = 0;
            while !done.load(Ordering::Relaxed) {
                for n in 0..20 {
                    create(dir.join(format!("passing-{round}-{n}")));
                }
                fs::rename(
                    dir.join(format!("passing-{round}-0")),
                    dir.join(format!("passing-{round}-renamed")),
                )
                .unwrap();
                fs::remove_file(dir.join(format!("passing-{round}-renamed"))).unwrap();
                for n in 1..20 {
                    fs::remove_file(dir.join(format!("passing-{round}-{n}"))).unwrap();
                }
                round += 1;
            }
        });
        for buffer in [512, 4096, 32_768, 600, 5000, 32_768] {
            let listed = rest(&opened(dir), buffer).unwrap();
            let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
            for entry in &listed {
                *seen.entry(&entry.name).or_default() += 1;
            }
            for name in &staying {
                assert_eq!(seen.get(name.as_str()), Some(&1), "{name}");
            }
        }
        done.store(true, Ordering::Relaxed);
        restless.join().unwrap();
    });
    assert_eq!(names(dir), staying);
}

fn listing_can_be_taken_up_at_any_place(dir: &Path) {
    fill(dir, 200);
    let directory = opened(dir);
    let listed = rest(&directory, 4096).unwrap();
    // seekdir(3) is lseek(2) to what telldir(3) had said: the place after an entry.
    for place in [0, 1, 57, 150, 201, 200, 3] {
        rustix::fs::seek(&directory, SeekFrom::Start(listed[place].next)).unwrap();
        assert_eq!(rest(&directory, 4096).unwrap(), listed[place + 1..], "{place}");
    }
    rustix::fs::seek(&directory, SeekFrom::Start(0)).unwrap();
    assert_eq!(rest(&directory, 1000).unwrap(), listed);
}

fn rewound_listing_sees_what_changed(dir: &Path) {
    fill(dir, 10);
    let directory = opened(dir);
    assert_eq!(rest(&directory, 4096).unwrap().len(), 12);
    create(dir.join("new"));
    fs::remove_file(dir.join("entry-00003")).unwrap();
    rustix::fs::seek(&directory, SeekFrom::Start(0)).unwrap();
    let listed = rest(&directory, 4096).unwrap();
    let names = sorted_names(&listed);
    assert!(names.contains(&"new") && !names.contains(&"entry-00003"));
}

fn listing_while_removing_empties_the_directory(dir: &Path) {
    fill(dir, 700);
    let directory = opened(dir);
    let mut buffer = [MaybeUninit::uninit(); 1024];
    let mut entries = RawDir::new(&directory, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_str().unwrap();
        if !matches!(name, "." | "..") {
            fs::remove_file(dir.join(name)).unwrap();
        }
    }
    assert_eq!(names(dir), [""; 0]);
}

fn listing_a_removed_directory_finds_nothing(dir: &Path) {
    fs::create_dir(dir.join("d")).unwrap();
    let directory = opened(dir.join("d"));
    fs::remove_dir(dir.join("d")).unwrap();
    assert_eq!(errno(rest(&directory, 4096)), Errno::NOENT);
    assert_eq!(fstat(&directory).st_nlink, 0);
}

fn listings_at_once_do_not_disturb_each_other(dir: &Path) {
    let expected = fill(dir, 500);
    std::thread::scope(|scope| {
        for buffer in [300, 1000, 4096, 32_768] {
            let expected = &expected;
            scope.spawn(move || {
                for _ in 0..5 {
                    assert_eq!(sorted_names(&rest(&opened(dir), buffer).unwrap()), *expected);
                }
            });
        }
    });
}

fn listing_brings_fresh_attributes(dir: &Path) {
    for n in 0..100 {
        fs::write(dir.join(format!("f{n}")), "").unwrap();
    }
    for round in 1..=3 {
        for n in 0..100 {
            fs::write(dir.join(format!("f{n}")), vec![b'x'; round * (n + 1)]).unwrap();
        }
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let n: usize = entry.file_name().to_str().unwrap()[1..].parse().unwrap();
            assert_eq!(entry.metadata().unwrap().len(), (round * (n + 1)) as u64);
        }
    }
}

fn listing_needs_a_directory(dir: &Path) {
    let file = create(dir.join("f"));
    assert_eq!(errno(fs::read_dir(dir.join("f"))), Errno::NOTDIR);
    assert_eq!(errno(rest(&file, 4096)), Errno::NOTDIR);
    assert_eq!(errno(rustix::io::read(opened(dir), &mut [0u8; 10])), Errno::ISDIR);
}

fn names_of_every_length_are_listed(dir: &Path) {
    for length in 1..=255 {
        create(dir.join("x".repeat(length)));
    }
    let mut lengths: Vec<_> = names(dir).iter().map(String::len).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, (1..=255).collect::<Vec<_>>());
}

fn recursive_removal_leaves_nothing(dir: &Path) {
    for a in 0..5 {
        for b in 0..5 {
            let path = dir.join(format!("tree/{a}/{b}"));
            fs::create_dir_all(&path).unwrap();
            fill(&path, 10);
            symlink("../..", path.join("up")).unwrap();
        }
    }
    fs::remove_dir_all(dir.join("tree")).unwrap();
    assert_eq!(names(dir), [""; 0]);
}

fn sync_of_a_directory_succeeds(dir: &Path) {
    let directory = opened(dir);
    create(dir.join("f"));
    directory.sync_all().unwrap();
    directory.sync_data().unwrap();
    fs::create_dir(dir.join("gone")).unwrap();
    let gone = opened(dir.join("gone"));
    fs::remove_dir(dir.join("gone")).unwrap();
    gone.sync_all().unwrap();
}

fn seek_of_a_directory_is_its_own_handles(dir: &Path) {
    fill(dir, 50);
    let (first, second) = (opened(dir), opened(dir));
    let listed = rest(&first, 4096).unwrap();
    assert_eq!(rest(&first, 4096).unwrap(), []);
    assert_eq!(rest(&second, 4096).unwrap(), listed);
    rustix::fs::seek(&first, SeekFrom::Start(listed[10].next)).unwrap();
    assert_eq!(rest(&second, 4096).unwrap(), []);
    assert_eq!(rest(&first, 4096).unwrap(), listed[11..]);
}

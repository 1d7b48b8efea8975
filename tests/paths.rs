//! The paths under which each inode is known, as the patterns of faults see them: one for each hard
//! link, following renames of the file and of every directory above it, whatever is open meanwhile.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use slowfs::fault::{FaultWords, Pattern};
mod common;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::Path;

use common::{Mount, errno_of, failing, wait_for};
use rustix::fs::{CWD, RenameFlags};

fn create(path: impl AsRef<Path>) -> File {
    File::options().read(true).write(true).create_new(true).open(path).unwrap()
}

fn open_rw(path: impl AsRef<Path>) -> File {
    File::options().read(true).write(true).open(path).unwrap()
}

/// Faults that never fire and count what their patterns match.
struct Patterns<'a> {
    mount: &'a Mount,
    ids: Vec<i64>,
}

impl<'a> Patterns<'a> {
    /// Watches `method` on these paths, relative to the scratch directory.
    fn watch(mount: &'a Mount, method: &str, paths: &[&str]) -> Patterns<'a> {
        let scratch = mount.scratch().to_str().unwrap();
        let watch = |path: &&str| {
            let pattern = format!("{scratch}/{path}");
            mount.add(&FaultWords { pattern, ..failing(&[method], "EIO").with("probability", "0") })
        };
        Patterns { mount, ids: paths.iter().map(watch).collect() }
    }

    /// How many operations each has matched so far.
    fn matched(&self) -> Vec<i64> {
        self.ids.iter().map(|id| self.mount.listed(*id).matched).collect()
    }
}

/// A mirror with a file in two directories, and the file opened: `raw/a/b/f`.
fn nested() -> (Mount, File) {
    let mount = Mount::new();
    fs::create_dir_all(mount.mnt().join("a/b")).unwrap();
    let file = create(mount.mnt().join("a/b/f"));
    (mount, file)
}

#[test]
fn path_that_users_gave_is_the_base_of_patterns() {
    let scratch = tempfile::tempdir().unwrap();
    let real = scratch.path().join("real");
    fs::create_dir(&real).unwrap();
    // Behind the symlink `raw`, which the patterns are to name.
    symlink(&real, scratch.path().join("raw")).unwrap();
    let mount = Mount::over(scratch, &[] as &[&str]);
    let patterns = Patterns::watch(&mount, "write", &["raw/f", "real/f"]);
    fs::write(mount.mnt().join("f"), "x").unwrap();
    assert_eq!(patterns.matched(), [1, 0]);
    assert_eq!(fs::read(mount.scratch().join("real/f")).unwrap(), b"x");
}

#[test]
fn path_follows_the_rename_of_a_file() {
    let (mount, file) = nested();
    let patterns = Patterns::watch(&mount, "write", &["raw/a/b/f", "raw/a/b/g", "raw/h"]);
    file.write_all_at(b"x", 0).unwrap();
    assert_eq!(patterns.matched(), [1, 0, 0]);
    fs::rename(mount.mnt().join("a/b/f"), mount.mnt().join("a/b/g")).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    assert_eq!(patterns.matched(), [1, 1, 0]);
    fs::rename(mount.mnt().join("a/b/g"), mount.mnt().join("h")).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    assert_eq!(patterns.matched(), [1, 1, 2]);
}

#[test]
fn path_follows_the_rename_of_parents() {
    let (mount, file) = nested();
    let watched = ["raw/a/b/f", "raw/a/c/f", "raw/d/c/f", "raw/d/f"];
    let patterns = Patterns::watch(&mount, "fsync", &watched);
    file.sync_all().unwrap();
    assert_eq!(patterns.matched(), [1, 0, 0, 0]);
    fs::rename(mount.mnt().join("a/b"), mount.mnt().join("a/c")).unwrap();
    file.sync_all().unwrap();
    assert_eq!(patterns.matched(), [1, 1, 0, 0]);
    fs::rename(mount.mnt().join("a"), mount.mnt().join("d")).unwrap();
    file.sync_all().unwrap();
    assert_eq!(patterns.matched(), [1, 1, 1, 0]);
    fs::rename(mount.mnt().join("d/c/f"), mount.mnt().join("d/f")).unwrap();
    file.sync_all().unwrap();
    assert_eq!(patterns.matched(), [1, 1, 1, 1]);
    // Others that come to live under the old names are others.
    fs::create_dir_all(mount.mnt().join("a/b")).unwrap();
    create(mount.mnt().join("a/b/f")).sync_all().unwrap();
    file.sync_all().unwrap();
    assert_eq!(patterns.matched(), [2, 1, 1, 2]);
}

#[test]
fn path_follows_a_parent_that_moves_into_another_directory() {
    let (mount, file) = nested();
    fs::create_dir_all(mount.mnt().join("x/y")).unwrap();
    let patterns = Patterns::watch(&mount, "write", &["raw/a/b/f", "raw/x/y/b/f"]);
    fs::rename(mount.mnt().join("a/b"), mount.mnt().join("x/y/b")).unwrap();
    fs::remove_dir(mount.mnt().join("a")).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    assert_eq!(patterns.matched(), [0, 1]);
}

#[test]
fn paths_follow_exchanges() {
    let (mount, file) = nested();
    fs::create_dir_all(mount.mnt().join("x/b")).unwrap();
    let other = create(mount.mnt().join("x/b/f"));
    let patterns = Patterns::watch(&mount, "write", &["raw/a/b/f", "raw/x/b/f"]);
    let exchange = |from: &str, to: &str| {
        let (from, to) = (mount.mnt().join(from), mount.mnt().join(to));
        rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE).unwrap();
    };
    exchange("a/b", "x/b");
    file.write_all_at(b"x", 0).unwrap();
    assert_eq!(patterns.matched(), [0, 1]);
    exchange("a/b/f", "x/b/f");
    file.write_all_at(b"x", 0).unwrap();
    assert_eq!(patterns.matched(), [1, 1]);
    other.write_all_at(b"x", 0).unwrap();
    assert_eq!(patterns.matched(), [1, 2]);
}

#[test]
fn hard_links_match_by_any_name() {
    let (mount, file) = nested();
    let patterns = Patterns::watch(&mount, "write", &["raw/a/b/f", "raw/l", "raw/(l|a/b/f)"]);
    file.write_all_at(b"x", 0).unwrap();
    assert_eq!(patterns.matched(), [1, 0, 1]);
    fs::hard_link(mount.mnt().join("a/b/f"), mount.mnt().join("l")).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    open_rw(mount.mnt().join("l")).write_all_at(b"x", 0).unwrap();
    assert_eq!(patterns.matched(), [3, 2, 3]);
    fs::rename(mount.mnt().join("a"), mount.mnt().join("c")).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    assert_eq!(patterns.matched(), [3, 3, 4]);
    fs::rename(mount.mnt().join("c/b/f"), mount.mnt().join("c/f")).unwrap();
    fs::create_dir_all(mount.mnt().join("a")).unwrap();
    fs::rename(mount.mnt().join("c"), mount.mnt().join("a/b")).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    assert_eq!(patterns.matched(), [4, 4, 5]);
    fs::remove_file(mount.mnt().join("a/b/f")).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    assert_eq!(patterns.matched(), [4, 5, 6]);
    fs::remove_file(mount.mnt().join("l")).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    assert_eq!(patterns.matched(), [4, 6, 7]);
}

/// A file held open in `wal` that a directory `bak` lies beside, and a fault on the syncs in `wal`.
fn live_log() -> (Mount, File) {
    let mount = Mount::new();
    for dir in ["wal", "bak"] {
        fs::create_dir(mount.mnt().join(dir)).unwrap();
    }
    let log = create(mount.mnt().join("wal/1.wal"));
    let pattern = ".*/wal/.*".to_owned();
    mount.add(&FaultWords { pattern, ..failing(&["fsync", "fdatasync"], "EIO") });
    assert_eq!(errno_of(log.sync_data()), libc::EIO);
    (mount, log)
}

#[test]
fn hard_link_of_a_live_file_lets_no_fault_escape() {
    let (mount, log) = live_log();
    fs::hard_link(mount.mnt().join("wal/1.wal"), mount.mnt().join("bak/1.wal")).unwrap();
    assert_eq!(errno_of(log.sync_data()), libc::EIO);
    assert_eq!(errno_of(open_rw(mount.mnt().join("bak/1.wal")).sync_all()), libc::EIO);
    // Only the snapshot is left.
    fs::remove_file(mount.mnt().join("wal/1.wal")).unwrap();
    log.sync_data().unwrap();
}

#[test]
fn listing_of_a_live_files_other_link_lets_no_fault_escape() {
    let (mount, log) = live_log();
    fs::hard_link(mount.raw().join("wal/1.wal"), mount.raw().join("bak/1.wal")).unwrap();
    for entry in fs::read_dir(mount.mnt().join("bak")).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().nlink(), 2);
    }
    assert_eq!(errno_of(log.sync_data()), libc::EIO);
    assert_eq!(errno_of(open_rw(mount.mnt().join("bak/1.wal")).sync_all()), libc::EIO);
}

#[test]
fn unlinked_file_keeps_its_last_path() {
    let (mount, file) = nested();
    let patterns = Patterns::watch(&mount, "write", &["raw/a/b/f", "raw/a/g", "raw/a/b/.*"]);
    fs::rename(mount.mnt().join("a/b/f"), mount.mnt().join("a/g")).unwrap();
    fs::remove_file(mount.mnt().join("a/g")).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    assert_eq!(patterns.matched(), [0, 1, 0]);
    // A new file of that name is another one with the same path.
    let new = create(mount.mnt().join("a/g"));
    new.write_all_at(b"x", 0).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    assert_eq!(patterns.matched(), [0, 3, 0]);
    fs::rename(mount.mnt().join("a/g"), mount.mnt().join("a/b/h")).unwrap();
    new.write_all_at(b"x", 0).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    assert_eq!(patterns.matched(), [0, 4, 1]);
}

#[test]
fn overwritten_file_keeps_its_last_path() {
    let (mount, old) = nested();
    let new = create(mount.mnt().join("a/b/new"));
    let patterns = Patterns::watch(&mount, "fsync", &["raw/a/b/f", "raw/a/b/new"]);
    fs::rename(mount.mnt().join("a/b/new"), mount.mnt().join("a/b/f")).unwrap();
    old.sync_all().unwrap();
    new.sync_all().unwrap();
    assert_eq!(patterns.matched(), [2, 0]);
}

#[test]
fn paths_below_removed_directories_stay() {
    let (mount, file) = nested();
    let patterns = Patterns::watch(&mount, "write", &["raw/a/b/f"]);
    fs::remove_dir_all(mount.mnt().join("a")).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    assert_eq!(patterns.matched(), [1]);
}

#[test]
fn path_of_what_is_made_is_that_of_the_new_name() {
    let mount = Mount::new();
    fs::create_dir(mount.mnt().join("d")).unwrap();
    let patterns = Patterns::watch(&mount, "mkdir", &["raw/d/new", "raw/e/new", "raw/d", "raw/e"]);
    fs::create_dir(mount.mnt().join("d/new")).unwrap();
    fs::rename(mount.mnt().join("d"), mount.mnt().join("e")).unwrap();
    fs::remove_dir(mount.mnt().join("e/new")).unwrap();
    fs::create_dir(mount.mnt().join("e/new")).unwrap();
    assert_eq!(patterns.matched(), [1, 1, 0, 0]);
}

#[test]
fn path_follows_a_rename_in_the_backing() {
    let (mount, file) = nested();
    let patterns = Patterns::watch(&mount, "write", &["raw/a/b/f", "raw/a/b/g"]);
    fs::rename(mount.raw().join("a/b/f"), mount.raw().join("a/b/g")).unwrap();
    // Known as soon as somebody looks.
    wait_for("the new name", || mount.mnt().join("a/b/g").exists().then_some(()));
    file.write_all_at(b"x", 0).unwrap();
    assert_eq!(patterns.matched(), [0, 1]);
}

#[test]
fn names_that_are_no_text_match_as_bytes() {
    let mount = Mount::new();
    let name = OsStr::from_bytes(b"\xff\xfe");
    let patterns = Patterns::watch(&mount, "write", &["raw/..", "raw/.", r"raw/[\xff][\xfe]"]);
    fs::write(mount.mnt().join(name), "x").unwrap();
    assert_eq!(patterns.matched(), [1, 0, 1]);
}

/// Numbers that look like chance and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// What a directory's path decides is remembered with it, and with the files in it: also while
/// directories move, within each other too, and faults come and go.
#[test]
fn names_are_judged_by_where_their_directory_is_now() {
    const DIRS: [&str; 4] = ["a", "b", "c", "d"];
    let (mount, mut numbers) = (Mount::new(), Numbers(7));
    let scratch = mount.scratch().to_str().unwrap().to_owned();
    let text = |n: usize| match n % 5 {
        0 => format!("(^|.*/){}/x{}", DIRS[n / 5 % 4], n % 3),
        1 => format!("{scratch}/raw/{}/.*", DIRS[n / 5 % 4]),
        2 => format!("(?!.*{}/x).*/x{}", DIRS[n / 5 % 4], n % 3),
        3 => format!(".*/{}/.*{}/.*", DIRS[n / 5 % 4], DIRS[n / 20 % 4]),
        _ => format!(".*/nothing{n}/.*"),
    };
    let never = |n: usize| {
        let fault = failing(&["mkdir", "rmdir", "fsyncdir"], "EIO").with("probability", "0");
        FaultWords { pattern: text(n), ..fault }
    };
    // Where each directory is, and what each fault is to have matched.
    let mut places: Vec<String> = DIRS.map(str::to_owned).into();
    let mut faults: Vec<(i64, Pattern, i64)> = Vec::new();
    for dir in DIRS {
        fs::create_dir(mount.mnt().join(dir)).unwrap();
    }
    let open = DIRS.map(|dir| File::open(mount.mnt().join(dir)).unwrap());
    for step in 0..240 {
        if step % 3 == 0 {
            let fault = never(step);
            let pattern = Pattern::new(&fault.pattern).unwrap();
            faults.push((mount.add(&fault), pattern, 0));
        } else if step % 17 == 0 {
            let (id, ..) = faults.remove(numbers.below(faults.len()));
            mount.client().remove_fault(&id.to_string()).unwrap();
        }
        if step % 2 == 0 {
            let (from, into) = (numbers.below(4), numbers.below(4));
            let to = match numbers.below(2) {
                0 => DIRS[numbers.below(4)].to_owned(),
                _ => format!("{}/{}", places[into], DIRS[numbers.below(4)]),
            };
            let old = places[from].clone();
            let at = |path: &str| mount.mnt().join(path);
            if !to.starts_with(&format!("{old}/")) && !at(&to).exists() {
                fs::rename(at(&old), at(&to)).unwrap();
                for place in &mut places {
                    if let Some(rest) = place.strip_prefix(&old)
                        && (rest.is_empty() || rest.starts_with('/'))
                    {
                        *place = format!("{to}{rest}");
                    }
                }
            }
        }
        let (dir, name) = (numbers.below(4), format!("x{}", numbers.below(3)));
        let path = format!("{}/{name}", places[dir]);
        fs::create_dir(mount.mnt().join(&path)).unwrap();
        fs::remove_dir(mount.mnt().join(&path)).unwrap();
        open[dir].sync_all().unwrap();
        for (_, pattern, matched) in &mut faults {
            let matches = |path: &str| pattern.matches(format!("{scratch}/raw/{path}").as_bytes());
            *matched += 2 * i64::from(matches(&path)) + i64::from(matches(&places[dir]));
        }
        if step % 24 == 23 {
            for (id, pattern, matched) in &faults {
                assert_eq!(mount.listed(*id).matched, *matched, "{step}: {pattern:?}");
            }
        }
    }
    assert!(faults.iter().any(|(_, _, matched)| *matched > 20));
}

//! What a power cut leaves: programs on a mount that remembers what is not durable, started again on what a
//! disk could hold.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use common::sqlite::{Session, ask_once};
use common::{Mount, scratch, slowfs, stdout_of, text_of};
use rustix::fs::{CWD, FallocateFlags, RenameFlags, fallocate, renameat_with};
use serde_json::{Value, json};
use slowfs::rpc::Cut;

/// A mirror that remembers, and where its images go.
fn tracking(options: &[&str]) -> (Mount, PathBuf) {
    let scratch = scratch();
    let images = scratch.path().join("images");
    fs::create_dir(&images).unwrap();
    let dir = images.to_str().unwrap().to_owned();
    let mut all = vec!["--track-unsynced", "--unsynced-age", "1h", "--images", &dir];
    all.extend(options);
    (Mount::over(scratch, &all), images)
}

/// The image of that name that keeps so much.
fn cut(mount: &Mount, images: &Path, name: &str, keep: &str, seed: u64) -> PathBuf {
    let (name_of_it, keep, seed) = (name.to_owned(), keep.to_owned(), seed.to_string());
    let cut = Cut { name: name_of_it, keep, unit: 4096, seed, ..Cut::default() };
    mount.client().power_cut(&cut).unwrap();
    images.join(name)
}

fn control(mount: &Mount, words: &[&str]) -> Command {
    let mut command = slowfs();
    command.args(words).args(["--addr", &mount.addr]);
    command
}

fn answer(mount: &Mount, words: &[&str]) -> Value {
    serde_json::from_str(&stdout_of(control(mount, words).arg("--json"))).unwrap()
}

fn sync(path: &Path) {
    File::open(path).unwrap().sync_all().unwrap();
}

fn write_synced(path: &Path, text: &str) {
    let mut file = File::create(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.sync_all().unwrap();
}

/// Replaces a file as it should be done, or with one of the two syncs left out.
fn replace(dir: &Path, text: &str, syncs_file: bool, syncs_directory: bool) {
    let temporary = dir.join("tmp");
    match syncs_file {
        true => write_synced(&temporary, text),
        false => fs::write(&temporary, text).unwrap(),
    }
    fs::rename(&temporary, dir.join("f")).unwrap();
    if syncs_directory {
        sync(dir);
    }
}

#[test]
fn a_file_that_is_replaced_with_both_syncs_is_there_whole_after_every_cut() {
    let (mount, images) = tracking(&[]);
    for n in 0..20 {
        let text = format!("version {n}").repeat(1000);
        replace(&mount.mnt(), &text, true, true);
        // What comes after is not durable, and not in the way.
        fs::write(mount.mnt().join("other"), "other").unwrap();
        let keep = if n % 2 == 0 { "none" } else { "random" };
        let image = cut(&mount, &images, &format!("cut{n}"), keep, n);
        assert_eq!(fs::read_to_string(image.join("f")).unwrap(), text, "{n}");
    }
}

#[test]
fn without_the_sync_of_its_directory_the_old_file_may_be_left() {
    let (mount, images) = tracking(&[]);
    replace(&mount.mnt(), "old", true, true);
    replace(&mount.mnt(), "new", true, false);
    let image = cut(&mount, &images, "none", "none", 0);
    assert_eq!(fs::read_to_string(image.join("f")).unwrap(), "old");
    assert_eq!(fs::read_to_string(image.join("tmp")).unwrap(), "new");
    let left = (0..30).map(|n| {
        let image = cut(&mount, &images, &format!("random{n}"), "random", n);
        fs::read_to_string(image.join("f")).unwrap()
    });
    let left: Vec<_> = left.collect();
    assert!(left.iter().all(|text| ["old", "new"].contains(&text.as_str())), "{left:?}");
    assert!(["old", "new"].iter().all(|text| left.iter().any(|l| l == text)), "{left:?}");
}

#[test]
fn a_file_that_is_renamed_before_its_sync_may_be_empty() {
    let (mount, images) = tracking(&[]);
    replace(&mount.mnt(), "old", true, true);
    replace(&mount.mnt(), "new", false, true);
    let left = (0..30).map(|n| {
        let image = cut(&mount, &images, &format!("random{n}"), "random", n);
        fs::read_to_string(image.join("f")).unwrap()
    });
    assert!(left.into_iter().any(|text| text.is_empty()));
}

/// The old file was in the directory's last durable state, and so it comes back, a removed one as well.
#[test]
fn what_was_removed_comes_back_with_its_names_and_attributes() {
    let (mount, images) = tracking(&[]);
    let (mnt, raw) = (mount.mnt(), mount.raw());
    fs::create_dir(mnt.join("d")).unwrap();
    fs::write(mnt.join("d/f"), "some").unwrap();
    fs::hard_link(mnt.join("d/f"), mnt.join("g")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
    fs::set_permissions(mnt.join("g"), mode).unwrap();
    assert!(mount.client().checkpoint().unwrap() > 0);
    fs::remove_file(mnt.join("d/f")).unwrap();
    fs::remove_file(mnt.join("g")).unwrap();
    fs::remove_dir(mnt.join("d")).unwrap();
    assert_eq!(fs::read_dir(&raw).unwrap().count(), 0);
    let image = cut(&mount, &images, "image", "none", 0);
    assert_eq!(fs::read_to_string(image.join("d/f")).unwrap(), "some");
    let (first, second) =
        (fs::metadata(image.join("d/f")).unwrap(), fs::metadata(image.join("g")).unwrap());
    use std::os::unix::fs::MetadataExt;
    assert_eq!((first.ino(), first.nlink()), (second.ino(), 2));
    assert_eq!(first.mode() & 0o7777, 0o640);
}

#[test]
fn writes_by_o_dsync_and_stores_into_a_mapping_are_taken_in() {
    let (mount, images) = tracking(&[]);
    let path = mount.mnt().join("f");
    write_synced(&path, &"o".repeat(16384));
    fs::OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_DSYNC)
        .open(&path)
        .unwrap()
        .write_all_at(&[b's'; 4096], 4096)
        .unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&[b'n'; 4096], 0).unwrap();
    let image = cut(&mount, &images, "none", "none", 0);
    let left = fs::read(image.join("f")).unwrap();
    assert_eq!((left[0], left[4096], left[8192]), (b'o', b's', b'o'));
    let image = cut(&mount, &images, "all", "all", 0);
    assert!(fs::read(image.join("f")).unwrap() == fs::read(mount.raw().join("f")).unwrap());
}

/// Commits one row after the other; after each fifth an image is made, which must be sound. How many of the
/// rows that were committed each lacks.
fn lost_after_cuts(journal: &str, synchronous: &str) -> Vec<i64> {
    let (mount, images) = tracking(&[]);
    let database = mount.mnt().join("bank.db");
    let setup = format!(
        "PRAGMA journal_mode={journal}; PRAGMA synchronous={synchronous}; PRAGMA wal_autocheckpoint=7;
         CREATE TABLE t(n INTEGER PRIMARY KEY, text);"
    );
    let mut session = Session::start(&database, &setup);
    let mut made = Vec::new();
    for n in 1..=40i64 {
        session.ask(&format!("INSERT INTO t VALUES({n}, hex(randomblob(1500)));"));
        if n % 5 == 0 {
            // In the middle of a transaction.
            session.ask("BEGIN; UPDATE t SET text = 'torn';");
            let keep = if n % 10 == 0 { "random" } else { "none" };
            made.push((n, cut(&mount, &images, &format!("cut{n}"), keep, n.unsigned_abs())));
            session.ask("ROLLBACK;");
        }
    }
    let lost = made.into_iter().map(|(n, image)| {
        let found = ask_once(
            &image.join("bank.db"),
            "PRAGMA integrity_check; SELECT count(*) FROM t WHERE text = 'torn'; SELECT count(*) FROM t;",
        );
        let rows = found.strip_prefix("ok\n0\n").unwrap_or_else(|| panic!("cut {n}: {found}"));
        n - rows.parse::<i64>().unwrap()
    });
    lost.collect()
}

#[test]
fn sqlite_keeps_what_it_has_committed_by_its_log() {
    assert_eq!(lost_after_cuts("WAL", "FULL"), [0; 8]);
}

#[test]
fn sqlite_keeps_what_it_has_committed_by_its_journal() {
    assert_eq!(lost_after_cuts("DELETE", "EXTRA"), [0; 8]);
}

/// It commits by removing its journal, and only with EXTRA syncs the directory after that: the journal may come
/// back, and with it what was before the last transaction.
#[test]
fn sqlite_may_lose_its_last_transaction_where_it_does_not_sync_the_directory() {
    let lost = lost_after_cuts("DELETE", "FULL");
    assert!(lost.iter().all(|lost| (0..=1).contains(lost)) && lost.contains(&1), "{lost:?}");
}

/// So that the others do not pass because nothing is ever lost.
#[test]
fn sqlite_without_syncs_loses_what_it_has_committed() {
    let (mount, images) = tracking(&[]);
    let database = mount.mnt().join("bank.db");
    let setup = "PRAGMA synchronous=OFF; CREATE TABLE t(n);";
    let mut session = Session::start(&database, setup);
    session.ask("INSERT INTO t VALUES(1);");
    let image = cut(&mount, &images, "none", "none", 0);
    let found = ask_once(&image.join("bank.db"), "SELECT count(*) FROM t;");
    assert!(found.contains("no such table"), "{found}");
}

#[test]
fn what_is_not_durable_is_shown_until_it_is() {
    let (mount, images) = tracking(&[]);
    assert_eq!(stdout_of(&mut control(&mount, &["unsynced"])), "everything is durable\n");
    fs::write(mount.mnt().join("f"), "some").unwrap();
    let shown = stdout_of(&mut control(&mount, &["unsynced"]));
    let path = mount.raw().join("f").display().to_string();
    assert!(shown.contains("entries are not durable") && shown.contains("0+4"), "{shown}");
    let told = answer(&mount, &["unsynced"]);
    assert_eq!(told["files"][0]["path"], path);
    assert_eq!(told["files"][0]["bytes"], 4);
    assert_eq!(told["names"][0]["what"], "made");
    let cut = answer(&mount, &["power-cut", "--to", "one", "--keep", "prefix:1", "--seed", "3"]);
    assert_eq!(cut["image"], images.join("one").display().to_string());
    assert_eq!((&cut["keep"], &cut["seed"]), (&"prefix:1".into(), &"3".into()));
    let manifest = fs::read_to_string(cut["manifest"].as_str().unwrap()).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["files"][0]["live_size"], 4, "{manifest}");
    assert_eq!(fs::read(images.join("one/f")).unwrap(), b"");
    let durable = stdout_of(&mut control(&mount, &["checkpoint"]));
    assert!(durable.ends_with("durable\n"), "{durable}");
    assert_eq!(answer(&mount, &["unsynced"])["entries"], 0);
}

/// Else all that was not durable of the file would count as durable, and a warning would say so.
#[test]
fn what_rots_or_is_healed_is_no_change_of_others() {
    let (mount, images) = tracking(&[]);
    let path = mount.mnt().join("f");
    fs::write(&path, [b'o'; 8192]).unwrap();
    control(&mount, &["checkpoint"]).output().unwrap();
    File::options().write(true).open(&path).unwrap().write_all_at(&[b'n'; 4096], 0).unwrap();
    let pending = |what: &str| {
        // It looks for what others have changed.
        let left = fs::read(cut(&mount, &images, what, "none", 1).join("f")).unwrap();
        let told = answer(&mount, &["unsynced"]);
        assert_eq!((&told["files"][0]["bytes"], &told["foreign"]), (&json!(4096), &json!([])));
        assert!(!mount.log_text().contains("changed behind the mount"), "{}", mount.log_text());
        [left[0], left[4096]]
    };
    assert_eq!(pending("before"), *b"oo");
    for (hidden, what) in [(&[][..], "rotten"), (&["--hidden"], "hidden")] {
        let rot = ["rot", "zero", "--spots", "2", "--unit", "4KiB", "--glob", "*f"];
        stdout_of(&mut control(&mount, &[&rot[..], hidden].concat()));
        assert_eq!(fs::read(mount.raw().join("f")).unwrap(), [0; 8192]);
        assert_eq!(pending(what), *b"o\0", "what was not durable has rotted in memory only");
        stdout_of(&mut control(&mount, &["heal", "--all"]));
        assert_eq!(pending(&format!("{what}-healed")), *b"oo");
    }
    assert_eq!(fs::read(&path).unwrap(), [[b'n'; 4096], [b'o'; 4096]].concat());
    // What others do still counts.
    fs::write(mount.raw().join("f"), "others").unwrap();
    cut(&mount, &images, "others", "none", 1);
    mount.wait_until_logged("changed behind the mount");
    assert_eq!(answer(&mount, &["unsynced"])["entries"], 0);
}

#[test]
fn what_cannot_be_is_refused_in_a_line() {
    let plain = Mount::new();
    for words in [&["unsynced"][..], &["checkpoint"], &["power-cut", "--to", "x"]] {
        let refused = control(&plain, words).output().unwrap();
        assert_eq!(refused.status.code(), Some(1));
        assert!(text_of(&refused).contains("mount with --track-unsynced"), "{}", text_of(&refused));
    }
    let (mount, images) = tracking(&[]);
    let refused = |words: &[&str]| text_of(&control(&mount, words).output().unwrap());
    assert!(refused(&["power-cut", "--to", "a/b"]).contains("no name for an image"));
    fs::create_dir(images.join("there")).unwrap();
    assert!(refused(&["power-cut", "--to", "there"]).contains("there already"));
    assert!(refused(&["power-cut", "--to", "x", "--unit", "7"]).contains("must be 512 or 4096"));
    assert!(refused(&["power-cut", "--to", "x", "--keep", "some"]).contains("prefix:N"));
    let stall = refused(&["power-cut", "--to", "x", "--max-stall", "1ns"]);
    assert!(stall.contains("allow that by --max-stall"), "{stall}");
    let dir = mount.raw().display().to_string();
    let start = |options: &[&str]| {
        let at = scratch();
        let mut mount = slowfs();
        mount.arg("mount").arg(at.path()).args(["--subdir", &dir, "--listen", "none"]);
        let output = mount.args(options).output().unwrap();
        assert!(!output.status.success());
        text_of(&output)
    };
    assert!(start(&["--track-unsynced", "--images", &dir]).contains("the mirrored directory"));
    assert!(start(&["--track-unsynced", "--images", "/proc/none"]).contains("cannot keep images"));
    assert!(start(&["--images", "/tmp"]).contains("--track-unsynced"));
    let both = start(&["--track-unsynced", "--passthrough-except", ".*"]);
    assert!(both.contains("cannot be used with"), "{both}");
}

/// POSIX promises nothing of a name but by the sync of its directory; Linux stores it with the new file.
#[test]
fn a_new_file_that_was_synced_has_its_name_under_linux_only() {
    for (order, names) in [("linux", 1), ("posix", 0)] {
        let scratch = scratch();
        let images = scratch.path().join("images");
        fs::create_dir(&images).unwrap();
        let track = format!("--track-unsynced={order}");
        let mount = Mount::over(scratch, &[&track, "--images", images.to_str().unwrap()]);
        write_synced(&mount.mnt().join("f"), "new");
        let image = cut(&mount, &images, "one", "none", 1);
        assert_eq!(fs::read_dir(image).unwrap().count(), names, "{order}");
        sync(&mount.mnt());
        let image = cut(&mount, &images, "two", "none", 1);
        assert_eq!(fs::read_to_string(image.join("f")).unwrap(), "new", "{order}");
    }
}

/// Names, types, the first byte of each page, and times of a directory.
fn contents(dir: &Path) -> Vec<(String, bool, Vec<u8>, u64)> {
    let of = |entry: fs::DirEntry| {
        let meta = entry.metadata().unwrap();
        let content = if meta.is_file() { fs::read(entry.path()).unwrap() } else { Vec::new() };
        let content = content.into_iter().step_by(4096).collect();
        let time = meta.modified().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        (entry.file_name().into_string().unwrap(), meta.is_file(), content, time.as_secs())
    };
    let mut all: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| of(entry.unwrap())).collect();
    all.sort();
    all
}

#[test]
fn each_way_to_rename_to_empty_and_to_set_times_is_taken_back() {
    let (mount, images) = tracking(&[]);
    let at = |name: &str| mount.mnt().join(name);
    let time = |name: &str, secs| {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
        File::options().write(true).open(at(name)).unwrap().set_modified(time).unwrap();
    };
    for (n, name) in (1..).zip(["moved", "one", "other", "hidden", "zeroed", "timed"]) {
        fs::write(at(name), vec![n; 8192]).unwrap();
        time(name, 1_000);
    }
    answer(&mount, &["checkpoint"]);
    let before = contents(&mount.mnt());
    let rename = |from, to, flags| renameat_with(CWD, at(from), CWD, at(to), flags).unwrap();
    rename("moved", "there", RenameFlags::NOREPLACE);
    rename("one", "other", RenameFlags::EXCHANGE);
    rename("hidden", "shown", RenameFlags::WHITEOUT);
    let zeroed = File::options().write(true).open(at("zeroed")).unwrap();
    fallocate(&zeroed, FallocateFlags::ZERO_RANGE, 0, 4096).unwrap();
    time("timed", 2_000);
    let after = contents(&mount.mnt());
    let changed = after.iter().filter(|entry| !before.contains(entry)).count();
    assert_eq!(changed, 7, "moved, two exchanged, one shown and what hides it, zeroed, timed");
    assert!(after.iter().any(|(name, is_file, ..)| name == "hidden" && !is_file));
    // What nobody has set is the time of whoever makes it.
    let but_own_times = |mut all: Vec<(String, bool, Vec<u8>, u64)>| {
        all.iter_mut()
            .filter(|(name, ..)| name == "zeroed" || name == "hidden")
            .for_each(|of| of.3 = 0);
        all
    };
    let (before, after) = (but_own_times(before), but_own_times(after));
    assert_eq!(but_own_times(contents(&cut(&mount, &images, "all", "all", 1))), after);
    assert_eq!(but_own_times(contents(&cut(&mount, &images, "none", "none", 1))), before);
    answer(&mount, &["power-cut", "--now", "--keep", "none"]);
    for dir in [mount.mnt(), mount.raw()] {
        assert_eq!(but_own_times(contents(&dir)), before);
    }
}

//! Linux AIO and io_uring: what the kernel leaves to a filesystem whose requests outlive the call.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::Duration;

use common::aio::Aio;
use common::calls::Mapping;
use common::{Mount, delaying, failing, fault_on, hanging, scratch, wait_for};

const ENGINES: [&str; 3] = ["libaio", "uring", "plain"];

/// How the file is opened, and how each write says that it is to be synced.
const SYNCED: [(&str, &str); 9] = [
    ("direct,dsync", ""),
    ("direct", ":dsync"),
    ("fdirect,dsync", ""),
    ("fdirect", ":dsync"),
    ("dsync", ""),
    ("none", ":dsync"),
    ("direct,sync", ""),
    ("direct", ":sync"),
    ("fdirect", ":sync"),
];

/// Three writes at once, one of which makes the file longer.
fn writes(sync: &str) -> String {
    format!("w:0:4096:65{sync} w:8192:4096:66{sync} w:65536:4096:67{sync}")
}

#[test]
fn synchronous_writes_meet_sync_faults_once_however_they_were_submitted() {
    for options in [&[][..], &["--direct-io"]] {
        let mount = Mount::with(options);
        let path = mount.mnt().join("file");
        for (engine, (flags, sync)) in
            ENGINES.iter().flat_map(|engine| SYNCED.map(|synced| (engine, synced)))
        {
            let how = format!("{engine} {flags} {sync} {options:?}");
            fs::write(&path, [0; 65536]).unwrap();
            let mut aio = Aio::new(engine, &path, flags);
            let id = mount.add(&failing(&["fsync"], "EIO"));
            let results = aio.results(&writes(sync));
            assert_eq!(results, [-i64::from(libc::EIO); 3], "{how}");
            assert_eq!(mount.listed(id).matched, 3, "{how}");
            mount.clear();
            assert_eq!(aio.results(&writes(sync)), [4096; 3], "{how}");
        }
    }
}

/// The mirror's own backing is a mirror, which counts what is synced.
#[test]
fn synchronous_writes_are_synced_once_however_they_were_submitted() {
    let beneath = Mount::new();
    let within = tempfile::Builder::new().prefix("slowfs-test-").tempdir_in(beneath.mnt()).unwrap();
    fs::create_dir(within.path().join("raw")).unwrap();
    let above = scratch();
    std::os::unix::fs::symlink(within.path().join("raw"), above.path().join("raw")).unwrap();
    let mount = Mount::over(above, &[] as &[&str]);
    let path = mount.mnt().join("file");
    let counting = failing(&["fsync"], "EIO").with("probability", "0");
    let id = beneath.add(&counting);
    for (engine, (flags, sync)) in
        ENGINES.iter().flat_map(|engine| SYNCED.map(|synced| (engine, synced)))
    {
        let how = format!("{engine} {flags} {sync}");
        // Long enough: what makes a file longer waits in the kernel, which then syncs it as well.
        fs::write(&path, [0; 1 << 17]).unwrap();
        let mut aio = Aio::new(engine, &path, flags);
        let before = beneath.listed(id).matched;
        assert_eq!(aio.results(&writes(sync)), [4096; 3], "{how}");
        assert_eq!(beneath.listed(id).matched - before, 3, "{how}");
        drop(aio);
        // Asked for by itself it is synced by itself.
        let mut aio = Aio::new(engine, &path, flags);
        let before = beneath.listed(id).matched;
        assert_eq!(aio.results("fsync"), [0], "{how}");
        assert_eq!(beneath.listed(id).matched - before, 1, "{how}");
    }
}

#[test]
fn ordinary_asynchronous_writes_meet_no_sync_fault() {
    let mount = Mount::new();
    let path = mount.mnt().join("file");
    fs::write(&path, [0; 65536]).unwrap();
    let id = mount.add(&fault_on(&["fsync"]).with("probability", "0").and("kill", ""));
    for engine in ENGINES {
        for flags in ["direct", "fdirect", "none"] {
            let mut aio = Aio::new(engine, &path, flags);
            assert_eq!(aio.results(&writes("")), [4096; 3], "{engine} {flags}");
        }
    }
    assert_eq!(mount.listed(id).matched, 0);
}

/// What the kernel does after a write past the page cache it does not do after an asynchronous one:
/// drop the pages that came in meanwhile.
#[test]
fn pages_that_came_in_during_an_asynchronous_write_show_it_once_it_is_done() {
    let mount = Mount::new();
    let path = mount.mnt().join("file");
    for engine in ENGINES {
        for flags in ["direct", "fdirect"] {
            fs::write(&path, [b'.'; 65536]).unwrap();
            let file = File::options().read(true).write(true).open(&path).unwrap();
            let mapping = Mapping::new(&file, 65536, libc::MAP_SHARED).unwrap();
            let read = || {
                let mut byte = [0];
                file.read_exact_at(&mut byte, 4096).unwrap();
                [byte[0], mapping[4096]]
            };
            let mut aio = Aio::new(engine, &path, flags);
            let id = mount.add(&delaying(&["write"], Duration::from_millis(200)));
            thread::scope(|scope| {
                let writing = scope.spawn(|| aio.results("w:0:8192:65"));
                wait_for("the write", || (mount.listed(id).held == 1).then_some(()));
                let before = read();
                assert_eq!(writing.join().unwrap(), [8192]);
                assert_eq!((before, read()), ([b'.'; 2], [b'A'; 2]), "{engine} {flags}");
            });
            mount.clear();
        }
    }
}

/// A write past the page cache waits for a page that is being read, and for nothing else.
#[test]
fn an_asynchronous_write_of_a_page_that_is_held_ends_when_that_is_released() {
    let mount = Mount::new();
    let _cleared = mount.clear_on_drop();
    let path = mount.mnt().join("file");
    fs::write(&path, [b'.'; 1 << 20]).unwrap();
    let mut aio = Aio::new("libaio", &path, "direct");
    let mut reading = Aio::new("plain", &path, "random");
    reading.batch("drop m:0:1 drop");
    thread::scope(|scope| {
        let id = mount.add(&delaying(&["write"], Duration::from_millis(300)));
        let writing = scope.spawn(|| aio.results("w:0:4096:65"));
        wait_for("the write", || (mount.listed(id).held == 1).then_some(()));
        let id = mount.add(&hanging(&["read"]));
        let read = scope.spawn(|| reading.results("m:0:1"));
        wait_for("the page to be read", || (mount.listed(id).held == 1).then_some(()));
        // Long enough for the write to come to it; others go on.
        thread::sleep(Duration::from_millis(600));
        assert!(!writing.is_finished() && !read.is_finished());
        fs::create_dir(mount.mnt().join("dir")).unwrap();
        mount.clear();
        assert_eq!(read.join().unwrap(), [1]);
        assert_eq!(writing.join().unwrap(), [4096]);
    });
}

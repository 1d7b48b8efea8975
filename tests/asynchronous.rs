//! Linux AIO and io_uring: what the kernel leaves to a filesystem whose requests outlive the call.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs;

use common::aio::Aio;
use common::{Mount, failing, fault_on, scratch};
use slowfs::rpc::FaultSpec;

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
    let counting = FaultSpec { probability: 0.0, ..failing(&["fsync"], "EIO") };
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
    let id = mount.add(&FaultSpec { probability: 0.0, kill_caller: true, ..fault_on(&["fsync"]) });
    for engine in ENGINES {
        for flags in ["direct", "fdirect", "none"] {
            let mut aio = Aio::new(engine, &path, flags);
            assert_eq!(aio.results(&writes("")), [4096; 3], "{engine} {flags}");
        }
    }
    assert_eq!(mount.listed(id).matched, 0);
}

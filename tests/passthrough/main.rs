//! `--passthrough-except`: the kernel reads and writes what does not match, and faults do all else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
mod files;
mod limits;

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Mount, delaying, errno_of, failing, passing, slowfs, text_of, wait_for};
use rustix::fs::FallocateFlags;
use slowfs::fault::FaultWords;
use slowfs::fault::injections::RotWords;
use slowfs::rpc::PassthroughStatistics;

/// What stays with slowfs in these tests.
const LOG: &str = ".*/log/.*";
const OPTIONS: [&str; 2] = ["--passthrough-except", LOG];

fn served(mount: &Mount) -> PassthroughStatistics {
    mount.client().stats().unwrap().passthrough.unwrap()
}

/// RELEASE comes after close(2) has returned.
fn wait_until_open(mount: &Mount, files: i64) {
    wait_for("files to be open, and no more", || (served(mount).open == files).then_some(()));
}

fn calls(mount: &Mount, method: &str) -> i64 {
    let methods = mount.client().stats().unwrap().methods;
    methods.iter().find(|m| m.name == method).unwrap().calls
}

fn read_write(path: impl AsRef<Path>) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

fn control(mount: &Mount, words: &[&str]) -> Output {
    slowfs().args(words).args(["--addr", &mount.addr]).output().unwrap()
}

/// A mirror with a directory `log`.
fn with_log() -> Option<Mount> {
    let mount = passing(LOG)?;
    fs::create_dir(mount.mnt().join("log")).unwrap();
    Some(mount)
}

#[test]
fn the_kernel_reads_and_writes_what_does_not_match() {
    let Some(mount) = with_log() else { return };
    for (name, calls_each) in [("data", 0), ("log/data", 1)] {
        let before = ["read", "write"].map(|method| calls(&mount, method));
        let mut file = read_write(mount.mnt().join(name));
        file.write_all(b"content").unwrap();
        let mut back = [0; 7];
        file.read_exact_at(&mut back, 0).unwrap();
        assert_eq!(&back, b"content");
        let after = ["read", "write"].map(|method| calls(&mount, method));
        assert_eq!(after, before.map(|n| n + calls_each), "{name}");
        assert_eq!(fs::read(mount.raw().join(name)).unwrap(), b"content");
    }
    wait_until_open(&mount, 0);
    assert_eq!(served(&mount), PassthroughStatistics { open: 0, files: 1, refused: 0 });
}

#[test]
fn faults_on_data_reach_what_matches_and_nothing_else() {
    let Some(mount) = with_log() else { return };
    let files = ["data", "log/data"].map(|name| read_write(mount.mnt().join(name)));
    mount.add(&failing(&["write", "read"], "EIO"));
    let [data, log] = &files;
    let mut byte = [0];
    for file in [data, &read_write(mount.mnt().join("data"))] {
        assert_eq!(file.write_at(b"x", 0).unwrap(), 1);
        assert_eq!(file.read_at(&mut byte, 0).unwrap(), 1);
    }
    for file in [log, &read_write(mount.mnt().join("log/data"))] {
        assert_eq!(errno_of(file.write_at(b"x", 0)), libc::EIO);
        assert_eq!(errno_of(file.read_at(&mut byte, 0)), libc::EIO);
    }
}

#[test]
fn a_file_in_which_an_injection_stands_stays_with_slowfs() {
    let Some(mount) = with_log() else { return };
    fs::write(mount.raw().join("data"), [b'a'; 4096]).unwrap();
    let words = RotWords { pattern: ".*/data".into(), ..RotWords::default() };
    assert_eq!(mount.client().rot(&words).unwrap().spots, 1);
    let file = read_write(mount.mnt().join("data"));
    file.write_all_at(&[b'b'; 4096], 0).unwrap();
    assert_eq!(mount.client().injections(0, 1).unwrap().injections[0].state, "overwritten");
    assert_eq!(served(&mount).files, 0);
    drop(file);
    wait_for("its release", || (calls(&mount, "release") == 1).then_some(()));
    let _file = read_write(mount.mnt().join("data"));
    wait_until_open(&mount, 1);
}

#[test]
fn faults_on_everything_but_data_reach_every_file() {
    let Some(mount) = with_log() else { return };
    let path = mount.mnt().join("data");
    let file = read_write(&path);
    let tries: [(&str, &dyn Fn() -> std::io::Result<()>); 8] = [
        ("fsync", &|| file.sync_all()),
        ("fdatasync", &|| file.sync_data()),
        ("open", &|| File::open(&path).map(drop)),
        ("getattr", &|| fs::metadata(&path).map(drop)),
        ("ftruncate", &|| file.set_len(1)),
        ("chmod", &|| file.set_permissions(fs::Permissions::from_mode(0o600))),
        ("fallocate", &|| Ok(rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, 10)?)),
        ("unlink", &|| fs::remove_file(&path)),
    ];
    for (method, attempt) in tries {
        mount.add(&failing(&[method], "EDQUOT"));
        assert_eq!(errno_of(attempt()), libc::EDQUOT, "{method}");
        mount.clear();
        attempt().unwrap_or_else(|e| panic!("{method}, cleared: {e}"));
    }
    let delay = Duration::from_millis(20);
    mount.add(&delaying(&["fsync"], delay));
    let started = Instant::now();
    file.sync_all().unwrap();
    assert!(started.elapsed() >= delay);
}

#[test]
fn a_fault_that_may_miss_files_comes_with_a_warning() {
    let Some(mount) = with_log() else { return };
    let _open = read_write(mount.mnt().join("data"));
    let missed = format!("does not reach files outside of {LOG:?}");
    for words in ["error EIO -m write", "delay 1us -m all", "error EIO -m read -r .*/log/x"] {
        let words: Vec<_> = words.split(' ').collect();
        let text = text_of(&control(&mount, &words));
        assert!(text.contains("warning") && text.contains(&missed), "{text}");
    }
    assert!(mount.log_text().contains(&missed) && mount.log_text().contains("1 are open"));
    assert!(text_of(&control(&mount, &["list"])).contains(&missed));
    let listed: serde_json::Value =
        serde_json::from_slice(&control(&mount, &["list", "--json"]).stdout).unwrap();
    assert!(listed["faults"][0]["out_of_reach"].as_str().unwrap().contains(LOG), "{listed}");
    assert!(listed["warnings"][0].as_str().unwrap().contains(&missed), "{listed}");
    mount.clear();
    let log = mount.log_text();
    for words in [vec!["error", "EIO", "-m", "write", "-r", LOG], vec!["hang", "-m", "fsync,open"]]
    {
        let text = text_of(&control(&mount, &words));
        assert!(!text.contains("warning"), "{text}");
    }
    assert!(!mount.log_text()[log.len()..].contains("does not reach"));
}

#[test]
fn methods_stats_and_ping_tell_of_it() {
    let Some(mount) = with_log() else { return };
    let _open = read_write(mount.mnt().join("data"));
    drop(read_write(mount.mnt().join("other")));
    wait_until_open(&mount, 1);
    let methods = text_of(&control(&mount, &["methods"]));
    let noted: Vec<_> = methods.lines().filter(|l| l.contains("does not reach files")).collect();
    let names: Vec<_> = noted.iter().map(|l| l.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["read", "read_buf", "write", "write_buf"]);
    let stats = text_of(&control(&mount, &["stats"]));
    assert!(stats.contains("by the kernel itself: 2 files, 1 still open\n"), "{stats}");
    let json = control(&mount, &["stats", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["passthrough"], serde_json::json!({"open": 1, "files": 2, "refused": 0}));
    assert!(text_of(&control(&mount, &["ping"])).contains(LOG));
    assert_eq!(mount.client().info().unwrap().passthrough_except.as_deref(), Some(LOG));
    let ordinary = Mount::new();
    assert_eq!(ordinary.client().stats().unwrap().passthrough, None);
    assert_eq!(ordinary.client().info().unwrap().passthrough_except, None);
}

/// Opened before, moved, opened again: both handles are served as the first was until both are gone.
fn moved_while_open(mount: &Mount, from: &str, to: &str, fires_before: bool) {
    let (from, to) = (mount.mnt().join(from), mount.mnt().join(to));
    let fault = FaultWords { pattern: ".*/(data|moved)".into(), ..failing(&["write"], "EIO") };
    let first = read_write(&from);
    fs::rename(&from, &to).unwrap();
    let second = read_write(&to);
    first.write_all_at(b"first", 0).unwrap();
    second.write_all_at(b"SE", 0).unwrap();
    for file in [&first, &second] {
        let mut back = [0; 5];
        file.read_exact_at(&mut back, 0).unwrap();
        assert_eq!(&back, b"SErst");
    }
    let open = served(mount).open;
    mount.add(&fault);
    for file in [&first, &second] {
        assert_eq!(file.write_at(b"x", 0).is_err(), fires_before);
    }
    drop(first);
    let third = read_write(&to);
    assert_eq!(third.write_at(b"x", 0).is_err(), fires_before);
    drop((second, third));
    mount.clear();
    wait_for("the file to be closed", || {
        // Whether it is still open shows only in how it is opened again.
        mount.add(&fault);
        let fires = read_write(&to).write_at(b"y", 0).is_err();
        mount.clear();
        (fires != fires_before).then_some(())
    });
    wait_until_open(mount, 0);
    assert_eq!(open, i64::from(!fires_before));
}

#[test]
fn an_open_file_is_served_one_way_whatever_renames_do() {
    let Some(mount) = with_log() else { return };
    moved_while_open(&mount, "data", "log/moved", false);
    moved_while_open(&mount, "log/data", "moved", true);
}

#[test]
fn opens_that_race_with_renames_agree() {
    let Some(mount) = with_log() else { return };
    let names = [mount.mnt().join("data"), mount.mnt().join("log/data")];
    fs::write(&names[0], "content").unwrap();
    let done = AtomicBool::new(false);
    let opened: usize = thread::scope(|scope| {
        let readers: Vec<_> = (0..6)
            .map(|n| {
                let (names, done) = (&names, &done);
                scope.spawn(move || {
                    let mut opened = 0;
                    while !done.load(Ordering::Relaxed) {
                        match OpenOptions::new().read(true).append(n % 2 == 0).open(&names[n % 2]) {
                            Ok(file) => {
                                let mut back = [0; 7];
                                file.read_exact_at(&mut back, 0).unwrap();
                                assert_eq!(&back, b"content");
                                opened += 1;
                            }
                            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
                        }
                    }
                    opened
                })
            })
            .collect();
        let deadline = Instant::now() + Duration::from_millis(1500);
        while Instant::now() < deadline {
            fs::rename(&names[0], &names[1]).unwrap();
            thread::sleep(Duration::from_micros(300));
            fs::rename(&names[1], &names[0]).unwrap();
            thread::sleep(Duration::from_micros(300));
        }
        done.store(true, Ordering::Relaxed);
        readers.into_iter().map(|reader| reader.join().unwrap()).sum()
    });
    wait_until_open(&mount, 0);
    let files = served(&mount).files;
    assert!(
        opened > 100 && files > 5 && calls(&mount, "read") > 5,
        "{opened} opens, {files} files"
    );
}

#[test]
fn a_file_matches_by_any_of_its_names() {
    let Some(mount) = with_log() else { return };
    let (one, other) = (mount.mnt().join("data"), mount.mnt().join("log/link"));
    drop(read_write(&one));
    wait_until_open(&mount, 0);
    fs::hard_link(&one, &other).unwrap();
    let file = read_write(&one);
    mount.add(&failing(&["write"], "EIO"));
    assert_eq!(errno_of(file.write_at(b"x", 0)), libc::EIO);
    assert_eq!(served(&mount).open, 0);
}

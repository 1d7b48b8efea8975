//! The power of a mount is cut in place: what is on disk goes back, and nothing of before the cut is of any use.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod at;
mod caches;
#[path = "../common/mod.rs"]
mod common;
mod ending;
mod etcd;
mod prepared;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;
use std::time::Duration;

use common::{Mount, Within, errno_of, hanging, scratch, slowfs, stdout_of, text_of, wait_for};
use libc::EIO;
use rustix::mount::{MountFlags, mount_remount};
use serde_json::Value;
use slowfs::rpc::{Cut, CutNow, PowerLoss};
use tempfile::TempDir;

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(50);

fn tracking(options: &[&str]) -> (Mount, PathBuf) {
    tracking_over(scratch(), options)
}

fn tracking_over(scratch: TempDir, options: &[&str]) -> (Mount, PathBuf) {
    let images = scratch.path().join("images");
    fs::create_dir(&images).unwrap();
    let dir = images.to_str().unwrap().to_owned();
    let mut all = vec!["--track-unsynced", "--unsynced-age", "1h", "--images", &dir];
    all.extend(options);
    (Mount::over(scratch, &all), images)
}

fn cut_by(mount: &Mount, keep: &str, seed: i64, stay_off: bool) -> PowerLoss {
    let mut client = mount.client();
    let ticket = client.power_prepare(LONG).unwrap();
    let cut = CutNow {
        ticket,
        keep: keep.to_owned(),
        unit: 512,
        seed: seed.to_string(),
        stay_off,
        ..CutNow::default()
    };
    client.power_commit(&cut).unwrap()
}

fn cut(mount: &Mount) -> PowerLoss {
    cut_by(mount, "none", 0, false)
}

fn control(words: &[&str], mounts: &[&Mount]) -> Command {
    let mut command = slowfs();
    command.args(words);
    for mount in mounts {
        command.args(["--addr", &mount.addr]);
    }
    command
}

fn open(path: &Path, flags: i32) -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).custom_flags(flags);
    options.open(path).unwrap()
}

/// A durable file of one page.
fn durable(mount: &Mount, name: &str) -> PathBuf {
    let path = mount.mnt().join(name);
    fs::write(&path, [b'o'; 4096]).unwrap();
    mount.client().checkpoint().unwrap();
    path
}

#[test]
fn names_links_and_removed_files_are_as_they_were() {
    let (mount, _) = tracking(&[]);
    let (mnt, raw) = (mount.mnt(), mount.raw());
    fs::create_dir_all(mnt.join("d/e")).unwrap();
    let path = durable(&mount, "d/e/f");
    let hard = durable(&mount, "hard");
    let removed = durable(&mount, "removed");
    fs::hard_link(&hard, mnt.join("d/hard")).unwrap();
    fs::write(&hard, "both").unwrap();
    fs::rename(mnt.join("d"), mnt.join("dd")).unwrap();
    fs::write(mnt.join("dd/e/f"), "new").unwrap();
    fs::write(mnt.join("dd/e/new"), "new").unwrap();
    let file = open(&removed, 0);
    fs::remove_file(&removed).unwrap();
    file.write_all_at(b"some", 0).unwrap();
    let inside = mnt.join("dd/e/f").metadata().unwrap();
    cut(&mount);
    for (mnt, side) in [(&mnt, "mount"), (&raw, "backing")] {
        let names = |dir: &str| {
            let names = fs::read_dir(mnt.join(dir)).unwrap().map(|e| e.unwrap().file_name());
            let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!((names("").as_str(), names("d/e").as_str()), ("d hard removed", "f"), "{side}");
        for path in ["d/e/f", "hard", "removed"] {
            assert!(fs::read(mnt.join(path)).unwrap() == [b'o'; 4096], "{side}: {path}");
        }
        assert_eq!(mnt.join("hard").metadata().unwrap().nlink(), 1, "{side}");
        assert!(!mnt.join("dd").exists(), "{side}");
    }
    assert_eq!(errno_of(file.sync_all()), EIO, "its name is another file's");
    assert_eq!(path.metadata().unwrap().ino(), inside.ino(), "it is the same file");
    fs::write(&removed, "new").unwrap();
    assert_eq!(fs::read(raw.join("removed")).unwrap(), b"new");
}

/// The same choice: what is left in place is what an image would have had.
#[test]
fn the_backing_is_the_image_of_the_same_seed() {
    let (mount, images) = tracking(&[]);
    let mnt = mount.mnt();
    for seed in 0..4 {
        for n in 0..6 {
            fs::create_dir_all(mnt.join(format!("d{seed}"))).unwrap();
            let path = mnt.join(format!("d{seed}/f{n}"));
            fs::write(&path, vec![b'a' + n; 2000 * usize::from(n)]).unwrap();
            if n % 2 == 0 {
                File::open(&path).unwrap().sync_all().unwrap();
                fs::write(&path, vec![b'A' + n; 1500]).unwrap();
                fs::rename(&path, mnt.join(format!("g{n}"))).unwrap();
            }
        }
        let name = format!("image{seed}");
        let image = Cut {
            name: name.clone(),
            keep: "random".to_owned(),
            unit: 512,
            seed: seed.to_string(),
            ..Cut::default()
        };
        let image = mount.client().power_cut(&image).unwrap();
        let lost = cut_by(&mount, "random", seed, false);
        assert_eq!((lost.entries, lost.dropped), (image.entries, image.dropped));
        let output = Command::new("diff")
            .args(["-r", "--no-dereference"])
            .args([&images.join(&name), &mount.raw()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{seed}: {}", text_of(&output));
        assert!(fs::read_dir(&mnt).unwrap().count() > 0);
    }
}

#[test]
fn with_the_power_off_everything_fails_until_it_is_on() {
    let (mount, _) = tracking(&[]);
    let path = durable(&mount, "f");
    for on in ["power-on", "clear"] {
        let file = open(&path, 0);
        assert!(cut_by(&mount, "none", 0, true).off);
        assert_eq!(errno_of(fs::read(&path)), EIO);
        assert_eq!(errno_of(fs::metadata(&path)), EIO);
        assert_eq!(errno_of(fs::create_dir(mount.mnt().join("new"))), EIO);
        assert_eq!(errno_of(fs::read_dir(mount.mnt())), EIO);
        let shown = stdout_of(&mut control(&["unsynced"], &[&mount]));
        assert!(shown.starts_with("the power is off; "), "{shown}");
        let again = control(&["power-cut", "--now"], &[&mount]).output().unwrap();
        assert!(text_of(&again).contains("power-on comes first"), "{}", text_of(&again));
        stdout_of(&mut control(&[on], &[&mount]));
        assert!(fs::read(&path).unwrap() == [b'o'; 4096]);
        assert_eq!(errno_of(file.sync_all()), EIO);
    }
    let told = stdout_of(&mut control(&["power-on", "--json"], &[&mount]));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["was_off"], false);
}

/// What a fault holds has not reached the disk, and never does.
#[test]
fn what_is_held_fails_and_is_not_done() {
    let (mount, _) = tracking(&[]);
    let id = mount.add(&hanging(&["mkdir"]));
    thread::scope(|scope| {
        let held = scope.spawn(|| fs::create_dir(mount.mnt().join("d")));
        wait_for("the operation to be held", || (mount.listed(id).held == 1).then_some(()));
        cut(&mount);
        assert_eq!(errno_of(held.join().unwrap()), EIO);
    });
    assert_eq!(mount.listed(id).held, 0, "the fault stays, and holds nothing");
    assert_eq!(fs::read_dir(mount.raw()).unwrap().count(), 0);
}

/// Cuts go on while programs work; nobody is left waiting, and what is there afterwards is sound.
#[test]
fn cuts_under_load_leave_nobody_waiting() {
    let (mount, _) = tracking(&[]);
    let (mnt, cuts) = (mount.mnt(), 15);
    let (done, ended) = ([const { AtomicU64::new(0) }; 4], AtomicBool::new(false));
    let work = |n: usize| {
        let [path, renamed] = ["f", "g"].map(|name| mnt.join(format!("{name}{n}")));
        while !ended.load(Relaxed) {
            let write = || -> io::Result<()> {
                let file = OpenOptions::new().create(true).append(true).open(&path)?;
                io::Write::write_all(&mut &file, &[b'x'; 3000])?;
                file.sync_all()?;
                fs::rename(&path, &renamed)?;
                fs::read(&renamed).map(drop)
            };
            done[n].fetch_add(u64::from(write().is_ok()), Relaxed);
        }
    };
    thread::scope(|scope| {
        let _ends = Ends(&ended);
        let work = &work;
        (0..done.len()).for_each(|n| drop(scope.spawn(move || work(n))));
        let count = || done.each_ref().map(|done| done.load(Relaxed));
        for n in 0..cuts {
            let before = count();
            let goes_on = || before.iter().zip(count()).all(|(before, now)| *before < now);
            wait_for("each to do something after the last cut", || goes_on().then_some(()));
            cut_by(&mount, "random", n, false);
        }
    });
    assert_eq!(mount.client().unsynced().unwrap().cuts, cuts);
    for entry in fs::read_dir(mount.raw()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.starts_with(['f', 'g']), "{name}");
    }
}

/// Has others end, also where a test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A cut that could do nothing forgets nothing.
#[test]
fn a_read_only_backing_is_left_as_it_is_and_cut_later() {
    let scratch = scratch();
    let raw = scratch.path().join("raw");
    fs::create_dir(&raw).unwrap();
    let _within = Within::over("tmpfs", raw.clone(), None);
    let (mount, _) = tracking_over(scratch, &[]);
    durable(&mount, "f");
    fs::write(mount.mnt().join("f"), "newer").unwrap();
    fs::write(mount.mnt().join("new"), "new").unwrap();
    // Files are closed a moment after close(2) has returned.
    wait_for("the last writer", || mount_remount(&raw, MountFlags::RDONLY, c"").ok());
    let mut client = mount.client();
    let ticket = client.power_prepare(LONG).unwrap();
    let refused = client.power_commit(&CutNow { ticket, ..CutNow::default() }).unwrap_err();
    let refused = refused.to_string();
    assert!(
        refused.contains("Read-only file system") && refused.contains("nothing is changed"),
        "{refused}"
    );
    mount_remount(&raw, MountFlags::empty(), c"").unwrap();
    assert!(client.power_on().unwrap());
    cut(&mount);
    assert!(fs::read(raw.join("f")).unwrap() == [b'o'; 4096]);
    assert!(!raw.join("new").exists());
}

//! What the backing and the mirror have in common at every moment: changes that the kernel does not
//! see by itself, ends of files that others move, directories bound to several places, times of
//! access.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use slowfs::fault::FaultWords;
mod common;

use std::fs::{self, File, OpenOptions};
use std::io::{IoSlice, Write};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::CWD;
use rustix::io::ReadWriteFlags;
use rustix::mount::UnmountFlags;

use common::user::as_user;
use common::{Mount, errno_of, failing, passing_over, scratch, stdout_of, wait_for};

/// Longer than a tick of the clock that stamps files.
const TICK: Duration = Duration::from_millis(20);

/// Times that relatime moves at the next look.
const LONG_AGO: &str = "2001-01-01T00:00:00Z";

/// All of stat(2) that both sides must agree on.
fn told(path: &Path) -> [i64; 12] {
    let m = fs::symlink_metadata(path).unwrap();
    let [mode, uid, gid] = [m.mode(), m.uid(), m.gid()].map(i64::from);
    let [nlink, size, blocks] = [m.nlink(), m.size(), m.blocks()].map(|n| n.try_into().unwrap());
    [
        mode,
        uid,
        gid,
        nlink,
        size,
        blocks,
        m.atime(),
        m.atime_nsec(),
        m.mtime(),
        m.mtime_nsec(),
        m.ctime(),
        m.ctime_nsec(),
    ]
}

/// A directory of the mirror with files of each kind, all of them known to the kernel.
struct Known<'a> {
    mount: &'a Mount,
    name: String,
}

const FILES: [&str; 5] = ["f", "g", "d", "s", "."];

impl Known<'_> {
    fn new<'a>(mount: &'a Mount, what: &str) -> Known<'a> {
        let known = Known { mount, name: what.replace(' ', "-") };
        let raw = mount.raw().join(&known.name);
        fs::create_dir(&raw).unwrap();
        for name in ["f", "g"] {
            fs::write(raw.join(name), vec![b'x'; 20_000]).unwrap();
            let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o6777);
            fs::set_permissions(raw.join(name), everybody).unwrap();
        }
        fs::create_dir(raw.join("d")).unwrap();
        symlink("f", raw.join("s")).unwrap();
        let all = FILES.map(|name| raw.join(name));
        stdout_of(Command::new("touch").args(["-h", "-a", "-d", LONG_AGO]).args(all));
        known.look();
        sleep(TICK);
        known.look();
        known
    }

    fn at(&self, name: &str) -> PathBuf {
        self.mount.mnt().join(&self.name).join(name)
    }

    /// Has the kernel ask for all attributes that it does not trust already.
    fn look(&self) {
        let _ = FILES.map(|name| told(&self.at(name)));
    }

    fn agrees(&self) {
        for name in FILES {
            let beneath = self.mount.raw().join(&self.name).join(name);
            assert_eq!(told(&self.at(name)), told(&beneath), "{}: {name}", self.name);
        }
    }
}

fn open_rw(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

fn by_nobody(act: impl FnOnce() + Send) {
    as_user(65534, 65534, &[], act);
}

fn chattr(flag: &str, path: &Path) {
    stdout_of(Command::new("chattr").arg(flag).arg(path));
}

type Act = fn(&Known<'_>);

/// What changes an inode: also what the kernel itself must see to, since a later one may not.
const ACTS: [(&str, Act); 16] = [
    ("flags", |k| chattr("+d", &k.at("f"))),
    ("flags of a directory", |k| chattr("+d", &k.at("d"))),
    ("copy", |k| {
        let (from, to) = (File::open(k.at("f")).unwrap(), open_rw(&k.at("g")));
        let copied =
            rustix::fs::copy_file_range(&from, Some(&mut 15_000), &to, Some(&mut 0), 5_000);
        assert_eq!(copied, Ok(5_000));
    }),
    ("copy by an ordinary user", |k| {
        let (from, to) = (File::open(k.at("f")).unwrap(), open_rw(&k.at("g")));
        by_nobody(|| {
            rustix::fs::copy_file_range(&from, Some(&mut 0), &to, Some(&mut 0), 10).unwrap();
        });
    }),
    ("write by an ordinary user", |k| {
        let file = open_rw(&k.at("f"));
        by_nobody(|| file.write_all_at(b"new", 30_000).unwrap());
    }),
    ("allocation by an ordinary user", |k| {
        let file = open_rw(&k.at("f"));
        let keep = rustix::fs::FallocateFlags::KEEP_SIZE;
        by_nobody(|| rustix::fs::fallocate(&file, keep, 0, 200_000).unwrap());
    }),
    ("attribute", |k| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(k.at("f"), "user.large", &[1; 2000], flags).unwrap();
    }),
    ("attribute gone", |k| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(k.at("f"), "user.a", b"1", flags).unwrap();
        told(&k.at("f"));
        sleep(TICK);
        rustix::fs::removexattr(k.at("f"), "user.a").unwrap();
    }),
    ("ACL", |k| {
        stdout_of(Command::new("setfacl").args(["-m", "u:1234:x"]).arg(k.at("f")));
    }),
    ("link and unlink", |k| {
        fs::hard_link(k.at("f"), k.at("d/l")).unwrap();
        k.agrees();
        sleep(TICK);
        fs::remove_file(k.at("d/l")).unwrap();
    }),
    ("replaced", |k| {
        fs::hard_link(k.at("f"), k.at("l")).unwrap();
        told(&k.at("f"));
        sleep(TICK);
        fs::write(k.at("n"), "").unwrap();
        fs::rename(k.at("n"), k.at("l")).unwrap();
    }),
    ("exchanged", |k| {
        let exchange = rustix::fs::RenameFlags::EXCHANGE;
        let (f, g) = (k.at("f"), k.at("g"));
        rustix::fs::renameat_with(CWD, &f, CWD, &g, exchange).unwrap();
    }),
    ("directory moved", |k| {
        fs::create_dir(k.at("n")).unwrap();
        k.look();
        sleep(TICK);
        fs::rename(k.at("n"), k.at("d/n")).unwrap();
    }),
    ("truncated", |k| {
        let mut truncating = OpenOptions::new();
        truncating.write(true).truncate(true).open(k.at("f")).unwrap();
    }),
    ("looked at", |k| {
        fs::read(k.at("f")).unwrap();
        fs::read_link(k.at("s")).unwrap();
        fs::read_dir(k.at("d")).unwrap().for_each(drop);
    }),
    ("punched", |k| {
        let hole = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(open_rw(&k.at("f")), hole, 0, 8192).unwrap();
    }),
];

#[test]
fn whatever_changes_an_inode_shows_at_once() {
    let mount = Mount::new();
    for (what, act) in ACTS {
        let known = Known::new(&mount, what);
        act(&known);
        known.agrees();
    }
}

fn appending(path: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(path).unwrap()
}

#[test]
fn an_append_keeps_what_others_appended_in_the_backing() {
    for options in [&[] as &[&str], &["--direct-io"]] {
        let mount = Mount::with(options);
        let (here, beneath) = (mount.mnt().join("log"), mount.raw().join("log"));
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        let mut log = appending(&here);
        log.write_all(b"one ").unwrap();
        appending(&beneath).write_all(b"two ").unwrap();
        log.write_all(b"three ").unwrap();
        assert_eq!(
            (read(&beneath), read(&here)),
            ("one two three ".into(), "one two three ".into())
        );
        // By a fresh handle, and of a file that became shorter.
        appending(&beneath).write_all(b"four ").unwrap();
        appending(&here).write_all(b"five ").unwrap();
        assert_eq!(read(&beneath), "one two three four five ");
        File::options().write(true).open(&beneath).unwrap().set_len(4).unwrap();
        log.write_all(b"six").unwrap();
        assert_eq!((read(&beneath), read(&here)), ("one six".into(), "one six".into()));
    }
}

#[test]
fn a_write_in_place_stays_there_whatever_the_file_was_opened_for() {
    const RWF_NOAPPEND: u32 = 0x20;
    let mount = Mount::new();
    let log = appending(&mount.mnt().join("log"));
    (&log).write_all(b"0123456789").unwrap();
    let place = ReadWriteFlags::from_bits_retain(RWF_NOAPPEND);
    match rustix::io::pwritev2(&log, &[IoSlice::new(b"xx")], 3, place) {
        // Linux before 6.9 has no such flag.
        Err(error) => assert_eq!(error, rustix::io::Errno::OPNOTSUPP),
        Ok(_) => assert_eq!(fs::read(mount.raw().join("log")).unwrap(), b"012xx56789"),
    }
    assert_eq!(rustix::io::pwrite(&log, b"end", 0).unwrap(), 3, "pwrite(2) appends");
    assert!(fs::read(mount.raw().join("log")).unwrap().ends_with(b"end"));
}

/// A directory bound to another place, until the end of the test.
struct Bound(PathBuf);

impl Bound {
    fn to(directory: &Path, place: PathBuf) -> Bound {
        fs::create_dir_all(&place).unwrap();
        rustix::mount::mount_bind(directory, &place).expect("this test needs root");
        Bound(place)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn a_directory_bound_below_itself_is_entered() {
    let mount = Mount::new();
    let raw = mount.raw();
    fs::create_dir(raw.join("d")).unwrap();
    fs::write(raw.join("d/file"), "content").unwrap();
    let _bound = Bound::to(&raw.join("d"), raw.join("d/again"));
    let _root = Bound::to(&raw, raw.join("d/root"));
    for way in ["d", "d/again", "d/root/d", "d/again/root/.."] {
        let way = mount.mnt().join(way);
        assert_eq!(fs::read_to_string(way.join("file")).unwrap(), "content", "{}", way.display());
        assert_eq!(fs::read_dir(&way).unwrap().count(), 3);
    }
    fs::write(mount.mnt().join("d/again/new"), "").unwrap();
    fs::rename(mount.mnt().join("d/again/new"), mount.mnt().join("d/again/newer")).unwrap();
    assert!(raw.join("d/newer").exists());
    // As on the disk, there is no way from one mount into the other.
    let across = fs::rename(mount.mnt().join("d/newer"), mount.mnt().join("d/again/newest"));
    assert_eq!(errno_of(across), libc::EXDEV);
}

#[test]
fn a_file_in_a_directory_bound_twice_matches_by_either_path() {
    let mount = Mount::new();
    let raw = mount.raw();
    fs::create_dir(raw.join("one")).unwrap();
    fs::write(raw.join("one/file"), "content").unwrap();
    fs::write(raw.join("one/other"), "content").unwrap();
    let _bound = Bound::to(&raw.join("one"), raw.join("two"));
    for file in ["one/file", "two/file"] {
        fs::read(mount.mnt().join(file)).unwrap();
    }
    let clear = mount.clear_on_drop();
    for pattern in [".*/one/file", ".*/two/file"] {
        mount.clear();
        mount.add(&FaultWords { pattern: pattern.into(), ..failing(&["open"], "EIO") });
        for _ in 0..2 {
            for file in ["one/file", "two/file"] {
                let opened = File::open(mount.mnt().join(file));
                assert_eq!(errno_of(opened), libc::EIO, "{file} by {pattern}");
            }
            File::open(mount.mnt().join("one/other")).unwrap();
        }
    }
    mount.clear();
    mount.add(&FaultWords { pattern: ".*/two/.*".into(), ..failing(&["create"], "EIO") });
    fs::write(mount.mnt().join("one/new"), "").unwrap();
    assert_eq!(errno_of(fs::write(mount.mnt().join("two/newer"), "")), libc::EIO);
    drop(clear);
}

fn accessed(path: &Path) -> i64 {
    fs::symlink_metadata(path).unwrap().atime()
}

/// Looks at a file, a directory, a program and a symlink through a mirror, whose times of access in
/// the backing are long ago. Returns whether they moved.
fn moved_by(mount: &Mount) -> [bool; 4] {
    let (mnt, raw) = (mount.mnt(), mount.raw());
    fs::create_dir(raw.join("d")).unwrap();
    fs::write(raw.join("d/file"), vec![1; 100_000]).unwrap();
    // By another process: what a thread of this one starts meanwhile would have it open for writing.
    stdout_of(Command::new("cp").arg("/bin/true").arg(raw.join("program")));
    symlink("d/file", raw.join("link")).unwrap();
    let all = ["d/file", "d", "program", "link"].map(|name| raw.join(name));
    stdout_of(Command::new("touch").args(["-h", "-a", "-d", LONG_AGO]).args(&all));
    let before = accessed(&all[0]);
    fs::read(mnt.join("d/file")).unwrap();
    fs::read_link(mnt.join("link")).unwrap();
    let mut mapped =
        common::calls::Mapping::new(&open_rw(&mnt.join("d/file")), 4096, libc::MAP_SHARED);
    mapped.as_mut().unwrap()[0] = 2;
    // Two listings at once by one handle take a descriptor more.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                (0..20).for_each(|_| assert_eq!(fs::read_dir(mnt.join("d")).unwrap().count(), 1))
            });
        }
    });
    assert!(Command::new(mnt.join("program")).status().unwrap().success());
    fs::write(mnt.join("new"), "new").unwrap();
    all.map(|path| accessed(&path) != before)
}

#[test]
fn noatime_keeps_the_times_of_the_backing() {
    let by = |options: &[&str]| moved_by(&Mount::with(options));
    assert_eq!(by(&["-o", "noatime"]), [false; 4]);
    assert_eq!(by(&["-o", "noatime", "--direct-io"]), [false; 4]);
    let backing = by(&[]);
    assert_eq!(by(&["-o", "nodiratime"]), [backing[0], false, backing[2], backing[3]]);
}

#[test]
fn noatime_keeps_the_times_of_files_that_the_kernel_serves() {
    let options = ["--passthrough-except", "no such path", "-o", "noatime"];
    let Some(mount) = passing_over(scratch(), &options) else { return };
    assert_eq!(moved_by(&mount), [false; 4]);
    assert!(mount.client().stats().unwrap().passthrough.unwrap().files > 0);
}

#[test]
fn what_is_stored_into_a_file_past_the_page_cache_is_written_back() {
    let mount = Mount::with(&["--direct-io"]);
    let file = File::create_new(mount.mnt().join("db")).unwrap();
    file.set_len(1 << 20).unwrap();
    let file = open_rw(&mount.mnt().join("db"));
    let stored = std::thread::spawn(move || {
        let mut map = common::calls::Mapping::new(&file, 1 << 20, libc::MAP_SHARED).unwrap();
        for page in 0..256 {
            map[page * 4096] = 1;
            map.sync().unwrap();
        }
    });
    wait_for("the stores to be written back", || stored.is_finished().then_some(()));
    stored.join().unwrap();
    let content = fs::read(mount.raw().join("db")).unwrap();
    assert!((0..256).all(|page| content[page * 4096] == 1));
}

//! Nothing outside the mirrored directory is read, changed or made by the daemon, whatever is put in
//! the place of a file or directory while an operation on it goes through.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::{self, File};
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{CWD, RenameFlags, XattrFlags};

use common::user::as_user;
use common::{Mount, goes_on, long_or};

/// Who does everything in these races: it is let into the mirrored directory, and not to where the
/// symlinks lead. What is seen or changed there, the daemon did, which is root.
const USER: u32 = 50_002;

/// Directories that are swapped, far more than the daemon may keep open.
const PLACES: usize = 60;
const DESCRIPTORS: u32 = 80;

/// What an operation in such a race may end with.
const EXPECTED: [i32; 10] = [
    libc::ENOENT,
    libc::ESTALE,
    libc::EACCES,
    libc::EPERM,
    libc::ENOTDIR,
    libc::EISDIR,
    libc::EEXIST,
    libc::ENOTEMPTY,
    libc::ENODATA,
    libc::ELOOP,
];

/// What lies outside, and all that happens to it.
struct Outside {
    path: PathBuf,
    watch: OwnedFd,
    before: String,
}

impl Outside {
    fn make(path: PathBuf) -> Outside {
        fs::create_dir_all(path.join("inner")).unwrap();
        for file in ["secret", "inner/secret"] {
            fs::write(path.join(file), "outside").unwrap();
            fs::set_permissions(path.join(file), PermissionsExt::from_mode(0o666)).unwrap();
        }
        fs::set_permissions(path.join("inner"), PermissionsExt::from_mode(0o777)).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
        let before = Outside::state(&path);
        let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        for watched in ["", "inner"] {
            inotify::add_watch(&watch, path.join(watched), WatchFlags::ALL_EVENTS).unwrap();
        }
        Outside { path, watch, before }
    }

    /// Every name there, with what changes if only its attributes are set.
    fn state(path: &Path) -> String {
        let all = ["", "secret", "inner", "inner/secret"].map(|name| {
            let m = fs::metadata(path.join(name)).unwrap();
            format!("{name}: {:?} {:?}", m, (m.ctime(), m.ctime_nsec(), m.atime_nsec()))
        });
        all.join("\n")
    }

    fn assert_untouched(&self) {
        let mut room = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.watch, &mut room);
        if let Ok(event) = events.next() {
            panic!("{:?} of {:?}", event.events(), event.file_name());
        }
        assert_eq!(Outside::state(&self.path), self.before);
    }
}

/// `d0`... with files and a directory in them, and beside each `s0`... that leads outside.
fn prepare(raw: &Path, outside: &Path) {
    fs::create_dir(raw).unwrap();
    fs::set_permissions(raw, PermissionsExt::from_mode(0o777)).unwrap();
    for n in 0..PLACES {
        let dir = raw.join(format!("d{n}"));
        fs::create_dir_all(dir.join("inner")).unwrap();
        for path in [dir.clone(), dir.join("inner")] {
            fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
        }
        fill(&dir).unwrap();
        // The same place, by both kinds of symlinks.
        let target = if n % 2 == 0 { outside } else { Path::new("../outside") };
        symlink(target, raw.join(format!("s{n}"))).unwrap();
        symlink(target.join("secret"), dir.join("link")).unwrap();
    }
}

fn fill(dir: &Path) -> io::Result<()> {
    for file in ["secret", "inner/secret"] {
        fs::write(dir.join(file), "inside")?;
        fs::set_permissions(dir.join(file), PermissionsExt::from_mode(0o666))?;
    }
    Ok(())
}

fn exchange(from: PathBuf, to: PathBuf) -> bool {
    rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE).is_ok()
}

/// Puts symlinks in the place of directories and files and takes them away again.
fn swap(root: &Path, round: usize) -> bool {
    let n = round * 7 % PLACES;
    let (dir, aside) = (root.join(format!("d{n}")), root.join(format!("s{n}")));
    if round.is_multiple_of(3) {
        exchange(dir.join("secret"), dir.join("link"))
    } else {
        exchange(dir, aside)
    }
}

/// One operation of an ordinary user on what may be a directory of ours or a symlink just now.
fn act(root: &Path, round: usize) -> io::Result<()> {
    let dir = root.join(format!("d{}", round * 11 % PLACES));
    let inner = if round.is_multiple_of(2) { dir.clone() } else { dir.join("inner") };
    let (secret, new) = (inner.join("secret"), inner.join(format!("new{}", round % 5)));
    match round / 2 % 16 {
        0 | 1 => assert!(!fs::read_to_string(&secret)?.contains("outside")),
        2 => File::options().append(true).open(&secret)?.write_all(b"+")?,
        3 => fs::write(&new, "inside")?,
        4 => fs::remove_file(&new)?,
        5 => fs::rename(&new, &secret)?,
        6 => fs::rename(&secret, &new)?,
        7 => fs::hard_link(&secret, &new)?,
        8 => fs::DirBuilder::new().mode(0o777).create(&new)?,
        9 => fs::remove_dir(&new)?,
        10 => fs::set_permissions(&secret, PermissionsExt::from_mode(0o666))?,
        11 => File::options().write(true).open(&secret)?.set_len(6)?,
        12 => rustix::fs::setxattr(&secret, "user.x", b"v", XattrFlags::empty())?,
        13 => symlink("secret", &new)?,
        14 => fs::read_dir(&inner)?.try_for_each(|entry| entry.map(drop))?,
        _ => return fs::metadata(&secret).map(|_| ()),
    }
    Ok(())
}

/// Runs `job` with growing numbers until `over`.
fn repeat(over: &AtomicBool, job: &(dyn Fn(usize) + Sync)) {
    (0..).take_while(|_| !over.load(Ordering::Relaxed)).for_each(job);
}

#[test]
fn nothing_outside_is_touched_while_symlinks_take_the_place_of_directories() {
    let scratch = common::scratch();
    let outside = scratch.path().join("outside");
    prepare(&scratch.path().join("raw"), &outside);
    let mount = Mount::limited(DESCRIPTORS, scratch, &[]);
    let outside = Outside::make(outside);
    let (mnt, raw) = (mount.mnt(), mount.raw());
    let over = AtomicBool::new(false);
    let [swaps, filled, done, refused] = [const { AtomicUsize::new(0) }; 4];
    let add = |count: &AtomicUsize, yes| {
        count.fetch_add(usize::from(yes), Ordering::Relaxed);
    };
    let count = |result: io::Result<()>| match result {
        Ok(()) => add(&done, true),
        Err(error) => {
            let code = error.raw_os_error().unwrap_or_default();
            assert!(EXPECTED.contains(&code), "{error}");
            add(&refused, true);
        }
    };
    let jobs: [&(dyn Fn(usize) + Sync); 5] = [
        &|n| add(&swaps, swap(&raw, n)),
        &|n| add(&swaps, swap(&mnt, n)),
        // What was removed is put back.
        &|n| add(&filled, fill(&raw.join(format!("d{}", n % PLACES))).is_ok()),
        &|n| count(act(&mnt, n)),
        &|n| count(act(&mnt, n + 5000)),
    ];
    let counts = || [&swaps, &done, &refused].map(|count| count.load(Ordering::Relaxed));
    let enough = |counts: &[usize; 3]| counts[0] > 1000 && counts.iter().all(|count| *count > 200);
    std::thread::scope(|scope| {
        let over = &over;
        let run = |job| scope.spawn(move || as_user(USER, USER, &[], || repeat(over, job)));
        let threads = jobs.map(run);
        let began = Instant::now();
        let least = long_or(Duration::from_secs(90), Duration::from_secs(4));
        while goes_on(began, least, || enough(&counts()))
            && !threads.iter().any(|t| t.is_finished())
        {
            std::thread::sleep(Duration::from_millis(10));
        }
        over.store(true, Ordering::Relaxed);
    });
    let counts = counts();
    println!("{} swaps, {} operations succeeded, {} failed", counts[0], counts[1], counts[2]);
    assert!(enough(&counts), "{counts:?}");
    outside.assert_untouched();
}

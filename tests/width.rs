//! More entries than a listing holds at once, and more files than the daemon may have open.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{Mount, errno_of, failing, long_or, wait_for, wait_up_to};

/// Runs `job` with growing numbers while `work` runs, at least once.
fn meanwhile<T>(jobs: &[&(dyn Fn(usize) + Sync)], work: impl FnOnce() -> T) -> T {
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for job in jobs {
            let over = &over;
            scope.spawn(move || {
                (0..).take_while(|n| *n == 0 || !over.load(Ordering::Relaxed)).for_each(job);
            });
        }
        let _over = Over(&over);
        work()
    })
}

/// A line of /proc/.../status of the daemon, as a number of kB or of whatever it counts.
fn status(mount: &Mount, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", mount.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.split_ascii_whitespace().next().unwrap().parse().unwrap()
}

fn descriptors(mount: &Mount) -> usize {
    fs::read_dir(format!("/proc/{}/fd", mount.pid())).unwrap().count()
}

/// How often each of the files that stay is in a listing, and how many others.
fn listed(dir: &Path, staying: usize, look_closer: bool) -> (Vec<u8>, usize) {
    let (mut seen, mut others) = (vec![0; staying], 0);
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        match entry.file_name().to_str().unwrap().strip_prefix("stays-") {
            Some(n) => {
                seen[n.parse::<usize>().unwrap()] += 1;
                // The attributes then come with the listing.
                assert!(!look_closer || entry.metadata().unwrap().is_file());
            }
            None => others += 1,
        }
    }
    (seen, others)
}

/// How many others come and go at once.
const PASSING: usize = 200;

/// Makes files, renames one, and removes them.
fn come_and_go(dir: &Path, from: &str, round: usize) {
    let name = |n: usize| dir.join(format!("{from}-{round}-{n}"));
    (0..PASSING).for_each(|n| drop(File::create(name(n)).unwrap()));
    fs::rename(name(0), name(PASSING)).unwrap();
    (1..=PASSING).for_each(|n| fs::remove_file(name(n)).unwrap());
}

#[test]
fn large_directory_is_listed_whole_while_entries_come_and_go() {
    let staying = long_or(200_000, 20_000);
    let mount = Mount::new();
    let (dir, behind) = (mount.mnt().join("d"), mount.raw().join("d"));
    fs::create_dir(&behind).unwrap();
    (0..staying).for_each(|n| drop(File::create(behind.join(format!("stays-{n}"))).unwrap()));
    let passed = AtomicUsize::new(0);
    let jobs: [&(dyn Fn(usize) + Sync); 2] = [
        &|round| {
            come_and_go(&dir, "mirror", round);
            passed.fetch_add(PASSING, Ordering::Relaxed);
        },
        &|round| {
            come_and_go(&behind, "behind", round);
            passed.fetch_add(PASSING, Ordering::Relaxed);
        },
    ];
    let started = Instant::now();
    let mut most_others = 0;
    meanwhile(&jobs, || {
        for look_closer in [false, true, false] {
            let (seen, others) = listed(&dir, staying, look_closer);
            let wrong: Vec<_> = (0..staying).filter(|n| seen[*n] != 1).collect();
            assert!(wrong.is_empty(), "missing or double: {wrong:?}");
            most_others = others.max(most_others);
        }
    });
    println!(
        "{staying} entries listed 3 times in {:.1} s while {} came and went, {most_others} of them \
         seen; the daemon has {} kB resident, {} descriptors",
        started.elapsed().as_secs_f64(),
        passed.into_inner(),
        status(&mount, "VmRSS:"),
        descriptors(&mount)
    );
    assert_eq!(listed(&dir, staying, false), (vec![1; staying], 0));
    let next = format!("stays-{staying}");
    File::create(dir.join(&next)).unwrap();
    assert_eq!(listed(&dir, staying + 1, false).0[staying], 1);
    fs::remove_dir_all(&dir).unwrap();
    assert!(!behind.exists());
}

/// The descriptors that the daemon may have.
const LIMIT: u32 = 1024;
const FILES_IN_ONE: usize = 100;

/// The directories of the tree, three deep.
fn directories(count: usize) -> Vec<PathBuf> {
    (0..count).map(|n| PathBuf::from(format!("t/{}/{}/{n}", n % 7, n % 31))).collect()
}

/// Goes through everything below `dir`, looking at every file and reading every tenth.
fn walk(dir: &Path, files: &AtomicUsize) {
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.starts_with("passing") {
                continue;
            }
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                left.push(path);
                continue;
            }
            assert_eq!(metadata.size(), name.len() as u64, "{}", path.display());
            if files.fetch_add(1, Ordering::Relaxed).is_multiple_of(10) {
                assert_eq!(fs::read_to_string(&path).unwrap(), name);
            }
        }
    }
}

/// Makes, renames and removes, spread over the tree.
fn change(mnt: &Path, dirs: &[PathBuf], round: usize) {
    let place = |n: usize| mnt.join(&dirs[(round * 17 + n * 5) % dirs.len()]);
    let (here, there) = (place(0), place(1));
    let made = here.join(format!("passing-{round}"));
    fs::write(&made, "passing").unwrap();
    let moved = there.join(format!("passing-{round}-moved"));
    fs::rename(&made, &moved).unwrap();
    assert_eq!(errno_of(fs::metadata(&made)), libc::ENOENT);
    fs::hard_link(&moved, &made).unwrap();
    fs::create_dir(here.join(format!("passing-{round}-d"))).unwrap();
    fs::remove_dir(here.join(format!("passing-{round}-d"))).unwrap();
    for name in [made, moved] {
        assert_eq!(fs::read_to_string(&name).unwrap(), "passing");
        fs::remove_file(name).unwrap();
    }
}

#[test]
fn tree_is_walked_and_changed_with_few_descriptors() {
    let dirs = directories(long_or(3000, 100));
    let expected = dirs.len() * FILES_IN_ONE;
    let scratch = common::scratch();
    for dir in &dirs {
        let dir = scratch.path().join("raw").join(dir);
        fs::create_dir_all(&dir).unwrap();
        for n in 0..FILES_IN_ONE {
            fs::write(dir.join(format!("file-{n}")), format!("file-{n}")).unwrap();
        }
    }
    let mount = Mount::limited(LIMIT, scratch, &[]);
    let mnt = mount.mnt();
    let limits = fs::read_to_string(format!("/proc/{}/limits", mount.pid())).unwrap();
    let limit = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(limit.matches(&LIMIT.to_string()).count(), 2, "{limit}");

    let started = Instant::now();
    let (most_open, changes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let sample = |_| {
        most_open.fetch_max(descriptors(&mount), Ordering::Relaxed);
    };
    let restless = |round| {
        change(&mnt, &dirs, round);
        changes.fetch_add(1, Ordering::Relaxed);
    };
    let mut walked = [0; 2];
    for count in &mut walked {
        let files = AtomicUsize::new(0);
        meanwhile(&[&restless, &sample], || {
            std::thread::scope(|scope| {
                for top in 0..7 {
                    let (top, files) = (mnt.join("t").join(top.to_string()), &files);
                    scope.spawn(move || walk(&top, files));
                }
            });
        });
        *count = files.into_inner();
    }
    println!(
        "{walked:?} files walked in {:.1} s with {} rounds of changes; the daemon had at most {} \
         descriptors and {} kB resident",
        started.elapsed().as_secs_f64(),
        changes.into_inner(),
        most_open.load(Ordering::Relaxed),
        status(&mount, "VmHWM:"),
    );
    assert_eq!(walked, [expected; 2]);
    assert!(most_open.into_inner() <= LIMIT as usize);
    fs::rename(mnt.join("t"), mnt.join("u")).unwrap();
    fs::remove_dir_all(mnt.join("u")).unwrap();
    wait_for("the tree to be gone", || {
        fs::read_dir(mount.raw()).unwrap().next().is_none().then_some(())
    });
}

/// The daemon's resident memory in kB.
fn resident(mount: &Mount) -> u64 {
    status(mount, "VmRSS:")
}

/// Bytes that a file takes which the kernel knows.
const MOST_EACH: u64 = 250;

#[test]
fn files_take_little_memory_which_is_given_back_when_they_are_forgotten() {
    let (dirs, most_above) = long_or((1000, 10_000), (50, 5_000));
    let scratch = common::scratch();
    for dir in 0..dirs {
        let dir = scratch.path().join("raw").join(dir.to_string());
        fs::create_dir_all(&dir).unwrap();
        (0..1000).for_each(|n| drop(File::create(dir.join(format!("file-{n}"))).unwrap()));
    }
    let mount = Mount::over(scratch, &[] as &[&str]);
    let idle = resident(&mount);
    let mut walked = 0;
    for dir in fs::read_dir(mount.mnt()).unwrap() {
        for file in fs::read_dir(dir.unwrap().path()).unwrap() {
            assert!(file.unwrap().metadata().unwrap().is_file());
            walked += 1;
        }
    }
    let full = resident(&mount);
    // The kernel forgets what nobody uses when a filesystem is remounted.
    let mut remount = common::slowfs();
    common::stdout_of(remount.arg("mount").arg(mount.mnt()).args(["-o", "remount,rw"]));
    let began = Instant::now();
    let (mut left, mut threads) = (resident(&mount), 0);
    wait_up_to(Duration::from_secs(60), "the memory to be given back", || {
        left = resident(&mount);
        threads = threads.max(status(&mount, "Threads:"));
        (left < idle + most_above).then_some(())
    });
    assert!(threads < 200, "{threads} threads to forget {walked} files");
    let each = (full - idle) * 1024 / walked;
    println!(
        "{walked} files, {each} bytes each: {idle} kB idle, {full} kB when all were known, {left} kB {:.1} s after they \
         were forgotten",
        began.elapsed().as_secs_f64()
    );
    assert_eq!(walked, dirs * 1000);
    assert!(full > idle + most_above, "{idle} kB idle, {full} kB full: nothing is shown");
    assert!(each <= MOST_EACH, "{each} bytes for each file that the kernel knows");
}

/// More than `list --ended` remembers.
const PATTERNS: usize = 120;

#[test]
fn memory_of_patterns_that_were_cleared_is_given_back() {
    let mount = Mount::new();
    let _clear = mount.clear_on_drop();
    let idle = resident(&mount);
    let began = Instant::now();
    for n in 0..PATTERNS {
        let mut fault = failing(&["mkdir"], "EIO");
        let names: Vec<_> = (0..900).map(|m| format!("name-{n}-{m}")).collect();
        fault.pattern = format!(".*({})/{n}.*", names.join("|"));
        mount.add(&fault);
    }
    let (full, set) = (resident(&mount), began.elapsed());
    mount.clear();
    assert!(full > idle + 8_000, "{idle} kB idle, {full} kB full: nothing is shown");
    let mut left = full;
    wait_up_to(Duration::from_secs(60), "the memory to be given back", || {
        left = resident(&mount);
        (left + 5_000 < full).then_some(())
    });
    println!(
        "{PATTERNS} patterns: {idle} kB idle, {full} kB set after {:.1} s, {left} kB {:.1} s after \
         they were cleared",
        set.as_secs_f64(),
        (began.elapsed() - set).as_secs_f64()
    );
    assert_eq!(mount.client().list_faults().unwrap(), []);
}

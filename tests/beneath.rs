//! Files that come, go and take each other's places directly in the backing: what the mirror shows
//! under a name was there a moment ago, whole, and is soon what is there now.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags};

use common::disk::Disk;
use common::{Mount, goes_on, long_or, wait_for};

/// How long the kernel may answer from what it knows, with some to spare for a busy machine.
const KNOWN_FOR: Duration = Duration::from_secs(3);

/// An ext4 that gives the number of a removed file to the next one, and its mirror by a daemon that
/// cannot keep many descriptors, each of which would keep a number from being given away.
struct Reusing {
    mount: Mount, // Ended before its disk is unmounted.
    _disk: Disk,
}

impl Reusing {
    fn new(options: &[&str]) -> Reusing {
        // A journal keeps numbers from being reused for a while.
        let disk = Disk::ext4_with(&["-O", "^has_journal"]);
        Reusing { mount: Mount::limited(64, disk.directory(), options), _disk: disk }
    }
}

/// Files are all of one size, so that it tells nothing, and full of their own number.
const LENGTH: usize = 8192;

fn write(path: &Path, id: u64) {
    fs::write(path, format!("{id:016}").repeat(LENGTH / 16)).unwrap();
}

/// The number that a file is full of.
fn id_in(file: &File) -> io::Result<u64> {
    let mut content = vec![0; LENGTH + 1];
    let length = file.read_at(&mut content, 0)?;
    assert_eq!(length, LENGTH);
    let mut numbers = content[..length].chunks(16);
    let first = numbers.next().unwrap();
    assert!(numbers.all(|number| number == first), "the content of two files");
    Ok(std::str::from_utf8(first).unwrap().parse().unwrap())
}

/// When a file was under a name: since, and until if that is over.
type Stay = (Instant, Option<Instant>);

/// Which file was under which name when.
#[derive(Default)]
struct History(Mutex<HashMap<(usize, u64), Stay>>);

impl History {
    /// From before it can be seen there.
    fn arrives(&self, name: usize, id: u64) {
        self.0.lock().unwrap().insert((name, id), (Instant::now(), None));
    }

    /// From when it cannot be seen there any more.
    fn left(&self, name: usize, id: u64) {
        if let Some((_, until)) = self.0.lock().unwrap().get_mut(&(name, id)) {
            *until = Some(Instant::now());
        }
    }

    /// Whether it was there at some time from then on, or may have been so shortly before.
    fn was_there(&self, name: usize, id: u64, since: Instant) -> bool {
        let stay = self.0.lock().unwrap().get(&(name, id)).copied();
        stay.is_some_and(|(_, until)| until.is_none_or(|until| until + KNOWN_FOR >= since))
    }
}

const NAMES: usize = 100;

/// Changes the backing, one name or two at a time.
struct Shuffler<'a> {
    raw: &'a Path,
    history: &'a History,
    /// What is under each name now.
    there: Vec<Option<u64>>,
    next: u64,
    reused: usize,
}

impl Shuffler<'_> {
    fn path(&self, name: usize) -> PathBuf {
        self.raw.join(format!("f{name}"))
    }

    fn remove(&mut self, name: usize) -> Option<u64> {
        let id = self.there[name].take()?;
        let number = fs::metadata(self.path(name)).unwrap().ino();
        fs::remove_file(self.path(name)).unwrap();
        self.history.left(name, id);
        Some(number)
    }

    /// A new file under the name, in the place of another or not; its inode number.
    fn put(&mut self, name: usize) -> u64 {
        self.next += 1;
        let aside = self.raw.join("aside");
        write(&aside, self.next);
        let number = fs::metadata(&aside).unwrap().ino();
        self.history.arrives(name, self.next);
        fs::rename(aside, self.path(name)).unwrap();
        if let Some(id) = self.there[name].replace(self.next) {
            self.history.left(name, id);
        }
        number
    }

    fn exchange(&mut self, one: usize, other: usize) {
        let (Some(a), Some(b)) = (self.there[one], self.there[other]) else { return };
        self.history.arrives(one, b);
        self.history.arrives(other, a);
        let (from, to) = (self.path(one), self.path(other));
        rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE).unwrap();
        self.history.left(one, a);
        self.history.left(other, b);
        self.there.swap(one, other);
    }

    fn step(&mut self, round: usize) {
        let (one, other) = (round * 7 % NAMES, round * 13 % NAMES);
        match round % 4 {
            0 => drop(self.put(one)),
            1 if one != other => self.exchange(one, other),
            2 => {
                let freed = self.remove(one);
                let given = self.put(other);
                self.reused += usize::from(freed == Some(given));
            }
            _ => drop(self.remove(one)),
        }
    }
}

/// Reads what is under a name, twice through one handle.
fn look(mnt: &Path, history: &History, name: usize) -> io::Result<()> {
    let since = Instant::now();
    let file = File::open(mnt.join(format!("f{name}")))?;
    let id = id_in(&file)?;
    assert!(history.was_there(name, id, since), "file {id} under name {name}");
    assert_eq!(id_in(&file)?, id, "another file behind an open handle");
    Ok(())
}

const WRITTEN_BACK: [&str; 1] = ["--writeback-cache"];

#[test]
fn no_file_shows_under_a_name_that_is_not_its_own() {
    files_show_under_their_names(&[]);
}

#[test]
fn no_file_does_where_the_kernel_writes_back() {
    files_show_under_their_names(&WRITTEN_BACK);
}

fn files_show_under_their_names(options: &[&str]) {
    let Reusing { mount, .. } = &Reusing::new(options);
    let (mnt, raw) = (mount.mnt(), mount.raw());
    let (history, over) = (History::default(), AtomicBool::new(false));
    let [read, gone] = [const { AtomicUsize::new(0) }; 2];
    let mut shuffler =
        Shuffler { raw: &raw, history: &history, there: vec![None; NAMES], next: 0, reused: 0 };
    let reader = |from: usize| {
        for n in (from..).take_while(|_| !over.load(Ordering::Relaxed)) {
            let count = match look(&mnt, &history, n * 3 % NAMES) {
                Ok(()) => &read,
                Err(error) => {
                    let expected = [libc::ENOENT, libc::ESTALE].map(Some);
                    assert!(expected.contains(&error.raw_os_error()), "{error}");
                    &gone
                }
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    let rounds = std::thread::scope(|scope| {
        let readers = [0, 40, 70].map(|from| scope.spawn(move || reader(from)));
        let (began, mut rounds) = (Instant::now(), 0);
        let least = long_or(Duration::from_secs(60), Duration::from_secs(4));
        let seen = |reused| reused > 20 && read.load(Ordering::Relaxed) > 200;
        while goes_on(began, least, || seen(shuffler.reused))
            && !readers.iter().any(|r| r.is_finished())
        {
            shuffler.step(rounds);
            rounds += 1;
        }
        over.store(true, Ordering::Relaxed);
        rounds
    });
    let Shuffler { there, reused, .. } = shuffler;
    let (read, gone) = (read.into_inner(), gone.into_inner());
    println!("{rounds} changes, {reused} numbers reused; {read} files read, {gone} found gone");
    assert!(reused > 20 && read > 200, "{reused} numbers reused, {read} files read");
    let now =
        || (0..NAMES).map(|n| File::open(mnt.join(format!("f{n}"))).and_then(|f| id_in(&f)).ok());
    wait_for("what is there now", || now().eq(there.iter().copied()).then_some(()));
}

/// Nothing keeps the number of a file that was made through the mirror and is closed again: not
/// even the pages that the kernel has of it keep it from going to another one.
#[test]
fn pages_of_a_removed_file_are_not_those_of_the_next_one_of_its_number() {
    pages_go_with_their_file(&[]);
}

#[test]
fn nor_are_pages_that_the_kernel_writes_back() {
    pages_go_with_their_file(&WRITTEN_BACK);
}

fn pages_go_with_their_file(options: &[&str]) {
    let Reusing { mount, .. } = &Reusing::new(options);
    let (mnt, raw) = (mount.mnt(), mount.raw());
    let next = AtomicU64::new(1);
    let (mut round, mut reused) = (0, 0);
    // The number is free once the kernel has told the daemon of the close.
    while round < 500 || reused <= 20 && round < 10_000 {
        round += 1;
        let (old, new) = (format!("old{round}"), format!("new{round}"));
        let [before, after] = [(); 2].map(|()| next.fetch_add(1, Ordering::Relaxed));
        write(&mnt.join(&old), before);
        let number = fs::metadata(raw.join(&old)).unwrap().ino();
        fs::remove_file(raw.join(&old)).unwrap();
        write(&raw.join(&new), after);
        reused += usize::from(fs::metadata(raw.join(&new)).unwrap().ino() == number);
        assert_eq!(id_in(&File::open(mnt.join(&new)).unwrap()).unwrap(), after);
        match File::open(mnt.join(&old)).and_then(|file| id_in(&file)) {
            Ok(id) => assert_eq!(id, before),
            Err(error) => {
                let gone = [libc::ENOENT, libc::ESTALE].map(Some);
                assert!(gone.contains(&error.raw_os_error()), "{error}");
            }
        }
    }
    println!("{reused} numbers reused in {round} rounds");
    assert!(reused > 20, "{reused} numbers reused");
}

//! What is measured: each row an operation, done by one or several clients until the time is over.
//!
//! What an operation needs (files to open, names to look up) is made before the clock runs: in the
//! backing where the mount must not know it yet.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::Advice;

/// The size of the file of each client.
const FILE: u64 = 32 << 20;
/// Names made beforehand at once, for rows that use them up.
const NAMES: usize = 500;
/// Alignment that O_DIRECT wants, of everything.
const BLOCK: usize = 4096;

/// Where a row is measured.
pub(crate) struct Place {
    pub(crate) directory: PathBuf,
    /// The same directory behind the mount, or itself.
    pub(crate) backing: PathBuf,
}

/// One client of a row.
struct Client<'a> {
    place: &'a Place,
    number: usize,
    time: Duration,
    start: &'a Barrier,
}

/// How many operations were done, and how long that took.
struct Done {
    operations: usize,
    took: Duration,
}

/// An operation that is measured.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    run: fn(&Client<'_>) -> Done,
}

pub(crate) const ROWS: [Row; 13] = [
    Row { name: "write-4k", run: |client| client.writes(BLOCK, false) },
    Row { name: "write-4k-fdatasync", run: |client| client.writes(BLOCK, true) },
    Row { name: "append-4k-fdatasync", run: |client| client.appends(BLOCK) },
    Row { name: "write-1m", run: |client| client.writes(1 << 20, false) },
    Row { name: "randread-4k-direct", run: |client| client.random_reads() },
    Row { name: "read-1m-cold", run: |client| client.cold_reads() },
    Row { name: "create-close", run: |client| client.creates() },
    Row { name: "create-unlink", run: |client| client.comings_and_goings() },
    Row { name: "open-close", run: |client| client.opens() },
    Row { name: "stat-uncached", run: |client| client.stats() },
    Row { name: "rename", run: |client| client.renames() },
    Row { name: "unlink", run: |client| client.unlinks() },
    Row { name: "walk", run: |client| client.walks() },
];

impl Row {
    /// Microseconds that one operation takes: of several clients, the time divided by all they did.
    pub(crate) fn measure(&self, place: &Place, clients: usize, time: Duration) -> f64 {
        let start = Barrier::new(clients);
        let done: Vec<Done> = thread::scope(|scope| {
            let client = |number| Client { place, number, time, start: &start };
            let running: Vec<_> = (0..clients)
                .map(|number| scope.spawn(move || (self.run)(&client(number))))
                .collect();
            running.into_iter().map(|client| client.join().unwrap()).collect()
        });
        let rate = |done: &Done| done.operations as f64 / done.took.as_secs_f64();
        1e6 / done.iter().map(rate).sum::<f64>()
    }
}

impl Client<'_> {
    fn name(&self) -> String {
        format!("client{}", self.number)
    }

    /// Its file, made in the backing the first time.
    fn file(&self) -> PathBuf {
        let backing = self.place.backing.join(self.name());
        if fs::metadata(&backing).map_or(0, |stat| stat.size()) != FILE {
            fs::write(&backing, vec![b'x'; FILE as usize]).unwrap();
        }
        self.place.directory.join(self.name())
    }

    /// A fresh directory of its own; its path by the mount and in the backing.
    fn names(&self, batch: usize) -> (PathBuf, PathBuf) {
        let name = format!("{}-{batch}-{}", self.name(), std::process::id());
        let backing = self.place.backing.join(&name);
        fs::create_dir(&backing).unwrap();
        (self.place.directory.join(name), backing)
    }

    /// Operates until the time is over.
    fn repeat(&self, mut operate: impl FnMut(usize)) -> Done {
        self.start.wait();
        let (began, mut operations) = (Instant::now(), 0);
        while began.elapsed() < self.time {
            operate(operations);
            operations += 1;
        }
        Done { operations, took: began.elapsed() }
    }

    /// Operates on one name after the other, prepared batch by batch in a fresh directory.
    fn each_name(&self, prepare: impl Fn(&Path, &Path), mut operate: impl FnMut(&Path)) -> Done {
        self.start.wait();
        let mut done = Done { operations: 0, took: Duration::ZERO };
        for batch in 0.. {
            let (directory, backing) = self.names(batch);
            prepare(&directory, &backing);
            // The directory itself is known.
            fs::metadata(&directory).unwrap();
            let paths: Vec<_> = (0..NAMES).map(|n| directory.join(n.to_string())).collect();
            let began = Instant::now();
            paths.iter().for_each(|path| operate(path));
            done.took += began.elapsed();
            done.operations += NAMES;
            fs::remove_dir_all(&backing).unwrap();
            if done.took >= self.time {
                break;
            }
        }
        done
    }

    fn writes(&self, size: usize, sync: bool) -> Done {
        let file = File::options().write(true).open(self.file()).unwrap();
        let data = vec![b'y'; size];
        self.repeat(|n| {
            file.write_all_at(&data, (n * size) as u64 % FILE).unwrap();
            if sync {
                file.sync_data().unwrap();
            }
        })
    }

    /// Lets a new file grow, each time to be stored.
    fn appends(&self, size: usize) -> Done {
        let path = self.place.directory.join(format!("{}-grows", self.name()));
        let file = File::create_new(&path).unwrap();
        let data = vec![b'y'; size];
        let done = self.repeat(|n| {
            file.write_all_at(&data, (n * size) as u64).unwrap();
            file.sync_data().unwrap();
        });
        fs::remove_file(&path).unwrap();
        done
    }

    fn random_reads(&self) -> Done {
        let file =
            File::options().read(true).custom_flags(libc::O_DIRECT).open(self.file()).unwrap();
        let mut room = vec![0; 2 * BLOCK];
        let start = room.as_ptr().align_offset(BLOCK);
        let (mut random, blocks) = (self.number as u64 + 1, FILE / BLOCK as u64);
        self.repeat(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let offset = (random >> 33) % blocks * BLOCK as u64;
            file.read_exact_at(&mut room[start..start + BLOCK], offset).unwrap();
        })
    }

    fn cold_reads(&self) -> Done {
        let path = self.file();
        let mut data = vec![0; 1 << 20];
        self.start.wait();
        let mut done = Done { operations: 0, took: Duration::ZERO };
        while done.took < self.time {
            let mut file = File::open(&path).unwrap();
            rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).unwrap();
            let began = Instant::now();
            while file.read(&mut data).unwrap() > 0 {
                done.operations += 1;
            }
            done.took += began.elapsed();
        }
        done
    }

    fn creates(&self) -> Done {
        self.each_name(|_, _| {}, |path| drop(File::create_new(path).unwrap()))
    }

    fn comings_and_goings(&self) -> Done {
        let come_and_go = |path: &Path| {
            drop(File::create_new(path).unwrap());
            fs::remove_file(path).unwrap();
        };
        self.each_name(|_, _| {}, come_and_go)
    }

    fn opens(&self) -> Done {
        let path = self.file();
        self.repeat(|_| drop(File::open(&path).unwrap()))
    }

    fn stats(&self) -> Done {
        self.each_name(|_, backing| make(backing), |path| assert!(path.exists()))
    }

    fn renames(&self) -> Done {
        let rename = |path: &Path| fs::rename(path, path.with_extension("renamed")).unwrap();
        self.each_name(|directory, _| make(directory), rename)
    }

    fn unlinks(&self) -> Done {
        self.each_name(|directory, _| make(directory), |path| fs::remove_file(path).unwrap())
    }

    /// An entry with its attributes is one operation.
    fn walks(&self) -> Done {
        self.start.wait();
        let mut done = Done { operations: 0, took: Duration::ZERO };
        for batch in 0.. {
            let (directory, backing) = self.names(batch);
            make(&backing);
            let began = Instant::now();
            for entry in fs::read_dir(&directory).unwrap() {
                entry.unwrap().metadata().unwrap();
                done.operations += 1;
            }
            done.took += began.elapsed();
            fs::remove_dir_all(&backing).unwrap();
            if done.took >= self.time {
                break;
            }
        }
        done
    }
}

/// Makes the names in a directory.
fn make(directory: &Path) {
    (0..NAMES).for_each(|n| drop(File::create(directory.join(n.to_string())).unwrap()));
}

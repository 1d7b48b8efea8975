//! What a disk takes, one request after the other: reads and writes past the page cache, syncs, changes of names and
//! attributes, in rounds until there are enough or the time is over. No locks.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};

use super::Recorded;
use super::scratch::Scratch;
use crate::cli::progress::Progress;
use crate::fault::words::bytes_text;
use crate::ops::Method;
use crate::sys::signals;

/// What is read and written, each in how many rounds at most: the largest would else wear a disk out.
const SIZES: [(usize, u32); 3] = [(4 << 10, ROUNDS), (64 << 10, ROUNDS), (LARGEST, ROUNDS / 4)];

const LARGEST: usize = 1 << 20;

/// Enough for the quantiles that people look at.
const ROUNDS: u32 = 2_000;

/// Where reads and writes go: bytes of the file at most, and at least.
const FILE: (u64, u64) = (64 << 20, 4 << 20);

/// What O_DIRECT asks of a place, in memory as in the file.
const ALIGNED: usize = 4096;

/// What one append to a log writes.
const RECORD: usize = 4096;

/// Why the rounds end.
enum End {
    /// The time is over, or a signal came.
    Over,
    Failed(String),
}

/// Probes that directory for so long.
///
/// # Errors
/// What cannot be done there, in one line; nothing of it is left.
pub(super) fn record(dir: &Path, lasts: Duration, stop: &OwnedFd) -> Result<Recorded, String> {
    let cannot =
        |what: &str, error: io::Error| format!("cannot probe {}: {what}: {error}", dir.display());
    let scratch = Scratch::below(dir).map_err(|e| cannot("a directory in it", e))?;
    let began = Instant::now();
    let clock = Clock { end: began.checked_add(lasts), stop };
    let mut probe = Probe {
        place: Place::open(&scratch).map_err(|e| cannot("a file in it", e))?,
        scratch: &scratch,
        clock,
        recorded: Recorded::default(),
    };
    let mut progress = Progress::default();
    let done = probe.fill(began.checked_add(lasts / 4)).and_then(|()| {
        (0..ROUNDS).try_for_each(|round| {
            if round % 20 == 0 {
                let seconds = began.elapsed().as_secs();
                progress.count(&format!("probing {}: round {round}, {seconds}s", dir.display()));
            }
            probe.round(round)
        })
    });
    progress.clear();
    match done {
        Ok(()) | Err(End::Over) => Ok(probe.told()),
        Err(End::Failed(why)) => Err(format!("cannot probe {}: {why}", dir.display())),
    }
}

struct Clock<'a> {
    end: Option<Instant>,
    stop: &'a OwnedFd,
}

impl Clock<'_> {
    /// Whether the time is over, or a signal came: that ends it, too.
    fn is_over(&mut self) -> bool {
        let now = Instant::now();
        if signals::take(self.stop).is_some() {
            self.end = Some(now);
        }
        self.end.is_some_and(|end| now >= end)
    }
}

/// The file that reads and writes go to.
struct Place {
    file: File,
    /// Why they go through the page cache, if they do.
    cached: Option<io::Error>,
    len: u64,
    bytes: Vec<u8>,
}

impl Place {
    fn open(scratch: &Scratch) -> io::Result<Place> {
        let mut bytes = vec![0; LARGEST + ALIGNED];
        // What compresses well is no measure.
        rand::fill(&mut bytes[..]);
        let open = |flags| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).custom_flags(flags);
            options.open(scratch.join("data"))
        };
        let mut place = match open(libc::O_DIRECT) {
            Ok(file) => Place { file, cached: None, len: 0, bytes },
            Err(error) => Place { file: open(0)?, cached: Some(error), len: 0, bytes },
        };
        // Some open so and then refuse.
        let first = place.buffer(ALIGNED).map(|bytes| place.file.write_all_at(bytes, 0));
        if let (None, Some(Err(error))) = (&place.cached, first) {
            (place.file, place.cached) = (open(0)?, Some(error));
        }
        Ok(place)
    }

    /// So many bytes, at an address that O_DIRECT takes.
    fn buffer(&self, len: usize) -> Option<&[u8]> {
        let begin = self.bytes.as_ptr().align_offset(ALIGNED);
        self.bytes.get(begin..begin + len)
    }

    fn buffer_mut(&mut self, len: usize) -> Option<&mut [u8]> {
        let begin = self.bytes.as_ptr().align_offset(ALIGNED);
        self.bytes.get_mut(begin..begin + len)
    }

    /// Anywhere in the file where so many bytes are.
    fn anywhere(&self, len: usize) -> u64 {
        let places = self.len.saturating_sub(len as u64) / ALIGNED as u64;
        rand::random_range(0..=places) * ALIGNED as u64
    }
}

struct Probe<'a> {
    place: Place,
    scratch: &'a Scratch,
    clock: Clock<'a>,
    recorded: Recorded,
}

impl Probe<'_> {
    /// Writes the file that is read, until then at most.
    fn fill(&mut self, until: Option<Instant>) -> Result<(), End> {
        let (most, least) = FILE;
        while self.place.len < most {
            let is_late = until.is_some_and(|until| Instant::now() >= until);
            if self.place.len >= least && is_late || self.clock.is_over() {
                break;
            }
            let bytes = self.place.buffer(LARGEST).unwrap_or_default();
            let written = self.place.file.write_all_at(bytes, self.place.len);
            written.map_err(|e| failed("write", LARGEST as u64, &e))?;
            self.place.len += LARGEST as u64;
        }
        self.place.file.sync_all().map_err(|e| failed("fsync", 0, &e))
    }

    /// Each request once.
    fn round(&mut self, round: u32) -> Result<(), End> {
        for (size, most) in SIZES {
            if round < most {
                self.write(size)?;
                self.read(size)?;
            }
        }
        self.syncs()?;
        self.names(round)
    }

    fn write(&mut self, size: usize) -> Result<(), End> {
        let Probe { place, clock, recorded, .. } = self;
        let (at, bytes) = (place.anywhere(size), place.buffer(size).unwrap_or_default());
        timed(clock, recorded, "write", size as u64, || place.file.write_all_at(bytes, at))
    }

    fn read(&mut self, size: usize) -> Result<(), End> {
        let Probe { place, clock, recorded, .. } = self;
        let at = place.anywhere(size);
        if place.cached.is_some() {
            // What is to come from the disk must not be in the cache; what is dirty stays there.
            let clean = place.file.sync_data();
            clean.map_err(|e| failed("fdatasync", 0, &e))?;
            let dropped = fadvise(&place.file, 0, None, Advice::DontNeed);
            dropped.map_err(|e| failed("fadvise", 0, &e.into()))?;
        }
        let file = place.file.try_clone().map_err(|e| failed("dup", 0, &e))?;
        let bytes = place.buffer_mut(size).unwrap_or_default();
        timed(clock, recorded, "read", size as u64, || file.read_exact_at(bytes, at))
    }

    /// Of what was appended to a log.
    fn syncs(&mut self) -> Result<(), End> {
        let path = self.scratch.join("log");
        let mut log = OpenOptions::new().append(true).create(true).open(path);
        let log = log.as_mut().map_err(|e| failed("open", 0, e))?;
        for name in ["fsync", "fdatasync"] {
            let bytes = self.place.buffer(RECORD).unwrap_or_default();
            log.write_all(bytes).map_err(|e| failed("write", RECORD as u64, &e))?;
            self.timed(name, || if name == "fsync" { log.sync_all() } else { log.sync_data() })?;
        }
        Ok(())
    }

    /// A file that is made, changed, renamed and removed, and other names beside it.
    fn names(&mut self, round: u32) -> Result<(), End> {
        let path = |kind: &str| self.scratch.join(&format!("{kind}{round}"));
        let [file, new, link, sym, dir] = ["file", "new", "link", "sym", "dir"].map(path);
        let own = self.scratch.path();
        let made =
            self.timed("create", || OpenOptions::new().write(true).create_new(true).open(&file))?;
        self.timed("ftruncate", || made.set_len(RECORD as u64))?;
        self.timed("utimens", || made.set_modified(std::time::SystemTime::UNIX_EPOCH))?;
        self.timed("chmod", || fs::set_permissions(&file, Permissions::from_mode(0o640)))?;
        self.timed("getattr", || fs::metadata(&file))?;
        self.timed("open", || File::open(&file))?;
        self.timed("rename", || fs::rename(&file, &new))?;
        self.timed("link", || fs::hard_link(&new, &link))?;
        self.timed("symlink", || symlink(&new, &sym))?;
        self.timed("mkdir", || fs::create_dir(&dir))?;
        self.timed("fsyncdir", || File::open(own)?.sync_all())?;
        self.timed("rmdir", || fs::remove_dir(&dir))?;
        for name in [&sym, &link, &new] {
            self.timed("unlink", || fs::remove_file(name))?;
        }
        Ok(())
    }

    fn timed<T>(&mut self, name: &str, act: impl FnOnce() -> io::Result<T>) -> Result<T, End> {
        timed(&mut self.clock, &mut self.recorded, name, 0, act)
    }

    fn told(self) -> Recorded {
        let Probe { place, mut recorded, .. } = self;
        recorded.notes.extend(place.cached.map(|why| {
            format!(
                "O_DIRECT does not go there ({why}): reads and writes went through the page cache"
            )
        }));
        recorded
    }
}

/// Does it, and keeps how long that took.
fn timed<T>(
    clock: &mut Clock<'_>,
    recorded: &mut Recorded,
    name: &str,
    len: u64,
    act: impl FnOnce() -> io::Result<T>,
) -> Result<T, End> {
    if clock.is_over() {
        return Err(End::Over);
    }
    let began = Instant::now();
    let done = act();
    let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let done = done.map_err(|error| failed(name, len, &error))?;
    if let Some(method) = Method::from_name(name) {
        recorded.samples.add(method, len, took);
    }
    Ok(done)
}

fn failed(name: &str, len: u64, error: &io::Error) -> End {
    let of = if len == 0 { String::new() } else { format!(" of {}", bytes_text(len)) };
    End::Failed(format!("{name}{of}: {error}"))
}

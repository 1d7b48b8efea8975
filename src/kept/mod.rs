//! Data that is kept for later: in memory, and beyond a bound in an unlinked file. Held operations keep
//! what came with them, the log of what is not durable keeps what was written over.
//!
//! A held write would else cost its size in memory for as long as it is held. What is beyond the
//! bound is moved to the file by the delay line's threads, never by a loop thread, and read back
//! when the operation goes on, so much at once as the bound says. What cannot be written stays.
//!
//! Invariants: data is in one place that counts, and a place in the file has one owner.
//! Lock rule: the locks cover memory work only; the file is read and written outside.

mod space;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::{Condvar, Mutex};
use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::Errno;

use space::Space;

/// Less than this is not worth the file: it is moved in pages.
const WORTH: u64 = 4096;

/// How much is kept, and where.
#[derive(Default)]
pub(crate) struct Keep {
    /// Who keeps it, and the option that names another directory for the file.
    whose: (&'static str, &'static str),
    /// Bytes in memory, beyond which the file is used.
    most: u64,
    file: Option<File>,
    space: Mutex<Space>,
    in_memory: AtomicU64,
    in_file: AtomicU64,
    /// Bytes read back and not let go yet.
    loaded: Mutex<u64>,
    unloaded: Condvar,
    warned: AtomicBool,
}

impl Keep {
    /// Keeps so many bytes in memory for them (who, and by which option), and what is beyond in a file without a name in this directory.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(crate) fn new(
        whose: (&'static str, &'static str),
        most: u64,
        dir: &Path,
    ) -> io::Result<Keep> {
        Ok(Keep { whose, most, file: Some(unnamed(dir)?), ..Keep::default() })
    }

    /// Keeps everything in memory.
    #[must_use]
    pub(crate) fn in_memory_only() -> Keep {
        Keep { most: u64::MAX, ..Keep::default() }
    }

    /// Bytes that are in memory, and in the file.
    #[must_use]
    pub(crate) fn bytes(&self) -> [u64; 2] {
        [self.in_memory.load(Relaxed), self.in_file.load(Relaxed)]
    }

    fn write(&self, file: &File, data: &[u8]) -> io::Result<u64> {
        let len = data.len() as u64;
        let at = self.space.lock().take(len);
        file.write_all_at(data, at).inspect_err(|_| self.space.lock().give(at, len))?;
        self.in_file.fetch_add(len, Relaxed);
        Ok(at)
    }

    /// Gives the place back, to the filesystem too, if that can take a part of a file.
    fn free(&self, at: u64, len: u64) {
        if let Some(file) = &self.file {
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = rustix::fs::fallocate(file, hole, at, len);
        }
        self.space.lock().give(at, len);
        self.in_file.fetch_sub(len, Relaxed);
    }

    fn warn(&self, error: &io::Error) {
        if !self.warned.swap(true, Relaxed) {
            let (who, option) = self.whose;
            tracing::warn!(
                "cannot move what {who} to a file: {error}; it stays in memory \
                 (name another directory with {option})"
            );
        }
    }

    /// Waits until so much more may be read back.
    fn load(&self, len: u64) {
        let mut loaded = self.loaded.lock();
        while *loaded > 0 && *loaded + len > self.most {
            self.unloaded.wait(&mut loaded);
        }
        *loaded += len;
    }

    fn unload(&self, len: u64) {
        *self.loaded.lock() -= len;
        self.unloaded.notify_all();
    }
}

enum State {
    Memory(Arc<Vec<u8>>),
    /// At this offset.
    File(u64),
    Gone,
}

/// The data of one owner.
pub(crate) struct Kept {
    keep: Arc<Keep>,
    len: u64,
    state: Mutex<State>,
}

impl Kept {
    pub(crate) fn new(keep: &Arc<Keep>, data: &[u8]) -> Arc<Kept> {
        Kept::of(keep, data.to_vec())
    }

    /// The same of data that need not be copied.
    #[must_use]
    pub(crate) fn of(keep: &Arc<Keep>, data: Vec<u8>) -> Arc<Kept> {
        let len = data.len() as u64;
        keep.in_memory.fetch_add(len, Relaxed);
        let state = Mutex::new(State::Memory(Arc::new(data)));
        Arc::new(Kept { keep: Arc::clone(keep), len, state })
    }

    /// Whether it is to be moved to the file.
    pub(crate) fn is_too_much(&self) -> bool {
        let keep = &self.keep;
        self.len >= WORTH && keep.file.is_some() && keep.in_memory.load(Relaxed) > keep.most
    }

    /// Moves it to the file, unless its operation has gone on.
    pub(crate) fn store(&self) {
        let Some(file) = &self.keep.file else { return };
        let data = match &*self.state.lock() {
            State::Memory(data) => Arc::clone(data),
            State::File(_) | State::Gone => return,
        };
        let at = match self.keep.write(file, &data) {
            Ok(at) => at,
            Err(error) => return self.keep.warn(&error),
        };
        let mut state = self.state.lock();
        if matches!(*state, State::Memory(_)) {
            *state = State::File(at);
            self.keep.in_memory.fetch_sub(self.len, Relaxed);
        } else {
            drop(state);
            self.keep.free(at, self.len);
        }
    }

    /// Takes the data out. Reads it back where it is in the file, and waits for others before that
    /// if too much was read back already.
    ///
    /// # Errors
    /// Those of reading the file.
    pub(crate) fn take(&self) -> io::Result<Taken> {
        let state = std::mem::replace(&mut *self.state.lock(), State::Gone);
        let keep = Arc::clone(&self.keep);
        match (state, &self.keep.file) {
            (State::Memory(data), _) => Ok(Taken { keep, data, loaded: false }),
            (State::File(at), Some(file)) => {
                keep.load(self.len);
                let mut data = vec![0; usize::try_from(self.len).unwrap_or_default()];
                let read = file.read_exact_at(&mut data, at);
                keep.free(at, self.len);
                let taken = Taken { keep, data: Arc::new(data), loaded: true };
                read.map(|()| taken)
            }
            _ => Ok(Taken { keep, data: Arc::default(), loaded: false }),
        }
    }
}

impl Kept {
    /// How many bytes it is.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Reads so many bytes from there on, and leaves all where it is.
    ///
    /// # Errors
    /// Those of reading the file; it is shorter than that, or was taken.
    pub(crate) fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        // Under the lock nothing is moved to the file; there it is free only once this is dropped.
        let file_at = match &*self.state.lock() {
            State::Memory(data) => {
                let place = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
                let from = data.get(place(at)..place(at.saturating_add(into.len() as u64)));
                let from = from.ok_or(io::ErrorKind::UnexpectedEof)?;
                into.copy_from_slice(from);
                return Ok(());
            }
            State::File(file_at) => *file_at,
            State::Gone => return Err(io::ErrorKind::UnexpectedEof.into()),
        };
        match &self.keep.file {
            Some(file) if at.saturating_add(into.len() as u64) <= self.len => {
                file.read_exact_at(into, file_at.saturating_add(at))
            }
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        match std::mem::replace(self.state.get_mut(), State::Gone) {
            State::Memory(_) => {
                self.keep.in_memory.fetch_sub(self.len, Relaxed);
            }
            State::File(at) => self.keep.free(at, self.len),
            State::Gone => {}
        }
    }
}

/// How a file for what is held is opened: by its owner, for reading and writing.
const OWN: (OFlags, Mode) =
    (OFlags::RDWR.union(OFlags::CLOEXEC).union(OFlags::EXCL), Mode::RUSR.union(Mode::WUSR));

/// Makes a file without a name in a directory.
fn unnamed(dir: &Path) -> io::Result<File> {
    match rustix::fs::open(dir, OWN.0 | OFlags::TMPFILE, OWN.1) {
        // What a filesystem without such files says, or a kernel that asks it nothing.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => unlinked(dir),
        made => Ok(File::from(made?)),
    }
}

/// Makes a file and takes its name away.
fn unlinked(dir: &Path) -> io::Result<File> {
    let path = dir.join(format!(".slowfs-kept-{:016x}", rand::random::<u64>()));
    let file = File::from(rustix::fs::open(&path, OWN.0 | OFlags::CREATE, OWN.1)?);
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// Data on its way into the backing.
pub(crate) struct Taken {
    keep: Arc<Keep>,
    data: Arc<Vec<u8>>,
    loaded: bool,
}

impl Taken {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let len = self.data.len() as u64;
        if self.loaded {
            self.keep.unload(len);
        } else {
            self.keep.in_memory.fetch_sub(len, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::thread;

    use super::*;

    const PIECE: usize = 64 << 10;

    fn keep(most: u64) -> Arc<Keep> {
        Arc::new(Keep::new(("a test keeps", "--dir"), most, &std::env::temp_dir()).unwrap())
    }

    fn piece(n: u8) -> Vec<u8> {
        vec![n; PIECE]
    }

    fn kept(keep: &Arc<Keep>, n: u8) -> Arc<Kept> {
        let kept = Kept::new(keep, &piece(n));
        if kept.is_too_much() {
            kept.store();
        }
        kept
    }

    #[test]
    fn files_have_no_name() {
        let dir = tempfile::tempdir().unwrap();
        for file in [unnamed(dir.path()).unwrap(), unlinked(dir.path()).unwrap()] {
            file.write_all_at(b"kept", 0).unwrap();
            let (meta, mut data) = (file.metadata().unwrap(), [0; 4]);
            file.read_exact_at(&mut data, 0).unwrap();
            assert_eq!((meta.nlink(), meta.mode() & 0o7777, &data), (0, 0o600, b"kept"));
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_beyond_the_bound_goes_to_the_file_and_comes_back() {
        let keep = keep(2 * PIECE as u64);
        let all: Vec<_> = (0..10).map(|n| kept(&keep, n)).collect();
        assert_eq!(keep.bytes(), [2 * PIECE as u64, 8 * PIECE as u64]);
        for (n, kept) in all.iter().enumerate().rev() {
            assert!(kept.take().unwrap().bytes() == piece(n as u8), "{n}");
        }
        drop(all);
        assert_eq!(keep.bytes(), [0, 0]);
        assert_eq!(*keep.loaded.lock(), 0);
    }

    #[test]
    fn what_is_free_of_the_file_is_used_again() {
        let keep = keep(0);
        let mut all: Vec<_> = (0..8).map(|n| kept(&keep, n)).collect();
        let end = keep.space.lock().end();
        assert_eq!(end, 8 * PIECE as u64);
        // Out of order, so that parts join on either side.
        for n in [5, 3, 1, 2] {
            drop(all.remove(n));
        }
        all.extend((10..14).map(|n| kept(&keep, n)));
        assert_eq!(keep.space.lock().end(), end);
        let right = [0, 2, 6, 7, 10, 11, 12, 13];
        for (n, kept) in right.into_iter().zip(&all) {
            assert!(kept.take().unwrap().bytes() == piece(n), "{n}");
        }
        assert_eq!(keep.space.lock().end(), 0);
        assert_eq!(keep.file.as_ref().unwrap().metadata().unwrap().blocks(), 0, "given back");
    }

    #[test]
    fn what_is_read_stays_where_it_is() {
        let keep = keep(PIECE as u64);
        let all: Vec<_> = (0..2).map(|n| kept(&keep, n)).collect();
        let before = keep.bytes();
        for (n, kept) in all.iter().enumerate() {
            let mut some = [9; 3];
            kept.read(PIECE as u64 - 3, &mut some).unwrap();
            assert_eq!(some, [n as u8; 3]);
            assert!(kept.read(PIECE as u64 - 2, &mut some).is_err(), "{n}");
        }
        assert_eq!((before, keep.bytes()), ([PIECE as u64; 2], [PIECE as u64; 2]));
    }

    #[test]
    fn what_cannot_be_written_stays_in_memory() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let keep = Arc::new(Keep { file: Some(full), ..Keep::default() });
        let kept = kept(&keep, 7);
        assert!(keep.warned.load(Relaxed));
        assert_eq!(keep.bytes(), [PIECE as u64, 0]);
        assert!(kept.take().unwrap().bytes() == piece(7));
        assert_eq!(keep.bytes(), [0, 0]);
    }

    #[test]
    fn no_more_is_read_back_at_once_than_the_bound_says() {
        let keep = keep(2 * PIECE as u64);
        let mut all: Vec<_> = (0..6).map(|n| kept(&keep, n)).collect();
        let stored = all.split_off(2);
        let taken: Vec<_> = stored[..2].iter().map(|kept| kept.take().unwrap()).collect();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| stored[2].take().unwrap().bytes().to_vec());
            while !matches!(*stored[2].state.lock(), State::Gone) {
                thread::yield_now();
            }
            assert!(!waiting.is_finished());
            drop(taken);
            assert!(waiting.join().unwrap() == piece(4));
        });
    }
}

//! How long an image would take to be built, while what changes something waits: found out before, when nothing
//! waits yet, by what is there and how fast this machine is with some of it. No locks.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

use super::image::{DEEPEST, names_in};
use crate::mirror::{Mirror, ROOT, Reached};

/// To make an entry takes about so many times as long as to look at it.
const TO_MAKE: u32 = 4;

/// How much is copied to see how long that takes, and for how much that of less counts: what a call takes by
/// itself is in what an entry takes.
const SAMPLE: usize = 4 << 20;
const LEAST: u64 = 1 << 20;

/// What there is, and how long it would take.
#[derive(Debug, Default)]
pub(crate) struct Stall {
    entries: u64,
    /// Bytes that would have to be copied, as they cannot be shared.
    bytes: u64,
    time: Duration,
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stall { entries, bytes, time } = self;
        let mib = bytes.div_ceil(1 << 20);
        write!(f, "{entries} entries and {mib} MiB to be copied, some {time:.1?}")
    }
}

/// Looks at all that is there.
struct Look<'a, N: Default> {
    tree: &'a Mirror<N>,
    found: Stall,
    /// Files with several names.
    linked: HashSet<(u64, u64)>,
    largest: Option<(u64, OwnedFd)>,
}

impl Stall {
    /// Of an image of that tree in that directory.
    ///
    /// # Errors
    /// The tree cannot be looked at.
    pub(super) fn of<N: Default>(tree: &Mirror<N>, images: &OwnedFd) -> io::Result<Stall> {
        let mut look =
            Look { tree, found: Stall::default(), linked: HashSet::new(), largest: None };
        let began = Instant::now();
        look.directory(&tree.reached(ROOT)?, 0)?;
        let Look { mut found, largest, .. } = look;
        found.time = began.elapsed().saturating_mul(TO_MAKE);
        if let Some((_, file)) = largest {
            match took(File::from(file), images)? {
                Some((bytes, time)) => {
                    let times = found.bytes as f64 / bytes.max(LEAST) as f64;
                    let all = Duration::try_from_secs_f64(time.as_secs_f64() * times);
                    found.time = found.time.saturating_add(all.unwrap_or(Duration::MAX));
                }
                None => found.bytes = 0,
            }
        }
        Ok(found)
    }

    pub(super) fn is_longer_than(&self, most: Duration) -> bool {
        self.time > most
    }
}

impl<N: Default> Look<'_, N> {
    fn directory(&mut self, found: &Reached, depth: usize) -> io::Result<()> {
        let source = self.tree.opened_to_read(&found.fd, OFlags::DIRECTORY)?;
        for name in names_in(&source)? {
            let child = match self.tree.reached_at(source.as_fd(), &name) {
                // It was removed meanwhile.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => continue,
                child => child?,
            };
            self.found.entries += 1;
            match child.seen.kind() {
                // What lies deeper the builder refuses.
                libc::S_IFDIR if depth < DEEPEST => self.directory(&child, depth + 1)?,
                libc::S_IFREG => self.file(&child)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn file(&mut self, found: &Reached) -> io::Result<()> {
        if found.seen.links > 1 && !self.linked.insert(found.file) {
            return Ok(());
        }
        let bytes = found.seen.blocks.saturating_mul(512).min(found.seen.size);
        self.found.bytes = self.found.bytes.saturating_add(bytes);
        if bytes > self.largest.as_ref().map_or(0, |(most, _)| *most) {
            self.largest = Some((bytes, self.tree.opened_to_read(&found.fd, OFlags::empty())?));
        }
        Ok(())
    }
}

/// How many bytes of a file were copied, and how long that took; None if it can be shared.
fn took(file: File, images: &OwnedFd) -> io::Result<Option<(u64, Duration)>> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let Ok(to) = rustix::fs::openat(images, ".", flags, Mode::RUSR | Mode::WUSR) else {
        // What has no such files shares none either, that is known.
        return Ok(Some((0, Duration::ZERO)));
    };
    let to = File::from(to);
    if rustix::fs::ioctl_ficlone(&to, &file).is_ok() {
        return Ok(None);
    }
    let (mut bytes, began) = (vec![0; SAMPLE], Instant::now());
    let read = file.read_at(&mut bytes, 0)?;
    to.write_all_at(bytes.get(..read).unwrap_or_default(), 0)?;
    Ok(Some((read as u64, began.elapsed())))
}

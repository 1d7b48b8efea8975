//! /proc/self/mountinfo, read through a descriptor that is opened once.
//!
//! Invariant: a look needs no further descriptor and no path, so that neither a full table of
//! descriptors nor a covered /proc is in its way. Nothing is cached: each look reads afresh.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::MountFlags;

/// How often a table that changes while it is read is read again before it is believed.
const LOOKS: usize = 10;

/// The number of a filesystem, unique among those that live: major, minor.
pub(crate) type Device = (u32, u32);

/// A line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountLine {
    /// Its number among the mounts that there are; later mounts get it again.
    pub number: u64,
    /// The number of the mount that it lies on.
    pub parent: u64,
    /// The filesystem: the same for every place it is bound to.
    pub device: Device,
    /// Where it is mounted.
    pub mountpoint: PathBuf,
    /// The options of this place, after commas.
    pub options: String,
    /// Its type, subtype included.
    pub kind: String,
    /// What it shows as its source.
    pub source: PathBuf,
    /// Of a FUSE filesystem whose it is, else root.
    pub owner: u32,
}

impl MountLine {
    /// Which times of access it keeps, as flags of mount(2).
    #[must_use]
    pub(crate) fn kept_times(&self) -> MountFlags {
        let kept = [("noatime", MountFlags::NOATIME), ("nodiratime", MountFlags::NODIRATIME)];
        let has = |name| self.options.split(',').any(|option| option == name);
        kept.into_iter().filter(|(name, _)| has(*name)).map(|(_, flag)| flag).collect()
    }
}

/// The mounts that the process sees.
#[derive(Debug)]
pub(crate) struct MountTable(File);

impl MountTable {
    /// # Errors
    /// What opening /proc/self/mountinfo reports.
    pub(crate) fn open() -> io::Result<MountTable> {
        File::open("/proc/self/mountinfo").map(MountTable)
    }

    /// Every mount, in mountinfo's order: since Linux 6.8 that in which they were made, though one
    /// that was made before another may be attached on top of it. One that stays may be missing if others
    /// come or go meanwhile (before Linux 6.8).
    ///
    /// # Errors
    /// What pread(2) reports.
    pub(crate) fn mounts(&self) -> io::Result<Vec<MountLine>> {
        let mut text = Vec::new();
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.0.read_at(&mut chunk, text.len() as u64) {
                Ok(0) => break,
                Ok(n) => text.extend_from_slice(chunk.get(..n).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(text.split(|b| *b == b'\n').filter_map(parse).collect())
    }

    /// The topmost mount exactly at `mountpoint` (absolute and resolved), if there is one.
    ///
    /// # Errors
    /// What pread(2) reports.
    pub(crate) fn at(&self, mountpoint: &Path) -> io::Result<Option<MountLine>> {
        Ok(topmost(self.mounts()?, mountpoint))
    }

    /// The mount that a path (absolute and resolved) lies on.
    ///
    /// # Errors
    /// What pread(2) reports.
    pub(crate) fn around(&self, path: &Path) -> io::Result<Option<MountLine>> {
        let mounts = self.mounts()?;
        Ok(path.ancestors().find_map(|place| topmost(mounts.clone(), place)))
    }

    /// Where that filesystem is mounted. None is the answer only if nothing changed meanwhile.
    ///
    /// # Errors
    /// What pread(2) reports.
    pub(crate) fn places_of(&self, device: Device) -> io::Result<Vec<PathBuf>> {
        let mut looks = 0;
        loop {
            // A change before this look is no matter.
            self.take_change();
            let lines = self.mounts()?.into_iter().filter(|line| line.device == device);
            let places: Vec<_> = lines.map(|line| line.mountpoint).collect();
            looks += 1;
            if !places.is_empty() || looks >= LOOKS || !self.take_change() {
                return Ok(places);
            }
        }
    }

    /// Whether the table has changed since this was asked, or since it was opened.
    pub(crate) fn take_change(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&self.0, PollFlags::PRI)], Some(&now)).is_ok_and(|n| n > 0)
    }
}

/// Polls readable (POLLPRI) after a change.
impl AsFd for MountTable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether `kind` is a type that this program mounts.
#[must_use]
pub(crate) fn is_ours(kind: &str) -> bool {
    kind == "fuse.slowfs" || kind == "fuse.charybdefs"
}

/// The mount at that place on which no other lies; of several, where a mount on a directory above hides
/// some, the last.
fn topmost(mut lines: Vec<MountLine>, mountpoint: &Path) -> Option<MountLine> {
    lines.retain(|line| line.mountpoint == mountpoint);
    // The root of all lies on itself.
    let covered = lines.iter().filter(|line| line.parent != line.number);
    let covered: Vec<_> = covered.map(|line| line.parent).collect();
    lines.into_iter().rev().find(|line| !covered.contains(&line.number))
}

fn parse(line: &[u8]) -> Option<MountLine> {
    let mut fields = line.split(|b| *b == b' ');
    let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
    let (number, parent) = (number()?, number()?);
    let (major, minor) = std::str::from_utf8(fields.next()?).ok()?.split_once(':')?;
    let device = (major.parse().ok()?, minor.parse().ok()?);
    let mountpoint = unescape(fields.nth(1)?);
    let options = String::from_utf8(fields.next()?.to_vec()).ok()?;
    let mut fields = fields.skip_while(|f| *f != b"-").skip(1);
    let kind = String::from_utf8(fields.next()?.to_vec()).ok()?;
    let source = unescape(fields.next()?);
    let owner = owner(fields.next().unwrap_or_default());
    Some(MountLine { number, parent, device, mountpoint, options, kind, source, owner })
}

/// The user among the options of a FUSE filesystem, `rw,user_id=1000,group_id=1000`.
fn owner(options: &[u8]) -> u32 {
    let user =
        |option: &[u8]| std::str::from_utf8(option.strip_prefix(b"user_id=")?).ok()?.parse().ok();
    options.split(|byte| *byte == b',').find_map(user).unwrap_or_default()
}

/// Undoes mountinfo's octal escapes (`\040` for a space).
fn unescape(field: &[u8]) -> PathBuf {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|d| std::str::from_utf8(d).ok());
        match octal.and_then(|d| u8::from_str_radix(d, 8).ok()).filter(|_| *first == b'\\') {
            Some(byte) => {
                out.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_lines_are_read_with_their_escapes() {
        let line = br"97 28 0:52 / /mnt/a\040b rw,nosuid shared:1 - fuse.slowfs /data/raw rw,user_id=65534,group_id=0";
        let want = MountLine {
            number: 97,
            parent: 28,
            device: (0, 52),
            mountpoint: "/mnt/a b".into(),
            options: "rw,nosuid".to_owned(),
            kind: "fuse.slowfs".to_owned(),
            source: "/data/raw".into(),
            owner: 65534,
        };
        assert_eq!(parse(line), Some(want));
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn on_top_is_what_no_other_lies_on_whenever_it_was_made() {
        let line =
            |numbers: &str| parse(format!("{numbers} 0:52 / /mnt rw - tmpfs none rw").as_bytes());
        let top = |lines: [&str; 3]| {
            let lines = lines.into_iter().filter_map(line).collect();
            Some(topmost(lines, Path::new("/mnt"))?.number)
        };
        assert_eq!(top(["97 28", "98 97", "99 98"]), Some(99));
        assert_eq!(top(["97 99", "98 28", "99 98"]), Some(97));
        assert_eq!(top(["97 28", "98 28", "99 28"]), Some(99));
        assert_eq!(top(["1 1", "98 1", "99 98"]), Some(99));
        assert_eq!(
            topmost(line("1 1").into_iter().collect(), Path::new("/mnt")).unwrap().number,
            1
        );
        assert_eq!(topmost(line("97 28").into_iter().collect(), Path::new("/")), None);
    }

    #[test]
    fn the_root_is_mounted() {
        let table = MountTable::open().unwrap();
        let root = table.at(Path::new("/")).unwrap().unwrap();
        assert!(table.places_of(root.device).unwrap().contains(&"/".into()));
        assert!(table.places_of((0, u32::MAX)).unwrap().is_empty());
        // Each look reads it all.
        assert_eq!(table.mounts().unwrap().len(), table.mounts().unwrap().len());
    }
}

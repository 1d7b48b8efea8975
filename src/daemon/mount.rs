//! mount(2) and umount(2) of our own, and what /proc/self/mountinfo says of them.
//!
//! fuser's own mounting drops the subtype and its unmounting can hit the mount beneath, so neither
//! is used. Nothing here is cached: every question reads mountinfo afresh.

use std::ffi::{CString, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use crate::daemon::StartError;
use crate::sys::namespace;

/// How the mount looks from outside.
#[derive(Clone, Debug)]
pub struct MountOptions {
    /// What /proc/mounts shows as source; the backing directory unless told.
    pub source: Option<OsString>,
    /// The part after `fuse.` in the type.
    pub subtype: String,
    /// Whether users other than the mounting one may enter.
    pub allow_other: bool,
    /// Whether root may enter beside the mounting user; nobody else may then.
    pub allow_root: bool,
    /// Whether the kernel checks permissions itself.
    pub default_permissions: bool,
    /// Flags of mount(2).
    pub flags: MountFlags,
}

impl Default for MountOptions {
    fn default() -> Self {
        MountOptions {
            source: None,
            subtype: "slowfs".to_owned(),
            allow_other: rustix::process::geteuid().is_root(),
            allow_root: false,
            default_permissions: true,
            flags: MountFlags::NODEV | MountFlags::NOSUID,
        }
    }
}

impl MountOptions {
    /// Whether the kernel must let other users pass; with `allow_root` the session sorts them.
    pub(super) fn others_pass(&self) -> bool {
        match self.allow_root {
            true => !rustix::process::geteuid().is_root(),
            false => self.allow_other,
        }
    }
}

/// A line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountLine {
    /// `major:minor` of the filesystem: the same for every place it is bound to.
    pub device: String,
    /// Where it is mounted.
    pub mountpoint: PathBuf,
    /// The options of this place, after commas.
    pub options: String,
    /// Its type, subtype included.
    pub kind: String,
}

impl MountLine {
    /// Which times of access it keeps, as flags of mount(2).
    #[must_use]
    pub fn kept_times(&self) -> MountFlags {
        let kept = [("noatime", MountFlags::NOATIME), ("nodiratime", MountFlags::NODIRATIME)];
        let has = |name| self.options.split(',').any(|option| option == name);
        kept.into_iter().filter(|(name, _)| has(*name)).map(|(_, flag)| flag).collect()
    }
}

/// Every mount that this process sees, in mountinfo's order: later ones lie on top.
///
/// # Errors
/// What reading /proc/self/mountinfo reports.
pub fn mounts() -> io::Result<Vec<MountLine>> {
    let text = fs::read("/proc/self/mountinfo")?;
    Ok(text.split(|b| *b == b'\n').filter_map(parse).collect())
}

fn parse(line: &[u8]) -> Option<MountLine> {
    let mut fields = line.split(|b| *b == b' ');
    let device = String::from_utf8(fields.nth(2)?.to_vec()).ok()?;
    let mountpoint = unescape(fields.nth(1)?);
    let options = String::from_utf8(fields.next()?.to_vec()).ok()?;
    let kind = fields.skip_while(|f| *f != b"-").nth(1)?;
    let kind = String::from_utf8(kind.to_vec()).ok()?;
    Some(MountLine { device, mountpoint, options, kind })
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

/// The topmost mount exactly at `mountpoint` (absolute and resolved), if there is one.
///
/// # Errors
/// What reading /proc/self/mountinfo reports.
pub fn at(mountpoint: &Path) -> io::Result<Option<MountLine>> {
    Ok(mounts()?.into_iter().rev().find(|m| m.mountpoint == mountpoint))
}

/// Whether `kind` is a FUSE type, whatever the subtype.
#[must_use]
pub fn is_fuse(kind: &str) -> bool {
    kind == "fuse" || kind.starts_with("fuse.")
}

/// Whether `kind` is a type that this program mounts.
#[must_use]
pub fn is_ours(kind: &str) -> bool {
    kind == "fuse.slowfs" || kind == "fuse.charybdefs"
}

/// The mountpoint, absolute and resolved, ready to be mounted on. A mount of ours that lost its
/// daemon is detached first, with a log line.
///
/// # Errors
/// The mountpoint is missing, no directory, or already a live mount of ours.
pub fn prepare(mountpoint: &Path) -> Result<PathBuf, StartError> {
    let typed =
        std::path::absolute(mountpoint).map_err(|e| StartError::mountpoint(mountpoint, &e))?;
    // A dead mount cannot be resolved itself, but its parent can.
    let resolved = match (typed.parent(), typed.file_name()) {
        (Some(parent), Some(name)) => match fs::canonicalize(&typed) {
            Err(e) if dead(&e) => parent.canonicalize().map(|p| p.join(name)),
            other => other,
        },
        _ => fs::canonicalize(&typed),
    }
    .map_err(|e| StartError::mountpoint(mountpoint, &e))?;
    while let Some(line) = at(&resolved).map_err(StartError::Mountinfo)? {
        if !is_ours(&line.kind) {
            break;
        }
        if !lost_its_daemon(&resolved) {
            return Err(StartError::AlreadyMounted(mountpoint.to_owned(), line.kind));
        }
        tracing::warn!(
            "{}: a {} mount without a daemon lay here; detached it",
            resolved.display(),
            line.kind
        );
        detach(&resolved).map_err(|e| StartError::mountpoint(mountpoint, &e))?;
    }
    let kind = fs::metadata(&resolved).map_err(|e| StartError::mountpoint(mountpoint, &e))?;
    if kind.is_dir() {
        Ok(resolved)
    } else {
        Err(StartError::mountpoint(mountpoint, &Errno::NOTDIR.into()))
    }
}

/// Whether nobody serves the mount any more. STATFS is never answered from a cache; a live mount
/// may hold it, so the question is asked by a thread and silence counts as life.
fn lost_its_daemon(mountpoint: &Path) -> bool {
    let (told, answer) = mpsc::channel();
    let path = mountpoint.to_owned();
    let asking = thread::Builder::new().spawn(move || told.send(rustix::fs::statfs(&path).err()));
    let answer = answer.recv_timeout(Duration::from_secs(1));
    asking.is_ok() && answer.ok().flatten().is_some_and(|e| dead(&e.into()))
}

/// What operations on a mount without a daemon report.
fn dead(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOTCONN | Errno::CONNABORTED))
}

/// Mounts at `mountpoint` and returns the connection to the kernel. As root by mount(2), else
/// through fusermount3.
///
/// # Errors
/// No /dev/fuse, no permission, or what mount(2) or fusermount3 reports.
pub fn mount(
    mountpoint: &Path,
    backing: &Path,
    options: &MountOptions,
) -> Result<OwnedFd, StartError> {
    let source = options.source.as_deref().unwrap_or(backing.as_os_str());
    if !rustix::process::geteuid().is_root() {
        return super::fusermount::mount(mountpoint, source, options);
    }
    let device = open_device()?;
    let mut data = format!(
        "fd={},rootmode=40000,user_id={},group_id={}",
        device.as_raw_fd(),
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    if options.default_permissions {
        data.push_str(",default_permissions");
    }
    if options.others_pass() {
        data.push_str(",allow_other");
    }
    let failed = |e: io::Error| StartError::Mount(mountpoint.to_owned(), e);
    let data = CString::new(data).map_err(|e| failed(e.into()))?;
    let kind = format!("fuse.{}", options.subtype);
    rustix::mount::mount(source, mountpoint, kind, options.flags, data.as_c_str())
        .map_err(|e| failed(e.into()))?;
    Ok(device)
}

/// Gives the mount on top at `mountpoint` these flags instead of those it has.
///
/// # Errors
/// What mount(2) reports.
pub fn remount(mountpoint: &Path, flags: MountFlags) -> io::Result<()> {
    rustix::mount::mount_remount(mountpoint, flags, c"").map_err(Into::into)
}

pub(super) fn open_device() -> Result<OwnedFd, StartError> {
    rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| StartError::Device(e.into()))
}

/// Detaches whatever is mounted on top at `mountpoint`; open files keep it alive unseen.
///
/// # Errors
/// What umount2(2) or fusermount3 reports.
pub fn detach(mountpoint: &Path) -> io::Result<()> {
    unmount(mountpoint, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
}

/// Unmounts what is on top at `mountpoint`; busy is EBUSY, as on any filesystem.
///
/// # Errors
/// What umount2(2) or fusermount3 reports.
pub fn unmount_idle(mountpoint: &Path) -> io::Result<()> {
    unmount(mountpoint, UnmountFlags::NOFOLLOW)
}

fn unmount(mountpoint: &Path, flags: UnmountFlags) -> io::Result<()> {
    match rustix::mount::unmount(mountpoint, flags) {
        Err(Errno::PERM) => {
            super::fusermount::unmount(mountpoint, flags.contains(UnmountFlags::DETACH))
        }
        other => other.map_err(Into::into),
    }
}

/// Aborts the FUSE connection of a filesystem that may be mounted nowhere any more: whoever waits
/// for it gets an error at once. The control filesystem is mounted for that in a mount namespace of
/// its own, since hardly any machine has it mounted.
///
/// # Errors
/// It may not be mounted (an ordinary user), or the connection is gone already.
pub(super) fn abort(device: &str) -> io::Result<()> {
    const CONTROL: &str = "/sys/fs/fuse/connections";
    let (_, minor) = device.split_once(':').unwrap_or_default();
    let file = Path::new(CONTROL).join(minor).join("abort");
    let aborting = thread::Builder::new().spawn(move || {
        namespace::leave_mounts()?;
        let quiet = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", quiet)?;
        rustix::mount::mount("none", CONTROL, "fusectl", MountFlags::empty(), None)?;
        fs::write(file, "1")
    });
    aborting?.join().unwrap_or_else(|_| Err(io::Error::other("the aborting thread panicked")))
}

/// Watches the mount table: readable (POLLPRI) after each change.
///
/// # Errors
/// What opening /proc/self/mountinfo reports.
pub fn watch() -> io::Result<fs::File> {
    fs::File::open("/proc/self/mountinfo")
}

/// Whether a filesystem is still mounted anywhere that this process sees.
///
/// # Errors
/// What reading /proc/self/mountinfo reports.
pub fn is_mounted(device: &str) -> io::Result<bool> {
    Ok(mounts()?.iter().any(|m| m.device == device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_lines_are_read_with_their_escapes() {
        let line = br"97 28 0:52 / /mnt/a\040b rw,nosuid shared:1 - fuse.slowfs /data/raw rw";
        let want = MountLine {
            device: "0:52".to_owned(),
            mountpoint: "/mnt/a b".into(),
            options: "rw,nosuid".to_owned(),
            kind: "fuse.slowfs".to_owned(),
        };
        assert_eq!(parse(line), Some(want));
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn the_root_is_mounted() {
        assert!(at(Path::new("/")).unwrap().is_some());
    }

    #[test]
    fn a_plain_directory_is_ready_and_a_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        assert_eq!(prepare(dir.path()).unwrap(), real);
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(prepare(&file).unwrap_err().to_string().contains("Not a directory"));
        assert!(prepare(&dir.path().join("none")).unwrap_err().to_string().contains("No such"));
    }
}

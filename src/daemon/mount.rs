//! Mounting and unmounting, by descriptor wherever the kernel has a way: a path may lead elsewhere
//! from one call to the next.
//!
//! fuser's own mounting drops the subtype and its unmounting can hit the mount beneath, so neither
//! is used.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags,
};

use super::config::MountOptions;
use super::error::StartError;
use super::fusermount;
use super::mountinfo::{Device, MountTable, is_ours};
use super::mountpoint::{Identity, Mountpoint, directory};
use super::strangers;

/// The mountpoint, ready to be mounted on. A mount of ours that lost its daemon is detached first,
/// with a log line.
///
/// # Errors
/// The mountpoint is missing, no directory, or already a live mount of ours.
pub(super) fn prepare(typed: &Path) -> Result<Mountpoint, StartError> {
    let failed = |e: io::Error| StartError::mountpoint(typed, &e);
    let table = MountTable::open().map_err(StartError::Mountinfo)?;
    loop {
        let mountpoint = Mountpoint::open(typed).map_err(failed)?;
        let device = Identity::of(&mountpoint.dir).map_err(failed)?.device;
        let on_top = table.at(&mountpoint.path).map_err(StartError::Mountinfo)?;
        let ours = on_top.filter(|line| line.device == device && is_ours(&line.kind));
        let Some(line) = ours else { return Ok(mountpoint) };
        if !lost_its_daemon(&mountpoint.dir) {
            let place = mountpoint.path;
            return Err(StartError::AlreadyMounted(typed.to_owned(), line.kind, place));
        }
        detach(mountpoint.dir.as_fd(), &mountpoint.path).map_err(failed)?;
        tracing::warn!(
            "{}: a {} mount without a daemon lay here; detached it",
            mountpoint.path.display(),
            line.kind
        );
    }
}

/// Whether nobody serves the mount any more.
pub(super) fn lost_its_daemon(mount: &OwnedFd) -> bool {
    mount.try_clone().is_ok_and(|mount| is_of_nobody(move || Ok(mount)))
}

/// Whether nobody serves that mount. STATFS is never answered from a cache; a live mount may hold it, and
/// one on the way to it what leads there, so the question is asked by a thread and silence counts as life.
fn is_of_nobody(mount: impl FnOnce() -> io::Result<OwnedFd> + Send + 'static) -> bool {
    let (told, answer) = mpsc::channel();
    let ask = move || told.send(rustix::fs::fstatfs(mount().ok()?).err()).ok();
    let asking = thread::Builder::new().spawn(ask);
    let answer = answer.recv_timeout(Duration::from_secs(1));
    let dead = |e: Errno| matches!(e, Errno::NOTCONN | Errno::CONNABORTED);
    asking.is_ok() && answer.ok().flatten().is_some_and(dead)
}

/// A mount that nobody serves yet.
pub(super) struct Fresh {
    /// To the kernel.
    pub(super) connection: OwnedFd,
    /// Its root, opened with O_PATH, if it was found. While it is open the mount is busy.
    pub(super) root: Option<OwnedFd>,
    pub(super) identity: Identity,
}

/// Mounts on it. As root by the kernel's own calls, else through fusermount3.
///
/// # Errors
/// No /dev/fuse, no permission, or what mount(2) or fusermount3 reports.
pub(super) fn mount(
    mountpoint: &Mountpoint,
    backing: &Path,
    options: &MountOptions,
) -> Result<Fresh, StartError> {
    let source = options.source.as_deref().unwrap_or(backing.as_os_str());
    if !rustix::process::geteuid().is_root() {
        let connection = fusermount::mount(&mountpoint.path, source, options)?;
        return find(mountpoint, connection);
    }
    let failed = |e: Errno| StartError::Mount(mountpoint.path.clone(), e.into());
    let device = open_device()?;
    let root = match create(&device, source, options) {
        // A kernel before 5.4, or a filter of system calls that knows mount(2) only.
        Err(Errno::NOSYS | Errno::PERM) => {
            mount_on(mountpoint, &device, source, options)?;
            return find(mountpoint, device);
        }
        other => other.map_err(failed)?,
    };
    let identity =
        Identity::of(&root).map_err(|e| StartError::Mount(mountpoint.path.clone(), e))?;
    attach(&root, &mountpoint.dir).map_err(failed)?;
    Ok(Fresh { connection: device, root: Some(root), identity })
}

/// Attaches a mount that is attached nowhere.
pub(super) fn attach(mount: &OwnedFd, mountpoint: &OwnedFd) -> rustix::io::Result<()> {
    let by_descriptor =
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, c"", mountpoint, c"", by_descriptor)
}

/// What fuse takes as options, as text.
fn parameters(device: &OwnedFd) -> [(&'static str, String); 4] {
    [
        ("fd", device.as_raw_fd().to_string()),
        ("rootmode", "40000".to_owned()),
        ("user_id", rustix::process::getuid().as_raw().to_string()),
        ("group_id", rustix::process::getgid().as_raw().to_string()),
    ]
}

fn switches(options: &MountOptions) -> impl Iterator<Item = &'static str> {
    let all = [
        (options.default_permissions, "default_permissions"),
        (options.others_pass(), "allow_other"),
    ];
    all.into_iter().filter(|(on, _)| *on).map(|(_, name)| name)
}

/// A mount that is attached nowhere yet.
pub(super) fn create(
    device: &OwnedFd,
    source: &OsStr,
    options: &MountOptions,
) -> rustix::io::Result<OwnedFd> {
    use rustix::mount as kernel;
    let fs = kernel::fsopen("fuse", FsOpenFlags::FSOPEN_CLOEXEC)?;
    kernel::fsconfig_set_string(&fs, "source", source)?;
    kernel::fsconfig_set_string(&fs, "subtype", options.subtype.as_str())?;
    for (name, value) in parameters(device) {
        kernel::fsconfig_set_string(&fs, name, value)?;
    }
    let of_filesystem = [
        (MountFlags::RDONLY, "ro"),
        (MountFlags::SYNCHRONOUS, "sync"),
        (MountFlags::DIRSYNC, "dirsync"),
    ];
    let of_filesystem = of_filesystem.into_iter().filter(|(flag, _)| options.flags.contains(*flag));
    for name in switches(options).chain(of_filesystem.map(|(_, name)| name)) {
        kernel::fsconfig_set_flag(&fs, name)?;
    }
    kernel::fsconfig_create(&fs)?;
    let of_mount = [
        (MountFlags::RDONLY, MountAttrFlags::MOUNT_ATTR_RDONLY),
        (MountFlags::NOSUID, MountAttrFlags::MOUNT_ATTR_NOSUID),
        (MountFlags::NODEV, MountAttrFlags::MOUNT_ATTR_NODEV),
        (MountFlags::NOEXEC, MountAttrFlags::MOUNT_ATTR_NOEXEC),
        (MountFlags::NOATIME, MountAttrFlags::MOUNT_ATTR_NOATIME),
        (MountFlags::NODIRATIME, MountAttrFlags::MOUNT_ATTR_NODIRATIME),
        (MountFlags::NOSYMFOLLOW, MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW),
    ];
    let of_mount = of_mount.into_iter().filter(|(flag, _)| options.flags.contains(*flag));
    let of_mount = of_mount.fold(MountAttrFlags::empty(), |all, (_, attribute)| all | attribute);
    kernel::fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, of_mount)
}

/// By mount(2), which takes a path: one that leads to the descriptor.
fn mount_on(
    mountpoint: &Mountpoint,
    device: &OwnedFd,
    source: &OsStr,
    options: &MountOptions,
) -> Result<(), StartError> {
    let failed = |e: io::Error| StartError::Mount(mountpoint.path.clone(), e);
    let values = parameters(device).map(|(name, value)| format!("{name}={value}"));
    let data: Vec<_> = values.into_iter().chain(switches(options).map(str::to_owned)).collect();
    let data = CString::new(data.join(",")).map_err(|e| failed(e.into()))?;
    let kind = format!("fuse.{}", options.subtype);
    let target = format!("/proc/self/fd/{}", mountpoint.dir.as_raw_fd());
    rustix::mount::mount(source, target, kind, options.flags, data.as_c_str())
        .map_err(|e| failed(e.into()))
}

/// The mount of that connection, which should lie on top of the place.
fn find(mountpoint: &Mountpoint, connection: OwnedFd) -> Result<Fresh, StartError> {
    let failed = |e: io::Error| StartError::Mount(mountpoint.path.clone(), e);
    let root = directory(&mountpoint.path, OFlags::NOFOLLOW).map_err(|e| failed(e.into()))?;
    let identity = Identity::of(&root).map_err(failed)?;
    let beneath = Identity::of(&mountpoint.dir).map_err(failed)?;
    match served_device(&connection) {
        Some(device) if device != identity.device => {
            Ok(Fresh { connection, root: None, identity: Identity { device, id: None } })
        }
        None if identity.device == beneath.device => {
            Err(StartError::Vanished(mountpoint.path.clone()))
        }
        _ => Ok(Fresh { connection, root: Some(root), identity }),
    }
}

/// The filesystem of a connection, where the kernel tells it (`fuse_dev_show_fdinfo`, Linux 6.16).
fn served_device(connection: &OwnedFd) -> Option<Device> {
    let path = format!("/proc/self/fdinfo/{}", connection.as_raw_fd());
    let text = std::fs::read_to_string(path).ok()?;
    let number = text.lines().find_map(|line| line.strip_prefix("fuse_connection:"))?;
    // Of a device without a name the major number is 0.
    Some((0, number.trim().parse().ok()?))
}

/// Gives the mount on top at `mountpoint` these flags instead of those it has.
///
/// # Errors
/// What mount(2) reports.
pub(crate) fn remount(mountpoint: &Path, flags: MountFlags) -> io::Result<()> {
    rustix::mount::mount_remount(mountpoint, flags, c"").map_err(Into::into)
}

pub(super) fn open_device() -> Result<OwnedFd, StartError> {
    rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| StartError::Device(e.into()))
}

/// Detaches the mount that the descriptor is on, with what is mounted below it; open files keep it
/// alive unseen. Says whether it was there still. The path is the mount's own: an ordinary user's
/// helper needs it.
///
/// # Errors
/// What umount2(2) or fusermount3 reports.
pub(super) fn detach(mount: BorrowedFd<'_>, path: &Path) -> io::Result<bool> {
    let by_descriptor = format!("/proc/self/fd/{}", mount.as_raw_fd());
    let detached = match rustix::mount::unmount(by_descriptor, UnmountFlags::DETACH) {
        // /proc is covered. The open descriptor keeps the mount where it is.
        Err(Errno::NOENT | Errno::NOTDIR) => {
            rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
        }
        other => other,
    };
    match detached {
        Err(Errno::PERM) => fusermount::unmount(path, true).map(|()| true),
        // Somebody was quicker.
        Err(Errno::INVAL) => Ok(false),
        other => other.map(|()| true).map_err(Into::into),
    }
}

/// Whether nobody serves what is on top at `mountpoint`, as far as the calling user may know.
#[must_use]
pub(crate) fn is_dead(mountpoint: &Path) -> bool {
    let mountpoint = mountpoint.to_owned();
    is_of_nobody(move || strangers::reached(&mountpoint))
}

/// Detaches what is on top at `mountpoint`, busy or not, if nobody serves it; says whether it was so.
///
/// # Errors
/// What umount2(2) or fusermount3 reports.
pub(crate) fn detach_dead(mountpoint: &Path) -> io::Result<bool> {
    let root = directory(mountpoint, OFlags::NOFOLLOW)?;
    let dead = lost_its_daemon(&root);
    if dead {
        detach(root.as_fd(), mountpoint)?;
    }
    Ok(dead)
}

/// Detaches that filesystem from a place where it is on top, busy or not; says whether it was. Asks it nothing.
///
/// # Errors
/// What umount2(2) or fusermount3 reports.
pub(crate) fn detach_from(mountpoint: &Path, device: Device) -> io::Result<bool> {
    let root = directory(mountpoint, OFlags::NOFOLLOW)?;
    let is_it = Identity::of(&root)?.device == device;
    Ok(is_it && detach(root.as_fd(), mountpoint)?)
}

/// Unmounts what is on top at `mountpoint`; busy is EBUSY, as on any filesystem.
///
/// # Errors
/// What umount2(2) or fusermount3 reports.
pub(crate) fn unmount_idle(mountpoint: &Path) -> io::Result<()> {
    match rustix::mount::unmount(mountpoint, UnmountFlags::NOFOLLOW) {
        Err(Errno::PERM) => fusermount::unmount(mountpoint, false),
        other => other.map_err(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_plain_directory_is_ready_and_a_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        assert_eq!(prepare(dir.path()).unwrap().path, real);
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(prepare(&file).unwrap_err().to_string().contains("Not a directory"));
        assert!(prepare(&dir.path().join("none")).unwrap_err().to_string().contains("No such"));
    }

    #[test]
    fn both_ways_of_mounting_look_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let options = MountOptions {
            flags: MountFlags::RDONLY
                | MountFlags::NODEV
                | MountFlags::NOEXEC
                | MountFlags::NOATIME
                | MountFlags::NODIRATIME
                | MountFlags::NOSYMFOLLOW
                | MountFlags::DIRSYNC
                | MountFlags::SYNCHRONOUS,
            ..MountOptions::default()
        };
        let source = OsStr::new("/data/a, b");
        let line = |mountpoint: &Mountpoint| {
            let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
            let at = format!(" {} ", mountpoint.path.display());
            let line = table.lines().find(|line| line.contains(&at)).expect("it is mounted");
            line.split_once(&at).unwrap().1.to_owned()
        };
        let [by_call, by_path] = [true, false].map(|by_call| {
            let mountpoint = Mountpoint::open(dir.path()).unwrap();
            let device = open_device().unwrap();
            let fresh = if by_call {
                let root = create(&device, source, &options).unwrap();
                attach(&root, &mountpoint.dir).unwrap();
                let identity = Identity::of(&root).unwrap();
                Fresh { connection: device, root: Some(root), identity }
            } else {
                mount_on(&mountpoint, &device, source, &options).unwrap();
                find(&mountpoint, device).unwrap()
            };
            let line = line(&mountpoint);
            let seen = Mountpoint::open(dir.path()).unwrap();
            assert_eq!(Identity::of(&seen.dir).unwrap(), fresh.identity);
            assert_ne!(Identity::of(&mountpoint.dir).unwrap(), fresh.identity);
            detach(seen.dir.as_fd(), &seen.path).unwrap();
            line
        });
        assert_eq!(by_call, by_path);
        assert!(by_call.contains("fuse.slowfs /data/a,\\040b"), "{by_call}");
    }
}

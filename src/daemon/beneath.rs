//! What a mount hides: the directory that it lies on, and what processes have open there. No fault reaches a
//! file that was opened before the mount came. Nothing here waits for a filesystem or a process.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::{Dir, Mode, OFlags};

use super::mountinfo::{Device, MountLine, MountTable};
use crate::sys::process::{self, Openers};

/// How long the directory may take to tell what is in it.
const READING: Duration = Duration::from_millis(500);

/// How long the search for processes may take.
const SEARCHING: Duration = Duration::from_secs(1);

/// How many names are told.
const TOLD: usize = 3;

/// How many names are counted.
const COUNTED: usize = 1000;

/// What is in the directory that is mounted on.
pub(super) struct Hidden {
    /// Some of the names; none if it does not tell.
    names: Option<Vec<String>>,
    /// It is the mirrored directory, so that its files are seen in the mirror.
    is_mirrored: bool,
}

impl Hidden {
    /// Looks at the directory, which a mount may lie on by now. `mirrored` is what its mirror shows.
    pub(super) fn of(dir: &OwnedFd, mirrored: Option<Inode>) -> Hidden {
        let (tell, told) = mpsc::channel();
        let looking = dir.try_clone().and_then(|dir| {
            let look = move || {
                let is_mirrored = mirrored.is_some() && inode(&dir) == mirrored;
                // An error means that nobody waits for it any more.
                let _ = tell.send(Hidden { names: names(&dir).ok(), is_mirrored });
            };
            thread::Builder::new().name("look".to_owned()).spawn(look)
        });
        let hidden = looking.ok().and_then(|_| told.recv_timeout(READING).ok());
        hidden.unwrap_or(Hidden { names: None, is_mirrored: false })
    }

    /// Tells what may surprise of a mount that is there now. `spared` are processes that do not count.
    pub(super) fn warn(&self, mountpoint: &Path, device: Device, spared: &[u32]) {
        let path = mountpoint.display();
        match &self.names {
            Some(names) if !names.is_empty() && !self.is_mirrored => tracing::warn!(
                "{path} was not empty and is not the mirrored directory; files hidden while mounted: {}",
                listed(names)
            ),
            _ => {}
        }
        let openers = openers_beneath(mountpoint, device, SEARCHING, spared);
        let blind = openers.blind_spot();
        if !openers.found.is_empty() {
            tracing::warn!(
                "no fault reaches files below {path} that were opened before the mount: restart {}{}",
                openers.named(),
                blind.map(|blind| format!("; {blind}")).unwrap_or_default()
            );
        } else if let Some(blind) = blind
            && self.names.as_ref().is_none_or(|names| !names.is_empty())
        {
            tracing::info!("files below {path} may have been open before the mount: {blind}");
        }
    }
}

/// What tells a directory from another: its filesystem and its number there.
type Inode = (u64, u64);

/// None if it does not tell.
pub(super) fn inode(dir: &OwnedFd) -> Option<Inode> {
    rustix::fs::fstat(dir).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

/// The names in a directory, whatever lies on it.
fn names(dir: &OwnedFd) -> io::Result<Vec<String>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let entries = Dir::new(rustix::fs::openat(dir, ".", flags, Mode::empty())?)?.flatten();
    let names = entries.map(|entry| entry.file_name().to_bytes().escape_ascii().to_string());
    Ok(names.filter(|name| name != "." && name != "..").take(COUNTED).collect())
}

/// Some of the names, and how many more there are.
pub(crate) fn listed(names: &[String]) -> String {
    let some: Vec<_> = names.iter().take(TOLD).map(String::as_str).collect();
    let more = match names.len() {
        n if n <= TOLD => String::new(),
        COUNTED.. => " and many more".to_owned(),
        n => format!(" and {} more", n - TOLD),
    };
    format!("{}{more}", some.join(", "))
}

/// The processes that have files open which a mirror hides, in the order of their numbers.
#[must_use]
pub(crate) fn openers_beneath(
    mountpoint: &Path,
    device: Device,
    within: Duration,
    spared: &[u32],
) -> Openers {
    let lines = MountTable::open().and_then(|table| table.mounts()).unwrap_or_default();
    let places = Places::of(&lines, mountpoint, device);
    let below = mountpoint.to_owned();
    let mut openers = process::openers(
        within,
        move |path| path.starts_with(&below),
        move |open| places.are_hidden(open.device, open.mount),
    );
    openers.found.retain(|opener| !spared.contains(&opener.pid));
    openers
}

/// Which mounts have files below a mountpoint that its mirror hides.
struct Places {
    /// Of each mount that this process sees.
    by_number: HashMap<u64, bool>,
    /// Their filesystems: what mounts of other namespaces are told by.
    devices: Vec<Device>,
}

impl Places {
    fn of(lines: &[MountLine], mountpoint: &Path, device: Device) -> Places {
        let own: Vec<_> = lines.iter().filter(|line| line.device == device).collect();
        let parents: HashMap<_, _> = lines.iter().map(|line| (line.number, line.parent)).collect();
        let is_own = |number: u64| own.iter().any(|line| line.number == number);
        // What lies on the mirror, or on what lies on it.
        let is_seen = |line: &MountLine| {
            let up = |number: &u64| parents.get(number).copied().filter(|above| above != number);
            std::iter::successors(Some(line.number), up).take(lines.len()).any(is_own)
        };
        let lies_beneath = |line: &MountLine| {
            own.iter().any(|own| own.parent == line.number)
                || line.mountpoint.starts_with(mountpoint) && !is_seen(line)
        };
        let by_number: HashMap<_, _> =
            lines.iter().map(|line| (line.number, lies_beneath(line))).collect();
        let hidden = lines.iter().filter(|line| by_number.get(&line.number) == Some(&true));
        Places { devices: hidden.map(|line| line.device).collect(), by_number }
    }

    fn are_hidden(&self, device: Device, mount: Option<u64>) -> bool {
        let by_number = mount.and_then(|mount| self.by_number.get(&mount).copied());
        by_number.unwrap_or_else(|| self.devices.contains(&device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64, parent: u64, device: u32, mountpoint: &str) -> MountLine {
        MountLine {
            number,
            parent,
            device: (0, device),
            mountpoint: mountpoint.into(),
            options: String::new(),
            kind: String::new(),
            source: "none".into(),
            owner: 0,
        }
    }

    #[test]
    fn what_is_hidden_is_what_the_mirror_lies_on_and_what_lay_below() {
        let lines = [
            line(1, 1, 1, "/"),
            line(2, 1, 2, "/data"),
            line(3, 2, 3, "/data/old"),
            // The mirror, and what was mounted within it.
            line(4, 2, 4, "/data"),
            line(5, 4, 2, "/data/new"),
            line(6, 5, 6, "/data/new/below"),
            line(7, 1, 7, "/database"),
        ];
        let places = Places::of(&lines, Path::new("/data"), (0, 4));
        let hidden: Vec<_> =
            (1..=7).filter(|number| places.are_hidden((0, 2), Some(*number))).collect();
        assert_eq!(hidden, [2, 3]);
        // Another namespace numbers its mounts otherwise.
        assert!(places.are_hidden((0, 3), Some(99)) && places.are_hidden((0, 2), None));
        assert!(!places.are_hidden((0, 4), Some(99)) && !places.are_hidden((0, 1), None));
    }

    #[test]
    fn a_few_names_are_told_and_the_others_counted() {
        let names: Vec<_> = (0..COUNTED).map(|n| format!("f{n}")).collect();
        assert_eq!(listed(&names[..2]), "f0, f1");
        assert_eq!(listed(&names[..5]), "f0, f1, f2 and 2 more");
        assert_eq!(listed(&names), "f0, f1, f2 and many more");
    }
}

//! The mount that a path leads into, found without asking that mount, which may be dead or hold
//! everything: no name below it is looked up. No locks.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::mountinfo::{MountLine, MountTable};

/// How many symbolic links the kernel follows on a way (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Where a path leads.
#[derive(Debug)]
pub(crate) struct Lead {
    /// The same path without links and steps, up to the mirror that it leads into.
    pub(crate) path: PathBuf,
    /// That mirror, if it leads into one.
    pub(crate) mirror: Option<MountLine>,
}

/// Where the path leads, and the mount there if it is a `mirror`. Nothing need be there: names that do not
/// exist lead where they would be.
///
/// # Errors
/// There is no working directory, or the mount table cannot be read.
pub(crate) fn lead(path: &Path, mirror: impl Fn(&MountLine) -> bool) -> io::Result<Lead> {
    let absolute = std::path::absolute(path)?;
    let table = MountTable::open()?;
    let lies_in = |path: &Path| Ok::<_, io::Error>(table.around(path)?.filter(|line| mirror(line)));
    let mut resolved = PathBuf::from("/");
    let mut left = names(&absolute);
    let mut links = 0;
    while let Some(name) = left.pop() {
        if name == ".." {
            resolved.pop();
            continue;
        }
        let next = resolved.join(name);
        let link = match lies_in(&next)? {
            None if links < MOST_LINKS => fs::read_link(&next).ok(),
            _ => None,
        };
        match link {
            Some(target) => {
                links += 1;
                if target.is_absolute() {
                    resolved = PathBuf::from("/");
                }
                left.extend(names(&target));
            }
            None => resolved = next,
        }
    }
    let mirror = lies_in(&resolved)?;
    Ok(Lead { path: resolved, mirror })
}

/// The names of a path, the last first.
fn names(path: &Path) -> Vec<OsString> {
    let named = |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
    path.components().rev().filter(named).map(|part| part.as_os_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_steps_up_lead_to_where_the_kernel_would() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        fs::create_dir(dir.join("a")).unwrap();
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(target, dir.join(name)).unwrap();
        };
        link("/proc/self", "out");
        link("a/../out", "twice");
        link("loop", "loop");
        let kind = |path: &str| {
            let found = lead(&dir.join(path), |line| line.kind == "proc").unwrap();
            found.mirror.map(|line| line.mountpoint)
        };
        let proc = Some(PathBuf::from("/proc"));
        for inside in ["out", "twice/fd/none", "a/../out/../1", "none/../out"] {
            assert_eq!(kind(inside), proc, "{inside}");
        }
        for outside in ["a", "a/none", "out/../..", "loop", "loop/a"] {
            assert_eq!(kind(outside), None, "{outside}");
        }
        // Below a mirror nothing is followed any more.
        let own = |line: &MountLine| line.kind != "proc";
        let found = lead(&dir.join("out/../x"), own).unwrap();
        assert!(found.mirror.is_some());
        assert_eq!(found.path, dir.join("x"));
    }
}

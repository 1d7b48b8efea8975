//! Which processes have a file open, mapped or as a directory to stand in. Asks no filesystem, and waits for
//! no process.

use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use super::each::{look_at_each, numbers};
use super::proc::{self, Status};

/// A filesystem: major and minor number.
type Device = (u32, u32);

/// How many processes are named in a line.
const NAMED: usize = 5;

/// A file of a process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Open {
    /// Where it is, or was, as the process would name it.
    pub path: PathBuf,
    /// Its filesystem.
    pub device: Device,
    /// The number of the mount that it was opened on, where that can be told.
    pub mount: Option<u64>,
    /// Whether it is neither open nor mapped: the process stands there.
    pub stands: bool,
}

/// A process that has such a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opener {
    /// Its id.
    pub pid: u32,
    /// What it runs.
    pub program: String,
    /// The first of the files, and what it is to the process if it is no open file.
    pub first: String,
    /// How many more there are.
    pub more: usize,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Openers {
    /// The processes, by their numbers.
    pub found: Vec<Opener>,
    /// Others' that could not be looked at.
    pub hidden: Vec<u32>,
    /// How many took too long.
    pub missed: usize,
}

impl Openers {
    /// That some could not be looked at, if so: `2 processes could not be looked at`.
    #[must_use]
    pub(crate) fn blind_spot(&self) -> Option<String> {
        let unseen = self.hidden.len() + self.missed;
        let es = if unseen == 1 { "" } else { "es" };
        (unseen > 0).then(|| format!("{unseen} process{es} could not be looked at"))
    }

    /// Some of them on a line: `12 (cat: /mnt/f and 2 more), 14 (sh: working directory /mnt)`.
    #[must_use]
    pub(crate) fn named(&self) -> String {
        let told = |opener: &Opener| {
            let Opener { pid, program, first, more } = opener;
            let more = if *more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{pid} ({program}: {first}{more})")
        };
        let mut parts: Vec<_> = self.found.iter().take(NAMED).map(told).collect();
        let left = self.found.len().saturating_sub(NAMED);
        parts.extend((left > 0).then(|| format!("{left} more")));
        parts.join(", ")
    }
}

/// Searches for other processes that have a file which is wanted, for that long at most. Of a path may be said before
/// its file is looked at closer that it cannot be wanted.
pub(crate) fn openers(
    within: Duration,
    may_be: impl Fn(&Path) -> bool + Send + Sync + 'static,
    is_wanted: impl Fn(&Open) -> bool + Send + Sync + 'static,
) -> Openers {
    let own = std::process::id();
    let looks = look_at_each(within, move |pid| match pid {
        pid if pid == own => Seen::Nothing,
        pid => look(pid, &may_be, &is_wanted),
    });
    let mut openers = Openers { missed: looks.missed, ..Openers::default() };
    for seen in looks.seen {
        match seen {
            Seen::Nothing => {}
            Seen::Hidden(pid) => openers.hidden.push(pid),
            Seen::Opener(opener) => openers.found.push(opener),
        }
    }
    openers.found.sort_unstable_by_key(|opener| opener.pid);
    openers
}

enum Seen {
    Nothing,
    /// It may not be looked at.
    Hidden(u32),
    Opener(Opener),
}

fn look(pid: u32, may_be: &impl Fn(&Path) -> bool, is_wanted: &impl Fn(&Open) -> bool) -> Seen {
    match Status::of(pid, pid) {
        Ok(status) if status.is_kernel() || status.ended() => return Seen::Nothing,
        Ok(_) => {}
        Err(_) => return Seen::Nothing,
    }
    let dir = PathBuf::from(format!("/proc/{pid}"));
    let mut wanted = Vec::new();
    for (name, what) in
        [("cwd", "working directory "), ("root", "root directory "), ("exe", "program ")]
    {
        match linked(&dir.join(name), may_be) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Seen::Hidden(pid);
            }
            Ok(Some(open)) => {
                let open = Open { stands: name != "exe", ..open };
                wanted.extend(is_wanted(&open).then_some((what, open.path)));
            }
            _ => {}
        }
    }
    let open = numbers(&dir.join("fd"))
        .filter_map(|fd| linked(&dir.join(format!("fd/{fd}")), may_be).ok().flatten());
    wanted.extend(open.filter(is_wanted).map(|open| ("", open.path)));
    let mapped = mapped(&dir).into_iter().filter(|open| may_be(&open.path) && is_wanted(open));
    for open in mapped {
        if wanted.iter().all(|(_, path)| *path != open.path) {
            wanted.push(("mapped ", open.path));
        }
    }
    let Some((what, path)) = wanted.first() else { return Seen::Nothing };
    Seen::Opener(Opener {
        pid,
        program: proc::command(pid).unwrap_or_default(),
        first: format!("{what}{}", path.as_os_str().as_bytes().escape_ascii()),
        more: wanted.len() - 1,
    })
}

/// What a link of /proc leads to; none if it cannot be wanted.
fn linked(link: &Path, may_be: &impl Fn(&Path) -> bool) -> io::Result<Option<Open>> {
    let path = fs::read_link(link)?;
    if !may_be(&path) {
        return Ok(None);
    }
    let quiet = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let seen = statx(CWD, link, quiet, StatxFlags::MNT_ID)?;
    let mount = (seen.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(seen.stx_mnt_id);
    let device = (seen.stx_dev_major, seen.stx_dev_minor);
    Ok(Some(Open { path, device, mount, stands: false }))
}

/// The files that are mapped, each once.
fn mapped(process: &Path) -> Vec<Open> {
    let text = fs::read(process.join("maps")).unwrap_or_default();
    let mut found: Vec<_> = text.split(|byte| *byte == b'\n').filter_map(mapping).collect();
    found.dedup();
    found
}

/// A line of maps: `7f00-7f01 r--p 00000000 fd:01 1234    /usr/lib/x`.
fn mapping(line: &[u8]) -> Option<Open> {
    let start = line.iter().position(|byte| *byte == b'/')?;
    let (head, path) = line.split_at_checked(start)?;
    let device = std::str::from_utf8(head).ok()?.split_whitespace().nth(3)?;
    let (major, minor) = device.split_once(':')?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    let path = PathBuf::from(std::ffi::OsString::from_vec(path.to_vec()));
    let device = (number(major)?, number(minor)?);
    Some(Open { path, device, mount: None, stands: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn who_has_a_file_or_stands_in_its_directory_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        let file = fs::File::create(real.join("f")).unwrap();
        let device = linked(&Path::new("/proc/self/cwd").join(&real), &|_| true);
        assert!(device.is_err(), "no link");
        let mut sleeper = Command::new("sleep");
        sleeper.arg("60").current_dir(&real).stdin(Stdio::from(file));
        let mut sleeper = sleeper.spawn().unwrap();
        let below = real.clone();
        let found = openers(PATIENCE, move |path| path.starts_with(&below), |_| true);
        let pid = sleeper.id();
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        let own = found.found.iter().find(|opener| opener.pid == pid).unwrap();
        assert_eq!(own.first, format!("working directory {}", real.display()));
        assert_eq!((own.program.as_str(), own.more), ("sleep", 1));
        let line = found.named();
        assert!(line.contains(&format!("{pid} (sleep: working directory ")), "{line}");
    }

    #[test]
    fn mappings_are_read_with_their_device() {
        let line = b"7f0a-7f0b r-xp 00002000 fd:1f 1835010                /usr/lib/a b.so";
        let (path, device) = ("/usr/lib/a b.so".into(), (0xfd, 0x1f));
        let wanted = Open { path, device, mount: None, stands: false };
        assert_eq!(mapping(line), Some(wanted));
        assert_eq!(mapping(b"7ffd-7ffe rw-p 00000000 00:00 0      [stack]"), None);
    }

    #[test]
    fn five_are_named_and_the_others_counted() {
        let opener = |pid| Opener { pid, program: "x".into(), first: "/f".into(), more: 0 };
        let openers = Openers { found: (1..=7).map(opener).collect(), ..Openers::default() };
        assert!(openers.named().ends_with("5 (x: /f), 2 more"), "{}", openers.named());
    }
}

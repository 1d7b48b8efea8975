//! `slowfs umount`: ends a mirror, and says who is in the way.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use rustix::process::geteuid;

use super::mount::mirror_at;
use super::mounts::{self, Answer, Asked, Door};
use crate::daemon::beneath::listed;
use crate::daemon::mark::{self, Server};
use crate::daemon::mountinfo::{Device, MountLine, MountTable};
use crate::daemon::socket::{self, State};
use crate::daemon::{self, StartError};
use crate::fault::words::quoted_path;
use crate::sys::process::{self, Openers};

/// How long a daemon may take to end once its mount is gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the search for those who keep the mount busy may take.
const SEARCHING: Duration = Duration::from_secs(2);

/// What `slowfs umount` is told.
#[derive(Debug, Args)]
pub(super) struct UmountArgs {
    /// The mountpoint of a mirror
    #[arg(value_name = "MOUNT")]
    mountpoint: PathBuf,
    /// End the daemon, busy or not. It releases what faults hold; programs with open files get errors
    #[arg(long, short)]
    force: bool,
}

/// Unmounts a mirror that is idle, dead, or to go by force, and returns when its daemon is gone.
///
/// # Errors
/// It is busy, or no mirror; or it is gone, but its daemon does not end.
pub(super) fn umount(args: &UmountArgs) -> anyhow::Result<()> {
    let typed = &args.mountpoint;
    let line = mirror_at(typed, "unmount")?;
    let user = geteuid();
    if !user.is_root() && line.owner != user.as_raw() {
        bail!(
            "cannot unmount {}: it belongs to user {}; unmount it as that user, or as root",
            typed.display(),
            line.owner
        );
    }
    let servers = mark::servers_of(&line);
    let table = MountTable::open().map_err(StartError::Mountinfo)?;
    let places = table.places_of(line.device).map_err(StartError::Mountinfo)?;
    if args.force && !servers.is_empty() {
        let asked = servers.iter().try_for_each(Server::end);
        asked.with_context(|| format!("cannot end the daemon of {}", typed.display()))?;
        return ended_by_force(servers, line.device, typed);
    }
    match daemon::mount::unmount_idle(&line.mountpoint) {
        Err(error) if is_busy(&error) => unmount_busy(args, &line)?,
        other => other.with_context(|| format!("cannot unmount {}", typed.display()))?,
    }
    if places.len() > 1 {
        // It is mounted elsewhere, too: the daemon goes on.
        return Ok(());
    }
    ended(servers, typed, PATIENCE)
}

fn is_busy(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EBUSY)
}

/// Detaches it if nobody serves it any more.
///
/// # Errors
/// Somebody does: who is in the way, and what to do.
fn unmount_busy(args: &UmountArgs, line: &MountLine) -> anyhow::Result<()> {
    let typed = args.mountpoint.display();
    let detached = daemon::mount::detach_dead(&line.mountpoint);
    if detached.with_context(|| format!("cannot detach {typed}, which is dead"))? {
        return Ok(());
    }
    if args.force {
        let detach = if geteuid().is_root() { "umount -l" } else { "fusermount3 -uz" };
        bail!(
            "cannot end the daemon of {typed}: it cannot be seen from here; `{detach} {}` detaches the mount",
            quoted_path(&line.mountpoint)
        );
    }
    bail!("cannot unmount {typed}: it is busy: {}", Busy::of(line).told(&line.mountpoint))
}

/// Waits until they are gone, for so long in all.
fn ended(servers: Vec<Server>, typed: &Path, patience: Duration) -> anyhow::Result<()> {
    match left(servers, patience) {
        None => Ok(()),
        Some(pid) => bail!(
            "unmounted {}, but its daemon (pid {pid}) runs on after {} s: it is stopped, another mount \
             namespace has the mount, or the backing directory does not answer",
            typed.display(),
            patience.as_secs()
        ),
    }
}

/// Waits until they have ended as they were told, and takes the mount from one that has not.
fn ended_by_force(servers: Vec<Server>, device: Device, typed: &Path) -> anyhow::Result<()> {
    let Some(pid) = left(servers, PATIENCE) else { return Ok(()) };
    let (typed, waited) = (typed.display(), PATIENCE.as_secs());
    let detached = detach_everywhere(device);
    let failed = || format!("cannot detach {typed}, whose daemon (pid {pid}) does not end");
    let done = if detached.with_context(failed)? { "detached" } else { "unmounted" };
    bail!(
        "{done} {typed}, but its daemon (pid {pid}) has not ended after {waited} s: it is stopped or stuck; \
         `kill -9 {pid}` ends it, and what it still serves gets errors"
    )
}

/// The first of them that does not end in time.
fn left(servers: Vec<Server>, patience: Duration) -> Option<i32> {
    let deadline = Instant::now() + patience;
    let mut late = servers
        .into_iter()
        .filter(|server| !server.ends_within(deadline.saturating_duration_since(Instant::now())));
    late.next().map(|server| server.pid)
}

/// Detaches that filesystem wherever it is mounted; says whether it was anywhere.
fn detach_everywhere(device: Device) -> anyhow::Result<bool> {
    let table = MountTable::open().map_err(StartError::Mountinfo)?;
    let places = || table.places_of(device).map_err(StartError::Mountinfo);
    let mut detached = false;
    for place in places()? {
        detached |= daemon::mount::detach_from(&place, device)?;
    }
    match places()?.first() {
        Some(place) => bail!("at {} another mount lies on it", place.display()),
        None => Ok(detached),
    }
}

/// What keeps a mount busy.
struct Busy {
    openers: Openers,
    /// What is mounted below it.
    below: Vec<String>,
    /// How many operations faults hold, if its daemon tells.
    held: Option<i64>,
}

impl Busy {
    fn of(line: &MountLine) -> Busy {
        let device = line.device;
        let openers = process::openers(SEARCHING, |_| true, move |open| open.device == device);
        Busy { openers, below: below(line), held: held(line) }
    }

    /// Who it is, and what to do about it. The commands name the mountpoint itself: what was typed may be no
    /// mountpoint to other commands, or only in this directory.
    fn told(&self, mountpoint: &Path) -> String {
        let mountpoint = quoted_path(mountpoint);
        let mut why = Vec::new();
        let mut what = Vec::new();
        if !self.below.is_empty() {
            let (is, that) = if self.below.len() == 1 { ("is", "that") } else { ("are", "those") };
            why.push(format!(
                "{} {is} mounted below it: unmount {that} first",
                listed(&self.below)
            ));
        }
        if !self.openers.found.is_empty() {
            why.push(format!("files are open of {}", self.openers.named()));
            what.push("end these programs".to_owned());
        }
        if let Some(held @ 1..) = self.held {
            let s = if held == 1 { "" } else { "s" };
            why.push(format!("faults hold {held} operation{s}"));
            what.push(format!("release what is held by `slowfs clear {mountpoint}`"));
        }
        why.extend(self.openers.blind_spot());
        if why.is_empty() {
            why.push("the programs that use it cannot be seen from here".to_owned());
        }
        let force = format!(
            "`slowfs umount --force {mountpoint}` ends it all the same, and programs that use it get errors"
        );
        let gently = Some(what.join(" and ")).filter(|steps| !steps.is_empty());
        let what: Vec<_> = gently.into_iter().chain([force]).collect();
        format!("{}; {}", why.join("; "), what.join(", or "))
    }
}

/// The places that lie on that mount, in the order of their names.
fn below(line: &MountLine) -> Vec<String> {
    let lines = MountTable::open().and_then(|table| table.mounts()).unwrap_or_default();
    let on_it = lines.into_iter().filter(|other| {
        // The root of all lies on itself.
        other.parent == line.number && other.number != line.number
    });
    let mut places: Vec<_> = on_it.map(|on| on.mountpoint.display().to_string()).collect();
    places.sort();
    places.dedup();
    places
}

fn held(line: &MountLine) -> Option<i64> {
    let found = socket::socket_of(&line.mountpoint, line.owner);
    let Some((socket, State::Live { pid })) = found else { return None };
    let door = Door { socket, pid, line: Some(line.clone()) };
    let answer = mounts::asked(vec![door]).pop().map(|Asked { answer, .. }| answer);
    answer?.ok().map(|Answer { held, .. }| held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::Opener;

    /// Two daemons that go on, which this process stands for.
    #[test]
    fn a_daemon_that_goes_on_is_waited_for_and_told_of() {
        let servers = vec![Server::own(), Server::own()];
        let (began, patience) = (Instant::now(), Duration::from_millis(1100));
        let told = ended(servers, Path::new("/m"), patience).unwrap_err().to_string();
        assert!(began.elapsed() >= patience && began.elapsed() < 20 * patience);
        let own = std::process::id();
        let begins = format!("unmounted /m, but its daemon (pid {own}) runs on after 1 s: ");
        assert!(told.starts_with(&begins), "{told}");
        assert!(ended(Vec::new(), Path::new("/m"), Duration::ZERO).is_ok());
    }

    #[test]
    fn what_is_told_is_what_can_be_done() {
        let opener = |pid| Opener { pid, program: "cat".into(), first: "/m/f".into(), more: 0 };
        let busy = |found: Vec<_>, missed, held| {
            let below = Vec::new();
            let openers = Openers { found, missed, ..Openers::default() };
            Busy { openers, below, held }.told(Path::new("/m"))
        };
        let force =
            "`slowfs umount --force /m` ends it all the same, and programs that use it get errors";
        assert_eq!(
            busy(vec![opener(7)], 0, Some(2)),
            format!(
                "files are open of 7 (cat: /m/f); faults hold 2 operations; end these programs and \
                 release what is held by `slowfs clear /m`, or {force}"
            )
        );
        assert_eq!(
            busy(vec![], 0, None),
            format!("the programs that use it cannot be seen from here; {force}")
        );
        assert_eq!(
            busy(vec![], 3, Some(0)),
            format!("3 processes could not be looked at; {force}")
        );
        let openers = Openers { found: vec![opener(7)], ..Openers::default() };
        let below = vec!["/m m/a".into(), "/m m/b".into()];
        assert_eq!(
            Busy { below, openers, held: None }.told(Path::new("/m m")),
            "/m m/a, /m m/b are mounted below it: unmount those first; files are open of 7 (cat: /m/f); \
             end these programs, or `slowfs umount --force '/m m'` ends it all the same, and programs that \
             use it get errors"
        );
    }
}

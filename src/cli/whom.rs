//! Whom a command asks where several mounts may be meant: a name before an address, what was typed
//! before what is around. No locks.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::at_once;
use super::fleet::{self, Origin};
use super::mounts::{self, Door};
use super::output;
use super::serving::Serving;
use super::target::Target;
use crate::daemon::around;
pub(super) use crate::daemon::around::Lead;
use crate::daemon::mark::Server;
use crate::daemon::mount;
use crate::daemon::mountinfo::{MountLine, is_ours};
use crate::daemon::socket::{self, State};
use crate::fault::device;
use crate::fault::distributions::file_named;
use crate::fault::words;
use crate::rpc::Client;

/// Whom a command asks where nothing else is said and nothing found.
const DEFAULT_ADDR: &str = "127.0.0.1:9090";

/// The variable with the addresses of commands that are told none.
const VARIABLE: &str = "SLOWFS_ADDR";

/// How long the usual port may take to tell whose it is.
const PATIENCE: Duration = Duration::from_secs(1);

/// Commands that take paths of their own: of `match` and `record` it is both the mount and what is asked of it, of
/// `run` the last one is a file.
pub(super) const PATHS: [&str; 3] = ["match", "record", "run"];

/// Writes a mountpoint that stands before every other argument of a control command as the option that
/// it is. A device's file is none.
pub(super) fn spelled_out(mut args: Vec<OsString>) -> Vec<OsString> {
    for word in args.iter_mut().skip(2).take_while(|word| is_path(word)) {
        let mut option = OsString::from("--mount=");
        option.push(&*word);
        *word = option;
    }
    args
}

/// Whether a word is a path and nothing else.
pub(super) fn is_path(word: &OsString) -> bool {
    let bytes = word.as_bytes();
    // Where a delay is drawn from a file, its path stands there.
    let is_length = word.to_str().and_then(file_named).is_some();
    let has_slash = bytes.contains(&b'/') && !bytes.starts_with(b"-");
    let is_other = word.to_str().is_some_and(device::is_file) || is_length;
    has_slash && !is_other || word == "." || word == ".."
}

/// Whether a word without a slash names the mountpoint of a mirror all the same.
pub(super) fn is_bare_mountpoint(word: &OsStr) -> bool {
    let path = Path::new(word);
    let is_name = path.components().count() == 1 && !word.as_bytes().starts_with(b"-");
    let is_there =
        |line: MountLine| env::current_dir().is_ok_and(|dir| dir.join(path) == line.mountpoint);
    is_name && mirror_at(path).is_ok_and(|line| line.is_some_and(is_there))
}

/// The addresses that are meant, and where they come from if that was not typed.
pub(super) type Meant = (Vec<String>, Origin);

/// The addresses that are meant.
///
/// # Errors
/// None is, or one of several; why, and what to do.
pub(super) fn addresses(target: &Target) -> Result<Meant, String> {
    if !target.mount.is_empty() {
        if !target.addr.is_empty() {
            output::warning("--addr is not asked: the mount that is named comes before it");
        }
        return Ok(named(&target.mount));
    }
    if !target.addr.is_empty() {
        return Ok((target.addr.to_vec(), Origin::default()));
    }
    let from = |said| Origin { said: Some(said), ..Origin::default() };
    if let Some(typed) = env::var_os(VARIABLE).filter(|typed| !typed.is_empty()) {
        let typed = typed.to_string_lossy();
        let wrong = |word, why| format!("{VARIABLE}: {word:?}: {why}");
        let read = |word| fleet::meant(word).map_err(|why| wrong(word, why));
        let read: Result<Vec<_>, _> = typed.split(',').map(read).collect();
        return Ok((read?.concat(), from("that address comes from $SLOWFS_ADDR")));
    }
    // Who stands nowhere, or in what was detached or removed, stands in no mount.
    if let Ok(Some(line)) = mirror_at(Path::new(".")) {
        return Ok((vec![address_of(&line)?], Origin::default()));
    }
    let mut doors = doors()?;
    match (doors.pop(), doors.len()) {
        (None, _) => Ok((
            vec![DEFAULT_ADDR.to_owned()],
            from("no mount is named and none was found, so the default address was asked"),
        )),
        (Some(only), 0) => Ok((vec![told(&only.socket)], Origin::default())),
        (Some(last), _) => {
            doors.push(last);
            let names: Vec<_> = mounts::asked(doors).iter().map(mounts::Asked::name).collect();
            Err(format!(
                "there are {} mounts: {}; name one before all other arguments, or by --mount or \
                 --addr",
                names.len(),
                names.join(", ")
            ))
        }
    }
}

/// The mounts that are named by their paths. One that is not found keeps no other from being asked.
fn named(paths: &[PathBuf]) -> Meant {
    let mut origin = Origin::default();
    let found = at_once::each(paths, |path| address_of_path(path));
    let addresses = paths.iter().zip(found).map(|(path, found)| {
        found.unwrap_or_else(|_| {
            origin.paths.push(path.clone());
            words::shown_path(path)
        })
    });
    (addresses.collect(), origin)
}

/// Connects to one of the addresses that are meant. A mount that was not found is looked for again.
///
/// # Errors
/// Nobody is there; why, and why that address is asked.
pub(super) fn reach(addr: &str, origin: &Origin, patience: Duration) -> Result<Client, String> {
    reach_again(addr, origin, patience, &mut Serving::default())
}

/// The same over and over, with what is known of who serves it.
///
/// # Errors
/// As [`reach`].
pub(super) fn reach_again(
    addr: &str,
    origin: &Origin,
    patience: Duration,
    serving: &mut Serving,
) -> Result<Client, String> {
    let path = origin.paths.iter().find(|path| words::shown_path(path) == addr);
    let found = path.map(|path| found_at(path, serving)).transpose()?;
    let connected = Client::connect(found.as_deref().unwrap_or(addr), patience);
    connected.map_err(|error| match origin.said {
        Some(said) => format!("{error}; {said}"),
        None => error.to_string(),
    })
}

/// The mounts that a path is of.
#[derive(Default)]
pub(super) struct Around {
    pub(super) addresses: Vec<String>,
    /// Why others could not tell what they mirror.
    pub(super) unknown: Vec<String>,
}

/// The mounts that a path is of: the mirror that it leads into, or those that mirror a directory above it.
pub(super) fn addresses_of(path: &Path) -> Result<Around, String> {
    let Lead { path, mirror } = lead(path)?;
    if let Some(line) = mirror {
        return Ok(Around { addresses: vec![address_of(&line)?], ..Around::default() });
    }
    let mut around = Around::default();
    for asked in mounts::asked(doors()?) {
        match &asked.answer {
            Ok(answer) if below(&answer.info.backing.0, &path).is_some() => {
                around.addresses.push(told(&asked.door.socket));
            }
            Ok(_) => {}
            Err(why) => around.unknown.push(why.to_string()),
        }
    }
    Ok(around)
}

fn doors() -> Result<Vec<Door>, String> {
    mounts::doors().map_err(|error| format!("cannot look for mounts: {error}"))
}

/// A path as one below that directory, if it is, by the way that this was named.
pub(super) fn below(directory: &Path, path: &Path) -> Option<PathBuf> {
    let resolved = lead(directory).ok()?.path;
    Some(directory.join(path.strip_prefix(resolved).ok()?))
}

/// How the daemon of the mirror that a path leads into is reached.
pub(super) fn address_of_path(path: &Path) -> Result<String, String> {
    found_at(path, &mut Serving::default())
}

fn found_at(path: &Path, serving: &mut Serving) -> Result<String, String> {
    match mirror_at(path)? {
        Some(line) => address_by(&line, serving),
        None => Err(format!(
            "{} lies on no mirror; `slowfs ps` shows the mounts that there are",
            words::shown_path(path)
        )),
    }
}

/// Whether a path is the mountpoint of a mirror.
pub(super) fn is_mountpoint(path: &Path) -> bool {
    let is_there = |lead: Lead| lead.mirror.is_some_and(|line| line.mountpoint == lead.path);
    lead(path).is_ok_and(is_there)
}

/// The mirror that a path leads into.
fn mirror_at(path: &Path) -> Result<Option<MountLine>, String> {
    lead(path).map(|lead| lead.mirror)
}

/// Where a path leads.
pub(super) fn lead(path: &Path) -> Result<Lead, String> {
    // The subtype may be one of the user's own.
    let is_mirror = |line: &MountLine| {
        is_ours(&line.kind)
            || line.kind.starts_with("fuse.")
                && socket::socket_of(&line.mountpoint, line.owner).is_some()
    };
    let found = around::lead(path, is_mirror);
    found.map_err(|error| format!("cannot find the mount of {}: {error}", words::shown_path(path)))
}

/// How the daemon of a mirror is reached: by its socket; else by the usual port, if that is its own.
pub(super) fn address_of(line: &MountLine) -> Result<String, String> {
    address_by(line, &mut Serving::default())
}

fn address_by(line: &MountLine, serving: &mut Serving) -> Result<String, String> {
    let own = socket::socket_of(&line.mountpoint, line.owner);
    if let Some((path, State::Live { .. })) = &own {
        return Ok(told(path));
    }
    if own.is_none()
        && let Some(path) = socket_of_moved(serving.servers_of(line))?
    {
        return Ok(path);
    }
    if Client::connect(DEFAULT_ADDR, PATIENCE)
        .and_then(|mut client| client.info())
        .is_ok_and(|info| info.mountpoint.0 == line.mountpoint)
    {
        return Ok(DEFAULT_ADDR.to_owned());
    }
    let mountpoint = words::shown_path(&line.mountpoint);
    // Nobody serves it.
    if own.is_none() && serving.servers_of(line).is_empty() && mount::is_dead(&line.mountpoint) {
        return Err(format!(
            "the mirror at {mountpoint} is dead, as its daemon has ended: `slowfs umount {}`",
            words::quoted_path(&line.mountpoint)
        ));
    }
    Err(match own {
        Some((path, _)) => format!(
            "the mirror at {mountpoint} belongs to user {}, and only this user may use its control socket {}; \
             name its port by --addr, if it has one",
            line.owner,
            path.display()
        ),
        None => format!(
            "the mirror at {mountpoint} has no control socket that can be found: its daemon has \
             ended, is older, or belongs to somebody else; name its port by --addr, if it has one"
        ),
    })
}

/// The socket of a mount that was moved, or is bound elsewhere: it keeps the name of its first place.
fn socket_of_moved(servers: &[Server]) -> Result<Option<String>, String> {
    let serves = |pid: u32| servers.iter().any(|server| server.pid.unsigned_abs() == pid);
    Ok(doors()?.into_iter().find(|door| serves(door.pid)).map(|door| told(&door.socket)))
}

fn told(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::super::{command, spelled_out};
    use super::*;

    fn spelled(line: &str) -> String {
        let words = line.split(' ').map(OsString::from).collect();
        let words = spelled_out(&command(), words);
        words.join(std::ffi::OsStr::new(" ")).into_string().unwrap()
    }

    #[test]
    fn of_two_paths_that_are_no_text_each_is_looked_for_itself() {
        let paths = [&b"/none/\xff"[..], b"/none/\xfe"].map(|path| OsStr::from_bytes(path).into());
        let (addresses, origin) = named(&paths);
        assert_eq!(addresses, [r"$'/none/\xff'", r"$'/none/\xfe'"]);
        for address in addresses {
            let why = reach(&address, &origin, PATIENCE).err().unwrap();
            assert!(why.starts_with(&format!("{address} lies on no mirror")), "{why}");
        }
    }

    #[test]
    fn a_mountpoint_before_all_else_is_taken_for_one() {
        for (typed, wanted) in [
            ("slowfs list /mnt/x", "slowfs list --mount=/mnt/x"),
            ("slowfs list . slow", "slowfs list --mount=. slow"),
            ("slowfs clear mnt/x ../y fsync", "slowfs clear --mount=mnt/x --mount=../y fsync"),
            ("slowfs delay /mnt 1ms -r a/b", "slowfs delay --mount=/mnt 1ms -r a/b"),
            ("slowfs device /mnt a/b.toml -r c/d", "slowfs device --mount=/mnt a/b.toml -r c/d"),
            ("slowfs ping .. --json", "slowfs ping --mount=.. --json"),
        ] {
            assert_eq!(spelled(typed), wanted);
        }
        for own in [
            "slowfs mount /mnt --subdir /raw",
            "slowfs umount /mnt",
            "slowfs list slow",
            "slowfs trace --to=a/b",
            "slowfs list -- /mnt",
            "slowfs match /mnt/a",
            "slowfs nonsense /mnt",
            "slowfs",
        ] {
            assert_eq!(spelled(own), own);
        }
    }
}

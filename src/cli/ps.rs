//! `slowfs ps`: the mounts of this machine, those that nobody serves any more too. No locks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use rustix::process::geteuid;
use serde::Serialize;

use super::mounts::{self, Answer, Asked, Door, Unanswered};
use super::output;
use crate::daemon::mountinfo::MountLine;
use crate::daemon::{mark, mount, socket};
use crate::fault::words::{quoted_path, shown_path, visible};
use crate::rpc::{WirePath, objects};

/// What `slowfs ps` is told.
#[derive(Debug, clap::Args)]
pub(super) struct PsArgs {
    /// Print JSON, one object per line and mount
    #[arg(long)]
    json: bool,
}

/// A mount, as far as can be told.
#[derive(Default, Serialize)]
pub(super) struct Row {
    mountpoint: WirePath,
    backing: Option<WirePath>,
    pid: Option<u32>,
    listen: Option<String>,
    socket: Option<WirePath>,
    http: Option<String>,
    faults: Option<i32>,
    held: Option<i64>,
    started_unix_ms: Option<i64>,
    owner: Option<u32>,
    state: &'static str,
    /// What its daemon said in the place of an answer.
    error: Option<String>,
}

/// It answers.
const LIVE: &str = "live";
/// Its daemon is there, and did not answer in time.
const SILENT: &str = "silent";
/// Its daemon is there, and what came was no answer.
const WRONG: &str = "wrong";
/// It is another user's, and whoever asks may not ask its daemon.
const CLOSED: &str = "closed";
/// No control socket of it is found.
const UNFOUND: &str = "no socket";
/// Nobody serves it.
const DEAD: &str = "dead";

/// Shows them all.
pub(super) fn run(args: &PsArgs) -> ExitCode {
    let lines = match mounts::mirrors() {
        Ok(lines) => lines,
        Err(error) => {
            output::error(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    let asked = mounts::asked(mounts::with_others(socket::live(), &lines));
    let owners = lines.iter().map(|line| (line.mountpoint.clone(), line.owner)).collect();
    let mut rows = unasked(lines, &asked);
    let is_told = |rows: &[Row], asked: &Asked| {
        rows.iter().any(|row| row.socket.as_ref().is_some_and(|own| own.0 == asked.door.socket))
    };
    let others: Vec<_> = asked.into_iter().filter(|asked| !is_told(&rows, asked)).collect();
    rows.extend(others.into_iter().map(|asked| row(asked, &owners)));
    rows.sort_by(|a, b| a.mountpoint.0.cmp(&b.mountpoint.0));
    if args.json {
        for row in &rows {
            output::out(&row.object().to_string());
        }
    } else if rows.is_empty() {
        output::out("no mounts");
    } else {
        output::out(&text(&rows, SystemTime::now()));
    }
    ExitCode::SUCCESS
}

/// The table, and below it what to do.
fn text(rows: &[Row], now: SystemTime) -> String {
    let headers = ["MOUNT", "BACKING", "PID", "ADDRESSES", "FAULTS", "HELD", "STATE", "SINCE"];
    let cells = rows.iter().map(|row| row.cells(now)).collect();
    let table = output::table(headers, &[2, 4, 5], cells);
    let todo: Vec<_> = rows.iter().filter_map(Row::todo).map(|todo| visible(&todo)).collect();
    if todo.is_empty() { table } else { format!("{table}\n\n{}", todo.join("\n")) }
}

fn row(asked: Asked, owners: &BTreeMap<PathBuf, u32>) -> Row {
    let Door { socket, pid, line } = asked.door;
    let pid = Some(pid).filter(|pid| *pid > 0);
    match asked.answer {
        Ok(Answer { info, held, .. }) => Row {
            owner: match &line {
                Some(line) => Some(line.owner),
                None => owners.get(&info.mountpoint.0).copied(),
            },
            mountpoint: info.mountpoint,
            backing: Some(info.backing),
            // The kernel tells of another user's, not that one's daemon.
            pid: pid.filter(|_| line.is_some()).or_else(|| u32::try_from(info.pid).ok()),
            listen: info.listen,
            socket: match info.socket {
                Some(path) if line.is_none() => Some(path),
                _ => Some(WirePath(socket)),
            },
            http: info.http,
            faults: Some(info.faults),
            held: Some(held),
            started_unix_ms: Some(info.started_unix_ms),
            state: LIVE,
            error: None,
        },
        Err(why) => {
            let (state, error) = unanswered(&why);
            let (mountpoint, socket) = (WirePath(socket.clone()), Some(WirePath(socket)));
            Row { mountpoint, pid, socket, state, error, ..Row::default() }
        }
    }
}

fn unanswered(why: &Unanswered) -> (&'static str, Option<String>) {
    if why.is_silence() { (SILENT, None) } else { (WRONG, Some(why.to_string())) }
}

/// The mirrors among the mounts of which no socket was found that answers.
fn unasked(lines: Vec<MountLine>, asked: &[Asked]) -> Vec<Row> {
    let mut places: BTreeMap<_, Vec<MountLine>> = BTreeMap::new();
    for line in lines {
        places.entry(line.device).or_default().push(line);
    }
    let answers =
        |line: &MountLine| asked.iter().any(|asked| asked.answer.is_ok() && asked.is_of(line, &[]));
    places.retain(|_, places| !places.iter().any(answers));
    let firsts: Vec<_> = places.values().filter_map(|places| places.first().cloned()).collect();
    let servers = mark::servers_of_each(&firsts);
    let pids = |device| {
        let servers = servers.get(device).into_iter().flatten();
        servers.map(|server| server.pid.unsigned_abs()).collect::<Vec<_>>()
    };
    places.iter().filter_map(|(device, places)| unasked_at(places, &pids(device), asked)).collect()
}

fn unasked_at(places: &[MountLine], pids: &[u32], asked: &[Asked]) -> Option<Row> {
    let line = places.first()?;
    let is_its = |asked: &&Asked| places.iter().any(|line| asked.is_of(line, pids));
    let ((state, error), socket) = match asked.iter().find(is_its) {
        Some(Asked { door, answer: Err(why) }) => (unanswered(why), Some(door.socket.clone())),
        // It was moved, or is bound elsewhere, and answers.
        Some(_) => return None,
        None if pids.is_empty() && mount::is_dead(&line.mountpoint) => ((DEAD, None), None),
        None => match socket::socket_of(&line.mountpoint, line.owner) {
            Some((path, _)) => ((CLOSED, None), Some(path)),
            None if is_anothers(line.owner) => ((CLOSED, None), None),
            None => ((UNFOUND, None), None),
        },
    };
    let (mountpoint, source) = (line.mountpoint.clone(), line.source.clone());
    let (mountpoint, backing) = (WirePath(mountpoint), Some(WirePath(source)));
    let socket = socket.map(WirePath);
    let (pid, owner) = (pids.first().copied(), Some(line.owner));
    Some(Row { mountpoint, backing, pid, socket, owner, state, error, ..Row::default() })
}

/// Whether the calling user may not ask mounts of that one.
fn is_anothers(owner: u32) -> bool {
    let user = geteuid();
    !user.is_root() && user.as_raw() != owner
}

impl Row {
    /// As a program reads it.
    fn object(&self) -> serde_json::Value {
        let mut object = serde_json::json!(self);
        objects::add_bytes(&mut object, "mountpoint", &self.mountpoint);
        self.backing.iter().for_each(|path| objects::add_bytes(&mut object, "backing", path));
        object
    }

    fn cells(&self, now: SystemTime) -> [String; 8] {
        fn shown<T: ToString>(value: Option<&T>) -> String {
            value.map_or("-".to_owned(), ToString::to_string)
        }
        let path = |path: &WirePath| shown_path(&path.0);
        let socket = self.socket.as_ref().map(path);
        let page = self.http.as_ref().map(|address| format!("http://{address}/"));
        let addresses: Vec<_> = self.listen.iter().cloned().chain(socket).chain(page).collect();
        [
            path(&self.mountpoint),
            shown(self.backing.as_ref().map(path).as_ref()),
            shown(self.pid.as_ref()),
            if addresses.is_empty() { "-".to_owned() } else { addresses.join(", ") },
            shown(self.faults.as_ref()),
            shown(self.held.as_ref()),
            self.state_told(),
            self.started_unix_ms.map_or("-".to_owned(), |started| since(started, now)),
        ]
    }

    fn state_told(&self) -> String {
        match (self.state, self.owner) {
            (CLOSED, Some(owner)) => format!("of user {owner}"),
            (state, _) => state.to_owned(),
        }
    }

    /// What to do about its state.
    fn todo(&self) -> Option<String> {
        let (mount, quoted) = (shown_path(&self.mountpoint.0), quoted_path(&self.mountpoint.0));
        let told = match self.state {
            DEAD => format!("the daemon of {mount} has ended: `slowfs umount {quoted}`"),
            // Where only the socket is known no mount can be named.
            SILENT if self.backing.is_some() => format!(
                "{mount} does not answer: see its log; `slowfs umount --force {quoted}` ends it"
            ),
            SILENT => format!("{mount} does not answer: see the log of its mount"),
            WRONG => {
                let error = self.error.as_deref().unwrap_or_default();
                format!("{mount} cannot be asked: {error}")
            }
            CLOSED => format!(
                "{mount} can be asked by its user and by root, or by its port if it has one: --addr \
                 HOST:PORT"
            ),
            UNFOUND => format!(
                "the control socket of {mount} was not found (was $XDG_RUNTIME_DIR another?): ask by its \
                 port if it has one: --addr HOST:PORT"
            ),
            _ => return None,
        };
        Some(told)
    }
}

/// How long ago that was.
fn since(started: i64, now: SystemTime) -> String {
    let started = Duration::from_millis(started.unsigned_abs());
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let up = Duration::from_secs(now.saturating_sub(started).as_secs());
    format!("{} ago", humantime::format_duration(up))
}

/// The names of the fields of a row.
#[cfg(test)]
pub(super) fn field_names() -> Vec<String> {
    let row = serde_json::json!(Row::default());
    row.as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_what_is_known_and_no_more() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let live = Row {
            mountpoint: WirePath("/m".into()),
            backing: Some(WirePath("/b".into())),
            pid: Some(7),
            listen: Some("127.0.0.1:9090".into()),
            socket: Some(WirePath("/run/slowfs/m".into())),
            http: Some("127.0.0.1:9464".into()),
            faults: Some(2),
            held: Some(3),
            started_unix_ms: Some(40_500),
            owner: Some(0),
            state: LIVE,
            error: None,
        };
        let addresses = "127.0.0.1:9090, /run/slowfs/m, http://127.0.0.1:9464/";
        assert_eq!(live.cells(now), ["/m", "/b", "7", addresses, "2", "3", "live", "59s ago"]);
        assert_eq!(text(&[live], now).lines().count(), 2);
        let dead = Row { mountpoint: WirePath("/a m".into()), state: DEAD, ..Row::default() };
        assert_eq!(dead.cells(now), ["/a m", "-", "-", "-", "-", "-", "dead", "-"]);
        let told = text(&[dead], now);
        assert!(
            told.ends_with("\n\nthe daemon of /a m has ended: `slowfs umount '/a m'`"),
            "{told}"
        );
        let closed = Row { owner: Some(7), state: CLOSED, ..Row::default() };
        assert_eq!(closed.cells(now)[6], "of user 7");
    }
}

//! The mounts whose control sockets are there, each asked who it is. Two locks: of those that are not asked
//! yet, and of the answers; nobody holds one across a question.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::faults::ended;
use crate::daemon::StartError;
use crate::daemon::mountinfo::{MountLine, MountTable, is_ours};
use crate::daemon::socket::{self, State};
use crate::fault::words::shown_path;
use crate::rpc::{Client, ClientError, Info, ListedFault};

/// How long one may take for each answer before it is shown without.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long for all that it is asked.
const EXCHANGE: Duration = Duration::from_secs(3);

/// How long all of them may take together: who has not been asked by then is shown without.
const TOGETHER: Duration = Duration::from_secs(15);

/// How many are asked at once.
const AT_ONCE: usize = 16;

/// A control socket that the calling user may open.
pub(super) struct Door {
    pub(super) socket: PathBuf,
    /// Who listens there; 0 if it cannot be seen.
    pub(super) pid: u32,
    /// The mount by which it was found, if it is another user's, whom root may ask: what is answered there is
    /// that user's word, and holds for this mount only.
    pub(super) line: Option<MountLine>,
}

/// One of them that was asked.
pub(super) struct Asked {
    pub(super) door: Door,
    pub(super) answer: Result<Answer, Unanswered>,
}

/// Why there is no answer that counts. One line each.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    #[error(transparent)]
    Failed(#[from] ClientError),
    #[error("the socket {0} of another user answers for {1}")]
    Claims(String, String),
}

impl Unanswered {
    /// Whether nobody spoke in time.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Unanswered::Failed(error) if error.is_timeout())
    }
}

/// What a mount tells of itself.
pub(super) struct Answer {
    pub(super) info: Info,
    /// How many operations its faults hold, those that have gone included.
    pub(super) held: i64,
    /// Those that are set.
    pub(super) faults: Vec<ListedFault>,
}

impl Asked {
    /// Where it is mounted, as far as that is known.
    pub(super) fn mountpoint(&self) -> Option<&Path> {
        let line = self.door.line.as_ref().map(|line| line.mountpoint.as_path());
        line.or_else(|| Some(self.answer.as_ref().ok()?.info.mountpoint.0.as_path()))
    }

    /// What people call it: its mountpoint, else its socket.
    pub(super) fn name(&self) -> String {
        shown_path(self.mountpoint().unwrap_or(&self.door.socket))
    }

    /// Whether it is the mirror of that line, which these processes serve.
    pub(super) fn is_of(&self, line: &MountLine, pids: &[u32]) -> bool {
        match &self.door.line {
            Some(own) => own.device == line.device,
            None => self.mountpoint() == Some(&line.mountpoint) || pids.contains(&self.door.pid),
        }
    }
}

/// The mirrors in the mount table, one for each place.
///
/// # Errors
/// It cannot be read.
pub(super) fn mirrors() -> Result<Vec<MountLine>, StartError> {
    let table = MountTable::open().and_then(|table| table.mounts());
    let mut lines = table.map_err(StartError::Mountinfo)?;
    lines.retain(|line| is_ours(&line.kind));
    Ok(lines)
}

/// All the sockets that can be asked: these, and those of these mounts that are others'.
pub(super) fn with_others(live: Vec<(PathBuf, u32)>, lines: &[MountLine]) -> Vec<Door> {
    let own = live.into_iter().map(|(socket, pid)| Door { socket, pid, line: None });
    let mut doors: Vec<_> = own.collect();
    for line in lines {
        if let Some((socket, State::Live { pid })) = socket::socket_of(&line.mountpoint, line.owner)
            && doors.iter().all(|known| known.socket != socket)
        {
            doors.push(Door { socket, pid, line: Some(line.clone()) });
        }
    }
    doors
}

/// The sockets of all the mounts that the calling user may ask.
///
/// # Errors
/// The mount table cannot be read.
pub(super) fn doors() -> Result<Vec<Door>, StartError> {
    Ok(with_others(socket::live(), &mirrors()?))
}

/// Asks them all, many at once. Whoever serves them, they take no longer than that, nor more than a bounded
/// part of memory.
pub(super) fn asked(doors: Vec<Door>) -> Vec<Asked> {
    let (threads, end) = (doors.len().min(AT_ONCE), Instant::now() + TOGETHER);
    let (left, asked) = (Mutex::new(doors.into_iter().enumerate()), Mutex::new(Vec::new()));
    let next = || left.lock().next();
    let work = || {
        while let Some((place, door)) = next() {
            let answer = ask(&door, end);
            asked.lock().push((place, Asked { door, answer }));
        }
    };
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let mut asked = asked.into_inner();
    asked.sort_by_key(|(place, _)| *place);
    asked.into_iter().map(|(_, asked)| asked).collect()
}

fn ask(door: &Door, end: Instant) -> Result<Answer, Unanswered> {
    let socket = door.socket.display().to_string();
    let left = end.saturating_duration_since(Instant::now());
    let stream = match left.is_zero() {
        true => Err(io::ErrorKind::TimedOut.into()),
        false => socket::connect(&door.socket, PATIENCE.min(left)),
    };
    let stream = stream.map_err(|e| ClientError::connect(&socket, &e))?;
    let mut client = Client::brief(stream, &socket, PATIENCE.min(left), EXCHANGE.min(left))?;
    let info = client.info()?;
    let claimed = &info.mountpoint.0;
    if door.line.as_ref().is_some_and(|line| line.mountpoint != *claimed) {
        return Err(Unanswered::Claims(socket, shown_path(claimed)));
    }
    let (faults, ended) = (client.list_faults()?, ended(&mut client)?);
    let held = faults.iter().chain(&ended).map(|fault| fault.held).sum();
    Ok(Answer { info, held, faults })
}

//! The mounts whose control sockets are there, each asked who it is. Two locks: of those that are not asked
//! yet, and of the answers; nobody holds one across a question.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::daemon::mountinfo::MountLine;
use crate::daemon::socket::{self, State};
use crate::rpc::{Client, ClientError, Info, ListedFault};
use crate::sys::text_of;

/// How long one may take for each answer before it is shown without.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long for all that it is asked.
const EXCHANGE: Duration = Duration::from_secs(3);

/// How long all of them may take together: who has not been asked by then is shown without.
const TOGETHER: Duration = Duration::from_secs(15);

/// How many are asked at once.
const AT_ONCE: usize = 16;

/// One of them.
pub(super) struct Asked {
    pub(super) socket: PathBuf,
    /// Who listens there; 0 if it cannot be seen.
    pub(super) pid: u32,
    pub(super) answer: Result<Answer, ClientError>,
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
    /// What people call it: its mountpoint, else its socket.
    pub(super) fn name(&self) -> String {
        let place = self.answer.as_ref().map_or(&self.socket, |answer| &answer.info.mountpoint.0);
        place.display().to_string()
    }
}

/// All the sockets that can be asked: these, and those of these mounts that are others', whom root may ask.
pub(super) fn with_others(
    mut live: Vec<(PathBuf, u32)>,
    lines: &[MountLine],
) -> Vec<(PathBuf, u32)> {
    for line in lines {
        if let Some((path, State::Live { pid })) = socket::socket_of(&line.mountpoint, line.owner)
            && live.iter().all(|(known, _)| *known != path)
        {
            live.push((path, pid));
        }
    }
    live
}

/// Asks them all, many at once. Whoever serves them, they take no longer than that, nor more than a bounded
/// part of memory.
pub(super) fn asked(sockets: Vec<(PathBuf, u32)>) -> Vec<Asked> {
    let (threads, end) = (sockets.len().min(AT_ONCE), Instant::now() + TOGETHER);
    let (left, asked) = (Mutex::new(sockets.into_iter().enumerate()), Mutex::new(Vec::new()));
    let next = || left.lock().next();
    let work = || {
        while let Some((place, (socket, pid))) = next() {
            let answer = ask(&socket, end);
            asked.lock().push((place, Asked { socket, pid, answer }));
        }
    };
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let mut asked = asked.into_inner();
    asked.sort_by_key(|(place, _)| *place);
    asked.into_iter().map(|(_, asked)| asked).collect()
}

fn ask(socket: &Path, end: Instant) -> Result<Answer, ClientError> {
    let addr = socket.display().to_string();
    let failed = |e| ClientError::Connect { addr: addr.clone(), reason: text_of(&e) };
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(failed(io::ErrorKind::TimedOut.into()));
    }
    let stream = socket::connect(socket, PATIENCE.min(left)).map_err(failed)?;
    let mut client = Client::brief(stream, &addr, PATIENCE.min(left), EXCHANGE.min(left))?;
    let info = client.info()?;
    let (faults, ended) = (client.list_faults()?, client.list_ended()?);
    let held = faults.iter().chain(&ended).map(|fault| fault.held).sum();
    Ok(Answer { info, held, faults })
}

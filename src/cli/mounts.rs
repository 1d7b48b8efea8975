//! The mounts whose control sockets are there, each asked who it is. No locks.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::daemon::mountinfo::MountLine;
use crate::daemon::socket::{self, State};
use crate::rpc::{Client, ClientError, Info, ListedFault};

/// How long one may take for each answer before it is shown without.
const PATIENCE: Duration = Duration::from_secs(1);

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

/// Asks them all at once.
pub(super) fn asked(sockets: Vec<(PathBuf, u32)>) -> Vec<Asked> {
    thread::scope(|scope| {
        let asking: Vec<_> = sockets
            .into_iter()
            .map(|(socket, pid)| {
                let asking = socket.clone();
                (socket, pid, scope.spawn(move || ask(&asking)))
            })
            .collect();
        let answered = asking.into_iter().filter_map(|(socket, pid, thread)| {
            Some(Asked { socket, pid, answer: thread.join().ok()? })
        });
        answered.collect()
    })
}

fn ask(socket: &std::path::Path) -> Result<Answer, ClientError> {
    let mut client = Client::connect(&socket.display().to_string(), PATIENCE)?;
    let info = client.info()?;
    let (faults, ended) = (client.list_faults()?, client.list_ended()?);
    let held = faults.iter().chain(&ended).map(|fault| fault.held).sum();
    Ok(Answer { info, held, faults })
}

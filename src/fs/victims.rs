//! Who dies in a power cut: every process that has files of the mount open or mapped. No locks.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::sys::process::{self, Openers, Process};

/// How long a search may take.
const SEARCHING: Duration = Duration::from_secs(2);

/// How often to search at most: what is killed may have made others meanwhile, that have its files.
const SEARCHES: usize = 5;

/// How long to wait for those killed to end.
const ENDING: Duration = Duration::from_secs(5);

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A filesystem: major and minor number.
type Device = (u32, u32);

/// Sends SIGKILL to all processes that have files of a filesystem open or mapped, but for that client: init, this
/// process and threads of the kernel never get it. Those that did.
pub(super) fn kill(device: Device, client: Option<u32>) -> BTreeSet<Process> {
    let mut killed = BTreeSet::new();
    for _ in 0..SEARCHES {
        let found = without(openers(device), client);
        if let Some(blind) = found.blind_spot() {
            tracing::warn!("the power cut may have left some alive: {blind}");
        }
        let pids = found.found.iter().map(|opener| opener.pid);
        let victims = pids.filter_map(process::victim);
        let fresh: Vec<Process> = victims.filter(|victim| !killed.contains(victim)).collect();
        if fresh.is_empty() {
            break;
        }
        for victim in fresh {
            match victim.kill() {
                Ok(()) => {
                    killed.insert(victim);
                }
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                Err(error) => {
                    tracing::warn!("the power cut cannot kill process {}: {error}", victim.pid());
                }
            }
        }
    }
    killed
}

/// Without those that are left alive anyway, whether they could be looked at or not: of init in a container nobody
/// sees more than that it is there.
fn without(mut found: Openers, client: Option<u32>) -> Openers {
    let may_die = |pid: u32| pid > 1 && Some(pid) != client;
    found.hidden.retain(|pid| may_die(*pid));
    found.found.retain(|opener| may_die(opener.pid));
    found
}

fn openers(device: Device) -> Openers {
    let is_wanted = move |open: &process::Open| open.device == device && !open.stands;
    process::openers(SEARCHING, Path::is_absolute, is_wanted)
}

/// Waits for them to end, for a while.
pub(super) fn wait(killed: impl Iterator<Item = Process>) {
    let killed: Vec<Process> = killed.collect();
    let deadline = Instant::now() + ENDING;
    while !killed.iter().all(|process| process.has_ended()) {
        if Instant::now() >= deadline {
            tracing::warn!("not all that the power cut has killed have ended within {ENDING:?}");
            return;
        }
        thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_it_spares_it_need_not_see() {
        let unseen = |hidden: &[u32]| {
            let found = Openers { hidden: hidden.to_vec(), ..Openers::default() };
            without(found, Some(7)).blind_spot()
        };
        assert_eq!(unseen(&[1, 7]), None);
        assert_eq!(unseen(&[1, 7, 9]).as_deref(), Some("1 process could not be looked at"));
    }
}

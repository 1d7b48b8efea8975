//! The program and the commands that judge: each ends with all that it has started, also with what has left its
//! group of processes and its session. No locks.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::fault::time_text;
use crate::sys::process;

/// How often it is looked whether all is to end.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// How long what is killed may take to end.
const ENDING: Duration = Duration::from_secs(10);

/// How often it is looked for what is left.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// The most of a line that is told.
const MOST_TOLD: usize = 200;

/// What it reads, and where it writes.
pub(super) struct Streams<'a> {
    pub(super) input: Stdio,
    /// None: it goes with what it complains of.
    pub(super) output: Option<File>,
    pub(super) complaints: &'a Path,
}

/// How something has ended.
pub(super) enum Ended {
    With(ExitStatus),
    /// It took longer than that, and was killed.
    Late(Duration),
}

/// Runs it to its end, and has all end that it has started.
///
/// # Errors
/// It cannot be started, or all is to end.
pub(super) fn run(
    mut command: Command,
    streams: Streams<'_>,
    within: Option<Duration>,
    ends: impl Fn() -> bool,
) -> anyhow::Result<Ended> {
    let Streams { input, output, complaints } = streams;
    File::create(complaints)?;
    let complaints = File::options().append(true).open(complaints)?;
    let output = output.map_or_else(|| complaints.try_clone(), Ok)?;
    command.stdin(input).stdout(output).stderr(complaints).process_group(0);
    process::end_with_parent(&mut command);
    process::adopt_orphans()?;
    let name = command.get_program().display().to_string();
    let others = process::children();
    let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let mut family = Family { child, others };
    let due = within.map(|within| Instant::now() + within);
    let is_over = || due.is_some_and(|due| Instant::now() >= due);
    let is_late = family.wait(|| ends() || is_over())?;
    let status = family.end();
    if ends() {
        bail!("interrupted");
    }
    let status = status?;
    Ok(match within {
        Some(within) if is_late => Ended::Late(within),
        _ => Ended::With(status),
    })
}

/// A process, and all that it has started.
struct Family {
    child: Child,
    /// Children that there were before.
    others: BTreeSet<u32>,
}

impl Family {
    /// Waits until the process has ended, or until that; whether the latter.
    fn wait(&mut self, until: impl Fn() -> bool) -> anyhow::Result<bool> {
        let process = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty())?;
        let mut fds = [PollFd::new(&process, PollFlags::IN)];
        while !matches!(poll(&mut fds, Some(&LOOK)), Ok(1..)) {
            if until() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Has all of it end; how the process did.
    ///
    /// # Errors
    /// Something does not end; what.
    fn end(&mut self) -> anyhow::Result<ExitStatus> {
        // Not waited for yet, so that its number is nobody else's. All of it may have ended.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let status = self.child.wait()?;
        let due = Instant::now() + ENDING;
        let cannot = |(pid, error)| {
            anyhow::Error::new(error)
                .context(format!("cannot end process {pid}, which it left behind"))
        };
        loop {
            let left = process::kill_children(&self.others).map_err(cannot)?;
            let Some(pid) = left.first() else { return Ok(status) };
            ensure!(Instant::now() < due, "process {pid}, which it left behind, does not end");
            thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        // One that was waited for has no number any more.
        if matches!(self.child.try_wait(), Ok(None)) {
            // It was told of something else.
            let _ = self.end();
        }
    }
}

/// Why that is no success, with the last that was said of it.
pub(super) fn failure(ended: &Ended, complaints: &Path) -> Option<String> {
    let why = match ended {
        Ended::With(status) if status.success() => return None,
        Ended::With(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended with {code}"),
            (None, signal) => format!("was ended by signal {}", signal.unwrap_or_default()),
        },
        Ended::Late(within) => format!("did not end within {}", time_text(*within)),
    };
    Some(match last_line(complaints) {
        None => why,
        Some(line) => format!("{why}: {line}"),
    })
}

fn last_line(path: &Path) -> Option<String> {
    let lines = BufReader::new(File::open(path).ok()?).split(b'\n').map_while(Result::ok);
    let last = lines.filter(|line| !line.trim_ascii().is_empty()).last()?;
    let last = String::from_utf8_lossy(&last);
    Some(last.trim().chars().take(MOST_TOLD).collect())
}

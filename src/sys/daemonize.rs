//! Going to the background while the command waits for the outcome.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::AsRawFd;

use super::{checked, text_of};

/// What the daemon reports that is no reason.
const READY: &str = "ready";
const TOLD: &str = "told";

/// Which side of the fork this is.
#[derive(Debug)]
pub(crate) enum Side {
    /// The command that was typed: wait for the outcome, then exit.
    Command(Outcome),
    /// The daemon: report the outcome, then serve.
    Daemon(Report),
}

/// Reads what the daemon reports.
#[derive(Debug)]
pub(crate) struct Outcome(PipeReader);

/// Reports to the waiting command; dropping it without a word reads as "it died".
#[derive(Debug)]
pub(crate) struct Report {
    command: PipeWriter,
    /// What the standard descriptors become. Whoever has none is not started: its daemon would keep the command's.
    null: File,
}

/// Why a daemon did not start.
#[derive(Debug)]
pub(crate) enum Failure {
    /// For that reason, which nobody knows yet.
    For(String),
    /// It has said so itself.
    Told,
}

/// Forks. The daemon's side has a session of its own and `/` as its working directory; its
/// standard descriptors stay until [`Report::ready`].
///
/// Call it before any thread is started: only the calling thread exists in the daemon.
///
/// # Errors
/// What pipe(2), fork(2) and setsid(2) report, or there is no /dev/null.
pub(crate) fn fork() -> io::Result<Side> {
    let null = File::options().read(true).write(true).open("/dev/null").map_err(|error| {
        io::Error::new(error.kind(), format!("cannot open /dev/null: {}", text_of(&error)))
    })?;
    let (reader, command) = pipe()?;
    // SAFETY: the process has one thread (the caller's duty above), so the child starts in a
    // consistent state and may go on as an ordinary process.
    if checked(unsafe { libc::fork() })? > 0 {
        return Ok(Side::Command(Outcome(reader)));
    }
    // SAFETY: setsid has no memory to get wrong.
    checked(unsafe { libc::setsid() })?;
    std::env::set_current_dir("/")?;
    Ok(Side::Daemon(Report { command, null }))
}

impl Outcome {
    /// Waits for the daemon: Ok when it is ready.
    ///
    /// # Errors
    /// The daemon's reason, or that it died without one.
    pub(crate) fn wait(mut self) -> Result<(), Failure> {
        let mut text = String::new();
        Err(match self.0.read_to_string(&mut text) {
            Ok(_) if text == READY => return Ok(()),
            Ok(_) if text == TOLD => Failure::Told,
            Ok(0) => Failure::For("the daemon ended without a reason".to_owned()),
            Ok(_) => Failure::For(text),
            Err(error) => Failure::For(format!("cannot hear from the daemon: {error}")),
        })
    }
}

impl Report {
    /// Lets the command return with success; then standard input, output and error become
    /// /dev/null, so that the terminal is free.
    ///
    /// # Errors
    /// What dup2(2) and write(2) report.
    pub(crate) fn ready(mut self) -> io::Result<()> {
        for standard in 0..=2 {
            // SAFETY: dup2 closes and replaces the standard descriptors, which nothing in the
            // process owns exclusively.
            checked(unsafe { libc::dup2(self.null.as_raw_fd(), standard) })?;
        }
        self.command.write_all(READY.as_bytes())
    }

    /// Lets the command fail with this reason.
    pub(crate) fn failed(mut self, reason: &str) {
        // A command that is gone cannot be told; the daemon ends all the same.
        let _ = self.command.write_all(reason.as_bytes());
    }

    /// Lets the command fail, for a reason that stands in the log where it was typed.
    pub(crate) fn told(self) {
        self.failed(TOLD);
    }
}

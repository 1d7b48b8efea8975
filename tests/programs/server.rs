//! A server under test: killed with all that it started, and never left behind.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use crate::{PATIENCE, wait_for};

/// What PostgreSQL and Redis log when they serve.
const READY: &str = "eady to accept connections";

pub(crate) struct Server {
    child: Child,
    log: File,
}

impl Server {
    /// Starts a server and waits until it serves. Its log says so; asking it would cost it time.
    pub(crate) fn start(command: &mut Command) -> Server {
        let log = tempfile::tempfile().unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap());
        let child = command.stderr(log.try_clone().unwrap()).spawn().unwrap();
        let mut server = Server { child, log };
        wait_for("the server to serve", || {
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?} ended with {ended:?}");
            server.log_text().contains(READY).then_some(())
        });
        server
    }

    /// Kills it and its children at once: nobody is left to tell or to clean up.
    pub(crate) fn kill(mut self) {
        self.kill_all();
    }

    /// Has it end by a signal of its own, and waits until all of it is gone.
    pub(crate) fn end(mut self, signal: Signal) -> ExitStatus {
        let family = self.family();
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let status = wait_for("the server to end", || self.child.try_wait().unwrap());
        family.iter().for_each(wait_for_end);
        status
    }

    fn kill_all(&mut self) {
        // Stopped, it starts no more children.
        let _ = kill_process(Pid::from_child(&self.child), Signal::STOP);
        let family = self.family();
        let _ = self.child.kill();
        for process in &family {
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        let _ = self.child.wait();
        family.iter().for_each(wait_for_end);
    }

    fn log_text(&self) -> String {
        // Read at offsets of its own: the descriptor's offset is where the server writes.
        let mut text = vec![0; self.log.metadata().unwrap().len() as usize];
        self.log.read_exact_at(&mut text, 0).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Its children that live.
    fn family(&self) -> Vec<OwnedFd> {
        let parent = self.child.id().to_string();
        let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // proc_pid_stat(5): the name in parentheses, the state, the parent.
            let of_parent = stat.rsplit(") ").next()?.split(' ').nth(1)? == parent;
            let pid = Pid::from_raw(pid).filter(|_| of_parent)?;
            pidfd_open(pid, PidfdFlags::empty()).ok()
        });
        processes.collect()
    }
}

/// A process that has ended makes its descriptor readable.
fn wait_for_end(process: &OwnedFd) {
    let patience = Timespec { tv_sec: PATIENCE.as_secs().try_into().unwrap(), tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&patience));
    assert_eq!(ready.unwrap(), 1, "a child outlived its server");
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill_all();
        }
        if std::thread::panicking() {
            eprintln!("--- the server's log:\n{}", self.log_text());
        }
    }
}

//! A run while its mount is up, until nothing of it is left. No locks.

use std::io::{self, PipeReader};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Pid;

use super::companion::Companion;
use super::error::{StartError, strip};
use super::mounted::{Mounted, SETTLED};
use super::service::Service;
use super::signals::Signals;
use super::socket::ControlSocket;
use super::state::Keeper;
use crate::fault::{DelayLine, FaultTable};
use crate::rpc::Server;

/// How long the kernel may take to let go of the mount once it is detached.
const GRACE: Duration = Duration::from_secs(1);

/// How long it may take to detach it. A helper may have to run for that.
const DETACHING: Duration = Duration::from_secs(2);

/// When to look again at a mount table that could not be read, or does not show the mount.
const AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// What runs while the mount is up.
pub(super) struct Running {
    pub(super) mounted: Arc<Mounted>,
    pub(super) control: Option<Server>,
    /// Where it serves over TCP.
    pub(super) address: Option<SocketAddr>,
    /// And HTTP.
    pub(super) http: Option<SocketAddr>,
    /// Where it serves clients of this machine.
    pub(super) socket: Option<ControlSocket>,
    pub(super) session: JoinHandle<io::Result<()>>,
    /// Closed at the other side when the session's thread ends.
    pub(super) ended: PipeReader,
    /// The process with which it ends, if there is one.
    pub(super) companion: Option<Companion>,
    /// Who keeps the faults from one run to the next, if somebody does.
    pub(super) keeper: Option<Keeper>,
    /// The service manager, if there is one.
    pub(super) service: Option<Service>,
}

/// Why a run ends.
enum Ending {
    Signal(i32),
    /// That process has ended.
    Companion(Pid),
    /// Somebody unmounted it lazily: open files may still use it.
    Unmounted,
    /// The kernel closed the connection.
    Disconnected,
}

impl Ending {
    /// Whether the session's error tells of nothing else: a connection that is detached may be aborted
    /// as well before its end is read, and the kernel then says so (ECONNABORTED in place of ENODEV).
    fn is_told_by(&self, error: &io::Error) -> bool {
        let detached = !matches!(self, Ending::Disconnected);
        detached && error.raw_os_error() == Some(libc::ECONNABORTED)
    }
}

/// What the mount table shows of the mount.
#[derive(Clone, Copy)]
enum View {
    Seen,
    /// Not, since then.
    Unseen(Instant),
    /// It cannot be read.
    Blind,
}

impl Running {
    /// Waits for the end, and brings it about: control first, then the held operations, the mount,
    /// the session.
    ///
    /// # Errors
    /// The session failed, or the mount is left without a daemon.
    pub(super) fn serve(
        mut self,
        stop: &Signals<'_>,
        table: &FaultTable,
        line: &DelayLine,
    ) -> Result<(), StartError> {
        let ending = self.wait(stop);
        drop(self.service.take());
        drop(self.socket.take());
        if let Some(server) = self.control.take() {
            server.stop();
        }
        // The end of the run clears what is to be in force in the next.
        drop(self.keeper.take());
        table.clear_all();
        if !line.shutdown() {
            tracing::warn!("released operations still wait for the backing directory");
        }
        let mountpoint = self.mounted.mountpoint().to_owned();
        if let Ending::Unmounted = ending {
            tracing::info!("{} was unmounted", mountpoint.display());
        }
        let detached = self.detach().map_err(StartError::Left);
        match (&detached, &ending) {
            (Err(error), _) => tracing::error!("{error}"),
            (_, Ending::Signal(signal)) => {
                tracing::info!("signal {signal}: unmounted {}", mountpoint.display())
            }
            (_, Ending::Companion(pid)) => {
                tracing::info!("process {pid} has ended: unmounted {}", mountpoint.display())
            }
            (_, Ending::Disconnected) => {
                tracing::info!("the kernel closed {}", mountpoint.display())
            }
            (_, Ending::Unmounted) => {}
        }
        let limit = (!matches!(ending, Ending::Unmounted)).then_some(GRACE);
        if !self.wait_for_end(stop, limit) {
            // Open files, or a backing that does not answer: their callers are freed with an error.
            if let Err(error) = self.mounted.abort() {
                tracing::debug!("the connection ends with this process: {error}");
            }
            return detached;
        }
        let session = self.session.join();
        let session = session.unwrap_or_else(|_| Err(io::Error::other("its thread panicked")));
        let session = session.or_else(|error| match ending.is_told_by(&error) {
            true => Ok(()),
            false => Err(error),
        });
        let session = session.map_err(|e| StartError::Session(mountpoint, strip(&e)));
        session.inspect_err(|error| tracing::error!("{error}")).and(detached)
    }

    /// Detaches the mount; the way to it may lead through a filesystem that does not answer.
    fn detach(&self) -> io::Result<()> {
        let (tell, told) = mpsc::channel();
        let mounted = Arc::clone(&self.mounted);
        let detaching = thread::Builder::new()
            .name("detach".to_owned())
            .spawn(move || tell.send(mounted.detach()));
        if detaching.is_err() {
            return self.mounted.detach();
        }
        told.recv_timeout(DETACHING).unwrap_or_else(|_| {
            let mountpoint = self.mounted.mountpoint().display();
            Err(io::Error::other(format!(
                "{mountpoint}: the filesystem that it lies in does not answer"
            )))
        })
    }

    fn wait(&self, stop: &Signals<'_>) -> Ending {
        let mut view = View::Seen;
        loop {
            view = self.look(view);
            if let View::Unseen(since) = view
                && since.elapsed() >= SETTLED
            {
                return Ending::Unmounted;
            }
            let changes = self.mounted.changes();
            let mut fds = vec![
                PollFd::new(stop, PollFlags::IN),
                PollFd::new(&self.ended, PollFlags::IN),
                PollFd::new(&changes, PollFlags::PRI),
            ];
            fds.extend(self.companion.iter().map(|process| PollFd::new(process, PollFlags::IN)));
            let again = (!matches!(view, View::Seen)).then_some(&AGAIN);
            if poll(&mut fds, again).is_err_and(|e| e != rustix::io::Errno::INTR) {
                // Memory is short: the next one may succeed.
                thread::sleep(SETTLED);
            }
            if let Some(signal) = stop.take() {
                return Ending::Signal(signal);
            }
            if let Some(process) = self.companion.as_ref().filter(|process| process.has_ended()) {
                return Ending::Companion(process.pid());
            }
            if has_ended(&self.ended).unwrap_or(false) {
                // An unmount may show here first.
                return match self.mounted.is_left() {
                    false => Ending::Unmounted,
                    true => Ending::Disconnected,
                };
            }
        }
    }

    /// What the mount table shows now, after it has shown that.
    fn look(&self, before: View) -> View {
        match (self.mounted.is_visible(), before) {
            (Ok(true), _) => View::Seen,
            (Ok(false), View::Unseen(since)) => View::Unseen(since),
            (Ok(false), _) => View::Unseen(Instant::now()),
            (Err(error), View::Seen | View::Unseen(_)) => {
                tracing::warn!("cannot read the mount table: {error}; it is tried again");
                View::Blind
            }
            (Err(_), View::Blind) => View::Blind,
        }
    }

    /// Waits until the session's thread is gone, and says whether it is; without a limit a signal, and the
    /// end of the process with which it ends, end the wait, too.
    fn wait_for_end(&self, stop: &Signals<'_>, within: Option<Duration>) -> bool {
        let deadline = within.map(|w| Instant::now() + w);
        loop {
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            let timeout = left.and_then(|l| Timespec::try_from(l).ok());
            let mut fds = vec![PollFd::new(&self.ended, PollFlags::IN)];
            if within.is_none() {
                fds.push(PollFd::new(stop, PollFlags::IN));
                let process = self.companion.iter();
                fds.extend(process.map(|process| PollFd::new(process, PollFlags::IN)));
            }
            let waited = poll(&mut fds, timeout.as_ref());
            if has_ended(&self.ended).unwrap_or(false) {
                return true;
            }
            let over = left.is_some_and(|l| l.is_zero()) || waited.is_err();
            let alone = self.companion.as_ref().is_some_and(Companion::has_ended);
            if over || within.is_none() && (alone || stop.take().is_some()) {
                return false;
            }
        }
    }
}

fn has_ended(ended: &PipeReader) -> io::Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(ended.as_fd(), PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(poll(&mut fds, Some(&now))? > 0)
}

#[cfg(test)]
mod tests {
    use std::io::pipe;

    use super::super::mount;
    use super::super::mounted::tests::made;
    use super::super::mountpoint::Mountpoint;
    use super::*;

    #[test]
    fn a_session_that_fails_is_an_error_and_leaves_no_mount() {
        let dir = tempfile::tempdir().unwrap();
        let mountpoint = Mountpoint::open(dir.path()).unwrap();
        let (mounted, root) = made(&mountpoint);
        mount::attach(&root, &mountpoint.dir).unwrap();
        drop(root);
        let mounted = Arc::new(mounted);
        assert!(mounted.is_left());
        let (ended, ending) = pipe().unwrap();
        let session = thread::spawn(move || {
            let _ending = ending;
            Err(io::Error::from_raw_os_error(libc::EIO))
        });
        let (control, address, socket) = (None, None, None);
        let running = Running {
            mounted: Arc::clone(&mounted),
            control,
            address,
            http: None,
            socket,
            session,
            ended,
            companion: None,
            keeper: None,
            service: None,
        };
        let (line, stop) = (DelayLine::new().unwrap(), Signals::block(None).unwrap());
        let table = FaultTable::new(Arc::clone(&line), None);
        let error = running.serve(&stop, &table, &line).unwrap_err();
        assert!(matches!(error, StartError::Session(..)), "{error}");
        assert!(!mounted.is_left());
    }

    #[test]
    fn an_abort_of_what_is_detached_is_no_failure() {
        let aborted = io::Error::from_raw_os_error(libc::ECONNABORTED);
        assert!(Ending::Signal(libc::SIGTERM).is_told_by(&aborted));
        assert!(Ending::Unmounted.is_told_by(&aborted));
        assert!(!Ending::Disconnected.is_told_by(&aborted));
        let other = io::Error::from_raw_os_error(libc::EIO);
        assert!(!Ending::Signal(libc::SIGTERM).is_told_by(&other));
    }
}

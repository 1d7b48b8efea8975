//! Mirrors of temporary directories, by daemons of this very program, for as long as something is tried.
//!
//! Invariant: when it is over, nothing is mounted and nothing is left, also after a signal or an error;
//! a daemon ends even if this process is killed. No locks.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io::{self, BufRead, BufReader, pipe};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process};

use super::{output, ready};
use crate::rpc::Client;
use crate::sys::{process, signals};

/// How long a daemon may take to answer. To set a hundred faults takes long where the machine is busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a mirror is mounted.
pub(super) struct Wanted<'a> {
    /// The directory of it among the temporary ones.
    pub(super) name: &'a str,
    pub(super) listen: &'a str,
    /// More options of `slowfs mount`.
    pub(super) options: Vec<OsString>,
    /// Whether there is a directory for images of a power cut.
    pub(super) images: bool,
}

/// Tries `work` on mirrors that are mounted as `wanted`, in that order.
///
/// # Errors
/// A mirror does not start or does not end well, a signal came, or `work` fails.
pub(super) fn on_mirrors<T: Send>(
    wanted: &[Wanted<'_>],
    work: impl FnOnce(&[Mirror]) -> anyhow::Result<T> + Send,
) -> anyhow::Result<T> {
    // They end what is tried, and afterwards all is as it was. Before there is another thread, which would take them.
    let stop = signals::block(&signals::BY_PEOPLE).context("cannot wait for signals")?;
    let scratch = Scratch::new().context("cannot make a temporary directory")?;
    let mirrors = wanted.iter().map(|wanted| Mirror::start(&scratch.0, wanted));
    let mirrors = mirrors.collect::<anyhow::Result<Vec<_>>>()?;
    let (ended, ending) = pipe()?;
    let done = thread::scope(|scope| {
        let working = scope.spawn(|| {
            let _ending = ending;
            work(&mirrors)
        });
        let mut fds = [PollFd::new(&stop, PollFlags::IN), PollFd::new(&ended, PollFlags::IN)];
        while poll(&mut fds, None) == Err(rustix::io::Errno::INTR) {}
        let signal = signals::take(&stop);
        if signal.is_some() {
            // What is held goes on, what is tried next fails: the work comes to its end.
            mirrors.iter().for_each(Mirror::terminate);
        }
        let done = working.join().unwrap_or_else(|_| bail!("what was tried panicked"));
        match signal {
            Some(_) => bail!("interrupted; nothing is mounted any more"),
            None => done,
        }
    });
    let ends: Vec<_> = mirrors.into_iter().map(Mirror::stop).collect();
    let done = done?;
    ends.into_iter().collect::<anyhow::Result<()>>()?;
    Ok(done)
}

/// A temporary directory: where `$TMPDIR` says, else in memory, as a disk's own noise would hide a delay.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> io::Result<Scratch> {
        let name = format!("slowfs-{:016x}", rand::random::<u64>());
        let make = |parent: &Path| {
            let path = parent.join(&name);
            DirBuilder::new().mode(0o700).create(&path).map(|()| Scratch(path))
        };
        let told = std::env::var_os("TMPDIR").filter(|told| !told.is_empty());
        match told {
            Some(told) => make(&std::path::absolute(told)?),
            None => make(Path::new("/dev/shm")).or_else(|_| make(&std::env::temp_dir())),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The daemons have ended by now; where a mount is still there, what it mirrors is not to go.
        let mirrors = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let unmounted = |mirror: fs::DirEntry| match fs::remove_dir(mirror.path().join("mnt")) {
            // Something else than a mirror.
            Err(e)
                if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&e.kind()) =>
            {
                Ok(())
            }
            removed => removed,
        };
        let all = mirrors.map(unmounted).collect::<io::Result<Vec<()>>>();
        if let Err(error) = all.and_then(|_| fs::remove_dir_all(&self.0)) {
            output::left_behind(&self.0, &error);
        }
    }
}

/// A mirror, by a daemon in a process of its own.
pub(super) struct Mirror {
    child: Child,
    /// Whether it was told to end.
    ending: AtomicBool,
    pub(super) addr: String,
    pub(super) raw: PathBuf,
    pub(super) mnt: PathBuf,
    pub(super) images: PathBuf,
}

impl Mirror {
    fn start(scratch: &Path, wanted: &Wanted<'_>) -> anyhow::Result<Mirror> {
        let own = scratch.join(wanted.name);
        let [raw, mnt, images] = ["raw", "mnt", "images"].map(|name| own.join(name));
        fs::create_dir_all(&raw)?;
        fs::create_dir(&mnt)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("mount").arg(&mnt).arg("--subdir").arg(&raw);
        command.args(["--json", "--listen", wanted.listen]).args(&wanted.options);
        if wanted.images {
            fs::create_dir(&images)?;
            command.arg("--images").arg(&images);
        }
        process::end_with_parent(&mut command);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (told, log) = (child.stdout.take(), child.stderr.take());
        let ending = AtomicBool::new(false);
        let mut mirror = Mirror { child, ending, addr: String::new(), raw, mnt, images };
        let told = told.context("the daemon has no standard output")?;
        let log = BufReader::new(log.context("the daemon has no log")?);
        // Of the log only the last line is of interest, if it does not start; its pipe must not fill up.
        let last = thread::spawn(move || log.lines().map_while(Result::ok).last());
        let mut line = String::new();
        BufReader::new(told).read_line(&mut line)?;
        if line.is_empty() {
            mirror.child.wait()?;
            let last = last.join().ok().flatten().unwrap_or_default();
            bail!("the mount did not start: {}", last.trim_start_matches("slowfs: "));
        }
        mirror.addr =
            ready::address(&line).context("the daemon does not say where it is reached")?;
        Ok(mirror)
    }

    /// A connection to the daemon.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::connect(&self.addr, PATIENCE)?)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether a signal ends all that is tried.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    fn stop(mut self) -> anyhow::Result<()> {
        self.terminate();
        let status = self.child.wait()?;
        ensure!(status.success(), "the daemon ended with {status}");
        Ok(())
    }

    fn terminate(&self) {
        self.ending.store(true, Ordering::Relaxed);
        // It has ended already: nothing to do.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.terminate();
        // Waited for already, or ending: either way nothing is left behind.
        let _ = self.child.wait();
    }
}

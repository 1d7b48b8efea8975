//! `slowfs mount`.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use rustix::mount::MountFlags;
use rustix::process::Pid;

use super::apply::file::{self, FaultFile};
use super::mount_values::{LogFormat, Scale, auto_delay, except, fault};
use super::options::MountOption;
use super::ports::Ports;
use super::tracking::Tracking;
use super::values::parse_number;
use super::{output, ready};
use crate::daemon::mark;
use crate::daemon::mountinfo::{MountLine, MountTable, is_ours};
use crate::daemon::{self, MountOptions, Ready, RunConfig, StartError, Supervision};
use crate::fault::words::{self, EffectWords, FaultWords};
use crate::fault::{Fault, Pattern, Placement};
use crate::fs::FsOptions;
use crate::log::{Format, Log, Target};
use crate::sys::daemonize::{self, Failure, Side};

/// What `slowfs mount` is told.
#[derive(Debug, Args)]
#[command(override_usage = "slowfs mount [OPTIONS] [DIR] <MOUNTPOINT>")]
pub(super) struct MountArgs {
    /// The directory to mirror, and where to mount it. One directory alone mirrors itself
    #[arg(value_name = "MOUNTPOINT", required = true, num_args = 1..)]
    places: Vec<PathBuf>,
    /// The directory to mirror, if it is not given before the mountpoint
    #[arg(long, value_name = "DIR")]
    subdir: Option<PathBuf>,
    #[command(flatten)]
    ports: Ports,
    /// Return when the mount answers, and serve in the background
    #[arg(long)]
    pub(super) daemon: bool,
    /// Log to a file instead of standard error
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// How to write the log: for people, or for programs, one JSON object per line
    #[arg(long, value_name = "text|json", default_value = "text")]
    log_format: LogFormat,
    /// Write the daemon's pid to this file, while it runs
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Write the control address to this file while it runs, for --addr: the port's, or else the socket.
    /// The file is empty until the mount answers
    #[arg(long, value_name = "FILE")]
    addr_file: Option<PathBuf>,
    /// End when this process ends, as with SIGTERM: `$$` in a script, or the test that mounts
    #[arg(long, value_name = "PID", value_parser = parse_number(1..=i32::MAX))]
    end_with: Option<i32>,
    /// Print the line about the mount as JSON
    #[arg(long)]
    json: bool,
    /// Threads that take requests from the kernel [default: twice the processors, 4 to 16]
    #[arg(long, value_name = "N", value_parser = parse_number(1u16..=256))]
    threads: Option<u16>,
    /// Give access to every user (the default for root)
    #[arg(long, conflicts_with = "private")]
    allow_other: bool,
    /// Give access only to the mounting user
    #[arg(long)]
    private: bool,
    /// Refuse every change
    #[arg(long)]
    read_only: bool,
    /// Bypass the page cache for every file
    #[arg(long)]
    direct_io: bool,
    /// Let write(2) end in the kernel's cache, as on a disk. Faults fire when the kernel writes back: by
    /// itself, or for fsync(2) and close(2). Nobody else may change the mirrored files
    #[arg(long, conflicts_with_all = ["direct_io", "passthrough_except"])]
    writeback_cache: bool,
    /// Let the kernel serve files whose path does not match, at the backing's own speed. Faults cannot
    /// reach their reads and writes. The pattern is like that of a fault
    #[arg(long, value_name = "REGEX", value_parser = except)]
    passthrough_except: Option<Arc<Pattern>>,
    /// What the probabilities of charybdefs's clients are out of. `auto` means: 1 to 1000 of a fault that
    /// only delays are per mille, all others are out of 100000
    #[arg(long, value_name = "auto|100000|1000", default_value = "auto")]
    probability_scale: Scale,
    /// What auto_delay of charybdefs's clients means: this device (see `slowfs device`), on the methods of
    /// the call [default: it is ignored]
    #[arg(long, value_name = "PRESET|FILE", value_parser = auto_delay)]
    auto_delay: Option<EffectWords>,
    /// How much data of held operations may stay in memory. The rest goes to a file. Sizes are 4096,
    /// 64KiB or 64K (1024), 1MB (1000)
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = words::bytes)]
    held_max: u64,
    /// The directory of this file, which has no name [default: $TMPDIR, or /tmp]
    #[arg(long, value_name = "DIR")]
    held_dir: Option<PathBuf>,
    #[command(flatten)]
    tracking: Tracking,
    /// Make the dice repeatable: with the same N, the n-th match of a fault has the same result in every run
    #[arg(long, value_name = "N", value_parser = parse_number(0..=u64::MAX))]
    seed: Option<u64>,
    /// Time every operation, not only those while a fault is set (see `slowfs stats`)
    #[arg(long)]
    stats: bool,
    /// Log each operation, one line each
    #[arg(long)]
    log_ops: bool,
    /// Set a fault before the first operation, as in 'delay 10ms -m fsync'; may be repeated
    #[arg(long, value_name = "FAULT", value_parser = fault)]
    fault: Vec<(FaultWords, bool)>,
    /// The faults of a file in force before the first operation, and before those of --fault: one a line, as
    /// `slowfs apply` takes them
    #[arg(long, value_name = "FILE", value_parser = file::given)]
    faults: Option<FaultFile>,
    /// Keep the faults in this file at each change, and begin with those that a run before has left there
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Mount options, as in mount(8)
    #[arg(short = 'o', value_name = "OPT,...", value_delimiter = ',')]
    pub(super) options: Vec<MountOption>,
    /// Says nothing of a start that succeeds, but in a log file.
    #[arg(skip)]
    pub(super) silent: bool,
    /// Prints no line about the mount.
    #[arg(skip)]
    pub(super) unannounced: bool,
    /// SIGHUP ends it, whatever else it could mean.
    #[arg(skip)]
    pub(super) hangup_ends: bool,
}

impl MountArgs {
    /// What is mirrored, and where.
    ///
    /// # Errors
    /// There are too many places, or the directory is named twice; one line.
    pub(super) fn places(&self) -> Result<(&Path, &Path), String> {
        let all: Vec<&Path> = self.places.iter().map(PathBuf::as_path).collect();
        match (all.as_slice(), self.subdir.as_deref()) {
            ([mountpoint], subdir) => Ok((subdir.unwrap_or(mountpoint), mountpoint)),
            ([dir, mountpoint], None) => Ok((dir, mountpoint)),
            ([dir, _], Some(subdir)) => Err(format!(
                "two directories to mirror are named, {} and --subdir {}: leave one of them out",
                dir.display(),
                subdir.display()
            )),
            (many, _) => Err(format!(
                "{} places are named, and two at most are taken: the directory to mirror, and where",
                many.len()
            )),
        }
    }

    /// # Errors
    /// A path cannot be made absolute (there is no working directory), or two options exclude
    /// each other.
    pub(super) fn config(&self) -> anyhow::Result<RunConfig> {
        let absolute = |path: &Path| {
            std::path::absolute(path)
                .with_context(|| format!("cannot make {} absolute", path.display()))
        };
        let mount = self.mount_options()?;
        let (backing, mountpoint) = self.places().map_err(|why| anyhow!(why))?;
        let mut fs = FsOptions::default();
        fs.kernel_checks_access = mount.default_permissions;
        fs.threads = self.threads.map_or(fs.threads, usize::from);
        fs.direct_io = self.direct_io;
        fs.writeback_cache = self.writeback_cache;
        fs.log_ops = self.log_ops;
        fs.time_all = self.stats;
        fs.passthrough_except.clone_from(&self.passthrough_except);
        Ok(RunConfig {
            mountpoint: absolute(mountpoint)?,
            backing: absolute(backing)?,
            mount,
            fs,
            ports: self.ports.config(absolute)?,
            scale: self.probability_scale.0,
            auto_delay: self.auto_delay.clone(),
            seed: self.seed,
            state: self.state.as_deref().map(absolute).transpose()?,
            listed: self.listed()?,
            faults: self.faults()?,
            held_max: self.held_max,
            held_dir: self.held_dir.as_deref().map(absolute).transpose()?,
            tracking: self.tracking.config(absolute)?,
            pid_file: self.pid_file.as_deref().map(absolute).transpose()?,
            addr_file: self.addr_file.as_deref().map(absolute).transpose()?,
            end_with: self.end_with.and_then(Pid::from_raw),
            // What goes to the background is no service of its own.
            supervision: Supervision::of_environment().filter(|_| !self.daemon),
            hangup_reopens: self.daemon && self.log_file.is_some() && !self.hangup_ends,
        })
    }

    /// Those of the file.
    fn listed(&self) -> anyhow::Result<Vec<Fault>> {
        let words = self.faults.iter().flat_map(|file| &file.faults);
        Ok(words.map(FaultWords::fault).collect::<Result<_, _>>()?)
    }

    /// # Errors
    /// Two faults have one name: the second would take the place of the first.
    pub(super) fn named_once(&self) -> Result<(), String> {
        let typed = self.fault.iter().map(|(words, _)| words);
        let all = typed.chain(self.faults.iter().flat_map(|file| &file.faults));
        let names: Vec<_> = all.filter_map(|words| words.name.as_ref()).collect();
        let twice =
            (1..).zip(&names).find(|(next, name)| names.iter().skip(*next).any(|n| n == *name));
        if let Some((_, name)) = twice {
            return Err(format!("two faults are called {name}: give each a name of its own"));
        }
        Ok(())
    }

    /// # Errors
    /// A fault that cannot be, or two of one name.
    fn faults(&self) -> anyhow::Result<Vec<(Fault, Placement)>> {
        self.named_once().map_err(|why| anyhow!(why))?;
        let put = |(words, add): &(FaultWords, bool)| {
            let fault = words.fault()?;
            Ok((fault, if *add { Placement::Add } else { Placement::Replace }))
        };
        self.fault.iter().map(put).collect()
    }

    /// # Errors
    /// Two options exclude each other.
    fn mount_options(&self) -> anyhow::Result<MountOptions> {
        let mut mount = MountOptions::default();
        if self.read_only {
            mount.flags |= MountFlags::RDONLY;
        }
        for option in self.options.iter().cloned() {
            match option {
                MountOption::Set(flag) => mount.flags |= flag,
                MountOption::Clear(flag) => mount.flags -= flag,
                MountOption::AllowOther(on) => mount.allow_other = on,
                MountOption::AllowRoot => mount.allow_root = true,
                MountOption::DefaultPermissions(on) => mount.default_permissions = on,
                MountOption::Source(name) => mount.source = Some(name.into()),
                MountOption::Subtype(name) => mount.subtype = name,
                MountOption::Remount | MountOption::Meaningless => {}
            }
        }
        let option = |o: &MountOption| matches!(o, MountOption::AllowOther(true));
        let asked = self.allow_other || self.options.iter().any(option);
        if mount.allow_root && asked {
            bail!("allow_other and allow_root exclude each other");
        }
        // Where nobody checks permissions, others come in only if that is asked for.
        let others = asked || mount.allow_other && mount.default_permissions;
        mount.allow_other = others && !self.private;
        Ok(mount)
    }
}

/// Mounts and serves until the end; with `--daemon` returns when the mount answers. With `-o remount`
/// changes the flags of the mount that is there.
///
/// # Errors
/// The start failed; nothing is mounted then. Or the remount did; nothing is changed then.
pub(super) fn mount(args: &MountArgs) -> anyhow::Result<()> {
    if args.options.iter().any(|o| matches!(o, MountOption::Remount)) {
        return remount(args);
    }
    let config = args.config()?;
    let log_file = args.log_file.as_deref().map(std::path::absolute).transpose()?;
    let mut report = None;
    if args.daemon {
        match daemonize::fork().context("cannot go to the background")? {
            Side::Command(outcome) => match outcome.wait() {
                Err(Failure::Told) => std::process::exit(1),
                Err(Failure::For(reason)) => bail!(reason),
                Ok(()) => return Ok(()),
            },
            Side::Daemon(to_command) => report = Some(to_command),
        }
    }
    let tell = |ready: &Ready| {
        if !args.unannounced {
            output::offer(&ready::line(ready, args.json));
            if !args.daemon && std::io::stderr().is_terminal() {
                output::note(
                    "this is the foreground: ctrl-C unmounts; --daemon goes to the background",
                );
            }
        }
    };
    let target = match &log_file {
        Some(path) => Target::File(path),
        None if args.silent => Target::Nowhere,
        None => Target::StandardError,
    };
    let served = start_log(target, args.log_format.0).and_then(|log| {
        let run = daemon::run(config, &log, &mut report, tell);
        if let (Err(error), true) = (&run, log.tells_all()) {
            tracing::error!("{error}");
            log.flush();
            if let Some(report) = report.take() {
                report.told();
            }
            std::process::exit(1);
        }
        Ok(run?)
    });
    match (served, report) {
        (Err(error), Some(report)) => {
            report.failed(&format!("{error:#}"));
            std::process::exit(1);
        }
        (served, _) => served,
    }
}

fn start_log(target: Target<'_>, format: Format) -> anyhow::Result<Log> {
    Log::start(target, format).with_context(|| match target {
        Target::File(path) => format!("cannot log to {}", path.display()),
        Target::StandardError | Target::Nowhere => "cannot start the log".to_owned(),
    })
}

/// Gives a mirror other flags of mount(2). Only those can change: mount(8) hands on every option of
/// fstab and of the mount table, which are what the daemon was started with. Nor can those flags that
/// the daemon keeps itself; where none of them is given the kernel leaves them.
fn remount(args: &MountArgs) -> anyhow::Result<()> {
    let (_, mountpoint) = args.places().map_err(|why| anyhow!(why))?;
    let typed = mountpoint.display();
    let line = mirror_at(mountpoint, "remount")?;
    let flags = args.mount_options()?.flags;
    let kept = flags & (MountFlags::NOATIME | MountFlags::NODIRATIME);
    if !line.kept_times().contains(kept) {
        bail!(
            "cannot remount {typed}: noatime and nodiratime are kept by the daemon from its start; \
             unmount and mount with them"
        );
    }
    daemon::mount::remount(&line.mountpoint, flags)
        .with_context(|| format!("cannot remount {typed}"))
}

/// The mirror at a mountpoint; `verb` is what cannot be done if there is none.
///
/// # Errors
/// There is none.
pub(super) fn mirror_at(typed: &Path, verb: &str) -> anyhow::Result<MountLine> {
    let resolved = resolve(typed).with_context(|| format!("cannot {verb} {}", typed.display()))?;
    let line = MountTable::open().and_then(|table| table.at(&resolved));
    let line = line.map_err(StartError::Mountinfo)?;
    // The subtype may be one of the user's own.
    let ours = |line: &MountLine| is_ours(&line.kind) || !mark::servers_of(line).is_empty();
    match line.filter(ours) {
        Some(line) => Ok(line),
        None => bail!("cannot {verb} {}: no mirror is mounted there", typed.display()),
    }
}

/// The mountpoint without symlinks, without asking a mount that may be dead or hold everything.
fn resolve(mountpoint: &Path) -> std::io::Result<PathBuf> {
    let absolute = std::path::absolute(mountpoint)?;
    match (absolute.parent(), absolute.file_name()) {
        (Some(parent), Some(name)) => {
            let inside = fs::canonicalize(parent)?.join(name);
            let is_link = fs::read_link(&inside);
            if is_link.is_ok() { fs::canonicalize(inside) } else { Ok(inside) }
        }
        _ => Ok(absolute),
    }
}

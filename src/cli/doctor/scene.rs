//! What the checks look at, found once.

use std::path::Path;

use rustix::process::geteuid;

use crate::cli::mount::mirror_at;
use crate::cli::mounts::{self, Answer, Asked};
use crate::daemon::mark;
use crate::daemon::mountinfo::MountLine;
use crate::daemon::socket::{self, Sockets};

/// The machine as the calling user sees it.
pub(super) struct Scene {
    /// Whether that is root.
    pub(super) is_root: bool,
    /// The sockets, but for the live ones, which were asked.
    pub(super) sockets: Sockets,
    /// Every mount whose socket is there, and its answer.
    pub(super) asked: Vec<Asked>,
    /// The mirrors that are looked at: all, or the one that was named.
    pub(super) mirrors: Vec<Mirror>,
}

/// A mirror in the mount table.
pub(super) struct Mirror {
    pub(super) line: MountLine,
    /// Who serves it, as far as that can be seen.
    pub(super) pids: Vec<u32>,
}

impl Mirror {
    /// Each of these.
    fn all(lines: Vec<MountLine>) -> Vec<Mirror> {
        let servers = mark::servers_of_each(&lines);
        let pids = |line: &MountLine| {
            let servers = servers.get(&line.device).into_iter().flatten();
            servers.map(|server| server.pid.unsigned_abs()).collect()
        };
        lines.into_iter().map(|line| Mirror { pids: pids(&line), line }).collect()
    }

    pub(super) fn name(&self) -> String {
        self.line.mountpoint.display().to_string()
    }
}

impl Scene {
    /// # Errors
    /// No mirror is mounted at what was named, or the mount table cannot be read.
    pub(super) fn look(named: Option<&Path>) -> anyhow::Result<Scene> {
        let mut all = mounts::mirrors()?;
        let mut lines = match named {
            Some(named) => vec![mirror_at(named, "examine")?],
            None => all.clone(),
        };
        // A named one may have a type of its own.
        all.extend_from_slice(&lines);
        // What is bound to several places is one mirror.
        lines.sort_by_key(|line| line.device);
        lines.dedup_by_key(|line| line.device);
        let mut sockets = socket::all();
        let asked = mounts::asked(mounts::with_others(std::mem::take(&mut sockets.live), &all));
        Ok(Scene { is_root: geteuid().is_root(), sockets, asked, mirrors: Mirror::all(lines) })
    }

    /// Each mirror, and what became of the question who it is; none where its socket is not to be found.
    pub(super) fn answers(&self) -> impl Iterator<Item = (&Mirror, Option<&Asked>)> {
        self.mirrors.iter().map(|mirror| {
            let is_its = |asked: &&Asked| asked.is_of(&mirror.line, &mirror.pids);
            (mirror, self.asked.iter().find(is_its))
        })
    }

    /// The mirrors that answered.
    pub(super) fn answered(&self) -> impl Iterator<Item = (&Mirror, &Answer)> {
        self.answers().filter_map(|(mirror, asked)| Some((mirror, asked?.answer.as_ref().ok()?)))
    }
}

/// `1 mount`, `2 mounts`.
pub(super) fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

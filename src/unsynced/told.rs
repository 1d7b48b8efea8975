//! What is told of the log, and of an image. No locks.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::choice::{Choice, Chosen};
use super::file::joined;
use super::image::{Built, Reverted};
use super::log::{Change, Log};
use super::path_of;
use crate::mirror::{Ino, Mirror};

/// Files, and names, that are told of at once: paths are looked up while changes wait.
const MOST: usize = 300;

/// A file whose content is not durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PendingFile {
    pub(crate) path: PathBuf,
    /// Where it may be another after a cut: offset and length, ascending.
    pub(crate) ranges: Vec<(u64, u64)>,
    /// How many of these bytes no sync stores any more, unless they are written again.
    pub(crate) lost: u64,
    /// How many sizes it may have.
    pub(crate) sizes: u64,
    pub(crate) age: Duration,
}

/// An entry of a directory that is not durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PendingName {
    pub(crate) path: PathBuf,
    /// `made`, `removed` or `replaced`.
    pub(crate) what: &'static str,
}

/// What is not durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    /// Those first of which something is oldest.
    pub(crate) files: Vec<PendingFile>,
    pub(crate) names: Vec<PendingName>,
    /// How many more files and names there are.
    pub(crate) left_out: u64,
    /// Entries of the log.
    pub(crate) entries: u64,
    /// Bytes that remembering them takes.
    pub(crate) bytes: u64,
    /// Entries that counted as written back, for their age or for want of room.
    pub(crate) written_back: u64,
    /// Of the oldest entry.
    pub(crate) age: Duration,
    /// What others have changed behind the mount.
    pub(crate) foreign: Vec<PathBuf>,
}

impl Pending {
    pub(super) fn of<N: Default>(tree: &Mirror<N>, log: &Log, foreign: Vec<PathBuf>) -> Pending {
        let mut files: Vec<_> =
            log.files.iter().filter(|(_, file)| !file.events.is_empty()).collect();
        files.sort_by_key(|(_, file)| file.events.front().map(|event| event.when));
        let entries = log.ops.values().filter_map(|op| match &op.change {
            Change::Names(entries) => Some(entries),
            _ => None,
        });
        let names = entries.clone().flatten().take(MOST).map(|entry| PendingName {
            path: path_of(tree, entry.dir).join(&*entry.name),
            what: what(entry.before, entry.after),
        });
        let all_names = entries.map(Vec::len).sum::<usize>();
        let left_out = files.len().saturating_sub(MOST) + all_names.saturating_sub(MOST);
        let files = files.into_iter().take(MOST).map(|(ino, file)| {
            let ranges = joined(file.events.iter().map(|event| event.range.clone()).collect());
            let lost = file.events.iter().filter(|event| event.lost);
            let lost = joined(lost.map(|event| event.range.clone()).collect());
            let lost = lost.into_iter().map(|(_, len)| len).sum();
            let sizes = file.events.iter().filter(|event| event.resizes()).count() as u64;
            let age = file.events.front().map_or(Duration::ZERO, |event| event.when.elapsed());
            PendingFile { path: path_of(tree, *ino), ranges, lost, sizes, age }
        });
        Pending {
            files: files.collect(),
            names: names.collect(),
            left_out: left_out as u64,
            entries: log.len() as u64,
            bytes: log.cost,
            written_back: log.written_back,
            age: log.oldest().map_or(Duration::ZERO, |oldest| oldest.elapsed()),
            foreign,
        }
    }
}

fn what(before: Option<Ino>, after: Option<Ino>) -> &'static str {
    match (before, after) {
        (None, _) => "made",
        (_, None) => "removed",
        _ => "replaced",
    }
}

/// A change that an image lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Dropped {
    /// Its number in the log.
    pub(crate) seq: u64,
    /// `names`, `attributes`, `xattr` or `cut`.
    pub(crate) change: &'static str,
    /// What it was about, and of names whether they were made, removed or replaced.
    pub(crate) paths: Vec<String>,
}

/// What was kept and what was dropped of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Manifest {
    /// The image, below the directory for images.
    pub(crate) image: String,
    /// `none`, `all`, `prefix:N` or `random`.
    pub(crate) keep: String,
    pub(crate) unit: u64,
    pub(crate) seed: u64,
    /// Entries that the log had.
    pub(crate) entries: u64,
    /// What is there: files, directories and all else.
    pub(crate) made: u64,
    /// Bytes that were copied, since they could not be shared with the backing.
    pub(crate) copied: u64,
    pub(crate) dropped: Vec<Dropped>,
    /// The files whose content is not the one behind the mount.
    pub(crate) files: Vec<Reverted>,
    /// What others have changed behind the mount, which counts as durable.
    pub(crate) foreign: Vec<PathBuf>,
}

impl Manifest {
    pub(super) fn of<N: Default>(
        tree: &Mirror<N>,
        chosen: &Chosen<'_>,
        (name, choice): (&str, Choice),
        (built, foreign): (Built, Vec<PathBuf>),
    ) -> Manifest {
        let shown = |ino: Ino| path_of(tree, ino).display().to_string();
        let dropped = chosen.lacks().map(|(seq, change)| match change {
            Change::Names(entries) => {
                let path = |entry: &super::log::Entry| {
                    let path = path_of(tree, entry.dir).join(&*entry.name);
                    format!("{} {}", what(entry.before, entry.after), path.display())
                };
                Dropped { seq, change: "names", paths: entries.iter().map(path).collect() }
            }
            Change::State(ino, _) => {
                Dropped { seq, change: "attributes", paths: vec![shown(*ino)] }
            }
            Change::Attribute(ino, ..) => {
                Dropped { seq, change: "xattr", paths: vec![shown(*ino)] }
            }
            Change::Cut(ino) => Dropped { seq, change: "cut", paths: vec![shown(*ino)] },
        });
        Manifest {
            image: name.to_owned(),
            keep: choice.keeping.to_string(),
            unit: choice.unit.bytes(),
            seed: choice.seed,
            entries: chosen.entries(),
            made: built.entries,
            copied: built.copied,
            dropped: dropped.collect(),
            files: built.reverted,
            foreign,
        }
    }
}

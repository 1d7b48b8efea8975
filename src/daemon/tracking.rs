//! What a mount remembers of what is not durable: where that goes, and how control asks for it. No locks.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use super::config::TrackingConfig;
use super::error::{StartError, strip};
use super::held;
use crate::fault::{Keeping, Unit, seed_of};
use crate::fs::{How, Plug, Survey};
use crate::rpc::{
    Behind, Cut, CutNow, PowerCut, PowerLoss, Unsynced as Told, UnsyncedFile, UnsyncedLog,
    UnsyncedMoment, UnsyncedName, UnsyncedRange, WirePath, ns, signed,
};
use crate::unsynced::{Choice, Gap, Limits, Moment, Noting, Pending, Unsynced};

/// How long what changes something may have to wait for an image, unless it is told.
const MOST_STALL: Duration = Duration::from_secs(2);

/// As long as it takes.
const NO_LIMIT: u64 = i64::MAX as u64;

/// Ranges of a file that are told.
const MOST_RANGES: usize = 16;

/// Begins to remember: before the mount, so that nothing of it lies there.
pub(super) fn begin(
    config: &TrackingConfig,
    mountpoint: &Path,
    base: &Path,
) -> Result<Unsynced, StartError> {
    let images = config.images.as_deref().map(|dir| images(dir, mountpoint, base)).transpose()?;
    let keep = Arc::new(held::remember(config.dir.clone(), mountpoint)?);
    let TrackingConfig { order, most, age, .. } = *config;
    let unsynced = Unsynced::new(keep, Limits { order, most, age, images });
    if config.moments.is_empty() {
        return Ok(unsynced);
    }
    let open = |path: &PathBuf| {
        fs::File::open(path).map_err(|e| StartError::Output(path.clone(), strip(&e)))
    };
    let output = config.output.as_ref().map(open).transpose()?;
    Ok(unsynced.noting(Noting { before: config.moments.clone(), output }))
}

/// Opens the directory for images, which must be outside of what is mirrored: an image would have
/// itself in it.
fn images(dir: &Path, mountpoint: &Path, base: &Path) -> Result<OwnedFd, StartError> {
    let failed = |e: std::io::Error| StartError::Images(dir.to_owned(), strip(&e));
    let resolved = fs::canonicalize(dir).map_err(failed)?;
    let base = fs::canonicalize(base).map_err(|e| StartError::Backing(base.into(), strip(&e)))?;
    if resolved.starts_with(mountpoint) {
        let (dir, mountpoint) = (dir.to_owned(), mountpoint.to_owned());
        return Err(StartError::Below { option: "--images", dir, mountpoint });
    }
    if resolved.starts_with(&base) {
        return Err(StartError::ImagesBelow(dir.to_owned(), base));
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(&resolved, flags, Mode::empty());
    opened.map_err(|e| failed(e.into()))
}

/// Whom control asks, if something is remembered.
pub(super) fn unsynced_log(
    (survey, plug): (Arc<Survey>, Plug),
    config: Option<&TrackingConfig>,
) -> Behind<dyn UnsyncedLog> {
    let Some(config) = config else { return Behind::default() };
    let images = config.images.clone().unwrap_or_default();
    Behind::new(Arc::new(Door { survey, plug, images }))
}

struct Door {
    survey: Arc<Survey>,
    plug: Plug,
    images: PathBuf,
}

impl UnsyncedLog for Door {
    fn unsynced(&self) -> Told {
        let (cuts, off) = self.plug.cuts();
        let told = self.survey.pending().map(told).unwrap_or_default();
        Told { cuts: cuts.into(), off, ..told }
    }

    fn checkpoint(&self) -> i64 {
        self.survey.checkpoint().map(signed).unwrap_or_default()
    }

    fn moments(&self, after: i64, most: i64) -> Vec<UnsyncedMoment> {
        let whole = |n: i64| usize::try_from(n).unwrap_or_default();
        let after = whole(after);
        let moments = self.survey.moments(after, whole(most)).into_iter().zip(after + 1..);
        let told = |((moment, gap), n): ((Moment, Option<Gap>), usize)| UnsyncedMoment {
            n: signed(n as u64),
            before: moment.act.to_string(),
            path: WirePath(moment.path),
            to: moment.to.map(WirePath),
            entries: signed(moment.seq),
            output: signed(moment.said),
            lost: gap.is_some(),
            why: gap.map(|gap| gap.to_string()),
        };
        moments.map(told).collect()
    }

    fn allows(&self, cut: &Cut) -> Result<(), String> {
        let Cut { name, keep, unit, seed, max_stall_ns } = cut;
        choice(keep, *unit, seed)?;
        most_stall(*max_stall_ns)?;
        if name.is_empty() {
            return Ok(());
        }
        self.survey.allows_image(name).map_err(|e| e.to_string())
    }

    fn cut(&self, cut: &Cut, moment: i64) -> Result<PowerCut, String> {
        let choice = choice(&cut.keep, cut.unit, &cut.seed)?;
        let most = most_stall(cut.max_stall_ns)?;
        let moment = match moment {
            0 => None,
            n => Some(usize::try_from(n).map_err(|_| format!("there is no moment {n}"))?),
        };
        let done = self.survey.cut(moment, (&cut.name, most), choice);
        let done = done.transpose().map_err(|e| e.to_string())?;
        let done = done.ok_or("nothing is remembered")?;
        Ok(PowerCut {
            image: WirePath(self.images.join(&done.image)),
            keep: done.keep,
            unit: signed(done.unit),
            seed: done.seed.to_string(),
            entries: signed(done.entries),
            dropped: signed(done.dropped.len() as u64),
            reverted: signed(done.files.len() as u64),
            made: signed(done.made),
            copied: signed(done.copied),
            manifest: WirePath(self.images.join(format!("{}.json", done.image))),
        })
    }

    fn prepare(&self, stays: Duration) -> Result<i64, String> {
        self.plug.prepare(stays).map(signed).map_err(|e| e.to_string())
    }

    fn abort(&self, ticket: i64) -> bool {
        self.plug.abort(ticket.cast_unsigned())
    }

    fn commit(&self, cut: &CutNow) -> Result<PowerLoss, String> {
        let choice = choice(&cut.keep, cut.unit, &cut.seed)?;
        let how = How {
            choice,
            stays_off: cut.stay_off,
            kills: cut.kill,
            client: u32::try_from(cut.client).ok(),
            asks: None,
            answers: None,
        };
        let done = self.plug.commit(cut.ticket.cast_unsigned(), &how).map_err(|e| e.to_string())?;
        let (taken, (cuts, off)) = (done.taken, self.plug.cuts());
        Ok(PowerLoss {
            keep: choice.keeping.to_string(),
            unit: signed(choice.unit.bytes()),
            seed: choice.seed.to_string(),
            entries: signed(taken.entries),
            dropped: signed(taken.dropped),
            reverted: signed(taken.put_back.len() as u64),
            killed: done.killed.into_iter().map(i64::from).collect(),
            off,
            cuts: cuts.into(),
        })
    }

    fn power_on(&self) -> Result<bool, String> {
        self.plug.on().map_err(|e| e.to_string())
    }
}

/// How long what changes something may have to wait, as control says it; None: as long as it takes.
fn most_stall(ns: i64) -> Result<Option<Duration>, String> {
    match u64::try_from(ns) {
        Ok(0) => Ok(Some(MOST_STALL)),
        Ok(NO_LIMIT) => Ok(None),
        Ok(ns) => Ok(Some(Duration::from_nanos(ns))),
        Err(_) => Err(format!("max_stall_ns is {ns}: it must not be negative")),
    }
}

/// What is to be kept, as control says it.
fn choice(keep: &str, unit: i64, seed: &str) -> Result<Choice, String> {
    let keeping: Keeping = match keep {
        "" => Keeping::default(),
        keep => keep.parse()?,
    };
    let unit = match unit {
        0 => Unit::default(),
        bytes => bytes.to_string().parse()?,
    };
    let seed = match seed {
        "" => rand::random(),
        seed => seed_of(seed)?,
    };
    Ok(Choice { keeping, unit, seed })
}

fn told(pending: Pending) -> Told {
    let Pending { files, names, left_out, entries, bytes, written_back, age, foreign } = pending;
    let range = |(offset, len)| UnsyncedRange { offset: signed(offset), len: signed(len) };
    let files = files.into_iter().map(|file| UnsyncedFile {
        path: WirePath(file.path),
        bytes: signed(file.ranges.iter().map(|(_, len)| len).sum()),
        ranges: file.ranges.into_iter().take(MOST_RANGES).map(range).collect(),
        sizes: signed(file.sizes),
        lost: signed(file.lost),
        age_ns: ns(file.age),
    });
    let names =
        names.into_iter().map(|n| UnsyncedName { path: WirePath(n.path), what: n.what.to_owned() });
    Told {
        files: files.collect(),
        names: names.collect(),
        left_out: signed(left_out),
        entries: signed(entries),
        remembered: signed(bytes),
        written_back: signed(written_back),
        age_ns: ns(age),
        foreign: foreign.into_iter().map(WirePath).collect(),
        ..Told::default()
    }
}

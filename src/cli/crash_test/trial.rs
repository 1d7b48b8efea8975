//! One test: the tree, the program, the moments, and then one image after the other. No locks.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::child::{Streams, failure, run};
use super::plan::{Plan, Planned};
use super::report::{Judged, Report};
use super::{CrashTestArgs, DIRECTORY, Place};
use crate::cli::output;
use crate::cli::progress::Progress;
use crate::cli::trial::Mirror;
use crate::fault::{Keeping, words};
use crate::rpc::{Client, Cut, UnsyncedMoment, WirePath, signed};

/// The moment after everything that the program has done.
const END: &str = "the end";

pub(super) struct Trial<'a> {
    args: &'a CrashTestArgs,
    place: &'a Place,
    mirror: &'a Mirror,
    client: Client,
    progress: Progress,
    seed: u64,
}

impl<'a> Trial<'a> {
    pub(super) fn new(
        args: &'a CrashTestArgs,
        place: &'a Place,
        mirror: &'a Mirror,
    ) -> anyhow::Result<Trial<'a>> {
        let (client, progress) = (mirror.client()?, Progress::default());
        let seed = args.seed.unwrap_or_else(rand::random);
        Ok(Trial { args, place, mirror, client, progress, seed })
    }

    pub(super) fn run(&mut self) -> anyhow::Result<Report> {
        self.begin_with_tree()?;
        let ran = self.program()?;
        let moments = self.moments()?;
        let args = self.args;
        let plan = Plan { moments: &moments, keep: &args.keep, seed: self.seed };
        let wanted = plan.wanted(args.only, args.limit)?;
        let began = Instant::now();
        self.show("the check of all that the program left");
        self.whole(&moments)?;
        let mut judged = Vec::new();
        for (n, image) in (1..).zip(&wanted) {
            let failed = judged.iter().filter(|judged: &&Judged| judged.why.is_some()).count();
            self.show(&format!("image {n} of {}: {failed} failed", wanted.len()));
            judged.push(self.judge(image)?);
        }
        self.progress.clear();
        Ok(Report {
            moments: moments.len() as u64,
            lost: lost(&moments),
            images: plan.len(),
            seed: self.seed,
            ran,
            checked: began.elapsed(),
            judged,
            keep_images: args.keep_images.clone(),
        })
    }

    fn show(&mut self, what: &str) {
        self.progress.count(&format!("crash-test: {what}"));
    }

    fn begin_with_tree(&mut self) -> anyhow::Result<()> {
        let Some(tree) = &self.args.tree else { return Ok(()) };
        self.show("copies the tree");
        let failed = || format!("cannot copy {}", tree.display());
        // Behind the mount, which nobody has used yet.
        let mut copy = Command::new("cp");
        copy.arg("-a").arg("--").arg(std::path::absolute(tree)?.join(".")).arg(&self.mirror.raw);
        match self.child(copy, (None, None), None).with_context(failed)? {
            None => Ok(()),
            Some(why) => Err(anyhow::anyhow!("cp {why}")).with_context(failed),
        }
    }

    /// Runs the program; how long it took.
    fn program(&mut self) -> anyhow::Result<Duration> {
        self.show("the program runs");
        let mnt = self.mirror.mnt.as_os_str();
        let words: Vec<_> = self.args.program.iter().map(|word| replaced(word, mnt)).collect();
        let Some((name, arguments)) = words.split_first() else { bail!("no program") };
        let mut command = Command::new(name);
        command.args(arguments);
        let began = Instant::now();
        let output = File::options().append(true).open(&self.place.output)?;
        if let Some(why) = self.child(command, (None, Some(output)), None)? {
            bail!("the program {why}; nothing was checked");
        }
        let took = began.elapsed();
        // What it has stored into mappings is written by now, as after a while by any kernel.
        rustix::fs::syncfs(File::open(&self.mirror.mnt)?)?;
        Ok(took)
    }

    /// Why it failed, if it did.
    fn child(
        &self,
        command: Command,
        (input, output): (Option<File>, Option<File>),
        within: Option<Duration>,
    ) -> anyhow::Result<Option<String>> {
        let complaints = &*self.place.complaints;
        let input = input.map_or_else(Stdio::null, Stdio::from);
        let streams = Streams { input, output, complaints };
        let ended = run(command, streams, within, || self.mirror.is_ending())?;
        Ok(failure(&ended, complaints))
    }

    /// All that were noted, and the end.
    fn moments(&mut self) -> anyhow::Result<Vec<UnsyncedMoment>> {
        let mut moments: Vec<UnsyncedMoment> = Vec::new();
        loop {
            let more = self.client.unsynced_moments(moments.last().map_or(0, |last| last.n))?;
            if more.is_empty() {
                break;
            }
            moments.extend(more);
        }
        for moment in &mut moments {
            let inside = |path: &mut WirePath| {
                if let Ok(rest) = path.0.strip_prefix(&self.mirror.raw) {
                    path.0 = rest.to_owned();
                }
            };
            inside(&mut moment.path);
            moment.to.iter_mut().for_each(inside);
        }
        let printed = fs::metadata(&self.place.output)?.len();
        let output = i64::try_from(printed).unwrap_or(i64::MAX);
        moments.push(UnsyncedMoment { before: END.to_owned(), output, ..Default::default() });
        Ok(moments)
    }

    /// A check that fails on all that the program left can tell nothing.
    fn whole(&mut self, moments: &[UnsyncedMoment]) -> anyhow::Result<()> {
        let Some(end) = moments.last() else { return Ok(()) };
        let image = Planned { number: 0, moment: end, keep: Keeping::All, seed: 0 };
        let built = self.build(&image)?;
        match self.check(&image, &built)? {
            None => Ok(()),
            Some(why) => bail!(
                "the check fails on all that the program left, as if the power had not gone, so it tells nothing: \
                 it {why}"
            ),
        }
    }

    fn judge(&mut self, image: &Planned<'_>) -> anyhow::Result<Judged> {
        let built = self.build(image)?;
        let why = self.check(image, &built)?;
        drop(built);
        let kept = match (&why, &self.args.keep_images) {
            // Anew, as the check may have changed it.
            (Some(_), Some(_)) => Some(self.build(image)?.left()),
            _ => None,
        };
        let Planned { number, moment, keep, seed } = *image;
        Ok(Judged { number, moment: moment.clone(), keep, seed, why, kept })
    }

    fn build(&mut self, image: &Planned<'_>) -> anyhow::Result<Image> {
        let Planned { number, moment, keep, seed } = *image;
        let name = format!("crash-{number}");
        let (keep, seed) = (keep.to_string(), seed.to_string());
        // Nobody waits: the program has ended.
        let unit = signed(self.args.unit.bytes());
        let cut = Cut { name, keep, unit, seed, max_stall_ns: i64::MAX };
        // The end has no number: it is now.
        let done = self.client.power_cut_at(moment.n, &cut)?;
        Ok(Image { path: done.image.0, manifest: done.manifest.0, is_left: false })
    }

    /// Why the check has failed on it, if it has.
    fn check(&self, image: &Planned<'_>, built: &Image) -> anyhow::Result<Option<String>> {
        let printed = u64::try_from(image.moment.output).unwrap_or_default();
        let output = File::open(&self.place.output)?;
        std::io::copy(&mut output.take(printed), &mut File::create(&self.place.printed)?)?;
        let line = self.args.check.replace(DIRECTORY, &words::quoted_path(&built.path));
        let mut command = Command::new("sh");
        command.arg("-c").arg(line);
        let input = File::open(&self.place.printed)?;
        self.child(command, (Some(input), None), Some(self.args.timeout))
    }
}

/// How many moments cannot be gone back to, by the reason.
fn lost(moments: &[UnsyncedMoment]) -> BTreeMap<String, u64> {
    let mut lost = BTreeMap::new();
    for moment in moments.iter().filter(|moment| moment.lost) {
        *lost.entry(moment.why.clone().unwrap_or_default()).or_default() += 1;
    }
    lost
}

/// An image, for as long as it is looked at.
struct Image {
    path: PathBuf,
    manifest: PathBuf,
    is_left: bool,
}

impl Image {
    /// Leaves it where it is.
    fn left(mut self) -> PathBuf {
        self.is_left = true;
        self.path.clone()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if !self.is_left {
            let gone = |removed: std::io::Result<()>, path: &Path| {
                removed.unwrap_or_else(|error| output::left_behind(path, &error));
            };
            gone(fs::remove_dir_all(&self.path), &self.path);
            gone(fs::remove_file(&self.manifest), &self.manifest);
        }
    }
}

/// A word with the directory where it is meant.
fn replaced(word: &OsStr, directory: &OsStr) -> OsString {
    let (mut done, mut rest) = (Vec::new(), word.as_bytes());
    while let Some(at) = rest.windows(DIRECTORY.len()).position(|two| two == DIRECTORY.as_bytes()) {
        let (before, after) = rest.split_at(at);
        done.extend_from_slice(before);
        done.extend_from_slice(directory.as_bytes());
        rest = after.get(DIRECTORY.len()..).unwrap_or_default();
    }
    done.extend_from_slice(rest);
    OsString::from_vec(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_stands_wherever_it_is_meant() {
        let of = |word: &str| replaced(OsStr::new(word), OsStr::new("/m")).into_string().unwrap();
        assert_eq!(of("--dir={}/db:{}"), "--dir=/m/db:/m");
        assert_eq!(
            (of("{"), of("{x}"), of("{}"), of("")),
            ("{".into(), "{x}".into(), "/m".into(), String::new())
        );
    }
}

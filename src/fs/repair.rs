//! What is done to stored bytes on command: injections are healed, files rot. A heal is a write like any
//! other: the file is modified, and the kernel asks again before it trusts what it has cached.
//!
//! What a program writes to the same bytes at that very moment may be lost, as with two writers. No lock is
//! held while the backing works, but with a log of what is not durable its own.

use std::cell::Cell;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Core;
use super::injected::file_key;
use crate::fault::injections::{
    FileKey, Healing, MOST_AT_ONCE, Outcome, Place, Repairs, Rot, Rotted, Source, State, Wound,
    Wrong,
};
use crate::fault::plan::Edit;
use crate::mirror::{Found, TimeChange};
use crate::sys::text_of;
use crate::unsynced::About;

/// So many files rot at most: the sizes of all are looked at first.
const MOST_FILES: usize = 100_000;

/// At every so many names it is asked whether somebody waits, which takes a system call and a lock.
const NAMES: u64 = 1_000;

/// So many errors are told.
const MOST_ERRORS: usize = 10;

/// What is done beside the running session.
pub(crate) struct Repair {
    core: Arc<Core>,
}

impl Repair {
    pub(super) fn new(core: Arc<Core>) -> Repair {
        Repair { core }
    }

    /// Writes the right bytes back where what was injected is still there.
    fn heal_one(&self, wound: &Wound) -> io::Result<Outcome> {
        let Some(left) = &wound.left else { return Ok(Outcome::Unknown) };
        let FileKey { dev, number, born } = wound.place.file;
        let found = match self.core.tree.find([dev, number, born], &wound.place.path) {
            Err(error) if error.raw_os_error() == Some(libc::ESTALE) => {
                return Ok(Outcome::Over(State::Gone));
            }
            found => found?,
        };
        let before = found.mtime()?;
        let stands =
            |range: &_| self.core.gate.injections().stands(wound.id, wound.place.file, range);
        let (right, written) = self.on_disk(&found, || {
            let (mut right, mut written) = (false, false);
            for wrong in left {
                let range = wrong.offset..wrong.offset.saturating_add(wrong.should.len() as u64);
                let is = found.read(wrong.offset, wrong.should.len())?;
                let is_right = is == *wrong.should;
                let heals = !is_right && is == *wrong.is && stands(&range);
                if heals {
                    found.write(wrong.offset, &wrong.should)?;
                }
                written |= heals;
                right |= is_right || heals;
            }
            if written {
                show_change(&found, before)?;
            }
            Ok((right, written))
        })?;
        if written {
            self.tell_of_change(&found);
        }
        Ok(Outcome::Over(if right { State::Healed } else { State::Overwritten }))
    }

    /// Changes what the disk has of a file. What is not durable there stays so.
    fn on_disk<T>(&self, found: &Found, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match found.ino {
            Some(ino) => self.core.tracked(|| About::Disk { ino }, act),
            None => act(),
        }
    }

    /// What the kernel has cached of a file counts no more. Under no lock: the kernel may wait for the file.
    fn tell_of_change(&self, found: &Found) {
        found.ino.into_iter().for_each(|ino| self.core.changed_unseen(ino));
    }

    /// The regular files that match, and how long they are, by their paths; not all if nobody waits.
    fn sizes(&self, wanted: &Rot, goes_on: &dyn Fn() -> bool) -> io::Result<Vec<(Vec<u8>, u64)>> {
        let (mut paths, mut too_many) = (Vec::new(), false);
        let names = Cell::new(0u64);
        let still = || !names.replace(names.get() + 1).is_multiple_of(NAMES) || goes_on();
        self.core.tree.visit_all(&still, &mut |path| {
            if wanted.pattern.matches(path) {
                paths.push(path.to_vec());
            }
            too_many = paths.len() > MOST_FILES;
            if too_many { ControlFlow::Break(()) } else { ControlFlow::Continue(true) }
        })?;
        if too_many {
            return Err(io::Error::other(format!(
                "more than {MOST_FILES} files match; name fewer of them"
            )));
        }
        paths.sort_unstable();
        let size = |path: Vec<u8>| {
            let size = self.core.tree.size_at(&path).ok()??;
            Some((path, size))
        };
        Ok(paths.into_iter().take_while(|_| goes_on()).filter_map(size).collect())
    }

    fn spoil(&self, path: &[u8], edit: Edit, hidden: bool) -> io::Result<bool> {
        let found = self.core.tree.find_at(path)?;
        let before = found.mtime()?;
        let mut should = found.read(edit.at, edit.bytes.len())?;
        let (offset, mut is) = (edit.at, should.clone());
        Edit { at: 0, ..edit }.apply(&mut is);
        // What is wrong there already is not what should be there.
        let file = file_key(found.key);
        self.core.gate.injections().correct(file, offset, &mut should);
        let Some(wrong) = Wrong::found(offset, &should, &is) else { return Ok(false) };
        self.on_disk(&found, || {
            found.write(wrong.offset, &wrong.is)?;
            match hidden {
                true => found.set_mtime(TimeChange::At(before.0, before.1)),
                false => show_change(&found, before),
            }
        })?;
        if !hidden {
            self.tell_of_change(&found);
        }
        let source = Source { fault: None, name: None, kind: "rot", method: "rot" };
        let place = Place { file, path: path.into() };
        self.core.gate.injections().add(&source, &place, vec![wrong]);
        Ok(true)
    }
}

/// A file was changed: its time of modification is later than before.
fn show_change(found: &Found, before: (i64, u32)) -> io::Result<()> {
    if found.mtime()? <= before {
        found.set_mtime(TimeChange::just_after(before))?;
    }
    Ok(())
}

impl Repairs for Repair {
    fn heal(&self, ids: &[u64], after: u64) -> Vec<Healing> {
        let injections = self.core.gate.injections();
        let wounds = injections.wounds(ids, after, MOST_AT_ONCE);
        let heal = |wound: &Wound| {
            let outcome = self.heal_one(wound).unwrap_or_else(|e| Outcome::Failed(text_of(&e)));
            if let Outcome::Over(state) = outcome {
                injections.end(wound.id, state);
            }
            Healing { id: wound.id, outcome }
        };
        wounds.iter().map(heal).collect()
    }

    fn rot(&self, wanted: &Rot, goes_on: &dyn Fn() -> bool) -> Result<Rotted, String> {
        let files = self.sizes(wanted, goes_on);
        let files = files.map_err(|e| format!("cannot look for files: {}", text_of(&e)))?;
        let sizes: Vec<u64> = files.iter().map(|(_, size)| *size).collect();
        let mut rotted =
            Rotted { files: files.len() as u64, bytes: sizes.iter().sum(), ..Rotted::default() };
        for (place, edit) in wanted.spoil.over(&sizes).take_while(|_| goes_on()) {
            let Some((path, _)) = files.get(place) else { continue };
            match self.spoil(path, edit, wanted.hidden) {
                Ok(spoilt) => rotted.spots += u64::from(spoilt),
                Err(_) if rotted.failed.len() >= MOST_ERRORS => {}
                Err(error) => {
                    let path = String::from_utf8_lossy(path);
                    rotted.failed.push(format!("{path}: {}", text_of(&error)));
                }
            }
        }
        Ok(rotted)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::fault::spoil::{Spoil, Spoiling, Spots};
    use crate::fault::{Draw, Pattern};
    use crate::fs::SlowFs;

    /// What has become of so many files of two spots each, if nobody waits once so often was asked; and how
    /// often it was.
    fn rotted(files: u64, patience: u64) -> (Rotted, u64) {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..files {
            fs::write(dir.path().join(format!("f{n}")), [b'a'; 1024]).unwrap();
        }
        let spots = Spots { unit: 512, spots: 100, length: 1 };
        let spoil = Spoil { spots, how: Spoiling::Zero, draw: Draw::once(1, "rot") };
        let wanted = Rot { pattern: Pattern::new(".*/f[0-9]+").unwrap(), spoil, hidden: false };
        let asked = Cell::new(0);
        let goes_on = || asked.replace(asked.get() + 1) < patience;
        let (fs, table) = SlowFs::of_directory(dir.path());
        let rotted = fs.repair().rot(&wanted, &goes_on).unwrap();
        assert_eq!(table.injections().page(0, 0).all, rotted.spots);
        (rotted, asked.get())
    }

    #[test]
    fn rot_ends_when_nobody_waits() {
        // Once for the names, once for each file, once for each spot.
        let (all, asked) = rotted(3, u64::MAX);
        assert_eq!((all.files, all.spots, asked), (3, 6, 1 + 3 + 6));
        for (patience, files, spots) in [(0, 0, 0), (1, 0, 0), (2, 1, 0), (6, 3, 2), (9, 3, 5)] {
            let (some, asked) = rotted(3, patience);
            assert_eq!((some.files, some.spots), (files, spots), "{patience}");
            assert!(asked <= patience + 3, "{patience}: asked {asked} times");
        }
    }

    #[test]
    fn a_walk_asks_seldom() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..2_500 {
            fs::write(dir.path().join(n.to_string()), "").unwrap();
        }
        let asked = Cell::new(0);
        let goes_on = || asked.replace(asked.get() + 1) < 2;
        let spots = Spots { unit: 512, spots: 1, length: 1 };
        let spoil = Spoil { spots, how: Spoiling::Zero, draw: Draw::once(1, "rot") };
        let wanted = Rot { pattern: Pattern::new("none").unwrap(), spoil, hidden: false };
        let (fs, _) = SlowFs::of_directory(dir.path());
        assert_eq!(fs.repair().rot(&wanted, &goes_on).unwrap(), Rotted::default());
        assert_eq!(asked.get(), 3, "once at first, and once in a thousand names");
    }
}

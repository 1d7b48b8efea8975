//! What faults have made of bytes: every injection is known, and can be healed as long as nobody has
//! written over it.
//!
//! It is no fault: clearing leaves it, and it ends with the mount. Invariant: of each byte of a file at
//! most one injection stands, the last; what is written over it ends it there. The right bytes and those
//! that are there are kept, [`MOST_BYTES`] in all, and of later ones their digests; there are never more
//! than [`MOST`] injections: those that are over go first, and what finds no room is counted.
//! While one stands, operations that write are looked at: the bit that says so changes under the lock.
//! Lock rule: one lock, innermost, for memory work only.

mod pieces;
mod repairs;
mod rotting;
mod store;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::id::FaultId;
use super::mask::MaskWord;
pub use repairs::{Healing, MOST_AT_ONCE, Outcome, Repairs, Rot, Rotted};
pub use rotting::RotWords;
use store::Store;

/// So many injections are kept.
pub const MOST: usize = 100_000;

/// So many bytes are kept of them, those that should be there and those that are.
pub const MOST_BYTES: usize = 64 << 20;

/// Which file of the backing, whatever its names: device, number, a digest of its birth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FileKey {
    /// The device.
    pub dev: u64,
    /// Its inode number there, as stat(2) shows it.
    pub number: u64,
    /// Tells it from a later one of that number.
    pub born: u64,
}

/// A file of which bytes are wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Which one.
    pub file: FileKey,
    /// Its path in the backing.
    pub path: Arc<[u8]>,
}

/// Which fault it was: one of this mount, or none where control asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its number.
    pub fault: Option<FaultId>,
    /// Its name.
    pub name: Option<Arc<str>>,
    /// The kind that did it.
    pub kind: &'static str,
    /// Upon which request.
    pub method: &'static str,
}

/// Some bytes that are not what they should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wrong {
    /// Where they begin, in the file.
    pub offset: u64,
    /// What they should be.
    pub should: Box<[u8]>,
    /// What they are: fewer, where the file ends before.
    pub is: Box<[u8]>,
}

impl Wrong {
    /// Those from `offset` on, without what is right at both ends. None if all is.
    #[must_use]
    pub fn found(offset: u64, should: &[u8], is: &[u8]) -> Option<Wrong> {
        let right = |at: &usize| should.get(*at) == is.get(*at);
        let start = (0..should.len()).find(|at| !right(at))?;
        let end = (start..should.len()).rev().find(|at| !right(at))? + 1;
        let of = |bytes: &[u8]| bytes.get(start..end.min(bytes.len())).unwrap_or_default().into();
        Some(Wrong { offset: offset + start as u64, should: of(should), is: of(is) })
    }
}

/// What has become of an injection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It stands, at least in part.
    Standing,
    /// It was in an answer only, or the answer said so: there is nothing to heal.
    Transient,
    /// All of it has been written over.
    Overwritten,
    /// The right bytes are back.
    Healed,
    /// The file is gone.
    Gone,
}

impl State {
    /// Its name, for people and programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Standing => "standing",
            State::Transient => "transient",
            State::Overwritten => "overwritten",
            State::Healed => "healed",
            State::Gone => "gone",
        }
    }
}

/// An injection as it is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its number, from 1.
    pub id: u64,
    /// Which fault it was.
    pub source: Source,
    /// Of which file, by the path that it was met by.
    pub place: Place,
    /// Where it begins.
    pub offset: u64,
    /// How many bytes it has.
    pub len: u64,
    /// The SHA-256 of what should be there; none where nobody knows.
    pub should: Option<Sha>,
    /// That of what is or was there.
    pub is: Option<Sha>,
    /// What has become of it.
    pub state: State,
    /// How many bytes of it stand.
    pub left: u64,
    /// Whether its bytes are kept.
    pub kept: bool,
}

/// What is told of at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// In the order in which they came.
    pub injections: Vec<Told>,
    /// How many are kept in all.
    pub all: u64,
    /// How many there were that are not kept any more, or never were.
    pub dropped: u64,
    /// How many bytes are kept of those that stand.
    pub bytes: u64,
}

/// What is to be written to heal one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wound {
    /// The injection.
    pub id: u64,
    /// Where it lies now, as far as is known.
    pub place: Place,
    /// What stands of it; none if the bytes are not kept.
    pub left: Option<Vec<Wrong>>,
}

/// What a table keeps of them.
#[derive(Default)]
pub(super) struct Injected(Mutex<Store>);

/// All injections of a mount, and the bit that says whether one stands.
#[derive(Clone, Copy)]
pub struct Injections<'a> {
    store: &'a Mutex<Store>,
    mask: &'a MaskWord,
}

impl<'a> Injections<'a> {
    pub(super) fn new(Injected(store): &'a Injected, mask: &'a MaskWord) -> Injections<'a> {
        Injections { store, mask }
    }

    /// Changes what stands. The bit changes before the lock is free: who writes once an injection is listed
    /// is looked at.
    fn change<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let mut store = self.store.lock();
        let done = change(&mut store);
        self.mask.guard(store.is_any_standing());
        done
    }

    /// Adds what a fault has made of the stored bytes of a file: the numbers of those that there is room for.
    pub(crate) fn add(&self, source: &Source, place: &Place, wrongs: Vec<Wrong>) -> Vec<u64> {
        let add = |wrong: Wrong| {
            let digests = [Sha::of(&wrong.should), Sha::of(&wrong.is)];
            self.change(|store| store.add(source, place, wrong, digests))
        };
        wrongs.into_iter().filter_map(add).collect()
    }

    /// Adds what a fault has made of an answer: its number, if there is room for it.
    pub(crate) fn add_transient(
        &self,
        source: &Source,
        place: &Place,
        wrong: &Wrong,
        len: u64,
    ) -> Option<u64> {
        let is_known = !wrong.should.is_empty();
        let digests = is_known.then(|| [&wrong.should, &wrong.is].map(|bytes| Sha::of(bytes)));
        self.store.lock().add_transient(source, place, (wrong.offset, len), digests)
    }

    /// These bytes of a file have been written: what was injected there is over.
    pub fn overwritten(&self, file: FileKey, bytes: Range<u64>) {
        self.change(|store| store.overwritten(file, &bytes));
    }

    /// Whether anything stands in that file.
    #[must_use]
    pub(crate) fn concern(&self, file: FileKey) -> bool {
        self.store.lock().concern(file)
    }

    /// A file in which something stands is found by this path from now on.
    pub fn moved(&self, file: FileKey, path: Arc<[u8]>) {
        self.store.lock().moved(file, path);
    }

    /// Those after that number, so many at most.
    #[must_use]
    pub fn page(&self, after: u64, most: usize) -> Page {
        self.store.lock().page(after, most)
    }

    /// What is to be written to heal these, or those after that number that stand.
    #[must_use]
    pub(crate) fn wounds(&self, ids: &[u64], after: u64, most: usize) -> Vec<Wound> {
        self.store.lock().wounds(ids, after, most)
    }

    /// What has become of one; none if it is not kept.
    #[must_use]
    pub fn state(&self, id: u64) -> Option<State> {
        self.store.lock().state(id)
    }

    /// Has bytes that are there be what they should be, as far as that is known: where injections stand, and
    /// what they left is there still.
    pub(crate) fn correct(&self, file: FileKey, offset: u64, bytes: &mut [u8]) {
        self.store.lock().correct(file, offset, bytes);
    }

    /// Whether all of these bytes are still of that injection.
    #[must_use]
    pub fn stands(&self, id: u64, file: FileKey, bytes: &Range<u64>) -> bool {
        self.store.lock().stands(id, file, bytes)
    }

    /// An injection is over, by this.
    pub fn end(&self, id: u64, state: State) {
        self.change(|store| store.end(id, state));
    }
}

/// A SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sha([u8; 32]);

impl Sha {
    /// That of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Sha {
        Sha(Sha256::digest(bytes).into())
    }
}

/// As sha256sum(1) writes it.
impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests;

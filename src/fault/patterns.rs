//! The patterns of a table, asked all at once.
//!
//! Those that have a sieve, an automaton, are asked by two unions: that of most, which stays as it is
//! while faults come and go, and that of the few which came since. So a change beside a thousand
//! faults makes a small union anew, and costs no work on any pattern. Who has gone is asked in vain.
//! No locks.

use std::sync::Arc;

use super::id::FaultId;
use super::union::{At, Union};
use super::words::Pattern;
use super::words::dfa::Dfa;

/// So many are asked by the union of those that came last, before all are asked by one.
const FEW: usize = 32;

/// The patterns of the rows of one snapshot.
#[derive(Default)]
pub(super) struct Patterns {
    most: Part,
    last: Part,
    /// Rows without a sieve.
    apart: Box<[usize]>,
}

/// One union, and where the rows of its members are.
#[derive(Clone, Default)]
struct Part {
    group: Arc<Group>,
    /// By the member; none if it has gone.
    places: Arc<[Option<usize>]>,
}

/// Faults, ascending, whose patterns are asked as one.
#[derive(Default)]
struct Group {
    ids: Box<[FaultId]>,
    union: Union,
}

/// How far the path of a directory leads, for all names in it.
#[derive(Clone, Copy)]
pub(super) struct Lead {
    most: At,
    last: At,
}

impl Patterns {
    /// Those of these faults, which are the rows in order; what was known of them stays known.
    pub(super) fn after<'a>(
        before: &Patterns,
        rows: impl IntoIterator<Item = (FaultId, &'a Pattern)>,
    ) -> Patterns {
        let mut sieved = Vec::new();
        let mut apart = Vec::new();
        for (place, (id, pattern)) in rows.into_iter().enumerate() {
            match pattern.sieve() {
                Some(sieve) => sieved.push((id, place, sieve)),
                None => apart.push(place),
            }
        }
        sieved.sort_unstable_by_key(|(id, ..)| *id);
        let (most, late) = before.most.taking(&sieved);
        let (last, later) = before.last.taking(&late);
        let apart = apart.into();
        // Those that have gone take time and memory too.
        if late.len() > FEW || most.lost() > most.kept() {
            return Patterns { most: Part::of(&sieved), last: Part::default(), apart };
        }
        let last = match later.is_empty() {
            true if last.kept() > 0 => last,
            true => Part::default(),
            false => Part::of(&late),
        };
        Patterns { most, last, apart }
    }

    /// Calls `found` with the place of each row whose sieve accepts the path, or that has none.
    pub(super) fn of_path(&self, path: &[u8], found: &mut dyn FnMut(usize)) {
        self.most.of_path(path, found);
        self.last.of_path(path, found);
        self.apart.iter().copied().for_each(found);
    }

    /// How far a directory's path leads, with the slash behind it; none if it cannot be kept.
    pub(super) fn lead(&self, directory: &[u8]) -> Option<Lead> {
        let most = self.most.group.union.lead(directory)?;
        Some(Lead { most, last: self.last.group.union.lead(directory)? })
    }

    /// As [`Patterns::of_path`], for a name in a directory. False if that is not known any more: then
    /// what was found does not count.
    pub(super) fn of_name(
        &self,
        directory: Lead,
        name: &[u8],
        found: &mut dyn FnMut(usize),
    ) -> bool {
        if !self.most.of_name(directory.most, name, found)
            || !self.last.of_name(directory.last, name, found)
        {
            return false;
        }
        self.apart.iter().copied().for_each(found);
        true
    }
}

/// A row with a sieve: its fault, and its place.
type Sieved<'a> = (FaultId, usize, &'a Arc<Dfa>);

impl Part {
    fn of(rows: &[Sieved<'_>]) -> Part {
        let ids = rows.iter().map(|(id, ..)| *id).collect();
        let places = rows.iter().map(|(_, place, _)| Some(*place)).collect();
        let members = rows.iter().map(|(.., sieve)| Arc::clone(sieve)).collect();
        Part { group: Arc::new(Group { ids, union: Union::new(members) }), places }
    }

    /// The same of these rows, and the rows that it does not know.
    fn taking<'a>(&self, rows: &[Sieved<'a>]) -> (Part, Vec<Sieved<'a>>) {
        let mut places = vec![None; self.group.ids.len()];
        let mut others = Vec::new();
        for row in rows {
            let member = self.group.ids.binary_search(&row.0);
            match member.ok().and_then(|member| places.get_mut(member)) {
                Some(place) => *place = Some(row.1),
                None => others.push(*row),
            }
        }
        (Part { group: Arc::clone(&self.group), places: places.into() }, others)
    }

    fn kept(&self) -> usize {
        self.places.iter().flatten().count()
    }

    fn lost(&self) -> usize {
        self.places.len() - self.kept()
    }

    fn of_path(&self, path: &[u8], found: &mut dyn FnMut(usize)) {
        self.group.union.accepting(path, &mut |member| self.tell(member, found));
    }

    fn of_name(&self, at: At, name: &[u8], found: &mut dyn FnMut(usize)) -> bool {
        self.group.union.go_on(at, name, &mut |member| self.tell(member, found))
    }

    fn tell(&self, member: usize, found: &mut dyn FnMut(usize)) {
        if let Some(place) = self.places.get(member).copied().flatten() {
            found(place);
        }
    }
}

//! What is to be done to one request: plain data, which effects add to and the adapter carries out.
//!
//! Invariant: every part is carried out. Whoever adds one is told by the compiler where, as the adapter takes a
//! plan apart by name, and must read each part. What few plans have is boxed, so that the others stay small and
//! allocate nothing. No locks.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::after::times;
pub(crate) use super::after::{After, Slower};
pub(crate) use super::edit::Edit;
use super::keeping::{Keeping, Unit};
use super::spoil::Spoil;
use super::words::Errno;

/// What is to be done to one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// How long it waits before it runs.
    pub before: Hold,
    /// How long its answer waits once it has run.
    pub after: After,
    /// Whether its caller is killed when it has waited.
    pub kill: bool,
    /// Whether what it includes of a sync is done.
    pub sync: Sync,
    /// What it is answered.
    pub reply: Reply,
    /// What of the operation itself is otherwise, if anything is.
    pub change: Option<Box<Alteration>>,
}

impl Plan {
    /// Adds what another asks: the latest due counts, the least space, of what runs what both let
    /// through, and of what is answered the first that is not the operation's own.
    pub fn add(&mut self, other: &Plan) {
        let Plan { before, after, kill, sync, reply, change } = other;
        self.before.add(*before);
        self.after.add(after);
        self.kill |= kill;
        self.sync = self.sync.max(*sync);
        if self.reply == Reply::Own {
            self.reply = *reply;
        }
        if let Some(change) = change {
            self.changed().add(change);
        }
    }

    /// Has all that holds an operation which arrived then hold it so many times as long.
    pub(super) fn stretch(&mut self, arrived: Instant, factor: f64) {
        if let Hold::Until(due) = self.before {
            let time = due.saturating_duration_since(arrived);
            self.before = Hold::for_time(arrived, times(time, factor));
        }
        self.after.stretch(factor);
    }

    /// What of the operation itself is otherwise, to add to it.
    pub fn changed(&mut self) -> &mut Alteration {
        self.change.get_or_insert_default()
    }

    /// Whether what it reads or writes is otherwise: then it runs, whatever is answered.
    #[must_use]
    pub(crate) fn changes_data(&self) -> bool {
        let changes = |change: &Alteration| {
            change.run != Run::Whole || !change.edits.is_empty() || change.spoil.is_some()
        };
        self.change.as_deref().is_some_and(changes)
    }

    /// The errno it is answered, if it is.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        self.reply.errno()
    }
}

/// How long something waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hold {
    /// Not at all.
    #[default]
    No,
    /// Until this moment.
    Until(Instant),
    /// Until the fault is cleared.
    UntilCleared,
}

impl Hold {
    /// For so long from that moment. What the clock cannot add up, beyond centuries, is until
    /// cleared.
    #[must_use]
    pub(crate) fn for_time(from: Instant, time: Duration) -> Hold {
        from.checked_add(time).map_or(Hold::UntilCleared, Hold::Until)
    }

    /// Waits for the other one too: the later counts.
    pub fn add(&mut self, other: Hold) {
        *self = match (*self, other) {
            (Hold::No, other) => other,
            (own, Hold::No) => own,
            (Hold::Until(own), Hold::Until(other)) => Hold::Until(own.max(other)),
            _ => Hold::UntilCleared,
        };
    }
}

/// What of an operation itself is otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alteration {
    /// How much of it runs.
    pub run: Run,
    /// What its bytes are instead: those of a WRITE before it runs, those of a READ once it has run.
    /// A COPY_FILE_RANGE brings none.
    pub edits: Vec<Edit>,
    /// Which of its bytes are spoilt, likewise, and of a COPY_FILE_RANGE once they are copied.
    pub spoil: Option<Spoil>,
    /// Whether what is stored keeps its time of modification, though it is not what was written.
    pub hidden: bool,
    /// How much space a STATFS tells of.
    pub space: Option<Space>,
    /// The power is cut before it is answered.
    pub cut: Option<CutPower>,
}

/// How the power is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutPower {
    /// What is left of what was not durable.
    pub keep: Keeping,
    /// What is written at once or not at all.
    pub unit: Unit,
    /// For the dice; None: by chance.
    pub seed: Option<u64>,
    /// Whether every process that has files of the mount open or mapped dies.
    pub kills: bool,
    /// Whether it stays off.
    pub stays_off: bool,
}

impl Alteration {
    fn add(&mut self, Alteration { run, edits, spoil, hidden, space, cut }: &Alteration) {
        self.run = self.run.both(run);
        self.edits.extend_from_slice(edits);
        self.spoil = self.spoil.or(*spoil);
        self.hidden |= hidden;
        self.space = match (self.space, *space) {
            (Some(own), Some(other)) => Some(own.least(other)),
            (own, other) => own.or(other),
        };
        self.cut = self.cut.or(*cut);
    }
}

/// How much space there is at most, where the backing has no less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes.
    pub free: u64,
    /// Inodes.
    pub inodes: u64,
}

impl Space {
    fn least(self, other: Space) -> Space {
        Space { free: self.free.min(other.free), inodes: self.inodes.min(other.inodes) }
    }
}

/// Whether a sync is done: that of a request for one, and that which a write includes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sync {
    /// It is.
    #[default]
    Own,
    /// It is not, whatever is answered: the next one stores what it was to store.
    Not,
    /// It is not, and what it was to store no later one stores, unless it is written again.
    Lost,
    /// The same, and each open file learns by a sync that it has failed.
    Failed,
}

/// How much of a request runs on the backing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Run {
    /// All of it.
    #[default]
    Whole,
    /// Of a write these ranges of its bytes, ascending and apart, and no others: none, if there is
    /// none. Of a read as many bytes as the first has, and fewer than are there.
    Part(Box<[Range<u64>]>),
}

impl Run {
    /// The first byte behind all that runs.
    pub(crate) fn end(&self) -> u64 {
        match self {
            Run::Whole => u64::MAX,
            Run::Part(ranges) => ranges.last().map_or(0, |range| range.end),
        }
    }

    /// What of it runs by both.
    pub(crate) fn both(&self, other: &Run) -> Run {
        match (self, other) {
            (Run::Whole, run) | (run, Run::Whole) => run.clone(),
            (Run::Part(own), Run::Part(other)) => {
                let shared = |one: &Range<u64>, of: &Range<u64>| {
                    one.start.max(of.start)..one.end.min(of.end)
                };
                let all = own.iter().flat_map(|own| other.iter().map(move |of| shared(own, of)));
                Run::Part(all.filter(|part| !part.is_empty()).collect())
            }
        }
    }
}

/// What a request is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reply {
    /// Its own result.
    #[default]
    Own,
    /// This error.
    Errno(Errno, When),
    /// As if all of it had been done.
    Whole,
}

impl Reply {
    /// The errno, if it is one.
    pub(crate) fn errno(self) -> Option<Errno> {
        match self {
            Reply::Own | Reply::Whole => None,
            Reply::Errno(errno, _) => Some(errno),
        }
    }
}

/// Whether an error comes in place of a request, or once it has been carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// In its place: it does not run, unless the plan says how much does.
    #[default]
    Before,
    /// Once it has run.
    After,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::edit::EditBy;

    #[test]
    fn the_latest_due_wins() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        for (one, other, both) in [
            (Hold::No, Hold::Until(now), Hold::Until(now)),
            (Hold::Until(later), Hold::Until(now), Hold::Until(later)),
            (Hold::Until(now), Hold::UntilCleared, Hold::UntilCleared),
            (Hold::UntilCleared, Hold::No, Hold::UntilCleared),
        ] {
            let mut hold = one;
            hold.add(other);
            assert_eq!(hold, both, "{one:?} {other:?}");
        }
    }

    #[test]
    fn what_holds_holds_so_many_times_as_long() {
        let now = Instant::now();
        let ms = Duration::from_millis;
        let stretched = |before, factor| {
            let mut plan = Plan { before, after: After::For(ms(2)), ..Plan::default() };
            plan.stretch(now, factor);
            (plan.before, plan.after.wait(None))
        };
        let until = |time| Hold::Until(now + time);
        assert_eq!(stretched(until(ms(10)), 2.5), (until(ms(25)), ms(5)));
        assert_eq!(stretched(until(ms(10)), 0.0), (until(ms(0)), ms(0)));
        assert_eq!(stretched(Hold::No, 2.0), (Hold::No, ms(4)));
        assert_eq!(stretched(Hold::UntilCleared, 0.5), (Hold::UntilCleared, ms(1)));
    }

    #[test]
    fn of_what_several_ask_all_edits_count_and_the_least_space() {
        let edit = |at| Edit { at, bytes: [1].into(), how: EditBy::Flipping };
        let asks = |at, free, inodes| {
            let mut plan = Plan::default();
            plan.changed().edits.push(edit(at));
            plan.changed().space = Some(Space { free, inodes });
            plan
        };
        let mut plan = Plan { sync: Sync::Not, ..Plan::default() };
        plan.add(&asks(0, 4096, 9));
        plan.add(&asks(5, 8192, 2));
        plan.add(&Plan::default());
        assert_eq!(plan.sync, Sync::Not);
        let change = *plan.change.unwrap();
        assert_eq!(change.edits, [edit(0), edit(5)]);
        assert_eq!(change.space, Some(Space { free: 4096, inodes: 2 }));
    }

    #[test]
    fn of_two_parts_runs_what_both_let_through() {
        type Parts<'a> = &'a [(u64, u64)];
        let part =
            |parts: Parts<'_>| Run::Part(parts.iter().map(|(from, to)| *from..*to).collect());
        let asks = |parts| {
            let mut plan = Plan::default();
            plan.changed().run = part(parts);
            plan
        };
        let cases: [[Parts<'_>; 3]; 5] = [
            [&[(0, 10)], &[(4, 20)], &[(4, 10)]],
            [&[(0, 4), (8, 12)], &[(2, 9)], &[(2, 4), (8, 9)]],
            [&[(0, 4), (8, 12)], &[(4, 8)], &[]],
            [&[(0, 4)], &[], &[]],
            [&[(0, 100)], &[(0, 1), (5, 6), (99, 200)], &[(0, 1), (5, 6), (99, 100)]],
        ];
        for [one, other, both] in cases {
            for (one, other) in [(one, other), (other, one)] {
                let mut plan = asks(one);
                plan.add(&asks(other));
                plan.add(&Plan::default());
                assert_eq!(plan.change.unwrap().run, part(both), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_plan_stays_small() {
        assert!(size_of::<Plan>() <= 56, "{} bytes", size_of::<Plan>());
    }

    #[test]
    fn what_the_clock_cannot_add_is_until_cleared() {
        assert_eq!(Hold::for_time(Instant::now(), Duration::MAX), Hold::UntilCleared);
    }
}

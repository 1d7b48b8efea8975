//! Which faults have had their turn in one system call that is several operations.
//!
//! Invariant: each fault rolls its dice at most once for the call. One that has fired decides every
//! step of the call that it matches: none behind it is asked there, as none would be had it fired on
//! that step. No locks.

use std::sync::Arc;

use super::id::FaultId;
use super::live::{Live, Strike};
use super::operation::Operation;
use super::spec::Fault;
use super::subject::Subject;

/// The faults that have rolled their dice for one system call, and those among them that fired.
#[derive(Debug, Default)]
pub(crate) struct Rolled {
    /// Ascending.
    ids: Vec<FaultId>,
    /// Also if they have gone since: spent, or cleared.
    fired: Vec<Fired>,
}

#[derive(Debug)]
struct Fired {
    /// Its turn among the faults.
    turn: FaultId,
    fault: Arc<Fault>,
}

impl Rolled {
    /// Whether no fault has rolled yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The turn after which no fault is asked on a step that concerns these subjects.
    pub(super) fn decided(&self, subjects: &[&dyn Subject]) -> Option<FaultId> {
        let matching = self.fired.iter().filter(|fired| matches(&fired.fault, subjects));
        matching.map(|fired| fired.turn).min()
    }

    /// Has a fault count the step and roll for it, unless it did so for the call, or one that comes
    /// before it has decided.
    pub(super) fn roll(
        &mut self,
        live: &Live,
        op: &Operation<'_>,
        decided: Option<FaultId>,
    ) -> Option<Strike> {
        if decided.is_some_and(|decided| decided < live.turn) {
            return None;
        }
        let place = self.ids.binary_search(&live.id).err()?;
        self.ids.insert(place, live.id);
        let strike = live.strike(op)?;
        self.fired.push(Fired { turn: live.turn, fault: Arc::clone(&live.fault) });
        Some(strike)
    }
}

/// Whether the fault, as it was set, concerns one of these subjects.
fn matches(fault: &Fault, subjects: &[&dyn Subject]) -> bool {
    let scope = fault.scope();
    let concerns = |subject: &&dyn Subject| {
        let mut matched = false;
        if subject.methods().intersects(scope.methods) {
            subject.paths(&mut |path| matched |= scope.pattern.matches(path));
        }
        matched
    };
    subjects.iter().any(concerns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::testing::{self, request};
    use crate::fault::{DelayLine, FaultTable, Gate, Memo, Placement};
    use crate::ops::{Call, MethodSet};

    struct Path(&'static str);

    impl Subject for Path {
        fn methods(&self) -> MethodSet {
            Call::Getattr.methods()
        }

        fn memo(&self) -> Option<&Memo> {
            None
        }

        fn epoch(&self) -> u64 {
            0
        }

        fn paths(&self, visit: &mut dyn FnMut(&[u8])) {
            visit(self.0.as_bytes());
        }
    }

    fn table(lines: &[&str]) -> Arc<FaultTable> {
        let table = FaultTable::new(DelayLine::new().unwrap(), Some(1));
        for line in lines {
            table.put(testing::fault(line), Placement::Add).unwrap();
        }
        table
    }

    /// Which faults fire on the steps of one call: of `/d`, then of `/d/f`.
    fn fired(table: &Arc<FaultTable>) -> [Option<u64>; 2] {
        let (gate, mut rolled) = (Gate::new(Arc::clone(table)), Rolled::default());
        ["/d", "/d/f"].map(|path| {
            let op = request(Call::Getattr, 0);
            gate.decide_once(&[&Path(path)], &op, &mut rolled).map(|hit| hit.id().0)
        })
    }

    #[test]
    fn behind_one_that_has_fired_nobody_is_asked_where_it_matches() {
        let table = table(&["delay 1ms -m getattr", "error EIO -m getattr"]);
        for _ in 0..3 {
            assert_eq!(fired(&table), [Some(1), None]);
        }
        let counts: Vec<_> = table.list().iter().map(|l| (l.matched, l.fired)).collect();
        assert_eq!(counts, [(3, 3), (0, 0)]);
    }

    #[test]
    fn one_that_was_spent_decides_the_call_on_which_it_fired() {
        let table = table(&["delay 1ms -m getattr --count 2", "error EIO -m getattr"]);
        assert_eq!([fired(&table), fired(&table)], [[Some(1), None]; 2]);
        assert_eq!(fired(&table), [Some(2), None]);
    }

    #[test]
    fn one_that_did_not_fire_or_is_of_another_path_decides_nothing() {
        for (first, expected) in [
            ("delay 1ms -m getattr -p 0", [Some(2), None]),
            ("delay 1ms -m getattr -r /d", [Some(1), Some(2)]),
            ("delay 1ms -m getattr -r /d --count 1", [Some(1), Some(2)]),
            ("delay 1ms -m write", [Some(2), None]),
        ] {
            assert_eq!(fired(&table(&[first, "error EIO -m getattr"])), expected, "{first}");
        }
    }

    #[test]
    fn those_before_one_that_has_fired_are_asked() {
        let table = table(&["error EIO -m getattr -r /d/f", "delay 1ms -m getattr --name second"]);
        assert_eq!(fired(&table), [Some(2), Some(1)]);
        // Set again, a fault keeps its turn.
        let again = testing::fault("delay 2ms -m getattr --name second");
        table.put(again, Placement::Add).unwrap();
        table.put(testing::fault("error EPERM -m getattr"), Placement::Add).unwrap();
        assert_eq!(fired(&table), [Some(3), Some(1)]);
        assert_eq!(table.list().iter().map(|l| l.matched).collect::<Vec<_>>(), [2, 1, 0]);
    }

    #[test]
    fn one_set_again_under_its_name_is_asked_in_its_old_turn() {
        let table = table(&["error EIO -m getattr --name first", "delay 1ms -m getattr"]);
        let again = testing::fault("error EIO -m getattr -r /d/f --name first");
        table.put(again, Placement::Add).unwrap();
        assert_eq!(fired(&table), [Some(2), Some(3)]);
    }
}

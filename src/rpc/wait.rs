//! The call that waits for a fault. It looks at the table over and over, and is told in between how many
//! operations the fault held at most: they may be held for less than the time between two looks. No locks of its own.

use std::thread;
use std::time::{Duration, Instant};

use super::dialect::Wait;
use super::handler::{Handler, Refusal};
use super::wire::{printable, signed};
use crate::fault::suggest::closest;
use crate::fault::{FaultId, FaultRef, FaultTable, Listed, MostHeld};

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// What may be waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Fired,
    Held,
}

/// What a fault may come to yet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outlook {
    InForce,
    /// It fires no more, but what it fired on is on its way to be held.
    ToHold,
    Over,
}

impl What {
    fn read(word: &str) -> Result<What, Refusal> {
        match word {
            "fired" => Ok(What::Fired),
            "held" => Ok(What::Held),
            other => {
                let near = closest(other, ["fired", "held"]);
                let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                let other = printable(other);
                Err(Refusal::Own(format!("what is {other}: it must be fired or held{hint}")))
            }
        }
    }

    /// How far the fault has come, in one clause.
    fn told(self, fault: &Listed, name: &str, found: u64) -> String {
        match (self, fault.fired) {
            (What::Fired, fired) => format!("fault {name} has fired {fired}"),
            (What::Held, 0) => format!("fault {name} has held {found} since this call"),
            // It may have been too early for this call.
            (What::Held, fired) => {
                format!("fault {name}, which has fired {fired}, has held {found} since this call")
            }
        }
    }
}

/// Counts what a fault comes to.
struct Counter<'a> {
    table: &'a FaultTable,
    what: What,
    /// The most that this fault has held at once since it was first looked at.
    most: Option<(FaultId, MostHeld)>,
}

impl Counter<'_> {
    fn count(&mut self, fault: &Listed) -> u64 {
        if self.what == What::Fired {
            return fault.fired;
        }
        // Another may have taken its name.
        if self.most.as_ref().is_none_or(|(of, _)| *of != fault.id) {
            self.most = self.table.watch_held(fault.id).map(|most| (fault.id, most));
        }
        self.most.as_ref().map_or(fault.held, |(_, most)| most.count())
    }
}

impl Handler {
    /// The fault of that name or id, one in force, else the newest that has gone; and what it may come
    /// to yet.
    fn look(&self, name_or_id: &str) -> Option<(Listed, Outlook)> {
        let meant = FaultRef::new(name_or_id);
        let is_meant =
            |fault: &Listed| meant.is(fault.id, fault.fault.name().map(|name| name.as_str()));
        self.table.find(&meant).map(|fault| (fault, Outlook::InForce)).or_else(|| {
            let mut ended = self.table.list_ended().into_iter().rev();
            let gone = ended.find(|gone| is_meant(&gone.fault))?;
            Some((gone.fault, if gone.to_come { Outlook::ToHold } else { Outlook::Over }))
        })
    }

    /// Waits until the fault has come to that, and tells how far; no longer than the caller waits.
    pub(super) fn wait(&self, wait: &Wait, waits: &dyn Fn() -> bool) -> Result<i64, Refusal> {
        let began = Instant::now();
        let timeout = Duration::from_nanos(u64::try_from(wait.timeout_ns).unwrap_or_default());
        let what = What::read(&wait.what)?;
        let n = u64::try_from(wait.n).ok().filter(|n| *n > 0);
        let n = n.ok_or_else(|| Refusal::Own(format!("n is {}: it must be 1 at least", wait.n)))?;
        let name = printable(&wait.name_or_id);
        let mut counter = Counter { table: &self.table, what, most: None };
        loop {
            let Some((fault, outlook)) = self.look(&wait.name_or_id) else {
                let why = self.missing(&wait.name_or_id);
                let why = format!("{why}; `slowfs list` shows those there are");
                return Err(Refusal::Own(why));
            };
            let found = counter.count(&fault);
            if found >= n {
                return Ok(signed(found));
            }
            let so_far = format!("{}, not {n}", what.told(&fault, &name, found));
            if outlook == Outlook::Over || outlook == Outlook::ToHold && what == What::Fired {
                return Err(Refusal::Own(format!("{so_far}, and is not in force any more")));
            }
            if began.elapsed() >= timeout || !waits() {
                let timeout = humantime::format_duration(timeout);
                return Err(Refusal::Own(format!("{so_far}, within {timeout}")));
            }
            thread::sleep(PAUSE.min(timeout.saturating_sub(began.elapsed())));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::mpsc::channel;

    use rustix::time::{ClockId, clock_gettime};

    use super::super::fuzzing::Control;
    use super::*;
    use crate::fault::{
        Caller, Change, DelayLine, FaultWords, Gate, MAX_FAULTS, Memo, Operation, Placement,
        Subject,
    };
    use crate::ops::{Call, MethodSet};

    /// What it takes of this thread's processor.
    fn cost<T>(work: impl FnOnce() -> T) -> Duration {
        let used = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
        let before = used();
        drop(work());
        used() - before
    }

    /// It is done over and over for as long as somebody waits.
    #[test]
    fn a_look_costs_far_less_than_a_listing() {
        let control = Control::new().unwrap();
        let fault = |uid: usize| {
            let words = FaultWords { methods: vec!["write".to_owned()], ..FaultWords::default() };
            let words = words.and("error", "EIO").with("uid", &uid.to_string());
            (words.fault().unwrap(), Placement::Add)
        };
        let faults = (1..=MAX_FAULTS).map(fault).collect();
        control.table.put_all(Change { faults, ..Change::default() }).unwrap();
        let last = MAX_FAULTS.to_string();
        let looks = cost(|| (0..10).all(|_| control.handler.look(&last).is_some()));
        let listing = cost(|| control.handler.faults());
        assert!(looks < listing, "ten looks take {looks:?}, a listing {listing:?}");
    }

    struct File;

    impl Subject for File {
        fn methods(&self) -> MethodSet {
            Call::Write.methods()
        }

        fn memo(&self) -> Option<&Memo> {
            None
        }

        fn epoch(&self) -> u64 {
            0
        }

        fn paths(&self, visit: &mut dyn FnMut(&[u8])) {
            visit(b"/b/file");
        }
    }

    /// Has two writes held, and lets them go at once.
    fn hold_two_for_a_moment(control: &Control) {
        let (gate, line) = (Gate::new(control.table.clone()), DelayLine::new().unwrap());
        let (tell, told) = channel();
        for _ in 0..2 {
            let write = Operation::new(Call::Write, Caller { tid: 0, uid: 0, gid: 0 }, 7);
            let hit = gate.decide(&[&File], &write).unwrap();
            let tell = tell.clone();
            line.hold(hit, Instant::now(), false, Box::new(move |_, _| tell.send(()).unwrap()));
        }
        line.let_all_go();
        (0..2).for_each(|_| told.recv().unwrap());
    }

    #[test]
    fn what_is_held_between_two_looks_only_counts() {
        for words in ["hang -m write --name slow", "hang -m write --name slow --count 2"] {
            let control = Control::new().unwrap();
            let fault = crate::fault::words::line(words).unwrap().0.fault().unwrap();
            control.table.put(fault, Placement::Add).unwrap();
            let wait = |n, waits: &dyn Fn() -> bool| {
                let (name_or_id, what) = ("slow".to_owned(), "held".to_owned());
                control.handler.wait(&Wait { name_or_id, what, n, timeout_ns: 300_000_000 }, waits)
            };
            let looked = Cell::new(false);
            let found = wait(2, &|| {
                if !looked.replace(true) {
                    hold_two_for_a_moment(&control);
                }
                true
            });
            assert!(matches!(found, Ok(2)), "{words}: {:?}", found.ok());
            let Err(Refusal::Own(over)) = wait(1, &|| true) else { panic!("it holds nothing now") };
            let told = "fault slow, which has fired 2, has held 0 since this call, not 1, ";
            assert!(over.starts_with(told), "{over}");
        }
    }
}

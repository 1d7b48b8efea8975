//! The call that waits for a fault. It looks at the table over and over: what operations do costs
//! nothing more because of it. No locks of its own.

use std::thread;
use std::time::{Duration, Instant};

use super::dialect::Wait;
use super::handler::{Handler, Refusal};
use super::wire::{printable, signed};
use crate::fault::suggest::closest;
use crate::fault::{FaultRef, Listed};

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

    fn count(self, fault: &Listed) -> u64 {
        match self {
            What::Fired => fault.fired,
            What::Held => fault.held,
        }
    }

    /// As in "fault 7 has fired 3".
    fn told(self) -> &'static str {
        match self {
            What::Fired => "has fired",
            What::Held => "holds",
        }
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
        loop {
            let Some((fault, outlook)) = self.look(&wait.name_or_id) else {
                let why = self.missing(&wait.name_or_id);
                let why = format!("{why}; `slowfs list` shows those there are");
                return Err(Refusal::Own(why));
            };
            let found = what.count(&fault);
            if found >= n {
                return Ok(signed(found));
            }
            let so_far = format!("fault {name} {} {found}, not {n}", what.told());
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
    use rustix::time::{ClockId, clock_gettime};

    use super::super::fuzzing::Control;
    use super::*;
    use crate::fault::{Change, FaultWords, MAX_FAULTS, Placement};

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
}

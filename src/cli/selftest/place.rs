//! Where it is measured: a mirror, its control, and how busy the machine is. No locks.

use std::fs::File;
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::progress::Progress;
use crate::cli::trial::Mirror;
use crate::fault::words;
use crate::measure::Load;
use crate::rpc::{Client, ListedFault};

/// Others may keep this share of the processors busy, and no more, where a speed is judged.
const QUIET: f64 = 0.1;

/// Two mirrors whose dice have the same seed; most is measured on the first.
pub(super) struct Place<'a> {
    pub(super) mirror: &'a Mirror,
    pub(super) twin: &'a Mirror,
    client: Client,
    progress: Progress,
    /// Fewer rounds, wider intervals.
    pub(super) quick: bool,
}

impl<'a> Place<'a> {
    pub(super) fn new(mirror: &'a Mirror, twin: &'a Mirror, quick: bool) -> anyhow::Result<Self> {
        let progress = Progress::default();
        Ok(Place { mirror, twin, client: mirror.client()?, progress, quick })
    }

    /// The first figure, or the second if it has to be quick.
    pub(super) fn or_quick<T>(&self, usual: T, quick: T) -> T {
        if self.quick { quick } else { usual }
    }

    /// Sets this fault, as typed after `slowfs`, in the place of all others.
    pub(super) fn set(&mut self, line: &str) -> anyhow::Result<()> {
        self.set_all(&[line.to_owned()])
    }

    /// The same of several; of none it clears all.
    pub(super) fn set_all(&mut self, lines: &[String]) -> anyhow::Result<()> {
        let faults = lines.iter().map(|line| Ok(words::line(line)?.0));
        let faults = faults.collect::<anyhow::Result<Vec<_>>>()?;
        self.client.clear_all_faults()?;
        if !faults.is_empty() {
            self.client.put_faults(&faults, &[], true)?;
        }
        Ok(())
    }

    /// How often the only fault has fired.
    pub(super) fn fired(&mut self) -> anyhow::Result<i64> {
        let faults = self.client.list_faults()?;
        Ok(faults.first().map(|fault: &ListedFault| fault.fired).unwrap_or_default())
    }

    /// A file of the mirror, empty, open to be written.
    pub(super) fn file(&self, name: &str) -> anyhow::Result<File> {
        Ok(File::create(self.mirror.mnt.join(name))?)
    }

    /// Rounds up to that many, none begun later than that.
    pub(super) fn rounds(
        &mut self,
        what: &str,
        most: usize,
        within: Duration,
        mut round: impl FnMut(&mut Self, usize) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        for n in (0..most).take_while(|n| *n == 0 || began.elapsed() < within) {
            if n % 10 == 0 || most <= 100 {
                self.progress.show(&format!("{what}: {} of {most}", n + 1));
            }
            round(self, n)?;
        }
        Ok(())
    }

    pub(super) fn done(&self) {
        self.progress.clear();
    }

    /// Measures, and says what kept the processors busy meanwhile, if that is too much to judge.
    pub(super) fn watched<T>(
        &mut self,
        measure: impl FnOnce(&mut Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<(T, Option<String>)> {
        let ours = [self.mirror.pid(), self.twin.pid()];
        let before = Load::now(&ours);
        let measured = measure(self)?;
        let after = Load::now(&ours);
        Ok((measured, noise(after.of_others_since(&before), after.processors())))
    }
}

/// Does both, every second time the other way round: each may find the machine as the other has left it.
pub(super) fn in_turns<A, B>(
    round: usize,
    first: impl FnOnce() -> anyhow::Result<A>,
    second: impl FnOnce() -> anyhow::Result<B>,
) -> anyhow::Result<(A, B)> {
    if round.is_multiple_of(2) {
        let first = first()?;
        Ok((first, second()?))
    } else {
        let second = second()?;
        Ok((first()?, second))
    }
}

/// How many processors there are for us.
pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[allow(clippy::cast_precision_loss, reason = "few processors")]
fn noise(others: f64, cores: usize) -> Option<String> {
    let too_much = others > QUIET * cores as f64;
    too_much.then(|| format!("others kept {others:.1} of {} busy", counted(cores)))
}

/// So many cores, for people.
pub(super) fn counted(cores: usize) -> String {
    format!("{cores} core{}", if cores == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_machine_is_told_and_a_quiet_one_is_not() {
        assert_eq!(noise(0.1, 2), None);
        assert_eq!(noise(1.26, 2).as_deref(), Some("others kept 1.3 of 2 cores busy"));
        assert_eq!(noise(1.26, 16), None);
        assert_eq!(noise(0.5, 1).as_deref(), Some("others kept 0.5 of 1 core busy"));
    }

    #[test]
    fn every_second_round_goes_the_other_way() {
        let order = std::cell::RefCell::new(Vec::new());
        let one = |name: char| {
            order.borrow_mut().push(name);
            Ok(name)
        };
        for round in 0..3 {
            assert_eq!(in_turns(round, || one('a'), || one('b')).unwrap(), ('a', 'b'));
        }
        assert_eq!(*order.borrow(), ['a', 'b', 'b', 'a', 'a', 'b']);
    }
}

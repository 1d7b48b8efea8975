//! What else runs on this machine while something is measured. No locks.

use std::fs;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity};
use rustix::time::{ClockId, clock_gettime};

/// A look at the processors on which this process may run: what all took so far, and what these processes of ours did.
#[derive(Debug)]
pub struct Load {
    at: Instant,
    /// Of these processors together; None without /proc.
    busy: Option<Duration>,
    own: Duration,
    processors: usize,
}

impl Load {
    /// Looks now; this process and those of these numbers are no others.
    #[must_use]
    pub fn now(ours: &[u32]) -> Load {
        let this = clock_gettime(ClockId::ProcessCPUTime);
        let this = Duration::try_from(this).unwrap_or_default();
        let children = ours.iter().filter_map(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            process_time(&stat)
        });
        // More processors than a set holds: all count.
        let allowed = sched_getaffinity(None).ok();
        let ours = |n| allowed.as_ref().is_none_or(|set| n < CpuSet::MAX_CPU && set.is_set(n));
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let busy: Vec<_> = busy_times(&stat, ours).collect();
        Load {
            at: Instant::now(),
            busy: (!busy.is_empty()).then(|| busy.iter().sum()),
            own: this + children.sum(),
            processors: busy.len(),
        }
    }

    /// On how many processors it looked.
    #[must_use]
    pub fn processors(&self) -> usize {
        self.processors
    }

    /// How many processors others have kept busy since then; 0 where nothing tells.
    #[must_use]
    pub(crate) fn of_others_since(&self, earlier: &Load) -> f64 {
        let (Some(busy), Some(before)) = (self.busy, earlier.busy) else { return 0.0 };
        let span = (self.at - earlier.at).as_secs_f64();
        let others = busy.saturating_sub(before).as_secs_f64()
            - self.own.saturating_sub(earlier.own).as_secs_f64();
        if span > 0.0 { (others / span).max(0.0) } else { 0.0 }
    }
}

/// Of each of these processors, of its line of /proc/stat (proc_stat(5)).
fn busy_times(stat: &str, ours: impl Fn(usize) -> bool) -> impl Iterator<Item = Duration> {
    stat.lines().filter_map(move |line| {
        let (name, ticks) = line.split_once(' ')?;
        let number = name.strip_prefix("cpu")?.parse().ok()?;
        ours(number).then(|| busy_time(ticks))?
    })
}

/// All but idle and waiting for disks.
fn busy_time(ticks: &str) -> Option<Duration> {
    let ticks: Vec<u64> =
        ticks.split_ascii_whitespace().map_while(|ticks| ticks.parse().ok()).collect();
    // What guests take, behind the first eight, is in what users take already.
    let counted = ticks.iter().take(8).enumerate().filter(|(place, _)| ![3, 4].contains(place));
    (ticks.len() > 4).then(|| ticks_time(counted.map(|(_, ticks)| ticks).sum()))
}

/// In user and kernel mode, of /proc/PID/stat; the name before it may have any letters.
fn process_time(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<_> = fields.split_ascii_whitespace().collect();
    let both = fields.get(11..13)?.iter().map(|ticks| ticks.parse::<u64>().ok());
    both.sum::<Option<u64>>().map(ticks_time)
}

fn ticks_time(ticks: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_millis(ticks.saturating_mul(1_000) / per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_read() {
        let per_second = rustix::param::clock_ticks_per_second();
        let two = per_second.to_string();
        let stat = format!(
            "cpu  9{two} 0 0 0 0\ncpu0 {two} 0 {two} 99 99 0 0 {two} 77 77\ncpu1 1 2 3\n\
             cpu2 0 0 {two} 99 99\nintr 0 0 {two} 99 99\n"
        );
        let of = |ours: &dyn Fn(usize) -> bool| busy_times(&stat, ours).collect::<Vec<_>>();
        let [one, three] = [1, 3].map(Duration::from_secs);
        assert_eq!(of(&|_| true), [three, one]);
        // As after `taskset -c 2`: what the others do takes nothing from it.
        assert_eq!(of(&|n| n == 2), [one]);
        assert_eq!(busy_times("intr 1 2 3\n", |_| true).count(), 0);
        let stat = format!("12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 {two} {two} 0 0");
        assert_eq!(process_time(&stat), Some(Duration::from_secs(2)));
        assert_eq!(process_time("12 (a"), None);
    }

    #[test]
    fn our_own_work_is_not_that_of_others() {
        let second = Duration::from_secs(1);
        let began = Instant::now();
        let of = |at, busy, own| Load { at, busy, own, processors: 2 };
        let before = of(began, Some(9 * second), second);
        let after = of(began + 2 * second, Some(12 * second), 2 * second);
        assert_eq!(after.of_others_since(&before), 1.0);
        let blind = of(began + second, None, 2 * second);
        assert_eq!(blind.of_others_since(&before), 0.0);
    }
}

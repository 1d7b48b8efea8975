//! What else runs on this machine while something is measured. No locks.

use std::fs;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A look at the processors: what all of it took so far, and what these processes of ours did.
#[derive(Debug)]
pub struct Load {
    at: Instant,
    /// Of all processors together; None without /proc.
    busy: Option<Duration>,
    own: Duration,
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
        let busy = fs::read_to_string("/proc/stat").ok();
        Load {
            at: Instant::now(),
            busy: busy.and_then(|stat| busy_time(&stat)),
            own: this + children.sum(),
        }
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

/// All but idle and waiting for disks, of the first line of /proc/stat (proc_stat(5)).
fn busy_time(stat: &str) -> Option<Duration> {
    let mut fields = stat.lines().next()?.split_ascii_whitespace();
    let ticks: Vec<u64> = match fields.next()? {
        "cpu" => fields.map_while(|ticks| ticks.parse().ok()).collect(),
        _ => return None,
    };
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
        let stat = format!("cpu  {two} 0 {two} 99 99 0 0 {two} 77 77\ncpu0 1 2 3\n");
        assert_eq!(busy_time(&stat), Some(Duration::from_secs(3)));
        assert_eq!(busy_time("intr 1 2 3\n"), None);
        let stat = format!("12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 {two} {two} 0 0");
        assert_eq!(process_time(&stat), Some(Duration::from_secs(2)));
        assert_eq!(process_time("12 (a"), None);
    }

    #[test]
    fn our_own_work_is_not_that_of_others() {
        let second = Duration::from_secs(1);
        let began = Instant::now();
        let before = Load { at: began, busy: Some(9 * second), own: second };
        let after = Load { at: began + 2 * second, busy: Some(12 * second), own: 2 * second };
        assert_eq!(after.of_others_since(&before), 1.0);
        let blind = Load { at: began + second, busy: None, own: 2 * second };
        assert_eq!(blind.of_others_since(&before), 0.0);
    }
}

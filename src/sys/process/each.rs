//! A look at every process that waits for none: what a process that executes a program shows may take until
//! that is done, which a held operation can prevent.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

/// How long a look at one process may take.
const LOOK: Duration = Duration::from_millis(500);

/// What was seen.
#[derive(Debug)]
pub(crate) struct Looks<T> {
    /// Of each process that could be looked at in time.
    pub seen: Vec<T>,
    /// How many could not.
    pub missed: usize,
}

/// Has each process looked at, for that long in all. A thread that waits for one is given up; the next goes
/// on behind it.
pub(crate) fn look_at_each<T: Send + 'static>(
    within: Duration,
    look: impl Fn(u32) -> T + Send + Sync + 'static,
) -> Looks<T> {
    let (look, end) = (Arc::new(look), Instant::now() + within);
    let mut left: VecDeque<u32> = numbers("/proc".as_ref()).collect();
    let mut looks = Looks { seen: Vec::new(), missed: 0 };
    while !left.is_empty() && Instant::now() < end {
        let (tell, told) = channel();
        let (batch, look) = (left.clone(), Arc::clone(&look));
        let looking = move || {
            // An error means that nobody waits for it any more.
            let _ = batch.into_iter().try_for_each(|pid| tell.send(look(pid)));
        };
        if thread::Builder::new().name("look".to_owned()).spawn(looking).is_err() {
            break;
        }
        let patience = || LOOK.min(end.saturating_duration_since(Instant::now()));
        while let Ok(seen) = told.recv_timeout(patience()) {
            looks.seen.push(seen);
            left.pop_front();
        }
        looks.missed += usize::from(left.pop_front().is_some());
    }
    looks.missed += left.len();
    looks
}

/// The names in a directory of /proc that are numbers.
pub(super) fn numbers(dir: &Path) -> impl Iterator<Item = u32> + use<> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_holds_the_look_back_is_passed_over() {
        let own = std::process::id();
        let looks = look_at_each(Duration::from_secs(60), move |pid| {
            if pid == own {
                thread::sleep(LOOK * 100);
            }
            pid
        });
        assert_eq!(looks.missed, 1);
        assert!(looks.seen.contains(&1) && !looks.seen.contains(&own));
    }

    #[test]
    fn there_is_a_bound_to_all_of_it() {
        let begun = Instant::now();
        let looks = look_at_each(Duration::from_millis(20), |_| thread::sleep(LOOK));
        assert!(looks.seen.is_empty() && looks.missed > 1);
        assert!(begun.elapsed() < 20 * LOOK);
    }
}

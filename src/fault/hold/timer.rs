//! The moment: who waits for the earliest due time, and how precisely.
//!
//! One thread of the pool leads: it sleeps until shortly before the earliest operation is due, as long
//! before as sleeps were seen to end late, takes it, lets another thread lead if anything else waits, spins
//! to the moment and runs the operation itself. In a crowd it sleeps until the moment, and what is due by
//! then others do.
//! Lock rule: nothing runs under the queue's lock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;

use super::Line;
use super::queue::{Queue, Ready};
use super::spin::Moment;
use super::workers::Recruit;

/// A long sleep lets the processor sink into an idle state that takes 80 us and more to leave. So
/// the leader wakes once this long before, too, and sleeps lightly from there.
const FIRST_CALL: Duration = Duration::from_millis(1);

/// Waiting busily for operations that are due this close to each other would take a processor for good, and
/// so it would for those that are due within twice the time that it takes.
const CROWD: Duration = Duration::from_micros(200);

/// What the leader does next.
enum Next {
    Sleep(Sleep),
    /// Several are due.
    Crowd,
    /// The earliest runs at its moment.
    Run(Moment),
}

/// A sleep of the leader's.
#[derive(Debug, PartialEq)]
struct Sleep {
    time: Duration,
    /// How far off the moment is, if no other sleep comes before it.
    last_before: Option<Duration>,
}

impl Next {
    /// The earliest being due then.
    fn of(queue: &Queue, due: Instant, now: Instant) -> Next {
        let left = due.saturating_duration_since(now);
        if left > 2 * FIRST_CALL {
            return Next::Sleep(Sleep { time: left - FIRST_CALL, last_before: None });
        }
        if left.is_zero() {
            return if queue.is_crowded(now) { Next::Crowd } else { Next::Run(Moment::due(due)) };
        }
        let until = |time| Next::Sleep(Sleep { time, last_before: Some(left) });
        let head_start = queue.alarm.head_start(left);
        if !queue.is_alone(CROWD.max(2 * head_start)) {
            return until(left);
        }
        match left.checked_sub(head_start) {
            Some(time) if !time.is_zero() => until(time),
            _ => Moment::spared(due).map_or_else(|| until(left), Next::Run),
        }
    }
}

impl Line {
    /// Leads until something is due (almost) and another thread leads; then it is the caller's to
    /// run. Nothing when the line is shut down.
    pub(super) fn lead(self: &Arc<Self>, queue: &mut MutexGuard<'_, Queue>) -> Option<Ready> {
        queue.leading = true;
        while !queue.closed {
            if queue.coming == 0
                && let Some(ready) = queue.take_light()
            {
                MutexGuard::unlocked(queue, || self.answer(ready));
                continue;
            }
            let moment = match queue.earliest().map(|due| Next::of(queue, due, Instant::now())) {
                None => {
                    self.lead.wait(queue);
                    continue;
                }
                Some(Next::Sleep(sleep)) => {
                    self.sleep(queue, &sleep);
                    continue;
                }
                Some(Next::Crowd) => {
                    self.hand_out(queue);
                    continue;
                }
                Some(Next::Run(moment)) => moment,
            };
            let Some(ready) = queue.take_earliest(moment) else { continue };
            if self.leave_lead(queue) || self.pass_lead(queue) {
                return Some(ready);
            }
            // All threads are busy: the first to be free runs it, unless it is no work.
            queue.push(ready);
        }
        queue.leading = false;
        None
    }

    /// Sleeps until somebody calls, or for so long. How much longer that was tells when to wake next time.
    fn sleep(&self, queue: &mut MutexGuard<'_, Queue>, sleep: &Sleep) {
        let asleep = Instant::now();
        if self.lead.wait_for(queue, sleep.time).timed_out()
            && let Some(left) = sleep.last_before
        {
            queue.alarm.rang(left, asleep.elapsed().saturating_sub(sleep.time));
        }
    }

    /// Gives what is due by now to the other threads, each of which takes one after the other: a
    /// thread that leads for each in its turn would have all wait for that many changes of the lead.
    fn hand_out(self: &Arc<Self>, queue: &mut MutexGuard<'_, Queue>) {
        queue.take_overdue(Instant::now()).into_iter().for_each(|ready| queue.push(ready));
        self.summon(queue);
    }

    /// Has a thread look for what is due earlier than all else.
    pub(super) fn call_leader(self: &Arc<Self>, queue: &mut MutexGuard<'_, Queue>) {
        if queue.leading {
            self.lead.notify_one();
        } else if queue.coming == 0 {
            self.summon(queue);
        }
    }

    /// Whether nobody need lead for now: nothing else waits, and who holds something finds a thread
    /// that will. To wake one before would cost time and a processor for nothing.
    fn leave_lead(&self, queue: &mut Queue) -> bool {
        let needed = queue.anything_waits() || queue.workers >= self.most;
        queue.leading = needed;
        !needed
    }

    /// Whether another thread leads in place of this one, or is about to.
    fn pass_lead(self: &Arc<Self>, queue: &mut MutexGuard<'_, Queue>) -> bool {
        queue.leading = false;
        let passed = match self.recruit(queue) {
            Recruit::Woken => true,
            Recruit::New => MutexGuard::unlocked(queue, || self.start_counted()) || queue.leading,
            Recruit::Nobody => false,
        };
        if !passed {
            queue.leading = true;
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::delayed;
    use super::*;

    const US: Duration = Duration::from_micros(1);

    /// What waits, being due so many microseconds after the first moment.
    fn waiting(dues: &[u32]) -> (Queue, Instant) {
        let (mut queue, now) = (Queue::default(), Instant::now());
        let live = delayed(US);
        for due in dues {
            queue.lift(now + *due * US, live.left(), Box::new(|| {}));
        }
        (queue, now)
    }

    fn next(queue: &Queue, now: Instant) -> Next {
        Next::of(queue, queue.earliest().unwrap(), now)
    }

    #[test]
    fn no_more_than_half_of_the_time_is_waited_busily() {
        // Sleeps end as late as can be: to wake early enough would leave nothing of them.
        for second in [301, 350, 599] {
            let (mut queue, now) = waiting(&[100, second]);
            (0..1000).for_each(|_| queue.alarm.rang(100 * US, Duration::from_secs(1)));
            let head_start = queue.alarm.head_start(100 * US);
            assert_eq!(head_start, 250 * US);
            assert!(matches!(next(&queue, now), Next::Sleep(_)), "{second}");
        }
    }

    #[test]
    fn the_last_sleep_before_a_moment_teaches_what_is_known_of_such_moments() {
        let sleep = |due| {
            let (queue, now) = waiting(&[due]);
            let Next::Sleep(Sleep { time, last_before }) = next(&queue, now) else {
                panic!("{due} us are worth a sleep")
            };
            (time, last_before, queue.alarm.head_start(due * US))
        };
        let (time, last_before, _) = sleep(60_000);
        assert_eq!((time, last_before), (59_000 * US, None), "another one comes before it");
        for near in [150, 220, 1_000] {
            let (time, last_before, head_start) = sleep(near);
            assert_eq!((time, last_before), (near * US - head_start, Some(near * US)));
        }
    }
}

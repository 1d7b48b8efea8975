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

/// Waiting busily for such a part of a delay costs nothing that shows, and finds the processor awake and
/// in nobody else's hands.
const BUSY_PART: u32 = 256;

/// And for so long at most.
const MOST_BUSY: Duration = Duration::from_millis(4);

/// If nothing else is due within so many times that: of long delays there may be many, and each would cost it.
const FREE_TIMES: u32 = 64;

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
        let busy = (queue.wait_of_earliest() / BUSY_PART).min(MOST_BUSY);
        let first_call = FIRST_CALL.max(busy);
        if left > 2 * first_call {
            return Next::Sleep(Sleep { time: left - first_call, last_before: None });
        }
        if left.is_zero() {
            return if queue.is_crowded(now) { Next::Crowd } else { Next::Run(Moment::due(due)) };
        }
        let until = |time| Next::Sleep(Sleep { time, last_before: Some(left) });
        let head_start = match queue.alarm.head_start(left) {
            least if queue.is_alone(FREE_TIMES * busy) => least.max(busy),
            least => least,
        };
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
    use super::super::queue::Held;
    use super::super::tests::delayed;
    use super::*;
    use crate::fault::testing;
    use crate::ops::Call;

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

    /// The first of operations that have just arrived, of which each waits so many milliseconds.
    fn held(delays: &[u64]) -> (Queue, Instant) {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for delay in delays {
            let live = delayed(Duration::from_millis(*delay));
            let op = testing::request(Call::Write, 0).arrived_at(now);
            let hit = testing::strike_on(&[&live], &op).unwrap();
            let (must_run, job, let_go) = (false, Box::new(|_, _| {}), false);
            queue.hold(Held { hit, must_run, job, arrived: now, let_go });
        }
        (queue, now)
    }

    #[test]
    fn the_end_of_a_long_delay_is_waited_for_busily_if_it_is_alone() {
        let ms = Duration::from_millis;
        // So long before its end the last sleep of the first ends.
        let early = |delays: &[u64], left| {
            let (queue, now) = held(delays);
            match next(&queue, now + ms(delays[0]) - left) {
                Next::Sleep(Sleep { time, last_before: Some(_) }) => left - time,
                Next::Run(_) => left,
                _ => panic!("nothing else is to be done"),
            }
        };
        let usual = Queue::default().alarm.head_start(ms(1));
        for (delays, left, expected) in [
            (&[10][..], ms(1), usual),
            (&[100], ms(1), ms(100) / 256),
            (&[1_000], ms(4), MOST_BUSY.min(ms(1_000) / 256)),
            (&[60_000], ms(4), MOST_BUSY),
            (&[100, 120], ms(1), usual),
            (&[100, 130], ms(1), ms(100) / 256),
            (&[1_000, 1_200], ms(4), usual),
        ] {
            let early = early(delays, left);
            assert_eq!(early, expected.min(left), "{delays:?}");
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

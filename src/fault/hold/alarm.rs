//! How late sleeps end on this machine, as was seen, and so how long before a moment to wake. No locks.
//!
//! What is known of a moment so far off is taught by the last sleep before such a moment, and by no other.

use std::time::Duration;

/// Moments up to this far off are apart: a longer sleep lets the processor sink into an idle state that takes
/// time to leave.
const BRIEF: Duration = Duration::from_micros(200);

/// What is supposed before anything was seen. A timer of slack 1 ns is late by 20 to 45 us.
const SUPPOSED: Duration = Duration::from_micros(35);

/// How far one sleep moves what is known: it follows the median, and one that was disturbed changes little.
const STEP: Duration = Duration::from_micros(2);

/// For what is to be done between the wake-up and the moment.
const MARGIN: Duration = Duration::from_micros(16);

/// To wait busily for longer helps nobody: a machine as late as that is busy with something else.
const MOST: Duration = Duration::from_micros(250);

/// The median lateness of sleeps before a moment that is near, and farther off.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Alarm([Duration; 2]);

impl Default for Alarm {
    fn default() -> Alarm {
        Alarm([SUPPOSED; 2])
    }
}

impl Alarm {
    /// How long before a moment to wake that is so far off.
    pub(super) fn head_start(&self, left: Duration) -> Duration {
        let [brief, longer] = self.0;
        let late = if left <= BRIEF { brief } else { longer };
        (late + late / 4 + MARGIN).min(MOST)
    }

    /// The last sleep before a moment that was so far off ended as late as that.
    pub(super) fn rang(&mut self, left: Duration, late: Duration) {
        let [brief, longer] = &mut self.0;
        let known = if left <= BRIEF { brief } else { longer };
        *known = if late > *known { (*known + STEP).min(MOST) } else { known.saturating_sub(STEP) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_late_wakes_earlier_next_time() {
        let (us, sleep) = (Duration::from_micros, Duration::from_millis(1));
        let mut alarm = Alarm::default();
        let supposed = alarm.head_start(sleep);
        assert!((us(55)..us(65)).contains(&supposed), "{supposed:?}");
        (0..100).for_each(|_| alarm.rang(sleep, us(100)));
        let early = alarm.head_start(sleep);
        assert!((us(100)..us(150)).contains(&early), "{early:?}");
        assert_eq!(alarm.head_start(BRIEF), supposed, "others are others");
        // One in ten is disturbed.
        for n in 0..1_000 {
            alarm.rang(sleep, if n % 10 == 0 { Duration::from_secs(1) } else { us(3) });
        }
        let early = alarm.head_start(sleep);
        assert!((us(19)..us(30)).contains(&early), "{early:?}");
        (0..1_000).for_each(|_| alarm.rang(sleep, sleep));
        assert_eq!(alarm.head_start(sleep), MOST);
    }
}

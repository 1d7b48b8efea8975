//! `throttle`: a disk that does so many operations a second.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Class, Effect, Kind, ReadPoint};
use crate::fault::chance::Draw;
use crate::fault::error::SpecError;
use crate::fault::operation::Operation;
use crate::fault::plan::{Hold, Plan};
use crate::fault::words::{Args, Param, ParamType, whole};
use crate::ops::{Call, MethodSet};

pub(super) struct Throttle;

const IOPS: &str = "iops";
const BURST: &str = "burst";
const IO_SIZE: &str = "io_size";

/// As cloud disks count.
const LARGEST: u64 = 256 << 10;

const SECOND: u128 = 1_000_000_000;

impl Kind for Throttle {
    fn name(&self) -> &'static str {
        "throttle"
    }

    fn about(&self) -> &'static str {
        "Let no more operations a second through than a slow disk does"
    }

    fn details(&self) -> &'static str {
        "Reads that arrive, writes and copies of all files it matches share so many operations a \
         second; one larger than the size counts as several. What comes too early waits: that is what it \
         has fired on, and what it lets through at once is only matched. It stands \
         beside faults, and the later moment counts. Reads that the page cache answers are free; a \
         write makes the kernel forget a file's pages, so reads after writes are charged that a disk \
         would not see.\n\
         \n    slowfs throttle --iops 500\
         \n    slowfs throttle --iops 3000 --burst 100 --io-size 256KiB -r '.*/data/.*'"
    }

    fn params(&self) -> &'static [Param] {
        &[
            Param {
                name: IOPS,
                of: ParamType::Positive,
                first: false,
                required: true,
                about: "operations a second",
            },
            Param {
                name: BURST,
                of: ParamType::Positive,
                first: false,
                required: false,
                about: "how many may come at once after a rest [default: 1]",
            },
            Param {
                name: IO_SIZE,
                of: ParamType::Size,
                first: false,
                required: false,
                about: "how many bytes count as one operation at most [default: 256KiB]",
            },
        ]
    }

    fn class(&self) -> Class {
        Class::Condition
    }

    fn reach(&self) -> MethodSet {
        Call::CopyTo.methods().union(Call::CopyFrom.methods())
    }

    fn read_point(&self) -> ReadPoint {
        ReadPoint::Request
    }

    fn make(&self, args: &Args) -> Result<Box<dyn Effect>, SpecError> {
        let io_size = args.whole(IO_SIZE).unwrap_or(LARGEST);
        if io_size == 0 {
            let (of, param) = (self.name().to_owned(), IO_SIZE.to_owned());
            return Err(SpecError::Value { of, param, why: "it must be above 0".into() });
        }
        let (iops, burst) = (args.whole(IOPS).unwrap_or(1), args.whole(BURST).unwrap_or(1));
        Ok(Box::new(Throttling { iops, burst, io_size, bucket: Mutex::default() }))
    }
}

/// The generic cell rate algorithm: operations have places in time, 1 / iops apart, and none runs
/// earlier than the burst before its place.
#[derive(Debug)]
struct Throttling {
    iops: u64,
    burst: u64,
    io_size: u64,
    bucket: Mutex<Bucket>,
}

/// The place of the last operation, in nanoseconds times iops from the first arrival, so that
/// nothing is rounded away.
#[derive(Debug, Default)]
struct Bucket {
    begun: Option<Instant>,
    place: u128,
}

impl Throttling {
    /// When an operation of so many bytes that arrives at `arrived` is due.
    fn due(&self, arrived: Instant, len: u64) -> Hold {
        let (iops, cost) = (u128::from(self.iops), len.div_ceil(self.io_size).max(1));
        let mut bucket = self.bucket.lock();
        let begun = *bucket.begun.get_or_insert(arrived);
        let now = arrived.saturating_duration_since(begun).as_nanos();
        bucket.place = bucket.place.max(now * iops) + u128::from(cost) * SECOND;
        let due = bucket.place.saturating_sub(u128::from(self.burst) * SECOND).div_ceil(iops);
        match u64::try_from(due.saturating_sub(now)) {
            Ok(0) => Hold::No,
            Ok(wait) => Hold::for_time(arrived, Duration::from_nanos(wait)),
            Err(_) => Hold::UntilCleared,
        }
    }
}

impl Effect for Throttling {
    fn kind(&self) -> &'static dyn Kind {
        &Throttle
    }

    fn args(&self) -> Args {
        let mut args = Args::new().with(IOPS, whole(self.iops));
        if self.burst != 1 {
            args.insert(BURST, whole(self.burst));
        }
        if self.io_size != LARGEST {
            args.insert(IO_SIZE, whole(self.io_size));
        }
        args
    }

    fn plan(&self, op: &Operation<'_>, _: &Draw, plan: &mut Plan) {
        plan.before.add(self.due(op.arrived(), op.span.map_or(0, |span| span.len)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn throttling(iops: u64, burst: u64, io_size: u64) -> Throttling {
        Throttling { iops, burst, io_size, bucket: Mutex::default() }
    }

    #[test]
    fn sixteen_at_once_get_their_rate_and_no_more() {
        const IOPS: u64 = 500;
        let throttling = throttling(IOPS, 1, LARGEST);
        let begun = Instant::now();
        // Each of sixteen asks again as soon as its last was due.
        let mut asking = vec![begun; 16];
        let mut due = Vec::new();
        while let Some(next) =
            asking.iter_mut().min().filter(|at| **at < begun + Duration::from_secs(10))
        {
            let at = match throttling.due(*next, 4096) {
                Hold::Until(at) => at,
                _ => *next,
            };
            due.push(at);
            *next = at;
        }
        let ended = due.iter().filter(|at| **at < begun + Duration::from_secs(10)).count();
        assert!((4_900..=5_001).contains(&ended), "{ended}");
        for (first, at) in due.iter().enumerate() {
            for (last, until) in due.iter().enumerate().skip(first).take(1_000) {
                let most = (*until - *at).as_secs_f64() * IOPS as f64 + 1.0;
                assert!((last - first + 1) as f64 <= most + 1e-6, "{first} to {last}");
            }
        }
    }

    #[test]
    fn a_large_one_counts_as_several_and_a_rest_earns_a_burst() {
        let throttling = throttling(10, 3, 4096);
        let begun = Instant::now();
        let ms = |ms| Hold::Until(begun + Duration::from_millis(ms));
        let asked = |len| throttling.due(begun, len);
        assert_eq!([asked(1), asked(4096), asked(1)], [Hold::No; 3]);
        assert_eq!([asked(1), asked(4097), asked(0)], [ms(100), ms(300), ms(400)]);
        let later = begun + Duration::from_secs(60);
        let again: Vec<_> = (0..4).map(|_| throttling.due(later, 1)).collect();
        assert_eq!(again[..3], [Hold::No; 3]);
        assert_eq!(again[3], Hold::Until(later + Duration::from_millis(100)));
    }

    proptest! {
        /// Against the rule in rational numbers.
        #[test]
        fn due_times_are_those_of_the_rule(
            iops in 1u64..5000, burst in 1u64..50, steps in prop::collection::vec((0u64..9_000_000, 0u64..3_000_000), 1..60),
        ) {
            let throttling = throttling(iops, burst, LARGEST);
            let begun = Instant::now();
            let (mut now, mut place) = (0u128, 0u128);
            for (wait, len) in steps {
                now += u128::from(wait);
                place = place.max(now * u128::from(iops)) + u128::from(len.div_ceil(LARGEST).max(1)) * SECOND;
                let rest = place.saturating_sub(u128::from(burst) * SECOND);
                let due = now.max(rest.div_ceil(u128::from(iops)));
                let at = |ns: u128| begun + Duration::from_nanos(u64::try_from(ns).unwrap());
                let expected = if due == now { Hold::No } else { Hold::Until(at(due)) };
                let first = throttling.bucket.lock().begun.is_none();
                if first {
                    // The first arrival is where its time begins.
                    throttling.bucket.lock().begun = Some(begun);
                }
                prop_assert_eq!(throttling.due(at(now), len), expected);
            }
        }
    }
}

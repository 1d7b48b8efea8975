//! `throttle`: a disk that does so many operations, or so many bytes, a second.

use parking_lot::Mutex;

use super::{Class, Effect, Kind, ReadPoint};
use crate::fault::chance::Draw;
use crate::fault::error::SpecError;
use crate::fault::files::Files;
use crate::fault::io_size::{self, IO_SIZE, operations};
use crate::fault::operation::Operation;
use crate::fault::plan::Plan;
use crate::fault::rate::{Clock, Rate, Reached};
use crate::fault::words::{Args, Param, ParamType, Value, ValueError, whole};
use crate::ops::{Call, MethodSet};

pub(super) struct Throttle;

const IOPS: &str = "iops";
const READ_BW: &str = "read_bw";
const WRITE_BW: &str = "write_bw";
const BURST: &str = "burst";
const PER: &str = "per";
const MOUNT: &str = "mount";
const FILE: &str = "file";

static PARAMS: &[Param] = &[
    Param::optional(IOPS, ParamType::Count, "operations per second"),
    Param::optional(READ_BW, ParamType::Size, "bytes per second that are read"),
    Param::optional(WRITE_BW, ParamType::Size, "bytes per second that are written"),
    Param::optional(
        BURST,
        ParamType::Positive,
        "how many may pass at once after a rest [default: 1]",
    ),
    io_size::PARAM,
    Param::optional(
        PER,
        ParamType::Choice(&[MOUNT, FILE]),
        "whether all files share the rates, or each has its own [default: mount]",
    ),
];

impl Kind for Throttle {
    fn name(&self) -> &'static str {
        "throttle"
    }

    fn about(&self) -> &'static str {
        "Limit the operations or bytes per second, as a slow disk does"
    }

    fn details(&self) -> &'static str {
        "Matching reads that arrive, writes and copies share a number of operations per second, \
         and of bytes per second. With `--per file` each file has its own (if more than 65,536 \
         files are busy at once, the others share). An operation larger than the I/O size counts \
         as several. A copy counts as one operation, and its bytes as read and as written.\n\
         \n\
         After a rest, as many operations pass at once as the burst says, and of bytes the burst \
         times the I/O size. So in any time T no more passes than the rate times T, and the \
         burst.\n\
         \n\
         What comes too early waits, and counts as fired. What passes at once is only matched. A \
         throttle acts beside faults: the later moment counts. Reads from the page cache are \
         free. A write makes the kernel forget a file's pages, so reads after writes count here \
         that a disk would not see.\n\
         \n    slowfs throttle --iops 500\
         \n    slowfs throttle --iops 3000 --burst 100 --io-size 256KiB -r '.*/data/.*'\
         \n    slowfs throttle --read-bw 100MB --write-bw 20MB --per file"
    }

    fn params(&self) -> &'static [Param] {
        PARAMS
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
        let io_size = match args.whole(IO_SIZE) {
            Some(0) => return Err(self.refuse(IO_SIZE, "it must be above 0".into())),
            size => size.unwrap_or(io_size::DEFAULT),
        };
        let burst = args.whole(BURST).unwrap_or(1);
        let rate = |name, burst| match args.whole(name) {
            Some(0) => Err(self.refuse(
                name,
                "0 a second lets nothing through; `slowfs hang` is what holds all".into(),
            )),
            each_second => Ok(each_second.map(|each_second| Rate { each_second, burst })),
        };
        let rates = Rates {
            ops: rate(IOPS, burst)?,
            read: rate(READ_BW, burst.saturating_mul(io_size))?,
            write: rate(WRITE_BW, burst.saturating_mul(io_size))?,
        };
        if [rates.ops, rates.read, rates.write].iter().all(Option::is_none) {
            let why = "throttle needs a rate: --iops, --read-bw or --write-bw";
            return Err(SpecError::Together(why.to_owned()));
        }
        let per_file = args.text(PER) == Some(FILE);
        Ok(Box::new(Throttling { rates, burst, io_size, per_file, state: Mutex::default() }))
    }
}

impl Throttle {
    fn refuse(&self, param: &str, why: ValueError) -> SpecError {
        SpecError::Value { of: self.name().to_owned(), param: param.to_owned(), why }
    }
}

#[derive(Debug)]
struct Throttling {
    rates: Rates,
    burst: u64,
    io_size: u64,
    per_file: bool,
    state: Mutex<State>,
}

/// What may pass a second: operations, bytes that are read, bytes that are written.
#[derive(Clone, Copy, Debug)]
struct Rates {
    ops: Option<Rate>,
    read: Option<Rate>,
    write: Option<Rate>,
}

/// What has passed, by each rate.
#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    ops: Reached,
    read: Reached,
    write: Reached,
}

#[derive(Debug, Default)]
struct State {
    clock: Clock,
    /// Of all files, and of each.
    mount: Passed,
    files: Files<Passed>,
}

impl Rates {
    /// When a request that costs so much is due: when each rate has room for it.
    fn due(&self, passed: &mut Passed, now: u64, cost: &Cost) -> u64 {
        let by = |rate: Option<Rate>, place: &mut Reached, cost: Option<u64>| match (rate, cost) {
            (Some(rate), Some(cost)) => rate.take(place, now, cost),
            _ => now,
        };
        let ops = by(self.ops, &mut passed.ops, Some(cost.ops));
        let read = by(self.read, &mut passed.read, cost.read);
        ops.max(read).max(by(self.write, &mut passed.write, cost.write))
    }

    fn is_rested(&self, passed: &Passed, now: u64) -> bool {
        let rested = |rate: Option<Rate>, place| rate.is_none_or(|rate| rate.is_rested(place, now));
        rested(self.ops, passed.ops)
            && rested(self.read, passed.read)
            && rested(self.write, passed.write)
    }
}

/// What a request is charged.
struct Cost {
    ops: u64,
    read: Option<u64>,
    write: Option<u64>,
}

impl Throttling {
    fn cost(&self, op: &Operation<'_>) -> Cost {
        let len = op.span.map_or(0, |span| span.len);
        let (reads, writes) = match op.call {
            Call::Read => (true, false),
            Call::Write => (false, true),
            // A copy does both.
            _ => (true, true),
        };
        let ops = operations(len, self.io_size);
        Cost { ops, read: reads.then_some(len), write: writes.then_some(len) }
    }
}

impl Effect for Throttling {
    fn kind(&self) -> &'static dyn Kind {
        &Throttle
    }

    fn args(&self) -> Args {
        let Rates { ops, read, write } = self.rates;
        let mut args = Args::new();
        for (name, rate) in [(IOPS, ops), (READ_BW, read), (WRITE_BW, write)] {
            if let Some(rate) = rate {
                args.insert(name, whole(rate.each_second));
            }
        }
        if self.burst != 1 {
            args.insert(BURST, whole(self.burst));
        }
        if self.io_size != io_size::DEFAULT {
            args.insert(IO_SIZE, whole(self.io_size));
        }
        if self.per_file {
            args.insert(PER, Value::Text(FILE.to_owned()));
        }
        args
    }

    fn plan(&self, op: &Operation<'_>, _: &Draw, plan: &mut Plan) {
        let arrived = op.arrived();
        let cost = self.cost(op);
        let mut state = self.state.lock();
        let State { clock, mount, files } = &mut *state;
        let now = clock.ns(arrived);
        let passed = match self.per_file {
            true => files.of(op.inode, |passed| self.rates.is_rested(passed, now)),
            false => mount,
        };
        let due = self.rates.due(passed, now, &cost);
        plan.before.add(clock.hold(arrived, due));
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::fault::chance::Dice;
    use crate::fault::operation::{Caller, Span};
    use crate::fault::plan::Hold;
    use crate::fault::words::line;

    /// What a throttle makes of requests one after the other: when each is due.
    struct Disk {
        effect: Box<dyn Effect>,
        begun: Instant,
    }

    impl Disk {
        fn new(text: &str) -> Disk {
            let words = line(text).unwrap().0.effects.remove(0);
            let effect = super::super::make(&words.kind, &words.params).unwrap();
            Disk { effect, begun: Instant::now() }
        }

        fn due(&self, at_ms: u64, call: Call, inode: u64, len: u64) -> Duration {
            let arrived = self.begun + Duration::from_millis(at_ms);
            let mut op = Operation::new(call, Caller::default(), inode).arrived_at(arrived);
            op.span = Some(Span { offset: 0, len });
            let mut plan = Plan::default();
            self.effect.plan(&op, &Draw::new(Dice::new(1, 1), 0), &mut plan);
            match plan.before {
                Hold::Until(due) => due - self.begun,
                Hold::No => arrived - self.begun,
                Hold::UntilCleared => Duration::MAX,
            }
        }

        fn due_ms(&self, at_ms: u64, call: Call, inode: u64, len: u64) -> u128 {
            self.due(at_ms, call, inode, len).as_millis()
        }
    }

    #[test]
    fn a_large_one_counts_as_several_and_a_rest_earns_a_burst() {
        let disk = Disk::new("throttle --iops 10 --burst 3 --io-size 4KiB");
        let due = |len| disk.due_ms(0, Call::Write, 1, len);
        assert_eq!([due(1), due(4096), due(1)], [0; 3]);
        assert_eq!([due(1), due(4097), due(0)], [100, 300, 400]);
        let later = || disk.due_ms(60_000, Call::Read, 2, 1);
        assert_eq!([later(), later(), later(), later()], [60_000, 60_000, 60_000, 60_100]);
    }

    #[test]
    fn bytes_are_charged_as_they_go_and_those_of_a_copy_both_ways() {
        let disk = Disk::new("throttle --read-bw 1MB --write-bw 2MB --io-size 100kB");
        let due = |call, kb: u64| disk.due_ms(0, call, 1, kb * 1000);
        assert_eq!([due(Call::Read, 100), due(Call::Read, 100)], [0, 100]);
        assert_eq!([due(Call::Write, 100), due(Call::Write, 400)], [0, 200]);
        // 200 ms later by what is read, and 100 by what is written: the later counts.
        assert_eq!(due(Call::CopyTo, 200), 300);
        assert_eq!([due(Call::Read, 1), due(Call::Write, 2)], [301, 301]);
    }

    #[test]
    fn each_file_has_the_rates_for_itself_if_asked() {
        let disk = Disk::new("throttle --iops 10 --per file");
        let due = |inode| disk.due_ms(0, Call::Write, inode, 1);
        assert_eq!([due(1), due(1), due(2), due(2), due(1)], [0, 100, 0, 100, 200]);
    }

    #[test]
    fn no_rate_and_a_rate_of_none_are_refused_with_what_would_do() {
        let why = |text: &str| {
            let refused = line(text).and_then(|(words, _)| words.fault());
            refused.err().unwrap().to_string()
        };
        assert_eq!(
            why("throttle --burst 5"),
            "throttle needs a rate: --iops, --read-bw or --write-bw"
        );
        for rate in ["iops", "read-bw", "write-bw"] {
            assert!(why(&format!("throttle --{rate} 0")).contains("slowfs hang"), "{rate}");
        }
        assert!(why("throttle --iops 5 --io-size 0").contains("above 0"));
        assert!(why("throttle --iops 5 --burst 0").contains("1 at least"));
        assert!(why("throttle --iops 5 --per disk").contains("mount, file"));
    }

    /// As anybody writes it down: sixteen that ask again as soon as their last was due.
    #[test]
    fn sixteen_at_once_get_their_rate_and_no_more() {
        let disk = Disk::new("throttle --iops 500");
        let mut asking = [0u64; 16];
        let mut due = Vec::new();
        while let Some(next) = asking.iter_mut().min().filter(|at| **at < 10_000) {
            let at = disk.due_ms(*next, Call::Write, 1, 4096);
            due.push(at);
            *next = u64::try_from(at).unwrap();
        }
        let ended = due.iter().filter(|at| **at < 10_000).count();
        assert!((4_900..=5_001).contains(&ended), "{ended}");
    }
}

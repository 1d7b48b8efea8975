//! The structs of `idl/slowfs.thrift` about what a mount has served. No locks.

use std::collections::BTreeMap;

use serde::Serialize;

use super::record::record;
use super::wire::{ns, signed};
use crate::ops::Method;
use crate::stats::{Count, Latency, Passthrough, Requests, Stats};

record! {
    /// What a mount has served since it was mounted.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Statistics = "Statistics" {
        /// Nanoseconds since it was mounted.
        1: elapsed_ns: i64,
        /// Requests answered.
        2: calls: i64,
        /// Those answered with an error, injected or real.
        3: errors: i64,
        /// Every method, sorted by name. A request counts for each method it consults.
        4: methods: Vec<MethodStatistics>,
        /// Files that the kernel has served by itself, of a mount with `--passthrough-except`.
        5: passthrough: Option<PassthroughStatistics>,
        /// Lines of the log that nobody took, or that could not be written.
        6: log_lines_lost: i64,
        /// Control connections that were refused, or closed before their peer did.
        7: connections_dropped: i64,
        /// Threads for operations that may block, 8,192 at most.
        8: threads: i64,
        /// Operations that wait for such a thread.
        9: waiting: i64,
        /// Callers that were killed, and freed while their operation was blocked.
        10: callers_freed: i64,
        /// Bytes that held operations keep in memory.
        11: held_bytes_in_memory: i64,
        /// Bytes that they keep in the file of `--held-dir`.
        12: held_bytes_in_file: i64,
        /// Of the errors, those that faults gave.
        13: injected: i64,
        /// Of the errors, those that nothing is wrong for, as a name that is not there.
        14: usual: i64,
        /// The requests that were answered, each once: by the method that names it.
        15: requests: Vec<MethodStatistics>,
    }
}

record! {
    /// Files that the kernel has served by itself.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct PassthroughStatistics = "Passthrough" {
        /// Those that are open.
        1: open: i64,
        /// All since the mount, each from its first open to its last close.
        2: files: i64,
        /// Those that the kernel could not serve, so that slowfs did.
        3: refused: i64,
    }
}

record! {
    /// What a mount has served of one method.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct MethodStatistics = "MethodStatistics" {
        /// Its name.
        1: name: String,
        /// Requests answered.
        2: calls: i64,
        /// Those answered with an error, injected or real.
        3: errors: i64,
        /// How long they took, as far as they were timed.
        4: latency: Option<LatencyStatistics>,
        /// Of the errors, those that faults gave.
        5: injected: i64,
        /// Of the errors, those that nothing is wrong for.
        6: usual: i64,
    }
}

record! {
    /// How long requests took, from arrival to answer, delays included.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct LatencyStatistics = "Latency" {
        /// Requests timed: those that came while a fault was set, or all with `--stats`.
        1: timed: i64,
        /// The median in nanoseconds, a sixteenth too long at most.
        2: p50_ns: i64,
        /// What 99 of 100 did not exceed, likewise.
        3: p99_ns: i64,
        /// The longest, exactly.
        4: max_ns: i64,
        /// How many took up to so many nanoseconds, and longer than the bucket before.
        5: buckets: BTreeMap<i64, i64>,
    }
}

impl Statistics {
    /// Those of the mount itself. `passthrough`: whether the kernel may serve files by itself.
    pub(super) fn of(stats: &Stats, passthrough: bool) -> Statistics {
        let (total, taken) = (stats.total(), stats.taken());
        let method = |method: Method| {
            MethodStatistics::of(method, stats.method(method), &stats.latency(method))
        };
        Statistics {
            elapsed_ns: ns(stats.elapsed()),
            calls: signed(total.calls),
            errors: signed(total.errors),
            methods: Method::all().map(method).collect(),
            passthrough: passthrough.then(|| PassthroughStatistics::of(stats.passthrough())),
            log_lines_lost: 0,
            connections_dropped: 0,
            threads: signed(taken.threads),
            waiting: signed(taken.waiting),
            callers_freed: signed(stats.callers_freed()),
            held_bytes_in_memory: signed(taken.held_in_memory),
            held_bytes_in_file: signed(taken.held_in_file),
            injected: signed(total.injected),
            usual: signed(total.usual),
            requests: MethodStatistics::of_all(&stats.requests()),
        }
    }
}

impl MethodStatistics {
    /// Of requests that are counted once.
    pub(super) fn of_all(requests: &[Requests]) -> Vec<MethodStatistics> {
        let one = |of: &Requests| MethodStatistics::of(of.method, of.count, &of.latency);
        requests.iter().map(one).collect()
    }

    fn of(method: Method, count: Count, latency: &Latency) -> MethodStatistics {
        MethodStatistics {
            name: method.name().to_owned(),
            calls: signed(count.calls),
            errors: signed(count.errors),
            latency: (latency.timed() > 0).then(|| LatencyStatistics::of(latency)),
            injected: signed(count.injected),
            usual: signed(count.usual),
        }
    }
}

impl PassthroughStatistics {
    fn of(files: Passthrough<u64>) -> PassthroughStatistics {
        PassthroughStatistics {
            open: signed(files.open()),
            files: signed(files.begun),
            refused: signed(files.refused),
        }
    }
}

impl LatencyStatistics {
    /// As the mount counts it.
    #[must_use]
    pub fn of(latency: &Latency) -> LatencyStatistics {
        let bucket = |(edge, n): (&u64, &u64)| (signed(*edge), signed(*n));
        LatencyStatistics {
            timed: signed(latency.timed()),
            p50_ns: signed(latency.quantile(0.5)),
            p99_ns: signed(latency.quantile(0.99)),
            max_ns: signed(latency.max),
            buckets: latency.buckets.iter().map(bucket).collect(),
        }
    }

    /// Those of it that were timed after `earlier` was taken; none if there are none.
    #[must_use]
    pub fn since(&self, earlier: Option<&LatencyStatistics>) -> Option<LatencyStatistics> {
        let earlier = earlier.map(LatencyStatistics::counted).unwrap_or_default();
        let fresh = self.counted().since(&earlier);
        (fresh.timed() > 0).then(|| LatencyStatistics::of(&fresh))
    }

    fn counted(&self) -> Latency {
        let bucket = |(edge, n): (&i64, &i64)| (edge.unsigned_abs(), n.unsigned_abs());
        let buckets = self.buckets.iter().map(bucket).collect();
        Latency { buckets, max: self.max_ns.unsigned_abs() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::record::Record;
    use super::*;
    use crate::ops::Call;
    use crate::stats::Answered;

    #[test]
    fn what_is_counted_is_read_back() {
        let stats = Stats::default();
        stats.count(Call::Fsync, Answered::Injected);
        stats.time(Call::Fsync, Duration::from_millis(10));
        stats.count(Call::Write, Answered::Well);
        assert_eq!(Statistics::of(&stats, false).passthrough, None);
        stats.passthrough_begun();
        stats.passthrough_begun();
        stats.passthrough_ended();
        assert!(stats.passthrough_refused() && !stats.passthrough_refused());
        let all = Statistics {
            log_lines_lost: 3,
            connections_dropped: 4,
            threads: 5,
            waiting: 6,
            callers_freed: 7,
            held_bytes_in_memory: 8,
            held_bytes_in_file: 9,
            ..Statistics::of(&stats, true)
        };
        assert_eq!(Statistics::decode(&all.encode()), Ok(all.clone()));
        let files = PassthroughStatistics { open: 1, files: 2, refused: 2 };
        assert_eq!(all.passthrough, Some(files));
        assert_eq!((all.calls, all.errors, all.methods.len()), (2, 1, Method::COUNT));
        let of = |name| all.methods.iter().find(|m| m.name == name).unwrap();
        assert_eq!((of("write").calls, of("write").errors, &of("write").latency), (1, 0, &None));
        let fsync = of("fsync").latency.clone().unwrap();
        assert_eq!((fsync.timed, fsync.p50_ns, fsync.max_ns), (1, 10_000_000, 10_000_000));
        assert_eq!(fsync.since(Some(&fsync)), None);
        assert_eq!(fsync.since(None).unwrap().p99_ns, 10_000_000);
    }
    #[test]
    fn each_request_counts_once_among_the_requests() {
        let stats = Stats::default();
        for (call, times) in [(Call::Fsync, 1), (Call::Fdatasync, 2), (Call::CopyTo, 3)] {
            (0..times).for_each(|_| stats.count(call, Answered::Well));
        }
        stats.count(Call::Lookup, Answered::Usual);
        stats.count(Call::Getattr, Answered::Failed);
        let all = Statistics::of(&stats, false);
        let told = |m: &MethodStatistics| (m.name.clone(), m.calls, m.errors, m.usual);
        let told: Vec<_> = all.requests.iter().map(told).collect();
        let wanted = [
            ("copy_file_range", 3, 0, 0),
            ("fdatasync", 2, 0, 0),
            ("fsync", 1, 0, 0),
            ("getattr", 2, 2, 1),
        ];
        assert_eq!(
            told,
            wanted.map(|(name, calls, errors, usual)| (name.to_owned(), calls, errors, usual))
        );
        assert_eq!(all.calls, all.requests.iter().map(|m| m.calls).sum::<i64>());
        // A method counts all that consult it, as ever.
        let fsync = all.methods.iter().find(|m| m.name == "fsync").unwrap();
        assert_eq!(fsync.calls, 3);
    }
}

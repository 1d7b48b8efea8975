//! The structs of `idl/slowfs.thrift` about what a mount has served, to and from the wire.
//!
//! Their field names are those of the IDL and of `--json`, as in `records`. No locks.

use std::collections::BTreeMap;

use serde::Serialize;
use thrift::protocol::TType;

use super::records::{Struct, WrongType};
use super::wire::{Fields, Value};
use crate::fault::{self, Stats};
use crate::ops::Method;

/// What a mount has served since it was mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Nanoseconds since it was mounted.
    pub elapsed_ns: i64,
    /// Requests answered.
    pub calls: i64,
    /// Those answered with an error, injected or real.
    pub errors: i64,
    /// Every method, sorted by name. A request counts for each method it consults.
    pub methods: Vec<MethodStatistics>,
    /// Files that the kernel has served by itself, of a mount with `--passthrough-except`.
    pub passthrough: Option<PassthroughStatistics>,
    /// Lines of the log that nobody took, or that could not be written.
    pub log_lines_lost: i64,
    /// Control connections that were refused, or closed before their peer did.
    pub connections_dropped: i64,
    /// Threads for operations that may block, 8,192 at most.
    pub threads: i64,
    /// Operations that wait for such a thread.
    pub waiting: i64,
    /// Callers that were killed, and freed while their operation was blocked.
    pub callers_freed: i64,
    /// Bytes that held operations keep in memory.
    pub held_bytes_in_memory: i64,
    /// Bytes that they keep in the file of `--held-dir`.
    pub held_bytes_in_file: i64,
}

/// Files that the kernel has served by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PassthroughStatistics {
    /// Those that are open.
    pub open: i64,
    /// All since the mount, each from its first open to its last close.
    pub files: i64,
    /// Those that the kernel could not serve, so that slowfs did.
    pub refused: i64,
}

/// What a mount has served of one method.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MethodStatistics {
    /// Its name.
    pub name: String,
    /// Requests answered.
    pub calls: i64,
    /// Those answered with an error, injected or real.
    pub errors: i64,
    /// How long they took, as far as they were timed.
    pub latency: Option<Latency>,
}

/// How long requests took, from arrival to answer, delays included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Requests timed: those that came while a fault was set, or all with `--stats`.
    pub timed: i64,
    /// The median in nanoseconds, a sixteenth too long at most.
    pub p50_ns: i64,
    /// What 99 of 100 did not exceed, likewise.
    pub p99_ns: i64,
    /// The longest, exactly.
    pub max_ns: i64,
    /// How many took up to so many nanoseconds, and longer than the bucket before.
    pub buckets: BTreeMap<i64, i64>,
}

pub(super) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Statistics {
    /// Those of the mount itself. `passthrough`: whether the kernel may serve files by itself.
    pub(super) fn of(stats: &Stats, passthrough: bool) -> Statistics {
        let (total, taken) = (stats.total(), stats.taken());
        let method = |method: Method| {
            let (count, latency) = (stats.method(method), stats.latency(method));
            MethodStatistics {
                name: method.name().to_owned(),
                calls: signed(count.calls),
                errors: signed(count.errors),
                latency: (latency.timed() > 0).then(|| Latency::of(&latency)),
            }
        };
        Statistics {
            elapsed_ns: i64::try_from(stats.elapsed().as_nanos()).unwrap_or(i64::MAX),
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
        }
    }

    pub(super) fn encode(&self) -> Fields {
        let methods = self.methods.iter().map(|m| Value::Struct(m.encode())).collect();
        let fields = Fields::default()
            .with(1, Value::I64(self.elapsed_ns))
            .with(2, Value::I64(self.calls))
            .with(3, Value::I64(self.errors))
            .with(4, Value::List(TType::Struct, methods))
            .with(6, Value::I64(self.log_lines_lost))
            .with(7, Value::I64(self.connections_dropped))
            .with(8, Value::I64(self.threads))
            .with(9, Value::I64(self.waiting))
            .with(10, Value::I64(self.callers_freed))
            .with(11, Value::I64(self.held_bytes_in_memory))
            .with(12, Value::I64(self.held_bytes_in_file));
        match &self.passthrough {
            Some(passthrough) => fields.with(5, Value::Struct(passthrough.encode())),
            None => fields,
        }
    }

    pub(super) fn decode(fields: &Fields) -> Result<Statistics, WrongType> {
        let of = Struct(fields);
        let list = |v: &Value| v.as_list()?.iter().map(|m| m.as_fields().cloned()).collect();
        let methods: Vec<_> = of.get(4, "methods", "a list of structs", list)?.unwrap_or_default();
        let passthrough = of.get(5, "passthrough", "a struct", |v| v.as_fields().cloned())?;
        Ok(Statistics {
            elapsed_ns: of.int(1, "elapsed_ns")?.unwrap_or_default(),
            calls: of.int(2, "calls")?.unwrap_or_default(),
            errors: of.int(3, "errors")?.unwrap_or_default(),
            methods: methods.iter().map(MethodStatistics::decode).collect::<Result<_, _>>()?,
            passthrough: passthrough.as_ref().map(PassthroughStatistics::decode).transpose()?,
            log_lines_lost: of.int(6, "log_lines_lost")?.unwrap_or_default(),
            connections_dropped: of.int(7, "connections_dropped")?.unwrap_or_default(),
            threads: of.int(8, "threads")?.unwrap_or_default(),
            waiting: of.int(9, "waiting")?.unwrap_or_default(),
            callers_freed: of.int(10, "callers_freed")?.unwrap_or_default(),
            held_bytes_in_memory: of.int(11, "held_bytes_in_memory")?.unwrap_or_default(),
            held_bytes_in_file: of.int(12, "held_bytes_in_file")?.unwrap_or_default(),
        })
    }
}

impl PassthroughStatistics {
    fn of(files: fault::Passthrough<u64>) -> PassthroughStatistics {
        PassthroughStatistics {
            open: signed(files.open()),
            files: signed(files.begun),
            refused: signed(files.refused),
        }
    }

    fn encode(&self) -> Fields {
        Fields::default()
            .with(1, Value::I64(self.open))
            .with(2, Value::I64(self.files))
            .with(3, Value::I64(self.refused))
    }

    fn decode(fields: &Fields) -> Result<PassthroughStatistics, WrongType> {
        let of = Struct(fields);
        Ok(PassthroughStatistics {
            open: of.int(1, "open")?.unwrap_or_default(),
            files: of.int(2, "files")?.unwrap_or_default(),
            refused: of.int(3, "refused")?.unwrap_or_default(),
        })
    }
}

impl MethodStatistics {
    fn encode(&self) -> Fields {
        let fields = Fields::default()
            .with(1, Value::text(&self.name))
            .with(2, Value::I64(self.calls))
            .with(3, Value::I64(self.errors));
        match &self.latency {
            Some(latency) => fields.with(4, Value::Struct(latency.encode())),
            None => fields,
        }
    }

    fn decode(fields: &Fields) -> Result<MethodStatistics, WrongType> {
        let of = Struct(fields);
        let latency = of.get(4, "latency", "a struct", |v| v.as_fields().cloned())?;
        Ok(MethodStatistics {
            name: of.text(1, "name")?,
            calls: of.int(2, "calls")?.unwrap_or_default(),
            errors: of.int(3, "errors")?.unwrap_or_default(),
            latency: latency.as_ref().map(Latency::decode).transpose()?,
        })
    }
}

impl Latency {
    /// As the engine has it.
    #[must_use]
    pub fn of(latency: &fault::Latency) -> Latency {
        let bucket = |(edge, n): (&u64, &u64)| (signed(*edge), signed(*n));
        Latency {
            timed: signed(latency.timed()),
            p50_ns: signed(latency.quantile(0.5)),
            p99_ns: signed(latency.quantile(0.99)),
            max_ns: signed(latency.max),
            buckets: latency.buckets.iter().map(bucket).collect(),
        }
    }

    /// Those of it that were timed after `earlier` was taken; none if there are none.
    #[must_use]
    pub fn since(&self, earlier: Option<&Latency>) -> Option<Latency> {
        let earlier = earlier.map(Latency::engine).unwrap_or_default();
        let fresh = self.engine().since(&earlier);
        (fresh.timed() > 0).then(|| Latency::of(&fresh))
    }

    fn engine(&self) -> fault::Latency {
        let bucket = |(edge, n): (&i64, &i64)| (edge.unsigned_abs(), n.unsigned_abs());
        let buckets = self.buckets.iter().map(bucket).collect();
        fault::Latency { buckets, max: self.max_ns.unsigned_abs() }
    }

    fn encode(&self) -> Fields {
        let bucket = |(edge, n): (&i64, &i64)| (Value::I64(*edge), Value::I64(*n));
        let buckets = self.buckets.iter().map(bucket).collect();
        Fields::default()
            .with(1, Value::I64(self.timed))
            .with(2, Value::I64(self.p50_ns))
            .with(3, Value::I64(self.p99_ns))
            .with(4, Value::I64(self.max_ns))
            .with(5, Value::Map(TType::I64, TType::I64, buckets))
    }

    fn decode(fields: &Fields) -> Result<Latency, WrongType> {
        let of = Struct(fields);
        let map = |v: &Value| {
            let Value::Map(_, _, entries) = v else { return None };
            entries.iter().map(|(edge, n)| Some((edge.as_int()?, n.as_int()?))).collect()
        };
        Ok(Latency {
            timed: of.int(1, "timed")?.unwrap_or_default(),
            p50_ns: of.int(2, "p50_ns")?.unwrap_or_default(),
            p99_ns: of.int(3, "p99_ns")?.unwrap_or_default(),
            max_ns: of.int(4, "max_ns")?.unwrap_or_default(),
            buckets: of.get(5, "buckets", "a map of integers", map)?.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ops::Request;

    #[test]
    fn what_is_counted_is_read_back() {
        let stats = Stats::default();
        stats.count(Request::Fsync, true);
        stats.time(Request::Fsync, Duration::from_millis(10));
        stats.count(Request::Write, false);
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
}

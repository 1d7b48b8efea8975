//! Whom a fault concerns: methods, paths, and what is filtered by the request itself.
//!
//! A filter is one row: its parameter, how it is set and told, and what it lets through. No locks.

use super::operation::Operation;
use super::words::{ByteRange, Param, ParamType, Pattern, Value};
use crate::ops::{Call, MethodSet};
use crate::sys::process;

/// Whom a fault concerns.
#[derive(Debug)]
pub(crate) struct Scope {
    /// The methods it was made for; a table may have taken some away since.
    pub methods: MethodSet,
    /// The paths.
    pub pattern: Pattern,
    /// The requests among them.
    pub filters: Filters,
}

/// Which requests of its methods and paths a fault concerns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filters {
    uids: Vec<u32>,
    pids: Vec<u32>,
    range: Option<ByteRange>,
    size: Option<ByteRange>,
    flags: Vec<String>,
}

impl Filters {
    /// Whether they let the request through.
    #[must_use]
    pub(crate) fn admit(&self, op: &Operation<'_>) -> bool {
        FILTERS.iter().all(|filter| (filter.admits)(self, op))
    }

    /// Whether there is none.
    #[must_use]
    pub(crate) fn is_none(&self) -> bool {
        *self == Filters::default()
    }

    /// Whether one of them looks at the bytes of a request.
    #[must_use]
    pub(crate) fn look_at_bytes(&self) -> bool {
        self.range.is_some() || self.size.is_some()
    }

    /// Whether one of them asks for the process of a request that has one which cannot be seen.
    #[must_use]
    pub(crate) fn miss(&self, op: &Operation<'_>) -> bool {
        !self.pids.is_empty() && !op.writeback && op.caller.tid == 0
    }

    /// Whether one of them asks for the process of a request.
    #[must_use]
    pub(crate) fn ask_for_process(&self) -> bool {
        !self.pids.is_empty()
    }

    /// Whether one of them looks at how the file was opened.
    #[must_use]
    pub(crate) fn look_at_flags(&self) -> bool {
        !self.flags.is_empty()
    }
}

/// Which of them no request is by: there is no such process, or it is a thread.
fn nobodys(pids: &[u32]) -> Option<String> {
    let gone = pids.iter().filter(|pid| !process::is_there(**pid)).map(u32::to_string);
    let gone: Vec<_> = gone.collect();
    let is = if gone.len() == 1 { "process is" } else { "processes are" };
    let numbers = gone.join(", ");
    let none = (!gone.is_empty()).then(|| {
        format!("--pid {numbers}: no such {is} there, as the daemon's pid namespace numbers them")
    });
    let thread = |tid: &u32| {
        let pid = process::with_thread(*tid)?;
        let told = format!("--pid {tid} matches nothing: it is a thread of process {pid}");
        Some(if pids.contains(&pid) { told } else { format!("{told}; use --pid {pid}") })
    };
    let told: Vec<_> = none.into_iter().chain(pids.iter().filter_map(thread)).collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// The methods whose requests have a range of bytes.
pub(super) const fn with_bytes() -> MethodSet {
    Call::Read
        .methods()
        .union(Call::Write.methods())
        .union(Call::CopyTo.methods())
        .union(Call::Fallocate.methods())
}

/// The methods whose requests tell how the file was opened: the kernel says it of reads and writes.
pub(super) const fn with_flags() -> MethodSet {
    Call::Read.methods().union(Call::Write.methods())
}

/// One filter.
pub(super) struct Filter {
    pub(super) param: Param,
    pub(super) set: fn(&mut Filters, &Value),
    pub(super) value: fn(&Filters) -> Option<Value>,
    admits: fn(&Filters, &Operation<'_>) -> bool,
    /// What of it can let nothing through, in one clause.
    pub(super) futile: fn(&Filters) -> Option<String>,
}

/// Every filter.
pub(super) static FILTERS: [Filter; 5] = [
    Filter {
        param: Param::optional("uid", ParamType::Numbers, "only requests of these users"),
        set: |filters, value| filters.uids = numbers(value),
        value: |filters| told(&filters.uids),
        admits: |filters, op| {
            filters.uids.is_empty() || !op.writeback && filters.uids.contains(&op.caller.uid)
        },
        futile: |_| None,
    },
    Filter {
        param: Param::optional("pid", ParamType::Numbers, "only requests of these processes"),
        set: |filters, value| filters.pids = numbers(value),
        value: |filters| told(&filters.pids),
        admits: |filters, op| {
            let pids = &filters.pids;
            pids.is_empty() || !op.writeback && op.pid().is_some_and(|pid| pids.contains(&pid))
        },
        futile: |filters| nobodys(&filters.pids),
    },
    Filter {
        param: Param::optional(
            "range",
            ParamType::Range,
            "only requests that touch these bytes of a file",
        ),
        set: |filters, value| filters.range = range(value),
        value: |filters| filters.range.map(|range| Value::Text(range.to_string())),
        admits: |filters, op| {
            let overlaps = |range: ByteRange| {
                op.span.is_some_and(|span| range.overlaps(span.offset, span.len))
            };
            filters.range.is_none_or(overlaps)
        },
        futile: |_| None,
    },
    Filter {
        param: Param::optional("size", ParamType::Range, "only requests of this many bytes"),
        set: |filters, value| filters.size = range(value),
        value: |filters| filters.size.map(|size| Value::Text(size.to_string())),
        admits: |filters, op| {
            let within = |size: ByteRange| op.span.is_some_and(|span| size.contains(span.len));
            filters.size.is_none_or(within)
        },
        futile: |_| None,
    },
    Filter {
        param: Param::optional(
            "flags",
            ParamType::Choices(&["sync", "dsync", "direct", "append"]),
            "only requests on files opened with one of these flags",
        ),
        set: |filters, value| {
            if let Value::Texts(flags) = value {
                filters.flags.clone_from(flags);
            }
        },
        value: |filters| (!filters.flags.is_empty()).then(|| Value::Texts(filters.flags.clone())),
        admits: |filters, op| {
            let flags = &filters.flags;
            flags.is_empty()
                || !op.writeback && flags.iter().any(|flag| is_open_with(op.open_flags, flag))
        },
        futile: |_| None,
    },
];

fn numbers(value: &Value) -> Vec<u32> {
    match value {
        Value::Texts(texts) => texts.iter().filter_map(|text| text.parse().ok()).collect(),
        _ => Vec::new(),
    }
}

fn told(numbers: &[u32]) -> Option<Value> {
    (!numbers.is_empty()).then(|| Value::Texts(numbers.iter().map(u32::to_string).collect()))
}

fn range(value: &Value) -> Option<ByteRange> {
    match value {
        Value::Text(text) => ByteRange::read(text).ok(),
        _ => None,
    }
}

/// O_SYNC includes O_DSYNC: `dsync` is what is not `sync` too.
fn is_open_with(flags: i32, word: &str) -> bool {
    let sync = flags & libc::O_SYNC == libc::O_SYNC;
    match word {
        "sync" => sync,
        "dsync" => flags & libc::O_DSYNC != 0 && !sync,
        "direct" => flags & libc::O_DIRECT != 0,
        "append" => flags & libc::O_APPEND != 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::operation::{Caller, Span};
    use crate::fault::words;

    fn filters(name: &str, text: &str) -> Filters {
        let filter = FILTERS.iter().find(|filter| filter.param.name == name).unwrap();
        let value = filter.param.of.read(text).unwrap();
        let mut filters = Filters::default();
        (filter.set)(&mut filters, &value);
        assert_eq!((filter.value)(&filters), Some(value), "{name}");
        filters
    }

    fn write(uid: u32, offset: u64, len: u64, open_flags: i32) -> Operation<'static> {
        let caller = Caller { tid: 0, uid, gid: 0 };
        let mut op = Operation::new(Call::Write, caller, 7);
        op.span = Some(Span { offset, len });
        op.open_flags = open_flags;
        op
    }

    #[test]
    fn each_filter_lets_its_own_through() {
        for (name, text, yes, no) in [
            ("uid", "0,7", write(7, 0, 1, 0), write(8, 0, 1, 0)),
            ("range", "4KiB..8KiB", write(0, 4000, 100, 0), write(0, 8192, 9, 0)),
            ("size", "..4KiB", write(0, 9, 4095, 0), write(0, 9, 4096, 0)),
            ("flags", "sync", write(0, 0, 1, libc::O_SYNC), write(0, 0, 1, libc::O_DSYNC)),
            ("flags", "dsync,append", write(0, 0, 1, libc::O_APPEND), write(0, 0, 1, libc::O_SYNC)),
        ] {
            let filters = filters(name, text);
            assert!(filters.admit(&yes), "{name} {text}");
            assert!(!filters.admit(&no), "{name} {text}");
            assert!(Filters::default().admit(&no));
        }
    }

    #[test]
    fn a_filter_is_refused_where_requests_do_not_tell_what_it_looks_at() {
        for (line, why) in [
            ("hang -m write,fsync --flags sync", "which fsync does not come with"),
            ("hang -m unlink --size 1..", "which unlink has none of"),
        ] {
            let refused = words::line(line).unwrap().0.fault().unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
        assert!(words::line("hang -m read,write --flags sync").unwrap().0.fault().is_ok());
    }

    #[test]
    fn a_process_is_known_by_any_of_its_threads() {
        let own = filters("pid", &std::process::id().to_string());
        let tid = rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned();
        let by = |tid| {
            let caller = Caller { tid, uid: 0, gid: 0 };
            Operation::new(Call::Fsync, caller, 7)
        };
        assert!(own.admit(&by(tid)));
        assert!(!own.admit(&by(1)) && !own.admit(&by(0)));
    }

    #[test]
    fn the_kernel_itself_is_nobody() {
        let kernel = |mut op: Operation<'static>| {
            op.writeback = true;
            op
        };
        assert!(!filters("uid", "0").admit(&kernel(write(0, 0, 1, 0))));
        assert!(!filters("flags", "sync").admit(&kernel(write(0, 0, 1, libc::O_SYNC))));
        assert!(filters("size", "..4").admit(&kernel(write(0, 0, 1, 0))));
    }
}

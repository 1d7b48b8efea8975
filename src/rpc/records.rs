//! The structs of `idl/slowfs.thrift`, typed, to and from the wire.
//!
//! Their field names are those of the IDL and of `--json`: all three change together or not at
//! all. Own calls are strict: a field of the wrong type is refused, not skipped. No locks.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;
use thrift::protocol::TType;

use super::wire::{Fields, Value};

/// What goes wrong with which operations, as asked for: not yet validated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultSpec {
    /// Method names; `all` stands for every method.
    pub methods: Vec<String>,
    /// Regular expression for the whole backing path; empty: any.
    pub pattern: String,
    /// 0.0 to 1.0.
    pub probability: f64,
    /// Nanoseconds before the operation.
    pub delay_ns: Option<i64>,
    /// Hold the operation until the fault is cleared.
    pub hang: bool,
    /// Names or numbers; one of them at random.
    pub errnos: Vec<String>,
    /// Any of E2BIG to EXFULL, never ENOSYS.
    pub random_errno: bool,
    /// SIGKILL to the calling process.
    pub kill_caller: bool,
    /// Gone after that many firings.
    pub count: Option<i64>,
    /// Let that many matching operations pass first.
    pub after: i64,
    /// Gone after that many nanoseconds.
    pub lifetime_ns: Option<i64>,
}

impl Default for FaultSpec {
    /// A fault on nothing that does nothing, always.
    fn default() -> FaultSpec {
        FaultSpec {
            methods: Vec::new(),
            pattern: String::new(),
            probability: 1.0,
            delay_ns: None,
            hang: false,
            errnos: Vec::new(),
            random_errno: false,
            kill_caller: false,
            count: None,
            after: 0,
            lifetime_ns: None,
        }
    }
}

impl FaultSpec {
    /// What it does, for people: `delay 10ms, error EIO|ENOSPC, kill`.
    #[must_use]
    pub fn effect(&self) -> String {
        let mut parts = Vec::new();
        if self.hang {
            parts.push("hang".to_owned());
        } else if let Some(ns) = self.delay_ns {
            parts.push(format!("delay {}", duration(ns)));
        }
        if self.kill_caller {
            parts.push("kill".to_owned());
        }
        if self.random_errno {
            parts.push("error random".to_owned());
        } else if !self.errnos.is_empty() {
            parts.push(format!("error {}", self.errnos.join("|")));
        }
        if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
    }

    /// Its probability for people: `100%`, `0.5%`.
    #[must_use]
    pub fn percent(&self) -> String {
        // Twelve digits after the point at most, so that 0.07 is 7% and not 7.000000000000001%.
        let text = format!("{:.12}", self.probability * 100.0);
        format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }

    /// All of it on one line, for logs and answers.
    #[must_use]
    pub fn describe(&self) -> String {
        let path = if self.pattern.is_empty() {
            "any path".to_owned()
        } else {
            format!("path {:?}", self.pattern)
        };
        let (effect, percent) = (self.effect(), self.percent());
        let mut line = format!("{effect}; on {}; {path}; {percent}", self.methods.join(","));
        if self.after > 0 {
            let _ = write!(line, "; after {} matches", self.after);
        }
        if let Some(count) = self.count {
            let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
            let _ = write!(line, "; {times}");
        }
        if let Some(ns) = self.lifetime_ns {
            let _ = write!(line, "; for {}", duration(ns));
        }
        line
    }

    pub(super) fn encode(&self) -> Fields {
        let mut fields = Fields::default()
            .with(1, Value::texts(&self.methods))
            .with(2, Value::text(&self.pattern))
            .with(3, Value::Double(self.probability));
        fields = optional(fields, 4, self.delay_ns)
            .with(5, Value::Bool(self.hang))
            .with(6, Value::texts(&self.errnos))
            .with(7, Value::Bool(self.random_errno))
            .with(8, Value::Bool(self.kill_caller));
        fields = optional(fields, 9, self.count).with(10, Value::I64(self.after));
        optional(fields, 11, self.lifetime_ns)
    }

    pub(super) fn decode(fields: &Fields) -> Result<FaultSpec, WrongType> {
        let of = Struct(fields);
        let default = FaultSpec::default();
        Ok(FaultSpec {
            methods: of.texts(1, "methods")?,
            pattern: of.text(2, "pattern")?,
            probability: of
                .get(3, "probability", "a double", Value::as_double)?
                .unwrap_or(default.probability),
            delay_ns: of.int(4, "delay_ns")?,
            hang: of.flag(5, "hang")?,
            errnos: of.texts(6, "errnos")?,
            random_errno: of.flag(7, "random_errno")?,
            kill_caller: of.flag(8, "kill_caller")?,
            count: of.int(9, "count")?,
            after: of.int(10, "after")?.unwrap_or_default(),
            lifetime_ns: of.int(11, "lifetime_ns")?,
        })
    }
}

/// A fault in force, or one that has gone.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ListedFault {
    /// Its id, unique for the life of the mount.
    pub id: i64,
    /// Its methods are those it still has, or had last.
    #[serde(flatten)]
    pub fault: FaultSpec,
    /// Operations that matched methods and pattern.
    pub matched: i64,
    /// Of these, operations that it decided.
    pub fired: i64,
    /// Operations that it holds now.
    pub held: i64,
    /// What is left of its lifetime, in nanoseconds.
    pub expires_in_ns: Option<i64>,
    /// Files that it does not reach on this mount, if there may be any.
    pub out_of_reach: Option<String>,
    /// When it went, if it has gone.
    pub ended_unix_ns: Option<i64>,
    /// And why: `cleared`, `replaced`, `expired` or `spent`.
    pub why: Option<String>,
    /// Files that were opened past the page cache because of it and are still open.
    pub past_cache: i64,
    /// Operations that it held and let go before their time, because their callers left by themselves.
    pub let_go: i64,
    /// Operations that it would have matched if it could kill their callers.
    pub skipped: i64,
}

impl ListedFault {
    pub(super) fn encode(&self) -> Fields {
        let fields = Fields::default()
            .with(1, Value::I64(self.id))
            .with(2, Value::Struct(self.fault.encode()))
            .with(3, Value::I64(self.matched))
            .with(4, Value::I64(self.fired))
            .with(5, Value::I64(self.held));
        let fields = noted(optional(fields, 6, self.expires_in_ns), 7, self.out_of_reach.as_ref());
        noted(optional(fields, 8, self.ended_unix_ns), 9, self.why.as_ref())
            .with(10, Value::I64(self.past_cache))
            .with(11, Value::I64(self.let_go))
            .with(12, Value::I64(self.skipped))
    }

    pub(super) fn decode(fields: &Fields) -> Result<ListedFault, WrongType> {
        let of = Struct(fields);
        let fault = of.get(2, "fault", "a struct", |v| v.as_fields().cloned())?.unwrap_or_default();
        Ok(ListedFault {
            id: of.int(1, "id")?.unwrap_or_default(),
            fault: FaultSpec::decode(&fault)?,
            matched: of.int(3, "matched")?.unwrap_or_default(),
            fired: of.int(4, "fired")?.unwrap_or_default(),
            held: of.int(5, "held")?.unwrap_or_default(),
            expires_in_ns: of.int(6, "expires_in_ns")?,
            out_of_reach: of.note(7, "out_of_reach")?,
            ended_unix_ns: of.int(8, "ended_unix_ns")?,
            why: of.note(9, "why")?,
            past_cache: of.int(10, "past_cache")?.unwrap_or_default(),
            let_go: of.int(11, "let_go")?.unwrap_or_default(),
            skipped: of.int(12, "skipped")?.unwrap_or_default(),
        })
    }
}

/// A name that faults can be set on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MethodInfo {
    /// Its name.
    pub name: String,
    /// Why it cannot fire on this mount, if it cannot.
    pub obstacle: Option<String>,
    /// Files on which it cannot fire on this mount, if there may be any.
    pub out_of_reach: Option<String>,
}

impl MethodInfo {
    pub(super) fn encode(&self) -> Fields {
        let fields = Fields::default().with(1, Value::text(&self.name));
        noted(noted(fields, 2, self.obstacle.as_ref()), 3, self.out_of_reach.as_ref())
    }

    pub(super) fn decode(fields: &Fields) -> Result<MethodInfo, WrongType> {
        let of = Struct(fields);
        Ok(MethodInfo {
            name: of.text(1, "name")?,
            obstacle: of.note(2, "obstacle")?,
            out_of_reach: of.note(3, "out_of_reach")?,
        })
    }
}

/// The mount that answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Info {
    /// Version of the slowfs daemon.
    pub version: String,
    /// Where it is mounted.
    pub mountpoint: String,
    /// The directory behind it.
    pub backing: String,
    /// Process id of the daemon.
    pub pid: i64,
    /// When it started, in milliseconds since 1970.
    pub started_unix_ms: i64,
    /// How many faults are set now.
    pub faults: i64,
    /// Threads that take requests from the kernel.
    pub threads: i64,
    /// Whether every file bypasses the page cache.
    pub direct_io: bool,
    /// Whether every change is refused.
    pub read_only: bool,
    /// Whether the dice are repeatable (`--seed`).
    pub seeded: bool,
    /// Whether every operation is timed (`--stats`), not only those while a fault is set.
    pub stats: bool,
    /// How the plain calls' probability is read: `auto`, `100000` or `1000`.
    pub probability_scale: String,
    /// Version of the FUSE protocol that the kernel speaks.
    pub fuse_protocol: String,
    /// The kernel's capabilities that the mount uses, by their names in linux/fuse.h.
    pub capabilities: Vec<String>,
    /// The pattern of `--passthrough-except`, if mounted with it.
    pub passthrough_except: Option<String>,
}

impl Info {
    pub(super) fn encode(&self) -> Fields {
        let small = |n: i64| Value::I32(i32::try_from(n).unwrap_or(i32::MAX));
        let fields = Fields::default()
            .with(1, Value::text(&self.version))
            .with(2, Value::text(&self.mountpoint))
            .with(3, Value::text(&self.backing))
            .with(4, small(self.pid))
            .with(5, Value::I64(self.started_unix_ms))
            .with(6, small(self.faults))
            .with(7, small(self.threads))
            .with(8, Value::Bool(self.direct_io))
            .with(9, Value::Bool(self.read_only))
            .with(10, Value::Bool(self.seeded))
            .with(11, Value::Bool(self.stats))
            .with(12, Value::text(&self.probability_scale))
            .with(13, Value::text(&self.fuse_protocol))
            .with(14, Value::texts(&self.capabilities));
        noted(fields, 15, self.passthrough_except.as_ref())
    }

    pub(super) fn decode(fields: &Fields) -> Result<Info, WrongType> {
        let of = Struct(fields);
        Ok(Info {
            version: of.text(1, "version")?,
            mountpoint: of.text(2, "mountpoint")?,
            backing: of.text(3, "backing")?,
            pid: of.int(4, "pid")?.unwrap_or_default(),
            started_unix_ms: of.int(5, "started_unix_ms")?.unwrap_or_default(),
            faults: of.int(6, "faults")?.unwrap_or_default(),
            threads: of.int(7, "threads")?.unwrap_or_default(),
            direct_io: of.flag(8, "direct_io")?,
            read_only: of.flag(9, "read_only")?,
            seeded: of.flag(10, "seeded")?,
            stats: of.flag(11, "stats")?,
            probability_scale: of.text(12, "probability_scale")?,
            fuse_protocol: of.text(13, "fuse_protocol")?,
            capabilities: of.texts(14, "capabilities")?,
            passthrough_except: of.note(15, "passthrough_except")?,
        })
    }
}

/// A duration for people: the largest units that tell it exactly.
#[must_use]
pub fn duration(ns: i64) -> String {
    let duration = Duration::from_nanos(ns.unsigned_abs());
    humantime::format_duration(duration).to_string()
}

fn optional(fields: Fields, id: i16, value: Option<i64>) -> Fields {
    match value {
        Some(n) => fields.with(id, Value::I64(n)),
        None => fields,
    }
}

fn noted(fields: Fields, id: i16, text: Option<&String>) -> Fields {
    match text {
        Some(text) => fields.with(id, Value::text(text)),
        None => fields,
    }
}

/// A field has a value of another type than it must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("field {id} ({name}) must be {wanted}, and is of Thrift type {found}")]
pub struct WrongType {
    id: i16,
    name: &'static str,
    wanted: &'static str,
    found: TType,
}

/// Typed access to a struct's fields; a missing one is its zero value.
pub(super) struct Struct<'a>(pub(super) &'a Fields);

impl Struct<'_> {
    pub(super) fn get<T>(
        &self,
        id: i16,
        name: &'static str,
        wanted: &'static str,
        of: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, WrongType> {
        let Some(value) = self.0.get(id) else { return Ok(None) };
        match of(value) {
            Some(value) => Ok(Some(value)),
            None => Err(WrongType { id, name, wanted, found: value.ttype() }),
        }
    }

    pub(super) fn flag(&self, id: i16, name: &'static str) -> Result<bool, WrongType> {
        Ok(self.get(id, name, "a bool", Value::as_bool)?.unwrap_or_default())
    }

    pub(super) fn int(&self, id: i16, name: &'static str) -> Result<Option<i64>, WrongType> {
        self.get(id, name, "an integer", Value::as_int)
    }

    pub(super) fn text(&self, id: i16, name: &'static str) -> Result<String, WrongType> {
        Ok(self.get(id, name, "a UTF-8 string", utf8)?.unwrap_or_default())
    }

    /// A text that may be missing.
    fn note(&self, id: i16, name: &'static str) -> Result<Option<String>, WrongType> {
        self.0.get(id).map(|_| self.text(id, name)).transpose()
    }

    pub(super) fn texts(&self, id: i16, name: &'static str) -> Result<Vec<String>, WrongType> {
        let list = |v: &Value| v.as_list()?.iter().map(utf8).collect();
        Ok(self.get(id, name, "a list of UTF-8 strings", list)?.unwrap_or_default())
    }
}

fn utf8(value: &Value) -> Option<String> {
    String::from_utf8(value.as_bytes()?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(".{0,12}", 0..4)
    }

    prop_compose! {
        fn spec()(
            methods in words(),
            pattern in ".{0,20}",
            probability in 0.0..1.0f64,
            delay_ns: Option<i64>,
            flags: (bool, bool, bool),
            errnos in words(),
            count: Option<i64>,
            after: i64,
            lifetime_ns: Option<i64>,
        ) -> FaultSpec {
            let (hang, random_errno, kill_caller) = flags;
            FaultSpec {
                methods, pattern, probability, delay_ns, hang, errnos, random_errno, kill_caller,
                count, after, lifetime_ns,
            }
        }
    }

    proptest! {
        #[test]
        fn listed_faults_round_trip(
            id: i64, fault in spec(), numbers: (i64, i64, i64, i64, i64, i64),
            out_of_reach: Option<String>, times: (Option<i64>, Option<i64>), why: Option<String>,
        ) {
            let (matched, fired, held, past_cache, let_go, skipped) = numbers;
            let (expires_in_ns, ended_unix_ns) = times;
            let listed = ListedFault {
                id, fault, matched, fired, held, expires_in_ns, out_of_reach, ended_unix_ns, why,
                past_cache, let_go, skipped,
            };
            prop_assert_eq!(ListedFault::decode(&listed.encode()), Ok(listed));
        }

        #[test]
        fn infos_round_trip(
            texts: (String, String, String, String, String),
            numbers: (i32, i32, i32, i64),
            flags: (bool, bool, bool, bool),
            capabilities in words(),
            passthrough_except: Option<String>,
        ) {
            let (version, mountpoint, backing, probability_scale, fuse_protocol) = texts;
            let (pid, faults, threads, started_unix_ms) = numbers;
            let (pid, faults, threads) = (pid.into(), faults.into(), threads.into());
            let (direct_io, read_only, seeded, stats) = flags;
            let info = Info {
                version, mountpoint, backing, pid, started_unix_ms, faults, threads, direct_io,
                read_only, seeded, stats, probability_scale, fuse_protocol, capabilities,
                passthrough_except,
            };
            prop_assert_eq!(Info::decode(&info.encode()), Ok(info));
        }
    }

    #[test]
    fn a_missing_probability_means_always() {
        assert_eq!(FaultSpec::decode(&Fields::default()), Ok(FaultSpec::default()));
    }

    #[test]
    fn notes_are_optional() {
        let why = Some("why".to_owned());
        for (obstacle, out_of_reach) in [(None, None), (why.clone(), None), (None, why)] {
            let method = MethodInfo { name: "access".into(), obstacle, out_of_reach };
            assert_eq!(MethodInfo::decode(&method.encode()), Ok(method));
        }
    }

    #[test]
    fn a_fault_is_described_on_one_line() {
        let spec = FaultSpec {
            methods: vec!["fsync".into(), "write".into()],
            pattern: "a\nb".into(),
            probability: 0.07,
            delay_ns: Some(1_500_000),
            errnos: vec!["EIO".into(), "ENOSPC".into()],
            kill_caller: true,
            count: Some(3),
            after: 2,
            lifetime_ns: Some(60_000_000_000),
            ..FaultSpec::default()
        };
        assert_eq!(
            spec.describe(),
            "delay 1ms 500us, kill, error EIO|ENOSPC; on fsync,write; path \"a\\nb\"; 7%; \
             after 2 matches; 3 times; for 1m"
        );
        assert_eq!(FaultSpec::default().describe(), "nothing; on ; any path; 100%");
    }
}

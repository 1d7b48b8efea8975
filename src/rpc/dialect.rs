//! Calls, from the fields that the many clients send.
//!
//! The one place that knows field ids. For the calls of charybdefs (contract, section 1): ids
//! -1, -2, ... as the original IDL gives them, or +1, +2, ... as some forks do; `one_time`
//! behind the positive ones; a list in the place of `err_no`; any order; a missing field is its
//! zero value; an unknown id, or a known one with another type, is skipped as Thrift's own
//! readers do. slowfs's own calls are strict instead. No locks.

use thrift::protocol::TType;

use super::record::{Wire, field};
use super::scenario::ScenarioWords;
use super::unsynced::{Cut, CutNow};
use super::values::WirePath;
use super::wire::{Fields, Message, Value};
use crate::fault::injections::RotWords;
use crate::fault::words::{FaultWords, PlainFault};
use crate::ops::MethodSet;

/// A call with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Call {
    /// `get_methods`
    GetMethods,
    /// `clear_all_faults`
    ClearAll,
    /// `clear_fault`
    ClearFault(String),
    /// `set_fault`, or `set_all_fault` where the methods are none
    SetFault(Option<Vec<String>>, PlainFault),
    /// `get_faults`, of a fork
    GetFaults,
    /// `put_fault`
    Put { fault: FaultWords, add: bool },
    /// `put_faults`
    PutAll { faults: Vec<FaultWords>, remove: Vec<i64>, only_these: bool },
    /// `apply_faults`
    Apply { faults: Vec<FaultWords>, prune: bool },
    /// `clear`: methods, names, ids
    Clear(Vec<String>),
    /// `remove_fault`, by name or id
    Remove(String),
    /// `clear_methods`
    ClearMethods(Vec<String>),
    /// `list_faults`
    ListFaults,
    /// `list_ended`
    ListEnded,
    /// `list_methods`
    ListMethods,
    /// `list_kinds`
    ListKinds,
    /// `wait`
    Wait(Wait),
    /// `trace_start`
    TraceStart(Traced),
    /// `trace_read`
    TraceRead { after: i64, most: i64 },
    /// `trace_stop`
    TraceStop,
    /// `run_load`
    RunLoad(ScenarioWords),
    /// `run_start`
    RunStart,
    /// `run_read`
    RunRead { after: i64 },
    /// `run_stop`
    RunStop,
    /// `injections`
    Injections { after: i64, most: i64 },
    /// `heal`
    Heal { ids: Vec<i64>, after: i64 },
    /// `rot`
    Rot(RotWords),
    /// `info`
    Info,
    /// `match_files`
    MatchFiles { pattern: String, below: WirePath, most: i64 },
    /// `match_path`
    MatchPath(WirePath),
    /// `unsynced`
    Unsynced,
    /// `checkpoint`
    Checkpoint,
    /// `unsynced_moments`
    UnsyncedMoments { after: i64 },
    /// `power_cut`
    PowerCut { cut: Cut, moment: i64 },
    /// `power_prepare`
    PowerPrepare { stays_ns: i64 },
    /// `power_commit`
    PowerCommit(CutNow),
    /// `power_abort`
    PowerAbort { ticket: i64 },
    /// `power_on`
    PowerOn,
    /// `stats`
    Stats,
}

/// What to wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wait {
    /// The fault.
    pub(super) name_or_id: String,
    /// `fired` or `held`.
    pub(super) what: String,
    /// How often, or how many.
    pub(super) n: i64,
    /// Nanoseconds.
    pub(super) timeout_ns: i64,
}

/// What `trace_start` is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Traced {
    /// None for every one.
    pub(super) methods: Vec<String>,
    pub(super) pattern: String,
    pub(super) fired: bool,
}

/// Why a message is no call that can be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoCall {
    /// No such method.
    Unknown,
    /// The arguments of a plain call make no sense.
    Plain(String),
    /// The arguments of one of slowfs's own calls make no sense.
    Own(String),
}

/// The call that a message makes.
pub(super) fn call(message: &Message) -> Result<Call, NoCall> {
    let body = &message.body;
    Ok(match message.name.as_str() {
        "get_methods" => Call::GetMethods,
        "clear_all_faults" => Call::ClearAll,
        "clear_fault" => {
            let mut method = String::new();
            for (id, value) in &body.0 {
                if let (1, Some(bytes)) = (id.unsigned_abs(), value.as_bytes()) {
                    method = String::from_utf8_lossy(bytes).into_owned();
                }
            }
            Call::ClearFault(method)
        }
        "set_fault" => {
            let (methods, fault) = plain_fault(body, 1).map_err(NoCall::Plain)?;
            Call::SetFault(Some(methods), fault)
        }
        "set_all_fault" => Call::SetFault(None, plain_fault(body, 0).map_err(NoCall::Plain)?.1),
        "get_faults" => Call::GetFaults,
        "put_fault" => {
            let fault: Option<FaultWords> = given(body, 1, "fault")?;
            let fault =
                fault.ok_or_else(|| NoCall::Own("field 1 (fault) is missing".to_owned()))?;
            Call::Put { fault, add: given(body, 2, "add")? }
        }
        "put_faults" => Call::PutAll {
            faults: given(body, 1, "faults")?,
            remove: given(body, 2, "remove")?,
            only_these: given(body, 3, "only_these")?,
        },
        "apply_faults" => {
            Call::Apply { faults: given(body, 1, "faults")?, prune: given(body, 2, "prune")? }
        }
        "clear" => Call::Clear(given(body, 1, "what")?),
        "remove_fault" => Call::Remove(given(body, 1, "name_or_id")?),
        "clear_methods" => Call::ClearMethods(given(body, 1, "methods")?),
        "wait" => Call::Wait(Wait {
            name_or_id: given(body, 1, "name_or_id")?,
            what: given(body, 2, "what")?,
            n: given(body, 3, "n")?,
            timeout_ns: given(body, 4, "timeout_ns")?,
        }),
        "trace_start" => Call::TraceStart(Traced {
            methods: given(body, 1, "methods")?,
            pattern: given(body, 2, "pattern")?,
            fired: given(body, 3, "fired")?,
        }),
        "trace_read" => {
            Call::TraceRead { after: given(body, 1, "after")?, most: given(body, 2, "most")? }
        }
        "trace_stop" => Call::TraceStop,
        "run_load" => Call::RunLoad(given(body, 1, "scenario")?),
        "run_start" => Call::RunStart,
        "run_read" => Call::RunRead { after: given(body, 1, "after")? },
        "run_stop" => Call::RunStop,
        "match_files" => Call::MatchFiles {
            pattern: given(body, 1, "pattern")?,
            below: given(body, 2, "below")?,
            most: given(body, 3, "most")?,
        },
        "match_path" => Call::MatchPath(given(body, 1, "path")?),
        "injections" => {
            Call::Injections { after: given(body, 1, "after")?, most: given(body, 2, "most")? }
        }
        "heal" => Call::Heal { ids: given(body, 1, "ids")?, after: given(body, 2, "after")? },
        "rot" => Call::Rot(given(body, 1, "rot")?),
        "list_kinds" => Call::ListKinds,
        "list_faults" => Call::ListFaults,
        "list_ended" => Call::ListEnded,
        "list_methods" => Call::ListMethods,
        "info" => Call::Info,
        "unsynced" => Call::Unsynced,
        "checkpoint" => Call::Checkpoint,
        "unsynced_moments" => Call::UnsyncedMoments { after: given(body, 1, "after")? },
        "power_cut" => Call::PowerCut {
            cut: Cut {
                name: given(body, 1, "name")?,
                keep: given(body, 2, "keep")?,
                unit: given(body, 3, "unit")?,
                seed: given(body, 4, "seed")?,
                max_stall_ns: given(body, 6, "max_stall_ns")?,
            },
            moment: given(body, 5, "moment")?,
        },
        "power_prepare" => Call::PowerPrepare { stays_ns: given(body, 1, "stays_ns")? },
        "power_commit" => Call::PowerCommit(CutNow {
            ticket: given(body, 1, "ticket")?,
            keep: given(body, 2, "keep")?,
            unit: given(body, 3, "unit")?,
            seed: given(body, 4, "seed")?,
            stay_off: given(body, 5, "stay_off")?,
            kill: given(body, 6, "kill")?,
            client: given(body, 7, "client")?,
        }),
        "power_abort" => Call::PowerAbort { ticket: given(body, 1, "ticket")? },
        "power_on" => Call::PowerOn,
        "stats" => Call::Stats,
        _ => return Err(NoCall::Unknown),
    })
}

/// An argument of one of slowfs's own calls; one that is missing is its zero value.
fn given<T: Wire + Default>(body: &Fields, id: i16, name: &'static str) -> Result<T, NoCall> {
    let found = field(body, id, name).map_err(|bad| NoCall::Own(bad.to_string()))?;
    Ok(found.unwrap_or_default())
}

/// The arguments of `set_fault` (whose methods come first: `first` is 1) or `set_all_fault` (0).
fn plain_fault(fields: &Fields, first: u16) -> Result<(Vec<String>, PlainFault), String> {
    let mut methods = Vec::new();
    let mut fault = PlainFault::default();
    for (id, value) in &fields.0 {
        let Some(place) = id.unsigned_abs().checked_sub(first) else { continue };
        match (place, value) {
            (0, Value::List(TType::String, names)) if first == 1 => {
                let names = names.iter().filter_map(Value::as_bytes);
                methods = names.map(|n| String::from_utf8_lossy(n).into_owned()).collect();
            }
            (1, Value::Bool(random)) => fault.random = *random,
            (2, _) => fault.err_nos = errnos(value).unwrap_or(fault.err_nos),
            (3, _) => assign(&mut fault.probability, value.as_int()),
            (4, Value::Bytes(pattern)) => {
                fault.regexp = String::from_utf8(pattern.clone())
                    .map_err(|_| "regexp is not UTF-8".to_owned())?;
            }
            (5, Value::Bool(kill)) => fault.kill_caller = *kill,
            (6, _) => assign(&mut fault.delay_us, value.as_int()),
            (7, Value::Bool(auto)) => fault.auto_delay = *auto,
            (8, Value::Bool(once)) if *id > 0 => fault.one_time = *once,
            _ => {}
        }
    }
    Ok((methods, fault))
}

fn assign(place: &mut i64, value: Option<i64>) {
    *place = value.unwrap_or(*place);
}

/// One number or a list of them; zeros mean none.
fn errnos(value: &Value) -> Option<Vec<i64>> {
    let all: Vec<i64> = match value {
        Value::List(_, list) => list.iter().map(Value::as_int).collect::<Option<_>>()?,
        one => vec![one.as_int()?],
    };
    Some(all.into_iter().filter(|n| *n != 0).collect())
}

/// The fields of a `set_fault` or, without methods, `set_all_fault` call, as the original numbers
/// them.
pub(super) fn encode_plain(methods: Option<&[String]>, fault: &PlainFault) -> Fields {
    let int = |n: i64| Value::I32(i32::try_from(n).unwrap_or(i32::MAX));
    let arguments = [
        Value::Bool(fault.random),
        int(fault.err_nos.first().copied().unwrap_or_default()),
        int(fault.probability),
        Value::text(&fault.regexp),
        Value::Bool(fault.kill_caller),
        int(fault.delay_us),
        Value::Bool(fault.auto_delay),
    ];
    let arguments = methods.map(Value::texts).into_iter().chain(arguments);
    Fields((1..).map(|n: i16| -n).zip(arguments).collect())
}

/// What a fork's `get_faults` answers: for each method the first fault that names it.
pub(super) fn encode_get_faults(faults: &[(MethodSet, PlainFault)]) -> Value {
    let mut told = MethodSet::EMPTY;
    let mut entries: Vec<(Value, Value)> = Vec::new();
    for (methods, fault) in faults {
        let fault = Value::Struct(fork_fault(fault));
        let fresh = methods.minus(told);
        told = told.union(fresh);
        entries.extend(fresh.names().into_iter().map(|name| (Value::text(name), fault.clone())));
    }
    Value::Map(TType::String, TType::Struct, entries)
}

/// All fields are required there; of several errnos it has room for the first.
fn fork_fault(fault: &PlainFault) -> Fields {
    let int = |n: i64| Value::I32(i32::try_from(n).unwrap_or(i32::MAX));
    let errno = fault.err_nos.first().copied().unwrap_or_default();
    Fields::default()
        .with(1, Value::Bool(fault.random))
        .with(2, Value::I16(i16::try_from(errno).unwrap_or_default()))
        .with(3, int(fault.probability))
        .with(4, Value::text(&fault.regexp))
        .with(5, Value::Bool(fault.kill_caller))
        .with(6, int(fault.delay_us))
        .with(7, Value::Bool(false))
        .with(8, Value::Bool(fault.one_time))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod own_tests;

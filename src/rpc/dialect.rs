//! Calls, from the fields that the many clients send.
//!
//! The one place that knows field ids. For the calls of charybdefs (contract, section 1): ids
//! -1, -2, ... as the original IDL gives them, or +1, +2, ... as some forks do; `one_time`
//! behind the positive ones; a list in the place of `err_no`; any order; a missing field is its
//! zero value; an unknown id, or a known one with another type, is skipped as Thrift's own
//! readers do. slowfs's own calls are strict instead. No locks.

use thrift::protocol::TType;

use super::record::{WrongType, field};
use super::records::{FaultSpec, ListedFault};
use super::wire::{Fields, Message, Value};
use crate::ops::Method;

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
    Put { fault: FaultSpec, add: bool },
    /// `remove_fault`
    Remove(i64),
    /// `clear_methods`
    ClearMethods(Vec<String>),
    /// `list_faults`
    ListFaults,
    /// `list_ended`
    ListEnded,
    /// `list_methods`
    ListMethods,
    /// `info`
    Info,
    /// `stats`
    Stats,
}

/// A fault as the plain interface describes it: numbers as sent, not yet judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainFault {
    /// A random errno, unless there is one in `err_nos`.
    pub random: bool,
    /// None, one, or the list of a fork; without zeros.
    pub err_nos: Vec<i64>,
    /// 0: always; negative: never; else parts of the server's scale.
    pub probability: i64,
    /// For the whole backing path; empty: any.
    pub regexp: String,
    /// SIGKILL to the calling process.
    pub kill_caller: bool,
    /// Microseconds before the operation.
    pub delay_us: i64,
    /// Ignore `delay_us`.
    pub auto_delay: bool,
    /// Of a fork: gone after it has fired once.
    pub one_time: bool,
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
    let own = |wrong: WrongType| NoCall::Own(wrong.to_string());
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
            let fault = field(body, 1, "fault").map_err(own)?;
            let fault =
                fault.ok_or_else(|| NoCall::Own("field 1 (fault) is missing".to_owned()))?;
            Call::Put { fault, add: field(body, 2, "add").map_err(own)?.unwrap_or_default() }
        }
        "remove_fault" => Call::Remove(field(body, 1, "id").map_err(own)?.unwrap_or_default()),
        "clear_methods" => {
            Call::ClearMethods(field(body, 1, "methods").map_err(own)?.unwrap_or_default())
        }
        "list_faults" => Call::ListFaults,
        "list_ended" => Call::ListEnded,
        "list_methods" => Call::ListMethods,
        "info" => Call::Info,
        "stats" => Call::Stats,
        _ => return Err(NoCall::Unknown),
    })
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
pub(super) fn encode_get_faults(faults: &[ListedFault], number: impl Fn(&str) -> i16) -> Value {
    let mut entries: Vec<(Value, Value)> = Vec::new();
    for listed in faults {
        let fault = Value::Struct(fork_fault(&listed.fault, &number));
        let names: Vec<_> = match listed.fault.methods.as_slice() {
            [all] if all == "all" => Method::all().map(Method::name).collect(),
            names => names.iter().map(String::as_str).collect(),
        };
        for name in names {
            let name = Value::text(name);
            if entries.iter().all(|(known, _)| *known != name) {
                entries.push((name, fault.clone()));
            }
        }
    }
    Value::Map(TType::String, TType::Struct, entries)
}

/// All fields are required there. What it cannot say comes as near as it can: a hang as the
/// longest delay, several errnos as the first.
#[allow(clippy::cast_possible_truncation, reason = "a fraction of 100,000, rounded")]
fn fork_fault(fault: &FaultSpec, number: impl Fn(&str) -> i16) -> Fields {
    let delay_us = match (fault.hang, fault.delay_ns) {
        (true, _) => i32::MAX,
        (false, ns) => i32::try_from(ns.unwrap_or_default() / 1000).unwrap_or(i32::MAX),
    };
    let probability = match (fault.probability * 100_000.0).round() as i32 {
        _ if fault.probability <= 0.0 => -1,
        n => n.max(1),
    };
    Fields::default()
        .with(1, Value::Bool(fault.random_errno))
        .with(2, Value::I16(fault.errnos.first().map_or(0, |name| number(name))))
        .with(3, Value::I32(probability))
        .with(4, Value::text(&fault.pattern))
        .with(5, Value::Bool(fault.kill_caller))
        .with(6, Value::I32(delay_us))
        .with(7, Value::Bool(false))
        .with(8, Value::Bool(fault.count == Some(1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thrift::protocol::TMessageType;

    use super::super::wire::tests::{golden, read_one};
    use super::*;

    fn golden_call(name: &str) -> Call {
        call(&read_one(&golden(name))).unwrap()
    }

    fn wal() -> (Option<Vec<String>>, PlainFault) {
        let methods = ["fsync", "fdatasync", "fsyncdir"].map(str::to_owned).to_vec();
        let fault = PlainFault {
            probability: 1000,
            regexp: "(^|.*/)member/wal/.*".into(),
            delay_us: 300_000,
            ..PlainFault::default()
        };
        (Some(methods), fault)
    }

    fn everything() -> PlainFault {
        PlainFault {
            random: false,
            err_nos: vec![5],
            probability: -1,
            regexp: ".*".into(),
            kill_caller: true,
            delay_us: 7,
            auto_delay: true,
            one_time: false,
        }
    }

    #[test]
    fn calls_of_the_original_idl_are_read() {
        let (methods, fault) = wal();
        assert_eq!(golden_call("get_methods"), Call::GetMethods);
        assert_eq!(golden_call("clear_all_faults"), Call::ClearAll);
        assert_eq!(golden_call("clear_fault"), Call::ClearFault("write_buf".into()));
        for framing in ["", "_non_strict", "_framed", "_framed_non_strict"] {
            let read = golden_call(&format!("set_fault{framing}"));
            assert_eq!(read, Call::SetFault(methods.clone(), fault.clone()), "{framing}");
        }
        assert_eq!(golden_call("set_all_fault"), Call::SetFault(None, everything()));
    }

    #[test]
    fn a_missing_field_is_its_zero_value() {
        let fault = PlainFault { random: true, ..PlainFault::default() };
        let read = golden_call("set_fault_without_regexp");
        assert_eq!(read, Call::SetFault(Some(vec!["write".into()]), fault));
        let older = PlainFault { auto_delay: false, ..everything() };
        assert_eq!(golden_call("older_set_all_fault"), Call::SetFault(None, older));
        let bare = |name: &str| Message {
            name: name.into(),
            kind: TMessageType::Call,
            seq: 0,
            body: Fields::default(),
        };
        let nothing = PlainFault::default();
        assert_eq!(call(&bare("set_fault")), Ok(Call::SetFault(Some(vec![]), nothing.clone())));
        assert_eq!(call(&bare("set_all_fault")), Ok(Call::SetFault(None, nothing)));
        assert_eq!(call(&bare("clear_fault")), Ok(Call::ClearFault(String::new())));
    }

    #[test]
    fn dialects_of_the_forks_are_read() {
        let (methods, fault) = wal();
        assert_eq!(golden_call("positive_clear_fault"), Call::ClearFault("write_buf".into()));
        let read = golden_call("positive_set_fault");
        assert_eq!(read, Call::SetFault(methods.clone(), fault.clone()));
        assert_eq!(golden_call("positive_set_all_fault"), Call::SetFault(None, everything()));
        let once = PlainFault { one_time: true, ..fault };
        assert_eq!(golden_call("once_set_fault"), Call::SetFault(methods, once));
        let once = PlainFault { one_time: true, ..everything() };
        assert_eq!(golden_call("once_set_all_fault"), Call::SetFault(None, once));
        assert_eq!(golden_call("once_get_faults"), Call::GetFaults);
        let listed =
            PlainFault { err_nos: vec![5, 28], probability: 100_000, ..PlainFault::default() };
        let read = golden_call("listed_set_fault");
        assert_eq!(read, Call::SetFault(Some(vec!["open".into()]), listed));
    }

    #[test]
    fn own_calls_of_the_python_stubs_are_read() {
        let fault = FaultSpec {
            methods: ["fsync", "write"].map(str::to_owned).to_vec(),
            pattern: "(^|.*/)member/wal/.*".into(),
            probability: 0.25,
            hang: true,
            errnos: ["EIO", "28"].map(str::to_owned).to_vec(),
            kill_caller: true,
            count: Some(3),
            after: 2,
            lifetime_ns: Some(5_000_000_000),
            ..FaultSpec::default()
        };
        let put = Call::Put { fault, add: true };
        assert_eq!(golden_call("put_fault"), put);
        assert_eq!(golden_call("put_fault_framed"), put);
        let methods = vec!["all".to_owned()];
        let fault = FaultSpec { methods, delay_ns: Some(1_000), ..FaultSpec::default() };
        assert_eq!(golden_call("put_fault_of_defaults"), Call::Put { fault, add: false });
        assert_eq!(golden_call("remove_fault"), Call::Remove(7));
        let methods = ["read", "write"].map(str::to_owned).to_vec();
        assert_eq!(golden_call("clear_methods"), Call::ClearMethods(methods));
        assert_eq!(golden_call("list_faults"), Call::ListFaults);
        assert_eq!(golden_call("list_methods"), Call::ListMethods);
        assert_eq!(golden_call("info"), Call::Info);
        assert_eq!(golden_call("stats"), Call::Stats);
    }

    #[test]
    fn unknown_fields_and_types_are_skipped() {
        let mut message = read_one(&golden("set_fault"));
        message.body.0.insert(0, (-9, Value::Bool(true)));
        message.body.0.push((17, Value::Struct(Fields::default().with(1, Value::I8(3)))));
        message.body.0.push((-4, Value::text("not a number")));
        message.body.0.push((-5, Value::I32(7)));
        message.body.0.push((-3, Value::Bool(true)));
        let (methods, fault) = wal();
        assert_eq!(call(&message), Ok(Call::SetFault(methods, fault)));
    }

    #[test]
    fn own_calls_refuse_a_wrong_type() {
        let body =
            Fields::default().with(1, Value::Struct(Fields::default().with(3, Value::I32(1))));
        let kind = TMessageType::Call;
        let message = Message { name: "put_fault".into(), kind, seq: 0, body };
        let Err(NoCall::Own(reason)) = call(&message) else { panic!("taken") };
        assert!(reason.contains("field 3 (probability) must be a double"), "{reason}");
    }

    #[test]
    fn plain_calls_are_written_as_the_original_reads_them() {
        let (methods, fault) = wal();
        let mut real = read_one(&golden("set_fault")).body;
        real.0.reverse();
        assert_eq!(encode_plain(methods.as_deref(), &fault), real);
        let mut real = read_one(&golden("set_all_fault")).body;
        real.0.reverse();
        assert_eq!(encode_plain(None, &everything()), real);
    }

    #[test]
    fn get_faults_tells_the_first_fault_of_each_method() {
        let spec = |methods: &[&str]| FaultSpec {
            methods: methods.iter().map(|m| (*m).to_owned()).collect(),
            ..FaultSpec::default()
        };
        let listed = |fault| ListedFault { fault, ..ListedFault::default() };
        let first = FaultSpec { hang: true, probability: 0.0, ..spec(&["read"]) };
        let second = FaultSpec {
            errnos: vec!["EIO".into()],
            probability: 0.000_001,
            count: Some(1),
            ..spec(&["read", "write"])
        };
        let Value::Map(_, _, all) = encode_get_faults(&[listed(spec(&["all"]))], |_| 5) else {
            panic!()
        };
        assert_eq!(all.len(), Method::COUNT, "each by its name");
        let Value::Map(_, _, entries) = encode_get_faults(&[listed(first), listed(second)], |_| 5)
        else {
            panic!()
        };
        let [(read, hang), (write, once)] = &entries[..] else { panic!("{entries:?}") };
        assert_eq!((read, write), (&Value::text("read"), &Value::text("write")));
        let [hang, once] = [hang, once].map(|v| v.as_fields().unwrap());
        assert_eq!(hang.get(3), Some(&Value::I32(-1)), "never");
        assert_eq!(hang.get(6), Some(&Value::I32(i32::MAX)));
        assert_eq!(once.get(2), Some(&Value::I16(5)));
        assert_eq!(once.get(3), Some(&Value::I32(1)), "rarely is not always");
        assert_eq!(once.get(8), Some(&Value::Bool(true)));
        assert_eq!(once.0.len(), 8, "all fields are required there");
    }

    proptest! {
        #[test]
        fn what_own_client_sends_by_plain_calls_is_read_back(
            methods in prop::option::of(prop::collection::vec(".{0,12}", 0..4)),
            err_no in prop::option::of(1..=511i64),
            numbers: (i32, i32),
            regexp in ".{0,20}",
            flags: (bool, bool, bool),
        ) {
            let (random, kill_caller, auto_delay) = flags;
            let (probability, delay_us) = (numbers.0.into(), numbers.1.into());
            let err_nos = err_no.into_iter().collect();
            let fault = PlainFault {
                random, err_nos, probability, regexp, kill_caller, delay_us, auto_delay,
                one_time: false,
            };
            let name = if methods.is_some() { "set_fault" } else { "set_all_fault" }.to_owned();
            let body = encode_plain(methods.as_deref(), &fault);
            let message = Message { name, kind: TMessageType::Call, seq: 0, body };
            prop_assert_eq!(call(&message), Ok(Call::SetFault(methods, fault)));
        }

        #[test]
        fn fields_may_come_in_any_order(
            fields in Just(read_one(&golden("set_fault")).body.0).prop_shuffle(),
            positive: bool,
        ) {
            let sign = if positive { -1 } else { 1 };
            let body = Fields(fields.into_iter().map(|(id, v)| (id * sign, v)).collect());
            let message =
                Message { name: "set_fault".into(), kind: TMessageType::Call, seq: 0, body };
            let (methods, fault) = wal();
            prop_assert_eq!(call(&message), Ok(Call::SetFault(methods, fault)));
        }
    }
}

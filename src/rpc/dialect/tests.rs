//! What the many clients send by the plain calls, and how it is read; what of own calls is refused.

use proptest::prelude::*;
use thrift::protocol::TMessageType;

use super::super::wire::tests::{golden, read_one};
use super::*;
use crate::ops::Method;

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
    let listed = PlainFault { err_nos: vec![5, 28], probability: 100_000, ..PlainFault::default() };
    let read = golden_call("listed_set_fault");
    assert_eq!(read, Call::SetFault(Some(vec!["open".into()]), listed));
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
    let refusal = |fault: Fields| {
        let body = Fields::default().with(1, Value::Struct(fault));
        let kind = TMessageType::Call;
        let message = Message { name: "put_fault".into(), kind, seq: 0, body };
        let Err(NoCall::Own(reason)) = call(&message) else { panic!("taken") };
        reason
    };
    let reason = refusal(Fields::default().with(3, Value::I32(1)));
    assert!(reason.contains("field 3 (options) must be a map of values by name"), "{reason}");
    let value = |value| {
        Value::Map(
            TType::String,
            TType::Struct,
            vec![("count", value)]
                .into_iter()
                .map(|(name, value)| (Value::text(name), Value::Struct(value)))
                .collect(),
        )
    };
    let two = Fields::default().with(1, Value::I64(1)).with(3, Value::Bool(true));
    for (of, why) in [(Fields::default(), "exactly one"), (two, "exactly one")] {
        let reason = refusal(Fields::default().with(3, value(of)));
        assert!(reason.starts_with("count: ") && reason.contains(why), "{reason}");
    }
    let wrong = Fields::default().with(1, Value::Bool(true));
    let reason = refusal(Fields::default().with(3, value(wrong)));
    assert_eq!(reason, "count: whole must be an integer");
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
    let methods = |names: &[&str]| -> MethodSet {
        names.iter().filter_map(|name| Method::from_name(name)).collect()
    };
    let all = encode_get_faults(&[(MethodSet::ALL, PlainFault::default())]);
    let Value::Map(_, _, all) = all else { panic!() };
    assert_eq!(all.len(), Method::COUNT, "each by its name");
    let delay_us = i32::MAX.into();
    let first = PlainFault { delay_us, probability: -1, ..PlainFault::default() };
    let second = PlainFault {
        err_nos: vec![5, 28],
        probability: 1,
        one_time: true,
        ..PlainFault::default()
    };
    let both = [(methods(&["read"]), first), (methods(&["read", "write"]), second)];
    let Value::Map(_, _, entries) = encode_get_faults(&both) else { panic!() };
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

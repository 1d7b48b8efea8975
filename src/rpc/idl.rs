//! The records against `idl/slowfs.thrift`.

use std::collections::{BTreeMap, BTreeSet};

use thrift::protocol::{TMessageType, TType};

use super::dialect::{NoCall, call};
use super::injections::{Healed, Injection, Injections, Rotted};
use super::matching::{Matched, Met};
use super::record::Record;
use super::records::{
    Applied, Cleared, Info, KindInfo, ListedFault, MethodInfo, ParamInfo, Put, Taken,
};
use super::scenario::{Run, RunEvent, RunRead, ScenarioWords, StepWords};
use super::statistics::{LatencyStatistics, MethodStatistics, PassthroughStatistics, Statistics};
use super::trace::{TraceEvent, TraceHead, TraceHit, TraceRead};
use super::unsynced::{
    PowerCut, PowerLoss, Unsynced, UnsyncedFile, UnsyncedMoment, UnsyncedName, UnsyncedRange,
};
use super::values::MEMBERS;
use super::wire::{Fields, Message, Value};
use crate::fault::CutWords;
use crate::fault::injections::RotWords;
use crate::fault::words::{EffectWords, FaultWords};

const IDL: &str = include_str!("../../idl/slowfs.thrift");
const PLAIN_IDL: &str = include_str!("../../idl/charybdefs.thrift");

/// An IDL without its comments.
fn code(idl: &str) -> String {
    let mut code = String::new();
    let mut rest = idl;
    while let Some((before, comment)) = rest.split_once("/**") {
        code.push_str(before);
        rest = comment.split_once("*/").unwrap().1;
    }
    code.push_str(rest);
    code.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// A field as the IDL declares it.
pub(super) struct Declared {
    pub(super) id: i16,
    pub(super) name: String,
    pub(super) ttype: String,
}

impl Declared {
    /// `1: i64 id`.
    fn read(text: &str) -> Declared {
        let (id, rest) = text.trim().split_once(": ").unwrap();
        // Go's zero struct would send another one than is meant.
        assert!(!rest.contains('='), "a field has a default: {rest}");
        let (ttype, name) = rest.rsplit_once(' ').unwrap();
        let (name, ttype) = (name.to_owned(), ttype.to_owned());
        Declared { id: id.parse().unwrap(), name, ttype }
    }
}

/// The structs of the IDL, by name, or its unions.
pub(super) fn structs(what: &str) -> BTreeMap<String, Vec<Declared>> {
    let field = |line: &str| Declared::read(line.trim().strip_suffix(',').unwrap());
    let code = code(IDL);
    let begins = format!("\n{what} ");
    let structs = code.split(&begins).skip(1).map(|text| {
        let (name, body) = text.split_once(" {").unwrap();
        let body = body.split_once("\n}").unwrap().0;
        let lines = body.lines().filter(|line| !line.trim().is_empty());
        (name.to_owned(), lines.map(field).collect())
    });
    structs.collect()
}

/// Both.
pub(super) fn types() -> BTreeMap<String, Vec<Declared>> {
    let mut types = structs("struct");
    types.extend(structs("union"));
    types
}

/// The calls of an IDL, by name, with the text of their arguments.
fn service(idl: &str) -> BTreeMap<String, String> {
    let code = code(idl);
    let parts: Vec<_> = code.split_once("\nservice ").unwrap().1.split('(').collect();
    let call = |pair: &[&str]| {
        let before = pair[0].trim_end();
        let name = before.rsplit(|c: char| c != '_' && !c.is_alphanumeric()).next().unwrap();
        (name.to_owned(), pair[1].split_once(')').unwrap().0.to_owned())
    };
    parts.windows(2).map(call).filter(|(name, _)| name != "throws").collect()
}

/// Slowfs's own calls, by name, with their arguments.
pub(super) fn calls() -> BTreeMap<String, Vec<Declared>> {
    let arguments = |text: String| {
        text.split(',').filter(|text| !text.trim().is_empty()).map(Declared::read).collect()
    };
    service(IDL).into_iter().map(|(name, text)| (name, arguments(text))).collect()
}

/// What Thrift's own readers put in the place of a missing field.
fn default(field: &Declared) -> Option<Value> {
    match field.ttype.as_str() {
        optional if optional.starts_with("optional ") => None,
        "bool" => Some(Value::Bool(false)),
        "i32" => Some(Value::I32(0)),
        "i64" => Some(Value::I64(0)),
        "string" | "binary" => Some(Value::text("")),
        "list<string>" | "list<binary>" => Some(Value::List(TType::String, vec![])),
        "list<i64>" => Some(Value::List(TType::I64, vec![])),
        list if list.starts_with("list<") => Some(Value::List(TType::Struct, vec![])),
        "map<i64, i64>" => Some(Value::Map(TType::I64, TType::I64, vec![])),
        "map<string, Value>" => Some(Value::Map(TType::String, TType::Struct, vec![])),
        "Fault" => Some(Value::Struct(FaultWords::default().encode())),
        other => panic!("{}: no default known of {other}", field.name),
    }
}

fn check<R: Record>(structs: &mut BTreeMap<String, Vec<Declared>>) {
    let fields = structs.remove(R::IDL).unwrap_or_else(|| panic!("the IDL has no {}", R::IDL));
    let said: Vec<_> = fields.iter().map(|f| (f.id, f.name.as_str(), f.ttype.clone())).collect();
    assert_eq!(R::declared(), said, "{}", R::IDL);
    let defaults: Vec<_> = fields.iter().filter_map(|f| Some((f.id, default(f)?))).collect();
    assert_eq!(R::default().encode(), Fields(defaults), "defaults of {}", R::IDL);
}

#[test]
fn every_struct_of_the_idl_is_declared_alike() {
    let mut structs = structs("struct");
    check::<FaultWords>(&mut structs);
    check::<EffectWords>(&mut structs);
    check::<Put>(&mut structs);
    check::<Cleared>(&mut structs);
    check::<Applied>(&mut structs);
    check::<Taken>(&mut structs);
    check::<KindInfo>(&mut structs);
    check::<ParamInfo>(&mut structs);
    check::<Injection>(&mut structs);
    check::<Injections>(&mut structs);
    check::<Healed>(&mut structs);
    check::<RotWords>(&mut structs);
    check::<CutWords>(&mut structs);
    check::<Rotted>(&mut structs);
    check::<ListedFault>(&mut structs);
    check::<MethodInfo>(&mut structs);
    check::<Info>(&mut structs);
    check::<Matched>(&mut structs);
    check::<Met>(&mut structs);
    check::<UnsyncedRange>(&mut structs);
    check::<UnsyncedFile>(&mut structs);
    check::<UnsyncedName>(&mut structs);
    check::<Unsynced>(&mut structs);
    check::<UnsyncedMoment>(&mut structs);
    check::<PowerCut>(&mut structs);
    check::<PowerLoss>(&mut structs);
    check::<TraceHead>(&mut structs);
    check::<TraceHit>(&mut structs);
    check::<TraceEvent>(&mut structs);
    check::<TraceRead>(&mut structs);
    check::<LatencyStatistics>(&mut structs);
    check::<MethodStatistics>(&mut structs);
    check::<PassthroughStatistics>(&mut structs);
    check::<Statistics>(&mut structs);
    check::<StepWords>(&mut structs);
    check::<ScenarioWords>(&mut structs);
    check::<Run>(&mut structs);
    check::<RunEvent>(&mut structs);
    check::<RunRead>(&mut structs);
    assert!(structs.is_empty(), "no records for {:?}", structs.keys());
}

#[test]
fn the_union_of_the_idl_is_declared_alike() {
    let unions = structs("union");
    let said: Vec<_> =
        unions["Value"].iter().map(|f| (f.id, f.name.as_str(), f.ttype.as_str())).collect();
    assert_eq!((unions.len(), said), (1, MEMBERS.to_vec()));
}

#[test]
fn every_call_of_the_idls_is_known() {
    let names: BTreeSet<_> =
        [PLAIN_IDL, IDL].into_iter().flat_map(service).map(|call| call.0).collect();
    assert_eq!(names.len(), 38, "{names:?}");
    let fuzzed = include_str!("../../fuzz/control.dict");
    let missing: Vec<_> =
        names.iter().filter(|n| !fuzzed.contains(&format!("\"{n}\"\n"))).collect();
    assert!(missing.is_empty(), "not in fuzz/control.dict: {missing:?}");
    for name in names {
        let kind = TMessageType::Call;
        let message = Message { name: name.clone(), kind, seq: 0, body: Fields::default() };
        assert_ne!(call(&message), Err(NoCall::Unknown), "{name}");
    }
}

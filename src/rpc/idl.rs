//! The records against `idl/slowfs.thrift`, and against the bytes and the JSON that they have always
//! been.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use serde::Serialize;
use thrift::protocol::{TMessageType, TType};

use super::dialect::{NoCall, call};
use super::record::Record;
use super::records::{FaultSpec, Info, ListedFault, MethodInfo};
use super::statistics::{LatencyStatistics, MethodStatistics, PassthroughStatistics, Statistics};
use super::wire::tests::read_one;
use super::wire::{Fields, Message, Value, encode};

const IDL: &str = include_str!("../../idl/slowfs.thrift");
const PLAIN_IDL: &str = include_str!("../../idl/charybdefs.thrift");
const GOLDEN: &str = include_str!("../../tests/golden/records.txt");

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
struct Declared {
    id: i16,
    name: String,
    ttype: String,
    default: Option<String>,
}

/// The structs of the IDL, by name.
fn structs() -> BTreeMap<String, Vec<Declared>> {
    let field = |line: &str| {
        let (id, rest) = line.trim().strip_suffix(',').unwrap().split_once(": ").unwrap();
        let (rest, default) = match rest.split_once(" = ") {
            Some((rest, default)) => (rest, Some(default.to_owned())),
            None => (rest, None),
        };
        let (ttype, name) = rest.rsplit_once(' ').unwrap();
        let (name, ttype) = (name.to_owned(), ttype.to_owned());
        Declared { id: id.parse().unwrap(), name, ttype, default }
    };
    let code = code(IDL);
    let structs = code.split("\nstruct ").skip(1).map(|text| {
        let (name, body) = text.split_once(" {").unwrap();
        let body = body.split_once("\n}").unwrap().0;
        let lines = body.lines().filter(|line| !line.trim().is_empty());
        (name.to_owned(), lines.map(field).collect())
    });
    structs.collect()
}

/// What Thrift's own readers put in the place of a missing field.
fn default(field: &Declared) -> Option<Value> {
    let given = field.default.as_deref();
    match field.ttype.as_str() {
        optional if optional.starts_with("optional ") => None,
        "bool" => Some(Value::Bool(given == Some("true"))),
        "i32" => Some(Value::I32(given.map_or(0, |n| n.parse().unwrap()))),
        "i64" => Some(Value::I64(given.map_or(0, |n| n.parse().unwrap()))),
        "double" => Some(Value::Double(given.map_or(0.0, |n| n.parse().unwrap()))),
        "string" => Some(Value::text(given.unwrap_or("\"\"").trim_matches('"'))),
        "list<string>" => Some(Value::List(TType::String, vec![])),
        "list<MethodStatistics>" => Some(Value::List(TType::Struct, vec![])),
        "map<i64, i64>" => Some(Value::Map(TType::I64, TType::I64, vec![])),
        "Fault" => Some(Value::Struct(FaultSpec::default().encode())),
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
    let mut structs = structs();
    check::<FaultSpec>(&mut structs);
    check::<ListedFault>(&mut structs);
    check::<MethodInfo>(&mut structs);
    check::<Info>(&mut structs);
    check::<LatencyStatistics>(&mut structs);
    check::<MethodStatistics>(&mut structs);
    check::<PassthroughStatistics>(&mut structs);
    check::<Statistics>(&mut structs);
    assert!(structs.is_empty(), "no records for {:?}", structs.keys());
}

#[test]
fn every_call_of_the_idls_is_known() {
    let mut names = BTreeSet::new();
    for idl in [PLAIN_IDL, IDL] {
        let code = code(idl);
        for before in code.split_once("\nservice ").unwrap().1.split('(') {
            let name = before.rsplit(|c: char| c != '_' && !c.is_alphanumeric()).next().unwrap();
            names.extend((!name.is_empty() && name != "throws").then(|| name.to_owned()));
        }
    }
    assert_eq!(names.len(), 13, "{names:?}");
    for name in names {
        let kind = TMessageType::Call;
        let message = Message { name: name.clone(), kind, seq: 0, body: Fields::default() };
        assert_ne!(call(&message), Err(NoCall::Unknown), "{name}");
    }
}

/// Compares with the line of that name in tests/golden/records.txt: its fields in hexadecimal, and
/// its JSON.
fn is_golden<R: Record + Serialize + PartialEq + Debug>(name: &str, record: R) {
    let line = GOLDEN.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    let (hex, json) = line.unwrap_or_else(|| panic!("no {name}")).split_once(' ').unwrap();
    let kind = TMessageType::Reply;
    let reply = Message { name: String::new(), kind, seq: 0, body: record.encode() };
    let bytes = encode(&reply, false).unwrap();
    let written: String = bytes[12..].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(written, hex, "{name}");
    assert_eq!(serde_json::to_string(&record).unwrap(), json, "{name}");
    assert_eq!(R::decode(&read_one(&bytes).body), Ok(record), "{name}");
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn faults_are_written_as_ever() {
    let fault = FaultSpec {
        methods: ["fsync", "write"].map(str::to_owned).to_vec(),
        pattern: "(^|.*/)wal/.*".into(),
        probability: 0.25,
        delay_ns: Some(5_000),
        hang: true,
        errnos: ["EIO", "200"].map(str::to_owned).to_vec(),
        random_errno: true,
        kill_caller: true,
        count: Some(4),
        after: 3,
        lifetime_ns: Some(9),
    };
    let listed = ListedFault {
        id: 7,
        fault: fault.clone(),
        matched: 1,
        fired: 2,
        held: 3,
        expires_in_ns: Some(4),
        out_of_reach: text("some"),
        ended_unix_ns: Some(5),
        why: text("spent"),
        past_cache: 6,
        let_go: 8,
        skipped: 9,
    };
    is_golden("fault", fault);
    is_golden("default_fault", FaultSpec::default());
    is_golden("listed", listed);
    is_golden("default_listed", ListedFault::default());
}

#[test]
fn the_mount_is_written_as_ever() {
    let method = |name: &str, obstacle, out_of_reach| {
        let name = name.to_owned();
        MethodInfo { name, obstacle, out_of_reach }
    };
    is_golden("method", method("access", text("why"), text("some")));
    is_golden("bare_method", method("read", None, None));
    let info = Info {
        version: "1".into(),
        mountpoint: "/m".into(),
        backing: "/b".into(),
        pid: 2,
        started_unix_ms: 3,
        faults: 4,
        threads: 5,
        direct_io: true,
        read_only: true,
        seeded: true,
        stats: true,
        probability_scale: "auto".into(),
        fuse_protocol: "7.41".into(),
        capabilities: vec!["FUSE_X".into()],
        passthrough_except: text(".*"),
    };
    is_golden("info", info);
    is_golden("default_info", Info::default());
}

#[test]
fn statistics_are_written_as_ever() {
    let buckets = [(5, 6), (7, 8)].into();
    let latency = LatencyStatistics { timed: 1, p50_ns: 2, p99_ns: 3, max_ns: 4, buckets };
    let read =
        MethodStatistics { name: "read".into(), calls: 1, errors: 2, latency: Some(latency) };
    let all = Statistics {
        elapsed_ns: 1,
        calls: 2,
        errors: 3,
        methods: vec![read, MethodStatistics::default()],
        passthrough: None,
        log_lines_lost: 4,
        connections_dropped: 5,
        threads: 6,
        waiting: 7,
        callers_freed: 8,
        held_bytes_in_memory: 9,
        held_bytes_in_file: 10,
    };
    is_golden("statistics", all);
    let files = PassthroughStatistics { open: 11, files: 12, refused: 13 };
    let of_files = Statistics { passthrough: Some(files), ..Statistics::default() };
    is_golden("passthrough", of_files);
}

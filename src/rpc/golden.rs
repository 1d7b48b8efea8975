//! The records against the bytes and the JSON that they have always been.

mod stored;

use std::fmt::Debug;

use serde::Serialize;
use thrift::protocol::TMessageType;

use super::matching::{Matched, Met};
use super::record::Record;
use super::records::{Cleared, Info, KindInfo, ListedFault, MethodInfo, ParamInfo, Put, Taken};
use super::scenario::{Run, RunEvent, RunRead, ScenarioWords, StepWords};
use super::statistics::{LatencyStatistics, MethodStatistics, PassthroughStatistics, Statistics};
use super::trace::{TraceEvent, TraceHead, TraceHit, TraceRead};
use super::unsynced::{
    PowerCut, PowerLoss, Unsynced, UnsyncedFile, UnsyncedMoment, UnsyncedName, UnsyncedRange,
};
use super::values::WirePath;
use super::wire::tests::read_one;
use super::wire::{Message, encode};
use crate::fault::CutWords;
use crate::fault::injections::RotWords;
use crate::fault::words::{self, Args, EffectWords, FaultWords};

const GOLDEN: &str = include_str!("../../tests/golden/records.txt");

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
    let effect = |kind: &str, name: &str, value| EffectWords {
        kind: kind.to_owned(),
        params: Args::new().with(name, value),
    };
    let texts = ["EIO", "200"].map(str::to_owned).to_vec();
    let fault = FaultWords {
        methods: ["fsync", "write"].map(str::to_owned).to_vec(),
        pattern: "(^|.*/)wal/.*".into(),
        options: Args::new()
            .with("probability", words::Value::Share(0.25))
            .with("sticky", words::Value::Flag(true))
            .with("size", words::Value::Text("4KiB..".into())),
        effects: vec![
            effect("delay", "time", words::Value::Whole(5_000)),
            effect("error", "errnos", words::Value::Texts(texts)),
        ],
        name: text("slow"),
    };
    let listed = ListedFault {
        id: 7,
        fault: fault.clone(),
        category: "fault".into(),
        state: "ended".into(),
        matched: 1,
        fired: 2,
        held: 3,
        skipped: 9,
        let_go: 8,
        past_cache: 6,
        expires_in_ns: Some(4),
        out_of_reach: text("some"),
        warnings: vec!["one".into()],
        ended_unix_ns: Some(5),
        why: text("spent"),
        set_ns: Some(10),
    };
    let taken = Taken { id: 6, methods: vec!["fsync".into()], left: vec!["read".into()] };
    let put = Put {
        id: 7,
        replaced: vec![3, 4],
        released: 5,
        unchanged: true,
        warnings: vec!["one".into()],
        changed: vec!["two".into()],
        taken: vec![taken.clone()],
    };
    is_golden("fault", fault);
    is_golden("default_fault", FaultWords::default());
    is_golden("listed", listed);
    is_golden("default_listed", ListedFault::default());
    is_golden("put", put);
    is_golden(
        "cleared",
        Cleared {
            faults: vec![1, 2],
            released: 3,
            taken: vec![taken],
            scenario: text("slow"),
            power: text("on"),
            warnings: vec!["one".into()],
        },
    );
    let of_time = ParamInfo {
        name: "time".into(),
        takes: "time".into(),
        form: "TIME".into(),
        first: true,
        needed: true,
        about: "how long, as in 300ms, 1us, 2s".into(),
    };
    let kind = KindInfo {
        name: "delay".into(),
        about: "Delay matching operations".into(),
        params: vec![of_time],
        methods: vec!["read".into()],
        category: "time".into(),
    };
    is_golden("kind", kind);
}

#[test]
fn what_matches_is_written_as_ever() {
    let path = |path: &str| WirePath(path.into());
    let (paths, whole) = (vec![path("/a"), path("/b")], true);
    let warnings = vec!["w".to_owned()];
    is_golden("matched", Matched { paths, matching: 1, seen: 2, left_out: 3, whole, warnings });
    is_golden("met", Met { path: path("/a"), faults: vec![], others: 4 });
    let file = UnsyncedFile {
        path: path("/a"),
        bytes: 1,
        ranges: vec![UnsyncedRange { offset: 2, len: 3 }],
        sizes: 4,
        age_ns: 5,
        lost: 11,
    };
    let name = UnsyncedName { path: path("/b"), what: "made".into() };
    let unsynced = Unsynced {
        files: vec![file],
        names: vec![name],
        left_out: 6,
        entries: 7,
        remembered: 8,
        written_back: 9,
        age_ns: 10,
        foreign: vec![path("/c")],
        cuts: 11,
        off: true,
    };
    is_golden("unsynced", unsynced);
    let (before, to, lost) = ("rename".to_owned(), Some(path("/b")), true);
    let moment = UnsyncedMoment {
        n: 1,
        before,
        path: path("/a"),
        to,
        entries: 2,
        output: 3,
        lost,
        why: text("so"),
    };
    is_golden("unsynced_moment", moment);
    let cut = PowerCut {
        image: path("/i/a"),
        keep: "none".into(),
        unit: 512,
        seed: "1".into(),
        entries: 2,
        dropped: 3,
        reverted: 4,
        made: 5,
        copied: 6,
        manifest: path("/i/a.json"),
    };
    is_golden("power_cut", cut);
    let loss = PowerLoss {
        keep: "none".into(),
        unit: 512,
        seed: "1".into(),
        entries: 2,
        dropped: 3,
        reverted: 4,
        killed: vec![5, 6],
        off: true,
        cuts: 7,
    };
    is_golden("power_loss", loss);
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
        mountpoint: WirePath("/m".into()),
        backing: WirePath("/b".into()),
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
        kinds: vec!["delay".into()],
        features: vec!["count".into(), "name".into()],
        listen: text("127.0.0.1:9090"),
        socket: Some(WirePath("/run/slowfs/m".into())),
        http: text("127.0.0.1:9464"),
        allow: vec!["10.0.0.0/8".into()],
    };
    is_golden("info", info);
    is_golden("default_info", Info::default());
}

#[test]
fn traces_are_written_as_ever() {
    let head = TraceHead {
        version: "1".into(),
        fuse_protocol: "7.41".into(),
        seed: "2".into(),
        mountpoint: WirePath("/m".into()),
        backing: WirePath("/b".into()),
        monotonic_ns: 3,
        unix_ns: 4,
    };
    is_golden("trace_head", head);
    let hit = TraceHit {
        id: 19,
        name: text("slow"),
        kind: "delay+error".into(),
        n: 20,
        asked_ns: Some(21),
        due_ns: Some(22),
        action: "held+failed".into(),
        injection: vec![23, 24],
    };
    let event = TraceEvent {
        seq: 5,
        t_ns: 6,
        method: "rename".into(),
        path: Some(WirePath("/b/a".into())),
        other: Some(WirePath("/b/c".into())),
        inode: 7,
        handle: Some(8),
        offset: Some(9),
        len: Some(10),
        flags: 11,
        tid: 12,
        uid: 13,
        result: "EIO".into(),
        errno: 14,
        bytes: 15,
        backing_ns: Some(16),
        done_ns: 17,
        hits: vec![hit, TraceHit::default()],
    };
    let events = vec![event, TraceEvent::default()];
    is_golden("trace_read", TraceRead { events, dropped: 18, ended: true });
}

#[test]
fn scenarios_are_written_as_ever() {
    let step = StepWords {
        line: 1,
        at_ns: Some(2),
        once: text("slow"),
        fired: 3,
        command: "put".into(),
        faults: vec![FaultWords::default()],
        add: true,
        clear: vec!["fsync".into()],
        text: "kill".into(),
        rot: Some(RotWords { pattern: "p".into(), ..RotWords::default() }),
        cut: Some(CutWords { to: text("c"), ..CutWords::default() }),
    };
    let steps = vec![step, StepWords::default()];
    let (name, seed) = ("disk".to_owned(), text("5"));
    let scenario = ScenarioWords { name, steps, end_ns: 4, seed, timed: true, detached: true };
    is_golden("scenario", scenario);
    let run = Run {
        name: "disk".into(),
        state: "ended".into(),
        done: 1,
        steps: 2,
        elapsed_ns: 3,
        end_ns: 4,
        next: text("kill"),
        next_ns: Some(5),
        started_ns: Some(6),
        started_unix_ns: Some(7),
        detached: true,
        by: "pid:1".into(),
        why: text("it was stopped"),
        failed: true,
        seed: "8".into(),
    };
    is_golden("run", run.clone());
    is_golden("default_run", Run::default());
    let event = RunEvent {
        seq: 1,
        what: "step".into(),
        line: 2,
        planned_ns: Some(3),
        at_ns: 4,
        text: "fault 5".into(),
        faults: vec![5],
        warnings: vec!["w".into()],
        counted_ns: Some(6),
        requests: vec![MethodStatistics::default()],
    };
    is_golden("run_read", RunRead { run: Some(run), events: vec![event, RunEvent::default()] });
}

#[test]
fn statistics_are_written_as_ever() {
    let buckets = [(5, 6), (7, 8)].into();
    let latency = LatencyStatistics { timed: 1, p50_ns: 2, p99_ns: 3, max_ns: 4, buckets };
    let read = MethodStatistics {
        name: "read".into(),
        calls: 1,
        errors: 2,
        latency: Some(latency),
        injected: 3,
        usual: 4,
    };
    let write = MethodStatistics { name: "write".into(), calls: 5, ..MethodStatistics::default() };
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
        injected: 11,
        usual: 12,
        requests: vec![write],
    };
    is_golden("statistics", all);
    let files = PassthroughStatistics { open: 11, files: 12, refused: 13 };
    let of_files = Statistics { passthrough: Some(files), ..Statistics::default() };
    is_golden("passthrough", of_files);
}

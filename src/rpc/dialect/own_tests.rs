//! What real clients send by slowfs's own calls, and how it is read. No call is without a golden frame, nor is a
//! field or a step of a scenario.

use std::collections::{BTreeMap, BTreeSet};

use super::super::idl::{Declared, calls, types};
use super::super::scenario::{COMMANDS, ScenarioWords, StepWords};
use super::super::wire::tests::{golden, names, read_one};
use super::*;
use crate::fault::CutWords;
use crate::fault::words::{self, Args, EffectWords};

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn effect(kind: &str, params: Args) -> EffectWords {
    EffectWords { kind: kind.to_owned(), params }
}

/// `HANG_WAL` of tests/golden/capture.py.
fn hang() -> FaultWords {
    let errnos = words::Value::Texts(texts(&["EIO", "28"]));
    FaultWords {
        methods: texts(&["fsync", "write"]),
        pattern: "(^|.*/)member/wal/.*".into(),
        options: Args::new()
            .with("probability", words::Value::Share(0.25))
            .with("count", words::Value::Whole(3))
            .with("lasts", words::Value::Text("5s".into())),
        effects: vec![
            effect("hang", Args::new()),
            effect("error", Args::new().with("errnos", errnos)),
        ],
        name: Some("slow-wal".into()),
    }
}

/// `KILL`.
fn kill() -> FaultWords {
    let effects = vec![effect("kill", Args::new())];
    FaultWords { methods: texts(&["all"]), effects, ..FaultWords::default() }
}

/// `ROT`.
fn rot() -> RotWords {
    RotWords {
        pattern: ".*/data/.*".into(),
        how: "flip:3".into(),
        spots: 4,
        unit: 4096,
        length: 2,
        seed: Some(u64::MAX.to_string()),
        hidden: true,
    }
}

fn of_faults() -> Vec<(&'static str, Call)> {
    let put = Call::Put { fault: hang(), add: true };
    let stable = Args::new().with("stable", words::Value::Flag(true));
    let stable = FaultWords { methods: texts(&["write"]), options: stable, ..kill() };
    let all = vec![hang(), kill()];
    let wait = Wait {
        name_or_id: "slow-wal".into(),
        what: "fired".into(),
        n: 3,
        timeout_ns: 2_000_000_000,
    };
    vec![
        ("put_fault", put.clone()),
        ("put_fault_framed", put),
        ("put_fault_bare", Call::Put { fault: kill(), add: false }),
        ("put_fault_flag", Call::Put { fault: stable, add: false }),
        ("put_faults", Call::PutAll { faults: all.clone(), remove: vec![7, 8], only_these: true }),
        ("apply_faults", Call::Apply { faults: all, prune: true }),
        ("clear", Call::Clear(texts(&["fsync", "slow-wal", "7"]))),
        ("remove_fault", Call::Remove("7".into())),
        ("clear_methods", Call::ClearMethods(texts(&["read", "write"]))),
        ("list_faults", Call::ListFaults),
        ("list_ended", Call::ListEnded),
        ("wait", Call::Wait(wait)),
    ]
}

fn of_what_is_told() -> Vec<(&'static str, Call)> {
    let (methods, pattern) = (texts(&["write"]), ".*/wal/.*".into());
    let below = WirePath::of(b"/b/\xff");
    vec![
        ("list_kinds", Call::ListKinds),
        ("list_methods", Call::ListMethods),
        ("trace_start", Call::TraceStart(Traced { methods, pattern, fired: true })),
        ("trace_read", Call::TraceRead { after: 7, most: 100 }),
        ("trace_stop", Call::TraceStop),
        ("match_files", Call::MatchFiles { pattern: ".*/wal/.*".into(), below, most: 5 }),
        ("match_path", Call::MatchPath(WirePath::of(b"/m/\xff"))),
        ("info", Call::Info),
        ("stats", Call::Stats),
    ]
}

fn of_what_is_stored() -> Vec<(&'static str, Call)> {
    let keep = "prefix:7".to_owned();
    let (name, seed) = ("lost".to_owned(), "8".to_owned());
    let cut = Cut { name, keep, unit: 4096, seed: seed.clone(), max_stall_ns: 2_000_000_000 };
    let now = CutNow {
        ticket: 7,
        keep: "random".into(),
        unit: 512,
        seed,
        stay_off: true,
        kill: true,
        client: 9,
    };
    let bare = RotWords { pattern: ".*".into(), ..RotWords::default() };
    vec![
        ("injections", Call::Injections { after: 7, most: 100 }),
        ("heal", Call::Heal { ids: vec![3, 4], after: 2 }),
        ("rot", Call::Rot(rot())),
        ("rot_bare", Call::Rot(bare)),
        ("unsynced", Call::Unsynced),
        ("checkpoint", Call::Checkpoint),
        ("unsynced_moments", Call::UnsyncedMoments { after: 7 }),
        ("power_cut", Call::PowerCut { cut, moment: 3 }),
        ("power_prepare", Call::PowerPrepare { stays_ns: 30_000_000_000 }),
        ("power_commit", Call::PowerCommit(now)),
        ("power_abort", Call::PowerAbort { ticket: 7 }),
        ("power_on", Call::PowerOn),
    ]
}

fn of_scenarios() -> Vec<(&'static str, Call)> {
    vec![
        ("run_load", Call::RunLoad(disk())),
        ("run_load_stored", Call::RunLoad(stored())),
        ("run_start", Call::RunStart),
        ("run_read", Call::RunRead { after: 7 }),
        ("run_stop", Call::RunStop),
    ]
}

fn step(line: i64, command: &str, text: &str) -> StepWords {
    let (command, text) = (command.to_owned(), text.to_owned());
    StepWords { line, command, text, ..StepWords::default() }
}

/// `SCENARIO`.
fn disk() -> ScenarioWords {
    let steps = vec![
        StepWords {
            at_ns: Some(0),
            faults: vec![kill()],
            add: true,
            ..step(1, "put", "kill -m all --add")
        },
        StepWords {
            once: Some("slow".into()),
            fired: 3,
            clear: vec!["slow".into()],
            ..step(2, "clear", "clear slow")
        },
        StepWords {
            at_ns: Some(5),
            faults: vec![hang(), kill()],
            ..step(3, "only", "recipe full")
        },
        StepWords { once: Some("7".into()), fired: 1, ..step(4, "end", "end") },
    ];
    let (name, seed) = ("disk".to_owned(), Some("7".to_owned()));
    ScenarioWords { name, steps, end_ns: 60_000_000_000, seed, timed: true, detached: true }
}

/// `STORED`.
fn stored() -> ScenarioWords {
    let at =
        |n: i64, command: &str, text: &str| StepWords { at_ns: Some(n), ..step(n, command, text) };
    let image = CutWords {
        to: Some("lost".into()),
        keep: "prefix:7".into(),
        unit: 4096,
        seed: Some("8".into()),
        max_stall_ns: 2_000_000_000,
        ..CutWords::default()
    };
    let in_place =
        CutWords { keep: "random".into(), stay_off: true, kill: true, ..CutWords::default() };
    let steps = vec![
        StepWords { rot: Some(rot()), ..at(1, "rot", "rot flip:3") },
        at(2, "heal", "heal"),
        at(3, "checkpoint", "checkpoint"),
        StepWords { cut: Some(image), ..at(4, "power_cut", "power-cut --to lost") },
        StepWords { cut: Some(in_place), ..at(5, "power_cut", "power-cut --now") },
        at(6, "power_on", "power-on"),
    ];
    ScenarioWords { name: "stored".into(), steps, end_ns: 9, ..ScenarioWords::default() }
}

/// Every golden frame of an own call, and what it means.
fn meant() -> Vec<(&'static str, Call)> {
    [of_faults(), of_what_is_told(), of_what_is_stored(), of_scenarios()].concat()
}

#[test]
fn own_calls_of_the_python_stubs_are_read() {
    let own = calls();
    let frames: BTreeSet<_> =
        names().filter(|name| own.contains_key(&read_one(&golden(name)).name)).collect();
    let meant = meant();
    assert_eq!(meant.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>(), frames);
    for (name, meant) in meant {
        assert_eq!(call(&read_one(&golden(name))), Ok(meant), "{name}");
    }
}

/// The types that a client sends, by name.
type Types = BTreeMap<String, Vec<Declared>>;

/// The name of the struct that a type is, or has in it.
fn within(ttype: &str) -> &str {
    ttype.rsplit(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty()).unwrap()
}

/// Notes each of these fields, which are of that call or struct, and all that are in them.
fn declare(of: &str, fields: &[Declared], types: &Types, noted: &mut BTreeSet<String>) {
    for Declared { name, ttype, .. } in fields {
        if let (true, Some(fields)) =
            (noted.insert(format!("{of}.{name}")), types.get(within(ttype)))
        {
            declare(within(ttype), fields, types, noted);
        }
    }
}

/// The same of what a frame brings.
fn note(of: &str, sent: &Fields, fields: &[Declared], types: &Types, noted: &mut BTreeSet<String>) {
    for (id, value) in &sent.0 {
        let field = fields.iter().find(|field| field.id == *id);
        let Declared { name, ttype, .. } = field.unwrap_or_else(|| panic!("{of} has no {id}"));
        noted.insert(format!("{of}.{name}"));
        let values: Vec<_> = match value {
            Value::List(_, values) => values.iter().collect(),
            Value::Map(_, _, entries) => entries.iter().map(|(_, value)| value).collect(),
            one => vec![one],
        };
        let ttype = within(ttype);
        for sent in values.into_iter().filter_map(Value::as_fields) {
            note(ttype, sent, &types[ttype], types, noted);
        }
    }
}

#[test]
fn every_own_call_and_each_field_that_it_may_bring_is_in_a_golden_frame() {
    let (calls, types) = (calls(), types());
    let (mut wanted, mut sent) = (BTreeSet::new(), BTreeSet::new());
    for (name, arguments) in &calls {
        wanted.insert(name.clone());
        declare(name, arguments, &types, &mut wanted);
    }
    for message in names().map(|name| read_one(&golden(name))) {
        if let Some(arguments) = calls.get(&message.name) {
            note(&message.name, &message.body, arguments, &types, &mut sent);
            sent.insert(message.name);
        }
    }
    let missing: Vec<_> = wanted.difference(&sent).collect();
    assert!(missing.is_empty(), "tests/golden/capture.py sends none of {missing:?}");
}

#[test]
fn every_step_of_a_scenario_is_in_a_golden_frame() {
    let steps = [disk(), stored()].into_iter().flat_map(|scenario| scenario.steps);
    let sent: BTreeSet<_> = steps.map(|step| step.command).collect();
    let all = COMMANDS.split([',', ' ']).filter(|word| !["", "and"].contains(word));
    assert_eq!(sent, all.map(str::to_owned).collect());
}

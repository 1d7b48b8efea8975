//! The house has floors: imports point down only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod house;

use std::collections::BTreeSet;

use house::{House, Source, sources};

/// Each room, and the rooms of this crate it may use.
const ROOMS: [(&str, &[&str]); 15] = [
    ("main", &["cli"]),
    (
        "cli",
        &[
            "daemon", "fs", "rpc", "scenario", "unsynced", "fault", "mirror", "stats", "ops",
            "log", "sys", "measure",
        ],
    ),
    ("daemon", &["fs", "rpc", "unsynced", "fault", "mirror", "kept", "stats", "ops", "log", "sys"]),
    ("fs", &["unsynced", "fault", "mirror", "kept", "stats", "ops", "sys"]),
    ("rpc", &["scenario", "fault", "stats", "ops", "sys"]),
    ("scenario", &["fault", "stats", "ops"]),
    ("unsynced", &["fault", "mirror", "kept", "sys"]),
    ("fault", &["ops", "sys"]),
    ("mirror", &["ops", "sys"]),
    ("kept", &[]),
    ("stats", &["ops"]),
    ("ops", &[]),
    ("log", &["sys"]),
    ("sys", &[]),
    ("measure", &[]),
];

/// Words that only some rooms may use.
const OWNED: [(&str, &[&str]); 5] = [
    ("fuser::", &["fs", "daemon"]),
    ("thrift::", &["rpc"]),
    ("httparse::", &["rpc"]),
    ("anyhow", &["main", "cli"]),
    ("unsafe {", &["sys"]),
];

#[test]
fn imports_point_down_only() {
    let mut wrong = Vec::new();
    let house = House::new(sources());
    for source in &house.sources {
        let room = source.room();
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            assert_eq!(room, "lib", "src/{room} is a room without a floor");
            continue;
        };
        for used in house.uses(source) {
            let other = used.first().map_or("", String::as_str);
            let is_room = ROOMS.iter().any(|(name, _)| *name == other);
            if is_room && other != room && !allowed.contains(&other) {
                wrong.push(format!(
                    "{}: {room} must not use {other}: {}",
                    source.name,
                    used.join("::")
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A front (`mod.rs`, or the file beside a folder of its name) knows its parts and may be known by them. Else
/// there is an order among all files of a room: none uses another that uses it, by whatever way round. What a front
/// hands on is of the file that has it.
#[test]
fn files_of_a_room_have_an_order() {
    let house = House::new(sources());
    let uses: Vec<_> = house.sources.iter().map(|file| house.uses_files(file)).collect();
    // All that a file comes to by way of others.
    let reached = |file: usize| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![file]);
        while let Some(at) = next.pop() {
            next.extend(uses[at].iter().filter(|used| seen.insert(**used)));
        }
        seen
    };
    let reached: Vec<_> = (0..uses.len()).map(reached).collect();
    let name = |file: usize| house.sources[file].name.as_str();
    let mut circles = Vec::new();
    for (file, used) in uses.iter().enumerate() {
        let back = used.iter().filter(|used| reached[**used].contains(&file));
        circles.extend(back.map(|used| format!("{} uses {}", name(file), name(*used))));
    }
    circles.sort_unstable();
    assert!(circles.is_empty(), "files that use each other:\n{}", circles.join("\n"));
}

#[test]
fn each_dependency_stays_in_its_room() {
    let mut wrong = Vec::new();
    let sources = sources();
    let lines =
        sources.iter().flat_map(|source| source.code.lines().map(move |code| (source, code)));
    for (source, code) in lines {
        let (place, room) = (&source.name, source.room());
        for (word, owners) in OWNED {
            if code.contains(word) && !owners.contains(&room) {
                wrong.push(format!("{place}: {word} belongs to {owners:?}: {}", code.trim()));
            }
        }
        let calls_libc = code.match_indices("libc::").any(|(at, word)| {
            let rest = &code[at + word.len()..];
            let name: String =
                rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            rest[name.len()..].starts_with('(') && name.chars().any(char::is_lowercase)
        });
        if calls_libc && room != "sys" {
            wrong.push(format!("{place}: a libc call belongs to sys: {}", code.trim()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What docs/security.md says that the daemon does not do.
#[test]
fn the_daemon_starts_fusermount_only_and_reads_no_memory_of_callers() {
    let (mut starts, mut reads) = (Vec::new(), Vec::new());
    for Source { name, code } in sources() {
        let of_commands = ["main", "cli/", "measure/"].iter().any(|room| name.starts_with(room));
        if of_commands || name.ends_with("tests") {
            continue;
        }
        if code.contains("Command::new(") {
            starts.push(name.clone());
        }
        let words = ["process_vm_readv(", "ptrace(", "/mem\""];
        reads.extend(words.into_iter().filter(|word| code.contains(word)).map(|_| name.clone()));
    }
    assert_eq!(starts, ["daemon/fusermount"]);
    assert!(reads.is_empty(), "{reads:?}");
}

/// Words that are a kind's name by chance (a field of `--json`, a level of the log, a column of the demo, a capability, how a mount
/// is, an option of a power cut), and a command that the demo shows.
const NO_KINDS: [(&str, &str); 9] = [
    ("rpc/objects", "error"),
    ("cli/watch", "error"),
    ("cli/demo/delays", "delay"),
    ("cli/demo/torn", "torn-write"),
    ("cli/doctor/rights", "kill"),
    ("cli/render", "read-only"),
    ("fault/kinds/cut_at", "kill"),
    ("rpc/dialect", "kill"),
    ("log/line", "error"),
];

/// What speaks of kinds reads their table: a new one is named in its own file only, and where
/// charybdefs's calls and cookbook are put in words.
#[test]
fn no_kind_is_named_outside_its_file() {
    let mut wrong = Vec::new();
    for Source { name, code } in sources() {
        let of_tests =
            name.ends_with("tests") || name.ends_with("sketches") || name.starts_with("rpc/golden");
        if of_tests || ["fault/words/plain", "cli/recipe"].contains(&name.as_str()) {
            continue;
        }
        for kind in slowfs::fault::KINDS.iter().map(|kind| kind.name()) {
            let own = name == format!("fault/kinds/{}", kind.replace('-', "_"));
            let by_chance = NO_KINDS.contains(&(name.as_str(), kind));
            if code.contains(&format!("\"{kind}\"")) && !own && !by_chance {
                wrong.push(format!("{name} names {kind}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

//! The house has floors: imports point down only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

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

/// A source file: the path below `src` without its ending (`fs/serve`, `daemon/mod`), and its code
/// without comments and unit tests.
struct Source {
    name: String,
    code: String,
}

impl Source {
    /// `src/fs/serve.rs` is of room `fs`.
    fn room(&self) -> &str {
        self.name.split('/').next().unwrap()
    }

    /// The path of its module: `["fs", "serve"]`.
    fn module(&self) -> Vec<&str> {
        let mut path: Vec<_> = self.name.split('/').collect();
        path.pop_if(|last| *last == "mod");
        path
    }

    /// The paths of all it uses, from the crate's root: imports, grouped ones too, and paths in code.
    fn uses(&self) -> Vec<Vec<String>> {
        let mut words = Vec::new();
        for (at, _) in self.code.match_indices("use ") {
            let statement = &self.code[at + 4..];
            words.extend(spread(&statement[..statement.find(';').unwrap_or_default()]));
        }
        for root in ["crate::", "super::", "slowfs::"] {
            for (at, _) in self.code.match_indices(root) {
                let end = |c: char| !(c.is_alphanumeric() || c == '_' || c == ':');
                let path = &self.code[at..];
                words.push(path[..path.find(end).unwrap_or(path.len())].to_owned());
            }
        }
        words.iter().filter_map(|word| self.resolve(word)).collect()
    }

    fn resolve(&self, word: &str) -> Option<Vec<String>> {
        let parts: Vec<_> = word.split("::").map(str::trim).collect();
        let up = parts.iter().take_while(|part| **part == "super").count();
        let module = self.module();
        let base = match parts[0] {
            "crate" | "slowfs" => &[][..],
            "super" => &module[..module.len().checked_sub(up)?],
            _ => return None,
        };
        let rest = parts[up.max(1)..].iter();
        Some(base.iter().chain(rest).map(|part| (*part).to_owned()).collect())
    }
}

/// The single imports of a grouped one: `a::{b, c::{d, e}}` is `a::b`, `a::c::d`, `a::c::e`.
fn spread(import: &str) -> Vec<String> {
    let import = import.trim();
    let Some((before, group)) = import.split_once('{') else { return vec![import.to_owned()] };
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let (mut depth, mut members) = (0, vec![String::new()]);
    for c in group.chars() {
        match c {
            ',' if depth == 0 => members.push(String::new()),
            c => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                members.last_mut().unwrap().push(c);
            }
        }
    }
    let members = members.iter().filter(|member| !member.trim().is_empty());
    members.flat_map(|member| spread(member)).map(|member| format!("{before}{member}")).collect()
}

fn sources() -> Vec<Source> {
    fn find(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                find(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    find(&src, &mut files);
    assert!(files.len() > 20, "only {} files found below {}", files.len(), src.display());
    let read = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
        Source {
            name: file.with_extension("").strip_prefix(&src).unwrap().display().to_string(),
            code: code.collect::<Vec<_>>().join("\n"),
        }
    };
    files.into_iter().map(read).collect()
}

#[test]
fn grouped_imports_are_read() {
    let spread = |import| spread(import).join(" ");
    assert_eq!(spread("crate::fs"), "crate::fs");
    assert_eq!(
        spread("crate::{fs, rpc::{self, Client}}"),
        "crate::fs crate::rpc::self crate::rpc::Client"
    );
    assert_eq!(spread("a::{b::{c, d}, e::{f}}"), "a::b::c a::b::d a::e::f");
}

#[test]
fn imports_point_down_only() {
    let mut wrong = Vec::new();
    for source in sources() {
        let room = source.room();
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            assert_eq!(room, "lib", "src/{room} is a room without a floor");
            continue;
        };
        for used in source.uses() {
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

/// A room's front (`mod.rs`) knows its files and may be known by them; among the files there is an
/// order: none uses another that uses it, by whatever way round.
#[test]
fn files_of_a_room_have_an_order() {
    let sources = sources();
    let files: Vec<_> =
        sources.iter().filter(|s| s.name.contains('/') && !s.name.ends_with("/mod")).collect();
    let file_of = |path: &[String]| {
        (1..=path.len())
            .rev()
            .find_map(|n| files.iter().position(|file| file.module() == path[..n]))
    };
    let uses: Vec<Vec<usize>> = files
        .iter()
        .enumerate()
        .map(|(own, file)| {
            let used = file.uses();
            used.iter().filter_map(|path| file_of(path)).filter(|other| *other != own).collect()
        })
        .collect();
    // Take away, again and again, the files that use none of those left: what stays are circles.
    let mut left: Vec<usize> = (0..files.len()).collect();
    loop {
        let before = left.len();
        let free = |file: &usize| !uses[*file].iter().any(|other| left.contains(other));
        let (gone, stay): (Vec<_>, Vec<_>) = left.iter().copied().partition(free);
        left = stay;
        if gone.is_empty() || left.len() == before {
            break;
        }
    }
    let in_circle = |file: &usize| {
        let mut seen = uses[*file].clone();
        let mut next = 0;
        while let Some(at) = seen.get(next).copied() {
            let more: Vec<_> = uses[at].iter().copied().filter(|n| !seen.contains(n)).collect();
            seen.extend(more);
            next += 1;
        }
        seen.contains(file)
    };
    let circles: Vec<_> =
        left.iter().filter(|file| in_circle(file)).map(|file| files[*file].name.as_str()).collect();
    let mut circles = circles;
    circles.sort_unstable();
    assert!(circles.is_empty(), "files that use each other: {circles:?}");
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

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
const ROOMS: [(&str, &[&str]); 10] = [
    ("main", &["cli"]),
    ("cli", &["daemon", "fs", "rpc", "fault", "mirror", "ops", "log", "sys"]),
    ("daemon", &["fs", "rpc", "fault", "mirror", "ops", "log", "sys"]),
    ("fs", &["fault", "mirror", "ops", "sys"]),
    ("rpc", &["fault", "ops", "sys"]),
    ("fault", &["ops", "sys"]),
    ("mirror", &["ops", "sys"]),
    ("ops", &[]),
    ("log", &["sys"]),
    ("sys", &[]),
];

/// Words that only some rooms may use.
const OWNED: [(&str, &[&str]); 4] = [
    ("fuser::", &["fs", "daemon"]),
    ("thrift::", &["rpc"]),
    ("anyhow", &["main", "cli"]),
    ("unsafe {", &["sys"]),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Every line of code with its room: `src/fs/serve.rs` is of room `fs`.
fn lines() -> Vec<(String, String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 20, "only {} files found below {}", files.len(), src.display());
    let mut lines = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&src).unwrap();
        let room = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        for (number, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default().to_owned();
            lines.push((room.to_owned(), format!("{}:{}", inside.display(), number + 1), code));
        }
    }
    lines
}

#[test]
fn imports_point_down_only() {
    let mut wrong = Vec::new();
    for (room, place, code) in lines() {
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            assert_eq!(room, "lib", "src/{room} is a room without a floor: {place}");
            continue;
        };
        let prefix = if room == "main" { "slowfs::" } else { "crate::" };
        for (other, _) in ROOMS {
            let uses = code.contains(&format!("{prefix}{other}"));
            if uses && other != room && !allowed.contains(&other) {
                wrong.push(format!("{place}: {room} must not use {other}: {}", code.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn each_dependency_stays_in_its_room() {
    let mut wrong = Vec::new();
    for (room, place, code) in lines() {
        for (word, owners) in OWNED {
            if code.contains(word) && !owners.contains(&room.as_str()) {
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

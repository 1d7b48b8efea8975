//! The walk-through of docs/record.md, run as it is written.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::common::{detach_all, scratch, slowfs, text_of};

const PAGE: &str = include_str!("../../docs/record.md");

/// The commands of that section, in order: lines that are set in by four blanks, but for what they print.
fn commands() -> String {
    let (_, section) = PAGE.split_once("## A walk-through\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("\n\n").filter(|block| block.starts_with("    "));
    let of_commands = blocks.filter(|block| !block.contains(" P50 "));
    of_commands.flat_map(|block| block.lines().map(|line| format!("{}\n", &line[4..]))).collect()
}

/// The rows of the table that it shows.
fn rows() -> Vec<&'static str> {
    let (_, table) = PAGE.split_once("\n    METHOD ").unwrap();
    let rows = table.lines().skip(1).map_while(|line| line.strip_prefix("    "));
    rows.filter(|row| !row.contains(" requests of ")).collect()
}

/// Ends what a script that failed has left.
struct Ended<'a>(&'a Path);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        for mnt in ["mnt", "slow"].map(|name| self.0.join(name)) {
            let _ = slowfs().args(["umount", "--force"]).arg(&mnt).stderr(Stdio::null()).status();
            detach_all(&mnt);
        }
    }
}

#[test]
fn the_walk_through_does_what_it_says() {
    let commands = commands();
    assert!(commands.lines().count() > 15, "{commands}");
    let place = scratch();
    let program = slowfs().get_program().to_owned();
    let bin = Path::new(&program).parent().unwrap().to_str().unwrap().to_owned();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap());
    let _ended = Ended(place.path());
    let log = place.path().join("log");
    // A daemon that is left would keep a pipe open.
    let to = || Stdio::from(fs::OpenOptions::new().append(true).create(true).open(&log).unwrap());
    let done = Command::new("sh")
        .args(["-euxc", &commands])
        .env("PATH", path)
        .current_dir(place.path())
        .stdin(Stdio::null())
        .stdout(to())
        .stderr(to())
        .status()
        .unwrap();
    let said = fs::read_to_string(&log).unwrap();
    assert!(done.success(), "{said}");
    for told in [
        "METHOD",
        "fdatasync",
        "write      4KiB",
        "are in disk.toml",
        "are in probe.toml",
        "recorded:",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    // Of the first recording, not of the probe. The release comes after dd(1) has ended, maybe too late.
    let recorded = said.split("are in disk.toml").next().unwrap();
    let (_, table) = recorded.split_once("\nMETHOD ").unwrap();
    let printed: Vec<_> =
        table.lines().skip(1).filter(|row| !row.contains(" requests of ")).collect();
    let methods = |rows: &[&str]| -> Vec<String> {
        let methods = rows.iter().filter_map(|row| row.split_whitespace().next());
        methods.filter(|method| *method != "release").map(str::to_owned).collect()
    };
    assert!(methods(&rows()).len() > 3, "{PAGE}");
    assert_eq!(methods(&printed), methods(&rows()), "{said}");
    let recorded = fs::read_to_string(place.path().join("disk.toml")).unwrap();
    assert!(recorded.contains("\n[fdatasync]\nn = "), "{recorded}");
    assert!(fs::read_dir(place.path().join("data")).unwrap().count() == 1, "the probe is gone");
    let left = slowfs().args(["ps", "--json"]).output().unwrap();
    assert!(!text_of(&left).contains(place.path().to_str().unwrap()), "{}", text_of(&left));
}

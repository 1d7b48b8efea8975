//! The sessions of the README, run as they are written: each command, and what it prints.

use std::fmt::Write;

use super::alone;

const README: &str = include_str!("../../README.md");

/// A command, and the lines that the README shows of what it prints.
type Step<'a> = (&'a str, Vec<&'a str>);

/// What is set in by four blanks below a heading; a line with a `#` is of the command before it.
fn steps(heading: &str) -> Vec<Step<'static>> {
    let (_, section) = README.split_once(&format!("\n## {heading}\n")).unwrap();
    let lines = section.split("\n## ").next().unwrap().lines();
    let mut steps: Vec<Step<'_>> = Vec::new();
    for line in lines.filter_map(|line| line.strip_prefix("    ")) {
        match line.strip_prefix("# ") {
            Some(said) => steps.last_mut().unwrap().1.push(said),
            None => steps.push((line, Vec::new())),
        }
    }
    steps
}

/// Pids, places and the times that were measured may be others, and nothing else: not a count, a port, or a time that was
/// asked for. Of what `time` prints it is the time that has passed.
const PRELUDE: &str = r#"
rmdir raw mnt
normal() { { grep -vE '^(user|sys|$)' || true; } | sed -E "s#/run/slowfs/[^ ]+#SOCKET#; s#$PWD|/home/me#DIR#g; s/pid [0-9]+/pid N/; s/^real.*/real TIME/; s/[ \t]+/ /g; s/ $//"; }
took() { sed -nE 's/^real[^0-9]*([0-9]+)m([0-9.]+)s/\1 \2/p' said | awk '{ print int(($1 * 60 + $2) * 1000) }'; }
shows() { diff <(normal <said) <(normal) >different || die "$1: $(cat different)"; }
"#;

/// Does the steps, each in the same shell, and holds what they print against what is written.
fn script(steps: &[Step<'_>]) -> String {
    let mut script = String::new();
    for (command, said) in steps {
        let said = said.join("\n");
        let _ = write!(
            script,
            "{{ {command}\n}} >said 2>&1\nshows '{}' <<'END'\n{said}\nEND\n",
            command.replace('\'', "'\\''")
        );
        if command.starts_with("time ") {
            script += "times+=($(took))\n";
        }
    }
    script
}

/// The second session goes on where the first has ended.
#[test]
fn the_sessions_of_the_readme_are_as_they_are_written() {
    let first = steps("A first session");
    let commands = ["mkdir", "mount", "time dd", "delay", "time dd", "list", "clear", "umount"];
    assert_eq!(first.len(), commands.len(), "{first:?}");
    assert!(first.iter().zip(commands).all(|((line, _), word)| line.contains(word)), "{first:?}");
    let second = steps("A slow disk, a lie, a power cut");
    assert!(second.len() > 10, "{second:?}");
    let took = r#"
((${#times[@]} == 2 && times[1] >= 1000)) || die "took ${times[*]} ms"
is_gone "$PWD/mnt" && ended slowfs
"#;
    // Thirty draws of 5 ms in the median: a sum below 30 ms comes once in a million million runs.
    let slow = r#"
((${#times[@]} == 3 && times[2] >= 30)) || die "took ${times[*]} ms"
"#;
    alone::run(&format!("{PRELUDE}{}{took}{}{slow}", script(&first), script(&second)));
}

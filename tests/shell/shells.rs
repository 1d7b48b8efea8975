//! The scripts in the shells that they are for, which scripts/setup installs.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::common::{scratch, slowfs, stdout_of, text_of};

/// A line that is typed and not ended, and what TAB makes of it.
const TYPED: [(&str, &str); 5] = [
    ("slowfs recipe dyi", "slowfs recipe dying-disk"),
    ("slowfs delay 1ms -m write,fdatas", "slowfs delay 1ms -m write,fdatasync"),
    ("slowfs delay 1ms --methods=fdatas", "slowfs delay 1ms --methods=fdatasync"),
    ("slowfs error ENOSP", "slowfs error ENOSPC"),
    ("slowfs delay lognor", "slowfs delay lognormal:p50="),
];

/// PATH with the program under test in front.
fn path() -> OsString {
    let program = PathBuf::from(slowfs().get_program());
    let own = program.parent().unwrap().to_owned();
    let others = std::env::var_os("PATH").unwrap();
    std::env::join_paths([own].into_iter().chain(std::env::split_paths(&others))).unwrap()
}

fn script(shell: &str) -> String {
    stdout_of(slowfs().args(["completions", shell]))
}

/// Types each line and TAB into the shell on a terminal, and has it say what then stands there.
fn type_all(shell: &str, home: &Path) {
    let keys: String = TYPED.iter().map(|(line, _)| format!("{line}\t\x01echo \r")).collect();
    let mut command = Command::new("script");
    command.args(["-qec", shell, "/dev/null"]).env("PATH", path()).env("TERM", "dumb");
    command.env("HOME", home).env("ZDOTDIR", home).current_dir(home);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut terminal = command.spawn().unwrap();
    terminal.stdin.take().unwrap().write_all(format!("{keys}exit\r").as_bytes()).unwrap();
    let text = text_of(&terminal.wait_with_output().unwrap());
    for (typed, wanted) in TYPED {
        let is_there = text.lines().any(|line| line.trim() == wanted);
        assert!(is_there, "{shell}: {typed:?} has not become {wanted:?}:\n{text}");
    }
}

#[test]
fn bash_completes() {
    let home = scratch();
    let rc = home.path().join("rc");
    fs::write(&rc, script("bash")).unwrap();
    type_all(&format!("bash --noprofile --rcfile {} -i", rc.display()), home.path());
}

/// From a directory of $fpath, as it is installed: there the first TAB reads it.
#[test]
fn zsh_completes_by_the_file_that_is_installed() {
    let home = scratch();
    fs::write(home.path().join("_slowfs"), script("zsh")).unwrap();
    let rc = "fpath=($HOME $fpath); autoload -Uz compinit; compinit -u -D; bindkey -e\n";
    fs::write(home.path().join(".zshrc"), rc).unwrap();
    type_all("zsh -i", home.path());
}

#[test]
fn zsh_completes_by_what_is_sourced() {
    let home = scratch();
    let rc = "autoload -Uz compinit; compinit -u -D; bindkey -e\n";
    fs::write(home.path().join(".zshrc"), format!("{rc}{}", script("zsh"))).unwrap();
    type_all("zsh -i", home.path());
}

#[test]
fn fish_completes() {
    let home = scratch();
    for (typed, wanted) in TYPED {
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "-c"]).arg(format!("{}\ncomplete -C '{typed}'", script("fish")));
        let text = stdout_of(fish.env("PATH", path()).env("HOME", home.path()));
        let word = wanted.rsplit(' ').next().unwrap();
        let words: Vec<_> = text.lines().map(|line| line.split('\t').next().unwrap()).collect();
        assert_eq!(words, [word], "{typed}: {text}");
    }
}

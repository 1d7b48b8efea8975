//! Words that people type first, from other tools or from habit, and what they get here instead: said
//! where the grammar does not know them. No locks.

use clap::Command;

/// Words in the place of a command, and what to write.
const COMMANDS: [(&[&str], &str); 16] = [
    (
        &["add", "set", "inject", "create", "new", "fault", "faults", "toxic", "enable", "put"],
        "a fault is set by its kind, as in `slowfs delay 300ms -m fsync`; `slowfs kinds` lists them",
    ),
    (
        &["latency", "slow", "sleep", "lag", "pause", "wait-for", "slow-down"],
        "`slowfs delay 300ms -m fsync` makes it slow",
    ),
    (
        &["fail", "errno", "eio", "break", "broken", "enospc"],
        "`slowfs error EIO -m write` makes it fail; `slowfs recipe --list` shows more",
    ),
    (
        &["freeze", "block", "stall", "stuck"],
        "`slowfs hang -m write` holds it until `slowfs clear`",
    ),
    (
        &["stop", "end", "quit", "exit", "down", "off", "disable", "detach"],
        "`slowfs clear` takes the faults away, `slowfs umount MOUNTPOINT` the mount",
    ),
    (&["start", "serve", "bind", "mirror", "up"], "`slowfs mount DIR MOUNTPOINT` mounts"),
    (&["info", "show", "inspect", "get", "state"], "`slowfs status`, `list` and `ping` show it"),
    (&["mounts", "who", "find", "df"], "`slowfs ps` shows the mounts"),
    (&["top", "monitor", "live"], "`slowfs watch` shows what goes on"),
    (
        &["log", "logs", "tail", "strace"],
        "`slowfs trace` shows each request; the log is where `slowfs mount` was told to write it",
    ),
    (
        &["replay", "calibrate"],
        "`slowfs delay file:FILE -m ...` and `slowfs device FILE` replay what `slowfs record` has written",
    ),
    (&["recipes", "cookbook"], "`slowfs recipe --list` shows ready-made faults"),
    (&["scenario", "script", "play"], "`slowfs run FILE` runs a scenario"),
    (&["version"], "write `slowfs --version`"),
    (&["man", "usage", "commands", "?"], "write `slowfs --help`"),
    (
        &["completion", "complete", "generate"],
        "`slowfs completions bash` prints a script for the shell",
    ),
];

/// A row of [`OPTIONS`]: words, and by what the command has what to write for them.
type Meant = (&'static [&'static str], &'static [(&'static str, &'static str)]);

/// Options, and for which option or value of a command they stand: the first that the command has
/// counts, and what to write for it.
const OPTIONS: [Meant; 26] = [
    (
        &["--port", "--host", "--address", "--server", "--connect"],
        &[("listen", "--listen ADDR:PORT"), ("addr", "--addr HOST:PORT")],
    ),
    (
        &[
            "--path",
            "--file",
            "--files",
            "--pattern",
            "--match",
            "--regexp",
            "--re",
            "-e",
            "--filter",
        ],
        &[("regex", "-r REGEX")],
    ),
    (
        &["--prob", "--percent", "--chance", "--toxicity", "--rate"],
        &[("probability", "-p SHARE, as in -p 1%")],
    ),
    (
        &["--duration", "--lifetime", "--lasts", "--ttl", "--timeout", "--expire"],
        &[("lasts", "--for TIME")],
    ),
    (&["--once", "--one-time", "--one-shot"], &[("count", "--count 1")]),
    (&["--times", "--limit", "--max"], &[("count", "--count N")]),
    (&["--jitter"], &[("time", "a range in the place of the time, as in uniform:1ms..5ms")]),
    (
        &["--delay", "--latency", "--ms", "--us", "--time", "--sleep", "-t", "-d"],
        &[("time", "the time alone, as in 300ms"), ("and", "--and 'delay 300ms'")],
    ),
    (
        &["--errno", "--error", "--err", "-e"],
        &[("errnos", "the error alone, as in EIO"), ("and", "--and 'error EIO'")],
    ),
    (&["--kill"], &[("and", "--and kill")]),
    (
        &["--op", "--ops", "--operation", "--call", "--calls", "--syscall"],
        &[("methods", "-m METHOD")],
    ),
    (&["--all", "-a"], &[("methods", "-m all")]),
    (&["--user"], &[("uid", "--uid NUMBER")]),
    (&["--process"], &[("pid", "--pid NUMBER")]),
    (&["--mountpoint", "--mnt", "--at", "-M"], &[("mount", "--mount PATH")]),
    (
        &[
            "--source",
            "--src",
            "--dir",
            "--directory",
            "--target",
            "--backing",
            "--lower",
            "--root",
        ],
        &[("subdir", "--subdir DIR, or DIR before the mountpoint")],
    ),
    (
        &["-f", "--foreground", "--fg"],
        &[("daemon", "nothing: it stays in the foreground unless --daemon is given")],
    ),
    (
        &["-b", "--background", "--bg", "--detach", "--daemonize", "--fork"],
        &[("daemon", "--daemon")],
    ),
    (&["-d", "-v", "--debug", "--verbose"], &[("log_ops", "--log-ops")]),
    (&["--log", "--logfile", "-l"], &[("log_file", "--log-file FILE")]),
    (&["--pidfile"], &[("pid_file", "--pid-file FILE")]),
    (&["--ro", "-r", "--readonly"], &[("read_only", "--read-only")]),
    (&["-s", "--single"], &[("threads", "--threads 1")]),
    (&["--writable", "--rw", "-w"], &[("read_only", "nothing: it is written to")]),
    (&["--format", "--output", "-o"], &[("json", "--json")]),
    (&["-l", "--lazy"], &[("force", "--force")]),
];

/// What to write in the place of a word that is no command.
pub(super) fn command(word: &str) -> Option<&'static str> {
    let known = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
    COMMANDS.iter().find(|(words, _)| known(words)).map(|(_, meant)| *meant)
}

/// What to write in the place of an option that this command does not have. What it refuses is hidden.
pub(super) fn option(word: &str, of: &Command) -> Option<&'static str> {
    let has = |id: &str| of.get_arguments().any(|arg| arg.get_id() == id && !arg.is_hide_set());
    let meant = OPTIONS.iter().filter(|(words, _)| words.contains(&word));
    let mut meant = meant.flat_map(|(_, meant)| *meant);
    meant.find(|(id, _)| has(id)).map(|(_, written)| *written)
}

#[cfg(test)]
mod tests {
    use super::super::command as grammar;
    use super::*;

    #[test]
    fn no_word_that_is_known_is_explained() {
        for word in COMMANDS.iter().flat_map(|(words, _)| *words) {
            assert!(grammar().find_subcommand(word).is_none(), "{word} is a command");
        }
    }

    #[test]
    fn what_is_told_is_there() {
        let grammar = grammar();
        let commands: Vec<_> = grammar.get_subcommands().collect();
        for (words, meant) in OPTIONS {
            for (id, _) in meant {
                let has = |of: &&Command| of.get_arguments().any(|arg| arg.get_id() == *id);
                assert!(commands.iter().any(has), "{words:?}: nobody has {id}");
            }
        }
        for (_, meant) in COMMANDS {
            for line in meant.split('`').skip(1).step_by(2) {
                let name = line.strip_prefix("slowfs ").unwrap_or(line).split(' ').next().unwrap();
                let known = name.starts_with("--") || grammar.find_subcommand(name).is_some();
                assert!(known, "{line} in {meant}");
            }
        }
    }

    #[test]
    fn an_option_stands_for_what_its_command_has() {
        let grammar = grammar();
        let of = |word: &str, name: &str| option(word, grammar.find_subcommand(name).unwrap());
        assert_eq!(of("--port", "mount"), Some("--listen ADDR:PORT"));
        assert_eq!(of("--port", "list"), Some("--addr HOST:PORT"));
        assert_eq!(of("--delay", "hang"), Some("--and 'delay 300ms'"));
        assert_eq!(of("--kill", "list"), None);
        assert_eq!(of("--times", "hang"), Some("--count N"));
        assert_eq!(of("--times", "throttle"), None, "it takes no --count");
    }
}

//! One command of a scenario, by the grammar of the command line. No locks.

use std::ffi::OsString;

use clap::FromArgMatches;

use super::super::control::Control;
use super::super::injections::rot_words;
use super::super::target::Target;
use super::super::values::Cleared;
use super::super::{Cli, Command as Typed, kind, misunderstood, spelled_out};
use crate::fault::KINDS;
use crate::fault::words::visible;
use crate::scenario::Command;

/// What those words ask for, as typed behind `slowfs`.
///
/// # Errors
/// One line: they are no step, or none that can be.
pub(super) fn read(grammar: &clap::Command, words: &[String]) -> Result<Command, String> {
    let name = words.first().map_or("", String::as_str);
    if words == ["end"] {
        return Ok(Command::End);
    }
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    let line = [OsString::from("slowfs")].into_iter().chain(words.iter().cloned()).collect();
    let matches = grammar.clone().try_get_matches_from(spelled_out(grammar, line));
    let matches = matches.map_err(|error| match error.use_stderr() {
        true => misunderstood::told(&error, grammar, &words),
        false => no_step(name),
    })?;
    if let Some(set) = kind::read(&matches) {
        let set = set?;
        is_of_no_mount(&set.target)?;
        return Ok(Command::Put { fault: Box::new(set.fault), add: set.add });
    }
    let typed = Cli::from_arg_matches(&matches).map_err(|error| error.to_string())?.command;
    let (command, target) = match typed {
        Typed::Control(Control::Clear { what, target } | Control::Remove { what, target }) => {
            let what: Vec<String> =
                what.all().iter().map(Cleared::word).map(str::to_owned).collect();
            let is_all = what.iter().any(|what| what == "all");
            (Command::Clear(if is_all { Vec::new() } else { what }), target)
        }
        Typed::Control(Control::Reset { target }) => (Command::Clear(Vec::new()), target),
        Typed::Control(Control::Recipe { recipe: Some(recipe), list: false, target }) => {
            let faults = recipe.faults().map_err(|error| error.to_string())?;
            let command = match faults.is_empty() {
                true => Command::Clear(Vec::new()),
                false => Command::Only(faults),
            };
            (command, target)
        }
        Typed::Control(Control::Heal { ids, all: true, target }) if ids.is_empty() => {
            (Command::Heal, target)
        }
        Typed::Control(Control::Heal { .. }) => {
            return Err("what is injected has no number yet: write heal --all".to_owned());
        }
        Typed::Control(Control::Rot { rot, target }) => {
            (Command::Rot(Box::new(rot_words(&rot)?)), target)
        }
        Typed::Control(Control::PowerCut { args, target }) => {
            (Command::Cut(Box::new(args.words())), target)
        }
        Typed::Control(Control::PowerOn { target }) => (Command::PowerOn, target),
        Typed::Control(Control::Checkpoint { target }) => (Command::Checkpoint, target),
        _ => return Err(no_step(name)),
    };
    is_of_no_mount(&target)?;
    Ok(command)
}

fn is_of_no_mount(target: &Target) -> Result<(), String> {
    let named = target.mount.first().map(|path| path.display().to_string());
    match named.or_else(|| target.addr.first().cloned()) {
        Some(place) => Err(format!(
            "a line of one mount begins with it: write @{} before the time",
            visible(&place)
        )),
        None if target.json => Err("--json belongs to the command line, not to a step".to_owned()),
        None => Ok(()),
    }
}

fn no_step(name: &str) -> String {
    let kinds: Vec<_> = KINDS.iter().map(|kind| kind.name()).collect();
    let kinds = kinds.join(", ");
    format!(
        "{} is no step; steps are {kinds}, clear, recipe, heal, rot, checkpoint, power-cut, power-on and end",
        visible(name)
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::command;
    use super::*;
    use crate::fault::words::split;

    fn step(line: &str) -> Result<Command, String> {
        read(&command(), &split(line).unwrap())
    }

    #[test]
    fn a_step_is_what_stands_behind_slowfs() {
        let put = |line: &str| match step(line).unwrap() {
            Command::Put { fault, add } => (fault.line(), add),
            other => panic!("{line}: {other:?}"),
        };
        let line = "delay lognormal:p50=20ms,p99=300ms -m fsync --name slow";
        assert_eq!(put(line), (line.to_owned(), false));
        assert!(put("kill -m write --add").1);
        assert!(put("device nvme --glob 'wal/*' --name log").0.starts_with("device "));
        let words = |all: &[&str]| Command::Clear(all.iter().map(|w| (*w).to_owned()).collect());
        assert_eq!(step("clear slow fsync"), Ok(words(&["slow", "fsync"])));
        for all in ["clear", "clear all", "reset", "recipe clear"] {
            assert_eq!(step(all), Ok(words(&[])), "{all}");
        }
        assert_eq!(step("rm -m fsync"), Ok(words(&["fsync"])));
        assert_eq!(step("end"), Ok(Command::End));
        let Ok(Command::Only(faults)) = step("recipe dying-disk") else { panic!("a recipe") };
        assert_eq!(faults.len(), 2);
        assert_eq!(step("heal --all"), Ok(Command::Heal));
        let Ok(Command::Rot(rot)) = step("rot zero --spots 3 -r x") else { panic!("it rots") };
        assert_eq!((rot.how.as_str(), rot.spots, rot.pattern.as_str()), ("zero", 3, "x"));
        assert_eq!(step("power-on"), Ok(Command::PowerOn));
        assert_eq!(step("checkpoint"), Ok(Command::Checkpoint));
        let Ok(Command::Cut(cut)) = step("power-cut --to img --keep random --unit 4096") else {
            panic!("it cuts")
        };
        assert_eq!((cut.to.as_deref(), cut.keep.as_str(), cut.unit), (Some("img"), "random", 4096));
        assert_eq!((cut.seed, cut.max_stall_ns, cut.kill), (None, 2_000_000_000, false));
        let Ok(Command::Cut(cut)) = step("power-cut --now --stay-off --kill --seed 7") else {
            panic!("it cuts")
        };
        assert_eq!((cut.to, cut.seed.as_deref()), (None, Some("7")));
        assert!(cut.stay_off && cut.kill);
    }

    #[test]
    fn what_is_no_step_is_refused_by_name() {
        for (line, why) in [
            ("list", "list is no step; steps are delay, "),
            ("mount /mnt/a", "mount is no step"),
            ("delay --help", "delay is no step"),
            ("end now", "there is no command end"),
            ("dealy 5ms -m fsync", "did you mean delay?"),
            ("delay 5ms -m fsycn", "did you mean fsync?"),
            ("delay 5 -m fsync", "it has no unit"),
            ("delay 5ms", "on which methods?"),
            ("delay /mnt/a 5ms -m fsync", "write @/mnt/a before the time"),
            ("clear --addr db1:9091", "write @db1:9091 before the time"),
            ("clear --json", "--json belongs to the command line"),
            ("recipe fulll", "did you mean full?"),
            ("recipe --list", "recipe is no step"),
            ("heal 3", "what is injected has no number yet: write heal --all"),
            ("heal", "<INJECTION|--all> is missing"),
            ("rot", "name the files by -r or --glob"),
            ("rot flips -r x", "how: write flip, flip:BITS, zero or random"),
            ("rot --addr db1:9091 -r x", "write @db1:9091 before the time"),
            ("power-cut", "--to <NAME> is missing"),
            ("power-cut --to a --now", "cannot be used with"),
            ("power-cut --now --addr a:1,b:2", "write @a:1 before the time"),
            ("power-on --addr db1:9091", "write @db1:9091 before the time"),
            ("unsynced", "unsynced is no step"),
        ] {
            let told = step(line).unwrap_err();
            assert!(told.contains(why) && !told.contains('\n'), "{line}: {told}");
        }
    }
}

//! argv -> typed command -> exit code.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 usage. Every error is one line on standard error.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

mod act;
mod activity;
mod apart;
mod apply;
mod at_once;
mod charybdefs;
mod completions;
mod control;
mod counts;
mod crash_test;
mod demo;
mod doctor;
#[cfg(test)]
mod documented;
mod faults;
mod fleet;
mod help;
mod http;
mod injections;
mod kernel;
mod keys;
mod kind;
mod kinds;
mod man_pages;
mod matching;
mod meant;
mod measured;
mod misunderstood;
mod mount;
mod mount_helper;
mod mount_values;
mod mounts;
mod options;
mod original;
mod output;
mod overview;
mod plug;
mod ports;
mod power;
mod progress;
mod ps;
mod ready;
mod recipe;
mod record;
mod render;
mod report;
mod saved;
mod scenario;
mod screen;
mod selftest;
mod serving;
mod set;
mod sink;
mod svg;
mod target;
mod trace;
mod traced;
mod tracking;
mod trial;
mod typed;
mod umount;
mod values;
mod version;
mod watch;
mod whom;

use apart::apart;

use crate::fault::words;

/// A mirror of a directory that becomes slow, broken or treacherous on command.
///
/// `slowfs mount` mounts it. A fault is set by the command of its kind, as `slowfs delay`: on which calls, on which files,
/// how often. Programs that work in the mirror meet it at their next call. `slowfs clear` takes it away, and what it holds
/// goes on at once.
#[derive(Debug, Parser)]
#[command(name = "slowfs", version, max_term_width = 100, after_help = help::SLOWFS)]
#[command(override_usage = overview::USAGE)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Mount a mirror of a directory and serve Thrift clients
    #[command(after_help = help::MOUNT)]
    Mount(Box<mount::MountArgs>),
    /// Unmount a mirror; its daemon ends
    #[command(visible_alias = "unmount", after_help = help::UMOUNT)]
    Umount(umount::UmountArgs),
    #[command(flatten)]
    Control(control::Control),
    /// Show all mounts, and how to reach each
    #[command(after_help = help::PS)]
    Ps(ps::PsArgs),
    /// Check this machine and its mounts, and say what to do
    #[command(after_help = help::DOCTOR)]
    Doctor(doctor::DoctorArgs),
    /// Run a program, and check what a disk could have if the power had failed at any of its syncs
    #[command(after_help = help::CRASH_TEST)]
    CrashTest(crash_test::CrashTestArgs),
    /// Print the script by which a shell completes what is typed after `slowfs`
    #[command(after_help = help::COMPLETIONS)]
    Completions(completions::CompletionsArgs),
    /// Write a man page for each command into a directory: packages and `make install` call it
    #[command(hide = true, after_help = help::MAN_PAGES)]
    ManPages(man_pages::ManPagesArgs),
    /// Show delays, a torn write and a power cut, on temporary directories
    #[command(after_help = help::DEMO)]
    Demo(demo::DemoArgs),
    /// Measure how exact faults are on this machine, on temporary directories
    #[command(after_help = help::SELFTEST)]
    Selftest(selftest::SelftestArgs),
}

/// The whole grammar: the commands of the kinds, and the others.
fn command() -> clap::Command {
    let others = Cli::command();
    let place = others.get_subcommands().position(|command| command.get_name() == "clear");
    let place = place.unwrap_or_default();
    let mut all: Vec<_> = others.get_subcommands().cloned().collect();
    all.splice(place..place, kind::commands());
    let in_order = all.into_iter().enumerate().map(|(place, command)| command.display_order(place));
    let mut bare = others;
    for command in in_order {
        bare = if bare.find_subcommand(command.get_name()).is_some() {
            let name = command.get_name().to_owned();
            bare.mut_subcommand(name, |_| command)
        } else {
            bare.subcommand(command)
        };
    }
    bare
}

/// Runs the command that `args` spells.
#[must_use]
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    output::ended(carry_out(args))
}

/// Does so. The program's name, which is the first, decides on the grammar: its own, charybdefs's or that
/// of mount(8)'s helpers.
fn carry_out(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let (program, words) = args.split_first().map_or(("slowfs", &[][..]), |(program, words)| {
        (Path::new(program).file_name().and_then(|n| n.to_str()).unwrap_or("slowfs"), words)
    });
    if program == charybdefs::NAME {
        return charybdefs::run(words.to_vec());
    }
    let grammar = command();
    if let Some(reason) = misunderstood::turned_round(&grammar, words) {
        return wrong(&reason);
    }
    if mount_helper::is_meant(program, words) {
        return mount_helper::run(words.to_vec());
    }
    if let Some(asked) = completions::asked(words) {
        return completions::answer(asked, grammar);
    }
    if words.is_empty() {
        output::out(&overview::short(&grammar));
        return ExitCode::SUCCESS;
    }
    let matches = match grammar.clone().try_get_matches_from(spelled_out(&grammar, args.clone())) {
        Ok(matches) => matches,
        Err(error) => return misunderstood(&error, &grammar, words),
    };
    if let Some(fault) = kind::read(&matches) {
        return match fault {
            Ok(fault) => act::set(&fault),
            Err(reason) => wrong(&reason),
        };
    }
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return misunderstood(&error, &grammar, words),
    };
    match cli.command {
        Command::Control(command) => act::run(&command),
        Command::Mount(args) => match args.places().and_then(|_| args.named_once()) {
            Ok(()) => outcome("slowfs", mount::mount(&args)),
            Err(reason) => wrong(&reason),
        },
        Command::Umount(args) => outcome("slowfs", umount::umount(&args)),
        Command::Ps(args) => ps::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::CrashTest(args) => apart(|| crash_test::run(&args)),
        Command::Completions(args) => {
            completions::print(&args);
            ExitCode::SUCCESS
        }
        Command::ManPages(args) => outcome("slowfs", man_pages::write(&args, grammar)),
        Command::Demo(args) => apart(|| outcome("slowfs", demo::run(&args))),
        Command::Selftest(args) => apart(|| selftest::run(&args)),
    }
}

/// A line as the grammar takes it: what people leave to be understood is written out.
fn spelled_out(grammar: &clap::Command, args: Vec<OsString>) -> Vec<OsString> {
    let command = args.get(1).and_then(|word| grammar.find_subcommand(word));
    let takes = |id| command.is_some_and(|of| of.get_arguments().any(|arg| arg.get_id() == id));
    let (program, words) = args.split_at(args.len().min(1));
    let args = match takes("methods") {
        true => program.iter().cloned().chain(words::joined(words.iter().cloned())).collect(),
        false => args,
    };
    let own = command.is_some_and(|of| whom::PATHS.contains(&of.get_name()));
    if takes("mount") && !own { whom::spelled_out(args) } else { args }
}

/// Help and version go to standard output and are no error. What does not parse is told in a line.
fn misunderstood(error: &clap::Error, grammar: &clap::Command, words: &[OsString]) -> ExitCode {
    if error.use_stderr() {
        return wrong(&misunderstood::told(error, grammar, words));
    }
    // It takes long to make, and most commands have no use for it.
    if error.kind() == ErrorKind::DisplayHelp && is_of_all(words, grammar) {
        output::out(&overview::long(grammar));
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayVersion {
        let is_long = words.iter().any(|word| word == "--version");
        output::out(&if is_long { version::long() } else { version::short() });
        return ExitCode::SUCCESS;
    }
    let _ = output::taken(error.print());
    ExitCode::SUCCESS
}

/// Whether help is asked for on no command.
fn is_of_all(words: &[OsString], grammar: &clap::Command) -> bool {
    match words {
        [first, ..] if first == "help" => words.len() == 1,
        [first, ..] => grammar.find_subcommand(first).is_none(),
        [] => true,
    }
}

/// The exit code of what cannot be meant, which is told.
fn wrong(reason: &str) -> ExitCode {
    output::error(reason);
    ExitCode::from(2)
}

fn outcome(program: &str, result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(program, &format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::KINDS as KINDS_OF_FAULT;
    use crate::fault::words::{EffectWords, FaultWords};
    use crate::rpc::{
        Applied, Healed, Info, Injection, Injections, LatencyStatistics, ListedFault, Matched, Met,
        MethodStatistics, PassthroughStatistics, PowerCut, PowerLoss, Put, Rotted, Run, RunEvent,
        ScenarioWords, Statistics, StepWords, Taken, TraceEvent, TraceHead, TraceHit, Unsynced,
        UnsyncedFile, UnsyncedMoment, UnsyncedName, UnsyncedRange,
    };

    /// What commands, calls and JSON say, as users read it.
    const DOCUMENTATION: &str = concat!(
        include_str!("../../docs/control.md"),
        include_str!("../../docs/watching.md"),
        include_str!("../../docs/injections.md"),
        include_str!("../../docs/scenarios.md"),
        include_str!("../../docs/record.md"),
        include_str!("../../docs/power-cut.md"),
        include_str!("../../docs/accuracy.md"),
        include_str!("../../docs/thrift.md"),
    );
    const MOUNTING: &str = include_str!("../../docs/mounting.md");
    const KINDS: &str = include_str!("../../docs/kinds.md");

    /// The text below a heading, up to the next of its level.
    fn section(heading: &str) -> &'static str {
        let mut sections =
            [DOCUMENTATION, MOUNTING, KINDS].into_iter().flat_map(|page| page.split("\n## "));
        let found =
            sections.find(|s| s.starts_with(heading) && s[heading.len()..].starts_with('\n'));
        found.unwrap_or_else(|| panic!("docs has no section {heading:?}"))
    }

    #[test]
    fn every_command_and_option_is_documented() {
        for command in shown() {
            let name = command.get_name();
            let text = section(&format!("slowfs {name}"));
            for argument in command.get_arguments() {
                // As in "`--addr HOST:PORT`" or "`--json`".
                let long = argument.get_long().map(|long| format!("`--{long}"));
                let short = argument.get_short().map(|short| format!("`-{short}"));
                let spelled = [long, short].into_iter().flatten();
                let shared = ["Options of every control command", "Options of a fault", "Options"];
                let places: Vec<_> = [text].into_iter().chain(shared.map(section)).collect();
                for option in spelled.filter(|o| o != "`--help" && o != "`-h") {
                    let ends = [" ", "`"].map(|end| format!("{option}{end}"));
                    let told = places.iter().any(|p| ends.iter().any(|e| p.contains(e)));
                    assert!(told, "{option}` of slowfs {name}");
                }
            }
        }
    }

    #[test]
    fn every_call_and_field_is_documented() {
        let idl = concat!(
            include_str!("../../idl/charybdefs.thrift"),
            include_str!("../../idl/slowfs.thrift")
        );
        let code = idl.lines().map(|line| line.split("//").next().unwrap().trim());
        // `i64 put_fault(1: ...`, `5: map<i64, i64> buckets,`, `i32 err_no,`
        let names = code.filter(|line| !line.starts_with(['*', '/', '}'])).filter_map(|line| {
            let field = line.ends_with(',') || line.starts_with(|c: char| c.is_ascii_digit());
            let declared = match line.split_once('(') {
                Some((call, _)) => call,
                None => field.then(|| line.split(" = ").next().unwrap_or(line))?,
            };
            declared.trim_end_matches(',').rsplit(' ').next()
        });
        let names: Vec<_> = names.collect();
        assert!(names.len() > 60 && names.contains(&"put_fault") && names.contains(&"buckets"));
        for name in names {
            let told = [
                format!("`{name}`"),
                format!("`{name}("),
                format!("{name}, "),
                format!(", {name})"),
            ];
            assert!(told.iter().any(|t| DOCUMENTATION.contains(t)), "{name}");
        }
    }

    #[test]
    fn every_json_field_is_documented() {
        fn fields(value: impl serde::Serialize) -> Vec<String> {
            let value = serde_json::to_value(value).unwrap();
            value.as_object().unwrap().keys().cloned().collect()
        }
        let all = [
            fields(ListedFault::default()),
            fields(Put::default()),
            fields(Applied::default()),
            fields(Taken::default()),
            fields(FaultWords::default()),
            fields(EffectWords::default()),
            fields(Matched::default()),
            fields(Met::default()),
            fields(Injection::default()),
            fields(Injections::default()),
            fields(Healed::default()),
            fields(Rotted::default()),
            fields(TraceHead::default()),
            fields(Unsynced::default()),
            fields(UnsyncedFile::default()),
            fields(UnsyncedName::default()),
            fields(UnsyncedRange::default()),
            fields(PowerCut::default()),
            fields(PowerLoss::default()),
            fields(TraceEvent::default()),
            fields(TraceHit::default()),
            fields(Run::default()),
            fields(RunEvent::default()),
            fields(StepWords::default()),
            fields(ScenarioWords::default()),
            fields(Info::default()),
            fields(Statistics::default()),
            fields(MethodStatistics::default()),
            fields(PassthroughStatistics::default()),
            fields(LatencyStatistics::default()),
            activity::field_names(),
            selftest::field_names(),
            ps::field_names(),
            doctor::field_names(),
            record::field_names(),
            crash_test::field_names(),
            fields(UnsyncedMoment::default()),
            scenario::field_names(),
        ];
        for name in all.iter().flatten() {
            assert!(DOCUMENTATION.contains(&format!("`{name}`")), "{name}");
        }
    }

    /// Every command, with its full help.
    fn commands() -> Vec<clap::Command> {
        command().get_subcommands().cloned().collect()
    }

    /// Those that have a place of their own in the documents.
    fn shown() -> impl Iterator<Item = clap::Command> {
        commands().into_iter().filter(|command| !command.is_hide_set())
    }

    #[test]
    fn every_example_in_the_help_parses() {
        for of in commands().into_iter().chain([command()]) {
            let help = of.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<_> = help.lines().filter(|l| l.starts_with("  slowfs ")).collect();
            assert!(!examples.is_empty(), "{} has no example", of.get_name());
            for example in examples {
                let typed = example.split("  #").next().unwrap();
                let words = words::split(typed).unwrap();
                let spelled = words.iter().map(OsString::from).collect();
                let spelled = spelled_out(&command(), spelled);
                let parsed = command().try_get_matches_from(spelled);
                let parsed = parsed.unwrap_or_else(|e| panic!("{example}: {e}"));
                let fault = kind::read(&parsed).transpose();
                assert!(fault.is_ok_and(|f| f.is_some() || Cli::from_arg_matches(&parsed).is_ok()));
                assert!(typed.trim_end().len() <= 92, "too long to show: {example}");
                let own = of.get_name() == "slowfs" || words[1] == of.get_name();
                assert!(own, "{example} in the help of {}", of.get_name());
            }
        }
    }

    /// Lines that are broken by hand are broken again by a narrow terminal.
    #[test]
    fn each_paragraph_of_the_help_is_one_line() {
        for of in commands().into_iter().chain([command()]) {
            let help = of.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<_> = help.lines().collect();
            for two in lines.windows(2) {
                let apart = two.iter().any(|line| line.is_empty());
                assert!(apart || two[1].starts_with("  slowfs "), "{}: {two:?}", of.get_name());
            }
        }
    }

    #[test]
    fn the_usage_shows_what_a_kind_needs() {
        for kind in KINDS_OF_FAULT {
            let mut all = command();
            let own = all.find_subcommand_mut(kind.name()).unwrap();
            let usage = own.render_usage().to_string();
            for param in kind.params().iter().filter(|param| !param.first) {
                let word = format!("--{} <", param.word());
                assert_eq!(usage.contains(&word), param.required, "{usage}: {}", param.name);
            }
            let methods = !kind.class().has_own_reach();
            assert_eq!(usage.contains("--methods <"), methods, "{usage}");
        }
    }

    #[test]
    fn every_argument_is_explained() {
        for command in commands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                let id = argument.get_id();
                assert!(argument.get_help().is_some(), "{} {id}", command.get_name());
            }
        }
    }
}

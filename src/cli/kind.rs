//! The command of each kind of fault, built from the table of kinds and that of options.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::target::Target;
use super::values::{parse_glob, parse_method, read_file};
use super::{kinds as shown, measured};
use crate::fault::distributions::file_named;
use crate::fault::kinds::{KINDS, Kind};
use crate::fault::name::Name;
use crate::fault::takes;
use crate::fault::words::{
    self, EffectWords, FaultOption, FaultWords, OPTIONS, Param, ParamType, Value, ValueError,
};

/// A fault to set, and where.
#[derive(Debug)]
pub(super) struct SetFault {
    pub(super) fault: FaultWords,
    pub(super) add: bool,
    pub(super) target: Target,
}

/// The commands of all kinds.
pub(super) fn commands() -> impl Iterator<Item = Command> {
    KINDS.iter().map(|kind| command(*kind))
}

fn command(kind: &'static dyn Kind) -> Command {
    let own = Command::new(kind.name())
        .after_help(help(kind))
        .args(kind.params().iter().map(param))
        .arg(methods(kind))
        .args([regex(), glob(), below()])
        .args(options(kind).map(option))
        .args([and(), name(), add()]);
    let hiding = |command: Command, id: &str| command.mut_arg(id, |arg| arg.hide(true));
    let own = refused_options(kind).fold(own, hiding);
    Target::augment_args(own).about(kind.about())
}

/// The ids of the options that help leaves out, because the kind refuses them by name.
fn refused_options(kind: &dyn Kind) -> impl Iterator<Item = &'static str> {
    let own = options(kind).map(|option| (option.word, option.param.name));
    let all = own.chain([("and", "and")]);
    all.filter(move |(word, _)| takes::refuses(kind, word).is_some()).map(|(_, id)| id)
}

/// What the kind means, and examples.
fn help(kind: &dyn Kind) -> String {
    let (examples, text): (Vec<_>, Vec<_>) =
        kind.details().lines().partition(|line| line.starts_with("    slowfs "));
    let text = text.join("\n");
    let examples: Vec<_> = examples.iter().map(|line| line.replacen("    ", "  ", 1)).collect();
    let lengths = match shown::takes_distribution(kind) {
        true => format!("\n\n{}", shown::in_short()),
        false => String::new(),
    };
    format!("{}{lengths}\n\nExamples:\n{}", text.trim(), examples.join("\n"))
}

fn param(param: &'static Param) -> Arg {
    let arg = valued(Arg::new(param.name), param);
    let arg = arg.required(param.required);
    if param.first { arg } else { arg.long(param.word()) }
}

/// The options of every fault, but for those that the kind has as values of its own.
fn options(kind: &dyn Kind) -> impl Iterator<Item = &'static FaultOption> {
    OPTIONS.iter().filter(move |option| !option.is_of(kind))
}

fn option(option: &'static FaultOption) -> Arg {
    let arg = valued(Arg::new(option.param.name), &option.param).long(option.word);
    match option.short {
        Some(letter) => arg.short(letter),
        None => arg,
    }
}

/// An argument with what the parameter takes and says.
fn valued(arg: Arg, param: &'static Param) -> Arg {
    let arg = arg.help(sentence(param.about));
    match param.of {
        ParamType::Flag => arg.action(ArgAction::SetTrue),
        // `-1` is a wrong value, which its reader refuses, and no option.
        of => arg
            .value_name(of.form())
            .allow_negative_numbers(true)
            .value_parser(move |text: &str| typed(of, text)),
    }
}

/// What is in a file is read when the methods are known.
fn typed(of: ParamType, text: &str) -> Result<Value, ValueError> {
    match file_named(text).filter(|_| of == ParamType::Distribution) {
        Some(_) => Ok(Value::Text(text.to_owned())),
        None => of.read(text),
    }
}

/// With a capital, as all of the help has it.
pub(super) fn sentence(about: &str) -> String {
    let mut letters = about.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn methods(kind: &dyn Kind) -> Arg {
    let own_reach = kind.class().has_own_reach();
    let all = if own_reach { " [default: all that fit]" } else { "" };
    Arg::new("methods")
        .short('m')
        .long("methods")
        .value_name("METHOD,...")
        .help(format!("Methods, or `all` (see `slowfs methods`){all}"))
        .required(!own_reach)
        .action(ArgAction::Append)
        .value_delimiter(',')
        .value_parser(parse_method)
}

fn regex() -> Arg {
    Arg::new("regex").short('r').long("regex").value_name("REGEX").help(
        "Only where this pattern matches the whole backing path: the mirrored directory as it was \
         given, then the path below the mount [default: any path]",
    )
}

fn glob() -> Arg {
    Arg::new("glob")
        .long("glob")
        .value_name("GLOB")
        .help(
            "The same as a glob: `*` and `?` within a name, `**` across directories, [a-z], [!a-z], {a,b}. \
             Without a leading `/` it may begin at any directory",
        )
        .conflicts_with("regex")
        .value_parser(parse_glob)
}

fn below() -> Arg {
    Arg::new("below")
        .long("below")
        .value_name("REGEX")
        .help("Only directories whose whole path matches, and everything below them")
        .conflicts_with_all(["regex", "glob"])
        .value_parser(|text: &str| Ok::<_, std::convert::Infallible>(words::below(text)))
}

fn and() -> Arg {
    Arg::new("and")
        .long("and")
        .value_name("KIND ...")
        .help("A second effect of the fault, as in 'error EIO'; may be repeated")
        .action(ArgAction::Append)
        .value_parser(words::beside)
}

fn name() -> Arg {
    Arg::new("name")
        .long("name")
        .value_name("NAME")
        .help("The name of the fault; a fault that has this name is replaced")
        .value_parser(|text: &str| Name::new(text).map(|name| name.to_string()))
}

fn add() -> Arg {
    Arg::new("add")
        .long("add")
        .help("Keep the other faults of these methods; the first that fires decides")
        .action(ArgAction::SetTrue)
}

/// What was typed, if it is the command of a kind.
///
/// # Errors
/// A fault that cannot be: one line.
pub(super) fn read(matches: &ArgMatches) -> Option<Result<SetFault, String>> {
    let (name, matches) = matches.subcommand()?;
    let kind = KINDS.iter().find(|kind| kind.name() == name)?;
    Some(fault(*kind, matches).and_then(|fault| {
        let target = Target::from_arg_matches(matches).map_err(|e| e.to_string())?;
        Ok(SetFault { fault, add: matches.get_flag("add"), target })
    }))
}

/// The fault, in the words that tell it.
fn fault(kind: &dyn Kind, matches: &ArgMatches) -> Result<FaultWords, String> {
    let value = |param: &Param| match param.of {
        ParamType::Flag => matches.get_flag(param.name).then_some(Value::Flag(true)),
        _ => matches.get_one::<Value>(param.name).cloned(),
    };
    let given = |param: &Param| value(param).map(|value| (param.name.to_owned(), value));
    let params = kind.params().iter().filter_map(given).collect();
    let first = EffectWords { kind: kind.name().to_owned(), params };
    let beside = matches.get_many::<EffectWords>("and").unwrap_or_default().cloned();
    let text = |id: &str| matches.get_one::<String>(id).cloned();
    let words = FaultWords {
        methods: matches.get_many("methods").unwrap_or_default().cloned().collect(),
        pattern: ["regex", "glob", "below"].into_iter().find_map(text).unwrap_or_default(),
        options: options(kind).filter_map(|option| given(&option.param)).collect(),
        effects: [first].into_iter().chain(beside).collect(),
        name: text("name"),
    };
    let words = words.with_files(&read_file).map_err(|e| e.to_string())?;
    let words = measured::tabled(words)?;
    let fault = words.fault().map_err(|why| words::refused(&why, &words.methods))?;
    Ok(FaultWords::whole(&fault))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::command;
    use super::*;
    use crate::fault::kinds::{self, tests::faults};
    use crate::rpc::ListedFault;

    fn typed(line: &str) -> SetFault {
        let matches = command().try_get_matches_from(words::split(line).unwrap());
        let matches = matches.unwrap_or_else(|e| panic!("{line}: {e}"));
        read(&matches).unwrap().unwrap_or_else(|e| panic!("{line}: {e}"))
    }

    #[test]
    fn a_command_reads_as_the_line_of_a_fault_does() {
        for line in [
            "delay 10ms -m fsync,write -r '(^|.*/)a b/.*' -p 1%",
            "error EIO,28 -m all --count 3 --after 2 --for 1s --name slow",
            "delay 1ms --and 'error EROFS' --and kill -m read --nth 3 --uid 0,7",
            "delay 1ms -m read --glob 'wal/{a,b}*'",
            "shutdown --below '.*/wal' --at fsync --after 3",
        ] {
            let (words, _) = words::line(line).unwrap();
            let fault = words.fault().unwrap();
            let expected = FaultWords::whole(&fault);
            assert_eq!(typed(&format!("slowfs {line}")).fault, expected, "{line}");
        }
        assert!(typed("slowfs kill -m read --add").add);
    }

    #[test]
    fn help_leaves_out_what_is_always_refused() {
        let help = |kind: &str| {
            let kind = kinds::find(kind).unwrap();
            super::command(kind).render_long_help().to_string()
        };
        for (kind, left_out, shown) in [
            (
                "throttle",
                &["--probability", "--after", "--nth", "--count", "--stable", "--ramp", "--and"][..],
                &["--starts", "--for", "--on-for", "--size", "--name"][..],
            ),
            ("shutdown", &["--starts", "--for", "--on-for", "--random", "--count"], &["--after"]),
            ("hang", &["--ramp"], &["--count", "--on-for", "--and"]),
            ("delay", &[], &["--ramp", "--probability", "--range", "--and"]),
            ("lying-sync", &["--range", "--size", "--flags"], &["--uid"]),
        ] {
            let text = help(kind);
            let has = |option: &&str| text.split_whitespace().any(|word| word == *option);
            assert!(!left_out.iter().any(has), "{kind}: {text}");
            assert!(shown.iter().all(has), "{kind}: {text}");
        }
    }

    proptest! {
        /// What `list --commands` prints sets the same fault again.
        #[test]
        fn the_command_of_a_listed_fault_sets_it_again(fault in faults()) {
            let listed = ListedFault { fault, ..ListedFault::default() };
            let commands = super::super::render::commands(std::slice::from_ref(&listed), "db1:9091");
            let again = typed(&commands[0]);
            prop_assert_eq!(again.fault, listed.fault);
            prop_assert!(again.add);
            prop_assert_eq!(&*again.target.addr, ["db1:9091"]);
        }
    }

    /// Options of a fault that bear the name of a command or kind, and mean the same: `slowfs methods`
    /// lists those that `--methods` takes, `slowfs mount` makes what `--mount` names.
    const SAME: [&str; 2] = ["methods", "mount"];

    /// Values of a kind in place of an option of every fault, which mean the same: which bytes of a file
    /// are concerned.
    const OWN: [(&str, &str); 1] = [("bad-sector", "range")];

    /// Values of a kind that bear the name of a kind, and mean the same: processes get SIGKILL.
    const LIKE: [(&str, &str); 1] = [("cut-at", "kill")];

    #[test]
    fn no_word_means_two_things() {
        let commands: Vec<String> =
            command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
        for (place, name) in commands.iter().enumerate() {
            assert!(!commands[..place].contains(name), "two commands {name}");
        }
        let own = [
            "methods", "regex", "glob", "below", "and", "name", "add", "mount", "addr", "json",
            "help",
        ];
        let words = || OPTIONS.iter().map(|option| option.word).chain(own);
        for word in words() {
            assert!(
                SAME.contains(&word) || !commands.iter().any(|name| name == word),
                "--{word} is a command"
            );
        }
        for kind in KINDS {
            for param in kind.params() {
                let (name, word) = (kind.name(), param.word());
                let is_own = OWN.contains(&(name, word.as_str()));
                let mut names = OPTIONS.iter().map(|option| option.param.name);
                let is_option = words().any(|of| of == word) || names.any(|of| of == param.name);
                assert_eq!(is_option, is_own, "{name}: {word} is an option of every fault");
                let is_like = LIKE.contains(&(name, word.as_str()));
                assert_eq!(commands.contains(&word), is_like, "{name}: --{word} is a command");
            }
        }
    }
}

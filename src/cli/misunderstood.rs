//! What is wrong with a line that does not parse, and what would be right: one line, in the words of
//! the command line. The parser's own tips go by likeness of letters alone, so none of them is shown.
//! No locks.

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error};

use super::meant;
use super::values::parse_method;
use super::whom::{is_bare_mountpoint, is_path};
use crate::fault::suggest::closest;
use crate::fault::words::{self, Errno, quoted};

/// A line as it was typed, and the command that it names.
struct Line<'a> {
    grammar: &'a Command,
    command: Option<&'a Command>,
    words: &'a [OsString],
}

/// Why the words do not parse, and where more is said.
pub(super) fn told(error: &Error, grammar: &Command, words: &[OsString]) -> String {
    let words = words.strip_prefix(&["help".into()][..]).unwrap_or(words);
    let command = words.first().and_then(|word| grammar.find_subcommand(word));
    let line = Line { grammar, command, words };
    let help = command.map_or("slowfs --help".to_owned(), |command| {
        format!("slowfs help {}", command.get_name())
    });
    format!("{} (see `{help}`)", line.told(error))
}

/// A mountpoint before its command, the other way round: what to write.
pub(super) fn turned_round(grammar: &Command, words: &[OsString]) -> Option<String> {
    let (place, rest) = words.split_first()?;
    let (name, rest) = rest.split_first()?;
    let command = grammar.find_subcommand(name).filter(|_| is_path(place))?;
    let line = [name, place].into_iter().chain(rest);
    Some(format!(
        "the command comes first, as in `slowfs {}` (see `slowfs help {}`)",
        shown(line),
        command.get_name()
    ))
}

impl Line<'_> {
    fn told(&self, error: &Error) -> String {
        if let Some(line) = self.of_charybdefs().or_else(|| self.bare_mountpoint()) {
            return line;
        }
        let wrong = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(wrong)) => wrong.as_str(),
            _ => "",
        };
        let told = match (error.kind(), self.command) {
            (_, None) => Some(self.no_command()),
            (ErrorKind::UnknownArgument, Some(command)) if wrong.starts_with('-') => {
                Some(self.no_option(wrong, command))
            }
            (ErrorKind::UnknownArgument, Some(command)) => Some(self.no_argument(wrong, command)),
            (ErrorKind::MissingRequiredArgument, Some(command)) => self.missing(error, command),
            (ErrorKind::ValueValidation, Some(command)) if wrong.starts_with("-o ") => {
                own_option(error, command)
            }
            (ErrorKind::ValueValidation, Some(_)) if wrong.contains("NAME|ID") => {
                self.misplaced_mount(error)
            }
            (ErrorKind::ValueValidation, Some(command)) if wrong.starts_with('<') => {
                self.method_first(command)
            }
            _ => None,
        };
        told.unwrap_or_else(|| one_line(error))
    }

    /// charybdefs's own command line, which is understood by that name only.
    fn of_charybdefs(&self) -> Option<String> {
        let words: Vec<_> = self.words.iter().map(|word| word.to_string_lossy()).collect();
        let list = words.iter().find(|word| word.contains("modules=subdir"))?;
        let after = list.rsplit_once("subdir=").map(|(_, dir)| dir);
        let dir = after.and_then(|dir| dir.split(',').next()).unwrap_or("DIR");
        let is_place = |word: &&String| !word.starts_with('-') && !word.contains('=');
        let words: Vec<String> = words.iter().map(|word| word.clone().into_owned()).collect();
        let place = words.iter().filter(|word| *word != "mount").find(is_place);
        let place = place.map_or("MOUNTPOINT", String::as_str);
        Some(format!(
            "these are charybdefs's words, which a link named charybdefs understands; here write \
             `slowfs mount {} --subdir {}`",
            quoted(place),
            quoted(dir)
        ))
    }

    /// A mountpoint where a control command takes one, but without the slash that tells it apart.
    fn bare_mountpoint(&self) -> Option<String> {
        self.command?.get_arguments().find(|arg| arg.get_id() == "mount")?;
        let (place, word) =
            self.words.iter().enumerate().skip(1).find(|(_, word)| is_bare_mountpoint(word))?;
        let mut words = self.words.to_vec();
        words.remove(place);
        let mut path = OsString::from("./");
        path.push(word);
        words.insert(1, path);
        Some(format!("a mountpoint has a slash in it: write `slowfs {}`", shown(&words)))
    }

    fn no_command(&self) -> String {
        let Some(word) = self.words.first().map(|word| word.to_string_lossy()) else {
            return "no command is named".to_owned();
        };
        if word.starts_with('-') {
            return self.no_command_but_option(&word);
        }
        let no = format!("there is no command {}", quoted(&word));
        if let Some(meant) = meant::command(&word) {
            return format!("{no}: {meant}");
        }
        let names =
            || self.grammar.get_subcommands().flat_map(Command::get_name_and_visible_aliases);
        match closest(&word, names()) {
            _ if begins_with_place(self.words) && self.would_mount() => {
                format!("{no}; to mount, write `slowfs mount {}`", shown(self.words))
            }
            Some(near) => format!("{no}; did you mean {near}?"),
            // Of a path, what stands before it would be done to it.
            None if self.words.len() == 2
                && !self.words.iter().any(is_path)
                && self.would_mount() =>
            {
                format!("{no}; to mount, write `slowfs mount {}`", shown(self.words))
            }
            None => format!("{no}; `slowfs` alone shows those there are"),
        }
    }

    /// An option before its command, in the place of one, or of charybdefs's and mount(8)'s grammar.
    fn no_command_but_option(&self, word: &str) -> String {
        let is_command = |word: &&OsString| self.grammar.find_subcommand(word).is_some();
        let no = format!("no command stands before {}", quoted(word));
        if let Some(command) = self.words.iter().find(is_command) {
            let others = self.words.iter().filter(|other| *other != command);
            let line = shown([command].into_iter().chain(others));
            return format!("{no}: write `slowfs {line}`");
        }
        if self.words.iter().any(is_path) && self.would_mount() {
            return format!("{no}; to mount, write `slowfs mount {}`", shown(self.words));
        }
        let name = OsString::from(word.trim_start_matches('-'));
        match meant::command(&name.to_string_lossy()) {
            Some(meant) => format!("{no}: {meant}"),
            None if is_command(&&name) => format!("{no}: write `slowfs {}`", shown([&name])),
            None => format!("{no}; `slowfs` alone shows those there are"),
        }
    }

    /// Whether it is what `slowfs mount` takes.
    fn would_mount(&self) -> bool {
        let before = [OsString::from("mount")];
        self.parses(before.into_iter().chain(self.words.iter().cloned()))
    }

    fn parses(&self, words: impl Iterator<Item = OsString>) -> bool {
        let line = [OsString::from("slowfs")].into_iter().chain(words).collect();
        let line = super::spelled_out(self.grammar, line);
        self.grammar.clone().try_get_matches_from(line).is_ok()
    }

    fn no_option(&self, wrong: &str, command: &Command) -> String {
        let typed = self.words.iter().map(|word| word.to_string_lossy());
        let short = !wrong.starts_with("--");
        let mut typed = typed.filter(|word| short && word.starts_with(wrong));
        let typed = typed.next().map_or(wrong.to_owned(), |word| word.into_owned());
        if typed.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit()) {
            return format!("{typed} is negative, and no value may be");
        }
        let no = format!("there is no option {typed}");
        if let Some(meant) = meant::option(wrong, command) {
            return format!("{no}; write {meant}");
        }
        let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
        let longs = shown.filter_map(|arg| arg.get_long());
        match closest(wrong.trim_start_matches('-'), longs) {
            Some(near) if !short => format!("{no}; did you mean --{near}?"),
            _ if self.is_value(&typed, command) => {
                format!("{no}; a value that begins with a dash is written as in --OPTION={typed}")
            }
            _ => no,
        }
    }

    /// Whether it stands where an option has its value.
    fn is_value(&self, typed: &str, command: &Command) -> bool {
        let place = self.words.iter().position(|word| word == typed);
        let before = place.and_then(|place| self.words.get(place.checked_sub(1)?)?.to_str());
        let takes_one = |arg: &&Arg| arg.get_action().takes_values();
        before.is_some_and(|before| {
            command.get_arguments().filter(takes_one).any(|arg| {
                let long = arg.get_long().map(|long| format!("--{long}"));
                let short = arg.get_short().map(|short| format!("-{short}"));
                [long, short].iter().flatten().any(|option| option == before)
            })
        })
    }

    /// A word too many.
    fn no_argument(&self, wrong: &str, command: &Command) -> String {
        let has = |id: &str| command.get_arguments().any(|arg| arg.get_id() == id);
        let no = format!("{} is one word too many", quoted(wrong));
        if let Some(together) = self.time_in_two(wrong) {
            return format!("{no}; a time is one word, {together}");
        }
        if let Some(misplaced) = self.method_first(command) {
            return misplaced;
        }
        if let Ok(method) = parse_method(wrong)
            && has("methods")
        {
            return match self.method_before(wrong) {
                Some(before) => format!("{no}; several methods are written -m {before},{method}"),
                None => format!("{no}; methods are written -m {method}"),
            };
        }
        if Errno::from_name(wrong).is_ok()
            && let Some(before) = self.errno_before(wrong)
        {
            return format!("{no}; several errnos are written {before},{wrong}");
        }
        match () {
            () if is_path(&wrong.into()) && has("regex") => format!(
                "{no}; a mount is named before all other arguments or by --mount, files by -r REGEX"
            ),
            () if is_path(&wrong.into()) && has("mount") => {
                format!("{no}; a mount is named before all other arguments, or by --mount")
            }
            () if wrong.ends_with('%') && has("probability") => {
                format!("{no}; how often is written -p {wrong}")
            }
            () if words::time(wrong).is_ok() && has("lasts") => {
                format!("{no}; how long the fault stands is written --for {wrong}")
            }
            () => match example(command).filter(|_| has("regex")) {
                Some(example) => format!("{no}; write it as in `{example}`"),
                None => no,
            },
        }
    }

    /// A mount in the place of a fault: it comes first.
    fn misplaced_mount(&self, error: &Error) -> Option<String> {
        let Some(ContextValue::String(path)) = error.get(ContextKind::InvalidValue) else {
            return None;
        };
        let path = OsString::from(path);
        if !is_path(&path) {
            return None;
        }
        let no = format!(
            "{} is no fault; a mount is named before all other arguments, or by --mount",
            shown([&path])
        );
        let mut words = self.words.to_vec();
        words.remove(words.iter().position(|word| *word == path)?);
        words.insert(1, path);
        Some(match self.parses(words.iter().cloned()) {
            true => format!("{no}: write `slowfs {}`", shown(&words)),
            false => no,
        })
    }

    /// A time that was written with a blank before its unit.
    fn time_in_two(&self, unit: &str) -> Option<String> {
        let place = self.words.iter().position(|word| word == unit)?;
        let number = self.words.get(place.checked_sub(1)?)?.to_str()?;
        let together = format!("{number}{unit}");
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        (is_number && words::time(&together).is_ok()).then_some(together)
    }

    /// A method in the place of what a kind takes.
    fn method_first(&self, command: &Command) -> Option<String> {
        let place = self.words.iter().skip(1).position(|word| !is_path(word))? + 1;
        let word = self.words.get(place)?.to_str()?;
        let method = parse_method(word).ok()?;
        let takes = |id| command.get_arguments().any(|arg| arg.get_id() == id);
        let example = example(command).filter(|_| takes("methods") && takes("regex"))?;
        let mut turned = self.words.to_vec();
        turned.remove(place);
        turned.extend(["-m".into(), method.to_string().into()]);
        let no = format!("{word} is a method, which is written -m {method}");
        Some(match self.parses(turned.iter().cloned()) {
            true => format!("{no}: write `slowfs {}`", shown(&turned)),
            false => format!("{no}, as in `{example}`"),
        })
    }

    /// The methods of the -m right before that word.
    fn method_before(&self, wrong: &str) -> Option<String> {
        let words: Vec<_> = self.words.iter().map(|word| word.to_string_lossy()).collect();
        let place = words.iter().position(|word| word == wrong)?;
        match words.get(..place)? {
            [.., option, methods] if option == "-m" || option == "--methods" => {
                Some(methods.clone().into_owned())
            }
            _ => None,
        }
    }

    /// The errnos, or the one, that stand right before that word.
    fn errno_before(&self, wrong: &str) -> Option<String> {
        let place = self.words.iter().position(|word| word == wrong)?;
        let before = self.words.get(place.checked_sub(1)?)?.to_str()?;
        before.split(',').all(|errno| Errno::from_name(errno).is_ok()).then(|| before.to_owned())
    }

    fn missing(&self, error: &Error, command: &Command) -> Option<String> {
        let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else {
            return None;
        };
        let example = example_of(command, missing);
        let example = example.map(|line| format!(", as in `{line}`")).unwrap_or_default();
        match missing.as_slice() {
            [only] if only.starts_with("--methods") => Some(format!(
                "on which methods? -m fsync, say, or -m all{example}; `slowfs methods` lists them"
            )),
            all => {
                let all = all.iter().map(|arg| arg.trim_end_matches("...")).collect::<Vec<_>>();
                let is = if all.len() == 1 { "is" } else { "are" };
                Some(format!("{} {is} missing{example}", all.join(" and ")))
            }
        }
    }
}

/// An option of ours where one of mount(8)'s is expected.
fn own_option(error: &Error, command: &Command) -> Option<String> {
    let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) else {
        return None;
    };
    let (name, rest) = value.split_at(value.find('=').unwrap_or(value.len()));
    let long = name.replace('_', "-");
    let is_own = command.get_arguments().any(|arg| arg.get_long() == Some(&*long));
    is_own.then(|| format!("{value} is no option of mount(8); write --{long}{rest}"))
}

/// Whether the first word is a directory, and not what is to be done with one.
fn begins_with_place(words: &[OsString]) -> bool {
    let others = words.iter().any(is_path);
    let is_place = |word: &OsString| is_path(word) || Path::new(word).is_dir();
    others && words.first().is_some_and(is_place)
}

/// The first example of a command's help.
fn example(command: &Command) -> Option<String> {
    example_of(command, &[])
}

/// The first that has these options, as in `--to <NAME>`; values without an option may stand in any.
fn example_of(command: &Command, arguments: &[String]) -> Option<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let longs = arguments.iter().filter_map(|arg| {
        let long = arg.strip_prefix("--")?;
        long.split(|c: char| !is_name(c)).next()
    });
    let wanted: Vec<&Arg> = longs
        .filter_map(|long| command.get_arguments().find(|arg| arg.get_long() == Some(long)))
        .collect();
    let has = |line: &str, arg: &Arg| {
        let long = arg.get_long().map(|long| format!("--{long}"));
        let short = arg.get_short().map(|short| format!("-{short}"));
        let mut words = line.split(' ').map(str::to_owned).map(Some);
        words.any(|word| word == long || word == short)
    };
    let help = command.get_after_help()?.to_string();
    let mut examples = help.lines().filter(|line| line.starts_with("  slowfs "));
    let found = examples.find(|line| wanted.iter().all(|arg| has(line, arg)))?;
    Some(found.split("  #").next()?.trim().to_owned())
}

/// Words as they would be typed.
fn shown<'a>(words: impl IntoIterator<Item = &'a OsString>) -> String {
    let words = words.into_iter().map(|word| quoted(&word.to_string_lossy()));
    words.collect::<Vec<_>>().join(" ")
}

/// What the parser says, without its tips and the usage that follow.
fn one_line(error: &Error) -> String {
    let text = error.to_string();
    let parts = text.split("\n\n").map(|p| p.split_whitespace().collect::<Vec<_>>().join(" "));
    let left_out = ["Usage:", "For more information", "tip:"];
    let told = parts.filter(|part| left_out.iter().all(|begin| !part.starts_with(begin)));
    told.collect::<Vec<_>>().join("; ").trim_start_matches("error: ").to_owned()
}

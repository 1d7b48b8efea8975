//! What could stand for each value of the grammar, by what its help calls it: `METHOD,...`, `before|after`. Words in
//! small letters stand for themselves; [`VALUES`] has the others. A test finds those that it lacks. No locks.

use std::ffi::{OsStr, OsString};
use std::io;
use std::time::Duration;

use clap::builder::StyledStr;
use clap::{Arg, Command};
use clap_complete::engine::{
    ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};

use super::patience;
use crate::cli::target::Target;
use crate::cli::{mounts, options, recipe, whom};
use crate::daemon::mountinfo::MountLine;
use crate::fault::distributions::DISTRIBUTIONS;
use crate::fault::kinds::KINDS;
use crate::fault::words::{Errno, visible};
use crate::ops::Method;
use crate::rpc::ListedFault;
use crate::sys::text_of;

/// How long the mounts may take to tell their faults.
const PATIENCE: Duration = Duration::from_millis(400);

/// Where the words come from.
#[derive(Clone, Copy)]
enum Source {
    /// This program knows them.
    Known(fn() -> Vec<CompletionCandidate>),
    /// The mount that is meant tells them.
    Faults,
    /// The mount table has them.
    Mounts,
    /// They are files.
    Files,
    /// They are directories.
    Directories,
    /// Whoever types it knows it.
    Free,
}
use Source::{Directories, Faults, Files, Free, Known, Mounts};

/// Each name of a value, and what could stand for it.
const VALUES: &[(&str, &[Source])] = &[
    ("METHOD", &[Known(methods)]),
    ("METHOD|NAME|ID", &[Known(methods), Faults]),
    ("NAME|ID", &[Faults]),
    ("ERRNO", &[Known(errnos)]),
    ("KIND", &[Known(kinds)]),
    ("KIND ...", &[Known(kinds)]),
    ("FAULT", &[Known(kinds)]),
    ("RECIPE", &[Known(recipes)]),
    ("DISTRIBUTION", &[Known(distributions)]),
    ("PRESET", &[Known(presets)]),
    ("KEEP", &[Known(keepings)]),
    ("OPT", &[Known(mount_options)]),
    ("MOUNT", &[Mounts]),
    ("PATH", &[Mounts, Files]),
    ("SOCKET", &[Files]),
    ("FILE", &[Files]),
    ("@FILE", &[Free]),
    ("PROGRAM", &[Files]),
    ("DIR", &[Directories]),
    ("MOUNTPOINT", &[Directories]),
    ("TIME", &[Free]),
    ("DURATION", &[Free]),
    ("SIZE", &[Free]),
    ("BYTES", &[Free]),
    ("SHARE", &[Free]),
    ("N", &[Free]),
    ("PID", &[Free]),
    ("INJECTION", &[Free]),
    ("NAME", &[Free]),
    ("CMD", &[Free]),
    ("REGEX", &[Free]),
    ("GLOB", &[Free]),
    ("A..B", &[Free]),
    ("xA..xB/TIME", &[Free]),
    ("ADDR:PORT", &[Free]),
    ("HOST:PORT", &[Free]),
    ("NETWORK", &[Free]),
];

/// The grammar with what could stand for each value.
pub(super) fn told(grammar: Command, target: &Target) -> Command {
    grammar.mut_subcommands(|command| command.mut_args(|arg| with_words(arg, target)))
}

fn with_words(arg: Arg, target: &Target) -> Arg {
    let Some(form) = form(&arg) else { return arg };
    let target = target.clone();
    arg.add(ArgValueCompleter::new(move |current: &OsStr| words(&form, current, &target)))
}

/// What help calls its value.
fn form(arg: &Arg) -> Option<String> {
    let [name] = arg.get_value_names()? else { return None };
    Some(name.to_string())
}

/// The words that go on from what is there.
fn words(form: &str, current: &OsStr, target: &Target) -> Vec<CompletionCandidate> {
    let text = current.to_string_lossy();
    let (others, last) = match text.rsplit_once(',').filter(|_| form.contains(",...")) {
        Some((others, last)) => (format!("{others},"), OsString::from(last)),
        None => (String::new(), current.to_owned()),
    };
    let form = form.replace(",...", "");
    let found = sources(&form).into_iter().flat_map(|source| match source {
        Ok(source) => source.words(&last, target),
        Err(word) => begun(vec![word.into()], &last),
    });
    found.map(|word| word.add_prefix(others.as_str())).collect()
}

/// Where the words of each alternative come from; a word that stands for itself as the error.
fn sources(form: &str) -> Vec<Result<Source, &str>> {
    let row = |name: &str| VALUES.iter().find(|(known, _)| *known == name);
    if let Some((_, sources)) = row(form) {
        return sources.iter().copied().map(Ok).collect();
    }
    let of = |alternative| match row(alternative) {
        Some((_, sources)) => sources.iter().copied().map(Ok).collect(),
        None => literal(alternative).map(Err).into_iter().collect::<Vec<_>>(),
    };
    form.split('|').flat_map(of).collect()
}

/// What of it is typed as it is shown: `random`, `EDQUOT`, `prefix:` of `prefix:N`, `flip` of `flip[:BITS]`.
fn literal(alternative: &str) -> Option<&str> {
    if Errno::from_name(alternative).is_ok() {
        return Some(alternative);
    }
    let end = |c: char| c.is_ascii_uppercase() || c == '[';
    alternative.split(end).next().filter(|literal| !literal.is_empty())
}

impl Source {
    fn words(self, current: &OsStr, target: &Target) -> Vec<CompletionCandidate> {
        match self {
            Known(words) => begun(words(), current),
            Faults => begun(faults(target), current),
            Mounts => mountpoints(current),
            Files => PathCompleter::any().complete(current),
            Directories => PathCompleter::dir().complete(current),
            Free => Vec::new(),
        }
    }
}

/// Those that begin as it does.
fn begun(mut words: Vec<CompletionCandidate>, current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    words.retain(|word| word.get_value().to_string_lossy().starts_with(&*current));
    words
}

fn word(value: impl Into<OsString>, about: impl Into<StyledStr>) -> CompletionCandidate {
    CompletionCandidate::new(value).help(Some(about.into()))
}

fn methods() -> Vec<CompletionCandidate> {
    let all = Method::all().map(|method| CompletionCandidate::new(method.name()));
    all.chain([word("all", "every method")]).collect()
}

fn errnos() -> Vec<CompletionCandidate> {
    let about = |errno: Errno| text_of(&io::Error::from_raw_os_error(errno.raw()));
    Errno::named().map(|(name, errno)| word(name, about(errno))).collect()
}

fn kinds() -> Vec<CompletionCandidate> {
    KINDS.iter().map(|kind| word(kind.name(), kind.about())).collect()
}

fn recipes() -> Vec<CompletionCandidate> {
    recipe::names().map(|(name, what)| word(name, what)).collect()
}

fn distributions() -> Vec<CompletionCandidate> {
    DISTRIBUTIONS.iter().filter_map(|of| Some(word(literal(of.form)?, of.about))).collect()
}

fn presets() -> Vec<CompletionCandidate> {
    let files = KINDS.iter().flat_map(|kind| kind.files());
    files.map(|(name, _)| CompletionCandidate::new(*name)).collect()
}

fn keepings() -> Vec<CompletionCandidate> {
    ["none", "all", "prefix:", "random"].map(CompletionCandidate::new).into()
}

fn mount_options() -> Vec<CompletionCandidate> {
    options::names().map(CompletionCandidate::new).collect()
}

/// The mirrors that there are. No mount is asked.
pub(super) fn mountpoints(current: &OsStr) -> Vec<CompletionCandidate> {
    let mirrors = mounts::mirrors().unwrap_or_default();
    let told = |line: MountLine| {
        let about = format!("mirrors {}", line.source.display());
        word(line.mountpoint, about)
    };
    begun(mirrors.into_iter().map(told).collect(), current)
}

/// The names and numbers of the faults that stand, as far as the mounts tell in time.
fn faults(target: &Target) -> Vec<CompletionCandidate> {
    let target = target.clone();
    let all = patience::within(PATIENCE, move || standing(&target)).unwrap_or_default();
    let named =
        all.iter().filter_map(|listed| Some(word(listed.fault.name.clone()?, about(listed))));
    let numbered = all.iter().map(|listed| word(listed.id.to_string(), about(listed)));
    named.chain(numbered).collect()
}

fn standing(target: &Target) -> Vec<ListedFault> {
    let (addresses, origin) = whom::addresses(target).unwrap_or_default();
    let ask = |addr: &String| whom::reach(addr, &origin, PATIENCE).ok()?.list_faults().ok();
    addresses.iter().filter_map(ask).flatten().collect()
}

fn about(listed: &ListedFault) -> String {
    format!("fault {}: {}", listed.id, visible(&listed.fault.line()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command;

    fn shown(form: &str, current: &str) -> Vec<String> {
        let found = words(form, OsStr::new(current), &Target::default());
        found.iter().map(|word| word.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn every_value_of_the_grammar_has_words_or_is_known_to_be_free() {
        for command in command().get_subcommands() {
            for arg in command.get_arguments().filter(|arg| arg.get_action().takes_values()) {
                let (name, id) = (command.get_name(), arg.get_id());
                let form =
                    form(arg).unwrap_or_else(|| panic!("{name} {id} has no name of a value"));
                let form = form.replace(",...", "");
                let whole = VALUES.iter().any(|(known, _)| *known == form);
                let parts = form.split('|').all(|part| !sources(part).is_empty());
                assert!(whole || parts, "nothing is said of {form} of {name} {id}");
            }
        }
    }

    #[test]
    fn what_help_shows_in_small_letters_is_offered() {
        assert_eq!(shown("before|after", ""), ["before", "after"]);
        assert_eq!(shown("none|all|prefix:N|random", "pre"), ["prefix:"]);
        assert_eq!(shown("flip[:BITS]|zero|random|stale", ""), ["flip", "zero", "random", "stale"]);
        assert_eq!(shown("ENOSPC|EDQUOT", "ED"), ["EDQUOT"]);
        assert_eq!(shown("TIME|DISTRIBUTION", "logn"), ["lognormal:p50="]);
        assert_eq!(shown("N", ""), [""; 0]);
    }

    #[test]
    fn the_last_of_a_list_goes_on_from_its_comma() {
        assert_eq!(shown("ERRNO,...|random", "EIO,ENOSP"), ["EIO,ENOSPC"]);
        assert_eq!(shown("ERRNO,...|random", "ra"), ["random"]);
        assert_eq!(shown("METHOD,...", "fsy"), ["fsync", "fsyncdir"]);
        assert_eq!(shown("before|after", "before,a"), [""; 0]);
    }
}

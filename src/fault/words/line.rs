//! A fault on one line, as `--fault` and scenarios take it and `list --commands` prints it.

use std::ffi::OsStr;

use super::fault::{EffectWords, FaultWords};
use super::glob;
use super::option::{FaultOption, OPTIONS};
use super::param::{Param, ParamType};
use super::pattern::shorten;
use super::value::{Args, Value};
use super::visible::visible;
use crate::fault::error::SpecError;
use crate::fault::kinds::{self, Kind};

/// A fault as written after `slowfs`: `delay 10ms -m fsync -r '.*/wal/.*' --and 'error EIO'`; and
/// whether it is added beside the others of its methods.
///
/// # Errors
/// One line that says what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<(FaultWords, bool), SpecError> {
    let words = joined(split(text)?).into_iter();
    let mut reader = Reader { words, fault: FaultWords::default(), add: false };
    reader.effect()?;
    Ok((reader.fault, reader.add))
}

/// What `--and` takes: a kind and its values, as in `error EIO`; without options of the fault.
///
/// # Errors
/// One line that says what is wrong with it.
pub(crate) fn beside(text: &str) -> Result<EffectWords, SpecError> {
    let (mut fault, add) = parse(text)?;
    let effect = fault.effects.pop().unwrap_or_default();
    if fault != FaultWords::default() || add {
        let why =
            format!("what follows {} there belongs to the fault: write it outside", effect.kind);
        return Err(SpecError::Line(why));
    }
    Ok(effect)
}

/// Splits a line into words at blanks outside single or double quotes.
///
/// # Errors
/// A quote that is not closed.
pub(crate) fn split(text: &str) -> Result<Vec<String>, SpecError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match quote {
            Some(q) if c == q => quote = None,
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    if let Some(q) = quote {
        return Err(SpecError::Line(format!("the {q} is not closed")));
    }
    words.extend(word);
    Ok(words)
}

/// The words of a command, with lists as one word where blanks stand beside their commas: `-m fsync,
/// fdatasync`. A list is what stands alone, or behind an option that takes one.
pub(crate) fn joined<W: AsRef<OsStr> + From<String>>(words: impl IntoIterator<Item = W>) -> Vec<W> {
    let mut all: Vec<W> = Vec::new();
    for word in words {
        let list = match all.as_slice() {
            [.., before, last] => list_of(before, last, &word),
            _ => None,
        };
        match list {
            Some(list) => {
                all.pop();
                all.push(list.into());
            }
            None => all.push(word),
        }
    }
    all
}

/// The one word that a word and the next make, if that one goes on with its list.
fn list_of(
    before: &impl AsRef<OsStr>,
    word: &impl AsRef<OsStr>,
    next: &impl AsRef<OsStr>,
) -> Option<String> {
    let [before, word, next] = [before.as_ref(), word.as_ref(), next.as_ref()].map(OsStr::to_str);
    let (before, word, next) = (before?, word?, next?);
    let is_list = match word.starts_with('-') {
        true => word.starts_with("-m") || word.starts_with("--methods="),
        false => !before.starts_with('-') || takes_a_list(before),
    };
    let goes_on = word.ends_with(',') && !next.starts_with(['-', '/']) || next.starts_with(',');
    (is_list && goes_on).then(|| format!("{word}{next}"))
}

fn takes_a_list(option: &str) -> bool {
    let own =
        |of: &FaultOption| of.param.of.is_list() && option.strip_prefix("--") == Some(of.word);
    matches!(option, "-m" | "--methods" | "--addr") || OPTIONS.iter().any(own)
}

impl FaultWords {
    /// The line that asks for the same, as `parse` reads it.
    #[must_use]
    pub fn line(&self) -> String {
        self.line_of(self.effect())
    }

    /// The same for people, on one line: of a long effect only the beginning is shown.
    #[must_use]
    pub(crate) fn shown(&self) -> String {
        visible(&self.line_of(self.effect_by(|effect| shorten(&effect))))
    }

    fn line_of(&self, effect: String) -> String {
        let mut words = vec![effect];
        if !self.methods.is_empty() && !self.is_where_it_belongs() {
            words.push(format!("-m {}", self.methods.join(",")));
        }
        if !self.pattern.is_empty() {
            words.push(format!("-r {}", quoted(&self.pattern)));
        }
        for (name, value) in &self.options {
            if let Ok(option) = FaultOption::named(name) {
                words.extend(typed(option.word, option.param.of, value));
            }
        }
        words.extend(self.name.as_ref().map(|name| format!("--name {name}")));
        words.join(" ")
    }

    /// The part of it that says what the fault does: `delay 10ms --and 'error EIO'`. `nothing` for one
    /// of charybdefs's calls that asks for no more.
    #[must_use]
    pub(crate) fn effect(&self) -> String {
        self.effect_by(|effect| effect)
    }

    /// The same with each effect made into that.
    fn effect_by(&self, each: impl Fn(String) -> String) -> String {
        let mut effects = self.effects.iter().map(|effect| each(effect.line()));
        let mut words = vec![effects.next().unwrap_or_else(|| "nothing".to_owned())];
        words.extend(effects.map(|effect| format!("--and {}", quoted(&effect))));
        words.join(" ")
    }
}

impl EffectWords {
    /// A kind and its values: `delay 10ms`.
    #[must_use]
    pub(crate) fn line(&self) -> String {
        let mut words = vec![self.kind.clone()];
        for param in kinds::find(&self.kind).map_or(&[][..], |kind| kind.params()) {
            words.extend(self.params.get(param.name).and_then(|value| match param.first {
                true => Some(quoted(&param.of.write(value))),
                false => typed(&param.word(), param.of, value),
            }));
        }
        words.join(" ")
    }
}

/// A word with its value as it would be typed.
fn typed(word: &str, of: ParamType, value: &Value) -> Option<String> {
    match value {
        Value::Flag(false) => None,
        Value::Flag(true) => Some(format!("--{word}")),
        value => Some(format!("--{word} {}", quoted(&of.write(value)))),
    }
}

/// In quotes where [`split`] or a shell needs them.
#[must_use]
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,=%+@".contains(c);
    match word {
        word if !word.is_empty() && word.chars().all(plain) => word.to_owned(),
        word => word.split('\'').map(|part| format!("'{part}'")).collect::<Vec<_>>().join("\"'\""),
    }
}

struct Reader {
    words: std::vec::IntoIter<String>,
    fault: FaultWords,
    add: bool,
}

impl Reader {
    /// A kind, its values, and the options of the fault among them.
    fn effect(&mut self) -> Result<(), SpecError> {
        let kind = kinds::find(&self.words.next().unwrap_or_default())?;
        let place = self.fault.effects.len();
        self.fault.effects.push(EffectWords { kind: kind.name().to_owned(), params: Args::new() });
        while let Some(word) = self.words.next() {
            let (name, value) = match word.strip_prefix("--") {
                Some(long) => match long.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (long.to_owned(), None),
                },
                None => match short(&word) {
                    Some(name) => (name.to_owned(), None),
                    None => {
                        self.set(place, first(kind, &word)?, word)?;
                        continue;
                    }
                },
            };
            self.option(kind, place, &name, value)?;
        }
        Ok(())
    }

    fn option(
        &mut self,
        kind: &dyn Kind,
        place: usize,
        name: &str,
        value: Option<String>,
    ) -> Result<(), SpecError> {
        if let Some(param) = kind.params().iter().find(|param| param.word() == name) {
            let value = self.value_of(param.of, name, value)?;
            return self.set(place, param, value);
        }
        match name {
            "add" => self.add = true,
            "and" => {
                let effect = beside(&self.value(name, value)?)?;
                self.fault.effects.push(effect);
            }
            "methods" => {
                let methods = self.value(name, value)?;
                self.fault.methods.extend(methods.split(',').map(|name| name.trim().to_owned()));
            }
            "regex" | "glob" | "below" if !self.fault.pattern.is_empty() => {
                return Err(SpecError::Line("regex, glob or below is given twice".to_owned()));
            }
            "regex" => self.fault.pattern = self.value(name, value)?,
            "glob" => self.fault.pattern = glob::regex(&self.value(name, value)?)?,
            "below" => self.fault.pattern = glob::below(&self.value(name, value)?),
            "name" if self.fault.name.is_some() => return Err(twice(name)),
            "name" => self.fault.name = Some(self.value(name, value)?),
            _ => {
                let option = FaultOption::typed(name)?;
                let value = option.param.of.read(&self.value_of(option.param.of, name, value)?);
                let value = value.map_err(|why| SpecError::Line(format!("--{name}: {why}")))?;
                if self.fault.options.insert(option.param.name, value).is_some() {
                    return Err(twice(name));
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, place: usize, param: &Param, value: String) -> Result<(), SpecError> {
        let effect = self.fault.effects.get_mut(place);
        let before = effect.and_then(|effect| effect.params.insert(param.name, Value::Text(value)));
        before.map_or(Ok(()), |_| Err(twice(param.name)))
    }

    /// A flag needs none.
    fn value_of(
        &mut self,
        of: ParamType,
        name: &str,
        value: Option<String>,
    ) -> Result<String, SpecError> {
        match of {
            ParamType::Flag => Ok(value.unwrap_or_else(|| "true".to_owned())),
            _ => self.value(name, value),
        }
    }

    fn value(&mut self, name: &str, value: Option<String>) -> Result<String, SpecError> {
        let value = value.or_else(|| self.words.next());
        value.ok_or_else(|| SpecError::Line(format!("{name} has no value")))
    }
}

/// The long word of a short one.
fn short(word: &str) -> Option<&'static str> {
    let mut letters = word.strip_prefix('-')?.chars();
    let letter = letters.next().filter(|_| letters.next().is_none())?;
    match letter {
        'm' => Some("methods"),
        'r' => Some("regex"),
        letter => OPTIONS.iter().find(|o| o.short == Some(letter)).map(|o| o.word),
    }
}

fn first(kind: &dyn Kind, word: &str) -> Result<&'static Param, SpecError> {
    if word.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit())
        && word.starts_with('-')
    {
        return Err(SpecError::Line(format!("{word} is negative, and no value may be")));
    }
    if word.starts_with('-') {
        return Err(SpecError::Line(format!("there is no option {word:?}")));
    }
    let found = kind.params().iter().find(|param| param.first);
    found.ok_or_else(|| SpecError::Line(format!("{} takes no {word:?}", kind.name())))
}

fn twice(name: &str) -> SpecError {
    SpecError::Line(format!("{name} is given twice"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_as_it_is_written() {
        for line in [
            "delay 10ms -m fsync",
            "delay 1ms500us --and 'error EIO,ENOSPC' --and kill -m fsync,write -r '.*/a b/.*'",
            "hang -m all --after 2 --count 3 --for 1m --uid 0,7 --name slow",
            "delay 5ms -m fsync --off-for 2s --on-for 1s --ramp x1..x20/1m --random --name slow",
            "error random -m write -r '.*/it'\"'\"'s' --off-for 2s --on-for 1s --probability 1%",
        ] {
            let (words, add) = parse(line).unwrap();
            assert!(!add);
            let fault = words.fault().unwrap();
            let told = FaultWords::whole(&fault);
            assert_eq!(told.line(), line);
        }
        assert!(parse("kill -m write --add").unwrap().1);
        let (words, _) = parse("kill -m write --glob 'wal/*.log'").unwrap();
        assert_eq!(words.line(), r"kill -m write -r '.*/wal/[^/]*\.log'");
    }

    #[test]
    fn lists_go_on_behind_a_comma_and_a_blank() {
        for (typed, read) in [
            ("delay 1ms -m fsync, write", "delay 1ms -m fsync,write"),
            ("delay 1ms -m fsync ,write , read", "delay 1ms -m fsync,read,write"),
            ("delay 1ms -m FSYNC -m 'write, read'", "delay 1ms -m fsync,read,write"),
            ("error eio, EnoSpc --methods=read, write", "error EIO,ENOSPC -m read,write"),
            ("kill -m read --uid 0, 7", "kill -m read --uid 0,7"),
            ("error Random -m All", "error random -m all"),
        ] {
            let words = parse(typed).unwrap_or_else(|why| panic!("{typed}: {why}")).0;
            let fault = words.fault().unwrap_or_else(|why| panic!("{typed}: {why}"));
            assert_eq!(FaultWords::whole(&fault).line(), read);
        }
        let apart =
            ["-r", "a,", "b", "-m", "read,", "-p", "1", "--name", "c,", "d"].map(str::to_owned);
        assert_eq!(joined(apart.clone()), apart);
    }

    #[test]
    fn a_line_is_refused_with_the_reason() {
        let refusal = |line: &str| {
            let words = parse(line).and_then(|(words, _)| words.fault());
            let why = words.err().unwrap().to_string();
            assert!(!why.contains('\n'), "{why}");
            why
        };
        assert!(refusal("dealy 1s -m read").contains("did you mean delay?"));
        assert!(refusal("delay 0s -m read").contains("of no time does nothing"));
        assert!(refusal("delay 0 -m read").contains("of no time does nothing"));
        assert!(refusal("delay 1s -m close").contains("write flush (each close)"));
        assert!(refusal("delay 1s -m read -p=1%").contains("no option \"-p=1%\""));
        assert!(refusal("delay -5ms -m read").contains("-5ms is negative"));
        assert!(refusal("delay 5ms -m read --for -1s").contains("--for: it must not be negative"));
        assert!(refusal("error EIO, -m read").contains("a word is missing"));
        assert!(refusal("delay 1s --and '' -m read").contains("called \"\""));
        assert!(refusal("delay 1s -m read,").contains("no method \"\""));
        assert!(refusal("delay -m read").contains("delay needs time"));
        assert!(refusal("delay 1s 2s -m read").contains("twice"));
        assert!(refusal("delay 1s").contains("at least one method"));
        assert!(refusal("delay 10 -m write").contains("10ms, 10us or 10s"));
        assert!(refusal("delay 1s -m fsycn").contains("did you mean fsync?"));
        assert!(refusal("hang 1s -m write").contains("hang takes no \"1s\""));
        assert!(refusal("error EIOO -m write").contains("did you mean EIO?"));
        assert!(refusal("error ENOSYS -m write").contains("EOPNOTSUPP"));
        assert!(refusal("kill -m write --count 0").contains("1 at least"));
        assert!(refusal("kill -m write -p 50").contains("50%"));
        assert!(refusal("kill -m write --cuont 5").contains("did you mean --count?"));
        assert!(refusal("kill -m write --name a --name b").contains("name is given twice"));
        assert!(refusal("kill -m write --and kill").contains("kill once"));
        assert!(refusal("kill -m write --name kill").contains("kind of fault"));
        assert!(refusal("kill -m write --on-for 1s").contains("together"));
        assert!(refusal("kill -m write --off-for 1s --random").contains("together"));
        assert!(refusal("kill -m write --on-for 0s --off-for 1s").contains("longer than 0"));
        assert!(refusal("kill -m write --random").contains("give their means"));
        assert!(refusal("kill -m write --random=maybe").contains("true or false"));
        assert!(refusal("delay 1s -m write --ramp x20..x1/60s").contains("falls"));
        assert!(refusal("kill -m write --ramp x1..x2/1s").contains("kill takes no ramp"));
        assert!(refusal("hang -m write --ramp x1..x2/1s").contains("hang takes no ramp"));
        assert!(refusal("throttle --iops 9 --ramp x1..x2/1s").contains("throttle takes no ramp"));
        assert!(refusal("kill -m fsync --size 0..4").contains("fsync"));
        assert!(refusal("kill -m write -r 'a").contains("not closed"));
        assert!(refusal("kill -m write -r '(a'").contains("(a"));
        assert!(
            refusal("kill -m write -r '*.log'").contains(r"write '.*\.log', or --glob '*.log'")
        );
        assert!(refusal("kill -m write --glob '[a'").contains("unclosed"));
        assert!(
            refusal("kill -m write --glob '*' -r a")
                .contains("regex, glob or below is given twice")
        );
        assert!(refusal("").contains("no kind of fault"));
    }
}

//! The lines of a scenario's file. What stands behind their times is read by who reads commands. No locks.
//!
//! ```text
//! seed 7                                    # a comment
//! 0s    delay 5ms -m fsync --name slow
//! @/mnt/b 10s  clear                        # of that mount
//! once  slow fired 50: error EIO -m write
//! 60s   end
//! ```

use std::time::Duration;

use super::script::When;
use crate::fault::words::{self, time};

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) seed: Option<u64>,
    /// When it ends.
    pub(crate) end: Duration,
    pub(crate) lines: Vec<Line>,
}

/// A line that does something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// From 1.
    pub(crate) number: u32,
    /// Of which mount, if that is said.
    pub(crate) mount: Option<String>,
    pub(crate) when: When,
    /// The command.
    pub(crate) words: Vec<String>,
}

impl Line {
    /// The command as it would be typed.
    pub(crate) fn command(&self) -> String {
        let words = self.words.iter().map(|word| words::quoted(word));
        words.collect::<Vec<_>>().join(" ")
    }
}

/// What is wrong with a line, or with the whole (0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) line: u32,
    pub(crate) why: String,
}

/// What one line is.
enum Read {
    Nothing,
    Seed(u64),
    End(Duration),
    Line(Line),
}

/// Reads all of it.
///
/// # Errors
/// What is wrong, each with its line; and what the others say.
pub(crate) fn read(text: &str) -> Result<Text, (Vec<Wrong>, Text)> {
    let mut all = Text::default();
    let mut wrong = Vec::new();
    let (mut seeded, mut ends) = (None, None);
    for (number, line) in (1..).zip(text.lines()) {
        let mut refuse = |why: String| wrong.push(Wrong { line: number, why });
        match one(number, line) {
            Err(why) => refuse(why),
            Ok(Read::Nothing) => {}
            Ok(Read::Line(line)) => all.lines.push(line),
            Ok(Read::Seed(seed)) => match seeded.replace(number) {
                Some(first) => refuse(format!("the seed stands in line {first} already")),
                None => all.seed = Some(seed),
            },
            Ok(Read::End(at)) => match ends.replace(number) {
                Some(first) => refuse(format!("line {first} says already when it ends")),
                None => all.end = at,
            },
        }
    }
    let no_end = "no line says when it ends: write one as in `60s end`";
    let nothing = "it does nothing: write a line as in `10s delay 20ms -m fsync`";
    for (is_so, why) in [(ends.is_none(), no_end), (all.lines.is_empty(), nothing)] {
        // Only where it is not for another reason.
        if is_so && wrong.is_empty() {
            wrong.push(Wrong { line: 0, why: why.to_owned() });
        }
    }
    if ends.is_some() {
        wrong.extend(out_of_order(&all));
    }
    wrong.sort_by_key(|wrong| wrong.line);
    if wrong.is_empty() { Ok(all) } else { Err((wrong, all)) }
}

/// Times that go backwards on one mount, or do not come before the end.
fn out_of_order(text: &Text) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    for (place, line) in text.lines.iter().enumerate() {
        let When::At(at) = line.when else { continue };
        let before = text.lines.iter().take(place).rev();
        let before = before.filter(|other| other.mount == line.mount);
        let later = before.filter_map(|other| match other.when {
            When::At(other_at) if other_at > at => Some((other_at, other.number)),
            _ => None,
        });
        let told = words::time_text(at);
        let mut refuse = |why| wrong.push(Wrong { line: line.number, why });
        if let Some((other, number)) = later.max() {
            let other = words::time_text(other);
            refuse(format!("{told} is before the {other} of line {number}; write them in order"));
        } else if at >= text.end {
            let end = words::time_text(text.end);
            refuse(format!("{told} is not before the end, at {end}, when all is cleared"));
        }
    }
    wrong
}

fn one(number: u32, line: &str) -> Result<Read, String> {
    let mut words = words::split(words::uncommented(line)).map_err(|e| e.to_string())?;
    let mount = match words.first().and_then(|word| word.strip_prefix('@')) {
        Some("") => return Err("@ names no mount: write it as in @/mnt/a 5s delay ..".to_owned()),
        Some(mount) => Some(mount.to_owned()),
        None => None,
    };
    if mount.is_some() {
        words.remove(0);
    }
    let all: Vec<&str> = words.iter().map(String::as_str).collect();
    let for_all = |what: &str| match &mount {
        Some(mount) => Err(format!("{what} is of all mounts: leave @{mount} out")),
        None => Ok(()),
    };
    match all.as_slice() {
        [] if mount.is_some() => Err("nothing stands behind @".to_owned()),
        [] => Ok(Read::Nothing),
        ["seed", seed] => {
            for_all("the seed")?;
            let read = seed.parse().map(Read::Seed);
            read.map_err(|_| format!("seed {seed}: write a whole number from 0 to {}", u64::MAX))
        }
        ["seed", ..] => Err("write a number behind seed, as in `seed 7`".to_owned()),
        ["once", rest @ ..] => {
            let (when, words) = at_firing(rest)?;
            Ok(Read::Line(Line { number, mount, when, words }))
        }
        [at, rest @ ..] => {
            let at = time(at).map_err(|why| not_begun(at, &why.to_string()))?;
            match rest {
                [] => Err("nothing stands behind its time".to_owned()),
                ["end"] => {
                    for_all("the end")?;
                    Ok(Read::End(at))
                }
                rest => {
                    let words = rest.iter().map(|word| (*word).to_owned()).collect();
                    Ok(Read::Line(Line { number, mount, when: When::At(at), words }))
                }
            }
        }
    }
}

/// Why a line begins with no time.
fn not_begun(word: &str, why: &str) -> String {
    match word.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.') {
        true => format!("{word}: {why}"),
        false => format!(
            "{} is no time: a line begins with one, as in `10s {word} ..`, or with seed, once or @MOUNT",
            words::visible(word)
        ),
    }
}

/// What stands behind `once`: `NAME fired N: COMMAND`.
fn at_firing(rest: &[&str]) -> Result<(When, Vec<String>), String> {
    const FORM: &str = "write it as in `once slow fired 50: clear slow`";
    let [name, what, rest @ ..] = rest else {
        return Err(format!("once names no firing; {FORM}"));
    };
    match *what {
        "fired" => {}
        "held" => return Err(format!("held cannot be watched here, only fired; {FORM}")),
        other => return Err(format!("once {name} {other}: {FORM}")),
    }
    let (n, command) = match rest {
        [n, ":", command @ ..] => (*n, command),
        [n, command @ ..] if n.ends_with(':') => (n.trim_end_matches(':'), command),
        _ => return Err(format!("a colon is missing behind the number; {FORM}")),
    };
    let n = n.parse().ok().filter(|n| *n > 0);
    let n = n.ok_or_else(|| format!("fired takes a whole number from 1; {FORM}"))?;
    if command.is_empty() {
        return Err(format!("nothing stands behind the colon; {FORM}"));
    }
    let words = command.iter().map(|word| (*word).to_owned()).collect();
    Ok((When::Fired((*name).to_owned(), n), words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> Vec<String> {
        let (wrong, _) = read(text).unwrap_err();
        assert!(wrong.iter().all(|wrong| !wrong.why.contains('\n')), "{wrong:?}");
        wrong.into_iter().map(|Wrong { line, why }| format!("{line}: {why}")).collect()
    }

    #[test]
    fn lines_have_times_mounts_and_commands() {
        let text = "# a disk that degrades\nseed 7\n\n 0s delay 5ms -m fsync -r '.*/a # b/.*' # at first\n\
                    @/mnt/b 1m30s clear 'x y'\nonce slow fired 50: error EIO -m write\n\
                    @db1:9091 once slow fired 1 : end\n2m end\n";
        let line = |number, mount: Option<&str>, when, words: &[&str]| Line {
            number,
            mount: mount.map(str::to_owned),
            when,
            words: words.iter().map(|word| (*word).to_owned()).collect(),
        };
        let at = |s| When::At(Duration::from_secs(s));
        let fired = |n| When::Fired("slow".to_owned(), n);
        let delay = ["delay", "5ms", "-m", "fsync", "-r", ".*/a # b/.*"];
        let wanted = Text {
            seed: Some(7),
            end: Duration::from_secs(120),
            lines: vec![
                line(4, None, at(0), &delay),
                line(5, Some("/mnt/b"), at(90), &["clear", "x y"]),
                line(6, None, fired(50), &["error", "EIO", "-m", "write"]),
                line(7, Some("db1:9091"), fired(1), &["end"]),
            ],
        };
        assert_eq!(read(text).unwrap(), wanted);
    }

    #[test]
    fn every_line_that_is_wrong_is_told_with_its_number() {
        for (line, why) in [
            ("10 clear", "1: 10: it has no unit: write 10ms, 10us or 10s"),
            ("-1s clear", "1: -1s: it must not be negative"),
            ("5x clear", "1: 5x: x is no unit"),
            ("clear", "1: clear is no time: a line begins with one, as in `10s clear ..`"),
            ("3s", "1: nothing stands behind its time"),
            ("@", "1: @ names no mount"),
            ("@/mnt/a", "1: nothing stands behind @"),
            ("@/mnt/a 60s end", "1: the end is of all mounts: leave @/mnt/a out"),
            ("@/mnt/a seed 7", "1: the seed is of all mounts"),
            ("seed", "1: write a number behind seed"),
            ("seed -7", "1: seed -7: write a whole number from 0"),
            ("0s clear 'a", "1: the ' is not closed"),
            ("once slow 50: clear", "1: once slow 50:: write it as in `once slow fired 50: clear"),
            ("once slow fired 50 clear", "1: a colon is missing behind the number"),
            ("once slow fired 0: clear", "1: fired takes a whole number from 1"),
            ("once slow fired x: clear", "1: fired takes a whole number from 1"),
            ("once slow fired 50:", "1: nothing stands behind the colon"),
            ("once slow held 50: clear", "1: held cannot be watched here, only fired"),
            ("once", "1: once names no firing; write it as in"),
        ] {
            let told = wrong(&format!("{line}\n60s end"));
            assert!(told.len() == 1 && told[0].starts_with(why), "{line}: {told:?}");
        }
        let all = wrong("0s clear\nseed 1\nseed 2\n5 clear\n6s end\n7s end");
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(all[0].starts_with("3: the seed stands in line 2 already"), "{all:?}");
        assert!(all[1].starts_with("4: 5: it has no unit"), "{all:?}");
        assert!(all[2].starts_with("6: line 5 says already when it ends"), "{all:?}");
    }

    #[test]
    fn a_whole_without_end_or_in_disorder_is_none() {
        assert_eq!(wrong("0s clear"), ["0: no line says when it ends: write one as in `60s end`"]);
        assert!(wrong("# nothing\n60s end")[0].starts_with("0: it does nothing"));
        assert!(
            wrong("9s clear\n5s clear\n60s end")[0].starts_with("2: 5s is before the 9s of line 1")
        );
        assert!(wrong("60s clear\n60s end")[0].starts_with("1: 1m is not before the end, at 1m"));
        assert!(read("9s clear\n@/mnt/b 5s clear\n60s end").is_ok(), "each mount has its order");
        assert!(read("once a fired 1: clear\n0s clear\n60s end").is_ok());
    }
}

//! A file of faults, one a line as `slowfs list --commands` prints them: read whole, or refused. No locks.

use std::io;
use std::path::Path;

use super::super::measured;
use super::super::values::{read_file, read_whole};
use crate::fault::words::{self, FaultWords, visible};
use crate::fault::{Fault, MAX_FAULTS, in_the_way};

/// What a file asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::cli) struct FaultFile {
    /// What it is called.
    shown: String,
    /// In which line each of them begins.
    numbers: Vec<usize>,
    /// Nothing stands in it, not even a comment.
    pub(super) is_blank: bool,
    pub(in crate::cli) faults: Vec<FaultWords>,
}

/// A line as it was read.
struct Line {
    number: usize,
    words: FaultWords,
    fault: Fault,
    addr: Option<String>,
}

impl FaultFile {
    /// Reads it; `-` is standard input.
    ///
    /// # Errors
    /// All that is wrong with it, a line each.
    pub(in crate::cli) fn read(path: &Path) -> Result<FaultFile, Vec<String>> {
        let is_stdin = path == Path::new("-");
        let path = path.display().to_string();
        let shown = if is_stdin { "standard input".to_owned() } else { visible(&path) };
        let text = match is_stdin {
            true => read_whole(|| Ok(io::stdin().lock())),
            false => read_file(&path),
        };
        let text = text.map_err(|why| vec![format!("{shown}: {why}")])?;
        FaultFile::parse(&shown, &text)
    }

    fn parse(shown: &str, text: &str) -> Result<FaultFile, Vec<String>> {
        let (mut lines, mut wrong) = (Vec::new(), Vec::new());
        for (number, text) in words::fault_lines(text) {
            match line(number, &text) {
                Ok(line) => lines.push(line),
                Err(why) => wrong.push((number, why)),
            }
        }
        wrong.extend(of_all(&lines));
        wrong.sort();
        let told = |(number, why)| format!("{shown}:{number}: {why}");
        if !wrong.is_empty() {
            return Err(wrong.into_iter().map(told).collect());
        }
        let numbers = lines.iter().map(|line| line.number).collect();
        let faults = lines.into_iter().map(|line| line.words).collect();
        let is_blank = text.trim().is_empty();
        Ok(FaultFile { shown: shown.to_owned(), numbers, is_blank, faults })
    }

    /// What it is called, and the line of one of its faults, by its place.
    pub(in crate::cli) fn line(&self, place: usize) -> String {
        let number = self.numbers.get(place).map(|number| format!(":{number}"));
        self.shown.clone() + &number.unwrap_or_default()
    }

    /// What it is called.
    pub(in crate::cli) fn name(&self) -> &str {
        &self.shown
    }

    /// A refusal of a fault by its place, as in `fault 2: why`, in terms of the file.
    pub(in crate::cli) fn placed(&self, refusal: &str) -> String {
        let place = |text: &str| text.parse::<usize>().ok()?.checked_sub(1);
        let parts = refusal.strip_prefix("fault ").and_then(|rest| rest.split_once(": "));
        match parts.and_then(|(n, why)| Some((place(n)?, why))) {
            Some((place, why)) => format!("{}: {why}", self.line(place)),
            None => format!("{}: {refusal}", self.shown),
        }
    }
}

/// As `slowfs mount --faults` takes it: the first of what is wrong with it.
pub(in crate::cli) fn given(path: &str) -> Result<FaultFile, String> {
    FaultFile::read(Path::new(path)).map_err(|wrong| {
        let more = wrong.len().saturating_sub(1);
        let first = wrong.into_iter().next().unwrap_or_default();
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        format!("{first}{more}")
    })
}

fn line(number: usize, text: &str) -> Result<Line, String> {
    let told = |why, methods: &[String]| words::refused(&why, methods);
    let (words, addr) = words::fault_set_by(text).map_err(|why| told(why, &[]))?;
    let words = words.with_files(&read_file).map_err(|why| told(why, &[]))?;
    let words = measured::tabled(words)?;
    let fault = words.fault().map_err(|why| told(why, &words.methods))?;
    let words = FaultWords::whole(&fault);
    Ok(Line { number, words, fault, addr })
}

/// What cannot stand beside each other.
fn of_all(lines: &[Line]) -> Vec<(usize, String)> {
    let mut wrong = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        let before = || lines.iter().take(place);
        let name = line.words.name.as_ref();
        if let Some(other) =
            before().find(|other| name.is_some() && other.words.name.as_ref() == name)
        {
            let name = name.map(String::as_str).unwrap_or_default();
            let why =
                format!("line {} is called {name} already: give it another name", other.number);
            wrong.push((line.number, why));
        }
        let first = before().find_map(|other| Some((other.number, other.addr.as_ref()?)));
        if let (Some((number, first)), Some(own)) = (first, &line.addr)
            && first != own
        {
            let (first, own) = (visible(first), visible(own));
            let why = format!(
                "it is of {own}, and line {number} of {first}: put the lines of each mount into a file of its own"
            );
            wrong.push((line.number, why));
        }
    }
    let faults: Vec<&Fault> = lines.iter().map(|line| &line.fault).collect();
    if let Some((first, second)) = in_the_way(&faults)
        && let (Some(first), Some(second)) = (lines.get(first), lines.get(second))
    {
        let why = format!("it would take the place of line {}: give both names", first.number);
        wrong.push((second.number, why));
    }
    if let Some(line) = lines.get(MAX_FAULTS) {
        let all = lines.len();
        let why = format!("there are {all} faults, and a mount takes {MAX_FAULTS} at most");
        wrong.push((line.number, why));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::render::script;
    use super::*;
    use crate::fault::KINDS;
    use crate::fault::kinds::tests::faults;
    use crate::rpc::ListedFault;

    fn wrong(text: &str) -> Vec<String> {
        FaultFile::parse("f", text).unwrap_err()
    }

    #[test]
    fn each_wrong_line_is_told_with_its_number_and_what_to_write() {
        let text = "# mine\nslowfs delay 5ms -m fsycn\n\nhang -m read\nhang -m read --cuont 3\n\
                    clear fsync\ndelay 5 -m read\n";
        let told = wrong(text);
        for (line, expected) in told.iter().zip([
            "f:2: no method fsycn; did you mean fsync?",
            "f:5: there is no option --cuont; did you mean --count?",
            "f:6: no kind of fault is called clear",
            "f:7: delay: ",
        ]) {
            assert!(line.starts_with(expected) && !line.contains('\n'), "{line}");
        }
        assert_eq!(told.len(), 4);
    }

    #[test]
    fn what_cannot_stand_beside_each_other_is_refused() {
        for (text, expected) in [
            (
                "hang -m read --name a\n\nkill -m read --name a",
                "f:3: line 1 is called a already: give it another name",
            ),
            (
                "hang -m read --addr :1\nkill -m read\nkill -m write --addr :2",
                "f:3: it is of :2, and line 1 of :1: put the lines of each mount into a file of its own",
            ),
            (
                "throttle --iops 5\nthrottle --iops 6 -r a\nthrottle --iops 7",
                "f:3: it would take the place of line 1: give both names",
            ),
            (
                "shutdown --at write\nshutdown --at fsync",
                "f:2: it would take the place of line 1: give both names",
            ),
        ] {
            assert_eq!(wrong(text), [expected], "{text}");
        }
        let most = "hang -m read\n".repeat(MAX_FAULTS);
        assert_eq!(FaultFile::parse("f", &most).unwrap().faults.len(), MAX_FAULTS);
        let told = wrong(&format!("{most}hang -m read"));
        assert_eq!(told, ["f:1001: there are 1001 faults, and a mount takes 1000 at most"]);
        for beside in [
            "throttle --iops 5 --name a\nthrottle --iops 6",
            "shutdown\nshutdown",
            "hang -m read\nhang -m read",
        ] {
            assert_eq!(FaultFile::parse("f", beside).unwrap().faults.len(), 2, "{beside}");
        }
    }

    #[test]
    fn what_a_daemon_refuses_is_told_by_its_line() {
        let file = FaultFile::parse("f", "# a\nhang -m read\nkill -m read").unwrap();
        assert_eq!(file.placed("fault 2: it is too much"), "f:3: it is too much");
        for whole in ["1000 faults are set", "fault: no", "fault x: y", "fault 0: y"] {
            assert_eq!(file.placed(whole), format!("f: {whole}"));
        }
    }

    fn listed(faults: Vec<FaultWords>) -> Vec<ListedFault> {
        let listed = |fault| ListedFault { fault, ..ListedFault::default() };
        faults.into_iter().map(listed).collect()
    }

    /// What `list --commands` prints of the examples of every kind is read as just these.
    #[test]
    fn the_commands_of_every_kind_read_as_they_are_listed() {
        for kind in KINDS {
            let examples = kind.details().lines().filter_map(|l| l.strip_prefix("    slowfs "));
            let example = |(n, line): (usize, &str)| {
                let (words, _) = words::line(line).unwrap();
                let fault = words.fault().unwrap();
                let words = FaultWords::whole(&fault);
                // Of some two would be one.
                FaultWords { name: words.name.or(Some(format!("example-{n}"))), ..words }
            };
            let faults: Vec<_> = examples.enumerate().map(example).collect();
            let text = script(&listed(faults.clone()), "db1:9091");
            let read = FaultFile::parse("f", &text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
            assert_eq!(read.faults, faults, "{}", kind.name());
        }
    }

    proptest! {
        #[test]
        fn any_fault_reads_as_it_is_listed(fault in faults()) {
            let text = script(&listed(vec![fault.clone()]), "/run/slowfs/it's");
            prop_assert_eq!(FaultFile::parse("f", &text).unwrap().faults, [fault]);
        }
    }
}

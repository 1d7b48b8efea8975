//! What stands in a state file: the faults, one a line as `slowfs list --commands` prints them. No locks.

use crate::fault::words::{self, FaultWords, visible};
use crate::fault::{Fault, Listed};

/// How such a file begins and ends, so that no other one is taken for it, and no part of it for the whole.
const HEAD: &str =
    "# slowfs state: the faults in force, written by the daemon of the mount at each change\n";
const END: &str = "# end\n";

/// A line of which no fault was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    line: String,
    why: String,
}

impl Lost {
    pub(crate) fn new(line: &str, why: &str) -> Lost {
        Lost { line: visible(line.trim()), why: visible(why) }
    }
}

/// Why, and which.
impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not set again ({}): {}", self.why, self.line)
    }
}

/// What it asks for, and what of it cannot be.
///
/// # Errors
/// It is no such file, or not a whole one: why, and what to do.
pub(super) fn read(text: &str) -> Result<(Vec<Fault>, Vec<Lost>), &'static str> {
    let (mut faults, mut lost) = (Vec::new(), Vec::new());
    if text.trim().is_empty() {
        return Ok((faults, lost));
    }
    if !text.starts_with(HEAD) {
        return Err("it has something else in it than the faults of a mount: name another file");
    }
    if !text.ends_with(END) {
        return Err("its end is missing: remove it, or restore it");
    }
    for (_, line) in words::fault_lines(text) {
        match words::fault_set_by(&line).and_then(|(words, _)| words.fault()) {
            Ok(fault) => faults.push(fault),
            Err(why) => lost.push(Lost::new(&line, &why.to_string())),
        }
    }
    Ok((faults, lost))
}

/// That of these faults. What could not be set again stays as a comment, until the next run.
pub(super) fn written(listed: &[Listed], lost: &[Lost]) -> String {
    let words = listed.iter().map(|listed| FaultWords::of(&listed.fault, listed.methods));
    // One of charybdefs's calls may set what does nothing.
    let lines = words.filter(|words| !words.effects.is_empty()).map(|words| words.line() + "\n");
    let lost = lost.iter().map(|lost| format!("# {lost}\n"));
    let lines: String = lines.chain(lost).collect();
    [HEAD, &lines, END].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fault::kinds::tests::faults;
    use crate::fault::{Change, DelayLine, FaultTable, Placement};

    fn listed(lines: &[FaultWords]) -> Vec<Listed> {
        let table = FaultTable::new(DelayLine::new().unwrap(), None);
        let faults = lines.iter().map(|words| (words.fault().unwrap(), Placement::Add)).collect();
        table.put_all(Change { faults, ..Change::default() }).unwrap();
        table.list()
    }

    proptest! {
        #[test]
        fn any_fault_is_read_as_it_was_written(fault in faults()) {
            let text = written(&listed(std::slice::from_ref(&fault)), &[]);
            let (read, lost) = read(&text).unwrap();
            prop_assert_eq!((read.len(), lost), (1, vec![]), "{}", text);
            prop_assert_eq!(FaultWords::whole(&read[0]), fault);
        }
    }

    #[test]
    fn what_cannot_be_any_more_is_told_and_stays_as_a_comment() {
        let text = [HEAD, "wobble 5ms -m read\ndelay 5ms -m read\n", END].concat();
        let (faults, lost) = read(&text).unwrap();
        assert_eq!(faults.len(), 1);
        let told = lost[0].to_string();
        assert!(told.starts_with("not set again (no kind of fault is called wobble"), "{told}");
        assert!(told.ends_with("): wobble 5ms -m read"), "{told}");
        let words = FaultWords::whole(&faults[0]);
        let text = written(&listed(&[words]), &lost);
        assert!(text.contains(&format!("# {told}\n")), "{text}");
        let (faults, lost) = read(&text).unwrap();
        assert_eq!((faults.len(), lost), (1, vec![]));
    }

    #[test]
    fn another_file_or_a_part_of_one_is_refused() {
        assert!(read("").unwrap().0.is_empty() && read("\n").unwrap().1.is_empty());
        let (line, _) = words::line("delay 5ms -m read").unwrap();
        let whole = written(&listed(&[line]), &[]);
        assert_eq!(read(&whole).unwrap().0.len(), 1);
        for part in 1..whole.len() {
            assert!(read(&whole[..part]).is_err(), "{part}");
        }
        assert!(read("delay 5ms -m read\n").unwrap_err().contains("something else"));
    }
}

//! A fault in one string, as `slowfs mount --fault` takes it.

use clap::Parser;

use super::control::Control;
use crate::rpc::{self, FaultSpec};

/// A fault as written after `slowfs`, in one string: `delay 10ms -m fsync -r '.*/wal/.*'`. Words
/// are split at blanks outside single or double quotes.
///
/// # Errors
/// One line that says what is wrong with it.
pub(super) fn parse_fault(text: &str) -> Result<(FaultSpec, bool), String> {
    #[derive(Parser)]
    #[command(no_binary_name = true, disable_help_flag = true, disable_help_subcommand = true)]
    struct Line {
        #[command(subcommand)]
        command: Control,
    }
    let words = split(text)?;
    if let Some(word) = words.iter().find(|w| w.starts_with("--addr") || *w == "--json") {
        return Err(format!("{word} has no place here: the fault is set on this mount"));
    }
    let line = Line::try_parse_from(words).map_err(|e| super::one_line(&e))?;
    let fault =
        line.command.fault().ok_or("a fault begins with delay, hang, error or kill".to_owned())?;
    rpc::fault(&fault.0)?;
    Ok(fault)
}

pub(super) fn split(text: &str) -> Result<Vec<String>, String> {
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
        return Err(format!("the {q} is not closed"));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> String {
        let reason = parse_fault(line).unwrap_err();
        assert!(!reason.contains('\n'), "{reason}");
        reason
    }

    #[test]
    fn a_fault_line_reads_as_the_commands_do() {
        let (spec, add) =
            parse_fault("delay 10ms -m fsync,write -r '(^|.*/)a b/.*' -p 1%").unwrap();
        assert!(!add);
        assert_eq!(spec.methods, ["fsync", "write"]);
        assert_eq!(spec.pattern, "(^|.*/)a b/.*");
        assert_eq!((spec.delay_ns, spec.probability), (Some(10_000_000), 0.01));
        let (spec, add) =
            parse_fault("error EIO,28 -m all --count 3 --after 2 --for 1s --add").unwrap();
        assert!(add);
        assert_eq!(spec.errnos, ["EIO", "ENOSPC"]);
        assert_eq!((spec.count, spec.after, spec.lifetime_ns), (Some(3), 2, Some(1_000_000_000)));
        assert!(parse_fault("error random -m read").unwrap().0.random_errno);
        assert!(parse_fault("kill -m read").unwrap().0.kill_caller);
        assert!(parse_fault("hang -m read -r \"\"").unwrap().0.hang);
    }

    #[test]
    fn a_fault_line_is_refused_with_the_reason() {
        assert!(refusal("delay 1s -m read --addr x:1").contains("--addr"));
        assert!(refusal("delay 0s -m read").contains("does nothing"));
        assert!(refusal("delay 10ms -m fsycn").contains("did you mean fsync?"));
        assert!(refusal("error EIOO -m write").contains("did you mean EIO?"));
        assert!(refusal("error ENOSYS -m write").contains("EOPNOTSUPP"));
        assert!(refusal("error EIO,random -m write").contains("exclude each other"));
        assert!(refusal("delay 10 -m write").contains("300ms"));
        assert!(refusal("delay -m write").contains("DURATION"));
        assert!(refusal("delay 1s").contains("--methods"));
        assert!(refusal("delay 1s -m write -p 50").contains("write 50%"));
        assert!(refusal("delay 1s -m write -r '(a'").contains("(a"));
        assert!(refusal("delay 1s -m write --count 0").contains("0"));
        assert!(refusal("delay 1s -m write -r 'a").contains("not closed"));
        assert!(refusal("list").contains("delay, hang, error or kill"));
        assert!(refusal("slow 1s -m write").contains("slow"));
    }
}

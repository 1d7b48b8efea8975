//! Faults in words for people. No locks.

use std::fmt::Write as _;
use std::time::Duration;

use super::records::FaultSpec;

impl FaultSpec {
    /// What it does, for people: `delay 10ms, error EIO|ENOSPC, kill`.
    #[must_use]
    pub fn effect(&self) -> String {
        let mut parts = Vec::new();
        if self.hang {
            parts.push("hang".to_owned());
        } else if let Some(ns) = self.delay_ns {
            parts.push(format!("delay {}", duration(ns)));
        }
        if self.kill_caller {
            parts.push("kill".to_owned());
        }
        if self.random_errno {
            parts.push("error random".to_owned());
        } else if !self.errnos.is_empty() {
            parts.push(format!("error {}", self.errnos.join("|")));
        }
        if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
    }

    /// Its probability for people: `100%`, `0.5%`.
    #[must_use]
    pub fn percent(&self) -> String {
        // Twelve digits after the point at most, so that 0.07 is 7% and not 7.000000000000001%.
        let text = format!("{:.12}", self.probability * 100.0);
        format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }

    /// All of it on one line, for logs and answers.
    #[must_use]
    pub fn describe(&self) -> String {
        let path = if self.pattern.is_empty() {
            "any path".to_owned()
        } else {
            format!("path {:?}", self.pattern)
        };
        let (effect, percent) = (self.effect(), self.percent());
        let mut line = format!("{effect}; on {}; {path}; {percent}", self.methods.join(","));
        if self.after > 0 {
            let _ = write!(line, "; after {} matches", self.after);
        }
        if let Some(count) = self.count {
            let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
            let _ = write!(line, "; {times}");
        }
        if let Some(ns) = self.lifetime_ns {
            let _ = write!(line, "; for {}", duration(ns));
        }
        line
    }
}

/// A duration for people: the largest units that tell it exactly.
#[must_use]
pub(crate) fn duration(ns: i64) -> String {
    let duration = Duration::from_nanos(ns.unsigned_abs());
    humantime::format_duration(duration).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_described_on_one_line() {
        let spec = FaultSpec {
            methods: vec!["fsync".into(), "write".into()],
            pattern: "a\nb".into(),
            probability: 0.07,
            delay_ns: Some(1_500_000),
            errnos: vec!["EIO".into(), "ENOSPC".into()],
            kill_caller: true,
            count: Some(3),
            after: 2,
            lifetime_ns: Some(60_000_000_000),
            ..FaultSpec::default()
        };
        assert_eq!(
            spec.describe(),
            "delay 1ms 500us, kill, error EIO|ENOSPC; on fsync,write; path \"a\\nb\"; 7%; \
             after 2 matches; 3 times; for 1m"
        );
        assert_eq!(FaultSpec::default().describe(), "nothing; on ; any path; 100%");
    }
}

//! What was recorded, for the file, for people and for programs. No locks.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Value, json};

use super::Recorded;
use crate::cli::output;
use crate::fault::recording::{Recording, Row};
use crate::fault::words::{bytes_text, quoted, time_text, visible};

/// What a device that plays it does at once: no waiting is added to what was measured.
const CHANNELS: &str = "channels = 64   # for `slowfs device`: so many requests are served at once";

/// What was recorded, and how.
pub(super) struct Summary {
    /// The file that has it.
    to: Option<PathBuf>,
    what: String,
    at: SystemTime,
    lasted: Duration,
    requests: u64,
    dropped: u64,
    failed: u64,
    notes: Vec<String>,
    recording: Recording,
}

/// One class of requests.
#[derive(Serialize)]
struct Class {
    method: &'static str,
    size: Option<u64>,
    n: u64,
    p50_ns: u64,
    p90_ns: u64,
    p99_ns: u64,
}

impl Summary {
    /// # Errors
    /// Nothing was recorded; one line.
    pub(super) fn of(
        to: &Path,
        what: String,
        recorded: Recorded,
        (at, lasted): (SystemTime, Duration),
    ) -> Result<Summary, String> {
        let Recorded { samples, dropped, failed, notes } = recorded;
        let (what, requests) = (visible(&what), samples.len());
        if samples.is_empty() {
            let failures = match failed {
                0 => String::new(),
                n => format!(" ({n} that failed or never reached the backing do not count)"),
            };
            let lasted = seconds(lasted);
            return Err(format!(
                "no request of {what} was recorded in {lasted}{failures}; nothing is written: take \
                 longer (--for); a mount must be in use meanwhile"
            ));
        }
        let recording = samples.recording().with_figure(CHANNELS);
        let to = Some(to.to_owned());
        Ok(Summary { to, what, at, lasted, requests, dropped, failed, notes, recording })
    }

    /// Its file could not be written.
    pub(super) fn is_nowhere(&mut self) {
        self.to = None;
    }

    /// What is written to the file.
    pub(super) fn file(&self) -> String {
        let at = humantime::format_rfc3339_seconds(self.at);
        let mut head = format!(
            "How long the backing of {} took, as slowfs {} recorded it at {at} for {}:\n{} requests",
            self.what,
            env!("CARGO_PKG_VERSION"),
            seconds(self.lasted),
            self.requests,
        );
        for part in self.beside() {
            head += &format!("; {part}");
        }
        head += ".\nEach [METHOD] or [METHOD.SIZE] has quantiles in percent and the times there. Change what you like;\n\
                 `slowfs delay file:FILE` and `slowfs device FILE` draw from it.";
        self.recording.text(&head)
    }

    /// What was left out, and other remarks.
    fn beside(&self) -> Vec<String> {
        let left_out = [
            (self.failed, "that failed or never reached the backing are left out"),
            (self.dropped, "came too fast and were dropped"),
        ];
        let told =
            left_out.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
        told.chain(self.notes.iter().cloned()).collect()
    }

    /// Says what its reader must know.
    pub(super) fn warn(&self) {
        if self.dropped > 0 {
            let (what, n) = (&self.what, self.dropped);
            output::warning(&format!(
                "{what}: {n} requests came too fast and were dropped; -m and -r leave fewer"
            ));
        }
        self.notes.iter().for_each(|note| output::warning(&format!("{}: {note}", self.what)));
    }

    pub(super) fn text(&self) -> String {
        let ns = |ns: u64| output::short_time(i64::try_from(ns).unwrap_or(i64::MAX));
        let row = |Class { method, size, n, p50_ns, p90_ns, p99_ns }: Class| {
            let size = size.map(bytes_text).unwrap_or_default();
            [method.to_owned(), size, n.to_string(), ns(p50_ns), ns(p90_ns), ns(p99_ns)]
        };
        let headers = ["METHOD", "SIZE", "N", "P50", "P90", "P99"];
        let table = output::table(headers, &[1, 2, 3, 4, 5], self.classes().map(row).collect());
        let file = self.to.as_ref().map(|to| quoted(&to.display().to_string()));
        let file = file.map_or("in no file".to_owned(), |file| format!("in {file}"));
        let (n, what, lasted) = (self.requests, &self.what, seconds(self.lasted));
        format!("{table}\n{n} requests of {what} in {lasted} are {file}")
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "ok": true,
            "file": self.to,
            "source": self.what,
            "seconds": self.lasted.as_secs_f64(),
            "requests": self.requests,
            "dropped": self.dropped,
            "failed": self.failed,
            "notes": self.notes,
            "classes": self.classes().collect::<Vec<_>>(),
        })
    }

    fn classes(&self) -> impl Iterator<Item = Class> {
        self.recording.rows().map(|row| Class::of(&row))
    }
}

impl Class {
    fn of(row: &Row) -> Class {
        let ns = |percent| u64::try_from(row.at(percent).as_nanos()).unwrap_or(u64::MAX);
        let (method, size) = (row.method.name(), row.size);
        Class { method, size, n: row.n, p50_ns: ns(50.0), p90_ns: ns(90.0), p99_ns: ns(99.0) }
    }
}

/// To a tenth.
fn seconds(time: Duration) -> String {
    let tenths = time.as_millis().div_ceil(100);
    time_text(Duration::from_millis(u64::try_from(tenths * 100).unwrap_or(u64::MAX)))
}

/// The names of its fields, for the document that lists them.
#[cfg(test)]
pub(in crate::cli) fn field_names() -> Vec<String> {
    let mut recorded = Recorded::default();
    if let Some(method) = crate::ops::Method::from_name("fsync") {
        recorded.samples.add(method, 0, 1);
    }
    let when = (SystemTime::now(), Duration::ZERO);
    let json = Summary::of(Path::new("f"), String::new(), recorded, when).map(|of| of.json());
    let json = json.unwrap_or_default();
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    [names(&json), names(&json["classes"][0])].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::recording::Samples;
    use crate::ops::Method;

    fn recorded(n: u64) -> Recorded {
        let mut samples = Samples::default();
        for n in 0..n {
            samples.add(Method::from_name("write").unwrap(), 5_000, n * 1_000_000);
        }
        let notes = vec!["the mount ended meanwhile".to_owned()];
        Recorded { samples, dropped: 7, failed: 3, notes }
    }

    fn summary(n: u64) -> Result<Summary, String> {
        let when = (SystemTime::UNIX_EPOCH, Duration::from_millis(1_234));
        Summary::of(Path::new("my disk.toml"), "/mnt/x".to_owned(), recorded(n), when)
    }

    #[test]
    fn what_was_left_out_stands_in_the_file() {
        let file = summary(101).unwrap().file();
        let head: String = file.lines().take_while(|line| line.starts_with('#')).collect();
        for part in [
            "of /mnt/x took, as slowfs ",
            " at 1970-01-01T00:00:00Z for 1s300ms:# 101 requests; 3 that failed or never reached the backing",
            "; 7 came too fast and were dropped; the mount ended meanwhile.",
        ] {
            assert!(head.contains(part), "{part}: {head}");
        }
        assert!(file.contains("\n\nchannels = 64 "), "{file}");
        assert!(
            file.contains("\n\n[write.4KiB]\nn = 101\n0 = \"0s\"\n1 = \"1ms\"\n5 = "),
            "{file}"
        );
        assert!(Recording::read(&file).is_ok());
    }

    #[test]
    fn a_table_tells_each_class() {
        let text = summary(101).unwrap().text();
        assert_eq!(
            text,
            "METHOD  SIZE    N     P50     P90     P99\n\
             write   4KiB  101  50.0ms  90.0ms  99.0ms\n\
             101 requests of /mnt/x in 1s300ms are in 'my disk.toml'"
        );
        let json = summary(101).unwrap().json();
        assert_eq!(
            (&json["dropped"], &json["classes"][0]["p90_ns"]),
            (&7.into(), &90_000_000.into())
        );
        let none = summary(0).err().unwrap();
        assert!(
            none.contains("no request of /mnt/x was recorded in 1s300ms (3 that failed"),
            "{none}"
        );
        assert!(none.ends_with("take longer (--for); a mount must be in use meanwhile"), "{none}");
    }
}

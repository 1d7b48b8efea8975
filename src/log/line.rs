//! How an event becomes a line: for people, for the journal, or for programs. No locks.

use std::fmt::{self, Debug, Write as _};
use std::io;

use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{Format as ForPeople, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::LookupSpan;

/// A longer line is cut: names and paths come from others.
pub(super) const LONGEST: usize = 16 * 1024;

/// What a line of JSON may have beside its message and its fields.
const FRAME: usize = 1024;

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// How they are written where they go.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Style {
    pub(super) format: Format,
    /// The journal has a time for each, and takes its priority from a prefix (sd-daemon(3)).
    pub(super) to_journal: bool,
}

/// Whether standard error goes to the journal: it says which stream it has given (systemd.exec(5)).
pub(super) fn is_journal() -> bool {
    let told = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let number = |text: &str| text.parse::<u64>().ok();
    let told = told.split_once(':').and_then(|(dev, ino)| number(dev).zip(number(ino)));
    let own = rustix::fs::fstat(io::stderr()).ok().map(|own| (own.st_dev, own.st_ino));
    told.is_some() && told == own
}

/// What an event says.
#[derive(Default)]
struct Said {
    message: String,
    fields: Map<String, Value>,
    /// Of a record of the crate log, whose own target is always the same.
    target: Option<String>,
}

impl Said {
    fn says(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(message)) => self.message = message,
            ("log.target", Value::String(target)) => self.target = Some(target),
            (name, _) if name.starts_with("log.") => {}
            (name, value) => drop(self.fields.insert(name.to_owned(), value)),
        }
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.says(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.says(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.says(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.says(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.says(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.says(field, value.into());
    }
}

/// A line for programs, in the order in which people look for its parts.
#[derive(Serialize)]
struct Object<'a> {
    time: String,
    level: &'static str,
    target: &'a str,
    message: String,
    fields: Map<String, Value>,
}

impl Style {
    /// A line of the log's own.
    pub(super) fn own(self, level: Level, message: &str) -> String {
        let said = Said { message: message.to_owned(), ..Said::default() };
        self.line(level, module_path!(), said)
    }

    fn line(self, level: Level, target: &str, said: Said) -> String {
        let prefix = if self.to_journal { priority(level) } else { "" };
        let Said { message, fields, target: of_log } = said;
        let target = of_log.as_deref().unwrap_or(target);
        match self.format {
            Format::Json => prefix.to_owned() + &json(level, target, message, fields),
            Format::Text => {
                let mut line = prefix.to_owned();
                if !self.to_journal {
                    let _ = write!(line, "{} {level:>5} ", now());
                }
                // Each line of it would be one of its own.
                line += &message.replace('\n', "\\n");
                for (name, value) in fields {
                    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    let _ = write!(line, " {name}={}", value.replace('\n', "\\n"));
                }
                line
            }
        }
    }
}

fn json(level: Level, target: &str, mut message: String, mut fields: Map<String, Value>) -> String {
    let told = serde_json::to_string(&fields).map_or(0, |text| text.len());
    if told > LONGEST / 2 {
        fields = Map::new();
    }
    let mut room = LONGEST - FRAME - told.min(LONGEST / 2);
    let has_no_room = |(_, c): &(usize, char)| {
        let takes = match c {
            '\0'..='\x1f' => 6,
            '"' | '\\' => 2,
            c => c.len_utf8(),
        };
        let has_none = room < takes;
        room = room.saturating_sub(takes);
        has_none
    };
    if let Some((end, _)) = message.char_indices().find(has_no_room) {
        message.truncate(end);
        message += "...";
    }
    let level = match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    };
    let object = Object { time: now(), level, target, message, fields };
    // Nothing in it cannot be written.
    serde_json::to_string(&object).unwrap_or_default()
}

/// As syslog(3) numbers them.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

/// As RFC 3339 has it, with microseconds.
fn now() -> String {
    let mut time = String::new();
    // It writes to memory.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    time
}

impl<S, N> FormatEvent<S, N> for Style
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if let Style { format: Format::Text, to_journal: false } = self {
            // In colour, where that is wanted.
            let for_people = ForPeople::default().with_target(false);
            return for_people.format_event(context, writer, event);
        }
        let mut said = Said::default();
        event.record(&mut said);
        let metadata = event.metadata();
        writeln!(writer, "{}", self.line(*metadata.level(), metadata.target(), said))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: Style = Style { format: Format::Json, to_journal: false };

    fn read(line: &str) -> Value {
        assert!(!line.contains('\n') && line.len() <= LONGEST, "{} bytes", line.len());
        serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }

    #[test]
    fn a_line_for_programs_is_one_object_however_long_and_odd_it_is() {
        let read_own = |message: &str| read(&JSON.own(Level::WARN, message));
        let object = read_own("a\n\"b\" \u{1b}[1m");
        assert_eq!(object["message"], "a\n\"b\" \u{1b}[1m");
        assert_eq!((&object["level"], &object["fields"]), (&"warn".into(), &Map::new().into()));
        assert_eq!(object["target"], "slowfs::log::line");
        let time = object["time"].as_str().unwrap();
        assert!(time.ends_with('Z') && time.as_bytes()[10] == b'T' && time.len() == 27, "{time}");
        for piece in ["x", "\u{1}", "ü", "\"", "日"] {
            for n in [LONGEST / 8, LONGEST, 10 * LONGEST] {
                let message = piece.repeat(n / piece.len());
                let told = read_own(&message);
                let told = told["message"].as_str().unwrap();
                let start = told.strip_suffix("...").unwrap_or(told);
                assert!(message.starts_with(start) && !start.is_empty(), "{piece:?} {n}");
                assert_eq!(told == message, start.len() == message.len());
            }
        }
        let long = Map::from_iter([("peer".to_owned(), "y".repeat(LONGEST).into())]);
        assert_eq!(
            read(&json(Level::INFO, "t", "m".to_owned(), long))["fields"],
            Value::Object(Map::new())
        );
    }

    #[test]
    fn the_journal_gets_a_priority_and_no_time() {
        let text = Style { format: Format::Text, to_journal: true };
        for (level, told) in [
            (Level::ERROR, "<3>it\\nis"),
            (Level::WARN, "<4>it\\nis"),
            (Level::INFO, "<6>it\\nis"),
            (Level::DEBUG, "<7>it\\nis"),
        ] {
            assert_eq!(text.own(level, "it\nis"), told);
        }
        let line = Style { to_journal: true, ..JSON }.own(Level::ERROR, "it is");
        assert_eq!(read(line.strip_prefix("<3>").unwrap())["level"], "error");
    }

    #[test]
    fn fields_are_told_behind_the_message() {
        let fields =
            Map::from_iter([("peer".to_owned(), "a\nb".into()), ("n".to_owned(), 3.into())]);
        let said = |target| Said { message: "m".to_owned(), fields: fields.clone(), target };
        let text = Style { format: Format::Text, to_journal: true };
        assert_eq!(text.line(Level::INFO, "t", said(None)), "<6>m n=3 peer=a\\nb");
        let object = read(&JSON.line(Level::INFO, "t", said(Some("fuser".to_owned()))));
        assert_eq!((&object["target"], &object["fields"]["n"]), (&"fuser".into(), &3.into()));
    }
}

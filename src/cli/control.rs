//! The control commands' arguments: what can be asked of a running mount.
//!
//! What does not parse is refused with the nearest thing that would.

use std::net::IpAddr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use super::help;
use super::recipe::{self, Recipe};
use crate::fault::suggest::closest;
use crate::ops::Method;
use crate::rpc::{self, FaultSpec};

pub use super::act::run;

/// A command to one or more running mounts.
#[derive(Debug, Subcommand)]
pub enum Control {
    /// Delay matching operations
    #[command(after_help = help::DELAY)]
    Delay {
        /// How long, as in 300ms, 1us, 2s
        #[arg(value_name = "DURATION", value_parser = parse_duration)]
        delay: Duration,
        /// Where, how often, how long
        #[command(flatten)]
        fault: FaultArgs,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Hold matching operations until the fault is cleared
    #[command(after_help = help::HANG)]
    Hang {
        /// Where, how often, how long
        #[command(flatten)]
        fault: FaultArgs,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Fail matching operations
    #[command(after_help = help::ERROR)]
    Error {
        /// Error names or numbers, one of which is drawn each time; or `random`
        #[arg(value_name = "ERRNO,...", required = true, num_args = 1, value_delimiter = ',',
              value_parser = parse_errno)]
        errnos: Vec<String>,
        /// Where, how often, how long
        #[command(flatten)]
        fault: FaultArgs,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Kill the processes that make matching operations
    #[command(after_help = help::KILL)]
    Kill {
        /// Where, how often, how long
        #[command(flatten)]
        fault: FaultArgs,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Clear every fault, those of some methods, or one
    #[command(after_help = help::CLEAR)]
    Clear {
        /// Methods to clear from every fault; none: all
        #[arg(value_name = "METHOD", value_delimiter = ',', value_parser = parse_method)]
        methods: Vec<String>,
        /// Clear only the fault of this id, as shown by `slowfs list`
        #[arg(long, conflicts_with = "methods")]
        id: Option<i64>,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Set a ready-made fault, such as a full disk or a dying one
    #[command(after_help = recipe::HELP)]
    Recipe {
        /// Which recipe
        #[arg(value_name = "NAME", required_unless_present = "list", value_parser = recipe::parse)]
        recipe: Option<Recipe>,
        /// Show the recipes that there are
        #[arg(long)]
        list: bool,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Show the faults in force and how often they matched and fired
    #[command(after_help = help::LIST)]
    List {
        /// Show the last 100 faults that have gone instead, and why
        #[arg(long)]
        ended: bool,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Show the methods that faults can be set on
    #[command(after_help = help::METHODS)]
    Methods {
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Show how many operations there were, how many failed, how long they took
    #[command(after_help = help::STATS)]
    Stats {
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Show what goes on, over and over: rates, latency, faults
    #[command(after_help = help::WATCH)]
    Watch {
        /// Time between two looks, at least 10ms
        #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = parse_interval)]
        interval: Duration,
        /// End after N intervals
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Show who answers, and how it is mounted
    #[command(after_help = help::PING)]
    Ping {
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
}

impl Control {
    pub(super) fn target(&self) -> &Target {
        match self {
            Control::Delay { target, .. }
            | Control::Hang { target, .. }
            | Control::Error { target, .. }
            | Control::Kill { target, .. }
            | Control::Clear { target, .. }
            | Control::Recipe { target, .. }
            | Control::List { target, .. }
            | Control::Methods { target }
            | Control::Stats { target }
            | Control::Watch { target, .. }
            | Control::Ping { target } => target,
        }
    }
}

/// Which mounts, and how to answer.
#[derive(Args, Debug)]
pub struct Target {
    /// Control address of a mount; repeated or after commas, all are asked at once; HOST alone means
    /// port 9090
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "SLOWFS_ADDR",
        value_delimiter = ',',
        value_parser = parse_addr,
        default_value = "127.0.0.1:9090"
    )]
    pub(super) addr: Vec<String>,
    /// Print JSON, one object per line and address
    #[arg(long)]
    pub(super) json: bool,
}

/// What the commands that set a fault have in common.
#[derive(Args, Debug)]
pub struct FaultArgs {
    /// Methods, or `all` (see `slowfs methods`)
    #[arg(
        short,
        long,
        required = true,
        value_name = "METHOD,...",
        value_delimiter = ',',
        value_parser = parse_method
    )]
    methods: Vec<String>,
    /// Only where the whole path matches, which is the backing file's: the mirrored directory as it
    /// was given, then the path below the mount [default: any path]
    #[arg(short, long, value_name = "REGEX", default_value = "", hide_default_value = true)]
    regex: String,
    /// How often a matching operation is hit: a fraction or a percentage
    #[arg(short, long, value_name = "PROBABILITY", default_value = "100%", value_parser = parse_probability)]
    probability: f64,
    /// Lift the fault after this time
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    lifetime: Option<Duration>,
    /// Lift the fault after it has fired N times
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    count: Option<i64>,
    /// Let the first N matching operations pass
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true,
          value_parser = clap::value_parser!(i64).range(0..))]
    after: i64,
    /// Keep the other faults of these methods; the first that fires decides
    #[arg(long)]
    add: bool,
}

impl FaultArgs {
    fn spec(&self) -> FaultSpec {
        FaultSpec {
            methods: self.methods.clone(),
            pattern: self.regex.clone(),
            probability: self.probability,
            count: self.count,
            after: self.after,
            lifetime_ns: self.lifetime.map(nanoseconds),
            ..FaultSpec::default()
        }
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|e| format!("{e}; write it as in 300ms, 1us, 2s"))
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        short if short < Duration::from_millis(10) => Err("too short; at least 10ms".into()),
        interval => Ok(interval),
    }
}

fn parse_probability(text: &str) -> Result<f64, String> {
    let (number, scale) = match text.strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (text, 1.0),
    };
    match number.trim().parse::<f64>() {
        Ok(n) if (0.0..=scale).contains(&n) => Ok(n / scale),
        Ok(n) if scale == 1.0 && n > 1.0 && n <= 100.0 => {
            Err(format!("a fraction is at most 1; for a percentage write {n}%"))
        }
        Ok(_) => Err("it must be from 0 to 1, or from 0% to 100%".into()),
        Err(_) => Err("write a fraction or a percentage, as in 0.5 or 1%".into()),
    }
}

fn parse_addr(text: &str) -> Result<String, String> {
    let fits = match text.rsplit_once(':') {
        _ if text.parse::<IpAddr>().is_ok() => true,
        Some((host, port)) => !host.is_empty() && port.parse::<u16>().is_ok(),
        None => !text.is_empty(),
    };
    if fits { Ok(text.to_owned()) } else { Err("not HOST:PORT nor HOST".into()) }
}

fn parse_method(text: &str) -> Result<String, String> {
    if text == "all" || Method::from_name(text).is_some() {
        return Ok(text.to_owned());
    }
    if text.parse::<u64>().is_ok() {
        return Err("a number is no method; one fault is cleared by `slowfs clear --id N`".into());
    }
    let names = Method::all().map(Method::name).chain(["all"]);
    Err(match closest(text, names) {
        Some(near) => format!("no such method; did you mean {near}?"),
        None => "no such method; `slowfs methods` lists them".into(),
    })
}

fn parse_errno(text: &str) -> Result<String, String> {
    if text == "random" {
        return Ok(text.to_owned());
    }
    rpc::errno(text).map(|errno| errno.name().map_or_else(|| text.to_owned(), str::to_owned))
}

/// The fault that a command sets, and whether it is added; none for the other commands.
pub(super) fn fault_of(command: &Control) -> Option<(FaultSpec, bool)> {
    let (spec, fault) = match command {
        Control::Delay { delay, fault, .. } => {
            (FaultSpec { delay_ns: Some(nanoseconds(*delay)), ..fault.spec() }, fault)
        }
        Control::Hang { fault, .. } => (FaultSpec { hang: true, ..fault.spec() }, fault),
        Control::Error { errnos, fault, .. } => {
            let (random, errnos) = errnos.iter().cloned().partition::<Vec<_>, _>(|e| e == "random");
            (FaultSpec { random_errno: !random.is_empty(), errnos, ..fault.spec() }, fault)
        }
        Control::Kill { fault, .. } => (FaultSpec { kill_caller: true, ..fault.spec() }, fault),
        _ => return None,
    };
    Some((spec, fault.add))
}

/// A fault as written after `slowfs`, in one string: `delay 10ms -m fsync -r '.*/wal/.*'`. Words
/// are split at blanks outside single or double quotes.
///
/// # Errors
/// One line that says what is wrong with it.
pub fn parse_fault(text: &str) -> Result<(FaultSpec, bool), String> {
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
    let fault = fault_of(&line.command)
        .ok_or("a fault begins with delay, hang, error or kill".to_owned())?;
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

    #[test]
    fn addresses_are_judged_before_anything_is_sent() {
        for good in ["localhost", "db1:9090", "10.0.0.1:1", "::1", "[::1]:9090", "fe80::1"] {
            assert_eq!(parse_addr(good).as_deref(), Ok(good));
        }
        for bad in ["", ":99999", "127.0.0.1:65536", "db1:", ":9090", "[::1]"] {
            assert!(parse_addr(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn probabilities_are_fractions_or_percentages() {
        for (text, expected) in [("0", 0.0), ("1", 1.0), ("0.5", 0.5), ("1%", 0.01), ("100%", 1.0)]
        {
            assert_eq!(parse_probability(text), Ok(expected), "{text}");
        }
        for text in ["-1", "101%", "1.5", "", "%", "NaN", "inf", "half"] {
            assert!(parse_probability(text).is_err(), "{text}");
        }
    }
}

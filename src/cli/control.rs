//! The control commands and their arguments: what can be asked of a running mount.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::help;
use super::recipe::{self, Recipe};
use super::values::{
    parse_addr, parse_duration, parse_errno, parse_interval, parse_method, parse_probability,
};
use crate::rpc::FaultSpec;

/// A command to one or more running mounts.
#[derive(Debug, Subcommand)]
pub(super) enum Control {
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

    /// The fault that it sets, and whether that is added; none for the other commands.
    pub(super) fn fault(&self) -> Option<(FaultSpec, bool)> {
        let (spec, fault) = match self {
            Control::Delay { delay, fault, .. } => {
                (FaultSpec { delay_ns: Some(nanoseconds(*delay)), ..fault.spec() }, fault)
            }
            Control::Hang { fault, .. } => (FaultSpec { hang: true, ..fault.spec() }, fault),
            Control::Error { errnos, fault, .. } => {
                let (random, errnos) =
                    errnos.iter().cloned().partition::<Vec<_>, _>(|e| e == "random");
                (FaultSpec { random_errno: !random.is_empty(), errnos, ..fault.spec() }, fault)
            }
            Control::Kill { fault, .. } => (FaultSpec { kill_caller: true, ..fault.spec() }, fault),
            Control::Clear { .. }
            | Control::Recipe { .. }
            | Control::List { .. }
            | Control::Methods { .. }
            | Control::Stats { .. }
            | Control::Watch { .. }
            | Control::Ping { .. } => return None,
        };
        Some((spec, fault.add))
    }
}

/// Which mounts, and how to answer.
#[derive(Args, Debug)]
pub(super) struct Target {
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
pub(super) struct FaultArgs {
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

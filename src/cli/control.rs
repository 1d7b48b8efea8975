//! The control commands and their arguments: what can be asked of a running mount.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};

use super::apply::ApplyArgs;
use super::help;
use super::recipe::{self, Recipe};
use super::record::RecordArgs;
use super::scenario::RunArgs;
use super::target::{Paths, Target};
use super::tracking::CutArgs;
use super::values::{
    Cleared, KindArg, parse_cleared, parse_fault, parse_interval, parse_kind, parse_method,
    parse_number, parse_size, parse_time,
};

/// A command to one or more running mounts.
#[derive(Debug, Subcommand)]
pub(super) enum Control {
    /// Clear all faults, or some by method, name or id [also: rm, remove, reset]
    #[command(after_help = help::CLEAR)]
    Clear {
        /// What of it
        #[command(flatten)]
        what: ClearArgs,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Clear methods, or faults by name or id: `slowfs clear` with something named
    #[command(hide = true, aliases = ["rm", "delete"], after_help = help::REMOVE,
              group(ArgGroup::new("named").args(["what", "methods"]).required(true).multiple(true)))]
    Remove {
        /// What of it
        #[command(flatten)]
        what: ClearArgs,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Clear every fault: `slowfs clear` with nothing named
    #[command(hide = true, after_help = help::RESET)]
    Reset {
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Set a ready-made fault, such as a full disk or a dying one
    #[command(after_help = recipe::HELP)]
    Recipe {
        /// Which recipe
        #[arg(value_name = "RECIPE", required_unless_present = "list", value_parser = recipe::parse)]
        recipe: Option<Recipe>,
        /// Show the recipes that there are
        #[arg(long)]
        list: bool,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Set the faults of a file, in one step; those that are in force already continue
    #[command(after_help = help::APPLY)]
    Apply {
        /// Which file, and where
        #[command(flatten)]
        args: ApplyArgs,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Show the faults in force and how often they matched and fired
    #[command(visible_alias = "ls", after_help = help::LIST)]
    List {
        /// Show only the fault of this name or id, even after it was removed
        #[arg(value_name = "NAME|ID", value_parser = parse_fault, conflicts_with = "ended")]
        fault: Option<String>,
        /// Show the last 100 faults that are gone instead, and why
        #[arg(long)]
        ended: bool,
        /// Print the commands that set these faults again instead
        #[arg(long)]
        commands: bool,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Show how much goes on, and the faults in force
    #[command(after_help = help::STATUS)]
    Status {
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Wait until a fault has fired, or holds, a number of operations; end with 1 if it does not
    #[command(after_help = help::WAIT,
              group(ArgGroup::new("what").args(["fired", "held"]).required(true)))]
    Wait {
        /// The fault's name or id
        #[arg(value_name = "NAME|ID", value_parser = parse_fault)]
        fault: String,
        /// Wait until it has fired N times since it was set
        #[arg(long, value_name = "N", value_parser = parse_number(1..=i64::MAX))]
        fired: Option<i64>,
        /// Wait until it holds N operations
        #[arg(long, value_name = "N", value_parser = parse_number(1..=i64::MAX))]
        held: Option<i64>,
        /// The longest time to wait
        #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_time)]
        timeout: Duration,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Show the kinds of fault, or one with its parameters and examples; asks no mount
    #[command(after_help = help::KINDS)]
    Kinds {
        /// Which kind
        #[arg(value_name = "KIND", value_parser = parse_kind)]
        kind: Option<KindArg>,
        /// Print this file that comes with the kind; change it, and give its path to the kind
        #[arg(value_name = "PRESET", conflicts_with_all = ["markdown", "json"])]
        file: Option<String>,
        /// Print the reference of all kinds, docs/kinds.md
        #[arg(long, conflicts_with_all = ["kind", "json"])]
        markdown: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the methods that faults can be set on
    #[command(after_help = help::METHODS)]
    Methods {
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Show how many operations there were, how many failed, and how long they took
    #[command(after_help = help::STATS)]
    Stats {
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Show rates, latency and faults, live
    #[command(after_help = help::WATCH)]
    Watch {
        /// Time between two looks, at least 10ms
        #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = parse_interval)]
        interval: Duration,
        /// End after N intervals
        #[arg(long, value_name = "N", value_parser = parse_number(1..=u64::MAX))]
        count: Option<u64>,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Print each request and what fired on it, as JSON lines, until ctrl-C
    #[command(after_help = help::TRACE)]
    Trace {
        /// Which requests, and where to
        #[command(flatten)]
        trace: TraceArgs,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Record how long a mount's backing or a disk takes, to replay it with delay or device
    #[command(after_help = help::RECORD)]
    Record {
        /// Of what, and where to
        #[command(flatten)]
        record: RecordArgs,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Show which files a pattern matches now, or which faults a path meets
    #[command(after_help = help::MATCH)]
    Match {
        /// What is asked
        #[command(flatten)]
        args: MatchArgs,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Run a scenario: faults that come and go at their times, until its end
    #[command(after_help = help::RUN)]
    Run {
        /// Which one
        #[command(flatten)]
        args: RunArgs,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Show which bytes faults have changed, and what became of these changes
    #[command(after_help = help::INJECTIONS)]
    Injections {
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Write the right bytes back where faults have stored others
    #[command(after_help = help::HEAL,
              group(ArgGroup::new("healed").args(["ids", "all"]).required(true)))]
    Heal {
        /// The injections' numbers
        #[arg(value_name = "INJECTION", value_delimiter = ',', value_parser = parse_number(1..=i64::MAX))]
        ids: Vec<i64>,
        /// Heal all that stand
        #[arg(long)]
        all: bool,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Change stored bytes now
    #[command(after_help = help::ROT)]
    Rot {
        /// What and where
        #[command(flatten)]
        rot: RotArgs,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Show what a power cut could take back now
    #[command(after_help = help::UNSYNCED)]
    Unsynced {
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Make everything durable that is there now
    #[command(after_help = help::CHECKPOINT)]
    Checkpoint {
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Build a directory that a disk could have if the power failed now, or cut the power in place
    #[command(after_help = help::POWER_CUT)]
    PowerCut {
        /// What is left then
        #[command(flatten)]
        args: CutArgs,
        /// Which mounts
        #[command(flatten)]
        target: Target,
    },
    /// Turn the power on again after `slowfs power-cut --now --stay-off`
    #[command(after_help = help::POWER_ON)]
    PowerOn {
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

/// What is cleared.
#[derive(Args, Clone, Debug)]
pub(super) struct ClearArgs {
    /// Methods to clear from every fault, and faults to clear by name or id; none means all
    #[arg(value_name = "METHOD|NAME|ID", value_delimiter = ',', value_parser = parse_cleared)]
    what: Vec<Cleared>,
    /// Methods, as they were given when the fault was set
    #[arg(short, long, value_name = "METHOD,...", value_delimiter = ',',
          value_parser = parse_method)]
    methods: Vec<String>,
}

impl ClearArgs {
    /// All that is named; nothing means everything.
    pub(super) fn all(&self) -> Vec<Cleared> {
        let methods = self.methods.iter().cloned().map(Cleared::Method);
        self.what.iter().cloned().chain(methods).collect()
    }
}

/// What is traced, and where to.
#[derive(Args, Clone, Debug)]
pub(super) struct TraceArgs {
    /// Only requests on which something fired
    #[arg(long)]
    pub(super) fired: bool,
    /// Only requests that consult one of these methods
    #[arg(short, long, value_name = "METHOD,...", value_delimiter = ',',
          value_parser = parse_method)]
    pub(super) methods: Vec<String>,
    /// On which paths
    #[command(flatten)]
    pub(super) paths: Paths,
    /// Write to this file instead; its old content is removed
    #[arg(long, value_name = "FILE")]
    pub(super) to: Option<PathBuf>,
    /// End after this time
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
    pub(super) lasts: Option<Duration>,
}

/// What is matched.
#[derive(Args, Clone, Debug)]
pub(super) struct MatchArgs {
    /// The path to show the faults of, or to search below: on a mount, or in the directory behind one
    #[arg(value_name = "PATH", required_unless_present_any = ["regex", "glob"])]
    pub(super) path: Option<PathBuf>,
    /// By what pattern
    #[command(flatten)]
    pub(super) paths: Paths,
    /// How many paths to show
    #[arg(long, value_name = "N", default_value = "100", value_parser = parse_number(0..=1_000_i64))]
    pub(super) most: i64,
}

/// What rots.
#[derive(Args, Clone, Debug)]
pub(super) struct RotArgs {
    /// What happens to a spot: one bit is flipped, or BITS of them; or its bytes become zeros or random
    #[arg(value_name = "flip[:BITS]|zero|random", default_value = "flip")]
    pub(super) how: String,
    /// Of which files
    #[command(flatten)]
    pub(super) paths: Paths,
    /// How many spots, in all files together
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_number(1..=100_000_i64))]
    pub(super) spots: i64,
    /// The size of a unit, a power of two
    #[arg(long, value_name = "SIZE", default_value = "512", value_parser = parse_size)]
    pub(super) unit: i64,
    /// How many units a spot has
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_number(1..=1_048_576_i64))]
    pub(super) length: i64,
    /// Draw the same spots and bits again in the same files
    #[arg(long, value_name = "N", value_parser = parse_number(0..=u64::MAX))]
    pub(super) seed: Option<u64>,
    /// Do not change modification times: the kernel's cache then hides the change
    #[arg(long)]
    pub(super) hidden: bool,
}

//! The fuser adapter: decode, ask the gate, run on the mirror, reply. No semantics of its own.
//!
//! `requests` is the door, where fuser's types end; `names`, `inodes`, `files`, `writes` and `listings` make of
//! each request an `op::Op` and a closure on the mirror. `serve` asks the gate for all of them, `struck` takes
//! apart what is planned for one, `carried` carries it out, `run` has it run here or away and answers,
//! `underway` knows whose operations are on their way, and `warden` frees callers that are killed meanwhile;
//! `told` tells of what is answered (`noted`), to the log (`oplog`) and the trace (`traced`); `walks` and
//! `reads` tell which requests are one system call; `caches` keeps the kernel's caches honest about what is
//! armed, and `trusted` knows which inodes that takes, `unheard` those that the kernel is told of later;
//! `reported` is what it takes where what is done is reported as failed; `holes` finds those of mapped files;
//! `charge` reserves and settles space, of the files that `counted` says, by what is `asked` and `moved`;
//! `tracked` has the log of what is not durable take in what is done, and `plug` the power cut, in which
//! `victims` die; `passthrough` hands files over to the kernel, and `written_back` is what it takes where the
//! kernel keeps what is written; `survey` looks through the tree for control; `injected` keeps what faults have
//! made of bytes, and `repair` heals it.
//! Lock rule: no lock of this room is held while the mirror, the gate or the kernel works.

use std::sync::{Arc, OnceLock, Weak};

use crate::fault::hold::Load;
use crate::fault::{DelayLine, FaultTable, Gate, Pattern};
use crate::kept::Keep;
use crate::mirror::{Inode, Mirror};
use crate::stats::{Stats, Taken};
use crate::unsynced::Unsynced;

mod altered;
mod asked;
mod attributes;
mod caches;
mod carried;
mod charge;
mod counted;
mod extents;
mod files;
mod freed;
mod holes;
mod init;
mod injected;
mod inodes;
mod listings;
mod moved;
mod names;
mod noted;
mod notices;
mod notifier;
mod op;
mod oplog;
mod parts;
mod passthrough;
mod plug;
mod reads;
mod repair;
mod reply;
mod reported;
mod requests;
mod run;
mod serve;
mod spared;
mod struck;
mod subject;
mod survey;
mod told;
mod traced;
mod tracked;
mod trusted;
mod underway;
mod unheard;
mod victims;
mod walks;
mod warden;
mod writes;
mod written_back;

pub use init::negotiate;
pub(crate) use init::{Kernel, LIBRARY_PROTOCOL};
pub(crate) use notifier::Notifier;
use passthrough::Note;
pub(crate) use plug::{How, Plug};
pub(crate) use repair::Repair;
pub(crate) use spared::Spared;
pub(crate) use survey::Survey;

/// The mirror, with each inode remembering which faults match its path and how it is open.
pub(crate) type Tree = Mirror<Note>;

/// An inode of it.
type Node = Inode<Note>;

/// How requests are served.
#[derive(Clone, Debug)]
pub struct FsOptions {
    /// How many threads take requests from the kernel.
    pub threads: usize,
    /// Whether every file bypasses the page cache.
    pub direct_io: bool,
    /// Whether the kernel checks permissions, ACLs included; else it asks by ACCESS.
    pub kernel_checks_access: bool,
    /// Whether the kernel keeps what is written in its cache and writes it back later.
    pub writeback_cache: bool,
    /// Whether each operation is logged, one line each.
    pub log_ops: bool,
    /// Whether every operation is timed, not only those while a fault is set.
    pub time_all: bool,
    /// The files that the kernel does not serve by itself; None: it serves no file.
    pub passthrough_except: Option<Arc<Pattern>>,
}

impl Default for FsOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        FsOptions {
            threads: (2 * cores).clamp(4, 16),
            direct_io: false,
            writeback_cache: false,
            kernel_checks_access: true,
            log_ops: false,
            time_all: false,
            passthrough_except: None,
        }
    }
}

/// The filesystem that fuser drives.
pub(crate) struct SlowFs {
    core: Arc<Core>,
}

/// What an operation needs wherever it runs: on a loop thread, or held and then on a worker.
struct Core {
    /// Itself, for a thread that goes on behind an operation.
    itself: Weak<Core>,
    tree: Tree,
    unsynced: Option<Unsynced>,
    gate: Gate,
    line: Arc<DelayLine>,
    keep: Arc<Keep>,
    stats: Arc<Stats>,
    options: FsOptions,
    kernel: OnceLock<Kernel>,
    walks: walks::Walks,
    readers: reads::Readers,
    counted: caches::Counted,
    notices: OnceLock<notices::Notices>,
    trusted: trusted::Trusted,
    unheard: unheard::Unheard,
    freed: freed::Freed,
    handed_over: passthrough::HandedOver,
    underway: underway::Underway,
    spared: Spared,
}

impl SlowFs {
    /// The filesystem over `tree`, of which `unsynced` may keep what is not durable, obeying `table`, with what is held in `line` and its data in `keep`.
    #[must_use]
    pub(crate) fn new(
        (tree, unsynced): (Tree, Option<Unsynced>),
        table: Arc<FaultTable>,
        line: Arc<DelayLine>,
        keep: Arc<Keep>,
        options: FsOptions,
    ) -> SlowFs {
        let stats: Arc<Stats> = Arc::default();
        let (of_line, of_keep) = (Arc::clone(&line), Arc::clone(&keep));
        stats.ask_what_is_taken(Box::new(move || taken(&of_line, &of_keep)));
        let gate = Gate::new(table);
        if options.time_all {
            gate.time_all();
        }
        if options.log_ops {
            gate.log_all();
        }
        let core = Arc::new_cyclic(|itself| Core {
            itself: Weak::clone(itself),
            tree,
            unsynced,
            gate,
            line,
            keep,
            stats,
            kernel: OnceLock::new(),
            underway: underway::Underway::new(options.threads),
            options,
            walks: walks::Walks::default(),
            readers: reads::Readers::default(),
            counted: caches::Counted::default(),
            notices: OnceLock::new(),
            trusted: trusted::Trusted::default(),
            unheard: unheard::Unheard::default(),
            freed: freed::Freed::default(),
            handed_over: passthrough::HandedOver::default(),
            spared: Spared::default(),
        });
        SlowFs { core }
    }

    /// What it has served so far, for use beside the running session.
    #[must_use]
    pub(crate) fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.core.stats)
    }

    /// The tree to be looked through, for use beside the running session.
    #[must_use]
    pub(crate) fn survey(&self) -> Survey {
        Survey::new(Arc::clone(&self.core))
    }

    /// What cuts the power, for use beside the running session.
    #[must_use]
    pub(crate) fn plug(&self) -> Plug {
        Plug::new(Arc::clone(&self.core))
    }

    /// The threads that faults spare, for use beside the running session.
    #[must_use]
    pub(crate) fn spared(&self) -> Spared {
        self.core.spared.clone()
    }

    /// What heals and spoils stored bytes on command, for use beside the running session.
    #[must_use]
    pub(crate) fn repair(&self) -> Repair {
        Repair::new(Arc::clone(&self.core))
    }

    /// What tells the kernel of changes to the table, for use beside the running session.
    #[must_use]
    pub(crate) fn notifier(&self) -> Notifier {
        Notifier::new(Arc::clone(&self.core))
    }
}

fn taken(line: &DelayLine, keep: &Keep) -> Taken {
    let load = line.load();
    let sum = |of: fn(&Load) -> usize| load.iter().map(of).sum::<usize>() as u64;
    let [held_in_memory, held_in_file] = keep.bytes();
    let (threads, waiting) = (sum(|l| l.threads), sum(|l| l.waiting));
    Taken { threads, waiting, held_in_memory, held_in_file }
}

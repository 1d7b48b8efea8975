// slowfs's own calls, beside those of charybdefs on the same port.
//
// Unlike the plain calls they refuse what they cannot do (an unknown method, a probability
// above 1) with an exception that says what was wrong; nothing is changed then.
// Times are nanoseconds. An optional field that is not set means "no limit" or "none".

include "charybdefs.thrift"

namespace py slowfs

/** The call was refused and changed nothing. */
exception Refused {
    1: string message,      // one line: what, on what, why, what to do
}

/** What goes wrong with which operations. */
struct Fault {
    1: list<string> methods,        // "all" stands for every method
    2: string pattern = "",         // regular expression for the whole backing path; "": any
    3: double probability = 1.0,    // 0.0 to 1.0
    4: optional i64 delay_ns,       // before the operation
    5: bool hang = false,           // hold the operation until the fault is cleared
    6: list<string> errnos = [],    // names or numbers; one of them at random
    7: bool random_errno = false,   // any of E2BIG to EXFULL, never ENOSYS
    8: bool kill_caller = false,    // SIGKILL to the calling process
    9: optional i64 count,          // gone after that many firings
    10: i64 after = 0,              // let that many matching operations pass first
    11: optional i64 lifetime_ns,   // gone after that time
}

/** A fault in force, or one that has gone. */
struct ListedFault {
    1: i64 id,
    2: Fault fault,                 // its methods are those it still has, or had last
    3: i64 matched,                 // operations that matched methods and pattern
    4: i64 fired,                   // of these, operations it decided
    5: i64 held,                    // operations it holds now
    6: optional i64 expires_in_ns,
    7: optional string out_of_reach, // files that it does not reach here, if any
    8: optional i64 ended_unix_ns,  // when it went, if it has gone
    9: optional string why,         // and why: "cleared", "replaced", "expired" or "spent"
    10: i64 past_cache,             // files opened past the page cache because of it, and still open
    11: i64 let_go = 0,             // operations that it held and let go before their time, because
                                    // their callers left by themselves
    12: i64 skipped = 0,            // operations that it would have matched if it could kill their
                                    // callers
}

/** A name that faults can be set on. */
struct MethodInfo {
    1: string name,
    2: optional string obstacle,    // why it cannot fire on this mount, if it cannot
    3: optional string out_of_reach, // files on which it cannot fire here, if any
}

/** The mount that answers. */
struct Info {
    1: string version,              // of the slowfs daemon
    2: string mountpoint,
    3: string backing,              // the directory behind it
    4: i32 pid,
    5: i64 started_unix_ms,
    6: i32 faults,                  // how many are set now
    7: i32 threads,                 // that take requests from the kernel
    8: bool direct_io,              // every file bypasses the page cache
    9: bool read_only,              // every change is refused
    10: bool seeded,                // the dice are repeatable
    11: bool stats,                 // every operation is timed, not only while a fault is set
    12: string probability_scale,   // of the plain calls: "auto", "100000" or "1000"
    13: string fuse_protocol,       // version that the kernel speaks
    14: list<string> capabilities,  // of the kernel that the mount uses, named as in linux/fuse.h
    15: optional string passthrough_except, // the pattern of --passthrough-except, if mounted with it
}

/** How long requests took, from arrival to answer, delays included. */
struct Latency {
    1: i64 timed,                   // requests timed: those that came while a fault was set, or
                                    // all of a mount with --stats
    2: i64 p50_ns,                  // a sixteenth too long at most
    3: i64 p99_ns,                  // likewise
    4: i64 max_ns,                  // exact
    5: map<i64, i64> buckets,       // up to so many nanoseconds -> how many requests
}

/** What the mount has served of one method. A request counts for each method it consults. */
struct MethodStatistics {
    1: string name,
    2: i64 calls,                   // answered
    3: i64 errors,                  // of these, answered with an error, injected or real
    4: optional Latency latency,    // if any was timed
}

/** Files that the kernel has served by itself (--passthrough-except). */
struct Passthrough {
    1: i64 open,                    // now
    2: i64 files,                   // since the mount, each from its first open to its last close
    3: i64 refused,                 // that the kernel could not serve, so that slowfs did
}

/** What the mount has served since it was mounted. */
struct Statistics {
    1: i64 elapsed_ns,              // since it was mounted
    2: i64 calls,                   // requests, each counted once
    3: i64 errors,
    4: list<MethodStatistics> methods,  // every one, sorted by name
    5: optional Passthrough passthrough, // of a mount with --passthrough-except
    6: i64 log_lines_lost,          // that nobody took, or that could not be written
    7: i64 connections_dropped,     // refused, or closed before their peer did
    8: i64 threads,                 // for operations that may block, just now; 8,192 at most
    9: i64 waiting,                 // operations that wait for such a thread
    10: i64 callers_freed,          // that were killed while their operation was blocked in the backing
    11: i64 held_bytes_in_memory,   // that held operations keep
    12: i64 held_bytes_in_file,     // likewise, in the file of --held-dir
}

service SlowFS extends charybdefs.server {
    /**
     * Sets a fault and returns its id; 1,000 at once are the most. Its methods are first removed from every other fault,
     * unless `add` is true: then it comes after the others, and the first that fires decides.
     */
    i64 put_fault(1: Fault fault, 2: bool add = false) throws (1: Refused refused),

    /** Removes one fault; false if there is none of that id. */
    bool remove_fault(1: i64 id) throws (1: Refused refused),

    /** Removes these methods from every fault, in one step. */
    void clear_methods(1: list<string> methods) throws (1: Refused refused),

    /** The faults in the order in which they are consulted. */
    list<ListedFault> list_faults(),

    /**
     * The last 100 that have gone, the latest last. One that was spent may still hold operations:
     * clearing its methods or its id releases them, and until then it stays listed.
     */
    list<ListedFault> list_ended(),

    /** Every method, with what keeps it from firing on this mount. */
    list<MethodInfo> list_methods(),

    /** Who answers here, and how it is mounted. */
    Info info(),

    /** How many requests of each method there were, how many failed and how long they took. */
    Statistics stats(),
}

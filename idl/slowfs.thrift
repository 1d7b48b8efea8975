// slowfs's own calls, beside those of charybdefs on the same port.
//
// Unlike the plain calls they refuse what they cannot do (an unknown method, kind or parameter, a
// value of another type) with an exception that says what was wrong; nothing is changed then.
// Times are nanoseconds, sizes bytes. An optional field that is not set means "none".
//
// Kinds of fault travel as data: list_kinds tells those of a mount and what they take. A new kind
// changes no stub.

include "charybdefs.thrift"

namespace py slowfs_thrift

/** The call was refused and changed nothing. */
exception Refused {
    1: string message,      // one line: what, on what, why, what to do
}

/**
 * The value of a parameter or an option: exactly one of these, and never another one. Text, as it is
 * typed after `slowfs`, is taken for every type.
 */
union Value {
    1: i64 whole,           // a time in nanoseconds, a size in bytes, a count
    2: double share,        // of 1
    3: bool flag,
    4: string text,
    5: list<string> texts,
}

/** One thing that a fault does. */
struct Effect {
    1: string kind,                 // as list_kinds names it
    2: map<string, Value> params,
}

/** What goes wrong with which operations. */
struct Fault {
    1: list<string> methods,        // "all" stands for every method
    2: string pattern,              // regular expression for the whole backing path; "": any
    3: map<string, Value> options,  // "probability", "count" and so on; absent: always, all, no limit
    4: list<Effect> effects,        // one at least
    5: optional string name,        // takes the place of the fault of that name, if there is one
}

/** A fault in force, or one that has gone. */
struct ListedFault {
    1: i64 id,
    2: Fault fault,                 // its methods are those it still has, or had last
    3: string category,             // "fault", "condition" or "latch"
    4: string state,                // "on", "off" for now (not started, or between phases), "ended"
    5: i64 matched,                 // operations that matched methods, pattern and filters
    6: i64 fired,                   // of these, operations it decided
    7: i64 held,                    // operations it holds now
    8: i64 skipped,                 // operations to which it could not have done anything
    9: i64 let_go,                  // operations that it held and let go before their time, because
                                    // their callers left by themselves
    10: i64 past_cache,             // files opened past the page cache because of it, and still open
    11: optional i64 expires_in_ns,
    12: optional string out_of_reach, // files that it does not reach here, if any
    13: list<string> warnings,      // what else it cannot do here
    14: optional i64 ended_unix_ns, // when it went, if it has gone
    15: optional string why,        // and why: "cleared", "replaced", "expired" or "spent"
    16: optional i64 set_ns,        // when it was set, by CLOCK_MONOTONIC: its times count from then
}

/** A fault that has lost methods to another or by a clear, and goes on with others. */
struct Taken {
    1: i64 id,
    2: list<string> methods,        // what it has lost
    3: list<string> left,           // what is left to it
}

/** What setting a fault has done. */
struct Put {
    1: i64 id,
    2: list<i64> replaced,          // the faults that have gone by it
    3: i64 released,                // how many operations went on by it
    4: bool unchanged,              // the very same stood under that name: it goes on, with its counts
    5: list<string> warnings,       // what it cannot do here
    6: list<string> changed,        // what is different from the one that stood under that name
    7: list<Taken> taken,           // the faults that have lost methods to it, and stay
}

/** What has come of a list of faults that was applied. */
struct Applied {
    1: list<Put> faults,            // what came of each, in the order of the list
    2: list<i64> cleared,           // the others that have gone by it
    3: i64 released,                // how many operations went on by it
}

/** What clearing has done. */
struct Cleared {
    1: list<i64> faults,            // those that have gone by it, and those named that held something
    2: i64 released,                // how many operations went on by it
    3: list<Taken> taken,           // the faults that have lost methods by it, and stay
    4: optional string scenario,    // the one that it has ended, if one ran
    5: optional string power,       // what has become of it, if it was off, or why it is not on by that
    6: list<string> warnings,       // the conditions and latches on those methods, which stay; a line each
}

/** A parameter of a kind. */
struct Param {
    1: string name,
    2: string takes,                // "time", "size", "count", "share", "flag", "errnos", "choice" ...
    3: string form,                 // how that is written, as in "TIME" or "before|after"
    4: bool first,                  // typed behind the kind's name, without its own
    5: bool needed,                 // the kind cannot do without it
    6: string about,
}

/** A kind of fault. */
struct Kind {
    1: string name,
    2: string about,
    3: list<Param> params,
    4: list<string> methods,        // those on which it makes sense
    5: string category,             // "time", "answer", "data", "sync", "condition" or "latch"
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
    2: binary mountpoint,
    3: binary backing,              // the directory behind it
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
    16: list<string> kinds,         // of fault that it has
    17: list<string> features,      // what else faults can have here: options, and "name"
    18: optional string listen,     // where clients are served over TCP, as ADDR:PORT
    19: optional binary socket,     // the socket where clients of this machine are served
    20: optional string http,       // where HTTP is served over TCP, as ADDR:PORT
    21: list<string> allow,         // the networks from which the ports may be reached; none: every one
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
    5: i64 injected,                // of the errors, those that faults gave
    6: i64 usual,                   // of the errors, those that nothing is wrong for: a name that is not there,
                                    // an attribute that is not set, a killed caller
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
    13: i64 injected,               // of the errors, those that faults gave
    14: i64 usual,                  // of the errors, those that nothing is wrong for
    15: list<MethodStatistics> requests, // each request once, by the method that names it, so that fsync is
                                    // without fdatasync; those that were called, sorted by name
}

/** What a trace begins with. */
struct TraceHead {
    1: string version,              // of the slowfs daemon
    2: string fuse_protocol,        // version that the kernel speaks
    3: string seed,                 // of the dice, by --seed or by chance: a number of 64 bits
    4: binary mountpoint,
    5: binary backing,              // the directory behind it
    6: i64 monotonic_ns,            // one moment by CLOCK_MONOTONIC
    7: i64 unix_ns,                 // the same moment since 1970
}

/** A fault or condition that fired on a request. */
struct TraceHit {
    1: i64 id,
    2: optional string name,
    3: string kind,                 // of several effects with "+" between them
    4: i64 n,                       // which match it was, from 0: what went into the draw
    5: optional i64 asked_ns,       // how long to hold the request, or its answer
    6: optional i64 due_ns,         // when a request that it held, or its answer, was due, by CLOCK_MONOTONIC
    7: string action,               // what came of it, with "+" between: "held", "killed", "failed", "changed",
                                    // "released", "let_go", "interrupted"; "passed" if nothing
    8: list<i64> injection,         // the ids of the injections that it made
}

/** A request that was answered. Moments are those of CLOCK_MONOTONIC. */
struct TraceEvent {
    1: i64 seq,                     // from 1, in the order of the answers; a gap is what was dropped
    2: i64 t_ns,                    // when it arrived
    3: string method,
    4: optional binary path,        // in the backing when it arrived, if its inode was known
    5: optional binary other,       // of a rename, a link or a copy the second one: what the first comes to be
    6: i64 inode,                   // or the directory of the name; of a copy, as handle and offset, what is written
    7: optional i64 handle,
    8: optional i64 offset,         // of what it reads, writes or allocates
    9: optional i64 len,
    10: i32 flags,                  // how the file is or was opened, if the request says so; else 0
    11: i64 tid,                    // of the caller; 0 if unknown
    12: i64 uid,
    13: string result,              // "ok", or the error's name
    14: i32 errno,                  // its number; 0 for success
    15: i64 bytes,                  // moved
    16: optional i64 backing_ns,    // how long it ran on the backing, if it did
    17: i64 done_ns,                // when it was answered
    18: list<TraceHit> hits,
}

/** What a trace has come to. */
struct TraceRead {
    1: list<TraceEvent> events,
    2: i64 dropped,                 // since it began: what nobody fetched in time
    3: bool ended,                  // the mount ends: nothing comes after these
}

/** The files and directories that a pattern matches now. */
struct Matched {
    1: list<binary> paths,          // those found first, as many as were asked for, sorted
    2: i64 matching,                // how many match
    3: i64 seen,                    // how many were looked at
    4: i64 left_out,                // directories not looked into: something else is mounted there, or
                                    // they cannot be read
    5: bool whole,                  // that was all; else there was too much to look at, or it took too long
    6: list<string> warnings,       // that the pattern never matches here, with what may be meant
}

/** What a path meets. */
struct Met {
    1: binary path,                 // the one in the backing, which patterns match
    2: list<ListedFault> faults,    // that requests on it meet, in the order in which they are consulted
    3: i64 others,                  // how many others are in force
}

/** What is to rot. What is 0 or empty is as the command has it. */
struct Rot {
    1: string pattern,              // which files
    2: string how,                  // "flip", "flip:BITS", "zero", "random"
    3: i64 spots,                   // in all files together
    4: i64 unit,                    // bytes
    5: i64 length,                  // units of a spot
    6: optional string seed,        // a number of 64 bits
    7: bool hidden,                 // leave the times of modification
}

/** A power cut. What is 0 or empty is as the command has it. */
struct Cut {
    1: optional string to,          // the image that is built; none: the power is cut in place
    2: string keep,                 // "none", "all", "prefix:N", "random"
    3: i64 unit,                    // bytes
    4: optional string seed,        // a number of 64 bits
    5: i64 max_stall_ns,            // what changes something may have to wait so long for an image
    6: bool stay_off,               // in place: everything fails with EIO then, until "power_on" or the end
    7: bool kill,                   // in place: who has files of the mount open or mapped gets SIGKILL first
}

/** One line of a scenario. */
struct Step {
    1: i64 line,                    // its number in the file: what is told of it begins with that
    2: optional i64 at_ns,          // when it is done, since the start
    3: optional string once,        // or the fault, by name or id, at whose firing
    4: i64 fired,                   // which firing of that, from 1; beside at_ns 0
    5: string command,              // "put", "only", "clear", "heal", "rot", "power_cut", "power_on", "checkpoint", "end"
    6: list<Fault> faults,          // what "put" sets, one, or "only", in the place of every other fault
    7: bool add,                    // whether "put" adds it beside the others of its methods
    8: list<string> clear,          // what "clear" clears, as the call does; none: everything
    9: string text,                 // the command as it was typed
    10: optional Rot rot,           // what "rot" spoils; without its own seed it draws by the scenario's
    11: optional Cut cut,           // how "power_cut" cuts; its seed likewise
}

/** What a mount is to do by itself. What has one time is one change of the table. */
struct Scenario {
    1: string name,
    2: list<Step> steps,            // 1,000 at most
    3: i64 end_ns,                  // when it ends, since its start: all times are before that
    4: optional string seed,        // of the dice of its faults, a number of 64 bits; else the mount's
    5: bool timed,                  // all requests are timed meanwhile, and counted with each event
    6: bool detached,               // it goes on without its connection
}

/** Where a scenario is. */
struct Run {
    1: string name,
    2: string state,                // "loaded", "running" or "ended"
    3: i64 done,                    // lines
    4: i64 steps,                   // of so many
    5: i64 elapsed_ns,
    6: i64 end_ns,
    7: optional string next,        // the next line that has a time
    8: optional i64 next_ns,        // when that is, since the start
    9: optional i64 started_ns,     // by CLOCK_MONOTONIC
    10: optional i64 started_unix_ns, // the same moment since 1970
    11: bool detached,
    12: string by,                  // who began it
    13: optional string why,        // it has ended
    14: bool failed,                // it ended without coming to its end, nor by run_stop
    15: string seed,
}

/** Something that a scenario did. */
struct RunEvent {
    1: i64 seq,                     // from 1
    2: string what,                 // "started", "step" or "ended"
    3: i64 line,                    // of a step
    4: optional i64 planned_ns,     // when that was to be, since the start; not set of one at a firing
    5: i64 at_ns,                   // when it was in force, since the start
    6: string text,                 // what came of it
    7: list<i64> faults,            // those that it set
    8: list<string> warnings,       // what these cannot do here
    9: optional i64 counted_ns,     // how long the mount had counted its requests then, if they are timed
    10: list<MethodStatistics> requests, // what it had served by then, each request once
}

/** What a scenario has come to. */
struct RunRead {
    1: optional Run run,            // the one that runs, or else the last that did
    2: list<RunEvent> events,
}

/** What a fault has made of bytes, on the disk or in an answer. */
struct Injection {
    1: i64 id,                      // from 1, in the order in which they came
    2: optional i64 fault,          // the fault's id; none of "rot"
    3: optional string name,        // the fault's name
    4: string kind,                 // that did it, or "rot"
    5: string method,               // upon which request
    6: binary path,                 // of the file in the backing, then
    7: i64 inode,
    8: i64 offset,
    9: i64 len,
    10: optional string expected_sha256, // of what should be there, where that is known
    11: optional string found_sha256,    // of what is there, or was answered
    12: string state,               // "standing", "transient", "overwritten", "healed", "gone"
    13: i64 left,                   // how many bytes of it stand
    14: bool kept,                  // its bytes are kept: it can be healed
}

/** Some injections. */
struct Injections {
    1: list<Injection> injections,
    2: i64 all,                     // how many are kept
    3: i64 dropped,                 // how many there were that are not
    4: i64 kept_bytes,              // of those that stand
}

/** What has come of an injection that was to be healed. */
struct Healed {
    1: i64 id,
    2: string outcome,              // a state of Injection; or "unknown" if its bytes are not kept, or "failed"
    3: optional string error,       // why it failed
}

/** What has rotted. */
struct Rotted {
    1: i64 files,                   // how many match
    2: i64 bytes,                   // that they have
    3: i64 spots,                   // that are spoilt now
    4: string seed,                 // what the dice were seeded with
    5: list<string> failed,         // why others are not
}

/** Bytes of a file. */
struct UnsyncedRange {
    1: i64 offset,
    2: i64 len,
}

/** A file whose content is not durable. */
struct UnsyncedFile {
    1: binary path,                 // in the backing, by the name used last
    2: i64 bytes,                   // that may be others after a cut
    3: list<UnsyncedRange> ranges,  // where they are: the first 16 of these
    4: i64 sizes,                   // how many other sizes it may have
    5: i64 age_ns,                  // of the oldest of it
    6: i64 lost,                    // bytes of these that no sync stores any more, as one has failed or was none
}

/** An entry of a directory that is not durable. */
struct UnsyncedName {
    1: binary path,                 // in the backing
    2: string what,                 // "made", "removed" or "replaced"
}

/** What a power cut could take back now. */
struct Unsynced {
    1: list<UnsyncedFile> files,    // 300 at most, the oldest first
    2: list<UnsyncedName> names,    // 300 at most, in the order of the changes
    3: i64 left_out,                // how many more files and names there are
    4: i64 entries,                 // of the log
    5: i64 remembered,              // what it takes to remember them, bytes
    6: i64 written_back,            // entries that counted as such, for their age or for want of room
    7: i64 age_ns,                  // of the oldest entry
    8: list<binary> foreign,        // what was changed behind the mount, and counts as durable
    9: i64 cuts,                    // how often the power was cut since the mount began
    10: bool off,                   // whether it is off
}

/** A moment that was noted, just before a request. */
struct UnsyncedMoment {
    1: i64 n,                       // its number, from 1
    2: string before,               // the request: "fsync", "rename" and so on
    3: binary path,                 // what it is about, in the backing
    4: optional binary to,          // what a rename makes of it
    5: i64 entries,                 // that the log had taken in since the mount
    6: i64 output,                  // how much of its output the program had written, bytes
    7: bool lost,                   // it cannot be gone back to any more
    8: optional string why,         // what has happened after it, so that it cannot
}

/** An image of what a disk could hold. */
struct PowerCut {
    1: binary image,                // where it is
    2: string keep,                 // of what is not durable, as it was asked for
    3: i64 unit,                    // bytes that were written at once or not at all
    4: string seed,                 // of the dice, a number of 64 bits
    5: i64 entries,                 // that the log had
    6: i64 dropped,                 // changes of names, attributes and sizes that it lacks
    7: i64 reverted,                // files whose content is not the one behind the mount
    8: i64 made,                    // files, directories and all else in it
    9: i64 copied,                  // bytes that had to be copied
    10: binary manifest,            // where it says what was dropped, and of which files what
}

/** A cut of the power in place. */
struct PowerLoss {
    1: string keep,                 // of what was not durable, as it was asked for
    2: i64 unit,                    // bytes that were written at once or not at all
    3: string seed,                 // of the dice, a number of 64 bits
    4: i64 entries,                 // that the log had
    5: i64 dropped,                 // changes of names, attributes and sizes that are undone
    6: i64 reverted,                // files whose content is another now
    7: list<i64> killed,            // processes that got SIGKILL
    8: bool off,                    // whether the power stays off
    9: i64 cuts,                    // how often it was cut since the mount began
}

service SlowFS extends charybdefs.server {
    /**
     * Sets a fault; 1,000 at once are the most. Its methods are first removed from every other fault,
     * unless `add` is true: then it comes after the others, and the first that fires decides. One with
     * a name takes the place of the fault of that name, if there is one, and no methods from others.
     */
    Put put_fault(1: Fault fault, 2: bool add) throws (1: Refused refused),

    /**
     * Sets several faults and removes those of these ids, in one step. The new ones take their methods
     * from other faults, not from each other. One of `remove` that has gone already is no error; an id
     * that no fault ever had is refused. `only_these`: every other fault goes, and conditions and latches
     * stay.
     */
    list<Put> put_faults(1: list<Fault> faults, 2: list<i64> remove, 3: bool only_these)
        throws (1: Refused refused),

    /**
     * Has a list of faults in force in one step, each beside the others. What stands in the same words goes
     * on, counts, times and all; a name that stands in other words is replaced in its place. `prune`: every
     * other fault goes, conditions and latches too. Refused, with nothing changed, if one of them cannot be
     * on this mount, or if one would take the place of another one of the list.
     */
    Applied apply_faults(1: list<Fault> faults, 2: bool prune) throws (1: Refused refused),

    /**
     * Clears in one step what is named: methods, which are taken from every fault but from no condition
     * and no latch, and faults, conditions and latches by name or id; nothing named, or "all": everything.
     * Refused, with nothing cleared, if one of them is no method
     * and no fault in force, nor one that was spent and holds something.
     */
    Cleared clear(1: list<string> what) throws (1: Refused refused),

    /** Removes the fault of that name or id; false if there is none. */
    bool remove_fault(1: string name_or_id) throws (1: Refused refused),

    /** Takes these methods from every fault, in one step; conditions and latches stay. */
    void clear_methods(1: list<string> methods) throws (1: Refused refused),

    /** The faults in the order in which they are consulted. */
    list<ListedFault> list_faults(),

    /**
     * The last 100 that have gone, the latest last. One that was spent may still hold operations:
     * clearing its methods, its name or its id releases them, and until then it stays listed.
     */
    list<ListedFault> list_ended(),

    /**
     * Waits until the fault of that name or id has "fired" n times, or holds n operations ("held"), and
     * returns how many. One that has gone counts, too. Refused when the time is over, or when it has
     * gone and it cannot come to that any more.
     */
    i64 wait(1: string name_or_id, 2: string what, 3: i64 n, 4: i64 timeout_ns)
        throws (1: Refused refused),

    /** The kinds of fault that there are. */
    list<Kind> list_kinds(),

    /** Every method, with what keeps it from firing on this mount. */
    list<MethodInfo> list_methods(),

    /**
     * Traces for this connection, from now on, the requests that consult one of these methods (none: any)
     * and whose backing path matches; `fired`: only those on which something fired. Refused while another
     * connection traces. The trace ends with the connection, and after two minutes without trace_read.
     */
    TraceHead trace_start(1: list<string> methods, 2: string pattern, 3: bool fired)
        throws (1: Refused refused),

    /**
     * What has come after that number, `most` at most and 1,000; what came up to it is forgotten. Does not
     * wait. Refused if there is no trace of this connection.
     */
    TraceRead trace_read(1: i64 after, 2: i64 most) throws (1: Refused refused),

    /** Ends the trace of this connection, if it has one. */
    void trace_stop(),

    /**
     * Takes a scenario: all of it is checked, and nothing happens until run_start. It is of this
     * connection and ends with it, unless it is detached and has begun. Refused if a step cannot be on
     * this mount, or while another one is here.
     */
    Run run_load(1: Scenario scenario) throws (1: Refused refused),

    /** Begins the scenario that this connection has loaded. */
    Run run_start() throws (1: Refused refused),

    /** The scenario that runs, or the last that did, of whomever; and what it did after that event. */
    RunRead run_read(1: i64 after),

    /** Ends the scenario of this connection, if one runs: the faults that it has set are cleared. */
    RunRead run_stop(),

    /**
     * The files and directories below that path (empty: all) which a pattern matches now: how many, and
     * the paths of `most`, 1,000 at most. Looks at a million and for three seconds at most, and enters
     * nothing else that is mounted there.
     */
    Matched match_files(1: string pattern, 2: binary below, 3: i64 most) throws (1: Refused refused),

    /**
     * The faults that requests on a path meet, found as requests find them: one of the mount, or of the
     * directory behind it. It need not exist. A file with several names meets what any of them does.
     */
    Met match_path(1: binary path) throws (1: Refused refused),

    /** What faults have made of bytes: those after that number, `most` at most and 1,000. */
    Injections injections(1: i64 after, 2: i64 most),

    /**
     * Writes the right bytes back where they were not written over since: of these injections, or without any
     * of those after that number that stand; 1,000 at most. Refused, with nothing healed, if there is no such
     * injection.
     */
    list<Healed> heal(1: list<i64> ids, 2: i64 after) throws (1: Refused refused),

    /** Spoils stored bytes of the files that match. */
    Rotted rot(1: Rot rot) throws (1: Refused refused),

    /** What a power cut could take back now. Refused if the mount does not remember it. */
    Unsynced unsynced() throws (1: Refused refused),

    /** All that is there is durable now: how many entries of the log that concerned. */
    i64 checkpoint() throws (1: Refused refused),

    /**
     * The moments that were noted after the one of that number, 1,000 at most: none unless the mount was
     * asked to.
     */
    list<UnsyncedMoment> unsynced_moments(1: i64 after) throws (1: Refused refused),

    /**
     * Builds a directory that a disk could hold if the power went now, while the mount goes on: of that
     * name, below the mount's directory for images. `keep` of what is not durable: "none" (as is an empty
     * one), "all", "prefix:N" or "random", by `seed`, a number of 64 bits (if empty, by chance);
     * `unit`: 512 (as is 0) or 4096. `moment`: as if the power had gone at the one of that number; 0 is now.
     * Refused if what changes something would have to wait longer than `max_stall_ns` (0: 2 s; the largest
     * number: no limit), as far as that can be told before.
     */
    PowerCut power_cut(1: string name, 2: string keep, 3: i64 unit, 4: string seed, 5: i64 moment, 6: i64 max_stall_ns)
        throws (1: Refused refused),

    /**
     * The first half of a cut in place: what is under way ends, and what comes waits, for `stays_ns` at most; then
     * all goes on. So several mounts are cut at one moment, or none. A ticket for power_commit or power_abort.
     */
    i64 power_prepare(1: i64 stays_ns) throws (1: Refused refused),

    /**
     * The second half: what waits or is held fails, open files are cut off, and the directory behind the mount
     * becomes what power_cut would build. Then the power is on again, or with `stay_off` off: everything fails
     * with EIO until power_on or clear. `kill`: every process that has files of the mount open or mapped gets SIGKILL
     * first, and what it waits for is not done; `client` is the process id of who asks, which does not. An empty `seed` is
     * by chance.
     */
    PowerLoss power_commit(1: i64 ticket, 2: string keep, 3: i64 unit, 4: string seed, 5: bool stay_off,
        6: bool kill, 7: i64 client) throws (1: Refused refused),

    /** Has what waits go on instead; false if it does so already. */
    bool power_abort(1: i64 ticket) throws (1: Refused refused),

    /** Has the power on again; whether it was off. Refused while it is being cut. */
    bool power_on() throws (1: Refused refused),

    /** Who answers here, and how it is mounted. */
    Info info(),

    /** How many requests of each method there were, how many failed and how long they took. */
    Statistics stats(),
}

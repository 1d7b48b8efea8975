//! The structs of `idl/slowfs.thrift` about faults and the mount. No locks.

use serde::Serialize;

use super::record::record;

record! {
    /// What goes wrong with which operations, as asked for: not yet validated.
    #[derive(Clone, Debug, PartialEq, Serialize)]
    pub struct FaultSpec = "Fault" {
        /// Method names; `all` stands for every method.
        1: methods: Vec<String>,
        /// Regular expression for the whole backing path; empty: any.
        2: pattern: String,
        /// 0.0 to 1.0.
        3: probability: f64,
        /// Nanoseconds before the operation.
        4: delay_ns: Option<i64>,
        /// Hold the operation until the fault is cleared.
        5: hang: bool,
        /// Names or numbers; one of them at random.
        6: errnos: Vec<String>,
        /// Any of E2BIG to EXFULL, never ENOSYS.
        7: random_errno: bool,
        /// SIGKILL to the calling process.
        8: kill_caller: bool,
        /// Gone after that many firings.
        9: count: Option<i64>,
        /// Let that many matching operations pass first.
        10: after: i64,
        /// Gone after that many nanoseconds.
        11: lifetime_ns: Option<i64>,
    }
}

impl Default for FaultSpec {
    /// A fault on nothing that does nothing, always.
    fn default() -> FaultSpec {
        FaultSpec {
            methods: Vec::new(),
            pattern: String::new(),
            probability: 1.0,
            delay_ns: None,
            hang: false,
            errnos: Vec::new(),
            random_errno: false,
            kill_caller: false,
            count: None,
            after: 0,
            lifetime_ns: None,
        }
    }
}

record! {
    /// A fault in force, or one that has gone.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    pub struct ListedFault = "ListedFault" {
        /// Its id, unique for the life of the mount.
        1: id: i64,
        /// Its methods are those it still has, or had last.
        #[serde(flatten)]
        2: fault: FaultSpec,
        /// Operations that matched methods and pattern.
        3: matched: i64,
        /// Of these, operations that it decided.
        4: fired: i64,
        /// Operations that it holds now.
        5: held: i64,
        /// What is left of its lifetime, in nanoseconds.
        6: expires_in_ns: Option<i64>,
        /// Files that it does not reach on this mount, if there may be any.
        7: out_of_reach: Option<String>,
        /// When it went, if it has gone.
        8: ended_unix_ns: Option<i64>,
        /// And why: `cleared`, `replaced`, `expired` or `spent`.
        9: why: Option<String>,
        /// Files that were opened past the page cache because of it and are still open.
        10: past_cache: i64,
        /// Operations that it held and let go before their time, because their callers left by themselves.
        11: let_go: i64,
        /// Operations that it would have matched if it could kill their callers.
        12: skipped: i64,
    }
}

record! {
    /// A name that faults can be set on.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct MethodInfo = "MethodInfo" {
        /// Its name.
        1: name: String,
        /// Why it cannot fire on this mount, if it cannot.
        2: obstacle: Option<String>,
        /// Files on which it cannot fire on this mount, if there may be any.
        3: out_of_reach: Option<String>,
    }
}

record! {
    /// The mount that answers.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Info = "Info" {
        /// Version of the slowfs daemon.
        1: version: String,
        /// Where it is mounted.
        2: mountpoint: String,
        /// The directory behind it.
        3: backing: String,
        /// Process id of the daemon.
        4: pid: i32,
        /// When it started, in milliseconds since 1970.
        5: started_unix_ms: i64,
        /// How many faults are set now.
        6: faults: i32,
        /// Threads that take requests from the kernel.
        7: threads: i32,
        /// Whether every file bypasses the page cache.
        8: direct_io: bool,
        /// Whether every change is refused.
        9: read_only: bool,
        /// Whether the dice are repeatable (`--seed`).
        10: seeded: bool,
        /// Whether every operation is timed (`--stats`), not only those while a fault is set.
        11: stats: bool,
        /// How the plain calls' probability is read: `auto`, `100000` or `1000`.
        12: probability_scale: String,
        /// Version of the FUSE protocol that the kernel speaks.
        13: fuse_protocol: String,
        /// The kernel's capabilities that the mount uses, by their names in linux/fuse.h.
        14: capabilities: Vec<String>,
        /// The pattern of `--passthrough-except`, if mounted with it.
        15: passthrough_except: Option<String>,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::record::Record;
    use super::super::wire::Fields;
    use super::*;

    fn words() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(".{0,12}", 0..4)
    }

    prop_compose! {
        fn spec()(
            methods in words(),
            pattern in ".{0,20}",
            probability in 0.0..1.0f64,
            delay_ns: Option<i64>,
            flags: (bool, bool, bool),
            errnos in words(),
            count: Option<i64>,
            after: i64,
            lifetime_ns: Option<i64>,
        ) -> FaultSpec {
            let (hang, random_errno, kill_caller) = flags;
            FaultSpec {
                methods, pattern, probability, delay_ns, hang, errnos, random_errno, kill_caller,
                count, after, lifetime_ns,
            }
        }
    }

    proptest! {
        #[test]
        fn listed_faults_round_trip(
            id: i64, fault in spec(), numbers: (i64, i64, i64, i64, i64, i64),
            out_of_reach: Option<String>, times: (Option<i64>, Option<i64>), why: Option<String>,
        ) {
            let (matched, fired, held, past_cache, let_go, skipped) = numbers;
            let (expires_in_ns, ended_unix_ns) = times;
            let listed = ListedFault {
                id, fault, matched, fired, held, expires_in_ns, out_of_reach, ended_unix_ns, why,
                past_cache, let_go, skipped,
            };
            prop_assert_eq!(ListedFault::decode(&listed.encode()), Ok(listed));
        }

        #[test]
        fn infos_round_trip(
            texts: (String, String, String, String, String),
            numbers: (i32, i32, i32, i64),
            flags: (bool, bool, bool, bool),
            capabilities in words(),
            passthrough_except: Option<String>,
        ) {
            let (version, mountpoint, backing, probability_scale, fuse_protocol) = texts;
            let (pid, faults, threads, started_unix_ms) = numbers;
            let (direct_io, read_only, seeded, stats) = flags;
            let info = Info {
                version, mountpoint, backing, pid, started_unix_ms, faults, threads, direct_io,
                read_only, seeded, stats, probability_scale, fuse_protocol, capabilities,
                passthrough_except,
            };
            prop_assert_eq!(Info::decode(&info.encode()), Ok(info));
        }
    }

    #[test]
    fn a_missing_probability_means_always() {
        assert_eq!(FaultSpec::decode(&Fields::default()), Ok(FaultSpec::default()));
    }

    #[test]
    fn notes_are_optional() {
        let why = Some("why".to_owned());
        for (obstacle, out_of_reach) in [(None, None), (why.clone(), None), (None, why)] {
            let method = MethodInfo { name: "access".into(), obstacle, out_of_reach };
            assert_eq!(MethodInfo::decode(&method.encode()), Ok(method));
        }
    }
}

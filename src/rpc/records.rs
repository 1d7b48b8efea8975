//! The structs of `idl/slowfs.thrift` about faults and the mount. No locks.

use serde::Serialize;

use super::record::record;
use super::values::WirePath;
use super::wire::signed;
use crate::fault;
use crate::fault::kinds::{KINDS, Kind};
use crate::fault::words::{Args, EffectWords, FaultWords, Param};
use crate::ops::MethodSet;

record! {
    impl FaultWords = "Fault" {
        1: methods: Vec<String>,
        2: pattern: String,
        3: options: Args,
        4: effects: Vec<EffectWords>,
        5: name: Option<String>,
    }
}

record! {
    impl EffectWords = "Effect" {
        1: kind: String,
        2: params: Args,
    }
}

record! {
    /// A fault in force, or one that has gone.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    pub struct ListedFault = "ListedFault" {
        /// Its id, unique for the life of the mount.
        1: id: i64,
        /// Its methods are those it still has, or had last.
        2: fault: FaultWords,
        /// `fault`, `condition` or `latch`.
        3: category: String,
        /// `on`, `off` for now (not started, or between phases), or `ended`.
        4: state: String,
        /// Operations that matched methods, pattern and filters.
        5: matched: i64,
        /// Of these, operations that it decided.
        6: fired: i64,
        /// Operations that it holds now.
        7: held: i64,
        /// Operations to which it could not have done anything; they count as not matched.
        8: skipped: i64,
        /// Operations that it held and let go before their time, because their callers left by themselves.
        9: let_go: i64,
        /// Files that were opened past the page cache because of it and are still open.
        10: past_cache: i64,
        /// What is left of its lifetime, in nanoseconds.
        11: expires_in_ns: Option<i64>,
        /// Files that it does not reach on this mount, if there may be any.
        12: out_of_reach: Option<String>,
        /// What else it cannot do here, a line each.
        13: warnings: Vec<String>,
        /// When it went, if it has gone.
        14: ended_unix_ns: Option<i64>,
        /// And why: `cleared`, `replaced`, `expired` or `spent`.
        15: why: Option<String>,
        /// When it was set, by `CLOCK_MONOTONIC`; its times count from then.
        16: set_ns: Option<i64>,
    }
}

record! {
    /// A fault that has lost methods to another or by a clear, and goes on with others.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Taken = "Taken" {
        /// The fault's id.
        1: id: i64,
        /// What it has lost.
        2: methods: Vec<String>,
        /// What is left to it.
        3: left: Vec<String>,
    }
}

impl Taken {
    pub(super) fn of(taken: &fault::Taken) -> Taken {
        let names = |set: MethodSet| set.names().into_iter().map(str::to_owned).collect();
        let fault::Taken { id, methods, left } = taken;
        Taken { id: signed(id.0), methods: names(*methods), left: names(*left) }
    }
}

record! {
    /// What setting a fault has done.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Put = "Put" {
        /// The fault's id.
        1: id: i64,
        /// The faults that have gone by it.
        2: replaced: Vec<i64>,
        /// How many operations it released.
        3: released: i64,
        /// Whether the very same stood under that name: it goes on, with its counts.
        4: unchanged: bool,
        /// What it cannot do here, a line each.
        5: warnings: Vec<String>,
        /// What is different from the fault that stood under its name, a line each.
        6: changed: Vec<String>,
        /// The faults that have lost methods to it, and stay.
        7: taken: Vec<Taken>,
    }
}

record! {
    /// What has come of a list of faults that was applied.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Applied = "Applied" {
        /// What came of each, in the order of the list.
        1: faults: Vec<Put>,
        /// The others that have gone by it.
        2: cleared: Vec<i64>,
        /// How many operations it released.
        3: released: i64,
    }
}

record! {
    /// What clearing has done.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Cleared = "Cleared" {
        /// The faults that have gone by it, and those named that were spent and held something.
        1: faults: Vec<i64>,
        /// How many operations it released.
        2: released: i64,
        /// The faults that have lost methods by it, and stay.
        3: taken: Vec<Taken>,
        /// The scenario that it has ended, if one ran.
        4: scenario: Option<String>,
        /// What has become of the power, if it was off, or why it is not on by that.
        5: power: Option<String>,
        /// The conditions and latches on methods that were named, which stay; a line each.
        6: warnings: Vec<String>,
    }
}

record! {
    /// A kind of fault.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct KindInfo = "Kind" {
        /// Its name.
        1: name: String,
        /// What it does, in one line.
        2: about: String,
        /// What it takes.
        3: params: Vec<ParamInfo>,
        /// The methods on which it makes sense.
        4: methods: Vec<String>,
        /// `time`, `answer`, `data`, `sync`, `condition` or `latch`.
        5: category: String,
    }
}

record! {
    /// A parameter of a kind.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct ParamInfo = "Param" {
        /// Its name.
        1: name: String,
        /// What it takes: `time`, `size`, `count`, `share`, `flag`, `errnos`, `choice` and so on.
        2: takes: String,
        /// How that is written: `TIME`, `before|after`.
        3: form: String,
        /// Whether it stands behind the kind's name without its own.
        4: first: bool,
        /// Whether the kind cannot do without it.
        5: needed: bool,
        /// What it says.
        6: about: String,
    }
}

impl KindInfo {
    /// Every kind there is.
    #[must_use]
    pub fn all() -> Vec<KindInfo> {
        KINDS.iter().map(|kind| KindInfo::of(*kind)).collect()
    }

    fn of(kind: &dyn Kind) -> KindInfo {
        KindInfo {
            name: kind.name().to_owned(),
            about: kind.about().to_owned(),
            params: kind.params().iter().map(ParamInfo::of).collect(),
            methods: kind.reach().names().into_iter().map(str::to_owned).collect(),
            category: kind.class().name().to_owned(),
        }
    }
}

impl ParamInfo {
    fn of(param: &Param) -> ParamInfo {
        ParamInfo {
            name: param.name.to_owned(),
            takes: param.of.name().to_owned(),
            form: param.of.forms(),
            first: param.first,
            needed: param.required,
            about: param.about.to_owned(),
        }
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
        2: mountpoint: WirePath,
        /// The directory behind it.
        3: backing: WirePath,
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
        /// The kinds of fault that it has.
        16: kinds: Vec<String>,
        /// What else faults can have there: the options, and `name`.
        17: features: Vec<String>,
        /// Where clients are served over TCP, as `ADDR:PORT`.
        18: listen: Option<String>,
        /// The socket where clients of this machine are served.
        19: socket: Option<WirePath>,
        /// Where HTTP is served over TCP, as `ADDR:PORT`.
        20: http: Option<String>,
        /// The networks from which the ports may be reached (`--allow`); none: every one.
        21: allow: Vec<String>,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use proptest::prelude::*;

    use super::super::record::Record;
    use super::*;
    use crate::fault::kinds::tests::faults;
    use crate::fault::words::Value;

    fn words() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(".{0,12}", 0..4)
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i64>().prop_map(Value::Whole),
            (0.0..1.0f64).prop_map(Value::Share),
            any::<bool>().prop_map(Value::Flag),
            ".{0,12}".prop_map(Value::Text),
            words().prop_map(Value::Texts),
        ]
    }

    fn args() -> impl Strategy<Value = Args> {
        prop::collection::btree_map("[a-z_]{1,9}", value(), 0..4).prop_map(Args::from_iter)
    }

    prop_compose! {
        fn fault()(
            methods in words(),
            pattern in ".{0,20}",
            options in args(),
            effects in prop::collection::vec(("[a-z-]{1,9}", args()), 0..3),
            name in prop::option::of("[a-z]{1,9}"),
        ) -> FaultWords {
            let effect = |(kind, params)| EffectWords { kind, params };
            let effects = effects.into_iter().map(effect).collect();
            FaultWords { methods, pattern, options, effects, name }
        }
    }

    /// A value as its JSON tells it.
    fn from_json(value: &serde_json::Value) -> Value {
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        match value {
            serde_json::Value::Bool(flag) => Value::Flag(*flag),
            serde_json::Value::Array(texts) => Value::Texts(texts.iter().map(text).collect()),
            serde_json::Value::String(text) => Value::Text(text.clone()),
            number => {
                number.as_i64().map_or_else(|| Value::Share(number.as_f64().unwrap()), Value::Whole)
            }
        }
    }

    proptest! {
        /// Every kind and option goes over the wire and through JSON and comes back.
        #[test]
        fn faults_of_every_kind_round_trip(fault in faults()) {
            let again = FaultWords::decode(&fault.encode()).unwrap();
            prop_assert_eq!(&again, &fault);
            prop_assert!(again.fault().is_ok());
            let json = serde_json::to_value(&fault).unwrap();
            let read = |args: &serde_json::Value| -> Args {
                let entry = |(name, value): (&String, _)| (name.clone(), from_json(value));
                args.as_object().unwrap().iter().map(entry).collect()
            };
            prop_assert_eq!(read(&json["options"]), fault.options);
            prop_assert_eq!(read(&json["effects"][0]["params"]), fault.effects[0].params.clone());
            prop_assert_eq!(&json["effects"][0]["kind"], &fault.effects[0].kind);
        }

        #[test]
        fn listed_faults_round_trip(
            fault in fault(), numbers: [i64; 7], texts: (String, String), warnings in words(),
            out_of_reach: Option<String>, times: [Option<i64>; 3], why: Option<String>,
        ) {
            let [id, matched, fired, held, past_cache, let_go, skipped] = numbers;
            let ((category, state), [expires_in_ns, ended_unix_ns, set_ns]) = (texts, times);
            let listed = ListedFault {
                id, fault, category, state, matched, fired, held, skipped, let_go, past_cache,
                expires_in_ns, out_of_reach, warnings, ended_unix_ns, why, set_ns,
            };
            prop_assert_eq!(ListedFault::decode(&listed.encode()), Ok(listed));
        }

        #[test]
        fn puts_round_trip(
            id: i64, replaced: Vec<i64>, released: i64, unchanged: bool, warnings in words(),
            changed in words(), taken in (words(), words()),
        ) {
            let taken = vec![Taken { id: 7, methods: taken.0, left: taken.1 }];
            let put = Put { id, replaced, released, unchanged, warnings, changed, taken };
            prop_assert_eq!(Put::decode(&put.encode()), Ok(put));
        }

        #[test]
        fn infos_round_trip(
            texts: (String, String, String),
            paths: (Vec<u8>, Vec<u8>),
            numbers: (i32, i32, i32, i64),
            flags: (bool, bool, bool, bool),
            lists in (words(), words(), words()),
            passthrough_except: Option<String>,
            addresses: (Option<String>, Option<Vec<u8>>),
        ) {
            let path = |bytes| WirePath(OsString::from_vec(bytes).into());
            let (mountpoint, backing) = (path(paths.0), path(paths.1));
            let (version, probability_scale, fuse_protocol) = texts;
            let (pid, faults, threads, started_unix_ms) = numbers;
            let (direct_io, read_only, seeded, stats) = flags;
            let (capabilities, kinds, features) = lists;
            let info = Info {
                version, mountpoint, backing, pid, started_unix_ms, faults, threads, direct_io,
                read_only, seeded, stats, probability_scale, fuse_protocol, capabilities,
                passthrough_except, kinds, features, listen: addresses.0,
                socket: addresses.1.map(path),
                http: None,
                allow: Vec::new(),
            };
            prop_assert_eq!(Info::decode(&info.encode()), Ok(info));
        }
    }

    #[test]
    fn every_kind_is_told_whole() {
        let kinds = KindInfo::all();
        assert_eq!(kinds.len(), KINDS.len());
        for kind in kinds {
            assert!(!kind.methods.is_empty() && !kind.about.is_empty(), "{kind:?}");
            assert_eq!(KindInfo::decode(&kind.encode()), Ok(kind));
        }
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

//! What holds for every row of the table.

use std::process::Command;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::fault::live::Live;
use crate::fault::operation::Span;
use crate::fault::words::{EffectWords, FaultOption, FaultWords, OPTIONS, ParamType, Value, line};
use crate::fault::{FaultId, testing};
use crate::ops::{Call, MethodSet};

#[test]
fn names_are_unique_words_and_everything_is_explained() {
    for (place, kind) in KINDS.iter().enumerate() {
        let name = kind.name();
        assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
        assert!(KINDS.iter().take(place).all(|other| other.name() != name), "{name}");
        assert!(!kind.about().is_empty() && !kind.about().contains('\n'), "{name}");
        let params = kind.params();
        assert!(params.iter().filter(|param| param.first).count() <= 1, "{name}");
        for (place, param) in params.iter().enumerate() {
            assert!(!param.about.is_empty(), "{name} {}", param.name);
            assert!(params.iter().take(place).all(|other| other.name != param.name), "{name}");
        }
    }
}

/// The examples of a kind's details, without `slowfs`.
fn examples(kind: &dyn Kind) -> Vec<&'static str> {
    kind.details().lines().filter_map(|line| line.strip_prefix("    slowfs ")).collect()
}

#[test]
fn every_example_is_a_fault_of_its_kind() {
    for kind in KINDS {
        let examples = examples(*kind);
        assert!(!examples.is_empty(), "{} has none", kind.name());
        for example in examples {
            let fault = line(example).and_then(|(words, _)| words.fault());
            let fault = fault.unwrap_or_else(|e| panic!("{example}: {e}"));
            assert_eq!(fault.effects()[0].kind().name(), kind.name(), "{example}");
        }
    }
}

/// Whether the fault of an example asks something of one of many requests, of all calls that it is for.
fn acts(example: &str, caller: u32) -> bool {
    let fault = Arc::new(testing::fault(example));
    let methods = fault.scope().methods;
    let live = Live::new(FaultId(1), fault, 1);
    let calls: Vec<_> = Call::all().filter(|call| call.methods().intersects(methods)).collect();
    calls.into_iter().cycle().take(5_000).any(|call| {
        let mut op = testing::request(call, caller);
        op.span = Some(Span { offset: 0, len: 1 << 20 });
        let mut plan = Plan::default();
        let acts = live.strike(&op).is_some_and(|strike| live.plan(&op, &strike, &mut plan).1);
        acts && plan != Plan::default()
    })
}

#[test]
fn every_kind_acts_on_a_request() {
    // Somebody who could be killed.
    let mut caller = Command::new("sleep").arg("600").spawn().unwrap();
    let acting = |kind: &&&dyn Kind| examples(**kind).iter().any(|line| acts(line, caller.id()));
    let idle: Vec<_> = KINDS.iter().filter(|kind| !acting(kind)).map(|kind| kind.name()).collect();
    caller.kill().unwrap();
    caller.wait().unwrap();
    assert!(idle.is_empty(), "{idle:?} ask nothing of any request");
}

/// Lengths that are drawn, as typed.
fn lengths() -> impl Strategy<Value = String> {
    let time = || (1..1_000_000_000_000i64).prop_map(|ns| ParamType::Time.write(&Value::Whole(ns)));
    let ordered = |(a, b): (i64, i64)| {
        let time = |ns| ParamType::Time.write(&Value::Whole(ns));
        (time(a.min(b)), time(a.max(b) + 1))
    };
    let pair = || (1..1_000_000_000_000i64, 1..1_000_000_000_000i64).prop_map(ordered);
    let typed = prop_oneof![
        pair().prop_map(|(a, b)| format!("uniform:{a}..{b}")),
        time().prop_map(|mean| format!("exp:{mean}")),
        (time(), time()).prop_map(|(mean, deviation)| format!("normal:{mean},{deviation}")),
        pair().prop_map(|(p50, p99)| format!("lognormal:p50={p50},p99={p99}")),
        (time(), 0.01..9.0f64).prop_map(|(least, alpha)| format!("pareto:{least},{alpha}")),
        (pair(), 0.01..99.9f64).prop_map(|((a, b), q)| format!("table:0={a},{q}={b},100={b}")),
    ];
    typed.prop_map(|typed| format!("{typed},max=9999years"))
}

/// Any straightened value of a type.
fn values(of: ParamType) -> BoxedStrategy<Value> {
    let text = |text: String| Value::Text(text);
    match of {
        ParamType::Time | ParamType::Count => (0..=i64::MAX).prop_map(Value::Whole).boxed(),
        // Of some only powers of two are taken.
        ParamType::Size => (0..63u32).prop_map(|n| Value::Whole(1 << n)).boxed(),
        ParamType::Positive => (1..=i64::MAX).prop_map(Value::Whole).boxed(),
        ParamType::Share => (0.0..=1.0f64).prop_map(Value::Share).boxed(),
        ParamType::Flag => any::<bool>().prop_map(Value::Flag).boxed(),
        ParamType::Errnos => {
            let named =
                prop::collection::vec((1..=511i32).prop_filter("", |n| *n != libc::ENOSYS), 1..4);
            let texts = |ns: Vec<i32>| ns.iter().map(i32::to_string).collect();
            named.prop_map(move |ns| of.straighten(&Value::Texts(texts(ns))).unwrap()).boxed()
        }
        ParamType::Choice(words) => {
            prop::sample::select(words).prop_map(move |w| text(w.into())).boxed()
        }
        ParamType::Choices(words) => prop::sample::subsequence(words, 1..=words.len())
            .prop_map(|words| Value::Texts(words.iter().map(|w| (*w).to_owned()).collect()))
            .boxed(),
        ParamType::Numbers => prop::collection::vec(any::<u32>(), 1..4)
            .prop_map(|ids| Value::Texts(ids.iter().map(u32::to_string).collect()))
            .boxed(),
        ParamType::Methods => prop::sample::subsequence(MethodSet::ALL.names(), 1..4)
            .prop_map(|names| Value::Texts(names.into_iter().map(str::to_owned).collect()))
            .boxed(),
        ParamType::Range => (0u64..1 << 40, 1u64..1 << 40)
            .prop_map(move |(a, n)| of.read(&format!("{a}..{}", a + n)).unwrap())
            .boxed(),
        ParamType::Distribution => prop_oneof![
            (1..=i64::MAX).prop_map(Value::Whole),
            lengths().prop_map(move |typed| of.read(&typed).unwrap()),
        ]
        .boxed(),
        ParamType::Ramp => (0u32..10, 1u32..1_000, 1..=i64::MAX)
            .prop_map(move |(from, grown, over)| {
                let over = ParamType::Time.write(&Value::Whole(over));
                of.read(&format!("x{from}..x{}/{over}", f64::from(from + grown) / 2.0 + 5.0))
                    .unwrap()
            })
            .boxed(),
        // A form is that of one of its kind's examples.
        ParamType::Form(form) => {
            Just(text(form.split('|').next_back().unwrap().to_owned())).boxed()
        }
    }
}

/// Any values of a kind: each required one, and some of the others.
fn settings(kind: &'static dyn Kind) -> BoxedStrategy<Args> {
    let mut all = Just(Args::new()).boxed();
    for param in kind.params() {
        let value = match param.required {
            true => values(param.of).prop_map(Some).boxed(),
            false => prop::option::of(values(param.of)).boxed(),
        };
        let add = |(args, value): (Args, Option<Value>)| match value {
            Some(value) => args.with(param.name, value),
            None => args,
        };
        all = (all, value).prop_map(add).boxed();
    }
    // Of some kinds not all values go together.
    all.prop_filter("values that are refused", move |args| kind.make(args).is_ok()).boxed()
}

/// Any phases.
fn phases() -> impl Strategy<Value = Args> {
    let time = || (1..=i64::MAX).prop_map(Value::Whole);
    (time(), time(), any::<bool>()).prop_map(|(on, off, random)| {
        let phases = Args::new().with("on_for", on).with("off_for", off);
        if random { phases.with("random", Value::Flag(true)) } else { phases }
    })
}

/// Any fault of any kind, straightened: whatever options it takes, on all methods it makes sense on.
pub(crate) fn faults() -> BoxedStrategy<FaultWords> {
    // These need others beside them, another kind, or methods with bytes or flags.
    const COMPANY: [&str; 8] =
        ["stable", "on_for", "off_for", "random", "ramp", "range", "size", "flags"];
    let alone = |option: &FaultOption| !COMPANY.contains(&option.param.name);
    let options = OPTIONS.iter().enumerate().filter(|(_, option)| alone(option));
    let options: Vec<usize> = options.map(|(place, _)| place).collect();
    let one = |place: usize| {
        let option = &OPTIONS[place];
        let value = values(option.param.of).prop_filter("a default", move |value| {
            ![Value::Share(1.0), Value::Whole(0)].contains(value)
        });
        value.prop_map(move |value| (option.param.name.to_owned(), value))
    };
    let some = prop::sample::subsequence(options, 0..4);
    let some = some.prop_flat_map(move |some| some.into_iter().map(one).collect::<Vec<_>>());
    let some = (some, prop::option::of(phases()), prop::option::of(values(ParamType::Ramp)));
    let made = (0..KINDS.len()).prop_flat_map(|place| (Just(place), settings(KINDS[place])));
    type Options = (Vec<(String, Value)>, Option<Args>, Option<Value>);
    let fault = |((place, params), (options, phases, ramp)): ((usize, Args), Options)| {
        let kind = KINDS[place];
        let mut options: Args =
            if kind.class().is_fault() { options.into_iter().collect() } else { Args::new() };
        let phases = phases.filter(|_| kind.class() != Class::Latch);
        for (name, value) in &phases.unwrap_or_default() {
            options.insert(name, value.clone());
        }
        if let Some(ramp) = ramp.filter(|_| kind.can_grow()) {
            options.insert("ramp", ramp);
        }
        let effect = EffectWords { kind: kind.name().to_owned(), params };
        let reach = make(kind.name(), &effect.params).unwrap().reach();
        let methods = if reach == MethodSet::ALL { vec!["all"] } else { reach.names() };
        FaultWords {
            methods: methods.into_iter().map(str::to_owned).collect(),
            pattern: "(^|.*/)it's/.*".to_owned(),
            options,
            effects: vec![effect],
            name: Some("one".to_owned()),
        }
    };
    let straight = |words: FaultWords| {
        let fault = words.fault().unwrap();
        FaultWords::whole(&fault)
    };
    (made, some).prop_map(fault).prop_map(straight).boxed()
}

proptest! {
    #[test]
    fn values_are_told_as_they_were_given(
        (place, args) in (0..KINDS.len()).prop_flat_map(|n| (Just(n), settings(KINDS[n]))),
    ) {
        let kind = KINDS[place];
        let made = make(kind.name(), &args).unwrap();
        // A value that is the default anyway may be left out.
        let told = made.args();
        prop_assert!(told.iter().all(|(name, value)| args.get(name) == Some(value)));
        prop_assert!(kind.params().iter().all(|p| !p.required || told.get(p.name).is_some()));
        prop_assert_eq!(make(kind.name(), &told).unwrap().args(), told);
    }

    /// As data and as typed, for every kind.
    #[test]
    fn what_is_made_tells_the_same(words in faults()) {
        let fault = words.fault().unwrap();
        let told = FaultWords::whole(&fault);
        prop_assert_eq!(&told, &words);
        let (read, add) = line(&told.line()).unwrap();
        prop_assert!(!add);
        let again = read.fault().unwrap();
        prop_assert_eq!(FaultWords::whole(&again), told);
    }
}

#[test]
fn what_is_unknown_or_missing_is_refused_by_name() {
    let why = |name: &str, args: Args| make(name, &args).err().unwrap().to_string();
    assert_eq!(why("dealy", Args::new()), "no kind of fault is called dealy; did you mean delay?");
    let typed = |name: &str| Args::new().with(name, Value::Text("1s".into()));
    assert_eq!(why("delay", typed("tiem")), "delay has no tiem; did you mean time?");
    assert!(why("delay", Args::new()).starts_with("delay needs time: "));
    assert!(why("delay", Args::new().with("time", Value::Flag(true))).starts_with("delay: time: "));
}

//! What holds for every row of the table.

use proptest::prelude::*;

use super::*;
use crate::fault::words::{FaultWords, ParamType, Value, line};
use crate::ops::Call;

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

#[test]
fn every_kind_acts_on_a_request() {
    let reached = |kind: &dyn Kind| Call::all().any(|r| r.methods().intersects(kind.reach()));
    assert!(KINDS.iter().all(|kind| reached(*kind)));
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

/// Any straightened value of a type.
fn values(of: ParamType) -> BoxedStrategy<Value> {
    let text = |text: String| Value::Text(text);
    match of {
        ParamType::Time | ParamType::Size | ParamType::Count => {
            (0..=i64::MAX).prop_map(Value::Whole).boxed()
        }
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
        ParamType::Range => (0u64..1 << 40, 1u64..1 << 40)
            .prop_map(move |(a, n)| of.read(&format!("{a}..{}", a + n)).unwrap())
            .boxed(),
        ParamType::Distribution => (1..=i64::MAX).prop_map(Value::Whole).boxed(),
        ParamType::Form(form) => Just(text(form.to_owned())).boxed(),
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
    all
}

proptest! {
    /// Values are told as they were given, as data and as typed, for every kind.
    #[test]
    fn what_is_made_tells_the_same(
        (place, args) in (0..KINDS.len()).prop_flat_map(|n| (Just(n), settings(KINDS[n]))),
        after in 0i64..9,
        uids in prop::option::of(values(ParamType::Numbers)),
    ) {
        let kind = KINDS[place];
        let made = make(kind.name(), &args).unwrap();
        // A value that is the default anyway may be left out.
        let told = made.args();
        prop_assert!(told.iter().all(|(name, value)| args.get(name) == Some(value)));
        prop_assert!(kind.params().iter().all(|p| !p.required || told.get(p.name).is_some()));
        prop_assert_eq!(make(kind.name(), &told).unwrap().args(), told);
        let mut options = Args::new().with("after", Value::Whole(after));
        uids.map(|uids| options.insert("uid", uids));
        let words = FaultWords {
            methods: kind.reach().names().into_iter().map(str::to_owned).collect(),
            pattern: "(^|.*/)it's/.*".to_owned(),
            effects: vec![(kind.name().to_owned(), args)],
            options: if kind.class().is_fault() { options } else { Args::new() },
            name: Some("one".to_owned()),
        };
        let fault = words.fault().unwrap();
        let told = FaultWords::of(&fault, fault.scope().methods);
        let (read, add) = line(&told.line()).unwrap();
        prop_assert!(!add);
        let again = read.fault().unwrap();
        prop_assert_eq!(FaultWords::of(&again, again.scope().methods), told);
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

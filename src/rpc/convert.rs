//! From the interfaces' words to the engine's faults and back.
//!
//! The meaning of the plain calls' arguments (contract, section 2) is decided here, and what is
//! refused is told in one line, in the interface's own terms. No locks.

use std::fmt::Display;
use std::num::NonZeroU64;
use std::time::{Duration, SystemTime};

use super::dialect::PlainFault;
use super::records::{FaultSpec, ListedFault};
use super::wire::printable;
use crate::fault::suggest::closest;
use crate::fault::words::{ErrnoError, Plain};
use crate::fault::{
    Chance, Errno, Fault, Gone, Listed, Pattern, Probability, ProbabilityScale, Term,
};
use crate::ops::{Method, MethodSet};

/// The fault that a spec asks for.
///
/// # Errors
/// One line that says what is wrong with it and what would be right.
pub(crate) fn fault(spec: &FaultSpec) -> Result<Fault, String> {
    let delay = spec.delay_ns.filter(|ns| *ns != 0);
    let delay = delay.map(|ns| natural("delay_ns", ns)).transpose()?.map(Duration::from_nanos);
    let errnos = errnos(spec)?;
    let plain =
        Plain { delay, hang: spec.hang, errnos, random: spec.random_errno, kill: spec.kill_caller };
    match plain {
        Plain { hang: true, delay: Some(_), .. } => {
            return Err("hang and a delay exclude each other".into());
        }
        ref nothing if *nothing == Plain::default() => {
            let choice = "a delay above 0, hang, errnos, random_errno or kill_caller";
            return Err(format!("the fault does nothing: give it {choice}"));
        }
        _ => {}
    }
    let count = spec.count.map(|count| natural("count", count)).transpose()?;
    let count = count.map(|n| NonZeroU64::new(n).ok_or("count is 0: the fault would never fire"));
    let chance = Chance {
        probability: Probability::from_fraction(spec.probability).map_err(text)?,
        after: natural("after", spec.after)?,
        count: count.transpose()?,
        ..Chance::default()
    };
    let lasts = spec.lifetime_ns.map(|ns| natural("lifetime_ns", ns)).transpose()?;
    let term = Term { lasts: lasts.map(Duration::from_nanos), ..Term::default() };
    let fault = Fault::on(methods(&spec.methods)?)
        .map_err(text)?
        .with_pattern(Pattern::new(&spec.pattern).map_err(text)?);
    let fault = plain.done_by(fault).and_then(|fault| fault.with_chance(chance));
    fault.and_then(|fault| fault.with_term(term)).map_err(text)
}

/// The error of that name or number.
///
/// # Errors
/// One line that says why there is none.
pub(crate) fn errno(word: &str) -> Result<Errno, String> {
    Errno::from_word(word).map_err(text)
}

fn errnos(spec: &FaultSpec) -> Result<Vec<Errno>, String> {
    match (spec.random_errno, spec.errnos.is_empty()) {
        (true, false) => Err("named errnos and a random one exclude each other".into()),
        _ => spec.errnos.iter().map(|e| errno(e)).collect(),
    }
}

fn natural(name: &str, n: i64) -> Result<u64, String> {
    u64::try_from(n).map_err(|_| format!("{name} is {n}: it must not be negative"))
}

/// The engine's own words, on one line whatever they quote.
fn text(error: impl Display) -> String {
    error.to_string().replace(['\n', '\r'], " ")
}

/// The methods of those names; `all` is every one.
///
/// # Errors
/// An unknown name, with the nearest known one.
pub(super) fn methods(names: &[String]) -> Result<MethodSet, String> {
    let mut set = MethodSet::EMPTY;
    for name in names {
        set = match Method::from_name(name) {
            Some(method) => set.union(method.into()),
            None if name == "all" => MethodSet::ALL,
            None => {
                let hint = match closest(name, Method::all().map(Method::name)) {
                    Some(near) => format!("did you mean {near}?"),
                    None => "list_methods tells those there are".to_owned(),
                };
                return Err(format!("no method {}; {hint}", printable(name)));
            }
        };
    }
    if set.is_empty() { Err("no method is named".into()) } else { Ok(set) }
}

/// The fault that a plain call sets, none if no method is left to set it on, and what the caller
/// ought to know about how it was read.
///
/// # Errors
/// One line about the argument that cannot be.
pub(super) fn plain_fault(
    methods: MethodSet,
    args: &PlainFault,
    scale: ProbabilityScale,
) -> Result<(Option<Fault>, Vec<String>), String> {
    let mut notes = Vec::new();
    let pattern = Pattern::new(&args.regexp).map_err(text)?;
    let errnos = args.err_nos.iter().map(|n| err_no(*n)).collect::<Result<Vec<_>, _>>()?;
    let delay_us = u64::try_from(args.delay_us)
        .map_err(|_| format!("delay_us is {}: it must not be negative", args.delay_us))?;
    let only_delays = delay_us > 0 && args.err_nos.is_empty() && !args.random && !args.kill_caller;
    let value = args.probability.clamp(i32::MIN.into(), i32::MAX.into());
    let value = i32::try_from(value).unwrap_or(i32::MAX);
    let probability = Probability::from_contract(value, scale, only_delays);
    if probability != Probability::from_contract(value, ProbabilityScale::PerHundredThousand, false)
    {
        notes.push(format!("probability {value} is read per mille (see --probability-scale)"));
    }
    let mut delay = Duration::from_micros(delay_us);
    if args.auto_delay {
        notes.push(
            "auto_delay is not implemented, so delay_us is ignored, as charybdefs does".into(),
        );
        delay = Duration::ZERO;
    }
    let Ok(fault) = Fault::on(methods) else { return Ok((None, notes)) };
    let (delay, random, kill) = (Some(delay), args.random, args.kill_caller);
    let plain = Plain { delay, hang: false, errnos, random, kill };
    let count = args.one_time.then_some(NonZeroU64::MIN);
    let chance = Chance { probability, count, ..Chance::default() };
    let fault = plain.done_by(fault.with_pattern(pattern)).and_then(|f| f.with_chance(chance));
    Ok((Some(fault.map_err(text)?), notes))
}

fn err_no(n: i64) -> Result<Errno, String> {
    let range =
        || format!("err_no is {n}: it must be 0 (none) or a Linux errno up to {}", Errno::MAX);
    let number = i32::try_from(n).map_err(|_| range())?;
    Errno::new(number).map_err(|e| match e {
        ErrnoError::Range(_) => range(),
        other => format!("err_no is {n}: {}", text(other)),
    })
}

/// A fault as the interface describes it, with those of its methods that are left.
pub(super) fn spec(fault: &Fault, methods: MethodSet) -> FaultSpec {
    let all = methods == MethodSet::ALL;
    let methods = if all { vec!["all"] } else { methods.names() };
    let Plain { delay, hang, errnos, random, kill } = Plain::of(fault);
    let (scope, chance) = (fault.scope(), fault.chance());
    FaultSpec {
        methods: methods.into_iter().map(str::to_owned).collect(),
        pattern: scope.pattern.as_str().to_owned(),
        probability: chance.probability.as_fraction(),
        delay_ns: delay.map(|delay| whole(delay.as_nanos())),
        hang,
        errnos: errnos.into_iter().map(name).collect(),
        random_errno: random,
        kill_caller: kill,
        count: chance.count.map(|n| whole(n.get().into())),
        after: whole(chance.after.into()),
        lifetime_ns: fault.term().lasts.map(|l| whole(l.as_nanos())),
    }
}

fn name(errno: Errno) -> String {
    errno.name().map_or_else(|| errno.raw().to_string(), str::to_owned)
}

fn whole(n: u128) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A fault in force, as the interface describes it.
pub(super) fn listed(listed: &Listed) -> ListedFault {
    ListedFault {
        id: whole(listed.id.0.into()),
        fault: spec(&listed.fault, listed.methods),
        matched: whole(listed.matched.into()),
        fired: whole(listed.fired.into()),
        held: whole(listed.held.into()),
        past_cache: whole(listed.past_cache.into()),
        expires_in_ns: listed.expires_in.map(|left| whole(left.as_nanos())),
        let_go: whole(listed.let_go.into()),
        skipped: whole(listed.skipped.into()),
        ..ListedFault::default()
    }
}

/// A fault that has gone, as the interface describes it.
pub(super) fn gone(gone: &Gone) -> ListedFault {
    let at = gone.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    ListedFault {
        ended_unix_ns: Some(whole(at.as_nanos())),
        why: Some(gone.why.to_string()),
        ..listed(&gone.fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_write() -> FaultSpec {
        FaultSpec { methods: vec!["write".into()], delay_ns: Some(1), ..FaultSpec::default() }
    }

    fn refusal(spec: FaultSpec) -> String {
        let reason = fault(&spec).unwrap_err();
        assert!(!reason.contains('\n'), "{reason}");
        reason
    }

    #[test]
    fn what_is_set_is_what_is_listed() {
        let asked = FaultSpec {
            methods: vec!["fsync".into(), "write".into()],
            pattern: "(^|.*/)wal/.*".into(),
            probability: 0.25,
            delay_ns: Some(5_000),
            errnos: vec!["EIO".into(), "28".into(), "200".into()],
            kill_caller: true,
            count: Some(4),
            after: 3,
            lifetime_ns: Some(9),
            ..FaultSpec::default()
        };
        let set = fault(&asked).unwrap();
        let errnos = ["EIO", "ENOSPC", "200"].map(str::to_owned).to_vec();
        assert_eq!(spec(&set, set.methods()), FaultSpec { errnos, ..asked });
        let everything =
            FaultSpec { methods: vec!["all".into()], hang: true, ..Default::default() };
        let set = fault(&everything).unwrap();
        assert_eq!(spec(&set, set.methods()), everything);
    }

    #[test]
    fn own_calls_refuse_what_cannot_be() {
        let of = |change: fn(&mut FaultSpec)| {
            let mut spec = on_write();
            change(&mut spec);
            refusal(spec)
        };
        assert!(of(|s| s.methods = vec!["wirte".into()]).contains("did you mean write?"));
        assert!(of(|s| s.methods = vec!["a\nb".into()]).contains("no method a\\nb"));
        assert!(of(|s| s.methods = vec![]).contains("no method is named"));
        assert!(of(|s| s.probability = f64::NAN).contains("probability"));
        assert!(of(|s| s.probability = 1.5).contains("1.5"));
        assert!(of(|s| s.delay_ns = Some(-1)).contains("delay_ns is -1"));
        assert!(of(|s| s.hang = true).contains("exclude"));
        assert!(of(|s| s.count = Some(0)).contains("count is 0"));
        assert!(of(|s| s.count = Some(-1)).contains("count is -1"));
        assert!(of(|s| s.after = -1).contains("after is -1"));
        assert!(of(|s| s.lifetime_ns = Some(0)).contains("lifetime"));
        assert!(of(|s| s.delay_ns = Some(0)).contains("does nothing"));
        assert!(of(|s| s.delay_ns = None).contains("does nothing"));
        assert!(of(|s| s.errnos = vec!["ENOSYS".into()]).contains("EOPNOTSUPP"));
        assert!(of(|s| s.errnos = vec!["EIOO".into()]).contains("did you mean EIO?"));
        assert!(of(|s| s.errnos = vec!["512".into()]).contains("512"));
        assert!(of(|s| s.pattern = "(a\n".into()).contains("pattern"));
    }

    fn plain(args: PlainFault) -> Result<(FaultSpec, Vec<String>), String> {
        let methods = MethodSet::ALL;
        plain_fault(methods, &args, ProbabilityScale::Auto)
            .map(|(fault, notes)| (spec(&fault.unwrap(), methods), notes))
    }

    #[test]
    fn probability_of_a_pure_delay_is_read_per_mille() {
        let delay = PlainFault { delay_us: 300_000, probability: 1000, ..PlainFault::default() };
        let (read, notes) = plain(delay.clone()).unwrap();
        assert_eq!((read.probability, read.delay_ns), (1.0, Some(300_000_000)));
        assert!(notes[0].contains("per mille"), "{notes:?}");
        for other in [
            PlainFault { err_nos: vec![5], ..delay.clone() },
            PlainFault { random: true, ..delay.clone() },
            PlainFault { kill_caller: true, ..delay.clone() },
            PlainFault { delay_us: 0, ..delay.clone() },
        ] {
            let (read, notes) = plain(other).unwrap();
            assert_eq!((read.probability, notes.len()), (0.01, 0));
        }
        for (probability, expected) in [(0, 1.0), (-1, 0.0), (1001, 0.01001), (i64::MAX, 1.0)] {
            let (read, _) = plain(PlainFault { probability, ..delay.clone() }).unwrap();
            assert_eq!(read.probability, expected, "{probability}");
        }
    }

    #[test]
    fn a_fixed_errno_beats_random() {
        let both = PlainFault { random: true, err_nos: vec![28], ..PlainFault::default() };
        let (read, _) = plain(both).unwrap();
        assert_eq!((read.errnos, read.random_errno), (vec!["ENOSPC".to_owned()], false));
        let (read, _) = plain(PlainFault { random: true, ..PlainFault::default() }).unwrap();
        assert!(read.random_errno);
    }

    #[test]
    fn auto_delay_ignores_the_delay_and_says_so() {
        let auto = PlainFault { auto_delay: true, delay_us: 7, ..PlainFault::default() };
        let (read, notes) = plain(auto).unwrap();
        assert_eq!(read.delay_ns, None);
        assert!(notes.iter().any(|n| n.contains("auto_delay")), "{notes:?}");
    }

    #[test]
    fn one_time_is_a_count_of_one() {
        let once = PlainFault { one_time: true, err_nos: vec![5], ..PlainFault::default() };
        assert_eq!(plain(once).unwrap().0.count, Some(1));
    }

    #[test]
    fn plain_calls_refuse_what_would_crash_or_hang_the_original() {
        let refusal = |args| plain(args).unwrap_err();
        let err_no = |n| PlainFault { err_nos: vec![n], ..PlainFault::default() };
        for n in [-5, 512, 4096, i64::MAX] {
            assert!(refusal(err_no(n)).contains(&format!("err_no is {n}")), "{n}");
        }
        assert!(plain(err_no(511)).is_ok());
        assert!(refusal(err_no(38)).contains("EOPNOTSUPP"));
        let negative = PlainFault { delay_us: -1, ..PlainFault::default() };
        assert!(refusal(negative).contains("delay_us is -1"));
        let pattern = PlainFault { regexp: "(a".into(), ..PlainFault::default() };
        assert!(refusal(pattern).contains("(a"));
    }

    #[test]
    fn bad_arguments_are_refused_even_if_no_method_is_left() {
        let wrong = PlainFault { delay_us: -1, ..PlainFault::default() };
        assert!(plain_fault(MethodSet::EMPTY, &wrong, ProbabilityScale::Auto).is_err());
        let right = PlainFault::default();
        let read = plain_fault(MethodSet::EMPTY, &right, ProbabilityScale::Auto).unwrap();
        assert!(read.0.is_none());
    }
}

//! Setting a fault on an original charybdefs server, as far as its calls can say it.
//!
//! Invariant: a fault is set as asked or refused with what cannot be said; never something near
//! it. The original reads a probability out of 100,000, 0 meaning always.

use crate::rpc::{self, Client, FaultSpec, PlainFault};

/// Sets it; returns warnings.
pub(super) fn put(client: &mut Client, spec: &FaultSpec, add: bool) -> Result<Vec<String>, String> {
    let plain = plain_fault(spec, add)?;
    let known = client.get_methods().map_err(|e| e.to_string())?;
    if spec.methods.iter().any(|m| m == "all") {
        client.set_fault(None, &plain).map_err(|e| e.to_string())?;
        return Ok(Vec::new());
    }
    let (known, unknown): (Vec<_>, Vec<_>) =
        spec.methods.iter().cloned().partition(|m| known.contains(m));
    if known.is_empty() {
        return Err(format!("that charybdefs knows no method {}", unknown.join(", ")));
    }
    client.set_fault(Some(&known), &plain).map_err(|e| e.to_string())?;
    let ignored = |m: &String| format!("that charybdefs does not know {m}: ignored");
    Ok(unknown.iter().map(ignored).collect())
}

fn plain_fault(spec: &FaultSpec, add: bool) -> Result<PlainFault, String> {
    let cannot = [
        (spec.hang, "hang"),
        (spec.count.is_some(), "--count"),
        (spec.after > 0, "--after"),
        (spec.lifetime_ns.is_some(), "--for"),
        (spec.errnos.len() > 1, "a choice of errors"),
        (add, "--add"),
    ];
    let cannot: Vec<_> = cannot.iter().filter(|(asked, _)| *asked).map(|(_, what)| *what).collect();
    if !cannot.is_empty() {
        return Err(format!(
            "that server is charybdefs, not slowfs, and cannot do {}",
            cannot.join(", ")
        ));
    }
    let delay_ns = spec.delay_ns.unwrap_or_default();
    if delay_ns % 1000 != 0 || delay_ns / 1000 > i64::from(i32::MAX) {
        return Err("charybdefs's delays are whole microseconds, at most 35 minutes".into());
    }
    let err_nos = spec.errnos.iter().map(|name| rpc::errno(name).map(|e| e.raw().into()));
    Ok(PlainFault {
        random: spec.random_errno,
        err_nos: err_nos.collect::<Result<_, _>>()?,
        probability: probability(spec.probability)?,
        regexp: spec.pattern.clone(),
        kill_caller: spec.kill_caller,
        delay_us: delay_ns / 1000,
        ..PlainFault::default()
    })
}

#[allow(clippy::cast_possible_truncation, reason = "a fraction of 100,000")]
fn probability(fraction: f64) -> Result<i64, String> {
    let scaled = fraction * 100_000.0;
    match scaled.round() as i64 {
        _ if fraction <= 0.0 => Ok(-1),
        n if n >= 1 && (scaled - n as f64).abs() < 1e-6 => Ok(n),
        _ => Err("charybdefs counts probability in steps of 0.001%".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> FaultSpec {
        FaultSpec { methods: vec!["write".into()], ..FaultSpec::default() }
    }

    #[test]
    fn what_the_original_can_say_is_said_in_its_terms() {
        let spec = FaultSpec {
            delay_ns: Some(10_000_000),
            errnos: vec!["EIO".into()],
            probability: 0.01,
            pattern: ".*".into(),
            kill_caller: true,
            ..spec()
        };
        let expected = PlainFault {
            err_nos: vec![5],
            probability: 1000,
            regexp: ".*".into(),
            kill_caller: true,
            delay_us: 10_000,
            ..PlainFault::default()
        };
        assert_eq!(plain_fault(&spec, false), Ok(expected));
        let never = FaultSpec { probability: 0.0, hang: false, ..self::spec() };
        assert_eq!(plain_fault(&never, false).unwrap().probability, -1, "0 would mean always");
    }

    #[test]
    fn what_the_original_cannot_say_is_refused_by_name() {
        let refused = |spec: FaultSpec| plain_fault(&spec, false).unwrap_err();
        let several = FaultSpec { hang: true, count: Some(1), after: 1, ..spec() };
        assert!(refused(several).contains("hang, --count, --after"));
        assert!(refused(FaultSpec { lifetime_ns: Some(1), ..spec() }).contains("--for"));
        assert!(refused(FaultSpec { delay_ns: Some(500), ..spec() }).contains("microseconds"));
        assert!(refused(FaultSpec { probability: 1e-7, ..spec() }).contains("0.001%"));
        assert!(plain_fault(&spec(), true).unwrap_err().contains("--add"));
    }
}

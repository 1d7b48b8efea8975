//! The arguments of charybdefs's calls (contract, section 2): what they mean, and how near they come to
//! a fault.

use std::num::NonZeroU64;
use std::time::Duration;

use super::errno::{Errno, ErrnoError};
use super::fault::EffectWords;
use super::option::{FaultOption, OPTIONS};
use super::pattern::Pattern;
use super::plain::Plain;
use crate::fault::chance::{Chance, Probability, ProbabilityScale};
use crate::fault::error::SpecError;
use crate::fault::kinds;
use crate::fault::spec::Fault;
use crate::ops::MethodSet;

/// A fault as the plain interface describes it: numbers as sent, not yet judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainFault {
    /// A random errno, unless there is one in `err_nos`.
    pub random: bool,
    /// None, one, or the list of a fork; without zeros.
    pub err_nos: Vec<i64>,
    /// 0: always; negative: never; else parts of the server's scale.
    pub probability: i64,
    /// For the whole backing path; empty: any.
    pub regexp: String,
    /// SIGKILL to the calling process.
    pub kill_caller: bool,
    /// Microseconds before the operation.
    pub delay_us: i64,
    /// Ignore `delay_us`.
    pub auto_delay: bool,
    /// Of a fork: gone after it has fired once.
    pub one_time: bool,
}

/// What is said of auto_delay where there is no device for it.
const IGNORED: &str = "auto_delay is not implemented, so delay_us is ignored, as charybdefs does";

impl PlainFault {
    /// The faults that a plain call sets, none if no method is left to set them on, and what the caller
    /// ought to know about how it was read. `device` is what auto_delay asks for, if that has a meaning.
    ///
    /// # Errors
    /// One line about the argument that cannot be.
    pub(crate) fn faults(
        &self,
        methods: MethodSet,
        scale: ProbabilityScale,
        device: Option<&EffectWords>,
    ) -> Result<(Vec<Fault>, Vec<String>), String> {
        let (plain, mut notes) = self.fault(methods, scale)?;
        let Some(device) = device.filter(|_| self.auto_delay) else {
            return Ok((plain.into_iter().collect(), notes));
        };
        notes.retain(|note| note != IGNORED);
        if self.delay_us > 0 {
            notes.push("auto_delay is given, so delay_us is ignored".to_owned());
        }
        let Some(plain) = plain else { return Ok((Vec::new(), notes)) };
        let faults = self.beside(plain, device, &mut notes).map_err(text)?;
        Ok((faults, notes))
    }

    /// The device that auto_delay asks for, on those of the fault's methods that a disk serves, and what
    /// else the fault does.
    fn beside(
        &self,
        mut plain: Fault,
        device: &EffectWords,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Fault>, SpecError> {
        let (methods, probability) = (plain.scope().methods, plain.chance().probability);
        let effect = kinds::make(&device.kind, &device.params)?;
        let served = methods.minus(methods.minus(effect.kind().reach()));
        if probability == Probability::NEVER || served.is_empty() {
            notes.push(format!("auto_delay does nothing on {methods} so"));
            return Ok(vec![plain]);
        }
        if probability != Probability::ALWAYS {
            notes.push(
                "auto_delay's device serves all that it matches, whatever the probability".into(),
            );
        }
        let mut disk = Fault::on(served)?.with_pattern(Pattern::new(&self.regexp)?);
        disk.effects.push(effect);
        disk.automatic = true;
        if plain.effects().is_empty() {
            plain.scope.methods = methods.minus(served);
        }
        let rest = (!plain.scope.methods.is_empty()).then_some(plain);
        Ok([disk.checked()?].into_iter().chain(rest).collect())
    }

    /// The fault of a plain call by itself.
    ///
    /// # Errors
    /// One line about the argument that cannot be.
    pub(crate) fn fault(
        &self,
        methods: MethodSet,
        scale: ProbabilityScale,
    ) -> Result<(Option<Fault>, Vec<String>), String> {
        let mut notes = Vec::new();
        let pattern = Pattern::new(&self.regexp).map_err(text)?;
        let plain = self.plain(&mut notes)?;
        let probability = self.probability(scale, &mut notes);
        let Ok(fault) = Fault::on(methods) else { return Ok((None, notes)) };
        let count = self.one_time.then_some(NonZeroU64::MIN);
        let chance = Chance { probability, count, ..Chance::default() };
        let fault = plain.done_by(fault.with_pattern(pattern));
        Ok((Some(fault.and_then(|fault| fault.with_chance(chance)).map_err(text)?), notes))
    }

    fn probability(&self, scale: ProbabilityScale, notes: &mut Vec<String>) -> Probability {
        let only_delays =
            self.delay_us > 0 && self.err_nos.is_empty() && !self.random && !self.kill_caller;
        let value = self.probability.clamp(i32::MIN.into(), i32::MAX.into());
        let value = i32::try_from(value).unwrap_or(i32::MAX);
        let probability = Probability::from_contract(value, scale, only_delays);
        let usual = ProbabilityScale::PerHundredThousand;
        if probability != Probability::from_contract(value, usual, false) {
            notes.push(format!("probability {value} is read per mille (see --probability-scale)"));
        }
        probability
    }

    fn plain(&self, notes: &mut Vec<String>) -> Result<Plain, String> {
        let delay_us = u64::try_from(self.delay_us)
            .map_err(|_| format!("delay_us is {}: it must not be negative", self.delay_us))?;
        let errnos = self.err_nos.iter().map(|n| err_no(*n)).collect::<Result<Vec<_>, _>>()?;
        let mut delay = Some(Duration::from_micros(delay_us));
        if self.auto_delay {
            notes.push(IGNORED.to_owned());
            delay = None;
        }
        Ok(Plain { delay, hang: false, errnos, random: self.random, kill: self.kill_caller })
    }

    /// Whether these words tell anything of what a fault does.
    #[must_use]
    pub(crate) fn tells(fault: &Fault) -> bool {
        let is_plain = fault.effects().is_empty() || fault.is_automatic();
        is_plain || Plain::of(fault) != Plain::default()
    }

    /// A fault in these words, as near as they come to it: a hang as the longest delay, what they have
    /// no word for not at all.
    #[must_use]
    pub(crate) fn near(fault: &Fault) -> PlainFault {
        let Plain { delay, hang, errnos, random, kill } = Plain::of(fault);
        let longest = i64::from(i32::MAX);
        let delay_us = delay.map_or(0, |delay| i64::try_from(delay.as_micros()).unwrap_or(longest));
        PlainFault {
            random,
            err_nos: errnos.iter().map(|errno| errno.raw().into()).collect(),
            probability: parts(fault.chance().probability).0,
            regexp: fault.scope().pattern.as_str().to_owned(),
            kill_caller: kill,
            delay_us: if hang { longest } else { delay_us.min(longest) },
            auto_delay: fault.is_automatic(),
            one_time: fault.chance().count == Some(NonZeroU64::MIN),
        }
    }

    /// The same, if it is the very fault.
    ///
    /// # Errors
    /// One line that names what the original cannot do.
    pub(crate) fn exactly(fault: &Fault) -> Result<PlainFault, String> {
        let mut near = PlainFault::near(fault);
        // The original has room for one.
        near.err_nos.truncate(1);
        let same = near.fault(fault.scope().methods, ProbabilityScale::PerHundredThousand)?.0;
        let told = |fault: &Fault| -> Vec<EffectWords> {
            fault.effects().iter().map(|effect| EffectWords::of(effect.as_ref())).collect()
        };
        let said = same.as_ref().map(told).unwrap_or_default();
        let asked = told(fault);
        let unsaid = asked.iter().filter(|effect| !said.contains(effect));
        let mut cannot: Vec<_> = unsaid.map(EffectWords::line).collect();
        let given = |option: &&FaultOption| {
            option.param.name != "probability" && option.value(fault).is_some()
        };
        cannot.extend(OPTIONS.iter().filter(given).map(|option| format!("--{}", option.word)));
        cannot.extend(fault.name().map(|_| "--name".to_owned()));
        match parts(fault.chance().probability) {
            _ if !cannot.is_empty() => {
                let what = cannot.join(", ");
                Err(format!("that server is charybdefs, not slowfs, and cannot do {what}"))
            }
            (_, true) => Ok(near),
            (_, false) => Err("charybdefs counts probability in steps of 0.001%".into()),
        }
    }
}

/// Out of 100,000, where 0 means always and a negative number never; and whether that is exact.
#[allow(clippy::cast_possible_truncation, reason = "a fraction of 100,000")]
fn parts(probability: Probability) -> (i64, bool) {
    let scaled = probability.as_fraction() * 100_000.0;
    match scaled.round() as i64 {
        _ if scaled <= 0.0 => (-1, true),
        n => (n.max(1), (scaled - n as f64).abs() < 1e-6),
    }
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

/// The engine's own words, on one line whatever they quote.
fn text(error: impl Into<SpecError>) -> String {
    error.into().to_string().replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::super::fault::FaultWords;
    use super::super::{auto_delay, line};
    use super::*;
    use crate::ops::Call;

    fn read(plain: &PlainFault) -> Result<(FaultWords, Vec<String>), String> {
        let read = plain.fault(MethodSet::ALL, ProbabilityScale::Auto);
        read.map(|(fault, notes)| (FaultWords::of(&fault.unwrap(), MethodSet::ALL), notes))
    }

    fn told(plain: &PlainFault) -> String {
        read(plain).unwrap().0.line()
    }

    fn made(line: &str) -> Fault {
        line::parse(line).unwrap().0.fault().unwrap()
    }

    #[test]
    fn probability_of_a_pure_delay_is_read_per_mille() {
        let delay = PlainFault { delay_us: 300_000, probability: 1000, ..PlainFault::default() };
        let (words, notes) = read(&delay).unwrap();
        assert_eq!(words.line(), "delay 300ms -m all");
        assert!(notes[0].contains("per mille"), "{notes:?}");
        for (other, line) in [
            (PlainFault { err_nos: vec![5], ..delay.clone() }, "delay 300ms --and 'error EIO'"),
            (PlainFault { random: true, ..delay.clone() }, "delay 300ms --and 'error random'"),
            (PlainFault { kill_caller: true, ..delay.clone() }, "delay 300ms --and kill"),
            (PlainFault { delay_us: 0, ..delay.clone() }, "nothing"),
        ] {
            let (words, notes) = read(&other).unwrap();
            assert_eq!(words.line(), format!("{line} -m all --probability 1%"));
            assert!(notes.is_empty(), "{notes:?}");
        }
        for (probability, line) in
            [(0, ""), (-1, " --probability 0%"), (1001, " --probability 0.01001"), (i64::MAX, "")]
        {
            let plain = PlainFault { probability, ..delay.clone() };
            assert_eq!(told(&plain), format!("delay 300ms -m all{line}"));
        }
    }

    #[test]
    fn a_fixed_errno_beats_random_and_one_time_is_a_count() {
        let both = PlainFault { random: true, err_nos: vec![28], ..PlainFault::default() };
        assert_eq!(told(&both), "error ENOSPC -m all");
        let once = PlainFault { one_time: true, err_nos: vec![5, 28], ..PlainFault::default() };
        assert_eq!(told(&once), "error EIO,ENOSPC -m all --count 1");
    }

    #[test]
    fn auto_delay_ignores_the_delay_and_says_so() {
        let auto = PlainFault { auto_delay: true, delay_us: 7, ..PlainFault::default() };
        let (words, notes) = read(&auto).unwrap();
        assert!(words.effects.is_empty() && notes.iter().any(|n| n.contains("auto_delay")));
    }

    #[test]
    fn auto_delay_is_the_device_that_it_was_given() {
        let device = auto_delay("nvme");
        let read = |plain: &PlainFault, methods| {
            let scale = ProbabilityScale::Auto;
            let (faults, notes) = plain.faults(methods, scale, Some(&device)).unwrap();
            let line = |fault: &Fault| FaultWords::whole(fault).line();
            (faults.iter().map(line).collect::<Vec<_>>(), notes.join("; "))
        };
        let methods = Call::Fsyncdir.methods().union(Call::Getattr.methods());
        let auto = PlainFault { auto_delay: true, ..PlainFault::default() };
        let (lines, notes) = read(&auto, methods);
        assert_eq!(
            (lines.join("; "), notes),
            ("device nvme -m fsyncdir; nothing -m getattr".into(), String::new())
        );
        assert_eq!(read(&auto, Call::Fsyncdir.methods()).0, ["device nvme -m fsyncdir"]);
        let failing = PlainFault {
            err_nos: vec![5],
            probability: 1000,
            delay_us: 7,
            regexp: ".*/a".into(),
            ..auto.clone()
        };
        let (lines, notes) = read(&failing, Call::Fsyncdir.methods());
        let expected = [
            "device nvme -m fsyncdir -r '.*/a'",
            "error EIO -m fsyncdir -r '.*/a' --probability 1%",
        ];
        assert_eq!(lines, expected);
        assert!(
            notes.contains("delay_us is ignored") && notes.contains("whatever the probability"),
            "{notes}"
        );
        for (plain, methods) in [
            (auto.clone(), Call::Getattr.methods()),
            (PlainFault { probability: -1, ..auto.clone() }, Call::Fsyncdir.methods()),
        ] {
            let (lines, notes) = read(&plain, methods);
            assert!(lines.len() == 1 && lines[0].starts_with("nothing"), "{lines:?}");
            assert!(notes.contains("auto_delay does nothing on"), "{notes}");
        }
        assert_eq!(read(&PlainFault { auto_delay: false, ..auto }, methods).0.len(), 1);
    }

    #[test]
    fn what_would_crash_or_hang_the_original_is_refused() {
        let refusal = |plain: &PlainFault| read(plain).unwrap_err();
        let err_no = |n| PlainFault { err_nos: vec![n], ..PlainFault::default() };
        for n in [-5, 512, 4096, i64::MAX] {
            assert!(refusal(&err_no(n)).contains(&format!("err_no is {n}")), "{n}");
        }
        assert!(read(&err_no(511)).is_ok());
        assert!(refusal(&err_no(38)).contains("EOPNOTSUPP"));
        let negative = PlainFault { delay_us: -1, ..PlainFault::default() };
        assert!(refusal(&negative).contains("delay_us is -1"));
        let pattern = PlainFault { regexp: "(a".into(), ..PlainFault::default() };
        assert!(refusal(&pattern).contains("(a"));
    }

    #[test]
    fn bad_arguments_are_refused_even_if_no_method_is_left() {
        let read = |plain: PlainFault| plain.fault(MethodSet::EMPTY, ProbabilityScale::Auto);
        assert!(read(PlainFault { delay_us: -1, ..PlainFault::default() }).is_err());
        assert!(read(PlainFault::default()).unwrap().0.is_none());
    }

    #[test]
    fn what_the_original_can_say_is_said_in_its_terms() {
        let fault = made("delay 10ms --and kill --and 'error EIO' -m write -r .* -p 1%");
        let expected = PlainFault {
            err_nos: vec![5],
            probability: 1000,
            regexp: ".*".into(),
            kill_caller: true,
            delay_us: 10_000,
            ..PlainFault::default()
        };
        assert_eq!(PlainFault::exactly(&fault), Ok(expected));
        let never = PlainFault::exactly(&made("error random -m write -p 0")).unwrap();
        assert_eq!((never.probability, never.random), (-1, true), "0 would mean always");
    }

    #[test]
    fn what_the_original_cannot_say_is_refused_by_name() {
        let refusal = |line: &str| PlainFault::exactly(&made(line)).unwrap_err();
        let several = refusal("hang -m write --count 1 --after 1 --for 1s --name slow");
        assert!(several.contains("hang, --after, --count, --for, --name"), "{several}");
        assert!(refusal("error EIO,EROFS -m write").contains("error EIO,EROFS"));
        assert!(refusal("delay 500ns -m write").contains("delay 500ns"));
        assert!(refusal("delay 1h -m write").contains("delay 1h"));
        assert!(refusal("kill -m write -p 0.0000001").contains("0.001%"));
    }

    #[test]
    fn what_it_cannot_say_comes_as_near_as_it_can() {
        let hang = PlainFault::near(&made("hang -m read -p 0"));
        assert_eq!((hang.delay_us, hang.probability), (i32::MAX.into(), -1));
        let rare = PlainFault::near(&made("error EIO,EROFS -m read -p 0.000001 --count 1"));
        assert_eq!((rare.err_nos, rare.probability, rare.one_time), (vec![5, 30], 1, true));
    }
}

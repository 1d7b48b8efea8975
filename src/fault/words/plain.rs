//! The four things that a fault of the contract's plain calls can do, in its terms, and what of any
//! other fault these calls can tell.

use std::time::Duration;

use super::errno::Errno;
use super::fault::EffectWords;
use super::value::{Args, Value, whole};
use crate::fault::error::SpecError;
use crate::fault::kinds;
use crate::fault::spec::Fault;

/// What a fault does, as far as the plain calls can say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plain {
    /// Holds so long before.
    pub delay: Option<Duration>,
    /// Holds until cleared.
    pub hang: bool,
    /// Fails with one of these.
    pub errnos: Vec<Errno>,
    /// Fails with one of the contract's range.
    pub random: bool,
    /// Kills the caller.
    pub kill: bool,
}

/// What auto_delay asks for: such a device, by the name of a preset or of a file.
#[must_use]
pub(crate) fn auto_delay(device: &str) -> EffectWords {
    let params = Args::new().with("preset", Value::Text(device.to_owned()));
    EffectWords { kind: "device".to_owned(), params }
}

impl Plain {
    /// A fault that does this, too. A delay of no time is none, and random gives way to errnos.
    ///
    /// # Errors
    /// What does not go together.
    pub fn done_by(&self, mut fault: Fault) -> Result<Fault, SpecError> {
        let mut and = |kind, args| -> Result<(), SpecError> {
            fault.effects.push(kinds::make(kind, &args)?);
            Ok(())
        };
        if self.hang {
            and("hang", Args::new())?;
        }
        if let Some(delay) = self.delay.filter(|delay| !delay.is_zero()) {
            and("delay", Args::new().with("time", whole(delay.as_nanos())))?;
        }
        if self.kill {
            and("kill", Args::new())?;
        }
        let errnos = match (self.errnos.is_empty(), self.random) {
            (true, true) => vec!["random".to_owned()],
            _ => self.errnos.iter().map(Errno::to_string).collect(),
        };
        if !errnos.is_empty() {
            and("error", Args::new().with("errnos", Value::Texts(errnos)))?;
        }
        fault.checked()
    }

    /// What a fault does of these.
    #[must_use]
    pub fn of(fault: &Fault) -> Plain {
        let mut plain = Plain::default();
        for effect in fault.effects() {
            let args = effect.args();
            match effect.kind().name() {
                "hang" => plain.hang = true,
                "delay" => plain.delay = args.time("time"),
                "kill" => plain.kill = true,
                "error" => {
                    let errno = |word: &String| Errno::from_word(word).ok();
                    plain.errnos = args.texts("errnos").iter().filter_map(errno).collect();
                    plain.random = plain.errnos.is_empty();
                }
                _ => {}
            }
        }
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::MethodSet;

    #[test]
    fn what_is_done_is_told() {
        let on = || Fault::on(MethodSet::ALL).unwrap();
        let eio = vec![Errno::new(5).unwrap(), Errno::new(200).unwrap()];
        let delay = Some(Duration::from_millis(3));
        for plain in [
            Plain::default(),
            Plain { delay, errnos: eio, kill: true, ..Plain::default() },
            Plain { hang: true, random: true, ..Plain::default() },
        ] {
            assert_eq!(Plain::of(&plain.done_by(on()).unwrap()), plain);
        }
        let nothing = Plain { delay: Some(Duration::ZERO), ..Plain::default() };
        assert_eq!(Plain::of(&nothing.done_by(on()).unwrap()), Plain::default());
    }
}

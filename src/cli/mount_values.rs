//! The values of the options of `slowfs mount`, read from what was typed. No locks.

use std::str::FromStr;
use std::sync::Arc;

use super::measured;
use super::values::read_file;
use crate::fault::kinds;
use crate::fault::words::{self, EffectWords, FaultWords, PatternError};
use crate::fault::{Pattern, ProbabilityScale, SpecError};
use crate::log::Format;

#[derive(Clone, Copy, Debug)]
pub(super) struct Scale(pub(super) ProbabilityScale);

impl FromStr for Scale {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Scale(ProbabilityScale::Auto)),
            "100000" => Ok(Scale(ProbabilityScale::PerHundredThousand)),
            "1000" => Ok(Scale(ProbabilityScale::PerMille)),
            _ => Err("one of auto, 100000, 1000"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct LogFormat(pub(super) Format);

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(LogFormat(Format::Text)),
            "json" => Ok(LogFormat(Format::Json)),
            _ => Err("one of text, json"),
        }
    }
}

/// A fault as typed after `slowfs`, which can be.
pub(super) fn fault(line: &str) -> Result<(FaultWords, bool), String> {
    let (words, add) = words::line(line).map_err(|why| words::refused(&why, &[]))?;
    let words = words.with_files(&read_file).map_err(|why| words::refused(&why, &[]))?;
    let words = measured::tabled(words)?;
    words.fault().map(|_| ()).map_err(|why| words::refused(&why, &[]))?;
    Ok((words, add))
}

/// A device as `slowfs device` takes it, which can be.
pub(super) fn auto_delay(device: &str) -> Result<EffectWords, SpecError> {
    let device = words::auto_delay(device).with_file(&read_file)?;
    kinds::make(&device.kind, &device.params).map(|_| device)
}

pub(super) fn except(pattern: &str) -> Result<Arc<Pattern>, PatternError> {
    Pattern::new(pattern).map(Arc::new)
}

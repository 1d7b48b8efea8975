//! `corrupt`: bytes are others than were written, or than are stored.

use super::{Class, Effect, Kind, ReadPoint, hidden};
use crate::fault::chance::Draw;
use crate::fault::error::SpecError;
use crate::fault::operation::Operation;
use crate::fault::plan::{Plan, Reply, Run};
use crate::fault::spoil::{SECTOR, Spoil, Spoiling, Spots, without};
use crate::fault::words::{self, Args, Param, ParamType, Value, ValueError};
use crate::ops::{Call, MethodSet};

pub(super) struct Corrupt;

const HOW: &str = "how";
const UNIT: &str = "unit";
const SPOTS: &str = "spots";
const LENGTH: &str = "length";

const STALE: &str = "stale";

const PARAMS: &[Param] = &[
    Param {
        name: HOW,
        of: ParamType::Form("flip[:BITS]|zero|random|stale"),
        first: true,
        required: true,
        about: "a bit of each spot is flipped, or so many; or its bytes are zeros, random, or what was there \
                before",
    },
    Param::optional(UNIT, ParamType::Size, "how large a unit is, a power of two [default: 512]"),
    Param::optional(
        SPOTS,
        ParamType::Positive,
        "how many spots of a request are spoilt [default: 1]",
    ),
    Param::optional(LENGTH, ParamType::Positive, "how many units a spot has [default: 1]"),
    hidden::HIDDEN,
];

impl Kind for Corrupt {
    fn name(&self) -> &'static str {
        "corrupt"
    }

    fn about(&self) -> &'static str {
        "Spoil bytes that matching operations write or read"
    }

    fn details(&self) -> &'static str {
        "On writes other bytes are stored than were written, and success is told; a copy is a write of its \
         target. On reads other bytes are answered than are stored, and nothing else changes: of read(2) \
         past the page cache only, as what fills the cache would go on to whoever reads there next; such \
         reads count as skipped. Files that are opened while it stands are read past the cache; those that \
         were open before are out of its reach until they are opened again, as `slowfs list` tells. The spots \
         are drawn among the units of the request, which lie as in the file; `--range` says which requests are \
         hit, and does not bound the spots. One write(2) may arrive as several writes: an unaligned one to a \
         page that is not cached comes as two, of which `--count 1` hits one. `stale` leaves what was there \
         before, and is for writes only. The time of modification is moved on, so that the next read(2) finds \
         what is stored; with `--hidden` it stays as before the write, and what the kernel has cached shows \
         the write until it is dropped.\n\
         \n    slowfs corrupt flip -m write -r '.*/data/.*' --count 1\
         \n    slowfs corrupt random --spots 3 --length 8 -m read -p 1%\
         \n    slowfs corrupt stale --unit 4KiB -m write --after 100 --count 1"
    }

    fn params(&self) -> &'static [Param] {
        PARAMS
    }

    fn class(&self) -> Class {
        Class::Data
    }

    fn reach(&self) -> MethodSet {
        Call::Read.methods().union(Call::CopyTo.methods())
    }

    fn read_point(&self) -> ReadPoint {
        ReadPoint::Request
    }

    fn make(&self, args: &Args) -> Result<Box<dyn Effect>, SpecError> {
        let refuse = |param: &str, why| SpecError::Value {
            of: self.name().to_owned(),
            param: param.to_owned(),
            why,
        };
        let how = How::read(args.text(HOW).unwrap_or_default()).map_err(|why| refuse(HOW, why))?;
        let unit = args.whole(UNIT).unwrap_or(SECTOR);
        if !unit.is_power_of_two() {
            return Err(refuse(UNIT, format!("{unit} is no power of two").into()));
        }
        let figure = |name| args.whole(name).unwrap_or(1);
        let spots = Spots { unit, spots: figure(SPOTS), length: figure(LENGTH) };
        Ok(Box::new(Corrupting { how, spots, hidden: hidden::read(args) }))
    }
}

/// What becomes of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Spoilt(Spoiling),
    Stale,
}

impl How {
    fn read(text: &str) -> Result<How, ValueError> {
        let how = match text {
            STALE => Some(How::Stale),
            text => Spoiling::read(text).map(How::Spoilt),
        };
        how.ok_or_else(|| "write flip, flip:BITS, zero, random or stale".into())
    }

    fn write(self) -> String {
        match self {
            How::Stale => STALE.to_owned(),
            How::Spoilt(how) => how.write(),
        }
    }
}

#[derive(Debug)]
struct Corrupting {
    how: How,
    spots: Spots,
    hidden: bool,
}

impl Effect for Corrupting {
    fn kind(&self) -> &'static dyn Kind {
        &Corrupt
    }

    fn args(&self) -> Args {
        let mut args = Args::new().with(HOW, Value::Text(self.how.write()));
        let Spots { unit, spots, length } = self.spots;
        for (name, value, default) in [(UNIT, unit, SECTOR), (SPOTS, spots, 1), (LENGTH, length, 1)]
        {
            if value != default {
                args = args.with(name, words::whole(value));
            }
        }
        hidden::told(args, self.hidden)
    }

    /// Nobody knows what was read there before.
    fn reach(&self) -> MethodSet {
        match self.how {
            How::Stale => Call::CopyTo.methods(),
            How::Spoilt(_) => Corrupt.reach(),
        }
    }

    fn applies(&self, op: &Operation<'_>) -> bool {
        !op.is_paged && op.span.is_some_and(|span| span.len > 0)
    }

    fn skips(&self) -> &'static str {
        "that fill the kernel's page cache"
    }

    fn plan(&self, op: &Operation<'_>, draw: &Draw, plan: &mut Plan) {
        let Some(span) = op.span else { return };
        let change = plan.changed();
        change.hidden = self.hidden;
        match self.how {
            How::Spoilt(how) => {
                change.spoil = Some(Spoil { spots: self.spots, how, draw: *draw });
            }
            How::Stale => {
                change.run = Run::Part(without(span.len, &self.spots.of(span, *draw)));
                if plan.reply == Reply::Own {
                    plan.reply = Reply::Whole;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_is_told_as_it_was_typed() {
        for text in ["flip", "flip:7", "zero", "random", "stale"] {
            assert_eq!(How::read(text).unwrap().write(), text);
        }
        for text in ["", "flips", "flip:", "flip:0", "flip:-1", "zero:1", "stale:2", "x"] {
            assert!(How::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_was_there_before_a_read_is_not_known() {
        let stale = Corrupt.make(&Args::new().with(HOW, Value::Text("stale".into()))).unwrap();
        assert!(!stale.reach().intersects(Call::Read.methods().minus(Call::CopyTo.methods())));
        assert!(stale.reach().intersects(Call::Write.methods()));
    }
}

//! `torn-write`: only part of a write reaches the backing.

use std::ops::Range;

use super::{Class, Effect, Kind, ReadPoint, hidden};
use crate::fault::chance::{Draw, Purpose};
use crate::fault::error::SpecError;
use crate::fault::operation::{Operation, Span};
use crate::fault::plan::{Plan, Reply, Run};
use crate::fault::spoil::SECTOR;
use crate::fault::words::{self, Args, Param, ParamType, Value, ValueError};
use crate::ops::{Call, MethodSet};

pub(super) struct TornWrite;

const PART: &str = "part";
const UNIT: &str = "unit";

const PARAMS: &[Param] = &[
    Param {
        name: PART,
        of: ParamType::Form("prefix:SIZE|units:N,N|random"),
        first: true,
        required: true,
        about: "what is written: the first bytes, certain units, or random units",
    },
    Param::optional(
        UNIT,
        ParamType::Size,
        "size of a unit, which is written as a whole or not at all: a power of two [default: 512; for a prefix 1]",
    ),
    hidden::HIDDEN,
];

impl Kind for TornWrite {
    fn name(&self) -> &'static str {
        "torn-write"
    }

    fn about(&self) -> &'static str {
        "Write only a part of matching writes"
    }

    fn details(&self) -> &'static str {
        "Only a part of a write reaches the backing, but the write succeeds as if all of it had. \
         With `--and 'error EIO'` it fails. With `--and kill` its caller is killed in the middle \
         of it.\n\
         \n\
         `prefix:SIZE` keeps the first bytes; with `--unit` it keeps the first units that have so \
         many bytes. `units:N,N` keeps the units of these numbers, counted from 0. `random` keeps \
         any units, but never all. Units are aligned in the file; the first one is that of the \
         first written byte. What is not kept stays as it was. If the file grew and the write \
         succeeds, it is zeros.\n\
         \n\
         A write that would be kept as a whole is skipped. One write(2) may arrive as several \
         writes: an unaligned write to a page that is not cached arrives as two, and `--count 1` \
         tears one of them. `--range` selects requests; it does not say where they are torn.\n\
         \n\
         The modification time changes, so the next read(2) finds what is stored. With `--hidden` \
         it does not change.\n\
         \n    slowfs torn-write prefix:4KiB -m write -r '.*/snap/.*' --count 1\
         \n    slowfs torn-write random --unit 512 -m write --after 100 --count 1 --and kill"
    }

    fn params(&self) -> &'static [Param] {
        PARAMS
    }

    fn class(&self) -> Class {
        Class::Data
    }

    fn reach(&self) -> MethodSet {
        Call::CopyTo.methods()
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
        let part = Part::read(args.text(PART).unwrap_or_default()).map_err(|e| refuse(PART, e))?;
        let unit = args.whole(UNIT).unwrap_or(part.unit());
        if !unit.is_power_of_two() {
            return Err(refuse(UNIT, format!("{unit} is no power of two").into()));
        }
        if let Part::Prefix(size) = part
            && !size.is_multiple_of(unit)
        {
            let [size, unit] = [size, unit].map(words::bytes_text);
            let why = format!("{unit} is written whole or not at all: {size} is no multiple of it");
            return Err(refuse(PART, why.into()));
        }
        Ok(Box::new(Tearing { part, unit, hidden: hidden::read(args) }))
    }
}

/// What of a write is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Prefix(u64),
    Units(Vec<u64>),
    Random,
}

impl Part {
    fn read(text: &str) -> Result<Part, ValueError> {
        let numbers = |list: &str| list.split(',').map(str::parse).collect::<Result<Vec<u64>, _>>();
        match text.split_once(':') {
            None if text == "random" => Ok(Part::Random),
            Some(("prefix", size)) => Ok(Part::Prefix(words::bytes(size)?)),
            Some(("units", list)) => {
                let mut units = numbers(list).map_err(|_| "write it as in units:0,3")?;
                units.sort_unstable();
                units.dedup();
                Ok(Part::Units(units))
            }
            _ => Err("write prefix:4096, units:0,3 or random".into()),
        }
    }

    /// What is written whole where nothing is said.
    fn unit(&self) -> u64 {
        match self {
            Part::Prefix(_) => 1,
            Part::Units(_) | Part::Random => SECTOR,
        }
    }

    fn write(&self) -> String {
        match self {
            Part::Prefix(size) => format!("prefix:{}", words::bytes_text(*size)),
            Part::Units(units) => {
                let units: Vec<_> = units.iter().map(u64::to_string).collect();
                format!("units:{}", units.join(","))
            }
            Part::Random => "random".to_owned(),
        }
    }
}

#[derive(Debug)]
struct Tearing {
    part: Part,
    unit: u64,
    hidden: bool,
}

impl Tearing {
    /// How many units a request touches.
    fn units(&self, span: Span) -> u64 {
        match span.len {
            0 => 0,
            len => (span.offset % self.unit + len).div_ceil(self.unit),
        }
    }

    /// The bytes of a unit, counted from the request's first.
    fn bytes_of(&self, span: Span, unit: u64) -> Range<u64> {
        let before = span.offset % self.unit;
        let start = unit.saturating_mul(self.unit).saturating_sub(before);
        let end = unit.saturating_add(1).saturating_mul(self.unit).saturating_sub(before);
        start.min(span.len)..end.min(span.len)
    }

    /// How many of the first bytes are kept for a prefix of so many: whole units.
    fn prefix(&self, span: Span, size: u64) -> u64 {
        let before = span.offset % self.unit;
        size.saturating_sub(before).min(span.len)
    }

    /// The units that are kept, ascending.
    fn kept(&self, span: Span, draw: &Draw) -> Vec<u64> {
        let units = self.units(span);
        match &self.part {
            Part::Prefix(_) => Vec::new(),
            Part::Units(kept) => kept.iter().copied().filter(|unit| *unit < units).collect(),
            Part::Random => {
                let mut kept: Vec<u64> =
                    (0..units).filter(|n| draw.each(Purpose::Bits, *n) >> 63 == 1).collect();
                if kept.len() as u64 == units && units > 0 {
                    let draw = u128::from(draw.bits(Purpose::Position));
                    let lost = (draw * u128::from(units)) >> 64;
                    kept.retain(|unit| u128::from(*unit) != lost);
                }
                kept
            }
        }
    }

    /// The ranges that are kept, counted from the request's first byte, ascending and apart.
    fn ranges(&self, span: Span, draw: &Draw) -> Box<[Range<u64>]> {
        if let Part::Prefix(size) = self.part {
            let kept = 0..self.prefix(span, size);
            return if kept.is_empty() { Box::new([]) } else { Box::new([kept]) };
        }
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for unit in self.kept(span, draw) {
            let next = self.bytes_of(span, unit);
            match ranges.last_mut() {
                Some(last) if last.end == next.start => last.end = next.end,
                _ => ranges.push(next),
            }
        }
        ranges.into()
    }
}

impl Effect for Tearing {
    fn kind(&self) -> &'static dyn Kind {
        &TornWrite
    }

    fn args(&self) -> Args {
        let args = Args::new().with(PART, Value::Text(self.part.write()));
        let args = match self.unit {
            unit if unit == self.part.unit() => args,
            unit => args.with(UNIT, words::whole(unit)),
        };
        hidden::told(args, self.hidden)
    }

    fn applies(&self, op: &Operation<'_>) -> bool {
        op.span.is_some_and(|span| match &self.part {
            Part::Prefix(size) => self.prefix(span, *size) < span.len,
            // They ascend and none is there twice.
            Part::Units(kept) => {
                let units = self.units(span);
                (kept.partition_point(|unit| *unit < units) as u64) < units
            }
            Part::Random => span.len > 0,
        })
    }

    fn skips(&self) -> &'static str {
        "of which all would be kept"
    }

    fn plan(&self, op: &Operation<'_>, draw: &Draw, plan: &mut Plan) {
        let Some(span) = op.span else { return };
        let change = plan.changed();
        (change.run, change.hidden) = (Run::Part(self.ranges(span, draw)), self.hidden);
        if plan.reply == Reply::Own {
            plan.reply = Reply::Whole;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fault::chance::Dice;

    fn draw(n: u64) -> Draw {
        Draw::new(Dice::new(7, 1), n)
    }

    fn kept(part: &str, offset: u64, len: u64) -> Vec<Range<u64>> {
        let part = Part::read(part).unwrap();
        let tearing = Tearing { unit: part.unit(), part, hidden: false };
        tearing.ranges(Span { offset, len }, &draw(0)).into()
    }

    #[test]
    fn units_lie_as_in_the_file() {
        for (part, offset, len, expected) in [
            ("prefix:4KiB", 100, 8192, "[0..4096]"),
            ("prefix:0", 0, 8192, "[]"),
            ("units:0,2", 0, 2048, "[0..512, 1024..1536]"),
            ("units:0,1,3", 0, 2048, "[0..1024, 1536..2048]"),
            ("units:0", 500, 100, "[0..12]"),
            ("units:1", 500, 100, "[12..100]"),
            ("units:7", 0, 512, "[]"),
        ] {
            assert_eq!(format!("{:?}", kept(part, offset, len)), expected, "{part} {offset} {len}");
        }
    }

    #[test]
    fn a_prefix_is_of_whole_units() {
        let by = |unit, size, offset| {
            let tearing = Tearing { part: Part::Prefix(size), unit, hidden: false };
            format!("{:?}", tearing.ranges(Span { offset, len: 3 * 4096 }, &draw(0)))
        };
        assert_eq!(by(4096, 4096, 0), "[0..4096]");
        assert_eq!(by(4096, 4096, 100), "[0..3996]", "the unit of the first byte ends there");
        assert_eq!(by(4096, 0, 100), "[]");
        assert_eq!(by(1, 100, 7), "[0..100]");
        let make = |part: &str, unit: i64| {
            let args = Args::new().with(PART, Value::Text(part.into()));
            TornWrite.make(&args.with(UNIT, Value::Whole(unit)))
        };
        let refused = make("prefix:100", 4096).unwrap_err().to_string();
        assert!(
            refused
                .ends_with("part: 4KiB is written whole or not at all: 100 is no multiple of it"),
            "{refused}"
        );
        assert!(make("prefix:8KiB", 4096).is_ok() && make("prefix:100", 4).is_ok());
    }

    #[test]
    fn each_part_is_told_as_it_was_typed() {
        for text in ["prefix:4KiB", "units:0,3", "random"] {
            assert_eq!(Part::read(text).unwrap().write(), text);
        }
        for text in ["", "prefix", "prefix:x", "units:", "units:a", "randomly", "units:-1"] {
            assert!(Part::read(text).is_err(), "{text}");
        }
        let args = Args::new().with(PART, Value::Text("random".into()));
        assert!(TornWrite.make(&args.with(UNIT, Value::Whole(500))).is_err());
    }

    proptest! {
        #[test]
        fn random_keeps_whole_units_and_never_all(
            offset in 0u64..5000, len in 1u64..20_000, n in any::<u64>(), shift in 0u32..14,
        ) {
            let (unit, span) = (1 << shift, Span { offset, len });
            let tearing = Tearing { part: Part::Random, unit, hidden: false };
            let ranges = tearing.ranges(span, &draw(n));
            prop_assert!(ranges.iter().map(|range| range.end - range.start).sum::<u64>() < len);
            prop_assert!(ranges.iter().all(|range| !range.is_empty() && range.end <= len));
            prop_assert!(ranges.windows(2).all(|two| two[0].end < two[1].start));
            let bounds = ranges.iter().flat_map(|range| [range.start, range.end]);
            for bound in bounds.filter(|bound| *bound != 0 && *bound != len) {
                prop_assert_eq!((offset + bound) % unit, 0);
            }
        }
    }
}

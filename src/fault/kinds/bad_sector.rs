//! `bad-sector`: parts of files that cannot be read until they are written again.

use std::sync::OnceLock;

use parking_lot::Mutex;

use super::{Begun, Class, Effect, Kind, ReadPoint};
use crate::fault::chance::{Draw, Purpose};
use crate::fault::error::SpecError;
use crate::fault::healed::Healed;
use crate::fault::operation::{Done, Operation, Span, Wants};
use crate::fault::plan::{Plan, Reply, When};
use crate::fault::spoil::SECTOR;
use crate::fault::words::{Args, ByteRange, Errno, Param, ParamType, Value, whole};
use crate::ops::{Call, MethodSet};

pub(super) struct BadSector;

const RANGE: &str = "range";
const DENSITY: &str = "density";
const UNIT: &str = "unit";
const STICKY: &str = "sticky";

/// What one request writes at most: a larger unit would never be written whole.
const LARGEST: u64 = 1 << 20;

static PARAMS: &[Param] = &[
    Param::optional(RANGE, ParamType::Range, "only these bytes of each file [default: all]"),
    Param::optional(
        DENSITY,
        ParamType::Share,
        "the share of units that are bad [default: all of the range]",
    ),
    Param::optional(
        UNIT,
        ParamType::Size,
        "size of a unit, which is bad or good as a whole: a power of two from 512 to 1MiB [default: 512]",
    ),
    Param::optional(STICKY, ParamType::Flag, "no write heals them"),
];

impl Kind for BadSector {
    fn name(&self) -> &'static str {
        "bad-sector"
    }

    fn about(&self) -> &'static str {
        "Fail reads of parts of files, every time, until these are written again"
    }

    fn details(&self) -> &'static str {
        "A read that arrives and touches a bad unit fails with EIO, every time, until a write covers the whole unit. A write that covers only a \
         part of it changes nothing, and `--sticky` units stay bad forever. A write that reaches the end of the file covers its last unit. Bytes \
         after the end are never bad.\n\
         \n\
         All units that touch the range are bad, or the share of them that the density says. Which ones depends on the seed, the fault's name or \
         id, the inode number and the unit. So another mount of the same directory with the same seed has the same bad units.\n\
         \n\
         If a page is read, all its units up to the end of the file count. Data in the page cache can still be read, and files can still be \
         opened. If a mapped page cannot be read, the program gets SIGBUS. A copy reads its source and writes its target. It remembers 65,536 \
         healed stretches, in some 4 MiB. Beyond that, healed units become bad again, as on a disk without spare sectors, and the log says so.\n\
         \n    slowfs bad-sector --range 20KiB..24KiB -r '.*/data/.*'\
         \n    slowfs bad-sector --density 1e-4\
         \n    slowfs bad-sector --density 0.1% --unit 4KiB --sticky -r '.*/base/.*'"
    }

    fn params(&self) -> &'static [Param] {
        PARAMS
    }

    fn class(&self) -> Class {
        Class::Condition
    }

    /// Not `copy_file_range`, which a copy consults on its target too.
    fn reach(&self) -> MethodSet {
        Call::Read.methods()
    }

    fn answers(&self) -> bool {
        true
    }

    fn read_point(&self) -> ReadPoint {
        ReadPoint::Request
    }

    fn make(&self, args: &Args) -> Result<Box<dyn Effect>, SpecError> {
        let refuse = |param: &str, why: String| SpecError::Value {
            of: self.name().to_owned(),
            param: param.to_owned(),
            why: why.into(),
        };
        let range = match args.text(RANGE) {
            Some(text) => Some(ByteRange::read(text).map_err(|why| refuse(RANGE, why.0))?),
            None => None,
        };
        let density = args.share(DENSITY);
        if range.is_none() && density.is_none() {
            let why = "bad-sector needs what is bad: --range, --density or both";
            return Err(SpecError::Together(why.to_owned()));
        }
        if density == Some(0.0) {
            return Err(refuse(DENSITY, "of 0 no unit is bad".to_owned()));
        }
        let unit = args.whole(UNIT).unwrap_or(SECTOR);
        if !unit.is_power_of_two() || !(SECTOR..=LARGEST).contains(&unit) {
            let why = format!("{unit} is no power of two from 512 to 1MiB");
            return Err(refuse(UNIT, why));
        }
        let sticky = args.get(STICKY) == Some(&Value::Flag(true));
        Ok(Box::new(Bad {
            range,
            density,
            unit,
            sticky,
            draw: OnceLock::new(),
            healed: Mutex::default(),
        }))
    }
}

#[derive(Debug)]
struct Bad {
    range: Option<ByteRange>,
    density: Option<f64>,
    unit: u64,
    sticky: bool,
    /// What the density is drawn from.
    draw: OnceLock<Draw>,
    /// The units that were written since.
    healed: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    units: Healed,
    /// It was said that there are too many.
    said: bool,
}

impl Bad {
    /// Whether a unit of a file is bad from the first.
    fn is_bad(&self, inode: u64, unit: u64) -> bool {
        let within = |range: ByteRange| range.overlaps(unit.saturating_mul(self.unit), self.unit);
        let drawn = |density: f64| {
            let draw = self.draw.get().map(|draw| draw.at(inode));
            draw.is_some_and(|draw| draw.each_unit(Purpose::Sector, unit) < density)
        };
        self.range.is_none_or(within) && self.density.is_none_or(drawn)
    }

    /// The first byte of a span that lies in a unit which is still bad.
    fn first_bad(&self, inode: u64, span: Span) -> Option<u64> {
        if span.len == 0 {
            return None;
        }
        let mut units = span.offset / self.unit..span.end().div_ceil(self.unit);
        // What is drawn is drawn without the lock.
        let is_healed = |unit| self.healed.lock().units.has(inode, unit);
        let bad = units.find(|unit| self.is_bad(inode, *unit) && !is_healed(*unit))?;
        Some(span.offset.max(bad.saturating_mul(self.unit)))
    }

    /// The same of what a request reads.
    fn first_read(&self, op: &Operation<'_>) -> Option<u64> {
        let (inode, span) = op.source.or(op.span.map(|span| (op.inode, span)))?;
        self.first_bad(inode, span)
    }

    /// The units that this covers wholly are good from now on. What a file did not reach before it was
    /// so large is nothing that a disk would have to keep: it gets these units whole.
    fn heal(&self, inode: u64, span: Span, size: Option<u64>) {
        if span.len == 0 {
            return;
        }
        let first = span.offset / self.unit;
        let is_new = size.is_some_and(|size| first.saturating_mul(self.unit) >= size);
        let start = if is_new { first } else { span.offset.div_ceil(self.unit) };
        let end = match size.is_some_and(|size| span.end() >= size) {
            true => span.end().div_ceil(self.unit),
            false => span.end() / self.unit,
        };
        // What was good takes no memory.
        if !(start..end).any(|unit| self.is_bad(inode, unit)) {
            return;
        }
        let mut healed = self.healed.lock();
        if !healed.units.add(inode, start, end) && !std::mem::replace(&mut healed.said, true) {
            tracing::warn!(
                "bad-sector: it remembers no more healed stretches: further ones stay bad"
            );
        }
    }
}

impl Effect for Bad {
    fn kind(&self) -> &'static dyn Kind {
        &BadSector
    }

    fn args(&self) -> Args {
        let mut args = Args::new();
        if let Some(range) = self.range {
            args.insert(RANGE, Value::Text(range.to_string()));
        }
        if let Some(density) = self.density {
            args.insert(DENSITY, Value::Share(density));
        }
        if self.unit != SECTOR {
            args.insert(UNIT, whole(self.unit));
        }
        if self.sticky {
            args.insert(STICKY, Value::Flag(true));
        }
        args
    }

    fn begins(&self, begun: &Begun) {
        // Of one that is set anew there is a new one.
        let _ = self.draw.set(begun.draw);
    }

    fn plan(&self, op: &Operation<'_>, _: &Draw, plan: &mut Plan) {
        if self.first_read(op).is_some_and(|bad| op.end_of_source().is_none_or(|end| bad < end)) {
            plan.reply = Reply::Errno(Errno::EIO, When::Before);
        }
    }

    fn looks_at_end(&self, op: &Operation<'_>) -> bool {
        self.first_read(op).is_some()
    }

    fn follows(&self) -> MethodSet {
        if self.sticky { MethodSet::EMPTY } else { Call::Write.methods() }
    }

    /// The size, of what may heal a unit.
    fn wants(&self, op: &Operation<'_>) -> Wants {
        let writes = matches!(op.call, Call::Write | Call::CopyTo) && !self.sticky;
        let heals = |span| self.first_bad(op.inode, span).is_some();
        Wants { size: writes && op.span.is_some_and(heals), ..Wants::default() }
    }

    fn done(&self, op: &Operation<'_>, done: &Done<'_>) {
        let (Some(span), Call::Write | Call::CopyTo) = (op.span, op.call) else { return };
        if !done.ran || done.errno != 0 || self.sticky {
            return;
        }
        let size = done.extents.and_then(|extents| extents.before).map(|before| before.size);
        match done.parts {
            None => self.heal(op.inode, Span { len: done.bytes, ..span }, size),
            Some(parts) => parts.iter().for_each(|part| {
                let offset = span.offset.saturating_add(part.start);
                self.heal(op.inode, Span { offset, len: part.end - part.start }, size);
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::chance::Dice;
    use crate::fault::operation::{Caller, Extent, Extents};
    use crate::fault::words::line;

    fn made(text: &str, seed: u64) -> Box<dyn Effect> {
        let words = line(text).unwrap().0.effects.remove(0);
        let effect = super::super::make(&words.kind, &words.params).unwrap();
        let (draw, methods) = (Draw::new(Dice::new(seed, 1), 0), Call::Read.methods());
        effect.begins(&Begun { draw, everywhere: true, methods });
        effect
    }

    fn op(call: Call, inode: u64, (offset, len): (u64, u64)) -> Operation<'static> {
        let mut op = Operation::new(call, Caller::default(), inode);
        op.span = Some(Span { offset, len });
        op
    }

    fn fails_on(effect: &dyn Effect, op: &Operation<'_>) -> bool {
        let mut plan = Plan::default();
        effect.plan(op, &Draw::new(Dice::new(1, 1), 0), &mut plan);
        plan.errno() == Some(Errno::EIO)
    }

    fn fails(effect: &dyn Effect, bytes: (u64, u64)) -> bool {
        fails_on(effect, &op(Call::Read, 1, bytes))
    }

    fn written(effect: &dyn Effect, bytes: (u64, u64)) {
        let done = Done { ran: true, bytes: bytes.1, ..Done::default() };
        effect.done(&op(Call::Write, 1, bytes), &done);
    }

    #[test]
    fn a_unit_is_bad_until_a_write_covers_it() {
        let disk = made("bad-sector --range 5000..5001 --unit 4KiB", 1);
        for (bytes, bad) in
            [((4096, 1), true), ((8191, 1), true), ((0, 4096), false), ((8192, 9), false)]
        {
            assert_eq!(fails(&*disk, bytes), bad, "{bytes:?}");
        }
        written(&*disk, (4097, 8192));
        written(&*disk, (0, 8191));
        assert!(fails(&*disk, (0, 1 << 20)), "in part, and in part");
        let failed = Done { ran: true, errno: libc::EIO, ..Done::default() };
        disk.done(&op(Call::Write, 1, (4096, 4096)), &failed);
        disk.done(&op(Call::Write, 1, (4096, 4096)), &Done::default());
        let part = 4096..8192;
        let parts = Some(std::slice::from_ref(&part));
        let torn = Done { ran: true, bytes: 4096, parts, ..Done::default() };
        disk.done(&op(Call::Write, 1, (4096, 8192)), &torn);
        assert!(fails(&*disk, (4096, 1)), "nothing of it was written");
        written(&*disk, (4096, 4096));
        assert!(!fails(&*disk, (0, 1 << 20)));
        assert!(fails_on(&*disk, &op(Call::Read, 2, (4096, 1))), "another file");
        let sticky = made("bad-sector --range 0..1 --sticky", 1);
        written(&*sticky, (0, 1 << 20));
        assert!(fails(&*sticky, (0, 1)) && sticky.follows().is_empty());
    }

    #[test]
    fn the_last_unit_is_covered_by_what_ends_a_file_and_nothing_is_behind_it() {
        let disk = made("bad-sector --density 1", 1);
        let read_of = |size: u64, bytes: (u64, u64)| {
            let end = || Some(size);
            let mut read = op(Call::Read, 1, bytes);
            read.ending(&end);
            fails_on(&*disk, &read)
        };
        for (size, bytes, bad) in [
            (0, (0, 4096), false),
            (1000, (0, 4096), true),
            (1000, (999, 1), true),
            (1000, (1000, 24), false),
            (1024, (1024, 4096), false),
        ] {
            assert_eq!(read_of(size, bytes), bad, "{bytes:?} of {size}");
        }
        let wrote = |before: u64, bytes: (u64, u64)| {
            let before = Some(Extent { size: before, blocks: 0 });
            let extents = Some(Extents { before, after: None });
            let done = Done { ran: true, bytes: bytes.1, extents, ..Done::default() };
            disk.done(&op(Call::Write, 1, bytes), &done);
        };
        wrote(1000, (512, 487));
        assert!(read_of(1000, (512, 1)), "not up to the end");
        wrote(1000, (513, 487));
        assert!(read_of(1000, (512, 1)), "not from its begin");
        wrote(1000, (512, 488));
        assert!(!read_of(1000, (512, 512)) && read_of(1000, (0, 1)));
        wrote(1000, (1600, 100));
        assert!(!read_of(1700, (1536, 164)), "all of it is new");
        assert!(read_of(1700, (1024, 1)), "nothing was written there");
    }

    #[test]
    fn a_copy_reads_its_source_and_heals_its_target() {
        let disk = made("bad-sector --range 0..512", 1);
        let mut copy = op(Call::CopyTo, 1, (0, 512));
        copy.source = Some((2, Span { offset: 512, len: 512 }));
        assert!(!fails_on(&*disk, &copy));
        disk.done(&copy, &Done { ran: true, bytes: 512, ..Done::default() });
        assert!(!fails(&*disk, (0, 512)));
        copy.source = Some((2, Span { offset: 0, len: 512 }));
        assert!(fails_on(&*disk, &copy));
    }

    #[test]
    fn so_many_are_bad_as_the_density_says_and_the_same_with_the_same_seed() {
        let bad = |seed, inode| {
            let disk = made("bad-sector --density 1%", seed);
            let bytes = |unit: u64| op(Call::Read, inode, (unit * 512, 512));
            (0..100_000).filter(|unit| fails_on(&*disk, &bytes(*unit))).collect::<Vec<u64>>()
        };
        let first = bad(1, 1);
        assert!((900..1100).contains(&first.len()), "{}", first.len());
        assert_eq!(first, bad(1, 1));
        assert!(first != bad(2, 1) && first != bad(1, 2));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, why) in [
            ("bad-sector", "bad-sector needs what is bad: --range, --density or both"),
            ("bad-sector --density 0", "bad-sector: density: of 0 no unit is bad"),
            ("bad-sector --range 4..4", "bad-sector: range: 4..4 has nothing in it"),
            ("bad-sector --density 1 --unit 256", "256 is no power of two from 512 to 1MiB"),
            ("bad-sector --density 1 --unit 2MiB", "is no power of two from 512 to 1MiB"),
            ("bad-sector --density 1 -m write", "bad-sector makes no sense on write"),
            ("bad-sector --density 1 -p 50%", "bad-sector takes no probability"),
            ("bad-sector --density 1 --after 3", "bad-sector takes no after"),
            ("bad-sector --density 1 --and 'delay 1s'", "stands alone"),
        ] {
            let refused =
                line(text).and_then(|(words, _)| words.fault()).err().unwrap().to_string();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }
}

//! `corrupt`: bytes are others than were written, or than are stored.

use std::mem;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::{Begun, Class, Effect, Kind, ReadPoint, hidden};
use crate::fault::before::Before;
use crate::fault::chance::Draw;
use crate::fault::edit::{Edit, EditBy};
use crate::fault::error::SpecError;
use crate::fault::operation::{Done, Operation, Span, Wants};
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
        about: "flip one bit of each spot, or BITS of them; or make its bytes zeros, random, or what was there \
                before",
    },
    Param::optional(UNIT, ParamType::Size, "size of a unit, a power of two [default: 512]"),
    Param::optional(
        SPOTS,
        ParamType::Positive,
        "how many spots of a request are changed [default: 1]",
    ),
    Param::optional(LENGTH, ParamType::Positive, "how many units a spot has [default: 1]"),
    hidden::HIDDEN,
];

impl Kind for Corrupt {
    fn name(&self) -> &'static str {
        "corrupt"
    }

    fn about(&self) -> &'static str {
        "Change bytes that matching operations write or read"
    }

    fn details(&self) -> &'static str {
        "On writes, other bytes are stored than were written, and the write succeeds. A copy is a \
         write of its target. On reads, other bytes are answered than are stored; the stored \
         bytes do not change.\n\
         \n\
         Of reads only read(2) past the page cache is changed, because what fills the cache goes \
         to other readers too. Other reads are skipped. Reads of files that are opened while the \
         fault is set bypass the page cache. Files that were open before are out of its reach \
         until they are opened again; `slowfs list` counts them.\n\
         \n\
         The spots are drawn among the units of the request, which are aligned in the file. \
         `--range` selects requests; it does not limit the spots. One write(2) may arrive as \
         several writes: an unaligned write to a page that is not cached arrives as two, and \
         `--count 1` changes one of them.\n\
         \n\
         `stale` gives old bytes. On writes, the spots are not written. On reads, they are as \
         they were before their last write, if that came while the fault was set; other reads are \
         skipped. It remembers 64 MiB of old bytes. Beyond that it forgets the oldest, and the \
         log says so.\n\
         \n\
         The modification time changes, so the next read(2) finds what is stored. With `--hidden` \
         it stays as before the write; then the kernel's cache shows the written data until it is \
         dropped.\n\
         \n    slowfs corrupt flip -m write -r '.*/data/.*' --count 1\
         \n    slowfs corrupt random --spots 3 --length 8 -m read -p 1%\
         \n    slowfs corrupt stale --unit 4KiB -m write --after 100 --count 1\
         \n    slowfs corrupt stale --unit 8KiB -m read -p 1% -r '.*/base/.*'"
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
        let (hidden, remembers) = (hidden::read(args), AtomicBool::default());
        Ok(Box::new(Corrupting { how, spots, hidden, remembers, memory: Mutex::default() }))
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
    /// It is for reads of what was there before.
    remembers: AtomicBool,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    before: Before,
    /// It was said that there is more than is remembered.
    said: bool,
}

impl Corrupting {
    fn remembers(&self) -> bool {
        self.remembers.load(Ordering::Relaxed)
    }

    fn is_stale_read(&self, op: &Operation<'_>) -> bool {
        self.how == How::Stale && op.call == Call::Read
    }

    /// What has spots of a read be as they were before.
    fn stale(&self, inode: u64, span: Span, draw: Draw) -> Vec<Edit> {
        let memory = self.memory.lock();
        let place = |n: u64| span.offset.saturating_add(n);
        let of_file = |spot: &Range<u64>| place(spot.start)..place(spot.end);
        let knows = |spot: &Range<u64>| memory.before.knows(inode, &of_file(spot));
        let spots = self.spots.among(span, draw, knows);
        let known = spots.iter().flat_map(|spot| memory.before.of(inode, &of_file(spot)));
        let edit = |(at, bytes): (u64, &[u8])| Edit {
            at: at.saturating_sub(span.offset),
            bytes: bytes.into(),
            how: EditBy::Putting,
        };
        known.map(edit).collect()
    }

    /// Part of a request was written, all of whose bytes were so before, as far as they were there.
    fn remember(&self, inode: u64, span: Span, part: &Range<u64>, replaced: &[u8]) {
        let place = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(replaced.len());
        let before = replaced.get(place(part.start)..place(part.end)).unwrap_or_default();
        let at = |n: u64| span.offset.saturating_add(n);
        let mut memory = self.memory.lock();
        let fits = memory.before.written(inode, &(at(part.start)..at(part.end)), before);
        if !fits && !mem::replace(&mut memory.said, true) {
            tracing::warn!(
                "corrupt stale: more bytes are overwritten than it remembers: the oldest are forgotten"
            );
        }
    }
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

    fn begins(&self, begun: &Begun) {
        let is_read = begun.methods.intersects(Call::Read.methods());
        self.remembers.store(is_read && self.how == How::Stale, Ordering::Relaxed);
    }

    fn applies(&self, op: &Operation<'_>) -> bool {
        let Some(span) = op.span.filter(|span| span.len > 0 && !op.is_paged) else { return false };
        let known = || self.memory.lock().before.knows(op.inode, &(span.offset..span.end()));
        !self.is_stale_read(op) || known()
    }

    fn skips(&self) -> &'static str {
        match self.how {
            How::Spoilt(_) => "that fill the kernel's page cache",
            How::Stale => {
                "that fill the kernel's page cache, and reads of what was not written over"
            }
        }
    }

    fn plan(&self, op: &Operation<'_>, draw: &Draw, plan: &mut Plan) {
        let Some(span) = op.span else { return };
        let change = plan.changed();
        change.hidden = self.hidden;
        match self.how {
            _ if self.is_stale_read(op) => change.edits = self.stale(op.inode, span, *draw),
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

    fn follows(&self) -> MethodSet {
        if self.remembers() { Call::Write.methods() } else { MethodSet::EMPTY }
    }

    fn wants(&self, _: &Operation<'_>) -> Wants {
        Wants { replaced: self.remembers(), ..Wants::default() }
    }

    fn done(&self, op: &Operation<'_>, done: &Done<'_>) {
        let (Some(span), Call::Write | Call::CopyTo) = (op.span, op.call) else { return };
        if !self.remembers() || !done.ran || done.errno != 0 {
            return;
        }
        let replaced = done.replaced.unwrap_or_default();
        let remember = |part: &Range<u64>| self.remember(op.inode, span, part, replaced);
        match done.parts {
            None => remember(&(0..done.bytes)),
            Some(parts) => parts.iter().for_each(remember),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::testing::request;

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
    fn only_reads_of_what_was_there_before_have_it_remembered() {
        for (how, methods, remembers) in [
            ("stale", Call::Write.methods(), false),
            ("stale", Call::Read.methods(), true),
            ("flip", Call::Read.methods(), false),
        ] {
            let args = Args::new().with(HOW, Value::Text(how.into()));
            let made = Corrupt.make(&args).unwrap();
            let draw = Draw::once(1, "it");
            made.begins(&Begun { draw, everywhere: true, methods });
            assert_eq!(
                (made.wants(&request(Call::Write, 1)).replaced, !made.follows().is_empty()),
                (remembers, remembers)
            );
        }
    }

    #[test]
    fn a_read_is_what_was_there_before_where_it_was_written_over() {
        let args = Args::new().with(HOW, Value::Text("stale".into()));
        let stale = Corrupt.make(&args.with(SPOTS, words::whole(9))).unwrap();
        let (draw, methods) = (Draw::once(1, "it"), Call::Read.methods());
        stale.begins(&Begun { draw, everywhere: true, methods });
        let op = |call, offset, len| {
            let mut op = request(call, 1);
            op.span = Some(Span { offset, len });
            op
        };
        let wrote = |offset, parts: Option<&[Range<u64>]>, replaced| {
            let done = Done { ran: true, bytes: 1000, parts, replaced, ..Done::default() };
            stale.done(&op(Call::Write, offset, 1000), &done);
        };
        let read = |offset, len| {
            let (read, mut plan) = (op(Call::Read, offset, len), Plan::default());
            let applies = stale.applies(&read);
            stale.plan(&read, &draw, &mut plan);
            let edits = plan.change.map(|change| change.edits).unwrap_or_default();
            assert_eq!(applies, !edits.is_empty());
            edits.iter().map(|edit| (edit.at, edit.bytes.to_vec())).collect::<Vec<_>>()
        };
        assert_eq!(read(0, 4096), []);
        wrote(512, None, Some(&[b'a'; 600]));
        let whole = (512, vec![b'a'; 512]);
        assert_eq!(read(0, 4096), [whole.clone(), (1024, vec![b'a'; 88])], "the file ended there");
        let torn = 512..1000;
        wrote(0, Some(std::slice::from_ref(&torn)), Some(&[b'b'; 1000]));
        assert_eq!(read(0, 1024), [(512, vec![b'b'; 488]), (1000, vec![b'a'; 24])]);
        wrote(0, None, None);
        assert_eq!(read(0, 1000), [], "it was none");
        assert_eq!(read(1000, 100), [(0, vec![b'a'; 24]), (24, vec![b'a'; 76])]);
    }
}

//! How bytes are spoilt: which of a range, and by what. Plain data, drawn once the range is known. No
//! locks.

use std::collections::BTreeSet;
use std::ops::Range;

use super::chance::{Draw, Purpose};
use super::edit::{Edit, EditBy};
use super::operation::Span;

/// What most disks read and write whole, bytes.
pub(crate) const SECTOR: u64 = 512;

/// Where in a range of bytes: spots of so many units, each a whole unit of the file as far as the range
/// has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spots {
    /// How large a unit is, bytes.
    pub unit: u64,
    /// How many spots.
    pub spots: u64,
    /// How many units each has.
    pub length: u64,
}

/// What becomes of the bytes of a spot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoiling {
    /// So many of its bits are flipped.
    Flip(u64),
    /// They are zeros.
    Zero,
    /// They are drawn.
    Random,
}

/// Bytes that are spoilt, of whatever range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoil {
    /// Where.
    pub spots: Spots,
    /// By what.
    pub how: Spoiling,
    /// By which dice.
    pub draw: Draw,
}

impl Spoiling {
    /// As typed: `flip`, `flip:BITS`, `zero`, `random`. None if it is none of these.
    #[must_use]
    pub(crate) fn read(text: &str) -> Option<Spoiling> {
        match (text, text.split_once(':')) {
            ("flip", _) => Some(Spoiling::Flip(1)),
            ("zero", _) => Some(Spoiling::Zero),
            ("random", _) => Some(Spoiling::Random),
            (_, Some(("flip", bits))) => {
                bits.parse().ok().filter(|bits| *bits > 0).map(Spoiling::Flip)
            }
            _ => None,
        }
    }

    /// As it would be typed.
    #[must_use]
    pub(crate) fn write(self) -> String {
        match self {
            Spoiling::Flip(1) => "flip".to_owned(),
            Spoiling::Flip(bits) => format!("flip:{bits}"),
            Spoiling::Zero => "zero".to_owned(),
            Spoiling::Random => "random".to_owned(),
        }
    }
}

impl Spots {
    /// Those of a range, counted from its first byte, ascending and apart.
    #[must_use]
    pub(crate) fn of(self, span: Span, draw: Draw) -> Vec<Range<u64>> {
        let (slots, place) = self.slots(span);
        let taken = distinct(self.spots.min(slots), slots, |k| draw.each(Purpose::Position, k));
        taken.into_iter().map(place).collect()
    }

    /// The same among those that are meant.
    pub(crate) fn among(
        self,
        span: Span,
        draw: Draw,
        is_meant: impl Fn(&Range<u64>) -> bool,
    ) -> Vec<Range<u64>> {
        let (slots, place) = self.slots(span);
        let meant: Vec<_> = (0..slots).map(place).filter(is_meant).collect();
        let count = meant.len() as u64;
        let taken = distinct(self.spots.min(count), count, |k| draw.each(Purpose::Position, k));
        let spot = |n| meant.get(usize::try_from(n).ok()?).cloned();
        taken.into_iter().filter_map(spot).collect()
    }

    /// How many spots there may be in a range, and where each lies.
    fn slots(self, span: Span) -> (u64, impl Fn(u64) -> Range<u64>) {
        let Spots { unit, length, .. } = self;
        let (unit, before) = (unit.max(1), span.offset % unit.max(1));
        let units = before.saturating_add(span.len).div_ceil(unit);
        let length = length.clamp(1, units.max(1));
        let slots = if span.len == 0 { 0 } else { units.div_ceil(length) };
        let within = move |slot: u64| {
            let place = slot.saturating_mul(length).saturating_mul(unit);
            place.saturating_sub(before).min(span.len)
        };
        (slots, move |slot| within(slot)..within(slot + 1))
    }
}

impl Spoil {
    /// What is done to the bytes of a range.
    #[must_use]
    pub(crate) fn edits(&self, span: Span) -> Vec<Edit> {
        let spots = self.spots.of(span, self.draw).into_iter().zip(0u64..);
        spots.map(|(spot, n)| self.edit(&spot, n << 32)).collect()
    }

    /// What is done to files of these sizes, as if they were one: of which, and what. Each edit is made
    /// when it is asked for, as all together may not fit into memory.
    pub(crate) fn over(&self, sizes: &[u64]) -> impl Iterator<Item = (usize, Edit)> {
        let size = self.spots.unit.max(1).saturating_mul(self.spots.length.max(1));
        let slots = move |len: u64| len.div_ceil(size);
        let all = sizes.iter().fold(0u64, |all, len| all.saturating_add(slots(*len)));
        let draw = |k: u64| self.draw.each(Purpose::Position, k);
        let taken = distinct(self.spots.spots.min(all), all, draw).into_iter().zip(0u64..);
        let mut files = sizes.iter().copied().enumerate();
        let (mut file, mut len, mut slots_of_file) = (0, 0, 0..0u64);
        taken.map_while(move |(slot, n)| {
            while slot >= slots_of_file.end {
                (file, len) = files.next()?;
                let first = slots_of_file.end;
                slots_of_file = first..first.saturating_add(slots(len));
            }
            let start = (slot - slots_of_file.start).saturating_mul(size);
            let spot = start..start.saturating_add(size).min(len);
            Some((file, self.edit(&spot, n << 32)))
        })
    }

    /// The edit of one spot, whose draws begin there.
    fn edit(&self, spot: &Range<u64>, first: u64) -> Edit {
        let len = spot.end - spot.start;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)].into_boxed_slice();
        let draw = |k: u64| self.draw.each(Purpose::Bits, first.wrapping_add(k));
        let how = match self.how {
            Spoiling::Flip(bits) => {
                let all = len.saturating_mul(8);
                for bit in distinct(bits.min(all), all, draw) {
                    let byte = usize::try_from(bit / 8).ok().and_then(|at| bytes.get_mut(at));
                    byte.into_iter().for_each(|byte| *byte |= 1 << (bit % 8));
                }
                EditBy::Flipping
            }
            Spoiling::Zero => EditBy::Putting,
            Spoiling::Random => {
                for (word, k) in bytes.chunks_mut(8).zip(0..) {
                    word.copy_from_slice(draw(k).to_le_bytes().get(..word.len()).unwrap_or(&[]));
                }
                EditBy::Putting
            }
        };
        Edit { at: spot.start, bytes, how }
    }
}

/// So many different numbers below a bound, each choice equally likely (Floyd), ascending.
fn distinct(count: u64, below: u64, draw: impl Fn(u64) -> u64) -> BTreeSet<u64> {
    let mut taken = BTreeSet::new();
    for (last, k) in (below - count.min(below)..below).zip(0..) {
        let any = (u128::from(draw(k)) * (u128::from(last) + 1)) >> 64;
        let any = u64::try_from(any).unwrap_or(last);
        if !taken.insert(any) {
            taken.insert(last);
        }
    }
    taken
}

/// What is left of so many bytes without these ranges, which ascend.
#[must_use]
pub(crate) fn without(len: u64, ranges: &[Range<u64>]) -> Box<[Range<u64>]> {
    let starts = ranges.iter().map(|range| range.start).chain([len]);
    let ends = [0].into_iter().chain(ranges.iter().map(|range| range.end));
    ends.zip(starts).map(|(start, end)| start..end).filter(|left| !left.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fault::chance::Dice;

    fn draw(n: u64) -> Draw {
        Draw::new(Dice::new(7, 1), n)
    }

    #[test]
    fn what_is_left_lies_between() {
        type Ranges<'a> = &'a [(u64, u64)];
        let cases: [(u64, Ranges<'_>, &str); 5] = [
            (10, &[], "[0..10]"),
            (10, &[(0, 4), (6, 10)], "[4..6]"),
            (10, &[(2, 3)], "[0..2, 3..10]"),
            (10, &[(0, 10)], "[]"),
            (0, &[], "[]"),
        ];
        for (len, ranges, left) in cases {
            let ranges: Vec<_> = ranges.iter().map(|(start, end)| *start..*end).collect();
            assert_eq!(format!("{:?}", without(len, &ranges)), left, "{len} {ranges:?}");
        }
    }

    proptest! {
        #[test]
        fn spots_are_units_of_the_file_within_the_range(
            offset in 0u64..5000, len in 0u64..20_000, n in any::<u64>(),
            shift in 0u32..14, count in 1u64..20, length in 1u64..5,
        ) {
            let (unit, span) = (1 << shift, Span { offset, len });
            let spots = Spots { unit, spots: count, length }.of(span, draw(n));
            let units = (offset % unit + len).div_ceil(unit);
            let slots = if len == 0 { 0 } else { units.div_ceil(length.min(units)) };
            prop_assert_eq!(spots.len() as u64, count.min(slots));
            prop_assert!(spots.iter().all(|spot| !spot.is_empty() && spot.end <= len));
            prop_assert!(spots.windows(2).all(|two| two[0].end <= two[1].start));
            let bounds = spots.iter().flat_map(|spot| [spot.start, spot.end]);
            for bound in bounds.filter(|bound| *bound != 0 && *bound != len) {
                prop_assert_eq!((offset + bound) % unit, 0);
            }
        }

        #[test]
        fn so_many_bits_of_each_spot_are_flipped(bits in 1u64..100, n in any::<u64>()) {
            let spots = Spots { unit: 8, spots: 3, length: 1 };
            let spoil = Spoil { spots, how: Spoiling::Flip(bits), draw: draw(n) };
            let edits = spoil.edits(Span { offset: 0, len: 800 });
            prop_assert_eq!(edits.len(), 3);
            for edit in &edits {
                let ones: u32 = edit.bytes.iter().map(|byte| byte.count_ones()).sum();
                prop_assert_eq!(u64::from(ones), bits.min(64));
            }
        }
    }

    #[test]
    fn several_files_are_spoilt_as_if_they_were_one() {
        let of = |spots, sizes: &[u64]| -> Vec<(usize, Edit)> {
            let spots = Spots { unit: 512, spots, length: 2 };
            Spoil { spots, how: Spoiling::Zero, draw: draw(1) }.over(sizes).collect()
        };
        let all = of(100, &[1500, 0, 1, 1024]);
        let places: Vec<_> = all.iter().map(|(n, edit)| (*n, edit.at, edit.bytes.len())).collect();
        assert_eq!(places, [(0, 0, 1024), (0, 1024, 476), (2, 0, 1), (3, 0, 1024)]);
        assert_eq!(of(2, &[1 << 30, 1 << 20]).len(), 2);
        assert!(of(2, &[]).is_empty());
    }

    /// All of these would be 100 GB.
    #[test]
    fn each_edit_is_made_when_it_is_asked_for() {
        let spots = Spots { unit: 1 << 20, spots: 100_000, length: 1 };
        let spoil = Spoil { spots, how: Spoiling::Random, draw: draw(1) };
        let first: Vec<_> = spoil.over(&[1 << 40]).take(2).map(|(_, edit)| edit.at).collect();
        assert!(matches!(first[..], [one, other] if one < other), "{first:?}");
    }

    #[test]
    fn every_choice_is_equally_likely() {
        let mut counts = [0u32; 5];
        for n in 0..10_000 {
            for one in distinct(2, 5, |k| draw(n).each(Purpose::Position, k)) {
                counts[usize::try_from(one).unwrap()] += 1;
            }
        }
        assert!(counts.iter().all(|count| (3_800..4_200).contains(count)), "{counts:?}");
    }
}

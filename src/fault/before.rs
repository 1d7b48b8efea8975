//! What bytes of files were before they were written over, so many at most in all. No locks: who has them
//! has one.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// What they may take of memory, bytes.
pub(super) const MOST: usize = 64 << 20;

/// What a piece takes besides its bytes, about.
const EACH: usize = 128;

/// An inode, and the first byte of a piece of it.
type Place = (u64, u64);

/// Bytes that lie side by side.
#[derive(Debug)]
struct Piece {
    turn: u64,
    bytes: Box<[u8]>,
}

/// What bytes were before.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// They lie apart.
    pieces: BTreeMap<Place, Piece>,
    /// In which order they came; also some that are gone.
    order: VecDeque<(u64, Place)>,
    turn: u64,
    size: usize,
}

impl Before {
    /// These bytes were written over, and the first of them were so before; there were no others. False if
    /// the oldest had to go for them.
    pub(super) fn written(&mut self, inode: u64, written: &Range<u64>, before: &[u8]) -> bool {
        self.forget(inode, written);
        self.put((inode, written.start), before.into());
        let mut fits = true;
        while self.size > MOST {
            let Some((turn, place)) = self.order.pop_front() else { break };
            if self.stands(turn, place) {
                self.take(place);
                fits = false;
            }
        }
        if self.order.len() > 2 * self.pieces.len() + EACH {
            let order = std::mem::take(&mut self.order);
            let standing = order.into_iter().filter(|(turn, place)| self.stands(*turn, *place));
            self.order = standing.collect();
        }
        fits
    }

    /// What is known of these bytes, each piece with its place.
    pub(super) fn of(&self, inode: u64, bytes: &Range<u64>) -> Vec<(u64, &[u8])> {
        let known = self.touched(inode, bytes).map(|(at, piece)| {
            let place = |n: u64| usize::try_from(n.saturating_sub(at)).unwrap_or(usize::MAX);
            let part = place(bytes.start)..place(bytes.end).min(piece.bytes.len());
            (at.max(bytes.start), piece.bytes.get(part).unwrap_or_default())
        });
        known.collect()
    }

    /// Whether something is known of them.
    pub(super) fn knows(&self, inode: u64, bytes: &Range<u64>) -> bool {
        self.touched(inode, bytes).next().is_some()
    }

    /// The pieces that have some of these bytes.
    fn touched(&self, inode: u64, bytes: &Range<u64>) -> impl Iterator<Item = (u64, &Piece)> {
        let before = self.pieces.range(..(inode, bytes.start)).next_back();
        let reaches = |(place, piece): &(&Place, &Piece)| {
            place.0 == inode && place.1.saturating_add(piece.bytes.len() as u64) > bytes.start
        };
        let first = before.filter(reaches).map_or(bytes.start, |((_, at), _)| *at);
        let touched = self.pieces.range((inode, first)..(inode, bytes.end.max(first)));
        touched.filter(|_| !bytes.is_empty()).map(|((_, at), piece)| (*at, piece))
    }

    /// Leaves of the pieces what lies beside these bytes.
    fn forget(&mut self, inode: u64, range: &Range<u64>) {
        let touched: Vec<u64> = self.touched(inode, range).map(|(at, _)| at).collect();
        for at in touched {
            let Some(bytes) = self.take((inode, at)) else { continue };
            let place = |n: u64| {
                usize::try_from(n.saturating_sub(at)).unwrap_or(usize::MAX).min(bytes.len())
            };
            let (left, _) = bytes.split_at(place(range.start));
            let (_, right) = bytes.split_at(place(range.end));
            self.put((inode, at), left.into());
            self.put((inode, range.end), right.into());
        }
    }

    fn put(&mut self, place: Place, bytes: Box<[u8]>) {
        if bytes.is_empty() {
            return;
        }
        self.turn += 1;
        self.size += bytes.len() + EACH;
        self.order.push_back((self.turn, place));
        self.pieces.insert(place, Piece { turn: self.turn, bytes });
    }

    fn take(&mut self, place: Place) -> Option<Box<[u8]>> {
        let piece = self.pieces.remove(&place)?;
        self.size -= piece.bytes.len() + EACH;
        Some(piece.bytes)
    }

    fn stands(&self, turn: u64, place: Place) -> bool {
        self.pieces.get(&place).is_some_and(|piece| piece.turn == turn)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_byte_is_known_as_by_a_map(
            writes in prop::collection::vec((0u64..60, 1usize..20, 0usize..20, any::<u8>()), 0..60),
            asked in 0u64..60, len in 0u64..40,
        ) {
            let (mut before, mut map) = (Before::default(), HashMap::new());
            for (at, len, known, byte) in writes {
                let bytes = vec![byte; known.min(len)];
                let written = at..at + len as u64;
                written.clone().for_each(|at| { map.remove(&at); });
                map.extend((at..).zip(bytes.iter().copied()));
                prop_assert!(before.written(7, &written, &bytes));
                prop_assert!(before.written(9, &(0..100), &[1; 100]), "another file");
            }
            let asked = asked..asked + len;
            let mut known = HashMap::new();
            for (at, bytes) in before.of(7, &asked) {
                prop_assert!(!bytes.is_empty());
                known.extend((at..).zip(bytes.iter().copied()));
            }
            prop_assert_eq!(!known.is_empty(), before.knows(7, &asked));
            map.retain(|at, _| asked.contains(at));
            prop_assert_eq!(known, map);
            prop_assert!(before.order.len() <= 2 * before.pieces.len() + EACH);
            let size = before.pieces.values().map(|piece| piece.bytes.len() + EACH).sum::<usize>();
            prop_assert_eq!(size, before.size);
        }
    }

    #[test]
    fn the_oldest_go_for_what_there_is_no_room_for() {
        let mut before = Before::default();
        let len = (1 << 20) - EACH;
        let write = |n: u64| (n * len as u64)..((n + 1) * len as u64);
        let bytes = vec![1; len];
        assert!((0..64).all(|n| before.written(1, &write(n), &bytes)));
        assert!(before.written(1, &write(0), &bytes), "in the place of what was there");
        assert!(!before.written(1, &write(64), &bytes));
        let known: Vec<bool> = (0..4).map(|n| before.knows(1, &write(n))).collect();
        assert_eq!(known, [true, false, true, true]);
    }
}

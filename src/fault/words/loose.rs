//! What may stand in place of parts of an expression so that it matches at least as much, and is
//! regular: an automaton then tells at once which paths do not match. No locks.

use std::ops::Range;

/// The parts to be replaced.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Loose(Vec<Part>);

/// A part of the expression. Parts are ascending, and none lies within another.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    place: Range<usize>,
    by: &'static str,
}

/// What an assertion matches where it holds.
const NOTHING: &str = "(?:)";

/// What is referred back to may be anything.
const ANYTHING: &str = r"[\x00-\xFF]*";

impl Loose {
    /// An assertion stands there, the last so far; what is within does not count.
    pub(super) fn assertion(&mut self, place: Range<usize>) {
        self.0.retain(|part| part.place.start < place.start);
        self.0.push(Part { place, by: NOTHING });
    }

    /// A reference to a group stands there.
    pub(super) fn reference(&mut self, place: Range<usize>) {
        self.0.push(Part { place, by: ANYTHING });
    }

    /// A repetition stands there, with bounds or without.
    pub(super) fn repetition(&mut self, place: Range<usize>, bounded: bool) {
        match self.0.last_mut() {
            // Anything, so often, is anything.
            Some(last) if last.place.end == place.start && last.by == ANYTHING => {
                last.place.end = place.end;
            }
            _ if bounded => self.0.push(Part { place, by: "*" }),
            _ => {}
        }
    }

    /// The expression with everything replaced.
    pub(super) fn of(&self, regex: &str) -> String {
        let (mut loose, mut end) = (String::new(), 0);
        for Part { place, by } in &self.0 {
            loose.push_str(regex.get(end..place.start).unwrap_or_default());
            loose.push_str(by);
            end = place.end;
        }
        loose.push_str(regex.get(end..).unwrap_or_default());
        loose
    }
}

//! ECMAScript regular expressions, rewritten in the syntax of the `regex` crates.
//!
//! Users write patterns for charybdefs's `std::regex` (ECMAScript grammar over bytes). Where the
//! crates read the same text differently, the rewriting keeps the ECMAScript meaning: `.` is not a
//! line break, `\d \w \s` are ASCII, a brace that starts no repetition is itself, a `[` within a
//! class is itself, `[]` matches nothing and `[^]` anything, an escaped letter without a meaning is
//! that letter. The result is meant for byte mode with Unicode off.

use super::loose::Loose;

/// A pattern in the crates' syntax.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rewritten {
    /// The pattern, not anchored.
    pub(super) regex: String,
    /// Whether it looks around or refers back, which only a backtracking engine can do.
    pub(super) backtracks: bool,
    loose: Loose,
}

impl Rewritten {
    /// A pattern that matches all that it does, and maybe more, and never backtracks.
    pub(super) fn loosened(&self) -> String {
        self.loose.of(&self.regex)
    }
}

/// Rewrites a pattern.
///
/// # Errors
/// What is wrong with it, in one line. Not everything that is: the crates judge the rest.
pub(super) fn rewrite(pattern: &str) -> Result<Rewritten, String> {
    let mut rewriter = Rewriter {
        rest: pattern,
        out: String::new(),
        backtracks: false,
        open: Vec::new(),
        steps: Steps::default(),
        loose: Loose::default(),
    };
    rewriter.run()?;
    if rewriter.backtracks && rewriter.steps.total() > MAX_STEPS {
        return Err("repetitions too large for a pattern that backtracks".into());
    }
    let Rewriter { out: regex, backtracks, loose, .. } = rewriter;
    Ok(Rewritten { regex, backtracks, loose })
}

struct Rewriter<'a> {
    rest: &'a str,
    out: String,
    backtracks: bool,
    /// The groups that are open.
    open: Vec<Open>,
    /// The steps of the innermost open group so far.
    steps: Steps,
    loose: Loose,
}

/// A group that is open.
struct Open {
    /// The steps before it.
    before: Steps,
    /// Where it begins, if it looks around.
    around: Option<usize>,
}

/// How deep groups may nest. The engines recurse over them, up to 36 KiB a group in a debug build,
/// on the stack of whoever sets the fault: so deep a pattern is safe on 2 MiB.
const MAX_NEST: usize = 30;

/// How many steps a backtracking engine may take straight ahead through a pattern. It has a limit
/// on going back, but none on going forward, and `()((\1{1000}){1000}){1000}` is a minute's way.
const MAX_STEPS: u64 = 2_000;

/// Steps straight ahead, with those of the last atom apart, which a repetition multiplies.
#[derive(Default)]
struct Steps {
    before: u64,
    last: u64,
}

impl Steps {
    fn total(&self) -> u64 {
        self.before.saturating_add(self.last)
    }

    fn atom(&mut self, steps: u64) {
        self.before = self.total();
        self.last = steps;
    }
}

/// What one escape or one place of a class stands for.
enum Atom {
    /// A character of the pattern.
    Char(char),
    /// A byte given by number.
    Byte(u8),
    /// A set of bytes, as a class that may stand alone or within another.
    Set(&'static str),
}

impl Rewriter<'_> {
    fn run(&mut self) -> Result<(), String> {
        while let Some(c) = self.next() {
            if !"()*+?{".contains(c) {
                self.steps.atom(1);
            }
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '.' => self.out.push_str(r"[^\n\r]"),
                '(' => self.group()?,
                ')' => {
                    let open = self.open.pop().ok_or("unopened group")?;
                    let inside = std::mem::replace(&mut self.steps, open.before).total();
                    self.steps.atom(inside.saturating_add(1));
                    self.out.push(c);
                    if let Some(begin) = open.around {
                        self.loose.assertion(begin..self.out.len());
                    }
                }
                '|' => self.out.push(c),
                '^' | '$' => self.assertion(c.encode_utf8(&mut [0; 4])),
                '*' | '+' | '?' => self.repetition(&c.to_string())?,
                '{' => match bounds(self.rest) {
                    Some((bounds, rest)) => {
                        self.rest = rest;
                        let most = bounds.rsplit(',').find_map(|n| n.parse().ok());
                        self.steps.last = self.steps.last.saturating_mul(most.unwrap_or(u64::MAX));
                        self.repetition(&format!("{{{bounds}}}"))?;
                    }
                    None => self.push(&Atom::Char(c)),
                },
                c if c.is_ascii() => self.push(&Atom::Char(c)),
                c => {
                    // Several bytes, but a repetition that follows means the character.
                    self.out.push_str("(?:");
                    self.push(&Atom::Char(c));
                    self.out.push(')');
                }
            }
        }
        if self.open.is_empty() { Ok(()) } else { Err("unclosed group".into()) }
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        c
    }

    fn skip(&mut self, prefix: &str) -> bool {
        let after = self.rest.strip_prefix(prefix);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    /// Writes what matches nothing but where it holds.
    fn assertion(&mut self, text: &str) {
        let begin = self.out.len();
        self.out.push_str(text);
        self.loose.assertion(begin..self.out.len());
    }

    /// Writes a repetition and its lazy mark. One more repetition after it would repeat nothing;
    /// the crates would take some of those as possessive.
    fn repetition(&mut self, text: &str) -> Result<(), String> {
        let begin = self.out.len();
        self.out.push_str(text);
        if self.skip("?") {
            self.out.push('?');
        }
        self.loose.repetition(begin..self.out.len(), text.starts_with('{'));
        let again = self.rest.starts_with(['*', '+', '?'])
            || self.rest.strip_prefix('{').and_then(bounds).is_some();
        if again { Err("a repetition of a repetition".into()) } else { Ok(()) }
    }

    /// The opening of a group; the parenthesis is consumed.
    fn group(&mut self) -> Result<(), String> {
        if self.open.len() == MAX_NEST {
            return Err(format!("groups nested deeper than {MAX_NEST}"));
        }
        let before = std::mem::take(&mut self.steps);
        let mut open = Open { before, around: None };
        let opening = if !self.rest.starts_with('?') {
            "("
        } else if self.skip("?:") {
            "(?:"
        } else {
            let around = ["?=", "?!", "?<=", "?<!"].into_iter().find(|mark| self.skip(mark));
            match around {
                Some(mark) => {
                    self.backtracks = true;
                    open.around = Some(self.out.len());
                    self.out.push('(');
                    mark
                }
                None if self.skip("?<") => "(?<",
                None => return Err("a group that is none of (, (?:, (?=, (?!, (?<=, (?<!".into()),
            }
        };
        self.open.push(open);
        self.out.push_str(opening);
        if opening == "(?<" {
            let name = self.name()?;
            self.out.push_str(&name);
        }
        Ok(())
    }

    /// The rest of a group's name, with the bracket that closes it.
    fn name(&mut self) -> Result<String, String> {
        let (name, rest) = self.rest.split_once('>').ok_or("a group name without end")?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err("a group name that is not letters, digits and _".into());
        }
        self.rest = rest;
        Ok(format!("{name}>"))
    }

    /// What follows a backslash outside a class.
    fn escape(&mut self) -> Result<(), String> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && !self.rest.starts_with('0') {
            let (number, rest) = self.rest.split_at(digits);
            self.rest = rest;
            self.reference(&format!(r"\{number}"));
        } else if self.skip("k<") {
            let name = self.name()?;
            self.reference(&format!(r"\k<{name}"));
        } else if self.skip("b") {
            self.assertion(r"\b");
        } else if self.skip("B") {
            self.assertion(r"\B");
        } else {
            let atom = self.escaped()?;
            self.push(&atom);
        }
        Ok(())
    }

    /// Writes what refers back.
    fn reference(&mut self, text: &str) {
        self.backtracks = true;
        let begin = self.out.len();
        self.out.push_str(text);
        self.loose.reference(begin..self.out.len());
    }

    /// What follows a backslash and means the same within a class and outside.
    fn escaped(&mut self) -> Result<Atom, String> {
        let c = self.next().ok_or("a backslash at the end")?;
        Ok(match c {
            'd' => Atom::Set("[0-9]"),
            'D' => Atom::Set("[^0-9]"),
            'w' => Atom::Set("[0-9A-Za-z_]"),
            'W' => Atom::Set("[^0-9A-Za-z_]"),
            's' => Atom::Set(r"[\x09-\x0D\x20]"),
            'S' => Atom::Set(r"[^\x09-\x0D\x20]"),
            't' => Atom::Byte(b'\t'),
            'n' => Atom::Byte(b'\n'),
            'v' => Atom::Byte(0x0b),
            'f' => Atom::Byte(0x0c),
            'r' => Atom::Byte(b'\r'),
            '0' if !self.rest.starts_with(|c: char| c.is_ascii_digit()) => Atom::Byte(0),
            '0'..='9' => return Err("an octal escape".into()),
            'c' if self.rest.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                Atom::Byte(self.next().map_or(0, |letter| letter as u8 % 32))
            }
            'x' => match self.hex(2) {
                Some(code) => Atom::Byte(u8::try_from(code).unwrap_or(u8::MAX)),
                None => Atom::Char(c),
            },
            'u' => match self.hex(4) {
                Some(code) => Atom::Char(char::from_u32(code).ok_or("half a surrogate pair")?),
                None => Atom::Char(c),
            },
            c => Atom::Char(c),
        })
    }

    /// Exactly so many hexadecimal digits, if they follow.
    fn hex(&mut self, digits: usize) -> Option<u32> {
        let (number, rest) = self.rest.split_at_checked(digits)?;
        if !number.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        self.rest = rest;
        u32::from_str_radix(number, 16).ok()
    }

    /// A class; its opening bracket is consumed.
    fn class(&mut self) -> Result<(), String> {
        let negated = self.skip("^");
        if self.skip("]") {
            self.out.push_str(if negated { r"[\x00-\xFF]" } else { r"[^\x00-\xFF]" });
            return Ok(());
        }
        self.out.push_str(if negated { "[^" } else { "[" });
        while !self.skip("]") {
            let first = self.class_atom()?;
            let ranges = self.rest.starts_with('-') && !self.rest.starts_with("-]");
            self.push(&first);
            if ranges && !matches!(first, Atom::Set(_)) {
                self.skip("-");
                let last = self.class_atom()?;
                // A range cannot end in a set: then the dash is itself.
                self.out.push_str(if matches!(last, Atom::Set(_)) { r"\x2D" } else { "-" });
                self.push(&last);
            }
        }
        self.out.push(']');
        Ok(())
    }

    fn class_atom(&mut self) -> Result<Atom, String> {
        if let Some(set) = POSIX.iter().find(|set| self.skip(set)) {
            return Ok(Atom::Set(set));
        }
        match self.next().ok_or("unclosed class")? {
            '\\' if self.skip("b") => Ok(Atom::Byte(0x08)),
            '\\' => self.escaped(),
            c => Ok(Atom::Char(c)),
        }
    }

    /// Writes what stands for itself, inside a class or outside.
    fn push(&mut self, atom: &Atom) {
        match atom {
            Atom::Set(set) => self.out.push_str(set),
            Atom::Byte(byte) => self.byte(*byte),
            Atom::Char(c) => c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| self.byte(byte)),
        }
    }

    fn byte(&mut self, byte: u8) {
        if byte.is_ascii_alphanumeric() || b"/_".contains(&byte) {
            self.out.push(char::from(byte));
        } else {
            self.out.push_str(&format!(r"\x{byte:02X}"));
        }
    }
}

/// The named classes of `std::regex`; only `[: :]` within brackets starts one.
const POSIX: [&str; 12] = [
    "[:alnum:]",
    "[:alpha:]",
    "[:blank:]",
    "[:cntrl:]",
    "[:digit:]",
    "[:graph:]",
    "[:lower:]",
    "[:print:]",
    "[:punct:]",
    "[:space:]",
    "[:upper:]",
    "[:xdigit:]",
];

/// What stands in a repetition's braces, and the text after them; `None` if `text` (which follows
/// an opening brace) is no repetition.
fn bounds(text: &str) -> Option<(&str, &str)> {
    let (inside, rest) = text.split_once('}')?;
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    (!least.is_empty() && number(least) && number(most)).then_some((inside, rest))
}

#[cfg(test)]
mod tests;

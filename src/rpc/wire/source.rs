//! The bytes of messages below the protocol: framed or not, and within what one may cost. No locks.

use std::io::{self, BufRead, BufReader, Read};

use super::reader::ReadError;

/// The high byte of a strict message's first word.
const STRICT: u8 = 0x80;

/// How the text of an error begins that is about the message and not about the connection.
pub(super) const OVER_LIMIT: &str = "the message ";

fn over_limit(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{OVER_LIMIT}{what}"))
}

/// The stream below the protocol: tells framed from unframed, and keeps the budget.
#[derive(Debug)]
pub(super) struct Source<R> {
    stream: BufReader<R>,
    framed: Option<bool>,
    /// Bytes taken from the stream to tell framed from unframed, not yet delivered.
    head: Head,
    /// What one message may cost.
    limit: usize,
    /// What is left of that for the current one.
    budget: usize,
    /// What is left of the current frame.
    frame: Option<usize>,
}

#[derive(Debug, Default)]
struct Head {
    bytes: [u8; 5],
    start: usize,
    end: usize,
}

impl<R: Read> Source<R> {
    /// One whose messages may cost so much each.
    pub(super) fn new(stream: R, limit: usize) -> Source<R> {
        Source {
            stream: BufReader::with_capacity(4096, stream),
            framed: None,
            head: Head::default(),
            limit,
            budget: 0,
            frame: None,
        }
    }

    /// Whether the peer frames its messages; told by its first one.
    pub(super) fn framed(&self) -> bool {
        self.framed == Some(true)
    }

    /// False if the stream has ended. Unframed strict begins with 0x80 itself; else the fifth
    /// byte tells: 0x80 begins a strict message inside a frame, 0x00 the length of a non-strict
    /// message's name inside a frame, and a letter is the name of an unframed non-strict one.
    pub(super) fn start_message(&mut self) -> Result<bool, ReadError> {
        self.budget = self.limit;
        while self.stream.buffer().is_empty() {
            match self.stream.fill_buf() {
                Ok([]) => return Ok(false),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        if self.framed == Some(false) {
            return Ok(true);
        }
        let mut word = [0; 4];
        self.stream.read_exact(&mut word)?;
        let [high, ..] = word;
        if self.framed.is_none() {
            let mut fifth = [0];
            if high != STRICT {
                self.stream.read_exact(&mut fifth)?;
            }
            let framed = high != STRICT && matches!(fifth, [STRICT | 0]);
            self.framed = Some(framed);
            let [a, b, c, d] = word;
            self.head = Head {
                bytes: [a, b, c, d, fifth[0]],
                start: if framed { 4 } else { 0 },
                end: if high == STRICT { 4 } else { 5 },
            };
            if !framed {
                return Ok(true);
            }
        }
        let length = u32::from_be_bytes(word) as usize;
        if length > self.budget {
            let reason = format!("{OVER_LIMIT}claims a frame of {length} bytes");
            return Err(ReadError::Bad { reason, call: None });
        }
        self.frame = Some(length);
        Ok(true)
    }

    /// Skips what the frame holds beyond its message.
    pub(super) fn end_message(&mut self) -> Result<(), ReadError> {
        if let Some(rest) = self.frame.take() {
            let rest = rest as u64;
            let skipped = io::copy(&mut self.stream.by_ref().take(rest), &mut io::sink())?;
            if skipped < rest {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
        Ok(())
    }

    fn too_large(&self) -> io::Error {
        over_limit(format_args!("is larger than the {} bytes taken here", self.limit))
    }

    pub(super) fn charge(&mut self, bytes: usize) -> io::Result<()> {
        self.budget = self.budget.checked_sub(bytes).ok_or_else(|| self.too_large())?;
        Ok(())
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let room = out.len().min(self.frame.unwrap_or(usize::MAX)).min(self.budget);
        if room == 0 && !out.is_empty() {
            return Err(match self.frame {
                Some(0) => over_limit("is longer than its frame"),
                _ => self.too_large(),
            });
        }
        let out = out.get_mut(..room).unwrap_or_default();
        let head = self.head.bytes.get(self.head.start..self.head.end).unwrap_or_default();
        let n = if head.is_empty() { self.stream.read(out)? } else { (&*head).read(out)? };
        if self.head.start < self.head.end {
            self.head.start += n;
        }
        if let Some(left) = &mut self.frame {
            *left -= n;
        }
        self.budget -= n;
        Ok(n)
    }
}

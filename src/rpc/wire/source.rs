//! The bytes of messages below the protocol: framed or not, and within what one may cost. No locks.

use std::io::{self, BufRead, BufReader, Read};

use super::error::{BadMessage, ReadError};

/// The high byte of a strict message's first word.
const STRICT: u8 = 0x80;

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
    /// What is left of the memory for what is kept of it.
    memory: usize,
    /// What is left of the current frame.
    frame: Option<usize>,
    /// Why a read was refused: the protocol above keeps only the text of an I/O error.
    refused: Option<BadMessage>,
}

#[derive(Debug, Default)]
struct Head {
    bytes: [u8; 5],
    start: usize,
    end: usize,
}

/// What may be kept in memory of a message that may have so many bytes: a number takes ten times what
/// it takes on the wire, strings as much.
fn memory(message: usize) -> usize {
    message.saturating_mul(8)
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
            memory: 0,
            frame: None,
            refused: None,
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
        self.memory = memory(self.limit);
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
            return Err(ReadError::Bad { reason: BadMessage::Frame(length), call: None });
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

    /// Takes that much of the memory for what is kept of the message.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), BadMessage> {
        let left = self.memory.checked_sub(bytes);
        self.memory = left.ok_or(BadMessage::Memory(memory(self.limit)))?;
        Ok(())
    }

    /// Why the last read was refused, if it was.
    pub(super) fn refused(&mut self) -> Option<BadMessage> {
        self.refused.take()
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let room = out.len().min(self.frame.unwrap_or(usize::MAX)).min(self.budget);
        if room == 0 && !out.is_empty() {
            let reason = match self.frame {
                Some(0) => BadMessage::LongerThanFrame,
                _ => BadMessage::Size(self.limit),
            };
            self.refused = Some(reason.clone());
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
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

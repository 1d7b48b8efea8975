//! Thrift messages as they stand on the wire: the binary protocol, strict or not, framed or not,
//! read into generic values and written from them.
//!
//! It owns the limits. Invariant: reading one message never takes more memory than its limits
//! say, whatever lengths the peer claims; every byte read and every value kept is charged to one
//! budget. No knowledge of any call is here. No locks.

use std::io::{self, BufRead, BufReader, Read};
use std::mem;

use thrift::protocol::{
    TBinaryInputProtocol, TBinaryOutputProtocol, TFieldIdentifier, TInputProtocol, TListIdentifier,
    TMapIdentifier, TMessageIdentifier, TMessageType, TOutputProtocol, TStructIdentifier, TType,
};
use thrift::{ProtocolErrorKind, TConfiguration, TransportErrorKind};

/// How deep structs and containers may nest.
const MAX_DEPTH: usize = 16;

/// The high byte of a strict message's first word.
const STRICT: u8 = 0x80;

/// What one message may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of the message, and of memory for the values kept from it.
    pub(super) message: usize,
    /// Bytes of one string.
    pub(super) string: usize,
    /// Entries of one container.
    pub(super) container: usize,
}

impl Limits {
    /// What a client may send.
    pub(super) const REQUEST: Limits =
        Limits { message: 256 * 1024, string: 256 * 1024, container: 1_000 };
    /// What a server may answer: a listing of very many faults.
    pub(super) const REPLY: Limits =
        Limits { message: 64 * 1024 * 1024, string: 1024 * 1024, container: 100_000 };
}

/// A value of any Thrift type. Sets are read as lists, UUIDs as their 16 bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    Double(f64),
    Bytes(Vec<u8>),
    Struct(Fields),
    List(TType, Vec<Value>),
    Map(TType, TType, Vec<(Value, Value)>),
}

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Value {
        Value::Bytes(text.into().into_bytes())
    }

    pub(super) fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Value {
        Value::List(TType::String, texts.into_iter().map(Value::text).collect())
    }

    pub(super) fn ttype(&self) -> TType {
        match self {
            Value::Bool(_) => TType::Bool,
            Value::I8(_) => TType::I08,
            Value::I16(_) => TType::I16,
            Value::I32(_) => TType::I32,
            Value::I64(_) => TType::I64,
            Value::Double(_) => TType::Double,
            Value::Bytes(_) => TType::String,
            Value::Struct(_) => TType::Struct,
            Value::List(..) => TType::List,
            Value::Map(..) => TType::Map,
        }
    }

    /// An integer of any width.
    pub(super) fn as_int(&self) -> Option<i64> {
        match self {
            Value::I8(n) => Some((*n).into()),
            Value::I16(n) => Some((*n).into()),
            Value::I32(n) => Some((*n).into()),
            Value::I64(n) => Some(*n),
            _ => None,
        }
    }

    pub(super) fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(b) = self { Some(*b) } else { None }
    }

    pub(super) fn as_double(&self) -> Option<f64> {
        if let Value::Double(d) = self { Some(*d) } else { None }
    }

    pub(super) fn as_bytes(&self) -> Option<&[u8]> {
        if let Value::Bytes(b) = self { Some(b) } else { None }
    }

    pub(super) fn as_fields(&self) -> Option<&Fields> {
        if let Value::Struct(f) = self { Some(f) } else { None }
    }

    pub(super) fn as_list(&self) -> Option<&[Value]> {
        if let Value::List(_, list) = self { Some(list) } else { None }
    }
}

/// The fields of a struct in the order in which they stand on the wire.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fields(pub(super) Vec<(i16, Value)>);

impl Fields {
    /// The field of that id; of several, the last, as in Thrift's own readers.
    pub(super) fn get(&self, id: i16) -> Option<&Value> {
        self.0.iter().rev().find(|(i, _)| *i == id).map(|(_, value)| value)
    }

    /// Appends a field.
    pub(super) fn with(mut self, id: i16, value: Value) -> Fields {
        self.0.push((id, value));
        self
    }
}

/// One message: a call, a reply or an exception.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    pub(super) name: String,
    pub(super) kind: TMessageType,
    pub(super) seq: i32,
    pub(super) body: Fields,
}

/// Why no message could be read. The stream is then no longer at a message's start.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The connection failed or ended inside a message.
    Lost(TransportErrorKind, String),
    /// The bytes are no message, or one beyond the limits. The call is known if its header was.
    Bad { reason: String, call: Option<(String, i32)> },
}

/// Messages from a byte stream.
#[derive(Debug)]
pub(super) struct MessageReader<R> {
    source: Source<R>,
    config: TConfiguration,
}

impl<R: Read> MessageReader<R> {
    pub(super) fn new(stream: R, limits: Limits) -> MessageReader<R> {
        let config = TConfiguration::builder()
            .max_frame_size(Some(limits.message))
            .max_message_size(Some(limits.message))
            .max_recursion_depth(Some(MAX_DEPTH))
            .max_container_size(Some(limits.container))
            .max_string_size(Some(limits.string))
            .build()
            .unwrap_or_default();
        let stream = BufReader::with_capacity(4096, stream);
        let source = Source {
            stream,
            framed: None,
            head: Head::default(),
            limit: limits.message,
            budget: 0,
            frame: None,
        };
        MessageReader { source, config }
    }

    /// Whether the peer frames its messages; told by its first one.
    pub(super) fn framed(&self) -> bool {
        self.source.framed == Some(true)
    }

    /// The next message, or none if the peer has closed between two messages.
    pub(super) fn read(&mut self) -> Result<Option<Message>, ReadError> {
        self.source.budget = self.source.limit;
        if !self.source.start_message()? {
            return Ok(None);
        }
        let config = self.config.clone();
        let mut input = TBinaryInputProtocol::with_config(&mut self.source, false, config);
        let header = input.read_message_begin().map_err(|e| read_error(e, None))?;
        let call = (header.name, header.sequence_number);
        let body = match read_struct(&mut input, 0) {
            Ok(body) => body,
            Err(e) => return Err(read_error(e, Some(call))),
        };
        let (name, seq) = call;
        self.source.end_message()?;
        Ok(Some(Message { name, kind: header.message_type, seq, body }))
    }
}

fn read_error(error: thrift::Error, call: Option<(String, i32)>) -> ReadError {
    match error {
        thrift::Error::Transport(e) if e.message.starts_with(OVER_LIMIT) => {
            ReadError::Bad { reason: e.message, call }
        }
        thrift::Error::Transport(e) => ReadError::Lost(e.kind, e.message),
        thrift::Error::Protocol(e) => ReadError::Bad { reason: e.message, call },
        other => ReadError::Bad { reason: other.to_string(), call },
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        read_error(error.into(), None)
    }
}

/// How the text of an error begins that is about the message and not about the connection.
const OVER_LIMIT: &str = "the message ";

fn over_limit(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{OVER_LIMIT}{what}"))
}

/// The stream below the protocol: tells framed from unframed, and keeps the budget.
#[derive(Debug)]
struct Source<R> {
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
    /// False if the stream has ended. Unframed strict begins with 0x80 itself; else the fifth
    /// byte tells: 0x80 begins a strict message inside a frame, 0x00 the length of a non-strict
    /// message's name inside a frame, and a letter is the name of an unframed non-strict one.
    fn start_message(&mut self) -> Result<bool, ReadError> {
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
    fn end_message(&mut self) -> Result<(), ReadError> {
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

    fn charge(&mut self, bytes: usize) -> io::Result<()> {
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

type Input<'a, R> = TBinaryInputProtocol<&'a mut Source<R>>;

fn read_struct<R: Read>(input: &mut Input<'_, R>, depth: usize) -> thrift::Result<Fields> {
    let mut fields = Vec::new();
    loop {
        let field = input.read_field_begin()?;
        if field.field_type == TType::Stop {
            return Ok(Fields(fields));
        }
        input.transport.charge(mem::size_of::<(i16, Value)>())?;
        let value = read_value(input, field.field_type, depth)?;
        fields.push((field.id.unwrap_or_default(), value));
    }
}

fn read_value<R: Read>(
    input: &mut Input<'_, R>,
    ttype: TType,
    depth: usize,
) -> thrift::Result<Value> {
    if depth >= MAX_DEPTH {
        return Err(bad(format!("the message nests deeper than {MAX_DEPTH}")));
    }
    Ok(match ttype {
        TType::Bool => Value::Bool(input.read_bool()?),
        TType::I08 => Value::I8(input.read_i8()?),
        TType::I16 => Value::I16(input.read_i16()?),
        TType::I32 => Value::I32(input.read_i32()?),
        TType::I64 => Value::I64(input.read_i64()?),
        TType::Double => Value::Double(input.read_double()?),
        TType::String | TType::Utf7 => Value::Bytes(input.read_bytes()?),
        TType::Uuid => Value::Bytes(input.read_uuid()?.into_bytes().to_vec()),
        TType::Struct => Value::Struct(read_struct(input, depth + 1)?),
        TType::List => {
            let list = input.read_list_begin()?;
            read_list(input, list.element_type, list.size, depth)?
        }
        TType::Set => {
            let set = input.read_set_begin()?;
            read_list(input, set.element_type, set.size, depth)?
        }
        TType::Map => read_map(input, depth)?,
        TType::Stop | TType::Void => return Err(bad(format!("a value of type {ttype}"))),
    })
}

/// The type that a value of this type has once read.
fn kept_as(read: TType) -> TType {
    match read {
        TType::Uuid | TType::Utf7 => TType::String,
        TType::Set => TType::List,
        other => other,
    }
}

/// Room grows with what arrives, never by what is claimed.
fn read_list<R: Read>(
    input: &mut Input<'_, R>,
    element: TType,
    size: i32,
    depth: usize,
) -> thrift::Result<Value> {
    let mut list = Vec::new();
    for _ in 0..size {
        input.transport.charge(mem::size_of::<Value>())?;
        list.push(read_value(input, element, depth + 1)?);
    }
    Ok(Value::List(kept_as(element), list))
}

fn read_map<R: Read>(input: &mut Input<'_, R>, depth: usize) -> thrift::Result<Value> {
    let map = input.read_map_begin()?;
    let key = map.key_type.unwrap_or(TType::Stop);
    let value = map.value_type.unwrap_or(TType::Stop);
    let mut entries = Vec::new();
    for _ in 0..map.size {
        input.transport.charge(mem::size_of::<(Value, Value)>())?;
        entries.push((read_value(input, key, depth + 1)?, read_value(input, value, depth + 1)?));
    }
    Ok(Value::Map(kept_as(key), kept_as(value), entries))
}

fn bad(reason: String) -> thrift::Error {
    thrift::new_protocol_error(ProtocolErrorKind::InvalidData, reason)
}

/// The bytes of a message, strict, in a frame if asked.
pub(super) fn encode(message: &Message, framed: bool) -> thrift::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if framed {
        bytes.extend([0; 4]);
    }
    let mut output = TBinaryOutputProtocol::new(&mut bytes, true);
    let name = message.name.as_str();
    output.write_message_begin(&TMessageIdentifier::new(name, message.kind, message.seq))?;
    write_struct(&mut output, &message.body)?;
    output.write_message_end()?;
    if framed {
        let length = u32::try_from(bytes.len().saturating_sub(4)).unwrap_or(u32::MAX);
        for (place, byte) in bytes.iter_mut().zip(length.to_be_bytes()) {
            *place = byte;
        }
    }
    Ok(bytes)
}

fn write_struct(output: &mut dyn TOutputProtocol, fields: &Fields) -> thrift::Result<()> {
    output.write_struct_begin(&TStructIdentifier::new(""))?;
    for (id, value) in &fields.0 {
        let field = TFieldIdentifier::new::<Option<String>, String, i16>(None, value.ttype(), *id);
        output.write_field_begin(&field)?;
        write_value(output, value)?;
        output.write_field_end()?;
    }
    output.write_field_stop()?;
    output.write_struct_end()
}

fn write_value(output: &mut dyn TOutputProtocol, value: &Value) -> thrift::Result<()> {
    match value {
        Value::Bool(b) => output.write_bool(*b),
        Value::I8(n) => output.write_i8(*n),
        Value::I16(n) => output.write_i16(*n),
        Value::I32(n) => output.write_i32(*n),
        Value::I64(n) => output.write_i64(*n),
        Value::Double(d) => output.write_double(*d),
        Value::Bytes(b) => output.write_bytes(b),
        Value::Struct(fields) => write_struct(output, fields),
        Value::List(element, list) => {
            output.write_list_begin(&TListIdentifier::new(*element, size(list.len())))?;
            list.iter().try_for_each(|v| write_value(output, v))
        }
        Value::Map(key, value, entries) => {
            output.write_map_begin(&TMapIdentifier::new(*key, *value, size(entries.len())))?;
            entries.iter().try_for_each(|(k, v)| {
                write_value(output, k)?;
                write_value(output, v)
            })
        }
    }
}

fn size(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// A name from outside, fit for a line of text.
pub(super) fn printable(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}

/// An I/O error's text without the ` (os error N)` that Rust appends.
pub(super) fn os_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" (os error ") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A frame captured from a real client, by its name in tests/golden/frames.txt.
    pub(in crate::rpc) fn golden(name: &str) -> Vec<u8> {
        let frames = include_str!("../../tests/golden/frames.txt");
        let line = frames.lines().find_map(|l| l.strip_prefix(&format!("{name} ")));
        let hex = line.unwrap_or_else(|| panic!("no golden frame {name}"));
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    }

    /// Every frame of tests/golden/frames.txt.
    pub(in crate::rpc) fn frames() -> Vec<Vec<u8>> {
        let frames = include_str!("../../tests/golden/frames.txt").lines();
        frames.map(|line| golden(line.split_once(' ').unwrap().0)).collect()
    }

    fn reader(bytes: &[u8]) -> MessageReader<&[u8]> {
        MessageReader::new(bytes, Limits::REQUEST)
    }

    pub(in crate::rpc) fn read_one(bytes: &[u8]) -> Message {
        reader(bytes).read().unwrap().unwrap()
    }

    /// Gives one byte per read, as the slowest network may.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = out.len().min(1);
            self.0.read(&mut out[..n])
        }
    }

    #[test]
    fn all_four_framings_of_a_real_call_read_alike() {
        let plain = read_one(&golden("set_fault"));
        assert_eq!(
            (plain.name.as_str(), plain.kind, plain.seq),
            ("set_fault", TMessageType::Call, 0)
        );
        assert_eq!(plain.body.get(-4), Some(&Value::I32(1000)));
        assert_eq!(plain.body.get(-5), Some(&Value::text("(^|.*/)member/wal/.*")));
        for (name, framed) in [
            ("set_fault", false),
            ("set_fault_non_strict", false),
            ("set_fault_framed", true),
            ("set_fault_framed_non_strict", true),
        ] {
            let mut bytes = golden(name);
            bytes.extend(golden(name));
            let mut whole = reader(&bytes);
            let mut trickled = MessageReader::new(Trickle(&bytes), Limits::REQUEST);
            for _ in 0..2 {
                assert_eq!(whole.read().unwrap().unwrap(), plain, "{name}");
                assert_eq!(trickled.read().unwrap().unwrap(), plain, "{name}, a byte at a time");
            }
            assert_eq!(whole.framed(), framed, "{name}");
            assert!(whole.read().unwrap().is_none());
            assert!(trickled.read().unwrap().is_none());
        }
    }

    #[test]
    fn a_message_cut_anywhere_is_lost_never_misread() {
        for name in ["set_fault", "set_fault_framed", "set_fault_framed_non_strict"] {
            let bytes = golden(name);
            for cut in 1..bytes.len() {
                match reader(&bytes[..cut]).read() {
                    Err(ReadError::Lost(TransportErrorKind::EndOfFile, _)) => {}
                    other => panic!("{name} cut at {cut}: {other:?}"),
                }
            }
        }
    }

    fn reason(bytes: &[u8]) -> (String, Option<String>) {
        match reader(bytes).read() {
            Err(ReadError::Bad { reason, call }) => (reason, call.map(|(name, _)| name)),
            other => panic!("{other:?}"),
        }
    }

    /// A set_fault call whose body is these bytes.
    fn with_body(body: &[u8]) -> Vec<u8> {
        let mut bytes = golden("set_fault")[..21].to_vec();
        bytes.extend(body);
        bytes
    }

    #[test]
    fn claimed_lengths_are_refused_before_any_room_is_made() {
        let two_billion = with_body(b"\x0f\xff\xff\x0b\x77\x35\x94\x00");
        let (text, call) = reason(&two_billion);
        assert!(text.contains("2000000000"), "{text}");
        assert_eq!(call.as_deref(), Some("set_fault"));
        let huge_string = with_body(b"\x0b\xff\xfb\x7f\xff\xff\xff");
        assert!(reason(&huge_string).0.contains("2147483647"));
        let huge_map = with_body(b"\x0d\x00\x63\x08\x08\x77\x35\x94\x00");
        assert!(reason(&huge_map).0.contains("2000000000"));
        let negative = with_body(b"\x0f\xff\xff\x0b\xff\xff\xff\xff");
        assert!(reason(&negative).0.contains("Negative"));
        let (text, call) = reason(b"\x7f\xff\xff\xff\x80\x01\x00\x01");
        assert!(text.contains("claims a frame of 2147483647 bytes"), "{text}");
        assert_eq!(call, None);
    }

    #[test]
    fn what_is_read_as_another_type_is_written_as_that() {
        let uuids = with_body(b"\x0f\x00\x01\x10\x00\x00\x00\x01sixteen bytes.16\x00");
        let set = with_body(
            b"\x0d\x00\x01\x0e\x10\x00\x00\x00\x01\x02\x00\x00\x00\x00sixteen bytes.16\x00",
        );
        for bytes in [uuids, set] {
            let message = read_one(&bytes);
            assert_eq!(read_one(&encode(&message, false).unwrap()), message);
        }
    }

    #[test]
    fn a_message_of_many_small_values_is_bounded_too() {
        let mut body = Vec::new();
        for _ in 0..20_000 {
            body.extend(b"\x02\x00\x63\x01");
        }
        assert!(reason(&with_body(&body)).0.contains("larger than the 262144 bytes"));
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = with_body(&b"\x0c\x00\x01".repeat(10_000));
        assert!(reason(&deep).0.contains("nests deeper than 16"));
        let mut lists = b"\x0f\x00\x01".to_vec();
        lists.extend(b"\x0f\x00\x00\x00\x01".repeat(10_000));
        assert!(reason(&with_body(&lists)).0.contains("nests deeper than 16"));
    }

    #[test]
    fn a_web_browser_is_told_apart() {
        let (text, call) = reason(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(text.contains("exceeds maximum"), "{text}");
        assert_eq!(call, None);
    }

    #[test]
    fn bytes_after_the_message_stay_within_its_frame() {
        let mut bytes = golden("set_fault_framed");
        let length = u32::from_be_bytes(bytes[..4].try_into().unwrap()) + 3;
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        bytes.extend(b"xyz");
        bytes.extend(golden("set_fault_framed"));
        let mut reader = reader(&bytes);
        assert_eq!(reader.read().unwrap().unwrap().name, "set_fault");
        assert_eq!(reader.read().unwrap().unwrap().name, "set_fault");
    }

    #[test]
    fn a_message_longer_than_its_frame_is_refused() {
        let mut bytes = golden("set_fault_framed");
        bytes[3] -= 5;
        assert!(reason(&bytes).0.contains("longer than its frame"));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            any::<i8>().prop_map(Value::I8),
            any::<i16>().prop_map(Value::I16),
            any::<i32>().prop_map(Value::I32),
            any::<i64>().prop_map(Value::I64),
            (-1e300..1e300).prop_map(Value::Double),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let fields = prop::collection::vec((any::<i16>(), inner.clone()), 0..5);
            prop_oneof![
                fields.prop_map(|f| Value::Struct(Fields(f))),
                (inner.clone(), 0..4usize).prop_map(|(v, n)| Value::List(v.ttype(), vec![v; n])),
                (inner.clone(), inner, 0..3usize).prop_map(|(k, v, n)| Value::Map(
                    k.ttype(),
                    v.ttype(),
                    vec![(k, v); n]
                )),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            name in "[a-z_]{1,20}",
            seq: i32,
            body in prop::collection::vec((any::<i16>(), value()), 0..6),
            framed: bool,
        ) {
            let message = Message { name, kind: TMessageType::Call, seq, body: Fields(body) };
            let bytes = encode(&message, framed).unwrap();
            let mut reader = MessageReader::new(Trickle(&bytes), Limits::REQUEST);
            prop_assert_eq!(reader.read().unwrap().unwrap(), message);
            prop_assert_eq!(reader.framed(), framed);
        }

        #[test]
        fn garbage_is_refused_or_read_never_worse(
            garbage in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let _ = reader(&garbage).read();
            let _ = reader(&with_body(&garbage)).read();
        }

        #[test]
        fn a_damaged_call_is_refused_or_read_never_worse(at in 0..124usize, byte: u8) {
            for name in ["set_fault", "set_fault_framed"] {
                let mut bytes = golden(name);
                bytes[at] = byte;
                let _ = reader(&bytes).read();
            }
        }
    }
}

//! Messages from a stream of bytes, into generic values. No locks.

use std::io::Read;
use std::mem;

use thrift::TConfiguration;
use thrift::protocol::{TBinaryInputProtocol, TInputProtocol, TType};

use super::error::{BadMessage, ReadError, Stop};
use super::source::Source;
use super::value::{Fields, Value};
use super::{Limits, MAX_DEPTH, Message};

/// Messages from a byte stream.
#[derive(Debug)]
pub(in crate::rpc) struct MessageReader<R> {
    source: Source<R>,
    config: TConfiguration,
}

impl<R: Read> MessageReader<R> {
    pub(in crate::rpc) fn new(stream: R, limits: Limits) -> MessageReader<R> {
        let config = TConfiguration::builder()
            .max_frame_size(Some(limits.message))
            .max_message_size(Some(limits.message))
            .max_recursion_depth(Some(MAX_DEPTH))
            .max_container_size(Some(limits.container))
            .max_string_size(Some(limits.string))
            .build()
            .unwrap_or_default();
        let source = Source::new(stream, limits.message);
        MessageReader { source, config }
    }

    /// Whether the peer frames its messages; told by its first one.
    pub(in crate::rpc) fn framed(&self) -> bool {
        self.source.framed()
    }

    /// The next message, or none if the peer has closed between two messages.
    pub(in crate::rpc) fn read(&mut self) -> Result<Option<Message>, ReadError> {
        if !self.source.start_message()? {
            return Ok(None);
        }
        let config = self.config.clone();
        let mut input = TBinaryInputProtocol::with_config(&mut self.source, false, config);
        let header = match input.read_message_begin() {
            Ok(header) => header,
            Err(e) => return Err(self.stopped(e.into(), None)),
        };
        let (name, seq) = (header.name, header.sequence_number);
        let body = match read_struct(&mut input, 0) {
            Ok(body) => body,
            Err(stop) => return Err(self.stopped(stop, Some((name, seq)))),
        };
        self.source.end_message()?;
        Ok(Some(Message { name, kind: header.message_type, seq, body }))
    }

    fn stopped(&mut self, stop: Stop, call: Option<(String, i32)>) -> ReadError {
        let reason = match (self.source.refused(), stop) {
            (Some(reason), _) | (None, Stop::Bad(reason)) => reason,
            (None, Stop::Thrift(thrift::Error::Transport(e))) => {
                return ReadError::Lost(e.kind, e.message);
            }
            (None, Stop::Thrift(thrift::Error::Protocol(e))) => BadMessage::Protocol(e.message),
            (None, Stop::Thrift(other)) => BadMessage::Protocol(other.to_string()),
        };
        ReadError::Bad { reason, call }
    }
}

type Input<'a, R> = TBinaryInputProtocol<&'a mut Source<R>>;

fn read_struct<R: Read>(input: &mut Input<'_, R>, depth: usize) -> Result<Fields, Stop> {
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
) -> Result<Value, Stop> {
    if depth >= MAX_DEPTH {
        return Err(BadMessage::Depth.into());
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
        TType::Stop | TType::Void => return Err(BadMessage::NoValue(ttype).into()),
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
) -> Result<Value, Stop> {
    let mut list = Vec::new();
    for _ in 0..size {
        input.transport.charge(mem::size_of::<Value>())?;
        list.push(read_value(input, element, depth + 1)?);
    }
    Ok(Value::List(kept_as(element), list))
}

fn read_map<R: Read>(input: &mut Input<'_, R>, depth: usize) -> Result<Value, Stop> {
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

//! Messages from generic values, into bytes. No locks.

use thrift::protocol::{
    TBinaryOutputProtocol, TFieldIdentifier, TListIdentifier, TMapIdentifier, TMessageIdentifier,
    TOutputProtocol, TStructIdentifier,
};

use super::Message;
use super::value::{Fields, Value};

/// The bytes of a message, strict, in a frame if asked.
pub(in crate::rpc) fn encode(message: &Message, framed: bool) -> thrift::Result<Vec<u8>> {
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

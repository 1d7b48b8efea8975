//! Values of any Thrift type, and the fields of a struct. No locks.

use thrift::protocol::TType;

/// A value of any Thrift type. Sets are read as lists, UUIDs as their 16 bytes.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::rpc) enum Value {
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
    pub(in crate::rpc) fn text(text: impl Into<String>) -> Value {
        Value::Bytes(text.into().into_bytes())
    }

    pub(in crate::rpc) fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Value {
        Value::List(TType::String, texts.into_iter().map(Value::text).collect())
    }

    pub(in crate::rpc) fn ttype(&self) -> TType {
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
    pub(in crate::rpc) fn as_int(&self) -> Option<i64> {
        match self {
            Value::I8(n) => Some((*n).into()),
            Value::I16(n) => Some((*n).into()),
            Value::I32(n) => Some((*n).into()),
            Value::I64(n) => Some(*n),
            _ => None,
        }
    }

    pub(in crate::rpc) fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(b) = self { Some(*b) } else { None }
    }

    pub(in crate::rpc) fn as_double(&self) -> Option<f64> {
        if let Value::Double(d) = self { Some(*d) } else { None }
    }

    pub(in crate::rpc) fn as_bytes(&self) -> Option<&[u8]> {
        if let Value::Bytes(b) = self { Some(b) } else { None }
    }

    pub(in crate::rpc) fn as_fields(&self) -> Option<&Fields> {
        if let Value::Struct(f) = self { Some(f) } else { None }
    }

    pub(in crate::rpc) fn as_map(&self) -> Option<&[(Value, Value)]> {
        if let Value::Map(_, _, entries) = self { Some(entries) } else { None }
    }

    pub(in crate::rpc) fn as_list(&self) -> Option<&[Value]> {
        if let Value::List(_, list) = self { Some(list) } else { None }
    }
}

/// The fields of a struct in the order in which they stand on the wire.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::rpc) struct Fields(pub(in crate::rpc) Vec<(i16, Value)>);

impl Fields {
    /// The field of that id; of several, the last, as in Thrift's own readers.
    pub(in crate::rpc) fn get(&self, id: i16) -> Option<&Value> {
        self.0.iter().rev().find(|(i, _)| *i == id).map(|(_, value)| value)
    }

    /// Appends a field.
    pub(in crate::rpc) fn with(mut self, id: i16, value: Value) -> Fields {
        self.0.push((id, value));
        self
    }
}

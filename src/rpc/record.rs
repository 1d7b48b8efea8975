//! How a struct of `idl/slowfs.thrift` goes over the wire, its fields declared once.
//!
//! The fields' names are those of the IDL and of `--json`; `idl` holds them, their ids, types and
//! defaults against the IDL. A field of the wrong type is refused, not skipped. No locks.

use std::collections::BTreeMap;

use thiserror::Error;
use thrift::protocol::TType;

use super::wire::{Fields, Value};

/// A struct of the IDL.
pub(super) trait Record: Default {
    /// Its fields in the order in which they are declared.
    fn encode(&self) -> Fields;

    /// A missing field has its default.
    fn decode(fields: &Fields) -> Result<Self, BadField>;

    /// Its name in the IDL.
    #[cfg(test)]
    const IDL: &'static str;

    /// Its fields: id, name and type in the words of the IDL.
    #[cfg(test)]
    fn declared() -> Vec<(i16, &'static str, String)>;
}

/// Declares a record: `pub struct NAME = "NAME IN THE IDL" { ID: FIELD: TYPE, ... }`, or with `impl`
/// one whose fields have been declared elsewhere.
macro_rules! record {
    (
        $(#[$attribute:meta])*
        pub struct $record:ident = $idl:literal {
            $($(#[$about:meta])* $id:literal: $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$attribute])*
        pub struct $record {
            $($(#[$about])* pub $field: $type,)*
        }

        $crate::rpc::record::record! {
            impl $record = $idl {
                $($id: $field: $type,)*
            }
        }
    };
    (
        impl $record:ident = $idl:literal {
            $($id:literal: $field:ident: $type:ty,)*
        }
    ) => {
        impl $crate::rpc::record::Record for $record {
            fn encode(&self) -> $crate::rpc::wire::Fields {
                let mut fields = Vec::new();
                $(fields.extend($crate::rpc::record::Wire::value(&self.$field).map(|v| ($id, v)));)*
                $crate::rpc::wire::Fields(fields)
            }

            fn decode(
                fields: &$crate::rpc::wire::Fields,
            ) -> Result<$record, $crate::rpc::record::BadField> {
                let mut record = $record::default();
                $(if let Some(value) = $crate::rpc::record::field::<$type>(fields, $id, stringify!($field))? {
                    record.$field = value;
                })*
                Ok(record)
            }

            #[cfg(test)]
            const IDL: &'static str = $idl;

            #[cfg(test)]
            fn declared() -> Vec<(i16, &'static str, String)> {
                vec![$((
                    $id,
                    stringify!($field),
                    <$type as $crate::rpc::record::Wire>::idl(),
                ),)*]
            }
        }
    };
}
pub(super) use record;

/// The field of that id, none if it is missing. Its name is for what is said of a wrong type.
pub(super) fn field<T: Wire>(
    fields: &Fields,
    id: i16,
    name: &'static str,
) -> Result<Option<T>, BadField> {
    fields.get(id).map(|value| T::read(value, FieldId { id, name })).transpose()
}

/// A field has a value that it cannot have. One line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadField {
    /// It is of another type.
    #[error("field {id} ({name}) must be {wanted}, and is of Thrift type {found}")]
    Type {
        /// The field's id.
        id: i16,
        /// Its name.
        name: &'static str,
        /// What it must be.
        wanted: &'static str,
        /// What it is.
        found: TType,
    },
    /// It is a map of values, one of which is none.
    #[error("{name}: {why}")]
    Value {
        /// The value's name.
        name: String,
        /// Why it is none.
        why: &'static str,
    },
}

/// Which field a value is of.
#[derive(Clone, Copy)]
pub(super) struct FieldId {
    id: i16,
    name: &'static str,
}

impl FieldId {
    /// What was read from its value, if it was what is wanted.
    pub(super) fn take<T>(
        self,
        value: &Value,
        wanted: &'static str,
        read: Option<T>,
    ) -> Result<T, BadField> {
        let FieldId { id, name } = self;
        read.ok_or(BadField::Type { id, name, wanted, found: value.ttype() })
    }
}

/// A type that a field may have.
pub(super) trait Wire: Sized {
    /// As it goes over the wire; none if it is left out.
    fn value(&self) -> Option<Value>;

    /// What came over the wire in that field.
    fn read(value: &Value, of: FieldId) -> Result<Self, BadField>;

    /// Its name in the IDL.
    #[cfg(test)]
    fn idl() -> String;
}

impl Wire for bool {
    fn value(&self) -> Option<Value> {
        Some(Value::Bool(*self))
    }

    fn read(value: &Value, of: FieldId) -> Result<bool, BadField> {
        of.take(value, "a bool", value.as_bool())
    }

    #[cfg(test)]
    fn idl() -> String {
        "bool".to_owned()
    }
}

/// Read from an integer of any width that it can hold.
impl Wire for i32 {
    fn value(&self) -> Option<Value> {
        Some(Value::I32(*self))
    }

    fn read(value: &Value, of: FieldId) -> Result<i32, BadField> {
        let n = value.as_int().and_then(|n| i32::try_from(n).ok());
        of.take(value, "an integer of 32 bits", n)
    }

    #[cfg(test)]
    fn idl() -> String {
        "i32".to_owned()
    }
}

/// Read from an integer of any width.
impl Wire for i64 {
    fn value(&self) -> Option<Value> {
        Some(Value::I64(*self))
    }

    fn read(value: &Value, of: FieldId) -> Result<i64, BadField> {
        of.take(value, "an integer", value.as_int())
    }

    #[cfg(test)]
    fn idl() -> String {
        "i64".to_owned()
    }
}

impl Wire for f64 {
    fn value(&self) -> Option<Value> {
        Some(Value::Double(*self))
    }

    fn read(value: &Value, of: FieldId) -> Result<f64, BadField> {
        of.take(value, "a double", value.as_double())
    }

    #[cfg(test)]
    fn idl() -> String {
        "double".to_owned()
    }
}

impl Wire for String {
    fn value(&self) -> Option<Value> {
        Some(Value::text(self))
    }

    fn read(value: &Value, of: FieldId) -> Result<String, BadField> {
        of.take(value, "a UTF-8 string", utf8(value))
    }

    #[cfg(test)]
    fn idl() -> String {
        "string".to_owned()
    }
}

impl Wire for Vec<String> {
    fn value(&self) -> Option<Value> {
        Some(Value::texts(self))
    }

    fn read(value: &Value, of: FieldId) -> Result<Vec<String>, BadField> {
        let texts = value.as_list().and_then(|list| list.iter().map(utf8).collect());
        of.take(value, "a list of UTF-8 strings", texts)
    }

    #[cfg(test)]
    fn idl() -> String {
        "list<string>".to_owned()
    }
}

impl Wire for Vec<i64> {
    fn value(&self) -> Option<Value> {
        Some(Value::List(TType::I64, self.iter().copied().map(Value::I64).collect()))
    }

    fn read(value: &Value, of: FieldId) -> Result<Vec<i64>, BadField> {
        let numbers = value.as_list().and_then(|list| list.iter().map(Value::as_int).collect());
        of.take(value, "a list of integers", numbers)
    }

    #[cfg(test)]
    fn idl() -> String {
        "list<i64>".to_owned()
    }
}

impl Wire for BTreeMap<i64, i64> {
    fn value(&self) -> Option<Value> {
        let entry = |(key, value): (&i64, &i64)| (Value::I64(*key), Value::I64(*value));
        Some(Value::Map(TType::I64, TType::I64, self.iter().map(entry).collect()))
    }

    fn read(value: &Value, of: FieldId) -> Result<BTreeMap<i64, i64>, BadField> {
        let entry = |(key, value): &(Value, Value)| Some((key.as_int()?, value.as_int()?));
        let map = match value {
            Value::Map(_, _, entries) => entries.iter().map(entry).collect(),
            _ => None,
        };
        of.take(value, "a map of integers", map)
    }

    #[cfg(test)]
    fn idl() -> String {
        "map<i64, i64>".to_owned()
    }
}

impl<R: Record> Wire for R {
    fn value(&self) -> Option<Value> {
        Some(Value::Struct(self.encode()))
    }

    fn read(value: &Value, of: FieldId) -> Result<R, BadField> {
        R::decode(of.take(value, "a struct", value.as_fields())?)
    }

    #[cfg(test)]
    fn idl() -> String {
        R::IDL.to_owned()
    }
}

impl<R: Record> Wire for Vec<R> {
    fn value(&self) -> Option<Value> {
        let records = self.iter().map(|record| Value::Struct(record.encode()));
        Some(Value::List(TType::Struct, records.collect()))
    }

    fn read(value: &Value, of: FieldId) -> Result<Vec<R>, BadField> {
        let structs: Option<Vec<&Fields>> =
            value.as_list().and_then(|list| list.iter().map(Value::as_fields).collect());
        let structs = of.take(value, "a list of structs", structs)?;
        structs.into_iter().map(R::decode).collect()
    }

    #[cfg(test)]
    fn idl() -> String {
        format!("list<{}>", R::IDL)
    }
}

/// `optional` in the IDL.
impl<T: Wire> Wire for Option<T> {
    fn value(&self) -> Option<Value> {
        self.as_ref().and_then(T::value)
    }

    fn read(value: &Value, of: FieldId) -> Result<Option<T>, BadField> {
        T::read(value, of).map(Some)
    }

    #[cfg(test)]
    fn idl() -> String {
        format!("optional {}", T::idl())
    }
}

pub(super) fn utf8(value: &Value) -> Option<String> {
    String::from_utf8(value.as_bytes()?.to_vec()).ok()
}

//! Values of parameters and options over the wire: the union `Value` of `idl/slowfs.thrift`, and
//! paths. No locks.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use serde::{Serialize, Serializer};
use thrift::protocol::TType;

use super::record::{BadField, FieldId, Wire, utf8};
use super::wire::{Fields, Value, printable};
use crate::fault::words::{self, Args};

/// The members of the union: id, name and type.
#[cfg(test)]
pub(super) const MEMBERS: [(i16, &str, &str); 5] = [
    (1, "whole", "i64"),
    (2, "share", "double"),
    (3, "flag", "bool"),
    (4, "text", "string"),
    (5, "texts", "list<string>"),
];

pub(super) fn encode(value: &words::Value) -> Fields {
    let (id, value) = match value {
        words::Value::Whole(n) => (1, Value::I64(*n)),
        words::Value::Share(share) => (2, Value::Double(*share)),
        words::Value::Flag(flag) => (3, Value::Bool(*flag)),
        words::Value::Text(text) => (4, Value::text(text)),
        words::Value::Texts(texts) => (5, Value::texts(texts)),
    };
    Fields::default().with(id, value)
}

/// The value of a union that has exactly one.
pub(super) fn decode(fields: &Fields) -> Result<words::Value, &'static str> {
    let one = "give exactly one of whole, share, flag, text, texts";
    let [(id, value)] = fields.0.as_slice() else { return Err(one) };
    let (read, wrong) = match id {
        1 => (value.as_int().map(words::Value::Whole), "whole must be an integer"),
        2 => (value.as_double().map(words::Value::Share), "share must be a double"),
        3 => (value.as_bool().map(words::Value::Flag), "flag must be a bool"),
        4 => (utf8(value).map(words::Value::Text), "text must be a UTF-8 string"),
        5 => {
            let texts = value.as_list().and_then(|list| list.iter().map(utf8).collect());
            (texts.map(words::Value::Texts), "texts must be a list of UTF-8 strings")
        }
        _ => (None, one),
    };
    read.ok_or(wrong)
}

impl Wire for Args {
    fn value(&self) -> Option<Value> {
        let entry = |(name, value): (&String, &words::Value)| {
            (Value::text(name), Value::Struct(encode(value)))
        };
        Some(Value::Map(TType::String, TType::Struct, self.iter().map(entry).collect()))
    }

    fn read(value: &Value, of: FieldId) -> Result<Args, BadField> {
        let mut args = Args::new();
        for (name, value) in of.take(value, "a map of values by name", value.as_map())? {
            let name = of.take(name, "a map by UTF-8 names", utf8(name))?;
            let fields = of.take(value, "a map of values", value.as_fields())?;
            let value = decode(fields);
            let value = value.map_err(|why| BadField::Value { name: printable(&name), why })?;
            if args.insert(&name, value).is_some() {
                let why = "it is given twice";
                return Err(BadField::Value { name: printable(&name), why });
            }
        }
        Ok(args)
    }

    #[cfg(test)]
    fn idl() -> String {
        "map<string, Value>".to_owned()
    }
}

/// A path: bytes over the wire, text in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WirePath(pub PathBuf);

impl WirePath {
    pub(super) fn of(bytes: &[u8]) -> WirePath {
        WirePath(OsStr::from_bytes(bytes).into())
    }

    /// Its bytes in base64 (RFC 4648), if text would lose some of them.
    #[must_use]
    pub fn base64(&self) -> Option<String> {
        self.0.to_str().is_none().then(|| base64(self.0.as_os_str().as_encoded_bytes()))
    }
}

impl Serialize for WirePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_string_lossy())
    }
}

impl Wire for WirePath {
    fn value(&self) -> Option<Value> {
        Some(Value::Bytes(self.0.as_os_str().as_encoded_bytes().to_vec()))
    }

    fn read(value: &Value, of: FieldId) -> Result<WirePath, BadField> {
        of.take(value, "binary", value.as_bytes()).map(WirePath::of)
    }

    #[cfg(test)]
    fn idl() -> String {
        "binary".to_owned()
    }
}

impl Wire for Vec<WirePath> {
    fn value(&self) -> Option<Value> {
        let paths = self.iter().map(|path| Value::Bytes(path.0.as_os_str().as_bytes().to_vec()));
        Some(Value::List(TType::String, paths.collect()))
    }

    fn read(value: &Value, of: FieldId) -> Result<Vec<WirePath>, BadField> {
        let path = |value: &Value| value.as_bytes().map(WirePath::of);
        let paths = value.as_list().and_then(|list| list.iter().map(path).collect());
        of.take(value, "a list of binaries", paths)
    }

    #[cfg(test)]
    fn idl() -> String {
        "list<binary>".to_owned()
    }
}

pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, place| {
            bits << 8 | u32::from(chunk.get(place).copied().unwrap_or_default())
        });
        for place in 0..4 {
            let digit = DIGITS.get((bits >> (18 - 6 * place) & 63) as usize);
            let told = if place <= chunk.len() { digit } else { None };
            text.push(char::from(told.copied().unwrap_or(b'=')));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::record::Record;
    use super::*;

    #[test]
    fn a_value_is_one_of_five_and_no_other() {
        for value in [
            words::Value::Whole(-1),
            words::Value::Share(0.5),
            words::Value::Flag(true),
            words::Value::Text("a".into()),
            words::Value::Texts(vec!["a".into(), "b".into()]),
        ] {
            assert_eq!(decode(&encode(&value)), Ok(value));
        }
        let whole = Fields::default().with(1, Value::I64(1));
        for wrong in [Fields::default(), whole.clone().with(3, Value::Bool(true))] {
            assert!(decode(&wrong).unwrap_err().contains("exactly one of whole, share"));
        }
        assert!(decode(&Fields::default().with(6, Value::I64(1))).is_err());
        let wrong = decode(&Fields::default().with(1, Value::Bool(true)));
        assert_eq!(wrong, Err("whole must be an integer"));
    }

    #[test]
    fn a_name_stands_once_in_a_map() {
        let entry = |n| (Value::text("count"), Value::Struct(encode(&words::Value::Whole(n))));
        let options = Value::Map(TType::String, TType::Struct, vec![entry(1), entry(2)]);
        let refused = words::FaultWords::decode(&Fields::default().with(3, options));
        assert_eq!(refused.unwrap_err().to_string(), "count: it is given twice");
    }

    #[test]
    fn only_a_path_that_is_no_text_is_told_in_base64() {
        let path = WirePath::of;
        assert_eq!(path("/data/\u{e4}".as_bytes()).base64(), None);
        assert_eq!(path(b"/\xff").base64().as_deref(), Some("L/8="));
        for (bytes, text) in
            [(&b"f"[..], "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes), text);
        }
    }
}

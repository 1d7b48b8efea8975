//! JSON as it is given. A name that stands twice in an object is refused: of the two values it could not be told
//! which is meant, and who has looked at the request before may have taken the other one. No locks.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::answer::Refused;

/// The JSON of a body.
pub(super) fn read(body: &[u8]) -> Result<Value, Refused> {
    let read = serde_json::from_slice(body).map(|Once(value)| value);
    read.map_err(|error| Refused::bad(format!("the body is no JSON: {error}")))
}

/// A value in which no name stands twice.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Once, D::Error> {
        from.deserialize_any(Reader).map(Once)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Once(value)) = from.next_element()? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = from.next_key::<String>()? {
            if fields.contains_key(&name) {
                return Err(A::Error::custom(format_args!("{name:?} stands there twice")));
            }
            let Once(value) = from.next_value()?;
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_json_is_read_as_it_is() {
        let all = json!({ "a": [1, -2, 0.5, true, null, "x\ty", {}], "b": { "a": u64::MAX } });
        assert_eq!(read(all.to_string().as_bytes()).unwrap(), all);
        for none in ["", "{", "{}x", "[1,]", "nul", &"[".repeat(1000)] {
            let why = read(none.as_bytes()).unwrap_err().why;
            assert!(why.starts_with("the body is no JSON: "), "{none}: {why}");
        }
    }

    #[test]
    fn a_name_that_stands_twice_is_refused_however_it_is_written_and_however_deep() {
        for twice in [
            r#"{"add":true,"add":false}"#,
            r#"{"add":true,"\u0061dd":true}"#,
            r#"[{"effects":[{"params":{"add":1,"x":2,"add":1}}]}]"#,
        ] {
            let why = read(twice.as_bytes()).unwrap_err().why;
            assert!(why.contains(r#""add" stands there twice"#), "{why}");
        }
        assert!(read(br#"[{"a":{"a":1}},{"a":2}]"#).is_ok());
    }
}

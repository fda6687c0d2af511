//! Canonical JSON after RFC 8785, for everything that is hashed or signed. Only integers within ±2^53 are written:
//! another number in a document of ours is a defect, not input.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer, Serialize};
use serde_json::{Map, Value};

/// The largest magnitude that every JSON reader keeps exactly (RFC 7493 section 2.2).
pub const MAX_SAFE_INTEGER: i64 = 1 << 53;

#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    #[error("the value cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    #[error("{0} is not an integer within 2^53")]
    Number(serde_json::Number),
}

/// The canonical bytes of a value.
pub fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::with_capacity(1024);
    write(&serde_json::to_value(value)?, &mut out)?;
    Ok(out)
}

/// Parses JSON that all readers read alike: a member that occurs twice is refused (RFC 7493 section 2.3).
pub fn from_slice(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    from_slice_of(bytes, usize::MAX)
}

/// The same, and JSON of more values is refused: a value takes more memory than its text.
pub fn from_slice_of(bytes: &[u8], max_values: usize) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let left = Cell::new(max_values);
    let value = Unambiguous { left: &left, max_values }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Unambiguous<'a> {
    /// Values that may still come.
    left: &'a Cell<usize>,
    max_values: usize,
}

impl<'de> DeserializeSeed<'de> for Unambiguous<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Some(left) = self.left.get().checked_sub(1) else {
            return Err(D::Error::custom(format!("more than {} values", self.max_values)));
        };
        self.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unambiguous<'_> {
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

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(self)?;
            if object.contains_key(&name) {
                return Err(A::Error::custom(format!("the member `{}` occurs twice", name.escape_debug())));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => {
            let safe = number.as_i64().filter(|n| n.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs());
            let integer = safe.ok_or_else(|| CanonicalError::Number(number.clone()))?;
            out.extend_from_slice(integer.to_string().as_bytes());
        }
        // serde_json escapes exactly what RFC 8785 section 3.2.2.2 asks for, in its form.
        Value::String(text) => serde_json::to_writer(out, text)?,
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (index, (name, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, name)?;
                out.push(b':');
                write(member, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_readers_may_read_differently_is_refused() {
        let text = r#"{"a":[1,-2,"x",null,true,{"b":{}}]}"#;
        assert_eq!(to_vec(&from_slice(text.as_bytes()).unwrap()).unwrap(), text.as_bytes());
        for text in [r#"{"a":1,"a":1}"#, r#"[{"b":{"\u0061":1,"a":2}}]"#, "{} {}", "", "{\"a\":1,}"] {
            assert!(from_slice(text.as_bytes()).is_err(), "{text}");
        }
        // Depth is limited by the reader of serde_json.
        assert!(from_slice("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn sorts_by_utf16_and_escapes_minimally() {
        // RFC 8785 section 3.2.3 gives this order; U+1F600 sorts before U+FB33 by UTF-16 code units.
        let value = json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7});
        assert_eq!(
            String::from_utf8(to_vec(&value).unwrap()).unwrap(),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        );
        assert_eq!(to_vec(&json!("\u{0}\u{1f}\"\\/\u{7f}\n")).unwrap(), b"\"\\u0000\\u001f\\\"\\\\/\x7f\\n\"");
    }

    #[test]
    fn refuses_numbers_that_readers_would_round() {
        assert!(to_vec(&json!(1.5)).is_err());
        assert!(to_vec(&json!(9_007_199_254_740_993_i64)).is_err());
        assert_eq!(to_vec(&json!(-9_007_199_254_740_992_i64)).unwrap(), b"-9007199254740992");
    }
}

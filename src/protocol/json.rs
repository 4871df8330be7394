//! Reading JSON strictly: duplicate keys refused, every error with the path of what is at fault.
//!
//! Requests are read in two steps, bytes to a tree and tree to a request, so that a wrong type, an unknown field and
//! a field that is not supported yet are each refused under their own path, `messages[0].role` for instance.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};

/// Longest piece of a caller's text that is repeated in a message.
const SHOWN_CHARS: usize = 48;

/// Where in the document something is. Written out only when there is an error to report.
#[derive(Clone, Copy)]
pub(crate) enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(Path::Root, key) => f.write_str(&clip(key)),
            Self::Key(parent, key) => write!(f, "{parent}.{}", clip(key)),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

fn clip(text: &str) -> String {
    let mut chars = text.chars();
    let mut shown: String = chars.by_ref().take(SHOWN_CHARS).collect();
    if chars.next().is_some() {
        shown.push_str("...");
    }
    shown
}

/// A value as it appears in a message: short, and containers by their kind.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) | Value::Number(_) => clip(&value.to_string()),
        Value::String(text) => format!("{:?}", clip(text)),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => "an object".into(),
    }
}

/// Bytes to a tree; refuses duplicate keys, nesting deeper than serde_json allows (128) and trailing text.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let duplicate = RefCell::new(None);
    let tree = Tree { path: &Path::Root, duplicate: &duplicate }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    tree.map_err(|error| match duplicate.take() {
        Some(path) => Error::invalid(path.clone(), format!("`{path}` is given twice; give it once")),
        None => Error::new(ErrorKind::InvalidRequest, format!("the request is not valid JSON: {error}")),
    })
}

/// The tree of any serde source; duplicate keys are an error of that source.
pub(crate) fn tree<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    Tree { path: &Path::Root, duplicate: &RefCell::new(None) }.deserialize(deserializer)
}

struct Tree<'p> {
    path: &'p Path<'p>,
    duplicate: &'p RefCell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
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

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let path = Path::Index(self.path, list.len());
            match items.next_element_seed(Tree { path: &path, duplicate: self.duplicate })? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let path = Path::Key(self.path, &key);
            if map.contains_key(&key) {
                self.duplicate.replace(Some(path.to_string()));
                return Err(A::Error::custom(format!("`{path}` is given twice")));
            }
            let value = entries.next_value_seed(Tree { path: &path, duplicate: self.duplicate })?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// A value of another type or outside its range.
pub(crate) fn wrong(path: &Path<'_>, expected: &str, got: &Value) -> Error {
    if let Path::Root = path {
        return Error::new(
            ErrorKind::InvalidRequest,
            format!("the request must be {expected}, got {}", shown(got)),
        );
    }
    Error::invalid(path.to_string(), format!("`{path}` must be {expected}, got {}", shown(got)))
}

/// A field that must be there.
pub(crate) fn missing(path: &Path<'_>) -> Error {
    Error::invalid(path.to_string(), format!("`{path}` is required"))
}

/// A field that nothing defines.
pub(crate) fn unknown(path: &Path<'_>) -> Error {
    Error::invalid(path.to_string(), format!("`{path}` is not a known field"))
}

/// A field or value of the API that this version does not implement.
pub(crate) fn unsupported(path: &Path<'_>, what: &str) -> Error {
    let message = if what.is_empty() {
        format!("`{path}` is not supported yet; leave it out")
    } else {
        format!("`{path}`: {what}")
    };
    Error::new(ErrorKind::Unsupported, message).with_param(path.to_string())
}

pub(crate) fn object(path: &Path<'_>, value: Value) -> Result<Map<String, Value>> {
    match value {
        Value::Object(map) => Ok(map),
        other => Err(wrong(path, "an object", &other)),
    }
}

pub(crate) fn string(path: &Path<'_>, value: Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(wrong(path, "a string", &other)),
    }
}

pub(crate) fn boolean(path: &Path<'_>, value: &Value) -> Result<bool> {
    value.as_bool().ok_or_else(|| wrong(path, "true or false", value))
}

/// A finite number. Ranges are checked by the request's `validate`.
pub(crate) fn number(path: &Path<'_>, value: &Value) -> Result<f32> {
    value.as_f64().map(|number| number as f32).ok_or_else(|| wrong(path, "a number", value))
}

pub(crate) fn unsigned(path: &Path<'_>, value: &Value, min: u32, max: u32) -> Result<u32> {
    value
        .as_u64()
        .and_then(|number| u32::try_from(number).ok())
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| wrong(path, &format!("an integer from {min} to {max}"), value))
}

/// Every item of a list through `read`, each under its own path.
pub(crate) fn list<T>(
    path: &Path<'_>,
    items: Vec<Value>,
    mut read: impl FnMut(&Path<'_>, Value) -> Result<T>,
) -> Result<Vec<T>> {
    items.into_iter().enumerate().map(|(index, item)| read(&Path::Index(path, index), item)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn duplicate_keys_are_refused_under_their_path() {
        let error = parse(br#"{"a":[{"b":1},{"c":{"d":1,"d":2}}]}"#).unwrap_err();
        assert_eq!(error.param(), Some("a[1].c.d"));
        assert_eq!(error.message(), "`a[1].c.d` is given twice; give it once");
        assert_eq!(parse(br#"{"x":1,"\u0078":2}"#).unwrap_err().param(), Some("x"));
    }

    #[test]
    fn hostile_documents_are_errors() {
        let deep = "[".repeat(100_000);
        for text in ["", "{", "nul", "1e999", "{} {}", "\"\u{0}\"", "{\"a\":}", &deep] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, None), "{text:.20}");
        }
        parse(b"\"\xff\"").unwrap_err();
        parse(b"[123456789012345678901234567890, -0, 1e308]").unwrap();
    }

    #[test]
    fn messages_stay_short() {
        let key = "k".repeat(10_000);
        let error = unknown(&Path::Key(&Path::Root, &key));
        assert!(error.message().len() < 120 && error.param().unwrap().len() < 60);
        let error = wrong(&Path::Key(&Path::Root, "model"), "a string", &Value::String(key));
        assert!(error.message().len() < 120);
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_fail_cleanly(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Err(error) = parse(&bytes) {
                prop_assert!(!error.message().contains('\n'));
            }
        }
    }
}

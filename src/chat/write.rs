//! Template values as text, the way Python writes them: `json.dumps` and `str`.

use std::fmt::Write;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use super::fuel::ITEM;

/// How deep lists and maps may be nested; deeper ones are an error rather than a deep recursion.
const MAX_DEPTH: usize = 128;

/// The arguments of Python's `json.dumps` that templates use.
#[derive(Debug, Clone)]
pub(super) struct JsonStyle {
    /// Characters outside ASCII become `\uXXXX`.
    pub(super) ensure_ascii: bool,
    /// What one level is indented by; `None` writes a single line.
    pub(super) indent: Option<String>,
    /// Between items and between key and value.
    pub(super) separators: (String, String),
    /// Keys in order of their characters instead of their own.
    pub(super) sort_keys: bool,
}

/// Pays for a number of bytes before they are written. A list may hold another one many times, which is nothing until it is
/// written.
type Spend<'a> = &'a dyn Fn(usize) -> Result<(), Error>;

/// What is written, and the differences between the two notations.
enum Notation<'a> {
    Json(&'a JsonStyle),
    Python,
}

/// The JSON of a value.
pub(super) fn json(value: &Value, style: &JsonStyle, spend: Spend<'_>) -> Result<String, Error> {
    let mut out = String::new();
    write_value(&mut out, value, &Notation::Json(style), 0, spend)?;
    Ok(out)
}

/// What `str()` makes of a value: a string as it is, lists and maps in Python's notation.
pub(super) fn python(value: &Value, spend: Spend<'_>) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Number | ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => {
            let mut out = String::new();
            write_value(&mut out, value, &Notation::Python, 0, spend)?;
            Ok(out)
        }
        _ => Ok(value.to_string()),
    }
}

fn write_value(
    out: &mut String,
    value: &Value,
    notation: &Notation<'_>,
    depth: usize,
    spend: Spend<'_>,
) -> Result<(), Error> {
    spend(cost(value, notation, depth))?;
    if depth > MAX_DEPTH {
        return Err(Error::new(ErrorKind::InvalidOperation, format!("nested more than {MAX_DEPTH} deep")));
    }
    let json = matches!(notation, Notation::Json(_));
    match value.kind() {
        ValueKind::Undefined if json => {
            return Err(Error::new(ErrorKind::UndefinedError, "an undefined value has no JSON"));
        }
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::None => out.push_str(if json { "null" } else { "None" }),
        ValueKind::Bool => out.push_str(match (json, value.is_true()) {
            (true, true) => "true",
            (true, false) => "false",
            (false, true) => "True",
            (false, false) => "False",
        }),
        ValueKind::Number if value.is_integer() => write!(out, "{value}").map_err(write_failed)?,
        ValueKind::Number => out.push_str(&float(f64::try_from(value.clone())?, json)),
        ValueKind::String => match notation {
            Notation::Json(style) => write_json_string(out, value.as_str().unwrap_or_default(), style),
            Notation::Python => write!(out, "{value:?}").map_err(write_failed)?,
        },
        ValueKind::Seq | ValueKind::Iterable => {
            let brackets = if value.is_tuple() && !json { ('(', ')') } else { ('[', ']') };
            let lonely = value.is_tuple() && !json && value.len() == Some(1);
            let items = value.try_iter()?;
            write_items(out, items, brackets, notation, depth, |out, item| {
                write_value(out, &item, notation, depth + 1, spend)
            })?;
            if lonely {
                out.insert(out.len() - 1, ',');
            }
        }
        ValueKind::Map => {
            let mut keys: Vec<Value> = value.try_iter()?.collect();
            if let Notation::Json(JsonStyle { sort_keys: true, .. }) = notation {
                keys.sort_by_key(ToString::to_string);
            }
            write_items(out, keys.into_iter(), ('{', '}'), notation, depth, |out, key| {
                match notation {
                    Notation::Python => {
                        write_value(out, &key, notation, depth + 1, spend)?;
                        out.push_str(": ");
                    }
                    Notation::Json(style) => {
                        spend(cost(&key, notation, 0))?;
                        write_key(out, &key, style)?;
                        out.push_str(&style.separators.1);
                    }
                }
                write_value(out, &value.get_item(&key)?, notation, depth + 1, spend)
            })?;
        }
        _ if json => {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                format!("a value of type {} has no JSON", value.kind()),
            ));
        }
        _ => write!(out, "{value}").map_err(write_failed)?,
    }
    Ok(())
}

/// The bytes of a value without the items in it, and of what stands around it.
fn cost(value: &Value, notation: &Notation<'_>, depth: usize) -> usize {
    let around = match notation {
        Notation::Json(JsonStyle { indent, separators: (between, behind), .. }) => {
            between.len() + behind.len() + depth * indent.as_ref().map_or(0, String::len)
        }
        Notation::Python => 0,
    };
    ITEM + around + value.as_str().map_or(0, str::len)
}

fn write_items<T>(
    out: &mut String,
    items: impl Iterator<Item = T>,
    brackets: (char, char),
    notation: &Notation<'_>,
    depth: usize,
    mut write: impl FnMut(&mut String, T) -> Result<(), Error>,
) -> Result<(), Error> {
    let (separator, indent) = match notation {
        Notation::Json(style) => (style.separators.0.as_str(), style.indent.as_deref()),
        Notation::Python => (", ", None),
    };
    let new_line = |out: &mut String, depth: usize| {
        if let Some(indent) = indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(indent, depth));
        }
    };
    out.push(brackets.0);
    let mut any = false;
    for item in items {
        if std::mem::replace(&mut any, true) {
            out.push_str(separator);
        }
        new_line(out, depth + 1);
        write(out, item)?;
    }
    if any {
        new_line(out, depth);
    }
    out.push(brackets.1);
    Ok(())
}

/// Keys are strings in JSON; those of other scalar types are written as the string of their JSON.
fn write_key(out: &mut String, key: &Value, style: &JsonStyle) -> Result<(), Error> {
    match key.kind() {
        ValueKind::String => write_json_string(out, key.as_str().unwrap_or_default(), style),
        ValueKind::None | ValueKind::Bool | ValueKind::Number => {
            write_json_string(out, &json(key, style, &|_| Ok(()))?, style);
        }
        kind => {
            return Err(Error::new(ErrorKind::InvalidOperation, format!("a key of type {kind} has no JSON")));
        }
    }
    Ok(())
}

fn write_json_string(out: &mut String, text: &str, style: &JsonStyle) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 || (style.ensure_ascii && !c.is_ascii()) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The shortest digits that read back as the same number, with an exponent where Python has one.
fn float(number: f64, json: bool) -> String {
    if !number.is_finite() {
        return match (number.is_nan(), number > 0.0, json) {
            (true, _, true) => "NaN".into(),
            (true, _, false) => "nan".into(),
            (false, true, true) => "Infinity".into(),
            (false, true, false) => "inf".into(),
            (false, false, true) => "-Infinity".into(),
            (false, false, false) => "-inf".into(),
        };
    }
    let scientific = format!("{number:e}");
    let exponent = scientific.split_once('e').and_then(|(_, e)| e.parse::<i32>().ok()).unwrap_or(0);
    if (-4..16).contains(&exponent) {
        return format!("{number:?}");
    }
    let mantissa = scientific.split('e').next().unwrap_or_default();
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs())
}

fn write_failed(_: std::fmt::Error) -> Error {
    Error::new(ErrorKind::WriteFailure, "a value could not be written")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::chat::values::from_json;

    fn value(text: &str) -> Value {
        from_json(&serde_json::from_str(text).unwrap()).unwrap()
    }

    fn style(indent: Option<&str>) -> JsonStyle {
        let item = if indent.is_some() { "," } else { ", " };
        JsonStyle {
            ensure_ascii: false,
            indent: indent.map(str::to_owned),
            separators: (item.into(), ": ".into()),
            sort_keys: false,
        }
    }

    fn free(_: usize) -> Result<(), Error> {
        Ok(())
    }

    // The expected strings are what CPython 3.11 prints.
    #[test]
    fn json_is_that_of_python() {
        let v = value(
            r#"{"b": [1, 2.0, 1e16, 1e-05, -0.5, 1e300], "a": {"é<>&'": null, "\u0001\n\"\\": true}, "e": [], "f": {}}"#,
        );
        assert_eq!(
            json(&v, &style(None), &free).unwrap(),
            r#"{"b": [1, 2.0, 1e+16, 1e-05, -0.5, 1e+300], "a": {"é<>&'": null, "\u0001\n\"\\": true}, "e": [], "f": {}}"#
        );
        let ascii = JsonStyle { ensure_ascii: true, sort_keys: true, ..style(None) };
        assert_eq!(
            json(&value(r#"{"b": "é😁", "a": 1}"#), &ascii, &free).unwrap(),
            r#"{"a": 1, "b": "\u00e9\ud83d\ude01"}"#
        );
        assert_eq!(
            json(&value(r#"{"a": [1, {"b": []}], "c": {}}"#), &style(Some("  ")), &free).unwrap(),
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    }\n  ],\n  \"c\": {}\n}"
        );
    }

    #[test]
    fn str_is_that_of_python() {
        let v = value(r#"{"a": [1, 1e16, true, null, "it's", "say \"it's\""], "n": 0.1}"#);
        assert_eq!(
            python(&v, &free).unwrap(),
            r#"{'a': [1, 1e+16, True, None, "it's", 'say "it\'s"'], 'n': 0.1}"#
        );
        assert_eq!(python(&Value::from("plain 'text'"), &free).unwrap(), "plain 'text'");
        assert_eq!(python(&Value::from(1e22), &free).unwrap(), "1e+22");
    }
}

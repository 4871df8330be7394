//! `enum` and `const`.

use serde_json::{Map, Value, json};

use super::number::MAX_EXACT;
use super::{ANNOTATIONS, Kind, MAX_DEPTH, Types, kind_of};
use crate::grammar::error::GrammarError;

/// The most lists and objects among the values: the engine follows each of them on its own.
const MAX_COMPOUND: usize = 256;

/// The listed values that are of the type.
pub(super) fn normalize(
    keywords: &Map<String, Value>,
    types: Types,
    path: &str,
) -> Result<Value, GrammarError> {
    for keyword in keywords.keys() {
        let goes_with =
            matches!(keyword.as_str(), "type" | "enum" | "const") || ANNOTATIONS.contains(&keyword.as_str());
        if !goes_with {
            let reason = "has no place beside `enum` or `const`: list the values that are meant";
            return Err(GrammarError::schema(format!("{path}.{keyword}"), reason));
        }
    }
    let name = if keywords.contains_key("enum") { "enum" } else { "const" };
    let listed_at = format!("{path}.{name}");
    let listed = match (keywords.get("enum"), keywords.get("const")) {
        (Some(Value::Array(list)), only) => {
            list.iter().filter(|value| only.is_none_or(|only| same(only, value))).cloned().collect()
        }
        (Some(other), _) => {
            return Err(GrammarError::schema(
                listed_at,
                format!("is {}; a list of values is accepted", kind_of(other)),
            ));
        }
        (None, only) => only.cloned().into_iter().collect::<Vec<_>>(),
    };
    for value in &listed {
        check(value, &listed_at, 0)?;
    }
    let fitting: Vec<Value> = listed.into_iter().filter(|value| fits(value, types)).collect();
    if fitting.is_empty() {
        return Err(GrammarError::schema(listed_at, "holds no value that the schema allows"));
    }
    let compound = fitting.iter().filter(|value| value.is_array() || value.is_object()).count();
    if compound > MAX_COMPOUND {
        let what = format!("{listed_at}: lists and objects among the values");
        return Err(GrammarError::Limit { what, value: compound, limit: MAX_COMPOUND });
    }
    Ok(json!({"enum": fitting}))
}

/// Equal as JSON Schema means it: 1 and 1.0 are.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| same(one, other)))
        }
        (one, other) => one == other,
    }
}

fn fits(value: &Value, types: Types) -> bool {
    let Some(kind) = types.kind else { return true };
    match value {
        Value::Null => types.nullable || kind == Kind::Null,
        Value::Bool(_) => kind == Kind::Boolean,
        Value::Number(number) => {
            kind == Kind::Number
                || (kind == Kind::Integer && number.as_f64().is_some_and(|number| number.fract() == 0.0))
        }
        Value::String(_) => kind == Kind::String,
        Value::Array(_) => kind == Kind::Array,
        Value::Object(_) => kind == Kind::Object,
    }
}

/// Refuses what cannot be generated exactly.
fn check(value: &Value, path: &str, depth: usize) -> Result<(), GrammarError> {
    if depth > MAX_DEPTH {
        return Err(GrammarError::schema(
            path,
            format!("holds a value nested deeper than {MAX_DEPTH} levels"),
        ));
    }
    match value {
        Value::Number(number) if number.as_f64().is_none_or(|number| number.abs() > MAX_EXACT) => {
            Err(GrammarError::schema(path, format!("holds {number}; numbers up to ±{MAX_EXACT} are exact")))
        }
        Value::String(text) => match text.chars().find(|c| unspellable(*c)) {
            Some(found) => {
                let reason = format!("holds a string with U+{:04X}, a control character", u32::from(found));
                Err(GrammarError::schema(path, reason))
            }
            None => Ok(()),
        },
        Value::Array(items) => items.iter().try_for_each(|item| check(item, path, depth + 1)),
        Value::Object(fields) => fields.values().try_for_each(|field| check(field, path, depth + 1)),
        _ => Ok(()),
    }
}

/// Whether a character can stand in a JSON string neither as itself nor as a short escape.
fn unspellable(c: char) -> bool {
    c == '\u{7f}' || (c < ' ' && !matches!(c, '\n' | '\r' | '\t' | '\u{8}' | '\u{c}'))
}

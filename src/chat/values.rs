//! Messages as template values.

use minijinja::Value;

use super::error::TemplateError;

/// How deep a message may be nested.
const MAX_DEPTH: usize = 128;

/// Copies JSON into a template value, keys in their order.
pub(super) fn from_json(json: &serde_json::Value) -> Result<Value, TemplateError> {
    convert(json, 0)
}

fn convert(json: &serde_json::Value, depth: usize) -> Result<Value, TemplateError> {
    if depth > MAX_DEPTH {
        return Err(TemplateError::Limit { what: "how deep the input is nested", limit: MAX_DEPTH });
    }
    Ok(match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(flag) => Value::from(*flag),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(n), _) => Value::from(n),
            (None, Some(n)) => Value::from(n),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => {
            Value::from(items.iter().map(|item| convert(item, depth + 1)).collect::<Result<Vec<_>, _>>()?)
        }
        serde_json::Value::Object(map) => Value::from_pairs(
            map.iter()
                .map(|(key, value)| Ok((key.as_str(), convert(value, depth + 1)?)))
                .collect::<Result<Vec<_>, TemplateError>>()?,
        ),
    })
}

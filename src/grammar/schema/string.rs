//! Strings.

use serde_json::{Map, Value, json};

use super::{counts, shown};
use crate::grammar::error::GrammarError;

/// The largest `maxLength`, in characters, that is enforced: the engine counts characters with states of its lexer.
pub const MAX_COUNTED_LENGTH: usize = 4096;

/// Formats that the engine has a grammar for.
const FORMATS: [&str; 10] =
    ["date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"];

pub(super) fn normalize(
    keywords: &Map<String, Value>,
    path: &str,
) -> Result<Map<String, Value>, GrammarError> {
    let (min, max) = counts(keywords, ["minLength", "maxLength"], path)?;
    if min > MAX_COUNTED_LENGTH {
        return Err(GrammarError::Limit {
            what: format!("{path}.minLength"),
            value: min,
            limit: MAX_COUNTED_LENGTH,
        });
    }
    let mut normal = Map::new();
    normal.insert("minLength".into(), json!(min));
    if let Some(max) = max.filter(|max| *max <= MAX_COUNTED_LENGTH) {
        normal.insert("maxLength".into(), json!(max));
    }
    if let Some(format) = keywords.get("format") {
        if !format.as_str().is_some_and(|format| FORMATS.contains(&format)) {
            let reason = format!("is {}; accepted are {}", shown(format), FORMATS.join(", "));
            return Err(GrammarError::schema(format!("{path}.format"), reason));
        }
        normal.insert("format".into(), format.clone());
    }
    Ok(normal)
}

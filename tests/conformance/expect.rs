//! What a result must have in it.
//!
//! An expected object asks for its members and no more, an expected list for as many entries; `{"contains": TEXT}` asks for a text with
//! this in it, `{"same_as": N}` for the same as the result of step N of the case (from 0), `{"each": X}` for a list that is not
//! empty and in which everything is X. Anything else must be equal.

use serde_json::Value;

use super::compare::comparable;

/// Where `found` is not what was expected; the results before it are those that `same_as` speaks of.
pub(crate) fn differs(expected: &Value, found: &Value, earlier: &[Value]) -> Option<String> {
    let wrong = || Some(format!("expected {expected}, found {found}"));
    match expected {
        Value::Object(members) => {
            if let (1, Some((key, operand))) = (members.len(), members.iter().next()) {
                match (key.as_str(), operand, found) {
                    ("contains", Value::String(part), Value::String(text)) => {
                        return if text.contains(part.as_str()) { None } else { wrong() };
                    }
                    ("same_as", Value::Number(step), _) => {
                        let other = step.as_u64().and_then(|step| earlier.get(step as usize));
                        let same = other.is_some_and(|other| comparable(other) == comparable(found));
                        return if same { None } else { wrong() };
                    }
                    ("each", one, Value::Array(all)) if !all.is_empty() => {
                        return all.iter().find_map(|found| differs(one, found, earlier));
                    }
                    _ => {}
                }
            }
            members.iter().find_map(|(key, expected)| match found.get(key) {
                Some(found) => differs(expected, found, earlier).map(|what| format!("{key}: {what}")),
                None => Some(format!("{key}: expected {expected}, found nothing in {found}")),
            })
        }
        Value::Array(entries) => match found.as_array() {
            Some(all) if all.len() == entries.len() => {
                entries.iter().zip(all).find_map(|(expected, found)| differs(expected, found, earlier))
            }
            _ => wrong(),
        },
        other => {
            if other == found {
                None
            } else {
                wrong()
            }
        }
    }
}

//! Arrays.

use serde_json::{Map, Value, json};

use super::{Walk, any, counts};
use crate::grammar::error::GrammarError;

/// More items than any context holds. A larger `maxItems` is no constraint of its own.
const MAX_ITEMS: usize = 1 << 20;

impl Walk {
    pub(super) fn array(
        &mut self,
        keys: &Map<String, Value>,
        path: &str,
        depth: usize,
    ) -> Result<Map<String, Value>, GrammarError> {
        let (min, max) = counts(keys, ["minItems", "maxItems"], path)?;
        if min > MAX_ITEMS {
            return Err(GrammarError::Limit {
                what: format!("{path}.minItems"),
                value: min,
                limit: MAX_ITEMS,
            });
        }
        let items = match keys.get("items") {
            Some(items) => self.schema(items, &format!("{path}.items"), depth + 1)?,
            None => any(),
        };
        let mut normal = Map::new();
        normal.insert("items".into(), items);
        normal.insert("minItems".into(), json!(min));
        if let Some(max) = max.filter(|max| *max <= MAX_ITEMS) {
            normal.insert("maxItems".into(), json!(max));
        }
        Ok(normal)
    }
}

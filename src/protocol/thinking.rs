//! How long a model that thinks may think.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

use super::json::{self, Path};
use crate::error::{Error, Result};

/// `{"type": "enabled", "budget_tokens": N}`, as the documents' reasoning models take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thinking {
    /// The most tokens of reasoning, at least 1: then it is closed, and the answer begins.
    pub budget_tokens: u32,
}

impl Thinking {
    pub(super) fn read(path: &Path<'_>, value: Value) -> Result<Self> {
        let (mut kind, mut budget) = (None, None);
        for (key, value) in json::object(path, value)? {
            let at = Path::Key(path, &key);
            match key.as_str() {
                "type" => match value.as_str() {
                    Some("enabled") => kind = Some(()),
                    Some("disabled") => {
                        let what = "no model here can be told not to think; accepted is \"enabled\"";
                        return Err(json::unsupported(&at, what));
                    }
                    _ => return Err(json::wrong(&at, "\"enabled\"", &value)),
                },
                "budget_tokens" => budget = Some(json::unsigned(&at, &value, 1, u32::MAX)?),
                _ => return Err(json::unknown(&at)),
            }
        }
        kind.ok_or_else(|| json::missing(&Path::Key(path, "type")))?;
        let budget = budget.ok_or_else(|| json::missing(&Path::Key(path, "budget_tokens")))?;
        Ok(Self { budget_tokens: budget })
    }

    pub(super) fn validate(self) -> Result<()> {
        if self.budget_tokens > 0 {
            return Ok(());
        }
        let path = "thinking.budget_tokens";
        Err(Error::invalid(path, format!("`{path}` is 0; accepted is 1 or more")))
    }
}

impl Serialize for Thinking {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("type", "enabled")?;
        map.serialize_entry("budget_tokens", &self.budget_tokens)?;
        map.end()
    }
}

//! Names of models and versions.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rusqlite::ToSql;
use rusqlite::types::ToSqlOutput;
use serde::{Deserialize, Serialize};

use super::error::RegistryError;

const MAX_PART_CHARS: usize = 255;

/// `catalog.schema.model`: three parts of up to 255 characters, without spaces, control characters, `/`, `\` and `:`. Names are
/// compared exactly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelName(Arc<str>);

impl ModelName {
    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ModelName {
    type Err = RegistryError;

    fn from_str(name: &str) -> Result<Self, RegistryError> {
        let refuse = |problem: &str| {
            let accepted = "accepted is catalog.schema.model, three parts of up to 255 characters without spaces, control \
                            characters, '/', '\\' and ':'";
            Err(RegistryError::invalid("model name", name, format!("{problem}; {accepted}")))
        };
        let parts: Vec<&str> = name.split('.').collect();
        // Since no part is empty and none holds a point, none can be `..` either.
        if parts.len() != 3 {
            return refuse(&format!("has {} parts", parts.len()));
        }
        for part in parts {
            if part.is_empty() {
                return refuse("has an empty part");
            }
            if part.chars().count() > MAX_PART_CHARS {
                return refuse("has a part that is too long");
            }
            let bad = |c: &char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '\\' | ':');
            if let Some(bad) = part.chars().find(bad) {
                return refuse(&format!("contains {bad:?}"));
            }
        }
        Ok(Self(name.into()))
    }
}

impl TryFrom<String> for ModelName {
    type Error = RegistryError;

    fn try_from(name: String) -> Result<Self, RegistryError> {
        name.parse()
    }
}

impl From<ModelName> for String {
    fn from(name: ModelName) -> Self {
        name.as_str().to_owned()
    }
}

impl Borrow<str> for ModelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ToSql for ModelName {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

/// One version of a model, for ever: numbers are not used twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionId {
    /// The model.
    pub name: ModelName,
    /// The number, from 1.
    pub version: u64,
}

impl VersionId {
    /// Version `version` of `name`.
    pub fn new(name: ModelName, version: u64) -> Self {
        Self { name, version }
    }
}

/// `models:/catalog.schema.model/3`, which a [`ModelUri`](super::ModelUri) can be read from.
impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "models:/{}/{}", self.name, self.version)
    }
}

//! `models:/...`: how a version is asked for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::alias::check_alias;
use super::error::RegistryError;
use super::name::{ModelName, VersionId};

const SCHEME: &str = "models:/";
const LATEST: &str = "latest";

/// A version of a model, by number, by alias, or the latest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelUri {
    /// The model.
    pub name: ModelName,
    /// Which version of it.
    pub version: VersionSelector,
}

/// Which version of a model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VersionSelector {
    /// `models:/name/3`.
    Number(u64),
    /// `models:/name@champion`: the one that the alias names when it is asked for.
    Alias(String),
    /// `models:/name/latest`: the one with the highest number when it is asked for.
    Latest,
}

impl FromStr for ModelUri {
    type Err = RegistryError;

    fn from_str(uri: &str) -> Result<Self, RegistryError> {
        let refuse = |problem: &str| {
            let accepted = "accepted are models:/NAME/3, models:/NAME@ALIAS and models:/NAME/latest";
            RegistryError::invalid("model URI", uri, format!("{problem}; {accepted}"))
        };
        let Some(rest) = uri.strip_prefix(SCHEME) else {
            return Err(refuse("does not begin with models:/"));
        };
        if rest.starts_with('/') {
            return Err(refuse("names another registry, and there is one only"));
        }
        let (name, version) = match rest.split_once('/') {
            Some((_, suffix)) if suffix.contains('/') => return Err(refuse("has a path after the version")),
            Some((_, suffix)) if suffix.contains('@') => {
                return Err(refuse("has both a version and an alias"));
            }
            Some((name, suffix)) => (name, number_or_latest(suffix).map_err(|problem| refuse(&problem))?),
            None => match rest.rsplit_once('@') {
                Some((name, alias)) if alias.eq_ignore_ascii_case(LATEST) => (name, VersionSelector::Latest),
                Some((name, alias)) => (name, VersionSelector::Alias(check_alias(alias)?.to_owned())),
                None if rest.starts_with("m-") => {
                    return Err(refuse("is the id of a logged model, which is unknown here"));
                }
                None => return Err(refuse("names no version")),
            },
        };
        Ok(Self { name: name.parse()?, version })
    }
}

fn number_or_latest(suffix: &str) -> Result<VersionSelector, String> {
    if suffix.eq_ignore_ascii_case(LATEST) {
        return Ok(VersionSelector::Latest);
    }
    if ["none", "staging", "production", "archived"].iter().any(|stage| suffix.eq_ignore_ascii_case(stage)) {
        return Err(format!("asks for the stage {suffix:?}; stages gave way to aliases"));
    }
    match suffix.parse::<u64>() {
        // A number is written in one way only: `+3` and `03` are not it.
        Ok(number) if number > 0 && suffix == number.to_string() => Ok(VersionSelector::Number(number)),
        _ => Err(format!("has {suffix:?} for a version")),
    }
}

impl TryFrom<String> for ModelUri {
    type Error = RegistryError;

    fn try_from(uri: String) -> Result<Self, RegistryError> {
        uri.parse()
    }
}

impl From<ModelUri> for String {
    fn from(uri: ModelUri) -> Self {
        uri.to_string()
    }
}

impl From<VersionId> for ModelUri {
    fn from(id: VersionId) -> Self {
        Self { name: id.name, version: VersionSelector::Number(id.version) }
    }
}

impl fmt::Display for ModelUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.name)?;
        match &self.version {
            VersionSelector::Number(number) => write!(f, "/{number}"),
            VersionSelector::Alias(alias) => write!(f, "@{alias}"),
            VersionSelector::Latest => write!(f, "/{LATEST}"),
        }
    }
}

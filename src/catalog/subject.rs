//! What a retirement is about.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of thing a [`Subject`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SubjectKind {
    /// A family of models; what befalls it befalls every member.
    Family,
    /// One model.
    Model,
    /// One version of one model.
    Version,
}

impl SubjectKind {
    /// The name in TOML, in JSON and in errors.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Family => "family",
            Self::Model => "model",
            Self::Version => "version",
        }
    }
}

/// A family, a model or a version, by its canonical name. Names are free text: a host brings its own.
///
/// Names are compared exactly here. [`Catalog::subject`](super::Catalog::subject) finds the canonical one of a name that
/// somebody typed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// What it is.
    pub kind: SubjectKind,
    /// Its canonical name.
    pub name: String,
}

impl Subject {
    /// A family.
    pub fn family(name: impl Into<String>) -> Self {
        Self { kind: SubjectKind::Family, name: name.into() }
    }

    /// A model.
    pub fn model(name: impl Into<String>) -> Self {
        Self { kind: SubjectKind::Model, name: name.into() }
    }

    /// A version of a model.
    pub fn version(name: impl Into<String>) -> Self {
        Self { kind: SubjectKind::Version, name: name.into() }
    }
}

/// `model "DBRX Instruct"`.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.kind.as_str(), self.name)
    }
}

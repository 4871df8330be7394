//! What a model is offered as, and what it does.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::CatalogError;

macro_rules! names {
    ($type:ident, $what:literal, $($variant:ident => $name:literal),+ $(,)?) => {
        impl $type {
            /// All of them, in the order of the documents.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in TOML, in JSON and in errors.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = CatalogError;

            fn from_str(name: &str) -> Result<Self, CatalogError> {
                Self::ALL.iter().copied().find(|value| value.as_str() == name).ok_or_else(|| {
                    let accepted: Vec<_> = Self::ALL.iter().map(|value| value.as_str()).collect();
                    CatalogError::name($what, name, accepted.join(", "))
                })
            }
        }
    };
}

/// How a model is offered. Retirement is a matter of one offering: a model that has left one may stay in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Offering {
    /// Best effort on a preconfigured endpoint, metered by the token.
    PayPerToken,
    /// Reserved capacity on an endpoint of the caller's own; also the way to keep a model past its retirement.
    ProvisionedThroughput,
    /// Training a model further.
    FineTuning,
    /// Models that somebody else hosts.
    ExternalModels,
}

names!(Offering, "offering",
    PayPerToken => "pay_per_token",
    ProvisionedThroughput => "provisioned_throughput",
    FineTuning => "fine_tuning",
    ExternalModels => "external_models",
);

impl Offering {
    /// The name for people, such as "provisioned throughput".
    pub fn title(self) -> &'static str {
        match self {
            Self::PayPerToken => "pay-per-token",
            Self::ProvisionedThroughput => "provisioned throughput",
            Self::FineTuning => "fine-tuning",
            Self::ExternalModels => "external models",
        }
    }
}

/// What a model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Task {
    /// Answers conversations.
    Chat,
    /// Continues texts.
    Completion,
    /// Makes vectors of texts.
    Embedding,
}

names!(Task, "task", Chat => "chat", Completion => "completion", Embedding => "embedding");

impl Task {
    /// The name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Chat => "Chat",
            Self::Completion => "Completion",
            Self::Embedding => "Embedding",
        }
    }
}

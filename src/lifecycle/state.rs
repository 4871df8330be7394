//! Where in its life a model is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where in its life a subject is in one offering. The order is that of time: without a reinstatement a subject only ever
/// moves to a later state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// Not offered yet.
    Planned,
    /// Offered for trial.
    Preview,
    /// Offered.
    Active,
    /// Offered, but not recommended any more.
    Legacy,
    /// Its retirement is announced; it works.
    Announced,
    /// Announced, and closed to new users.
    Restricted,
    /// Announced, closed to new users, and at a higher price.
    Extended,
    /// Another subject answers in its place.
    Redirected,
    /// No longer available.
    Retired,
    /// No longer available, and its weights may be gone.
    Removed,
}

impl State {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Preview => "preview",
            Self::Active => "active",
            Self::Legacy => "legacy",
            Self::Announced => "announced",
            Self::Restricted => "restricted",
            Self::Extended => "extended",
            Self::Redirected => "redirected",
            Self::Retired => "retired",
            Self::Removed => "removed",
        }
    }

    /// Whether the subject itself answers somebody.
    pub fn is_served(self) -> bool {
        self > Self::Planned && self < Self::Redirected
    }

    /// Whether a retirement is announced, in force or over.
    pub fn is_retiring(self) -> bool {
        self >= Self::Announced
    }

    /// Whether it is over.
    pub fn is_retired(self) -> bool {
        self >= Self::Retired
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

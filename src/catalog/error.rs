//! What can be wrong with a catalog.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// A catalog's TOML, or what it says, is wrong: one line that names the entry, the key, the value and what would be
/// accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The text is not TOML.
    #[error("the catalog is not TOML: line {line}: {reason}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The parser's reason.
        reason: String,
    },
    /// A key that no entry of this kind has.
    #[error("catalog entry {entry}: unknown key {}; accepted are {accepted}", Quoted(.key))]
    UnknownKey {
        /// The entry, such as `model[2] "DBRX Instruct"`.
        entry: String,
        /// The key.
        key: String,
        /// The keys that the entry may have.
        accepted: String,
    },
    /// A key that must be there.
    #[error("catalog entry {entry}: key \"{key}\" is missing; it takes {accepted}")]
    Missing {
        /// The entry.
        entry: String,
        /// The key.
        key: &'static str,
        /// What the key takes.
        accepted: String,
    },
    /// A value of the wrong type, out of range, or contradicting another entry.
    #[error("catalog entry {entry}: {key} is {}; accepted is {accepted}", Quoted(.value))]
    Value {
        /// The entry.
        entry: String,
        /// The key, with an index where the value stands in a list.
        key: String,
        /// The value.
        value: String,
        /// What would be accepted.
        accepted: String,
    },
    /// A name that is none of a fixed list.
    #[error("unknown {what} {}; accepted are {accepted}", Quoted(.value))]
    Name {
        /// What was to be named.
        what: &'static str,
        /// The name.
        value: String,
        /// The names there are.
        accepted: String,
    },
    /// A date that is no instant in its zone: beyond the years that can be represented.
    #[error("the day {day} in {zone} is out of range; accepted are years from -9998 to 9998")]
    Date {
        /// The day.
        day: jiff::civil::Date,
        /// The zone.
        zone: String,
    },
}

impl CatalogError {
    pub(super) fn name(what: &'static str, value: &str, accepted: impl Into<String>) -> Self {
        Self::Name { what, value: value.into(), accepted: accepted.into() }
    }
}

impl From<CatalogError> for Error {
    fn from(error: CatalogError) -> Self {
        Self::new(ErrorKind::InvalidRequest, error.to_string()).with_param("catalog").with_source(error)
    }
}

/// Text from a file, in quotes: control characters escaped and long text cut, because an error is one line.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 80;
        match self.0.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(f, "{:?}...", &self.0[..end]),
            None => write!(f, "{:?}", self.0),
        }
    }
}

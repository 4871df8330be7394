//! What can go wrong with a grammar.

use crate::error::{Error, ErrorKind};

/// The longest message of the grammar engine that is passed on, in characters.
const MAX_REASON: usize = 300;

/// An error of this area; every variant names the thing and, where there is a choice, what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrammarError {
    /// The schema uses a keyword that is not of the subset, or one of wrong form, or cannot be satisfied.
    #[error("{path}: {reason}")]
    Schema {
        /// Where: `schema.properties.city.pattern`, or `tools[0].parameters...`.
        path: String,
        /// What is wrong there.
        reason: String,
    },
    /// The regular expression or the grammar is not well-formed, or matches nothing.
    #[error("{what}: {reason}")]
    Source {
        /// `regex`, `grammar`, `json schema` or `tools`.
        what: &'static str,
        /// What the engine says.
        reason: String,
    },
    /// A limit is passed.
    #[error("{what}: {value}; at most {limit} are accepted")]
    Limit {
        /// What is limited, in its unit.
        what: String,
        /// How much was asked for.
        value: usize,
        /// How much is accepted.
        limit: usize,
    },
    /// The model's vocabulary cannot be generated with under a grammar.
    #[error("vocabulary: {reason}")]
    Vocabulary {
        /// Why.
        reason: String,
    },
    /// A token that the grammar does not allow here.
    #[error("token {token} is not allowed by the grammar after {position} tokens")]
    NotAllowed {
        /// The token.
        token: u32,
        /// How many tokens stand before it.
        position: usize,
    },
    /// More tokens were to be taken back than there are.
    #[error("cannot take back {tokens} tokens of {position}")]
    Rollback {
        /// How many.
        tokens: usize,
        /// How many there are.
        position: usize,
    },
    /// No token of the vocabulary can follow, and the answer may not end either.
    #[error("the grammar allows no token after {position} tokens")]
    DeadEnd {
        /// How many tokens stand before the dead end.
        position: usize,
    },
    /// Computing what may follow took more than is granted.
    #[error("the grammar is too complex after {position} tokens: {reason}")]
    TooComplex {
        /// How many tokens stand before.
        position: usize,
        /// Which limit was reached.
        reason: String,
    },
    /// A defect of the grammar engine. Only this grammar or this answer is lost.
    #[error("grammar engine: {reason}")]
    Engine {
        /// What it said.
        reason: String,
    },
}

impl GrammarError {
    pub(super) fn schema(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Schema { path: path.into(), reason: reason.into() }
    }

    pub(super) fn source(what: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Source { what, reason: one_line(&reason.to_string()) }
    }

    /// Where in a schema the error is.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Schema { path, .. } => Some(path),
            _ => None,
        }
    }
}

/// White space folded, and no longer than [`MAX_REASON`]. The engine repeats the source before it comes to the point.
pub(super) fn one_line(message: &str) -> String {
    let folded = message.split_whitespace().collect::<Vec<_>>().join(" ");
    if folded.chars().count() <= MAX_REASON {
        return folded;
    }
    let start: String = folded.chars().take(MAX_REASON / 3).collect();
    let point = folded.rfind("error: ").and_then(|at| folded.get(at..)).unwrap_or_default();
    let point: String = point.chars().take(MAX_REASON / 2).collect();
    format!("{start}... {point}")
}

impl From<GrammarError> for Error {
    fn from(error: GrammarError) -> Self {
        let kind = match &error {
            GrammarError::Schema { .. }
            | GrammarError::Source { .. }
            | GrammarError::Limit { .. }
            | GrammarError::DeadEnd { .. }
            | GrammarError::TooComplex { .. } => ErrorKind::InvalidRequest,
            GrammarError::Vocabulary { .. } => ErrorKind::Unsupported,
            GrammarError::NotAllowed { .. } | GrammarError::Rollback { .. } | GrammarError::Engine { .. } => {
                ErrorKind::Internal
            }
        };
        let path = error.path().map(str::to_owned);
        let converted = Self::new(kind, error.to_string()).with_source(error);
        match path {
            Some(path) => converted.with_param(path),
            None => converted,
        }
    }
}

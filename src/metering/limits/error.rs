//! Why limits do not admit a request.

use crate::error::{Error, ErrorKind};
use crate::protocol::{LimitType, RateLimited};

/// A request that is not admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// It does not fit now; later it may.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
    /// It would not even fit into an empty window.
    #[error(
        "the request needs {needed} {} of endpoint {endpoint:?}, whose {limit_type}{} is {limit}; accepted are requests of at \
         most that",
        what(*limit_type),
        Whose(principal.as_deref())
    )]
    NeverFits {
        /// The endpoint.
        endpoint: String,
        /// Whose limit it is; `None` for that of the whole endpoint.
        principal: Option<String>,
        /// Which limit.
        limit_type: LimitType,
        /// How much it allows.
        limit: u64,
        /// How much the request asks for.
        needed: u64,
    },
    /// The limit is 0.
    #[error("endpoint {endpoint:?} admits no requests: its {limit_type}{} is 0", Whose(principal.as_deref()))]
    Closed {
        /// The endpoint.
        endpoint: String,
        /// Whose limit it is; `None` for that of the whole endpoint.
        principal: Option<String>,
        /// Which limit.
        limit_type: LimitType,
    },
}

fn what(limit_type: LimitType) -> &'static str {
    match limit_type {
        LimitType::InputTokensPerMinute => "input tokens",
        LimitType::OutputTokensPerMinute => "output tokens (`max_tokens`)",
        LimitType::QueriesPerHour | LimitType::QueriesPerSecond => "queries",
    }
}

struct Whose<'a>(Option<&'a str>);

impl std::fmt::Display for Whose<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(principal) => write!(f, " for {principal:?}"),
            None => Ok(()),
        }
    }
}

impl From<LimitError> for Error {
    fn from(error: LimitError) -> Self {
        match error {
            LimitError::RateLimited(limited) => limited.into(),
            LimitError::Closed { .. } => {
                Self::new(ErrorKind::PermissionDenied, error.to_string()).with_source(error)
            }
            LimitError::NeverFits { limit_type, .. } => {
                let refused = Self::new(ErrorKind::InvalidRequest, error.to_string()).with_source(error);
                match limit_type {
                    LimitType::OutputTokensPerMinute => refused.with_param("max_tokens"),
                    _ => refused,
                }
            }
        }
    }
}

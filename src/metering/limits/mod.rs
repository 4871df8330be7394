//! Rate limits: how many tokens and requests an endpoint, and each principal of it, may have in a sliding window.
//!
//! The input is counted from the actual prompt. The output is reserved before admission, with `max_tokens` or, without one,
//! with [`DEFAULT_RESERVED_TOKENS`]; what a request did not use is credited back at once when it ends, and what it used beyond
//! that is charged. A request counts from its admission on, for as long as the window is.
//!
//! Windows slide in steps: each is [`BUCKETS`] buckets long, and what was admitted anywhere within a bucket counts until all of
//! that bucket has left the window. So never more is admitted in any window than its limit; what was admitted counts at most a
//! 60th of the window too long, which is a second of a minute and a minute of an hour.
//!
//! Time is passed in. It is a clock's monotonic time; one that jumps back is taken up where it is.

mod error;
mod limiter;
mod reservation;
mod scope;
#[cfg(test)]
mod tests;
mod time;
mod window;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use error::LimitError;
pub use limiter::{LimitUse, RateLimiter};
pub use reservation::Reservation;
pub use window::BUCKETS;

use crate::protocol::LimitType;

/// The most output tokens that are reserved for a request without `max_tokens`.
pub const DEFAULT_RESERVED_TOKENS: u64 = 1000;

/// How much is admitted. There are no built-in numbers: what is not given is not limited, and 0 admits nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Tokens of prompts in any 60 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens_per_minute: Option<u64>,
    /// Generated tokens in any 60 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens_per_minute: Option<u64>,
    /// Requests in any 60 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queries_per_hour: Option<u64>,
    /// Requests in any second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queries_per_second: Option<u64>,
}

impl Limits {
    /// The limit of that type, if there is one.
    pub fn get(&self, limit_type: LimitType) -> Option<u64> {
        match limit_type {
            LimitType::InputTokensPerMinute => self.input_tokens_per_minute,
            LimitType::OutputTokensPerMinute => self.output_tokens_per_minute,
            LimitType::QueriesPerHour => self.queries_per_hour,
            LimitType::QueriesPerSecond => self.queries_per_second,
        }
    }
}

/// The limits of one endpoint. The tightest wins: a request has to fit into those of the endpoint and into those of its
/// principal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EndpointLimits {
    /// For all requests together.
    pub endpoint: Limits,
    /// For the requests of each principal that has no limits of its own.
    pub principal: Limits,
    /// For the principals of these names, in place of `principal`.
    pub principals: BTreeMap<String, Limits>,
}

impl EndpointLimits {
    /// The limits of the principal of that name.
    pub fn of(&self, principal: &str) -> &Limits {
        self.principals.get(principal).unwrap_or(&self.principal)
    }
}

/// How much output a request may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// It says so (`max_tokens`, times the number of choices). All of it is reserved.
    AtMost(u64),
    /// It does not say; so much of the context window is left. Reserved is that, at most [`DEFAULT_RESERVED_TOKENS`] and at
    /// most what the limits allow.
    UpTo(u64),
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Tokens of the prompt, with all that templates add.
    pub input_tokens: u64,
    /// Tokens of the answer; `AtMost(0)` for embeddings.
    pub output: Output,
}

/// What requests have used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Requests.
    pub queries: u64,
    /// Tokens of prompts.
    pub input_tokens: u64,
    /// Generated tokens.
    pub output_tokens: u64,
}

impl Used {
    /// What a limit of that type counts of it.
    fn of(&self, limit_type: LimitType) -> u64 {
        match limit_type {
            LimitType::InputTokensPerMinute => self.input_tokens,
            LimitType::OutputTokensPerMinute => self.output_tokens,
            LimitType::QueriesPerHour | LimitType::QueriesPerSecond => self.queries,
        }
    }
}

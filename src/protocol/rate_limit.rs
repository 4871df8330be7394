//! A rate limit that was reached, in the terms of the hosted API.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// What a limit counts, and over how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LimitType {
    /// Tokens of prompts in 60 seconds.
    InputTokensPerMinute,
    /// Generated tokens in 60 seconds.
    OutputTokensPerMinute,
    /// Requests in 60 minutes.
    QueriesPerHour,
    /// Requests in a second.
    QueriesPerSecond,
}

impl LimitType {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::InputTokensPerMinute,
        Self::OutputTokensPerMinute,
        Self::QueriesPerHour,
        Self::QueriesPerSecond,
    ];

    /// The name in JSON and of the option that sets it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InputTokensPerMinute => "input_tokens_per_minute",
            Self::OutputTokensPerMinute => "output_tokens_per_minute",
            Self::QueriesPerHour => "queries_per_hour",
            Self::QueriesPerSecond => "queries_per_second",
        }
    }

    /// The short name in messages, such as "ITPM".
    pub fn abbreviation(self) -> &'static str {
        match self {
            Self::InputTokensPerMinute => "ITPM",
            Self::OutputTokensPerMinute => "OTPM",
            Self::QueriesPerHour => "QPH",
            Self::QueriesPerSecond => "QPS",
        }
    }

    /// What is counted: "tokens" or "queries".
    pub fn unit(self) -> &'static str {
        match self {
            Self::InputTokensPerMinute | Self::OutputTokensPerMinute => "tokens",
            Self::QueriesPerHour | Self::QueriesPerSecond => "queries",
        }
    }

    /// How long the window is that the limit is about.
    pub fn window(self) -> Duration {
        Duration::from_secs(match self {
            Self::InputTokensPerMinute | Self::OutputTokensPerMinute => 60,
            Self::QueriesPerHour => 3600,
            Self::QueriesPerSecond => 1,
        })
    }
}

impl fmt::Display for LimitType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request that a limit does not admit now; the equivalent of HTTP 429. The message is that of the hosted API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "Rate limit exceeded: {} limit of {} {} reached",
    limit_type.abbreviation(),
    Thousands(*limit),
    limit_type.unit()
)]
pub struct RateLimited {
    /// Which limit.
    pub limit_type: LimitType,
    /// How much it allows in a window.
    pub limit: u64,
    /// How much the window would hold with this request.
    pub current: u64,
    /// After how long the request will fit if nothing else arrives meanwhile.
    pub retry_after: Duration,
    /// Whose limit it is; `None` for that of the whole endpoint.
    pub principal: Option<String>,
}

impl RateLimited {
    /// `retry_after` in whole seconds, rounded up: waiting as long as the answer says always suffices.
    pub fn retry_after_seconds(&self) -> u64 {
        self.retry_after.as_nanos().div_ceil(1_000_000_000).max(1) as u64
    }
}

impl From<RateLimited> for Error {
    fn from(limited: RateLimited) -> Self {
        Self::new(ErrorKind::RateLimited, limited.to_string())
            .with_retry_after(limited.retry_after)
            .with_source(limited)
    }
}

/// A number with commas, as in 200,000.
struct Thousands(u64);

impl fmt::Display for Thousands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let written =
            [0, 7, 999, 1_000, 12_345, 200_000, 1_000_000, u64::MAX].map(|n| Thousands(n).to_string());
        assert_eq!(
            written,
            ["0", "7", "999", "1,000", "12,345", "200,000", "1,000,000", "18,446,744,073,709,551,615"]
        );
    }

    #[test]
    fn seconds_are_rounded_up() {
        let after = |nanos| {
            let retry_after = Duration::from_nanos(nanos);
            let limit_type = LimitType::QueriesPerSecond;
            RateLimited { limit_type, limit: 1, current: 2, retry_after, principal: None }
                .retry_after_seconds()
        };
        assert_eq!([0, 1, 999_999_999, 1_000_000_000, 1_000_000_001].map(after), [1, 1, 1, 1, 2]);
    }
}

//! An error in the OpenAI shape.

use serde::{Deserialize, Serialize};

use super::rate_limit::{LimitType, RateLimited};
use crate::error::{Error, ErrorKind};

/// `{"error": {"message", "type", "param", "code"}}`, or of a rate limit `{"error": {"message", "type", "code", "limit_type",
/// "limit", "current", "retry_after"}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ErrorDetail {
    /// A rate limit was reached.
    RateLimit(RateLimitDetail),
    /// Anything else.
    Plain(PlainDetail),
}

/// A rate limit that was reached, as the hosted API tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimitDetail {
    /// One line for people.
    pub message: String,
    /// "rate_limit_exceeded".
    #[serde(rename = "type")]
    pub kind: String,
    /// 429: here it is the number.
    pub code: u16,
    /// Which limit.
    pub limit_type: LimitType,
    /// How much it allows in a window.
    pub limit: u64,
    /// How much the window would hold with the request.
    pub current: u64,
    /// Seconds after which the request will fit if nothing else arrives meanwhile.
    pub retry_after: u64,
}

/// An error that has no numbers of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlainDetail {
    /// One line for people.
    pub message: String,
    /// The family of errors, by the HTTP status that a hosted API would answer with.
    #[serde(rename = "type")]
    pub kind: String,
    /// The field at fault.
    pub param: Option<String>,
    /// The stable name of the error, [`ErrorKind::code`].
    pub code: Option<String>,
}

impl From<&Error> for ErrorBody {
    fn from(error: &Error) -> Self {
        let limited =
            std::error::Error::source(error).and_then(|source| source.downcast_ref::<RateLimited>());
        let error = match limited {
            Some(limited) => ErrorDetail::RateLimit(RateLimitDetail {
                message: error.message().into(),
                kind: error.kind().code().into(),
                code: error.status(),
                limit_type: limited.limit_type,
                limit: limited.limit,
                current: limited.current,
                retry_after: limited.retry_after_seconds(),
            }),
            None => ErrorDetail::Plain(PlainDetail::from(error)),
        };
        Self { error }
    }
}

impl From<&Error> for PlainDetail {
    fn from(error: &Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::InvalidRequest
            | ErrorKind::ContextLengthExceeded
            | ErrorKind::InvalidModel
            | ErrorKind::Unsupported => "invalid_request_error",
            ErrorKind::NotFound => "not_found_error",
            ErrorKind::ModelRetired => "model_retired",
            ErrorKind::PermissionDenied => "permission_error",
            ErrorKind::Conflict => "conflict_error",
            ErrorKind::Overloaded => "overloaded_error",
            ErrorKind::RateLimited => "rate_limit_exceeded",
            ErrorKind::Cancelled => "cancelled_error",
            ErrorKind::DeadlineExceeded => "timeout_error",
            ErrorKind::InsufficientMemory | ErrorKind::Io | ErrorKind::ShuttingDown | ErrorKind::Internal => {
                "server_error"
            }
        };
        Self {
            message: error.message().into(),
            kind: kind.into(),
            param: error.param().map(Into::into),
            code: Some(error.kind().code().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn has_the_published_shape() {
        let body = ErrorBody::from(&Error::invalid("top_p", "`top_p` is 2"));
        assert_eq!(
            serde_json::to_string(&body).unwrap(),
            r#"{"error":{"message":"`top_p` is 2","type":"invalid_request_error","param":"top_p","code":"invalid_request"}}"#
        );
        let body = ErrorBody::from(&Error::new(ErrorKind::Overloaded, "the queue is full"));
        assert_eq!(
            serde_json::to_string(&body).unwrap(),
            r#"{"error":{"message":"the queue is full","type":"overloaded_error","param":null,"code":"overloaded"}}"#
        );
    }

    #[test]
    fn a_rate_limit_has_its_numbers() {
        let limited = RateLimited {
            limit_type: LimitType::InputTokensPerMinute,
            limit: 200_000,
            current: 200_150,
            retry_after: std::time::Duration::from_millis(14_020),
            principal: Some("ada".into()),
        };
        let text = serde_json::to_string(&ErrorBody::from(&Error::from(limited))).unwrap();
        // As the documents print it.
        let documented = concat!(
            r#"{"error":{"message":"Rate limit exceeded: ITPM limit of 200,000 tokens reached","type":"rate_limit_exceeded","#,
            r#""code":429,"limit_type":"input_tokens_per_minute","limit":200000,"current":200150,"retry_after":15}}"#,
        );
        assert_eq!(text, documented);
        let read: ErrorBody = serde_json::from_str(documented).unwrap();
        assert!(matches!(read.error, ErrorDetail::RateLimit(_)), "{read:?}");
        let body = ErrorBody::from(&Error::new(ErrorKind::RateLimited, "the provider says so"));
        assert_eq!(
            serde_json::to_string(&body).unwrap(),
            r#"{"error":{"message":"the provider says so","type":"rate_limit_exceeded","param":null,"code":"rate_limit_exceeded"}}"#
        );
    }
}

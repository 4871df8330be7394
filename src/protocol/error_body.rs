//! An error in the OpenAI shape.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// `{"error": {"message", "type", "param", "code"}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
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
            ErrorKind::Cancelled => "cancelled_error",
            ErrorKind::DeadlineExceeded => "timeout_error",
            ErrorKind::InsufficientMemory | ErrorKind::Io | ErrorKind::ShuttingDown | ErrorKind::Internal => {
                "server_error"
            }
        };
        Self {
            error: ErrorDetail {
                message: error.message().into(),
                kind: kind.into(),
                param: error.param().map(Into::into),
                code: Some(error.kind().code().into()),
            },
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
}

//! The one public error: what went wrong, which parameter, and whether trying again can help.
//!
//! Each area has its own small error type (`WeightsError`, `TokenizerError`, ...) that names the thing, the value
//! and what would be accepted; all of them convert into [`Error`], which is what callers of the runtime see.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A `Result` with the crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is. Codes are append-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A field is missing, unknown, of the wrong type or out of range.
    InvalidRequest,
    /// Prompt and `max_tokens` together exceed the context window or the block cache.
    ContextLengthExceeded,
    /// No endpoint, model or request of that name.
    NotFound,
    /// The name is taken, or the thing is in a state that forbids the operation.
    Conflict,
    /// A model's files are damaged, truncated, contradictory or hostile.
    InvalidModel,
    /// Understood, but not something this build or this model can do.
    Unsupported,
    /// The load or the request does not fit the memory budget.
    InsufficientMemory,
    /// The queue is full; try again later.
    Overloaded,
    /// The caller cancelled.
    Cancelled,
    /// The request's deadline passed.
    DeadlineExceeded,
    /// Reading a file failed.
    Io,
    /// The runtime or the endpoint is being dropped.
    ShuttingDown,
    /// A defect in this library; the request is lost, the runtime goes on serving.
    Internal,
    /// The model was retired from this offering; the message names the day and what to use instead.
    ModelRetired,
    /// The caller may not use this, though others may.
    PermissionDenied,
    /// A rate limit is reached; try again later.
    RateLimited,
}

impl ErrorKind {
    /// The HTTP status that a hosted API would answer with.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::ContextLengthExceeded => 400,
            Self::PermissionDenied => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::ModelRetired => 410,
            Self::InvalidModel => 422,
            Self::RateLimited => 429,
            Self::Cancelled => 499,
            Self::Io | Self::Internal => 500,
            Self::Unsupported => 501,
            Self::Overloaded | Self::ShuttingDown => 503,
            Self::DeadlineExceeded => 504,
            Self::InsufficientMemory => 507,
        }
    }

    /// A stable machine-readable name, the `code` of the OpenAI error shape.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::ContextLengthExceeded => "context_length_exceeded",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::InvalidModel => "invalid_model",
            Self::Unsupported => "unsupported",
            Self::InsufficientMemory => "insufficient_memory",
            Self::Overloaded => "overloaded",
            Self::Cancelled => "cancelled",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Io => "io",
            Self::ShuttingDown => "shutting_down",
            Self::Internal => "internal",
            Self::ModelRetired => "model_retired",
            Self::PermissionDenied => "permission_denied",
            Self::RateLimited => "rate_limit_exceeded",
        }
    }

    /// Whether the same request can succeed later without being changed.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Overloaded | Self::DeadlineExceeded | Self::RateLimited)
    }
}

/// An error of the runtime: one line that names the thing, the value and what would be accepted.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    param: Option<String>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    /// The underlying error itself, so that it can be downcast to its type.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl Error {
    /// An error of `kind` with a one-line `message`. Line breaks in the message are folded to spaces.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.contains(['\n', '\r']) {
            message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        Self { kind, message, param: None, retry_after: None, source: None }
    }

    /// An [`ErrorKind::InvalidRequest`] about the request field `param`.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, message).with_param(param)
    }

    /// Names the request field or option that is at fault, as a path such as `messages[0].content`.
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Keeps the underlying error for [`std::error::Error::source`].
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Says when trying again makes sense.
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The one-line message, the same as [`std::fmt::Display`] gives.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The request field or option at fault, where there is one.
    pub fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }

    /// Whether the same request can succeed later without being changed.
    pub fn is_retryable(&self) -> bool {
        self.kind.is_retryable()
    }

    /// When trying again makes sense, if that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The HTTP status that a hosted API would answer with.
    pub fn status(&self) -> u16 {
        self.kind.status()
    }
}

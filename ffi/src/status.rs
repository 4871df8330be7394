//! Status codes. Numbers are never reused or changed; a retired one stays here as a comment.

use runtime::ErrorKind;

/// What a function answers: MR_OK, an outcome that is no failure (1 to 99), or an error (MR_E_..., from 100).
pub type mr_status = i32;

/// Success.
pub const MR_OK: i32 = 0;
/// No failure: nothing happened within the given time.
pub const MR_TIMED_OUT: i32 = 1;
/// No failure: the request has ended well and every event of it was delivered.
pub const MR_DONE: i32 = 2;

/// An argument of a C function breaks its contract: NULL where a value is needed, text that is not UTF-8, a number
/// outside its range, options of an impossible size.
pub const MR_E_INVALID_ARGUMENT: i32 = 100;
/// The request's JSON is malformed, or a field is missing, unknown, of the wrong type or out of range.
pub const MR_E_INVALID_REQUEST: i32 = 101;
/// Prompt and max_tokens together exceed the context window or the cache.
pub const MR_E_CONTEXT_LENGTH_EXCEEDED: i32 = 102;
/// There is no endpoint or file of that name.
pub const MR_E_NOT_FOUND: i32 = 103;
/// The name is taken, or the thing is in a state that forbids the call.
pub const MR_E_CONFLICT: i32 = 104;
/// Understood, but nothing that this build or this model can do.
pub const MR_E_UNSUPPORTED: i32 = 105;
/// The model was retired; the message names the day and what to use instead.
pub const MR_E_MODEL_RETIRED: i32 = 106;
/// The caller may not use this, though others may.
pub const MR_E_PERMISSION_DENIED: i32 = 107;

/// The model's files are damaged, truncated, contradictory or hostile.
pub const MR_E_INVALID_MODEL: i32 = 200;
/// Reading a file failed.
pub const MR_E_IO: i32 = 201;
/// The load or the request does not fit the memory budget.
pub const MR_E_INSUFFICIENT_MEMORY: i32 = 202;

/// The queue is full; try again later.
pub const MR_E_OVERLOADED: i32 = 300;
/// The request was cancelled.
pub const MR_E_CANCELLED: i32 = 301;
/// The request's time was up.
pub const MR_E_DEADLINE_EXCEEDED: i32 = 302;
/// The endpoint or the runtime is going away.
pub const MR_E_SHUTTING_DOWN: i32 = 303;
/// A rate limit is reached; the error's JSON has the limit, the numbers and after how long to try again.
pub const MR_E_RATE_LIMITED: i32 = 304;

/// A callback of the host returned non-zero; mr_error_get_callback_result tells what.
pub const MR_E_CALLBACK: i32 = 400;

/// A defect in this library. The call is lost, the process and the runtime go on.
pub const MR_E_INTERNAL: i32 = 500;

/// The status of an error of the runtime.
pub(crate) fn of(kind: ErrorKind) -> mr_status {
    match kind {
        ErrorKind::InvalidRequest => MR_E_INVALID_REQUEST,
        ErrorKind::ContextLengthExceeded => MR_E_CONTEXT_LENGTH_EXCEEDED,
        ErrorKind::NotFound => MR_E_NOT_FOUND,
        ErrorKind::Conflict => MR_E_CONFLICT,
        ErrorKind::InvalidModel => MR_E_INVALID_MODEL,
        ErrorKind::Unsupported => MR_E_UNSUPPORTED,
        ErrorKind::InsufficientMemory => MR_E_INSUFFICIENT_MEMORY,
        ErrorKind::Overloaded => MR_E_OVERLOADED,
        ErrorKind::Cancelled => MR_E_CANCELLED,
        ErrorKind::DeadlineExceeded => MR_E_DEADLINE_EXCEEDED,
        ErrorKind::Io => MR_E_IO,
        ErrorKind::ShuttingDown => MR_E_SHUTTING_DOWN,
        ErrorKind::ModelRetired => MR_E_MODEL_RETIRED,
        ErrorKind::PermissionDenied => MR_E_PERMISSION_DENIED,
        ErrorKind::RateLimited => MR_E_RATE_LIMITED,
        _ => MR_E_INTERNAL,
    }
}

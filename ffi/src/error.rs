//! Errors as owned objects.

use std::ffi::c_char;

use runtime::protocol::ErrorBody;

use crate::boundary::{Failure, guard_or};
use crate::handle::{self, Boxed, Castable};
use crate::status::{MR_OK, mr_status};
use crate::text::{CText, lend};

/// What went wrong in a call: owned by the caller, freed with mr_error_free. It never changes.
pub struct mr_error {
    _private: [u8; 0],
}

impl Castable for mr_error {
    type Ownership = Boxed;
    type RustType = ErrorHandle;
}

/// Everything that can be asked of an error, ready to be lent.
#[derive(Debug, Clone)]
pub(crate) struct ErrorHandle {
    status: mr_status,
    message: CText,
    param: Option<CText>,
    retryable: bool,
    http_status: i32,
    retry_after_ms: i64,
    callback_result: i32,
    json: CText,
}

impl ErrorHandle {
    pub(crate) fn json(&self) -> &CText {
        &self.json
    }

    #[cfg(test)]
    pub(crate) fn message(&self) -> &str {
        self.message.as_str()
    }
}

impl From<&Failure> for ErrorHandle {
    fn from(failure: &Failure) -> Self {
        let error = &failure.error;
        let after = |after: std::time::Duration| i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
        Self {
            status: failure.status,
            message: CText::new(error.message()),
            param: error.param().map(CText::new),
            retryable: error.is_retryable(),
            http_status: error.status().into(),
            retry_after_ms: error.retry_after().map_or(-1, after),
            callback_result: failure.callback_result,
            json: CText::new(serde_json::to_string(&ErrorBody::from(error)).unwrap_or_default()),
        }
    }
}

/// The status that the failed function returned.
///
/// @param error (in) The error, or NULL.
/// @return MR_E_...; MR_OK if error is NULL.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_error_get_code(error: *const mr_error) -> mr_status {
    // SAFETY: the contract of the header: a live handle.
    guard_or(MR_OK, || unsafe { handle::peek(error) }.map(|error| error.status))
}

/// One line for people: the thing, the value and what would be accepted.
///
/// @param error (in) The error, or NULL.
/// @param len (out) Receives the number of bytes without the NUL; NULL if it is not wanted.
/// @return UTF-8 with a NUL behind it, valid until the error is freed; NULL if error is NULL.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_error_get_message(error: *const mr_error, len: *mut usize) -> *const c_char {
    // SAFETY: the contract of the header: a live handle, memory behind `len`.
    unsafe { lend(error, len, |error| Some(&error.message)) }
}

/// The field or parameter at fault, as a path such as messages[0].content.
///
/// @param error (in) The error, or NULL.
/// @param len (out) Receives the number of bytes without the NUL; NULL if it is not wanted.
/// @return UTF-8 with a NUL behind it, valid until the error is freed; NULL (and *len untouched) if error is NULL
///   or no field is at fault.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_error_get_param(error: *const mr_error, len: *mut usize) -> *const c_char {
    // SAFETY: the contract of the header: a live handle, memory behind `len`.
    unsafe { lend(error, len, |error| error.param.as_ref()) }
}

/// Whether the same call can succeed later without being changed.
///
/// @param error (in) The error, or NULL.
/// @return 1 if it can, otherwise 0.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_error_get_retryable(error: *const mr_error) -> i32 {
    // SAFETY: the contract of the header: a live handle.
    guard_or(0, || unsafe { handle::peek(error) }.map(|error| error.retryable.into()))
}

/// The HTTP status that a hosted API would answer with.
///
/// @param error (in) The error, or NULL.
/// @return 400 to 599; 0 if error is NULL.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_error_get_status(error: *const mr_error) -> i32 {
    // SAFETY: the contract of the header: a live handle.
    guard_or(0, || unsafe { handle::peek(error) }.map(|error| error.http_status))
}

/// After how many milliseconds trying again makes sense.
///
/// @param error (in) The error, or NULL.
/// @return Milliseconds, or -1 if that is not known.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_error_get_retry_after_ms(error: *const mr_error) -> i64 {
    // SAFETY: the contract of the header: a live handle.
    guard_or(-1, || unsafe { handle::peek(error) }.map(|error| error.retry_after_ms))
}

/// What the host's callback returned, for MR_E_CALLBACK.
///
/// @param error (in) The error, or NULL.
/// @return The callback's number; 0 for every other error.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_error_get_callback_result(error: *const mr_error) -> i32 {
    // SAFETY: the contract of the header: a live handle.
    guard_or(0, || unsafe { handle::peek(error) }.map(|error| error.callback_result))
}

/// The error in the OpenAI shape, {"error":{"message","type","param","code"}}.
///
/// @param error (in) The error, or NULL.
/// @param len (out) Receives the number of bytes without the NUL; NULL if it is not wanted.
/// @return JSON with a NUL behind it, valid until the error is freed; NULL if error is NULL.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_error_get_json(error: *const mr_error, len: *mut usize) -> *const c_char {
    // SAFETY: the contract of the header: a live handle, memory behind `len`.
    unsafe { lend(error, len, |error| Some(&error.json)) }
}

/// Frees an error.
///
/// @param error (in) The error, given up; NULL does nothing.
///
/// Thread safety: any thread; nobody may use the error afterwards.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_error_free(error: *mut mr_error) {
    // SAFETY: the contract of the header: a handle that the caller gives up.
    guard_or((), || unsafe { handle::from_box(error) }.map(drop));
}

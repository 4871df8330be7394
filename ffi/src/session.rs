//! Conversations in files: what was computed of them need not be computed again.

use std::ffi::c_char;

use crate::boundary::guard;
use crate::error::mr_error;
use crate::request::{mr_request, state};
use crate::runtime::{admitted, mr_runtime};
use crate::status::{MR_OK, mr_status};
use crate::text::input;

/// Writes the conversation of a request that has ended well into a file: the tokens of its prompt and of its answer, and
/// what the endpoint's cache holds of them.
///
/// @param request (in) The request; not NULL.
/// @param choice (in) Which of its answers, from 0.
/// @param path (in) The file, which is complete afterwards or as it was before.
/// @param path_len (in) Bytes in path.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_CONFLICT: it has not ended, or not well, or has no such choice;
///   MR_E_NOT_FOUND: its endpoint or adapter is gone; MR_E_UNSUPPORTED: an endpoint without prefix sharing; MR_E_IO;
///   MR_E_INSUFFICIENT_MEMORY.
///
/// Thread safety: any thread, concurrently; not in a callback.
/// Blocking: while the cache is copied and the file written; others are served meanwhile.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_request_save_session(
    request: *const mr_request,
    choice: usize,
    path: *const c_char,
    path_len: usize,
    error: *mut *mut mr_error,
) -> mr_status {
    let body = || {
        let state = state(request)?;
        // SAFETY: the contract of the header: the bytes are there.
        let path = unsafe { input("path", path, path_len) }?;
        state.save_session(choice, path)?;
        Ok(MR_OK)
    };
    // SAFETY: the contract of the header: NULL or memory for a pointer.
    unsafe { guard(error, body) }
}

/// Puts a conversation from a file into the cache of an endpoint that serves the same model in the same way. The next
/// request that begins with it finds it there, and its answer is the same as if it had never been away.
///
/// @param runtime (in) The runtime; not NULL.
/// @param endpoint (in) The endpoint's name.
/// @param endpoint_len (in) Bytes in endpoint.
/// @param path (in) The file.
/// @param path_len (in) Bytes in path.
/// @param cached_tokens (out) Receives how many tokens from its beginning need not be computed again, as long as the cache
///   has room for them; NULL if it is not wanted.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_INVALID_REQUEST: no session, or a damaged one; MR_E_CONFLICT: one of another
///   model, kind of cache or instruction set, both of which the message names; MR_E_NOT_FOUND; MR_E_UNSUPPORTED; MR_E_OVERLOADED:
///   running requests hold the whole cache; MR_E_IO.
///
/// Thread safety: any thread, concurrently; not in a callback.
/// Blocking: while the file is read and copied; others are served meanwhile.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_runtime_restore_session(
    runtime: *const mr_runtime,
    endpoint: *const c_char,
    endpoint_len: usize,
    path: *const c_char,
    path_len: usize,
    cached_tokens: *mut usize,
    error: *mut *mut mr_error,
) -> mr_status {
    let body = || {
        // SAFETY: the contract of the header: a live reference.
        let handle = unsafe { admitted(runtime) }?;
        // SAFETY: the contract of the header: the bytes are there.
        let endpoint = unsafe { input("endpoint", endpoint, endpoint_len) }?;
        // SAFETY: the contract of the header: the bytes are there.
        let path = unsafe { input("path", path, path_len) }?;
        let restored = handle.runtime.restore_session_from(endpoint, path)?;
        if !cached_tokens.is_null() {
            // SAFETY: the contract of the header: memory for a number.
            unsafe { cached_tokens.write(restored.cached_tokens) };
        }
        Ok(MR_OK)
    };
    // SAFETY: the contract of the header: NULL or memory for a pointer.
    unsafe { guard(error, body) }
}

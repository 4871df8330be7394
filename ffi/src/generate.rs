//! Asking a runtime: chat and completion, at once or in pieces.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use ::runtime::protocol::{ChatRequest, CompletionRequest};
use ::runtime::{Error, ModelRuntime, RequestOptions};

use crate::boundary::{Failure, Out, guard};
use crate::callback::{EventCallback, UserData, mr_event_callback, mr_user_data_free};
use crate::error::mr_error;
use crate::handle;
use crate::options::{self, mr_request_options};
use crate::request::{RequestHandle, mr_request};
use crate::runtime::{admitted, mr_runtime, report};
use crate::status::{MR_OK, mr_status};
use crate::stream::Answer;
use crate::text::{input, mr_text};

/// What the options of a request say.
///
/// # Safety
/// The text fields of `given` point to the bytes that they say.
pub(crate) unsafe fn request_options(given: &mr_request_options) -> Result<RequestOptions, Failure> {
    options::reserved(given.reserved)?;
    options::reserved(given.reserved2)?;
    let mut options = RequestOptions::default().priority(given.priority);
    if given.timeout_ms != 0 {
        options = options.timeout(Duration::from_millis(given.timeout_ms));
    }
    // SAFETY: forwarded.
    let principal = unsafe { input("principal", given.principal, given.principal_len) }?;
    if !principal.is_empty() {
        options = options.principal(principal);
    }
    // SAFETY: forwarded.
    let entity = unsafe { input("entity", given.entity, given.entity_len) }?;
    if !entity.is_empty() {
        options = options.entity(entity);
    }
    match given.lifecycle {
        0 => Ok(options),
        1 => Ok(options.lifecycle(true)),
        other => Err(Failure::argument("lifecycle", format!("is {other}; accepted: 0 and 1"))),
    }
}

/// Answers a chat request, all at once.
///
/// @param runtime (in) The runtime; not NULL.
/// @param request (in) JSON in the OpenAI shape; unknown fields are refused by name.
/// @param request_len (in) Bytes in request.
/// @param options (in) NULL: the defaults.
/// @param response (out) Receives owned JSON in the OpenAI shape, freed with mr_text_free.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_INVALID_REQUEST; MR_E_CONTEXT_LENGTH_EXCEEDED; MR_E_NOT_FOUND: no such
///   endpoint; MR_E_UNSUPPORTED: a field that is not supported, or a model without a chat template;
///   MR_E_OVERLOADED; MR_E_DEADLINE_EXCEEDED; MR_E_SHUTTING_DOWN; MR_E_INTERNAL.
///
/// Thread safety: any thread, concurrently.
/// Blocking: until the answer is complete.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_runtime_chat(
    runtime: *const mr_runtime,
    request: *const c_char,
    request_len: usize,
    options: *const mr_request_options,
    response: *mut *mut mr_text,
    error: *mut *mut mr_error,
) -> mr_status {
    let make = |runtime: &ModelRuntime| {
        // SAFETY: the contract of the header: the bytes are there.
        let request = unsafe { input("request", request, request_len) }?;
        // SAFETY: the contract of the header: NULL or a struct of the size that it says.
        let options = unsafe { options::read(options) }?;
        // SAFETY: the contract of the header: the texts' bytes are there.
        let options = unsafe { request_options(&options) }?;
        Ok(runtime.chat_with(ChatRequest::from_json(request.as_bytes())?, options)?)
    };
    // SAFETY: the contract of the header.
    unsafe { report(runtime, "response", response, error, make) }
}

/// Answers a text completion request, all at once.
///
/// @param runtime (in) The runtime; not NULL.
/// @param request (in) JSON in the OpenAI shape; unknown fields are refused by name.
/// @param request_len (in) Bytes in request.
/// @param options (in) NULL: the defaults.
/// @param response (out) Receives owned JSON in the OpenAI shape, freed with mr_text_free.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return As mr_runtime_chat.
///
/// Thread safety: any thread, concurrently.
/// Blocking: until the answer is complete.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_runtime_complete(
    runtime: *const mr_runtime,
    request: *const c_char,
    request_len: usize,
    options: *const mr_request_options,
    response: *mut *mut mr_text,
    error: *mut *mut mr_error,
) -> mr_status {
    let make = |runtime: &ModelRuntime| {
        // SAFETY: the contract of the header: the bytes are there.
        let request = unsafe { input("request", request, request_len) }?;
        // SAFETY: the contract of the header: NULL or a struct of the size that it says.
        let options = unsafe { options::read(options) }?;
        // SAFETY: the contract of the header: the texts' bytes are there.
        let options = unsafe { request_options(&options) }?;
        Ok(runtime.complete_with(CompletionRequest::from_json(request.as_bytes())?, options)?)
    };
    // SAFETY: the contract of the header.
    unsafe { report(runtime, "response", response, error, make) }
}

/// What the submitting functions take.
struct Submitted {
    runtime: *const mr_runtime,
    text: *const c_char,
    len: usize,
    options: *const mr_request_options,
    callback: mr_event_callback,
    user_data: *mut c_void,
    user_data_free: mr_user_data_free,
    request: *mut *mut mr_request,
    error: *mut *mut mr_error,
}

/// The body of the submitting functions.
///
/// # Safety
/// As the header says about their parameters.
unsafe fn submit(
    given: Submitted,
    begin: impl FnOnce(&ModelRuntime, &str, RequestOptions) -> Result<Box<dyn Answer>, Error>,
) -> mr_status {
    let error = given.error;
    let body = move || {
        let data = UserData::new(given.user_data, given.user_data_free);
        let callback = EventCallback::new(given.callback, data);
        // SAFETY: forwarded.
        let handle = unsafe { admitted(given.runtime) }?;
        // SAFETY: forwarded.
        let text = unsafe { input("request_json", given.text, given.len) }?;
        // SAFETY: forwarded.
        let options = unsafe { options::read(given.options) }?;
        // SAFETY: the contract of the header: the texts' bytes are there.
        let options = unsafe { request_options(&options) }?;
        // SAFETY: forwarded.
        let out = unsafe { Out::new("request", given.request) }?;
        let answer = begin(&handle.runtime, text, options)?;
        let request = match callback {
            None => RequestHandle::pull(handle, answer),
            Some(callback) => {
                let pushed = handle.push(answer, callback)?;
                RequestHandle::push(handle, pushed)
            }
        };
        out.set(handle::enlist(request));
        Ok(MR_OK)
    };
    // SAFETY: forwarded.
    unsafe { guard(error, body) }
}

/// Submits a chat request whose answer is read in pieces.
///
/// @param runtime (in) The runtime; not NULL.
/// @param request_json (in) JSON in the OpenAI shape; unknown fields are refused by name. "stream" may be given or not;
///   "stream_options" needs it.
/// @param request_json_len (in) Bytes in request_json.
/// @param options (in) NULL: the defaults.
/// @param callback (in) Receives the events on the runtime's dispatch thread, possibly before this function returns;
///   NULL: read them with mr_request_next.
/// @param user_data (in) The first argument of callback.
/// @param user_data_free (in) Frees user_data once: after the last event, when the request is freed, or before this
///   function returns if that fails or callback is NULL. NULL: nobody does.
/// @param request (out) Receives the owned request, freed with mr_request_free.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_INVALID_REQUEST; MR_E_CONTEXT_LENGTH_EXCEEDED; MR_E_NOT_FOUND: no such
///   endpoint; MR_E_UNSUPPORTED: a field that is not supported, or a model without a chat template;
///   MR_E_OVERLOADED; MR_E_SHUTTING_DOWN.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never for long; the prompt is tokenized.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_runtime_submit_chat(
    runtime: *const mr_runtime,
    request_json: *const c_char,
    request_json_len: usize,
    options: *const mr_request_options,
    callback: mr_event_callback,
    user_data: *mut c_void,
    user_data_free: mr_user_data_free,
    request: *mut *mut mr_request,
    error: *mut *mut mr_error,
) -> mr_status {
    let (text, len) = (request_json, request_json_len);
    let given =
        Submitted { runtime, text, len, options, callback, user_data, user_data_free, request, error };
    // SAFETY: the contract of the header.
    unsafe {
        submit(given, |runtime, text, options| {
            Ok(Box::new(runtime.chat_stream_with(ChatRequest::from_json(text.as_bytes())?, options)?))
        })
    }
}

/// Submits a text completion request whose answer is read in pieces.
///
/// @param runtime (in) The runtime; not NULL.
/// @param request_json (in) JSON in the OpenAI shape; unknown fields are refused by name. "stream" may be given or not;
///   "stream_options" needs it.
/// @param request_json_len (in) Bytes in request_json.
/// @param options (in) NULL: the defaults.
/// @param callback (in) Receives the events on the runtime's dispatch thread, possibly before this function returns;
///   NULL: read them with mr_request_next.
/// @param user_data (in) The first argument of callback.
/// @param user_data_free (in) Frees user_data once: after the last event, when the request is freed, or before this
///   function returns if that fails or callback is NULL. NULL: nobody does.
/// @param request (out) Receives the owned request, freed with mr_request_free.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return As mr_runtime_submit_chat.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never for long; the prompt is tokenized.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_runtime_submit_completion(
    runtime: *const mr_runtime,
    request_json: *const c_char,
    request_json_len: usize,
    options: *const mr_request_options,
    callback: mr_event_callback,
    user_data: *mut c_void,
    user_data_free: mr_user_data_free,
    request: *mut *mut mr_request,
    error: *mut *mut mr_error,
) -> mr_status {
    let (text, len) = (request_json, request_json_len);
    let given =
        Submitted { runtime, text, len, options, callback, user_data, user_data_free, request, error };
    // SAFETY: the contract of the header.
    unsafe {
        submit(given, |runtime, text, options| {
            Ok(Box::new(
                runtime.complete_stream_with(CompletionRequest::from_json(text.as_bytes())?, options)?,
            ))
        })
    }
}

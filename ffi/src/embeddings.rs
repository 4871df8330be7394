//! Vectors of texts: one block of floats that the caller reads where it lies.

use std::ffi::c_char;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ::runtime::protocol::{EmbeddingRequest, EncodingFormat, Normalize};
use ::runtime::runtime::{EmbeddingRow, Embeddings, PendingEmbeddings};
use ::runtime::{Error, ErrorKind};
use parking_lot::RwLock;

use crate::boundary::{Failure, Out, Poison, guard, guard_or};
use crate::error::mr_error;
use crate::generate::request_options;
use crate::handle::{self, Castable, InList, List, Listed};
use crate::options::{self, mr_request_options};
use crate::request::timeout;
use crate::runtime::{RuntimeHandle, admitted, mr_runtime, report};
use crate::status::{MR_OK, MR_TIMED_OUT, mr_status};
use crate::stream::print;
use crate::text::{CText, input, mr_text};

/// The vectors are as the model makes them.
pub const MR_NORMALIZE_NONE: i32 = 0;
/// The vectors have unit length.
pub const MR_NORMALIZE_L2: i32 = 1;

/// The vectors of a request, made or being made: owned by the caller, freed with mr_embeddings_free, which cancels what
/// is not done. A number in disguise: one that was freed is recognised, and nothing is ever read through it.
pub struct mr_embeddings {
    _private: [u8; 0],
}

impl Castable for mr_embeddings {
    type Ownership = Listed;
    type RustType = EmbeddingsHandle;
}

impl InList for mr_embeddings {
    fn list() -> &'static List<EmbeddingsHandle> {
        static LIST: List<EmbeddingsHandle> = List::new();
        &LIST
    }
}

/// What the handle stands for.
pub(crate) struct EmbeddingsHandle {
    version: CText,
    normalize: Normalize,
    rows: Vec<EmbeddingRow>,
    format: EncodingFormat,
    /// Until the end was taken from it. Waiting holds it for reading, so that others may wait and cancel meanwhile.
    pending: RwLock<Option<PendingEmbeddings>>,
    end: OnceLock<Result<Embeddings, Error>>,
    poison: Poison,
    /// Keeps the runtime until the handle is freed. The last field: dropped last.
    _runtime: Arc<RuntimeHandle>,
}

impl EmbeddingsHandle {
    fn new(runtime: Arc<RuntimeHandle>, pending: PendingEmbeddings, format: EncodingFormat) -> Self {
        Self {
            version: CText::new(pending.version()),
            normalize: pending.normalize(),
            rows: pending.rows().to_vec(),
            format,
            pending: RwLock::new(Some(pending)),
            end: OnceLock::new(),
            poison: Poison::default(),
            _runtime: runtime,
        }
    }

    /// The end, if it comes within the timeout; `None` waits for ever.
    fn wait(&self, timeout: Option<Duration>) -> Result<Option<&Embeddings>, Failure> {
        let _entered = self.poison.enter()?;
        if self.end.get().is_none() {
            let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
            let left = || deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
            let ended = match &*self.pending.read() {
                Some(pending) => pending.wait_progress(usize::MAX, left()).ended,
                None => true,
            };
            if !ended {
                return Ok(None);
            }
            // Whoever comes first takes the end, which is there; the others find it taken.
            let mut pending = self.pending.write();
            if let Some(pending) = pending.take() {
                let _ = self.end.set(pending.wait());
            }
        }
        match self.end.get() {
            Some(Ok(embeddings)) => Ok(Some(embeddings)),
            Some(Err(error)) => Err(error.clone().into()),
            None => Err(Error::new(ErrorKind::Internal, "the vectors were lost").into()),
        }
    }

    /// What was made, if it has ended well and somebody has waited for it.
    fn made(&self) -> Option<&Embeddings> {
        self.end.get()?.as_ref().ok()
    }

    fn cancel(&self) {
        if let Some(pending) = &*self.pending.read() {
            pending.cancel();
        }
    }

    fn done(&self) -> usize {
        match &*self.pending.read() {
            Some(pending) => pending.progress().done,
            None => self.made().map_or(0, Embeddings::len),
        }
    }
}

/// Begins to make the vectors of texts.
///
/// @param runtime (in) The runtime; not NULL.
/// @param request_json (in) JSON in the OpenAI shape: model, input (a string, token ids, or a list of either), and
///   optionally instruction, prompt_name, dimensions, normalize, truncate, pooling, encoding_format, user. Unknown
///   fields are refused by name.
/// @param request_json_len (in) Bytes in request_json.
/// @param options (in) NULL: the defaults.
/// @param embeddings (out) Receives the owned handle, freed with mr_embeddings_free.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_INVALID_REQUEST; MR_E_CONTEXT_LENGTH_EXCEEDED: a text is too long, and
///   truncate is "error"; MR_E_NOT_FOUND: no such endpoint; MR_E_UNSUPPORTED: the endpoint generates text;
///   MR_E_OVERLOADED; MR_E_SHUTTING_DOWN; MR_E_INSUFFICIENT_MEMORY.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never for long; the texts are tokenized.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_runtime_submit_embeddings(
    runtime: *const mr_runtime,
    request_json: *const c_char,
    request_json_len: usize,
    options: *const mr_request_options,
    embeddings: *mut *mut mr_embeddings,
    error: *mut *mut mr_error,
) -> mr_status {
    let body = || {
        // SAFETY: the contract of the header.
        let handle = unsafe { admitted(runtime) }?;
        // SAFETY: the contract of the header: the bytes are there.
        let text = unsafe { input("request_json", request_json, request_json_len) }?;
        // SAFETY: the contract of the header: NULL or a struct of the size that it says.
        let options = unsafe { options::read(options) }?;
        // SAFETY: the contract of the header: the texts' bytes are there.
        let options = unsafe { request_options(&options) }?;
        // SAFETY: the contract of the header: NULL or memory for a pointer.
        let out = unsafe { Out::new("embeddings", embeddings) }?;
        let request = EmbeddingRequest::from_json(text.as_bytes())?;
        let format = request.encoding_format;
        let pending = handle.runtime.embeddings_start(request, options)?;
        out.set(handle::enlist(EmbeddingsHandle::new(handle, pending, format)));
        Ok(MR_OK)
    };
    // SAFETY: the contract of the header: NULL or memory for a pointer.
    unsafe { guard(error, body) }
}

/// The vectors of texts, all at once, as JSON.
///
/// @param runtime (in) The runtime; not NULL.
/// @param request (in) JSON as for mr_runtime_submit_embeddings.
/// @param request_len (in) Bytes in request.
/// @param options (in) NULL: the defaults.
/// @param response (out) Receives owned JSON in the OpenAI shape, freed with mr_text_free.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return As mr_runtime_submit_embeddings; MR_E_DEADLINE_EXCEEDED; MR_E_INTERNAL.
///
/// Thread safety: any thread, concurrently.
/// Blocking: until all vectors are made.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_runtime_embeddings(
    runtime: *const mr_runtime,
    request: *const c_char,
    request_len: usize,
    options: *const mr_request_options,
    response: *mut *mut mr_text,
    error: *mut *mut mr_error,
) -> mr_status {
    let make = |runtime: &::runtime::ModelRuntime| {
        // SAFETY: the contract of the header: the bytes are there.
        let request = unsafe { input("request", request, request_len) }?;
        // SAFETY: the contract of the header: NULL or a struct of the size that it says.
        let options = unsafe { options::read(options) }?;
        // SAFETY: the contract of the header: the texts' bytes are there.
        let options = unsafe { request_options(&options) }?;
        Ok(runtime.embeddings_with(EmbeddingRequest::from_json(request.as_bytes())?, options)?)
    };
    // SAFETY: the contract of the header.
    unsafe { report(runtime, "response", response, error, make) }
}

/// Waits until all vectors are made. Afterwards mr_embeddings_get_values gives them.
///
/// @param embeddings (in) The handle; not NULL.
/// @param timeout_ms (in) How long to wait; 0: not at all; MR_WAIT_FOREVER.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return MR_OK. MR_TIMED_OUT: not yet. MR_E_INVALID_ARGUMENT; or what ended the request (MR_E_CANCELLED,
///   MR_E_DEADLINE_EXCEEDED, MR_E_SHUTTING_DOWN, MR_E_INTERNAL). Later calls answer the same.
///
/// Thread safety: any thread, concurrently.
/// Blocking: up to timeout_ms.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_embeddings_wait(
    embeddings: *const mr_embeddings,
    timeout_ms: i64,
    error: *mut *mut mr_error,
) -> mr_status {
    let body = || {
        let handle = handle::find("embeddings", embeddings)?;
        let made = handle.wait(timeout(timeout_ms)?)?;
        Ok(if made.is_some() { MR_OK } else { MR_TIMED_OUT })
    };
    // SAFETY: the contract of the header: NULL or memory for a pointer.
    unsafe { guard(error, body) }
}

/// All vectors in one block, row by row, in the order of the texts: rows * dimension floats.
///
/// @param embeddings (in) The handle, or NULL.
/// @param rows (out) Receives the number of texts; NULL if it is not wanted.
/// @param dimension (out) Receives the number of values of a vector; NULL if it is not wanted.
/// @return A pointer into the handle, aligned for float, valid until the handle is freed. NULL (and nothing written)
///   before mr_embeddings_wait has answered MR_OK.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_embeddings_get_values(
    embeddings: *const mr_embeddings,
    rows: *mut usize,
    dimension: *mut usize,
) -> *const f32 {
    guard_or(std::ptr::null(), || {
        let handle = handle::find("embeddings", embeddings).ok()?;
        let made = handle.made()?;
        for (out, value) in [(rows, made.len()), (dimension, made.dimension())] {
            if !out.is_null() {
                // SAFETY: not NULL, and the contract of the header: memory for a `size_t`.
                unsafe { out.write(value) };
            }
        }
        // The list keeps the block until the handle is freed.
        Some(made.values().as_ptr())
    })
}

/// How many texts have their vectors: the first ones, in the order of the request.
///
/// @param embeddings (in) The handle, or NULL.
/// @return The number of texts; 0 if embeddings is NULL.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub extern "C" fn mr_embeddings_get_done(embeddings: *const mr_embeddings) -> usize {
    guard_or(0, || Some(handle::find("embeddings", embeddings).ok()?.done()))
}

/// The tokens of one text that are computed, special tokens included. Known from the start.
///
/// @param embeddings (in) The handle, or NULL.
/// @param row (in) The text, from 0 on.
/// @return The number of tokens; 0 if there is no such text.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub extern "C" fn mr_embeddings_get_tokens(embeddings: *const mr_embeddings, row: usize) -> usize {
    guard_or(0, || Some(handle::find("embeddings", embeddings).ok()?.rows.get(row)?.tokens))
}

/// Whether one text was longer than the endpoint takes and was cut. Known from the start.
///
/// @param embeddings (in) The handle, or NULL.
/// @param row (in) The text, from 0 on.
/// @return 1 if it was cut; 0 if not, or if there is no such text.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub extern "C" fn mr_embeddings_get_truncated(embeddings: *const mr_embeddings, row: usize) -> i32 {
    guard_or(0, || Some(i32::from(handle::find("embeddings", embeddings).ok()?.rows.get(row)?.truncated)))
}

/// What is applied to the vectors. Known from the start.
///
/// @param embeddings (in) The handle, or NULL.
/// @return MR_NORMALIZE_L2 or MR_NORMALIZE_NONE; -1 if embeddings is NULL.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub extern "C" fn mr_embeddings_get_normalize(embeddings: *const mr_embeddings) -> i32 {
    guard_or(-1, || {
        let normalize = handle::find("embeddings", embeddings).ok()?.normalize;
        Some(if normalize == Normalize::L2 { MR_NORMALIZE_L2 } else { MR_NORMALIZE_NONE })
    })
}

/// The exact version that answers.
///
/// @param embeddings (in) The handle, or NULL.
/// @param len (out) Receives the number of bytes without the NUL; NULL if it is not wanted.
/// @return UTF-8 with a NUL behind it, valid until the handle is freed; NULL (and *len untouched) if embeddings is NULL.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_embeddings_get_version(
    embeddings: *const mr_embeddings,
    len: *mut usize,
) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let handle = handle::find("embeddings", embeddings).ok()?;
        // SAFETY: the contract of the header: memory behind `len`. The list keeps the text until the handle is freed.
        Some(unsafe { handle.version.lend(len) })
    })
}

/// The response as JSON of the OpenAI shape, in the encoding that the request asked for.
///
/// @param embeddings (in) The handle; not NULL.
/// @param response (out) Receives owned JSON, freed with mr_text_free.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_CONFLICT: mr_embeddings_wait has not answered MR_OK yet; or what ended
///   the request.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never for long; the values are printed.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_embeddings_response(
    embeddings: *const mr_embeddings,
    response: *mut *mut mr_text,
    error: *mut *mut mr_error,
) -> mr_status {
    let body = || {
        let handle = handle::find("embeddings", embeddings)?;
        // SAFETY: the contract of the header: NULL or memory for a pointer.
        let out = unsafe { Out::new("response", response) }?;
        let Some(made) = handle.wait(Some(Duration::ZERO))? else {
            let message = "the vectors are not all made yet; wait for them first";
            return Err(Error::new(ErrorKind::Conflict, message).with_param("embeddings").into());
        };
        out.set(handle::into_box(CText::new(print(&made.to_response(handle.format))?)));
        Ok(MR_OK)
    };
    // SAFETY: the contract of the header: NULL or memory for a pointer.
    unsafe { guard(error, body) }
}

/// Asks for the end of what is not done: it ends with MR_E_CANCELLED within one batch. What has ended stays as it is.
///
/// @param embeddings (in) The handle; NULL does nothing.
///
/// Thread safety: any thread, concurrently, also while others wait for it.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub extern "C" fn mr_embeddings_cancel(embeddings: *const mr_embeddings) {
    guard_or((), || handle::find("embeddings", embeddings).ok().map(|handle| handle.cancel()));
}

/// Frees the handle and the vectors in it; what is not done is cancelled first.
///
/// @param embeddings (in) The handle, given up; NULL, and one that was freed before, do nothing.
///
/// Thread safety: any thread. Calls of other threads on the handle that are under way end with MR_E_CANCELLED, later ones
///   with MR_E_INVALID_ARGUMENT. Nobody may read the values afterwards.
/// Blocking: never. The last handle of a released runtime waits for the runtime's threads, for about one batch.
/// @since 0.1
#[unsafe(no_mangle)]
pub extern "C" fn mr_embeddings_free(embeddings: *mut mr_embeddings) {
    guard_or((), || handle::delist(embeddings).map(|handle| handle.cancel()));
}

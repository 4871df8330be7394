//! Requests as handles.

use std::ffi::c_char;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::runtime::runtime::Canceller;
use ::runtime::{Error, ErrorKind};
use parking_lot::Mutex;

use crate::boundary::{Failure, Out, Poison, guard, guard_or};
use crate::dispatch::PushedAnswer;
use crate::error::mr_error;
use crate::event::mr_event;
use crate::handle::{self, Castable, InList, List, Listed};
use crate::runtime::RuntimeHandle;
use crate::status::{MR_DONE, MR_OK, MR_TIMED_OUT, mr_status};
use crate::stream::{Answer, Found, print};
use crate::text::{CText, mr_text};

/// A running request and its answer: owned by the caller, freed with mr_request_free, which cancels it. A number in
/// disguise: a request that was freed is recognised, and nothing is ever read through it.
pub struct mr_request {
    _private: [u8; 0],
}

impl Castable for mr_request {
    type Ownership = Listed;
    type RustType = RequestHandle;
}

impl InList for mr_request {
    fn list() -> &'static List<RequestHandle> {
        static LIST: List<RequestHandle> = List::new();
        &LIST
    }
}

/// What a request handle stands for. The state is shared with calls that wait, so that they end well when the handle
/// is freed.
pub(crate) struct RequestHandle {
    state: Arc<State>,
    version: CText,
    canceller: Canceller,
}

pub(crate) struct State {
    reading: Reading,
    poison: Poison,
    /// Keeps the runtime, and its callbacks' thread, until the request is freed. The last field: dropped last.
    runtime: Arc<RuntimeHandle>,
}

/// Who reads the answer.
enum Reading {
    /// The host, one reader at a time.
    Pull { answer: Box<dyn Answer>, turn: Mutex<()> },
    /// The callbacks' thread.
    Push(Arc<PushedAnswer>),
}

impl RequestHandle {
    pub(crate) fn pull(runtime: Arc<RuntimeHandle>, answer: Box<dyn Answer>) -> Self {
        let (version, canceller) = (CText::new(answer.version()), answer.canceller());
        Self::new(runtime, Reading::Pull { answer, turn: Mutex::new(()) }, version, canceller)
    }

    pub(crate) fn push(runtime: Arc<RuntimeHandle>, pushed: Arc<PushedAnswer>) -> Self {
        let (version, canceller) =
            pushed.with_answer(|answer| (CText::new(answer.version()), answer.canceller()));
        Self::new(runtime, Reading::Push(pushed), version, canceller)
    }

    fn new(runtime: Arc<RuntimeHandle>, reading: Reading, version: CText, canceller: Canceller) -> Self {
        Self { state: Arc::new(State { reading, poison: Poison::default(), runtime }), version, canceller }
    }
}

impl RequestHandle {
    /// Ends the request for its owner. Not left to a drop: another thread may still be about to return from a call.
    fn close(&self) {
        self.canceller.cancel();
        if let Reading::Push(pushed) = &self.state.reading {
            pushed.free();
            self.state.runtime.forget(pushed);
        }
    }
}

impl State {
    fn next(&self, timeout: Option<Duration>) -> Result<Found, Failure> {
        let _entered = self.poison.enter()?;
        let Reading::Pull { answer, turn } = &self.reading else {
            let message = "the request has a callback, which receives its events";
            return Err(Error::new(ErrorKind::Conflict, message).with_param("request").into());
        };
        let Some(timeout) = timeout else {
            let _turn = turn.lock();
            return Ok(answer.next(Duration::MAX)?);
        };
        // Waiting for another reader's turn counts.
        let started = Instant::now();
        let Some(_turn) = turn.try_lock_for(timeout) else { return Ok(Found::TimedOut) };
        Ok(answer.next(timeout.saturating_sub(started.elapsed()))?)
    }

    fn wait(&self, timeout: Option<Duration>) -> Result<Option<String>, Failure> {
        let _entered = self.poison.enter()?;
        match &self.reading {
            Reading::Pull { answer, .. } => Ok(answer.wait(timeout).transpose()?),
            Reading::Push(pushed) => pushed.wait(timeout).transpose(),
        }
    }

    /// Writes a choice as a session into a file.
    pub(crate) fn save_session(&self, choice: usize, path: &str) -> Result<(), Failure> {
        let session = match &self.reading {
            Reading::Pull { answer, .. } => answer.session(choice),
            Reading::Push(pushed) => pushed.with_answer(|answer| answer.session(choice)),
        };
        let session = session.ok_or_else(|| {
            let message = format!(
                "the request has no choice {choice} that has ended well; a session is of one that has"
            );
            Error::new(ErrorKind::Conflict, message).with_param("choice")
        })?;
        Ok(self.runtime.runtime.save_session_to(&session, path)?)
    }

    fn timings(&self) -> Result<String, Failure> {
        let timings = match &self.reading {
            Reading::Pull { answer, .. } => answer.timings(),
            Reading::Push(pushed) => pushed.with_answer(|answer| answer.timings()),
        };
        let timings = timings.ok_or_else(|| {
            let message = "the request has not ended well yet; its timings are known afterwards";
            Error::new(ErrorKind::Conflict, message).with_param("request")
        })?;
        Ok(print(&serde_json::json!({
            "queued_seconds": timings.queued.as_secs_f64(),
            "time_to_first_token_seconds": timings.time_to_first_token.map(|time| time.as_secs_f64()),
            "total_seconds": timings.total.as_secs_f64(),
            "preemptions": timings.preemptions,
        }))?)
    }
}

/// A timeout of the caller: `None` is for ever.
pub(crate) fn timeout(timeout_ms: i64) -> Result<Option<Duration>, Failure> {
    match u64::try_from(timeout_ms) {
        Ok(ms) => Ok(Some(Duration::from_millis(ms))),
        Err(_) if timeout_ms == -1 => Ok(None),
        Err(_) => {
            let what = format!("is {timeout_ms}; accepted is 0 or more, or MR_WAIT_FOREVER (-1)");
            Err(Failure::argument("timeout_ms", what))
        }
    }
}

pub(crate) fn state(request: *const mr_request) -> Result<Arc<State>, Failure> {
    Ok(Arc::clone(&handle::find("request", request)?.state))
}

/// Waits for the next pieces of an answer and gives all that are there as one event.
///
/// Several threads may read one request; each event goes to one of them.
///
/// @param request (in) The request; not NULL, submitted without a callback.
/// @param timeout_ms (in) How long to wait; 0: not at all; MR_WAIT_FOREVER.
/// @param event (out) Receives an owned event, freed with mr_event_free; written only with MR_OK.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return MR_OK: there is an event. MR_TIMED_OUT: nothing new in time. MR_DONE: the answer is complete and was
///   read. MR_E_INVALID_ARGUMENT; MR_E_CONFLICT: the request has a callback; or what ended the request
///   (MR_E_CANCELLED, MR_E_DEADLINE_EXCEEDED, MR_E_SHUTTING_DOWN, MR_E_INTERNAL), again in every later call.
///
/// Thread safety: any thread, concurrently.
/// Blocking: up to timeout_ms.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_request_next(
    request: *const mr_request,
    timeout_ms: i64,
    event: *mut *mut mr_event,
    error: *mut *mut mr_error,
) -> mr_status {
    let body = || {
        let state = state(request)?;
        let timeout = timeout(timeout_ms)?;
        // SAFETY: the contract of the header: NULL or memory for a pointer.
        let out = unsafe { Out::new("event", event) }?;
        match state.next(timeout)? {
            Found::TimedOut => Ok(MR_TIMED_OUT),
            Found::End => Ok(MR_DONE),
            Found::Event(event) => {
                out.set(handle::into_box(event));
                Ok(MR_OK)
            }
        }
    };
    // SAFETY: the contract of the header: NULL or memory for a pointer.
    unsafe { guard(error, body) }
}

/// Waits for the end of an answer and gives the whole response, whatever of it was read before.
///
/// With a callback it waits until the callback has seen the last event and returned: with timeout_ms 0 it may answer MR_TIMED_OUT
/// while that is still running.
///
/// @param request (in) The request; not NULL.
/// @param timeout_ms (in) How long to wait; 0: not at all; MR_WAIT_FOREVER.
/// @param response (out) Receives owned JSON in the OpenAI shape, freed with mr_text_free; written only with MR_OK.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return MR_OK. MR_TIMED_OUT: not yet. MR_E_INVALID_ARGUMENT; MR_E_CALLBACK: the request's callback ended it;
///   MR_E_CONFLICT: it would wait for the callback that calls it; or what ended the request (MR_E_CANCELLED,
///   MR_E_DEADLINE_EXCEEDED, MR_E_SHUTTING_DOWN, MR_E_INTERNAL). Later calls answer the same.
///
/// Thread safety: any thread, concurrently; not in a callback for a request with a callback.
/// Blocking: up to timeout_ms.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_request_wait(
    request: *const mr_request,
    timeout_ms: i64,
    response: *mut *mut mr_text,
    error: *mut *mut mr_error,
) -> mr_status {
    let body = || {
        let state = state(request)?;
        let timeout = timeout(timeout_ms)?;
        // SAFETY: the contract of the header: NULL or memory for a pointer.
        let out = unsafe { Out::new("response", response) }?;
        let Some(json) = state.wait(timeout)? else { return Ok(MR_TIMED_OUT) };
        out.set(handle::into_box(CText::new(json)));
        Ok(MR_OK)
    };
    // SAFETY: the contract of the header: NULL or memory for a pointer.
    unsafe { guard(error, body) }
}

/// Asks a request to end: it ends with MR_E_CANCELLED within one step. One that has ended stays as it is.
///
/// @param request (in) The request; NULL does nothing.
///
/// Thread safety: any thread, concurrently, also while others wait for the request.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub extern "C" fn mr_request_cancel(request: *const mr_request) {
    guard_or((), || handle::find("request", request).ok().map(|request| request.canceller.cancel()));
}

/// The exact version that serves a request, as the field "model" of its answer names it.
///
/// @param request (in) The request, or NULL.
/// @param len (out) Receives the number of bytes without the NUL; NULL if it is not wanted.
/// @return UTF-8 with a NUL behind it, valid until the request is freed; NULL (and *len untouched) if request is
///   NULL.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_request_get_version(
    request: *const mr_request,
    len: *mut usize,
) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let request = handle::find("request", request).ok()?;
        // SAFETY: the contract of the header: memory behind `len`. The list keeps the text until the request is freed.
        Some(unsafe { request.version.lend(len) })
    })
}

/// When things happened to a request that has ended well, as a JSON object: queued_seconds,
/// time_to_first_token_seconds (null without a token), total_seconds, preemptions.
///
/// @param request (in) The request; not NULL.
/// @param timings (out) Receives owned JSON, freed with mr_text_free.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_CONFLICT: it has not ended, or not well.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_request_timings(
    request: *const mr_request,
    timings: *mut *mut mr_text,
    error: *mut *mut mr_error,
) -> mr_status {
    let body = || {
        let state = state(request)?;
        // SAFETY: the contract of the header: NULL or memory for a pointer.
        let out = unsafe { Out::new("timings", timings) }?;
        out.set(handle::into_box(CText::new(state.timings()?)));
        Ok(MR_OK)
    };
    // SAFETY: the contract of the header: NULL or memory for a pointer.
    unsafe { guard(error, body) }
}

/// Frees a request; one that still runs is cancelled first.
///
/// With a callback: the callback has returned and never runs again, and its user_data was freed; inside that
/// callback, user_data is freed when it returns.
///
/// @param request (in) The request, given up; NULL, and a request that was freed before, do nothing.
///
/// Thread safety: any thread, callbacks included. Calls of other threads on the request that are under way end with
///   MR_E_CANCELLED, later ones with MR_E_INVALID_ARGUMENT.
/// Blocking: while the request's callback runs on another thread. The last handle of a released runtime also waits
///   for the runtime's threads, for about one step.
/// @since 0.1
#[unsafe(no_mangle)]
pub extern "C" fn mr_request_free(request: *mut mr_request) {
    guard_or((), || handle::delist(request).map(|request| request.close()));
}

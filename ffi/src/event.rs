//! What a running request reports.

use std::ffi::c_char;

use serde::Serialize;

use crate::boundary::guard_or;
use crate::error::{ErrorHandle, mr_error};
use crate::handle::{self, Boxed, Castable};
use crate::text::{CText, lend};

/// New pieces of the answer.
pub const MR_EVENT_CHUNKS: i32 = 1;
/// The answer is complete. Only callbacks see it; mr_request_next answers MR_DONE instead.
pub const MR_EVENT_FINISHED: i32 = 2;
/// The request failed. Only callbacks see it; mr_request_next returns the error instead.
pub const MR_EVENT_FAILED: i32 = 3;

/// What a running request reports: one or more pieces of its answer, or its end. From mr_request_next it is owned by
/// the caller and freed with mr_event_free; in a callback it is lent until the callback returns. It never changes.
pub struct mr_event {
    _private: [u8; 0],
}

impl Castable for mr_event {
    type Ownership = Boxed;
    type RustType = EventHandle;
}

/// An event, ready to be lent.
#[derive(Debug)]
pub(crate) struct EventHandle {
    kind: i32,
    text: CText,
    json: CText,
    error: Option<ErrorHandle>,
}

impl EventHandle {
    /// Pieces of an answer, and the text that they add.
    pub(crate) fn chunks<C: Serialize>(text: String, chunks: &[C]) -> Self {
        let json = CText::new(serde_json::to_string(chunks).unwrap_or_default());
        Self { kind: MR_EVENT_CHUNKS, text: CText::new(text), json, error: None }
    }

    /// The end, good or not.
    pub(crate) fn end(error: Option<ErrorHandle>) -> Self {
        let kind = if error.is_some() { MR_EVENT_FAILED } else { MR_EVENT_FINISHED };
        Self { kind, text: CText::new(""), json: CText::new("[]"), error }
    }

    /// The event as a callback sees it.
    pub(crate) fn lend(&self) -> *const mr_event {
        std::ptr::from_ref(self).cast()
    }
}

/// What kind of event this is.
///
/// @param event (in) The event, or NULL.
/// @return MR_EVENT_...; 0 if event is NULL. A later release may add kinds: ignore what you do not know.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_event_get_kind(event: *const mr_event) -> i32 {
    // SAFETY: the contract of the header: a live handle.
    guard_or(0, || unsafe { handle::peek(event) }.map(|event| event.kind))
}

/// The text that the event adds to the answer, of all its chunks together; where several answers were asked for, to the
/// first of them.
///
/// @param event (in) The event, or NULL.
/// @param len (out) Receives the number of bytes without the NUL; NULL if it is not wanted.
/// @return UTF-8 with a NUL behind it, possibly empty, never a part of a character; valid as long as the event;
///   NULL if event is NULL.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_event_get_text(event: *const mr_event, len: *mut usize) -> *const c_char {
    // SAFETY: the contract of the header: a live handle, memory behind `len`.
    unsafe { lend(event, len, |event| Some(&event.text)) }
}

/// The event's chunks in the OpenAI shape, as a JSON list.
///
/// @param event (in) The event, or NULL.
/// @param len (out) Receives the number of bytes without the NUL; NULL if it is not wanted.
/// @return JSON with a NUL behind it, valid as long as the event; NULL if event is NULL.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_event_get_json(event: *const mr_event, len: *mut usize) -> *const c_char {
    // SAFETY: the contract of the header: a live handle, memory behind `len`.
    unsafe { lend(event, len, |event| Some(&event.json)) }
}

/// Why the request failed, for MR_EVENT_FAILED.
///
/// @param event (in) The event, or NULL.
/// @return An error that belongs to the event (do not free it), valid as long as the event; NULL for other kinds.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_event_get_error(event: *const mr_event) -> *const mr_error {
    guard_or(std::ptr::null(), || {
        // SAFETY: the contract of the header: a live handle.
        let event = unsafe { handle::peek(event) }?;
        event.error.as_ref().map(|error| std::ptr::from_ref(error).cast())
    })
}

/// Frees an event that came from mr_request_next.
///
/// @param event (in) The event, given up; NULL does nothing.
///
/// Thread safety: any thread; nobody may use the event afterwards.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_event_free(event: *mut mr_event) {
    // SAFETY: the contract of the header: a handle that the caller gives up.
    guard_or((), || unsafe { handle::from_box(event) }.map(drop));
}

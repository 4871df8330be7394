//! What a running request reports.

use std::ffi::c_char;
use std::ops::Range;
use std::sync::OnceLock;

use ::runtime::protocol::event_stream;
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

/// An event, ready to be lent. What is not always asked for is printed when somebody does.
pub(crate) struct EventHandle {
    kind: i32,
    text: CText,
    chunks: Option<Box<dyn Chunks>>,
    json: OnceLock<Printed>,
    /// As server-sent events.
    stream: OnceLock<CText>,
    error: Option<ErrorHandle>,
}

/// Pieces of an answer, of whatever shape.
trait Chunks: Send + Sync {
    fn print(&self) -> Printed;
}

/// Chunks as a JSON list.
struct Printed {
    json: CText,
    /// Each chunk, as bytes of the list.
    parts: Vec<Range<usize>>,
}

impl<C: Serialize + Send + Sync> Chunks for Vec<C> {
    fn print(&self) -> Printed {
        let mut json = vec![b'['];
        let mut parts = Vec::with_capacity(self.len());
        for chunk in self {
            if !parts.is_empty() {
                json.push(b',');
            }
            let begin = json.len();
            // Chunks are plain data: they can be printed.
            if serde_json::to_writer(&mut json, chunk).is_err() {
                json.truncate(begin);
            }
            parts.push(begin..json.len());
        }
        json.push(b']');
        Printed { json: CText::new(String::from_utf8(json).unwrap_or_default()), parts }
    }
}

impl EventHandle {
    /// Pieces of an answer, and the text that they add.
    pub(crate) fn chunks<C: Serialize + Send + Sync + 'static>(text: String, chunks: Vec<C>) -> Self {
        Self::new(MR_EVENT_CHUNKS, CText::new(text), Some(Box::new(chunks)), None)
    }

    /// The end, good or not.
    pub(crate) fn end(error: Option<ErrorHandle>) -> Self {
        let kind = if error.is_some() { MR_EVENT_FAILED } else { MR_EVENT_FINISHED };
        Self::new(kind, CText::new(""), None, error)
    }

    fn new(kind: i32, text: CText, chunks: Option<Box<dyn Chunks>>, error: Option<ErrorHandle>) -> Self {
        Self { kind, text, chunks, json: OnceLock::new(), stream: OnceLock::new(), error }
    }

    fn printed(&self) -> &Printed {
        self.json.get_or_init(|| match &self.chunks {
            Some(chunks) => chunks.print(),
            None => Printed { json: CText::new("[]"), parts: Vec::new() },
        })
    }

    /// The event as server-sent events.
    fn stream(&self) -> &CText {
        let data = |json: &str| format!("data: {json}\n\n");
        self.stream.get_or_init(|| match &self.error {
            Some(error) => CText::new(data(error.json().as_str())),
            None if self.kind == MR_EVENT_FINISHED => CText::new(event_stream::DONE),
            None => {
                let Printed { json, parts } = self.printed();
                let chunk = |part: &Range<usize>| data(json.as_str().get(part.clone()).unwrap_or_default());
                CText::new(parts.iter().map(chunk).collect::<String>())
            }
        })
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
    unsafe { lend(event, len, |event| Some(&event.printed().json)) }
}

/// The event as server-sent events, for hosts that offer over HTTP what the library answers: "data: ", a chunk in the OpenAI
/// shape and an empty line, for each chunk; MR_EVENT_STREAM_DONE for MR_EVENT_FINISHED; the error in the OpenAI shape for
/// MR_EVENT_FAILED, behind which no MR_EVENT_STREAM_DONE comes. Who reads with mr_request_next sends MR_EVENT_STREAM_DONE for MR_DONE.
///
/// @param event (in) The event, or NULL.
/// @param len (out) Receives the number of bytes without the NUL; NULL if it is not wanted.
/// @return UTF-8 with a NUL behind it, valid as long as the event; NULL if event is NULL.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_event_get_stream(event: *const mr_event, len: *mut usize) -> *const c_char {
    // SAFETY: the contract of the header: a live handle, memory behind `len`.
    unsafe { lend(event, len, |event| Some(event.stream())) }
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

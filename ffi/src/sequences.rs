//! Calls in any order, as the bytes of a test or of a fuzzer tell them: on handles that live, that are used up, that never were; with
//! texts that are requests and texts that are anything. Whatever comes, what is promised of each call holds, and the runtime
//! answers afterwards as it did before.
#![allow(clippy::multiple_unsafe_ops_per_block, clippy::panic)]

use std::ffi::{c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::embeddings::*;
use crate::error::*;
use crate::event::*;
use crate::generate::*;
use crate::manage::mr_runtime_manage;
use crate::options::{mr_request_options, mr_request_options_init};
use crate::request::*;
use crate::runtime::*;
use crate::status::*;
use crate::text::*;

/// Handles of a kind that a sequence has at a time.
const SLOTS: usize = 4;

const REQUESTS: [&str; 8] = [
    r#"{"model":"stories","prompt":"Once upon a time","max_tokens":4,"seed":1}"#,
    r#"{"model":"stories","prompt":"Tom","max_tokens":200,"n":3}"#,
    r#"{"model":"gte","input":["one","two"]}"#,
    r#"{"model":"gte","input":"x","encoding_format":"base64"}"#,
    r#"{"model":"nobody","prompt":"x"}"#,
    r#"{"model":"stories","messages":[{"role":"user","content":"x"}]}"#,
    r#"{"model":"stories","prompt":["a","b"],"max_tokens":2,"logprobs":2,"echo":true}"#,
    r#"{"name":"main.default.sequence","by":"it"}"#,
];

/// What a sequence runs on: a runtime that serves `stories` and `gte`.
pub struct Bench {
    runtime: *mut mr_runtime,
    answer: Vec<u8>,
}

// SAFETY: a runtime may be used from any thread.
unsafe impl Send for Bench {}
// SAFETY: as above.
unsafe impl Sync for Bench {}

#[derive(Default)]
struct Handles {
    references: usize,
    requests: [usize; SLOTS],
    embeddings: [usize; SLOTS],
    events: [usize; SLOTS],
    texts: [usize; SLOTS],
    errors: [usize; SLOTS],
}

/// User data that was handed over, and that was given back.
static GIVEN: AtomicUsize = AtomicUsize::new(0);
static FREED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn hear(user_data: *mut c_void, event: *const mr_event) -> i32 {
    // SAFETY: a lent event.
    unsafe {
        assert!(
            !mr_event_get_json(event, null_mut()).is_null()
                && !mr_event_get_stream(event, null_mut()).is_null()
        );
    }
    i32::from(user_data.addr().is_multiple_of(5))
}

unsafe extern "C" fn over(_: *mut c_void) {
    FREED.fetch_add(1, Ordering::SeqCst);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> usize {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                usize::from(*first)
            }
            None => 0,
        }
    }

    /// A request, or bytes that are none.
    fn text(&mut self) -> &'a [u8] {
        let kind = self.byte();
        match REQUESTS.get(kind % (REQUESTS.len() + 1)) {
            Some(request) => {
                let cut = if kind > 200 { kind % request.len() } else { 0 };
                &request.as_bytes()[..request.len() - cut]
            }
            None => {
                let (text, rest) = self.0.split_at(self.byte().min(self.0.len()));
                self.0 = rest;
                text
            }
        }
    }
}

impl Bench {
    /// Serves both models, which are given as paths.
    ///
    /// # Panics
    /// If they cannot be served.
    pub fn new(stories: &str, gte: &str) -> Self {
        let mut runtime = null_mut();
        // SAFETY: the contract of the header is kept, here and below.
        let status = unsafe { mr_runtime_new(null(), &raw mut runtime, null_mut()) };
        assert_eq!(status, MR_OK);
        for (name, model) in [("stories", stories), ("gte", gte)] {
            let (name, model, mut info) = (name.as_bytes(), model.as_bytes(), null_mut());
            // SAFETY: as above.
            let status = unsafe {
                let (name, name_len) = (name.as_ptr().cast::<c_char>(), name.len());
                let (model, model_len) = (model.as_ptr().cast::<c_char>(), model.len());
                mr_runtime_serve(
                    runtime,
                    name,
                    name_len,
                    model,
                    model_len,
                    null(),
                    None,
                    null_mut(),
                    None,
                    &raw mut info,
                    null_mut(),
                )
            };
            assert_eq!(status, MR_OK, "{name:?}");
            // SAFETY: as above.
            unsafe { mr_text_free(info) };
        }
        let mut bench = Self { runtime, answer: Vec::new() };
        bench.answer = bench.ask();
        bench
    }

    /// The choices of the answer to a fixed request.
    fn ask(&self) -> Vec<u8> {
        let (request, mut answer) = (REQUESTS[0].as_bytes(), null_mut());
        // SAFETY: as in `new`.
        let text = unsafe {
            let status = mr_runtime_complete(
                self.runtime,
                request.as_ptr().cast(),
                request.len(),
                null(),
                &raw mut answer,
                null_mut(),
            );
            assert_eq!(status, MR_OK);
            let mut len = 0;
            let data = mr_text_get_data(answer, &raw mut len);
            let text = std::slice::from_raw_parts(data.cast::<u8>(), len).to_vec();
            mr_text_free(answer);
            text
        };
        let choices = text.windows(9).position(|window| window == b"\"choices\"");
        text[choices.unwrap_or(0)..].to_vec()
    }

    /// Runs a sequence.
    ///
    /// # Panics
    /// If something that is promised of a call does not hold.
    pub fn run(&self, bytes: &[u8]) {
        let (mut reader, mut handles) = (Reader(bytes), Handles::default());
        while !reader.0.is_empty() {
            self.call(&mut reader, &mut handles);
        }
        // SAFETY: every handle is given up once.
        unsafe {
            for slot in 0..SLOTS {
                mr_request_free(std::ptr::without_provenance_mut(handles.requests[slot]));
                mr_embeddings_free(std::ptr::without_provenance_mut(handles.embeddings[slot]));
                mr_event_free(std::ptr::with_exposed_provenance_mut(handles.events[slot]));
                mr_text_free(std::ptr::with_exposed_provenance_mut(handles.texts[slot]));
                mr_error_free(std::ptr::with_exposed_provenance_mut(handles.errors[slot]));
            }
            (0..handles.references).for_each(|_| mr_runtime_release(self.runtime));
        }
        assert_eq!(self.ask(), self.answer, "it answers as before");
    }

    /// Whether everything that was handed over has been given back.
    pub fn is_even(&self) -> bool {
        GIVEN.load(Ordering::SeqCst) == FREED.load(Ordering::SeqCst)
    }

    fn call(&self, reader: &mut Reader<'_>, handles: &mut Handles) {
        let (operation, slot, other) = (reader.byte(), reader.byte() % SLOTS, reader.byte());
        let request: *mut mr_request = std::ptr::without_provenance_mut(handles.requests[slot]);
        // Now and then a handle of the other kind, a freed one or one that never was.
        let embeddings = if other > 240 { handles.requests[slot] } else { handles.embeddings[slot] };
        let embeddings: *mut mr_embeddings = std::ptr::without_provenance_mut(embeddings);
        let timeout = [0, 1, 20, -1, -2, i64::MIN][other % 6];
        let timeout = if timeout == -1 && operation % 24 != 8 { 0 } else { timeout };
        let runtime = if other == 255 { null_mut() } else { self.runtime };
        let untouched = usize::MAX;
        let mut out = untouched;
        let mut error: *mut mr_error = null_mut();
        let target = &raw mut error;
        let data = std::ptr::without_provenance_mut::<c_void>(other + 1);
        // SAFETY: the contract of the header: texts with their lengths, handles that live or are recognised, memory behind what
        // is written.
        let status = unsafe {
            match operation % 24 {
                0..=2 => {
                    let (text, mut options) = (reader.text(), std::mem::zeroed::<mr_request_options>());
                    mr_request_options_init(&raw mut options, size_of::<mr_request_options>());
                    (options.whole, options.timeout_ms) =
                        (i32::from(other % 3 == 0), (other as u64 % 4) * 10);
                    (options.priority, options.lifecycle) =
                        (other as i32 - 128, if other == 77 { 77 } else { 0 });
                    let callback: crate::callback::mr_event_callback =
                        if other % 2 == 0 { Some(hear) } else { None };
                    GIVEN.fetch_add(1, Ordering::SeqCst);
                    let submit = if operation % 24 == 0 {
                        mr_runtime_submit_chat
                    } else {
                        mr_runtime_submit_completion
                    };
                    let status = submit(
                        runtime,
                        text.as_ptr().cast(),
                        text.len(),
                        &raw const options,
                        callback,
                        data,
                        Some(over),
                        (&raw mut out).cast(),
                        target,
                    );
                    if status == MR_OK {
                        mr_request_free(request);
                        handles.requests[slot] = out;
                    }
                    status
                }
                3 => {
                    let text = reader.text();
                    let status = mr_runtime_submit_embeddings(
                        runtime,
                        text.as_ptr().cast(),
                        text.len(),
                        null(),
                        (&raw mut out).cast(),
                        target,
                    );
                    if status == MR_OK {
                        mr_embeddings_free(embeddings);
                        handles.embeddings[slot] = out;
                    }
                    status
                }
                4..=6 => {
                    let status = mr_request_next(request, timeout, (&raw mut out).cast(), target);
                    keep(status, out, &mut handles.events[slot], |event| mr_event_free(event.cast()));
                    status
                }
                7 | 8 => {
                    // Only an answer that was cancelled is waited for without an end.
                    if timeout == -1 {
                        mr_request_cancel(request);
                    }
                    let status = mr_request_wait(request, timeout, (&raw mut out).cast(), target);
                    keep(status, out, &mut handles.texts[slot], |text| mr_text_free(text.cast()));
                    status
                }
                9 => {
                    mr_request_cancel(request);
                    mr_embeddings_cancel(embeddings);
                    MR_OK
                }
                10 => {
                    // Freed, and kept to be used again.
                    mr_request_free(request);
                    MR_OK
                }
                11 => {
                    mr_embeddings_free(embeddings);
                    MR_OK
                }
                12 => {
                    let status = mr_request_timings(request, (&raw mut out).cast(), target);
                    keep(status, out, &mut handles.texts[slot], |text| mr_text_free(text.cast()));
                    status
                }
                13 => mr_embeddings_wait(embeddings, timeout, target),
                14 => {
                    let status = mr_embeddings_response(embeddings, (&raw mut out).cast(), target);
                    keep(status, out, &mut handles.texts[slot], |text| mr_text_free(text.cast()));
                    status
                }
                15 => {
                    GIVEN.fetch_add(1, Ordering::SeqCst);
                    let callback: crate::callback::mr_event_callback =
                        if other == 3 { None } else { Some(hear) };
                    mr_embeddings_notify(embeddings, callback, data, Some(over), target)
                }
                16 => {
                    let (mut rows, mut dimension) = (0, 0);
                    let values = mr_embeddings_get_values(embeddings, &raw mut rows, &raw mut dimension);
                    if !values.is_null() {
                        assert!(
                            std::slice::from_raw_parts(values, rows * dimension)
                                .iter()
                                .all(|value| value.is_finite())
                        );
                    }
                    mr_embeddings_get_tokens(embeddings, other);
                    MR_OK
                }
                17 => {
                    let text = reader.text();
                    let operations = [
                        "registry.create_model",
                        "registry.delete_model",
                        "usage.groups",
                        "lifecycle.status",
                        "x",
                    ];
                    let operation = operations[other % operations.len()];
                    let status = mr_runtime_manage(
                        runtime,
                        operation.as_ptr().cast(),
                        operation.len(),
                        text.as_ptr().cast(),
                        text.len(),
                        (&raw mut out).cast(),
                        target,
                    );
                    keep(status, out, &mut handles.texts[slot], |text| mr_text_free(text.cast()));
                    status
                }
                18 => {
                    let look = if other % 2 == 0 { mr_runtime_stats } else { mr_runtime_endpoints };
                    let status = look(runtime, (&raw mut out).cast(), target);
                    keep(status, out, &mut handles.texts[slot], |text| mr_text_free(text.cast()));
                    status
                }
                19 => {
                    mr_runtime_retain(runtime);
                    handles.references += usize::from(!runtime.is_null());
                    MR_OK
                }
                20 => {
                    if handles.references > 0 {
                        handles.references -= 1;
                        mr_runtime_release(self.runtime);
                    }
                    MR_OK
                }
                21 => {
                    let event: *const mr_event = std::ptr::with_exposed_provenance(handles.events[slot]);
                    let kind = mr_event_get_kind(event);
                    assert_eq!(kind != 0, !event.is_null());
                    assert_eq!(mr_event_get_text(event, null_mut()).is_null(), event.is_null());
                    assert!(mr_event_get_error(event).is_null());
                    MR_OK
                }
                22 => {
                    let error: *const mr_error = std::ptr::with_exposed_provenance(handles.errors[slot]);
                    assert_eq!(mr_error_get_code(error) >= 100, !error.is_null());
                    assert_eq!(mr_error_get_json(error, null_mut()).is_null(), error.is_null());
                    MR_OK
                }
                _ => {
                    mr_request_get_version(request, null_mut());
                    mr_embeddings_get_version(embeddings, null_mut());
                    MR_OK
                }
            }
        };
        assert!((0..100).contains(&status) || status >= 100, "status {status}");
        assert_eq!(status >= 100, !error.is_null(), "an error comes with its details, and nothing else does");
        assert!(status != MR_E_INTERNAL, "operation {}", operation % 24);
        assert!(
            status == MR_OK || out == untouched,
            "operation {} fails and writes a result",
            operation % 24
        );
        if !error.is_null() {
            // SAFETY: an owned error, and the one that was kept before.
            unsafe {
                assert_eq!(mr_error_get_code(error), status);
                mr_error_free(std::ptr::with_exposed_provenance_mut(handles.errors[slot]));
            }
            handles.errors[slot] = error.expose_provenance();
        }
    }
}

/// Keeps a result in the place of an earlier one, which is freed.
fn keep(status: mr_status, result: usize, slot: &mut usize, free: impl FnOnce(*mut c_void)) {
    if status == MR_OK {
        free(std::ptr::with_exposed_provenance_mut(std::mem::replace(slot, result)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_in_any_order_keep_every_promise() {
        let path = |name: &str| format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"));
        let bench = Bench::new(&path("examples/models/stories260K"), &path("tests/data/tiny/new_gte"));
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        for length in 0..600 {
            let bytes: Vec<u8> = (0..length % 240).map(|_| next()).collect();
            bench.run(&bytes);
            assert!(bench.is_even(), "user data is given back when its request is freed");
        }
    }
}

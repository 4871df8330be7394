//! Runs of many requests, from a file into a file.

use std::ffi::{c_char, c_void};
use std::ops::ControlFlow;

use ::runtime::batch::{Batch, BatchOrder, BatchProgress};
use serde_json::{Value, json};

use crate::boundary::{Failure, Out, guard};
use crate::callback::{BatchCallback, UserData, mr_batch_callback, mr_user_data_free};
use crate::error::mr_error;
use crate::generate::request_options;
use crate::handle;
use crate::options::{self, mr_batch_options};
use crate::runtime::{admitted, mr_runtime};
use crate::serve::choice;
use crate::status::{MR_OK, mr_status};
use crate::text::{CText, input, mr_text};

/// Results are written in the order of the requests.
pub const MR_ORDER_OF_REQUESTS: i32 = 0;
/// Each result is written when it is ready.
pub const MR_ORDER_AS_READY: i32 = 1;

const ORDER: [(i32, &str, BatchOrder); 2] = [
    (MR_ORDER_OF_REQUESTS, "MR_ORDER_OF_REQUESTS", BatchOrder::InOrder),
    (MR_ORDER_AS_READY, "MR_ORDER_AS_READY", BatchOrder::AsReady),
];

fn describe(progress: &BatchProgress) -> Value {
    json!({
        "read": progress.read,
        "skipped": progress.skipped,
        "done": progress.done,
        "failed": progress.failed,
        "running": progress.running,
        "waiting": progress.waiting,
        "prompt_tokens": progress.prompt_tokens,
        "completion_tokens": progress.completion_tokens,
        "bytes_read": progress.bytes_read,
        "bytes_total": progress.bytes_total,
    })
}

/// Answers a file of requests, one in each line in the shape of the OpenAI batch API (chat, completions and embeddings, mixed), and
/// writes a result for each into another file. A request that fails has its error in its result. A run that was ended, in
/// whatever way, goes on where it was when it is run again with the same files.
///
/// @param runtime (in) The runtime; not NULL.
/// @param requests (in) The file of requests.
/// @param requests_len (in) Bytes in requests.
/// @param results (in) The file of results; made if it is not there, continued if it is.
/// @param results_len (in) Bytes in results.
/// @param options (in) NULL: the defaults.
/// @param progress (in) Hears how far the run is, on this thread; non-zero ends it. NULL: nobody.
/// @param user_data (in) The first argument of progress.
/// @param user_data_free (in) Frees user_data before this function returns, also on failure; NULL: nobody does.
/// @param summary (out) Receives owned JSON, freed with mr_text_free: what progress hears, and complete, which is true when every
///   request has its result.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_INVALID_REQUEST: results of other requests; MR_E_NOT_FOUND or MR_E_IO: files that
///   cannot be read or written; MR_E_CALLBACK: progress ended it; MR_E_SHUTTING_DOWN; MR_E_INSUFFICIENT_MEMORY.
///
/// Thread safety: any thread, concurrently, with other files.
/// Blocking: until every request has its result.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_runtime_run_batch(
    runtime: *const mr_runtime,
    requests: *const c_char,
    requests_len: usize,
    results: *const c_char,
    results_len: usize,
    options: *const mr_batch_options,
    progress: mr_batch_callback,
    user_data: *mut c_void,
    user_data_free: mr_user_data_free,
    summary: *mut *mut mr_text,
    error: *mut *mut mr_error,
) -> mr_status {
    let body = || {
        let progress = BatchCallback::new(progress, UserData::new(user_data, user_data_free));
        // SAFETY: the contract of the header: a live reference.
        let handle = unsafe { admitted(runtime) }?;
        // SAFETY: the contract of the header: the bytes are there.
        let requests = unsafe { input("requests", requests, requests_len) }?;
        // SAFETY: the contract of the header: the bytes are there.
        let results = unsafe { input("results", results, results_len) }?;
        // SAFETY: the contract of the header: NULL or a struct of the size that it says.
        let given = unsafe { options::read(options) }?;
        // SAFETY: as above.
        let each = unsafe { options::read(given.requests) }?;
        // SAFETY: the contract of the header: the texts' bytes are there.
        let each = unsafe { request_options(&each) }?;
        // SAFETY: the contract of the header: NULL or memory for a pointer.
        let out = unsafe { Out::new("summary", summary) }?;
        let order = choice("order", given.order, &ORDER)?;
        let mut ended_by = 0;
        let mut batch = Batch::new(&handle.runtime).order(order).options(each);
        if given.concurrency != 0 {
            batch = batch.concurrency(given.concurrency as usize);
        }
        if let Some(progress) = progress {
            let ended_by = &mut ended_by;
            batch = batch.progress(move |now| {
                // Whoever has ended it hears no more.
                if *ended_by == 0 {
                    *ended_by = progress.call(&describe(now).to_string());
                }
                if *ended_by == 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
        }
        let done = batch.run_files(requests, results)?;
        if ended_by != 0 {
            return Err(Failure::callback(ended_by));
        }
        let mut summary = describe(&done.progress);
        summary["complete"] = done.complete.into();
        out.set(handle::into_box(CText::new(summary.to_string())));
        Ok(MR_OK)
    };
    // SAFETY: the contract of the header: NULL or memory for a pointer.
    unsafe { guard(error, body) }
}

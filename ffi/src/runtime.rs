//! Runtimes: what they serve and what they answer.

use std::ffi::{c_char, c_void};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use ::runtime::catalog::Catalog;
use ::runtime::runtime::RuntimeBuilder;
use ::runtime::weights::{LoadPhase, LoadProgress};
use ::runtime::{Error, ModelRuntime};
use parking_lot::Mutex;
use serde::Serialize;

use crate::boundary::{Failure, Out, guard, guard_or};
use crate::callback::{
    EventCallback, HostClock, LifecycleCallback, MR_PHASE_DIGEST, MR_PHASE_OTHER, MR_PHASE_WEIGHTS,
    ProgressCallback, UserData, mr_progress_callback, mr_user_data_free,
};
use crate::dispatch::{Dispatcher, Pushed};
use crate::error::mr_error;
use crate::handle::{self, Castable, Shared};
use crate::options::{self, mr_runtime_options, mr_serve_options};
use crate::request::RequestHandle;
use crate::reserve;
use crate::serve::serve_options;
use crate::status::{MR_OK, mr_status};
use crate::stream::{Answer, print};
use crate::text::{CText, input, mr_text};

/// Models behind endpoint names. Counted: mr_runtime_new gives one reference, mr_runtime_retain another, each is given
/// back by one mr_runtime_release.
pub struct mr_runtime {
    _private: [u8; 0],
}

impl Castable for mr_runtime {
    type Ownership = Shared;
    type RustType = RuntimeHandle;
}

/// What a runtime handle owns.
pub(crate) struct RuntimeHandle {
    /// Started by the first callback. Before the runtime: nothing is reported while that ends.
    dispatcher: Mutex<Option<Arc<Dispatcher>>>,
    pub(crate) runtime: ModelRuntime,
}

impl RuntimeHandle {
    pub(crate) fn push(
        &self,
        answer: Box<dyn Answer>,
        callback: EventCallback,
    ) -> Result<Arc<Pushed>, Error> {
        // Not under the lock: if this fails, the host's data is freed here.
        self.dispatcher()?.add(answer, callback)
    }

    fn dispatcher(&self) -> Result<Arc<Dispatcher>, Error> {
        let mut slot = self.dispatcher.lock();
        if let Some(dispatcher) = slot.as_ref() {
            return Ok(Arc::clone(dispatcher));
        }
        let dispatcher = Arc::new(Dispatcher::start()?);
        *slot = Some(Arc::clone(&dispatcher));
        Ok(dispatcher)
    }

    pub(crate) fn forget(&self, pushed: &Pushed) {
        if let Some(dispatcher) = self.dispatcher.lock().as_ref() {
            dispatcher.forget(pushed);
        }
    }
}

const fn assert_send_sync<T: Send + Sync>() {}
const _: () = {
    assert_send_sync::<RuntimeHandle>();
    assert_send_sync::<RequestHandle>();
};

/// A reference for a call that may need memory; fails while the process has none left.
///
/// # Safety
/// As [`owned`].
pub(crate) unsafe fn admitted(runtime: *const mr_runtime) -> Result<Arc<RuntimeHandle>, Failure> {
    // SAFETY: forwarded.
    let handle = unsafe { owned(runtime) }?;
    reserve::enough()?;
    Ok(handle)
}

/// A reference of our own, so that the caller may release its own while a call is under way.
///
/// # Safety
/// `runtime` is NULL or a live reference.
pub(crate) unsafe fn owned(runtime: *const mr_runtime) -> Result<Arc<RuntimeHandle>, Failure> {
    // SAFETY: forwarded.
    unsafe { handle::borrow("runtime", runtime) }?;
    // SAFETY: forwarded; not NULL.
    unsafe { handle::retain(runtime) };
    // SAFETY: the reference that was added just now.
    unsafe { handle::from_shared(runtime.cast_mut()) }.ok_or_else(|| Failure::argument("runtime", "is NULL"))
}

/// What the options of a runtime say. The host's data has an owner from the first line on.
///
/// # Safety
/// The text fields of `given` point to the bytes that they say.
unsafe fn builder(given: &mr_runtime_options) -> Result<RuntimeBuilder, Failure> {
    let clock = HostClock::new(given.clock, UserData::new(given.clock_data, given.clock_data_free));
    let data = UserData::new(given.lifecycle_data, given.lifecycle_data_free);
    let listener = LifecycleCallback::new(given.on_lifecycle, data);
    let mut builder = ModelRuntime::builder();
    if given.memory_budget != 0 {
        builder = builder.memory_budget(given.memory_budget);
    }
    // SAFETY: forwarded.
    let database = unsafe { input("database", given.database, given.database_len) }?;
    if !database.is_empty() {
        builder = builder.database(database);
    }
    // SAFETY: forwarded.
    let catalog = unsafe { input("catalog", given.catalog, given.catalog_len) }?;
    if !catalog.is_empty() {
        let laid_over = Catalog::builtin().and_then(|builtin| builtin.with_toml(catalog));
        builder = builder.catalog(laid_over.map_err(Error::from)?);
    }
    if let Some(clock) = clock {
        builder = builder.clock(Arc::new(clock));
    }
    if let Some(listener) = listener {
        // An event is plain data: it can be printed.
        builder = builder.on_lifecycle(move |event| listener.call(&print(event).unwrap_or_default()));
    }
    Ok(builder)
}

/// The body of the functions that give JSON about a runtime.
///
/// # Safety
/// `runtime` is NULL or a live reference, `out` and `error` are NULL or memory for a pointer.
pub(crate) unsafe fn report<T: Serialize>(
    runtime: *const mr_runtime,
    name: &str,
    out: *mut *mut mr_text,
    error: *mut *mut mr_error,
    make: impl FnOnce(&ModelRuntime) -> Result<T, Failure>,
) -> mr_status {
    let body = || {
        // SAFETY: forwarded.
        let handle = unsafe { admitted(runtime) }?;
        // SAFETY: forwarded.
        let out = unsafe { Out::new(name, out) }?;
        let value = make(&handle.runtime)?;
        out.set(handle::into_box(CText::new(print(&value)?)));
        Ok(MR_OK)
    };
    // SAFETY: forwarded.
    unsafe { guard(error, body) }
}

/// Makes a runtime that serves nothing yet.
///
/// @param options (in) NULL: the defaults.
/// @param runtime (out) Receives one reference, given back with mr_runtime_release.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_UNSUPPORTED: an option that this version does not know;
///   MR_E_INVALID_REQUEST: a catalog that is none; MR_E_NOT_FOUND, MR_E_CONFLICT, MR_E_OVERLOADED or MR_E_IO: a database
///   that cannot be opened (no such folder; another program's or a newer library's; locked; the disk).
///
/// Thread safety: any thread, concurrently.
/// Blocking: while the database is opened.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_runtime_new(
    options: *const mr_runtime_options,
    runtime: *mut *mut mr_runtime,
    error: *mut *mut mr_error,
) -> mr_status {
    let body = || {
        // SAFETY: the contract of the header: NULL or a struct of the size that it says.
        let options = unsafe { options::read(options) }?;
        // SAFETY: the contract of the header: NULL or memory for a pointer.
        let out = unsafe { Out::new("runtime", runtime) }?;
        // SAFETY: the contract of the header: the texts' bytes are there.
        let builder = unsafe { builder(&options) }?;
        reserve::enough()?;
        let handle = RuntimeHandle { dispatcher: Mutex::new(None), runtime: builder.build()? };
        out.set(handle::into_shared(Arc::new(handle)));
        Ok(MR_OK)
    };
    // SAFETY: the contract of the header: NULL or memory for a pointer.
    unsafe { guard(error, body) }
}

/// Adds a reference to a runtime, for another thread or another part of the program.
///
/// @param runtime (in) The runtime; NULL does nothing.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_runtime_retain(runtime: *const mr_runtime) {
    guard_or((), || {
        // SAFETY: the contract of the header: a live reference.
        unsafe { handle::retain(runtime) };
        None
    });
}

/// Gives one reference to a runtime back. When the last one is gone and every request is freed, the runtime ends and
/// gives its memory back; requests that still run go on until they are freed.
///
/// @param runtime (in) The reference, given up; NULL does nothing.
///
/// Thread safety: any thread, callbacks included. Other references stay valid.
/// Blocking: the last one waits for the runtime's threads, for about one step.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_runtime_release(runtime: *mut mr_runtime) {
    // SAFETY: the contract of the header: a reference that the caller gives up.
    guard_or((), || unsafe { handle::from_shared(runtime) }.map(drop));
}

/// Loads a model and serves it under a name.
///
/// @param runtime (in) The runtime; not NULL.
/// @param name (in) The endpoint's name, which requests give as "model".
/// @param name_len (in) Bytes in name.
/// @param model (in) A folder in the Hugging Face layout or a GGUF file.
/// @param model_len (in) Bytes in model.
/// @param options (in) NULL: the defaults.
/// @param progress (in) Hears how far the load is, on this thread; non-zero ends it. NULL: nobody.
/// @param user_data (in) The first argument of progress.
/// @param user_data_free (in) Frees user_data before this function returns, also on failure; NULL: nobody does.
/// @param info (out) Receives owned JSON about the endpoint (name, version, context_length, plan, ...), freed with
///   mr_text_free.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_INVALID_REQUEST: options that contradict each other or the model;
///   MR_E_NOT_FOUND or MR_E_IO: the files cannot be read; MR_E_INVALID_MODEL; MR_E_UNSUPPORTED: a model that this
///   version does not run; MR_E_CONFLICT: the name is taken; MR_E_INSUFFICIENT_MEMORY; MR_E_CALLBACK: progress ended
///   it. After a failure nothing is left behind.
///
/// Thread safety: any thread, concurrently; other endpoints go on answering.
/// Blocking: until the model is loaded.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_runtime_serve(
    runtime: *const mr_runtime,
    name: *const c_char,
    name_len: usize,
    model: *const c_char,
    model_len: usize,
    options: *const mr_serve_options,
    progress: mr_progress_callback,
    user_data: *mut c_void,
    user_data_free: mr_user_data_free,
    info: *mut *mut mr_text,
    error: *mut *mut mr_error,
) -> mr_status {
    let body = || {
        let progress = ProgressCallback::new(progress, UserData::new(user_data, user_data_free));
        // SAFETY: the contract of the header: a live reference.
        let handle = unsafe { admitted(runtime) }?;
        // SAFETY: the contract of the header: the bytes are there.
        let name = unsafe { input("name", name, name_len) }?;
        // SAFETY: the contract of the header: the bytes are there.
        let model = unsafe { input("model", model, model_len) }?;
        // SAFETY: the contract of the header: NULL or a struct of the size that it says.
        let options = unsafe { options::read(options) }?;
        // SAFETY: the contract of the header: the texts' bytes are there.
        let mut options = unsafe { serve_options(&options) }?;
        // SAFETY: the contract of the header: NULL or memory for a pointer.
        let out = unsafe { Out::new("info", info) }?;
        let stopped = Arc::new(AtomicI32::new(0));
        if let Some(progress) = progress {
            let stopped = Arc::clone(&stopped);
            options = options.progress(move |at: LoadProgress| {
                let phase = match at.phase {
                    LoadPhase::Digest => MR_PHASE_DIGEST,
                    LoadPhase::Weights => MR_PHASE_WEIGHTS,
                    _ => MR_PHASE_OTHER,
                };
                match progress.call(phase, at.done_bytes, at.total_bytes) {
                    0 => ControlFlow::Continue(()),
                    result => {
                        stopped.store(result, Ordering::Relaxed);
                        ControlFlow::Break(())
                    }
                }
            });
        }
        let served = handle.runtime.serve(name, model, options).map_err(|error| {
            match stopped.load(Ordering::Relaxed) {
                0 => error.into(),
                result => Failure::callback(result),
            }
        })?;
        out.set(handle::into_box(CText::new(print(&served)?)));
        Ok(MR_OK)
    };
    // SAFETY: the contract of the header: NULL or memory for a pointer.
    unsafe { guard(error, body) }
}

/// Takes an endpoint away. Its requests end with MR_E_SHUTTING_DOWN, its memory is given back.
///
/// @param runtime (in) The runtime; not NULL.
/// @param name (in) The endpoint's name.
/// @param name_len (in) Bytes in name.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_NOT_FOUND; MR_E_CONFLICT: it is being loaded.
///
/// Thread safety: any thread, concurrently.
/// Blocking: for about one step.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_runtime_remove(
    runtime: *const mr_runtime,
    name: *const c_char,
    name_len: usize,
    error: *mut *mut mr_error,
) -> mr_status {
    let body = || {
        // SAFETY: the contract of the header: a live reference.
        let handle = unsafe { owned(runtime) }?;
        // SAFETY: the contract of the header: the bytes are there.
        let name = unsafe { input("name", name, name_len) }?;
        handle.runtime.remove(name)?;
        Ok(MR_OK)
    };
    // SAFETY: the contract of the header: NULL or memory for a pointer.
    unsafe { guard(error, body) }
}

/// What is served, as a JSON list in order of name; each entry as mr_runtime_serve gives it.
///
/// @param runtime (in) The runtime; not NULL.
/// @param endpoints (out) Receives owned JSON, freed with mr_text_free.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return MR_OK; MR_E_INVALID_ARGUMENT.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_runtime_endpoints(
    runtime: *const mr_runtime,
    endpoints: *mut *mut mr_text,
    error: *mut *mut mr_error,
) -> mr_status {
    // SAFETY: the contract of the header.
    unsafe { report(runtime, "endpoints", endpoints, error, |runtime| Ok(runtime.endpoints())) }
}

/// What serving a model would cost, as JSON: weight_bytes, cache_bytes, scratch_bytes, total_bytes, context_length,
/// cache_tokens, max_context, ... Reads headers only.
///
/// @param runtime (in) The runtime; not NULL.
/// @param model (in) A folder in the Hugging Face layout or a GGUF file.
/// @param model_len (in) Bytes in model.
/// @param options (in) NULL: the defaults.
/// @param plan (out) Receives owned JSON, freed with mr_text_free.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_INVALID_REQUEST; MR_E_NOT_FOUND or MR_E_IO: the files cannot be read;
///   MR_E_INVALID_MODEL; MR_E_UNSUPPORTED; MR_E_INSUFFICIENT_MEMORY: it does not fit; the message names the largest
///   context that would.
///
/// Thread safety: any thread, concurrently.
/// Blocking: while the files' headers are read.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_runtime_plan(
    runtime: *const mr_runtime,
    model: *const c_char,
    model_len: usize,
    options: *const mr_serve_options,
    plan: *mut *mut mr_text,
    error: *mut *mut mr_error,
) -> mr_status {
    let make = |runtime: &ModelRuntime| {
        // SAFETY: the contract of the header: the bytes are there.
        let model = unsafe { input("model", model, model_len) }?;
        // SAFETY: the contract of the header: NULL or a struct of the size that it says.
        let options = unsafe { options::read(options) }?;
        // SAFETY: the contract of the header: the texts' bytes are there.
        let options = unsafe { serve_options(&options) }?;
        let plan = runtime.plan(model, &options)?;
        let mut json = serde_json::to_value(plan).unwrap_or_default();
        json["total_bytes"] = plan.total_bytes().into();
        Ok(json)
    };
    // SAFETY: the contract of the header.
    unsafe { report(runtime, "plan", plan, error, make) }
}

/// What a runtime is doing, as JSON: queue, batch, cache, tokens and times of each endpoint.
///
/// @param runtime (in) The runtime; not NULL.
/// @param stats (out) Receives owned JSON, freed with mr_text_free.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return MR_OK; MR_E_INVALID_ARGUMENT.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_runtime_stats(
    runtime: *const mr_runtime,
    stats: *mut *mut mr_text,
    error: *mut *mut mr_error,
) -> mr_status {
    // SAFETY: the contract of the header.
    unsafe { report(runtime, "stats", stats, error, |runtime| Ok(runtime.stats())) }
}

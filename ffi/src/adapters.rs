//! Adapters: loaded and unloaded while their endpoint answers.

use std::ffi::c_char;

use crate::boundary::guard;
use crate::error::mr_error;
use crate::runtime::{mr_runtime, owned, report};
use crate::status::{MR_OK, mr_status};
use crate::text::{input, mr_text};

/// Loads an adapter of low rank (LoRA) beside the model of an endpoint that generates, which goes on answering. Requests
/// choose it by the field "adapter" of their JSON, each its own, and are batched together; the field "model" of their
/// answers names it too.
///
/// @param runtime (in) The runtime; not NULL.
/// @param endpoint (in) The endpoint's name.
/// @param endpoint_len (in) Bytes in endpoint.
/// @param name (in) What requests call the adapter: text without blanks, '+' and '@'.
/// @param name_len (in) Bytes in name.
/// @param path (in) A folder as PEFT saves it: adapter_config.json and adapter_model.safetensors.
/// @param path_len (in) Bytes in path.
/// @param info (out) Receives owned JSON about the adapter (name, version, rank, modules, bytes, digest, ...), freed with
///   mr_text_free.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_INVALID_REQUEST: a name that is not accepted; MR_E_NOT_FOUND or MR_E_IO: no
///   such endpoint, or files that cannot be read; MR_E_INVALID_MODEL: files that are damaged, ask for more than LoRA or do
///   not fit the model; MR_E_UNSUPPORTED: an endpoint of an encoder; MR_E_CONFLICT: the name is taken;
///   MR_E_INSUFFICIENT_MEMORY. After a failure nothing is left behind.
///
/// Thread safety: any thread, concurrently; requests go on being answered.
/// Blocking: until the adapter is loaded.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_runtime_load_adapter(
    runtime: *const mr_runtime,
    endpoint: *const c_char,
    endpoint_len: usize,
    name: *const c_char,
    name_len: usize,
    path: *const c_char,
    path_len: usize,
    info: *mut *mut mr_text,
    error: *mut *mut mr_error,
) -> mr_status {
    let make = |runtime: &::runtime::ModelRuntime| {
        // SAFETY: the contract of the header: the bytes are there.
        let endpoint = unsafe { input("endpoint", endpoint, endpoint_len) }?;
        // SAFETY: the contract of the header: the bytes are there.
        let name = unsafe { input("name", name, name_len) }?;
        // SAFETY: the contract of the header: the bytes are there.
        let path = unsafe { input("path", path, path_len) }?;
        Ok(runtime.load_adapter(endpoint, name, path)?)
    };
    // SAFETY: the contract of the header.
    unsafe { report(runtime, "info", info, error, make) }
}

/// Takes an adapter away. Requests that run finish with what they began with; its memory is given back when the last of
/// them has ended.
///
/// @param runtime (in) The runtime; not NULL.
/// @param endpoint (in) The endpoint's name.
/// @param endpoint_len (in) Bytes in endpoint.
/// @param name (in) The adapter's name.
/// @param name_len (in) Bytes in name.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_NOT_FOUND: no such endpoint or adapter; MR_E_UNSUPPORTED: an endpoint of an
///   encoder.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_runtime_unload_adapter(
    runtime: *const mr_runtime,
    endpoint: *const c_char,
    endpoint_len: usize,
    name: *const c_char,
    name_len: usize,
    error: *mut *mut mr_error,
) -> mr_status {
    let body = || {
        // SAFETY: the contract of the header: a live reference.
        let handle = unsafe { owned(runtime) }?;
        // SAFETY: the contract of the header: the bytes are there.
        let endpoint = unsafe { input("endpoint", endpoint, endpoint_len) }?;
        // SAFETY: the contract of the header: the bytes are there.
        let name = unsafe { input("name", name, name_len) }?;
        handle.runtime.unload_adapter(endpoint, name)?;
        Ok(MR_OK)
    };
    // SAFETY: the contract of the header: NULL or memory for a pointer.
    unsafe { guard(error, body) }
}

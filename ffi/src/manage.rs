//! What a host does beside asking models: registering, serving, updating, retiring, looking up usage.

use std::ffi::c_char;

use crate::boundary::{Out, guard};
use crate::error::mr_error;
use crate::handle;
use crate::runtime::{admitted, mr_runtime};
use crate::status::{MR_OK, mr_status};
use crate::text::{CText, input, mr_text};

/// Does an operation, JSON in and JSON out:
///   registry.   create_model update_model delete_model models model versions register resume pending resolve copy
///               update_version delete_version set_alias delete_alias set_tag delete_tag
///   endpoint.   serve configure publish_update roll_back updates history measure provision release attainment set_limits
///               limit_use
///   lifecycle.  revise revisions status model_card fine_tuning_models documents tell
///   usage.      records groups retiring flush
/// What each takes and gives is in the documentation of the Rust module "management". Fields that are not known are
/// refused by name. Later releases add operations.
///
/// @param runtime (in) The runtime; not NULL.
/// @param operation (in) The operation, such as "registry.register".
/// @param operation_len (in) Bytes in operation.
/// @param request (in) A JSON object; NULL stands for an empty one.
/// @param request_len (in) Bytes in request.
/// @param response (out) Receives owned JSON, "null" where there is nothing to say, freed with mr_text_free.
/// @param error (out) Receives an owned error on failure; NULL if it is not wanted.
/// @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_INVALID_REQUEST: a field that is missing, unknown or wrong, or a revision
///   that the rules do not allow; MR_E_NOT_FOUND: no such operation, model, version, alias or endpoint; MR_E_CONFLICT: a
///   name that is taken, or a thing in a state that forbids it; MR_E_OVERLOADED: the database is locked by others; MR_E_IO;
///   for the endpoint's operations what mr_runtime_serve may fail with. After a failure everything is as before.
///
/// Thread safety: any thread, concurrently; requests go on being answered.
/// Blocking: while the database is written; registry.register and registry.resume until the files are hashed,
///   endpoint.serve, configure, publish_update and roll_back until the models are loaded.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_runtime_manage(
    runtime: *const mr_runtime,
    operation: *const c_char,
    operation_len: usize,
    request: *const c_char,
    request_len: usize,
    response: *mut *mut mr_text,
    error: *mut *mut mr_error,
) -> mr_status {
    let body = || {
        // SAFETY: the contract of the header: a live reference.
        let handle = unsafe { admitted(runtime) }?;
        // SAFETY: the contract of the header: the bytes are there.
        let operation = unsafe { input("operation", operation, operation_len) }?;
        // SAFETY: the contract of the header: the bytes are there.
        let request = unsafe { input("request", request, request_len) }?;
        // SAFETY: the contract of the header: NULL or memory for a pointer.
        let out = unsafe { Out::new("response", response) }?;
        let json = handle.runtime.manage(operation, request.as_bytes())?;
        out.set(handle::into_box(CText::new(String::from_utf8_lossy(&json).into_owned())));
        Ok(MR_OK)
    };
    // SAFETY: the contract of the header: NULL or memory for a pointer.
    unsafe { guard(error, body) }
}

//! The C interface of model-runtime. `include/model_runtime.h` is generated from these modules by cbindgen and is
//! what callers read; the overview there states the rules once (threads, ownership, errors, versions, memory).
//!
//! This crate converts and calls; it decides nothing. Every `extern "C"` function is one [`boundary::guard`].
#![allow(unsafe_code, non_camel_case_types)]
// The safety contract of all functions is the header's: valid handles, valid memory behind pointer and length.
#![allow(clippy::missing_safety_doc)]

#[cfg(panic = "abort")]
compile_error!("the C interface turns panics into errors: build it with panic = \"unwind\"");

pub mod adapters;
pub mod batch;
pub mod boundary;
pub mod callback;
pub mod dispatch;
pub mod embeddings;
pub mod error;
pub mod event;
pub mod generate;
pub mod handle;
pub mod manage;
pub mod options;
mod process;
pub mod request;
mod reserve;
pub mod runtime;
#[cfg(any(test, feature = "sequences"))]
pub mod sequences;
pub mod serve;
pub mod session;
pub mod status;
pub mod stream;
pub mod text;
pub mod version;

//! Foundation models as a library.
//!
//! An application links this crate and has in its own process what a hosted model API gives over HTTP: chat,
//! completions and embeddings on open models, batched across all its callers, every answer naming the exact version
//! that served it. There is no server in it.
//!
//! The modules are floors of one house; each imports only from floors below it (top to bottom):
//! [`management`] beside [`batch`], [`runtime`], [`engine`] beside [`embedding`], [`models`], [`grammar`], [`chat`], [`metering`] beside
//! [`registry`], [`lifecycle`], [`catalog`], [`backend`], [`weights`], [`tokenizer`], [`protocol`], [`fairness`],
//! [`database`], [`error`] and [`clock`].

pub mod backend;
pub mod batch;
pub mod catalog;
pub mod chat;
pub mod clock;
pub mod database;
mod door;
pub mod embedding;
pub mod engine;
pub mod error;
pub mod fairness;
pub mod grammar;
pub mod lifecycle;
mod mailbox;
pub mod management;
pub mod metering;
pub mod models;
pub mod protocol;
pub mod registry;
pub mod runtime;
mod sync;
pub mod tokenizer;
pub mod weights;

pub use clock::{Clock, DurationStats, ManualClock, SystemClock};
pub use error::{Error, ErrorKind, Result};
pub use runtime::{ModelRuntime, RequestOptions, ServeOptions};

/// Compiles and runs the Rust code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;

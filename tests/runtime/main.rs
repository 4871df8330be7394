//! The runtime on real and tiny models: what callers see.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adapters;
mod affinity;
mod answers;
mod capacity;
mod embeddings;
mod lifetimes;
mod metering;
mod retirements;
mod same_bytes;
mod serving;
mod speculation;
mod versions;

use std::path::{Path, PathBuf};

use model_runtime::protocol::CompletionRequest;
use model_runtime::{ModelRuntime, ServeOptions};

/// The trained model in the repository.
fn stories() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/models/stories260K")
}

/// A tiny random model of the repository.
fn tiny(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny").join(name)
}

/// A GGUF file of the repository.
fn gguf(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/gguf").join(name)
}

/// A runtime that serves the trained model as `stories`.
fn runtime_with(options: ServeOptions) -> ModelRuntime {
    let runtime = ModelRuntime::builder().build().unwrap();
    runtime.serve("stories", stories(), options).unwrap();
    runtime
}

fn greedy(prompt: &str, max_tokens: u32) -> CompletionRequest {
    CompletionRequest::new("stories", prompt).temperature(0.0).max_tokens(max_tokens)
}

//! The runtime on real and tiny models: what callers see.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adapters;
mod affinity;
mod answers;
mod calls;
mod capacity;
mod changing_files;
mod choices;
mod completions;
mod damaged_models;
mod embeddings;
mod faults;
mod lifetimes;
mod metering;
mod reasoning;
mod retirements;
mod same_bytes;
mod serving;
mod sessions;
mod speculation;
mod structured;
mod versions;

#[path = "../common/mutations.rs"]
mod mutations;
#[path = "../common/schemas.rs"]
mod schemas;

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

/// Serves a small model with room for long texts: prompts that describe functions and answers of a form are long in its
/// few tokens.
fn serve_with_room(runtime: &ModelRuntime, name: &str, model: &Path, options: ServeOptions) {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(model).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let path = folder.path().join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for key in ["max_position_embeddings", "max_seq_len"] {
        if config.get(key).is_some() {
            config[key] = 4096.into();
        }
    }
    std::fs::write(&path, config.to_string()).unwrap();
    runtime.serve(name, folder.path(), options).unwrap();
}

/// Our own kernels in single precision, to be compared with a reference.
fn exact() -> model_runtime::runtime::BackendChoice {
    use model_runtime::backend::cpu::{CacheType, Compute, CpuOptions};
    let options = CpuOptions::default().compute(Compute::F32).cache(CacheType::F32);
    model_runtime::runtime::BackendChoice::Cpu(options)
}

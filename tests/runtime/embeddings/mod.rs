//! Endpoints that embed.

mod answers;
mod bert_gguf;
mod inputs;
mod same_bytes;
mod serving;

use std::path::{Path, PathBuf};

use model_runtime::backend::cpu::{Compute, CpuOptions};
use model_runtime::runtime::BackendChoice;
use model_runtime::{ModelRuntime, ServeOptions};

use super::tiny;

/// Our own kernels in single precision.
fn single() -> ServeOptions {
    ServeOptions::default().backend(BackendChoice::Cpu(CpuOptions::default().compute(Compute::F32)))
}

/// A runtime that serves the tiny BGE as `bge` and the tiny GTE as `gte`.
fn both() -> ModelRuntime {
    let runtime = ModelRuntime::builder().build().unwrap();
    runtime.serve("bge", tiny("bert_bge"), single()).unwrap();
    runtime.serve("gte", tiny("new_gte"), single()).unwrap();
    runtime
}

/// A copy of a model's folder that a test may change.
fn copy_of(model: &Path) -> (tempfile::TempDir, PathBuf) {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &target);
            } else {
                std::fs::write(target, std::fs::read(entry.path()).unwrap()).unwrap();
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    copy(model, &path);
    (folder, path)
}

/// Changes fields of a JSON file.
fn change(file: &Path, changes: serde_json::Value) {
    let mut value: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    for (key, new) in changes.as_object().unwrap() {
        value[key] = new.clone();
    }
    std::fs::write(file, value.to_string()).unwrap();
}

fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|value| value * value).sum::<f32>().sqrt()
}

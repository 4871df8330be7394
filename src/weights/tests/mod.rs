//! Whole files: sound, damaged, hostile.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

mod build;
mod damaged_directory;
mod damaged_gguf;
mod damaged_safetensors;
mod digest;
mod random_damage;
mod reading;

use std::path::{Path, PathBuf};

/// The repository's test data.
fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Fails unless `message` is one line that has all of `parts` in it.
#[track_caller]
fn assert_says(case: &str, message: &str, parts: &[&str]) {
    assert!(!message.contains('\n'), "{case}: more than one line: {message}");
    for part in parts {
        assert!(message.contains(part), "{case}: {part:?} is not in: {message}");
    }
}

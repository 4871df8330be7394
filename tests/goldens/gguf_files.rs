//! Goldens of a GGUF file: dequantised tensors, logits and greedy tokens.

use std::path::Path;

use super::{Outcome, Verdict};

/// Compares one item.
pub fn run(_path: &Path) -> Outcome {
    Ok(Verdict::Skipped("not yet".into()))
}

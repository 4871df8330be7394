//! The tokens that end a model's answer.

use serde_json::Value;

use super::ModelError;
use crate::weights::{Checkpoint, Format, WeightsError};

/// Metadata keys of GGUF that name a token behind which an answer is complete.
const GGUF_KEYS: &[&str] =
    &["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];

/// The model's own end tokens: `eos_token_id` of `generation_config.json`, else of `config.json`; of GGUF the
/// end-of-sequence, end-of-turn and end-of-message tokens. Sorted, without repeats; empty when nothing names one.
///
/// # Errors
/// A damaged file.
pub fn stop_tokens(checkpoint: &Checkpoint) -> Result<Vec<u32>, ModelError> {
    let mut tokens = match checkpoint.format() {
        Format::Gguf => {
            let metadata = checkpoint.metadata();
            let keys = GGUF_KEYS.iter().map(|key| metadata.u32(key));
            keys.collect::<Result<Vec<_>, WeightsError>>()?.into_iter().flatten().collect()
        }
        Format::HuggingFace => {
            let mut tokens = Vec::new();
            for file in ["generation_config.json", "config.json"] {
                if tokens.is_empty() {
                    tokens = eos_of(checkpoint, file)?;
                }
            }
            tokens
        }
    };
    tokens.sort_unstable();
    tokens.dedup();
    Ok(tokens)
}

fn eos_of(checkpoint: &Checkpoint, file: &'static str) -> Result<Vec<u32>, ModelError> {
    let Some(bytes) = checkpoint.read_small(file)? else { return Ok(Vec::new()) };
    let wrong = |value: String| ModelError::Value {
        file,
        key: "eos_token_id".into(),
        value,
        expected: "a token id, or a list of them".into(),
    };
    let config: Value = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
    let id = |value: &Value| -> Result<u32, ModelError> {
        value.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| wrong(value.to_string()))
    };
    match &config["eos_token_id"] {
        Value::Null => Ok(Vec::new()),
        Value::Array(ids) => ids.iter().map(id).collect(),
        one => Ok(vec![id(one)?]),
    }
}

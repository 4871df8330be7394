//! What the configurations of all architectures share: how `config.json` is read, and what is believed of it.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ModelError;
use crate::weights::Checkpoint;

/// The file that Hugging Face folders describe their architecture in.
pub(super) const CONFIG: &str = "config.json";

/// Where GGUF files have theirs.
pub(super) const GGUF: &str = "GGUF metadata";

/// The largest width, count or position that is believed; anything above is a damaged or hostile file.
const MAX_DIMENSION: usize = 1 << 24;

/// Reads `config.json` of a Hugging Face folder.
///
/// # Errors
/// A file that is missing, cannot be read or is not JSON.
pub(super) fn read_json(checkpoint: &Checkpoint) -> Result<Value, ModelError> {
    let bytes = checkpoint
        .read_small(CONFIG)?
        .ok_or_else(|| ModelError::Missing { file: "model folder", key: CONFIG.into() })?;
    parse(&bytes)
}

/// Parses the bytes of a `config.json`.
///
/// # Errors
/// Bytes that are not JSON.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, ModelError> {
    serde_json::from_slice(bytes).map_err(|error| damaged(&error))
}

/// The fields of one architecture.
///
/// # Errors
/// A field that is missing or of another type.
pub(super) fn fields<T: DeserializeOwned>(value: &Value) -> Result<T, ModelError> {
    T::deserialize(value).map_err(|error| damaged(&error))
}

/// `model_type`, which names the architecture.
pub(super) fn model_type(value: &Value) -> &str {
    value.get("model_type").and_then(Value::as_str).unwrap_or("(no model_type)")
}

fn damaged(error: &serde_json::Error) -> ModelError {
    unexpected(CONFIG, "(file)", &error.to_string(), "the configuration of a supported model")
}

/// A value that makes no sense or is not supported.
pub(super) fn unexpected(file: &'static str, key: &str, value: &str, expected: &str) -> ModelError {
    ModelError::Value { file, key: key.into(), value: value.into(), expected: expected.into() }
}

/// Checks that widths, counts and positions are positive and believable.
///
/// # Errors
/// The first one that is not.
pub(super) fn check_sizes(file: &'static str, sizes: &[(&str, usize)]) -> Result<(), ModelError> {
    match sizes.iter().find(|(_, value)| !(1..=MAX_DIMENSION).contains(value)) {
        None => Ok(()),
        Some((key, value)) => Err(unexpected(file, key, &value.to_string(), &format!("1..={MAX_DIMENSION}"))),
    }
}

/// Checks numbers that must be finite and above zero: epsilons, bases, factors.
///
/// # Errors
/// The first one that is not.
pub(super) fn check_positive(file: &'static str, numbers: &[(&str, f64)]) -> Result<(), ModelError> {
    match numbers.iter().find(|(_, value)| !(value.is_finite() && *value > 0.0)) {
        None => Ok(()),
        Some((key, value)) => Err(unexpected(file, key, &value.to_string(), "a positive number")),
    }
}

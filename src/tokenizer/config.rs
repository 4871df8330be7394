//! What tokenizer_config.json says beyond tokenizer.json.

use serde_json::Value;

use super::error::TokenizerError;
use super::load::Parts;

/// The tokenizer classes that set the frame of a text from `add_bos_token` and `add_eos_token` when they load; for
/// all others tokenizer.json has the last word.
const CLASSES: [&str; 4] = ["LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer", "CohereTokenizer"];

/// Applies `add_bos_token` and `add_eos_token`, where they are given.
pub(super) fn apply(config: &[u8], parts: &mut Parts) -> Result<(), TokenizerError> {
    let config: Value =
        serde_json::from_slice(config).map_err(|e| TokenizerError::invalid("tokenizer_config.json", e))?;
    let class = config.get("tokenizer_class").and_then(Value::as_str).unwrap_or_default();
    if !CLASSES.contains(&class.strip_suffix("Fast").unwrap_or(class)) {
        return Ok(());
    }
    let id = |name: &str| -> Result<Option<u32>, TokenizerError> {
        let Some(token) = token_text(config.get(name)) else { return Ok(None) };
        parts.pipeline.token_to_id(token).map(Some).ok_or_else(|| {
            TokenizerError::invalid(
                format!("tokenizer_config.json: {name}"),
                format!("{token:?} is not in the vocabulary"),
            )
        })
    };
    let wanted = |name: &str| config.get(name).and_then(Value::as_bool);
    if let Some(wanted) = wanted("add_bos_token")
        && let Some(bos) = id("bos_token")?
    {
        parts.frame.set_bos(bos, wanted);
    }
    if let Some(wanted) = wanted("add_eos_token")
        && let Some(eos) = id("eos_token")?
    {
        parts.frame.set_eos(eos, wanted);
    }
    Ok(())
}

/// A token written as a string or as an object with `content`.
fn token_text(value: Option<&Value>) -> Option<&str> {
    value.and_then(|v| v.as_str().or_else(|| v.get("content")?.as_str()))
}

//! `quantization_config` of checkpoints whose weights are 8-bit floats with a scale for each block.

use serde_json::Value;

use super::ModelError;
use super::config::{CONFIG, unexpected};

/// The largest block that is believed.
const MAX_BLOCK: u64 = 1 << 16;

/// The blocks of a weight `[out, in]` that share a scale; those at the edges may be smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fp8Blocks {
    /// Outputs of a block.
    pub rows: usize,
    /// Inputs of a block.
    pub cols: usize,
}

impl Fp8Blocks {
    /// Reads `quantization_config`.
    ///
    /// # Errors
    /// A method, format or block that is not supported.
    pub(super) fn from_json(value: &Value) -> Result<Self, ModelError> {
        for (key, expected) in [("quant_method", "fp8"), ("fmt", "e4m3")] {
            let found = value.get(key).unwrap_or(&Value::Null);
            // Some checkpoints leave the format out, which is then this one.
            if found.as_str() != Some(expected) && !(key == "fmt" && found.is_null()) {
                return Err(unexpected(
                    CONFIG,
                    &format!("quantization_config.{key}"),
                    &found.to_string(),
                    expected,
                ));
            }
        }
        let block = value.get("weight_block_size").unwrap_or(&Value::Null);
        let sizes: Option<Vec<u64>> =
            block.as_array().map(|sizes| sizes.iter().map(|size| size.as_u64().unwrap_or(0)).collect());
        match sizes.as_deref() {
            Some(&[rows, cols]) if (1..=MAX_BLOCK).contains(&rows) && (1..=MAX_BLOCK).contains(&cols) => {
                Ok(Self { rows: rows as usize, cols: cols as usize })
            }
            _ => {
                let expected = format!("two numbers from 1 to {MAX_BLOCK}");
                let key = "quantization_config.weight_block_size";
                Err(unexpected(CONFIG, key, &block.to_string(), &expected))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn blocks_are_read_and_what_is_unknown_is_named() {
        let read = |value: Value| Fp8Blocks::from_json(&value);
        let good = serde_json::json!({"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 64]});
        assert_eq!(read(good.clone()).unwrap(), Fp8Blocks { rows: 128, cols: 64 });
        for (key, value) in [
            ("quant_method", Value::from("gptq")),
            ("quant_method", Value::Null),
            ("fmt", Value::from("e5m2")),
            ("weight_block_size", Value::Null),
            ("weight_block_size", serde_json::json!([128])),
            ("weight_block_size", serde_json::json!([128, 0])),
            ("weight_block_size", serde_json::json!([128, -1])),
            ("weight_block_size", serde_json::json!([1u64 << 40, 128])),
        ] {
            let mut changed = good.clone();
            changed[key] = value.clone();
            let message = read(changed).unwrap_err().to_string();
            assert!(message.contains(key) && message.contains(&value.to_string()), "{message}");
        }
    }
}

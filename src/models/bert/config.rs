//! The configuration of BERT, from Hugging Face's `config.json` or from GGUF metadata.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::backend::Activation;
use crate::models::config::{CONFIG, GGUF, check_positive, check_sizes, fields, unexpected};
use crate::models::encoder::{activation, refuse};
use crate::models::{EncoderShape, ModelError};
use crate::weights::Checkpoint;

/// A BERT encoder: BGE, MiniLM and what is built like them.
#[derive(Debug, Clone, PartialEq)]
pub struct BertConfig {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of a row.
    pub hidden_size: usize,
    /// Width of the feed-forward network.
    pub intermediate_size: usize,
    /// Layers.
    pub layers: usize,
    /// Heads; divides `hidden_size`.
    pub heads: usize,
    /// Rows of the table of positions.
    pub max_positions: usize,
    /// Kinds of segments, of which a text is always the first.
    pub token_types: usize,
    /// Added to the variance in the norms.
    pub norm_epsilon: f32,
    /// Of the feed-forward network.
    pub activation: Activation,
}

/// `config.json` as transformers writes it.
#[derive(Debug, Deserialize)]
struct HuggingFace {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    #[serde(default = "default_positions")]
    max_position_embeddings: usize,
    #[serde(default = "default_types")]
    type_vocab_size: usize,
    #[serde(default = "default_epsilon")]
    layer_norm_eps: f64,
    hidden_act: Option<String>,
}

fn default_positions() -> usize {
    512
}

fn default_types() -> usize {
    2
}

fn default_epsilon() -> f64 {
    1e-12
}

impl BertConfig {
    /// Reads `config.json` of model type `bert`.
    ///
    /// # Errors
    /// Fields that are missing, or values that make no sense or another model.
    pub fn from_json(value: &Value) -> Result<Self, ModelError> {
        let raw: HuggingFace = fields(value)?;
        refuse(
            value,
            &[
                ("position_embedding_type", json!("absolute")),
                ("is_decoder", json!(false)),
                ("add_cross_attention", json!(false)),
            ],
        )?;
        Self {
            vocab_size: raw.vocab_size,
            hidden_size: raw.hidden_size,
            intermediate_size: raw.intermediate_size,
            layers: raw.num_hidden_layers,
            heads: raw.num_attention_heads,
            max_positions: raw.max_position_embeddings,
            token_types: raw.type_vocab_size,
            norm_epsilon: raw.layer_norm_eps as f32,
            activation: activation(raw.hidden_act.as_deref().unwrap_or("gelu"))?,
        }
        .validated(CONFIG)
    }

    /// Reads the metadata of a GGUF file of architecture `bert`.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json).
    pub fn from_gguf(checkpoint: &Checkpoint) -> Result<Self, ModelError> {
        let metadata = checkpoint.metadata();
        let key = |name: &str| format!("bert.{name}");
        let size = |name: &str| -> Result<usize, ModelError> {
            Ok(usize::try_from(metadata.require_u64(&key(name))?).unwrap_or(usize::MAX))
        };
        if metadata.bool(&key("attention.causal"))? == Some(true) {
            return Err(unexpected(GGUF, &key("attention.causal"), "true", "false"));
        }
        Self {
            vocab_size: checkpoint.tensor("token_embd.weight")?.rows(),
            hidden_size: size("embedding_length")?,
            intermediate_size: size("feed_forward_length")?,
            layers: size("block_count")?,
            heads: size("attention.head_count")?,
            max_positions: size("context_length")?,
            token_types: checkpoint.tensor("token_types.weight")?.rows(),
            norm_epsilon: metadata.require_f32(&key("attention.layer_norm_epsilon"))?,
            // The format has no key for it; every file of the architecture is computed so.
            activation: Activation::GeluErf,
        }
        .validated(GGUF)
    }

    fn validated(self, file: &'static str) -> Result<Self, ModelError> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("max_position_embeddings", self.max_positions),
            ("type_vocab_size", self.token_types),
        ];
        check_sizes(file, &sizes)?;
        if !self.hidden_size.is_multiple_of(self.heads) {
            let expected = format!("a divisor of hidden_size, {}", self.hidden_size);
            return Err(unexpected(file, "num_attention_heads", &self.heads.to_string(), &expected));
        }
        check_positive(file, &[("layer_norm_eps", f64::from(self.norm_epsilon))])?;
        Ok(self)
    }

    /// What of it decides the costs of serving.
    pub(in crate::models) fn shape(&self) -> EncoderShape {
        let &Self { hidden_size, intermediate_size, .. } = self;
        EncoderShape {
            vocab_size: self.vocab_size,
            width: hidden_size,
            max_positions: self.max_positions,
            table_of_positions: true,
            scratch_width: 3 * hidden_size + (4 * hidden_size).max(2 * intermediate_size),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(changes: Value) -> Result<BertConfig, ModelError> {
        let mut base = json!({
            "model_type": "bert", "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96,
            "num_hidden_layers": 2, "num_attention_heads": 4
        });
        for (key, value) in changes.as_object().unwrap() {
            base[key] = value.clone();
        }
        BertConfig::from_json(&base)
    }

    #[test]
    fn defaults_are_those_of_transformers() {
        let config = config(json!({})).unwrap();
        assert_eq!((config.max_positions, config.token_types, config.norm_epsilon), (512, 2, 1e-12));
        assert_eq!(config.activation, Activation::GeluErf);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (change, named) in [
            (json!({"num_attention_heads": 5}), "num_attention_heads"),
            (json!({"num_attention_heads": 0}), "num_attention_heads"),
            (json!({"type_vocab_size": 0}), "type_vocab_size"),
            (json!({"hidden_size": 1u64 << 40}), "hidden_size"),
            (json!({"layer_norm_eps": 0.0}), "layer_norm_eps"),
            (json!({"hidden_act": "relu"}), "hidden_act"),
            (json!({"position_embedding_type": "relative_key"}), "position_embedding_type"),
            (json!({"is_decoder": true}), "is_decoder"),
        ] {
            let message = config(change).unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        }
    }
}

//! The configuration of Llama-like models, from Hugging Face's `config.json` or from GGUF metadata.

use serde::Deserialize;
use serde_json::Value;

use crate::backend::{CacheEntry, CacheShape};
use crate::models::config::{CONFIG, GGUF, check_positive, check_sizes, fields, unexpected};
use crate::models::{CausalShape, ModelError, RopeScaling, RopeSettings};
use crate::weights::Checkpoint;

/// A Llama-like model: Llama 2 to 3.3, CodeLlama, LlamaGuard, Mistral, Mixtral.
#[derive(Debug, Clone, PartialEq)]
pub struct LlamaConfig {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward network.
    pub intermediate_size: usize,
    /// The experts of a layer, each a network of `intermediate_size`; one network for all tokens when `None`.
    pub experts: Option<ExpertsConfig>,
    /// Decoder layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head; not always `hidden_size / heads`.
    pub head_dim: usize,
    /// Added to the mean square in the norms.
    pub norm_epsilon: f32,
    /// Rotary position embedding.
    pub rope: RopeSettings,
    /// Positions a token sees, itself included; all when `None`.
    pub sliding_window: Option<usize>,
    /// Whether the output head is the token embedding.
    pub tied_embeddings: bool,
    /// The longest context the model was made for.
    pub max_positions: usize,
}

/// The experts of Mixtral (Jiang et al., 2024).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpertsConfig {
    /// Experts of a layer.
    pub count: usize,
    /// Experts that a token goes to.
    pub used: usize,
}

/// `config.json` as transformers writes it.
#[derive(Debug, Deserialize)]
struct HuggingFace {
    model_type: Option<String>,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    #[serde(default = "default_epsilon")]
    rms_norm_eps: f64,
    rope_theta: Option<f64>,
    rope_scaling: Option<Value>,
    rope_parameters: Option<Value>,
    sliding_window: Option<usize>,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default = "default_positions")]
    max_position_embeddings: usize,
    hidden_act: Option<String>,
    num_local_experts: Option<usize>,
    num_experts_per_tok: Option<usize>,
}

fn default_epsilon() -> f64 {
    1e-6
}

fn default_positions() -> usize {
    2048
}

impl LlamaConfig {
    /// Reads `config.json` of model type `llama`, `mistral` or `mixtral`.
    ///
    /// # Errors
    /// Fields that are missing, or values that make no sense.
    pub fn from_json(value: &Value) -> Result<Self, ModelError> {
        let raw: HuggingFace = fields(value)?;
        if let Some(act) = raw.hidden_act.as_deref().filter(|&act| act != "silu" && act != "swish") {
            return Err(unexpected(CONFIG, "hidden_act", act, "silu"));
        }
        let rope = match raw.rope_parameters.as_ref().or(raw.rope_scaling.as_ref()) {
            Some(scaling) => RopeScaling::from_json(scaling)?,
            None => RopeScaling::None,
        };
        let theta = raw
            .rope_theta
            .or_else(|| raw.rope_parameters.as_ref()?.get("rope_theta")?.as_f64())
            .unwrap_or(10_000.0);
        let heads = raw.num_attention_heads;
        let kind = raw.model_type.as_deref().unwrap_or_default();
        let experts = if kind == "mixtral" {
            let missing = |key: &str| ModelError::Missing { file: CONFIG, key: key.into() };
            let count = raw.num_local_experts.ok_or_else(|| missing("num_local_experts"))?;
            let used = raw.num_experts_per_tok.ok_or_else(|| missing("num_experts_per_tok"))?;
            Some(ExpertsConfig { count, used })
        } else {
            None
        };
        Self {
            vocab_size: raw.vocab_size,
            hidden_size: raw.hidden_size,
            intermediate_size: raw.intermediate_size,
            experts,
            layers: raw.num_hidden_layers,
            heads,
            kv_heads: raw.num_key_value_heads.unwrap_or(heads),
            head_dim: raw.head_dim.unwrap_or_else(|| raw.hidden_size.checked_div(heads).unwrap_or(0)),
            norm_epsilon: raw.rms_norm_eps as f32,
            rope: RopeSettings { theta, scaling: rope },
            // Only Mistral's and Mixtral's configurations mean it; Llama's never had a window.
            sliding_window: raw.sliding_window.filter(|_| matches!(kind, "mistral" | "mixtral")),
            tied_embeddings: raw.tie_word_embeddings,
            max_positions: raw.max_position_embeddings,
        }
        .validated(CONFIG)
    }

    /// Reads the metadata of a GGUF file of architecture `llama`.
    ///
    /// # Errors
    /// Keys that are missing, or values that make no sense.
    pub fn from_gguf(checkpoint: &Checkpoint) -> Result<Self, ModelError> {
        let metadata = checkpoint.metadata();
        let key = |name: &str| format!("llama.{name}");
        let size = |name: &str| -> Result<usize, ModelError> {
            Ok(usize::try_from(metadata.require_u64(&key(name))?).unwrap_or(usize::MAX))
        };
        let optional = |name: &str| -> Result<Option<usize>, ModelError> {
            Ok(metadata.u64(&key(name))?.map(|value| usize::try_from(value).unwrap_or(usize::MAX)))
        };
        let hidden_size = size("embedding_length")?;
        let heads = size("attention.head_count")?;
        let scaling = match metadata.str(&key("rope.scaling.type"))? {
            None | Some("none") => RopeScaling::None,
            Some("linear") => {
                RopeScaling::Linear { factor: f64::from(metadata.require_f32(&key("rope.scaling.factor"))?) }
            }
            Some(other) => {
                return Err(unexpected(GGUF, &key("rope.scaling.type"), other, "none or linear"));
            }
        };
        let embedding = checkpoint.tensor("token_embd.weight")?;
        Self {
            vocab_size: embedding.rows(),
            hidden_size,
            intermediate_size: size("feed_forward_length")?,
            experts: match optional("expert_count")?.unwrap_or(0) {
                0 => None,
                count => Some(ExpertsConfig { count, used: size("expert_used_count")? }),
            },
            layers: size("block_count")?,
            heads,
            kv_heads: optional("attention.head_count_kv")?.unwrap_or(heads),
            head_dim: optional("attention.key_length")?
                .unwrap_or_else(|| hidden_size.checked_div(heads).unwrap_or(0)),
            norm_epsilon: metadata.require_f32(&key("attention.layer_norm_rms_epsilon"))?,
            rope: RopeSettings {
                theta: f64::from(metadata.f32(&key("rope.freq_base"))?.unwrap_or(10_000.0)),
                scaling,
            },
            sliding_window: optional("attention.sliding_window")?.filter(|&window| window > 0),
            tied_embeddings: checkpoint.get("output.weight").is_none(),
            max_positions: size("context_length")?,
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
            ("num_key_value_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_positions),
            ("sliding_window", self.sliding_window.unwrap_or(1)),
        ];
        check_sizes(file, &sizes)?;
        if let Some(ExpertsConfig { count, used }) = self.experts {
            check_sizes(file, &[("num_local_experts", count)])?;
            if !(1..=count).contains(&used) {
                let expected = format!("1 to {count}");
                return Err(unexpected(file, "num_experts_per_tok", &used.to_string(), &expected));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let expected = format!("a divisor of num_attention_heads, {}", self.heads);
            return Err(unexpected(file, "num_key_value_heads", &self.kv_heads.to_string(), &expected));
        }
        if !self.head_dim.is_multiple_of(2) || self.head_dim > 4096 {
            return Err(unexpected(
                file,
                "head_dim",
                &self.head_dim.to_string(),
                "an even number up to 4096",
            ));
        }
        let numbers = [("rms_norm_eps", f64::from(self.norm_epsilon)), ("rope_theta", self.rope.theta)];
        check_positive(file, &numbers)?;
        Ok(self)
    }

    /// What of it decides the costs of serving.
    pub(in crate::models) fn shape(&self) -> CausalShape {
        let &Self { layers, kv_heads, head_dim, .. } = self;
        let attention = (2 * self.heads + 2 * kv_heads) * head_dim;
        let mlp = match self.experts {
            None => 4 * self.intermediate_size,
            Some(experts) => experts.used * (3 * self.intermediate_size + self.hidden_size),
        };
        CausalShape {
            vocab_size: self.vocab_size,
            max_positions: self.max_positions,
            cache: CacheShape { layers, entry: CacheEntry::KeyValue { kv_heads, head_dim }, blocks: 0 },
            scratch_width: 4 * self.hidden_size + (2 * attention).max(mlp),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(changes: Value) -> Result<LlamaConfig, ModelError> {
        let mut base = serde_json::json!({
            "model_type": "llama", "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96,
            "num_hidden_layers": 2, "num_attention_heads": 4
        });
        for (key, value) in changes.as_object().unwrap() {
            base[key] = value.clone();
        }
        LlamaConfig::from_json(&base)
    }

    #[test]
    fn defaults_are_those_of_transformers() {
        let config = config(serde_json::json!({})).unwrap();
        assert_eq!((config.kv_heads, config.head_dim, config.max_positions), (4, 16, 2048));
        assert_eq!((config.norm_epsilon, config.rope.theta), (1e-6, 10_000.0));
        assert!(!config.tied_embeddings && config.sliding_window.is_none());
    }

    #[test]
    fn a_window_is_mistrals_alone() {
        let window = serde_json::json!({"model_type": "mistral", "sliding_window": 7});
        assert_eq!(config(window).unwrap().sliding_window, Some(7));
        assert_eq!(config(serde_json::json!({"sliding_window": 7})).unwrap().sliding_window, None);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (change, named) in [
            (serde_json::json!({"num_attention_heads": 0}), "num_attention_heads"),
            (serde_json::json!({"num_key_value_heads": 3}), "num_key_value_heads"),
            (serde_json::json!({"head_dim": 15}), "head_dim"),
            (serde_json::json!({"hidden_size": 1u64 << 40}), "hidden_size"),
            (serde_json::json!({"rms_norm_eps": -1.0}), "rms_norm_eps"),
            (serde_json::json!({"hidden_act": "gelu"}), "hidden_act"),
            (serde_json::json!({"rope_scaling": {"type": "magic"}}), "rope_scaling"),
            (serde_json::json!({"vocab_size": "many"}), "config.json"),
            (serde_json::json!({"model_type": "mixtral"}), "num_local_experts"),
            (
                serde_json::json!({"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 5}),
                "1 to 4",
            ),
        ] {
            let message = config(change).unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        }
    }
}

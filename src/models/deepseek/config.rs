//! The configuration of DeepSeek V3 and R1, from Hugging Face's `config.json`.

use serde::Deserialize;
use serde_json::Value;

use crate::backend::{CacheEntry, CacheShape, ExpertGroups, LatentAttention, Routing, Scoring};
use crate::models::config::{CONFIG, check_positive, check_sizes, fields, unexpected};
use crate::models::{CausalShape, Fp8Blocks, ModelError, RopeScaling, RopeSettings};

/// DeepSeek V3, V3.1 and R1 (DeepSeek-AI, 2024; the distilled variants of R1 are Llama's or Qwen's architecture).
#[derive(Debug, Clone, PartialEq)]
pub struct DeepseekConfig {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Layers at the start whose feed-forward network is not a mixture.
    pub dense_layers: usize,
    /// Width of their feed-forward network.
    pub intermediate_size: usize,
    /// Width of an expert.
    pub expert_size: usize,
    /// Experts that every row goes through; they are stored as one network of so many times the width.
    pub shared_experts: usize,
    /// How rows choose the other experts.
    pub routing: Routing,
    /// Query heads.
    pub heads: usize,
    /// Width of the compressed queries; queries are projected at once when `None`.
    pub query_rank: Option<usize>,
    /// Width of the latent that keys and values are made of.
    pub rank: usize,
    /// Width of a head's query and key without position.
    pub nope_dim: usize,
    /// Width of a head's query and of the shared key that are rotated.
    pub rope_dim: usize,
    /// Width of a head's value.
    pub value_dim: usize,
    /// Added to the mean square in the norms of the residual stream.
    pub norm_epsilon: f32,
    /// Rotary position embedding.
    pub rope: RopeSettings,
    /// Whether neighbouring elements are rotated together, as DeepSeek's own code has it, and not those of two halves.
    pub rope_interleaved: bool,
    /// Whether the output head is the token embedding.
    pub tied_embeddings: bool,
    /// The longest context the model was made for.
    pub max_positions: usize,
    /// The blocks that share a scale in weights of 8-bit floats.
    pub fp8_blocks: Option<Fp8Blocks>,
}

/// `config.json` as transformers writes it. Not every checkpoint has all keys; defaults are transformers'.
#[derive(Debug, Deserialize)]
struct HuggingFace {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    moe_intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    #[serde(default = "one")]
    n_shared_experts: usize,
    n_routed_experts: usize,
    num_experts_per_tok: usize,
    n_group: usize,
    topk_group: usize,
    #[serde(default)]
    first_k_dense_replace: usize,
    #[serde(default = "one")]
    moe_layer_freq: usize,
    #[serde(default = "yes")]
    norm_topk_prob: bool,
    #[serde(default = "factor")]
    routed_scaling_factor: f64,
    #[serde(default = "sigmoid")]
    scoring_func: String,
    #[serde(default = "no_auxiliary_loss")]
    topk_method: String,
    kv_lora_rank: usize,
    q_lora_rank: Option<usize>,
    qk_nope_head_dim: usize,
    qk_rope_head_dim: usize,
    v_head_dim: usize,
    #[serde(default = "epsilon")]
    rms_norm_eps: f64,
    rope_theta: Option<f64>,
    rope_scaling: Option<Value>,
    rope_parameters: Option<Value>,
    #[serde(default = "yes")]
    rope_interleave: bool,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default = "positions")]
    max_position_embeddings: usize,
    hidden_act: Option<String>,
    quantization_config: Option<Value>,
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

fn factor() -> f64 {
    2.5
}

fn sigmoid() -> String {
    "sigmoid".into()
}

fn no_auxiliary_loss() -> String {
    "noaux_tc".into()
}

fn epsilon() -> f64 {
    1e-6
}

fn positions() -> usize {
    4096
}

impl DeepseekConfig {
    /// Reads `config.json` of model type `deepseek_v3`.
    ///
    /// # Errors
    /// Fields that are missing, or values that make no sense.
    pub fn from_json(value: &Value) -> Result<Self, ModelError> {
        let raw: HuggingFace = fields(value)?;
        for (key, found, expected) in [
            ("hidden_act", raw.hidden_act.as_deref().unwrap_or("silu"), "silu"),
            ("scoring_func", &raw.scoring_func, "sigmoid"),
            ("topk_method", &raw.topk_method, "noaux_tc"),
        ] {
            if found != expected {
                return Err(unexpected(CONFIG, key, found, expected));
            }
        }
        if raw.moe_layer_freq != 1 {
            return Err(unexpected(CONFIG, "moe_layer_freq", &raw.moe_layer_freq.to_string(), "1"));
        }
        let scaling = match raw.rope_parameters.as_ref().or(raw.rope_scaling.as_ref()) {
            Some(scaling) => RopeScaling::from_json(scaling)?,
            None => RopeScaling::None,
        };
        let theta = raw
            .rope_theta
            .or_else(|| raw.rope_parameters.as_ref()?.get("rope_theta")?.as_f64())
            .unwrap_or(10_000.0);
        Self {
            vocab_size: raw.vocab_size,
            hidden_size: raw.hidden_size,
            layers: raw.num_hidden_layers,
            dense_layers: raw.first_k_dense_replace.min(raw.num_hidden_layers),
            intermediate_size: raw.intermediate_size,
            expert_size: raw.moe_intermediate_size,
            shared_experts: raw.n_shared_experts,
            routing: Routing {
                experts: raw.n_routed_experts,
                top_k: raw.num_experts_per_tok,
                scoring: Scoring::Sigmoid,
                groups: Some(ExpertGroups { groups: raw.n_group, top_groups: raw.topk_group }),
                normalize: raw.norm_topk_prob,
                scale: raw.routed_scaling_factor as f32,
            },
            heads: raw.num_attention_heads,
            query_rank: raw.q_lora_rank,
            rank: raw.kv_lora_rank,
            nope_dim: raw.qk_nope_head_dim,
            rope_dim: raw.qk_rope_head_dim,
            value_dim: raw.v_head_dim,
            norm_epsilon: raw.rms_norm_eps as f32,
            rope: RopeSettings { theta, scaling },
            rope_interleaved: raw.rope_interleave,
            tied_embeddings: raw.tie_word_embeddings,
            max_positions: raw.max_position_embeddings,
            fp8_blocks: raw.quantization_config.as_ref().map(Fp8Blocks::from_json).transpose()?,
        }
        .validated()
    }

    fn validated(self) -> Result<Self, ModelError> {
        let groups = self.routing.groups.map_or((1, 1), |of| (of.groups, of.top_groups));
        check_sizes(
            CONFIG,
            &[
                ("vocab_size", self.vocab_size),
                ("hidden_size", self.hidden_size),
                ("intermediate_size", self.intermediate_size),
                ("moe_intermediate_size", self.expert_size),
                ("num_hidden_layers", self.layers),
                ("num_attention_heads", self.heads),
                ("n_routed_experts", self.routing.experts),
                ("num_experts_per_tok", self.routing.top_k),
                ("n_group", groups.0),
                ("topk_group", groups.1),
                ("q_lora_rank", self.query_rank.unwrap_or(1)),
                ("kv_lora_rank", self.rank),
                ("qk_nope_head_dim", self.nope_dim),
                ("qk_rope_head_dim", self.rope_dim),
                ("v_head_dim", self.value_dim),
                ("max_position_embeddings", self.max_positions),
            ],
        )?;
        // Wider than any head or latent that is believed, and a bound to what the products of widths can be.
        for (key, value, most) in [
            ("kv_lora_rank", self.rank, 1 << 14),
            ("qk_nope_head_dim", self.nope_dim, 4096),
            ("qk_rope_head_dim", self.rope_dim, 4096),
            ("v_head_dim", self.value_dim, 4096),
            ("num_attention_heads", self.heads, 1 << 14),
            ("n_shared_experts", self.shared_experts, 1 << 10),
            ("n_routed_experts", self.routing.experts, 1 << 14),
        ] {
            if value > most {
                return Err(unexpected(CONFIG, key, &value.to_string(), &format!("at most {most}")));
            }
        }
        if !self.rope_dim.is_multiple_of(2) {
            let found = self.rope_dim.to_string();
            return Err(unexpected(CONFIG, "qk_rope_head_dim", &found, "an even number"));
        }
        let experts = self.routing.experts;
        if !experts.is_multiple_of(groups.0) {
            let expected = format!("a divisor of n_routed_experts, {experts}");
            return Err(unexpected(CONFIG, "n_group", &groups.0.to_string(), &expected));
        }
        if groups.1 > groups.0 {
            let expected = format!("at most n_group, {}", groups.0);
            return Err(unexpected(CONFIG, "topk_group", &groups.1.to_string(), &expected));
        }
        let most = experts / groups.0 * groups.1;
        if self.routing.top_k > most {
            let expected = format!("at most the {most} experts of topk_group groups");
            let found = self.routing.top_k.to_string();
            return Err(unexpected(CONFIG, "num_experts_per_tok", &found, &expected));
        }
        let numbers = [
            ("rms_norm_eps", f64::from(self.norm_epsilon)),
            ("rope_theta", self.rope.theta),
            ("routed_scaling_factor", f64::from(self.routing.scale)),
        ];
        check_positive(CONFIG, &numbers)?;
        if self.rope.theta <= 1.0 {
            return Err(unexpected(CONFIG, "rope_theta", &self.rope.theta.to_string(), "a number above 1"));
        }
        Ok(self)
    }

    /// What its attention is, with the softmax scale of transformers: `(nope + rope)^-1/2`, times YaRN's correction.
    pub(super) fn attention(&self) -> LatentAttention {
        let correction = match &self.rope.scaling {
            RopeScaling::Yarn(yarn) => yarn.score_factor(),
            _ => 1.0,
        };
        let width = (self.nope_dim + self.rope_dim) as f64;
        let scale = (correction / width.sqrt()) as f32;
        LatentAttention { heads: self.heads, rank: self.rank, rope_dim: self.rope_dim, scale }
    }

    /// What of it decides the costs of serving.
    pub(in crate::models) fn shape(&self) -> CausalShape {
        let &Self { rank, rope_dim, heads, .. } = self;
        let entry = CacheEntry::Latent { rank, rope_dim };
        // Queries, absorbed, attended and expanded; per expert gate, up, their product, and the output.
        let attention = heads * (self.nope_dim + rope_dim + 2 * rank + self.value_dim);
        let experts = self.routing.top_k * (3 * self.expert_size + self.hidden_size)
            + 3 * self.shared_experts * self.expert_size;
        let dense = 3 * self.intermediate_size;
        CausalShape {
            vocab_size: self.vocab_size,
            max_positions: self.max_positions,
            cache: CacheShape { layers: self.layers, entry, blocks: 0 },
            scratch_width: 5 * self.hidden_size + (2 * attention).max(experts).max(dense),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(changes: Value) -> Result<DeepseekConfig, ModelError> {
        let mut base = serde_json::json!({
            "model_type": "deepseek_v3", "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96,
            "moe_intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "n_routed_experts": 16,
            "num_experts_per_tok": 4, "n_group": 4, "topk_group": 2, "kv_lora_rank": 16, "q_lora_rank": null,
            "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16
        });
        for (key, value) in changes.as_object().unwrap() {
            base[key] = value.clone();
        }
        DeepseekConfig::from_json(&base)
    }

    #[test]
    fn defaults_are_those_of_transformers() {
        let config = config(serde_json::json!({})).unwrap();
        assert_eq!((config.query_rank, config.dense_layers, config.shared_experts), (None, 0, 1));
        assert_eq!((config.routing.scale, config.routing.normalize), (2.5, true));
        assert!(config.rope_interleaved && config.fp8_blocks.is_none());
        assert_eq!(config.attention().scale, (1.0 / 24f64.sqrt()) as f32);
    }

    #[test]
    fn yarn_sharpens_the_scores() {
        let scaling = serde_json::json!({"rope_scaling": {"type": "yarn", "factor": 4.0, "mscale": 1.0,
            "mscale_all_dim": 1.0, "original_max_position_embeddings": 64}});
        let config = config(scaling).unwrap();
        let mscale = 0.1 * 4f64.ln() + 1.0;
        assert_eq!(config.attention().scale, (mscale * mscale / 24f64.sqrt()) as f32);
        assert_eq!(config.rope.attention_factor(), 1.0);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (change, named) in [
            (serde_json::json!({"num_attention_heads": 0}), "num_attention_heads"),
            (serde_json::json!({"n_group": 3}), "n_group"),
            (serde_json::json!({"topk_group": 5}), "topk_group"),
            (serde_json::json!({"num_experts_per_tok": 9}), "num_experts_per_tok"),
            (serde_json::json!({"qk_rope_head_dim": 7}), "qk_rope_head_dim"),
            (serde_json::json!({"kv_lora_rank": 1u64 << 20}), "kv_lora_rank"),
            (serde_json::json!({"kv_lora_rank": 0}), "kv_lora_rank"),
            (serde_json::json!({"n_shared_experts": 1u64 << 60}), "n_shared_experts"),
            (serde_json::json!({"q_lora_rank": 0}), "q_lora_rank"),
            (serde_json::json!({"hidden_size": 1u64 << 40}), "hidden_size"),
            (serde_json::json!({"rope_theta": 1.0}), "rope_theta"),
            (serde_json::json!({"routed_scaling_factor": -1.0}), "routed_scaling_factor"),
            (serde_json::json!({"scoring_func": "softmax"}), "scoring_func"),
            (serde_json::json!({"topk_method": "greedy"}), "topk_method"),
            (serde_json::json!({"moe_layer_freq": 2}), "moe_layer_freq"),
            (serde_json::json!({"hidden_act": "gelu"}), "hidden_act"),
            (serde_json::json!({"quantization_config": {"quant_method": "gptq"}}), "quantization_config"),
            (serde_json::json!({"v_head_dim": null}), "config.json"),
        ] {
            let message = config(change).unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        }
    }
}

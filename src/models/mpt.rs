//! MPT (MosaicML, 2023): attention with linear biases instead of positions, plain networks with GELU, layer norms without
//! bias, and an output head that is the token embedding.

use serde::Deserialize;
use serde_json::Value;

use super::config::{CONFIG, GGUF, check_positive, check_sizes, fields, unexpected};
use super::lora::Linear;
use super::tensors::{Store, Tensors};
use super::{CausalModel, CausalShape, ModelError, StepAdapters, Weights};
use crate::backend::{
    Activation, Attention, Backend, BackendError, Batch, CacheEntry, CacheShape, alibi_slopes,
};
use crate::weights::{Checkpoint, Format};

/// The configuration of MPT.
#[derive(Debug, Clone, PartialEq)]
pub struct MptConfig {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward network.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Heads.
    pub heads: usize,
    /// The context the model was made for. Its positions have no other bound.
    pub max_positions: usize,
    /// Added to the variance in the norms.
    pub norm_epsilon: f32,
    /// The exponent of the last head's slope, negative and to the base of 2.
    pub alibi_bias_max: f32,
    /// Queries, keys and values are clamped to this, both ways.
    pub clip_qkv: Option<f32>,
    /// Multiplies the scores; one by the root of the head's width when `None`.
    pub softmax_scale: Option<f32>,
}

/// `config.json` as transformers writes it.
#[derive(Debug, Deserialize)]
struct HuggingFace {
    vocab_size: usize,
    d_model: usize,
    n_heads: usize,
    n_layers: usize,
    #[serde(default = "four")]
    expansion_ratio: f64,
    max_seq_len: usize,
    #[serde(default = "epsilon")]
    layer_norm_epsilon: f64,
    #[serde(default)]
    attn_config: AttentionConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AttentionConfig {
    attn_type: Option<String>,
    alibi: Option<bool>,
    alibi_bias_max: Option<f64>,
    clip_qkv: Option<f64>,
    softmax_scale: Option<f64>,
    qk_ln: bool,
    prefix_lm: bool,
}

fn four() -> f64 {
    4.0
}

fn epsilon() -> f64 {
    1e-5
}

impl MptConfig {
    /// Reads `config.json` of model type `mpt`.
    ///
    /// # Errors
    /// Fields that are missing, values that make no sense, or variants that were never released: other attention than
    /// multi-head with ALiBi, norms of queries and keys, prefix language models.
    pub fn from_json(value: &Value) -> Result<Self, ModelError> {
        let raw: HuggingFace = fields(value)?;
        let attention = raw.attn_config;
        let flags = [
            ("attn_config.alibi", attention.alibi.unwrap_or(true), true),
            ("attn_config.qk_ln", attention.qk_ln, false),
            ("attn_config.prefix_lm", attention.prefix_lm, false),
        ];
        if let Some((key, found, expected)) = flags.iter().find(|(_, found, expected)| found != expected) {
            return Err(unexpected(CONFIG, key, &found.to_string(), &expected.to_string()));
        }
        if let Some(kind) = attention.attn_type.filter(|kind| kind != "multihead_attention") {
            return Err(unexpected(CONFIG, "attn_config.attn_type", &kind, "multihead_attention"));
        }
        Self {
            vocab_size: raw.vocab_size,
            hidden_size: raw.d_model,
            intermediate_size: (raw.expansion_ratio * raw.d_model as f64) as usize,
            layers: raw.n_layers,
            heads: raw.n_heads,
            max_positions: raw.max_seq_len,
            norm_epsilon: raw.layer_norm_epsilon as f32,
            alibi_bias_max: attention.alibi_bias_max.unwrap_or(8.0) as f32,
            clip_qkv: attention.clip_qkv.map(|limit| limit as f32),
            softmax_scale: attention.softmax_scale.map(|scale| scale as f32),
        }
        .validated(CONFIG)
    }

    /// Reads the metadata of a GGUF file of architecture `mpt`.
    ///
    /// # Errors
    /// Keys that are missing, or values that make no sense.
    pub fn from_gguf(checkpoint: &Checkpoint) -> Result<Self, ModelError> {
        let metadata = checkpoint.metadata();
        let size = |key: &str| -> Result<usize, ModelError> {
            Ok(usize::try_from(metadata.require_u64(&format!("mpt.{key}"))?).unwrap_or(usize::MAX))
        };
        Self {
            vocab_size: checkpoint.tensor("token_embd.weight")?.rows(),
            hidden_size: size("embedding_length")?,
            intermediate_size: size("feed_forward_length")?,
            layers: size("block_count")?,
            heads: size("attention.head_count")?,
            max_positions: size("context_length")?,
            norm_epsilon: metadata.require_f32("mpt.attention.layer_norm_epsilon")?,
            alibi_bias_max: metadata.f32("mpt.attention.max_alibi_bias")?.unwrap_or(8.0),
            // Zero is how the format says that nothing is clamped.
            clip_qkv: metadata.f32("mpt.attention.clamp_kqv")?.filter(|limit| *limit != 0.0),
            softmax_scale: None,
        }
        .validated(GGUF)
    }

    fn validated(self, file: &'static str) -> Result<Self, ModelError> {
        check_sizes(
            file,
            &[
                ("vocab_size", self.vocab_size),
                ("d_model", self.hidden_size),
                ("expansion_ratio * d_model", self.intermediate_size),
                ("n_layers", self.layers),
                ("n_heads", self.heads),
                ("max_seq_len", self.max_positions),
            ],
        )?;
        if !self.hidden_size.is_multiple_of(self.heads) {
            let expected = format!("a divisor of d_model, {}", self.hidden_size);
            return Err(unexpected(file, "n_heads", &self.heads.to_string(), &expected));
        }
        check_positive(
            file,
            &[
                ("layer_norm_epsilon", f64::from(self.norm_epsilon)),
                ("attn_config.alibi_bias_max", f64::from(self.alibi_bias_max)),
                ("attn_config.clip_qkv", f64::from(self.clip_qkv.unwrap_or(1.0))),
                ("attn_config.softmax_scale", f64::from(self.softmax_scale.unwrap_or(1.0))),
            ],
        )?;
        Ok(self)
    }

    fn head_dim(&self) -> usize {
        self.hidden_size / self.heads
    }

    /// What of it decides the costs of serving.
    pub(super) fn shape(&self) -> CausalShape {
        let hidden = self.hidden_size;
        CausalShape {
            vocab_size: self.vocab_size,
            max_positions: self.max_positions,
            cache: CacheShape {
                layers: self.layers,
                entry: CacheEntry::KeyValue { kv_heads: self.heads, head_dim: self.head_dim() },
                blocks: 0,
            },
            scratch_width: 4 * hidden + (4 * hidden).max(2 * self.intermediate_size),
        }
    }
}

/// An MPT model.
pub(super) struct Mpt<W: Weights> {
    config: MptConfig,
    attention: Attention,
    embedding: W::Matrix,
    norm: W::Vector,
    layers: Vec<Layer<W>>,
}

struct Layer<W: Weights> {
    attention_norm: W::Vector,
    qkv: Linear<W>,
    output: Linear<W>,
    mlp_norm: W::Vector,
    up: Linear<W>,
    down: Linear<W>,
}

impl<W: Weights> Mpt<W> {
    /// Takes the model's weights from a checkpoint.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape, or what the store reports.
    pub(super) fn build<'a, S: Store<'a, Weights = W>>(
        config: &MptConfig,
        tensors: &mut Tensors<'a, '_, S>,
    ) -> Result<Self, ModelError> {
        let MptConfig { vocab_size, hidden_size: hidden, intermediate_size: intermediate, heads, .. } =
            *config;
        let (embedding, norm) = match tensors.format() {
            Format::HuggingFace => ("transformer.wte", "transformer.norm_f.weight"),
            Format::Gguf => ("token_embd", "output_norm.weight"),
        };
        let head_dim = config.head_dim();
        let layer = |at: usize| {
            let format = tensors.format();
            let name = |(hugging_face, gguf): (&str, &str)| match format {
                Format::HuggingFace => format!("transformer.blocks.{at}.{hugging_face}"),
                Format::Gguf => format!("blk.{at}.{gguf}"),
            };
            let module = |names: (&str, &str), rows, cols| {
                let module = format!("transformer.blocks.{at}.{}", names.0);
                tensors.module(module, &name(names), rows, cols)
            };
            let qkv = module(("attn.Wqkv", "attn_qkv"), 3 * hidden, hidden)?;
            let output = module(("attn.out_proj", "attn_output"), hidden, hidden)?;
            let up = module(("ffn.up_proj", "ffn_up"), intermediate, hidden)?;
            let down = module(("ffn.down_proj", "ffn_down"), hidden, intermediate)?;
            Ok(Layer {
                attention_norm: tensors.vector(&name(("norm_1.weight", "attn_norm.weight")), hidden)?,
                qkv: tensors.linear(&[qkv])?,
                output: tensors.linear(&[output])?,
                mlp_norm: tensors.vector(&name(("norm_2.weight", "ffn_norm.weight")), hidden)?,
                up: tensors.linear(&[up])?,
                down: tensors.linear(&[down])?,
            })
        };
        Ok(Self {
            attention: Attention {
                heads,
                kv_heads: heads,
                head_dim,
                scale: config.softmax_scale.unwrap_or_else(|| 1.0 / (head_dim as f32).sqrt()),
                window: None,
                alibi: Some(alibi_slopes(heads, config.alibi_bias_max)),
            },
            layers: (0..config.layers).map(layer).collect::<Result<_, ModelError>>()?,
            embedding: tensors.embedding(embedding, vocab_size, hidden, true)?,
            norm: tensors.vector(norm, hidden)?,
            config: config.clone(),
        })
    }
}

impl<B: Backend> CausalModel<B> for Mpt<B> {
    fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    fn forward(
        &self,
        backend: &B,
        batch: &Batch,
        adapters: &StepAdapters<B>,
        cache: &mut B::Cache,
    ) -> Result<B::Tensor, BackendError> {
        let adapted = adapters.rows();
        let epsilon = self.config.norm_epsilon;
        let mut residual = backend.embed(&self.embedding, &batch.ids)?;
        let mut delta: Option<B::Tensor> = None;
        for (at, layer) in self.layers.iter().enumerate() {
            let norm = &layer.attention_norm;
            let x = match delta.take() {
                None => backend.layer_norm(&residual, norm, None, epsilon)?,
                Some(delta) => backend.add_layer_norm(&mut residual, &delta, norm, None, epsilon)?,
            };
            let mut qkv = layer.qkv.apply(backend, &x, adapted)?;
            if let Some(limit) = self.config.clip_qkv {
                backend.clip(&mut qkv, limit)?;
            }
            let attended = backend.attention(&qkv, None, cache, at, batch, &self.attention)?;
            let attended = layer.output.apply(backend, &attended, adapted)?;
            let x = backend.add_layer_norm(&mut residual, &attended, &layer.mlp_norm, None, epsilon)?;
            let hidden = backend.activate(layer.up.apply(backend, &x, adapted)?, Activation::GeluErf)?;
            delta = Some(layer.down.apply(backend, &hidden, adapted)?);
        }
        if let Some(delta) = &delta {
            residual = backend.add(&residual, delta)?;
        }
        let rows = backend.select_rows(&residual, &batch.logit_rows)?;
        let x = backend.layer_norm(&rows, &self.norm, None, epsilon)?;
        backend.linear(&x, &self.embedding)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(changes: Value) -> Result<MptConfig, ModelError> {
        let mut base = serde_json::json!({
            "vocab_size": 100, "d_model": 64, "n_heads": 4, "n_layers": 2, "max_seq_len": 128, "attn_config": {}
        });
        for (key, value) in changes.as_object().unwrap() {
            base[key] = value.clone();
        }
        MptConfig::from_json(&base)
    }

    #[test]
    fn defaults_are_those_of_transformers() {
        let config = config(serde_json::json!({})).unwrap();
        assert_eq!((config.intermediate_size, config.norm_epsilon, config.alibi_bias_max), (256, 1e-5, 8.0));
        assert_eq!((config.clip_qkv, config.softmax_scale), (None, None));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (change, named) in [
            (serde_json::json!({"n_heads": 5}), "n_heads"),
            (serde_json::json!({"expansion_ratio": -1.0}), "expansion_ratio"),
            (serde_json::json!({"attn_config": {"alibi": false}}), "attn_config.alibi"),
            (serde_json::json!({"attn_config": {"qk_ln": true}}), "attn_config.qk_ln"),
            (serde_json::json!({"attn_config": {"clip_qkv": -2.0}}), "attn_config.clip_qkv"),
            (
                serde_json::json!({"attn_config": {"attn_type": "multiquery_attention"}}),
                "multihead_attention",
            ),
        ] {
            let message = config(change).unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        }
    }
}

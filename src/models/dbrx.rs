//! DBRX (Databricks, 2024): grouped-query attention with rotary positions and clamped inputs, and in every layer a mixture
//! of fine-grained experts, of which a token goes through the best four; layer norms without bias.

use serde::Deserialize;
use serde_json::Value;

use super::config::{CONFIG, GGUF, check_positive, check_sizes, fields, unexpected};
use super::lora::Linear;
use super::tensors::{MatrixOf, Store, Tensors};
use super::{CausalModel, CausalShape, ModelError, RopeScaling, RopeSettings, StepAdapters, Weights};
use crate::backend::{
    Activation, Attention, Backend, BackendError, Batch, CacheEntry, CacheShape, Expert, Routing, RowOrder,
    Scoring,
};
use crate::weights::{Checkpoint, Format};

/// Added to the variance in the norms: PyTorch's default, which no configuration changes.
const EPSILON: f32 = 1e-5;

/// The configuration of DBRX.
#[derive(Debug, Clone, PartialEq)]
pub struct DbrxConfig {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of an expert's network.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// The longest context the model was made for.
    pub max_positions: usize,
    /// Rotary position embedding.
    pub rope: RopeSettings,
    /// Queries, keys and values are clamped to this, both ways.
    pub clip_qkv: Option<f32>,
    /// Experts of a layer.
    pub experts: usize,
    /// Experts that a token goes to.
    pub experts_used: usize,
    /// Whether the weights of a token's experts are divided by their sum.
    pub normalized_experts: bool,
}

/// `config.json` as transformers writes it.
#[derive(Debug, Deserialize)]
struct HuggingFace {
    vocab_size: usize,
    d_model: usize,
    n_heads: usize,
    n_layers: usize,
    max_seq_len: usize,
    attn_config: AttentionConfig,
    ffn_config: FeedForwardConfig,
}

#[derive(Debug, Deserialize)]
struct AttentionConfig {
    clip_qkv: Option<f64>,
    #[serde(default = "one")]
    kv_n_heads: usize,
    #[serde(default = "theta")]
    rope_theta: f64,
}

#[derive(Debug, Deserialize)]
struct FeedForwardConfig {
    ffn_hidden_size: usize,
    moe_num_experts: usize,
    #[serde(default = "one")]
    moe_top_k: usize,
    #[serde(default)]
    moe_normalize_expert_weights: Option<f64>,
    ffn_act_fn: Option<Value>,
}

fn one() -> usize {
    1
}

fn theta() -> f64 {
    10_000.0
}

impl DbrxConfig {
    /// Reads `config.json` of model type `dbrx`.
    ///
    /// # Errors
    /// Fields that are missing, or values that make no sense or are not supported.
    pub fn from_json(value: &Value) -> Result<Self, ModelError> {
        let raw: HuggingFace = fields(value)?;
        let (attention, network) = (&raw.attn_config, &raw.ffn_config);
        if let Some(act) = network.ffn_act_fn.as_ref().filter(|act| act["name"] != "silu") {
            return Err(unexpected(
                CONFIG,
                "ffn_config.ffn_act_fn",
                &act.to_string(),
                "{\"name\": \"silu\"}",
            ));
        }
        if let Some(order) = network.moe_normalize_expert_weights.filter(|order| *order != 1.0) {
            let key = "ffn_config.moe_normalize_expert_weights";
            return Err(unexpected(CONFIG, key, &order.to_string(), "1 (the sum) or null"));
        }
        Self {
            vocab_size: raw.vocab_size,
            hidden_size: raw.d_model,
            intermediate_size: network.ffn_hidden_size,
            layers: raw.n_layers,
            heads: raw.n_heads,
            kv_heads: attention.kv_n_heads,
            max_positions: raw.max_seq_len,
            rope: RopeSettings { theta: attention.rope_theta, scaling: RopeScaling::None },
            clip_qkv: attention.clip_qkv.map(|limit| limit as f32),
            experts: network.moe_num_experts,
            experts_used: network.moe_top_k,
            normalized_experts: network.moe_normalize_expert_weights.is_some(),
        }
        .validated(CONFIG)
    }

    /// Reads the metadata of a GGUF file of architecture `dbrx`.
    ///
    /// # Errors
    /// Keys that are missing, or values that make no sense.
    pub fn from_gguf(checkpoint: &Checkpoint) -> Result<Self, ModelError> {
        let metadata = checkpoint.metadata();
        let size = |key: &str| -> Result<usize, ModelError> {
            Ok(usize::try_from(metadata.require_u64(&format!("dbrx.{key}"))?).unwrap_or(usize::MAX))
        };
        let theta = f64::from(metadata.f32("dbrx.rope.freq_base")?.unwrap_or(10_000.0));
        Self {
            vocab_size: checkpoint.tensor("token_embd.weight")?.rows(),
            hidden_size: size("embedding_length")?,
            intermediate_size: size("feed_forward_length")?,
            layers: size("block_count")?,
            heads: size("attention.head_count")?,
            kv_heads: size("attention.head_count_kv")?,
            max_positions: size("context_length")?,
            rope: RopeSettings { theta, scaling: RopeScaling::None },
            clip_qkv: metadata.f32("dbrx.attention.clamp_kqv")?.filter(|limit| *limit != 0.0),
            experts: size("expert_count")?,
            experts_used: size("expert_used_count")?,
            normalized_experts: true,
        }
        .validated(GGUF)
    }

    fn validated(self, file: &'static str) -> Result<Self, ModelError> {
        check_sizes(
            file,
            &[
                ("vocab_size", self.vocab_size),
                ("d_model", self.hidden_size),
                ("ffn_config.ffn_hidden_size", self.intermediate_size),
                ("n_layers", self.layers),
                ("n_heads", self.heads),
                ("attn_config.kv_n_heads", self.kv_heads),
                ("max_seq_len", self.max_positions),
                ("ffn_config.moe_num_experts", self.experts),
            ],
        )?;
        let Self { hidden_size, heads, kv_heads, experts, experts_used, .. } = self;
        if !hidden_size.is_multiple_of(2 * heads) {
            let expected = format!("a divisor of half of d_model, {}", hidden_size / 2);
            return Err(unexpected(file, "n_heads", &heads.to_string(), &expected));
        }
        if !heads.is_multiple_of(kv_heads) {
            let expected = format!("a divisor of n_heads, {heads}");
            return Err(unexpected(file, "attn_config.kv_n_heads", &kv_heads.to_string(), &expected));
        }
        if !(1..=experts).contains(&experts_used) {
            let expected = format!("1 to {experts}");
            return Err(unexpected(file, "ffn_config.moe_top_k", &experts_used.to_string(), &expected));
        }
        check_positive(
            file,
            &[
                ("attn_config.rope_theta", self.rope.theta),
                ("attn_config.clip_qkv", f64::from(self.clip_qkv.unwrap_or(1.0))),
            ],
        )?;
        Ok(self)
    }

    fn head_dim(&self) -> usize {
        self.hidden_size / self.heads
    }

    /// What of it decides the costs of serving.
    pub(super) fn shape(&self) -> CausalShape {
        let (head_dim, kv_heads) = (self.head_dim(), self.kv_heads);
        let attention = (2 * self.heads + 2 * kv_heads) * head_dim;
        let mixture = self.experts_used * (3 * self.intermediate_size + self.hidden_size);
        CausalShape {
            vocab_size: self.vocab_size,
            max_positions: self.max_positions,
            cache: CacheShape {
                layers: self.layers,
                entry: CacheEntry::KeyValue { kv_heads, head_dim },
                blocks: 0,
            },
            scratch_width: 4 * self.hidden_size + (2 * attention).max(mixture),
        }
    }
}

/// A DBRX model.
pub(super) struct Dbrx<W: Weights> {
    config: DbrxConfig,
    attention: Attention,
    routing: Routing,
    frequencies: Vec<f32>,
    embedding: W::Matrix,
    head: Linear<W>,
    norm: W::Vector,
    layers: Vec<Layer<W>>,
}

struct Layer<W: Weights> {
    attention_norm: W::Vector,
    qkv: Linear<W>,
    output: Linear<W>,
    mlp_norm: W::Vector,
    router: W::Matrix,
    experts: Vec<Expert<W::Matrix>>,
}

impl<W: Weights> Dbrx<W> {
    /// Takes the model's weights from a checkpoint.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape, or what the store reports.
    pub(super) fn build<'a, S: Store<'a, Weights = W>>(
        config: &DbrxConfig,
        tensors: &mut Tensors<'a, '_, S>,
    ) -> Result<Self, ModelError> {
        let DbrxConfig { vocab_size, hidden_size: hidden, heads, kv_heads, .. } = *config;
        let head_dim = config.head_dim();
        let (embedding, head, norm) = match tensors.format() {
            Format::HuggingFace => ("transformer.wte", "lm_head", "transformer.norm_f.weight"),
            Format::Gguf => ("token_embd", "output", "output_norm.weight"),
        };
        let head = tensors.module("lm_head", head, vocab_size, hidden)?;
        Ok(Self {
            attention: Attention {
                heads,
                kv_heads,
                head_dim,
                scale: 1.0 / (head_dim as f32).sqrt(),
                window: None,
                alibi: None,
            },
            routing: Routing {
                experts: config.experts,
                top_k: config.experts_used,
                scoring: Scoring::Softmax,
                groups: None,
                normalize: config.normalized_experts,
                scale: 1.0,
            },
            frequencies: config.rope.frequencies(head_dim, None)?,
            embedding: tensors.embedding(embedding, vocab_size, hidden, false)?,
            layers: (0..config.layers)
                .map(|at| Layer::build(config, tensors, at))
                .collect::<Result<_, _>>()?,
            norm: tensors.vector(norm, hidden)?,
            head: tensors.linear(&[head])?,
            config: config.clone(),
        })
    }
}

impl<W: Weights> Layer<W> {
    fn build<'a, S: Store<'a, Weights = W>>(
        config: &DbrxConfig,
        tensors: &mut Tensors<'a, '_, S>,
        at: usize,
    ) -> Result<Self, ModelError> {
        let hidden = config.hidden_size;
        let (prefix, [attention_norm, qkv, output, mlp_norm, router]) = match tensors.format() {
            Format::HuggingFace => (
                format!("transformer.blocks.{at}"),
                [
                    "norm_attn_norm.norm_1",
                    "norm_attn_norm.attn.Wqkv",
                    "norm_attn_norm.attn.out_proj",
                    "norm_attn_norm.norm_2",
                    "ffn.router.layer",
                ],
            ),
            Format::Gguf => (
                format!("blk.{at}"),
                ["attn_norm", "attn_qkv", "attn_output", "attn_output_norm", "ffn_gate_inp"],
            ),
        };
        let name = |stem: &str| format!("{prefix}.{stem}");
        let qkv_rows = (config.heads + 2 * config.kv_heads) * config.head_dim();
        let attention = |of: &str| format!("transformer.blocks.{at}.norm_attn_norm.attn.{of}");
        let qkv = tensors.module(attention("Wqkv"), &name(qkv), qkv_rows, hidden)?;
        let output = tensors.module(attention("out_proj"), &name(output), hidden, hidden)?;
        Ok(Self {
            attention_norm: tensors.vector(&name(&format!("{attention_norm}.weight")), hidden)?,
            qkv: tensors.linear(&[qkv])?,
            output: tensors.linear(&[output])?,
            mlp_norm: tensors.vector(&name(&format!("{mlp_norm}.weight")), hidden)?,
            router: tensors.router(&name(router), config.experts, hidden)?,
            experts: (0..config.experts)
                .map(|expert| self::expert(config, tensors, &prefix, expert))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// One expert: those of a layer are one tensor for each of its three matrices.
fn expert<'a, S: Store<'a>>(
    config: &DbrxConfig,
    tensors: &mut Tensors<'a, '_, S>,
    prefix: &str,
    at: usize,
) -> Result<Expert<MatrixOf<'a, S>>, ModelError> {
    let DbrxConfig { hidden_size: hidden, intermediate_size: width, experts, .. } = *config;
    let range = at * width..(at + 1) * width;
    let (gate, up, down) = match tensors.format() {
        Format::HuggingFace => {
            let part = |name: &str| {
                let part =
                    tensors.whole(&format!("{prefix}.ffn.experts.mlp.{name}"), &[experts * width, hidden])?;
                Ok::<_, ModelError>(part.rows(range.clone()))
            };
            // The down projection is stored as it is multiplied from the right.
            (part("w1")?, part("v1")?, part("w2")?.order(RowOrder::Transposed))
        }
        Format::Gguf => {
            let part = |name: &str, rows: usize, cols: usize| {
                let part = tensors.whole(&format!("{prefix}.{name}.weight"), &[experts, rows, cols])?;
                Ok::<_, ModelError>(part.rows(at * rows..(at + 1) * rows))
            };
            (
                part("ffn_gate_exps", width, hidden)?,
                part("ffn_up_exps", width, hidden)?,
                part("ffn_down_exps", hidden, width)?,
            )
        }
    };
    Ok(Expert { gate_up: tensors.stacked(&[gate, up])?, down: tensors.stacked(&[down])? })
}

impl<B: Backend> CausalModel<B> for Dbrx<B> {
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
        let rotary = backend.rotary(&self.frequencies, 1.0, &batch.positions)?;
        let mut residual = backend.embed(&self.embedding, &batch.ids)?;
        let mut delta: Option<B::Tensor> = None;
        for (at, layer) in self.layers.iter().enumerate() {
            let norm = &layer.attention_norm;
            let x = match delta.take() {
                None => backend.layer_norm(&residual, norm, None, EPSILON)?,
                Some(delta) => backend.add_layer_norm(&mut residual, &delta, norm, None, EPSILON)?,
            };
            let mut qkv = layer.qkv.apply(backend, &x, adapted)?;
            if let Some(limit) = self.config.clip_qkv {
                backend.clip(&mut qkv, limit)?;
            }
            let attended = backend.attention(&qkv, Some(&rotary), cache, at, batch, &self.attention)?;
            let attended = layer.output.apply(backend, &attended, adapted)?;
            let x = backend.add_layer_norm(&mut residual, &attended, &layer.mlp_norm, None, EPSILON)?;
            delta = Some(backend.mixture(
                &x,
                &layer.router,
                None,
                &layer.experts,
                &self.routing,
                Activation::Silu,
            )?);
        }
        if let Some(delta) = &delta {
            residual = backend.add(&residual, delta)?;
        }
        let rows = backend.select_rows(&residual, &batch.logit_rows)?;
        let x = backend.layer_norm(&rows, &self.norm, None, EPSILON)?;
        self.head.apply(backend, &x, adapters.logit_rows())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(changes: &[(&str, &str, Value)]) -> Result<DbrxConfig, ModelError> {
        let mut base = serde_json::json!({
            "vocab_size": 100, "d_model": 64, "n_heads": 4, "n_layers": 2, "max_seq_len": 128,
            "attn_config": {"kv_n_heads": 2},
            "ffn_config": {"ffn_hidden_size": 40, "moe_num_experts": 8, "moe_top_k": 4, "moe_normalize_expert_weights": 1}
        });
        for (section, key, value) in changes {
            base[section][key] = value.clone();
        }
        DbrxConfig::from_json(&base)
    }

    #[test]
    fn defaults_are_those_of_transformers() {
        let config = config(&[]).unwrap();
        assert_eq!((config.rope.theta, config.clip_qkv, config.normalized_experts), (10_000.0, None, true));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (section, key, value) in [
            ("attn_config", "kv_n_heads", 3.into()),
            ("attn_config", "clip_qkv", (-1.0).into()),
            ("ffn_config", "moe_top_k", 9.into()),
            ("ffn_config", "moe_normalize_expert_weights", 2.into()),
            ("ffn_config", "ffn_act_fn", serde_json::json!({"name": "gelu"})),
        ] {
            let message = config(&[(section, key, value)]).unwrap_err().to_string();
            assert!(message.contains(&format!("{section}.{key}")), "{message}");
        }
    }
}

//! DeepSeek V3, V3.1 and R1 (DeepSeek-AI, 2024, arXiv 2412.19437).
//!
//! Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434) in its absorbed form: the cache holds latents and one
//! rotated key per token, queries are projected into the space of the latents, and what is attended to is projected
//! back per head. The same form serves prompts and generation, because sums in two orders would be two results. The
//! feed-forward networks are dense in the first layers, then mixtures of experts beside shared ones.

mod config;

pub use config::DeepseekConfig;

use super::lora::{Adapted, GatedNetwork, Linear};
use super::tensors::{MatrixOf, Product, Store, Tensors};
use super::{CausalModel, ModelError, StepAdapters, Weights};
use crate::backend::{
    Activation, Backend, BackendError, Batch, Expert, LatentAttention, LatentInputs, RowOrder,
};

/// The epsilon of the norms of queries and latents, which transformers does not take from the configuration.
const LATENT_EPSILON: f32 = 1e-6;

/// A DeepSeek model.
pub(super) struct Deepseek<W: Weights> {
    config: DeepseekConfig,
    attention: LatentAttention,
    frequencies: Vec<f32>,
    embedding: W::Matrix,
    head: Option<Linear<W>>,
    norm: W::Vector,
    layers: Vec<Layer<W>>,
}

struct Layer<W: Weights> {
    attention_norm: W::Vector,
    /// The projection to compressed queries, and their norm.
    query_down: Option<(Linear<W>, W::Vector)>,
    /// Queries of all heads without position, and those to be rotated.
    query: Linear<W>,
    rope_query: Linear<W>,
    latent: Linear<W>,
    latent_norm: W::Vector,
    rope_key: Linear<W>,
    /// Per head: from its query without position to a query for latents, `W_UK^T`, `[rank, nope]`.
    absorb: Vec<W::Matrix>,
    /// Per head: from what it attended to its output, `W_UV`, `[value, rank]`.
    expand: Vec<W::Matrix>,
    output: Linear<W>,
    mlp_norm: W::Vector,
    mlp: Mlp<W>,
}

enum Mlp<W: Weights> {
    Dense(GatedNetwork<W>),
    Mixture {
        router: W::Matrix,
        /// Added to scores when experts are chosen.
        correction: W::Vector,
        experts: Vec<Expert<W::Matrix>>,
        /// What every row goes through.
        shared: Option<GatedNetwork<W>>,
    },
}

impl<W: Weights> Deepseek<W> {
    /// Takes the model's weights from a checkpoint. Layers beyond the configuration's, which predict further tokens, are
    /// left alone.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape, or what the store reports.
    pub(super) fn build<'a, S: Store<'a, Weights = W>>(
        config: &DeepseekConfig,
        tensors: &mut Tensors<'a, '_, S>,
    ) -> Result<Self, ModelError> {
        let DeepseekConfig { vocab_size, hidden_size: hidden, tied_embeddings: tied, .. } = *config;
        Ok(Self {
            attention: config.attention(),
            frequencies: config.rope.frequencies(config.rope_dim, None)?,
            embedding: tensors.embedding("model.embed_tokens", vocab_size, hidden, tied)?,
            head: if tied { None } else { Some(linear(tensors, "lm_head", vocab_size, hidden)?) },
            norm: tensors.vector("model.norm.weight", hidden)?,
            layers: (0..config.layers)
                .map(|at| Layer::build(config, tensors, at))
                .collect::<Result<_, _>>()?,
            config: config.clone(),
        })
    }
}

impl<W: Weights> Layer<W> {
    fn build<'a, S: Store<'a, Weights = W>>(
        config: &DeepseekConfig,
        tensors: &mut Tensors<'a, '_, S>,
        at: usize,
    ) -> Result<Self, ModelError> {
        let DeepseekConfig { hidden_size: hidden, heads, rank, nope_dim, rope_dim, value_dim, .. } = *config;
        let name = |of: &str| format!("model.layers.{at}.{of}");
        let attention = |of: &str| format!("model.layers.{at}.self_attn.{of}");
        // Everything here rotates halves; where pairs of neighbours are meant, the rows are put back.
        let rotated = |part: Product<'a>| match config.rope_interleaved {
            true => part.order(RowOrder::InterleavedHalves { head_dim: rope_dim }),
            false => part,
        };
        let query_width = nope_dim + rope_dim;
        let (query_down, queries) = match config.query_rank {
            Some(width) => {
                let down = linear(tensors, &attention("q_a_proj"), width, hidden)?;
                let norm = tensors.vector(&attention("q_a_layernorm.weight"), width)?;
                (Some((down, norm)), module(tensors, &attention("q_b_proj"), heads * query_width, width)?)
            }
            None => (None, module(tensors, &attention("q_proj"), heads * query_width, hidden)?),
        };
        let of_heads = |width: usize, first: usize, len: usize| {
            (0..heads).map(move |head| head * width + first..head * width + first + len)
        };
        let query: Vec<_> = of_heads(query_width, 0, nope_dim).map(|rows| queries.rows(rows)).collect();
        let rope_query: Vec<_> =
            of_heads(query_width, nope_dim, rope_dim).map(|rows| rotated(queries.rows(rows))).collect();
        let latent = module(tensors, &attention("kv_a_proj_with_mqa"), rank + rope_dim, hidden)?;
        let keys_values = tensors.part(&attention("kv_b_proj"), heads * (nope_dim + value_dim), rank)?;
        let absorb = of_heads(nope_dim + value_dim, 0, nope_dim)
            .map(|rows| tensors.stacked(&[keys_values.rows(rows).order(RowOrder::Transposed)]))
            .collect::<Result<_, _>>()?;
        let expand = of_heads(nope_dim + value_dim, nope_dim, value_dim)
            .map(|rows| tensors.stacked(&[keys_values.rows(rows)]))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            attention_norm: tensors.vector(&name("input_layernorm.weight"), hidden)?,
            query_down,
            query: tensors.linear(&query)?,
            rope_query: tensors.linear(&rope_query)?,
            latent: tensors.linear(&[latent.rows(0..rank)])?,
            latent_norm: tensors.vector(&attention("kv_a_layernorm.weight"), rank)?,
            rope_key: tensors.linear(&[rotated(latent.rows(rank..rank + rope_dim))])?,
            absorb,
            expand,
            output: linear(tensors, &attention("o_proj"), hidden, heads * value_dim)?,
            mlp_norm: tensors.vector(&name("post_attention_layernorm.weight"), hidden)?,
            mlp: Mlp::build(config, tensors, &name("mlp"), at < config.dense_layers)?,
        })
    }
}

/// A module that adapters may change.
fn module<'a, S: Store<'a>>(
    tensors: &Tensors<'a, '_, S>,
    stem: &str,
    rows: usize,
    cols: usize,
) -> Result<Product<'a>, ModelError> {
    tensors.module(stem, stem, rows, cols)
}

/// The product of one such module.
fn linear<'a, S: Store<'a>>(
    tensors: &mut Tensors<'a, '_, S>,
    stem: &str,
    rows: usize,
    cols: usize,
) -> Result<Linear<S::Weights>, ModelError> {
    let module = module(tensors, stem, rows, cols)?;
    tensors.linear(&[module])
}

/// A gated network that every row goes through.
fn gated<'a, S: Store<'a>>(
    tensors: &mut Tensors<'a, '_, S>,
    stem: &str,
    hidden: usize,
    width: usize,
) -> Result<GatedNetwork<S::Weights>, ModelError> {
    let gate = module(tensors, &format!("{stem}.gate_proj"), width, hidden)?;
    let up = module(tensors, &format!("{stem}.up_proj"), width, hidden)?;
    let down = linear(tensors, &format!("{stem}.down_proj"), hidden, width)?;
    Ok(GatedNetwork { gate_up: tensors.linear(&[gate, up])?, down })
}

/// The network of one expert.
fn expert<'a, S: Store<'a>>(
    tensors: &mut Tensors<'a, '_, S>,
    stem: &str,
    hidden: usize,
    width: usize,
) -> Result<Expert<MatrixOf<'a, S>>, ModelError> {
    let gate = tensors.part(&format!("{stem}.gate_proj"), width, hidden)?;
    let up = tensors.part(&format!("{stem}.up_proj"), width, hidden)?;
    let down = tensors.product(&format!("{stem}.down_proj"), hidden, width)?;
    Ok(Expert { gate_up: tensors.stacked(&[gate, up])?, down })
}

impl<W: Weights> Mlp<W> {
    fn build<'a, S: Store<'a, Weights = W>>(
        config: &DeepseekConfig,
        tensors: &mut Tensors<'a, '_, S>,
        stem: &str,
        dense: bool,
    ) -> Result<Self, ModelError> {
        let hidden = config.hidden_size;
        if dense {
            return gated(tensors, stem, hidden, config.intermediate_size).map(Self::Dense);
        }
        let experts = config.routing.experts;
        Ok(Self::Mixture {
            router: tensors.router(&format!("{stem}.gate"), experts, hidden)?,
            correction: tensors.vector(&format!("{stem}.gate.e_score_correction_bias"), experts)?,
            experts: (0..experts)
                .map(|at| expert(tensors, &format!("{stem}.experts.{at}"), hidden, config.expert_size))
                .collect::<Result<_, ModelError>>()?,
            shared: match config.shared_experts * config.expert_size {
                0 => None,
                width => Some(gated(tensors, &format!("{stem}.shared_experts"), hidden, width)?),
            },
        })
    }
}

/// What all layers of a step share.
struct Step<'a, B: Backend> {
    backend: &'a B,
    rotary: B::Rotary,
    batch: &'a Batch,
    adapted: Adapted<'a, B>,
}

impl<B: Backend> Layer<B> {
    /// Attention of this layer, number `at`.
    fn attend(
        &self,
        attention: &LatentAttention,
        step: &Step<'_, B>,
        x: &B::Tensor,
        cache: &mut B::Cache,
        at: usize,
    ) -> Result<B::Tensor, BackendError> {
        let Step { backend, rotary, batch, adapted } = step;
        let linear = |x: &B::Tensor, of: &Linear<B>| of.apply(backend, x, *adapted);
        let compressed = match &self.query_down {
            Some((down, norm)) => Some(backend.rms_norm(&linear(x, down)?, norm, LATENT_EPSILON)?),
            None => None,
        };
        let from = compressed.as_ref().unwrap_or(x);
        let queries = backend.per_head(linear(from, &self.query)?, &self.absorb)?;
        let rope_queries = linear(from, &self.rope_query)?;
        let latents = backend.rms_norm(&linear(x, &self.latent)?, &self.latent_norm, LATENT_EPSILON)?;
        let rope_keys = linear(x, &self.rope_key)?;
        let inputs = LatentInputs {
            queries: &queries,
            rope_queries: &rope_queries,
            latents: &latents,
            rope_keys: &rope_keys,
        };
        let attended = backend.latent_attention(&inputs, rotary, cache, at, batch, attention)?;
        linear(&backend.per_head(attended, &self.expand)?, &self.output)
    }
}

impl<B: Backend> Mlp<B> {
    fn forward(
        &self,
        config: &DeepseekConfig,
        backend: &B,
        x: &B::Tensor,
        adapted: Adapted<'_, B>,
    ) -> Result<B::Tensor, BackendError> {
        let gated = |of: &GatedNetwork<B>| of.forward(backend, x, adapted, Activation::Silu);
        match self {
            Self::Dense(network) => gated(network),
            Self::Mixture { router, correction, experts, shared } => {
                let (routing, activation) = (&config.routing, Activation::Silu);
                let mixed = backend.mixture(x, router, Some(correction), experts, routing, activation)?;
                match shared {
                    Some(shared) => backend.add(&mixed, &gated(shared)?),
                    None => Ok(mixed),
                }
            }
        }
    }
}

impl<B: Backend> CausalModel<B> for Deepseek<B> {
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
        let epsilon = self.config.norm_epsilon;
        let rope_scale = self.config.rope.attention_factor();
        let rotary = backend.rotary(&self.frequencies, rope_scale, &batch.positions)?;
        let step = Step { backend, rotary, batch, adapted: adapters.rows() };
        let mut residual = backend.embed(&self.embedding, &batch.ids)?;
        let mut delta: Option<B::Tensor> = None;
        for (at, layer) in self.layers.iter().enumerate() {
            // The sum with the layer before is fused into the norm that follows it.
            let x = match delta.take() {
                None => backend.rms_norm(&residual, &layer.attention_norm, epsilon)?,
                Some(delta) => backend.add_rms_norm(&mut residual, &delta, &layer.attention_norm, epsilon)?,
            };
            let attended = layer.attend(&self.attention, &step, &x, cache, at)?;
            let x = backend.add_rms_norm(&mut residual, &attended, &layer.mlp_norm, epsilon)?;
            delta = Some(layer.mlp.forward(&self.config, backend, &x, step.adapted)?);
        }
        if let Some(delta) = &delta {
            residual = backend.add(&residual, delta)?;
        }
        // Only the rows somebody samples from go through the head.
        let rows = backend.select_rows(&residual, &batch.logit_rows)?;
        let x = backend.rms_norm(&rows, &self.norm, epsilon)?;
        match &self.head {
            Some(head) => head.apply(backend, &x, adapters.logit_rows()),
            None => backend.linear(&x, &self.embedding),
        }
    }
}

//! Llama 2, 3, 3.1, 3.2 and 3.3, CodeLlama, LlamaGuard, Mistral and Mixtral: one definition.
//!
//! Decoder layers of grouped-query attention with rotary positions and a SwiGLU network, or several of which a token
//! goes through the best two, each behind an RMS norm (Touvron et al., 2023; Jiang et al., 2023 and 2024).

mod config;
mod feed_forward;
mod names;

pub use config::{ExpertsConfig, LlamaConfig};

use super::lora::Linear;
use super::tensors::{Store, Tensors};
use super::{CausalModel, ModelError, StepAdapters, Weights};
use crate::backend::{Attention, Backend, BackendError, Batch, RowOrder};
use crate::weights::Format;
use feed_forward::FeedForward;
use names::Part;

/// A Llama-like model.
pub(super) struct Llama<W: Weights> {
    config: LlamaConfig,
    attention: Attention,
    frequencies: Vec<f32>,
    embedding: W::Matrix,
    head: Option<Linear<W>>,
    norm: W::Vector,
    layers: Vec<Layer<W>>,
}

struct Layer<W: Weights> {
    attention_norm: W::Vector,
    qkv: Linear<W>,
    output: Linear<W>,
    mlp_norm: W::Vector,
    feed_forward: FeedForward<W>,
}

impl<W: Weights> Llama<W> {
    /// Takes the model's weights from a checkpoint.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape, or what the store reports.
    pub(super) fn build<'a, S: Store<'a, Weights = W>>(
        config: &LlamaConfig,
        tensors: &mut Tensors<'a, '_, S>,
    ) -> Result<Self, ModelError> {
        let LlamaConfig { vocab_size, hidden_size: hidden, heads, kv_heads, head_dim, .. } = *config;
        let format = tensors.format();
        let factors = tensors.values("rope_freqs.weight", head_dim / 2)?;
        Ok(Self {
            attention: Attention {
                heads,
                kv_heads,
                head_dim,
                scale: 1.0 / (head_dim as f32).sqrt(),
                window: config.sliding_window,
                alibi: None,
            },
            frequencies: config.rope.frequencies(head_dim, factors.as_deref())?,
            embedding: tensors.embedding(
                &Part::Embedding.stem(format),
                vocab_size,
                hidden,
                config.tied_embeddings,
            )?,
            head: if config.tied_embeddings {
                None
            } else {
                let head =
                    tensors.module(Part::Head.module(), &Part::Head.stem(format), vocab_size, hidden)?;
                Some(tensors.linear(&[head])?)
            },
            norm: tensors.vector(&Part::FinalNorm.weight(format), hidden)?,
            layers: (0..config.layers)
                .map(|at| Layer::build(config, tensors, at))
                .collect::<Result<_, _>>()?,
            config: config.clone(),
        })
    }
}

impl<W: Weights> Layer<W> {
    fn build<'a, S: Store<'a, Weights = W>>(
        config: &LlamaConfig,
        tensors: &mut Tensors<'a, '_, S>,
        at: usize,
    ) -> Result<Self, ModelError> {
        let format = tensors.format();
        let LlamaConfig { hidden_size: hidden, head_dim, .. } = *config;
        let (query, key_value) = (config.heads * head_dim, config.kv_heads * head_dim);
        // GGUF stores queries and keys for rotation of neighbouring pairs; everything here rotates halves.
        let order = match format {
            Format::HuggingFace => RowOrder::AsStored,
            Format::Gguf => RowOrder::InterleavedHalves { head_dim },
        };
        let module = |part: Part, rows, cols| tensors.module(part.module(), &part.stem(format), rows, cols);
        let qkv = [
            module(Part::Query(at), query, hidden)?.stored_order(order),
            module(Part::Key(at), key_value, hidden)?.stored_order(order),
            module(Part::Value(at), key_value, hidden)?,
        ];
        let output = module(Part::Output(at), hidden, query)?;
        Ok(Self {
            attention_norm: tensors.vector(&Part::AttentionNorm(at).weight(format), hidden)?,
            qkv: tensors.linear(&qkv)?,
            output: tensors.linear(&[output])?,
            mlp_norm: tensors.vector(&Part::MlpNorm(at).weight(format), hidden)?,
            feed_forward: FeedForward::build(config, tensors, at)?,
        })
    }
}

impl<B: Backend> CausalModel<B> for Llama<B> {
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
        let rotary =
            backend.rotary(&self.frequencies, self.config.rope.attention_factor(), &batch.positions)?;
        let mut residual = backend.embed(&self.embedding, &batch.ids)?;
        let mut delta: Option<B::Tensor> = None;
        for (at, layer) in self.layers.iter().enumerate() {
            // The sum with the layer before is fused into the norm that follows it.
            let x = match delta.take() {
                None => backend.rms_norm(&residual, &layer.attention_norm, epsilon)?,
                Some(delta) => backend.add_rms_norm(&mut residual, &delta, &layer.attention_norm, epsilon)?,
            };
            let qkv = layer.qkv.apply(backend, &x, adapted)?;
            let attended = backend.attention(&qkv, Some(&rotary), cache, at, batch, &self.attention)?;
            let attended = layer.output.apply(backend, &attended, adapted)?;
            let x = backend.add_rms_norm(&mut residual, &attended, &layer.mlp_norm, epsilon)?;
            delta = Some(layer.feed_forward.forward(backend, &x, adapted)?);
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

//! GTE v1.5 (Zhang et al., 2024), `model_type` "new": a BERT with rotary positions and a gated network.
//!
//! Layers of full attention over packed queries, keys and values and a gated GELU network, each added to its input and
//! normed behind the sum. The packed network has "up" over "gate".

mod config;

pub use config::{GteConfig, LogN, NtkScaling};

use super::tensors::{Norm, Store, Tensors};
use super::{EncoderModel, ModelError, Weights};
use crate::backend::{Attention, Backend, BackendError, Texts};

/// Where checkpoints of models with a head have the encoder.
const PREFIX: &str = "new.";
const WORDS: &str = "embeddings.word_embeddings";

/// A GTE v1.5 encoder.
pub(super) struct Gte<W: Weights> {
    config: GteConfig,
    attention: Attention,
    frequencies: Vec<f32>,
    words: W::Matrix,
    types: Option<W::Matrix>,
    norm: Norm<W>,
    layers: Vec<Layer<W>>,
}

struct Layer<W: Weights> {
    qkv: W::Matrix,
    output: W::Matrix,
    attention_norm: Norm<W>,
    gate_up: W::Matrix,
    down: W::Matrix,
    mlp_norm: Norm<W>,
}

impl<W: Weights> Gte<W> {
    /// Takes the model's weights from a checkpoint.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape, or what the store reports.
    pub(super) fn build<'a, S: Store<'a, Weights = W>>(
        config: &GteConfig,
        tensors: &mut Tensors<'a, '_, S>,
    ) -> Result<Self, ModelError> {
        let GteConfig { hidden_size: hidden, heads, vocab_size, token_types, .. } = *config;
        let prefix = if tensors.has(&format!("{PREFIX}{WORDS}.weight")) { PREFIX } else { "" };
        let head_dim = config.head_dim();
        let types = format!("{prefix}embeddings.token_type_embeddings");
        Ok(Self {
            attention: Attention {
                heads,
                kv_heads: heads,
                head_dim,
                scale: 1.0 / (head_dim as f32).sqrt(),
                window: None,
                alibi: None,
            },
            frequencies: config.frequencies(),
            words: tensors.embedding(&format!("{prefix}{WORDS}"), vocab_size, hidden, false)?,
            types: match token_types {
                0 => None,
                rows => Some(tensors.embedding(&types, rows, hidden, false)?),
            },
            norm: tensors.norm(&format!("{prefix}embeddings.LayerNorm"), hidden)?,
            layers: (0..config.layers)
                .map(|at| Layer::build(config, tensors, &format!("{prefix}encoder.layer.{at}")))
                .collect::<Result<_, _>>()?,
            config: config.clone(),
        })
    }
}

impl<W: Weights> Layer<W> {
    fn build<'a, S: Store<'a, Weights = W>>(
        config: &GteConfig,
        tensors: &mut Tensors<'a, '_, S>,
        layer: &str,
    ) -> Result<Self, ModelError> {
        let GteConfig { hidden_size: hidden, intermediate_size: intermediate, .. } = *config;
        let up_gate = tensors.part(&format!("{layer}.mlp.up_gate_proj"), 2 * intermediate, hidden)?;
        // The backend takes gate over up.
        let gate_up = [up_gate.rows(intermediate..2 * intermediate), up_gate.rows(0..intermediate)];
        Ok(Self {
            qkv: tensors.product(&format!("{layer}.attention.qkv_proj"), 3 * hidden, hidden)?,
            output: tensors.product(&format!("{layer}.attention.o_proj"), hidden, hidden)?,
            attention_norm: tensors.norm(&format!("{layer}.attn_ln"), hidden)?,
            gate_up: tensors.stacked(&gate_up)?,
            down: tensors.product(&format!("{layer}.mlp.down_proj"), hidden, intermediate)?,
            mlp_norm: tensors.norm(&format!("{layer}.mlp_ln"), hidden)?,
        })
    }
}

impl<B: Backend> EncoderModel<B> for Gte<B> {
    fn width(&self) -> usize {
        self.config.hidden_size
    }

    fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    fn forward(&self, backend: &B, texts: &Texts, rows: &[u32]) -> Result<B::Tensor, BackendError> {
        let epsilon = self.config.norm_epsilon;
        let rotary = backend.rotary(&self.frequencies, 1.0, &texts.positions)?;
        let scales = self.query_scales(texts);
        let mut words = backend.embed(&self.words, &texts.ids)?;
        let mut x = match &self.types {
            // Every text is a first segment.
            Some(types) => {
                let types = backend.embed(types, &vec![0; texts.rows()])?;
                self.norm.of_sum(backend, &mut words, &types, epsilon)?
            }
            None => self.norm.of(backend, &words, epsilon)?,
        };
        for (at, layer) in self.layers.iter().enumerate() {
            let qkv = backend.linear(&x, &layer.qkv)?;
            let scales = scales.as_deref();
            let mut attended =
                backend.encoder_attention(&qkv, Some(&rotary), &texts.spans, scales, &self.attention)?;
            if at + 1 == self.layers.len() && rows.len() < texts.rows() {
                // Behind the last attention, rows no longer meet.
                attended = backend.select_rows(&attended, rows)?;
                x = backend.select_rows(&x, rows)?;
            }
            let attended = backend.linear(&attended, &layer.output)?;
            x = layer.attention_norm.of_sum(backend, &mut x, &attended, epsilon)?;
            let hidden = backend.gated_mlp(&x, &layer.gate_up, &layer.down, self.config.activation)?;
            x = layer.mlp_norm.of_sum(backend, &mut x, &hidden, epsilon)?;
        }
        Ok(x)
    }
}

impl<W: Weights> Gte<W> {
    /// A factor per row; the same for all rows of a text.
    fn query_scales(&self, texts: &Texts) -> Option<Vec<f32>> {
        self.config.log_n?;
        let of_text = |span: &std::ops::Range<usize>| {
            std::iter::repeat_n(self.config.query_scale(span.len()).unwrap_or(1.0), span.len())
        };
        Some(texts.spans.iter().flat_map(of_text).collect())
    }
}

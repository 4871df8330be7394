//! BERT (Devlin et al., 2018): BGE, MiniLM and what is built like them.
//!
//! Embeddings of token, position and segment are summed; layers of full attention and a GELU network follow, each
//! added to its input and normed behind the sum.

mod config;
mod names;

pub use config::BertConfig;

use super::tensors::{Norm, Store, Tensors};
use super::{EncoderModel, ModelError, Weights};
use crate::backend::{Attention, Backend, BackendError, Texts};
use names::{PREFIX, Part};

/// A BERT encoder.
pub(super) struct Bert<W: Weights> {
    config: BertConfig,
    attention: Attention,
    words: W::Matrix,
    positions: W::Matrix,
    types: W::Matrix,
    norm: Norm<W>,
    layers: Vec<Layer<W>>,
}

struct Layer<W: Weights> {
    qkv: W::Matrix,
    output: W::Matrix,
    attention_norm: Norm<W>,
    up: W::Matrix,
    down: W::Matrix,
    mlp_norm: Norm<W>,
}

impl<W: Weights> Bert<W> {
    /// Takes the model's weights from a checkpoint.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape, or what the store reports.
    pub(super) fn build<'a, S: Store<'a, Weights = W>>(
        config: &BertConfig,
        tensors: &mut Tensors<'a, '_, S>,
    ) -> Result<Self, ModelError> {
        let BertConfig { hidden_size: hidden, heads, .. } = *config;
        let format = tensors.format();
        let prefix = if tensors.has(&(Part::Words.stem(format, PREFIX) + ".weight")) { PREFIX } else { "" };
        let head_dim = hidden / heads;
        let mut table = |part: Part, rows| tensors.embedding(&part.stem(format, prefix), rows, hidden, false);
        Ok(Self {
            attention: Attention {
                heads,
                kv_heads: heads,
                head_dim,
                scale: 1.0 / (head_dim as f32).sqrt(),
                window: None,
                alibi: None,
            },
            words: table(Part::Words, config.vocab_size)?,
            positions: table(Part::Positions, config.max_positions)?,
            types: table(Part::Types, config.token_types)?,
            norm: tensors.norm(&Part::EmbeddingNorm.stem(format, prefix), hidden)?,
            layers: (0..config.layers)
                .map(|at| Layer::build(config, tensors, prefix, at))
                .collect::<Result<_, _>>()?,
            config: config.clone(),
        })
    }
}

impl<W: Weights> Layer<W> {
    fn build<'a, S: Store<'a, Weights = W>>(
        config: &BertConfig,
        tensors: &mut Tensors<'a, '_, S>,
        prefix: &str,
        at: usize,
    ) -> Result<Self, ModelError> {
        let BertConfig { hidden_size: hidden, intermediate_size: intermediate, .. } = *config;
        let format = tensors.format();
        let name = |part: Part| part.stem(format, prefix);
        let qkv = [
            tensors.part(&name(Part::Query(at)), hidden, hidden)?,
            tensors.part(&name(Part::Key(at)), hidden, hidden)?,
            tensors.part(&name(Part::Value(at)), hidden, hidden)?,
        ];
        Ok(Self {
            qkv: tensors.stacked(&qkv)?,
            output: tensors.product(&name(Part::Output(at)), hidden, hidden)?,
            attention_norm: tensors.norm(&name(Part::AttentionNorm(at)), hidden)?,
            up: tensors.product(&name(Part::Up(at)), intermediate, hidden)?,
            down: tensors.product(&name(Part::Down(at)), hidden, intermediate)?,
            mlp_norm: tensors.norm(&name(Part::MlpNorm(at)), hidden)?,
        })
    }
}

impl<B: Backend> EncoderModel<B> for Bert<B> {
    fn width(&self) -> usize {
        self.config.hidden_size
    }

    fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    fn forward(&self, backend: &B, texts: &Texts, rows: &[u32]) -> Result<B::Tensor, BackendError> {
        let epsilon = self.config.norm_epsilon;
        let words = backend.embed(&self.words, &texts.ids)?;
        // Every text is a first segment.
        let types = backend.embed(&self.types, &vec![0; texts.rows()])?;
        let mut sum = backend.add(&words, &types)?;
        let positions = backend.embed(&self.positions, &texts.positions)?;
        let mut x = self.norm.of_sum(backend, &mut sum, &positions, epsilon)?;
        for (at, layer) in self.layers.iter().enumerate() {
            let qkv = backend.linear(&x, &layer.qkv)?;
            let mut attended = backend.encoder_attention(&qkv, None, &texts.spans, None, &self.attention)?;
            if at + 1 == self.layers.len() && rows.len() < texts.rows() {
                // Behind the last attention, rows no longer meet.
                attended = backend.select_rows(&attended, rows)?;
                x = backend.select_rows(&x, rows)?;
            }
            let attended = backend.linear(&attended, &layer.output)?;
            x = layer.attention_norm.of_sum(backend, &mut x, &attended, epsilon)?;
            let hidden = backend.mlp(&x, &layer.up, &layer.down, self.config.activation)?;
            x = layer.mlp_norm.of_sum(backend, &mut x, &hidden, epsilon)?;
        }
        Ok(x)
    }
}

//! Llama 2, 3, 3.1, 3.2 and 3.3, CodeLlama, LlamaGuard and Mistral: one definition.
//!
//! Decoder layers of grouped-query attention with rotary positions and a SwiGLU network, each behind an RMS norm
//! (Touvron et al., 2023; Jiang et al., 2023).

use std::ops::ControlFlow;

use super::names::Part;
use super::{LlamaConfig, Model, ModelError};
use crate::backend::{
    Activation, Attention, Backend, BackendError, Batch, CacheShape, MatrixPart, MatrixSource, MatrixUse,
    RowOrder,
};
use crate::weights::{Checkpoint, Format, LoadPhase, LoadProgress, TensorInfo, WeightsError};

/// The tensors of a Llama-like model, all found and of the right shape; nothing is read yet.
#[derive(Debug)]
pub struct LlamaSources<'a> {
    checkpoint: &'a Checkpoint,
    config: LlamaConfig,
    embedding: MatrixSource<'a>,
    head: Option<MatrixSource<'a>>,
    norm: &'a TensorInfo,
    rope_factors: Option<&'a TensorInfo>,
    layers: Vec<LayerSources<'a>>,
}

#[derive(Debug)]
struct LayerSources<'a> {
    attention_norm: &'a TensorInfo,
    qkv: MatrixSource<'a>,
    output: MatrixSource<'a>,
    mlp_norm: &'a TensorInfo,
    gate_up: MatrixSource<'a>,
    down: MatrixSource<'a>,
}

impl<'a> LlamaSources<'a> {
    /// Finds every tensor and checks its shape against the configuration.
    ///
    /// # Errors
    /// A configuration that is not supported, or a tensor that is missing or of another shape.
    pub fn resolve(checkpoint: &'a Checkpoint) -> Result<Self, ModelError> {
        let config = LlamaConfig::from_checkpoint(checkpoint)?;
        let find = Finder { checkpoint };
        let (hidden, vocab) = (config.hidden_size, config.vocab_size);
        let (query, key_value) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
        // GGUF stores queries and keys for rotation of neighbouring pairs; everything here rotates halves.
        let rotated = match checkpoint.format() {
            Format::HuggingFace => RowOrder::AsStored,
            Format::Gguf => RowOrder::InterleavedHalves { head_dim: config.head_dim },
        };
        let layer = |at: usize| -> Result<LayerSources<'a>, ModelError> {
            let qkv = [
                find.matrix(Part::Query(at), query, hidden, rotated)?,
                find.matrix(Part::Key(at), key_value, hidden, rotated)?,
                find.matrix(Part::Value(at), key_value, hidden, RowOrder::AsStored)?,
            ];
            let gate_up = [
                find.matrix(Part::Gate(at), config.intermediate_size, hidden, RowOrder::AsStored)?,
                find.matrix(Part::Up(at), config.intermediate_size, hidden, RowOrder::AsStored)?,
            ];
            let output = find.matrix(Part::Output(at), hidden, query, RowOrder::AsStored)?;
            let down = find.matrix(Part::Down(at), hidden, config.intermediate_size, RowOrder::AsStored)?;
            Ok(LayerSources {
                attention_norm: find.vector(Part::AttentionNorm(at), hidden)?,
                qkv: find.source(&qkv, MatrixUse::Product),
                output: find.source(&[output], MatrixUse::Product),
                mlp_norm: find.vector(Part::MlpNorm(at), hidden)?,
                gate_up: find.source(&gate_up, MatrixUse::Product),
                down: find.source(&[down], MatrixUse::Product),
            })
        };
        let embedding = find.matrix(Part::Embedding, vocab, hidden, RowOrder::AsStored)?;
        let usage = if config.tied_embeddings { MatrixUse::RowsAndProduct } else { MatrixUse::Rows };
        let head = if config.tied_embeddings {
            None
        } else {
            let head = find.matrix(Part::Head, vocab, hidden, RowOrder::AsStored)?;
            Some(find.source(&[head], MatrixUse::Product))
        };
        Ok(Self {
            embedding: find.source(&[embedding], usage),
            head,
            norm: find.vector(Part::FinalNorm, hidden)?,
            rope_factors: checkpoint.get("rope_freqs.weight"),
            layers: (0..config.layers).map(layer).collect::<Result<_, _>>()?,
            checkpoint,
            config,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }

    fn matrices(&self) -> impl Iterator<Item = &MatrixSource<'a>> {
        let layers = self.layers.iter().flat_map(|l| [&l.qkv, &l.output, &l.gate_up, &l.down]);
        [&self.embedding].into_iter().chain(&self.head).chain(layers)
    }

    /// Bytes of memory that the weights will take on this backend.
    ///
    /// # Errors
    /// What keeps the backend from loading a matrix and shows without reading it.
    pub fn weight_bytes<B: Backend>(&self, backend: &B) -> Result<u64, BackendError> {
        let norms = (2 * self.config.layers + 1) as u64 * self.config.hidden_size as u64 * 4;
        self.matrices().try_fold(norms, |sum, source| Ok(sum.saturating_add(backend.matrix_bytes(source)?)))
    }

    /// The shape of a cache of so many blocks.
    pub fn cache_shape(&self, blocks: usize) -> CacheShape {
        let LlamaConfig { layers, kv_heads, head_dim, .. } = self.config;
        CacheShape { layers, kv_heads, head_dim, blocks }
    }

    /// Bytes of activations that are alive at once in a step of so many rows, of which `logit_rows` want logits.
    pub fn scratch_bytes(&self, rows: usize, logit_rows: usize) -> u64 {
        let config = &self.config;
        let attention = (2 * config.heads + 2 * config.kv_heads) * config.head_dim;
        let width = 4 * config.hidden_size + (2 * attention).max(4 * config.intermediate_size);
        4 * (rows as u64 * width as u64 + 2 * logit_rows as u64 * config.vocab_size as u64)
    }

    /// Reads and packs all weights. `progress` hears of them many times, within large matrices too, and may stop the
    /// load.
    ///
    /// # Errors
    /// [`ModelError::Cancelled`] when `progress` says so, or what reading and packing report.
    pub fn load<B: Backend>(
        self,
        backend: &B,
        progress: &mut dyn FnMut(LoadProgress) -> ControlFlow<()>,
    ) -> Result<Llama<B>, ModelError> {
        let total_bytes = self.matrices().map(MatrixSource::file_bytes).sum();
        let mut report =
            |done_bytes| progress(LoadProgress { phase: LoadPhase::Weights, done_bytes, total_bytes });
        if report(0).is_break() {
            return Err(ModelError::Cancelled);
        }
        let mut before = 0;
        let mut matrix = |source: &MatrixSource<'_>| -> Result<B::Matrix, ModelError> {
            let matrix =
                backend.load_matrix(source, &mut |done| report(before + done)).map_err(
                    |error| match error {
                        BackendError::Weights(WeightsError::Cancelled) => ModelError::Cancelled,
                        error => error.into(),
                    },
                )?;
            before += source.file_bytes();
            Ok(matrix)
        };
        let vector = |tensor: &TensorInfo| backend.load_vector(self.checkpoint, tensor);
        let factors = match self.rope_factors {
            None => None,
            Some(tensor) => {
                let mut factors = vec![0.0f32; tensor.cols()];
                self.checkpoint.read_rows_f32(tensor, 0..1, &mut factors).map_err(BackendError::from)?;
                Some(factors)
            }
        };
        let config = self.config;
        let model = Llama {
            frequencies: config.rope.frequencies(config.head_dim, factors.as_deref())?,
            embedding: matrix(&self.embedding)?,
            head: self.head.as_ref().map(&mut matrix).transpose()?,
            norm: vector(self.norm)?,
            layers: self
                .layers
                .iter()
                .map(|layer| {
                    Ok(Layer {
                        attention_norm: vector(layer.attention_norm)?,
                        qkv: matrix(&layer.qkv)?,
                        output: matrix(&layer.output)?,
                        mlp_norm: vector(layer.mlp_norm)?,
                        gate_up: matrix(&layer.gate_up)?,
                        down: matrix(&layer.down)?,
                    })
                })
                .collect::<Result<_, ModelError>>()?,
            attention: Attention {
                heads: config.heads,
                kv_heads: config.kv_heads,
                head_dim: config.head_dim,
                scale: 1.0 / (config.head_dim as f32).sqrt(),
                window: config.sliding_window,
            },
            config,
        };
        Ok(model)
    }
}

/// Finds tensors by part and checks their shapes.
struct Finder<'a> {
    checkpoint: &'a Checkpoint,
}

impl<'a> Finder<'a> {
    fn tensor(&self, name: &str, expected: &[usize]) -> Result<&'a TensorInfo, ModelError> {
        let tensor = self.checkpoint.tensor(name)?;
        check_shape(tensor, expected)?;
        Ok(tensor)
    }

    fn vector(&self, part: Part, width: usize) -> Result<&'a TensorInfo, ModelError> {
        self.tensor(&part.weight(self.checkpoint.format()), &[width])
    }

    fn matrix(
        &self,
        part: Part,
        rows: usize,
        cols: usize,
        order: RowOrder,
    ) -> Result<MatrixPart<'a>, ModelError> {
        let weight = self.tensor(&part.weight(self.checkpoint.format()), &[rows, cols])?;
        let bias = part.bias(self.checkpoint);
        if let Some(bias) = bias {
            check_shape(bias, &[rows])?;
        }
        Ok(MatrixPart::whole(weight).bias(bias).order(order))
    }

    fn source(&self, parts: &[MatrixPart<'a>], usage: MatrixUse) -> MatrixSource<'a> {
        MatrixSource { checkpoint: self.checkpoint, parts: parts.to_vec(), usage }
    }
}

fn check_shape(tensor: &TensorInfo, expected: &[usize]) -> Result<(), ModelError> {
    if tensor.shape() == expected {
        return Ok(());
    }
    Err(ModelError::Shape {
        tensor: tensor.name().into(),
        found: tensor.shape().to_vec(),
        expected: expected.to_vec(),
    })
}

/// A loaded model.
pub struct Llama<B: Backend> {
    config: LlamaConfig,
    attention: Attention,
    frequencies: Vec<f32>,
    embedding: B::Matrix,
    head: Option<B::Matrix>,
    norm: B::Vector,
    layers: Vec<Layer<B>>,
}

struct Layer<B: Backend> {
    attention_norm: B::Vector,
    qkv: B::Matrix,
    output: B::Matrix,
    mlp_norm: B::Vector,
    gate_up: B::Matrix,
    down: B::Matrix,
}

impl<B: Backend> Model<B> for Llama<B> {
    fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    fn forward(&self, backend: &B, batch: &Batch, cache: &mut B::Cache) -> Result<B::Tensor, BackendError> {
        let epsilon = self.config.norm_epsilon;
        let rotary = backend.rotary(&self.frequencies, 1.0, &batch.positions)?;
        let mut residual = backend.embed(&self.embedding, &batch.ids)?;
        let mut delta: Option<B::Tensor> = None;
        for (at, layer) in self.layers.iter().enumerate() {
            // The sum with the layer before is fused into the norm that follows it.
            let x = match delta.take() {
                None => backend.rms_norm(&residual, &layer.attention_norm, epsilon)?,
                Some(delta) => backend.add_rms_norm(&mut residual, &delta, &layer.attention_norm, epsilon)?,
            };
            let qkv = backend.linear(&x, &layer.qkv)?;
            let attended = backend.attention(&qkv, Some(&rotary), cache, at, batch, &self.attention)?;
            let attended = backend.linear(&attended, &layer.output)?;
            let x = backend.add_rms_norm(&mut residual, &attended, &layer.mlp_norm, epsilon)?;
            delta = Some(backend.gated_mlp(&x, &layer.gate_up, &layer.down, Activation::Silu)?);
        }
        if let Some(delta) = &delta {
            residual = backend.add(&residual, delta)?;
        }
        // Only the rows somebody samples from go through the head.
        let rows = backend.select_rows(&residual, &batch.logit_rows)?;
        let x = backend.rms_norm(&rows, &self.norm, epsilon)?;
        backend.linear(&x, self.head.as_ref().unwrap_or(&self.embedding))
    }
}

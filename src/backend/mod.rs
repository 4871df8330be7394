//! What a model is computed with: [`Backend`], one method per fused operation.
//!
//! Models are written once, generic over a backend. Every backend keeps one promise above speed: the numbers of a
//! row depend on that row's sequence alone, bit for bit, and never on how many rows, chunks or threads share a step.

mod alibi;
pub mod batch;
#[cfg(feature = "candle")]
pub mod candle;
pub mod cpu;
mod error;
mod latent;
mod low_rank;
pub mod pooling;
pub mod routing;
pub mod source;
#[cfg(test)]
pub(crate) mod tests;
pub mod texts;

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

pub use alibi::alibi_slopes;
pub use batch::{AdapterId, BLOCK_TOKENS, Batch, Span};
pub use error::BackendError;
pub use latent::{CacheEntry, LatentAttention, LatentInputs};
pub use low_rank::{Adaptation, AdaptedRows, LowRank};
pub use pooling::Pooling;
pub use routing::{Expert, ExpertGroups, Routing, Scoring};
pub use source::{BlockScales, MatrixPart, MatrixProgress, MatrixSource, MatrixUse, RowOrder};
pub use texts::Texts;

use crate::weights::{Checkpoint, TensorInfo, WeightsError};

/// The activation of a feed-forward network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x * sigmoid(x)`, as in SwiGLU (Shazeer, 2020).
    Silu,
    /// The tanh approximation of GELU.
    GeluTanh,
    /// GELU by the error function.
    GeluErf,
}

/// What attention needs to know besides its inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads` (grouped-query attention, Ainslie et al., 2023).
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Multiplies the scores.
    pub scale: f32,
    /// A row sees itself and the `window - 1` positions before it; all of them when `None`.
    pub window: Option<usize>,
    /// ALiBi (Press et al., 2022): a slope per query head. What is added to a score is the slope times the key's
    /// position less the query's. [`alibi_slopes`] has the usual ones.
    pub alibi: Option<Arc<[f32]>>,
}

impl Attention {
    /// Width of a row of queries, keys and values side by side.
    pub fn qkv_width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// An error for what only causal attention has.
    fn check_two_sided(&self) -> Result<(), BackendError> {
        let slopes = self.alibi.as_deref().map_or(0, <[f32]>::len);
        for (what, found) in [("window", self.window.unwrap_or(0)), ("number of ALiBi slopes", slopes)] {
            if found > 0 {
                return Err(BackendError::Shape { operation: "encoder_attention", what, found, expected: 0 });
            }
        }
        Ok(())
    }
}

/// The shape of a paged cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheShape {
    /// Layers, each with entries of its own.
    pub layers: usize,
    /// What a layer keeps of a token.
    pub entry: CacheEntry,
    /// Blocks of [`BLOCK_TOKENS`] tokens.
    pub blocks: usize,
}

/// Tells `progress`, whose answer may end the load.
fn report(progress: &mut MatrixProgress<'_>, done_bytes: u64) -> Result<(), BackendError> {
    match progress(done_bytes) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(WeightsError::Cancelled.into()),
    }
}

/// Computes the operations that models are made of. Activations are `f32`, row-major, `[rows, width]`.
///
/// Methods take `&self` and are called from one thread at a time per cache. Widths that do not fit each other are an
/// error, never a panic.
pub trait Backend: Send + Sync + 'static {
    /// Activations, `[rows, width]`.
    type Tensor: Send;
    /// A weight matrix `[out, in]`, packed for this backend, with an optional bias of `out` values.
    type Matrix: Send + Sync;
    /// A vector of weights, as a norm has.
    type Vector: Send + Sync;
    /// Cosines and sines for the rows of one step.
    type Rotary: Send;
    /// The paged cache of keys and values, or of latents.
    type Cache: Send;

    /// A name for logs and statistics.
    fn name(&self) -> &'static str;

    /// Tells the backend that the calling thread is the one that will compute the steps of an engine. It belongs to
    /// this crate, so the backend may bind it to a core; threads of callers, who load, are never bound.
    ///
    /// # Errors
    /// A core that the thread cannot be bound to.
    fn enter(&self) -> Result<(), BackendError> {
        Ok(())
    }

    /// Bytes of memory that [`load_matrix`](Self::load_matrix) will keep for this source.
    ///
    /// # Errors
    /// What keeps the source from being loaded and shows without reading it.
    fn matrix_bytes(&self, source: &MatrixSource<'_>) -> Result<u64, BackendError>;

    /// Bytes of memory that [`new_cache`](Self::new_cache) will take; `None` when that overflows.
    fn cache_bytes(&self, shape: &CacheShape) -> Option<u64>;

    /// Reads and packs a matrix: the source's parts stacked along the output dimension. `progress` hears of it often
    /// enough that a caller who cancels does not wait for the whole of a large one.
    ///
    /// # Errors
    /// A part that cannot be read, parts of different widths, or [`WeightsError::Cancelled`] when `progress` says so.
    fn load_matrix(
        &self,
        source: &MatrixSource<'_>,
        progress: &mut MatrixProgress<'_>,
    ) -> Result<Self::Matrix, BackendError>;

    /// Reads a vector.
    ///
    /// # Errors
    /// A tensor that cannot be read.
    fn load_vector(&self, checkpoint: &Checkpoint, tensor: &TensorInfo)
    -> Result<Self::Vector, BackendError>;

    /// A cache of zeros.
    ///
    /// # Errors
    /// A size that overflows or cannot be allocated.
    fn new_cache(&self, shape: &CacheShape) -> Result<Self::Cache, BackendError>;

    /// What the bytes of a block mean: caches that say the same understand each other's blocks, and what is computed from
    /// them is the same to the bit.
    fn cache_format(&self, cache: &Self::Cache) -> String;

    /// Appends what the cache holds of a block, all layers of it, to `bytes`: of every block the same number.
    ///
    /// # Errors
    /// There is no such block, or no memory for the bytes.
    fn read_block(&self, cache: &Self::Cache, block: u32, bytes: &mut Vec<u8>) -> Result<(), BackendError>;

    /// Puts into a block what [`read_block`](Self::read_block) gave of one, here or in another cache of the same format.
    ///
    /// # Errors
    /// There is no such block, or another number of bytes than a block has.
    fn write_block(&self, cache: &mut Self::Cache, block: u32, bytes: &[u8]) -> Result<(), BackendError>;

    /// Rows of `table` by id: `[ids.len(), width]`. Ids must be below the table's rows.
    ///
    /// # Errors
    /// An id out of range.
    fn embed(&self, table: &Self::Matrix, ids: &[u32]) -> Result<Self::Tensor, BackendError>;

    /// `x W^T + b`: `[rows, out]`.
    ///
    /// # Errors
    /// Widths that do not fit.
    fn linear(&self, x: &Self::Tensor, matrix: &Self::Matrix) -> Result<Self::Tensor, BackendError>;

    /// `x / sqrt(mean(x^2) + epsilon) * weight`, row by row (Zhang and Sennrich, 2019).
    ///
    /// # Errors
    /// Widths that do not fit.
    fn rms_norm(
        &self,
        x: &Self::Tensor,
        weight: &Self::Vector,
        epsilon: f32,
    ) -> Result<Self::Tensor, BackendError>;

    /// `residual += delta`, then the norm of the sum.
    ///
    /// # Errors
    /// Widths that do not fit.
    fn add_rms_norm(
        &self,
        residual: &mut Self::Tensor,
        delta: &Self::Tensor,
        weight: &Self::Vector,
        epsilon: f32,
    ) -> Result<Self::Tensor, BackendError>;

    /// `(x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias`, row by row, with the variance of the whole
    /// population (Ba et al., 2016).
    ///
    /// # Errors
    /// Widths that do not fit.
    fn layer_norm(
        &self,
        x: &Self::Tensor,
        weight: &Self::Vector,
        bias: Option<&Self::Vector>,
        epsilon: f32,
    ) -> Result<Self::Tensor, BackendError>;

    /// `residual += delta`, then the [`layer_norm`](Self::layer_norm) of the sum.
    ///
    /// # Errors
    /// Widths that do not fit.
    fn add_layer_norm(
        &self,
        residual: &mut Self::Tensor,
        delta: &Self::Tensor,
        weight: &Self::Vector,
        bias: Option<&Self::Vector>,
        epsilon: f32,
    ) -> Result<Self::Tensor, BackendError>;

    /// `min(max(x, -limit), limit)`, in place (`clip_qkv` of MPT and DBRX). NaN stays NaN.
    ///
    /// # Errors
    /// A device that fails.
    fn clip(&self, x: &mut Self::Tensor, limit: f32) -> Result<(), BackendError>;

    /// Cosines and sines of `position * frequency` for every row; computed once per step and used by every layer.
    /// `scale` multiplies both.
    ///
    /// # Errors
    /// An allocation that fails.
    fn rotary(
        &self,
        frequencies: &[f32],
        scale: f32,
        positions: &[u32],
    ) -> Result<Self::Rotary, BackendError>;

    /// Causal attention over the paged cache. `qkv` holds queries, keys and values side by side
    /// ([`Attention::qkv_width`]); queries and keys are rotated (half-split pairs) when `rotary` is given, keys and
    /// values are written to `layer` of the cache at their positions, and every row then attends to the positions
    /// up to its own. Returns `[rows, heads * head_dim]`.
    ///
    /// # Errors
    /// Widths that do not fit, or a block table that does not cover its span.
    fn attention(
        &self,
        qkv: &Self::Tensor,
        rotary: Option<&Self::Rotary>,
        cache: &mut Self::Cache,
        layer: usize,
        batch: &Batch,
        attention: &Attention,
    ) -> Result<Self::Tensor, BackendError>;

    /// Causal multi-head latent attention over the paged cache, in the absorbed form ([`LatentInputs`]): the step's latents
    /// `c` and rotated keys `k` are written to `layer` of the cache, and head `h` of a row at position `p` becomes
    ///
    /// ```text
    /// o_h = sum over t <= p of softmax_t(scale * (q_h . c_t + rotate(r_h) . k_t)) * c_t
    /// ```
    ///
    /// with its query `q_h` for latents and `r_h` for rotated keys: equations 9 to 19 and appendix C of
    /// arXiv 2405.04434, where `q_h` is `W_UK_h^T q_h^C` and `W_UV_h o_h` is the head's output
    /// ([`per_head`](Self::per_head) computes both). Pairs are half-split. Returns `[rows, heads * rank]`.
    ///
    /// # Errors
    /// Widths that do not fit, a cache of keys and values, or a block table that does not cover its span.
    fn latent_attention(
        &self,
        inputs: &LatentInputs<'_, Self::Tensor>,
        rotary: &Self::Rotary,
        cache: &mut Self::Cache,
        layer: usize,
        batch: &Batch,
        attention: &LatentAttention,
    ) -> Result<Self::Tensor, BackendError>;

    /// `y_h = W_h x_h` for each part `x_h` of the rows and the matrix of its number, which are of equal shapes: the
    /// product with a block-diagonal matrix. `x` is `[rows, heads * in]`, the result `[rows, heads * out]`.
    ///
    /// # Errors
    /// Widths that do not fit.
    fn per_head(&self, x: Self::Tensor, matrices: &[Self::Matrix]) -> Result<Self::Tensor, BackendError>;

    /// Attention of an encoder: every row sees all rows of its text and no others. `qkv` is as in
    /// [`attention`](Self::attention); `texts` are the rows of each text, one after the other, covering all of them.
    /// `query_scales` has a factor per row, by which its rotated queries are multiplied: log-n scaling (Su, 2021) is one
    /// such. No cache takes part. Returns `[rows, heads * head_dim]`.
    ///
    /// # Errors
    /// Widths that do not fit, texts that do not cover the rows, or a window or ALiBi: those are one-sided as
    /// [`Attention`] has them, and no encoder here wants another form of them.
    fn encoder_attention(
        &self,
        qkv: &Self::Tensor,
        rotary: Option<&Self::Rotary>,
        texts: &[Range<usize>],
        query_scales: Option<&[f32]>,
        attention: &Attention,
    ) -> Result<Self::Tensor, BackendError>;

    /// Changes of low rank: `y[row, first..first + out] += scale * B (A x[row])` for every term of every adapter and each
    /// of its rows, where `y` is a product of `x`. All other values stay as they are. The factors are multiplied as
    /// floats, whatever the backend does with other weights.
    ///
    /// # Errors
    /// Widths that do not fit, or rows that are not there or do not ascend.
    fn add_low_rank(
        &self,
        y: &mut Self::Tensor,
        x: &Self::Tensor,
        adaptation: &Adaptation<'_, Self::Matrix>,
    ) -> Result<(), BackendError>;

    /// `act(x)`.
    ///
    /// # Errors
    /// A device that fails.
    fn activate(&self, x: Self::Tensor, activation: Activation) -> Result<Self::Tensor, BackendError>;

    /// `act(gate) * up` for rows of gates followed by as many values: `[rows, width / 2]`.
    ///
    /// # Errors
    /// An odd width, or no memory.
    fn gated(&self, gate_up: &Self::Tensor, activation: Activation) -> Result<Self::Tensor, BackendError>;

    /// `down(act(up(x)))`, the network without a gate; biases belong to the matrices.
    ///
    /// # Errors
    /// Widths that do not fit.
    fn mlp(
        &self,
        x: &Self::Tensor,
        up: &Self::Matrix,
        down: &Self::Matrix,
        activation: Activation,
    ) -> Result<Self::Tensor, BackendError> {
        self.linear(&self.activate(self.linear(x, up)?, activation)?, down)
    }

    /// `down(act(gate(x)) * up(x))`, where `gate_up` stacks gate over up (Shazeer, 2020). Where a checkpoint packs up
    /// over gate, the parts of the source name the two ranges of rows in this order.
    ///
    /// # Errors
    /// Widths that do not fit.
    fn gated_mlp(
        &self,
        x: &Self::Tensor,
        gate_up: &Self::Matrix,
        down: &Self::Matrix,
        activation: Activation,
    ) -> Result<Self::Tensor, BackendError> {
        // The gates and values are given back before the second product.
        let hidden = self.gated(&self.linear(x, gate_up)?, activation)?;
        self.linear(&hidden, down)
    }

    /// A mixture of experts: every row goes through the [gated networks](Self::gated_mlp) of the experts that `routing`
    /// chooses for it by the router's logits, `router(x)`; the result is the sum of their outputs by weight, in the
    /// order of the experts. `correction` is added to the scores while experts are chosen, not to the weights.
    ///
    /// Logits are computed in `f32`. A NaN in them is one in the row's result and touches no other row. Besides the
    /// result, memory for `top_k` rows of `3 * ffn + hidden` values is taken for each row of `x`.
    ///
    /// # Errors
    /// Numbers of `routing` that contradict each other, or widths that do not fit.
    fn mixture(
        &self,
        x: &Self::Tensor,
        router: &Self::Matrix,
        correction: Option<&Self::Vector>,
        experts: &[Expert<Self::Matrix>],
        routing: &Routing,
        activation: Activation,
    ) -> Result<Self::Tensor, BackendError>;

    /// Some rows of `x`, in the order given.
    ///
    /// # Errors
    /// A row out of range.
    fn select_rows(&self, x: &Self::Tensor, rows: &[u32]) -> Result<Self::Tensor, BackendError>;

    /// One row for each text, `[spans.len(), width]`, from the rows that are its span.
    ///
    /// # Errors
    /// A span without rows, or beyond those of `x`.
    fn pool(
        &self,
        x: &Self::Tensor,
        spans: &[Range<usize>],
        pooling: Pooling,
    ) -> Result<Self::Tensor, BackendError>;

    /// `residual + delta`.
    ///
    /// # Errors
    /// Widths that do not fit.
    fn add(&self, residual: &Self::Tensor, delta: &Self::Tensor) -> Result<Self::Tensor, BackendError>;

    /// The values of `x`, row by row: where they lie, if that can be read, else copied to `buffer`.
    ///
    /// # Errors
    /// A device that cannot be read.
    fn read<'a>(&self, x: &'a Self::Tensor, buffer: &'a mut Vec<f32>) -> Result<&'a [f32], BackendError>;
}

//! The reference backend: every operation from candle-core's, in `f32`.
//!
//! Every kernel of this crate is tested against it. It widens all weights to `f32`, so it is exact and not small.
//!
//! candle's `f32` product takes other code paths, with other orders of summation, for a lone row, for few outputs
//! times few rows, and for few outputs with a long inner dimension. `linear` and `attention` keep every product
//! away from those shapes, which makes a row's bits independent of the rows beside it; a test watches over it.

mod attention;
mod cache;
mod latent;
mod linear;
mod mixture;
mod rows;

use std::ops::Range;

use candle_core::{D, DType, Device, Tensor};

pub use cache::Cache;
pub use linear::Matrix;

use super::{
    Activation, Adaptation, Attention, Backend, BackendError, Batch, CacheShape, Expert, LatentAttention,
    LatentInputs, MatrixProgress, MatrixSource, Pooling, Routing,
};
use crate::weights::{Checkpoint, TensorInfo};

/// Computes with candle-core.
#[derive(Debug, Clone)]
pub struct CandleBackend {
    device: Device,
}

impl CandleBackend {
    /// The reference on the CPU.
    pub fn cpu() -> Self {
        Self { device: Device::Cpu }
    }
}

/// Cosines and sines, each `[rows, 1, head_dim / 2]`.
#[derive(Debug)]
pub struct Rotary {
    cos: Tensor,
    sin: Tensor,
}

impl Rotary {
    /// Rotates `x` of shape `[rows, heads, head_dim]` in half-split pairs (Su et al., 2021).
    fn apply(&self, x: &Tensor) -> Result<Tensor, BackendError> {
        let (_, _, width) = x.dims3()?;
        let half = width / 2;
        let (first, second) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
        let rotated_first = (first.broadcast_mul(&self.cos)? - second.broadcast_mul(&self.sin)?)?;
        let rotated_second = (second.broadcast_mul(&self.cos)? + first.broadcast_mul(&self.sin)?)?;
        Ok(Tensor::cat(&[rotated_first, rotated_second], D::Minus1)?)
    }
}

impl Backend for CandleBackend {
    type Tensor = Tensor;
    type Matrix = Matrix;
    type Vector = Tensor;
    type Rotary = Rotary;
    type Cache = Cache;

    fn name(&self) -> &'static str {
        "candle"
    }

    fn matrix_bytes(&self, source: &MatrixSource<'_>) -> Result<u64, BackendError> {
        source.check()?;
        Ok(linear::bytes(source))
    }

    fn cache_bytes(&self, shape: &CacheShape) -> Option<u64> {
        cache::bytes(shape)
    }

    fn load_matrix(
        &self,
        source: &MatrixSource<'_>,
        progress: &mut MatrixProgress<'_>,
    ) -> Result<Matrix, BackendError> {
        Matrix::load(source, &self.device, progress)
    }

    fn load_vector(&self, checkpoint: &Checkpoint, tensor: &TensorInfo) -> Result<Tensor, BackendError> {
        let mut values = vec![0.0f32; tensor.rows() * tensor.cols()];
        checkpoint.read_rows_f32(tensor, 0..tensor.rows(), &mut values)?;
        let len = values.len();
        Ok(Tensor::from_vec(values, len, &self.device)?)
    }

    fn new_cache(&self, shape: &CacheShape) -> Result<Cache, BackendError> {
        Cache::new(shape, &self.device)
    }

    fn cache_format(&self, cache: &Cache) -> String {
        format!("{}: {}", self.name(), cache.format())
    }

    fn read_block(&self, cache: &Cache, block: u32, bytes: &mut Vec<u8>) -> Result<(), BackendError> {
        cache.read_block(block, bytes)
    }

    fn write_block(&self, cache: &mut Cache, block: u32, bytes: &[u8]) -> Result<(), BackendError> {
        cache.write_block(block, bytes)
    }

    fn embed(&self, table: &Matrix, ids: &[u32]) -> Result<Tensor, BackendError> {
        table.select(ids)
    }

    fn linear(&self, x: &Tensor, matrix: &Matrix) -> Result<Tensor, BackendError> {
        matrix.apply(x)
    }

    fn rms_norm(&self, x: &Tensor, weight: &Tensor, epsilon: f32) -> Result<Tensor, BackendError> {
        rows::rms_norm(x, weight, epsilon)
    }

    fn add_rms_norm(
        &self,
        residual: &mut Tensor,
        delta: &Tensor,
        weight: &Tensor,
        epsilon: f32,
    ) -> Result<Tensor, BackendError> {
        *residual = (&*residual + delta)?;
        self.rms_norm(residual, weight, epsilon)
    }

    fn layer_norm(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        epsilon: f32,
    ) -> Result<Tensor, BackendError> {
        rows::layer_norm(x, weight, bias, epsilon)
    }

    fn add_layer_norm(
        &self,
        residual: &mut Tensor,
        delta: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        epsilon: f32,
    ) -> Result<Tensor, BackendError> {
        *residual = (&*residual + delta)?;
        self.layer_norm(residual, weight, bias, epsilon)
    }

    fn clip(&self, x: &mut Tensor, limit: f32) -> Result<(), BackendError> {
        *x = x.clamp(-limit, limit)?;
        Ok(())
    }

    fn rotary(&self, frequencies: &[f32], scale: f32, positions: &[u32]) -> Result<Rotary, BackendError> {
        let angles = positions.iter().flat_map(|&p| frequencies.iter().map(move |&f| p as f32 * f));
        let (cos, sin): (Vec<f32>, Vec<f32>) = angles.map(|a| (a.cos() * scale, a.sin() * scale)).unzip();
        let shape = (positions.len(), 1, frequencies.len());
        Ok(Rotary {
            cos: Tensor::from_vec(cos, shape, &self.device)?,
            sin: Tensor::from_vec(sin, shape, &self.device)?,
        })
    }

    fn attention(
        &self,
        qkv: &Tensor,
        rotary: Option<&Rotary>,
        cache: &mut Cache,
        layer: usize,
        batch: &Batch,
        attention: &Attention,
    ) -> Result<Tensor, BackendError> {
        attention::causal(qkv, rotary, cache, layer, batch, attention)
    }

    fn latent_attention(
        &self,
        inputs: &LatentInputs<'_, Tensor>,
        rotary: &Rotary,
        cache: &mut Cache,
        layer: usize,
        batch: &Batch,
        attention: &LatentAttention,
    ) -> Result<Tensor, BackendError> {
        latent::forward(inputs, rotary, cache, layer, batch, attention)
    }

    fn per_head(&self, x: Tensor, matrices: &[Matrix]) -> Result<Tensor, BackendError> {
        linear::per_head(&x, matrices)
    }

    fn encoder_attention(
        &self,
        qkv: &Tensor,
        rotary: Option<&Rotary>,
        texts: &[Range<usize>],
        query_scales: Option<&[f32]>,
        attention: &Attention,
    ) -> Result<Tensor, BackendError> {
        attention::encoder(qkv, rotary, texts, query_scales, attention)
    }

    fn add_low_rank(
        &self,
        y: &mut Tensor,
        x: &Tensor,
        adaptation: &Adaptation<'_, Matrix>,
    ) -> Result<(), BackendError> {
        linear::add_low_rank(y, x, adaptation)
    }

    fn activate(&self, x: Tensor, activation: Activation) -> Result<Tensor, BackendError> {
        rows::activate(&x, activation)
    }

    fn gated(&self, gate_up: &Tensor, activation: Activation) -> Result<Tensor, BackendError> {
        let width = gate_up.dim(D::Minus1)? / 2;
        let gate = gate_up.narrow(D::Minus1, 0, width)?.contiguous()?;
        let gate = rows::activate(&gate, activation)?;
        Ok((gate * gate_up.narrow(D::Minus1, width, width)?)?)
    }

    fn mixture(
        &self,
        x: &Tensor,
        router: &Matrix,
        correction: Option<&Tensor>,
        experts: &[Expert<Matrix>],
        routing: &Routing,
        activation: Activation,
    ) -> Result<Tensor, BackendError> {
        mixture::forward(self, x, router, correction, experts, routing, activation)
    }

    fn select_rows(&self, x: &Tensor, rows: &[u32]) -> Result<Tensor, BackendError> {
        if rows.len() == x.dim(0)? && rows.iter().enumerate().all(|(at, &row)| row as usize == at) {
            return Ok(x.clone());
        }
        linear::select(x, rows, "select_rows")
    }

    fn pool(&self, x: &Tensor, spans: &[Range<usize>], pooling: Pooling) -> Result<Tensor, BackendError> {
        rows::pool(x, spans, pooling)
    }

    fn add(&self, residual: &Tensor, delta: &Tensor) -> Result<Tensor, BackendError> {
        Ok((residual + delta)?)
    }

    fn read<'a>(&self, x: &'a Tensor, buffer: &'a mut Vec<f32>) -> Result<&'a [f32], BackendError> {
        *buffer = x.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        Ok(buffer)
    }
}

#[cfg(test)]
mod tests;

//! Our own kernels: weights packed once, activations in an arena, threads of the backend's own.
//!
//! What the processor can do is found at run time ([`Level`]). Every output row is summed in an order that does not
//! depend on how many rows, chunks or threads there are.

#![allow(unsafe_code)]

mod activations;
mod affinity;
mod attention;
#[doc(hidden)]
pub mod bench;
mod buffer;
mod cache;
mod gemm;
mod handover;
mod kernels;
mod level;
mod low_rank;
mod matrix;
mod mixture;
mod options;
mod pack;
mod per_head;
mod rowwise;
mod simd;
mod threads;

use std::ops::Range;
use std::sync::Arc;

pub use affinity::Affinity;
pub use buffer::Tensor;
pub use cache::{Cache, CacheType};
pub use level::Level;
pub use matrix::{PackedMatrix, Quantize};
pub use options::{Compute, CpuOptions};
pub use rowwise::Rotary;

use super::{
    Activation, Adaptation, Attention, Backend, BackendError, Batch, CacheShape, Expert, LatentAttention,
    LatentInputs, MatrixProgress, MatrixSource, Pooling, Routing,
};
use crate::weights::{Checkpoint, TensorInfo};
use attention::{Inputs, LatentRows};
use buffer::Arena;
use gemm::Gemm;
use kernels::Kernels;
use mixture::Mixture;
use rowwise::Run;
use threads::{SharedMut, Threads};

/// Computes on the processor with this crate's kernels.
pub struct CpuBackend {
    level: Level,
    kernels: Kernels,
    threads: Threads,
    arena: Arc<Arena>,
    options: CpuOptions,
}

impl CpuBackend {
    /// A backend at the processor's own level, unless the options or `MR_CPU` lower it. Starts its helper threads.
    ///
    /// # Errors
    /// Options that [`CpuOptions::validate`] refuses.
    pub fn new(options: CpuOptions) -> Result<Self, BackendError> {
        options.validate()?;
        let detected = Level::detect();
        let lower = |level: &Level| *level <= detected && level.is_supported();
        let level = options.level.filter(lower).unwrap_or(detected);
        let threads = Threads::bound(options.thread_count(), &options.affinity)?;
        Ok(Self { level, kernels: kernels::kernels(level), threads, arena: Arena::new(), options })
    }

    /// The instruction level that the kernels are for.
    pub fn level(&self) -> Level {
        self.level
    }

    fn run(&self) -> Run<'_> {
        Run { level: self.level, threads: &self.threads, arena: &self.arena }
    }

    fn gemm(&self) -> Gemm<'_> {
        Gemm {
            kernels: &self.kernels,
            threads: &self.threads,
            arena: &self.arena,
            compute: self.options.compute,
        }
    }
}

impl std::fmt::Debug for CpuBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CpuBackend")
            .field("level", &self.level)
            .field("threads", &self.threads.count())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Backend for CpuBackend {
    type Tensor = Tensor;
    type Matrix = PackedMatrix;
    type Vector = Vec<f32>;
    type Rotary = Rotary;
    type Cache = Cache;

    fn name(&self) -> &'static str {
        "cpu"
    }

    fn enter(&self) -> Result<(), BackendError> {
        affinity::enter(&self.options.affinity, 0)
    }

    fn matrix_bytes(&self, source: &MatrixSource<'_>) -> Result<u64, BackendError> {
        matrix::planned_bytes(source, self.options.packing())
    }

    fn cache_bytes(&self, shape: &CacheShape) -> Option<u64> {
        cache::bytes(shape, self.options.cache)
    }

    fn load_matrix(
        &self,
        source: &MatrixSource<'_>,
        progress: &mut MatrixProgress<'_>,
    ) -> Result<PackedMatrix, BackendError> {
        PackedMatrix::load(source, self.options.packing(), &self.threads, progress)
    }

    fn load_vector(&self, checkpoint: &Checkpoint, tensor: &TensorInfo) -> Result<Vec<f32>, BackendError> {
        let mut values = vec![0.0f32; tensor.rows() * tensor.cols()];
        checkpoint.read_rows_f32(tensor, 0..tensor.rows(), &mut values)?;
        Ok(values)
    }

    fn new_cache(&self, shape: &CacheShape) -> Result<Cache, BackendError> {
        Cache::new(shape, self.options.cache)
    }

    fn cache_format(&self, cache: &Cache) -> String {
        let CpuOptions { compute, quantize, .. } = &self.options;
        format!("cpu {:?}, {compute:?}, weights {quantize:?}: {}", self.level, cache.format())
    }

    fn read_block(&self, cache: &Cache, block: u32, bytes: &mut Vec<u8>) -> Result<(), BackendError> {
        cache.read_block(block, bytes)
    }

    fn write_block(&self, cache: &mut Cache, block: u32, bytes: &[u8]) -> Result<(), BackendError> {
        cache.write_block(block, bytes)
    }

    fn embed(&self, table: &PackedMatrix, ids: &[u32]) -> Result<Tensor, BackendError> {
        if let Some(&id) = ids.iter().find(|&&id| id as usize >= table.rows()) {
            return Err(BackendError::Index { operation: "embed", index: id as usize, len: table.rows() });
        }
        let width = table.cols();
        let mut out = self.arena.tensor(ids.len(), width)?;
        let target = SharedMut::new(out.as_mut_slice().as_mut_ptr());
        self.threads.run(ids.len(), &|row| {
            // SAFETY: every task writes the row of its number.
            let out = unsafe { target.slice(row * width, width) };
            if table.row(ids[row] as usize, out).is_err() {
                out.fill(f32::NAN);
            }
        });
        Ok(out)
    }

    fn linear(&self, x: &Tensor, matrix: &PackedMatrix) -> Result<Tensor, BackendError> {
        self.gemm().multiply(x, matrix)
    }

    fn rms_norm(&self, x: &Tensor, weight: &Vec<f32>, epsilon: f32) -> Result<Tensor, BackendError> {
        let mut out = self.arena.tensor(x.rows(), x.width())?;
        rowwise::rms_norm(self.run(), x.as_slice(), weight, epsilon, out.as_mut_slice())?;
        Ok(out)
    }

    fn add_rms_norm(
        &self,
        residual: &mut Tensor,
        delta: &Tensor,
        weight: &Vec<f32>,
        epsilon: f32,
    ) -> Result<Tensor, BackendError> {
        let mut out = self.arena.tensor(residual.rows(), residual.width())?;
        let (residual, delta) = (residual.as_mut_slice(), delta.as_slice());
        rowwise::add_rms_norm(self.run(), residual, delta, weight, epsilon, out.as_mut_slice())?;
        Ok(out)
    }

    fn layer_norm(
        &self,
        x: &Tensor,
        weight: &Vec<f32>,
        bias: Option<&Vec<f32>>,
        epsilon: f32,
    ) -> Result<Tensor, BackendError> {
        let mut out = self.arena.tensor(x.rows(), x.width())?;
        let bias = bias.map(Vec::as_slice);
        rowwise::layer_norm(self.run(), x.as_slice(), weight, bias, epsilon, out.as_mut_slice())?;
        Ok(out)
    }

    fn add_layer_norm(
        &self,
        residual: &mut Tensor,
        delta: &Tensor,
        weight: &Vec<f32>,
        bias: Option<&Vec<f32>>,
        epsilon: f32,
    ) -> Result<Tensor, BackendError> {
        let mut out = self.arena.tensor(residual.rows(), residual.width())?;
        let (residual, delta, bias) = (residual.as_mut_slice(), delta.as_slice(), bias.map(Vec::as_slice));
        rowwise::add_layer_norm(self.run(), residual, delta, weight, bias, epsilon, out.as_mut_slice())?;
        Ok(out)
    }

    fn clip(&self, x: &mut Tensor, limit: f32) -> Result<(), BackendError> {
        rowwise::clip(self.run(), x.as_mut_slice(), limit);
        Ok(())
    }

    fn rotary(&self, frequencies: &[f32], scale: f32, positions: &[u32]) -> Result<Rotary, BackendError> {
        Rotary::new(&self.arena, frequencies, scale, positions)
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
        let mut out = self.arena.tensor(qkv.rows(), attention.heads * attention.head_dim)?;
        let inputs = Inputs { qkv: qkv.as_slice(), rotary, query_scales: None, attention };
        attention::forward(self.run(), inputs, cache, layer, batch, out.as_mut_slice())?;
        Ok(out)
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
        let LatentInputs { queries, rope_queries, latents, rope_keys } = *inputs;
        let widths = [queries.width(), rope_queries.width(), latents.width(), rope_keys.width()];
        attention.check(widths, cache.entry())?;
        let mut out = self.arena.tensor(queries.rows(), attention.heads * attention.rank)?;
        let rows = LatentRows {
            queries: queries.as_slice(),
            rope_queries: rope_queries.as_slice(),
            latents: latents.as_slice(),
            rope_keys: rope_keys.as_slice(),
            rotary,
            attention,
        };
        attention::latent(self.run(), rows, cache, layer, batch, out.as_mut_slice())?;
        Ok(out)
    }

    fn per_head(&self, x: Tensor, matrices: &[PackedMatrix]) -> Result<Tensor, BackendError> {
        per_head::per_head(self.run(), self.gemm(), x, matrices)
    }

    fn encoder_attention(
        &self,
        qkv: &Tensor,
        rotary: Option<&Rotary>,
        texts: &[Range<usize>],
        query_scales: Option<&[f32]>,
        attention: &Attention,
    ) -> Result<Tensor, BackendError> {
        let mut out = self.arena.tensor(qkv.rows(), attention.heads.saturating_mul(attention.head_dim))?;
        let inputs = Inputs { qkv: qkv.as_slice(), rotary, query_scales, attention };
        attention::full(self.run(), inputs, texts, out.as_mut_slice())?;
        Ok(out)
    }

    fn add_low_rank(
        &self,
        y: &mut Tensor,
        x: &Tensor,
        adaptation: &Adaptation<'_, PackedMatrix>,
    ) -> Result<(), BackendError> {
        low_rank::add(self.run(), self.gemm(), y, x, adaptation)
    }

    fn activate(&self, mut x: Tensor, activation: Activation) -> Result<Tensor, BackendError> {
        rowwise::activate(self.run(), x.as_mut_slice(), activation);
        Ok(x)
    }

    fn gated(&self, gate_up: &Tensor, activation: Activation) -> Result<Tensor, BackendError> {
        let width = gate_up.width() / 2;
        let mut hidden = self.arena.tensor(gate_up.rows(), width)?;
        rowwise::gated(self.run(), gate_up.as_slice(), width, activation, hidden.as_mut_slice())?;
        Ok(hidden)
    }

    fn mixture(
        &self,
        x: &Tensor,
        router: &PackedMatrix,
        correction: Option<&Vec<f32>>,
        experts: &[Expert<PackedMatrix>],
        routing: &Routing,
        activation: Activation,
    ) -> Result<Tensor, BackendError> {
        let correction = correction.map(Vec::as_slice);
        Mixture { run: self.run(), gemm: self.gemm(), router, correction, experts, routing, activation }
            .forward(x)
    }

    fn select_rows(&self, x: &Tensor, rows: &[u32]) -> Result<Tensor, BackendError> {
        let mut out = self.arena.tensor(rows.len(), x.width())?;
        let lines = out.as_mut_slice().chunks_exact_mut(x.width().max(1));
        for (line, &row) in lines.zip(rows) {
            if row as usize >= x.rows() {
                let len = x.rows();
                return Err(BackendError::Index { operation: "select_rows", index: row as usize, len });
            }
            line.copy_from_slice(x.row(row as usize));
        }
        Ok(out)
    }

    fn pool(&self, x: &Tensor, spans: &[Range<usize>], pooling: Pooling) -> Result<Tensor, BackendError> {
        let mut out = self.arena.tensor(spans.len(), x.width())?;
        rowwise::pool(self.run(), x.as_slice(), x.width(), spans, pooling, out.as_mut_slice())?;
        Ok(out)
    }

    fn add(&self, residual: &Tensor, delta: &Tensor) -> Result<Tensor, BackendError> {
        let mut out = self.arena.tensor(residual.rows(), residual.width())?;
        rowwise::add(self.run(), residual.as_slice(), delta.as_slice(), out.as_mut_slice())?;
        Ok(out)
    }

    fn read<'a>(&self, x: &'a Tensor, _buffer: &'a mut Vec<f32>) -> Result<&'a [f32], BackendError> {
        Ok(x.as_slice())
    }
}

//! How the CPU backend computes and what it keeps.

use serde::Serialize;

use super::affinity::Affinity;
use super::cache::CacheType;
use super::level::Level;
use super::matrix::Quantize;
use super::pack::Packing;
use crate::backend::BackendError;

/// More threads than this are a mistake, not a machine.
const MAX_THREADS: usize = 1024;

/// The numbers that products are computed with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Compute {
    /// What each format was made for: int8 activations for quantized weights, BF16 activations for BF16 weights where
    /// the processor multiplies those faster than `f32`, and `f32` for the others.
    #[default]
    Auto,
    /// `f32` throughout; quantized weights are widened panel by panel.
    F32,
    /// BF16 activations where the processor multiplies those, `f32` elsewhere.
    Bf16,
    /// int8 activations for all weights. F32, F16, BF16 and F8_E4M3 weights that [`CpuOptions::quantize`] leaves as they are
    /// become int8 with one scale per output while they are read (W8A8), a quarter or half of their size; those that
    /// are only looked up row by row stay as they are. It is the fastest way to compute, and gives up some accuracy
    /// where a few weights of an output are far larger than its others.
    ///
    /// Activations share a scale in groups of 256 for these weights, and for K-quants with AVX-512, as these formats'
    /// own reference does; in groups of 32 otherwise.
    Int8,
}

/// Options of [`CpuBackend`](super::CpuBackend).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CpuOptions {
    /// The instruction level, if it is to be lower than the processor's.
    pub level: Option<Level>,
    /// Threads, the engine's own included, 1 to 1024; when `None`, one for each core that [`affinity`](Self::affinity)
    /// names, or else as many as the process may use.
    pub threads: Option<usize>,
    /// The cores that the threads run on.
    pub affinity: Affinity,
    /// The numbers that products are computed with.
    pub compute: Compute,
    /// What the cache of keys and values holds.
    pub cache: CacheType,
    /// What F32, F16 and BF16 weights become while they are read. Comes before what [`Compute::Int8`] makes of them.
    pub quantize: Quantize,
}

impl CpuOptions {
    /// Sets [`level`](Self::level).
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    /// Sets [`threads`](Self::threads).
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Sets [`affinity`](Self::affinity).
    #[must_use]
    pub fn affinity(mut self, affinity: Affinity) -> Self {
        self.affinity = affinity;
        self
    }

    /// Sets [`compute`](Self::compute).
    #[must_use]
    pub fn compute(mut self, compute: Compute) -> Self {
        self.compute = compute;
        self
    }

    /// Sets [`cache`](Self::cache).
    #[must_use]
    pub fn cache(mut self, cache: CacheType) -> Self {
        self.cache = cache;
        self
    }

    /// Sets [`quantize`](Self::quantize).
    #[must_use]
    pub fn quantize(mut self, quantize: Quantize) -> Self {
        self.quantize = quantize;
        self
    }

    /// Checks the options against each other and this machine. Reads no model and binds nothing.
    ///
    /// # Errors
    /// [`BackendError::Option`], which names the option, its value and what is accepted.
    pub fn validate(&self) -> Result<(), BackendError> {
        if let Some(threads) = self.threads.filter(|threads| !(1..=MAX_THREADS).contains(threads)) {
            let (value, accepted) = (threads.to_string(), format!("1 to {MAX_THREADS}"));
            return Err(BackendError::Option { option: "threads", value, accepted });
        }
        self.affinity.validate(self.threads)
    }

    /// What is done with float weights while they are read.
    pub(super) fn packing(&self) -> Packing {
        Packing { quantize: self.quantize, per_channel: self.compute == Compute::Int8 }
    }

    /// How many threads there will be, the engine's own included.
    pub(super) fn thread_count(&self) -> usize {
        match (self.threads, &self.affinity) {
            (Some(threads), _) => threads,
            (None, Affinity::Cores(cores)) => cores.len(),
            (None, Affinity::None) => {
                std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS)
            }
        }
    }
}

//! A causal model driven by hand: one sequence in a cache of its own.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

#[cfg(feature = "candle")]
use model_runtime::backend::candle::CandleBackend;
use model_runtime::backend::cpu::{CacheType, Compute, CpuBackend, CpuOptions};
use model_runtime::backend::{AdapterId, BLOCK_TOKENS, Backend, Batch};
use model_runtime::models::{Adapter, AdapterSources, CausalModel, CausalSources, StepAdapters};
use model_runtime::weights::Checkpoint;

/// Largest difference of a logit or a log-probability that a float32 runtime may show.
pub(super) const TOLERANCE: f32 = 1e-3;

/// Greedy tokens with their log-probabilities, and the logits behind the prompt.
pub(super) type Greedy = (Vec<(u32, f32)>, Vec<f32>);

/// A model with a cache for one sequence.
pub(super) struct Sequence<B: Backend> {
    backend: B,
    model: Box<dyn CausalModel<B>>,
    cache: B::Cache,
    table: Vec<u32>,
    adapter: Option<Arc<Adapter<B>>>,
}

/// Our own kernels in single precision, which is what the goldens were computed in.
pub(super) fn cpu_options() -> CpuOptions {
    CpuOptions::default().compute(Compute::F32).cache(CacheType::F32)
}

/// A backend of those.
pub(super) fn cpu() -> Result<CpuBackend, String> {
    CpuBackend::new(cpu_options()).map_err(|e| e.to_string())
}

/// The reference.
#[cfg(feature = "candle")]
pub(super) fn candle() -> CandleBackend {
    CandleBackend::cpu()
}

impl<B: Backend> Sequence<B> {
    /// Loads a checkpoint, with room for `positions` tokens in blocks that are out of order on purpose.
    pub(super) fn load(backend: B, path: &Path, positions: usize) -> Result<Self, String> {
        Self::load_adapted(backend, path, None, positions)
    }

    /// The same, with an adapter.
    pub(super) fn load_adapted(
        backend: B,
        path: &Path,
        adapter: Option<&Path>,
        positions: usize,
    ) -> Result<Self, String> {
        let checkpoint = Checkpoint::open(path).map_err(|e| e.to_string())?;
        let sources = CausalSources::resolve(&checkpoint).map_err(|e| e.to_string())?;
        let blocks = positions.div_ceil(BLOCK_TOKENS);
        let cache = backend.new_cache(&sources.cache_shape(blocks)).map_err(|e| e.to_string())?;
        let adapter = match adapter {
            Some(folder) => {
                let files = Checkpoint::open_adapter(folder).map_err(|e| e.to_string())?;
                let sources =
                    AdapterSources::resolve(&files, &sources.adaptable()).map_err(|e| e.to_string())?;
                Some(Arc::new(sources.load(&backend).map_err(|e| e.to_string())?))
            }
            None => None,
        };
        let model = sources.load(&backend, &mut |_| ControlFlow::Continue(())).map_err(|e| e.to_string())?;
        Ok(Self { backend, model, cache, table: (0..blocks as u32).rev().collect(), adapter })
    }

    /// Computes `ids` at positions from `start` on; logits of the last `wanted` rows.
    pub(super) fn step(&mut self, ids: &[u32], start: usize, wanted: usize) -> Result<Vec<Vec<f32>>, String> {
        let mut batch = Batch::default();
        let blocks = (start + ids.len()).div_ceil(BLOCK_TOKENS);
        let id = if self.adapter.is_some() { AdapterId(1) } else { AdapterId::BASE };
        batch.push_adapted(id, ids, start, &self.table[..blocks], wanted);
        let mut adapters = StepAdapters::default();
        adapters.fill(&batch, |_| self.adapter.clone()).map_err(|id| format!("{id:?} is not there"))?;
        let (backend, cache) = (&self.backend, &mut self.cache);
        let logits = self.model.forward(backend, &batch, &adapters, cache).map_err(|e| e.to_string())?;
        let mut buffer = Vec::new();
        let flat = self.backend.read(&logits, &mut buffer).map_err(|e| e.to_string())?;
        Ok(flat.chunks_exact(self.model.vocab_size()).map(<[f32]>::to_vec).collect())
    }

    /// Greedy tokens after `prompt` with their log-probabilities, and the logits behind the prompt. Ends of
    /// sequence are ignored.
    pub(super) fn greedy(&mut self, prompt: &[u32], count: usize) -> Result<Greedy, String> {
        let mut logits = self.step(prompt, 0, 1)?.remove(0);
        let first = logits.clone();
        let mut tokens = Vec::new();
        for position in prompt.len()..prompt.len() + count {
            let id = argmax(&logits);
            tokens.push((id, log_softmax(&logits, id)));
            logits = self.step(&[id], position, 1)?.remove(0);
        }
        Ok((tokens, first))
    }
}

/// The index of the largest logit, the lowest one of equals.
fn argmax(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (at, &logit) in logits.iter().enumerate() {
        if logit > logits[best] {
            best = at;
        }
    }
    best as u32
}

/// The log-probability of a token.
pub(super) fn log_softmax(logits: &[f32], id: u32) -> f32 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&l| f64::from(l - highest).exp()).sum();
    (f64::from(logits[id as usize] - highest) - sum.ln()) as f32
}

/// Compares logits and log-probabilities.
pub(super) fn close(what: &str, found: &[f32], expected: &[f32]) -> Result<(), String> {
    close_within(what, found, expected, TOLERANCE)
}

/// Compares values that belong together.
pub(super) fn close_within(
    what: &str,
    found: &[f32],
    expected: &[f32],
    tolerance: f32,
) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("{what}: {} values, expected {}", found.len(), expected.len()));
    }
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        // NaN must fail too.
        let difference = (found - expected).abs();
        if difference.is_nan() || difference > tolerance {
            return Err(format!("{what}[{at}]: {found}, expected {expected} within {tolerance}"));
        }
    }
    Ok(())
}

/// A list of token ids in a golden.
pub(super) fn ids(value: &serde_json::Value) -> Vec<u32> {
    value.as_array().into_iter().flatten().filter_map(|id| Some(id.as_u64()? as u32)).collect()
}

/// The values of an F32 tensor in a golden.
pub(super) fn tensor(file: &safetensors::SafeTensors<'_>, name: &str) -> Result<Vec<f32>, String> {
    let view = file.tensor(name).map_err(|e| format!("{name}: {e}"))?;
    Ok(view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

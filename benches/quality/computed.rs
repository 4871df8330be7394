//! A model on the CPU backend that gives the logits of every row.

use std::ops::ControlFlow;

use model_runtime::backend::cpu::{CpuBackend, CpuOptions, Tensor};
use model_runtime::backend::{BLOCK_TOKENS, Backend, Batch};
use model_runtime::models::{CausalModel, CausalSources, StepAdapters};
use model_runtime::weights::Checkpoint;

use super::Failure;

pub(crate) struct Computed {
    backend: CpuBackend,
    model: Box<dyn CausalModel<CpuBackend>>,
    cache: <CpuBackend as Backend>::Cache,
    /// Blocks of one sequence.
    blocks: usize,
    batch: Batch,
    /// Those of the last step.
    logits: Option<Tensor>,
    buffer: Vec<f32>,
}

impl Computed {
    /// A model with room for `sequences` of `window` tokens.
    pub(crate) fn load(
        checkpoint: &Checkpoint,
        options: CpuOptions,
        window: usize,
        sequences: usize,
    ) -> Result<Self, Failure> {
        let backend = CpuBackend::new(options)?;
        let sources = CausalSources::resolve(checkpoint)?;
        let blocks = window.div_ceil(BLOCK_TOKENS);
        let cache = backend.new_cache(&sources.cache_shape(blocks * sequences))?;
        let model = sources.load(&backend, &mut |_| ControlFlow::Continue(()))?;
        Ok(Self { backend, model, cache, blocks, batch: Batch::default(), logits: None, buffer: Vec::new() })
    }

    pub(crate) fn vocab_size(&self) -> usize {
        self.model.vocab_size()
    }

    /// Gives `take` every token of a window but the first, chunk by chunk, with the logits that foretell it.
    pub(crate) fn logits(
        &mut self,
        window: &[u32],
        chunk: std::num::NonZeroUsize,
        mut take: impl FnMut(&[u32], &[f32]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let targets = window.get(1..).unwrap_or_default();
        for (at, targets) in targets.chunks(chunk.get()).enumerate() {
            let start = at * chunk.get();
            self.batch.clear();
            let ids = &window[start..start + targets.len()];
            let table: Vec<u32> = (0..(start + ids.len()).div_ceil(BLOCK_TOKENS) as u32).collect();
            self.batch.push(ids, start, &table, ids.len());
            take(targets, self.compute()?)?;
        }
        Ok(())
    }

    /// Logits behind one token for each of several sequences, all of which are at `position`.
    pub(crate) fn decode(&mut self, ids: &[u32], position: usize) -> Result<&[f32], Failure> {
        self.batch.clear();
        for (sequence, id) in ids.iter().enumerate() {
            let first = (sequence * self.blocks) as u32;
            let table: Vec<u32> = (first..=first + (position / BLOCK_TOKENS) as u32).collect();
            self.batch.push(&[*id], position, &table, 1);
        }
        self.compute()
    }

    fn compute(&mut self) -> Result<&[f32], Failure> {
        self.logits = None;
        let logits =
            self.model.forward(&self.backend, &self.batch, &StepAdapters::default(), &mut self.cache)?;
        Ok(self.backend.read(self.logits.insert(logits), &mut self.buffer)?)
    }
}

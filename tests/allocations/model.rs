//! A model of the repository on the CPU backend, as something that computes steps.

use std::ops::ControlFlow;
use std::path::Path;

use model_runtime::Result;
use model_runtime::backend::cpu::{CpuBackend, CpuOptions, Tensor};
use model_runtime::backend::{BLOCK_TOKENS, Backend, Batch};
use model_runtime::engine::Executor;
use model_runtime::models::{CausalModel, CausalSources};
use model_runtime::weights::Checkpoint;

/// Sequences that decode together.
pub(crate) const SEQUENCES: usize = 8;

/// Blocks of the cache: so many that a debug build does not check the scheduler after every step, which allocates.
pub(crate) const BLOCKS: usize = 2100;

/// Blocks of one sequence where this program makes the batches.
const TABLE: usize = 40;

/// A prompt of another length and other tokens for each sequence.
pub(crate) fn prompt(sequence: usize, vocab: usize) -> Vec<u32> {
    (0..5 + 11 * sequence).map(|at| ((at * 31 + sequence * 17) % vocab) as u32).collect()
}

pub(crate) struct Computed {
    backend: CpuBackend,
    model: Box<dyn CausalModel<CpuBackend>>,
    cache: <CpuBackend as Backend>::Cache,
    batch: Batch,
    /// Those of the last step.
    logits: Option<Tensor>,
    buffer: Vec<f32>,
}

impl Computed {
    /// Loads the model at `path`, relative to the repository.
    pub(crate) fn load(path: &str, options: CpuOptions) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let checkpoint = Checkpoint::open(&path).unwrap();
        let backend = CpuBackend::new(options).unwrap();
        let sources = CausalSources::resolve(&checkpoint).unwrap();
        let cache = backend.new_cache(&sources.cache_shape(BLOCKS)).unwrap();
        let model = sources.load(&backend, &mut |_| ControlFlow::Continue(())).unwrap();
        Self { backend, model, cache, batch: Batch::default(), logits: None, buffer: Vec::new() }
    }

    /// The batch of a step: the prompts first, then a token for each sequence.
    pub(crate) fn plan(&mut self, step: usize) {
        self.batch.clear();
        for sequence in 0..SEQUENCES {
            let first = (sequence * TABLE) as u32;
            let table: Vec<u32> = (first..first + TABLE as u32).collect();
            let vocab = self.model.vocab_size();
            let prompt = prompt(sequence, vocab);
            let (ids, start) = match step {
                0 => (prompt, 0),
                step => (vec![((step * 7 + sequence) % vocab) as u32], prompt.len() + step - 1),
            };
            let blocks = (start + ids.len()).div_ceil(BLOCK_TOKENS);
            self.batch.push(&ids, start, &table[..blocks], 1);
        }
    }

    pub(crate) fn compute(&mut self) {
        self.logits = None;
        let logits = self.model.forward(&self.backend, &self.batch, &mut self.cache).unwrap();
        let logits = self.backend.read(self.logits.insert(logits), &mut self.buffer).unwrap();
        assert_eq!(logits.len(), SEQUENCES * self.model.vocab_size());
    }
}

impl Executor for Computed {
    fn vocab_size(&self) -> usize {
        self.model.vocab_size()
    }

    fn execute(&mut self, batch: &Batch) -> Result<&[f32]> {
        self.logits = None;
        let logits = self.model.forward(&self.backend, batch, &mut self.cache)?;
        Ok(self.backend.read(self.logits.insert(logits), &mut self.buffer)?)
    }
}

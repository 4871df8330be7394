//! A model of the repository on the CPU backend, as something that computes steps.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use model_runtime::Result;
use model_runtime::backend::cpu::{CpuBackend, CpuOptions, Tensor};
use model_runtime::backend::{AdapterId, BLOCK_TOKENS, Backend, Batch};
use model_runtime::engine::Executor;
use model_runtime::models::{Adapter, AdapterSources, CausalModel, CausalSources, StepAdapters};
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
    /// Those of the repository that are made for the model.
    adapters: Vec<Arc<Adapter<CpuBackend>>>,
    step: StepAdapters<CpuBackend>,
    /// Those of the last step.
    logits: Option<Tensor>,
    buffer: Vec<f32>,
}

impl Computed {
    /// Loads the model at `path`, relative to the repository.
    pub(crate) fn load(path: &str, options: CpuOptions) -> Self {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let name = path;
        let path = repository.join(path);
        let checkpoint = Checkpoint::open(&path).unwrap();
        let backend = CpuBackend::new(options).unwrap();
        let sources = CausalSources::resolve(&checkpoint).unwrap();
        let cache = backend.new_cache(&sources.cache_shape(BLOCKS)).unwrap();
        let adapters = ["llama3-all", "llama3-qv", "stories260K-qkv"]
            .map(|adapter| repository.join("tests/data/lora").join(adapter))
            .into_iter()
            .filter(|folder| made_for(folder) == name)
            .map(|folder| {
                let files = Checkpoint::open_adapter(&folder).unwrap();
                let sources = AdapterSources::resolve(&files, &sources.adaptable()).unwrap();
                Arc::new(sources.load(&backend).unwrap())
            })
            .collect();
        let step = StepAdapters::default();
        let model = sources.load(&backend, &mut |_| ControlFlow::Continue(())).unwrap();
        let (batch, buffer) = (Batch::default(), Vec::new());
        Self { backend, model, cache, batch, adapters, step, logits: None, buffer }
    }

    /// What a sequence is computed with: every adapter in turn, and the model as it is.
    pub(crate) fn adapter(&self, sequence: usize) -> AdapterId {
        AdapterId((sequence % (self.adapters.len() + 1)) as u32)
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
            self.batch.push_adapted(self.adapter(sequence), &ids, start, &table[..blocks], 1);
        }
    }

    pub(crate) fn compute(&mut self) {
        self.logits = None;
        fill(&mut self.step, &self.adapters, &self.batch);
        let logits = self.model.forward(&self.backend, &self.batch, &self.step, &mut self.cache).unwrap();
        self.step.clear();
        let logits = self.backend.read(self.logits.insert(logits), &mut self.buffer).unwrap();
        assert_eq!(logits.len(), SEQUENCES * self.model.vocab_size());
    }
}

fn fill(step: &mut StepAdapters<CpuBackend>, adapters: &[Arc<Adapter<CpuBackend>>], batch: &Batch) {
    step.fill(batch, |AdapterId(id)| adapters.get(id as usize - 1).cloned()).unwrap();
}

/// The model that an adapter of the repository was made for.
fn made_for(adapter: &Path) -> String {
    let golden = std::fs::read(adapter.join("golden.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_slice(&golden).unwrap();
    golden["bases"][0].as_str().unwrap().into()
}

impl Executor for Computed {
    fn vocab_size(&self) -> usize {
        self.model.vocab_size()
    }

    fn execute(&mut self, batch: &Batch) -> Result<&[f32]> {
        self.logits = None;
        fill(&mut self.step, &self.adapters, batch);
        let logits = self.model.forward(&self.backend, batch, &self.step, &mut self.cache)?;
        self.step.clear();
        Ok(self.backend.read(self.logits.insert(logits), &mut self.buffer)?)
    }
}

//! A model on a backend, as the engine's executor.

use std::sync::Arc;

use super::adapters::Table;
use super::memory::Reservation;
use crate::backend::{AdapterId, Backend, Batch};
use crate::engine::Executor;
use crate::error::{Error, ErrorKind, Result};
use crate::models::{CausalModel, StepAdapters};

/// Runs steps of a model on a backend and keeps its cache.
pub(super) struct ModelExecutor<B: Backend> {
    backend: Arc<B>,
    model: Box<dyn CausalModel<B>>,
    cache: B::Cache,
    adapters: Arc<Table<B>>,
    /// The adapters of the step that is computed.
    step: StepAdapters<B>,
    /// Those of the last step.
    logits: Option<B::Tensor>,
    buffer: Vec<f32>,
    /// Given back when the model and its cache are gone, wherever that happens.
    _memory: Reservation,
}

impl<B: Backend> ModelExecutor<B> {
    pub(super) fn new(
        backend: Arc<B>,
        model: Box<dyn CausalModel<B>>,
        cache: B::Cache,
        adapters: Arc<Table<B>>,
        memory: Reservation,
    ) -> Self {
        let step = StepAdapters::default();
        Self { backend, model, cache, adapters, step, logits: None, buffer: Vec::new(), _memory: memory }
    }
}

impl<B: Backend> Executor for ModelExecutor<B> {
    fn vocab_size(&self) -> usize {
        self.model.vocab_size()
    }

    fn enter(&mut self) -> Result<()> {
        Ok(self.backend.enter()?)
    }

    fn execute(&mut self, batch: &Batch) -> Result<&[f32]> {
        // Their memory serves again in this step.
        self.logits = None;
        let gone = |AdapterId(id)| {
            Error::new(ErrorKind::Internal, format!("adapter {id} of a running request is gone"))
        };
        self.step.fill(batch, |id| self.adapters.find(id)).map_err(gone)?;
        let logits = self.model.forward(&self.backend, batch, &self.step, &mut self.cache);
        // An adapter that was unloaded goes with its last request, not with the next step.
        self.step.clear();
        let logits = logits?;
        Ok(self.backend.read(self.logits.insert(logits), &mut self.buffer)?)
    }

    fn cache_format(&self) -> Option<String> {
        Some(self.backend.cache_format(&self.cache))
    }

    fn read_block(&self, block: u32, bytes: &mut Vec<u8>) -> Result<()> {
        Ok(self.backend.read_block(&self.cache, block, bytes)?)
    }

    fn write_block(&mut self, block: u32, bytes: &[u8]) -> Result<()> {
        Ok(self.backend.write_block(&mut self.cache, block, bytes)?)
    }
}

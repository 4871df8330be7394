//! A model on a backend, as the engine's executor.

use super::memory::Reservation;
use crate::backend::{Backend, Batch};
use crate::engine::Executor;
use crate::error::Result;
use crate::models::CausalModel;

/// Runs steps of a model on a backend and keeps its cache.
pub(super) struct ModelExecutor<B: Backend> {
    backend: B,
    model: Box<dyn CausalModel<B>>,
    cache: B::Cache,
    /// Those of the last step.
    logits: Option<B::Tensor>,
    buffer: Vec<f32>,
    /// Given back when the model and its cache are gone, wherever that happens.
    _memory: Reservation,
}

impl<B: Backend> ModelExecutor<B> {
    pub(super) fn new(
        backend: B,
        model: Box<dyn CausalModel<B>>,
        cache: B::Cache,
        memory: Reservation,
    ) -> Self {
        Self { backend, model, cache, logits: None, buffer: Vec::new(), _memory: memory }
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
        let logits = self.model.forward(&self.backend, batch, &mut self.cache)?;
        Ok(self.backend.read(self.logits.insert(logits), &mut self.buffer)?)
    }
}

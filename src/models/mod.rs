//! The architectures: one short file each, generic over a backend.

mod config;
mod error;
mod llama;
mod names;
mod rope;
mod stop;

pub use config::{LlamaConfig, SUPPORTED, SUPPORTED_GGUF};
pub use error::ModelError;
pub use llama::{Llama, LlamaSources};
pub use rope::{RopeScaling, RopeSettings};
pub use stop::stop_tokens;

use crate::backend::{Backend, BackendError, Batch};

/// A loaded model: weights on a backend, and how to compute a step with them.
pub trait Model<B: Backend>: Send + Sync {
    /// The number of logits per row.
    fn vocab_size(&self) -> usize;

    /// Computes one step over the ragged batch: keys and values go to the cache, and the logits of
    /// [`Batch::logit_rows`] come back, `[logit_rows, vocab_size]`.
    ///
    /// # Errors
    /// What the backend reports.
    fn forward(&self, backend: &B, batch: &Batch, cache: &mut B::Cache) -> Result<B::Tensor, BackendError>;
}

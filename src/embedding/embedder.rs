//! What the engine drives: something that computes vectors of whole texts.

use crate::backend::{Pooling, Texts};
use crate::error::Result;

/// Computes the vectors of texts. The runtime implements it over a model and a backend; tests implement it with
/// doubles.
pub trait Embedder: Send {
    /// The number of values of a vector.
    fn width(&self) -> usize;

    /// The number of tokens that the model knows: ids are below it.
    fn vocab_size(&self) -> usize;

    /// Called once, before anything else, on the engine's own thread, which is the one that computes all batches.
    ///
    /// # Errors
    /// What keeps the thread from computing; the engine then does not start.
    fn enter(&mut self) -> Result<()> {
        Ok(())
    }

    /// Computes one batch: a vector per text, pooled as `poolings` says for each, not normalized; text by text, each
    /// of [`width`](Self::width) values. A text's vector must not depend on what else is in the batch.
    ///
    /// # Errors
    /// An error loses the requests that have a text in this batch and nothing else. So does a panic, or another
    /// number of values than asked for.
    fn embed(&mut self, texts: &Texts, poolings: &[Pooling]) -> Result<&[f32]>;
}

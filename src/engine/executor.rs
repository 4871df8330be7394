//! What the engine drives: something that computes one step.

use crate::backend::Batch;
use crate::error::{Error, ErrorKind, Result};

/// Computes steps. The runtime implements it over a model and a backend; tests implement it with doubles.
///
/// An implementation keeps the paged cache itself: block `b` of the batch's tables is block `b` of its cache. It
/// writes the keys and values of every row before any row of the same span attends to them.
pub trait Executor: Send {
    /// The number of logits per row.
    fn vocab_size(&self) -> usize;

    /// Called once, before anything else, on the engine's own thread, which is the one that computes all steps.
    ///
    /// # Errors
    /// What keeps the thread from computing; the engine then does not start.
    fn enter(&mut self) -> Result<()> {
        Ok(())
    }

    /// Computes one step and returns the logits of [`Batch::logit_rows`], row by row, each of
    /// [`vocab_size`](Self::vocab_size) values. The numbers of a row must not depend on what else is in the batch.
    ///
    /// # Errors
    /// An error loses the sequences of this step and nothing else; the cache rows of the step are not read again. A
    /// panic, or another number of logits than asked for, loses them too and everything that could have been
    /// shared: what runs besides is computed again.
    fn execute(&mut self, batch: &Batch) -> Result<&[f32]>;

    /// What the bytes of its cache's blocks mean: executors that say the same understand each other's. `None`: it keeps
    /// its blocks to itself.
    fn cache_format(&self) -> Option<String> {
        None
    }

    /// Appends what the cache holds of a block to `bytes`: of every block the same number.
    ///
    /// # Errors
    /// No memory for the bytes, or an executor that keeps its blocks to itself.
    fn read_block(&self, _block: u32, _bytes: &mut Vec<u8>) -> Result<()> {
        Err(keeps_its_blocks())
    }

    /// Puts into a block what [`read_block`](Self::read_block) gave of one, here or at an executor of the same format.
    ///
    /// # Errors
    /// Another number of bytes than a block has, or an executor that keeps its blocks to itself.
    fn write_block(&mut self, _block: u32, _bytes: &[u8]) -> Result<()> {
        Err(keeps_its_blocks())
    }
}

fn keeps_its_blocks() -> Error {
    Error::new(ErrorKind::Unsupported, "this model's cache cannot be saved and restored")
}

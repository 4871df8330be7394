//! Where a packed matrix comes from: tensors of a checkpoint or some of their rows, stacked, possibly in another order.

mod part;
mod read;
mod scales;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

pub use part::MatrixPart;
pub use scales::BlockScales;
pub(crate) use scales::PartScales;

use super::BackendError;
use crate::weights::Checkpoint;
#[cfg(doc)]
use crate::weights::WeightsError;

/// How the rows of a matrix lie in its tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOrder {
    /// The tensor is `[out, in]`, its rows in the order that the models expect.
    AsStored,
    /// The tensor is `[out, in]`; within each head of `head_dim` rows, the two halves are interleaved (GGUF's `llama`
    /// layout, made for rotary embedding over neighbouring pairs). Models rotate half-split pairs, so the rows are put
    /// back.
    InterleavedHalves {
        /// Rows per head; even.
        head_dim: usize,
    },
    /// The tensor is `[in, out]`: the matrix is its transpose. Not for block-quantized types, whose blocks lie along
    /// the stored rows.
    Transposed,
}

impl RowOrder {
    /// The stored row (the stored column of a transposed tensor) that belongs at `row`.
    pub fn stored_row(self, row: usize) -> usize {
        match self {
            Self::AsStored | Self::Transposed => row,
            Self::InterleavedHalves { head_dim } => {
                let (head, within) = (row / head_dim, row % head_dim);
                let half = head_dim / 2;
                head * head_dim + (within % half) * 2 + within / half
            }
        }
    }
}

/// Hears, while a matrix is loaded, how many of its bytes in the files are done, weights only: never fewer than before,
/// and all of them at the end. It runs on the thread that loads, and `Break` ends the load with
/// [`WeightsError::Cancelled`].
pub type MatrixProgress<'a> = dyn FnMut(u64) -> ControlFlow<()> + 'a;

/// How a matrix will be used, which decides how it is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatrixUse {
    /// Multiplied with activations.
    Product,
    /// Looked up row by row.
    Rows,
    /// Both: a token embedding that is also the output head.
    RowsAndProduct,
    /// Multiplied with activations to choose experts: kept as stored, whatever a backend does to other weights. It is
    /// small, and a choice that flips changes more than any rounding.
    Router,
    /// A factor of a low-rank change of other products ([`LowRank`](super::LowRank)): kept as stored, which must be F32,
    /// F16 or BF16. It is small, and what it says would drown in the rounding of other weights.
    LowRank,
}

/// A matrix to load.
#[derive(Debug, Clone)]
pub struct MatrixSource<'a> {
    /// Where the tensors are.
    pub checkpoint: &'a Checkpoint,
    /// The parts, stacked along the output dimension.
    pub parts: Vec<MatrixPart<'a>>,
    /// What it is for.
    pub usage: MatrixUse,
}

impl MatrixSource<'_> {
    /// Output rows of all parts together.
    pub fn rows(&self) -> usize {
        self.parts.iter().fold(0, |rows, part| rows.saturating_add(part.outputs()))
    }

    /// Input width.
    pub fn cols(&self) -> usize {
        self.parts.first().map_or(0, MatrixPart::inputs)
    }

    /// Bytes of all weights in the files.
    pub fn file_bytes(&self) -> u64 {
        self.parts.iter().map(MatrixPart::file_bytes).sum()
    }

    /// Whether any part has a bias.
    pub fn has_bias(&self) -> bool {
        self.parts.iter().any(MatrixPart::has_bias)
    }

    /// Checks what can be known without reading: ranges, types, orders, widths, the lengths of biases.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self) -> Result<(), BackendError> {
        self.parts.iter().try_for_each(|part| part.check(self.checkpoint, self.cols()))
    }
}

//! Where a packed matrix comes from: tensors of a checkpoint, stacked, possibly with their rows in another order.

use std::ops::{ControlFlow, Range};

use crate::weights::{Checkpoint, TensorInfo, WeightsError};

/// The order of a tensor's rows relative to what the models expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOrder {
    /// As stored.
    AsStored,
    /// Within each head of `head_dim` rows, the two halves are interleaved (GGUF's `llama` layout, made for rotary
    /// embedding over neighbouring pairs); models rotate half-split pairs, so the rows are put back.
    InterleavedHalves {
        /// Rows per head; even.
        head_dim: usize,
    },
}

impl RowOrder {
    /// The stored row that belongs at `row`.
    pub fn stored_row(self, row: usize) -> usize {
        match self {
            Self::AsStored => row,
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
}

/// One tensor of a stacked matrix.
#[derive(Debug, Clone, Copy)]
pub struct MatrixPart<'a> {
    /// The weights, `[out, in]`.
    pub weight: &'a TensorInfo,
    /// The bias, `[out]`.
    pub bias: Option<&'a TensorInfo>,
    /// The order of the rows, of the weight and of the bias.
    pub order: RowOrder,
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
        self.parts.iter().map(|part| part.weight.rows()).sum()
    }

    /// Bytes of all weights in the files.
    pub fn file_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.weight.bytes()).sum()
    }

    /// Input width.
    pub fn cols(&self) -> usize {
        self.parts.first().map_or(0, |part| part.weight.cols())
    }

    /// Reads the rows of one part, widened to `f32`, in the order the models expect.
    ///
    /// # Errors
    /// What reading the tensor reports.
    pub fn read_f32(
        &self,
        part: &MatrixPart<'_>,
        rows: Range<usize>,
        out: &mut [f32],
    ) -> Result<(), WeightsError> {
        match part.order {
            RowOrder::AsStored => self.checkpoint.read_rows_f32(part.weight, rows, out),
            order => {
                // Stored rows of one head lie together: read whole heads, then put their rows in order.
                let cols = part.weight.cols();
                for (row, line) in rows.zip(out.chunks_exact_mut(cols.max(1))) {
                    let stored = order.stored_row(row);
                    self.checkpoint.read_rows_f32(part.weight, stored..stored + 1, line)?;
                }
                Ok(())
            }
        }
    }

    /// Reads a part's bias, in the order the models expect; zeros when it has none.
    ///
    /// # Errors
    /// What reading the tensor reports.
    pub fn read_bias(&self, part: &MatrixPart<'_>, out: &mut [f32]) -> Result<(), WeightsError> {
        let Some(bias) = part.bias else {
            out.fill(0.0);
            return Ok(());
        };
        let mut stored = vec![0.0; out.len()];
        self.checkpoint.read_rows_f32(bias, 0..bias.rows(), &mut stored)?;
        for (row, value) in out.iter_mut().enumerate() {
            *value = stored[part.order.stored_row(row)];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_halves_are_put_back() {
        // Stored per head: 0, half, 1, half + 1, ...
        let order = RowOrder::InterleavedHalves { head_dim: 6 };
        let rows: Vec<usize> = (0..12).map(|row| order.stored_row(row)).collect();
        assert_eq!(rows, [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
    }
}

//! Scales of blocks of a tensor in 8-bit floats: which one belongs to an element of a part.

use std::ops::Range;

use super::{MatrixPart, MatrixSource};
use crate::weights::{Checkpoint, DType, TensorInfo, WeightsError};

/// The largest scale that is believed: its product with any code is far from the largest `f32`.
const MAX_SCALE: f32 = f32::from_bits((127 + 100) << 23);

/// The scales of a tensor: one for each block of `rows` by `cols` elements, in the order of the blocks. Those at the
/// lower and at the right edge may be smaller.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockScales<'a> {
    /// `[ceil(tensor rows / rows), ceil(tensor columns / cols)]`, plain floats.
    pub tensor: &'a TensorInfo,
    /// Stored rows of a block.
    pub rows: usize,
    /// Stored columns of a block.
    pub cols: usize,
}

impl BlockScales<'_> {
    /// Checks that they are the scales of this tensor.
    pub(super) fn check(&self, checkpoint: &Checkpoint, weight: &TensorInfo) -> Result<(), WeightsError> {
        let refused = |problem| Err(WeightsError::tensor(checkpoint.path(), self.tensor.name(), problem));
        if !matches!(self.tensor.dtype(), DType::F32 | DType::F16 | DType::BF16) {
            return refused(format!(
                "scales are {}; F32, F16 and BF16 are accepted",
                self.tensor.type_name()
            ));
        }
        let (Some(rows), Some(cols)) = (
            weight.rows().checked_next_multiple_of(self.rows),
            weight.cols().checked_next_multiple_of(self.cols),
        ) else {
            return refused(format!("blocks of {} by {} elements do not exist", self.rows, self.cols));
        };
        let expected = [rows / self.rows, cols / self.cols];
        if self.tensor.shape() != expected {
            let found = self.tensor.shape();
            let (rows, cols, of) = (self.rows, self.cols, weight.shape());
            return refused(format!(
                "scales of shape {found:?} do not fit a weight of shape {of:?} in blocks of {rows} by {cols}; \
                 {expected:?} do"
            ));
        }
        Ok(())
    }
}

/// The scales of some rows of a part's matrix.
#[derive(Debug)]
pub(crate) struct PartScales {
    values: Vec<f32>,
    /// Blocks of a stored row.
    across: usize,
    /// The first row of blocks that `values` has.
    first_block: usize,
    block: [usize; 2],
    /// The first stored row of the part.
    first: usize,
    inputs: usize,
    transposed: bool,
    order: super::RowOrder,
}

impl PartScales {
    /// The scale of an element of the part's matrix.
    pub(crate) fn at(&self, row: usize, input: usize) -> f32 {
        let stored = self.order.stored_row(row);
        let (stored_row, column) =
            if self.transposed { (self.first + input, stored) } else { (self.first + stored, input) };
        let block = (stored_row / self.block[0] - self.first_block) * self.across + column / self.block[1];
        self.values.get(block).copied().unwrap_or(f32::NAN)
    }

    /// Values of a row of the part's matrix.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Multiplies a row of the part's matrix with its scales.
    pub(crate) fn apply(&self, row: usize, values: &mut [f32]) {
        let (edges, before) = match self.transposed {
            true => (self.block[0], self.first % self.block[0]),
            false => (self.block[1], 0),
        };
        let mut input = 0;
        while input < values.len() {
            let end = values.len().min(input + edges - (before + input) % edges);
            let scale = self.at(row, input);
            values[input..end].iter_mut().for_each(|value| *value *= scale);
            input = end;
        }
    }
}

impl<'a> MatrixPart<'a> {
    /// The scales of the whole tensor; a range and an order count for them too. A weight in 8-bit floats needs them, and
    /// no other has them.
    #[must_use]
    pub fn scales(mut self, scales: Option<BlockScales<'a>>) -> Self {
        self.scales = scales;
        self
    }

    /// At which inputs of its matrix scales change: at the multiples of the first number, moved back by the second.
    /// `None` for a part without scales.
    pub(crate) fn scale_edges(&self) -> Option<(usize, usize)> {
        let scales = self.scales?;
        let stored = self.stored_rows();
        Some(if self.is_transposed() {
            // A part that lies within one block has no edge.
            let within = stored.start % scales.rows + stored.len() <= scales.rows;
            (scales.rows, if within { 0 } else { stored.start % scales.rows })
        } else {
            (scales.cols, 0)
        })
    }
}

impl MatrixSource<'_> {
    /// Reads the scales of a part; `None` for a part without.
    ///
    /// # Errors
    /// What reading reports, or a scale that is no finite number.
    pub(crate) fn read_scales(&self, part: &MatrixPart<'_>) -> Result<Option<PartScales>, WeightsError> {
        let Some(scales) = part.scales else { return Ok(None) };
        let stored = part.stored_rows();
        let blocks: Range<usize> = stored.start / scales.rows..stored.end.div_ceil(scales.rows);
        let across = scales.tensor.cols();
        let mut values = vec![0.0; blocks.len() * across];
        self.checkpoint.read_rows_f32(scales.tensor, blocks.clone(), &mut values)?;
        if let Some(wrong) = values.iter().find(|value| value.is_nan() || value.abs() > MAX_SCALE) {
            let problem = format!("one of the scales is {wrong}; up to {MAX_SCALE:e} is accepted");
            return Err(WeightsError::tensor(self.checkpoint.path(), scales.tensor.name(), problem));
        }
        Ok(Some(PartScales {
            values,
            across,
            first_block: blocks.start,
            block: [scales.rows, scales.cols],
            first: stored.start,
            inputs: part.inputs(),
            transposed: part.is_transposed(),
            order: part.row_order(),
        }))
    }
}

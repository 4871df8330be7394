//! Reading the rows of a part, in the order that the models expect.

use std::ops::Range;

use super::{MatrixPart, MatrixSource, RowOrder};
use crate::weights::{WeightsError, dequantize};

/// Bytes of a transposed tensor that are held as they are stored, while they are put where they belong: they stay in
/// the second level cache.
const STRIPE_BYTES: usize = 64 << 10;

impl MatrixSource<'_> {
    /// Reads rows of one part's matrix, encoded as in the file, without scales. `out` has room for exactly these rows.
    ///
    /// Of a transposed tensor, every call reads a stripe of all stored rows: few rows in a call make many small reads.
    ///
    /// # Errors
    /// What reading the tensor reports.
    pub fn read(
        &self,
        part: &MatrixPart<'_>,
        rows: Range<usize>,
        out: &mut [u8],
    ) -> Result<(), WeightsError> {
        let (weight, first) = (part.weight(), part.stored_rows().start);
        match part.row_order() {
            RowOrder::AsStored => {
                self.checkpoint.read_rows(weight, first + rows.start..first + rows.end, out)
            }
            RowOrder::Transposed => match weight.dtype().block_bytes() {
                1 => self.read_transposed::<1>(part, rows, out),
                2 => self.read_transposed::<2>(part, rows, out),
                _ => self.read_transposed::<4>(part, rows, out),
            },
            order => {
                let row_bytes = part.row_bytes().unwrap_or(0).max(1);
                for (row, line) in rows.zip(out.chunks_exact_mut(row_bytes)) {
                    let stored = first + order.stored_row(row);
                    self.checkpoint.read_rows(weight, stored..stored + 1, line)?;
                }
                Ok(())
            }
        }
    }

    /// Some columns of a tensor with elements of `SIZE` bytes, as rows.
    fn read_transposed<const SIZE: usize>(
        &self,
        part: &MatrixPart<'_>,
        columns: Range<usize>,
        out: &mut [u8],
    ) -> Result<(), WeightsError> {
        let (stored, inputs) = (part.stored_rows(), part.inputs());
        let width = columns.len();
        let at_once = (STRIPE_BYTES / (width * SIZE).max(1)).max(1).min(inputs);
        let mut stripe = vec![0u8; at_once * width * SIZE];
        let (out, _) = out.as_chunks_mut::<SIZE>();
        for start in (0..inputs).step_by(at_once.max(1)) {
            let rows = at_once.min(inputs - start);
            let from = stored.start + start;
            let stripe = &mut stripe[..rows * width * SIZE];
            self.checkpoint.read_columns(part.weight(), from..from + rows, columns.clone(), stripe)?;
            let (values, _) = stripe.as_chunks::<SIZE>();
            for (column, line) in out.chunks_exact_mut(inputs.max(1)).enumerate() {
                let column = values.iter().skip(column).step_by(width.max(1));
                line[start..start + rows].iter_mut().zip(column).for_each(|(to, value)| *to = *value);
            }
        }
        Ok(())
    }

    /// Reads rows of one part's matrix, widened to `f32`. `out` has room for exactly these rows.
    ///
    /// # Errors
    /// What reading the tensor and its scales reports.
    pub fn read_f32(
        &self,
        part: &MatrixPart<'_>,
        rows: Range<usize>,
        out: &mut [f32],
    ) -> Result<(), WeightsError> {
        self.read_unscaled(part, rows.clone(), out)?;
        if let Some(scales) = self.read_scales(part)? {
            for (row, line) in rows.zip(out.chunks_exact_mut(part.inputs().max(1))) {
                scales.apply(row, line);
            }
        }
        Ok(())
    }

    fn read_unscaled(
        &self,
        part: &MatrixPart<'_>,
        rows: Range<usize>,
        out: &mut [f32],
    ) -> Result<(), WeightsError> {
        let (weight, first) = (part.weight(), part.stored_rows().start);
        match part.row_order() {
            RowOrder::AsStored => {
                self.checkpoint.read_rows_f32(weight, first + rows.start..first + rows.end, out)
            }
            RowOrder::Transposed => {
                let mut encoded = vec![0u8; out.len() * weight.dtype().block_bytes()];
                self.read(part, rows, &mut encoded)?;
                dequantize(weight.dtype(), &encoded, out)
            }
            order => {
                let cols = weight.cols();
                for (row, line) in rows.zip(out.chunks_exact_mut(cols.max(1))) {
                    let stored = first + order.stored_row(row);
                    self.checkpoint.read_rows_f32(weight, stored..stored + 1, line)?;
                }
                Ok(())
            }
        }
    }

    /// Reads a part's bias, in the order the models expect; zeros when it has none.
    ///
    /// # Errors
    /// What reading the tensor reports, or a buffer that is not one value per output.
    pub fn read_bias(&self, part: &MatrixPart<'_>, out: &mut [f32]) -> Result<(), WeightsError> {
        let Some(bias) = part.bias_tensor() else {
            out.fill(0.0);
            return Ok(());
        };
        let mut stored = vec![0.0; bias.elements()];
        self.checkpoint.read_rows_f32(bias, 0..bias.rows(), &mut stored)?;
        let values = stored.get(part.bias_values()).filter(|values| values.len() == out.len());
        let values = values.ok_or_else(|| WeightsError::Buffer {
            what: format!("reading tensor {:?}", bias.name()),
            unit: "elements",
            expected: part.outputs() as u64,
            found: out.len() as u64,
        })?;
        for (row, value) in out.iter_mut().enumerate() {
            *value = values[part.row_order().stored_row(row)];
        }
        Ok(())
    }
}

//! Weight matrices and their product with activations, the same bits for a row in any company.

use candle_core::{D, Device, Tensor};

use super::super::{Adaptation, BackendError, LowRank, MatrixProgress, MatrixSource, report};

/// Outputs below this take other paths through the product than the same row among more rows: a dot-product kernel
/// where outputs times rows are at most 256, and another blocking of the inner dimension where both are at most 64.
/// Padding to it (with rows of zeros) leaves one path for every number of rows from two up.
const MIN_OUTPUTS: usize = 129;

/// Rows read at a time while loading; bounds the buffer, not the matrix.
const LOAD_BYTES: usize = 4 << 20;

/// A matrix `[out, in]` in `f32`, with its bias.
#[derive(Debug)]
pub struct Matrix {
    /// `[max(out, MIN_OUTPUTS), in]`.
    weight: Tensor,
    bias: Option<Tensor>,
    outputs: usize,
}

/// Bytes that [`Matrix::load`] keeps.
pub(super) fn bytes(source: &MatrixSource<'_>) -> u64 {
    let rows = source.rows().max(MIN_OUTPUTS) as u64;
    let bias = if source.has_bias() { source.rows() as u64 } else { 0 };
    4 * (rows * source.cols() as u64 + bias)
}

impl Matrix {
    pub(super) fn load(
        source: &MatrixSource<'_>,
        device: &Device,
        progress: &mut MatrixProgress<'_>,
    ) -> Result<Self, BackendError> {
        source.check()?;
        let (outputs, width) = (source.rows(), source.cols());
        let elements = outputs.max(MIN_OUTPUTS) * width;
        let mut values = Vec::new();
        values
            .try_reserve_exact(elements)
            .map_err(|_| BackendError::Memory { what: "a weight matrix", bytes: bytes(source) })?;
        values.resize(elements, 0.0f32);
        let mut bias = vec![0.0f32; outputs];
        let step = (LOAD_BYTES / 4 / width.max(1)).max(1);
        let (mut first, mut done_bytes) = (0, 0);
        for part in &source.parts {
            let rows = part.outputs();
            for start in (0..rows).step_by(step) {
                let end = rows.min(start + step);
                let out = &mut values[(first + start) * width..(first + end) * width];
                source.read_f32(part, start..end, out)?;
                report(progress, done_bytes + part.row_bytes().unwrap_or(0) as u64 * end as u64)?;
            }
            source.read_bias(part, &mut bias[first..first + rows])?;
            first += rows;
            done_bytes += part.file_bytes();
        }
        Ok(Self {
            weight: Tensor::from_vec(values, (elements / width.max(1), width), device)?,
            bias: if source.has_bias() { Some(Tensor::from_vec(bias, outputs, device)?) } else { None },
            outputs,
        })
    }

    /// A matrix of these values, `[out, in]`, without bias.
    #[cfg(test)]
    pub(super) fn new(weight: &Tensor) -> Result<Self, BackendError> {
        let outputs = weight.dim(0)?;
        let weight = weight.pad_with_zeros(0, 0, MIN_OUTPUTS.saturating_sub(outputs))?;
        Ok(Self { weight, bias: None, outputs })
    }

    /// Rows of the matrix.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// `x W^T + b` for `x` of shape `[rows, in]`.
    pub(super) fn apply(&self, x: &Tensor) -> Result<Tensor, BackendError> {
        let (rows, width) = x.dims2()?;
        let expected = self.weight.dim(1)?;
        if width != expected {
            return Err(BackendError::Shape {
                operation: "linear",
                what: "input width",
                found: width,
                expected,
            });
        }
        // A lone row would be multiplied by a matrix-vector kernel with its own order of summation.
        let padded = if rows == 1 { Tensor::cat(&[x, x], 0)? } else { x.contiguous()? };
        let product = padded.matmul(&self.weight.t()?)?;
        let product = product.narrow(0, 0, rows)?.narrow(D::Minus1, 0, self.outputs)?;
        match &self.bias {
            Some(bias) => Ok(product.broadcast_add(bias)?),
            None => Ok(product.contiguous()?),
        }
    }

    /// Rows of the matrix by index.
    pub(super) fn select(&self, rows: &[u32]) -> Result<Tensor, BackendError> {
        select(&self.weight.narrow(0, 0, self.outputs)?, rows, "embed")
    }
}

/// Each part of the rows times the matrix of its number.
pub(super) fn per_head(x: &Tensor, matrices: &[Matrix]) -> Result<Tensor, BackendError> {
    let width = x.dim(D::Minus1)?;
    let of_head = width.checked_div(matrices.len()).unwrap_or(0);
    if of_head * matrices.len() != width {
        let (operation, expected) = ("per_head", of_head * matrices.len());
        return Err(BackendError::Shape { operation, what: "input width", found: width, expected });
    }
    let parts = matrices
        .iter()
        .enumerate()
        .map(|(head, matrix)| matrix.apply(&x.narrow(D::Minus1, head * of_head, of_head)?))
        .collect::<Result<Vec<_>, BackendError>>()?;
    Ok(Tensor::cat(&parts, D::Minus1)?)
}

/// `y[row, first..first + out] += scale * B (A x[row])` for the terms and rows of every adapter.
pub(super) fn add_low_rank(
    y: &mut Tensor,
    x: &Tensor,
    adaptation: &Adaptation<'_, Matrix>,
) -> Result<(), BackendError> {
    let width = y.dim(D::Minus1)?;
    for adapted in adaptation.iter().filter(|adapted| !adapted.terms.is_empty() && !adapted.rows.is_empty()) {
        let of_rows = select(x, adapted.rows, "add_low_rank")?;
        let mut changed = select(y, adapted.rows, "add_low_rank")?;
        for LowRank { down, up, first, scale } in adapted.terms {
            let change = (up.apply(&down.apply(&of_rows)?)? * f64::from(*scale))?;
            let end = first.saturating_add(up.outputs());
            if end > width {
                let operation = "add_low_rank";
                return Err(BackendError::Shape {
                    operation,
                    what: "output width",
                    found: width,
                    expected: end,
                });
            }
            let part = (changed.narrow(D::Minus1, *first, up.outputs())? + change)?;
            let before = changed.narrow(D::Minus1, 0, *first)?;
            let behind = changed.narrow(D::Minus1, end, width - end)?;
            changed = Tensor::cat(&[before, part, behind], D::Minus1)?;
        }
        // The rows in the places of those that they were.
        let mut order: Vec<u32> = (0..y.dim(0)? as u32).collect();
        let count = order.len() as u32;
        for (at, &row) in (count..).zip(adapted.rows) {
            order[row as usize] = at;
        }
        *y = select(&Tensor::cat(&[&*y, &changed], 0)?, &order, "add_low_rank")?;
    }
    Ok(())
}

/// Rows of `x` by index.
pub(super) fn select(x: &Tensor, rows: &[u32], operation: &'static str) -> Result<Tensor, BackendError> {
    let len = x.dim(0)?;
    if let Some(&index) = rows.iter().find(|&&row| row as usize >= len) {
        return Err(BackendError::Index { operation, index: index as usize, len });
    }
    Ok(x.index_select(&Tensor::new(rows, x.device())?, 0)?)
}

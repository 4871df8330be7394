//! One tensor of a stacked matrix, or some of its rows.

use std::ops::Range;

use super::{BlockScales, RowOrder};
use crate::backend::BackendError;
use crate::weights::{Checkpoint, DType, TensorInfo, WeightsError};

/// One tensor of a stacked matrix, or some of its rows. A tensor of more than two dimensions counts as
/// `[rows, last dimension]`: expert `e` of GGUF's `[experts, out, in]` is its rows `e * out..(e + 1) * out`.
#[derive(Debug, Clone, Copy)]
pub struct MatrixPart<'a> {
    weight: &'a TensorInfo,
    bias: Option<&'a TensorInfo>,
    pub(super) scales: Option<BlockScales<'a>>,
    order: RowOrder,
    /// The first stored row.
    first: usize,
    /// One past the last stored row.
    end: usize,
}

impl<'a> MatrixPart<'a> {
    /// All of a tensor, as stored, without bias.
    pub fn whole(weight: &'a TensorInfo) -> Self {
        Self { weight, bias: None, scales: None, order: RowOrder::AsStored, first: 0, end: weight.rows() }
    }

    /// Only these stored rows: outputs, or inputs of a transposed tensor.
    #[must_use]
    pub fn rows(mut self, rows: Range<usize>) -> Self {
        (self.first, self.end) = (rows.start, rows.end);
        self
    }

    /// How the rows of the matrix lie in the tensor, or in the range of it that [`rows`](Self::rows) names.
    #[must_use]
    pub fn order(mut self, order: RowOrder) -> Self {
        self.order = order;
        self
    }

    /// The bias of the whole tensor, one value for each of its outputs; a range and an order count for it too.
    #[must_use]
    pub fn bias(mut self, bias: Option<&'a TensorInfo>) -> Self {
        self.bias = bias;
        self
    }

    /// The tensor.
    pub fn weight(&self) -> &'a TensorInfo {
        self.weight
    }

    /// Rows of the matrix.
    pub fn outputs(&self) -> usize {
        if self.is_transposed() { self.weight.cols() } else { self.stored_rows().len() }
    }

    /// Columns of the matrix.
    pub fn inputs(&self) -> usize {
        if self.is_transposed() { self.stored_rows().len() } else { self.weight.cols() }
    }

    /// Whether it brings a bias.
    pub fn has_bias(&self) -> bool {
        self.bias.is_some()
    }

    /// Bytes of the weights in the file.
    pub fn file_bytes(&self) -> u64 {
        let rows = self.stored_rows().len();
        match self.weight.row_bytes() {
            Some(row_bytes) if rows != self.weight.rows() => row_bytes.saturating_mul(rows as u64),
            _ => self.weight.bytes(),
        }
    }

    /// Bytes of one row of the matrix in the file's encoding; `None` where a row is no whole number of blocks.
    pub(crate) fn row_bytes(&self) -> Option<usize> {
        let bytes = self.weight.dtype().bytes_for(self.inputs() as u64)?;
        usize::try_from(bytes).ok()
    }

    pub(crate) fn is_transposed(&self) -> bool {
        self.order == RowOrder::Transposed
    }

    pub(super) fn row_order(&self) -> RowOrder {
        self.order
    }

    pub(super) fn bias_tensor(&self) -> Option<&'a TensorInfo> {
        self.bias
    }

    pub(crate) fn stored_rows(&self) -> Range<usize> {
        self.first..self.end.max(self.first)
    }

    /// The outputs of the tensor that are this part's: those that its values of a bias have.
    pub(super) fn bias_values(&self) -> Range<usize> {
        if self.is_transposed() { 0..self.weight.cols() } else { self.stored_rows() }
    }

    /// Checks what can be known without reading.
    pub(super) fn check(&self, checkpoint: &Checkpoint, inputs: usize) -> Result<(), BackendError> {
        let shape =
            |what, found, expected| BackendError::Shape { operation: "loading", what, found, expected };
        let weight = self.weight;
        if weight.dtype() == DType::Other {
            return Err(BackendError::Weights(WeightsError::UnsupportedType {
                path: checkpoint.path().to_path_buf(),
                tensor: weight.name().to_owned(),
                dtype: weight.type_name().to_owned(),
            }));
        }
        let refused = |problem: &str| {
            BackendError::from(WeightsError::tensor(checkpoint.path(), weight.name(), problem.to_owned()))
        };
        match (weight.dtype(), &self.scales) {
            (DType::F8_E4M3, None) => return Err(refused("F8_E4M3 without scales has no meaning")),
            (DType::F8_E4M3, Some(scales)) => scales.check(checkpoint, weight)?,
            (_, None) => {}
            (_, Some(_)) => return Err(refused("only F8_E4M3 has scales in another tensor")),
        }
        if self.first > self.end || self.end > weight.rows() {
            let (tensor, start, end) = (weight.name().to_owned(), self.first, self.end);
            return Err(WeightsError::Rows { tensor, start, end, rows: weight.rows() }.into());
        }
        if self.is_transposed() && weight.dtype().block_elements() > 1 {
            let problem = format!("{} cannot be transposed; F32, F16, BF16 and F8_E4M3 can", weight.dtype());
            return Err(WeightsError::tensor(checkpoint.path(), weight.name(), problem).into());
        }
        if self.inputs() != inputs {
            return Err(shape("the width of a stacked tensor", self.inputs(), inputs));
        }
        if let RowOrder::InterleavedHalves { head_dim } = self.order {
            if head_dim == 0 || !head_dim.is_multiple_of(2) {
                return Err(shape("the rows of a head", head_dim, head_dim.next_multiple_of(2).max(2)));
            }
            let rows = self.outputs();
            if !rows.is_multiple_of(head_dim) {
                return Err(shape("the rows of all heads", rows, rows / head_dim * head_dim));
            }
        }
        let outputs = if self.is_transposed() { weight.cols() } else { weight.rows() };
        match self.bias {
            Some(bias) if bias.elements() != outputs => {
                Err(shape("the length of a bias", bias.elements(), outputs))
            }
            _ => Ok(()),
        }
    }
}

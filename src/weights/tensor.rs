//! What a file says about one tensor.

use std::borrow::Cow;
use std::path::Path;

use super::dtype::DType;
use super::error::WeightsError;

/// More dimensions than any model's tensor has; a limit because a file may claim anything.
pub(crate) const MAX_RANK: usize = 8;

/// One tensor of a [`super::Checkpoint`]: name, element type, shape, and where its bytes lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    pub(crate) name: String,
    pub(crate) dtype: DType,
    pub(crate) type_name: Cow<'static, str>,
    pub(crate) shape: Vec<usize>,
    /// Which of the checkpoint's files.
    pub(crate) file: usize,
    /// Absolute position in that file.
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

impl TensorInfo {
    /// The tensor's name as the file spells it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The element type; [`DType::Other`] when this library cannot decode it.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The element type as the file names it, also where [`TensorInfo::dtype`] is [`DType::Other`].
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// The dimensions, row-major, outermost first: a linear layer's weight is `[out, in]`. Empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements.
    pub fn elements(&self) -> usize {
        // Checked not to overflow when the header was read.
        self.shape.iter().product()
    }

    /// The product of all dimensions but the last: 1 for vectors and scalars.
    pub fn rows(&self) -> usize {
        self.shape.split_last().map_or(1, |(_, outer)| outer.iter().product())
    }

    /// The last dimension, the length of a row: 1 for a scalar.
    pub fn cols(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// The bytes that the tensor takes in its file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where the tensor's bytes start in its file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes of one row; `None` for [`DType::Other`].
    pub fn row_bytes(&self) -> Option<u64> {
        self.dtype.bytes_for(self.cols() as u64)
    }

    /// One past the tensor's last byte in its file. Cannot overflow in a checked header.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(self.bytes)
    }
}

/// Turns dimensions of a file into a shape; the error is the problem, without the tensor's name.
///
/// The product must stay within `usize` even with zero dimensions counted as one, so that no product of some of the
/// dimensions can overflow either.
pub(crate) fn checked_shape(dimensions: &[u64]) -> Result<Vec<usize>, String> {
    if dimensions.len() > MAX_RANK {
        return Err(format!("it has {} dimensions; up to {MAX_RANK} are accepted", dimensions.len()));
    }
    let mut product: usize = 1;
    let mut shape = Vec::with_capacity(dimensions.len());
    for &dimension in dimensions {
        let size = usize::try_from(dimension).ok();
        match size.and_then(|size| product.checked_mul(size.max(1))) {
            // Half of the range stays free so that sizes fit signed types as well.
            Some(wider) if wider <= isize::MAX as usize => product = wider,
            _ => return Err(format!("the product of its dimensions {dimensions:?} overflows")),
        }
        shape.push(dimension as usize);
    }
    Ok(shape)
}

/// Refuses tensors that overlap. Empty ones overlap nothing.
pub(crate) fn check_overlaps(path: &Path, tensors: &[TensorInfo]) -> Result<(), WeightsError> {
    let mut order: Vec<&TensorInfo> = tensors.iter().filter(|tensor| tensor.bytes > 0).collect();
    order.sort_by_key(|tensor| tensor.offset);
    for pair in order.windows(2) {
        if let [before, after] = pair
            && after.offset < before.end()
        {
            let problem = format!(
                "its bytes {}..{} overlap those of tensor {:?}, {}..{}",
                after.offset,
                after.end(),
                before.name,
                before.offset,
                before.end()
            );
            return Err(WeightsError::tensor(path, &after.name, problem));
        }
    }
    Ok(())
}

/// Refuses two tensors of one name in one file.
pub(crate) fn check_names(path: &Path, tensors: &[TensorInfo]) -> Result<(), WeightsError> {
    let mut names: Vec<&str> = tensors.iter().map(TensorInfo::name).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(WeightsError::tensor(path, pair[0], "is described twice")),
        None => Ok(()),
    }
}

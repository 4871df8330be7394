//! How the rows of a text become its embedding.

use std::ops::Range;

use super::BackendError;

/// The smallest length that a vector is divided by.
pub(super) const MIN_LENGTH: f32 = 1e-12;

/// What a text's rows become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pooling {
    /// The first row: the `[CLS]` token of a bidirectional encoder.
    First,
    /// The mean of all rows, summed in `f32` in an order that depends on their number alone.
    Mean,
    /// The last row, as causal models are pooled.
    Last,
}

/// Refuses spans without rows, and beyond `rows`.
pub(super) fn check(spans: &[Range<usize>], rows: usize) -> Result<(), BackendError> {
    for span in spans {
        if span.is_empty() {
            let what = "the number of rows of a text";
            return Err(BackendError::Shape { operation: "pool", what, found: 0, expected: 1 });
        }
        if span.end > rows {
            return Err(BackendError::Index { operation: "pool", index: span.end - 1, len: rows });
        }
    }
    Ok(())
}

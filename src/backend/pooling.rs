//! How the rows of a text become its vector.

use std::ops::Range;

use super::BackendError;

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

impl Pooling {
    /// Which of a text's rows it reads.
    pub fn reads(self, text: &Range<usize>) -> Range<usize> {
        let Range { start, end } = *text;
        match self {
            Self::First => start..end.min(start + 1),
            Self::Mean => start..end,
            Self::Last => start.max(end.saturating_sub(1))..end,
        }
    }
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

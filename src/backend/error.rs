//! What can go wrong in a backend.

use crate::error::{Error, ErrorKind};
use crate::weights::WeightsError;

/// An operation that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// Shapes that do not fit each other.
    #[error("{operation}: {what} is {found}, expected {expected}")]
    Shape {
        /// The operation.
        operation: &'static str,
        /// Which width or length.
        what: &'static str,
        /// What it is.
        found: usize,
        /// What it should be.
        expected: usize,
    },
    /// An index outside its table.
    #[error("{operation}: index {index} is out of range, {len} exist")]
    Index {
        /// The operation.
        operation: &'static str,
        /// The index.
        index: usize,
        /// The table's length.
        len: usize,
    },
    /// A size that overflows or does not fit into memory.
    #[error("{what} of {bytes} bytes cannot be allocated")]
    Memory {
        /// What was to be allocated.
        what: &'static str,
        /// How much.
        bytes: u64,
    },
    /// An option that contradicts the others or this machine.
    #[error("{option} is {value}; accepted: {accepted}")]
    Option {
        /// The option.
        option: &'static str,
        /// What it says.
        value: String,
        /// What would be accepted.
        accepted: String,
    },
    /// Reading weights failed.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// candle reported an error.
    #[cfg(feature = "candle")]
    #[error("candle: {0}")]
    Candle(#[from] candle_core::Error),
}

impl From<BackendError> for Error {
    fn from(error: BackendError) -> Self {
        let kind = match error {
            BackendError::Weights(error) => return error.into(),
            BackendError::Option { option, .. } => {
                return Error::invalid(option, error.to_string()).with_source(error);
            }
            BackendError::Memory { .. } => ErrorKind::InsufficientMemory,
            _ => ErrorKind::Internal,
        };
        Error::new(kind, error.to_string()).with_source(error)
    }
}

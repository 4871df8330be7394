//! What can be wrong with a model's configuration or tensors.

use crate::backend::BackendError;
use crate::error::{Error, ErrorKind};
use crate::weights::WeightsError;

/// A model that cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// An architecture that this library does not know.
    #[error("architecture `{found}` is not supported; supported: {supported}")]
    Architecture {
        /// What the model's files say.
        found: String,
        /// What would be accepted.
        supported: String,
    },
    /// A configuration key that is missing.
    #[error("{file}: `{key}` is missing")]
    Missing {
        /// The file or section.
        file: &'static str,
        /// The key.
        key: String,
    },
    /// A configuration value that makes no sense or is not supported.
    #[error("{file}: `{key}` is {value}, expected {expected}")]
    Value {
        /// The file or section.
        file: &'static str,
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// What would be accepted.
        expected: String,
    },
    /// A tensor whose shape does not fit the configuration.
    #[error("tensor `{tensor}` has shape {found:?}, the configuration asks for {expected:?}")]
    Shape {
        /// The tensor.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits.
        expected: Vec<usize>,
    },
    /// Loading was cancelled by its progress callback.
    #[error("loading was cancelled")]
    Cancelled,
    /// Reading weights failed.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Packing weights or computing failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl From<ModelError> for Error {
    fn from(error: ModelError) -> Self {
        let kind = match error {
            ModelError::Weights(error) => return error.into(),
            ModelError::Backend(error) => return error.into(),
            ModelError::Architecture { .. } => ErrorKind::Unsupported,
            ModelError::Cancelled => ErrorKind::Cancelled,
            _ => ErrorKind::InvalidModel,
        };
        Error::new(kind, error.to_string()).with_source(error)
    }
}

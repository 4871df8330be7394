//! What can go wrong with a tokenizer.

use crate::error::{Error, ErrorKind};

/// An error of this area; every variant names the thing and, where there is a choice, what would be accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The tokenizer file is not JSON, or a part of it does not have the documented form.
    #[error("tokenizer: {field}: {reason}")]
    Invalid {
        /// Where in the file or metadata: a path such as `model.merges[3]`.
        field: String,
        /// What is wrong there.
        reason: String,
    },
    /// A part of a kind that this library does not have.
    #[error("tokenizer: {field} is {value:?}, which is not supported; accepted: {accepted}")]
    Unsupported {
        /// Where in the file or metadata.
        field: String,
        /// The kind that was found.
        value: String,
        /// The kinds that are known.
        accepted: String,
    },
    /// A token id that stands for no token of this vocabulary.
    #[error("token id {id} is not in the vocabulary of {vocab_size} tokens")]
    UnknownId {
        /// The id.
        id: u32,
        /// How many tokens the vocabulary has.
        vocab_size: usize,
    },
    /// The text cannot be expressed in this vocabulary.
    #[error("cannot tokenize a text of {bytes} bytes: {reason}")]
    Encode {
        /// The length of the text.
        bytes: usize,
        /// Why.
        reason: String,
    },
    /// The checkpoint has neither a tokenizer file nor tokenizer metadata.
    #[error(
        "{path}: no tokenizer; expected tokenizer.json in the folder, or tokenizer.ggml.* keys in a GGUF file"
    )]
    Missing {
        /// The checkpoint.
        path: String,
    },
    /// Reading the checkpoint failed.
    #[error("tokenizer: {message}")]
    Read {
        /// What reading said.
        message: String,
        /// The kind that the failure had.
        kind: ErrorKind,
    },
}

impl TokenizerError {
    pub(super) fn invalid(field: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Invalid { field: field.into(), reason: reason.to_string() }
    }

    pub(super) fn unsupported(
        field: impl Into<String>,
        value: impl Into<String>,
        accepted: impl Into<String>,
    ) -> Self {
        Self::Unsupported { field: field.into(), value: value.into(), accepted: accepted.into() }
    }
}

impl From<TokenizerError> for Error {
    fn from(error: TokenizerError) -> Self {
        let kind = match &error {
            TokenizerError::Invalid { .. } | TokenizerError::Missing { .. } => ErrorKind::InvalidModel,
            TokenizerError::Unsupported { .. } => ErrorKind::Unsupported,
            TokenizerError::UnknownId { .. } | TokenizerError::Encode { .. } => ErrorKind::InvalidRequest,
            TokenizerError::Read { kind, .. } => *kind,
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}

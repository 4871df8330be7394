//! What can go wrong with a chat template.

use crate::error::{Error, ErrorKind};

/// An error of this area.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The template is not well-formed.
    #[error("chat template, line {line}: {message}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// The template does not accept these messages and says why.
    #[error("the chat template refuses these messages: {message}")]
    Refused {
        /// The template's own words.
        message: String,
    },
    /// The template failed on these messages.
    #[error("chat template, line {line}: {message}")]
    Render {
        /// The line, from 1.
        line: usize,
        /// What failed there.
        message: String,
    },
    /// The template or what it makes passes a limit.
    #[error("chat template: {what} is limited to {limit}")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// The limit, in its unit.
        limit: usize,
    },
    /// The conversation has something that this model does not take.
    #[error("{param} is {value}; {accepted}")]
    NotTaken {
        /// Where it is, as `messages[0].role`.
        param: String,
        /// What it is.
        value: String,
        /// What would be taken.
        accepted: &'static str,
    },
    /// A companion file is damaged.
    #[error("{file}: {reason}")]
    Invalid {
        /// The file or metadata key.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Reading the checkpoint failed.
    #[error("chat template: {message}")]
    Read {
        /// What reading said.
        message: String,
        /// The kind that the failure had.
        kind: ErrorKind,
    },
}

impl From<TemplateError> for Error {
    fn from(error: TemplateError) -> Self {
        let param = match &error {
            TemplateError::NotTaken { param, .. } => param.clone(),
            _ => "messages".to_owned(),
        };
        let kind = match &error {
            TemplateError::Syntax { .. } | TemplateError::Invalid { .. } => ErrorKind::InvalidModel,
            TemplateError::Refused { .. }
            | TemplateError::Render { .. }
            | TemplateError::Limit { .. }
            | TemplateError::NotTaken { .. } => ErrorKind::InvalidRequest,
            TemplateError::Read { kind, .. } => *kind,
        };
        let converted = Self::new(kind, error.to_string()).with_source(error);
        if kind == ErrorKind::InvalidRequest { converted.with_param(param) } else { converted }
    }
}

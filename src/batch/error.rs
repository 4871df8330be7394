//! What can end a run.

use std::io;
use std::path::PathBuf;

use crate::error::{Error, ErrorKind};

/// What ended a run before its end. What had been written until then stays; a run by files takes it up again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The requests can be read no further.
    #[error("the requests cannot be read after line {line}: {source}")]
    Read {
        /// Lines that were read.
        line: u64,
        /// What the reader says.
        source: io::Error,
    },
    /// A result could not be written.
    #[error("the results cannot be written after {written} of this run: {source}")]
    Write {
        /// Results that were written whole.
        written: u64,
        /// What the writer says.
        source: io::Error,
    },
    /// A file could not be opened, cut or locked.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another run writes into the same file.
    #[error("{} is being written by another run; wait for its end or name another file", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// A file that is there already and holds something else.
    #[error("line {line} of {} is not a result of a batch: {reason}; name a file of results or a new one", path.display())]
    NotResults {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// More requests at once than a run may have.
    #[error("`concurrency` is {value}; accepted is an integer from 1 to {accepted}")]
    Concurrency {
        /// What was asked for.
        value: usize,
        /// The most.
        accepted: usize,
    },
    /// No thread to be had that would wait for an answer.
    #[error("no thread could be started to wait for answers: {source}")]
    Thread {
        /// What the system says.
        source: io::Error,
    },
}

impl From<BatchError> for Error {
    fn from(error: BatchError) -> Self {
        let kind = match &error {
            BatchError::File { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                ErrorKind::NotFound
            }
            BatchError::Read { .. } | BatchError::Write { .. } | BatchError::File { .. } => ErrorKind::Io,
            BatchError::Busy { .. } => ErrorKind::Conflict,
            BatchError::NotResults { .. } | BatchError::Concurrency { .. } => ErrorKind::InvalidRequest,
            BatchError::Thread { .. } => ErrorKind::Internal,
        };
        let converted = Self::new(kind, error.to_string());
        match error {
            BatchError::Concurrency { .. } => converted.with_param("concurrency").with_source(error),
            _ => converted.with_source(error),
        }
    }
}

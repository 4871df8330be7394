//! Why usage is not on the disk, or cannot be asked for.

use std::sync::Arc;
use std::time::Duration;

use crate::database::DatabaseError;
use crate::error::{Error, ErrorKind};

/// A failure of the ledger. Cheap to clone: one failed transaction is told to everybody whose record was in it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The database cannot be read or written.
    #[error(transparent)]
    Database(Arc<DatabaseError>),
    /// The database does not take records for now. They are kept and tried again; this is only told to who waited for them.
    #[error("usage is not yet written after {waited:?} and is tried again: {cause}")]
    Delayed {
        /// For how long it was tried.
        waited: Duration,
        /// What the database said.
        cause: Arc<DatabaseError>,
    },
    /// The ledger is going away and the database did not take the record until the end. It is lost.
    #[error("usage of request {request_id:?} is lost: the ledger is closed and {cause}")]
    Lost {
        /// The request.
        request_id: String,
        /// What the database said.
        cause: Arc<DatabaseError>,
    },
    /// So many requests run, or wait for the database, that no more are admitted.
    #[error(
        "usage of {most} requests is not yet written; accepted are new requests as soon as some of it is"
    )]
    Full {
        /// How many may be unwritten.
        most: usize,
    },
    /// The ledger's thread cannot be started, is gone, or waits for itself.
    #[error("the ledger's thread cannot do this: {problem}")]
    Thread {
        /// What the system said.
        problem: String,
    },
    /// A question that cannot be answered.
    #[error("{what} is {found}; accepted is {accepted}")]
    Query {
        /// What was asked for.
        what: &'static str,
        /// Its value.
        found: String,
        /// What would be accepted.
        accepted: &'static str,
    },
}

impl From<DatabaseError> for LedgerError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> Self {
        DatabaseError::from(error).into()
    }
}

impl From<LedgerError> for Error {
    fn from(error: LedgerError) -> Self {
        let kind = match &error {
            LedgerError::Delayed { .. } | LedgerError::Full { .. } => ErrorKind::Overloaded,
            LedgerError::Lost { .. } | LedgerError::Database(_) => ErrorKind::Io,
            LedgerError::Thread { .. } => ErrorKind::Internal,
            LedgerError::Query { .. } => ErrorKind::InvalidRequest,
        };
        let public = Self::new(kind, error.to_string());
        match error {
            LedgerError::Full { .. } => public.with_retry_after(Duration::from_secs(1)),
            _ => public,
        }
        .with_source(error)
    }
}

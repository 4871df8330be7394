//! What can be wrong with the database.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::ErrorCode;

use crate::error::{Error, ErrorKind};

/// A failure to open, read or write the database. `path` is unknown where a single statement failed, and in memory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The file belongs to another program.
    #[error(
        "{} was not written by this library (its application id is {application_id}); accepted are its own databases and new files",
        Place(path.as_deref())
    )]
    Foreign {
        /// The file.
        path: Option<PathBuf>,
        /// What the file says of itself; 0 if nothing.
        application_id: i32,
    },
    /// The file was written by a newer version of the library.
    #[error("{} has schema {found}; accepted are schemas up to {known}: a newer version of this library wrote it", Place(path.as_deref()))]
    Newer {
        /// The file.
        path: Option<PathBuf>,
        /// The file's schema.
        found: i64,
        /// The newest that this library knows.
        known: i64,
    },
    /// The file is no SQLite database.
    #[error("{} is not a SQLite database", Place(path.as_deref()))]
    NotADatabase {
        /// The file.
        path: Option<PathBuf>,
    },
    /// The file is a database and its content cannot be.
    #[error("{} is damaged: {problem}", Place(path.as_deref()))]
    Damaged {
        /// The file.
        path: Option<PathBuf>,
        /// What is wrong.
        problem: String,
    },
    /// Others held it for longer than a write waits.
    #[error("{} is locked by another writer; try again", Place(path.as_deref()))]
    Locked {
        /// The file.
        path: Option<PathBuf>,
    },
    /// The disk is full.
    #[error("{} cannot grow: the disk is full", Place(path.as_deref()))]
    Full {
        /// The file.
        path: Option<PathBuf>,
    },
    /// The file, its directory or its file system cannot be written to.
    #[error("{} cannot be written to: it or its directory is read-only", Place(path.as_deref()))]
    ReadOnly {
        /// The file.
        path: Option<PathBuf>,
    },
    /// The path cannot be opened.
    #[error("{} cannot be opened: {problem}", Place(path.as_deref()))]
    CannotOpen {
        /// The file.
        path: Option<PathBuf>,
        /// The system's answer.
        problem: String,
        /// Whether its directory does not exist.
        missing: bool,
    },
    /// The file system cannot do what several processes need.
    #[error("{} cannot be shared by processes where it lies; accepted are local file systems", Place(path.as_deref()))]
    NotShareable {
        /// The file.
        path: Option<PathBuf>,
    },
    /// The operating system failed to read or write.
    #[error("{} cannot be read or written: {problem}", Place(path.as_deref()))]
    Io {
        /// The file.
        path: Option<PathBuf>,
        /// What failed.
        problem: String,
    },
    /// A statement that should have worked did not; a defect of this library.
    #[error("{}: {source}", Place(path.as_deref()))]
    Statement {
        /// The file.
        path: Option<PathBuf>,
        /// SQLite's answer.
        source: rusqlite::Error,
    },
}

impl DatabaseError {
    /// What SQLite answered about the database at `path`.
    pub(super) fn of(error: rusqlite::Error, path: Option<&Path>) -> Self {
        let path = path.map(Path::to_path_buf);
        let problem = error.to_string();
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed,
            ) => Self::Locked { path },
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::ReadOnly) => Self::ReadOnly { path },
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { path, problem },
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                let missing = path.as_deref().and_then(Path::parent).is_some_and(|parent| !parent.exists());
                Self::CannotOpen { path, problem, missing }
            }
            Some(ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory) => Self::Io { path, problem },
            _ => match error {
                // Text where a number should be, and the like: what is stored was not stored by this library.
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::Utf8Error(..) => Self::Damaged { path, problem },
                source => Self::Statement { path, source },
            },
        }
    }

    /// The same, about the database at `path` if nothing is known of that yet.
    pub(super) fn at(mut self, path: &Path) -> Self {
        match &mut self {
            Self::Foreign { path: own, .. }
            | Self::Newer { path: own, .. }
            | Self::NotADatabase { path: own }
            | Self::Damaged { path: own, .. }
            | Self::Locked { path: own }
            | Self::Full { path: own }
            | Self::ReadOnly { path: own }
            | Self::CannotOpen { path: own, .. }
            | Self::NotShareable { path: own }
            | Self::Io { path: own, .. }
            | Self::Statement { path: own, .. } => {
                own.get_or_insert_with(|| path.to_path_buf());
            }
        }
        self
    }

    /// A stored value that this library would not have stored.
    pub(crate) fn value(problem: impl Into<String>) -> Self {
        Self::Damaged { path: None, problem: problem.into() }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Foreign { .. } | Self::NotADatabase { .. } => ErrorKind::Conflict,
            Self::Newer { .. } | Self::NotShareable { .. } => ErrorKind::Unsupported,
            Self::Locked { .. } => ErrorKind::Overloaded,
            Self::CannotOpen { missing: true, .. } => ErrorKind::NotFound,
            Self::Damaged { .. }
            | Self::Full { .. }
            | Self::ReadOnly { .. }
            | Self::CannotOpen { .. }
            | Self::Io { .. } => ErrorKind::Io,
            Self::Statement { .. } => ErrorKind::Internal,
        }
    }
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        Self::of(error, None)
    }
}

impl From<DatabaseError> for Error {
    fn from(error: DatabaseError) -> Self {
        let public = Self::new(error.kind(), error.to_string());
        match error {
            DatabaseError::Locked { .. } => public.with_retry_after(Duration::from_secs(1)),
            _ => public,
        }
        .with_source(error)
    }
}

struct Place<'a>(Option<&'a Path>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => write!(f, "the database {}", path.display()),
            None => f.write_str("the database"),
        }
    }
}

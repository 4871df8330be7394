//! Why the registry refuses something.

use std::path::PathBuf;

use super::name::{ModelName, VersionId};
use super::version::VersionStatus;
use crate::database::DatabaseError;
use crate::error::{Error, ErrorKind};
use crate::weights::{FileDigest, WeightsError};

/// A name, a state or a file that the registry does not accept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A name, an alias, a tag or a number that cannot be one.
    #[error("the {what} {value:?} {problem}")]
    Invalid {
        /// What it was to be.
        what: &'static str,
        /// The text, cut if it is long.
        value: String,
        /// What is wrong and what would be accepted.
        problem: String,
    },
    /// No such model, or one that was deleted.
    #[error("no model is registered as {name}; accepted are names that were registered and not deleted")]
    ModelNotFound {
        /// The name.
        name: ModelName,
    },
    /// No such version, or one that was deleted.
    #[error("{id} does not exist{}", if *.deleted { ": it was deleted" } else { "" })]
    VersionNotFound {
        /// The version.
        id: VersionId,
        /// Whether it did exist.
        deleted: bool,
    },
    /// `latest` of a model without versions.
    #[error("{name} has no version; accepted are models with at least one")]
    NoVersion {
        /// The model.
        name: ModelName,
    },
    /// No such alias.
    #[error("{name} has no alias {alias:?}; it has {}", Listed(.known))]
    AliasNotFound {
        /// The model.
        name: ModelName,
        /// The alias.
        alias: String,
        /// The aliases that it has.
        known: Vec<String>,
    },
    /// The name is taken.
    #[error("{name} is registered already; accepted are new names")]
    Exists {
        /// The name.
        name: ModelName,
    },
    /// The version cannot be served or copied.
    #[error(
        "{id} is {status}{}; only ready versions are served",
        if .message.is_empty() { String::new() } else { format!(" ({})", .message) }
    )]
    NotReady {
        /// The version.
        id: VersionId,
        /// What it is.
        status: VersionStatus,
        /// Why, if it is known.
        message: String,
    },
    /// The registration is over: only pending ones can be taken up.
    #[error("{id} is {status}; only pending registrations are taken up")]
    NotPending {
        /// The version.
        id: VersionId,
        /// What it is.
        status: VersionStatus,
    },
    /// Somebody else has taken the registration up.
    #[error("the registration of {id} was taken up by somebody else; theirs is the one that counts")]
    TakenUp {
        /// The version.
        id: VersionId,
    },
    /// A file is not the one that was registered.
    #[error(
        "{}: file {file:?} is not that of {id}: expected {}, found {}",
        .source_path.display(), Described(.expected.as_deref()), Described(.found.as_deref())
    )]
    FileChanged {
        /// The version.
        id: VersionId,
        /// Where its files lie.
        source_path: PathBuf,
        /// The file, by the name under which it counts in the digest.
        file: String,
        /// What was registered; nothing, if it is new.
        expected: Option<Box<FileDigest>>,
        /// What is there; nothing, if it is gone.
        found: Option<Box<FileDigest>>,
    },
    /// Somebody else appended to a log meanwhile.
    #[error(
        "the {log} goes on with {expected}, not {found}: somebody else appended to it; prepare the record again"
    )]
    Behind {
        /// Which log.
        log: &'static str,
        /// The number that is to follow.
        expected: u64,
        /// The number of the record.
        found: u64,
    },
    /// The id of an update names something already.
    #[error("the id {id:?} names version {version:?} already; accepted are ids that were never used")]
    IdTaken {
        /// The id.
        id: String,
        /// What it names.
        version: String,
    },
    /// The files of a version cannot be read, or hashing them was cancelled.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl RegistryError {
    /// A text that cannot be what it was to be.
    pub(super) fn invalid(what: &'static str, value: &str, problem: impl Into<String>) -> Self {
        const SHOWN: usize = 120;
        let value = match value.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}...", &value[..end]),
            None => value.to_owned(),
        };
        Self::Invalid { what, value, problem: problem.into() }
    }
}

impl From<rusqlite::Error> for RegistryError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<RegistryError> for Error {
    fn from(error: RegistryError) -> Self {
        let kind = match error {
            RegistryError::Weights(error) => return error.into(),
            RegistryError::Database(error) => return error.into(),
            // The hosted API calls an unknown alias an invalid value.
            RegistryError::Invalid { .. } | RegistryError::AliasNotFound { .. } => ErrorKind::InvalidRequest,
            RegistryError::ModelNotFound { .. }
            | RegistryError::VersionNotFound { .. }
            | RegistryError::NoVersion { .. } => ErrorKind::NotFound,
            RegistryError::Exists { .. }
            | RegistryError::NotReady { .. }
            | RegistryError::NotPending { .. }
            | RegistryError::TakenUp { .. }
            | RegistryError::Behind { .. }
            | RegistryError::IdTaken { .. } => ErrorKind::Conflict,
            RegistryError::FileChanged { .. } => ErrorKind::InvalidModel,
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}

struct Listed<'a>(&'a [String]);

impl std::fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 10;
        match self.0 {
            [] => f.write_str("none"),
            names if names.len() > SHOWN => write!(f, "{} and more", names[..SHOWN].join(", ")),
            names => f.write_str(&names.join(", ")),
        }
    }
}

struct Described<'a>(Option<&'a FileDigest>);

impl std::fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(file) => write!(f, "{} bytes with SHA-256 {}", file.bytes, file.sha256),
            None => f.write_str("no such file"),
        }
    }
}

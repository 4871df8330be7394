//! What can be wrong with model files.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind};

/// A failure to open, check or read model files. The message is one line and names the file and, where there is one,
/// the tensor or metadata key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The operating system refused to open or read a file.
    #[error("{}: cannot {action}: {source}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The file as a whole is not what it should be.
    #[error("{}: {problem}", .path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong and what would be accepted.
        problem: String,
    },
    /// One tensor's description contradicts the format or the file.
    #[error("{}: tensor {}: {problem}", .path.display(), Quoted(.tensor))]
    Tensor {
        /// The file that describes the tensor.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// What is wrong and what would be accepted.
        problem: String,
    },
    /// One metadata entry contradicts the format, or has not the type that its reader needs.
    #[error("{}: key {}: {problem}", .path.display(), Quoted(.key))]
    Key {
        /// The file that holds the entry.
        path: PathBuf,
        /// The entry's key.
        key: String,
        /// What is wrong and what would be accepted.
        problem: String,
    },
    /// The model needs a tensor that its files do not have.
    #[error("{}: tensor {} is missing", .path.display(), Quoted(.tensor))]
    MissingTensor {
        /// The checkpoint.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
    },
    /// The model needs a metadata entry that its file does not have.
    #[error("{}: key {} is missing", .path.display(), Quoted(.key))]
    MissingKey {
        /// The file.
        path: PathBuf,
        /// The entry's key.
        key: String,
    },
    /// The tensor's element type cannot be decoded by this library.
    #[error(
        "{}: tensor {}: element type {dtype} is not supported; F32, F16, BF16, F8_E4M3, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1 and \
         Q2_K to Q6_K are",
        .path.display(), Quoted(.tensor)
    )]
    UnsupportedType {
        /// The file that holds the tensor.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The element type as the file names it.
        dtype: String,
    },
    /// [`super::dequantize`] was asked for a type that it does not decode.
    #[error("element type {0} cannot be decoded")]
    Undecodable(super::DType),
    /// A file has another length now than when it was opened.
    #[error("{}: the file changed while it was open: it had {expected} bytes and has {found} now", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its length when it was opened.
        expected: u64,
        /// Its length now.
        found: u64,
    },
    /// A file was written to since it was opened.
    #[error("{}: the file was written to while it was read; load it again when nobody writes to it", .path.display())]
    Rewritten {
        /// The file.
        path: PathBuf,
    },
    /// Rows were asked for that the tensor does not have.
    #[error("tensor {}: rows {start}..{end} were asked for, it has {rows}", Quoted(.tensor))]
    Rows {
        /// The tensor's name.
        tensor: String,
        /// First row asked for.
        start: usize,
        /// One past the last row asked for.
        end: usize,
        /// The rows that there are.
        rows: usize,
    },
    /// A caller's buffer has the wrong size.
    #[error("{what}: the buffer holds {found} {unit}, {expected} are needed")]
    Buffer {
        /// What was to be read or decoded.
        what: String,
        /// `bytes` or `elements`.
        unit: &'static str,
        /// The size that fits.
        expected: u64,
        /// The size that was given.
        found: u64,
    },
    /// The caller asked to stop.
    #[error("loading was cancelled")]
    Cancelled,
}

impl WeightsError {
    pub(crate) fn file(path: &Path, problem: impl Into<String>) -> Self {
        Self::File { path: path.to_path_buf(), problem: problem.into() }
    }

    pub(crate) fn tensor(path: &Path, tensor: &str, problem: impl Into<String>) -> Self {
        Self::Tensor { path: path.to_path_buf(), tensor: tensor.to_owned(), problem: problem.into() }
    }

    pub(crate) fn key(path: &Path, key: &str, problem: impl Into<String>) -> Self {
        Self::Key { path: path.to_path_buf(), key: key.to_owned(), problem: problem.into() }
    }

    pub(crate) fn io(path: &Path, action: &'static str, source: io::Error) -> Self {
        Self::Io { path: path.to_path_buf(), action, source }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => ErrorKind::NotFound,
            Self::Io { .. } | Self::Changed { .. } | Self::Rewritten { .. } => ErrorKind::Io,
            Self::File { .. }
            | Self::Tensor { .. }
            | Self::Key { .. }
            | Self::MissingTensor { .. }
            | Self::MissingKey { .. } => ErrorKind::InvalidModel,
            Self::UnsupportedType { .. } | Self::Undecodable(_) => ErrorKind::Unsupported,
            Self::Rows { .. } | Self::Buffer { .. } => ErrorKind::Internal,
            Self::Cancelled => ErrorKind::Cancelled,
        }
    }
}

impl From<WeightsError> for Error {
    fn from(error: WeightsError) -> Self {
        Self::new(error.kind(), error.to_string()).with_source(error)
    }
}

/// A name from a file, shown in quotes: control characters escaped, long ones cut, because a file may put anything
/// there and an error is one line.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 120;
        match self.0.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(f, "{:?}...", &self.0[..end]),
            None => write!(f, "{:?}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_files_stay_on_one_short_line() {
        let error = WeightsError::tensor(Path::new("m.gguf"), &format!("a\nb{}", "x".repeat(5000)), "is odd");
        let line = error.to_string();
        assert!(line.starts_with("m.gguf: tensor \"a\\nbxxx"), "{line}");
        assert!(line.len() < 200 && !line.contains('\n'), "{line}");
        assert_eq!(Error::from(error).kind(), ErrorKind::InvalidModel);
    }

    #[test]
    fn a_missing_file_is_not_found() {
        let error = WeightsError::io(Path::new("m"), "open", io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(Error::from(error).kind(), ErrorKind::NotFound);
        assert_eq!(Error::from(WeightsError::Cancelled).kind(), ErrorKind::Cancelled);
    }
}

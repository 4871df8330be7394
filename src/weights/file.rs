//! Reading by position.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::WeightsError;

/// Something of known size that can be read at any position: a file, or bytes in memory.
pub trait ReadAt {
    /// The size in bytes.
    fn size(&self) -> u64;

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when fewer bytes are there, or what the operating system answers.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buffer.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

/// An open regular file, its path, and the size that it had when it was opened.
#[derive(Debug)]
pub(crate) struct SourceFile {
    path: PathBuf,
    file: File,
    size: u64,
    /// When it was last written to; `None` where the file system does not say.
    modified: Option<SystemTime>,
}

impl SourceFile {
    /// Opens a regular file (symbolic links are followed: download caches are made of them).
    pub(crate) fn open(path: &Path) -> Result<Self, WeightsError> {
        // Looked at before it is opened: opening a pipe would wait for its other end.
        let before = fs::metadata(path).map_err(|e| WeightsError::io(path, "open", e))?;
        if !before.is_file() {
            return Err(WeightsError::file(path, "is not a regular file"));
        }
        let file = File::open(path).map_err(|e| WeightsError::io(path, "open", e))?;
        let now = file.metadata().map_err(|e| WeightsError::io(path, "read the size", e))?;
        Ok(Self { path: path.to_path_buf(), file, size: now.len(), modified: now.modified().ok() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Fills `buffer` from `offset` on; a file that has become shorter is [`WeightsError::Changed`].
    pub(crate) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), WeightsError> {
        self.read_exact_at(buffer, offset).map_err(|error| self.explain(error))
    }

    /// The whole file, refused when it is larger than `limit`.
    pub(crate) fn read_all(&self, limit: u64) -> Result<Vec<u8>, WeightsError> {
        let size = match usize::try_from(self.size) {
            Ok(size) if self.size <= limit => size,
            _ => {
                let problem = format!("is {} bytes long; up to {limit} are accepted", self.size);
                return Err(WeightsError::file(&self.path, problem));
            }
        };
        let mut bytes = vec![0; size];
        self.read(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Refuses a file that has another size than when it was opened, or was written to since.
    pub(crate) fn check_unchanged(&self) -> Result<(), WeightsError> {
        let now = self.file.metadata().map_err(|e| WeightsError::io(&self.path, "read the size", e))?;
        if now.len() != self.size {
            let (path, found) = (self.path.clone(), now.len());
            return Err(WeightsError::Changed { path, expected: self.size, found });
        }
        if now.modified().ok() != self.modified {
            return Err(WeightsError::Rewritten { path: self.path.clone() });
        }
        Ok(())
    }

    fn explain(&self, error: io::Error) -> WeightsError {
        if error.kind() == io::ErrorKind::UnexpectedEof
            && let Err(changed) = self.check_unchanged()
        {
            return changed;
        }
        WeightsError::io(&self.path, "read", error)
    }
}

impl ReadAt for SourceFile {
    fn size(&self) -> u64 {
        self.size
    }

    #[cfg(unix)]
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, buffer, offset)
    }

    #[cfg(windows)]
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        use std::os::windows::fs::FileExt;
        while !buffer.is_empty() {
            match self.file.seek_read(buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    buffer = &mut buffer[read..];
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

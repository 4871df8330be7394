//! A buffered forward reader over a source of known size.

use std::io;
use std::path::Path;

use crate::weights::error::WeightsError;
use crate::weights::file::ReadAt;

/// Why a value could not be read, before it is known which key or tensor it belongs to.
pub(super) enum Fault {
    Bad(String),
    Io(io::Error),
}

impl Fault {
    pub(super) fn bad(problem: impl Into<String>) -> Self {
        Self::Bad(problem.into())
    }

    /// In the metadata entry `key`.
    pub(super) fn of_key(self, path: &Path, key: &str) -> WeightsError {
        match self {
            Self::Bad(problem) => WeightsError::key(path, key, problem),
            Self::Io(source) => WeightsError::io(path, "read", source),
        }
    }

    /// In the description of `tensor`.
    pub(super) fn of_tensor(self, path: &Path, tensor: &str) -> WeightsError {
        match self {
            Self::Bad(problem) => WeightsError::tensor(path, tensor, problem),
            Self::Io(source) => WeightsError::io(path, "read", source),
        }
    }

    /// In a place that has no name yet, such as `metadata entry 3`.
    pub(super) fn of_place(self, path: &Path, place: &str) -> WeightsError {
        match self {
            Self::Bad(problem) => WeightsError::file(path, format!("{place}: {problem}")),
            Self::Io(source) => WeightsError::io(path, "read", source),
        }
    }
}

/// Reads little-endian values one after the other. Never asks for bytes beyond `limit`, and never allocates for more
/// than lie between its position and that limit.
pub(super) struct Cursor<'a, R: ReadAt + ?Sized> {
    source: &'a R,
    limit: u64,
    position: u64,
    window: Vec<u8>,
    window_start: u64,
}

impl<'a, R: ReadAt + ?Sized> Cursor<'a, R> {
    const WINDOW: u64 = 64 * 1024;

    pub(super) fn new(source: &'a R, limit: u64) -> Self {
        Self { source, limit: limit.min(source.size()), position: 0, window: Vec::new(), window_start: 0 }
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn remaining(&self) -> u64 {
        self.limit - self.position
    }

    /// Checks that `count` items of at least `item_bytes` each can still follow; the count as a size.
    pub(super) fn count(&self, what: &str, count: u64, item_bytes: u64) -> Result<usize, Fault> {
        match usize::try_from(count) {
            Ok(fits) if count.checked_mul(item_bytes).is_some_and(|bytes| bytes <= self.remaining()) => {
                Ok(fits)
            }
            _ => Err(Fault::Bad(format!(
                "{count} {what} of at least {item_bytes} bytes each cannot be there, {} bytes are left",
                self.remaining()
            ))),
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A string: its length in bytes as `u64`, then UTF-8.
    pub(super) fn string(&mut self, longest: u64) -> Result<String, Fault> {
        let length = self.u64()?;
        if length > longest {
            return Err(Fault::Bad(format!("a string of {length} bytes; up to {longest} are accepted")));
        }
        let mut bytes = vec![0; self.count("bytes of a string", length, 1)?];
        self.fill(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| Fault::bad("a string is not UTF-8"))
    }

    /// Fills `bytes` and moves on.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Fault> {
        let wanted = bytes.len() as u64;
        if wanted > self.remaining() {
            return Err(Fault::Bad(format!(
                "the file ends here: {wanted} bytes are needed at position {}, {} are left",
                self.position,
                self.remaining()
            )));
        }
        if wanted > Self::WINDOW {
            self.source.read_exact_at(bytes, self.position).map_err(Fault::Io)?;
        } else {
            let start = self.within_window(wanted)?;
            bytes.copy_from_slice(&self.window[start..start + bytes.len()]);
        }
        self.position += wanted;
        Ok(())
    }

    /// Makes sure that the next `wanted` bytes are in the window; where they start there.
    fn within_window(&mut self, wanted: u64) -> Result<usize, Fault> {
        let inside = self.position >= self.window_start
            && self.position + wanted <= self.window_start + self.window.len() as u64;
        if !inside {
            self.window.resize(Self::WINDOW.min(self.remaining()) as usize, 0);
            self.window_start = self.position;
            self.source.read_exact_at(&mut self.window, self.position).map_err(Fault::Io)?;
        }
        Ok((self.position - self.window_start) as usize)
    }
}

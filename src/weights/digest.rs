//! A content hash of the files that define a model.

use std::fmt;
use std::ops::ControlFlow;

use sha2::{Digest as _, Sha256};

use super::error::WeightsError;
use super::file::{ReadAt, SourceFile};
use super::progress::{LoadPhase, LoadProgress};

const BUFFER_BYTES: u64 = 1 << 20;

/// The SHA-256 that identifies a model's files; shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The hash itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Hashes `files`, each with the name under which it counts. They count in order of name: for each, the length of the
/// name as `u64` little endian, the name, and the SHA-256 of the content.
pub(super) fn digest(
    mut files: Vec<(String, &SourceFile)>,
    progress: &mut dyn FnMut(LoadProgress) -> ControlFlow<()>,
) -> Result<Digest, WeightsError> {
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let total_bytes = files.iter().map(|(_, file)| file.size()).fold(0, u64::saturating_add);
    let mut done_bytes = 0;
    let mut report = |read: u64| {
        done_bytes += read;
        match progress(LoadProgress { phase: LoadPhase::Digest, done_bytes, total_bytes }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(WeightsError::Cancelled),
        }
    };
    report(0)?;
    let mut buffer = vec![0; BUFFER_BYTES.min(total_bytes) as usize];
    let mut all = Sha256::new();
    for (name, file) in files {
        let mut content = Sha256::new();
        let mut position = 0;
        while position < file.size() {
            let length = BUFFER_BYTES.min(file.size() - position);
            let piece = &mut buffer[..length as usize];
            file.read(piece, position)?;
            content.update(&*piece);
            position += length;
            report(length)?;
        }
        // A file that has grown meanwhile would be identified by its beginning only.
        file.check_unchanged()?;
        all.update((name.len() as u64).to_le_bytes());
        all.update(name.as_bytes());
        all.update(content.finalize());
    }
    Ok(Digest(all.finalize().into()))
}

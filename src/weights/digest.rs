//! A content hash of the files that define a model.

use std::fmt;
use std::ops::ControlFlow;

use serde::{Serialize, Serializer};
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

impl From<[u8; 32]> for Digest {
    fn from(hash: [u8; 32]) -> Self {
        Self(hash)
    }
}

/// As it is shown.
impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One of the files that define a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileDigest {
    /// The name under which it counts: its own in a directory, its number of a GGUF file.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// The hash of its content.
    pub sha256: Digest,
}

/// The files that define a model, and the hash over all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fingerprint {
    digest: Digest,
    files: Vec<FileDigest>,
}

impl Fingerprint {
    /// Of these files. They count in order of name: for each, the length of the name as `u64` little endian, the name, and
    /// the SHA-256 of the content.
    pub fn of(mut files: Vec<FileDigest>) -> Self {
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let mut all = Sha256::new();
        for file in &files {
            all.update((file.name.len() as u64).to_le_bytes());
            all.update(file.name.as_bytes());
            all.update(file.sha256.as_bytes());
        }
        Self { digest: Digest(all.finalize().into()), files }
    }

    /// The hash that identifies the model.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The files, in order of name.
    pub fn files(&self) -> &[FileDigest] {
        &self.files
    }
}

/// Hashes `files`, each with the name under which it counts.
pub(super) fn fingerprint(
    files: Vec<(String, &SourceFile)>,
    progress: &mut dyn FnMut(LoadProgress) -> ControlFlow<()>,
) -> Result<Fingerprint, WeightsError> {
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
    let mut digests = Vec::with_capacity(files.len());
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
        digests.push(FileDigest { name, bytes: file.size(), sha256: Digest(content.finalize().into()) });
    }
    Ok(Fingerprint::of(digests))
}

//! The files of a folder, and what tells whether one has changed.

use std::fs::Metadata;
use std::path::Path;
use std::time::UNIX_EPOCH;

use ignore::WalkBuilder;
use serde::{Deserialize, Serialize};

use super::common::Failure;

/// A larger file is data rather than text.
const LARGEST: u64 = 4 << 20;

/// What a file was when it was read. A file of the same time and size is taken for the same without reading it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// When it was written, in nanoseconds since 1970; 0 where the file system does not tell.
    pub(crate) modified: u64,
    pub(crate) bytes: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let time = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = time.and_then(|time| u64::try_from(time.as_nanos()).ok()).unwrap_or_default();
        Self { modified, bytes: metadata.len() }
    }

    /// Whether times are there to compare.
    pub(crate) fn known(self) -> bool {
        self.modified != 0
    }
}

/// Every file below `folder` with one of these endings: its path from there, with `/`, in order. What is hidden or
/// ignored by git is left out; links are not followed.
pub(crate) fn list(folder: &Path, endings: &[String]) -> Result<Vec<(String, Stamp)>, Failure> {
    let mut found = Vec::new();
    for entry in WalkBuilder::new(folder).build() {
        let entry = entry?;
        let path = entry.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
        if !entry.file_type().is_some_and(|kind| kind.is_file()) || !endings.contains(&ending) {
            continue;
        }
        let stamp = Stamp::of(&entry.metadata()?);
        let inside = path.strip_prefix(folder).unwrap_or(path);
        if let Some(name) = inside.to_str().filter(|_| stamp.bytes <= LARGEST) {
            found.push((name.replace(std::path::MAIN_SEPARATOR, "/"), stamp));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn hidden_files_and_other_endings_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.md", "a/c.TXT", "a/d.bin", ".hidden/e.md", "a/.f.md"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        let found = list(folder.path(), &["md".into(), "txt".into()]).unwrap();
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a/c.TXT", "b.md"]);
        assert!(found.iter().all(|(name, stamp)| stamp.known() && stamp.bytes == name.len() as u64));
        assert!(list(&folder.path().join("missing"), &[]).is_err());
    }
}

//! The small files beside a model's weights, each opened once: whoever reads one, and whoever hashes it, sees the same file even if
//! another takes its name meanwhile.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::error::WeightsError;
use super::file::SourceFile;

/// Companion files of a directory that were asked for.
#[derive(Debug)]
pub(super) struct Companions {
    directory: PathBuf,
    opened: Mutex<BTreeMap<String, Option<Arc<SourceFile>>>>,
}

impl Companions {
    pub(super) fn of(directory: &Path) -> Self {
        Self { directory: directory.to_path_buf(), opened: Mutex::default() }
    }

    /// The file of that name; `None` when it was absent when it was first asked for.
    pub(super) fn open(&self, name: &str) -> Result<Option<Arc<SourceFile>>, WeightsError> {
        let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if !inside || name.is_empty() {
            let problem = format!("the name {name:?} does not lie inside the directory");
            return Err(WeightsError::file(&self.directory, problem));
        }
        let mut opened = self.opened.lock();
        if let Some(known) = opened.get(name) {
            return Ok(known.clone());
        }
        let path = self.directory.join(name);
        let there = path.try_exists().map_err(|error| WeightsError::io(&path, "open", error))?;
        let file = if there { Some(Arc::new(SourceFile::open(&path)?)) } else { None };
        opened.insert(name.to_owned(), file.clone());
        Ok(file)
    }

    /// Refuses if one was written to since it was opened.
    pub(super) fn check_unchanged(&self) -> Result<(), WeightsError> {
        self.opened.lock().values().flatten().try_for_each(|file| file.check_unchanged())
    }
}

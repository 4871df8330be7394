//! Whether a version's files are still those that were registered.

use super::Registry;
use super::error::RegistryError;
use super::rows;
use super::version::{ModelVersion, VersionStatus};
use crate::database::DatabaseError;
use crate::weights::{FileDigest, Fingerprint};

impl Registry {
    /// The files that a version was registered with, in order of name; none of one that is not ready.
    ///
    /// # Errors
    /// [`RegistryError::Database`].
    pub fn files(&self, version: &ModelVersion) -> Result<Vec<FileDigest>, RegistryError> {
        Ok(self.database.read(|tx| rows::files(tx, &version.id))?)
    }

    /// Compares what [`Checkpoint::fingerprint`](crate::weights::Checkpoint::fingerprint) found in the files of a version
    /// with what was registered.
    ///
    /// # Errors
    /// [`RegistryError::FileChanged`] naming the first file that is another one, is missing or is new;
    /// [`RegistryError::NotReady`] of a version that was never hashed.
    pub fn verify(&self, version: &ModelVersion, found: &Fingerprint) -> Result<(), RegistryError> {
        let (VersionStatus::Ready, Some(digest)) = (version.status, version.digest) else {
            let (id, message) = (version.id.clone(), version.status_message.clone());
            return Err(RegistryError::NotReady { id, status: version.status, message });
        };
        if digest == found.digest() {
            return Ok(());
        }
        let expected = self.files(version)?;
        let names = expected.iter().chain(found.files()).map(|file| &file.name);
        let find = |files: &[FileDigest], name: &str| files.iter().find(|file| file.name == name).cloned();
        let changed = names
            .map(|name| (name, find(&expected, name), find(found.files(), name)))
            .find(|(_, expected, found)| expected != found);
        let Some((name, expected, found)) = changed else {
            let problem = format!("the files of {} do not have the digest that is stored for it", version.id);
            return Err(DatabaseError::value(problem).into());
        };
        Err(RegistryError::FileChanged {
            id: version.id.clone(),
            source_path: version.source.clone().unwrap_or_default(),
            file: name.clone(),
            expected: expected.map(Box::new),
            found: found.map(Box::new),
        })
    }
}

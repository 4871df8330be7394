//! Copies of versions under other names.

use std::sync::Arc;

use super::Registry;
use super::error::RegistryError;
use super::model::{NewModel, Stamp};
use super::name::{ModelName, VersionId};
use super::rows;
use super::uri::ModelUri;
use super::version::{ModelVersion, VersionStatus};

impl Registry {
    /// Registers the version that `source` names once more, as the next version of `name`: the same files, digest, origin,
    /// comment and tags. A model that is not there yet is registered. The files are not copied.
    ///
    /// # Errors
    /// No such source, or one that is not ready.
    pub fn copy_version(
        &self,
        source: &ModelUri,
        name: &ModelName,
        by: &str,
    ) -> Result<Arc<ModelVersion>, RegistryError> {
        let source = self.resolve(source)?.id.clone();
        let now = Stamp { at: self.clock.wall(), by: by.into() };
        let version = self.database.write(|tx| {
            // Read again: it may have been deleted since it was resolved.
            let ModelVersion { status, status_message: message, .. } = rows::live_version(tx, &source)?;
            if status != VersionStatus::Ready {
                return Err(RegistryError::NotReady { id: source.clone(), status, message });
            }
            if rows::live_model(tx, name)?.is_none() {
                rows::insert_model(tx, name, &NewModel::default(), &now)?;
            }
            let model = rows::live_model(tx, name)?;
            let version: u64 = tx
                .prepare_cached(
                    "INSERT INTO model_version (name, version, model, status, status_message, attempt, layout, source, run_id,
                         parent_name, parent_version, copied_name, copied_version, digest, comment, created_at, created_by,
                         updated_at, updated_by)
                     SELECT ?3, (SELECT coalesce(max(version), 0) + 1 FROM model_version WHERE name = ?3), ?4, status, '', 1,
                         layout, source, run_id, parent_name, parent_version, name, version, digest, comment, ?5, ?6, ?5, ?6
                     FROM model_version WHERE name = ?1 AND version = ?2 RETURNING version",
                )?
                .query_row((&source.name, source.version, name, model, now.at, &now.by), |row| row.get(0))?;
            for sql in [
                "INSERT INTO version_file SELECT ?3, ?4, file, bytes, sha256 FROM version_file WHERE name = ?1 AND version = ?2",
                "INSERT INTO version_tag SELECT ?3, ?4, key, value FROM version_tag WHERE name = ?1 AND version = ?2",
            ] {
                tx.prepare_cached(sql)?.execute((&source.name, source.version, name, version))?;
            }
            model.map_or(Ok(()), |model| rows::note_change(tx, model))?;
            Ok::<_, RegistryError>(version)
        })?;
        self.version(&VersionId::new(name.clone(), version))
    }
}

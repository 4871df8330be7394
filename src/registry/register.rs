//! How a version comes to be: its number is taken, its files are hashed, then it is ready or has failed.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Transaction;

use super::Registry;
use super::error::RegistryError;
use super::model::Stamp;
use super::name::{ModelName, VersionId};
use super::rows;
use super::tag::check_tag;
use super::version::{Layout, ModelVersion, NewVersion, VersionStatus};
use crate::weights::{Checkpoint, Fingerprint, LoadProgress, WeightsError};

/// A pending version whose files are to be hashed. Dropped, it stays pending and can be taken up again.
#[derive(Debug)]
#[must_use = "the version stays pending until the registration is finished"]
pub struct Registration {
    id: VersionId,
    attempt: u64,
    layout: Layout,
    source: PathBuf,
}

impl Registration {
    /// The version, whose number is taken.
    pub fn id(&self) -> &VersionId {
        &self.id
    }
}

impl Registry {
    /// Registers a version: [`Registry::begin_version`], then [`Registry::finish_version`].
    ///
    /// # Errors
    /// As for both.
    pub fn register(
        &self,
        name: &ModelName,
        new: &NewVersion,
        by: &str,
        progress: &mut dyn FnMut(LoadProgress) -> ControlFlow<()>,
    ) -> Result<Arc<ModelVersion>, RegistryError> {
        let registration = self.begin_version(name, new, by)?;
        self.finish_version(registration, by, progress)
    }

    /// Takes the next number for a version; no file is read yet.
    ///
    /// # Errors
    /// No such model or parent, tags that are too long, a path that is no text.
    pub fn begin_version(
        &self,
        name: &ModelName,
        new: &NewVersion,
        by: &str,
    ) -> Result<Registration, RegistryError> {
        new.tags.iter().try_for_each(|(key, value)| check_tag(key, value))?;
        let source = absolute(&new.source)?;
        let now = Stamp { at: self.clock.wall(), by: by.into() };
        let version = self.change(name, |tx, model| {
            if let Some(parent) = &new.parent {
                rows::live_version(tx, parent)?;
            }
            rows::insert_version(tx, model, name, new, &source, &now)
        })?;
        let id = VersionId::new(name.clone(), version);
        Ok(Registration { id, attempt: 1, layout: new.layout, source: source.into() })
    }

    /// Takes up the registration of a pending version whose process died or gave it up. Whoever had it before can no longer
    /// finish it.
    ///
    /// # Errors
    /// No such version, one that is not pending.
    pub fn resume_version(&self, id: &VersionId) -> Result<Registration, RegistryError> {
        self.change(&id.name, |tx, _| {
            let version = rows::live_version(tx, id)?;
            if version.status != VersionStatus::Pending {
                return Err(RegistryError::NotPending { id: id.clone(), status: version.status });
            }
            let attempt = tx
                .prepare_cached(
                    "UPDATE model_version SET attempt = attempt + 1 WHERE name = ?1 AND version = ?2 RETURNING attempt",
                )?
                .query_row((&id.name, id.version), |row| row.get(0))?;
            let source = version.source.unwrap_or_default();
            Ok(Registration { id: id.clone(), attempt, layout: version.layout, source })
        })
    }

    /// All pending versions: being registered, or left behind by a process that died.
    ///
    /// # Errors
    /// [`RegistryError::Database`].
    pub fn pending_versions(&self) -> Result<Vec<VersionId>, RegistryError> {
        self.database.read(|tx| {
            let sql =
                "SELECT name, version FROM model_version WHERE status = 'pending' AND deleted_at IS NULL";
            let mut statement = tx.prepare_cached(sql)?;
            let mut found = statement.query([])?;
            let mut pending = Vec::new();
            while let Some(row) = found.next()? {
                pending.push(VersionId::new(rows::name(&row.get::<_, String>(0)?)?, row.get(1)?));
            }
            Ok(pending)
        })
    }

    /// Hashes the files of a pending version and makes it ready. If they cannot be read, or `progress` cancels, it has failed.
    ///
    /// # Errors
    /// [`RegistryError::Weights`] when it has failed; [`RegistryError::TakenUp`] and [`RegistryError::VersionNotFound`] when
    /// somebody else took it up or deleted it meanwhile; [`RegistryError::Database`], after which it is still pending.
    pub fn finish_version(
        &self,
        registration: Registration,
        by: &str,
        progress: &mut dyn FnMut(LoadProgress) -> ControlFlow<()>,
    ) -> Result<Arc<ModelVersion>, RegistryError> {
        let Registration { id, attempt, layout, source } = registration;
        let hashed = open(layout, &source).and_then(|checkpoint| checkpoint.fingerprint(progress));
        let now = Stamp { at: self.clock.wall(), by: by.into() };
        let written = self.change(&id.name, |tx, _| {
            let version = rows::live_version(tx, &id)?;
            if version.status != VersionStatus::Pending {
                return Err(RegistryError::NotPending { id: id.clone(), status: version.status });
            }
            if let Ok(fingerprint) = &hashed {
                rows::insert_files(tx, &id, fingerprint.files())?;
            }
            settle(tx, &id, attempt, &hashed, &now)
        });
        hashed?;
        written?;
        self.version(&id)
    }
}

/// Makes a version ready or failed, if this attempt is still the last.
fn settle(
    tx: &Transaction<'_>,
    id: &VersionId,
    attempt: u64,
    hashed: &Result<Fingerprint, WeightsError>,
    now: &Stamp,
) -> Result<(), RegistryError> {
    let (status, message, digest) = match hashed {
        Ok(fingerprint) => (VersionStatus::Ready, String::new(), Some(fingerprint.digest())),
        Err(error) => (VersionStatus::Failed, error.to_string(), None),
    };
    let settled = tx
        .prepare_cached(
            "UPDATE model_version SET status = ?4, status_message = ?5, digest = ?6, updated_at = ?7, updated_by = ?8
             WHERE name = ?1 AND version = ?2 AND attempt = ?3",
        )?
        .execute((
            &id.name,
            id.version,
            attempt,
            status,
            message,
            digest.as_ref().map(|digest| digest.as_bytes().as_slice()),
            now.at,
            &now.by,
        ))?;
    match settled {
        0 => Err(RegistryError::TakenUp { id: id.clone() }),
        _ => Ok(()),
    }
}

fn open(layout: Layout, source: &Path) -> Result<Checkpoint, WeightsError> {
    match layout {
        Layout::Model => Checkpoint::open(source),
        Layout::Adapter => Checkpoint::open_adapter(source),
    }
}

/// The path as every process reads it, whatever directory it works in.
fn absolute(source: &Path) -> Result<String, RegistryError> {
    let shown = source.to_string_lossy();
    let refuse = |problem: &str| {
        let problem = format!("{problem}; accepted are paths that are text");
        RegistryError::invalid("source", &shown, problem)
    };
    let path = std::path::absolute(source).map_err(|error| refuse(&error.to_string()))?;
    path.into_os_string().into_string().map_err(|_| refuse("cannot be stored"))
}

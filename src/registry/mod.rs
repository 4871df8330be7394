//! Registered models, their versions and aliases, and the logs that belong to them, in the [database](crate::database).
//!
//! A [`Registry`] has models under names of three parts, each with versions that are numbered from 1 and never renumbered. A
//! version is a place where files lie and the hashes of those files; the files stay where they are and are never written. It is
//! asked for with a [`ModelUri`], by number, by alias or as the latest, and only a ready one is served.
//!
//! Beside it stand logs that only grow: [`TimelineLog`], [`UpdateLog`], [`DeliveredEvents`] and [`EndpointLog`].

mod alias;
mod cache;
mod copy;
mod endpoint_log;
mod error;
mod event_log;
mod model;
mod name;
mod register;
mod rows;
mod tag;
#[cfg(test)]
mod tests;
mod timeline_log;
mod update_log;
mod uri;
mod verify;
mod version;

pub use endpoint_log::{EndpointConfiguration, EndpointLog};
pub use error::RegistryError;
pub use event_log::DeliveredEvents;
pub use model::{ModelChange, NewModel, RegisteredModel, Stamp};
pub use name::{ModelName, VersionId};
pub use register::Registration;
pub use tag::Tags;
pub use timeline_log::TimelineLog;
pub use update_log::UpdateLog;
pub use uri::{ModelUri, VersionSelector};
pub use version::{Layout, ModelVersion, NewVersion, VersionStatus};

use std::fmt;
use std::sync::Arc;

use cache::Cache;
use rusqlite::Transaction;

use crate::clock::Clock;
use crate::database::{Database, DatabaseError, Durability};

/// The registered models of a database. Clones share it; other processes may have registries of the same database, and what
/// one of them writes all others see at once.
#[derive(Clone)]
pub struct Registry {
    database: Database,
    clock: Arc<dyn Clock>,
    cache: Arc<Cache>,
}

impl Registry {
    /// The registry in `database`, which dates what it writes by `clock`.
    ///
    /// # Errors
    /// [`RegistryError::Database`].
    pub fn new(database: &Database, clock: Arc<dyn Clock>) -> Result<Self, RegistryError> {
        let cache = Arc::new(Cache::new(database.connection(Durability::Synced)?));
        Ok(Self { database: database.clone(), clock, cache })
    }

    /// The model registered as `name`.
    ///
    /// # Errors
    /// No such model.
    pub fn model(&self, name: &ModelName) -> Result<Arc<RegisteredModel>, RegistryError> {
        Ok(self.entry(name)?.model.clone())
    }

    /// All models, in order of name.
    ///
    /// # Errors
    /// [`RegistryError::Database`].
    pub fn models(&self) -> Result<Vec<Arc<RegisteredModel>>, RegistryError> {
        let mut models: Vec<_> = self.cache.entries()?.iter().map(|entry| entry.model.clone()).collect();
        models.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(models)
    }

    /// The versions of a model that are not deleted, oldest first.
    ///
    /// # Errors
    /// No such model.
    pub fn versions(&self, name: &ModelName) -> Result<Vec<Arc<ModelVersion>>, RegistryError> {
        Ok(self.entry(name)?.versions.values().cloned().collect())
    }

    /// All versions that a name ever had, oldest first: deleted ones, and those of deleted models, without what was forgotten
    /// with them. Tags are left out.
    ///
    /// # Errors
    /// [`RegistryError::Database`].
    pub fn version_history(&self, name: &ModelName) -> Result<Vec<ModelVersion>, RegistryError> {
        let sql = format!("SELECT {} FROM model_version WHERE name = ?1 ORDER BY version", rows::VERSION);
        self.database.read(|tx| {
            let mut statement = tx.prepare_cached(&sql)?;
            let mut found = statement.query([name])?;
            let mut versions = Vec::new();
            while let Some(row) = found.next()? {
                versions.push(rows::read_version(row)?);
            }
            Ok(versions)
        })
    }

    /// A version.
    ///
    /// # Errors
    /// No such version.
    pub fn version(&self, id: &VersionId) -> Result<Arc<ModelVersion>, RegistryError> {
        self.resolve(&id.clone().into())
    }

    /// The version that `uri` names now, whether it can be served or not.
    ///
    /// # Errors
    /// No such model, version or alias.
    pub fn resolve(&self, uri: &ModelUri) -> Result<Arc<ModelVersion>, RegistryError> {
        self.entry(&uri.name)?.select(uri).cloned()
    }

    /// The version that `uri` names now, to be served.
    ///
    /// # Errors
    /// As for [`Registry::resolve`]; [`RegistryError::NotReady`].
    pub fn resolve_ready(&self, uri: &ModelUri) -> Result<Arc<ModelVersion>, RegistryError> {
        let version = self.resolve(uri)?;
        match version.status {
            VersionStatus::Ready => Ok(version),
            status => {
                let (id, message) = (version.id.clone(), version.status_message.clone());
                Err(RegistryError::NotReady { id, status, message })
            }
        }
    }

    fn entry(&self, name: &ModelName) -> Result<Arc<cache::Entry>, RegistryError> {
        self.cache.entry(name)?.ok_or_else(|| RegistryError::ModelNotFound { name: name.clone() })
    }

    /// Runs `body` as one write on the model that has the name now, given its row, and notes that the model has changed.
    fn change<T>(
        &self,
        name: &ModelName,
        body: impl FnOnce(&Transaction<'_>, i64) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        self.database.write(|tx| {
            let model = rows::live_model(tx, name)?;
            let model = model.ok_or_else(|| RegistryError::ModelNotFound { name: name.clone() })?;
            let value = body(tx, model)?;
            rows::note_change(tx, model)?;
            Ok(value)
        })
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("database", &self.database).finish_non_exhaustive()
    }
}

/// The number that follows in a log whose numbers have no gaps, refused when it is not `found`.
fn expect_next(
    tx: &Transaction<'_>,
    log: &'static str,
    table: &str,
    found: u64,
) -> Result<(), RegistryError> {
    let sql = format!("SELECT coalesce(max(seq), 0) + 1 FROM {table}");
    let expected: u64 =
        tx.prepare_cached(&sql)?.query_row([], |row| row.get(0)).map_err(DatabaseError::from)?;
    if expected != found {
        return Err(RegistryError::Behind { log, expected, found });
    }
    Ok(())
}

//! What is registered, in memory, as new as the database.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Transaction;

use super::error::RegistryError;
use super::model::RegisteredModel;
use super::name::ModelName;
use super::rows;
use super::uri::{ModelUri, VersionSelector};
use super::version::ModelVersion;
use crate::database::{Connection, DatabaseError};

/// A copy of all models that are not deleted. Each look asks the database whether anybody has written, which costs
/// microseconds; what has changed is read again, and nothing else.
#[derive(Debug)]
pub(super) struct Cache {
    /// A connection that never writes, so that it hears of every write.
    reader: Connection,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    data_version: Option<u64>,
    change: u64,
    entries: HashMap<ModelName, Arc<Entry>>,
}

/// A model with its versions.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) model: Arc<RegisteredModel>,
    pub(super) versions: BTreeMap<u64, Arc<ModelVersion>>,
}

impl Entry {
    /// The version that `uri`, which names this model, asks for.
    pub(super) fn select(&self, uri: &ModelUri) -> Result<&Arc<ModelVersion>, RegistryError> {
        let name = &self.model.name;
        let number = match &uri.version {
            VersionSelector::Number(number) => *number,
            VersionSelector::Latest => {
                let last = self.versions.values().next_back();
                return last.ok_or_else(|| RegistryError::NoVersion { name: name.clone() });
            }
            VersionSelector::Alias(alias) => match self.model.aliases.get(alias) {
                Some(number) => *number,
                None => {
                    let known = self.model.aliases.keys().cloned().collect();
                    return Err(RegistryError::AliasNotFound {
                        name: name.clone(),
                        alias: alias.clone(),
                        known,
                    });
                }
            },
        };
        self.versions.get(&number).ok_or_else(|| {
            let id = super::VersionId::new(name.clone(), number);
            // Numbers are given without gaps: one below the last was there.
            let deleted = self.versions.keys().next_back().is_some_and(|last| number < *last);
            RegistryError::VersionNotFound { id, deleted }
        })
    }
}

impl Cache {
    pub(super) fn new(reader: Connection) -> Self {
        Self { reader, state: Mutex::default() }
    }

    /// The model of this name, if it is registered.
    pub(super) fn entry(&self, name: &ModelName) -> Result<Option<Arc<Entry>>, DatabaseError> {
        self.look(|entries| entries.get(name).cloned())
    }

    /// All models, in no order.
    pub(super) fn entries(&self) -> Result<Vec<Arc<Entry>>, DatabaseError> {
        self.look(|entries| entries.values().cloned().collect())
    }

    fn look<T>(&self, read: impl FnOnce(&HashMap<ModelName, Arc<Entry>>) -> T) -> Result<T, DatabaseError> {
        let mut state = self.state.lock();
        // Asked before anything is read: what is written in between is seen the next time.
        let data_version = self.reader.data_version()?;
        if state.data_version != Some(data_version) {
            self.reader.read(|tx| state.refresh(tx))?;
            state.data_version = Some(data_version);
        }
        Ok(read(&state.entries))
    }
}

impl State {
    /// Reads what has changed since the last time.
    fn refresh(&mut self, tx: &Transaction<'_>) -> Result<(), DatabaseError> {
        let change: u64 =
            tx.prepare_cached("SELECT counter FROM registry_change")?.query_row([], |row| row.get(0))?;
        if change == self.change {
            return Ok(());
        }
        let (gone, changed) = changed_models(tx, self.change)?;
        for name in gone {
            self.entries.remove(&name);
        }
        for entry in changed {
            self.entries.insert(entry.model.name.clone(), Arc::new(entry));
        }
        self.change = change;
        Ok(())
    }
}

/// The names under which a model was deleted since `change`, and the models that changed since and are there.
fn changed_models(tx: &Transaction<'_>, change: u64) -> Result<(Vec<ModelName>, Vec<Entry>), DatabaseError> {
    let mut gone = Vec::new();
    let mut changed = Vec::new();
    let sql =
        format!("SELECT id, deleted_at IS NULL, {} FROM registered_model WHERE change > ?1", rows::MODEL);
    let mut statement = tx.prepare_cached(&sql)?;
    let mut models = statement.query([change])?;
    while let Some(row) = models.next()? {
        let model = rows::read_model(row)?;
        if row.get(1)? {
            changed.push(read_entry(tx, row.get(0)?, model)?);
        } else {
            gone.push(model.name);
        }
    }
    Ok((gone, changed))
}

fn read_entry(tx: &Transaction<'_>, id: i64, mut model: RegisteredModel) -> Result<Entry, DatabaseError> {
    let mut statement = tx.prepare_cached("SELECT key, value FROM model_tag WHERE model = ?1")?;
    let mut tags = statement.query([id])?;
    while let Some(row) = tags.next()? {
        model.tags.insert(row.get(0)?, row.get(1)?);
    }
    let mut statement = tx.prepare_cached("SELECT alias, version FROM model_alias WHERE name = ?1")?;
    let mut aliases = statement.query([&model.name])?;
    while let Some(row) = aliases.next()? {
        model.aliases.insert(row.get(0)?, row.get(1)?);
    }
    let mut versions = BTreeMap::new();
    let sql = format!("SELECT {} FROM model_version WHERE model = ?1 AND deleted_at IS NULL", rows::VERSION);
    let mut statement = tx.prepare_cached(&sql)?;
    let mut found = statement.query([id])?;
    while let Some(row) = found.next()? {
        let version = rows::read_version(row)?;
        versions.insert(version.id.version, version);
    }
    let mut statement = tx.prepare_cached("SELECT version, key, value FROM version_tag WHERE name = ?1")?;
    let mut tags = statement.query([&model.name])?;
    while let Some(row) = tags.next()? {
        if let Some(version) = versions.get_mut(&row.get(0)?) {
            version.tags.insert(row.get(1)?, row.get(2)?);
        }
    }
    let versions = versions.into_iter().map(|(number, version)| (number, Arc::new(version))).collect();
    Ok(Entry { model: Arc::new(model), versions })
}

//! What must hold after every kill.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use model_runtime::SystemClock;
use model_runtime::catalog::Catalog;
use model_runtime::database::{Database, DatabaseError};
use model_runtime::lifecycle::{Timeline, UpdateHistory};
use model_runtime::registry::{
    DeliveredEvents, EndpointLog, ModelVersion, Registry, RegistryError, TimelineLog, UpdateLog,
    VersionStatus,
};
use model_runtime::weights::Fingerprint;

use super::Outcome;
use super::child::{NAMES, event};
use super::writes::Write;

/// All writes that were ever acknowledged.
#[derive(Default)]
pub(crate) struct Books {
    writes: Vec<Write>,
}

macro_rules! demand {
    ($holds:expr, $($otherwise:tt)+) => {
        if !$holds {
            return Err(format!($($otherwise)+).into());
        }
    };
}

impl Books {
    pub(crate) fn enter(&mut self, writes: Vec<Write>) {
        self.writes.extend(writes);
    }

    /// Opens the database as the next process would and compares it with the books.
    pub(crate) fn check(&self, dir: &Path) -> Outcome {
        let path = dir.join("runtime.db");
        let database = Database::open(&path)?;
        database.check()?;
        let clock = Arc::new(SystemClock::new());
        let registry = Registry::new(&database, clock.clone())?;
        let versions = self.check_registry(&registry)?;
        let models = created_models(&database)?;
        let revisions = TimelineLog::new(&database).load()?;
        let updates = UpdateLog::new(&database).load()?;
        let events = DeliveredEvents::new(&database, clock.clone()).load()?;
        let endpoints = EndpointLog::new(&database, clock);
        let mut configured = HashMap::new();
        for configuration in endpoints.current()? {
            let history = endpoints.history(&configuration.endpoint)?;
            let numbers = history.iter().map(|one| one.config_version);
            demand!(
                numbers.eq(1..=configuration.config_version),
                "configurations of {configuration:?} are missing"
            );
            configured.insert(configuration.endpoint, history);
        }
        let used = used_requests(&database)?;
        let mut claimed = HashSet::new();
        for write in &self.writes {
            let there = match write {
                Write::Model { name, token } => models.get(token).is_some_and(|of| of == name.as_str()),
                Write::Begun { id, token } => {
                    versions.get(&id.to_string()).is_some_and(|version| version.created.by == *token)
                }
                Write::Ready { id } => versions
                    .get(&id.to_string())
                    .is_some_and(|version| version.status == VersionStatus::Ready),
                Write::Deleted { id } => {
                    versions.get(&id.to_string()).is_some_and(|version| version.deleted_at.is_some())
                }
                Write::Alias { id, token } => {
                    let deleted =
                        versions.get(&id.to_string()).is_some_and(|version| version.deleted_at.is_some());
                    deleted || registry.model(&id.name)?.aliases.get(token) == Some(&id.version)
                }
                Write::Revision { seq, token } => {
                    revisions.get(*seq as usize - 1).is_some_and(|revision| revision.who == *token)
                }
                Write::Update { seq, token } => {
                    updates.get(*seq as usize - 1).is_some_and(|record| record.response_id == *token)
                }
                Write::Event { round } => {
                    demand!(claimed.insert(*round), "the news of round {round} were told twice");
                    events.contains(&event(*round))
                }
                Write::Endpoint { endpoint, config_version, token } => {
                    let history = configured.get(endpoint).map(Vec::as_slice).unwrap_or_default();
                    let one = history.get(*config_version as usize - 1);
                    one.is_some_and(|one| one.configuration == token.as_str())
                }
                Write::Usage { token } => used.contains(token),
            };
            demand!(there, "acknowledged and not there: {write:?}");
        }
        Timeline::replay(Catalog::builtin()?.policy().clone(), [], revisions)?;
        UpdateHistory::try_from(updates)?;
        Ok(())
    }

    /// The rules of the registry. Gives all versions that there ever were by their URIs.
    fn check_registry(&self, registry: &Registry) -> Outcome<BTreeMap<String, ModelVersion>> {
        let mut versions = BTreeMap::new();
        let mut creators = HashSet::new();
        for name in NAMES {
            let name = name.parse()?;
            let history = registry.version_history(&name)?;
            let numbers = history.iter().map(|version| version.id.version);
            demand!(numbers.eq(1..=history.len() as u64), "{name} has lost a number");
            for version in history {
                let id = &version.id;
                demand!(creators.insert(version.created.by.clone()), "{id} was registered twice");
                demand!(version.source.is_none() == version.deleted_at.is_some(), "{id} is half deleted");
                let ready = version.status == VersionStatus::Ready;
                demand!(
                    ready == version.digest.is_some(),
                    "{id} is {} with {:?}",
                    version.status,
                    version.digest
                );
                let files = Fingerprint::of(registry.files(&version)?);
                demand!(
                    !ready || version.digest == Some(files.digest()),
                    "the files of {id} are not its own"
                );
                demand!(ready || files.files().is_empty(), "{id} has files and is {}", version.status);
                versions.insert(id.to_string(), version);
            }
            match registry.model(&name) {
                Ok(model) => {
                    for (alias, version) in &model.aliases {
                        let target = versions.get(&format!("models:/{name}/{version}"));
                        let alive = target.is_some_and(|version| version.deleted_at.is_none());
                        demand!(alive, "{alias} of {name} points at version {version}, which is not there");
                    }
                }
                Err(RegistryError::ModelNotFound { .. }) => {
                    let of_name = versions.values().filter(|version| version.id.name == name);
                    let dead = of_name.clone().all(|version| version.deleted_at.is_some());
                    demand!(dead, "{name} was deleted and has versions");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(versions)
    }

    /// Takes up what is pending.
    pub(crate) fn finish(&mut self, dir: &Path) -> Outcome {
        let registry =
            Registry::new(&Database::open(&dir.join("runtime.db"))?, Arc::new(SystemClock::new()))?;
        for id in registry.pending_versions()? {
            let registration = registry.resume_version(&id)?;
            registry.finish_version(registration, "the end", &mut |_| ControlFlow::Continue(()))?;
            self.writes.push(Write::Ready { id });
        }
        demand!(registry.pending_versions()?.is_empty(), "something is pending for ever");
        self.check(dir)
    }
}

/// How many writes of each kind were acknowledged.
pub(crate) struct Totals(BTreeMap<&'static str, usize>);

impl Default for Totals {
    fn default() -> Self {
        let kinds = [
            "model", "begun", "ready", "deleted", "alias", "revision", "update", "event", "endpoint", "usage",
        ];
        Self(kinds.into_iter().map(|kind| (kind, 0)).collect())
    }
}

impl Totals {
    pub(crate) fn add(&mut self, books: &Books) {
        for write in &books.writes {
            *self.0.entry(kind(write)).or_default() += 1;
        }
    }

    /// Demands that everything was tried; how often depends on the machine.
    pub(crate) fn check(&self) -> Outcome {
        for (kind, count) in &self.0 {
            demand!(*count > 0, "no write of the kind {kind} was ever acknowledged");
        }
        Ok(())
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<_> = self.0.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        write!(f, "{} acknowledged writes ({})", self.0.values().sum::<usize>(), kinds.join(", "))
    }
}

fn kind(write: &Write) -> &'static str {
    match write {
        Write::Model { .. } => "model",
        Write::Begun { .. } => "begun",
        Write::Ready { .. } => "ready",
        Write::Deleted { .. } => "deleted",
        Write::Alias { .. } => "alias",
        Write::Revision { .. } => "revision",
        Write::Update { .. } => "update",
        Write::Event { .. } => "event",
        Write::Endpoint { .. } => "endpoint",
        Write::Usage { .. } => "usage",
    }
}

/// The models of all times, by who registered them.
fn created_models(database: &Database) -> Outcome<HashMap<String, String>> {
    Ok(database.read(|tx| {
        let mut statement = tx.prepare("SELECT created_by, name FROM registered_model")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok::<_, DatabaseError>(rows.collect::<Result<_, _>>()?)
    })?)
}

/// The requests that are billed.
fn used_requests(database: &Database) -> Outcome<BTreeSet<String>> {
    let requests: Vec<String> = database.read(|tx| {
        let mut statement = tx.prepare("SELECT request_id FROM usage")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok::<_, DatabaseError>(rows.collect::<Result<_, _>>()?)
    })?;
    let used: BTreeSet<_> = requests.iter().cloned().collect();
    demand!(used.len() == requests.len(), "a request is billed twice");
    Ok(used)
}

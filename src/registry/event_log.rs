//! Which news of the lifecycle were told.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::catalog::Subject;
use crate::clock::Clock;
use crate::database::{Database, DatabaseError};
use crate::lifecycle::EventKey;

/// The keys of the news that were told, by any process.
#[derive(Clone)]
pub struct DeliveredEvents {
    database: Database,
    clock: Arc<dyn Clock>,
}

impl DeliveredEvents {
    /// Those of `database`, dated by `clock`.
    pub fn new(database: &Database, clock: Arc<dyn Clock>) -> Self {
        Self { database: database.clone(), clock }
    }

    /// All keys, for [`Timeline::due`](crate::lifecycle::Timeline::due).
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub fn load(&self) -> Result<BTreeSet<EventKey>, DatabaseError> {
        self.database.read(|tx| {
            let sql = "SELECT subject_kind, subject, offering, state, principal, round FROM delivered_event";
            let mut statement = tx.prepare_cached(sql)?;
            let mut rows = statement.query([])?;
            let mut keys = BTreeSet::new();
            while let Some(row) = rows.next()? {
                keys.insert(EventKey {
                    subject: Subject { kind: from_name(row.get(0)?)?, name: row.get(1)? },
                    offering: from_name(row.get(2)?)?,
                    state: from_name(row.get(3)?)?,
                    principal: row.get(4)?,
                    round: row.get(5)?,
                });
            }
            Ok(keys)
        })
    }

    /// Notes that the news of this key are told, and says whether it falls to the caller to tell them: of all processes that
    /// ask, one is told so, once.
    ///
    /// # Errors
    /// [`DatabaseError`], after which it is open.
    pub fn claim(&self, key: &EventKey) -> Result<bool, DatabaseError> {
        let (kind, offering, state) =
            (name_of(&key.subject.kind)?, name_of(&key.offering)?, name_of(&key.state)?);
        self.database.write(|tx| {
            let inserted = tx
                .prepare_cached(
                    "INSERT INTO delivered_event VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
                )?
                .execute((
                    kind,
                    &key.subject.name,
                    offering,
                    state,
                    &key.principal,
                    key.round,
                    self.clock.wall(),
                ))?;
            Ok(inserted == 1)
        })
    }
}

impl std::fmt::Debug for DeliveredEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeliveredEvents").field("database", &self.database).finish_non_exhaustive()
    }
}

/// The name that a value has in JSON.
fn name_of<T: Serialize>(value: &T) -> Result<String, DatabaseError> {
    match serde_json::to_value(value) {
        Ok(Value::String(name)) => Ok(name),
        other => Err(DatabaseError::value(format!("{other:?} is no name"))),
    }
}

/// The value that has this name in JSON.
fn from_name<T: DeserializeOwned>(name: String) -> Result<T, DatabaseError> {
    serde_json::from_value(Value::String(name)).map_err(|error| DatabaseError::value(error.to_string()))
}

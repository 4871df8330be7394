//! The ids of updates.

use rusqlite::{OptionalExtension, Transaction};

use super::error::RegistryError;
use super::expect_next;
use crate::database::{Database, DatabaseError};
use crate::lifecycle::UpdateRecord;

/// The records of an [`UpdateHistory`](crate::lifecycle::UpdateHistory), each kept for ever.
#[derive(Debug, Clone)]
pub struct UpdateLog {
    database: Database,
}

impl UpdateLog {
    /// The one in `database`.
    pub fn new(database: &Database) -> Self {
        Self { database: database.clone() }
    }

    /// All records, in order.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub fn load(&self) -> Result<Vec<UpdateRecord>, DatabaseError> {
        self.after(0)
    }

    /// The records that follow `seq`, in order: what others have appended meanwhile.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub fn after(&self, seq: u64) -> Result<Vec<UpdateRecord>, DatabaseError> {
        self.database.read(|tx| {
            let sql = "SELECT seq, base_id, update_date, response_id, version, notes FROM update_record WHERE seq > ?1 ORDER BY seq";
            let mut statement = tx.prepare_cached(sql)?;
            let records = statement.query_map([seq], |row| {
                Ok(UpdateRecord {
                    seq: row.get(0)?,
                    base_id: row.get(1)?,
                    update_date: row.get(2)?,
                    response_id: row.get(3)?,
                    version: row.get(4)?,
                    notes: row.get(5)?,
                })
            })?;
            Ok(records.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Appends a record.
    ///
    /// # Errors
    /// [`RegistryError::Behind`] when somebody else has appended since the history was loaded: load what follows and make the
    /// record again. [`RegistryError::IdTaken`] when the id was used before.
    pub fn append(&self, record: &UpdateRecord) -> Result<(), RegistryError> {
        self.database.write(|tx| {
            expect_next(tx, "history of updates", "update_record", record.seq)?;
            if let Some(version) = named(tx, &record.response_id)? {
                return Err(RegistryError::IdTaken { id: record.response_id.clone(), version });
            }
            tx.prepare_cached("INSERT INTO update_record VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute((
                record.seq,
                &record.base_id,
                record.update_date,
                &record.response_id,
                &record.version,
                &record.notes,
            ))?;
            Ok(())
        })
    }
}

/// The version that an id names.
fn named(tx: &Transaction<'_>, response_id: &str) -> Result<Option<String>, DatabaseError> {
    let mut statement = tx.prepare_cached("SELECT version FROM update_record WHERE response_id = ?1")?;
    Ok(statement.query_row([response_id], |row| row.get(0)).optional()?)
}

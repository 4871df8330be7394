//! The schema: numbered SQL files, forward only.

use rusqlite::{Transaction, TransactionBehavior};

use super::error::DatabaseError;

/// What marks a file as this library's: "modr".
const APPLICATION_ID: i32 = 0x6d6f_6472;

/// Schema N is what the first N of these make. A released one is never changed.
pub(super) const MIGRATIONS: &[&str] =
    &[include_str!("migrations/0001_registry.sql"), include_str!("migrations/0002_usage.sql")];

/// Whose file it is, and its schema: 0 if it is new.
///
/// # Errors
/// [`DatabaseError::Foreign`], [`DatabaseError::Newer`].
pub(super) fn check_identity(tx: &Transaction<'_>, migrations: &[&str]) -> Result<usize, DatabaseError> {
    let application_id: i32 = tx.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let found: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let objects: i64 = tx.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if (application_id, found, objects) == (0, 0, 0) {
        return Ok(0);
    }
    if application_id != APPLICATION_ID {
        return Err(DatabaseError::Foreign { path: None, application_id });
    }
    match usize::try_from(found) {
        Ok(schema) if schema <= migrations.len() => Ok(schema),
        _ => Err(DatabaseError::Newer { path: None, found, known: migrations.len() as i64 }),
    }
}

/// Brings the schema forward, each step in a transaction of its own: what is interrupted goes on the next time. Several
/// processes may do it at once.
pub(super) fn migrate(sqlite: &mut rusqlite::Connection, migrations: &[&str]) -> Result<(), DatabaseError> {
    loop {
        let schema = check_identity(&sqlite.unchecked_transaction()?, migrations)?;
        if schema == migrations.len() {
            return Ok(());
        }
        let tx = sqlite.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have done it meanwhile.
        let schema = check_identity(&tx, migrations)?;
        if let Some(step) = migrations.get(schema) {
            tx.execute_batch(step)?;
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
            tx.pragma_update(None, "user_version", schema as i64 + 1)?;
            tx.commit()?;
        }
    }
}

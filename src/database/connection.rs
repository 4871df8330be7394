//! One connection: reads, and writes as transactions.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Transaction, TransactionBehavior};

use super::error::DatabaseError;

/// What a write has survived when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Durability {
    /// It is on the disk: it survives loss of power.
    Synced,
    /// The operating system has it: it survives the death of the process. Loss of power may undo the last writes, never
    /// half of one.
    Buffered,
}

/// A connection to a [`Database`](super::Database). Clones share it; one thread uses it at a time, others wait.
///
/// The closures of [`Connection::read`] and [`Connection::write`] must not use the same connection again: they would wait for
/// themselves until the time is up.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
}

struct Shared {
    /// `None` in memory.
    path: Option<Arc<Path>>,
    patience: Duration,
    sqlite: Mutex<rusqlite::Connection>,
    /// Writes through this connection.
    writes: AtomicU64,
}

impl Connection {
    pub(super) fn new(path: Option<Arc<Path>>, patience: Duration, sqlite: rusqlite::Connection) -> Self {
        let shared = Shared { path, patience, sqlite: Mutex::new(sqlite), writes: AtomicU64::new(0) };
        Self { shared: Arc::new(shared) }
    }

    /// Runs `body` on one unchanging snapshot of the database.
    ///
    /// # Errors
    /// What `body` returns; [`DatabaseError`] when the snapshot cannot be had.
    pub fn read<T, E>(&self, body: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<DatabaseError>,
    {
        let mut sqlite = self.lock()?;
        let transaction = self.begin(&mut sqlite, TransactionBehavior::Deferred)?;
        // Dropped without a commit: there is nothing to commit.
        body(&transaction)
    }

    /// Runs `body` as one transaction that no other writer can come between, and commits it. Nothing stays of it when `body`
    /// fails or panics.
    ///
    /// Waits for other writers, of other processes too, for as long as the database was opened with.
    ///
    /// # Errors
    /// What `body` returns; [`DatabaseError::Locked`] when others did not let it begin, other [`DatabaseError`]s when it cannot
    /// be committed.
    pub fn write<T, E>(&self, body: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<DatabaseError>,
    {
        let mut sqlite = self.lock()?;
        let transaction = self.begin(&mut sqlite, TransactionBehavior::Immediate)?;
        let value = body(&transaction)?;
        transaction.commit().map_err(|error| self.explain(error))?;
        self.shared.writes.fetch_add(1, Ordering::Release);
        Ok(value)
    }

    /// A number that is another one after somebody else has written: another connection, or another process. Of a database in
    /// memory, where all share one connection, after anybody has.
    ///
    /// # Errors
    /// [`DatabaseError`] when the file cannot be read.
    pub fn data_version(&self) -> Result<u64, DatabaseError> {
        if self.shared.path.is_none() {
            return Ok(self.shared.writes.load(Ordering::Acquire));
        }
        let sqlite = self.lock()?;
        let version = sqlite
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut statement| statement.query_row([], |row| row.get::<_, i64>(0)))
            .map_err(|error| self.explain(error))?;
        Ok(version as u64)
    }

    fn lock(&self) -> Result<MutexGuard<'_, rusqlite::Connection>, DatabaseError> {
        let waited = self.shared.patience;
        let path = || self.shared.path.as_deref().map(Path::to_path_buf);
        self.shared.sqlite.try_lock_for(waited).ok_or_else(|| DatabaseError::Locked { path: path() })
    }

    fn begin<'c>(
        &self,
        sqlite: &'c mut rusqlite::Connection,
        behavior: TransactionBehavior,
    ) -> Result<Transaction<'c>, DatabaseError> {
        sqlite.transaction_with_behavior(behavior).map_err(|error| self.explain(error))
    }

    fn explain(&self, error: rusqlite::Error) -> DatabaseError {
        DatabaseError::of(error, self.shared.path.as_deref())
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

//! Opening a database.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{ErrorCode, OpenFlags, Transaction};

use super::connection::{Connection, Durability};
use super::error::DatabaseError;
use super::migrate::{MIGRATIONS, check_identity, migrate};

/// How long a write waits for other writers.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is left of the log of writes after a burst.
const MAX_LOG_BYTES: i64 = 64 << 20;

/// An open database. Clones share it.
#[derive(Clone)]
pub struct Database {
    /// `None` in memory.
    path: Option<Arc<Path>>,
    patience: Duration,
    main: Connection,
}

impl Database {
    /// Opens the database at `path`, or creates it; brings an older schema forward. Writes wait up to 5 seconds for others.
    ///
    /// # Errors
    /// [`DatabaseError`]: another program's file, a newer library's, no database, locked, read-only, no such directory.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        Self::open_with_patience(path, PATIENCE)
    }

    /// As [`Database::open`], with writes that wait for others for as long as `patience`.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open_with_patience(path: &Path, patience: Duration) -> Result<Self, DatabaseError> {
        // Absolute: a name such as `:memory:` or `file:x?mode=ro` means something else to SQLite.
        let absolute = std::path::absolute(path).map_err(|error| DatabaseError::CannotOpen {
            path: Some(path.to_path_buf()),
            problem: error.to_string(),
            missing: false,
        })?;
        let mut sqlite = open_file(&absolute, patience)?;
        prepare(&mut sqlite, patience).map_err(|error| error.at(&absolute))?;
        configure(&sqlite, Durability::Synced).map_err(|error| DatabaseError::of(error, Some(&absolute)))?;
        let path: Arc<Path> = absolute.into();
        let main = Connection::new(Some(path.clone()), patience, sqlite);
        Ok(Self { path: Some(path), patience, main })
    }

    /// A database that is gone with its last clone. All its connections are one.
    ///
    /// # Errors
    /// [`DatabaseError`] when there is no memory for it.
    pub fn in_memory() -> Result<Self, DatabaseError> {
        let mut sqlite = rusqlite::Connection::open_in_memory()?;
        configure(&sqlite, Durability::Buffered)?;
        migrate(&mut sqlite, MIGRATIONS)?;
        Ok(Self { path: None, patience: PATIENCE, main: Connection::new(None, PATIENCE, sqlite) })
    }

    /// Where it lies; nowhere in memory.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Another connection, whose writes are as durable as `durability`; in memory, the same one.
    ///
    /// # Errors
    /// [`DatabaseError`] when the file cannot be opened again.
    pub fn connection(&self, durability: Durability) -> Result<Connection, DatabaseError> {
        let Some(path) = &self.path else {
            return Ok(self.main.clone());
        };
        let sqlite = open_file(path, self.patience)?;
        configure(&sqlite, durability).map_err(|error| DatabaseError::of(error, Some(path)))?;
        Ok(Connection::new(Some(path.clone()), self.patience, sqlite))
    }

    /// [`Connection::read`] on a connection that all clones share.
    ///
    /// # Errors
    /// As [`Connection::read`].
    pub fn read<T, E>(&self, body: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<DatabaseError>,
    {
        self.main.read(body)
    }

    /// [`Connection::write`], [`Durability::Synced`], on a connection that all clones share.
    ///
    /// # Errors
    /// As [`Connection::write`].
    pub fn write<T, E>(&self, body: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<DatabaseError>,
    {
        self.main.write(body)
    }

    /// Looks through the whole file for damage: pages, indexes, references.
    ///
    /// # Errors
    /// [`DatabaseError::Damaged`] with the first thing found.
    pub fn check(&self) -> Result<(), DatabaseError> {
        self.read(|tx| {
            let found: String = tx.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
            if found != "ok" {
                return Err(DatabaseError::value(found));
            }
            let mut broken = tx.prepare("PRAGMA foreign_key_check")?;
            match broken.query([])?.next()? {
                Some(row) => Err(DatabaseError::value(format!(
                    "a row of {:?} refers to one of {:?} that is not there",
                    row.get::<_, String>(0)?,
                    row.get::<_, String>(2)?
                ))),
                None => Ok(()),
            }
        })
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("path", &self.path).finish_non_exhaustive()
    }
}

fn open_file(path: &Path, patience: Duration) -> Result<rusqlite::Connection, DatabaseError> {
    let explain = |error| DatabaseError::of(error, Some(path));
    // The connection stands behind a mutex of ours; SQLite needs none of its own.
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sqlite = rusqlite::Connection::open_with_flags(path, flags).map_err(explain)?;
    sqlite.busy_timeout(patience).map_err(explain)?;
    // SQLite falls back to reading where it may not write.
    if sqlite.is_readonly("main").map_err(explain)? {
        return Err(DatabaseError::ReadOnly { path: Some(path.to_path_buf()) });
    }
    Ok(sqlite)
}

/// Makes sure that the file is ours before anything in it is changed, then switches to WAL and migrates.
fn prepare(sqlite: &mut rusqlite::Connection, patience: Duration) -> Result<(), DatabaseError> {
    check_identity(&sqlite.unchecked_transaction()?, MIGRATIONS)?;
    switch_to_wal(sqlite, patience)?;
    migrate(sqlite, MIGRATIONS)
}

/// The switch needs the file for itself and does not always wait for it, so that processes that create a database together
/// try again until one of them has done it.
fn switch_to_wal(sqlite: &rusqlite::Connection, patience: Duration) -> Result<(), DatabaseError> {
    let begun = Instant::now();
    loop {
        match sqlite.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => return Err(DatabaseError::NotShareable { path: None }),
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && begun.elapsed() < patience =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn configure(sqlite: &rusqlite::Connection, durability: Durability) -> rusqlite::Result<()> {
    let synchronous = match durability {
        Durability::Synced => "FULL",
        Durability::Buffered => "NORMAL",
    };
    sqlite.pragma_update(None, "synchronous", synchronous)?;
    // Where a sync alone leaves the data in the disk's own cache (macOS).
    sqlite.pragma_update(None, "fullfsync", durability == Durability::Synced)?;
    sqlite.pragma_update(None, "foreign_keys", true)?;
    sqlite.pragma_update(None, "trusted_schema", false)?;
    sqlite.pragma_update(None, "cell_size_check", true)?;
    // A mapped file that somebody cuts kills the process.
    sqlite.pragma_update(None, "mmap_size", 0)?;
    sqlite.pragma_update(None, "journal_size_limit", MAX_LOG_BYTES)?;
    sqlite.set_prepared_statement_cache_capacity(64);
    Ok(())
}

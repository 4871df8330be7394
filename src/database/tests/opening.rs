//! Which files are opened, and what is said of the others.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::database::{Database, DatabaseError};
use crate::error::{Error, ErrorKind};

fn refused(path: &Path) -> (DatabaseError, ErrorKind) {
    let kind = Error::from(Database::open(path).unwrap_err()).kind();
    let error = Database::open(path).unwrap_err();
    let line = error.to_string();
    assert!(line.contains(&*path.to_string_lossy()) && !line.contains('\n'), "{line}");
    (error, kind)
}

#[test]
fn what_was_written_is_there_when_it_is_opened_again() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("runtime.db");
    for round in 0..3_i64 {
        let database = Database::open(&path).unwrap();
        assert_eq!(database.path(), Some(path.as_path()));
        let count = database
            .write(|tx| {
                let count: i64 = tx.query_row("SELECT counter FROM registry_change", [], |row| row.get(0))?;
                tx.execute("UPDATE registry_change SET counter = counter + 1", [])?;
                Ok::<_, DatabaseError>(count)
            })
            .unwrap();
        assert_eq!(count, round);
        database.check().unwrap();
    }
}

#[test]
fn another_programs_database_is_left_as_it_is() {
    let dir = TempDir::new().unwrap();
    for (name, sql) in [
        ("tables.db", "CREATE TABLE theirs (x)"),
        ("id.db", "PRAGMA application_id = 252006674"),
        ("version.db", "PRAGMA user_version = 1"),
    ] {
        let path = dir.path().join(name);
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let before = fs::read(&path).unwrap();
        let (error, kind) = refused(&path);
        assert!(matches!(error, DatabaseError::Foreign { .. }), "{error}");
        assert_eq!(kind, ErrorKind::Conflict);
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn a_newer_librarys_database_is_left_as_it_is() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("newer.db");
    drop(Database::open(&path).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 1000).unwrap();
    let (error, kind) = refused(&path);
    assert!(matches!(error, DatabaseError::Newer { found: 1000, .. }), "{error}");
    assert_eq!(kind, ErrorKind::Unsupported);
}

#[test]
fn what_is_no_database_is_said_to_be_none() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("weights.gguf");
    let content = b"GGUF and then much more that is no page of a database".repeat(100);
    fs::write(&path, &content).unwrap();
    let (error, kind) = refused(&path);
    assert!(matches!(error, DatabaseError::NotADatabase { .. }), "{error}");
    assert_eq!(kind, ErrorKind::Conflict);
    assert_eq!(fs::read(&path).unwrap(), content);

    let (error, kind) = refused(dir.path());
    assert!(matches!(error, DatabaseError::CannotOpen { missing: false, .. }), "{error}");
    assert_eq!(kind, ErrorKind::Io);

    let (error, kind) = refused(&dir.path().join("nowhere/runtime.db"));
    assert!(matches!(error, DatabaseError::CannotOpen { missing: true, .. }), "{error}");
    assert_eq!(kind, ErrorKind::NotFound);
}

/// Each byte of the header and of the schema page is overwritten in turn: an error or a database, never a panic.
#[test]
fn damage_is_an_error() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("good.db");
    drop(Database::open(&path).unwrap());
    let good = fs::read(&path).unwrap();
    let damaged = dir.path().join("damaged.db");
    let mut refused = 0;
    for at in (0..100).chain((100..good.len().min(4096)).step_by(37)) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x5a;
        fs::write(&damaged, bytes).unwrap();
        match Database::open(&damaged).and_then(|database| database.check()) {
            Ok(()) => {}
            Err(error) => {
                refused += 1;
                assert!(!matches!(error, DatabaseError::Locked { .. }), "{at}: {error}");
            }
        }
        for suffix in ["-wal", "-shm"] {
            fs::remove_file(dir.path().join(format!("damaged.db{suffix}"))).ok();
        }
    }
    assert!(refused > 40, "{refused}");
    for length in [50, 99, 4095, good.len() - 4096] {
        fs::write(&damaged, &good[..length]).unwrap();
        assert!(Database::open(&damaged).and_then(|database| database.check()).is_err(), "{length}");
    }
}

/// Names that mean something else to SQLite are names of files here.
#[test]
fn every_name_is_the_name_of_a_file() {
    let dir = TempDir::new().unwrap();
    for name in ["file:x?mode=memory", ":memory:", "a b%20c.db", "ä.db"] {
        let path = dir.path().join(name);
        drop(Database::open(&path).unwrap());
        assert!(fs::metadata(&path).unwrap().len() > 0, "{name}");
    }
}

#[test]
fn many_can_create_it_at_once() {
    for _ in 0..5 {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("runtime.db");
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                thread::spawn(move || Database::open(&path).map(drop))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
        Database::open(&path).unwrap().check().unwrap();
    }
}

#[test]
fn an_open_file_that_somebody_holds_is_locked() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("runtime.db");
    let holder = Database::open(&path).unwrap();
    let waiting = Database::open_with_patience(&path, Duration::from_millis(20)).unwrap();
    holder
        .write(|_| {
            let error = waiting.write(|_| Ok::<_, DatabaseError>(())).unwrap_err();
            assert!(matches!(error, DatabaseError::Locked { .. }), "{error}");
            let error = Error::from(error);
            assert_eq!(error.kind(), ErrorKind::Overloaded);
            assert!(error.is_retryable() && error.retry_after().is_some());
            // Readers do not wait for a writer.
            waiting.read(|tx| {
                Ok::<_, DatabaseError>(tx.query_row("SELECT counter FROM registry_change", [], |_| Ok(()))?)
            })
        })
        .unwrap();
    waiting.write(|_| Ok::<_, DatabaseError>(())).unwrap();
}

//! Reads and writes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use tempfile::TempDir;

use crate::database::{Connection, Database, DatabaseError, Durability};
use crate::error::{Error, ErrorKind};

const COUNT: &str = "UPDATE registry_change SET counter = counter + 1";

fn counter(connection: &Connection) -> i64 {
    connection
        .read(|tx| {
            Ok::<_, DatabaseError>(tx.query_row("SELECT counter FROM registry_change", [], |row| row.get(0))?)
        })
        .unwrap()
}

/// A database in a file and one in memory behave alike.
fn both(test: impl Fn(&Database)) {
    let dir = TempDir::new().unwrap();
    test(&Database::open(&dir.path().join("runtime.db")).unwrap());
    test(&Database::in_memory().unwrap());
}

#[test]
fn a_write_that_fails_or_panics_leaves_nothing() {
    both(|database| {
        let connection = database.connection(Durability::Buffered).unwrap();
        let failed: Result<(), _> = connection.write(|tx| {
            tx.execute(COUNT, [])?;
            Err(DatabaseError::value("no"))
        });
        assert!(matches!(failed, Err(DatabaseError::Damaged { .. })));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            connection.write(|tx| -> Result<(), DatabaseError> {
                tx.execute(COUNT, [])?;
                panic!("in the middle")
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(counter(&connection), 0);
        connection.write(|tx| Ok::<_, DatabaseError>(tx.execute(COUNT, [])?)).unwrap();
        assert_eq!(counter(&connection), 1);
    });
}

#[test]
fn no_write_is_lost_among_many_connections() {
    both(|database| {
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let durability = [Durability::Synced, Durability::Buffered][number % 2];
                let connection = database.connection(durability).unwrap();
                thread::spawn(move || {
                    for _ in 0..25 {
                        connection.write(|tx| Ok::<_, DatabaseError>(tx.execute(COUNT, [])?)).unwrap();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(counter(&database.connection(Durability::Synced).unwrap()), 100);
    });
}

#[test]
fn a_read_sees_one_state() {
    let dir = TempDir::new().unwrap();
    let database = Database::open(&dir.path().join("runtime.db")).unwrap();
    let reader = database.connection(Durability::Buffered).unwrap();
    reader
        .read(|tx| {
            let first: i64 = tx.query_row("SELECT counter FROM registry_change", [], |row| row.get(0))?;
            database.write(|tx| Ok::<_, DatabaseError>(tx.execute(COUNT, [])?))?;
            let second: i64 = tx.query_row("SELECT counter FROM registry_change", [], |row| row.get(0))?;
            assert_eq!(first, second);
            Ok::<_, DatabaseError>(())
        })
        .unwrap();
    assert_eq!(counter(&reader), 1);
}

#[test]
fn the_data_version_tells_of_others_writes() {
    both(|database| {
        let reader = database.connection(Durability::Buffered).unwrap();
        let before = reader.data_version().unwrap();
        assert_eq!(reader.data_version().unwrap(), before);
        database.write(|tx| Ok::<_, DatabaseError>(tx.execute(COUNT, [])?)).unwrap();
        let after = reader.data_version().unwrap();
        assert_ne!(after, before);
        assert_eq!(reader.data_version().unwrap(), after);
    });
}

#[test]
fn a_full_disk_and_a_read_only_one_are_told_apart() {
    both(|database| {
        let connection = database.connection(Durability::Buffered).unwrap();
        let fill = |sql: &str| {
            connection.read(|tx| Ok::<_, DatabaseError>(tx.execute_batch(sql)?)).unwrap();
            let error = connection
                .write(|tx| {
                    for number in 0..1000 {
                        let configuration = "x".repeat(4000);
                        tx.execute(
                            "INSERT INTO endpoint_configuration VALUES ('e', ?1 + 1, ?2, '', '')",
                            (number, configuration),
                        )?;
                    }
                    Ok::<_, DatabaseError>(())
                })
                .unwrap_err();
            assert_eq!(counter(&connection), 0);
            error
        };
        let error = fill("PRAGMA max_page_count = 60");
        assert!(matches!(error, DatabaseError::Full { .. }), "{error}");
        assert_eq!(Error::from(error).kind(), ErrorKind::Io);
        let error = fill("PRAGMA query_only = true");
        assert!(matches!(error, DatabaseError::ReadOnly { .. }), "{error}");
    });
}

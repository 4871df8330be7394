//! Going from one schema to the next.

use crate::database::DatabaseError;
use crate::database::migrate::{MIGRATIONS, check_identity, migrate};

const STEPS: [&str; 3] = [
    "CREATE TABLE numbers (n INTEGER) STRICT; INSERT INTO numbers VALUES (1), (2);",
    "ALTER TABLE numbers ADD COLUMN twice INTEGER; UPDATE numbers SET twice = 2 * n;",
    "CREATE INDEX numbers_twice ON numbers (twice);",
];

fn schema(sqlite: &rusqlite::Connection) -> Result<usize, DatabaseError> {
    check_identity(&sqlite.unchecked_transaction().unwrap(), &STEPS)
}

#[test]
fn rows_survive_each_step() {
    let mut sqlite = rusqlite::Connection::open_in_memory().unwrap();
    for steps in 1..=STEPS.len() {
        migrate(&mut sqlite, &STEPS[..steps]).unwrap();
        assert_eq!(schema(&sqlite).unwrap(), steps);
    }
    let sum: i64 = sqlite.query_row("SELECT sum(twice) FROM numbers", [], |row| row.get(0)).unwrap();
    assert_eq!(sum, 6);
    let error = migrate(&mut sqlite, &STEPS[..2]).unwrap_err();
    assert!(matches!(error, DatabaseError::Newer { found: 3, known: 2, .. }), "{error}");
}

#[test]
fn a_step_that_fails_leaves_the_schema_before_it() {
    let mut sqlite = rusqlite::Connection::open_in_memory().unwrap();
    let broken = [STEPS[0], "CREATE TABLE more (x); INSERT INTO nowhere VALUES (1);"];
    assert!(matches!(migrate(&mut sqlite, &broken), Err(DatabaseError::Statement { .. })));
    assert_eq!(schema(&sqlite).unwrap(), 1);
    migrate(&mut sqlite, &STEPS).unwrap();
}

/// A statement about a table that is not there would be seen only when it runs.
#[test]
fn every_trigger_can_fire() {
    let mut sqlite = rusqlite::Connection::open_in_memory().unwrap();
    migrate(&mut sqlite, MIGRATIONS).unwrap();
    let triggers: i64 = sqlite
        .query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'", [], |row| row.get(0))
        .unwrap();
    assert!(triggers > 10, "{triggers}");
    let mut tables =
        sqlite.prepare("SELECT DISTINCT tbl_name FROM sqlite_schema WHERE type = 'trigger'").unwrap();
    for table in tables.query_map([], |row| row.get::<_, String>(0)).unwrap() {
        let table = table.unwrap();
        sqlite.prepare(&format!("DELETE FROM {table}")).unwrap();
        let columns: Vec<String> = sqlite
            .prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        for column in columns {
            sqlite.prepare(&format!("UPDATE {table} SET {column} = {column}")).unwrap();
        }
    }
}

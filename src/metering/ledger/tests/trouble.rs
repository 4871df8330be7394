//! A database that does not take what is recorded.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use tempfile::tempdir;

use super::{clock, heard, open, record, told};
use crate::clock::{Clock, SystemClock};
use crate::database::{Database, DatabaseError, Durability};
use crate::error::{Error, ErrorKind};
use crate::metering::ledger::{Ledger, LedgerError, LedgerOptions, Page, UsageFilter};

fn ids(ledger: &Ledger) -> Vec<String> {
    let page = ledger.records(&UsageFilter::default(), Page { after: 0, limit: 1_000 }).unwrap();
    page.records.into_iter().map(|record| record.request_id).collect()
}

/// Another writer, who holds the database until told to let go.
fn hold(path: &Path) -> (Sender<()>, std::thread::JoinHandle<()>) {
    let (let_go, hear): (Sender<()>, Receiver<()>) = bounded(0);
    let (tell_held, held) = bounded(1);
    let connection = Database::open(path).unwrap().connection(Durability::Buffered).unwrap();
    let thread = std::thread::spawn(move || {
        let write = connection.write(|_| {
            tell_held.send(()).unwrap();
            // Until the sender is dropped.
            let _ = hear.recv();
            Ok::<_, DatabaseError>(())
        });
        write.unwrap();
    });
    held.recv().unwrap();
    (let_go, thread)
}

#[test]
fn while_it_is_locked_records_wait_and_who_waits_is_told_in_time() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let clock = clock();
    let ledger = open(&path, &clock);
    let (let_go, holder) = hold(&path);
    let first = told(&ledger, record("first"));
    clock.advance(Duration::from_secs(4));
    let second = told(&ledger, record("second"));
    clock.advance(Duration::from_secs(1));
    let error = heard(&first).unwrap_err();
    let LedgerError::Delayed { waited, cause } = &error else { panic!("{error}") };
    assert_eq!(*waited, Duration::from_secs(5));
    assert!(matches!(**cause, DatabaseError::Locked { .. }), "{cause}");
    assert_eq!(Error::from(error.clone()).kind(), ErrorKind::Overloaded);
    assert!(second.is_empty(), "its time is not up");
    assert_eq!((ledger.unwritten(), ids(&ledger)), (2, vec![]));
    drop(let_go);
    holder.join().unwrap();
    heard(&second).unwrap();
    // The first is on the disk all the same, and is told nothing twice.
    assert_eq!((ledger.unwritten(), ids(&ledger)), (0, vec!["first".into(), "second".into()]));
    assert!(first.is_empty());
    ledger.flush().unwrap();
}

/// A host's clock that panics on the ledger's thread while told to.
struct PanickingClock {
    told_to: AtomicBool,
    tell: Sender<()>,
}

impl Clock for PanickingClock {
    fn wall(&self) -> jiff::Timestamp {
        SystemClock::new().wall()
    }

    fn monotonic(&self) -> Duration {
        let is_here = std::thread::current().name() == Some("mr-ledger");
        if is_here && self.told_to.load(Ordering::SeqCst) {
            let _ = self.tell.try_send(());
            panic!("the clock was told to panic");
        }
        Duration::ZERO
    }
}

#[test]
fn a_panic_on_its_thread_loses_no_record() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let (tell, panics) = bounded(2);
    let clock = Arc::new(PanickingClock { told_to: AtomicBool::new(true), tell });
    let ledger =
        Ledger::open(&Database::open(&path).unwrap(), clock.clone(), LedgerOptions::default()).unwrap();
    let (let_go, holder) = hold(&path);
    let kept = told(&ledger, record("kept"));
    // The attempt that fails asks for the time; so does the next, behind the panic.
    for _ in 0..2 {
        panics.recv_timeout(Duration::from_secs(20)).unwrap();
    }
    clock.told_to.store(false, Ordering::SeqCst);
    drop(let_go);
    holder.join().unwrap();
    heard(&kept).unwrap();
    ledger.flush().unwrap();
    assert_eq!((ledger.unwritten(), ids(&ledger)), (0, vec!["kept".into()]));
}

#[test]
fn a_ledger_that_panics_until_it_is_closed_tells_that_the_record_is_lost() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let (tell, _panics) = bounded(1);
    let clock = Arc::new(PanickingClock { told_to: AtomicBool::new(true), tell });
    let ledger = Ledger::open(&Database::open(&path).unwrap(), clock, LedgerOptions::default()).unwrap();
    let (let_go, holder) = hold(&path);
    let lost = told(&ledger, record("lost"));
    drop(ledger);
    let error = heard(&lost).unwrap_err();
    assert!(matches!(&error, LedgerError::Lost { request_id, .. } if request_id == "lost"), "{error}");
    drop(let_go);
    holder.join().unwrap();
}

#[test]
fn who_flushes_a_locked_database_is_told_in_time() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let options = LedgerOptions { patience: Duration::ZERO, ..LedgerOptions::default() };
    let ledger = Ledger::open(&Database::open(&path).unwrap(), clock(), options).unwrap();
    let (let_go, holder) = hold(&path);
    ledger.flush().unwrap();
    ledger.record(record("r"), |_| {});
    assert!(matches!(ledger.flush(), Err(LedgerError::Delayed { .. })));
    drop(let_go);
    holder.join().unwrap();
}

#[test]
fn no_more_is_admitted_than_there_is_room_for() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let options = LedgerOptions { most_unwritten: 3, ..LedgerOptions::default() };
    let ledger = Ledger::open(&Database::open(&path).unwrap(), clock(), options).unwrap();
    let (let_go, holder) = hold(&path);
    let running = ledger.admit().unwrap();
    drop(ledger.admit().unwrap());
    let waiting = [told(&ledger, record("a")), told(&ledger, record("b"))];
    let error = ledger.admit().unwrap_err();
    let expected =
        "usage of 3 requests is not yet written; accepted are new requests as soon as some of it is";
    assert_eq!(error.to_string(), expected);
    let error = Error::from(error);
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Overloaded, Some(Duration::from_secs(1))));
    // Without a slot there is no place; with one there always is.
    assert!(matches!(heard(&told(&ledger, record("c"))), Err(LedgerError::Full { most: 3 })));
    let (tell, last) = bounded(1);
    running.record(record("d"), move |result| tell.send(result).unwrap());
    drop(let_go);
    holder.join().unwrap();
    waiting.iter().for_each(|told| heard(told).unwrap());
    heard(&last).unwrap();
    drop(ledger.admit().unwrap());
    assert_eq!(ids(&ledger), ["a", "b", "d"]);
}

/// Whoever waits is told after the first attempt that fails.
fn impatient(database: &Database) -> Ledger {
    let options = LedgerOptions { patience: Duration::ZERO, ..LedgerOptions::default() };
    Ledger::open(database, clock(), options).unwrap()
}

/// A ledger whose database cannot grow, in memory, where all connections are one.
fn full() -> (Ledger, Database) {
    let database = Database::in_memory().unwrap();
    let ledger = impatient(&database);
    limit_pages(&database, 1);
    (ledger, database)
}

/// SQLite takes what there is already if that is more.
fn limit_pages(database: &Database, pages: u32) {
    let set: Result<(), DatabaseError> =
        database.read(|tx| Ok(tx.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?));
    set.unwrap();
}

#[test]
fn a_full_disk_keeps_records_until_there_is_room() {
    let (ledger, database) = full();
    let told: Vec<_> = (0..200).map(|number| told(&ledger, record(&number.to_string()))).collect();
    // Some may fit into the pages that there are; a transaction fits or does not.
    let delayed: Vec<_> = told.iter().filter_map(|told| heard(told).err()).collect();
    assert!(!delayed.is_empty());
    for error in &delayed {
        let LedgerError::Delayed { cause, .. } = error else { panic!("{error}") };
        assert!(matches!(**cause, DatabaseError::Full { .. }), "{cause}");
    }
    assert_eq!((ids(&ledger).len(), ledger.unwritten()), (200 - delayed.len(), delayed.len()));
    limit_pages(&database, 1_000_000);
    ledger.flush().unwrap();
    assert_eq!(ids(&ledger), (0..200).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn what_a_closed_ledger_could_not_write_is_told_as_lost() {
    let (ledger, database) = full();
    // By somebody who waits for all of them: nobody is told before the end.
    let options = LedgerOptions { patience: Duration::MAX, ..LedgerOptions::default() };
    drop(ledger);
    let ledger = Ledger::open(&database, clock(), options).unwrap();
    let told: Vec<_> = (0..200).map(|number| told(&ledger, record(&number.to_string()))).collect();
    drop(ledger);
    let lost: Vec<_> = told.iter().filter_map(|told| heard(told).err()).collect();
    assert!(!lost.is_empty());
    for error in lost {
        let LedgerError::Lost { cause, .. } = &error else { panic!("{error}") };
        assert!(matches!(**cause, DatabaseError::Full { .. }), "{cause}");
        assert_eq!(Error::from(error).kind(), ErrorKind::Io);
    }
}

#[test]
fn one_record_that_cannot_be_written_stops_no_other() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let database = Database::open(&path).unwrap();
    let ledger = Ledger::open(&database, clock(), LedgerOptions::default()).unwrap();
    let refuse: Result<(), DatabaseError> = database.write(|tx| {
        let sql = "CREATE TRIGGER refuse BEFORE INSERT ON usage WHEN NEW.request_id = 'bad' \
                   BEGIN SELECT RAISE(ABORT, 'not this one'); END";
        Ok(tx.execute_batch(sql)?)
    });
    refuse.unwrap();
    let (let_go, holder) = hold(&path);
    let told: Vec<_> = ["a", "b", "bad", "c"].map(|id| told(&ledger, record(id))).into();
    drop(let_go);
    holder.join().unwrap();
    let results: Vec<_> = told.iter().map(|told| heard(told).map_err(|error| error.to_string())).collect();
    let refused = Err("the database: not this one".to_owned());
    assert_eq!(results, [Ok(()), Ok(()), refused, Ok(())]);
    assert_eq!((ids(&ledger), ledger.unwritten()), (vec!["a".into(), "b".into(), "c".into()], 0));
}

#[test]
fn a_database_of_which_a_table_is_gone_loses_no_record() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let database = Database::open(&path).unwrap();
    let ledger = impatient(&database);
    let rename = |from, to| {
        let sql = format!("PRAGMA legacy_alter_table = ON; ALTER TABLE {from} RENAME TO {to}");
        database.write(|tx| Ok::<_, DatabaseError>(tx.execute_batch(&sql)?)).unwrap();
    };
    rename("usage", "gone");
    let error = heard(&told(&ledger, record("r"))).unwrap_err();
    assert!(matches!(error, LedgerError::Delayed { .. }), "{error}");
    rename("gone", "usage");
    ledger.flush().unwrap();
    assert_eq!(ids(&ledger), ["r"]);
}

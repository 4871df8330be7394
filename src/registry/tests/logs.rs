//! The logs: each takes what follows, keeps it, and nothing else.

use std::collections::BTreeSet;
use std::thread;

use jiff::civil::date;
use serde_json::json;

use super::*;
use crate::catalog::{Catalog, Offering, Subject, Task};
use crate::error::{Error, ErrorKind};
use crate::lifecycle::{Change, Draft, EventKey, Offer, Plan, State, Timeline, UpdateHistory};
use crate::registry::{DeliveredEvents, EndpointLog, TimelineLog, UpdateLog};

fn database(bench: &Bench) -> Database {
    Database::open(&bench.dir.path().join("runtime.db")).unwrap()
}

fn refuses_changes(database: &Database, table: &str, column: &str) {
    for sql in [format!("DELETE FROM {table}"), format!("UPDATE {table} SET {column} = {column}")] {
        let outcome = database.write(|tx| Ok::<_, RegistryError>(tx.execute(&sql, [])?));
        assert!(outcome.unwrap_err().to_string().contains("append-only"), "{sql}");
    }
}

#[test]
fn a_timeline_is_replayed_as_it_was_recorded() {
    let bench = Bench::new();
    let catalog = Catalog::builtin().unwrap();
    let start: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    let drafts = [
        Change::Offer(Offer::of([Task::Chat]).available_from(date(2026, 3, 1))),
        Change::Plan(Plan::legacy_from(date(2026, 6, 1))),
        Change::Reinstate,
    ];
    let mut timeline = Timeline::new(catalog.policy().clone());
    for (day, change) in drafts.into_iter().enumerate() {
        let at = start + jiff::Span::new().hours(24 * day as i64);
        let draft =
            Draft::new(Subject::model("m"), Offering::PayPerToken, change).by("ann").because("it's \"time\"");
        let revision = timeline.prepare(draft, at).unwrap();
        let log = TimelineLog::new(&database(&bench));
        log.append(&revision).unwrap();
        timeline.apply(revision).unwrap();
        let replayed = Timeline::replay(catalog.policy().clone(), [], log.load().unwrap()).unwrap();
        assert_eq!(replayed, timeline);
        assert_eq!(log.after(day as u64).unwrap(), timeline.revisions()[day..]);
    }
    refuses_changes(&database(&bench), "timeline_revision", "revision");
}

/// Two processes prepare the same number; the second is told to prepare again.
#[test]
fn who_is_behind_is_told_so() {
    let bench = Bench::new();
    let log = TimelineLog::new(&database(&bench));
    let timeline = Timeline::new(Catalog::builtin().unwrap().policy().clone());
    let now = "2026-03-01T00:00:00Z".parse().unwrap();
    let offer = |name: &str| {
        Draft::new(Subject::model(name), Offering::PayPerToken, Change::Offer(Offer::of([Task::Chat])))
    };
    let (mine, theirs) =
        (timeline.prepare(offer("mine"), now).unwrap(), timeline.prepare(offer("theirs"), now).unwrap());
    TimelineLog::new(&database(&bench)).append(&theirs).unwrap();
    let error = log.append(&mine).unwrap_err();
    assert!(matches!(error, RegistryError::Behind { expected: 2, found: 1, .. }), "{error}");
    assert_eq!(Error::from(error).kind(), ErrorKind::Conflict);
    let mut timeline = timeline;
    log.after(0).unwrap().into_iter().for_each(|revision| timeline.apply(revision).unwrap());
    let again = timeline.prepare(offer("mine"), now).unwrap();
    log.append(&again).unwrap();
    assert_eq!(log.load().unwrap(), [theirs, again.clone()]);

    let gap = crate::lifecycle::Revision { seq: 9, ..again.clone() };
    assert!(matches!(log.append(&gap), Err(RegistryError::Behind { expected: 3, .. })));
    let imported = crate::lifecycle::Revision { seq: 3, imported: true, ..again };
    assert!(matches!(log.append(&imported), Err(RegistryError::Invalid { .. })));
}

#[test]
fn an_id_names_one_version_for_ever() {
    let bench = Bench::new();
    let log = UpdateLog::new(&database(&bench));
    let mut history = UpdateHistory::new();
    log.append(history.register("meta-llama/Meta-Llama-3.3-70B", "models:/a.b.c/1").unwrap()).unwrap();
    for (day, version) in [(date(2024, 3, 4), "2"), (date(2024, 12, 1), "3"), (date(2024, 12, 1), "4")] {
        log.append(history.update("meta-llama/Meta-Llama-3.3-70B", day, version, "faster").unwrap()).unwrap();
    }
    let records = UpdateLog::new(&database(&bench)).load().unwrap();
    assert_eq!(UpdateHistory::try_from(records.clone()).unwrap(), history);
    assert_eq!(records[3].response_id, "meta-llama/Meta-Llama-3.3-70B-120124.2");

    let mut record = records[1].clone();
    assert!(matches!(log.append(&record), Err(RegistryError::Behind { expected: 5, found: 2, .. })));
    record.seq = 5;
    let error = log.append(&record).unwrap_err();
    assert_says(&error, &["-030424", "\"2\"", "never used"]);
    assert_eq!(Error::from(error).kind(), ErrorKind::Conflict);
    refuses_changes(&database(&bench), "update_record", "version");
}

#[test]
fn each_event_is_told_by_one() {
    let bench = Bench::new();
    let key = |round| EventKey {
        subject: Subject::family("Mixtral"),
        offering: Offering::FineTuning,
        state: State::Announced,
        principal: "ann".into(),
        round,
    };
    let tellers: Vec<_> = (0..4)
        .map(|_| {
            let log = DeliveredEvents::new(&database(&bench), bench.clock.clone());
            thread::spawn(move || (0..20).filter(|round| log.claim(&key(*round)).unwrap()).count())
        })
        .collect();
    let told: usize = tellers.into_iter().map(|teller| teller.join().unwrap()).sum();
    assert_eq!(told, 20);
    let log = DeliveredEvents::new(&database(&bench), bench.clock.clone());
    assert_eq!(log.load().unwrap(), (0..20).map(key).collect::<BTreeSet<_>>());
    assert!(!log.claim(&key(3)).unwrap());
    let others = EventKey { principal: "bob".into(), ..key(3) };
    assert!(log.claim(&others).unwrap());
}

#[test]
fn an_endpoint_keeps_all_its_configurations() {
    let bench = Bench::new();
    let log = EndpointLog::new(&database(&bench), bench.clock.clone());
    assert!(log.current().unwrap().is_empty());
    assert_eq!(log.append("b", &json!({"entity": "models:/a.b.c/1"}), "first").unwrap(), 1);
    assert_eq!(log.append("a", &json!([1, null, "é"]), "").unwrap(), 1);
    bench.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(log.append("b", &json!({"entity": "models:/a.b.c/2"}), "update").unwrap(), 2);
    let again = EndpointLog::new(&database(&bench), bench.clock.clone());
    let current = again.current().unwrap();
    let shown: Vec<_> = current.iter().map(|c| (&*c.endpoint, c.config_version, &*c.reason)).collect();
    assert_eq!(shown, [("a", 1, ""), ("b", 2, "update")]);
    assert_eq!(current[0].configuration, json!([1, null, "é"]));
    let history = again.history("b").unwrap();
    assert_eq!(history.last(), current.last());
    assert_eq!(history.iter().map(|c| c.config_version).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(history[1].at.duration_since(history[0].at).as_secs(), 1);
    assert!(again.history("c").unwrap().is_empty());
    assert!(again.append("", &json!({}), "").is_err());
    refuses_changes(&database(&bench), "endpoint_configuration", "reason");
}

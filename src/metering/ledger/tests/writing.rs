//! Records on their way to the disk, and last uses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::bounded;
use tempfile::tempdir;

use super::{NOON, at, clock, heard, in_memory, open, record, told};
use crate::catalog::{Offering, Subject};
use crate::database::{Database, DatabaseError};
use crate::error::ErrorKind;
use crate::metering::ledger::last_use;
use crate::metering::ledger::{Ledger, LedgerError, LedgerOptions, Outcome, Page, UsageFilter, UsageRecord};
use crate::metering::limits::{Demand, EndpointLimits, LimitError, Limits, Output, RateLimiter};

fn all(ledger: &Ledger) -> Vec<UsageRecord> {
    ledger.records(&UsageFilter::default(), Page { after: 0, limit: 10_000 }).unwrap().records
}

#[test]
fn a_record_comes_back_as_it_went_in() {
    let ledger = in_memory();
    let mut bare = record("bare");
    bare.client_request_id = Some("mine \u{1F980} \0 '; DROP TABLE usage; --".into());
    (bare.entity_version, bare.subject, bare.usage_context) = (None, None, None);
    (bare.admitted, bare.request_streaming) = (false, false);
    bare.outcome = Outcome::failed(ErrorKind::RateLimited);
    bare.phases = Default::default();
    heard(&told(&ledger, record("full"))).unwrap();
    heard(&told(&ledger, bare.clone())).unwrap();
    assert_eq!(all(&ledger), [record("full"), bare.clone()]);
    assert_eq!((bare.outcome.reason.as_str(), bare.outcome.status_code), ("rate_limit_exceeded", 429));
    for record in all(&ledger) {
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<UsageRecord>(&text).unwrap(), record, "{text}");
    }
}

#[test]
fn json_names_what_the_tables_name() {
    let text = serde_json::to_string(&record("r")).unwrap();
    let expected = concat!(
        r#"{"request_id":"r","requester":"ada","endpoint_name":"databricks-meta-llama-3-1-70b-instruct","#,
        r#""served_entity_name":"llama-3-1-70b-3","entity_name":"system.ai.llama","entity_version":3,"#,
        r#""response_model":"meta-llama/Meta-Llama-3.1-70B-030424","#,
        r#""subject":{"kind":"model","name":"Meta Llama 3.1 70B Instruct"},"task":"chat","offering":"pay_per_token","#,
        r#""admitted":true,"outcome":"stop","status_code":200,"input_token_count":12,"cached_token_count":4,"#,
        r#""output_token_count":30,"reasoning_token_count":7,"queued_seconds":0.25,"prefill_seconds":0.5,"#,
        r#""decode_seconds":null,"first_token_seconds":0.75,"request_time":"2024-12-11T00:00:00.000001Z","#,
        r#""finish_time":"2024-12-11T00:00:02Z","request_streaming":true,"#,
        r#""usage_context":{"team":"research","nested":{"a":[1,null]}}}"#,
    );
    assert_eq!(text, expected);
}

#[test]
fn whoever_is_told_the_end_finds_it_on_the_disk() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let ledger = open(&path, &clock());
    let (tell, told) = bounded(1);
    let elsewhere = Database::open(&path).unwrap();
    ledger.record(record("r"), move |result| {
        let count: Result<i64, DatabaseError> =
            elsewhere.read(|tx| Ok(tx.query_row("SELECT count(*) FROM usage", [], |row| row.get(0))?));
        tell.send((result, count)).unwrap();
    });
    let (result, count) = told.recv().unwrap();
    result.unwrap();
    assert_eq!(count.unwrap(), 1);
}

#[test]
fn a_request_is_billed_once() {
    let ledger = in_memory();
    let mut again = record("r");
    (again.input_token_count, again.request_time) = (99, at(100));
    heard(&told(&ledger, record("r"))).unwrap();
    // In a transaction of its own, and twice in one.
    heard(&told(&ledger, again.clone())).unwrap();
    let both = [told(&ledger, again.clone()), told(&ledger, again)];
    both.iter().for_each(|told| heard(told).unwrap());
    assert_eq!(all(&ledger), [record("r")]);
}

#[test]
fn enormous_counts_are_kept_as_the_most_that_the_database_counts_to() {
    let ledger = in_memory();
    let mut huge = record("r");
    (huge.input_token_count, huge.entity_version) = (u64::MAX, Some(u64::MAX));
    heard(&told(&ledger, huge)).unwrap();
    assert_eq!(all(&ledger)[0].input_token_count, i64::MAX as u64);
    let none = UsageFilter { entity_version: Some(u64::MAX), ..UsageFilter::default() };
    assert_eq!(ledger.records(&none, Page::default()).unwrap().records, []);
}

#[test]
fn the_last_ledger_writes_what_waits_when_it_goes() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let ledger = open(&path, &clock());
    let slot = ledger.admit().unwrap();
    for number in 0..5_000 {
        ledger.record(record(&number.to_string()), |_| {});
    }
    drop(ledger);
    // The slot keeps it alive.
    slot.record(record("last"), |_| {});
    let ledger = open(&path, &clock());
    assert_eq!(all(&ledger).len(), 5_001);
    let ids = all(&ledger).into_iter().map(|record| record.request_id);
    assert!(ids.eq((0..5_000).map(|number| number.to_string()).chain(["last".to_owned()])));
}

#[test]
fn records_of_many_threads_are_all_there() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let clock = clock();
    // Two ledgers on one file, as two processes have.
    let ledgers = [open(&path, &clock), open(&path, &clock)];
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let ledger = ledgers[thread % 2].clone();
            scope.spawn(move || {
                for number in 0..200 {
                    let id = format!("{} {number}", thread / 2);
                    ledger.record(record(&id), |result| result.unwrap());
                }
                ledger.flush().unwrap();
            });
        }
    });
    // Every id was recorded by both ledgers.
    assert_eq!(all(&ledgers[0]).len(), 800);
    assert_eq!(ledgers.each_ref().map(Ledger::unwritten), [0, 0]);
}

#[test]
fn a_callback_may_panic_drop_the_ledger_and_ask_for_what_cannot_be() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let ledger = open(&path, &clock());
    ledger.record(record("a"), |_| panic!("on purpose"));
    heard(&told(&ledger, record("b"))).unwrap();
    let own = ledger.clone();
    let (tell, told) = bounded(1);
    ledger.record(record("c"), move |_| {
        let flushed = own.flush();
        drop(own);
        tell.send(flushed).unwrap();
    });
    drop(ledger);
    assert!(matches!(told.recv().unwrap(), Err(LedgerError::Thread { .. })));
    assert_eq!(all(&open(&path, &clock())).len(), 3);
}

#[test]
fn the_last_use_is_of_admitted_requests_by_requester_subject_and_offering() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let llama = Subject::model("Meta Llama 3.1 70B Instruct");
    let used = |seconds: i64, change: &dyn Fn(&mut UsageRecord)| {
        let mut record = record(&format!("at {seconds}"));
        record.request_time = at(seconds);
        change(&mut record);
        record
    };
    let check = |ledger: &Ledger| {
        let of = |who, subject: &Subject, offering| ledger.last_use(who, subject, offering);
        assert_eq!(of("ada", &llama, Offering::PayPerToken), Some(at(30)));
        assert_eq!(of("ada", &llama, Offering::FineTuning), Some(at(40)));
        assert_eq!(of("ada", &Subject::version(&llama.name), Offering::PayPerToken), Some(at(50)));
        assert_eq!(of("bob", &llama, Offering::PayPerToken), None);
        assert_eq!(of("nobody", &llama, Offering::PayPerToken), None);
    };
    let ledger = open(&path, &clock());
    let records = [
        used(30, &|_| {}),
        used(10, &|_| {}),
        used(40, &|record| record.offering = Offering::FineTuning),
        used(50, &|record| record.subject = Some(Subject::version("Meta Llama 3.1 70B Instruct"))),
        used(60, &|record| (record.admitted, record.requester) = (false, "bob".into())),
        used(70, &|record| record.subject = None),
    ];
    for record in records {
        heard(&told(&ledger, record)).unwrap();
    }
    check(&ledger);
    drop(ledger);
    check(&open(&path, &clock()));
}

#[test]
fn the_table_of_last_uses_follows_and_what_it_is_behind_is_read_from_the_ledger() {
    let database = Database::in_memory().unwrap();
    let open = || Ledger::open(&database, clock(), LedgerOptions::default()).unwrap();
    let ledger = open();
    let used = |number: usize| {
        let mut record = record(&number.to_string());
        record.requester = (number % 7).to_string();
        record.subject = Some(Subject::model((number % 11).to_string()));
        record.admitted = !number.is_multiple_of(3);
        // Not in the order in which they are written.
        record.request_time = at((number * 7_919 % 20_011) as i64);
        record
    };
    let mut expected = BTreeMap::new();
    for number in 0..20_000 {
        let record = used(number);
        let subject = record.subject.clone().unwrap();
        if record.admitted {
            let last = expected.entry((record.requester.clone(), subject)).or_insert(record.request_time);
            *last = record.request_time.max(*last);
        }
        ledger.record(record, |result| result.unwrap());
    }
    ledger.flush().unwrap();
    let check = |ledger: &Ledger| {
        for ((requester, subject), last) in &expected {
            assert_eq!(ledger.last_use(requester, subject, Offering::PayPerToken), Some(*last));
        }
    };
    check(&ledger);
    let through = || -> i64 {
        let through: Result<i64, DatabaseError> =
            database.read(|tx| Ok(tx.query_row("SELECT seq FROM last_use_through", [], |row| row.get(0))?));
        through.unwrap()
    };
    // It follows when there is nothing else to do.
    let idle = (0..10_000).any(|_| {
        heard(&told(&ledger, used(0))).unwrap();
        through() >= 8_192
    });
    assert!(idle);
    drop(ledger);
    assert!(through() < 20_000, "{}", through());
    check(&open());
    // With the table as far as it gets.
    while database.write(last_use::fold).unwrap() > 0 {}
    let gone: Result<(), DatabaseError> = database.write(|tx| Ok(tx.execute_batch("DELETE FROM usage")?));
    gone.unwrap();
    check(&open());
}

#[test]
fn uses_that_other_processes_wrote_are_seen_in_time() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let clock = clock();
    let (one, other) = (open(&path, &clock), open(&path, &clock));
    let subject = record("r").subject.unwrap();
    heard(&told(&one, record("r"))).unwrap();
    let seen = || other.last_use("ada", &subject, Offering::PayPerToken);
    assert_eq!(seen(), None);
    other.flush().unwrap();
    assert_eq!(seen(), None, "it has not looked");
    clock.advance(Duration::from_secs(10));
    // This one makes it look; what it finds is there for later ones, and perhaps already for this one.
    seen();
    other.flush().unwrap();
    assert_eq!(seen(), Some(record("r").request_time));
}

#[test]
fn a_restart_is_no_way_around_a_limit() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let clock = clock();
    let endpoint = record("r").endpoint_name;
    let ledger = open(&path, &clock);
    for (seconds, requester, admitted) in [
        (-3_700, "ada", true),
        (-1_800, "ada", true),
        (-30, "ada", true),
        (-20, "bob", true),
        (-1, "ada", false),
    ] {
        let mut record = record(&format!("at {seconds}"));
        (record.request_time, record.admitted) = (at(seconds), admitted);
        record.requester = requester.into();
        heard(&told(&ledger, record)).unwrap();
    }
    let mut elsewhere = record("elsewhere");
    (elsewhere.endpoint_name, elsewhere.request_time) = ("another".into(), at(-1));
    heard(&told(&ledger, elsewhere)).unwrap();
    drop(ledger);
    let everything = Limits {
        input_tokens_per_minute: Some(1_000),
        output_tokens_per_minute: Some(1_000),
        queries_per_hour: Some(3),
        queries_per_second: Some(1),
    };
    let limits = EndpointLimits { endpoint: everything, principal: everything, ..EndpointLimits::default() };
    let now = Duration::ZERO;
    let limiter = RateLimiter::new(endpoint, limits, now);
    open(&path, &clock).restore_limits([&limiter]).unwrap();
    let held = |whose| limiter.current(whose, now).iter().map(|of| of.current).collect::<Vec<_>>();
    assert_eq!(held(None), [24, 60, 3, 0]);
    assert_eq!(held(Some("ada")), [12, 30, 2, 0]);
    assert_eq!(held(Some("bob")), [12, 30, 1, 0]);
    let demand = Demand { input_tokens: 1, output: Output::AtMost(1) };
    assert!(matches!(limiter.reserve("eve", demand, now), Err(LimitError::RateLimited(_))));
    assert_eq!(NOON % 60, 0);
}

#[test]
fn queries_for_the_hosted_tables_work() {
    let database = Database::in_memory().unwrap();
    let ledger = Ledger::open(&database, clock(), LedgerOptions::default()).unwrap();
    heard(&told(&ledger, record("r"))).unwrap();
    let row: Result<(String, String, i64, i64, i64), DatabaseError> = database.read(|tx| {
        let sql = "SELECT databricks_request_id, request_time, execution_duration_ms, input_token_count, \
                   output_token_count FROM endpoint_usage WHERE request_date = '2024-12-11' AND request_streaming";
        Ok(tx.query_row(sql, [], |row| row.try_into())?)
    });
    assert_eq!(row.unwrap(), ("r".into(), "2024-12-11T00:00:00.000Z".into(), 1_999, 12, 30));
}

#[test]
fn it_can_be_shared_among_threads() {
    fn shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    shared(&in_memory());
    shared(&Arc::new(in_memory().admit().unwrap()));
}

#![allow(clippy::unwrap_used, clippy::panic)]

mod queries;
mod trouble;
mod writing;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, unbounded};
use jiff::Timestamp;
use serde_json::json;

use super::{Ledger, LedgerError, LedgerOptions, Outcome, Phases, UsageRecord};
use crate::catalog::{Offering, Subject, Task};
use crate::clock::ManualClock;
use crate::database::Database;

/// 2024-12-11T00:00:00Z.
const NOON: i64 = 1_733_875_200;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOON + seconds).unwrap()
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(at(0)))
}

fn open(path: &Path, clock: &Arc<ManualClock>) -> Ledger {
    Ledger::open(&Database::open(path).unwrap(), clock.clone(), LedgerOptions::default()).unwrap()
}

fn in_memory() -> Ledger {
    Ledger::open(&Database::in_memory().unwrap(), clock(), LedgerOptions::default()).unwrap()
}

fn record(request_id: &str) -> UsageRecord {
    UsageRecord {
        request_id: request_id.into(),
        client_request_id: None,
        requester: "ada".into(),
        endpoint_name: "databricks-meta-llama-3-1-70b-instruct".into(),
        served_entity_name: "llama-3-1-70b-3".into(),
        entity_name: "system.ai.llama".into(),
        entity_version: Some(3),
        response_model: "meta-llama/Meta-Llama-3.1-70B-030424".into(),
        subject: Some(Subject::model("Meta Llama 3.1 70B Instruct")),
        task: Task::Chat,
        offering: Offering::PayPerToken,
        admitted: true,
        outcome: Outcome::finished("stop"),
        input_token_count: 12,
        cached_token_count: 4,
        output_token_count: 30,
        reasoning_token_count: 7,
        phases: Phases {
            queued: Some(Duration::from_millis(250)),
            prefill: Some(Duration::from_millis(500)),
            decode: None,
            first_token: Some(Duration::from_millis(750)),
        },
        request_time: Timestamp::from_microsecond(NOON * 1_000_000 + 1).unwrap(),
        finish_time: at(2),
        request_streaming: true,
        usage_context: json!({"team": "research", "nested": {"a": [1, null]}}).as_object().cloned(),
    }
}

/// Records, and hears what the record's callback is told.
fn told(ledger: &Ledger, record: UsageRecord) -> Receiver<Result<(), LedgerError>> {
    let (tell, told) = unbounded();
    ledger.record(record, move |result| tell.send(result).unwrap());
    told
}

/// What is told, which takes no longer than the ledger's real-time retries.
fn heard(told: &Receiver<Result<(), LedgerError>>) -> Result<(), LedgerError> {
    told.recv_timeout(Duration::from_secs(60)).unwrap()
}

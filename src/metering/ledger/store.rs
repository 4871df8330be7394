//! The ledger's tables: rows in, rows out.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::types::{Type, ValueRef};
use rusqlite::{CachedStatement, Row, Transaction, params};

use super::record::{Outcome, Phases, UsageRecord};
use crate::catalog::{Subject, SubjectKind};
use crate::database::DatabaseError;

macro_rules! columns {
    () => {
        "request_id, client_request_id, requester, endpoint_name, served_entity_name, entity_name, entity_version, \
         response_model, subject_kind, subject_name, task, offering, admitted, outcome, status_code, input_token_count, \
         cached_token_count, output_token_count, reasoning_token_count, queued_seconds, prefill_seconds, decode_seconds, \
         first_token_seconds, request_time, finish_time, request_streaming, usage_context"
    };
}

/// The columns of a record, in the order of [`Insert::record`] and [`read`].
pub(super) const COLUMNS: &str = columns!();

/// By place: looking places up by name takes longer than the rest of it.
const INSERT: &str = concat!(
    "INSERT INTO usage (",
    columns!(),
    ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
     ON CONFLICT (request_id) DO NOTHING",
);

/// Writes records.
pub(super) struct Insert<'t>(CachedStatement<'t>);

impl<'t> Insert<'t> {
    /// In this transaction.
    pub(super) fn new(tx: &'t Transaction<'_>) -> Result<Self, DatabaseError> {
        Ok(Self(tx.prepare_cached(INSERT)?))
    }

    /// Writes a record, unless there is one of that request.
    pub(super) fn record(&mut self, record: &UsageRecord) -> Result<(), DatabaseError> {
        let context = match &record.usage_context {
            Some(context) => Some(
                serde_json::to_string(context)
                    .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?,
            ),
            None => None,
        };
        let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs_f64());
        self.0.execute(params![
            record.request_id,
            record.client_request_id,
            record.requester,
            record.endpoint_name,
            record.served_entity_name,
            record.entity_name,
            record.entity_version.map(number),
            record.response_model,
            record.subject.as_ref().map(|subject| subject.kind.as_str()),
            record.subject.as_ref().map(|subject| &subject.name),
            record.task.as_str(),
            record.offering.as_str(),
            record.admitted,
            record.outcome.reason,
            record.outcome.status_code,
            number(record.input_token_count),
            number(record.cached_token_count),
            number(record.output_token_count),
            number(record.reasoning_token_count),
            seconds(record.phases.queued),
            seconds(record.phases.prefill),
            seconds(record.phases.decode),
            seconds(record.phases.first_token),
            record.request_time.as_microsecond(),
            record.finish_time.as_microsecond(),
            record.request_streaming,
            context,
        ])?;
        Ok(())
    }
}

/// A record and its `seq` from a row of [`COLUMNS`], `seq`.
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<(UsageRecord, i64)> {
    let subject = match row.get_ref(9)? {
        ValueRef::Null => None,
        _ => Some(subject(row, 8)?),
    };
    let usage_context = match row.get::<_, Option<String>>(26)? {
        Some(text) => Some(serde_json::from_str(&text).map_err(|error| unreadable(26, error))?),
        None => None,
    };
    let record = UsageRecord {
        request_id: row.get(0)?,
        client_request_id: row.get(1)?,
        requester: row.get(2)?,
        endpoint_name: row.get(3)?,
        served_entity_name: row.get(4)?,
        entity_name: row.get(5)?,
        entity_version: row.get::<_, Option<i64>>(6)?.map(|version| whole(6, version)).transpose()?,
        response_model: row.get(7)?,
        subject,
        task: named(row, 10)?,
        offering: named(row, 11)?,
        admitted: row.get(12)?,
        outcome: Outcome { reason: row.get(13)?, status_code: row.get(14)? },
        input_token_count: count(row, 15)?,
        cached_token_count: count(row, 16)?,
        output_token_count: count(row, 17)?,
        reasoning_token_count: count(row, 18)?,
        phases: Phases {
            queued: duration(row, 19)?,
            prefill: duration(row, 20)?,
            decode: duration(row, 21)?,
            first_token: duration(row, 22)?,
        },
        request_time: timestamp(row, 23)?,
        finish_time: timestamp(row, 24)?,
        request_streaming: row.get(25)?,
        usage_context,
    };
    Ok((record, row.get(27)?))
}

/// A time that was kept in microseconds.
pub(super) fn timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Timestamp::from_microsecond(row.get(column)?).map_err(|error| unreadable(column, error))
}

/// The database counts to 2^63.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A number that is never negative.
pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    whole(column, row.get(column)?)
}

fn whole(column: usize, value: i64) -> rusqlite::Result<u64> {
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

fn duration(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Duration>> {
    let seconds: Option<f64> = row.get(column)?;
    seconds.map(Duration::try_from_secs_f64).transpose().map_err(|error| unreadable(column, error))
}

/// A value by its name.
pub(super) fn named<T: std::str::FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let name = row.get_ref(column)?.as_str().map_err(|error| unreadable(column, error))?;
    name.parse().map_err(|error| unreadable(column, error))
}

/// A subject, from two columns.
pub(super) fn subject(row: &Row<'_>, column: usize) -> rusqlite::Result<Subject> {
    Ok(Subject { kind: subject_kind(row, column)?, name: row.get(column + 1)? })
}

fn subject_kind(row: &Row<'_>, column: usize) -> rusqlite::Result<SubjectKind> {
    let name: String = row.get(column)?;
    let kinds = [SubjectKind::Family, SubjectKind::Model, SubjectKind::Version];
    let known = kinds.into_iter().find(|kind| kind.as_str() == name);
    known.ok_or_else(|| unreadable(column, format!("{name:?} is no kind of subject")))
}

fn unreadable(column: usize, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
}

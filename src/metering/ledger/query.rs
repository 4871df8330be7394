//! Who used what.

use jiff::Timestamp;
use rusqlite::types::{ToSql, Value as Sql, ValueRef};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::LedgerError;
use super::record::UsageRecord;
use super::{Ledger, store};
use crate::catalog::{Offering, Subject};

/// Which requests to look at: those that everything given applies to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UsageFilter {
    /// Submitted then or later.
    pub from: Option<Timestamp>,
    /// Submitted before.
    pub until: Option<Timestamp>,
    /// The name of a request.
    pub request_id: Option<String>,
    /// The caller's name of it.
    pub client_request_id: Option<String>,
    /// Who asked.
    pub requester: Option<String>,
    /// The endpoint.
    pub endpoint_name: Option<String>,
    /// The endpoint's entity.
    pub served_entity_name: Option<String>,
    /// The registered model.
    pub entity_name: Option<String>,
    /// Its version.
    pub entity_version: Option<u64>,
    /// The id that responses named.
    pub response_model: Option<String>,
    /// The offering.
    pub offering: Option<Offering>,
    /// Finish reason or code of the error.
    pub outcome: Option<String>,
    /// The status that a hosted API would answer with.
    pub status_code: Option<u16>,
}

/// What requests are brought together by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GroupBy {
    /// Who asked.
    Requester,
    /// The endpoint.
    EndpointName,
    /// The endpoint's entity.
    ServedEntityName,
    /// The registered model.
    EntityName,
    /// Its version.
    EntityVersion,
    /// The id that responses named.
    ResponseModel,
    /// The offering.
    Offering,
    /// What the model did.
    Task,
    /// Finish reason or code of the error.
    Outcome,
    /// The status that a hosted API would answer with.
    StatusCode,
    /// The day of submission, UTC.
    RequestDate,
}

impl GroupBy {
    /// Its name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requester => "requester",
            Self::EndpointName => "endpoint_name",
            Self::ServedEntityName => "served_entity_name",
            Self::EntityName => "entity_name",
            Self::EntityVersion => "entity_version",
            Self::ResponseModel => "response_model",
            Self::Offering => "offering",
            Self::Task => "task",
            Self::Outcome => "outcome",
            Self::StatusCode => "status_code",
            Self::RequestDate => "request_date",
        }
    }

    /// What it is in SQL.
    fn expression(self) -> &'static str {
        match self {
            Self::RequestDate => "date(request_time / 1000000, 'unixepoch')",
            column => column.as_str(),
        }
    }
}

/// A part of a long answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Page {
    /// Where the part before ended; 0 for the first one.
    pub after: u64,
    /// The most entries, 1 to 10,000.
    pub limit: u32,
}

impl Default for Page {
    /// The first hundred.
    fn default() -> Self {
        Self { after: 0, limit: 100 }
    }
}

/// Some records, in the order in which they were written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsagePage {
    /// The records.
    pub records: Vec<UsageRecord>,
    /// [`Page::after`] of the next part, if there is more.
    pub next: Option<u64>,
}

/// What the requests of a group used together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageGroup {
    /// What they have in common, by the names of [`GroupBy`].
    pub group: Map<String, Value>,
    /// How many there are.
    pub request_count: u64,
    /// Tokens of their prompts.
    pub total_input_tokens: u64,
    /// Of these, tokens that were computed before.
    pub total_cached_tokens: u64,
    /// Generated tokens.
    pub total_output_tokens: u64,
    /// Of these, tokens of reasoning.
    pub total_reasoning_tokens: u64,
    /// When the first was submitted.
    pub first_request: Timestamp,
    /// When the last was submitted.
    pub last_request: Timestamp,
}

/// Some groups, ordered by what they have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageGroups {
    /// The groups.
    pub groups: Vec<UsageGroup>,
    /// [`Page::after`] of the next part, if there is more.
    pub next: Option<u64>,
}

/// Who still uses what is retiring: a row of the report of the documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiringUse {
    /// Who asks.
    pub requester: String,
    /// Of which endpoint.
    pub endpoint_name: String,
    /// For which registered model.
    pub entity_name: String,
    /// How many requests.
    pub request_count: u64,
    /// Tokens of their prompts.
    pub total_input_tokens: u64,
    /// Generated tokens.
    pub total_output_tokens: u64,
    /// When the first was submitted.
    pub first_request: Timestamp,
    /// When the last was submitted.
    pub last_request: Timestamp,
}

/// Conditions of a query with what they compare with.
#[derive(Default)]
struct Conditions {
    sql: Vec<&'static str>,
    values: Vec<Box<dyn ToSql>>,
}

impl Conditions {
    fn of(filter: &UsageFilter) -> Self {
        let mut all = Self::default();
        // Whole microseconds are kept: an instant between two of them is before the second.
        let instant = |time: Timestamp| time.as_nanosecond().div_euclid(1000) as i64;
        let next = |time: Timestamp| {
            let rest = time.as_nanosecond().rem_euclid(1000);
            instant(time) + i64::from(rest > 0)
        };
        all.add("request_time >= ?", filter.from.map(next));
        all.add("request_time < ?", filter.until.map(next));
        all.add("request_id = ?", filter.request_id.clone());
        all.add("client_request_id = ?", filter.client_request_id.clone());
        all.add("requester = ?", filter.requester.clone());
        all.add("endpoint_name = ?", filter.endpoint_name.clone());
        all.add("served_entity_name = ?", filter.served_entity_name.clone());
        all.add("entity_name = ?", filter.entity_name.clone());
        // There is no version beyond what the database counts to.
        let version = filter.entity_version.map(|version| i64::try_from(version).unwrap_or(-1));
        all.add("entity_version = ?", version);
        all.add("response_model = ?", filter.response_model.clone());
        all.add("offering = ?", filter.offering.map(Offering::as_str));
        all.add("outcome = ?", filter.outcome.clone());
        all.add("status_code = ?", filter.status_code);
        all
    }

    fn add<T: ToSql + 'static>(&mut self, condition: &'static str, value: Option<T>) {
        if let Some(value) = value {
            self.sql.push(condition);
            self.values.push(Box::new(value));
        }
    }

    fn to_sql(&self) -> String {
        if self.sql.is_empty() { "1".into() } else { self.sql.join(" AND ") }
    }
}

impl Ledger {
    /// Records, in the order in which they were written.
    ///
    /// # Errors
    /// [`LedgerError::Query`] for a page that is none; [`LedgerError::Database`].
    pub fn records(&self, filter: &UsageFilter, page: Page) -> Result<UsagePage, LedgerError> {
        let limit = checked(page)?;
        let mut conditions = Conditions::of(filter);
        conditions.add("seq > ?", Some(i64::try_from(page.after).unwrap_or(i64::MAX)));
        conditions.values.push(Box::new(limit + 1));
        let sql = format!(
            "SELECT {}, seq FROM usage WHERE {} ORDER BY seq LIMIT ?",
            store::COLUMNS,
            conditions.to_sql()
        );
        let mut found: Vec<(UsageRecord, i64)> = self.inner.reader.read(|tx| {
            let mut statement = tx.prepare_cached(&sql)?;
            let rows = statement.query_map(rusqlite::params_from_iter(&conditions.values), store::read)?;
            rows.collect::<Result<_, _>>().map_err(LedgerError::from)
        })?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next = found.last().filter(|_| more).map(|(_, seq)| *seq as u64);
        Ok(UsagePage { records: found.into_iter().map(|(record, _)| record).collect(), next })
    }

    /// What requests used together, by what they have in common; by nothing, all of them are one group.
    ///
    /// # Errors
    /// [`LedgerError::Query`] for a page that is none; [`LedgerError::Database`].
    pub fn groups(
        &self,
        filter: &UsageFilter,
        by: &[GroupBy],
        page: Page,
    ) -> Result<UsageGroups, LedgerError> {
        let limit = checked(page)?;
        let mut conditions = Conditions::of(filter);
        conditions.values.push(Box::new(limit + 1));
        conditions.values.push(Box::new(i64::try_from(page.after).unwrap_or(i64::MAX)));
        let keys: String = by.iter().map(|by| format!("{}, ", by.expression())).collect();
        let places: Vec<_> = (1..=by.len()).map(|place| place.to_string()).collect();
        let grouped = match places.join(", ") {
            places if places.is_empty() => "HAVING count(*) > 0".into(),
            places => format!("GROUP BY {places} ORDER BY {places}"),
        };
        let sql = format!(
            "SELECT {keys} count(*), sum(input_token_count), sum(cached_token_count), sum(output_token_count), \
             sum(reasoning_token_count), min(request_time), max(request_time) \
             FROM usage WHERE {} {grouped} LIMIT ? OFFSET ?",
            conditions.to_sql()
        );
        let mut groups: Vec<UsageGroup> = self.inner.reader.read(|tx| {
            let mut statement = tx.prepare_cached(&sql)?;
            let rows = statement.query_map(rusqlite::params_from_iter(&conditions.values), |row| {
                let mut group = Map::new();
                for (place, by) in by.iter().enumerate() {
                    group.insert(by.as_str().into(), json(row.get_ref(place)?));
                }
                let at = |place: usize| by.len() + place;
                Ok(UsageGroup {
                    group,
                    request_count: store::count(row, at(0))?,
                    total_input_tokens: store::count(row, at(1))?,
                    total_cached_tokens: store::count(row, at(2))?,
                    total_output_tokens: store::count(row, at(3))?,
                    total_reasoning_tokens: store::count(row, at(4))?,
                    first_request: store::timestamp(row, at(5))?,
                    last_request: store::timestamp(row, at(6))?,
                })
            })?;
            rows.collect::<Result<_, _>>().map_err(LedgerError::from)
        })?;
        let more = groups.len() > limit as usize;
        groups.truncate(limit as usize);
        Ok(UsageGroups { groups, next: more.then(|| page.after + u64::from(limit)) })
    }

    /// Who has used, within that time, any of these subjects in these offerings: give those that are retiring or retired.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn retiring_use(
        &self,
        subjects: &[(Subject, Offering)],
        from: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Vec<RetiringUse>, LedgerError> {
        let mut conditions = Conditions::of(&UsageFilter { from, until, ..UsageFilter::default() });
        let wanted: Vec<Value> = subjects
            .iter()
            .map(|(subject, offering)| {
                Value::from(vec![subject.kind.as_str(), subject.name.as_str(), offering.as_str()])
            })
            .collect();
        conditions.add(
            "(subject_kind, subject_name, offering) IN \
             (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?))",
            Some(Sql::Text(Value::from(wanted).to_string())),
        );
        let sql = format!(
            "SELECT requester, endpoint_name, entity_name, count(*), sum(input_token_count), sum(output_token_count), \
             min(request_time), max(request_time) FROM usage WHERE admitted AND {} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            conditions.to_sql()
        );
        self.inner.reader.read(|tx| {
            let mut statement = tx.prepare_cached(&sql)?;
            let rows = statement.query_map(rusqlite::params_from_iter(&conditions.values), |row| {
                Ok(RetiringUse {
                    requester: row.get(0)?,
                    endpoint_name: row.get(1)?,
                    entity_name: row.get(2)?,
                    request_count: store::count(row, 3)?,
                    total_input_tokens: store::count(row, 4)?,
                    total_output_tokens: store::count(row, 5)?,
                    first_request: store::timestamp(row, 6)?,
                    last_request: store::timestamp(row, 7)?,
                })
            })?;
            rows.collect::<Result<_, _>>().map_err(LedgerError::from)
        })
    }
}

fn checked(page: Page) -> Result<u32, LedgerError> {
    if (1..=10_000).contains(&page.limit) {
        return Ok(page.limit);
    }
    Err(LedgerError::Query { what: "`limit`", found: page.limit.to_string(), accepted: "1 to 10000" })
}

fn json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Integer(number) => number.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        _ => Value::Null,
    }
}

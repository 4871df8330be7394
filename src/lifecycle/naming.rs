//! What responses call a model that was updated: the base id, and after an update the base id with the day of it.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// One id, and the one version that it names for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateRecord {
    /// Its place in the history, from 1, without gaps.
    pub seq: u64,
    /// The id before any update.
    pub base_id: String,
    /// The day of the update; none of the base itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_date: Option<Date>,
    /// What responses are marked with.
    pub response_id: String,
    /// The version in the registry.
    pub version: String,
    /// What changed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
}

/// A history of updates that is not one, or an update that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// The id names something else already.
    #[error("the id {id:?} names version {version:?} already; accepted are ids that were never used")]
    Taken {
        /// The id.
        id: String,
        /// What it names.
        version: String,
    },
    /// No such id.
    #[error("no model has the id {id:?}; accepted are base ids and ids of updates")]
    Unknown {
        /// The id.
        id: String,
    },
    /// The update goes back in time.
    #[error(
        "{base_id:?} cannot be updated on {date}: its last update was on {last}; accepted are that day and later ones"
    )]
    Backwards {
        /// The base id.
        base_id: String,
        /// The day.
        date: Date,
        /// The day of the last update.
        last: Date,
    },
    /// Nothing changes.
    #[error("{base_id:?} serves version {version:?} already; accepted is another version")]
    Unchanged {
        /// The base id.
        base_id: String,
        /// The version.
        version: String,
    },
    /// An id or a version that is no name.
    #[error("the {what} {value:?} is no name; accepted are 1 to 500 characters without control characters")]
    Name {
        /// Whether it is an id or a version.
        what: &'static str,
        /// The text.
        value: String,
    },
    /// The history is not in one piece.
    #[error(
        "the update history has record {found} where {expected} was to follow; accepted are numbers without gaps"
    )]
    Sequence {
        /// The number that was to follow.
        expected: u64,
        /// The number that came.
        found: u64,
    },
}

impl From<UpdateError> for Error {
    fn from(error: UpdateError) -> Self {
        let kind = match &error {
            UpdateError::Unknown { .. } => ErrorKind::NotFound,
            UpdateError::Name { .. } => ErrorKind::InvalidRequest,
            _ => ErrorKind::Conflict,
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}

/// The ids of all updates. Append-only; an id is looked up here and never taken apart, since names of models end in digits
/// of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<UpdateRecord>", into = "Vec<UpdateRecord>")]
pub struct UpdateHistory {
    records: Vec<UpdateRecord>,
    by_id: BTreeMap<String, usize>,
    /// The records of each base, oldest first.
    by_base: BTreeMap<String, Vec<usize>>,
}

impl UpdateHistory {
    /// An empty history.
    pub fn new() -> Self {
        Self::default()
    }

    /// A model under its base id.
    ///
    /// # Errors
    /// An id that was used before, an id or a version that is no name.
    pub fn register(&mut self, base_id: &str, version: &str) -> Result<&UpdateRecord, UpdateError> {
        let record = UpdateRecord {
            seq: self.next_seq(),
            base_id: base_id.into(),
            update_date: None,
            response_id: base_id.into(),
            version: version.into(),
            notes: String::new(),
        };
        self.append(record)
    }

    /// An update of the model of any id, its base or one of its updates, on `date`.
    ///
    /// The new id is the base with `-MMDDYY`, in place of an earlier suffix. Where that is taken, by an update of the same day or
    /// by a model that was given such a name, it is `-MMDDYY.2`, `-MMDDYY.3` and so on.
    ///
    /// # Errors
    /// An unknown id, a day before the last update's, the version that is served already, a version that is no name.
    pub fn update(
        &mut self,
        id: &str,
        date: Date,
        version: &str,
        notes: &str,
    ) -> Result<&UpdateRecord, UpdateError> {
        let current = self.current(id).ok_or_else(|| UpdateError::Unknown { id: id.into() })?;
        let base_id = current.base_id.clone();
        if let Some(last) = current.update_date.filter(|last| date < *last) {
            return Err(UpdateError::Backwards { base_id, date, last });
        }
        if current.version == version {
            return Err(UpdateError::Unchanged { base_id, version: version.into() });
        }
        let dated = format!("{base_id}-{}", date.strftime("%m%d%y"));
        // The ids that are taken are finitely many: one of these is free.
        let numbered = (2_usize..).map(|number| format!("{dated}.{number}"));
        let free = std::iter::once(dated.clone()).chain(numbered).find(|id| !self.by_id.contains_key(id));
        self.append(UpdateRecord {
            seq: self.next_seq(),
            response_id: free.unwrap_or(dated),
            base_id,
            update_date: Some(date),
            version: version.into(),
            notes: notes.into(),
        })
    }

    /// What an id names, now and for ever.
    pub fn get(&self, id: &str) -> Option<&UpdateRecord> {
        self.by_id.get(id).map(|at| &self.records[*at])
    }

    /// The last update of the model that `id` belongs to.
    pub fn current(&self, id: &str) -> Option<&UpdateRecord> {
        self.history(id).last()
    }

    /// The last update, up to and on `date`, of the model that `id` belongs to.
    pub fn current_on(&self, id: &str, date: Date) -> Option<&UpdateRecord> {
        self.history(id).take_while(|record| record.update_date.is_none_or(|of| of <= date)).last()
    }

    /// The base and all updates of the model that `id` belongs to, in the order in which they came.
    pub fn history(&self, id: &str) -> impl Iterator<Item = &UpdateRecord> {
        let base = self.get(id).and_then(|record| self.by_base.get(&record.base_id));
        base.into_iter().flatten().map(|at| &self.records[*at])
    }

    /// All records, in the order in which they came.
    pub fn records(&self) -> &[UpdateRecord] {
        &self.records
    }

    fn next_seq(&self) -> u64 {
        self.records.last().map_or(1, |last| last.seq.saturating_add(1))
    }

    fn append(&mut self, record: UpdateRecord) -> Result<&UpdateRecord, UpdateError> {
        for (what, value) in [("id", &record.response_id), ("version", &record.version)] {
            if value.is_empty() || value.chars().count() > 500 || value.contains(char::is_control) {
                return Err(UpdateError::Name { what, value: value.chars().take(80).collect() });
            }
        }
        if let Some(taken) = self.get(&record.response_id) {
            return Err(UpdateError::Taken { id: record.response_id, version: taken.version.clone() });
        }
        let at = self.records.len();
        self.by_id.insert(record.response_id.clone(), at);
        self.by_base.entry(record.base_id.clone()).or_default().push(at);
        self.records.push(record);
        Ok(&self.records[at])
    }
}

impl TryFrom<Vec<UpdateRecord>> for UpdateHistory {
    type Error = UpdateError;

    /// The history of these records, in whatever order they were read.
    fn try_from(mut records: Vec<UpdateRecord>) -> Result<Self, UpdateError> {
        records.sort_by_key(|record| record.seq);
        let mut history = Self::new();
        for record in records {
            let expected = history.next_seq();
            if record.seq != expected {
                return Err(UpdateError::Sequence { expected, found: record.seq });
            }
            let is_base = record.update_date.is_none() && record.base_id == record.response_id;
            let follows = record.update_date.is_some() && history.by_base.contains_key(&record.base_id);
            if !is_base && !follows {
                return Err(UpdateError::Unknown { id: record.base_id });
            }
            history.append(record)?;
        }
        Ok(history)
    }
}

impl From<UpdateHistory> for Vec<UpdateRecord> {
    fn from(history: UpdateHistory) -> Self {
        history.records
    }
}

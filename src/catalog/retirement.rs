//! The retirement policy, and what the documents say has been retired.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::error::CatalogError;
use super::offering::{Offering, Task};
use super::subject::Subject;
use super::zone::Zone;

/// Whether a retirement's day still works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wording {
    /// "No longer supported after": the day is the last one that works.
    After,
    /// "Starting": the day is the first one that does not work.
    From,
    /// A date in a table and nothing else; [`RetirementPolicy::table_only`] says how to read it.
    TableOnly,
}

impl Wording {
    /// The name in TOML and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::After => "after",
            Self::From => "from",
            Self::TableOnly => "table_only",
        }
    }
}

/// A day of retirement as it was announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetirementDay {
    /// The day.
    pub day: Date,
    /// Whether the day still works.
    pub wording: Wording,
    /// Where the day is counted; if nowhere, in [`RetirementPolicy::zone`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
}

impl RetirementDay {
    /// The last day that works is `day`.
    pub fn after(day: Date) -> Self {
        Self { day, wording: Wording::After, zone: None }
    }

    /// The first day that does not work is `day`.
    pub fn from(day: Date) -> Self {
        Self { day, wording: Wording::From, zone: None }
    }

    /// The same day, counted in `zone`.
    pub fn in_zone(mut self, zone: Zone) -> Self {
        self.zone = Some(zone);
        self
    }

    /// The first day that does not work.
    ///
    /// # Errors
    /// [`CatalogError::Date`] at the ends of the calendar.
    pub fn first_day_without(&self, policy: &RetirementPolicy) -> Result<Date, CatalogError> {
        let wording = if self.wording == Wording::TableOnly { policy.table_only } else { self.wording };
        if wording == Wording::From {
            return Ok(self.day);
        }
        let zone = self.zone.as_ref().unwrap_or(&policy.zone);
        self.day.tomorrow().map_err(|_| CatalogError::Date { day: self.day, zone: zone.name().into() })
    }

    /// The first instant at which the subject no longer works.
    ///
    /// # Errors
    /// [`CatalogError::Date`] at the ends of the calendar.
    pub fn instant(&self, policy: &RetirementPolicy) -> Result<Timestamp, CatalogError> {
        self.zone.as_ref().unwrap_or(&policy.zone).start_of(self.first_day_without(policy)?)
    }
}

/// `after 2025-04-30`, with the zone if there is one.
impl fmt::Display for RetirementDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.wording == Wording::TableOnly { "on" } else { self.wording.as_str() };
        write!(f, "{word} {}", self.day)?;
        match &self.zone {
            Some(zone) => write!(f, " ({})", zone.name()),
            None => Ok(()),
        }
    }
}

/// What is retired how. The default is the policy of the documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetirementPolicy {
    /// The offerings whose models may be retired. In all others nothing ever is.
    pub offerings: Vec<Offering>,
    /// The tasks whose models may be retired.
    pub tasks: Vec<Task>,
    /// Calendar months between an announcement and the retirement.
    pub notice_months: u32,
    /// How a day from a table is read: [`Wording::After`] or [`Wording::From`]; anything else counts as `After`.
    pub table_only: Wording,
    /// Where days are counted that name no zone.
    pub zone: Zone,
    /// Who used a model within so many days counts as a user of it.
    pub recent_use_days: u32,
    /// Whether a legacy model still takes new users.
    pub legacy_admits_new: bool,
    /// Whether a model whose retirement is announced still takes new users.
    pub announced_admits_new: bool,
    /// Where a model lives on after its retirement.
    pub long_term_offering: Option<Offering>,
}

impl Default for RetirementPolicy {
    fn default() -> Self {
        Self {
            offerings: vec![Offering::PayPerToken, Offering::FineTuning],
            tasks: vec![Task::Chat, Task::Completion],
            notice_months: 3,
            table_only: Wording::After,
            zone: Zone::UTC,
            recent_use_days: 30,
            legacy_admits_new: true,
            announced_admits_new: true,
            long_term_offering: Some(Offering::ProvisionedThroughput),
        }
    }
}

impl RetirementPolicy {
    /// Whether a model may be retired from `offering` for `task`.
    pub fn covers(&self, offering: Offering, task: Task) -> bool {
        self.offerings.contains(&offering) && self.tasks.contains(&task)
    }
}

/// A row of the documents' retirement tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RetirementRow {
    /// The offering it is retired from.
    pub offering: Offering,
    /// What is retired.
    pub subject: Subject,
    /// When.
    pub retire: RetirementDay,
    /// What to move to; the next step only, see [`crate::lifecycle`].
    pub replacement: Option<Subject>,
    /// The first day on which it was known; if none, one notice period before the day of retirement.
    pub known_from: Option<Date>,
}

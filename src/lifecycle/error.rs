//! Why a revision, a request or an update is refused.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::revision::OverrideReason;
use super::state::State;
use crate::catalog::{CatalogError, Offering, RetirementDay, Subject};
use crate::error::{Error, ErrorKind};

/// A revision that the rules do not allow, or a log that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LifecycleError {
    /// Nothing is known of the subject in this offering.
    #[error("{subject} is not offered in {offering}; accepted are subjects with an `offer` revision")]
    Unknown {
        /// The subject.
        subject: Subject,
        /// The offering.
        offering: Offering,
    },
    /// The policy does not cover the subject: it is never retired there.
    #[error("{subject} cannot be retired from {offering}: the policy covers {covered}")]
    Exempt {
        /// The subject.
        subject: Subject,
        /// The offering.
        offering: Offering,
        /// What the policy covers.
        covered: String,
    },
    /// The notice is too short.
    #[error(
        "{subject} cannot be retired from {offering} {retire}: announced at {at}, notice of {months} months ends at {earliest}; \
         accepted are later days, or an override (safety, compliance, licence, security)"
    )]
    Notice {
        /// The subject.
        subject: Subject,
        /// The offering.
        offering: Offering,
        /// The retirement that was asked for.
        retire: RetirementDay,
        /// When it is announced.
        at: Timestamp,
        /// The notice period, in calendar months.
        months: u32,
        /// The earliest end.
        earliest: Timestamp,
    },
    /// A promise stands against it.
    #[error(
        "{subject} cannot be retired from {offering} {retire}: it is promised until {promised}; accepted are later days, or an \
         override (safety, compliance, licence, security)"
    )]
    Promised {
        /// The subject.
        subject: Subject,
        /// The offering.
        offering: Offering,
        /// The retirement that was asked for.
        retire: RetirementDay,
        /// The day before which it is not to be retired.
        promised: Date,
    },
    /// The retirement lies in the past.
    #[error(
        "{subject} cannot be retired from {offering} {retire}: that is past at {at}; accepted are {today} and later days"
    )]
    Past {
        /// The subject.
        subject: Subject,
        /// The offering.
        offering: Offering,
        /// The retirement that was asked for.
        retire: RetirementDay,
        /// When it is announced.
        at: Timestamp,
        /// The day of `at`.
        today: Date,
    },
    /// Milestones in the wrong order.
    #[error(
        "{subject}: {later} is {later_day}, before {earlier} on {earlier_day}; accepted are days that follow in order"
    )]
    Order {
        /// The subject.
        subject: Subject,
        /// The milestone that comes first.
        earlier: &'static str,
        /// Its day.
        earlier_day: Date,
        /// The milestone that has to follow.
        later: &'static str,
        /// Its day.
        later_day: Date,
    },
    /// Something that needs a day of retirement, or tasks, is given without.
    #[error("{subject}: {what} is given without {needs}; accepted are both or neither")]
    Incomplete {
        /// The subject.
        subject: Subject,
        /// What is given.
        what: &'static str,
        /// What is missing.
        needs: &'static str,
    },
    /// The revision would bring the subject back.
    #[error(
        "{subject} is {from} in {offering} and this would make it {to}; only a `reinstate` revision does that"
    )]
    Backwards {
        /// The subject.
        subject: Subject,
        /// The offering.
        offering: Offering,
        /// The state before.
        from: State,
        /// The state it would have.
        to: State,
    },
    /// A member would leave its family.
    #[error("{subject} belongs to {parent}; accepted are offers that keep it there")]
    Orphaned {
        /// The subject.
        subject: Subject,
        /// The family.
        parent: Subject,
    },
    /// The replacement does another job.
    #[error("{replacement} cannot replace {subject} in {offering}: it shares none of the tasks {tasks}")]
    OtherTask {
        /// The subject.
        subject: Subject,
        /// The offering.
        offering: Offering,
        /// The replacement.
        replacement: Subject,
        /// The subject's tasks.
        tasks: String,
    },
    /// Replacements or families would go in a circle.
    #[error("replacements and families may not go in a circle, but {path}")]
    Circle {
        /// The circle.
        path: String,
    },
    /// There is no plan to withdraw.
    #[error(
        "{subject} has no plan in {offering} to withdraw; accepted are subjects with a legacy or retirement day"
    )]
    NothingPlanned {
        /// The subject.
        subject: Subject,
        /// The offering.
        offering: Offering,
    },
    /// The log is not in one piece.
    #[error(
        "the timeline has revision {found} where {expected} was to follow; accepted are numbers without gaps"
    )]
    Sequence {
        /// The number that was to follow.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// The log goes backwards in time.
    #[error(
        "revision {seq} of the timeline is of {at}, before the one it follows ({before}); accepted are later times"
    )]
    Time {
        /// The revision.
        seq: u64,
        /// Its time.
        at: Timestamp,
        /// The time of the one before.
        before: Timestamp,
    },
    /// A date or a zone is not one.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl From<LifecycleError> for Error {
    fn from(error: LifecycleError) -> Self {
        let kind = match &error {
            LifecycleError::Unknown { .. } => ErrorKind::NotFound,
            LifecycleError::Backwards { .. }
            | LifecycleError::NothingPlanned { .. }
            | LifecycleError::Sequence { .. }
            | LifecycleError::Time { .. } => ErrorKind::Conflict,
            _ => ErrorKind::InvalidRequest,
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}

/// Why a request is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// The model is gone; the equivalent of HTTP 410.
    #[error(
        "{subject} was retired from {} {retire}{}{}",
        offering.title(),
        Instead(replacement.as_ref()),
        LongTerm(*long_term)
    )]
    ModelRetired {
        /// What was asked for.
        subject: Subject,
        /// In which offering.
        offering: Offering,
        /// The day, as it was announced.
        retire: RetirementDay,
        /// The first instant at which it no longer worked.
        since: Timestamp,
        /// What to use instead: something that works now.
        replacement: Option<Subject>,
        /// Where the model lives on.
        long_term: Option<Offering>,
        /// Why there was no notice, if there was none.
        #[serde(rename = "override")]
        override_reason: Option<OverrideReason>,
    },
    /// Only those who have used it lately may still do so; the equivalent of HTTP 403.
    #[error(
        "{subject} is {state} in {} and takes no new users{}{}",
        offering.title(),
        Instead(replacement.as_ref()),
        LongTerm(*long_term)
    )]
    NotAvailableToNewUsers {
        /// What was asked for.
        subject: Subject,
        /// In which offering.
        offering: Offering,
        /// The state it is in.
        state: State,
        /// What to use instead.
        replacement: Option<Subject>,
        /// Where the model lives on.
        long_term: Option<Offering>,
    },
    /// Not offered yet; the equivalent of HTTP 404.
    #[error("{subject} is not yet offered in {}: it will be from {from} on", offering.title())]
    NotYetAvailable {
        /// What was asked for.
        subject: Subject,
        /// In which offering.
        offering: Offering,
        /// From when on it is.
        from: Timestamp,
    },
}

struct Instead<'a>(Option<&'a Subject>);

impl std::fmt::Display for Instead<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(replacement) => write!(f, "; use {replacement} instead"),
            None => f.write_str("; nothing replaces it"),
        }
    }
}

struct LongTerm(Option<Offering>);

impl std::fmt::Display for LongTerm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(offering) => write!(f, ", or keep it on {}", offering.title()),
            None => Ok(()),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let kind = match &refusal {
            Refusal::ModelRetired { .. } => ErrorKind::ModelRetired,
            Refusal::NotAvailableToNewUsers { .. } => ErrorKind::PermissionDenied,
            Refusal::NotYetAvailable { .. } => ErrorKind::NotFound,
        };
        Self::new(kind, refusal.to_string()).with_param("model").with_source(refusal)
    }
}

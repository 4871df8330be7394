//! The records of a timeline.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::catalog::{Offering, RetirementDay, Subject, Task, Zone};

/// One entry of the append-only log: from `at` on, `change` holds for `subject` in `offering`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// Its place in the log, from 1, without gaps. Imported history has numbers of its own.
    pub seq: u64,
    /// When it was made. Never before the revision that precedes it.
    pub at: Timestamp,
    /// Who made it.
    pub who: String,
    /// Why.
    pub reason: String,
    /// Whom it is about.
    pub subject: Subject,
    /// In which offering.
    pub offering: Offering,
    /// What was used to set the notice period aside.
    #[serde(rename = "override", default, skip_serializing_if = "Option::is_none")]
    pub override_reason: Option<OverrideReason>,
    /// Whether it is history taken from a catalog, which is exempt from the notice period.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imported: bool,
    /// What changed.
    pub change: Change,
}

/// A revision to be made; [`Timeline::prepare`](super::Timeline::prepare) numbers, dates and checks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// Whom it is about.
    pub subject: Subject,
    /// In which offering.
    pub offering: Offering,
    /// What changes.
    pub change: Change,
    /// Who makes it.
    pub who: String,
    /// Why.
    pub reason: String,
    /// What sets the notice period aside, if anything.
    #[serde(rename = "override", default, skip_serializing_if = "Option::is_none")]
    pub override_reason: Option<OverrideReason>,
}

impl Draft {
    /// `change` for `subject` in `offering`.
    pub fn new(subject: Subject, offering: Offering, change: Change) -> Self {
        let (who, reason) = ("host".into(), String::new());
        Self { subject, offering, change, who, reason, override_reason: None }
    }

    /// Says who makes it; "host" otherwise.
    pub fn by(mut self, who: impl Into<String>) -> Self {
        self.who = who.into();
        self
    }

    /// Says why.
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// Sets the notice period aside, visibly: the status and the documents name the reason.
    pub fn overriding(mut self, reason: OverrideReason) -> Self {
        self.override_reason = Some(reason);
        self
    }
}

/// Why a retirement may come without notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OverrideReason {
    /// The model does harm.
    Safety,
    /// A law or a rule forbids it.
    Compliance,
    /// Its licence ended or was never good.
    Licence,
    /// Its weights or files are not to be trusted.
    Security,
}

impl OverrideReason {
    /// The name in JSON and in sentences.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Safety => "safety",
            Self::Compliance => "compliance",
            Self::Licence => "licence",
            Self::Security => "security",
        }
    }
}

/// What a revision changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// The subject is offered, or is offered otherwise than before.
    Offer(Offer),
    /// How its life ends. A later plan replaces the whole of an earlier one.
    Plan(Plan),
    /// The plan is withdrawn: what was retired is offered again. That its weights are still there is the caller's to know.
    Reinstate,
}

/// That a subject is offered. Days begin in [`Offer::zone`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Offer {
    /// What it does; at least one task.
    pub tasks: Vec<Task>,
    /// The families that it belongs to, or the model of a version. They may be added later, never taken away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Subject>,
    /// The first day on which it is offered; always, if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_from: Option<Date>,
    /// The first day on which it is no longer a preview; never one, if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub general_from: Option<Date>,
    /// A promise: it is not retired before this day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Date>,
    /// Where the days are counted; where the policy says, if nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
}

impl Offer {
    /// Offered for `tasks`, always.
    pub fn of(tasks: impl Into<Vec<Task>>) -> Self {
        Self { tasks: tasks.into(), ..Self::default() }
    }

    /// As part of `parent`.
    pub fn part_of(mut self, parent: Subject) -> Self {
        self.parents.push(parent);
        self
    }

    /// From `day` on.
    pub fn available_from(mut self, day: Date) -> Self {
        self.available_from = Some(day);
        self
    }

    /// As a preview until `day`.
    pub fn general_from(mut self, day: Date) -> Self {
        self.general_from = Some(day);
        self
    }

    /// With the promise that it is not retired before `day`.
    pub fn not_before(mut self, day: Date) -> Self {
        self.not_before = Some(day);
        self
    }
}

/// How a subject's life ends. All days but the retirement's own begin in the zone of the retirement, or where the policy
/// says; they must follow one another as the fields do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Plan {
    /// The first day on which it is no longer recommended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legacy_from: Option<Date>,
    /// The first day on which only those may use it who did so lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_to_new_from: Option<Date>,
    /// Extended access at another price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended: Option<Extended>,
    /// Who answers in its place until it is retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Redirect>,
    /// When it is retired. Without it, nothing but `legacy_from` and `replacement` may be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retire: Option<RetirementDay>,
    /// The first day on which its weights may be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_from: Option<Date>,
    /// What to move to: the next step, which may have a replacement of its own by the time somebody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<Subject>,
}

impl Plan {
    /// Retired as `retire` says.
    pub fn retire(retire: RetirementDay) -> Self {
        Self { retire: Some(retire), ..Self::default() }
    }

    /// Not recommended from `day` on.
    pub fn legacy_from(day: Date) -> Self {
        Self { legacy_from: Some(day), ..Self::default() }
    }

    /// With a recommendation what to move to.
    pub fn replaced_by(mut self, replacement: Subject) -> Self {
        self.replacement = Some(replacement);
        self
    }

    /// Closed to new users from `day` on.
    pub fn closed_to_new_from(mut self, day: Date) -> Self {
        self.closed_to_new_from = Some(day);
        self
    }

    /// With extended access from `from` on, at `price_percent` of the usual price.
    pub fn extended(mut self, from: Date, price_percent: u32) -> Self {
        self.extended = Some(Extended { from, price_percent });
        self
    }

    /// With `to` answering from `from` on until the retirement.
    pub fn redirected(mut self, from: Date, to: Subject) -> Self {
        self.redirect = Some(Redirect { from, to });
        self
    }

    /// Removed from `day` on.
    pub fn removed_from(mut self, day: Date) -> Self {
        self.removed_from = Some(day);
        self
    }
}

/// Extended access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extended {
    /// The first day of it.
    pub from: Date,
    /// The price in percent of the usual one.
    pub price_percent: u32,
}

/// Another subject's answers. Who records it asserts that they cost the same and that callers can use them as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// The first day of it; it lasts until the retirement.
    pub from: Date,
    /// Who answers.
    pub to: Subject,
}

//! What holds for a subject at one instant.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::revision::OverrideReason;
use super::standing::zone_of;
use super::state::State;
use super::timeline::Timeline;
use crate::catalog::{Offering, RetirementDay, Subject, Task};

/// Who asks, and when that one last used what is asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// Any name that the host gives; empty for somebody unknown.
    pub name: String,
    /// The last use of the subject in the offering, from the host's ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_use: Option<Timestamp>,
}

impl Principal {
    /// Somebody who has used nothing yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), last_use: None }
    }

    /// Whose last use was `at`.
    pub fn last_used(mut self, at: Timestamp) -> Self {
        self.last_use = Some(at);
        self
    }
}

/// A retirement, announced or over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retirement {
    /// The day as it was announced.
    pub day: RetirementDay,
    /// The first day that does not work, where the day is counted.
    pub first_day_without: Date,
    /// The first instant that does not work.
    pub at: Timestamp,
    /// When it was announced. Unknown of imported history.
    pub announced_at: Option<Timestamp>,
    /// Since when it is known; of imported history the latest day consistent with the notice period, or the one documented.
    pub known_since: Timestamp,
    /// Whether it is history taken from a catalog.
    pub imported: bool,
    /// Why there was no notice, if there was none.
    #[serde(rename = "override")]
    pub override_reason: Option<OverrideReason>,
}

/// The instants of a life, as far as they are planned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// From when on it is offered.
    pub available_from: Option<Timestamp>,
    /// From when on it is no preview.
    pub general_from: Option<Timestamp>,
    /// From when on it is not recommended.
    pub legacy_from: Option<Timestamp>,
    /// From when on it takes no new users.
    pub closed_to_new_from: Option<Timestamp>,
    /// From when on it has another price.
    pub extended_from: Option<Timestamp>,
    /// That price, in percent of the usual one.
    pub extended_price_percent: Option<u32>,
    /// From when on another subject answers.
    pub redirect_from: Option<Timestamp>,
    /// From when on its weights may be gone.
    pub removed_from: Option<Timestamp>,
}

/// What holds for a subject in an offering at one instant, for one task and one principal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// What was asked about.
    pub subject: Subject,
    /// In which offering.
    pub offering: Offering,
    /// For which task.
    pub task: Task,
    /// The instant.
    pub at: Timestamp,
    /// Where in its life it is.
    pub state: State,
    /// The family that decides this, where it is not the subject itself.
    pub governed_by: Option<Subject>,
    /// Whether the policy never retires it.
    pub exempt: bool,
    /// Whether the principal may use it. Where it is redirected: whether somebody answers.
    pub usable: bool,
    /// The retirement, if one is announced.
    pub retirement: Option<Retirement>,
    /// The other milestones.
    pub schedule: Schedule,
    /// What to move to: the first along the chain of replacements that takes new users now.
    pub replacement: Option<Subject>,
    /// Who answers in its place, while it is redirected.
    pub redirect: Option<Subject>,
    /// Where it lives on after its retirement.
    pub long_term: Option<Offering>,
    /// How many times it or a family of it was reinstated.
    pub round: u32,
}

impl Timeline {
    /// What holds for `subject` in `offering` at `now`, as far as it was known then.
    ///
    /// A pure function. A subject that the log does not know is active: nothing was ever announced about it. Where the
    /// policy does not reach, in provisioned throughput and for embeddings, nothing is ever retired.
    pub fn status(
        &self,
        subject: &Subject,
        offering: Offering,
        task: Task,
        principal: &Principal,
        now: Timestamp,
    ) -> Status {
        let exempt = !self.policy().covers(offering, task);
        let governing = self.governing(subject, offering, now);
        let own = self.standing(subject, offering, now);
        let own_state = own.map_or(State::Active, |standing| standing.state(now));
        let state = if exempt { own_state.min(State::Active) } else { governing.state };
        let planned = governing.standing.filter(|_| !exempt);
        let plan = planned.and_then(|standing| standing.plan.as_ref());
        let milestones = planned.map(|standing| standing.milestones.clone()).unwrap_or_default();
        let retirement = planned.zip(plan).and_then(|(standing, plan)| {
            let day = plan.retire.clone()?;
            let at = standing.milestones.retire?;
            let known_since = standing.announced?;
            let announced_at = Some(known_since).filter(|_| !standing.imported);
            Some(Retirement {
                first_day_without: day
                    .first_day_without(self.policy())
                    .unwrap_or_else(|_| zone_of(plan, self.policy()).day_of(at)),
                day,
                at,
                announced_at,
                known_since,
                imported: standing.imported,
                override_reason: standing.override_reason,
            })
        });
        let replacement = plan.and_then(|_| self.replacement(subject, offering, task, now)).cloned();
        let redirect = plan.and_then(|plan| plan.redirect.as_ref()).filter(|_| state == State::Redirected);
        let redirect =
            redirect.and_then(|redirect| self.answering(&redirect.to, offering, task, now)).cloned();
        Status {
            subject: subject.clone(),
            offering,
            task,
            at: now,
            state,
            governed_by: Some(governing.subject).filter(|by| !exempt && *by != subject).cloned(),
            exempt,
            usable: match state {
                State::Planned | State::Retired | State::Removed => false,
                State::Redirected => redirect.is_some(),
                state => self.admits_new(state) || self.is_recent(principal, now),
            },
            schedule: Schedule {
                available_from: own.and_then(|standing| standing.available),
                general_from: own.and_then(|standing| standing.general),
                legacy_from: milestones.legacy,
                closed_to_new_from: milestones.closed,
                extended_from: milestones.extended,
                extended_price_percent: plan
                    .and_then(|plan| plan.extended.as_ref())
                    .map(|extended| extended.price_percent),
                redirect_from: milestones.redirect,
                removed_from: milestones.removed,
            },
            long_term: retirement.as_ref().and(self.policy().long_term_offering),
            retirement,
            replacement,
            redirect,
            round: governing.round,
        }
    }

    /// Whether the principal used the subject within the days that the policy says. A use that the clock has not reached
    /// yet was made before the clock was set back.
    fn is_recent(&self, principal: &Principal, now: Timestamp) -> bool {
        let days = i64::from(self.policy().recent_use_days);
        principal
            .last_use
            .is_some_and(|last| now.as_second().saturating_sub(last.as_second()) <= days * 86_400)
    }
}

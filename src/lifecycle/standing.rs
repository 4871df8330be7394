//! What holds for one subject in one offering after some revisions, with its days as instants.

use jiff::Timestamp;
use jiff::civil::Date;

use super::error::LifecycleError;
use super::revision::{Change, Offer, OverrideReason, Plan, Revision};
use super::state::State;
use crate::catalog::{RetirementPolicy, Zone};

/// The sum of a subject's revisions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) offer: Option<Offer>,
    pub(super) available: Option<Timestamp>,
    pub(super) general: Option<Timestamp>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) plan: Option<Plan>,
    pub(super) milestones: Milestones,
    /// When the retirement was first announced, since the last reinstatement.
    pub(super) announced: Option<Timestamp>,
    /// Whether the announcement is imported history: then `announced` is when it was known, not when it was made.
    pub(super) imported: bool,
    pub(super) override_reason: Option<OverrideReason>,
    /// How many times it was reinstated.
    pub(super) round: u32,
}

/// The first instants of a plan's milestones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Milestones {
    pub(super) legacy: Option<Timestamp>,
    pub(super) closed: Option<Timestamp>,
    pub(super) extended: Option<Timestamp>,
    pub(super) redirect: Option<Timestamp>,
    pub(super) retire: Option<Timestamp>,
    pub(super) removed: Option<Timestamp>,
}

impl Standing {
    /// What holds after `revision`.
    ///
    /// # Errors
    /// Days at the ends of the calendar.
    pub(super) fn after(
        &self,
        revision: &Revision,
        policy: &RetirementPolicy,
    ) -> Result<Self, LifecycleError> {
        let mut next = self.clone();
        match &revision.change {
            Change::Offer(offer) => {
                let zone = offer.zone.as_ref().unwrap_or(&policy.zone);
                next.available = start(zone, offer.available_from)?;
                next.general = start(zone, offer.general_from)?;
                next.not_before = start(zone, offer.not_before)?;
                next.offer = Some(offer.clone());
            }
            Change::Plan(plan) => {
                next.milestones = Milestones::of(plan, policy)?;
                let kept =
                    self.plan.as_ref().is_some_and(|old| old.retire.is_some() && old.retire == plan.retire);
                if kept {
                    next.milestones.retire = self.milestones.retire;
                } else if let Some(retire) = &mut next.milestones.retire {
                    // What is retired at once stops when that is recorded: the hours of the day before have been served.
                    *retire = (*retire).max(revision.at);
                }
                // A removal cannot come before what it removes has stopped.
                next.milestones.removed =
                    next.milestones.removed.max(next.milestones.removed.and(next.milestones.retire));
                if plan.retire.is_none() {
                    next.announced = None;
                    next.imported = false;
                } else if self.announced.is_none() {
                    next.announced = Some(revision.at);
                    next.imported = revision.imported;
                }
                next.override_reason = revision.override_reason.or(self.override_reason);
                next.plan = Some(plan.clone());
            }
            Change::Reinstate => {
                next.plan = None;
                next.milestones = Milestones::default();
                next.announced = None;
                next.imported = false;
                next.override_reason = None;
                next.round = self.round.saturating_add(1);
            }
        }
        Ok(next)
    }

    /// The state at `now`, families aside.
    pub(super) fn state(&self, now: Timestamp) -> State {
        let reached = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        let before = |at: Option<Timestamp>| at.is_some_and(|at| now < at);
        if before(self.available) {
            return State::Planned;
        }
        let milestones = &self.milestones;
        let states = [
            (reached(milestones.removed), State::Removed),
            (reached(milestones.retire), State::Retired),
            (reached(milestones.redirect), State::Redirected),
            (reached(milestones.extended), State::Extended),
            (reached(milestones.closed), State::Restricted),
            (self.announced.is_some(), State::Announced),
            (reached(milestones.legacy), State::Legacy),
            (before(self.general), State::Preview),
        ];
        states.into_iter().find(|(holds, _)| *holds).map_or(State::Active, |(_, state)| state)
    }

    /// What it is offered for.
    pub(super) fn tasks(&self) -> &[crate::catalog::Task] {
        self.offer.as_ref().map_or(&[], |offer| &offer.tasks)
    }

    /// The families that it belongs to.
    pub(super) fn parents(&self) -> &[crate::catalog::Subject] {
        self.offer.as_ref().map_or(&[], |offer| &offer.parents)
    }
}

impl Milestones {
    fn of(plan: &Plan, policy: &RetirementPolicy) -> Result<Self, LifecycleError> {
        let zone = zone_of(plan, policy);
        Ok(Self {
            legacy: start(zone, plan.legacy_from)?,
            closed: start(zone, plan.closed_to_new_from)?,
            extended: start(zone, plan.extended.as_ref().map(|extended| extended.from))?,
            redirect: start(zone, plan.redirect.as_ref().map(|redirect| redirect.from))?,
            retire: plan.retire.as_ref().map(|retire| retire.instant(policy)).transpose()?,
            removed: start(zone, plan.removed_from)?,
        })
    }
}

/// Where a plan's days are counted.
pub(super) fn zone_of<'a>(plan: &'a Plan, policy: &'a RetirementPolicy) -> &'a Zone {
    plan.retire.as_ref().and_then(|retire| retire.zone.as_ref()).unwrap_or(&policy.zone)
}

fn start(zone: &Zone, day: Option<Date>) -> Result<Option<Timestamp>, LifecycleError> {
    Ok(day.map(|day| zone.start_of(day)).transpose()?)
}

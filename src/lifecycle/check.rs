//! The rules that a revision must keep before it enters the log.

use jiff::Timestamp;

use super::error::LifecycleError;
use super::graph::edges_of;
use super::revision::{Change, Draft, Offer, Plan, Revision};
use super::standing::{Standing, zone_of};
use super::timeline::Timeline;
use crate::catalog::{Offering, RetirementDay, Subject, Task};

type Result<T> = std::result::Result<T, LifecycleError>;

impl Timeline {
    /// The revision that `draft` makes at `now`: numbered, dated and checked, but not yet part of the log.
    ///
    /// A host that keeps the log in a database prepares a revision, writes it, and then [applies](Timeline::apply) it. A
    /// clock that has gone backwards does not take the log back: the revision then has the time of the one before.
    ///
    /// # Errors
    /// A subject or replacement that is not offered, one that the policy does not cover, notice that is too short, a
    /// promise broken, days out of order, a circle of replacements, a step back without a reinstatement.
    pub fn prepare(&self, draft: Draft, now: Timestamp) -> Result<Revision> {
        let last = self.revisions().last();
        self.check(Revision {
            seq: last.map_or(1, |last| last.seq.saturating_add(1)),
            at: last.map_or(now, |last| now.max(last.at)),
            who: draft.who,
            reason: draft.reason,
            subject: draft.subject,
            offering: draft.offering,
            override_reason: draft.override_reason,
            imported: false,
            change: draft.change,
        })
    }

    /// [Prepares](Timeline::prepare) and [applies](Timeline::apply) a revision.
    ///
    /// # Errors
    /// As [`Timeline::prepare`].
    pub fn record(&mut self, draft: Draft, now: Timestamp) -> Result<&Revision> {
        let revision = self.prepare(draft, now)?;
        let expected = revision.seq;
        self.apply(revision)?;
        self.revisions().last().ok_or(LifecycleError::Sequence { expected, found: 0 })
    }

    /// The revision itself, if it keeps the rules.
    pub(super) fn check(&self, revision: Revision) -> Result<Revision> {
        let (subject, offering, at) = (&revision.subject, revision.offering, revision.at);
        let before = self.standing(subject, offering, at).cloned().unwrap_or_default();
        match &revision.change {
            Change::Offer(offer) => self.check_offer(&revision, offer, &before)?,
            Change::Plan(plan) => self.check_plan(&revision, plan, &before)?,
            Change::Reinstate if before.plan.is_none() => {
                return Err(LifecycleError::NothingPlanned { subject: subject.clone(), offering });
            }
            Change::Reinstate => {}
        }
        let after = before.after(&revision, self.policy())?;
        let (from, to) = (before.state(at), after.state(at));
        let known = before.offer.is_some();
        if known && to < from && revision.change != Change::Reinstate {
            return Err(LifecycleError::Backwards { subject: subject.clone(), offering, from, to });
        }
        let mut edges = edges_of(&after);
        if matches!(revision.change, Change::Offer(_)) {
            // History that is yet to come into force goes on counting.
            let later = self.steps(subject, offering).iter().filter(|step| at < step.at);
            edges.extend(later.flat_map(|step| edges_of(&step.standing)));
        }
        match self.circle(subject, &edges, offering, at) {
            Some(path) => Err(LifecycleError::Circle { path }),
            None => Ok(revision),
        }
    }

    fn check_offer(&self, revision: &Revision, offer: &Offer, before: &Standing) -> Result<()> {
        let subject = || revision.subject.clone();
        if offer.tasks.is_empty() {
            return Err(LifecycleError::Incomplete { subject: subject(), what: "an offer", needs: "tasks" });
        }
        for parent in &offer.parents {
            self.offered(parent, revision.offering, revision.at)?;
        }
        if let Some(parent) = before.parents().iter().find(|parent| !offer.parents.contains(parent)) {
            return Err(LifecycleError::Orphaned { subject: subject(), parent: parent.clone() });
        }
        in_order(
            &revision.subject,
            &[("available_from", offer.available_from), ("general_from", offer.general_from)],
        )?;
        in_order(
            &revision.subject,
            &[("available_from", offer.available_from), ("not_before", offer.not_before)],
        )
    }

    fn check_plan(&self, revision: &Revision, plan: &Plan, before: &Standing) -> Result<()> {
        let (subject, offering) = (&revision.subject, revision.offering);
        let standing = self.offered(subject, offering, revision.at)?;
        self.covered(subject, offering, standing.tasks())?;
        let redirect = plan.redirect.as_ref().map(|redirect| &redirect.to);
        for replacement in plan.replacement.iter().chain(redirect) {
            let other = self.offered(replacement, offering, revision.at)?;
            if !other.tasks().iter().any(|task| standing.tasks().contains(task)) {
                return Err(LifecycleError::OtherTask {
                    subject: subject.clone(),
                    offering,
                    replacement: replacement.clone(),
                    tasks: list(standing.tasks().iter().map(|task| task.as_str())),
                });
            }
        }
        let Some(retire) = &plan.retire else {
            let closed = plan.closed_to_new_from.map(|_| "closed_to_new_from");
            let extended = plan.extended.as_ref().map(|_| "extended");
            let redirect = plan.redirect.as_ref().map(|_| "redirect");
            let removed = plan.removed_from.map(|_| "removed_from");
            let given = closed.or(extended).or(redirect).or(removed);
            return given.map_or(Ok(()), |what| {
                Err(LifecycleError::Incomplete {
                    subject: subject.clone(),
                    what,
                    needs: "a day of retirement",
                })
            });
        };
        let gone = retire.first_day_without(self.policy())?;
        let available = standing.offer.as_ref().and_then(|offer| offer.available_from);
        let milestones = [
            ("available_from", available),
            ("legacy_from", plan.legacy_from),
            ("closed_to_new_from", plan.closed_to_new_from),
            ("extended.from", plan.extended.as_ref().map(|extended| extended.from)),
            ("redirect.from", plan.redirect.as_ref().map(|redirect| redirect.from)),
            ("the first day without it", Some(gone)),
            ("removed_from", plan.removed_from),
        ];
        in_order(subject, &milestones)?;
        if revision.imported { Ok(()) } else { self.check_notice(revision, plan, retire, before) }
    }

    /// Notice and promises. A day may be moved later freely, and earlier with new notice.
    fn check_notice(
        &self,
        revision: &Revision,
        plan: &Plan,
        retire: &RetirementDay,
        before: &Standing,
    ) -> Result<()> {
        let (subject, offering, at) = (revision.subject.clone(), revision.offering, revision.at);
        let old = before.plan.as_ref().and_then(|old| old.retire.as_ref());
        if old == Some(retire) {
            return Ok(());
        }
        let zone = zone_of(plan, self.policy());
        let today = zone.day_of(at);
        if retire.first_day_without(self.policy())? < today {
            return Err(LifecycleError::Past { subject, offering, retire: retire.clone(), at, today });
        }
        let end = retire.instant(self.policy())?;
        if revision.override_reason.is_some() || before.milestones.retire.is_some_and(|old| old <= end) {
            return Ok(());
        }
        let months = self.policy().notice_months;
        let earliest = zone.months_after(at, months)?;
        if end < earliest {
            let retire = retire.clone();
            return Err(LifecycleError::Notice { subject, offering, retire, at, months, earliest });
        }
        let promised = before.offer.as_ref().and_then(|offer| offer.not_before);
        match (promised, before.not_before) {
            (Some(promised), Some(until)) if end < until => {
                Err(LifecycleError::Promised { subject, offering, retire: retire.clone(), promised })
            }
            _ => Ok(()),
        }
    }

    /// How a subject stands that must be offered by then, if only for a later day.
    fn offered(&self, subject: &Subject, offering: Offering, at: Timestamp) -> Result<&Standing> {
        let standing = self.standing(subject, offering, at).filter(|standing| standing.offer.is_some());
        standing.ok_or_else(|| LifecycleError::Unknown { subject: subject.clone(), offering })
    }

    fn covered(&self, subject: &Subject, offering: Offering, tasks: &[Task]) -> Result<()> {
        let policy = self.policy();
        if tasks.iter().any(|task| policy.covers(offering, *task)) {
            return Ok(());
        }
        let tasks = list(policy.tasks.iter().map(|task| task.as_str()));
        let offerings = list(policy.offerings.iter().map(|offering| offering.as_str()));
        let covered = format!("{tasks} models in {offerings}");
        Err(LifecycleError::Exempt { subject: subject.clone(), offering, covered })
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    if names.is_empty() { "no".into() } else { names.join(", ") }
}

fn in_order(subject: &Subject, days: &[(&'static str, Option<jiff::civil::Date>)]) -> Result<()> {
    let given: Vec<_> = days.iter().filter_map(|(name, day)| day.map(|day| (*name, day))).collect();
    let wrong = given.windows(2).find(|pair| pair[1].1 < pair[0].1);
    wrong.map_or(Ok(()), |pair| {
        Err(LifecycleError::Order {
            subject: subject.clone(),
            earlier: pair[0].0,
            earlier_day: pair[0].1,
            later: pair[1].0,
            later_day: pair[1].1,
        })
    })
}

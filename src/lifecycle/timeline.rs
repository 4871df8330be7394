//! The log of revisions, and what held at any time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::LifecycleError;
use super::revision::{Change, Plan, Revision};
use super::standing::Standing;
use crate::catalog::{Offering, RetirementPolicy, Subject};

/// An append-only log of what is offered and how its life ends, and the policy that it is read under.
///
/// It has two parts: history imported from a catalog, and revisions that the host makes. Only the second has to be kept; the
/// first comes from the catalog again. A revision holds from its time on: asked about an earlier one, the timeline answers
/// what was known then. Once the host has planned how a subject's life in an offering ends, or reinstated it, imported
/// plans of later days no longer count for it: what the host decided stands.
///
/// Nothing here reads a clock; everything depends on the log, the policy and the time that is passed in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Log", into = "Log")]
pub struct Timeline {
    policy: RetirementPolicy,
    imported: Vec<Revision>,
    revisions: Vec<Revision>,
    tracks: BTreeMap<Offering, BTreeMap<Subject, Track>>,
}

/// A timeline as it is written down.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    policy: RetirementPolicy,
    #[serde(default)]
    imported: Vec<Revision>,
    #[serde(default)]
    revisions: Vec<Revision>,
}

/// The revisions about one subject in one offering, and what they amount to.
#[derive(Debug, Clone)]
struct Track {
    places: Vec<Place>,
    steps: Vec<Step>,
}

/// Where a revision stands in its log.
#[derive(Debug, Clone, Copy)]
struct Place {
    imported: bool,
    index: usize,
}

/// From `at` on a subject stands like this.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) at: Timestamp,
    pub(super) standing: Standing,
}

impl Timeline {
    /// A timeline without revisions.
    pub fn new(policy: RetirementPolicy) -> Self {
        Self { policy, imported: Vec::new(), revisions: Vec::new(), tracks: BTreeMap::new() }
    }

    /// The timeline of these revisions, in whatever order they were read.
    ///
    /// What was once accepted is not judged again: a log stays readable when the rules or the catalog change.
    ///
    /// # Errors
    /// Numbers that are missing or come twice, times that go backwards, days at the ends of the calendar.
    pub fn replay(
        policy: RetirementPolicy,
        imported: impl IntoIterator<Item = Revision>,
        revisions: impl IntoIterator<Item = Revision>,
    ) -> Result<Self, LifecycleError> {
        let mut timeline = Self::new(policy);
        for part in [imported.into_iter().collect::<Vec<_>>(), revisions.into_iter().collect()] {
            let mut part = part;
            part.sort_by_key(|revision| (!revision.imported, revision.seq));
            for revision in part {
                timeline.apply(revision)?;
            }
        }
        Ok(timeline)
    }

    /// Appends a revision that [`Timeline::prepare`] made, or one that is read back.
    ///
    /// # Errors
    /// A number that does not follow, a time before the last revision's, days at the ends of the calendar.
    pub fn apply(&mut self, revision: Revision) -> Result<(), LifecycleError> {
        let log = if revision.imported { &mut self.imported } else { &mut self.revisions };
        let expected = log.last().map_or(1, |last| last.seq.saturating_add(1));
        if revision.seq != expected {
            return Err(LifecycleError::Sequence { expected, found: revision.seq });
        }
        if let Some(last) = log.last().filter(|last| revision.at < last.at) {
            let (seq, at, before) = (revision.seq, revision.at, last.at);
            return Err(LifecycleError::Time { seq, at, before });
        }
        let (subject, offering) = (revision.subject.clone(), revision.offering);
        let place = Place { imported: revision.imported, index: log.len() };
        log.push(revision);
        let mut places = self.track(&subject, offering).map(|track| track.places.clone()).unwrap_or_default();
        places.push(place);
        match self.fold(&places) {
            Ok(steps) => {
                self.tracks.entry(offering).or_default().insert(subject, Track { places, steps });
                Ok(())
            }
            Err(error) => {
                if place.imported { &mut self.imported } else { &mut self.revisions }.pop();
                Err(error)
            }
        }
    }

    /// How a subject stood after each of its revisions, imported ones first where times are equal.
    fn fold(&self, places: &[Place]) -> Result<Vec<Step>, LifecycleError> {
        let log = |place: &Place| if place.imported { &self.imported } else { &self.revisions };
        let mut revisions: Vec<_> = places.iter().filter_map(|place| log(place).get(place.index)).collect();
        revisions.sort_by_key(|revision| (revision.at, !revision.imported, revision.seq));
        let mut steps: Vec<Step> = Vec::with_capacity(revisions.len());
        let mut standing = Standing::default();
        let mut decided = false;
        for revision in revisions {
            let ends = !matches!(revision.change, Change::Offer(_));
            if revision.imported && ends && decided {
                continue;
            }
            decided |= ends && !revision.imported;
            standing = standing.after(revision, &self.policy)?;
            steps.push(Step { at: revision.at, standing: standing.clone() });
        }
        Ok(steps)
    }

    /// The policy that the log is read under.
    pub fn policy(&self) -> &RetirementPolicy {
        &self.policy
    }

    /// The host's revisions, in order. These are what has to be kept.
    pub fn revisions(&self) -> &[Revision] {
        &self.revisions
    }

    /// The history taken from a catalog, in order.
    pub fn imported(&self) -> &[Revision] {
        &self.imported
    }

    /// The plan for a subject that was in force at `now`, to be changed and recorded anew.
    pub fn plan(&self, subject: &Subject, offering: Offering, now: Timestamp) -> Option<&Plan> {
        self.standing(subject, offering, now)?.plan.as_ref()
    }

    /// Whether anything was ever recorded of a subject in an offering.
    pub fn is_known(&self, subject: &Subject, offering: Offering) -> bool {
        self.track(subject, offering).is_some()
    }

    /// The subjects whose retirement from `offering` was announced at `now`, in the order of the announcements; those of a
    /// catalog come first, in the catalog's order if the time is the same.
    pub fn retirements(&self, offering: Offering, now: Timestamp) -> Vec<&Subject> {
        let mut found = Vec::new();
        for revision in self.imported.iter().chain(&self.revisions) {
            let plans = matches!(&revision.change, Change::Plan(plan) if plan.retire.is_some());
            let counts = plans && revision.offering == offering && revision.at <= now;
            let announced = |standing: &Standing| standing.announced.is_some();
            if counts
                && !found.contains(&&revision.subject)
                && self.standing(&revision.subject, offering, now).is_some_and(announced)
            {
                found.push(&revision.subject);
            }
        }
        found
    }

    pub(super) fn standing(
        &self,
        subject: &Subject,
        offering: Offering,
        now: Timestamp,
    ) -> Option<&Standing> {
        let steps = self.steps(subject, offering);
        let known = steps.partition_point(|step| step.at <= now);
        steps[..known].last().map(|step| &step.standing)
    }

    pub(super) fn steps(&self, subject: &Subject, offering: Offering) -> &[Step] {
        self.track(subject, offering).map_or(&[], |track| track.steps.as_slice())
    }

    fn track(&self, subject: &Subject, offering: Offering) -> Option<&Track> {
        self.tracks.get(&offering)?.get(subject)
    }
}

/// Timelines are equal when their logs are.
impl PartialEq for Timeline {
    fn eq(&self, other: &Self) -> bool {
        self.policy == other.policy && self.imported == other.imported && self.revisions == other.revisions
    }
}

impl TryFrom<Log> for Timeline {
    type Error = LifecycleError;

    fn try_from(log: Log) -> Result<Self, LifecycleError> {
        Self::replay(log.policy, log.imported, log.revisions)
    }
}

impl From<Timeline> for Log {
    fn from(timeline: Timeline) -> Self {
        Self { policy: timeline.policy, imported: timeline.imported, revisions: timeline.revisions }
    }
}

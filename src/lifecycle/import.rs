//! From the facts of a catalog to the history of a timeline.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::error::LifecycleError;
use super::revision::{Change, Offer, Plan, Revision};
use super::timeline::Timeline;
use crate::catalog::{Catalog, Offering, RetirementRow, Subject, Task};

impl Timeline {
    /// The timeline of a catalog: what it offers, from the beginning of time, and what it says has been retired, from the
    /// day on which that was known.
    ///
    /// These revisions are marked as imported. They are exempt from the notice period, because no document says when it
    /// began; every other rule holds for them.
    ///
    /// # Errors
    /// Retirements that the policy does not cover, replacements that are not offered or go in a circle.
    pub fn from_catalog(catalog: &Catalog) -> Result<Self, LifecycleError> {
        let mut timeline = Self::new(catalog.policy().clone());
        for (subject, offering, offer) in offers(catalog) {
            timeline.import(subject, offering, Timestamp::UNIX_EPOCH, Change::Offer(offer))?;
        }
        let policy = catalog.policy();
        let known = |row: &RetirementRow| {
            let announced = || policy.zone.months_before(row.retire.day, policy.notice_months);
            policy.zone.start_of(row.known_from.map_or_else(announced, Ok)?)
        };
        let mut rows = Vec::new();
        for row in catalog.retirements() {
            rows.push((known(row)?, row));
        }
        // Stable: rows of one day keep the catalog's order.
        rows.sort_by_key(|(known, _)| *known);
        for (known, row) in rows {
            let plan = Plan { replacement: row.replacement.clone(), ..Plan::retire(row.retire.clone()) };
            timeline.import(row.subject.clone(), row.offering, known, Change::Plan(plan))?;
        }
        Ok(timeline)
    }

    fn import(
        &mut self,
        subject: Subject,
        offering: Offering,
        at: Timestamp,
        change: Change,
    ) -> Result<(), LifecycleError> {
        let revision = self.check(Revision {
            seq: self.imported().last().map_or(1, |last| last.seq.saturating_add(1)),
            at,
            who: "catalog".into(),
            reason: String::new(),
            subject,
            offering,
            override_reason: None,
            imported: true,
            change,
        })?;
        self.apply(revision)
    }
}

/// Who is offered where, families before their members.
fn offers(catalog: &Catalog) -> Vec<(Subject, Offering, Offer)> {
    let mut offers = Offers { catalog, known: BTreeSet::new(), list: Vec::new() };
    for model in catalog.models() {
        let offer = Offer { available_from: model.available_from, ..Offer::of(done_by(model.task)) };
        offers.add(&model.name, model.family.as_deref(), Offering::PayPerToken, offer);
    }
    for model in catalog.fine_tuning_models() {
        offers.add(&model.name, model.family.as_deref(), Offering::FineTuning, Offer::of(trained()));
    }
    for row in catalog.retirements() {
        let families = row.replacement.iter().chain([&row.subject]);
        for family in families.filter(|subject| subject.kind == crate::catalog::SubjectKind::Family) {
            offers.add_family(&family.name, row.offering);
        }
    }
    offers.list
}

/// What a model of this task does: one that answers conversations continues texts too, and is what the documents recommend
/// to those who used a completion model.
fn done_by(task: Task) -> Vec<Task> {
    if task == Task::Chat { vec![Task::Chat, Task::Completion] } else { vec![task] }
}

/// What a model can be trained for: either, whatever it was made for.
fn trained() -> Vec<Task> {
    vec![Task::Chat, Task::Completion]
}

struct Offers<'a> {
    catalog: &'a Catalog,
    known: BTreeSet<(Offering, &'a str)>,
    list: Vec<(Subject, Offering, Offer)>,
}

impl<'a> Offers<'a> {
    fn add(&mut self, model: &str, family: Option<&'a str>, offering: Offering, mut offer: Offer) {
        if let Some(family) = family {
            self.add_family(family, offering);
            offer = offer.part_of(Subject::family(family));
        }
        self.list.push((Subject::model(model), offering, offer));
    }

    /// The family and those above it, the topmost first.
    fn add_family(&mut self, name: &str, offering: Offering) {
        for family in self.catalog.lineage(name).into_iter().rev() {
            if self.known.insert((offering, &family.name)) {
                let parents: Vec<_> = family.parent.iter().map(Subject::family).collect();
                let offer = Offer { parents, ..Offer::of(self.tasks(&family.name, offering)) };
                self.list.push((Subject::family(&family.name), offering, offer));
            }
        }
    }

    /// What the members of a family do, in the order of [`Task::ALL`]. A family without members may do any text task.
    fn tasks(&self, family: &str, offering: Offering) -> Vec<Task> {
        if offering == Offering::FineTuning {
            return trained();
        }
        let member = |of: &Option<String>| {
            of.as_ref().is_some_and(|of| self.catalog.lineage(of).iter().any(|above| above.name == family))
        };
        let members = self.catalog.models().iter().filter(|model| member(&model.family));
        let done: BTreeSet<Task> = members.flat_map(|model| done_by(model.task)).collect();
        if done.is_empty() { trained() } else { done.into_iter().collect() }
    }
}

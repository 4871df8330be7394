//! Families and replacements: which state governs, what replaces what, and that nothing goes in a circle.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::standing::Standing;
use super::state::State;
use super::timeline::Timeline;
use crate::catalog::{Offering, Subject, Task};

/// A subject's state at some time, and who decides it.
pub(super) struct Governing<'a> {
    pub(super) state: State,
    /// The subject itself, or one of its families.
    pub(super) subject: &'a Subject,
    pub(super) standing: Option<&'a Standing>,
    /// The reinstatements of the subject and its families together.
    pub(super) round: u32,
}

impl Timeline {
    /// The furthest state of a subject and of all that it belongs to; of equal ones the nearest.
    pub(super) fn governing<'a>(
        &'a self,
        subject: &'a Subject,
        offering: Offering,
        now: Timestamp,
    ) -> Governing<'a> {
        let standing = self.standing(subject, offering, now);
        let state = standing.map_or(State::Active, |standing| standing.state(now));
        let mut governing = Governing { state, subject, standing, round: 0 };
        for member in self.lineage(subject, offering, now) {
            let Some(standing) = self.standing(member, offering, now) else { continue };
            governing.round = governing.round.saturating_add(standing.round);
            let state = standing.state(now);
            // A family that is not offered yet says nothing about a member that is, and a member that is not offered yet
            // is not retired with its family before it came.
            if state >= State::Legacy && state > governing.state && governing.state != State::Planned {
                governing = Governing { state, subject: member, standing: Some(standing), ..governing };
            }
        }
        governing
    }

    /// The subject and all that it belongs to, the nearest first.
    fn lineage<'a>(&'a self, subject: &'a Subject, offering: Offering, now: Timestamp) -> Vec<&'a Subject> {
        let mut lineage = vec![subject];
        let mut next = 0;
        while let Some(&member) = lineage.get(next) {
            next += 1;
            let parents = self.standing(member, offering, now).map_or(&[][..], Standing::parents);
            for parent in parents {
                if !lineage.contains(&parent) {
                    lineage.push(parent);
                }
            }
        }
        lineage
    }

    /// What replaces a subject at `now`: the first along its chain of replacements that takes new users then, for
    /// `task` in `offering`.
    pub fn replacement<'a>(
        &'a self,
        subject: &'a Subject,
        offering: Offering,
        task: Task,
        now: Timestamp,
    ) -> Option<&'a Subject> {
        let mut seen = BTreeSet::from([subject]);
        let mut next = self.next_replacement(subject, offering, now)?;
        while seen.insert(next) {
            if self.takes_new_users(next, offering, task, now) {
                return Some(next);
            }
            next = self.next_replacement(next, offering, now)?;
        }
        None
    }

    /// Who answers where `target` was recorded to: itself, or what replaces it by now.
    pub(super) fn answering<'a>(
        &'a self,
        target: &'a Subject,
        offering: Offering,
        task: Task,
        now: Timestamp,
    ) -> Option<&'a Subject> {
        if self.takes_new_users(target, offering, task, now) {
            return Some(target);
        }
        self.replacement(target, offering, task, now)
    }

    /// The replacement that a subject's own plan names, or the nearest family's.
    fn next_replacement<'a>(
        &'a self,
        subject: &'a Subject,
        offering: Offering,
        now: Timestamp,
    ) -> Option<&'a Subject> {
        self.lineage(subject, offering, now)
            .into_iter()
            .find_map(|member| self.plan(member, offering, now)?.replacement.as_ref())
    }

    fn takes_new_users(&self, subject: &Subject, offering: Offering, task: Task, now: Timestamp) -> bool {
        let offered =
            self.standing(subject, offering, now).is_some_and(|standing| standing.tasks().contains(&task));
        offered && self.admits_new(self.governing(subject, offering, now).state)
    }

    /// Whether a subject in `state` takes users who have not used it before.
    pub(super) fn admits_new(&self, state: State) -> bool {
        match state {
            State::Preview | State::Active => true,
            State::Legacy => self.policy().legacy_admits_new,
            State::Announced => self.policy().announced_admits_new,
            _ => false,
        }
    }

    /// The circle that `edges` from `subject` would close, as a sentence.
    ///
    /// Edges that history brings into force after `now` count too, so that no later time can close a circle.
    pub(super) fn circle(
        &self,
        subject: &Subject,
        edges: &[(&'static str, Subject)],
        offering: Offering,
        now: Timestamp,
    ) -> Option<String> {
        let mut seen = BTreeSet::new();
        let start = |(verb, to): &(&'static str, Subject)| (to.clone(), format!("{subject} {verb} {to}"));
        let mut open: Vec<(Subject, String)> = edges.iter().map(start).collect();
        while let Some((at, path)) = open.pop() {
            if at == *subject {
                return Some(path);
            }
            if !seen.insert(at.clone()) {
                continue;
            }
            let steps = self.steps(&at, offering);
            let first = steps.partition_point(|step| step.at <= now).saturating_sub(1);
            for (verb, to) in steps[first..].iter().flat_map(|step| edges_of(&step.standing)) {
                open.push((to.clone(), format!("{path}, which {verb} {to}")));
            }
        }
        None
    }
}

/// Where a standing leads.
pub(super) fn edges_of(standing: &Standing) -> Vec<(&'static str, Subject)> {
    let plan = standing.plan.as_ref();
    let replacement = plan.and_then(|plan| plan.replacement.as_ref()).map(|to| ("is replaced by", to));
    let redirect =
        plan.and_then(|plan| plan.redirect.as_ref()).map(|redirect| ("is answered by", &redirect.to));
    let parents = standing.parents().iter().map(|parent| ("belongs to", parent));
    replacement.into_iter().chain(redirect).chain(parents).map(|(verb, to)| (verb, to.clone())).collect()
}

//! The invariants over random timelines. What is expected is computed here anew, not with the code under test.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use proptest::prelude::*;

use super::{builtin, day};
use crate::catalog::{Catalog, Offering, RetirementDay, RetirementPolicy, Subject, Task, Wording};
use crate::lifecycle::{
    Change, Documents, Draft, Offer, OverrideReason, Plan, Principal, Revision, State, Status, Timeline,
};

const OFFERINGS: [Offering; 3] =
    [Offering::PayPerToken, Offering::FineTuning, Offering::ProvisionedThroughput];

/// Something that a host may try to record. Numbers are taken modulo what there is.
#[derive(Debug, Clone)]
struct Attempt {
    what: u8,
    subject: usize,
    offering: usize,
    other: usize,
    /// Hours since the attempt before.
    later: i64,
    /// Days from then on to the milestones.
    days: [i64; 4],
    wording: u8,
    with_override: bool,
}

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    let numbers = (0..12_u8, 0..6_usize, 0..5_usize, 0..6_usize, 0..2_500_i64);
    let plan = (prop::array::uniform4(0..240_i64), 0..6_u8, prop::bool::weighted(0.15));
    let attempt = (numbers, plan).prop_map(
        |((what, subject, offering, other, later), (days, wording, with_override))| Attempt {
            what,
            subject,
            offering,
            other,
            later,
            days,
            wording,
            with_override,
        },
    );
    prop::collection::vec(attempt, 0..24)
}

fn subjects() -> Vec<Subject> {
    let models = ["a", "b", "c", "e"].map(Subject::model);
    models.into_iter().chain(["f", "g"].map(Subject::family)).collect()
}

/// `e` makes vectors; the others are chat models and families of them.
fn tasks(subject: &Subject) -> Vec<Task> {
    if subject.name == "e" { vec![Task::Embedding] } else { vec![Task::Chat] }
}

/// What is recorded of the attempts, after everything was offered.
fn timeline(attempts: &[Attempt]) -> Timeline {
    let subjects = subjects();
    let mut timeline = Timeline::new(RetirementPolicy::default());
    let mut now = day("2025-01-31");
    for subject in subjects.iter().rev() {
        for offering in OFFERINGS {
            let offer = Offer::of(tasks(subject));
            let offer = if subject.name == "a" { offer.part_of(Subject::family("f")) } else { offer };
            timeline.record(Draft::new(subject.clone(), offering, Change::Offer(offer)), now).unwrap();
        }
    }
    for attempt in attempts {
        now = now.checked_add(attempt.later.hours()).unwrap();
        // Most attempts are about one offering, so that they meet one another.
        let offering = OFFERINGS[attempt.offering.saturating_sub(2)];
        let subject = subjects[attempt.subject].clone();
        let mut draft = Draft::new(subject.clone(), offering, change(attempt, &subject, &subjects, now));
        if attempt.with_override {
            draft = draft.overriding(OverrideReason::Safety);
        }
        // What the rules refuse is not recorded; that is what is tested.
        let _ = timeline.record(draft, now);
    }
    timeline
}

fn change(attempt: &Attempt, subject: &Subject, subjects: &[Subject], now: Timestamp) -> Change {
    let today = now.to_zoned(TimeZone::UTC).date();
    let other = subjects[attempt.other].clone();
    let mut days = attempt.days;
    if attempt.wording != 5 {
        days.sort_unstable();
    }
    let on = |index: usize| today.checked_add(days[index].days()).unwrap();
    let wording = [Wording::After, Wording::From, Wording::TableOnly][usize::from(attempt.wording % 3)];
    let retire = RetirementDay { day: on(2), wording, zone: None };
    match attempt.what {
        0 => Change::Reinstate,
        1 => Change::Plan(Plan::legacy_from(on(0))),
        2 => Change::Offer(Offer::of(tasks(subject)).part_of(other)),
        3 => Change::Plan(Plan::default().replaced_by(other)),
        4..=6 => Change::Plan(Plan::retire(retire).replaced_by(other)),
        7 => Change::Plan(
            Plan::retire(retire).closed_to_new_from(on(0)).extended(on(1), 150).removed_from(on(3)),
        ),
        8 => Change::Plan(Plan::retire(retire).redirected(on(1), other)),
        _ => Change::Plan(Plan::retire(retire)),
    }
}

/// Instants before, between and after the revisions, at them and at midnights, in order.
fn instants(timeline: &Timeline, random: &[i64]) -> Vec<Timestamp> {
    let start = day("2025-01-01");
    let mut instants: Vec<_> = random.iter().map(|hours| start.checked_add(hours.hours()).unwrap()).collect();
    for revision in timeline.revisions() {
        let near = [Span::new(), Span::new().nanoseconds(-1), Span::new().seconds(1)];
        instants.extend(near.into_iter().map(|span| revision.at.checked_add(span).unwrap()));
    }
    instants.sort_unstable();
    instants
}

fn all(timeline: &Timeline, now: Timestamp) -> Vec<Status> {
    let status = |subject: &Subject, offering| {
        let principal = Principal::new("p").last_used(day("2025-06-01"));
        timeline.status(subject, offering, tasks(subject)[0], &principal, now)
    };
    subjects().iter().flat_map(|subject| OFFERINGS.map(|offering| status(subject, offering))).collect()
}

/// The first instant without it, by the wording, in UTC.
fn end(retire: &RetirementDay) -> Timestamp {
    let first = if retire.wording == Wording::From { retire.day } else { retire.day.tomorrow().unwrap() };
    first.to_zoned(TimeZone::UTC).unwrap().timestamp()
}

fn notice_ends(at: Timestamp) -> Timestamp {
    at.to_zoned(TimeZone::UTC).checked_add(3.months()).unwrap().timestamp()
}

fn retire_of(revision: &Revision) -> Option<&RetirementDay> {
    match &revision.change {
        Change::Plan(plan) => plan.retire.as_ref(),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// Read in another order, written down and read back, or replayed: the same status at every instant.
    #[test]
    fn ten_thousand_timelines_replay_identically(
        attempts in attempts(),
        random in prop::collection::vec(0..26_000_i64, 4),
        turn in any::<prop::sample::Index>(),
    ) {
        let timeline = timeline(&attempts);
        let mut shuffled = timeline.revisions().to_vec();
        let middle = turn.index(shuffled.len());
        shuffled.rotate_left(middle);
        shuffled[..].reverse();
        let replayed = Timeline::replay(timeline.policy().clone(), [], shuffled).unwrap();
        let json = serde_json::to_string(&timeline).unwrap();
        let read: Timeline = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&read, &timeline);
        prop_assert_eq!(serde_json::to_string(&read).unwrap(), json);
        for hours in random {
            let now = day("2025-01-01").checked_add(hours.hours()).unwrap();
            let expected = all(&timeline, now);
            prop_assert_eq!(&all(&replayed, now), &expected);
            prop_assert_eq!(&all(&read, now), &expected);
            // What was recorded later changes nothing about what was known then.
            let known = timeline.revisions().iter().filter(|revision| revision.at <= now).cloned();
            let past = Timeline::replay(timeline.policy().clone(), [], known).unwrap();
            prop_assert_eq!(&all(&past, now), &expected);
            for status in &expected {
                let text = serde_json::to_string(status).unwrap();
                prop_assert_eq!(&serde_json::from_str::<Status>(&text).unwrap(), status);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn invariant_1_every_retirement_has_notice_or_an_override(attempts in attempts()) {
        let timeline = timeline(&attempts);
        let mut ends: BTreeMap<(&Subject, Offering), Timestamp> = BTreeMap::new();
        for revision in timeline.revisions() {
            let key = (&revision.subject, revision.offering);
            if revision.change == Change::Reinstate {
                ends.remove(&key);
            }
            let Some(retire) = retire_of(revision) else { continue };
            let before = ends.insert(key, end(retire));
            let later = before.is_some_and(|before| before <= end(retire));
            let notice = notice_ends(revision.at) <= end(retire);
            prop_assert!(notice || later || revision.override_reason.is_some(), "{:?}", revision);
        }
    }

    #[test]
    fn invariant_2_milestones_follow_and_sunset_is_not_before_deprecation(
        attempts in attempts(),
        random in prop::collection::vec(0..26_000_i64, 4),
    ) {
        let timeline = timeline(&attempts);
        for now in instants(&timeline, &random) {
            for status in all(&timeline, now) {
                let Some(retirement) = &status.retirement else {
                    prop_assert!(status.deprecation_header().is_none() && status.sunset_header().is_none());
                    continue;
                };
                let schedule = &status.schedule;
                let legacy = [schedule.legacy_from, Some(retirement.at)];
                let rest = [
                    schedule.closed_to_new_from, schedule.extended_from, schedule.redirect_from, Some(retirement.at),
                    schedule.removed_from,
                ];
                for instants in [&legacy[..], &rest[..]] {
                    prop_assert!(instants.iter().flatten().is_sorted(), "{:?}", status);
                }
                prop_assert!(retirement.known_since <= now && retirement.known_since <= retirement.at, "{:?}", status);
                let deprecated: i64 = status.deprecation_header().unwrap()[1..].parse().unwrap();
                prop_assert!(deprecated <= retirement.at.as_second());
            }
        }
    }

    #[test]
    fn invariant_3_states_only_advance_without_a_reinstatement(
        attempts in attempts(),
        random in prop::collection::vec(0..26_000_i64, 12),
    ) {
        let timeline = timeline(&attempts);
        let mut last: BTreeMap<(Subject, Offering), (u32, State)> = BTreeMap::new();
        for now in instants(&timeline, &random) {
            for status in all(&timeline, now) {
                let key = (status.subject.clone(), status.offering);
                let before = last.insert(key, (status.round, status.state));
                if let Some((_, state)) = before.filter(|(round, _)| *round == status.round) {
                    prop_assert!(state <= status.state, "{} was {state} and is {} at {now}", status.subject, status.state);
                }
            }
        }
    }

    #[test]
    fn invariant_4_replacements_end_at_something_usable(
        attempts in attempts(),
        random in prop::collection::vec(0..26_000_i64, 4),
    ) {
        let timeline = timeline(&attempts);
        for now in instants(&timeline, &random) {
            for status in all(&timeline, now) {
                // No chain of direct replacements is longer than there are subjects.
                let mut chain = vec![&status.subject];
                while let Some(next) =
                    timeline.plan(chain[chain.len() - 1], status.offering, now).and_then(|plan| plan.replacement.as_ref())
                {
                    prop_assert!(!chain.contains(&next), "a circle: {:?}", chain);
                    chain.push(next);
                }
                let Some(replacement) = status.replacement.as_ref().or(status.redirect.as_ref()) else { continue };
                prop_assert_ne!(replacement, &status.subject);
                prop_assert_eq!(tasks(replacement), vec![status.task]);
                let new = Principal::new("new");
                let other = timeline.status(replacement, status.offering, status.task, &new, now);
                prop_assert!(other.usable && other.state < State::Redirected, "{:?}", other);
            }
        }
    }

    #[test]
    fn invariants_5_and_6_embeddings_and_provisioned_models_are_never_retired(
        attempts in attempts(),
        random in prop::collection::vec(0..26_000_i64, 4),
    ) {
        let timeline = timeline(&attempts);
        for now in instants(&timeline, &random) {
            for status in all(&timeline, now) {
                let immune = status.task == Task::Embedding || status.offering == Offering::ProvisionedThroughput;
                prop_assert_eq!(status.exempt, immune);
                if immune {
                    prop_assert_eq!(status.state, State::Active);
                    prop_assert!(status.usable && status.retirement.is_none() && status.model_card_warning().is_none());
                }
            }
        }
    }

    #[test]
    fn invariant_8_later_freely_and_earlier_only_with_notice(
        announced in 0..2_000_i64,
        first in 100..400_i64,
        moved in 0..100_i64,
        second in 0..500_i64,
    ) {
        let model = Subject::model("a");
        let mut timeline = timeline(&[]);
        let at = |hours: i64| day("2025-02-01").checked_add(hours.hours()).unwrap();
        let (announced, moved) = (at(announced), at(announced + 24 * moved));
        let after = |now: Timestamp, days: i64| {
            RetirementDay::after(now.to_zoned(TimeZone::UTC).date().checked_add(days.days()).unwrap())
        };
        let draft = |retire: &RetirementDay| {
            Draft::new(model.clone(), Offering::PayPerToken, Change::Plan(Plan::retire(retire.clone())))
        };
        let (first, second) = (after(announced, first), after(moved, second));
        timeline.record(draft(&first), announced).unwrap();
        let allowed = end(&first) <= end(&second) || notice_ends(moved) <= end(&second);
        prop_assert_eq!(timeline.prepare(draft(&second), moved).is_ok(), allowed && moved < end(&first));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Over the builtin catalog, with what hosts recorded on top, at instants of the past too.
    #[test]
    fn invariant_7_the_same_log_and_time_give_the_same_documents(
        names in prop::collection::vec((0..11_usize, 0..400_i64, 91..400_i64), 0..4),
        hours in 0..26_000_i64,
    ) {
        let (catalog, mut timeline) = builtin();
        for (model, after, length) in names {
            let now = day("2024-06-01").checked_add((24 * after).hours()).unwrap();
            let retire = now.to_zoned(TimeZone::UTC).date().checked_add((length + 2).days()).unwrap();
            let model = &catalog.models()[model];
            let plan = Change::Plan(Plan::retire(RetirementDay::after(retire)));
            let _ = timeline.record(Draft::new(Subject::model(&model.name), Offering::PayPerToken, plan), now);
        }
        let now = day("2024-06-01").checked_add(hours.hours()).unwrap();
        let markdown = Documents::at(&catalog, &timeline, now).to_markdown();
        let again = Catalog::builtin().unwrap();
        let json = serde_json::to_string(&timeline).unwrap();
        let read: Timeline = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(Documents::at(&again, &read, now).to_markdown(), markdown.clone());
        let fresh = Timeline::from_catalog(&again).unwrap();
        let imported = fresh.imported().to_vec();
        let replayed = Timeline::replay(again.policy().clone(), imported, timeline.revisions().to_vec()).unwrap();
        prop_assert_eq!(Documents::at(&again, &replayed, now).to_markdown(), markdown);
    }
}

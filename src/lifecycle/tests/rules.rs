//! What may be recorded: notice, promises, order, circles, reinstatement, emergencies.

use super::{at, builtin, chat, date, day, state};
use crate::catalog::{Offering, RetirementDay, RetirementPolicy, Subject, Task, Zone};
use crate::lifecycle::{
    Change, Draft, LifecycleError, Offer, OverrideReason, Plan, Principal, State, Timeline,
};

const PPT: Offering = Offering::PayPerToken;

fn subject(name: &str) -> Subject {
    Subject::model(name)
}

fn plan(name: &str, plan: Plan) -> Draft {
    Draft::new(subject(name), PPT, Change::Plan(plan)).by("ops").because("a successor is better")
}

fn offered(names: &[&str]) -> Timeline {
    let mut timeline = Timeline::new(RetirementPolicy::default());
    for name in names {
        let offer = Change::Offer(Offer::of([Task::Chat]));
        timeline.record(Draft::new(subject(name), PPT, offer), day("2026-01-01")).unwrap();
    }
    timeline
}

fn after(text: &str) -> RetirementDay {
    RetirementDay::after(date(text))
}

#[test]
fn notice_is_three_calendar_months() {
    // Announced, the retirement, and whether that is enough.
    let cases = [
        ("2026-01-15T00:00:00Z", after("2026-04-14"), true),
        ("2026-01-15T00:00:01Z", after("2026-04-14"), false),
        ("2026-01-15T10:00:00Z", after("2026-04-15"), true),
        ("2026-01-15T00:00:00Z", RetirementDay::from(date("2026-04-15")), true),
        ("2026-01-15T10:00:00Z", RetirementDay::from(date("2026-04-15")), false),
        // February has no 30th: three months end on its last day.
        ("2026-11-30T12:00:00Z", after("2027-02-28"), true),
        ("2026-11-30T12:00:00Z", after("2027-02-27"), false),
        ("2027-11-30T12:00:00Z", after("2028-02-28"), false),
        ("2027-11-30T12:00:00Z", after("2028-02-29"), true),
        // Across the change to summer time: noon stays noon where the day is counted.
        ("2026-01-15T18:00:00Z", after("2026-04-14").in_zone(Zone::new("America/Chicago").unwrap()), false),
        ("2026-01-15T06:00:00Z", after("2026-04-14").in_zone(Zone::new("America/Chicago").unwrap()), true),
    ];
    for (now, retire, enough) in cases {
        let prepared = offered(&["old"]).prepare(plan("old", Plan::retire(retire.clone())), at(now));
        assert_eq!(prepared.is_ok(), enough, "announced {now}, retired {retire}: {prepared:?}");
    }
}

#[test]
fn short_notice_is_refused_in_one_line() {
    let error = offered(&["old"])
        .prepare(plan("old", Plan::retire(after("2026-02-28"))), day("2026-02-01"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "model \"old\" cannot be retired from pay_per_token after 2026-02-28: announced at 2026-02-01T00:00:00Z, notice of 3 \
         months ends at 2026-05-01T00:00:00Z; accepted are later days, or an override (safety, compliance, licence, security)"
    );
}

#[test]
fn an_override_skips_notice_and_is_seen() {
    let mut timeline = offered(&["old"]);
    let now = at("2026-02-01T10:30:00Z");
    let draft = plan("old", Plan::retire(RetirementDay::from(date("2026-02-01"))));
    timeline.record(draft.overriding(OverrideReason::Security), now).unwrap();
    assert_eq!(
        state(&timeline, &subject("old"), PPT, at("2026-02-01T10:29:59Z")),
        State::Active,
        "what was served, was"
    );
    let status = chat(&timeline, &subject("old"), PPT, now);
    assert_eq!(status.state, State::Retired);
    let retirement = status.retirement.as_ref().unwrap();
    assert_eq!(retirement.at, now, "it stopped when that was recorded");
    assert_eq!(retirement.override_reason, Some(OverrideReason::Security));
    assert!(status.model_card_warning().unwrap().contains("set aside for reasons of security"));
    assert_eq!(timeline.revisions().last().unwrap().override_reason, Some(OverrideReason::Security));
}

#[test]
fn not_even_an_override_retires_in_the_past_or_what_is_exempt() {
    let timeline = offered(&["old"]);
    let past = plan("old", Plan::retire(after("2026-01-30"))).overriding(OverrideReason::Safety);
    assert!(matches!(timeline.prepare(past, day("2026-02-01")), Err(LifecycleError::Past { .. })));
    let (_, timeline) = builtin();
    for (name, offering) in [("GTE Large (English)", PPT), ("DBRX", Offering::ProvisionedThroughput)] {
        let mut timeline = timeline.clone();
        let task = if offering == PPT { Task::Embedding } else { Task::Chat };
        let offer = Change::Offer(Offer { parents: vec![], ..Offer::of([task]) });
        if offering != PPT {
            timeline.record(Draft::new(subject(name), offering, offer), day("2026-01-01")).unwrap();
        }
        let draft = Draft::new(subject(name), offering, Change::Plan(Plan::retire(after("2030-01-01"))));
        let refused = timeline.prepare(draft.overriding(OverrideReason::Licence), day("2026-02-01"));
        assert!(matches!(refused, Err(LifecycleError::Exempt { .. })), "{refused:?}");
    }
}

#[test]
fn a_day_moves_later_freely_and_earlier_only_with_notice() {
    let mut timeline = offered(&["old"]);
    let mut retire =
        |text: &str, now: &str| timeline.record(plan("old", Plan::retire(after(text))), day(now)).map(|_| ());
    retire("2026-12-31", "2026-02-01").unwrap();
    retire("2027-01-31", "2026-12-30").unwrap();
    assert!(matches!(retire("2027-01-30", "2026-12-30"), Err(LifecycleError::Notice { .. })));
    retire("2027-12-31", "2027-01-01").unwrap();
    retire("2027-04-30", "2027-01-30").unwrap();
    assert!(matches!(retire("2027-04-28", "2027-01-31"), Err(LifecycleError::Notice { .. })));
}

#[test]
fn a_promise_stands_against_an_early_retirement() {
    let mut timeline = Timeline::new(RetirementPolicy::default());
    let offer = Offer::of([Task::Chat]).not_before(date("2027-01-01"));
    timeline.record(Draft::new(subject("old"), PPT, Change::Offer(offer)), day("2026-01-01")).unwrap();
    let retire = |text| plan("old", Plan::retire(after(text)));
    let refused = timeline.prepare(retire("2026-12-30"), day("2026-02-01"));
    assert!(matches!(refused, Err(LifecycleError::Promised { .. })), "{refused:?}");
    assert!(timeline.prepare(retire("2026-12-31"), day("2026-02-01")).is_ok());
    let urgent = retire("2026-12-30").overriding(OverrideReason::Compliance);
    assert!(timeline.prepare(urgent, day("2026-02-01")).is_ok());
}

#[test]
fn only_a_reinstatement_brings_back() {
    let mut timeline = offered(&["old", "new"]);
    let draft = Plan::retire(after("2026-06-30")).replaced_by(subject("new"));
    timeline.record(plan("old", draft.clone()), day("2026-03-01")).unwrap();
    let later = plan("old", Plan::retire(after("2027-06-30")));
    assert!(timeline.prepare(later.clone(), at("2026-06-30T23:59:59Z")).is_ok());
    assert!(matches!(timeline.prepare(later, day("2026-07-01")), Err(LifecycleError::Backwards { .. })));
    let withdrawn = plan("old", Plan::default());
    assert!(matches!(timeline.prepare(withdrawn, day("2026-04-01")), Err(LifecycleError::Backwards { .. })));
    let reinstate = || Draft::new(subject("old"), PPT, Change::Reinstate);
    timeline.record(reinstate(), day("2026-08-01")).unwrap();
    assert_eq!(
        state(&timeline, &subject("old"), PPT, at("2026-07-31T23:59:59Z")),
        State::Retired,
        "that was so"
    );
    let back = chat(&timeline, &subject("old"), PPT, day("2026-08-01"));
    assert_eq!((back.state, back.round, back.retirement, back.replacement), (State::Active, 1, None, None));
    assert!(matches!(
        timeline.prepare(reinstate(), day("2026-08-02")),
        Err(LifecycleError::NothingPlanned { .. })
    ));
    // And may be announced again, with full notice.
    assert!(timeline.prepare(plan("old", draft), day("2026-08-02")).is_err());
    let again = plan("old", Plan::retire(after("2026-12-31")));
    timeline.record(again, day("2026-08-02")).unwrap();
    assert_eq!(state(&timeline, &subject("old"), PPT, day("2026-08-03")), State::Announced);
}

#[test]
fn circles_are_refused_when_they_are_announced() {
    let mut timeline = offered(&["a", "b", "c"]);
    let replaced =
        |from: &str, to: &str| plan(from, Plan::retire(after("2026-12-31")).replaced_by(subject(to)));
    timeline.record(replaced("a", "b"), day("2026-02-01")).unwrap();
    timeline.record(replaced("b", "c"), day("2026-02-02")).unwrap();
    let error = timeline.prepare(replaced("c", "a"), day("2026-02-03")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "replacements and families may not go in a circle, but model \"c\" is replaced by model \"a\", which is replaced by \
         model \"b\", which is replaced by model \"c\""
    );
    assert!(matches!(
        timeline.prepare(replaced("a", "a"), day("2026-02-03")),
        Err(LifecycleError::Circle { .. })
    ));
    // A redirect is an edge too, and so is a family: what leaves with its family cannot be the family's replacement.
    let redirected = Plan::retire(after("2026-12-31")).redirected(date("2026-06-01"), subject("a"));
    assert!(matches!(
        timeline.prepare(plan("c", redirected), day("2026-02-03")),
        Err(LifecycleError::Circle { .. })
    ));
    let family = Draft::new(Subject::family("f"), PPT, Change::Offer(Offer::of([Task::Chat])));
    timeline.record(family, day("2026-02-03")).unwrap();
    let member = Change::Offer(Offer::of([Task::Chat]).part_of(Subject::family("f")));
    timeline.record(Draft::new(subject("a"), PPT, member), day("2026-02-03")).unwrap();
    let own_member = Change::Plan(Plan::retire(after("2026-12-31")).replaced_by(subject("a")));
    let refused = timeline.prepare(Draft::new(Subject::family("f"), PPT, own_member), day("2026-02-04"));
    assert!(matches!(refused, Err(LifecycleError::Circle { .. })), "{refused:?}");
}

/// The clock of a replay may stand before history that is known: that history counts when circles are looked for.
#[test]
fn history_to_come_closes_no_circle() {
    let (_, mut timeline) = builtin();
    let backwards = Plan::retire(after("2026-12-31")).replaced_by(subject("Meta-Llama-3.1-70B-Instruct"));
    let draft = plan("Meta-Llama-3.3-70B-Instruct", backwards);
    let refused = timeline.record(draft, day("2024-11-15")).map(|_| ());
    assert!(matches!(refused, Err(LifecycleError::Circle { .. })), "{refused:?}");
}

#[test]
fn what_the_host_decided_stands() {
    let (_, mut timeline) = builtin();
    let urgent = plan("DBRX Instruct", Plan::retire(RetirementDay::from(date("2024-11-15"))));
    timeline.record(urgent.overriding(OverrideReason::Licence), day("2024-11-15")).unwrap();
    for now in ["2024-11-15", "2025-01-30", "2025-04-30", "2025-05-01"] {
        assert_eq!(state(&timeline, &subject("DBRX Instruct"), PPT, day(now)), State::Retired, "{now}");
    }
    // An offer alone decides nothing about the end.
    let offer = Change::Offer(Offer::of([Task::Chat, Task::Completion]).part_of(Subject::family("Mixtral")));
    timeline.record(Draft::new(subject("Mixtral-8x7B Instruct"), PPT, offer), day("2024-11-16")).unwrap();
    assert_eq!(state(&timeline, &subject("Mixtral-8x7B Instruct"), PPT, day("2025-05-01")), State::Retired);
}

#[test]
fn milestones_follow_one_another() {
    let whole = Plan::retire(after("2026-12-31"))
        .closed_to_new_from(date("2026-08-01"))
        .extended(date("2026-09-01"), 150)
        .redirected(date("2026-11-01"), subject("new"))
        .removed_from(date("2027-02-01"))
        .replaced_by(subject("new"));
    let whole = Plan { legacy_from: Some(date("2026-02-15")), ..whole };
    let mut timeline = offered(&["old", "new"]);
    timeline.record(plan("old", Plan::legacy_from(date("2026-02-15"))), day("2026-02-01")).unwrap();
    timeline.record(plan("old", whole.clone()), day("2026-04-01")).unwrap();
    let expected = [
        ("2026-02-14", State::Active),
        ("2026-02-15", State::Legacy),
        ("2026-04-01", State::Announced),
        ("2026-08-01", State::Restricted),
        ("2026-09-01", State::Extended),
        ("2026-11-01", State::Redirected),
        ("2027-01-01", State::Retired),
        ("2027-02-01", State::Removed),
    ];
    for (now, state) in expected {
        assert_eq!(super::state(&timeline, &subject("old"), PPT, day(now)), state, "{now}");
    }
    let early = Plan { removed_from: Some(date("2026-12-31")), ..whole.clone() };
    let refused = offered(&["old", "new"]).prepare(plan("old", early), day("2026-02-01")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "model \"old\": removed_from is 2026-12-31, before the first day without it on 2027-01-01; accepted are days that \
         follow in order"
    );
    let unannounced = Plan { retire: None, ..whole };
    let refused = offered(&["old", "new"]).prepare(plan("old", unannounced), day("2026-02-01"));
    assert!(
        matches!(refused, Err(LifecycleError::Incomplete { what: "closed_to_new_from", .. })),
        "{refused:?}"
    );
}

#[test]
fn replacements_must_be_offered_for_the_same_task() {
    let mut timeline = offered(&["old"]);
    let to = |name: &str| plan("old", Plan::retire(after("2026-12-31")).replaced_by(subject(name)));
    assert!(matches!(timeline.prepare(to("nobody"), day("2026-02-01")), Err(LifecycleError::Unknown { .. })));
    let offer = Change::Offer(Offer::of([Task::Completion]));
    timeline.record(Draft::new(subject("base"), PPT, offer), day("2026-01-02")).unwrap();
    assert!(matches!(timeline.prepare(to("base"), day("2026-02-01")), Err(LifecycleError::OtherTask { .. })));
    let unknown = plan("nobody", Plan::retire(after("2026-12-31")));
    assert!(matches!(timeline.prepare(unknown, day("2026-02-01")), Err(LifecycleError::Unknown { .. })));
}

#[test]
fn a_log_must_be_in_one_piece() {
    let timeline = offered(&["a", "b", "c"]);
    let policy = || RetirementPolicy::default();
    let revisions = timeline.revisions();
    let gap = Timeline::replay(policy(), [], [revisions[0].clone(), revisions[2].clone()]);
    assert_eq!(gap.unwrap_err(), LifecycleError::Sequence { expected: 2, found: 3 });
    let twice = Timeline::replay(policy(), [], [revisions[0].clone(), revisions[0].clone()]);
    assert_eq!(twice.unwrap_err(), LifecycleError::Sequence { expected: 2, found: 1 });
    let mut back = revisions.to_vec();
    back[1].at = day("2020-01-01");
    assert!(matches!(Timeline::replay(policy(), [], back), Err(LifecycleError::Time { seq: 2, .. })));
    // A clock that was set back does not take the log back.
    let draft = plan("a", Plan::legacy_from(date("2026-01-01")));
    assert_eq!(timeline.prepare(draft, day("2025-01-01")).unwrap().at, day("2026-01-01"));
}

#[test]
fn legacy_and_announced_models_may_be_closed_to_new_users() {
    let policy = RetirementPolicy {
        legacy_admits_new: false,
        announced_admits_new: false,
        ..RetirementPolicy::default()
    };
    let mut timeline = Timeline::new(policy);
    timeline
        .record(Draft::new(subject("old"), PPT, Change::Offer(Offer::of([Task::Chat]))), day("2026-01-01"))
        .unwrap();
    timeline.record(plan("old", Plan::legacy_from(date("2026-02-01"))), day("2026-01-01")).unwrap();
    let usable = |last: Option<&str>, now: &str| {
        let principal = Principal { name: "p".into(), last_use: last.map(day) };
        timeline.status(&subject("old"), PPT, Task::Chat, &principal, day(now)).usable
    };
    assert!(usable(None, "2026-01-31"));
    assert!(!usable(None, "2026-02-01"));
    assert!(usable(Some("2026-01-02"), "2026-02-01"), "thirty days ago");
    assert!(!usable(Some("2026-01-01"), "2026-02-01"), "thirty-one days ago");
}

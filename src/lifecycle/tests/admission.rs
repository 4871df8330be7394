//! Who serves a request, by the endpoint's option.

use super::{builtin, chat, date, day};
use crate::catalog::{Offering, RetirementDay, Subject, Task};
use crate::error::{Error, ErrorKind};
use crate::lifecycle::{
    Admission, Change, Draft, Offer, Plan, Principal, Refusal, State, Timeline, UpgradeOption,
};

const PPT: Offering = Offering::PayPerToken;
const OPTIONS: [UpgradeOption; 3] = [
    UpgradeOption::NoAutoUpgrade,
    UpgradeOption::OnceNewDefaultVersionAvailable,
    UpgradeOption::OnceCurrentVersionExpired,
];

#[test]
fn a_retired_model_answers_410_with_what_to_do() {
    let (_, timeline) = builtin();
    let model = Subject::model("DBRX Instruct");
    let refusal = chat(&timeline, &model, PPT, day("2025-05-01"))
        .admit(UpgradeOption::NoAutoUpgrade, None)
        .unwrap_err();
    assert_eq!(
        refusal,
        Refusal::ModelRetired {
            subject: model,
            offering: PPT,
            retire: RetirementDay::after(date("2025-04-30")),
            since: day("2025-05-01"),
            replacement: Some(Subject::model("Meta-Llama-3.3-70B-Instruct")),
            long_term: Some(Offering::ProvisionedThroughput),
            override_reason: None,
        }
    );
    let json = serde_json::to_value(&refusal).unwrap();
    assert_eq!(json["type"], "model_retired");
    assert_eq!(json["replacement"]["name"], "Meta-Llama-3.3-70B-Instruct");
    assert_eq!(serde_json::from_value::<Refusal>(json).unwrap(), refusal);
    let error = Error::from(refusal);
    assert_eq!(
        (error.kind(), error.status(), error.kind().code()),
        (ErrorKind::ModelRetired, 410, "model_retired")
    );
    assert_eq!(
        error.message(),
        "model \"DBRX Instruct\" was retired from pay-per-token after 2025-04-30; use model \"Meta-Llama-3.3-70B-Instruct\" \
         instead, or keep it on provisioned throughput"
    );
    let source = std::error::Error::source(&error).unwrap();
    assert!(source.downcast_ref::<Refusal>().is_some(), "the details travel with the error");
}

#[test]
fn options_decide_at_the_retirement() {
    let (_, timeline) = builtin();
    let model = Subject::model("DBRX Instruct");
    let to = Subject::model("Meta-Llama-3.3-70B-Instruct");
    for option in OPTIONS {
        let before = chat(&timeline, &model, PPT, day("2025-04-30")).admit(option, None);
        assert_eq!(before, Ok(Admission::Serve), "{option:?}");
        let after = chat(&timeline, &model, PPT, day("2025-05-01")).admit(option, None);
        match option {
            UpgradeOption::NoAutoUpgrade => assert!(after.is_err()),
            _ => assert_eq!(after, Ok(Admission::Upgrade(to.clone()))),
        }
    }
    // Nothing to upgrade to: refused, whatever the option.
    let mpt = Subject::model("MPT 7B Instruct");
    for option in OPTIONS {
        let status = timeline.status(&mpt, PPT, Task::Completion, &Principal::default(), day("2024-11-15"));
        let refusal = status.admit(option, None).unwrap_err();
        assert!(
            refusal.to_string().ends_with("; nothing replaces it, or keep it on provisioned throughput"),
            "{refusal}"
        );
    }
}

#[test]
fn a_new_default_takes_over_where_it_may() {
    let (_, timeline) = builtin();
    let now = day("2024-12-10");
    let current = chat(&timeline, &Subject::model("Meta-Llama-3.1-70B-Instruct"), PPT, now);
    let default = |now| chat(&timeline, &Subject::model("Meta-Llama-3.3-70B-Instruct"), PPT, now);
    let option = UpgradeOption::OnceNewDefaultVersionAvailable;
    assert_eq!(current.admit(option, Some(&default(now))), Ok(Admission::Serve), "it is not there yet");
    let now = day("2024-12-11");
    let upgraded = Admission::Upgrade(Subject::model("Meta-Llama-3.3-70B-Instruct"));
    assert_eq!(current.admit(option, Some(&default(now))), Ok(upgraded));
    assert_eq!(current.admit(option, Some(&current)), Ok(Admission::Serve), "it is the default itself");
    assert_eq!(current.admit(UpgradeOption::NoAutoUpgrade, Some(&default(now))), Ok(Admission::Serve));
    assert_eq!(
        current.admit(UpgradeOption::OnceCurrentVersionExpired, Some(&default(now))),
        Ok(Admission::Serve)
    );
}

fn restricted() -> Timeline {
    let mut timeline = Timeline::new(crate::catalog::RetirementPolicy::default());
    for name in ["old", "new"] {
        let offer = Change::Offer(Offer::of([Task::Chat]));
        timeline.record(Draft::new(Subject::model(name), PPT, offer), day("2026-01-01")).unwrap();
    }
    let plan = Plan::retire(RetirementDay::after(date("2026-12-31")))
        .closed_to_new_from(date("2026-06-01"))
        .redirected(date("2026-11-01"), Subject::model("new"))
        .replaced_by(Subject::model("new"));
    timeline.record(Draft::new(Subject::model("old"), PPT, Change::Plan(plan)), day("2026-01-01")).unwrap();
    timeline
}

#[test]
fn new_users_are_turned_away_while_old_ones_stay() {
    let timeline = restricted();
    let old = Subject::model("old");
    let now = day("2026-07-01");
    let refusal = chat(&timeline, &old, PPT, now).admit(UpgradeOption::NoAutoUpgrade, None).unwrap_err();
    assert_eq!(Error::from(refusal.clone()).status(), 403);
    assert_eq!(
        refusal.to_string(),
        "model \"old\" is restricted in pay-per-token and takes no new users; use model \"new\" instead, or keep it on \
         provisioned throughput"
    );
    let user = Principal::new("somebody").last_used(day("2026-06-15"));
    let status = timeline.status(&old, PPT, Task::Chat, &user, now);
    assert_eq!(status.admit(UpgradeOption::NoAutoUpgrade, None), Ok(Admission::Serve));
}

#[test]
fn a_redirect_names_who_answers_until_it_is_gone_too() {
    let mut timeline = restricted();
    let old = Subject::model("old");
    let status = chat(&timeline, &old, PPT, day("2026-11-01"));
    assert_eq!(
        status.admit(UpgradeOption::NoAutoUpgrade, None),
        Ok(Admission::Redirect(Subject::model("new")))
    );
    let gone = Plan::retire(RetirementDay::from(date("2026-11-15")));
    let draft = Draft::new(Subject::model("new"), PPT, Change::Plan(gone));
    timeline.record(draft, day("2026-08-01")).unwrap();
    let status = chat(&timeline, &old, PPT, day("2026-11-15"));
    assert_eq!(status.state, State::Redirected);
    assert!(matches!(status.admit(UpgradeOption::NoAutoUpgrade, None), Err(Refusal::ModelRetired { .. })));
}

#[test]
fn before_its_day_a_model_answers_404() {
    let (_, timeline) = builtin();
    let status = chat(&timeline, &Subject::model("Meta-Llama-3.3-70B-Instruct"), PPT, day("2024-11-15"));
    let error = Error::from(status.admit(UpgradeOption::NoAutoUpgrade, None).unwrap_err());
    assert_eq!(error.status(), 404);
    assert!(error.message().ends_with("it will be from 2024-12-11T00:00:00Z on"), "{error}");
}

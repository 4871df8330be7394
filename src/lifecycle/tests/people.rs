//! What people and programs are told: cards, lists, news, headers, objects of other systems.

use std::collections::BTreeSet;

use super::{at, builtin, chat, date, day};
use crate::catalog::{Offering, RetirementDay, Subject, Task, Zone};
use crate::lifecycle::{
    BedrockStatus, Change, Draft, Plan, Principal, State, Status, Watch, fine_tuning_list, model_card,
};

const PPT: Offering = Offering::PayPerToken;

fn dbrx(now: &str) -> Status {
    chat(&builtin().1, &Subject::model("DBRX Instruct"), PPT, day(now))
}

#[test]
fn a_card_warns_from_the_announcement_on() {
    let (catalog, timeline) = builtin();
    let card = |name: &str, now: &str| {
        model_card(&catalog, &timeline, name, &Principal::default(), day(now)).unwrap()
    };
    let before = card("databricks-dbrx-instruct", "2024-11-15");
    assert!(before.warnings.is_empty());
    assert_eq!(before.notes, ["See Foundation Model APIs limits for region availability."]);
    let announced = card("dbrx instruct", "2025-02-01");
    assert_eq!(
        announced.warnings,
        [
            "DBRX Instruct is planned to be retired from pay-per-token. This model is no longer supported after April 30, 2025. \
          Move to Meta-Llama-3.3-70B-Instruct, or keep it on a provisioned throughput endpoint."
        ]
    );
    assert!(announced.notes.is_empty());
    assert_eq!(announced.license.unwrap().acceptable_use_policy.unwrap(), "Databricks Acceptable Use policy");
    assert_eq!(announced.provisioned_as, ["DBRX"]);
    let retired = card("DBRX Instruct", "2025-05-01");
    assert!(
        retired.warnings[0].starts_with("DBRX Instruct has been retired from pay-per-token. "),
        "{:?}",
        retired.warnings
    );
    let embedding = card("databricks-gte-large-en", "2099-01-01");
    assert!(embedding.warnings.is_empty());
    assert_eq!(embedding.notes, ["Does not generate normalized embeddings."]);
    let llama = card("databricks-meta-llama-3-1-405b-instruct", "2025-01-01");
    assert_eq!(llama.license.unwrap().name, "LLAMA 3.1 Community License");
    assert_eq!(llama.provisioned_as, ["Meta Llama 3.1"]);
    assert!(model_card(&catalog, &timeline, "nobody", &Principal::default(), day("2025-01-01")).is_none());
}

#[test]
fn the_training_list_warns_and_drops_what_is_retired() {
    let (catalog, timeline) = builtin();
    let list = |now: &str| fine_tuning_list(&catalog, &timeline, &Principal::default(), day(now));
    assert_eq!(list("2024-06-01").len(), 13);
    let warned: Vec<_> =
        list("2025-03-01").into_iter().filter(|listing| !listing.warnings.is_empty()).collect();
    assert_eq!(warned.len(), 5);
    assert_eq!(warned[0].name, "mistralai/Mistral-7B-v0.1");
    assert_eq!(warned[0].max_context_length, 32768);
    assert_eq!(
        warned[0].warnings,
        [
            "Planned for retirement. This model is no longer supported after April 30, 2025. Recommended instead: Llama-3.1-8B."
        ]
    );
    let after = list("2025-05-01");
    assert_eq!(after.len(), 8);
    assert!(after.iter().all(|listing| listing.warnings.is_empty() && listing.max_context_length == 131_072));
}

#[test]
fn each_wording_has_its_sentence() {
    let (_, timeline) = builtin();
    let notice =
        |model: &str| chat(&timeline, &Subject::model(model), PPT, day("2025-03-01")).notice().unwrap();
    assert_eq!(notice("DBRX Instruct"), "This model is no longer supported after April 30, 2025.");
    assert_eq!(
        notice("Meta-Llama-3.1-70B-Instruct"),
        "Starting December 11, 2024, this model is no longer supported."
    );
    assert_eq!(notice("MPT 7B Instruct"), "The retirement date of this model is August 30, 2024.");
    let mut timeline = timeline;
    let retire = RetirementDay::after(date("2026-06-30")).in_zone(Zone::new("Europe/Paris").unwrap());
    let model = Subject::model("Meta-Llama-3.1-405B-Instruct");
    let draft = Draft::new(model.clone(), PPT, Change::Plan(Plan::retire(retire)));
    timeline.record(draft, day("2026-01-01")).unwrap();
    let status = chat(&timeline, &model, PPT, day("2026-02-01"));
    assert_eq!(
        status.notice().unwrap(),
        "This model is no longer supported after June 30, 2026 (Europe/Paris)."
    );
    assert_eq!(status.retirement.unwrap().at, at("2026-06-30T22:00:00Z"));
}

#[test]
fn a_response_says_it_when_it_is_asked_to() {
    assert_eq!(dbrx("2024-11-15").response_extension(), None);
    let extension = dbrx("2025-02-01").response_extension().unwrap();
    let json = serde_json::to_value(&extension).unwrap();
    assert_eq!(json["state"], "announced");
    assert_eq!(json["retirement_day"], "2025-04-30");
    assert_eq!(json["replacement"]["name"], "Meta-Llama-3.3-70B-Instruct");
    assert_eq!(json["long_term"], "provisioned_throughput");
    assert_eq!(json["retirement"]["at"], "2025-05-01T00:00:00Z");
}

#[test]
fn headers_are_those_of_the_standards() {
    let status = dbrx("2025-02-01");
    // 2025-01-30T00:00:00Z: what three months' notice leaves as the latest day of an announcement nobody dated.
    assert_eq!(status.deprecation_header().unwrap(), "@1738195200");
    assert_eq!(status.sunset_header().unwrap(), "Thu, 01 May 2025 00:00:00 GMT");
    let link = status.link_header("https://example.com/retired?m=dbrx").unwrap().unwrap();
    assert!(link.starts_with("<https://example.com/retired?m=dbrx>; rel=\"deprecation\""), "{link}");
    assert!(status.link_header("https://example.com/>\r\nX: y").is_err());
    let active = dbrx("2024-11-15");
    assert_eq!((active.deprecation_header(), active.sunset_header()), (None, None));
    assert_eq!(active.link_header("https://example.com").unwrap(), None);
}

#[test]
fn projections_of_other_systems() {
    assert_eq!(dbrx("2024-11-15").shutdown_date(), None);
    assert_eq!(dbrx("2025-02-01").shutdown_date(), Some(date("2025-05-01")));
    let from = chat(&builtin().1, &Subject::model("Meta-Llama-3.1-70B-Instruct"), PPT, day("2025-01-01"));
    assert_eq!(from.shutdown_date(), Some(date("2024-12-11")));
    let bedrock = |now| dbrx(now).foundation_model_lifecycle().unwrap();
    assert_eq!(bedrock("2024-11-15").status, BedrockStatus::Active);
    let legacy = bedrock("2025-02-01");
    assert_eq!((legacy.status, legacy.legacy_time), (BedrockStatus::Legacy, Some(day("2025-01-30"))));
    let json = serde_json::to_value(bedrock("2025-05-01")).unwrap();
    let expected =
        r#"{"status":"EOL","legacyTime":"2025-01-30T00:00:00Z","endOfLifeTime":"2025-05-01T00:00:00Z"}"#;
    assert_eq!(json.to_string(), expected);
    let planned = chat(&builtin().1, &Subject::model("Meta-Llama-3.3-70B-Instruct"), PPT, day("2024-11-15"));
    assert_eq!(planned.foundation_model_lifecycle(), None);
}

#[test]
fn news_come_once_for_each_state_and_principal() {
    let (_, mut timeline) = builtin();
    let watch = |name: &str| Watch {
        subject: Subject::model("DBRX Instruct"),
        offering: PPT,
        task: Task::Chat,
        principal: Principal::new(name),
    };
    let watches = [watch("ann"), watch("bob"), watch("ann")];
    let mut delivered = BTreeSet::new();
    let mut due = |timeline: &crate::lifecycle::Timeline, now: &str| {
        let events = timeline.due(&watches, &delivered, day(now));
        delivered.extend(events.iter().map(|event| event.key.clone()));
        events.into_iter().map(|event| (event.key.principal, event.key.state)).collect::<Vec<_>>()
    };
    let both = |state| vec![("ann".to_owned(), state), ("bob".to_owned(), state)];
    assert_eq!(due(&timeline, "2025-01-29"), []);
    assert_eq!(due(&timeline, "2025-01-30"), both(State::Announced));
    assert_eq!(due(&timeline, "2025-04-30"), []);
    assert_eq!(due(&timeline, "2025-05-01"), both(State::Retired));
    assert_eq!(due(&timeline, "2025-06-01"), []);
    let reinstate = Draft::new(Subject::model("DBRX Instruct"), PPT, Change::Reinstate);
    timeline.record(reinstate, day("2025-07-01")).unwrap();
    assert_eq!(due(&timeline, "2025-07-01"), both(State::Active));
    assert_eq!(due(&timeline, "2025-07-02"), []);
    let again = Change::Plan(Plan::retire(RetirementDay::after(date("2025-12-31"))));
    timeline.record(Draft::new(Subject::model("DBRX Instruct"), PPT, again), day("2025-08-01")).unwrap();
    assert_eq!(due(&timeline, "2025-08-01"), both(State::Announced), "a second retirement is news again");
}

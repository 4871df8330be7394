//! The dates of the documents: both sides of midnight, per offering, chains of replacements.

use super::{at, builtin, chat, date, day, state};
use crate::catalog::{Catalog, Offering, Subject, Task};
use crate::lifecycle::{Principal, State, Timeline};

const PPT: Offering = Offering::PayPerToken;
const FT: Offering = Offering::FineTuning;
const PT: Offering = Offering::ProvisionedThroughput;

fn last_and_first(subject: &Subject, offering: Offering, last: &str, first: &str) {
    let (_, timeline) = builtin();
    let before = chat(&timeline, subject, offering, at(last));
    assert!(before.usable && !before.state.is_retired(), "{subject} at {last}: {}", before.state);
    let after = chat(&timeline, subject, offering, at(first));
    assert!(!after.usable, "{subject} at {first}");
    assert_eq!(after.state, State::Retired, "{subject} at {first}");
    assert_eq!(after.retirement.unwrap().at, at(first));
}

#[test]
fn starting_a_day_means_from_its_first_instant() {
    let model = Subject::model("Meta-Llama-3-70B-Instruct");
    last_and_first(&model, PPT, "2024-07-22T23:59:59.999999999Z", "2024-07-23T00:00:00Z");
    let model = Subject::model("Meta-Llama-3.1-70B-Instruct");
    last_and_first(&model, PPT, "2024-12-10T23:59:59.999999999Z", "2024-12-11T00:00:00Z");
}

#[test]
fn after_a_day_means_from_the_next_one() {
    for model in ["DBRX Instruct", "Mixtral-8x7B Instruct"] {
        last_and_first(&Subject::model(model), PPT, "2025-04-30T23:59:59.999999999Z", "2025-05-01T00:00:00Z");
    }
    for family in ["DBRX", "Mixtral", "Mistral"] {
        last_and_first(&Subject::family(family), FT, "2025-04-30T23:59:59Z", "2025-05-01T00:00:00Z");
    }
    let family = Subject::family("Meta-Llama-3.1-405B");
    last_and_first(&family, FT, "2025-01-30T23:59:59Z", "2025-01-31T00:00:00Z");
}

#[test]
fn a_date_in_a_table_still_works() {
    for model in ["MPT 7B Instruct", "MPT 30B Instruct"] {
        last_and_first(&Subject::model(model), PPT, "2024-08-30T23:59:59Z", "2024-08-31T00:00:00Z");
    }
    last_and_first(
        &Subject::model("Meta-Llama-2-70B-Chat"),
        PPT,
        "2024-10-30T23:59:59Z",
        "2024-10-31T00:00:00Z",
    );
    for family in ["Meta-Llama-3", "Meta-Llama-2", "Code Llama"] {
        last_and_first(&Subject::family(family), FT, "2025-01-07T23:59:59Z", "2025-01-08T00:00:00Z");
    }
}

#[test]
fn a_catalog_may_read_table_dates_and_zones_otherwise() {
    let policy = "[policy]\ntable_only = \"from\"\nzone = \"America/Los_Angeles\"";
    let catalog = Catalog::builtin().unwrap().with_toml(policy).unwrap();
    let timeline = Timeline::from_catalog(&catalog).unwrap();
    let mpt = Subject::model("MPT 7B Instruct");
    assert!(!state(&timeline, &mpt, PPT, at("2024-08-30T06:59:59Z")).is_retired());
    assert!(
        state(&timeline, &mpt, PPT, at("2024-08-30T07:00:00Z")).is_retired(),
        "midnight in California in summer"
    );
    let dbrx = Subject::model("DBRX Instruct");
    assert!(!state(&timeline, &dbrx, PPT, at("2025-05-01T06:59:59Z")).is_retired());
    assert!(state(&timeline, &dbrx, PPT, at("2025-05-01T07:00:00Z")).is_retired());
}

#[test]
fn the_same_model_differs_by_offering() {
    let (_, timeline) = builtin();
    let state = |subject: &Subject, offering, now| state(&timeline, subject, offering, day(now));
    let hosted = Subject::model("Meta-Llama-3.1-70B-Instruct");
    let tuned = Subject::model("meta-llama/Meta-Llama-3.1-70B-Instruct");
    assert_eq!(state(&hosted, PPT, "2025-03-01"), State::Retired);
    assert_eq!(state(&tuned, FT, "2025-03-01"), State::Active);
    let hosted = Subject::model("Meta-Llama-3.1-405B-Instruct");
    assert_eq!(state(&Subject::family("Meta-Llama-3.1-405B"), FT, "2025-01-31"), State::Retired);
    assert_eq!(state(&hosted, PPT, "2025-01-31"), State::Active);
    assert_eq!(state(&hosted, PPT, "2099-01-01"), State::Active, "never retired in the documents");
    for subject in
        [Subject::model("MPT 7B Instruct"), Subject::family("MPT"), Subject::family("Meta-Llama-2")]
    {
        assert_eq!(state(&subject, PT, "2099-01-01"), State::Active);
    }
}

#[test]
fn a_family_takes_its_members_along() {
    let (_, timeline) = builtin();
    let members = [
        ("mistralai/Mistral-7B-v0.1", "Mistral", "Llama-3.1-8B"),
        ("mistralai/Mistral-7B-Instruct-v0.2", "Mistral", "Llama-3.1-8B"),
        ("mistralai/Mixtral-8x7B-v0.1", "Mixtral", "Llama-3.1-70B"),
        ("databricks/dbrx-base", "DBRX", "Llama-3.1-70B"),
        ("databricks/dbrx-instruct", "DBRX", "Llama-3.1-70B"),
    ];
    for (model, family, replacement) in members {
        let model = Subject::model(model);
        let announced = chat(&timeline, &model, FT, day("2025-03-01"));
        assert_eq!(announced.state, State::Announced);
        assert_eq!(announced.governed_by, Some(Subject::family(family)));
        let retired = chat(&timeline, &model, FT, day("2025-05-01"));
        assert_eq!(retired.state, State::Retired);
        assert_eq!(retired.replacement, Some(Subject::family(replacement)));
    }
    // A member of a larger family whose other members were retired goes on.
    let kept = chat(&timeline, &Subject::model("meta-llama/Meta-Llama-3.1-8B"), FT, day("2026-01-01"));
    assert_eq!((kept.state, kept.governed_by), (State::Active, None));
}

#[test]
fn replacements_are_those_of_the_day() {
    let (_, timeline) = builtin();
    let model = Subject::model("Meta-Llama-3-70B-Instruct");
    let replacement =
        |now| timeline.replacement(&model, PPT, Task::Chat, now).map(|subject| subject.name.as_str());
    assert_eq!(replacement(day("2024-07-22")), None, "nothing was announced yet");
    assert_eq!(replacement(day("2024-08-01")), Some("Meta-Llama-3.1-70B-Instruct"));
    assert_eq!(replacement(at("2024-12-10T23:59:59Z")), Some("Meta-Llama-3.1-70B-Instruct"));
    assert_eq!(replacement(day("2024-12-11")), Some("Meta-Llama-3.3-70B-Instruct"));
    assert_eq!(replacement(day("2024-12-12")), Some("Meta-Llama-3.3-70B-Instruct"));
    let mpt = Subject::model("MPT 7B Instruct");
    let task =
        |task, now| timeline.replacement(&mpt, PPT, task, day(now)).map(|subject| subject.name.as_str());
    assert_eq!(task(Task::Completion, "2024-11-15"), None, "3.3 is not there yet");
    assert_eq!(
        task(Task::Completion, "2024-12-11"),
        Some("Meta-Llama-3.3-70B-Instruct"),
        "a chat model continues texts"
    );
    assert_eq!(task(Task::Embedding, "2024-12-11"), None);
}

#[test]
fn embeddings_and_what_nobody_announced_stay() {
    let (catalog, timeline) = builtin();
    for model in ["GTE Large (English)", "BGE Large (English)"] {
        let subject = catalog.subject(PPT, model).unwrap();
        let status =
            timeline.status(&subject, PPT, Task::Embedding, &Principal::default(), day("2099-12-31"));
        assert_eq!((status.state, status.exempt, status.usable), (State::Active, true, true));
    }
    let unknown = chat(&timeline, &Subject::model("main.models.ours"), PPT, day("2030-01-01"));
    assert_eq!((unknown.state, unknown.exempt, unknown.usable), (State::Active, false, true));
}

#[test]
fn before_its_day_a_model_is_not_there() {
    let (_, timeline) = builtin();
    let model = Subject::model("Meta-Llama-3.3-70B-Instruct");
    let planned = chat(&timeline, &model, PPT, at("2024-12-10T23:59:59Z"));
    assert_eq!((planned.state, planned.usable), (State::Planned, false));
    assert_eq!(state(&timeline, &model, PPT, day("2024-12-11")), State::Active);
}

/// What the documents do not say is taken from the notice period, and told apart from what they say.
#[test]
fn imported_history_has_no_day_of_announcement() {
    let (_, timeline) = builtin();
    let model = Subject::model("DBRX Instruct");
    assert_eq!(state(&timeline, &model, PPT, at("2025-01-29T23:59:59Z")), State::Active);
    let announced = chat(&timeline, &model, PPT, day("2025-01-30"));
    assert_eq!(announced.state, State::Announced);
    let retirement = announced.retirement.unwrap();
    assert!(retirement.imported);
    assert_eq!(retirement.announced_at, None);
    assert_eq!(retirement.known_since, day("2025-01-30"));
    assert_eq!(retirement.first_day_without, date("2025-05-01"));
    assert_eq!(announced.long_term, Some(PT));
    let same_day = Subject::model("Meta-Llama-3.1-70B-Instruct");
    assert_eq!(
        state(&timeline, &same_day, PPT, at("2024-12-10T23:59:59Z")),
        State::Active,
        "as the oldest document has it"
    );
}

//! Models that retire: what requests meet, who is told, and what is not touched.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use jiff::civil::date;
use model_runtime::catalog::{Offering, RetirementDay, Subject};
use model_runtime::lifecycle::{Change, Draft, LifecycleEvent, Plan, Refusal, State, UpgradeOption};
use model_runtime::runtime::{EndpointOptions, RequestOptions, ServedModel};
use model_runtime::{Error, ErrorKind, ManualClock, ModelRuntime, ServeOptions};

use super::{greedy, stories, tiny};

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn clock(time: &str) -> Arc<ManualClock> {
    Arc::new(ManualClock::at(at(time)))
}

fn served(model: impl Into<model_runtime::runtime::ModelSource>) -> Vec<ServedModel> {
    vec![ServedModel::load(model, ServeOptions::default())]
}

fn ask(runtime: &ModelRuntime, endpoint: &str, options: RequestOptions) -> Result<String, Error> {
    let mut request = greedy("Once", 2);
    request.model = endpoint.into();
    runtime.complete_with(request, options).map(|answer| answer.model)
}

#[test]
fn a_model_of_the_documents_retires_by_the_token_and_lives_on_where_capacity_is_reserved() {
    let clock = clock("2025-04-30T23:59:59Z");
    let events: Arc<Mutex<Vec<LifecycleEvent>>> = Arc::default();
    let heard = Arc::clone(&events);
    let runtime = ModelRuntime::builder()
        .clock(clock.clone())
        .on_lifecycle(move |event| heard.lock().unwrap().push(event.clone()))
        .build()
        .unwrap();
    // Completions stand for chat here: what retires is the model.
    let endpoint = "databricks-dbrx-instruct";
    runtime.serve_endpoint(endpoint, EndpointOptions::pay_per_token(), served(stories())).unwrap();
    let own = EndpointOptions::default().subject(Subject::model("DBRX Instruct"));
    runtime.serve_endpoint("pinned", own, served(stories())).unwrap();

    // The last second of the last day: it answers, and says what is to come if asked to.
    let mut request = greedy("Once", 2);
    request.model = endpoint.into();
    let told = runtime.complete_with(request.clone(), RequestOptions::default().lifecycle(true)).unwrap();
    let told = told.x_lifecycle.unwrap();
    assert_eq!(
        (&told["state"], &told["retirement_day"]),
        (&"announced".into(), &"2025-04-30".into()),
        "{told}"
    );
    assert!(runtime.complete(request.clone()).unwrap().x_lifecycle.is_none(), "nobody asked");
    let mut long = greedy("Once upon a time", 400);
    long.options.logit_bias.insert(2, -100.0);
    long.model = endpoint.into();
    let running = runtime.complete_stream(long.clone()).unwrap();

    clock.set_wall(at("2025-05-01T00:00:00Z"));
    let error = runtime.complete(request.clone()).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::ModelRetired, 410));
    assert!(error.message().contains("Llama-3.3-70B") && error.message().contains("provisioned"), "{error}");
    let source = std::error::Error::source(&error).unwrap();
    assert!(matches!(source.downcast_ref(), Some(Refusal::ModelRetired { .. })));
    long.model = "pinned".into();
    let (cut, whole) = (running.wait().unwrap(), runtime.complete(long).unwrap());
    assert!(whole.usage.completion_tokens > 100);
    assert_eq!(cut.choices, whole.choices, "what runs is not cut off");
    ask(&runtime, "pinned", RequestOptions::default()).unwrap();

    // Each state once for each principal.
    let _ = runtime.complete(request);
    let _ = ask(&runtime, endpoint, RequestOptions::default().principal("ann"));
    let told: Vec<_> =
        events.lock().unwrap().iter().map(|it| (it.key.state, it.key.principal.clone())).collect();
    let anybody = String::new();
    assert_eq!(
        told,
        [(State::Announced, anybody.clone()), (State::Retired, anybody), (State::Retired, "ann".into())]
    );
}

#[test]
fn a_host_announces_with_notice_and_the_endpoint_moves_where_it_said_so() {
    let clock = clock("2026-01-15T12:00:00Z");
    let runtime = ModelRuntime::builder().clock(clock.clone()).build().unwrap();
    let options = |upgrade| EndpointOptions::pay_per_token().upgrade(upgrade);
    let model = |path, version: &str| vec![ServedModel::load(path, ServeOptions::default().version(version))];
    for (name, upgrade) in
        [("stays", UpgradeOption::NoAutoUpgrade), ("moves", UpgradeOption::OnceCurrentVersionExpired)]
    {
        runtime.serve_endpoint(name, options(upgrade), model(stories(), "old")).unwrap();
    }
    let next = options(UpgradeOption::NoAutoUpgrade);
    runtime.serve_endpoint("next", next, model(tiny("llama3"), "new")).unwrap();

    let plan = |day| Plan::retire(RetirementDay::after(day)).replaced_by(Subject::model("new"));
    let draft = |day| Draft::new(Subject::model("old"), Offering::PayPerToken, Change::Plan(plan(day)));
    let error = runtime.revise(&draft(date(2026, 4, 13))).unwrap_err();
    assert!(error.message().contains("notice of 3 months"), "{error}");
    runtime.revise(&draft(date(2026, 4, 15))).unwrap();

    clock.set_wall(at("2026-04-15T23:59:59Z"));
    assert_eq!(ask(&runtime, "stays", RequestOptions::default()).unwrap(), "old");
    assert_eq!(ask(&runtime, "moves", RequestOptions::default()).unwrap(), "old");
    clock.set_wall(at("2026-04-16T00:00:00Z"));
    let error = ask(&runtime, "stays", RequestOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelRetired, "{error}");
    assert_eq!(ask(&runtime, "moves", RequestOptions::default()).unwrap(), "new");
    // Reinstated, it answers again, under its own name.
    runtime.revise(&Draft::new(Subject::model("old"), Offering::PayPerToken, Change::Reinstate)).unwrap();
    assert_eq!(ask(&runtime, "stays", RequestOptions::default()).unwrap(), "old");
}

#[test]
fn the_default_version_is_followed_by_endpoints_that_want_to() {
    use model_runtime::registry::{ModelName, NewModel, NewVersion, VersionId};
    let runtime = ModelRuntime::builder().build().unwrap();
    let (registry, name): (_, ModelName) = (runtime.registry(), "main.default.teller".parse().unwrap());
    registry.create_model(&name, &NewModel::default(), "tests").unwrap();
    for path in [stories(), tiny("llama3")] {
        let progress = &mut |_| std::ops::ControlFlow::Continue(());
        registry.register(&name, &NewVersion::at(path), "tests", progress).unwrap();
    }
    let follow = EndpointOptions::pay_per_token().upgrade(UpgradeOption::OnceNewDefaultVersionAvailable);
    runtime.serve_endpoint("follows", follow, served("models:/main.default.teller/1")).unwrap();
    registry.set_alias(&VersionId::new(name.clone(), 1), "default").unwrap();
    assert_eq!(ask(&runtime, "follows", RequestOptions::default()).unwrap(), "main.default.teller/1");
    registry.set_alias(&VersionId::new(name.clone(), 2), "default").unwrap();
    let error = ask(&runtime, "follows", RequestOptions::default()).unwrap_err();
    assert!(error.message().contains("no endpoint serves"), "{error}");
    let next = EndpointOptions::pay_per_token();
    runtime.serve_endpoint("next", next, served("models:/main.default.teller/2")).unwrap();
    assert_eq!(ask(&runtime, "follows", RequestOptions::default()).unwrap(), "main.default.teller/2");
}

#[test]
fn new_users_can_be_turned_away_while_recent_ones_go_on() {
    let clock = clock("2026-01-15T12:00:00Z");
    let runtime = ModelRuntime::builder().clock(clock.clone()).build().unwrap();
    let model = vec![ServedModel::load(stories(), ServeOptions::default().version("old"))];
    runtime.serve_endpoint("old", EndpointOptions::pay_per_token(), model).unwrap();
    let plan = Plan::retire(RetirementDay::after(date(2026, 6, 30))).closed_to_new_from(date(2026, 3, 1));
    runtime.revise(&Draft::new(Subject::model("old"), Offering::PayPerToken, Change::Plan(plan))).unwrap();
    clock.set_wall(at("2026-02-28T12:00:00Z"));
    let by = |who: &str| RequestOptions::default().principal(who);
    ask(&runtime, "old", by("ann")).unwrap();
    runtime.flush_usage().unwrap();
    clock.set_wall(at("2026-03-02T12:00:00Z"));
    ask(&runtime, "old", by("ann")).unwrap();
    let error = ask(&runtime, "old", by("bob")).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::PermissionDenied, 403), "{error}");
    // Who still uses it, is known.
    runtime.flush_usage().unwrap();
    let users = runtime.retiring_usage(None, None).unwrap();
    let users: Vec<_> =
        users.iter().map(|it| (it.requester.as_str(), it.endpoint_name.as_str(), it.request_count)).collect();
    assert_eq!(users, [("ann", "old", 2)]);
}

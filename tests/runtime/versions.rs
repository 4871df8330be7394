//! Registered versions, traffic between them, updates, and going back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use jiff::Timestamp;
use model_runtime::registry::{ModelName, NewModel, NewVersion, VersionId, VersionStatus};
use model_runtime::runtime::{EndpointOptions, RequestOptions, ServedModel};
use model_runtime::{ErrorKind, ManualClock, ModelRuntime, ServeOptions};

use super::{greedy, stories, tiny};

const MODEL: &str = "main.default.teller";

fn name() -> ModelName {
    MODEL.parse().unwrap()
}

/// A runtime with two registered versions of a model that say different things.
fn registered() -> ModelRuntime {
    let clock = ManualClock::at("2024-03-04T12:00:00Z".parse().unwrap());
    runtime_at(Arc::new(clock))
}

fn runtime_at(clock: Arc<ManualClock>) -> ModelRuntime {
    let runtime = ModelRuntime::builder().clock(clock).build().unwrap();
    let registry = runtime.registry();
    registry.create_model(&name(), &NewModel::default(), "tests").unwrap();
    for (number, path) in [(1, stories()), (2, tiny("llama3"))] {
        let new = NewVersion::at(path);
        let version = registry.register(&name(), &new, "tests", &mut |_| std::ops::ControlFlow::Continue(()));
        let version = version.unwrap();
        assert_eq!((version.id.version, version.status), (number, VersionStatus::Ready));
    }
    runtime
}

fn says(runtime: &ModelRuntime, endpoint: &str) -> (String, String) {
    let mut request = greedy("Once upon", 6);
    request.model = endpoint.into();
    let response = runtime.complete(request).unwrap();
    (response.model, response.choices[0].text.clone())
}

/// What a model says when nothing else is served.
fn alone(path: impl AsRef<Path>) -> String {
    let runtime = ModelRuntime::builder().build().unwrap();
    runtime.serve("alone", path.as_ref(), ServeOptions::default()).unwrap();
    says(&runtime, "alone").1
}

#[test]
fn a_registered_version_is_served_by_number_alias_and_latest() {
    let runtime = registered();
    runtime.registry().set_alias(&VersionId::new(name(), 1), "champion").unwrap();
    for (endpoint, uri, version) in [
        ("number", format!("models:/{MODEL}/1"), 1),
        ("alias", format!("models:/{MODEL}@champion"), 1),
        ("latest", format!("models:/{MODEL}/latest"), 2),
    ] {
        let info = runtime.serve(endpoint, uri, ServeOptions::default()).unwrap();
        assert_eq!(info.version, format!("{MODEL}/{version}"));
        assert_eq!(info.entities[0].name, format!("main-default-teller-{version}"));
        assert_eq!(info.entities[0].registered, Some(format!("models:/{MODEL}/{version}")));
    }
    // An endpoint is pinned to a version: moving the alias does not move it.
    runtime.registry().set_alias(&VersionId::new(name(), 2), "champion").unwrap();
    assert_eq!(says(&runtime, "alias").0, format!("{MODEL}/1"));
    let error = runtime.serve("none", format!("models:/{MODEL}/3"), ServeOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[test]
fn a_version_whose_files_changed_is_refused_by_name() {
    let folder = copy_of(&stories(), "changed");
    let runtime = ModelRuntime::builder().build().unwrap();
    runtime.registry().create_model(&name(), &NewModel::default(), "tests").unwrap();
    let progress = &mut |_| std::ops::ControlFlow::Continue(());
    runtime.registry().register(&name(), &NewVersion::at(&folder), "tests", progress).unwrap();
    let file = folder.join("generation_config.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text} ")).unwrap();
    let error = runtime.serve("changed", format!("models:/{MODEL}/1"), ServeOptions::default()).unwrap_err();
    assert!(error.message().contains("generation_config.json"), "{error}");
    std::fs::write(&file, text).unwrap();
    runtime.serve("changed", format!("models:/{MODEL}/1"), ServeOptions::default()).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

fn copy_of(folder: &Path, tag: &str) -> PathBuf {
    let to = std::env::temp_dir().join(format!("model-runtime-{tag}-{}", std::process::id()));
    std::fs::create_dir_all(&to).unwrap();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    to
}

#[test]
fn shares_split_the_traffic_and_an_entity_can_be_asked_for() {
    let runtime = registered();
    let model = |version: u64, name: &str, share| {
        let uri = format!("models:/{MODEL}/{version}");
        ServedModel::load(uri, ServeOptions::default()).named(name).traffic(share)
    };
    let options = EndpointOptions::default().traffic_seed(7);
    let models = vec![model(1, "old", 75), model(2, "new", 25), model(2, "shadow", 0)];
    let info = runtime.serve_endpoint("split", options, models).unwrap();
    assert_eq!(info.entities.iter().map(|entity| entity.traffic).collect::<Vec<_>>(), [75, 25, 0]);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..200 {
        *counts.entry(says(&runtime, "split").0).or_default() += 1;
    }
    let old = counts[&format!("{MODEL}/1")];
    assert!((130..=170).contains(&old), "{counts:?}");
    let mut request = greedy("Once upon", 2);
    request.model = "split".into();
    let ask = |entity: &str| {
        runtime
            .complete_with(request.clone(), RequestOptions::default().entity(entity))
            .map(|answer| answer.model)
    };
    assert_eq!(ask("shadow").unwrap(), format!("{MODEL}/2"), "no share, but a name");
    let error = ask("other").unwrap_err();
    assert!(error.message().contains("old, new, shadow"), "{error}");

    let refused = |models| runtime.configure("split", models).unwrap_err();
    assert_eq!(refused(vec![model(1, "old", 60), model(2, "new", 30)]).param(), Some("traffic"));
    assert_eq!(refused(vec![model(1, "one", 50), model(2, "one", 50)]).param(), Some("entities"));
    assert_eq!(refused(vec![ServedModel::keep("gone")]).kind(), ErrorKind::NotFound);
    let embeds = ServedModel::load(tiny("bert_bge"), ServeOptions::default()).traffic(50);
    assert_eq!(refused(vec![ServedModel::keep("old").traffic(50), embeds]).param(), Some("entities"));
    // All of it left things as they were; what is kept is not loaded again.
    runtime.configure("split", vec![ServedModel::keep("new")]).unwrap();
    assert_eq!(says(&runtime, "split").0, format!("{MODEL}/2"));
}

#[test]
fn updates_are_named_by_their_day_and_never_stacked() {
    let clock = Arc::new(ManualClock::at("2024-03-04T12:00:00Z".parse().unwrap()));
    let runtime = runtime_at(Arc::clone(&clock));
    let base = "meta-llama/Meta-Llama-3.3-70B";
    let version = |number: u64| format!("models:/{MODEL}/{number}");
    runtime.serve("llama", version(1), ServeOptions::default().base_id(base)).unwrap();
    assert_eq!(says(&runtime, "llama").0, base);
    let publish = |number, at: &str| {
        clock.set_wall(at.parse::<Timestamp>().unwrap());
        runtime
            .publish_update("llama", version(number), ServeOptions::default(), "faster")
            .map(|it| it.response_id)
    };
    assert_eq!(publish(2, "2024-03-04T13:00:00Z").unwrap(), format!("{base}-030424"));
    assert_eq!(publish(2, "2024-03-05T00:00:00Z").unwrap_err().kind(), ErrorKind::Conflict, "nothing new");
    assert_eq!(publish(1, "2024-12-01T23:59:59Z").unwrap(), format!("{base}-120124"));
    assert_eq!(publish(2, "2025-01-05T00:00:00Z").unwrap(), format!("{base}-010525"));
    assert_eq!(publish(1, "2025-01-05T09:00:00Z").unwrap(), format!("{base}-010525.2"));
    let ids: Vec<_> =
        runtime.update_history(base).unwrap().into_iter().map(|record| record.response_id).collect();
    let suffixes = ["", "-030424", "-120124", "-010525", "-010525.2"];
    assert_eq!(ids, suffixes.map(|suffix| format!("{base}{suffix}")));
    // Going back gives back the id that it had.
    let back = runtime.roll_back("llama").unwrap();
    assert_eq!(back.version, format!("{base}-010525"));
    assert_eq!(says(&runtime, "llama").0, format!("{base}-010525"));
    // The same base elsewhere is the id of the last update to that version; another version has none.
    let again = runtime.serve("again", version(1), ServeOptions::default().base_id(base)).unwrap();
    assert_eq!(again.version, format!("{base}-010525.2"));
    let error = runtime.serve("path", tiny("mistral"), ServeOptions::default().base_id(base)).unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::Conflict, Some("base_id")));
}

/// A swap A -> B -> A while requests come: every response names what really served it, and none fails.
#[test]
fn swaps_under_load_lose_nothing_and_every_response_names_what_served_it() {
    let expected = [alone(stories()), alone(tiny("llama3"))];
    assert_ne!(expected[0], expected[1]);
    let runtime = registered();
    let base = "teller";
    let version = |number: u64| format!("models:/{MODEL}/{number}");
    runtime.serve("swapped", version(1), ServeOptions::default().base_id(base)).unwrap();
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let mut request = greedy("Once upon", 6);
                    request.model = "swapped".into();
                    let stream = runtime.complete_stream(request).unwrap();
                    let id = stream.version().to_owned();
                    let mut text = String::new();
                    for chunk in stream {
                        let chunk = chunk.unwrap();
                        assert_eq!(chunk.model, id, "one answer, one version");
                        text.extend(chunk.choices.into_iter().map(|choice| choice.text));
                    }
                    let of = if id == base { 0 } else { 1 };
                    assert_eq!(text, expected[of], "{id}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let wait_for_more = || {
            let seen = answered.load(Ordering::Relaxed);
            while answered.load(Ordering::Relaxed) < seen + 8 {
                std::thread::yield_now();
            }
        };
        for _ in 0..3 {
            wait_for_more();
            // The first time it is an update; afterwards the endpoint goes to and fro between the two.
            if runtime.update_history(base).unwrap().len() == 1 {
                runtime.publish_update("swapped", version(2), ServeOptions::default(), "").unwrap();
            } else {
                let next = ServeOptions::default().base_id(base);
                runtime.configure("swapped", vec![ServedModel::load(version(2), next)]).unwrap();
            }
            wait_for_more();
            assert_eq!(runtime.roll_back("swapped").unwrap().version, base);
        }
        wait_for_more();
        stop.store(true, Ordering::Relaxed);
    });
    // What was replaced is given back once nothing runs on it.
    while runtime.endpoints()[0].draining > 0 {
        std::thread::yield_now();
    }
}

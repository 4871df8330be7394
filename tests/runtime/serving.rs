//! Serving and removing: names, plans, budgets, progress, damaged files.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use model_runtime::weights::LoadPhase;
use model_runtime::{ErrorKind, ModelRuntime, ServeOptions};

use super::{greedy, runtime_with, stories, tiny};

#[test]
fn a_name_is_taken_once_and_free_after_removal() {
    let runtime = runtime_with(ServeOptions::default());
    let error = runtime.serve("stories", stories(), ServeOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    runtime.remove("stories").unwrap();
    assert_eq!(runtime.remove("stories").unwrap_err().kind(), ErrorKind::NotFound);
    let error = runtime.complete(greedy("Once", 4)).unwrap_err();
    assert!(error.message().contains("none is served"), "{error}");
    runtime.serve("stories", stories(), ServeOptions::default()).unwrap();
    assert_eq!(runtime.endpoints().len(), 1);
}

#[test]
fn several_models_share_a_process() {
    let runtime = runtime_with(ServeOptions::default());
    for name in ["llama2", "llama3", "mistral"] {
        runtime.serve(name, tiny(name), ServeOptions::default()).unwrap();
    }
    let names: Vec<String> = runtime.endpoints().into_iter().map(|e| e.name).collect();
    assert_eq!(names, ["llama2", "llama3", "mistral", "stories"]);
    for name in names {
        let mut request = greedy("Once", 8);
        request.model = name.clone();
        assert!(runtime.complete(request).unwrap().usage.completion_tokens <= 8, "{name}");
    }
    let stats = runtime.stats();
    assert!(stats.endpoints.iter().all(|e| e.engine.is_some_and(|engine| engine.finished == 1)), "{stats:?}");
}

#[test]
fn a_plan_tells_what_the_load_takes_and_the_budget_is_kept() {
    let runtime = ModelRuntime::builder().build().unwrap();
    let plan = runtime.plan(stories(), &ServeOptions::default().context_length(128)).unwrap();
    assert!(plan.weight_bytes > 1_000_000 && plan.cache_bytes > 0 && plan.scratch_bytes > 0, "{plan:?}");
    assert_eq!((plan.context_length, plan.max_context), (128, 512));

    // Room for one endpoint, not for two.
    let budget = plan.total_bytes() * 3 / 2;
    let runtime = ModelRuntime::builder().memory_budget(budget).build().unwrap();
    let options = || ServeOptions::default().context_length(128).cache_tokens(512);
    runtime.serve("one", stories(), options()).unwrap();
    let error = runtime.serve("two", stories(), options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InsufficientMemory);
    runtime.remove("one").unwrap();
    assert_eq!(runtime.stats().memory_available_bytes, Some(budget));
    runtime.serve("two", stories(), options()).unwrap();
}

#[test]
fn a_refusal_names_the_largest_context_that_would_fit() {
    let plan = ModelRuntime::builder()
        .build()
        .unwrap()
        .plan(stories(), &ServeOptions::default().context_length(512).cache_tokens(512))
        .unwrap();
    // Half of the cache is missing.
    let runtime =
        ModelRuntime::builder().memory_budget(plan.total_bytes() - plan.cache_bytes / 2).build().unwrap();
    let options = || ServeOptions::default().context_length(512).cache_tokens(512);
    let error = runtime.serve("stories", stories(), options()).unwrap_err();
    assert!(error.message().contains("largest context_length that fits is 256"), "{error}");
    let largest = ServeOptions::default().context_length(256).cache_tokens(256);
    runtime.serve("stories", stories(), largest).unwrap();
    runtime.remove("stories").unwrap();
    // Left to itself, the runtime takes what fits.
    let info = runtime.serve("stories", stories(), ServeOptions::default()).unwrap();
    assert_eq!(info.context_length, 256);
}

#[test]
fn progress_is_heard_and_can_cancel() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&seen);
    let options = ServeOptions::default().progress(move |progress| {
        heard.lock().unwrap().push(progress);
        ControlFlow::Continue(())
    });
    runtime_with(options);
    for phase in [LoadPhase::Digest, LoadPhase::Weights] {
        let seen = seen.lock().unwrap();
        let of_phase = || seen.iter().filter(|progress| progress.phase == phase);
        assert!(of_phase().map(|progress| progress.done_bytes).is_sorted());
        let last = of_phase().next_back().unwrap();
        assert_eq!(last.done_bytes, last.total_bytes);
        assert!(phase == LoadPhase::Digest || of_phase().count() > 20, "every matrix is heard of");
    }

    let runtime = ModelRuntime::builder().build().unwrap();
    for (phase, at) in [(LoadPhase::Digest, 0), (LoadPhase::Weights, 0), (LoadPhase::Weights, 100_000)] {
        let options = ServeOptions::default().progress(move |progress| {
            let stop = progress.phase == phase && progress.done_bytes >= at;
            if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let error = runtime.serve("stories", stories(), options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{phase:?} at {at}");
    }
    // Nothing is left behind: the name is free.
    runtime.serve("stories", stories(), ServeOptions::default()).unwrap();
}

#[test]
fn damaged_models_are_errors_that_name_the_damage() {
    let runtime = ModelRuntime::builder().build().unwrap();
    let serve = |path: &std::path::Path| {
        runtime.serve("broken", path, ServeOptions::default()).expect_err("a damaged model was served")
    };
    assert!(serve(std::path::Path::new("/nonexistent/model.gguf")).message().contains("/nonexistent"));
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        std::fs::copy(stories().join(file), folder.path().join(file)).unwrap();
    }
    assert!(serve(folder.path()).message().contains("safetensors"));
    let weights = std::fs::read(stories().join("model.safetensors")).unwrap();
    std::fs::write(folder.path().join("model.safetensors"), &weights[..weights.len() - 5]).unwrap();
    let error = serve(folder.path());
    assert_eq!(error.kind(), ErrorKind::InvalidModel, "{error}");
    std::fs::write(folder.path().join("model.safetensors"), &weights).unwrap();
    let config = std::fs::read_to_string(stories().join("config.json")).unwrap();
    let change = |from: &str, to: &str| {
        assert!(config.contains(from));
        std::fs::write(folder.path().join("config.json"), config.replace(from, to)).unwrap();
        serve(folder.path())
    };
    let error = change("\"model_type\": \"llama\"", "\"model_type\": \"gpt_neo\"");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("gpt_neo") && error.message().contains("mistral"), "{error}");
    let error = change("\"hidden_size\": 64", "\"hidden_size\": 72");
    assert!(error.message().contains("embed_tokens") && error.message().contains("72"), "{error}");
    let error = change("\"num_hidden_layers\": 5", "\"num_hidden_layers\": 6");
    assert!(error.message().contains("layers.5"), "{error}");
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), b"{}").unwrap();
    assert_eq!(serve(folder.path()).kind(), ErrorKind::InvalidModel);
}

#[test]
fn options_that_contradict_each_other_are_named() {
    let runtime = ModelRuntime::builder().build().unwrap();
    for (options, named) in [
        (ServeOptions::default().context_length(0), "context_length"),
        (ServeOptions::default().context_length(513), "context_length"),
        (ServeOptions::default().context_length(100).cache_tokens(50), "cache_tokens"),
        (ServeOptions::default().max_batch_tokens(0), "max_batch_tokens"),
        (ServeOptions::default().max_sequences(1000), "max_sequences"),
        (ServeOptions::default().version(" "), "version"),
    ] {
        let error = runtime.serve("stories", stories(), options).unwrap_err();
        assert_eq!(error.param(), Some(named), "{error}");
    }
    let error = runtime.serve("x", "models:/main.llm.stories/3", ServeOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(runtime.serve("", stories(), ServeOptions::default()).unwrap_err().param(), Some("name"));
}

//! Adapters as callers see them: names, versions, memory, and requests that keep what they began with.

use std::path::{Path, PathBuf};

use model_runtime::protocol::CompletionRequest;
use model_runtime::{ErrorKind, ModelRuntime, ServeOptions};

use super::tiny;

/// An adapter of the repository.
pub(super) fn lora(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/lora").join(name)
}

/// Serves the model that two of them are for.
fn runtime(options: ServeOptions) -> ModelRuntime {
    let runtime = ModelRuntime::builder().build().unwrap();
    runtime.serve("model", tiny("llama3"), options.version("llama@1")).unwrap();
    runtime
}

fn request(adapter: Option<&str>) -> CompletionRequest {
    let prompt: Vec<u32> = (0..40).map(|at| at * 7 % 500).collect();
    let request = CompletionRequest::new("model", prompt).temperature(0.0).max_tokens(24);
    adapter.into_iter().fold(request, |request, name| request.adapter(name))
}

fn text(runtime: &ModelRuntime, adapter: Option<&str>) -> String {
    runtime.complete(request(adapter)).unwrap().choices.remove(0).text
}

#[test]
fn every_request_has_the_adapter_that_it_names() {
    let runtime = runtime(ServeOptions::default().adapter("qv", lora("llama3-qv")));
    let all = runtime.load_adapter("model", "all", lora("llama3-all")).unwrap();
    let info = runtime.endpoints().remove(0);
    let names: Vec<&str> = info.adapters.iter().map(|adapter| adapter.name.as_str()).collect();
    assert_eq!((names, &info.adapters[0]), (vec!["all", "qv"], &all));
    let qv = &info.adapters[1];
    assert_eq!((qv.rank, all.rank), (4, 19));
    assert_eq!(qv.modules, ["q_proj", "v_proj"]);
    assert_eq!(all.modules.len(), 8);
    assert!(qv.bytes > 8_000 && all.bytes > qv.bytes, "{qv:?} {all:?}");
    assert_eq!(qv.version, format!("llama@1+qv@{}", &qv.digest[..12]));
    assert_eq!(qv.digest.len(), 64);

    // Three texts from one prompt, each sharing blocks with its like alone.
    let texts = [None, Some("qv"), Some("all")].map(|adapter| text(&runtime, adapter));
    assert!(texts[0] != texts[1] && texts[1] != texts[2] && texts[0] != texts[2], "{texts:?}");
    for _ in 0..2 {
        assert_eq!([None, Some("qv"), Some("all")].map(|adapter| text(&runtime, adapter)), texts);
    }
    assert!(runtime.stats().endpoints[0].engine.unwrap().prefix_hit_tokens >= 6 * 32);
    for chunk in runtime.complete_stream(request(Some("qv"))).unwrap() {
        assert_eq!(chunk.unwrap().model, qv.version);
    }
    assert_eq!(runtime.complete(request(Some("all"))).unwrap().model, all.version);
    assert_eq!(runtime.complete(request(None)).unwrap().model, "llama@1");
}

#[test]
fn a_request_keeps_the_adapter_that_it_began_with() {
    let runtime = runtime(ServeOptions::default().adapter("a", lora("llama3-qv")));
    let expected = text(&runtime, Some("a"));
    let streams: Vec<_> = (0..3).map(|_| runtime.complete_stream(request(Some("a"))).unwrap()).collect();
    runtime.unload_adapter("model", "a").unwrap();
    assert!(runtime.endpoints()[0].adapters.is_empty());
    // Another one under the same name has nothing of the first: not its weights, not its blocks.
    runtime.load_adapter("model", "a", lora("llama3-all")).unwrap();
    let other = text(&runtime, Some("a"));
    assert_ne!(other, expected);
    for stream in streams {
        assert_eq!(stream.wait().unwrap().choices[0].text, expected);
    }
    let fresh = ModelRuntime::builder().build().unwrap();
    let options = ServeOptions::default().adapter("a", lora("llama3-all"));
    fresh.serve("model", tiny("llama3"), options).unwrap();
    assert_eq!(text(&fresh, Some("a")), other);
}

#[test]
fn memory_is_planned_taken_and_given_back() {
    let plain = ServeOptions::default().context_length(128).cache_tokens(256);
    let planner = ModelRuntime::builder().build().unwrap();
    let base = planner.plan(tiny("llama3"), &plain).unwrap();
    let options = || {
        let options = ServeOptions::default().context_length(128).cache_tokens(256);
        options.adapter("qv", lora("llama3-qv"))
    };
    let plan = planner.plan(tiny("llama3"), &options()).unwrap();
    assert!(base.adapter_bytes == 0 && plan.adapter_bytes > 0);
    assert_eq!(plan.total_bytes() - base.total_bytes(), plan.adapter_bytes);

    let spare = 1000;
    let runtime = ModelRuntime::builder().memory_budget(plan.total_bytes() + spare).build().unwrap();
    let info = runtime.serve("model", tiny("llama3"), options()).unwrap();
    assert_eq!(info.adapters[0].bytes, plan.adapter_bytes);
    let left = || runtime.stats().memory_available_bytes.unwrap();
    assert_eq!(left(), spare);
    let error = runtime.load_adapter("model", "all", lora("llama3-all")).unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::InsufficientMemory, Some("memory_budget")));
    assert_eq!(left(), spare);
    // A request that runs holds its adapter's memory until it has ended.
    let stream = runtime.complete_stream(request(Some("qv")).max_tokens(80)).unwrap();
    runtime.unload_adapter("model", "qv").unwrap();
    stream.wait().unwrap();
    assert_eq!(left(), spare + plan.adapter_bytes);
    runtime.load_adapter("model", "again", lora("llama3-qv")).unwrap();
    assert_eq!(left(), spare);
    runtime.remove("model").unwrap();
    assert_eq!(left(), plan.total_bytes() + spare);
}

#[test]
fn what_cannot_be_is_named() {
    let runtime = runtime(ServeOptions::default());
    let error = runtime.complete(request(Some("legal"))).unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::NotFound, Some("adapter")));
    assert!(error.message().contains("`legal`") && error.message().contains("none is loaded"), "{error}");
    runtime.load_adapter("model", "qv", lora("llama3-qv")).unwrap();
    let error = runtime.complete(request(Some("legal"))).unwrap_err();
    assert!(error.message().ends_with("adapters: qv"), "{error}");
    let error = runtime.load_adapter("model", "qv", lora("llama3-all")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    for name in ["", "a b", "a+b", "a@b", "a\n"] {
        let error = runtime.load_adapter("model", name, lora("llama3-qv")).unwrap_err();
        assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some("adapter")));
    }
    let error = runtime.load_adapter("model", "wide", lora("stories260K-qkv")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidModel);
    assert!(error.message().contains("lora_"), "{error}");
    let error = runtime.unload_adapter("model", "legal").unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::NotFound, Some("adapter")));
    let error = runtime.load_adapter("nobody", "x", lora("llama3-qv")).unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::NotFound, Some("model")));

    let twice = ServeOptions::default().adapter("x", lora("llama3-qv")).adapter("x", lora("llama3-all"));
    assert_eq!(runtime.serve("twice", tiny("llama3"), twice).unwrap_err().kind(), ErrorKind::Conflict);
    // Encoders have none.
    let options = ServeOptions::default().adapter("x", lora("llama3-qv"));
    let error = runtime.serve("bge", tiny("bert_bge"), options).unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some("adapter")));
    runtime.serve("bge", tiny("bert_bge"), ServeOptions::default()).unwrap();
    let error = runtime.load_adapter("bge", "x", lora("llama3-qv")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("adapters"), "{error}");
}

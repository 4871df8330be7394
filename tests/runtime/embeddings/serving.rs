//! Serving encoders: what callers are told, plans, budgets, and requests on their way.

use std::path::PathBuf;
use std::time::Duration;

use model_runtime::models::Task;
use model_runtime::protocol::{ChatMessage, ChatRequest, CompletionRequest, Normalize, PoolingMode};
use model_runtime::runtime::EmbedOptions;
use model_runtime::{ErrorKind, ModelRuntime, ServeOptions};
use serde_json::json;

use super::super::{stories, tiny};
use super::{both, change, copy_of, single};

/// Longer than any of these takes; only a hang waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn an_endpoint_says_what_it_does() {
    let runtime = both();
    let infos = runtime.endpoints();
    let embedding: Vec<_> = infos.iter().map(|info| info.embedding.clone().unwrap()).collect();
    assert!(infos.iter().all(|info| info.task == Task::Embedding && !info.chat && info.vocab_size == 4000));
    assert_eq!((embedding[0].dimension, embedding[0].max_tokens), (64, 96));
    assert_eq!((embedding[0].normalize, embedding[0].pooling), (Normalize::L2, PoolingMode::Cls));
    assert_eq!((embedding[1].normalize, embedding[1].max_tokens), (Normalize::None, 512));
    let printed = serde_json::to_value(&infos[0]).unwrap();
    assert_eq!(printed["task"], "embedding");
    assert_eq!(printed["embedding"]["normalize"], "l2");

    runtime.embed("bge", ["a", "b"], EmbedOptions::default()).unwrap();
    let stats = runtime.stats();
    let of_bge = stats.endpoints[0].embedding.unwrap();
    assert!(stats.endpoints[0].engine.is_none());
    assert_eq!((of_bge.finished, of_bge.texts, of_bge.waiting_texts), (1, 2, 0));
}

#[test]
fn the_wrong_task_is_an_error_that_says_what_the_endpoint_does() {
    let runtime = both();
    let info = runtime.serve("stories", stories(), ServeOptions::default()).unwrap();
    assert_eq!((info.task, info.embedding), (Task::Generation, None));
    let chat = runtime.chat(ChatRequest::new("bge", vec![ChatMessage::user("hello")])).unwrap_err();
    let completion = runtime.complete(CompletionRequest::new("gte", "hello")).unwrap_err();
    let embedding = runtime.embed("stories", "hello", EmbedOptions::default()).unwrap_err();
    for (error, said) in
        [(chat, "makes embeddings"), (completion, "makes embeddings"), (embedding, "generates text")]
    {
        assert_eq!((error.kind(), error.param()), (ErrorKind::Unsupported, Some("model")));
        assert!(error.message().contains(said), "{error}");
    }
    let unknown = runtime.embed("none", "hello", EmbedOptions::default()).unwrap_err();
    assert!(unknown.kind() == ErrorKind::NotFound && unknown.message().contains("bge, gte, stories"));
}

#[test]
fn a_plan_counts_weights_and_the_largest_batch_and_the_budget_is_kept() {
    let runtime = ModelRuntime::builder().build().unwrap();
    let plan = runtime.plan(tiny("bert_bge"), &single()).unwrap();
    assert!(plan.weight_bytes > 1_000_000 && plan.scratch_bytes > 0, "{plan:?}");
    assert_eq!((plan.cache_bytes, plan.cache_tokens, plan.context_length), (0, 0, 96));
    let small = runtime.plan(tiny("bert_bge"), &single().max_batch_tokens(16)).unwrap();
    assert_eq!(plan.scratch_bytes / small.scratch_bytes, 512 / 96, "the longest text decides");

    let runtime = ModelRuntime::builder().memory_budget(plan.total_bytes() * 3 / 2).build().unwrap();
    runtime.serve("one", tiny("bert_bge"), single()).unwrap();
    let error = runtime.serve("two", tiny("bert_bge"), single()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InsufficientMemory);
    runtime.remove("one").unwrap();
    assert_eq!(runtime.stats().memory_available_bytes, Some(plan.total_bytes() * 3 / 2));

    let tight = plan.weight_bytes + plan.scratch_bytes / 2;
    let runtime = ModelRuntime::builder().memory_budget(tight).build().unwrap();
    let error = runtime.serve("one", tiny("bert_bge"), single()).unwrap_err();
    assert!(error.message().contains("that fit are 256"), "{error}");
    runtime.serve("one", tiny("bert_bge"), single().max_batch_tokens(256)).unwrap();
}

#[test]
fn options_and_files_that_make_no_sense_are_named() {
    let runtime = ModelRuntime::builder().build().unwrap();
    for (options, named) in [
        (single().cache_tokens(100), "cache_tokens"),
        (single().chat_template("{{ messages }}"), "chat_template"),
        (single().max_batch_tokens(0), "max_batch_tokens"),
        (single().max_queue(0), "max_queue"),
        (single().version(""), "version"),
    ] {
        let error = runtime.serve("bge", tiny("bert_bge"), options).unwrap_err();
        assert_eq!(error.param(), Some(named), "{error}");
    }
    for (file, changes, named) in [
        ("config.json", json!({"hidden_size": 72}), "word_embeddings"),
        ("config.json", json!({"max_position_embeddings": 97}), "position_embeddings"),
        ("config.json", json!({"model_type": "roberta"}), "bert, new"),
        ("1_Pooling/config.json", json!({"pooling_mode_max_tokens": true}), "pooling_mode_max_tokens"),
    ] {
        let (_folder, path) = copy_of(&tiny("bert_bge"));
        change(&path.join(file), changes);
        let error = runtime.serve("bge", &*path, single()).unwrap_err();
        assert!(error.message().contains(named), "{error}");
    }
    assert!(runtime.endpoints().is_empty());
}

/// A copy of the tiny BGE whose tensors have other names.
fn renamed(rename: impl Fn(String) -> String) -> (tempfile::TempDir, PathBuf) {
    let (folder, path) = copy_of(&tiny("bert_bge"));
    let bytes = std::fs::read(path.join("model.safetensors")).unwrap();
    let header_len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&bytes[8..8 + header_len]).unwrap();
    let header: serde_json::Map<_, _> = header
        .into_iter()
        .map(|(name, value)| if name == "__metadata__" { (name, value) } else { (rename(name), value) })
        .collect();
    let header = serde_json::to_vec(&header).unwrap();
    let file = [&(header.len() as u64).to_le_bytes()[..], &header, &bytes[8 + header_len..]].concat();
    std::fs::write(path.join("model.safetensors"), file).unwrap();
    (folder, path)
}

#[test]
fn tensors_go_by_the_names_that_bert_has_had() {
    // A prefix in models with a head (the tiny GTE has it, the one with log-n scaling has not), and what TensorFlow
    // called the parts of a norm.
    let tensorflow = |name: String| match name.rsplit_once("LayerNorm.") {
        Some((before, "weight")) => format!("{before}LayerNorm.gamma"),
        Some((before, "bias")) => format!("{before}LayerNorm.beta"),
        _ => name,
    };
    let runtime = both();
    let of =
        |endpoint: &str| runtime.embed(endpoint, "bread", EmbedOptions::default()).unwrap().into_values();
    let (_folder, path) = renamed(|name| format!("bert.{name}"));
    runtime.serve("prefixed", path, single()).unwrap();
    assert_eq!(of("prefixed"), of("bge"));
    let (_folder, path) = renamed(tensorflow);
    runtime.serve("tensorflow", path, single()).unwrap();
    assert_eq!(of("tensorflow"), of("bge"));
    // A norm that is missing is still missed by its name of today.
    let (_folder, path) = renamed(|name| name.replace("embeddings.LayerNorm.weight", "elsewhere"));
    let error = runtime.serve("damaged", path, single()).unwrap_err();
    assert!(error.message().contains("embeddings.LayerNorm.weight"), "{error}");
}

#[test]
fn a_bare_folder_is_pooled_as_sentence_transformers_does() {
    let (_folder, path) = copy_of(&tiny("new_gte"));
    for file in ["modules.json", "sentence_bert_config.json"] {
        std::fs::remove_file(path.join(file)).unwrap();
    }
    let runtime = both();
    let info = runtime.serve("bare", path, single()).unwrap().embedding.unwrap();
    assert_eq!((info.pooling, info.normalize, info.max_tokens), (PoolingMode::Mean, Normalize::None, 96));
    let mean = EmbedOptions::default().pooling(PoolingMode::Mean);
    assert_eq!(
        runtime.embed("bare", "bread", EmbedOptions::default()).unwrap().values(),
        runtime.embed("gte", "bread", mean).unwrap().values()
    );
}

#[test]
fn a_request_on_its_way_tells_how_far_it_is_and_can_be_cancelled() {
    let runtime = both();
    let many = || -> Vec<String> { (0..2000).map(|n| format!("text number {n}, all different")).collect() };
    let pending = runtime.embed_start("gte", many(), EmbedOptions::default()).unwrap();
    let mut seen = 0;
    loop {
        let progress = pending.wait_progress(seen, PATIENCE);
        assert!(progress.done >= seen && progress.total == 2000);
        if progress.ended {
            break;
        }
        assert!(progress.done > seen, "it waits for news");
        seen = progress.done;
    }
    assert!(seen > 0, "there was news before the end");
    assert_eq!(pending.wait().unwrap().len(), 2000);

    let mut pending = runtime.embed_start("gte", many(), EmbedOptions::default()).unwrap();
    pending.cancel();
    let error = pending.wait_timeout(PATIENCE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(pending.wait_timeout(PATIENCE).unwrap_err().kind(), ErrorKind::Conflict);

    let late = EmbedOptions::default().timeout(Duration::ZERO);
    assert_eq!(runtime.embed("gte", many(), late).unwrap_err().kind(), ErrorKind::DeadlineExceeded);

    drop(runtime.embed_start("gte", many(), EmbedOptions::default()).unwrap());
    let ready = runtime.embed_start("gte", "a", EmbedOptions::default()).unwrap();
    assert_eq!(futures::executor::block_on(ready).unwrap().len(), 1);
    assert_eq!(runtime.stats().endpoints[1].embedding.unwrap().cancelled, 2, "a dropped one is cancelled");
}

#[test]
fn removing_an_endpoint_ends_its_requests() {
    let runtime = both();
    let texts: Vec<String> = (0..5000).map(|n| format!("text number {n}")).collect();
    let pending = runtime.embed_start("bge", texts, EmbedOptions::default()).unwrap();
    runtime.remove("bge").unwrap();
    assert_eq!(pending.wait().unwrap_err().kind(), ErrorKind::ShuttingDown);
    let error = runtime.embed("bge", "a", EmbedOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let pending = runtime.embed_start("gte", "a", EmbedOptions::default()).unwrap();
    drop(runtime);
    // Done before the end, or ended by it; never waiting for ever.
    match pending.wait() {
        Ok(found) => assert_eq!(found.len(), 1),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ShuttingDown),
    }
}

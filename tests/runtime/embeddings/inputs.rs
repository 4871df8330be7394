//! What can be embedded: texts, token ids, prompts, and what is too long.

use model_runtime::protocol::{EmbeddingInput, EmbeddingRequest, Truncate};
use model_runtime::runtime::EmbedOptions;
use model_runtime::tokenizer::{AddSpecial, Tokenizer};
use model_runtime::weights::Checkpoint;
use model_runtime::{ErrorKind, ModelRuntime};
use serde_json::json;

use super::super::tiny;
use super::{both, change, copy_of, single};

fn ids(text: &str) -> Vec<u32> {
    let checkpoint = Checkpoint::open(&tiny("bert_bge")).unwrap();
    Tokenizer::from_checkpoint(&checkpoint).unwrap().encode(text, AddSpecial::Yes).unwrap()
}

fn embed(runtime: &ModelRuntime, input: impl Into<EmbeddingInput>, options: EmbedOptions) -> Vec<f32> {
    runtime.embed("bge", input, options).unwrap().into_values()
}

#[test]
fn token_ids_are_used_as_they_are() {
    let runtime = both();
    let text = "How do I bake bread?";
    let expected = embed(&runtime, text, EmbedOptions::default());
    assert_eq!(embed(&runtime, ids(text), EmbedOptions::default()), expected);
    assert_eq!(embed(&runtime, vec![ids(text)], EmbedOptions::default()), expected);
    let bare = ids(text)[1..].to_vec();
    assert_ne!(embed(&runtime, bare, EmbedOptions::default()), expected);
}

#[test]
fn a_text_that_is_too_long_is_an_error_unless_it_may_be_cut() {
    let runtime = both();
    let words: Vec<String> = (0..200).map(|n| format!("word{n}")).collect();
    let long = words.join(" ");
    let all = ids(&long);
    assert!(all.len() > 96);
    let input = vec!["short".to_string(), long.clone()];
    let error = runtime.embed("bge", input.clone(), EmbedOptions::default()).unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::ContextLengthExceeded, Some("input[1]")));
    for said in [all.len().to_string(), "96".into(), "truncate".into()] {
        assert!(error.message().contains(&said), "{error}");
    }
    let (cls, sep) = (all[0], all[all.len() - 1]);
    let inner = &all[1..all.len() - 1];
    for (truncate, kept) in [(Truncate::End, &inner[..94]), (Truncate::Start, &inner[inner.len() - 94..])] {
        let options = EmbedOptions::default().truncate(truncate);
        let found = runtime.embed("bge", input.clone(), options.clone()).unwrap();
        let rows: Vec<_> = found.rows().iter().map(|row| (row.tokens, row.truncated)).collect();
        assert_eq!(rows, [(ids("short").len(), false), (96, true)]);
        // Special tokens stay around what is left.
        let expected = [&[cls], kept, &[sep]].concat();
        assert_eq!(found.get(1).unwrap(), embed(&runtime, expected, EmbedOptions::default()));
        // So do those of token ids that have them.
        assert_eq!(found.get(1).unwrap(), embed(&runtime, all.clone(), options.clone()));
        let bare = embed(&runtime, inner.to_vec(), options);
        let kept = if truncate == Truncate::End { &inner[..96] } else { &inner[inner.len() - 96..] };
        assert_eq!(bare, embed(&runtime, kept.to_vec(), EmbedOptions::default()));
    }
}

#[test]
fn an_instruction_stands_before_every_text() {
    let runtime = both();
    let query = "Represent this sentence for searching relevant passages: ";
    let options = || EmbedOptions::default().instruction(query);
    let found = runtime.embed("bge", ["bread", "Paris"], options()).unwrap();
    for (vector, text) in found.iter().zip(["bread", "Paris"]) {
        assert_eq!(vector, embed(&runtime, format!("{query}{text}"), EmbedOptions::default()));
    }
    let mut request = EmbeddingRequest::new("bge", "bread");
    request.instruction = Some(query.into());
    let response = runtime.embeddings(request).unwrap();
    assert_eq!(response.usage.prompt_tokens as usize, found.rows()[0].tokens);
    let error = runtime.embed("bge", vec![1, 2], options()).unwrap_err();
    assert_eq!(error.param(), Some("instruction"), "{error}");
}

#[test]
fn prompts_of_the_model_go_by_their_names() {
    let (_folder, path) = copy_of(&tiny("bert_bge"));
    let prompts = json!({"prompts": {"query": "find: ", "document": ""}, "default_prompt_name": "query"});
    std::fs::write(path.join("config_sentence_transformers.json"), prompts.to_string()).unwrap();
    let runtime = both();
    let info = runtime.serve("prompted", path, single()).unwrap();
    assert_eq!(info.embedding.unwrap().default_prompt.as_deref(), Some("query"));
    let prompted = |options| runtime.embed("prompted", "bread", options).unwrap().into_values();
    let with = embed(&runtime, "find: bread", EmbedOptions::default());
    let without = embed(&runtime, "bread", EmbedOptions::default());
    assert_eq!(prompted(EmbedOptions::default()), with);
    assert_eq!(prompted(EmbedOptions::default().prompt_name("query")), with);
    assert_eq!(prompted(EmbedOptions::default().prompt_name("document")), without);
    assert_eq!(prompted(EmbedOptions::default().instruction("")), without);
    for (endpoint, known) in [("prompted", "document, query"), ("bge", "has none")] {
        let error = runtime.embed(endpoint, "a", EmbedOptions::default().prompt_name("q")).unwrap_err();
        assert!(error.param() == Some("prompt_name") && error.message().contains(known), "{error}");
    }
    let both = EmbedOptions::default().prompt_name("query").instruction("x");
    assert_eq!(runtime.embed("prompted", "a", both).unwrap_err().param(), Some("prompt_name"));
}

#[test]
fn what_cannot_be_embedded_is_named() {
    let runtime = both();
    for (input, param) in [
        (EmbeddingInput::from(""), "input"),
        (EmbeddingInput::Texts(Vec::new()), "input"),
        (["a", ""].into(), "input[1]"),
        (Vec::<u32>::new().into(), "input"),
        (vec![vec![1], vec![]].into(), "input[1]"),
        (vec![1, 4000].into(), "input[1]"),
        (vec![vec![1], vec![2, 4000]].into(), "input[1][1]"),
    ] {
        let error = runtime.embed("gte", input.clone(), EmbedOptions::default()).unwrap_err();
        assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some(param)), "{error}");
        let error = runtime.embeddings(EmbeddingRequest::new("gte", input)).unwrap_err();
        assert_eq!(error.param(), Some(param), "{error}");
    }
}

#[test]
fn a_lower_limit_can_be_served() {
    let (_folder, path) = copy_of(&tiny("bert_bge"));
    change(&path.join("sentence_bert_config.json"), json!({"max_seq_length": 20}));
    let runtime = ModelRuntime::builder().build().unwrap();
    assert_eq!(runtime.serve("twenty", &*path, single()).unwrap().context_length, 20);
    assert_eq!(runtime.serve("ten", &*path, single().context_length(10)).unwrap().context_length, 10);
    for context in [0, 2, 21] {
        let error = runtime.serve("x", &*path, single().context_length(context)).unwrap_err();
        assert_eq!(error.param(), Some("context_length"), "{error}");
    }
    let options = EmbedOptions::default().truncate(Truncate::End);
    let cut = runtime.embed("ten", "one two three four five six seven eight nine ten", options).unwrap();
    assert_eq!((cut.rows()[0].tokens, cut.rows()[0].truncated), (10, true));
}

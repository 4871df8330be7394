//! Tokenizers rebuilt from metadata against the tokenizer.json of the same vocabulary, and hostile metadata.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;

use crate::tokenizer::{AddSpecial, Tokenizer};
use crate::weights::{Array, Metadata, Value};

fn json(name: &str) -> (Tokenizer, serde_json::Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name).join("tokenizer.json");
    let bytes = std::fs::read(path).unwrap();
    (Tokenizer::from_json(&bytes).unwrap(), serde_json::from_slice(&bytes).unwrap())
}

fn metadata(entries: Vec<(&str, Value)>) -> Metadata {
    let mut metadata = Metadata::new(Path::new("test.gguf"));
    for (key, value) in entries {
        metadata.insert(format!("tokenizer.ggml.{key}"), value).unwrap();
    }
    metadata
}

fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

fn texts<S: ToString>(values: impl IntoIterator<Item = S>) -> Value {
    Value::Array(Array::String(values.into_iter().map(|v| v.to_string()).collect()))
}

fn tokens(tokenizer: &Tokenizer) -> Vec<String> {
    (0..u32::try_from(tokenizer.vocab_size()).unwrap()).map(|id| tokenizer.id_to_token(id).unwrap()).collect()
}

/// The 512 tokens of a SentencePiece model: three special ones, the bytes, then tokens in the order of their scores.
fn tinystories() -> Vec<(&'static str, Value)> {
    let (reference, _) = json("tokenizers/tinystories-512");
    let types = (0..512).map(|id| match id {
        0 => 2,
        1 | 2 => 3,
        3..259 => 6,
        _ => 1,
    });
    let scores = (0..512i16).map(|id| f32::from(-(id - 259).max(0)));
    vec![
        ("model", text("llama")),
        ("tokens", texts(tokens(&reference))),
        ("scores", Value::Array(Array::F32(scores.collect()))),
        ("token_type", Value::Array(Array::I32(types.collect()))),
        ("bos_token_id", Value::U32(1)),
        ("eos_token_id", Value::U32(2)),
        ("unknown_token_id", Value::U32(0)),
    ]
}

/// A byte-level vocabulary with merges.
fn byte_level() -> Vec<(&'static str, Value)> {
    let (reference, file) = json("tiny/llama3");
    let size = tokens(&reference).len();
    let special = file["added_tokens"].as_array().unwrap();
    let types = (0..size).map(|id| 1 + 2 * i32::from(special.iter().any(|t| t["id"] == id)));
    let merges = file["model"]["merges"].as_array().unwrap().iter().map(|merge| match merge.as_str() {
        Some(merge) => merge.to_owned(),
        None => format!("{} {}", merge[0].as_str().unwrap(), merge[1].as_str().unwrap()),
    });
    vec![
        ("model", text("gpt2")),
        ("pre", text("llama-bpe")),
        ("tokens", texts(tokens(&reference))),
        ("merges", texts(merges)),
        ("token_type", Value::Array(Array::I32(types.collect()))),
    ]
}

static PAIRS: LazyLock<[(Tokenizer, Tokenizer); 2]> = LazyLock::new(|| {
    [
        (Tokenizer::from_gguf(&metadata(tinystories())).unwrap(), json("tokenizers/tinystories-512").0),
        (Tokenizer::from_gguf(&metadata(byte_level())).unwrap(), json("tiny/llama3").0),
    ]
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn texts_have_the_ids_of_the_json_file(which in 0..2usize, text in "(\\PC|[a-h \\n]{3}| the|</?s>|<unk>){0,24}") {
        let (rebuilt, reference) = &PAIRS[which];
        let ids = rebuilt.encode(&text, AddSpecial::No).unwrap();
        prop_assert_eq!(&ids, &reference.encode(&text, AddSpecial::No).unwrap());
        prop_assert_eq!(rebuilt.decode(&ids, true).unwrap(), reference.decode(&ids, true).unwrap());
    }
}

#[test]
fn a_text_begins_as_the_file_says() {
    let ids =
        |entries| Tokenizer::from_gguf(&metadata(entries)).unwrap().encode("a", AddSpecial::Yes).unwrap();
    let begin = ids(tinystories());
    assert_eq!(begin[0], 1);
    let mut entries = tinystories();
    entries.push(("add_bos_token", Value::Bool(false)));
    entries.push(("add_eos_token", Value::Bool(true)));
    let end = ids(entries);
    assert_eq!(end, [&begin[1..], &[2]].concat());
}

#[test]
fn equal_scores_join_from_the_left_and_unknown_characters_are_one() {
    let entries = vec![
        ("model", text("llama")),
        ("tokens", texts(["<unk>", "a", "aa", "b"])),
        ("scores", Value::Array(Array::F32(vec![0.0, 0.0, -1.0, f32::NAN]))),
        ("unknown_token_id", Value::U32(0)),
        ("add_space_prefix", Value::Bool(false)),
    ];
    let tokenizer = Tokenizer::from_gguf(&metadata(entries)).unwrap();
    assert_eq!(tokenizer.encode("aaab", AddSpecial::Yes).unwrap(), [2, 1, 3]);
    assert_eq!(tokenizer.encode("éçaé", AddSpecial::Yes).unwrap(), [0, 1, 0]);
    assert!(tokenizer.encode("", AddSpecial::Yes).unwrap().is_empty());
}

#[test]
fn a_long_text_is_not_quadratic() {
    let (tokenizer, _) = &PAIRS[0];
    let text = "once upon a time ".repeat(20_000);
    let begun = std::time::Instant::now();
    let ids = tokenizer.encode(&text, AddSpecial::No).unwrap();
    assert_eq!(tokenizer.decode(&ids, true).unwrap(), text);
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

#[test]
fn contradictions_are_refused_and_named() {
    let replaced = |entries: Vec<(&'static str, Value)>, key: &'static str, value: Option<Value>| {
        let mut entries: Vec<_> = entries.into_iter().filter(|(k, _)| *k != key).collect();
        entries.extend(value.map(|v| (key, v)));
        match Tokenizer::from_gguf(&metadata(entries)) {
            Ok(_) => panic!("{key} was accepted"),
            Err(error) => error.to_string(),
        }
    };
    for (key, value, named) in [
        ("model", Some(text("magic")), "magic"),
        ("model", None, "tokenizer.ggml.model"),
        ("model", Some(Value::U32(1)), "tokenizer.ggml.model"),
        ("tokens", None, "tokenizer.ggml.tokens"),
        ("tokens", Some(texts(["a"])), "tokenizer.ggml.token_type"),
        ("scores", Some(Value::Array(Array::F32(vec![0.0]))), "512"),
        ("token_type", Some(Value::Array(Array::I32(vec![1]))), "512"),
        ("bos_token_id", Some(Value::U32(512)), "tokenizer.ggml.bos_token_id"),
        ("unknown_token_id", Some(Value::U32(u32::MAX)), "tokenizer.ggml.unknown_token_id"),
    ] {
        let error = replaced(tinystories(), key, value);
        assert!(error.contains(named), "{error} does not name {named}");
    }
    for (key, value, named) in [
        ("pre", Some(text("nonsense")), "qwen2"),
        ("merges", None, "tokenizer.ggml.merges"),
        ("merges", Some(texts(["ab"])), "merges[0]"),
        ("merges", Some(texts(["a notthere"])), "notthere"),
    ] {
        let error = replaced(byte_level(), key, value);
        assert!(error.contains(named), "{error} does not name {named}");
    }
}

//! The tokenizers of the repository: against the library that the format comes from, and with damaged files.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{AddSpecial, StreamDecoder, Tokenizer, TokenizerError};

/// One of each kind: SentencePiece with byte tokens (two forms), byte-level, WordPiece.
const FILES: [&str; 6] = [
    "tokenizers/tinystories-512",
    "tokenizers/bert-uncased",
    "tiny/llama2",
    "tiny/llama3",
    "tiny/llama3_2",
    "tiny/mistral",
];

fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name).join("tokenizer.json"))
        .unwrap()
}

struct Loaded {
    ours: Arc<Tokenizer>,
    reference: tokenizers::Tokenizer,
    /// One more than the highest id.
    end: u32,
}

static LOADED: LazyLock<Vec<Loaded>> = LazyLock::new(|| {
    FILES
        .iter()
        .map(|name| {
            let bytes = file(name);
            let reference = tokenizers::Tokenizer::from_bytes(&bytes).unwrap();
            let end = reference.get_vocab(true).into_values().max().unwrap() + 1;
            Loaded { ours: Arc::new(Tokenizer::from_json(&bytes).unwrap()), reference, end }
        })
        .collect()
});

/// All pieces of a stream, the last included.
fn streamed(tokenizer: &Arc<Tokenizer>, ids: &[u32], skip_special: bool) -> Vec<String> {
    let mut stream = StreamDecoder::new(tokenizer.clone(), skip_special);
    let mut pieces: Vec<String> = ids.iter().filter_map(|id| stream.push(*id).unwrap()).collect();
    pieces.extend(stream.finish().unwrap());
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn pieces_of_any_ids_add_up_to_the_whole(
        which in 0..FILES.len(),
        draws in proptest::collection::vec(any::<u32>(), 0..60),
        skip_special: bool,
    ) {
        let Loaded { ours, end, .. } = &LOADED[which];
        let ids: Vec<u32> =
            draws.iter().map(|d| d % end).filter(|id| ours.id_to_token(*id).is_some()).collect();
        let pieces = streamed(ours, &ids, skip_special);
        prop_assert!(pieces.iter().all(|piece| !piece.is_empty()));
        prop_assert_eq!(pieces.concat(), ours.decode(&ids, skip_special).unwrap());
    }

    #[test]
    fn any_text_is_encoded_and_decoded_like_the_reference(
        which in 0..FILES.len(),
        text in "(\\PC|[ \\n<>s/é😁#'.]){0,40}",
        special: bool,
        skip_special: bool,
    ) {
        let Loaded { ours, reference, .. } = &LOADED[which];
        let ids = ours.encode(&text, if special { AddSpecial::Yes } else { AddSpecial::No }).unwrap();
        let expected = reference.encode(text.as_str(), special).unwrap();
        prop_assert_eq!(&ids, expected.get_ids());
        prop_assert_eq!(ours.decode(&ids, skip_special).unwrap(), reference.decode(&ids, skip_special).unwrap());
    }

    #[test]
    fn a_stream_of_text_never_shows_a_broken_character(
        which in 0..FILES.len(),
        text in "[a-z \\n éßΩж한日😁👩🏽]{0,40}",
    ) {
        let Loaded { ours, .. } = &LOADED[which];
        let ids = ours.encode(&text, AddSpecial::No).unwrap();
        for piece in streamed(ours, &ids, true) {
            prop_assert!(!piece.contains(char::REPLACEMENT_CHARACTER), "{:?}", piece);
        }
    }

    #[test]
    fn bytes_of_tokens_add_up_to_the_text(which in 2..FILES.len(), text in "(\\PC|[ \\n😁]){1,40}") {
        let Loaded { ours, .. } = &LOADED[which];
        let ids = ours.encode(&text, AddSpecial::No).unwrap();
        prop_assume!(ids.iter().all(|id| !ours.is_special(*id)));
        let bytes: Vec<u8> = ids.iter().flat_map(|id| ours.token_bytes(*id).unwrap()).collect();
        // SentencePiece tokenizers put a space before the text; only decoding the whole takes it away.
        let added = FILES[which] == "tiny/llama2" || FILES[which] == "tiny/mistral";
        let expected = if added { format!(" {text}") } else { text };
        prop_assert_eq!(String::from_utf8_lossy(&bytes), expected);
    }

    #[test]
    fn damaged_files_give_errors_or_work(which in 0..2usize, edits in proptest::collection::vec(edit(), 1..4)) {
        let mut file: Value = serde_json::from_slice(&SMALL[which]).unwrap();
        for (path, value) in edits {
            damage(&mut file, &path, value);
        }
        let Ok(tokenizer) = Tokenizer::from_json(&serde_json::to_vec(&file).unwrap()) else { return Ok(()) };
        if let Ok(ids) = tokenizer.encode("Hello  <s> world.\n 12 été 😁", AddSpecial::Yes) {
            let whole = tokenizer.decode(&ids, false);
            let pieces = streamed(&Arc::new(tokenizer), &ids, false);
            prop_assert_eq!(whole.unwrap(), pieces.concat());
        }
    }
}

/// Files small enough to be read thousands of times.
static SMALL: LazyLock<[Vec<u8>; 2]> =
    LazyLock::new(|| [file(FILES[0]), minimal(json!({})).to_string().into_bytes()]);

/// A file with three tokens; `with` replaces parts of it.
fn minimal(with: Value) -> Value {
    let mut file = json!({
        "version": "1.0",
        "added_tokens": [{"id": 3, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true}],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Whitespace"}, {"type": "FixedLength", "length": 2}]},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [3], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 1}]},
        "model": {"type": "BPE", "unk_token": "a", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]},
    });
    if let (Some(file), Some(with)) = (file.as_object_mut(), with.as_object()) {
        file.extend(with.clone());
    }
    file
}

/// Where to go in a file, and what to put there.
fn edit() -> impl Strategy<Value = (Vec<usize>, Value)> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..5u32).prop_map(Value::from),
        Just(json!(1e300)),
        "(|a|b|ab|</s>|▁|##|<0x41>|\\PC{0,4})".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!(["a", "b"])),
        Just(json!({"String": ""})),
        Just(json!({"Regex": "(a*)*b"})),
        Just(json!({"type": "Sequence", "decoders": [], "normalizers": [], "pretokenizers": []})),
    ];
    (proptest::collection::vec(0..600usize, 1..7), value)
}

fn damage(file: &mut Value, path: &[usize], value: Value) {
    let Some((step, rest)) = path.split_first() else {
        *file = value;
        return;
    };
    match file {
        Value::Array(items) if !items.is_empty() => {
            let index = step % items.len();
            damage(&mut items[index], rest, value);
        }
        Value::Object(map) if !map.is_empty() => {
            let index = step % map.len();
            damage(map.values_mut().nth(index).unwrap(), rest, value);
        }
        leaf => *leaf = value,
    }
}

fn refused(with: Value) -> String {
    match Tokenizer::from_json(minimal(with.clone()).to_string().as_bytes()) {
        Ok(_) => panic!("{with} was accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_the_library_would_panic_on_is_refused_and_named() {
    let bpe =
        |vocab: Value, merges: Value| json!({"model": {"type": "BPE", "vocab": vocab, "merges": merges}});
    for (with, named) in [
        (bpe(json!({"abc": 0}), json!([["abc", "abc"]])), "model.merges[0]"),
        (bpe(json!({"a": 0, "é": 1}), json!([["a", "b"]])), "\"b\""),
        (bpe(json!({"a": -1}), json!([])), "model.vocab"),
        (bpe(json!({"a": 4294967296u64}), json!([])), "model.vocab"),
        (bpe(json!({"a": 0}), json!(["a b c"])), "model.merges[0]"),
        (
            json!({"model": {"type": "BPE", "continuing_subword_prefix": "##", "vocab": {"a": 0}, "merges": [["a", "a"]]}}),
            "##",
        ),
        (
            json!({"model": {"type": "WordPiece", "unk_token": "a", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 1e18, "vocab": {"a": 0}}}),
            "max_input_chars_per_word",
        ),
        (json!({"model": {"type": "Unigram", "unk_id": 0, "vocab": [["", 0.0]]}}), "empty token"),
        (json!({"model": {"type": "Magic"}}), "WordPiece"),
        (json!({"model": null}), "model"),
        (json!({"pre_tokenizer": {"type": "FixedLength", "length": 0}}), "length"),
        (
            json!({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": false}}),
            "pre_tokenizer",
        ),
        (json!({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}}), "Precompiled"),
        (json!({"decoder": {"type": "CTC"}}), "CTC"),
        (json!({"decoder": "ByteLevel"}), "decoder"),
        (
            json!({"decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "WordPiece", "prefix": "##"}]}}),
            "Fuse",
        ),
        (
            json!({"post_processor": {"type": "TemplateProcessing", "single": [], "special_tokens": {}}}),
            "single",
        ),
        (json!({"post_processor": {"type": "BertProcessing", "cls": ["x", 77], "sep": ["y", 0]}}), "77"),
        (
            json!({"added_tokens": [{"id": 9, "content": "<x>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true}], "post_processor": null}),
            "<x>",
        ),
        (json!({"added_tokens": [{"id": 3}]}), "added_tokens[0]"),
        (json!({"version": "2.0"}), "1.0"),
    ] {
        let error = refused(with);
        assert!(error.contains(named), "{error} does not name {named}");
    }
    for text in ["", "[]", "{", "null", "{\"model\":"] {
        assert!(Tokenizer::from_json(text.as_bytes()).is_err(), "{text}");
    }
    let deep = format!("{{\"model\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(Tokenizer::from_json(deep.as_bytes()).is_err());
}

#[test]
fn nested_components_end() {
    let nest = |list: &str, depth: usize| {
        (0..depth).fold(
            json!({"type": "Sequence", list: []}),
            |inner, _| json!({"type": "Sequence", list: [inner]}),
        )
    };
    for (name, list) in [
        ("normalizer", "normalizers"),
        ("pre_tokenizer", "pretokenizers"),
        ("decoder", "decoders"),
        ("post_processor", "processors"),
    ] {
        assert!(refused(json!({name: nest(list, 60)})).contains(name));
        let shallow = minimal(json!({name: nest(list, 3)})).to_string();
        assert!(Tokenizer::from_json(shallow.as_bytes()).is_ok(), "{name}");
    }
}

#[test]
fn truncation_and_padding_of_the_file_do_not_apply() {
    let plain = Tokenizer::from_json(&file(FILES[0])).unwrap();
    let mut value: Value = serde_json::from_slice(&file(FILES[0])).unwrap();
    value["truncation"] =
        json!({"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0});
    value["padding"] = json!({"strategy": {"Fixed": 50}, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "<unk>"});
    let limited = Tokenizer::from_json(value.to_string().as_bytes()).unwrap();
    let text = "Once upon a time there was a little girl.";
    assert_eq!(limited.encode(text, AddSpecial::Yes).unwrap(), plain.encode(text, AddSpecial::Yes).unwrap());
}

#[test]
fn an_id_outside_the_vocabulary_is_named() {
    let Loaded { ours, end, .. } = &LOADED[0];
    for id in [*end, u32::MAX] {
        let error = ours.decode(&[1, id], true).unwrap_err();
        assert!(matches!(error, TokenizerError::UnknownId { id: named, vocab_size: 512 } if named == id));
        assert!(error.to_string().contains(&id.to_string()));
        let mut stream = StreamDecoder::new(ours.clone(), true);
        assert!(stream.push(id).is_err());
        assert_eq!(ours.token_bytes(id), None);
    }
}

#[test]
fn incomplete_characters_wait_and_are_replaced_at_the_end() {
    let Loaded { ours, .. } = &LOADED[0];
    let id = |token: &str| ours.token_to_id(token).unwrap();
    let mut stream = StreamDecoder::new(ours.clone(), true);
    assert_eq!(stream.push(id("<0xE5>")).unwrap(), None);
    assert_eq!(stream.push(id("<0x8F>")).unwrap(), None);
    assert_eq!(stream.push(id("<0xAB>")).unwrap().as_deref(), Some("叫"));
    assert_eq!(stream.push(id("<0xE5>")).unwrap(), None);
    assert_eq!(stream.push(id("<0x8F>")).unwrap(), None);
    assert_eq!(stream.finish().unwrap().as_deref(), Some("\u{FFFD}\u{FFFD}"));
    assert_eq!(stream.finish().unwrap(), None);
    // A new text begins, whose first space is one that encoding added.
    let ids = ours.encode("a", AddSpecial::No).unwrap();
    let pieces: Vec<_> = ids.iter().filter_map(|i| stream.push(*i).unwrap()).collect();
    assert_eq!(pieces.concat(), "a");
}

#[test]
fn text_before_an_endless_broken_character_comes_out() {
    let Loaded { ours, .. } = &LOADED[3];
    // A byte-level token that ends within a character, over and over.
    let start = ours.token_to_id("ð").unwrap();
    let mut stream = StreamDecoder::new(ours.clone(), true);
    let shown: usize = (0..10_000).filter_map(|_| stream.push(start).unwrap()).map(|p| p.len()).sum();
    assert!(shown > 9_000, "{shown}");
}

#[test]
fn special_tokens_have_no_bytes_and_others_have_theirs() {
    let Loaded { ours, .. } = &LOADED[0];
    assert_eq!(ours.token_bytes(1), None);
    assert_eq!(ours.token_bytes(ours.token_to_id("<0x0A>").unwrap()), Some(vec![10]));
    assert_eq!(ours.token_bytes(ours.token_to_id("▁the").unwrap()).as_deref(), Some(&b" the"[..]));
    let bert = &LOADED[1].ours;
    assert_eq!(bert.token_bytes(bert.token_to_id("##ing").unwrap()).as_deref(), Some(&b"ing"[..]));
    assert_eq!(bert.token_bytes(bert.token_to_id("the").unwrap()).as_deref(), Some(&b" the"[..]));
}

//! Random answers: tokens drawn uniformly from those that are allowed, until the answer ends.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Model, SMALL, data, tokens};
use crate::grammar::{Grammar, GrammarSource, Matcher};
use crate::tokenizer::StreamDecoder;

/// Pseudo-random numbers (SplitMix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// The most tokens of an answer; the bias towards the end makes answers far shorter.
const MAX_TOKENS: usize = 4_000;

/// A random answer as its text. Strings and lists without an end are the rule under a uniform choice, so that more and
/// more often a token is taken that closes something.
pub(super) fn walk(model: &Model, matcher: &mut Matcher, random: &mut Random) -> String {
    let mut decoder = StreamDecoder::new(Arc::clone(&model.tokenizer), true);
    let mut text = String::new();
    for step in 0..MAX_TOKENS {
        if matcher.is_complete() {
            break;
        }
        let allowed = tokens(matcher.allowed().unwrap());
        assert!(!allowed.is_empty());
        let stops = model.vocabulary.stop_tokens();
        let stopping = stops.iter().filter(|stop| allowed.contains(stop)).count();
        assert!(stopping == 0 || stopping == stops.len(), "all stop tokens or none");
        assert_eq!(stopping > 0, matcher.may_end());
        if stopping > 0 && random.below(2) == 0 {
            matcher.accept(stops[0]).unwrap();
            break;
        }
        let closing: Vec<u32> = allowed
            .iter()
            .copied()
            .filter(|id| {
                let bytes = model.tokenizer.token_bytes(*id).unwrap_or_default();
                !bytes.is_empty() && bytes.len() <= 2 && bytes.iter().all(|byte| b"\"}],@".contains(byte))
            })
            .collect();
        let hurry = random.below(40) < 4 + step / 4;
        let from = if hurry && !closing.is_empty() { &closing } else { &allowed };
        let token = from[random.below(from.len())];
        if stops.contains(&token) {
            matcher.accept(token).unwrap();
            break;
        }
        matcher.accept(token).unwrap();
        text.push_str(&decoder.push(token).unwrap().unwrap_or_default());
    }
    assert!(matcher.is_complete() || matcher.may_end(), "did not end: {text}");
    text.push_str(&decoder.finish().unwrap().unwrap_or_default());
    text
}

pub(super) fn judged(model: &Model, schema: &Value, grammar: &Grammar, random: &mut Random) -> String {
    let text = walk(model, &mut grammar.matcher().unwrap(), random);
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}\nfor {schema}"));
    if let Err(error) = jsonschema::validate(schema, &value) {
        panic!("{}: {error}: {text}\nfor {schema}", model.name);
    }
    text
}

#[test]
fn any_object() {
    let grammar = SMALL.compile(&GrammarSource::JsonObject).unwrap();
    let mut random = Random(1);
    for _ in 0..20 {
        judged(&SMALL, &json!({"type": "object"}), &grammar, &mut random);
    }
}

fn kitchen_sink() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "who"},
            "age": {"type": "integer", "minimum": 0, "maximum": 120},
            "score": {"type": ["number", "null"], "exclusiveMinimum": -1.5, "maximum": 2.25},
            "any_number": {"type": "number"},
            "kind": {"enum": ["a", "b\n\"", 3, 1.5, null, true, ["x", {"y": 1}]]},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 5}, "minItems": 1, "maxItems": 3},
            "nested": {"type": "object", "properties": {"deep": {"type": "boolean"}}, "required": ["deep"]},
        },
        "required": ["name", "age", "score", "any_number", "kind", "tags", "nested"],
        "additionalProperties": false,
    })
}

#[test]
fn a_schema_of_everything() {
    let schema = kitchen_sink();
    let grammar = SMALL.schema(schema.clone()).unwrap();
    let mut random = Random(2);
    for _ in 0..20 {
        judged(&SMALL, &schema, &grammar, &mut random);
    }
}

/// Every kind of tokenizer, with the real vocabularies where they are there.
#[test]
fn every_kind_of_tokenizer() {
    let mut folders = vec![data("tiny/llama2"), data("tiny/llama3"), data("tiny/mistral")];
    if let Ok(goldens) = std::env::var("MODEL_RUNTIME_GOLDENS") {
        for name in ["llama2", "llama3", "mistral-v1", "mistral-v3", "mpt", "dbrx", "deepseek-r1"] {
            folders.push(std::path::Path::new(&goldens).join("tokenizers").join(name));
        }
    }
    let schema = kitchen_sink();
    for folder in folders {
        let model = Model::load(&folder);
        let grammar = model.schema(schema.clone()).unwrap();
        let mut random = Random(3);
        for _ in 0..4 {
            judged(&model, &schema, &grammar, &mut random);
        }
    }
}

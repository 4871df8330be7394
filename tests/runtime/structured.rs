//! Answers of a demanded form, by models whose weights are random or that know stories only.

use std::collections::BTreeMap;

use model_runtime::protocol::{ChatMessage, ChatRequest, FinishReason, ResponseFormat, Thinking, Tool};
use model_runtime::{ErrorKind, ModelRuntime, ServeOptions};
use serde_json::{Value, json};

use super::{schemas, serve_with_room, stories, tiny};

/// Schemas that each model answers in, and the temperatures in turn.
const SCHEMAS: u64 = 200;
const TEMPERATURES: [f32; 4] = [0.0, 0.8, 1.0, 1.5];

/// Talks without any special token.
const TEMPLATE: &str = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: ";

/// Five models of different families and vocabularies.
const MODELS: [&str; 5] = ["llama3", "mistral", "mpt", "deepseek_v3", "stories"];

fn runtime() -> ModelRuntime {
    let runtime = ModelRuntime::builder().build().unwrap();
    for name in MODELS {
        let options = ServeOptions::default().max_sequences(32).max_queue(4096);
        match name {
            "stories" => serve_with_room(&runtime, name, &stories(), options.chat_template(TEMPLATE)),
            name => serve_with_room(&runtime, name, &tiny(name), options),
        }
    }
    runtime
}

fn request(model: &str, schema: Value) -> ChatRequest {
    ask(model, ResponseFormat::json_schema("answer", schema))
}

fn ask(model: &str, format: ResponseFormat) -> ChatRequest {
    let mut asked =
        ChatRequest::new(model, vec![ChatMessage::user("Tell me about it.")]).response_format(format);
    // It would rather think for ever.
    asked.thinking = (model == "deepseek_v3").then_some(Thinking { budget_tokens: 8 });
    asked
}

/// The tokens that bring texts, numbers, lists and objects to their end: a random model would go on for ever.
fn closing(model: &str) -> BTreeMap<u32, f32> {
    let path = if model == "stories" { stories() } else { tiny(model) };
    let file: Value = serde_json::from_slice(&std::fs::read(path.join("tokenizer.json")).unwrap()).unwrap();
    let vocabulary = file["model"]["vocab"].as_object().unwrap();
    let id = |token: &str| vocabulary.get(token).and_then(Value::as_u64).map(|id| id as u32);
    // As a character, or as the byte that stands for it. What ends an object before what goes on with it.
    [("}", "<0x7D>", 20.0), ("]", "<0x5D>", 20.0), ("\"", "<0x22>", 14.0), (",", "<0x2C>", 14.0)]
        .into_iter()
        .filter_map(|(character, byte, bias)| Some((id(character).or_else(|| id(byte))?, bias)))
        .collect()
}

/// A text with neither an `@` nor a dot in reach never ends as an address; dates do.
fn without_addresses(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("format") == Some(&json!("email")) {
                map.insert("format".into(), json!("date"));
            }
            map.values_mut().for_each(without_addresses);
        }
        Value::Array(items) => items.iter_mut().for_each(without_addresses),
        _ => {}
    }
}

#[test]
fn every_answer_is_valid_for_its_schema() {
    let runtime = runtime();
    for model in MODELS {
        let closing = closing(model);
        assert!(closing.len() >= 2, "{model}: {closing:?}");
        let streams: Vec<_> = (0..SCHEMAS)
            .map(|seed| {
                let mut schema = schemas::schema(seed);
                without_addresses(&mut schema);
                let mut asked = request(model, schema.clone())
                    .temperature(TEMPERATURES[seed as usize % TEMPERATURES.len()])
                    .seed(seed);
                asked.options.logit_bias = closing.clone();
                // Greedy answers would go in circles.
                asked.options.frequency_penalty = Some(0.3);
                asked.options.prompt_lookup_tokens = (seed % 5 == 0).then_some(8);
                (runtime.chat_stream(asked).unwrap_or_else(|error| panic!("{schema}: {error}")), schema)
            })
            .collect();
        for (seed, (stream, schema)) in streams.into_iter().enumerate() {
            let choice = stream.wait().unwrap_or_else(|error| panic!("{schema}: {error}")).choices.remove(0);
            let text = choice.message.content.unwrap();
            assert_eq!(choice.finish_reason, FinishReason::Stop, "{model} {seed}: {schema}: {text}");
            let value: Value =
                serde_json::from_str(&text).unwrap_or_else(|e| panic!("{model} {seed}: {e}: {text}"));
            if let Err(error) = jsonschema::validate(&schema, &value) {
                panic!("{model} {seed}: {error}: {text} for {schema}");
            }
        }
    }
}

#[test]
fn other_forms() {
    let runtime = runtime();
    let ask = |model: &str, format: ResponseFormat| {
        let choice = runtime.chat(ask(model, format).seed(3).max_tokens(200)).unwrap().choices.remove(0);
        (choice.message.content.unwrap(), choice.finish_reason)
    };
    for model in MODELS {
        let (text, end) = ask(model, ResponseFormat::Regex("(yes|no), [a-f]{3}!".into()));
        assert_eq!(end, FinishReason::Stop);
        let (word, rest) = text.split_once(", ").unwrap();
        assert!(["yes", "no"].contains(&word) && rest.len() == 4 && rest.ends_with('!'), "{text}");
        let (text, _) = ask(model, ResponseFormat::Lark("start: \"a\" b\nb: /[0-9]/ | \"(\" b \")\"".into()));
        let inner = text.strip_prefix('a').unwrap_or_else(|| panic!("{model}: {text}"));
        assert!(inner.starts_with('(') || inner.len() == 1, "{text}");
        let (text, end) = ask(model, ResponseFormat::JsonObject);
        assert!(text.starts_with('{'), "{text}");
        if end == FinishReason::Stop {
            assert!(serde_json::from_str::<Value>(&text).unwrap().is_object());
        }
        assert!(!ask(model, ResponseFormat::Text).0.is_empty());
    }
}

#[test]
fn a_form_is_kept_in_every_company() {
    let runtime = runtime();
    let schema = json!({
        "type": "object",
        "properties": { "n": { "type": "integer" }, "b": { "type": "boolean" }, "s": { "type": "string", "maxLength": 30 } },
        "required": ["n", "b", "s"], "additionalProperties": false
    });
    let asked = |seed: u64| request("llama3", schema.clone()).seed(seed).max_tokens(120).n(2).logprobs(1);
    let free = |seed: u64| {
        ChatRequest::new("llama3", vec![ChatMessage::user("Say something.")]).seed(seed).max_tokens(60)
    };
    let alone: Vec<_> = (0..4).map(|seed| runtime.chat(asked(seed)).unwrap().choices).collect();
    let others: Vec<_> = (0..8).map(|seed| runtime.chat_stream(free(seed)).unwrap()).collect();
    let together: Vec<_> = (0..4).map(|seed| runtime.chat_stream(asked(seed)).unwrap()).collect();
    for (stream, alone) in together.into_iter().zip(alone) {
        assert_eq!(stream.wait().unwrap().choices, alone, "the same bits, log-probabilities too");
    }
    for (seed, stream) in (0..).zip(others) {
        assert_eq!(stream.wait().unwrap().choices, runtime.chat(free(seed)).unwrap().choices);
    }
}

#[test]
fn a_stop_string_still_ends_a_text_of_a_form() {
    let runtime = runtime();
    let asked = ChatRequest::new("llama3", vec![ChatMessage::user("Hi")])
        .response_format(ResponseFormat::Regex("[ab]{200}c".into()))
        .seed(1)
        .stop("ba");
    let choice = runtime.chat(asked).unwrap().choices.remove(0);
    assert_eq!(choice.finish_reason, FinishReason::Stop);
    assert!(!choice.message.content.unwrap().contains("ba"));
}

#[test]
fn forms_that_cannot_be_are_refused_at_once() {
    let runtime = runtime();
    let refused = |format: ResponseFormat, param: &str| {
        let asked = ChatRequest::new("llama3", vec![ChatMessage::user("Hi")]).response_format(format);
        let error = runtime.chat_stream(asked).unwrap_err();
        assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some(param)), "{error}");
        assert!(!error.message().contains('\n'));
    };
    let schema = |schema: Value| ResponseFormat::json_schema("s", schema);
    let path = "response_format.json_schema.schema";
    refused(
        schema(json!({ "type": "object", "properties": { "a": { "anyOf": [] } } })),
        &format!("{path}.properties.a.anyOf"),
    );
    refused(
        schema(
            json!({ "type": "object", "properties": { "a": { "type": "integer", "minimum": 3, "maximum": 2 } }, "required": ["a"] }),
        ),
        &format!("{path}.properties.a"),
    );
    refused(ResponseFormat::Regex("(".into()), "response_format");
    refused(ResponseFormat::Regex("a(?=b)".into()), "response_format");
    refused(ResponseFormat::Lark("start: nothing".into()), "response_format");
    let keys: serde_json::Map<String, Value> =
        (0..65).map(|key| (format!("k{key}"), json!({ "type": "integer" }))).collect();
    refused(schema(json!({ "type": "object", "properties": keys })), path);
}

#[test]
fn a_form_and_tools_go_together() {
    let runtime = runtime();
    let schema = json!({ "type": "object", "properties": { "sure": { "type": "boolean" } }, "required": ["sure"], "additionalProperties": false });
    for model in ["llama3", "mistral", "mpt", "deepseek_v3"] {
        for seed in 0..6 {
            let asked = request(model, schema.clone())
                .tool(Tool::function("look", "Looks", json!({ "type": "object", "properties": {} })))
                .seed(seed)
                .max_tokens(80);
            let choice = runtime.chat(asked).unwrap().choices.remove(0);
            match choice.finish_reason {
                FinishReason::ToolCalls => {
                    assert!(choice.message.tool_calls.iter().all(|call| call.function.arguments == "{}"));
                }
                FinishReason::Stop => {
                    let value: Value = serde_json::from_str(&choice.message.content.unwrap()).unwrap();
                    assert!(value["sure"].is_boolean(), "{model} {seed}: {value}");
                }
                other => assert_eq!(other, FinishReason::Length),
            }
        }
    }
}

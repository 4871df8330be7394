//! The published requests, row by row: what is accepted, what is refused and under which name.
#![allow(clippy::unwrap_used)]

mod properties;
mod responses;
mod tools;

use serde_json::{Value, json};

use super::*;
use crate::error::ErrorKind;

fn chat(extra: &str) -> crate::Result<ChatRequest> {
    ChatRequest::from_json(
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{extra}}}"#).as_bytes(),
    )
}

fn completion(extra: &str) -> crate::Result<CompletionRequest> {
    CompletionRequest::from_json(format!(r#"{{"model":"m","prompt":"hi"{extra}}}"#).as_bytes())
}

fn messages(list: &str) -> crate::Result<ChatRequest> {
    ChatRequest::from_json(format!(r#"{{"model":"m","messages":{list}}}"#).as_bytes())
}

fn prompt(prompt: &str) -> crate::Result<CompletionRequest> {
    CompletionRequest::from_json(format!(r#"{{"model":"m","prompt":{prompt}}}"#).as_bytes())
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: crate::Result<T>, kind: ErrorKind, param: &str) {
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.param()), (kind, Some(param)), "{error}");
    assert!(
        error.message().contains(param.split(['.', '[']).next().unwrap()),
        "the message names the field: {error}"
    );
    assert!(!error.message().contains('\n'));
}

/// Fields that chat and completion share: accepted values, refused values.
const SHARED: &[(&str, &[&str], &[&str])] = &[
    ("max_tokens", &["1", "4294967295", "null"], &["0", "-1", "1.5", "4294967296", "\"9\"", "1e30"]),
    ("temperature", &["0", "0.7", "2", "2.0", "null"], &["-0.1", "2.1", "\"hot\"", "true", "1e300", "[]"]),
    ("top_p", &["0.001", "1", "null"], &["0", "1.01", "-1", "\"1\""]),
    ("top_k", &["1", "50", "null"], &["0", "-1", "2.5"]),
    ("min_p", &["0", "1", "0.05", "null"], &["-0.1", "1.1", "{}"]),
    ("repetition_penalty", &["0.5", "1", "1.3", "null"], &["0", "-1", "1e39"]),
    ("frequency_penalty", &["-2", "0", "2", "null"], &["-2.1", "2.1"]),
    ("presence_penalty", &["-2", "0", "2", "null"], &["-2.1", "2.1"]),
    ("logit_bias", &["{}", r#"{"0":-100,"4294967295":100}"#, "null"], &["[]", "1"]),
    (
        "seed",
        &["0", "-9223372036854775808", "18446744073709551615", "null"],
        &["1.5", "18446744073709551616", "\"1\""],
    ),
    ("stop", &["\"a\"", "[]", r#"["a","b","c","d"]"#, "null"], &["\"\"", "1", r#"["a","b","c","d","e"]"#]),
    ("stop_token_ids", &["[]", "[0,7]", "null"], &["7", "\"7\""]),
    ("prompt_lookup_tokens", &["0", "16", "null"], &["17", "-1", "true", "\"8\""]),
    ("adapter", &["\"legal\"", "null"], &["1", "[]"]),
    ("stream", &["true", "false", "null"], &["1", "\"true\""]),
    ("stream_options", &["null"], &["true", "[]", "{}"]),
    ("user", &["\"u\"", "null"], &["1"]),
    ("client_request_id", &["\"u\"", "null"], &["1"]),
    ("n", &["1", "5", "null"], &["0", "6", "-1", "1.0", "\"1\""]),
];

#[test]
fn shared_fields_are_accepted_within_their_ranges() {
    for (name, accepted, wrong) in SHARED {
        for value in *accepted {
            let extra = format!(r#","{name}":{value}"#);
            chat(&extra).unwrap();
            completion(&extra).unwrap();
        }
        for value in *wrong {
            let extra = format!(r#","{name}":{value}"#);
            let param = if *value == "\"\"" { "stop" } else { name };
            refused(chat(&extra), ErrorKind::InvalidRequest, param);
            refused(completion(&extra), ErrorKind::InvalidRequest, param);
        }
    }
}

#[test]
fn errors_inside_fields_have_their_own_path() {
    use ErrorKind::InvalidRequest;
    refused(chat(r#","stop":["a",""]"#), InvalidRequest, "stop[1]");
    refused(chat(r#","stop":["a",1]"#), InvalidRequest, "stop[1]");
    refused(chat(r#","stop_token_ids":[1,-1]"#), InvalidRequest, "stop_token_ids[1]");
    refused(chat(r#","logit_bias":{"5":100.5}"#), InvalidRequest, "logit_bias.5");
    refused(chat(r#","logit_bias":{"5":"x"}"#), InvalidRequest, "logit_bias.5");
    for id in ["05", "x", "-1", "4294967296", ""] {
        refused(chat(&format!(r#","logit_bias":{{"{id}":1}}"#)), InvalidRequest, &format!("logit_bias.{id}"));
    }
    refused(
        chat(r#","stream":true,"stream_options":{"usage":true}"#),
        InvalidRequest,
        "stream_options.usage",
    );
    refused(
        chat(r#","stream":true,"stream_options":{"include_usage":1}"#),
        InvalidRequest,
        "stream_options.include_usage",
    );
    refused(
        chat(r#","stream":true,"stream_options":{"include_obfuscation":true}"#),
        ErrorKind::Unsupported,
        "stream_options.include_obfuscation",
    );
    refused(chat(r#","temperature":1,"temperature":1"#), InvalidRequest, "temperature");
    refused(
        messages(r#"[{"role":"user","content":"a","content":"b"}]"#),
        InvalidRequest,
        "messages[0].content",
    );
    let error = chat(r#","temperature":2.5"#).unwrap_err();
    assert_eq!(error.message(), "`temperature` is 2.5; accepted is a number from 0 to 2");
}

#[test]
fn unknown_fields_are_refused_by_name() {
    use ErrorKind::InvalidRequest;
    refused(chat(r#","temprature":1"#), InvalidRequest, "temprature");
    refused(chat(r#","temprature":null"#), InvalidRequest, "temprature");
    refused(chat(r#","priority":1"#), InvalidRequest, "priority");
    refused(chat(r#","prompt":"x""#), InvalidRequest, "prompt");
    refused(chat(r#","echo":true"#), InvalidRequest, "echo");
    refused(completion(r#","messages":[]"#), InvalidRequest, "messages");
    refused(completion(r#","max_completion_tokens":1"#), InvalidRequest, "max_completion_tokens");
    refused(
        messages(r#"[{"role":"user","content":"a","contents":"b"}]"#),
        InvalidRequest,
        "messages[0].contents",
    );
    refused(
        messages(r#"[{"role":"user","content":[{"type":"text","text":"a","x":1}]}]"#),
        InvalidRequest,
        "messages[0].content[0].x",
    );
}

#[test]
fn fields_that_are_not_implemented_pass_only_when_they_ask_for_nothing() {
    for (name, nothing, something) in [
        ("functions", "[]", "[{}]"),
        ("function_call", "\"none\"", r#"{"name":"f"}"#),
        ("modalities", r#"["text"]"#, r#"["text","audio"]"#),
        ("audio", "null", "{}"),
        ("store", "false", "true"),
        ("metadata", "{}", r#"{"a":"b"}"#),
        ("extra_params", "{}", r#"{"a":"b"}"#),
        ("reasoning_effort", "null", "\"low\""),
    ] {
        chat(&format!(r#","{name}":{nothing}"#)).unwrap();
        refused(chat(&format!(r#","{name}":{something}"#)), ErrorKind::Unsupported, name);
    }
    for (name, nothing, something) in [("best_of", "1", "2"), ("extra_params", "{}", r#"{"a":"b"}"#)] {
        completion(&format!(r#","{name}":{nothing}"#)).unwrap();
        refused(completion(&format!(r#","{name}":{something}"#)), ErrorKind::Unsupported, name);
    }
}

#[test]
fn usage_context_is_an_object_of_texts() {
    let request = chat(r#","usage_context":{"project":"a","team":"b"}"#).unwrap();
    assert_eq!(Value::from(request.options.usage_context.unwrap()), json!({ "project": "a", "team": "b" }));
    refused(chat(r#","usage_context":{"project":1}"#), ErrorKind::InvalidRequest, "usage_context.project");
    refused(completion(r#","usage_context":"a""#), ErrorKind::InvalidRequest, "usage_context");
}

#[test]
fn chat_messages() {
    use ErrorKind::{InvalidRequest, Unsupported};
    let request = messages(
        r#"[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
            {"role":"assistant","content":"c","refusal":null,"tool_calls":[],"annotations":[]},{"role":"user","content":""}]"#,
    )
    .unwrap();
    let said: Vec<_> = request.messages.iter().map(|m| (m.role.as_str(), m.text())).collect();
    assert_eq!(
        said,
        [
            ("system", "Be brief.".into()),
            ("user", "ab".into()),
            ("assistant", "c".into()),
            ("user", "".into())
        ]
    );

    refused(
        ChatRequest::from_json(br#"{"messages":[{"role":"user","content":"a"}]}"#),
        InvalidRequest,
        "model",
    );
    refused(ChatRequest::from_json(br#"{"model":"m"}"#), InvalidRequest, "messages");
    refused(ChatRequest::from_json(br#"{"model":7,"messages":[]}"#), InvalidRequest, "model");
    refused(
        ChatRequest::from_json(br#"{"model":"","messages":[{"role":"user","content":"a"}]}"#),
        InvalidRequest,
        "model",
    );
    refused(messages("[]"), InvalidRequest, "messages");
    refused(messages("null"), InvalidRequest, "messages");
    refused(messages("{}"), InvalidRequest, "messages");
    refused(messages("[1]"), InvalidRequest, "messages[0]");
    refused(messages(r#"[{"content":"a"}]"#), InvalidRequest, "messages[0].role");
    refused(messages(r#"[{"role":"user"}]"#), InvalidRequest, "messages[0].content");
    refused(messages(r#"[{"role":"user","content":null}]"#), InvalidRequest, "messages[0].content");
    refused(messages(r#"[{"role":"user","content":[]}]"#), InvalidRequest, "messages[0].content");
    refused(messages(r#"[{"role":1,"content":"a"}]"#), InvalidRequest, "messages[0].role");
    refused(messages(r#"[{"role":"developer","content":"a"}]"#), InvalidRequest, "messages[0].role");
    refused(messages(r#"[{"role":"user","name":"Bo","content":"a"}]"#), Unsupported, "messages[0].name");
    refused(
        messages(r#"[{"role":"user","content":"a"},{"role":"system","content":"b"}]"#),
        InvalidRequest,
        "messages[1].role",
    );
    let part = |part: &str| messages(&format!(r#"[{{"role":"user","content":[{part}]}}]"#));
    refused(
        part(r#"{"type":"image_url","image_url":{"url":"x"}}"#),
        Unsupported,
        "messages[0].content[0].type",
    );
    refused(part(r#"{"type":"song"}"#), InvalidRequest, "messages[0].content[0].type");
    refused(part(r#"{"text":"a"}"#), InvalidRequest, "messages[0].content[0].type");
    refused(part(r#"{"type":"text"}"#), InvalidRequest, "messages[0].content[0].text");
    refused(part(r#"{"type":"text","text":1}"#), InvalidRequest, "messages[0].content[0].text");
    refused(part("\"a\""), InvalidRequest, "messages[0].content[0]");
}

#[test]
fn chat_limits_and_logprobs() {
    use ErrorKind::InvalidRequest;
    assert_eq!(chat(r#","max_completion_tokens":5"#).unwrap().options.max_tokens, Some(5));
    chat(r#","max_completion_tokens":5,"max_tokens":null"#).unwrap();
    refused(chat(r#","max_completion_tokens":5,"max_tokens":5"#), InvalidRequest, "max_completion_tokens");
    refused(chat(r#","max_completion_tokens":0"#), InvalidRequest, "max_completion_tokens");
    assert_eq!(chat(r#","logprobs":true,"top_logprobs":20"#).unwrap().top_logprobs, Some(20));
    refused(chat(r#","logprobs":true,"top_logprobs":21"#), InvalidRequest, "top_logprobs");
    refused(chat(r#","logprobs":false,"top_logprobs":0"#), InvalidRequest, "top_logprobs");
    refused(chat(r#","top_logprobs":3"#), InvalidRequest, "top_logprobs");
    refused(chat(r#","logprobs":1"#), InvalidRequest, "logprobs");
}

#[test]
fn completion_fields() {
    use ErrorKind::InvalidRequest;
    assert_eq!(prompt("\"hi\"").unwrap().prompt, Prompt::Text("hi".into()));
    assert_eq!(prompt("[\"hi\"]").unwrap().prompt, Prompt::Texts(vec!["hi".into()]));
    assert_eq!(prompt("[1,2]").unwrap().prompt, Prompt::Tokens(vec![1, 2]));
    assert_eq!(prompt("[[1,2]]").unwrap().prompt, Prompt::TokenLists(vec![vec![1, 2]]));
    assert_eq!(prompt(r#"["a","b"]"#).unwrap().prompt, Prompt::Texts(vec!["a".into(), "b".into()]));
    assert_eq!(prompt("[[1],[2]]").unwrap().prompt, Prompt::TokenLists(vec![vec![1], vec![2]]));
    let many = |count: usize| prompt(&format!("[{}]", vec!["\"a\""; count].join(",")));
    many(16).unwrap();
    refused(many(17), InvalidRequest, "prompt");
    refused(prompt("[]"), InvalidRequest, "prompt");
    refused(prompt("[[]]"), InvalidRequest, "prompt[0]");
    refused(prompt("[true]"), InvalidRequest, "prompt[0]");
    refused(prompt("[1,\"a\"]"), InvalidRequest, "prompt[1]");
    refused(prompt("[1.5]"), InvalidRequest, "prompt[0]");
    refused(prompt("[[1,-2]]"), InvalidRequest, "prompt[0][1]");
    refused(prompt("null"), InvalidRequest, "prompt");
    refused(CompletionRequest::from_json(br#"{"model":"m"}"#), InvalidRequest, "prompt");
    refused(CompletionRequest::from_json(br#"{"prompt":"m"}"#), InvalidRequest, "model");
    assert!(completion(r#","echo":true"#).unwrap().echo);
    refused(completion(r#","echo":"yes""#), InvalidRequest, "echo");
    assert_eq!(completion(r#","logprobs":5"#).unwrap().logprobs, Some(5));
    assert_eq!(completion(r#","logprobs":0"#).unwrap().logprobs, Some(0));
    refused(completion(r#","logprobs":6"#), InvalidRequest, "logprobs");
    refused(completion(r#","logprobs":true"#), InvalidRequest, "logprobs");
    assert_eq!(completion(r#","suffix":" end""#).unwrap().suffix.as_deref(), Some(" end"));
    refused(completion(r#","suffix":1"#), InvalidRequest, "suffix");
    assert!(!completion(r#","use_raw_prompt":null"#).unwrap().use_raw_prompt);
    assert!(completion(r#","use_raw_prompt":true"#).unwrap().use_raw_prompt);
    refused(completion(r#","use_raw_prompt":1"#), InvalidRequest, "use_raw_prompt");
    let behavior = |text: &str| completion(&format!(r#","error_behavior":{text}"#));
    assert_eq!(behavior("\"truncate\"").unwrap().error_behavior, Some(ErrorBehavior::Truncate));
    assert_eq!(behavior("\"error\"").unwrap().error_behavior, Some(ErrorBehavior::Error));
    assert_eq!(behavior("null").unwrap().error_behavior, None);
    refused(behavior("\"ignore\""), InvalidRequest, "error_behavior");
    let streamed = CompletionRequest::from_json(br#"{"model":"m","prompt":["a","b"],"stream":true}"#);
    refused(streamed, InvalidRequest, "prompt");
}

#[test]
fn requests_built_in_rust_are_validated_too() {
    let request = ChatRequest::new("m", vec![ChatMessage::user("hi")]);
    request.validate().unwrap();
    for temperature in [f32::NAN, f32::INFINITY, -1.0] {
        refused(
            request.clone().temperature(temperature).validate(),
            ErrorKind::InvalidRequest,
            "temperature",
        );
    }
    refused(request.clone().top_p(f32::NAN).validate(), ErrorKind::InvalidRequest, "top_p");
    refused(
        request.clone().repetition_penalty(f32::INFINITY).validate(),
        ErrorKind::InvalidRequest,
        "repetition_penalty",
    );
    refused(request.clone().max_tokens(0).validate(), ErrorKind::InvalidRequest, "max_tokens");
    refused(request.clone().top_k(0).validate(), ErrorKind::InvalidRequest, "top_k");
    refused(
        request.clone().prompt_lookup_tokens(17).validate(),
        ErrorKind::InvalidRequest,
        "prompt_lookup_tokens",
    );
    refused(request.clone().adapter("").validate(), ErrorKind::InvalidRequest, "adapter");
    refused(request.clone().stop("").validate(), ErrorKind::InvalidRequest, "stop[0]");
    refused(request.logprobs(21).validate(), ErrorKind::InvalidRequest, "top_logprobs");
    refused(
        CompletionRequest::new("m", Prompt::Tokens(vec![])).validate(),
        ErrorKind::InvalidRequest,
        "prompt",
    );
    refused(CompletionRequest::new("m", "x").logprobs(6).validate(), ErrorKind::InvalidRequest, "logprobs");
}

#[test]
fn not_an_object() {
    for text in ["[]", "1", "\"x\"", "null", "true"] {
        let error = ChatRequest::from_json(text.as_bytes()).unwrap_err();
        assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, None));
        CompletionRequest::from_json(text.as_bytes()).unwrap_err();
    }
}

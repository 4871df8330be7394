//! Runs on the small models of this repository.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ends;
mod files;
mod lines;
mod load;
mod results;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::runtime::{ModelRuntime, RuntimeBuilder, ServeOptions};

/// A model of this repository.
fn model(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A model that tells stories, one that chats, and an encoder.
static RUNTIME: LazyLock<ModelRuntime> = LazyLock::new(|| {
    let runtime = ModelRuntime::builder().build().unwrap();
    let options = || ServeOptions::default().context_length(256);
    runtime.serve("stories", model("examples/models/stories260K"), options()).unwrap();
    runtime.serve("llama", model("tests/data/tiny/llama3"), options()).unwrap();
    runtime.serve("encoder", model("tests/data/tiny/bert_bge"), ServeOptions::default()).unwrap();
    runtime
});

/// A runtime that serves only the stories.
fn stories(builder: RuntimeBuilder, options: ServeOptions) -> ModelRuntime {
    let runtime = builder.build().unwrap();
    runtime.serve("stories", model("examples/models/stories260K"), options).unwrap();
    runtime
}

/// A request's URL and body: one of three kinds, of a length of its own.
fn request(index: usize) -> (&'static str, Value) {
    let tokens = 1 + index * 7 % 23;
    let text = ["Once upon a time", "The cat", "A long day", "Lily"][index % 4];
    match index % 3 {
        0 => {
            let body = json!({"model": "stories", "prompt": text, "max_tokens": tokens, "temperature": 1.2, "seed": index, "logprobs": 2});
            ("/v1/completions", body)
        }
        1 => {
            let messages = json!([{"role": "user", "content": format!("{text} {index}")}]);
            let body =
                json!({"model": "llama", "messages": messages, "max_tokens": tokens, "temperature": 0});
            ("/v1/chat/completions", body)
        }
        _ => {
            let texts: Vec<String> =
                (0..1 + index % 5).map(|i| format!("{text} {}", "and on ".repeat(i))).collect();
            let format = ["float", "base64"][index % 2];
            ("/v1/embeddings", json!({"model": "encoder", "input": texts, "encoding_format": format}))
        }
    }
}

/// A file of requests, a line each.
fn input(requests: impl IntoIterator<Item = usize>) -> String {
    let line = |index| {
        let (url, body) = request(index);
        json!({"custom_id": format!("r{index}"), "method": "POST", "url": url, "body": body}).to_string()
            + "\n"
    };
    requests.into_iter().map(line).collect()
}

/// The lines of a file of results.
fn parse(output: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(output).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What of a response depends on the request alone.
fn essence(mut body: Value) -> Value {
    let fields = body.as_object_mut().unwrap();
    fields.shift_remove("id");
    fields.shift_remove("created");
    if let Some(usage) = fields.get_mut("usage").and_then(Value::as_object_mut) {
        usage.shift_remove("prompt_tokens_details");
    }
    body
}

/// The essence of each answer, by name; every request has one.
fn answers(output: &[u8], expected: usize) -> BTreeMap<String, Value> {
    let results = parse(output);
    assert_eq!(results.len(), expected);
    let answer = |result: Value| {
        assert_eq!(result["error"], Value::Null, "{result}");
        assert_eq!(result["response"]["status_code"], 200, "{result}");
        let name = result["custom_id"].as_str().unwrap().to_owned();
        (name, essence(result["response"]["body"].clone()))
    };
    let answers: BTreeMap<String, Value> = results.into_iter().map(answer).collect();
    assert_eq!(answers.len(), expected, "each request has its own");
    answers
}

/// The same requests, each alone.
fn alone(requests: impl IntoIterator<Item = usize>) -> BTreeMap<String, Value> {
    let answer = |index| {
        let (url, body) = request(index);
        let body = body.to_string();
        let response = match url {
            "/v1/completions" => {
                let request = crate::protocol::CompletionRequest::from_json(body.as_bytes()).unwrap();
                serde_json::to_string(&RUNTIME.complete(request).unwrap())
            }
            "/v1/chat/completions" => {
                let request = crate::protocol::ChatRequest::from_json(body.as_bytes()).unwrap();
                serde_json::to_string(&RUNTIME.chat(request).unwrap())
            }
            _ => {
                let request = crate::protocol::EmbeddingRequest::from_json(body.as_bytes()).unwrap();
                serde_json::to_string(&RUNTIME.embeddings(request).unwrap())
            }
        };
        // Through text, as results go: a number is then the same number.
        (format!("r{index}"), essence(serde_json::from_str(&response.unwrap()).unwrap()))
    };
    requests.into_iter().map(answer).collect()
}

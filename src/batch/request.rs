//! One line of the input: a request, and whom its result is for.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{ChatRequest, CompletionRequest, EmbeddingRequest, json};

/// What a line asks for.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Chat(ChatRequest),
    Completion(CompletionRequest),
    Embedding(EmbeddingRequest),
}

impl Call {
    /// What limits and queues tell apart: the endpoint, and whom the request is for. Requests of one queue wait together.
    pub(super) fn queue(&self) -> Arc<str> {
        let (model, user) = match self {
            Self::Chat(request) => (&request.model, &request.options.user),
            Self::Completion(request) => (&request.model, &request.options.user),
            Self::Embedding(request) => (&request.model, &request.user),
        };
        // A name has no zero byte that would join it to another one's user; if it had, two queues would wait together.
        format!("{model}\0{}", user.as_deref().unwrap_or_default()).into()
    }
}

/// A line that is well formed. Its body may still be refused.
#[derive(Debug)]
pub(super) struct Request {
    /// The caller's own name for it.
    pub(super) custom_id: String,
    /// What it asks for, or why that is refused.
    pub(super) call: Result<Call>,
}

/// A line that is none of a batch, as far as its name could be read.
#[derive(Debug)]
pub(super) struct Malformed {
    pub(super) custom_id: Option<String>,
    pub(super) error: Error,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Route {
    #[serde(rename = "/v1/chat/completions")]
    Chat,
    #[serde(rename = "/v1/completions")]
    Completions,
    #[serde(rename = "/v1/embeddings")]
    Embeddings,
}

/// Reads a line of the published shape: `custom_id`, `method`, `url`, `body`.
pub(super) fn read(line: &[u8]) -> Result<Request, Malformed> {
    let tree = json::parse(line).map_err(|error| Malformed { custom_id: None, error })?;
    let named = tree.get("custom_id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
    let (custom_id, route, body) = fields(tree).map_err(|error| Malformed { custom_id: named, error })?;
    Ok(Request { custom_id, call: call(route, &body) })
}

/// Checks everything but what the body says.
fn fields(tree: Value) -> Result<(String, Route, Value)> {
    let Value::Object(mut fields) = tree else {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            "the line is not an object; accepted is one request",
        ));
    };
    let (id, method) = (fields.shift_remove("custom_id"), fields.shift_remove("method"));
    let (url, body) = (fields.shift_remove("url"), fields.shift_remove("body"));
    let custom_id = match id {
        Some(Value::String(id)) if !id.is_empty() => id,
        other => return Err(refused("custom_id", &found(other.as_ref()), "a string that is not empty")),
    };
    if method.as_ref().and_then(Value::as_str) != Some("POST") {
        return Err(refused("method", &found(method.as_ref()), "\"POST\""));
    }
    let accepted = "\"/v1/chat/completions\", \"/v1/completions\" or \"/v1/embeddings\"";
    let route = url.as_ref().and_then(|url| Route::deserialize(url).ok());
    let route = route.ok_or_else(|| refused("url", &found(url.as_ref()), accepted))?;
    if let Some(unknown) = fields.keys().next() {
        return Err(refused(unknown, "not a known field", "custom_id, method, url and body"));
    }
    match body {
        Some(body @ Value::Object(_)) => Ok((custom_id, route, body)),
        other => Err(refused("body", &found(other.as_ref()), "the request as an object")),
    }
}

fn refused(field: &str, found: &str, accepted: &str) -> Error {
    let field: String = field.chars().take(48).collect();
    Error::invalid(field.clone(), format!("`{field}` is {found}; accepted is {accepted}"))
}

fn found(value: Option<&Value>) -> String {
    match value {
        None => "missing".into(),
        Some(Value::Object(_)) => "an object".into(),
        Some(Value::Array(_)) => "a list".into(),
        Some(plain) => plain.to_string().chars().take(48).collect(),
    }
}

fn call(route: Route, body: &Value) -> Result<Call> {
    if body.get("stream").and_then(Value::as_bool) == Some(true) {
        let message = "`stream` is true; a batch gives whole answers: leave it out";
        return Err(Error::invalid("stream", message));
    }
    // The protocol reads bytes, strictly; what it says then is what it says elsewhere.
    let body = serde_json::to_vec(body).map_err(|error| {
        Error::new(ErrorKind::Internal, format!("the body cannot be written again: {error}"))
            .with_source(error)
    })?;
    match route {
        Route::Chat => ChatRequest::from_json(&body).map(Call::Chat),
        Route::Completions => CompletionRequest::from_json(&body).map(Call::Completion),
        Route::Embeddings => EmbeddingRequest::from_json(&body).map(Call::Embedding),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn line(url: &str, body: &str) -> String {
        format!(r#"{{"custom_id": "a", "method": "POST", "url": "{url}", "body": {body}}}"#)
    }

    #[test]
    fn every_url_reads_its_own_body() {
        let chat = line(
            "/v1/chat/completions",
            r#"{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}"#,
        );
        assert!(matches!(read(chat.as_bytes()).unwrap().call, Ok(Call::Chat(_))));
        let text =
            line("/v1/completions", r#"{"model": "m", "prompt": "Once", "seed": 18446744073709551615}"#);
        let Ok(Call::Completion(request)) = read(text.as_bytes()).unwrap().call else { unreachable!() };
        assert_eq!((request.model.as_str(), request.options.seed), ("m", Some(u64::MAX)));
        let embed = line("/v1/embeddings", r#"{"model": "m", "input": ["a"], "user": "ada"}"#);
        let request = read(embed.as_bytes()).unwrap();
        assert_eq!((request.custom_id.as_str(), &*request.call.unwrap().queue()), ("a", "m\0ada"));
    }

    #[test]
    fn a_body_is_refused_as_elsewhere() {
        for (body, param) in [
            (r#"{"model": "m", "prompt": "a", "top_p": 2}"#, "top_p"),
            (r#"{"model": "m", "prompt": "a", "stream": true}"#, "stream"),
            (r#"{"prompt": "a"}"#, "model"),
        ] {
            let request = read(line("/v1/completions", body).as_bytes()).unwrap();
            let error = request.call.unwrap_err();
            assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some(param)), "{error}");
        }
    }

    #[test]
    fn a_line_that_is_none_is_refused_by_the_field() {
        let cases = [
            ("{", None, "is not valid JSON"),
            ("[]", None, "the line is not an object"),
            (r#"{"method": "POST", "url": "/v1/completions", "body": {}}"#, None, "`custom_id` is missing"),
            (
                r#"{"custom_id": 7, "method": "POST", "url": "/v1/completions", "body": {}}"#,
                None,
                "`custom_id` is 7",
            ),
            (
                r#"{"custom_id": "", "method": "POST", "url": "/v1/completions", "body": {}}"#,
                None,
                "`custom_id` is \"\"",
            ),
            (r#"{"custom_id": "a", "url": "/v1/completions", "body": {}}"#, Some("a"), "`method` is missing"),
            (
                r#"{"custom_id": "a", "method": "GET", "url": "/v1/completions", "body": {}}"#,
                Some("a"),
                "`method` is \"GET\"",
            ),
            (r#"{"custom_id": "a", "method": "POST", "body": {}}"#, Some("a"), "`url` is missing"),
            (
                r#"{"custom_id": "a", "method": "POST", "url": "/v1/images", "body": {}}"#,
                Some("a"),
                "`url` is \"/v1/images\"",
            ),
            (
                r#"{"custom_id": "a", "method": "POST", "url": "/v1/completions"}"#,
                Some("a"),
                "`body` is missing",
            ),
            (
                r#"{"custom_id": "a", "method": "POST", "url": "/v1/completions", "body": []}"#,
                Some("a"),
                "`body` is a list",
            ),
            (
                r#"{"custom_id": "a", "method": "POST", "url": "/v1/completions", "body": {}, "x": 1}"#,
                Some("a"),
                "`x` is not a known field",
            ),
            (r#"{"custom_id": "a", "custom_id": "b", "method": "POST"}"#, None, "`custom_id` is given twice"),
            (r#"{"custom_id": "a", "body": {"n": 1, "n": 2}}"#, None, "`body.n` is given twice"),
        ];
        for (text, custom_id, message) in cases {
            let Malformed { custom_id: found, error } = read(text.as_bytes()).unwrap_err();
            assert_eq!(found.as_deref(), custom_id, "{text}");
            assert!(error.message().contains(message), "{text}: {error}");
        }
    }
}

//! Which call answers which URL.

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use hyper::{Method, Request};
use model_runtime::protocol::{ChatRequest, CompletionRequest, EmbeddingRequest};
use model_runtime::{Error, ErrorKind, ModelRuntime, Result};
use serde_json::{Value, json};

use super::answer;
use super::reply::{self, Response};

/// The longest body that is read.
const MAX_BODY_BYTES: usize = 16 << 20;

/// Answers one request. Dropping the future cancels what it has begun.
pub(crate) async fn answer<B>(runtime: ModelRuntime, request: Request<B>) -> Response
where
    B: Body<Data = Bytes>,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    route(&runtime, request).await.unwrap_or_else(|error| reply::error(&error))
}

async fn route<B>(runtime: &ModelRuntime, request: Request<B>) -> Result<Response>
where
    B: Body<Data = Bytes>,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let expected = match path {
        "/v1/chat/completions" | "/v1/completions" | "/v1/embeddings" => Method::POST,
        "/v1/models" => Method::GET,
        _ if path.starts_with("/v1/models/") => Method::GET,
        _ => return Err(unknown(path)),
    };
    if head.method != expected {
        return Ok(reply::wrong_method(path, &head.method, &expected));
    }
    match path {
        "/v1/chat/completions" => {
            let request = ChatRequest::from_json(&read(body).await?)?;
            answer::chat(runtime, request).await
        }
        "/v1/completions" => {
            let request = CompletionRequest::from_json(&read(body).await?)?;
            answer::complete(runtime, request).await
        }
        "/v1/embeddings" => {
            let request = EmbeddingRequest::from_json(&read(body).await?)?;
            answer::embed(runtime, request).await
        }
        "/v1/models" => reply::json(&json!({"object": "list", "data": models(runtime)})),
        _ => {
            let name = path.strip_prefix("/v1/models/").unwrap_or_default();
            let found = models(runtime).into_iter().find(|model| model["id"] == name);
            let missing = || {
                let message = format!("no model is called {name:?}; GET /v1/models lists those there are");
                Error::new(ErrorKind::NotFound, message).with_param("model")
            };
            reply::json(&found.ok_or_else(missing)?)
        }
    }
}

/// The whole body.
async fn read<B>(body: B) -> Result<Bytes>
where
    B: Body<Data = Bytes>,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let message =
                format!("the body is longer than {MAX_BODY_BYTES} bytes; accepted are shorter ones");
            Err(Error::new(ErrorKind::InvalidRequest, message))
        }
        Err(error) => Err(Error::new(ErrorKind::Io, format!("the body cannot be read: {error}"))),
    }
}

fn models(runtime: &ModelRuntime) -> Vec<Value> {
    // Nothing says since when a model is offered here; the field is required.
    let model = |name| json!({"id": name, "object": "model", "created": 0, "owned_by": "local"});
    runtime.endpoints().into_iter().map(|endpoint| model(endpoint.name)).collect()
}

fn unknown(path: &str) -> Error {
    let message = format!(
        "no such URL: {path}; there are /v1/chat/completions, /v1/completions, /v1/embeddings and /v1/models"
    );
    Error::new(ErrorKind::NotFound, message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::future::Future;
    use std::pin::pin;
    use std::task::Poll;
    use std::time::{Duration, Instant};

    use http_body_util::Full;
    use model_runtime::ServeOptions;

    use super::*;

    /// The status and the JSON of an answer.
    fn ask(runtime: &ModelRuntime, method: Method, path: &str, body: &str) -> (u16, Value) {
        let request =
            Request::builder().method(method).uri(path).body(Full::new(Bytes::from(body.to_owned())));
        let tasks = tokio::runtime::Builder::new_current_thread().build().unwrap();
        tasks.block_on(async {
            let response = answer(runtime.clone(), request.unwrap()).await;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, serde_json::from_slice(&body).unwrap())
        })
    }

    #[test]
    fn what_is_wrong_has_its_status_and_says_what_would_be_right() {
        let runtime = ModelRuntime::builder().build().unwrap();
        let prompt = r#"{"model": "nobody", "prompt": "a"}"#;
        for (method, path, body, status, code) in [
            (Method::POST, "/v1/completions", prompt, 404, "not_found"),
            (Method::POST, "/v1/completions", "{", 400, "invalid_request"),
            (Method::POST, "/v1/chat/completions", prompt, 400, "invalid_request"),
            (Method::POST, "/v1/embeddings", r#"{"model": "nobody", "input": "a"}"#, 404, "not_found"),
            (Method::GET, "/v1/models/nobody", "", 404, "not_found"),
            (Method::GET, "/v1/files", "", 404, "not_found"),
            (Method::GET, "/v1/completions", "", 405, "method_not_allowed"),
            (Method::POST, "/v1/models", "", 405, "method_not_allowed"),
        ] {
            let (found, body) = ask(&runtime, method, path, body);
            assert_eq!((found, body["error"]["code"].as_str()), (status, Some(code)), "{path}: {body}");
            assert!(body["error"]["message"].is_string() && body["error"]["type"].is_string(), "{body}");
        }
        let (status, body) = ask(&runtime, Method::GET, "/v1/models", "");
        assert_eq!((status, body), (200, json!({"object": "list", "data": []})));
        let long = format!(r#"{{"model": "{}"}}"#, "x".repeat(MAX_BODY_BYTES));
        let (status, body) = ask(&runtime, Method::POST, "/v1/completions", &long);
        assert_eq!(status, 400);
        assert!(body["error"]["message"].as_str().unwrap().contains("16777216 bytes"), "{body}");
    }

    #[test]
    fn an_answer_that_nobody_waits_for_is_cancelled() {
        let runtime = ModelRuntime::builder().build().unwrap();
        let stories = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/models/stories260K");
        runtime.serve("stories", stories, ServeOptions::default()).unwrap();
        let cancelled = || runtime.stats().endpoints[0].engine.unwrap().cancelled;
        let deadline = Instant::now() + Duration::from_secs(60);
        let tasks = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (count, stream) in [(1, true), (2, false)] {
            let body = json!({"model": "stories", "prompt": "Once", "max_tokens": 500, "logit_bias": {"2": -100}, "stream": stream});
            let body = Full::new(Bytes::from(body.to_string()));
            let request = Request::builder().method(Method::POST).uri("/v1/completions").body(body).unwrap();
            tasks.block_on(async {
                let answer = answer(runtime.clone(), request);
                if stream {
                    let mut body = answer.await.into_body();
                    assert!(body.frame().await.unwrap().unwrap().is_data());
                } else {
                    let mut answer = pin!(answer);
                    let begun = std::future::poll_fn(|context| {
                        Poll::Ready(answer.as_mut().poll(context).is_pending())
                    });
                    assert!(begun.await, "it takes hundreds of steps");
                }
            });
            while cancelled() < count {
                assert!(Instant::now() < deadline, "nobody cancelled it");
                std::thread::yield_now();
            }
        }
        assert_eq!(runtime.stats().endpoints[0].engine.unwrap().finished, 0);
    }
}

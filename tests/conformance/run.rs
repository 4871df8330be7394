//! Does the steps of a case by the Rust interface.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use model_runtime::catalog::Catalog;
use model_runtime::protocol::{
    ChatChunk, ChatRequest, CompletionChunk, CompletionRequest, EmbeddingRequest, ErrorBody, Normalize,
};
use model_runtime::runtime::{ResponseStream, Shape};
use model_runtime::{Clock, Error, ModelRuntime, RequestOptions, ServeOptions};
use serde::Serialize;
use serde_json::{Value, json};

use super::Outcome;
use super::case::{Action, Ask, Case, Options, Step, text};

/// A clock that a case sets.
struct HostClock {
    start: i64,
    now: AtomicI64,
}

impl Clock for HostClock {
    fn wall(&self) -> Timestamp {
        Timestamp::from_second(self.now.load(Ordering::SeqCst)).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.now.load(Ordering::SeqCst).saturating_sub(self.start).max(0) as u64)
    }
}

/// What the steps of a case need.
struct Bench {
    runtime: ModelRuntime,
    clock: Option<Arc<HostClock>>,
}

/// The results of all steps of a case.
pub(crate) fn case(case: &Case) -> Outcome<Vec<Value>> {
    let clock = match &case.start {
        Some(start) => {
            let start = start.parse::<Timestamp>()?.as_second();
            Some(Arc::new(HostClock { start, now: AtomicI64::new(start) }))
        }
        None => None,
    };
    let mut builder = ModelRuntime::builder();
    if let Some(clock) = &clock {
        builder = builder.clock(Arc::clone(clock) as Arc<dyn Clock>);
    }
    if let Some(database) = &case.database {
        builder = builder.database(database);
    }
    if let Some(catalog) = &case.catalog {
        builder = builder.catalog(Catalog::builtin()?.with_toml(catalog)?);
    }
    let bench = Bench { runtime: builder.build()?, clock };
    case.steps.iter().map(|step| bench.result(step)).collect()
}

/// A failure of the library, which is a result; anything else that goes wrong is the suite's own.
enum Failure {
    Library(Error),
    Suite(Box<dyn std::error::Error>),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Suite(error.into())
    }
}

impl Bench {
    fn result(&self, step: &Step) -> Outcome<Value> {
        match self.perform(&step.action) {
            Ok(value) => Ok(json!({ "ok": value })),
            Err(Failure::Library(error)) => Ok(json!({ "error": describe(&error)? })),
            Err(Failure::Suite(error)) => Err(error),
        }
    }

    fn perform(&self, action: &Action) -> Result<Value, Failure> {
        let runtime = &self.runtime;
        match action {
            Action::Serve { name, model } => {
                value(&runtime.serve(name, model.as_str(), ServeOptions::default())?)
            }
            Action::Remove { name } => value(&runtime.remove(name)?),
            Action::Endpoints {} => value(&runtime.endpoints()),
            Action::Plan { model } => {
                let plan = runtime.plan(model.as_str(), &ServeOptions::default())?;
                // What JSON has as a member is a function here.
                let mut planned = value(&plan)?;
                planned["total_bytes"] = plan.total_bytes().into();
                Ok(planned)
            }
            Action::Manage { operation, request } => {
                Ok(serde_json::from_slice(&runtime.manage(operation, text(request).as_bytes())?)?)
            }
            Action::Chat(ask) => value(&runtime.chat_with(chat(ask)?, options(&ask.options))?),
            Action::Complete(ask) => {
                value(&runtime.complete_with(completion(&ask.request)?, options(&ask.options))?)
            }
            Action::Embeddings(ask) => {
                value(&runtime.embeddings_with(embedding(ask)?, options(&ask.options))?)
            }
            Action::StreamChat(ask) => streamed(runtime.chat_stream_with(chat(ask)?, options(&ask.options))?),
            Action::StreamComplete(ask) => {
                streamed(runtime.complete_stream_with(completion(&ask.request)?, options(&ask.options))?)
            }
            Action::Vectors(ask) => self.vectors(ask),
            Action::Cancel { request } => {
                let stream = runtime.complete_stream(completion(request)?)?;
                let canceller = stream.canceller();
                for chunk in stream {
                    if !chunk?.choices.iter().all(|choice| choice.text.is_empty()) {
                        canceller.cancel();
                    }
                }
                Ok(Value::Null)
            }
            Action::Drop { request } => {
                drop(runtime.complete_stream(completion(request)?)?);
                Ok(Value::Null)
            }
            Action::SetClock { now } => {
                let now = now.parse::<Timestamp>().map_err(|error| Failure::Suite(error.into()))?.as_second();
                let clock =
                    self.clock.as_ref().ok_or_else(|| Failure::Suite("the case has no start".into()))?;
                clock.now.store(now, Ordering::SeqCst);
                Ok(Value::Null)
            }
            Action::LoadAdapter { endpoint, name, path } => {
                value(&runtime.load_adapter(endpoint, name, path)?)
            }
            Action::UnloadAdapter { endpoint, name } => value(&runtime.unload_adapter(endpoint, name)?),
            Action::Together { steps, copies } => self.together(steps, copies.unwrap_or(1)),
        }
    }

    fn together(&self, steps: &[Step], copies: usize) -> Result<Value, Failure> {
        let results: Vec<_> = thread::scope(|scope| {
            let all: Vec<_> = (0..copies)
                .flat_map(|_| steps)
                .map(|step| scope.spawn(|| self.result(step).map_err(|error| error.to_string())))
                .collect();
            all.into_iter().map(|one| one.join().unwrap_or_else(|_| Err("a step panicked".into()))).collect()
        });
        let results: Result<Vec<Value>, String> = results.into_iter().collect();
        results.map(Value::Array).map_err(|error| Failure::Suite(error.into()))
    }

    fn vectors(&self, ask: &Ask) -> Result<Value, Failure> {
        let made = self.runtime.embeddings_start(embedding(ask)?, options(&ask.options))?.wait()?;
        let bytes = made.values().iter().flat_map(|value| value.to_le_bytes());
        Ok(json!({
            "rows": made.len(),
            "dimension": made.dimension(),
            "values": bytes.map(|byte| format!("{byte:02x}")).collect::<String>(),
            "tokens": made.rows().iter().map(|row| row.tokens).collect::<Vec<_>>(),
            "truncated": made.rows().iter().map(|row| row.truncated).collect::<Vec<_>>(),
            "normalize": if made.normalize() == Normalize::L2 { "l2" } else { "none" },
            "version": made.version(),
        }))
    }
}

/// As the text of it says: a number of 32 bits is the shortest decimal that means it, not what it is in 64.
fn value(of: &impl Serialize) -> Result<Value, Failure> {
    Ok(serde_json::from_str(&serde_json::to_string(of)?)?)
}

fn chat(ask: &Ask) -> Result<ChatRequest, Error> {
    ChatRequest::from_json(text(&ask.request).as_bytes())
}

fn completion(request: &Value) -> Result<CompletionRequest, Error> {
    CompletionRequest::from_json(text(request).as_bytes())
}

fn embedding(ask: &Ask) -> Result<EmbeddingRequest, Error> {
    EmbeddingRequest::from_json(text(&ask.request).as_bytes())
}

fn options(given: &Options) -> RequestOptions {
    let mut options =
        RequestOptions::default().priority(given.priority.unwrap_or(0)).lifecycle(given.lifecycle);
    if let Some(timeout) = given.timeout_ms {
        options = options.timeout(Duration::from_millis(timeout));
    }
    if let Some(principal) = &given.principal {
        options = options.principal(principal.as_str());
    }
    if let Some(entity) = &given.entity {
        options = options.entity(entity.as_str());
    }
    options
}

/// The text that a chunk adds to the first answer.
trait Piece {
    fn piece(&self) -> String;
}

impl Piece for ChatChunk {
    fn piece(&self) -> String {
        let first = self.choices.iter().filter(|choice| choice.index == 0);
        first.filter_map(|choice| choice.delta.content.as_deref()).collect()
    }
}

impl Piece for CompletionChunk {
    fn piece(&self) -> String {
        let first = self.choices.iter().filter(|choice| choice.index == 0);
        first.map(|choice| choice.text.as_str()).collect()
    }
}

fn streamed<S>(mut stream: ResponseStream<S>) -> Result<Value, Failure>
where
    S: Shape,
    S::Chunk: Piece,
    S::Response: Serialize,
{
    let mut text = String::new();
    for chunk in &mut stream {
        text.push_str(&chunk?.piece());
    }
    Ok(json!({ "text": text, "response": value(&stream.wait()?)? }))
}

fn describe(error: &Error) -> Outcome<Value> {
    let mut code = String::new();
    for letter in format!("{:?}", error.kind()).chars() {
        if letter.is_ascii_uppercase() && !code.is_empty() {
            code.push('_');
        }
        code.push(letter.to_ascii_lowercase());
    }
    Ok(json!({
        "code": code,
        "status": error.status(),
        "message": error.message(),
        "param": error.param(),
        "retryable": error.is_retryable(),
        "retry_after_ms": error.retry_after().map(|after| after.as_millis() as u64),
        "json": ErrorBody::from(error),
    }))
}

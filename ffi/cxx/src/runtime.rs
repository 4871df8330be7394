//! What the bridge's types are.

use model_runtime::protocol::{ChatRequest, CompletionRequest, EmbeddingRequest, Normalize};
use model_runtime::runtime::{Canceller, Chat, Completion, Embeddings, ResponseStream};
use model_runtime::{ErrorKind, ModelRuntime, RequestOptions, ServeOptions};
use serde::Serialize;

use crate::boundary::{Failure, guard};

/// Models behind endpoint names.
pub(crate) struct Runtime(ModelRuntime);

/// A running answer.
pub(crate) struct Stream {
    answer: Answer,
    canceller: Canceller,
}

enum Answer {
    Chat(ResponseStream<Chat>),
    Completion(ResponseStream<Completion>),
}

/// The vectors of some texts.
pub(crate) struct Vectors(Embeddings);

pub(crate) fn new_runtime() -> Result<Box<Runtime>, Failure> {
    guard(|| Ok(Box::new(Runtime(ModelRuntime::builder().build()?))))
}

fn print(value: &impl Serialize) -> Result<String, Failure> {
    let failed = |error: serde_json::Error| model_runtime::Error::new(ErrorKind::Internal, error.to_string());
    Ok(serde_json::to_string(value).map_err(failed)?)
}

impl Runtime {
    pub(crate) fn serve(&self, name: &str, model: &str) -> Result<String, Failure> {
        guard(|| print(&self.0.serve(name, model, ServeOptions::default())?))
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), Failure> {
        guard(|| Ok(self.0.remove(name)?))
    }

    pub(crate) fn endpoints(&self) -> Result<String, Failure> {
        guard(|| print(&self.0.endpoints()))
    }

    pub(crate) fn manage(&self, operation: &str, request: &str) -> Result<String, Failure> {
        guard(|| Ok(String::from_utf8_lossy(&self.0.manage(operation, request.as_bytes())?).into_owned()))
    }

    pub(crate) fn chat(&self, request: &str) -> Result<String, Failure> {
        guard(|| print(&self.0.chat(ChatRequest::from_json(request.as_bytes())?)?))
    }

    pub(crate) fn complete(&self, request: &str) -> Result<String, Failure> {
        guard(|| print(&self.0.complete(CompletionRequest::from_json(request.as_bytes())?)?))
    }

    pub(crate) fn stream_chat(&self, request: &str) -> Result<Box<Stream>, Failure> {
        guard(|| {
            let request = ChatRequest::from_json(request.as_bytes())?;
            let stream = self.0.chat_start(request, RequestOptions::default())?;
            Ok(Box::new(Stream { canceller: stream.canceller(), answer: Answer::Chat(stream) }))
        })
    }

    pub(crate) fn stream_completion(&self, request: &str) -> Result<Box<Stream>, Failure> {
        guard(|| {
            let request = CompletionRequest::from_json(request.as_bytes())?;
            let stream = self.0.complete_start(request, RequestOptions::default())?;
            Ok(Box::new(Stream { canceller: stream.canceller(), answer: Answer::Completion(stream) }))
        })
    }

    pub(crate) fn embed(&self, request: &str) -> Result<Box<Vectors>, Failure> {
        guard(|| {
            let request = EmbeddingRequest::from_json(request.as_bytes())?;
            Ok(Box::new(Vectors(self.0.embeddings_start(request, RequestOptions::default())?.wait()?)))
        })
    }
}

impl Stream {
    pub(crate) fn next(&mut self, text: &mut String) -> Result<bool, Failure> {
        guard(|| {
            text.clear();
            match &mut self.answer {
                Answer::Chat(stream) => {
                    let Some(chunk) = stream.next() else { return Ok(false) };
                    let chunk = chunk?;
                    let first = chunk.choices.iter().filter(|choice| choice.index == 0);
                    text.extend(first.filter_map(|choice| choice.delta.content.as_deref()));
                }
                Answer::Completion(stream) => {
                    let Some(chunk) = stream.next() else { return Ok(false) };
                    let chunk = chunk?;
                    let first = chunk.choices.iter().filter(|choice| choice.index == 0);
                    text.extend(first.map(|choice| choice.text.as_str()));
                }
            }
            Ok(true)
        })
    }

    pub(crate) fn cancel(&self) {
        // Nothing to report: a request that has ended stays as it is.
        let _ = guard(|| {
            self.canceller.cancel();
            Ok(())
        });
    }

    pub(crate) fn version(&self) -> &str {
        match &self.answer {
            Answer::Chat(stream) => stream.version(),
            Answer::Completion(stream) => stream.version(),
        }
    }
}

impl Vectors {
    pub(crate) fn rows(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn dimension(&self) -> usize {
        self.0.dimension()
    }

    pub(crate) fn values(&self) -> &[f32] {
        self.0.values()
    }

    pub(crate) fn normalized(&self) -> bool {
        self.0.normalize() == Normalize::L2
    }
}

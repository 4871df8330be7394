//! From a request to its reply: whole or as events, cancelled when nobody wants it any more.

use model_runtime::protocol::{ChatRequest, CompletionRequest, EmbeddingRequest, EventStream};
use model_runtime::runtime::{Canceller, ResponseStream, Shape};
use model_runtime::{Error, ErrorKind, ModelRuntime, RequestOptions, Result};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::reply::{self, Response};

/// Events that wait for a slow client; more, and the answer's thread waits with them.
const EVENTS_AHEAD: usize = 16;

/// Cancels an answer when it is dropped. One that has ended stays as it is.
pub(crate) struct CancelOnDrop(Canceller);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

pub(crate) async fn chat(runtime: &ModelRuntime, request: ChatRequest) -> Result<Response> {
    if request.options.stream {
        return Ok(events(runtime.chat_stream(request)?));
    }
    whole(runtime.chat_start(request, RequestOptions::default())?).await
}

pub(crate) async fn complete(runtime: &ModelRuntime, request: CompletionRequest) -> Result<Response> {
    if request.options.stream {
        return Ok(events(runtime.complete_stream(request)?));
    }
    whole(runtime.complete_start(request, RequestOptions::default())?).await
}

/// Vectors are a future themselves, and dropping it cancels them.
pub(crate) async fn embed(runtime: &ModelRuntime, request: EmbeddingRequest) -> Result<Response> {
    let format = request.encoding_format;
    let vectors = runtime.embeddings_start(request, RequestOptions::default())?.await?;
    reply::json(&vectors.to_response(format))
}

/// Waits for the whole answer on another thread.
async fn whole<S>(stream: ResponseStream<S>) -> Result<Response>
where
    S: Shape + Send + 'static,
    S::Response: Serialize + Send + 'static,
    ResponseStream<S>: Send,
{
    let _guard = CancelOnDrop(stream.canceller());
    let answer = spawn_blocking(move || stream.wait()).await;
    reply::json(
        &answer
            .map_err(|error| Error::new(ErrorKind::Internal, format!("the answer is lost: {error}")))??,
    )
}

/// Sends events as they come, from another thread.
fn events<S>(stream: ResponseStream<S>) -> Response
where
    S: Shape + Send + 'static,
    S::Chunk: Serialize,
    ResponseStream<S>: Send + 'static,
{
    let guard = CancelOnDrop(stream.canceller());
    let (sender, receiver) = mpsc::channel(EVENTS_AHEAD);
    spawn_blocking(move || {
        for event in EventStream::new(stream) {
            // Nobody reads them any more: dropping the stream cancels it.
            if sender.blocking_send(event).is_err() {
                break;
            }
        }
    });
    reply::events(receiver, guard)
}

//! [`ModelRuntime`]: endpoints by name, and the requests they answer.

mod adapters;
mod answer;
mod embed;
mod embedding;
mod endpoint;
mod endpoints;
mod executor;
mod generate;
mod info;
mod memory;
mod options;
mod plan;
mod response;
mod serve;
mod shape;
mod stats;
mod stop;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use embedding::{EmbedOptions, EmbeddingProgress, EmbeddingRow, Embeddings, PendingEmbeddings};
pub use info::{AdapterInfo, EmbeddingInfo, EndpointInfo};
pub use options::{BackendChoice, DEFAULT_CONTEXT, ModelSource, Progress, RequestOptions, ServeOptions};
pub use plan::LoadPlan;
pub use response::{Canceller, Next, RequestTimings, ResponseStream};
pub use shape::{Chat, Completion, Shape};
pub use stats::{EndpointStats, RuntimeStats};

use crate::clock::{Clock, SystemClock};
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::error::{Error, Result};
use crate::protocol::{ChatRequest, ChatResponse, CompletionRequest, CompletionResponse};
use endpoints::{Endpoints, Served};
use generate::Submission;
use memory::Budget;

/// A chat answer that is being made.
pub type ChatStream = ResponseStream<Chat>;

/// A completion that is being made.
pub type CompletionStream = ResponseStream<Completion>;

/// Models behind endpoint names, in this process.
///
/// Cheap to clone; all clones are the same runtime. Every method may be called from any thread at any time. Dropping
/// the last clone ends all requests with [`ErrorKind::ShuttingDown`] and joins the threads.
///
/// ```no_run
/// use model_runtime::protocol::{ChatMessage, ChatRequest};
/// use model_runtime::{ModelRuntime, ServeOptions};
///
/// let runtime = ModelRuntime::builder().build()?;
/// runtime.serve("assistant", "models/llama-3.2-1b-instruct", ServeOptions::default())?;
/// let request = ChatRequest::new("assistant", vec![ChatMessage::user("What is a block table?")]);
/// for chunk in runtime.chat_stream(request)? {
///     print!("{}", chunk?.choices[0].delta.content.as_deref().unwrap_or_default());
/// }
/// # Ok::<(), model_runtime::Error>(())
/// ```
#[derive(Clone)]
pub struct ModelRuntime {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    budget: Arc<Budget>,
    endpoints: Endpoints,
    random: RandomState,
    requests: AtomicU64,
}

/// Sets a [`ModelRuntime`] up.
#[derive(Default)]
pub struct RuntimeBuilder {
    clock: Option<Arc<dyn Clock>>,
    memory_budget: Option<u64>,
}

impl RuntimeBuilder {
    /// Where the runtime reads the time; the system's clock by default.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The most bytes that all endpoints may take together for weights, caches and activations. A load that does not
    /// fit is refused before it begins. Without a budget nothing is refused.
    #[must_use]
    pub fn memory_budget(mut self, bytes: u64) -> Self {
        self.memory_budget = Some(bytes);
        self
    }

    /// The runtime.
    ///
    /// # Errors
    /// None today; what later versions open here (a database) may fail.
    pub fn build(self) -> Result<ModelRuntime> {
        let inner = Inner {
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock::new())),
            budget: Budget::new(self.memory_budget),
            endpoints: Endpoints::default(),
            random: RandomState::new(),
            requests: AtomicU64::new(0),
        };
        Ok(ModelRuntime { inner: Arc::new(inner) })
    }
}

impl ModelRuntime {
    /// Begins to set a runtime up.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder::default()
    }

    /// Takes an endpoint away. Its requests end with [`ErrorKind::ShuttingDown`], its memory is given back.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none of that name, [`ErrorKind::Conflict`] while it is being loaded.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.inner.endpoints.remove(name)
    }

    /// Every endpoint that is ready, in order of name.
    pub fn endpoints(&self) -> Vec<EndpointInfo> {
        self.inner.endpoints.ready().iter().map(Served::describe).collect()
    }

    /// Answers a conversation.
    ///
    /// # Errors
    /// A request that is not valid, an unknown endpoint, a full queue ([`ErrorKind::Overloaded`]), or what ended the
    /// request.
    pub fn chat(&self, request: ChatRequest) -> Result<ChatResponse> {
        self.chat_with(request, RequestOptions::default())
    }

    /// As [`chat`](Self::chat), with a priority or a timeout.
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    pub fn chat_with(&self, request: ChatRequest, options: RequestOptions) -> Result<ChatResponse> {
        refuse_stream(&request.options)?;
        self.chat_stream_with(request, options)?.wait()
    }

    /// Answers a conversation chunk by chunk.
    ///
    /// # Errors
    /// As [`chat`](Self::chat), as far as it shows before the first token.
    pub fn chat_stream(&self, request: ChatRequest) -> Result<ChatStream> {
        self.chat_stream_with(request, RequestOptions::default())
    }

    /// As [`chat_stream`](Self::chat_stream), with a priority or a timeout.
    ///
    /// # Errors
    /// As [`chat_stream`](Self::chat_stream).
    pub fn chat_stream_with(&self, request: ChatRequest, options: RequestOptions) -> Result<ChatStream> {
        request.validate()?;
        let endpoint = self.inner.endpoints.generation(&request.model, "chat")?;
        generate::chat(&endpoint, &request, self.submission("chatcmpl-", options))
    }

    /// Continues a text.
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    pub fn complete(&self, request: CompletionRequest) -> Result<CompletionResponse> {
        self.complete_with(request, RequestOptions::default())
    }

    /// As [`complete`](Self::complete), with a priority or a timeout.
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    pub fn complete_with(
        &self,
        request: CompletionRequest,
        options: RequestOptions,
    ) -> Result<CompletionResponse> {
        refuse_stream(&request.options)?;
        self.complete_stream_with(request, options)?.wait()
    }

    /// Continues a text chunk by chunk.
    ///
    /// # Errors
    /// As [`chat_stream`](Self::chat_stream).
    pub fn complete_stream(&self, request: CompletionRequest) -> Result<CompletionStream> {
        self.complete_stream_with(request, RequestOptions::default())
    }

    /// As [`complete_stream`](Self::complete_stream), with a priority or a timeout.
    ///
    /// # Errors
    /// As [`chat_stream`](Self::chat_stream).
    pub fn complete_stream_with(
        &self,
        request: CompletionRequest,
        options: RequestOptions,
    ) -> Result<CompletionStream> {
        request.validate()?;
        let endpoint = self.inner.endpoints.generation(&request.model, "completions")?;
        generate::completion(&endpoint, &request, self.submission("cmpl-", options))
    }

    /// What the runtime is doing: queues, batches, caches, tokens and times of every endpoint.
    pub fn stats(&self) -> RuntimeStats {
        RuntimeStats {
            memory_available_bytes: self.inner.budget.available(),
            endpoints: self.inner.endpoints.ready().iter().map(Served::stats).collect(),
        }
    }

    fn submission(&self, prefix: &str, options: RequestOptions) -> Submission<'_> {
        let number = self.inner.requests.fetch_add(1, Ordering::Relaxed);
        // Unpredictable from outside and different for every request; nothing here needs more.
        let draw = |salt: u64| {
            let mut hasher = self.inner.random.build_hasher();
            hasher.write_u64(number);
            hasher.write_u64(salt);
            hasher.finish()
        };
        let id = format!("{prefix}{:016x}{number:08x}", draw(0));
        Submission { id, seed: draw(1), clock: self.inner.clock.as_ref(), options }
    }
}

impl std::fmt::Debug for ModelRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<String> = self.endpoints().into_iter().map(|info| info.name).collect();
        f.debug_struct("ModelRuntime").field("endpoints", &names).finish_non_exhaustive()
    }
}

fn refuse_stream(options: &crate::protocol::GenerationOptions) -> Result<()> {
    if options.stream {
        let message = "stream is true; this call answers at once: leave it out, or ask for a stream";
        return Err(Error::invalid("stream", message));
    }
    Ok(())
}

//! [`ModelRuntime`]: endpoints by name, and the requests they answer.

mod answer;
mod endpoint;
mod executor;
mod generate;
mod memory;
mod options;
mod plan;
mod response;
mod shape;
mod stats;
mod stop;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

pub use endpoint::EndpointInfo;
pub use options::{BackendChoice, DEFAULT_CONTEXT, ModelSource, Progress, RequestOptions, ServeOptions};
pub use plan::LoadPlan;
pub use response::{Canceller, Next, RequestTimings, ResponseStream};
pub use shape::{Chat, Completion, Shape};
pub use stats::{EndpointStats, RuntimeStats};

use crate::backend::Backend;
#[cfg(feature = "candle")]
use crate::backend::candle::CandleBackend;
use crate::backend::cpu::{Affinity, CpuBackend};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind, Result};
use crate::models::CausalSources;
use crate::protocol::{ChatRequest, ChatResponse, CompletionRequest, CompletionResponse};
use crate::weights::Checkpoint;
use endpoint::Endpoint;
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
    endpoints: RwLock<BTreeMap<String, Slot>>,
    random: RandomState,
    requests: AtomicU64,
}

/// A name that is taken.
enum Slot {
    /// By a load that is under way.
    Loading,
    Ready(Arc<Endpoint>),
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
            endpoints: RwLock::default(),
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

    /// What serving a model would cost. Reads headers only.
    ///
    /// # Errors
    /// A model that cannot be served, or that does not fit the memory budget: the error names the largest context
    /// that would.
    pub fn plan(&self, model: impl Into<ModelSource>, options: &ServeOptions) -> Result<LoadPlan> {
        let checkpoint = Checkpoint::open(model.into().path()?)?;
        let sources = CausalSources::resolve(&checkpoint)?;
        let available = self.inner.budget.available();
        match &options.backend {
            BackendChoice::Cpu(cpu) => {
                cpu.validate()?;
                // A plan computes nothing: no threads for it.
                let backend = CpuBackend::new(cpu.clone().threads(1).affinity(Affinity::None))?;
                LoadPlan::new(&sources, &backend, options, available)
            }
            #[cfg(feature = "candle")]
            BackendChoice::Candle => LoadPlan::new(&sources, &CandleBackend::cpu(), options, available),
        }
    }

    /// Loads a model and serves it under `name`. Blocks until it is ready; `options.progress` hears how far it is.
    ///
    /// # Errors
    /// A name that is empty or taken ([`ErrorKind::Conflict`]), options that contradict each other, a model that
    /// cannot be read, is not supported or does not fit the memory budget. Nothing is left behind.
    pub fn serve(
        &self,
        name: &str,
        model: impl Into<ModelSource>,
        options: ServeOptions,
    ) -> Result<EndpointInfo> {
        let source = model.into();
        let path = source.path()?;
        if name.trim().is_empty() {
            return Err(Error::invalid("name", "the endpoint's name is empty"));
        }
        let claim = Claim::new(&self.inner, name)?;
        let checkpoint = Checkpoint::open(path)?;
        let endpoint = match &options.backend {
            BackendChoice::Cpu(cpu) => {
                let backend = CpuBackend::new(cpu.clone())?;
                self.load(name, &checkpoint, backend, options)?
            }
            #[cfg(feature = "candle")]
            BackendChoice::Candle => self.load(name, &checkpoint, CandleBackend::cpu(), options)?,
        };
        let info = endpoint.info().clone();
        claim.fill(Arc::new(endpoint));
        Ok(info)
    }

    /// Takes what the load needs from the memory budget, then loads.
    fn load<B: Backend>(
        &self,
        name: &str,
        checkpoint: &Checkpoint,
        backend: B,
        options: ServeOptions,
    ) -> Result<Endpoint> {
        let sources = CausalSources::resolve(checkpoint)?;
        let (plan, memory) = self.inner.budget.reserve(|available| {
            let plan = LoadPlan::new(&sources, &backend, &options, available)?;
            endpoint::engine_options(&options, &plan).validate()?;
            Ok((plan, plan.total_bytes()))
        })?;
        let clock = Arc::clone(&self.inner.clock);
        Endpoint::load(name, checkpoint, backend, plan, memory, options, clock)
    }

    /// Takes an endpoint away. Its requests end with [`ErrorKind::ShuttingDown`], its memory is given back.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none of that name, [`ErrorKind::Conflict`] while it is being loaded.
    pub fn remove(&self, name: &str) -> Result<()> {
        let removed = {
            let mut endpoints = self.inner.endpoints.write();
            if let Some(Slot::Loading) = endpoints.get(name) {
                return Err(loading(name));
            }
            endpoints.remove(name)
        };
        match removed {
            // Shut down rather than only dropped: a caller may hold the endpoint for a moment longer.
            Some(Slot::Ready(endpoint)) => {
                endpoint.engine().shutdown();
                Ok(())
            }
            _ => Err(self.unknown(name)),
        }
    }

    /// Every endpoint that is ready, in order of name.
    pub fn endpoints(&self) -> Vec<EndpointInfo> {
        self.ready().iter().map(|endpoint| endpoint.info().clone()).collect()
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
        let endpoint = self.endpoint(&request.model)?;
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
        let endpoint = self.endpoint(&request.model)?;
        generate::completion(&endpoint, &request, self.submission("cmpl-", options))
    }

    /// What the runtime is doing: queues, batches, caches, tokens and times of every endpoint.
    pub fn stats(&self) -> RuntimeStats {
        let stats = |endpoint: &Arc<Endpoint>| EndpointStats {
            name: endpoint.info().name.clone(),
            version: endpoint.info().version.clone(),
            engine: endpoint.engine().stats(),
        };
        RuntimeStats {
            memory_available_bytes: self.inner.budget.available(),
            endpoints: self.ready().iter().map(stats).collect(),
        }
    }

    fn ready(&self) -> Vec<Arc<Endpoint>> {
        let ready = |slot: &Slot| match slot {
            Slot::Ready(endpoint) => Some(Arc::clone(endpoint)),
            Slot::Loading => None,
        };
        self.inner.endpoints.read().values().filter_map(ready).collect()
    }

    fn endpoint(&self, name: &str) -> Result<Arc<Endpoint>> {
        match self.inner.endpoints.read().get(name) {
            Some(Slot::Ready(endpoint)) => return Ok(Arc::clone(endpoint)),
            Some(Slot::Loading) => return Err(loading(name)),
            None => {}
        }
        Err(self.unknown(name))
    }

    fn unknown(&self, name: &str) -> Error {
        let known: Vec<String> = self.endpoints().into_iter().map(|info| info.name).collect();
        let known = if known.is_empty() { "none is served".into() } else { known.join(", ") };
        let message = format!("there is no endpoint `{name}`; endpoints: {known}");
        Error::new(ErrorKind::NotFound, message).with_param("model")
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

/// A name held for a load; given back unless it is filled.
struct Claim<'a> {
    inner: &'a Inner,
    name: &'a str,
    filled: bool,
}

impl<'a> Claim<'a> {
    fn new(inner: &'a Inner, name: &'a str) -> Result<Self> {
        let mut endpoints = inner.endpoints.write();
        if endpoints.contains_key(name) {
            let message = format!("endpoint `{name}` exists already; remove it first or take another name");
            return Err(Error::new(ErrorKind::Conflict, message).with_param("name"));
        }
        endpoints.insert(name.into(), Slot::Loading);
        Ok(Self { inner, name, filled: false })
    }

    fn fill(mut self, endpoint: Arc<Endpoint>) {
        self.inner.endpoints.write().insert(self.name.into(), Slot::Ready(endpoint));
        self.filled = true;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.filled {
            self.inner.endpoints.write().remove(self.name);
        }
    }
}

fn loading(name: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("endpoint `{name}` is still being loaded")).with_param("model")
}

fn refuse_stream(options: &crate::protocol::GenerationOptions) -> Result<()> {
    if options.stream {
        let message = "stream is true; this call answers at once: leave it out, or ask for a stream";
        return Err(Error::invalid("stream", message));
    }
    Ok(())
}

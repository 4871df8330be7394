//! [`ModelRuntime`]: endpoints by name, and the requests they answer.

mod adapters;
mod admission;
mod answer;
mod capacity;
mod configure;
mod constraint;
mod embed;
mod embedding;
mod endpoint;
mod endpoints;
mod entity;
mod executor;
mod generate;
mod generation;
mod group;
mod identity;
mod info;
mod memory;
mod meter;
mod options;
mod plan;
mod response;
mod retirement;
mod serve;
mod session;
mod shape;
mod sink;
mod speed;
mod stats;
mod stop;
mod updates;
mod usage;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

pub use capacity::MeasuredCapacity;
pub use embedding::{EmbedOptions, EmbeddingProgress, EmbeddingRow, Embeddings, PendingEmbeddings};
pub use endpoint::{EndpointOptions, ServedModel};
pub use entity::EntityInfo;
pub use info::{AdapterInfo, EmbeddingInfo, EndpointInfo};
pub use options::{BackendChoice, DEFAULT_CONTEXT, ModelSource, Progress, RequestOptions, ServeOptions};
pub use plan::LoadPlan;
pub use response::{Canceller, Next, RequestTimings, ResponseStream};
pub use retirement::LifecycleListener;
pub use session::{Restored, Session};
pub use shape::{Chat, Completion, Shape};
pub use stats::{EndpointStats, RuntimeStats};

use crate::catalog::{Catalog, Task};
use crate::clock::{Clock, SystemClock};
use crate::database::Database;
use crate::error::{Error, ErrorKind, Result};
use crate::fairness::{Machine, MachineOptions};
use crate::lifecycle::LifecycleEvent;
use crate::metering::capacity::Capacity;
use crate::metering::ledger::{Ledger, LedgerOptions};
use crate::protocol::{ChatRequest, ChatResponse, CompletionRequest, CompletionResponse};
use crate::registry::{EndpointLog, Registry};
use admission::Admitted;
use endpoints::Endpoints;
use generate::Submission;
use generation::GenerationEntity;
use memory::Budget;
use retirement::Retirements;
use updates::Updates;

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
    // Before the ledger: requests that end with their endpoints are still recorded.
    endpoints: Endpoints,
    registry: Registry,
    updates: Updates,
    configurations: EndpointLog,
    retirements: Retirements,
    ledger: Ledger,
    /// What the engines share, and what of it is promised.
    machine: Machine,
    capacity: Mutex<Capacity>,
    /// Whether all requests are recorded, not only those to endpoints by the token.
    keeps_records: bool,
    random: RandomState,
    requests: AtomicU64,
}

/// Sets a [`ModelRuntime`] up.
#[derive(Default)]
pub struct RuntimeBuilder {
    clock: Option<Arc<dyn Clock>>,
    memory_budget: Option<u64>,
    database: Option<PathBuf>,
    catalog: Option<Catalog>,
    listener: Option<LifecycleListener>,
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

    /// The SQLite file that keeps registered models, updates, retirements and usage; several processes may have it open.
    /// Without one they are kept in memory, and of usage only that of endpoints by the token.
    #[must_use]
    pub fn database(mut self, path: impl Into<PathBuf>) -> Self {
        self.database = Some(path.into());
        self
    }

    /// The facts to go by, in place of the [built-in ones](Catalog::builtin).
    #[must_use]
    pub fn catalog(mut self, catalog: Catalog) -> Self {
        self.catalog = Some(catalog);
        self
    }

    /// Who hears what is new about the life of models; see [`LifecycleListener`].
    #[must_use]
    pub fn on_lifecycle(mut self, listener: impl Fn(&LifecycleEvent) + Send + Sync + 'static) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// The runtime.
    ///
    /// # Errors
    /// A database that cannot be opened: another program's file, a newer library's, locked, no such directory. A catalog that
    /// its own policy does not allow.
    pub fn build(self) -> Result<ModelRuntime> {
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let keeps_records = self.database.is_some();
        let database = match self.database {
            Some(path) if path.as_os_str().as_encoded_bytes().contains(&0) => {
                let message = format!("database is {path:?}; a file's name has no NUL in it");
                return Err(Error::invalid("database", message));
            }
            Some(path) => Database::open(&path)?,
            None => Database::in_memory()?,
        };
        let catalog = self.catalog.map_or_else(Catalog::builtin, Ok)?;
        let inner = Inner {
            budget: Budget::new(self.memory_budget),
            endpoints: Endpoints::default(),
            registry: Registry::new(&database, Arc::clone(&clock))?,
            updates: Updates::open(&database)?,
            configurations: EndpointLog::new(&database, Arc::clone(&clock)),
            retirements: Retirements::open(&database, catalog, self.listener, Arc::clone(&clock))?,
            ledger: Ledger::open(&database, Arc::clone(&clock), LedgerOptions::default())?,
            machine: Machine::new(Arc::clone(&clock), MachineOptions::default()),
            capacity: Mutex::default(),
            keeps_records,
            random: RandomState::new(),
            requests: AtomicU64::new(0),
            clock,
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
        self.inner.endpoints.remove(name)?;
        self.inner.capacity.lock().release(name);
        Ok(())
    }

    /// Every endpoint that is ready, in order of name.
    pub fn endpoints(&self) -> Vec<EndpointInfo> {
        self.inner.endpoints.ready().iter().map(|endpoint| endpoint.describe()).collect()
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
        self.chat_start(request, options)?.wait()
    }

    /// Begins to answer a conversation at once; [`ResponseStream::wait`] gives the answer, and what comes back can be cancelled.
    ///
    /// # Errors
    /// As [`chat`](Self::chat), as far as it shows before the first token.
    pub fn chat_start(&self, request: ChatRequest, options: RequestOptions) -> Result<ChatStream> {
        refuse_stream(&request.options)?;
        self.start_chat(&request, &options, false)
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
        self.start_chat(&request, &options, true)
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
        self.complete_start(request, options)?.wait()
    }

    /// As [`chat_start`](Self::chat_start), for a text.
    ///
    /// # Errors
    /// As [`chat_start`](Self::chat_start).
    pub fn complete_start(
        &self,
        request: CompletionRequest,
        options: RequestOptions,
    ) -> Result<CompletionStream> {
        refuse_stream(&request.options)?;
        self.start_completion(&request, &options, false)
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
        self.start_completion(&request, &options, true)
    }

    /// What the runtime is doing: queues, batches, caches, tokens and times of every endpoint.
    pub fn stats(&self) -> RuntimeStats {
        RuntimeStats {
            memory_available_bytes: self.inner.budget.available(),
            endpoints: self.inner.endpoints.ready().iter().map(|endpoint| endpoint.stats()).collect(),
        }
    }

    fn start_chat(
        &self,
        request: &ChatRequest,
        options: &RequestOptions,
        streaming: bool,
    ) -> Result<ChatStream> {
        request.validate()?;
        let user = request.options.user.as_deref();
        self.answered(&request.model, Task::Chat, options, user, |admitted| {
            let entity = admitted.entity.served.generation("chat")?;
            generate::chat(entity, request, self.submission("chatcmpl-", admitted, options, streaming))
        })
    }

    fn start_completion(
        &self,
        request: &CompletionRequest,
        options: &RequestOptions,
        streaming: bool,
    ) -> Result<CompletionStream> {
        request.validate()?;
        let user = request.options.user.as_deref();
        self.answered(&request.model, Task::Completion, options, user, |admitted| {
            let entity = admitted.entity.served.generation("completions")?;
            generate::completion(entity, request, self.submission("cmpl-", admitted, options, streaming))
        })
    }

    /// Admits a request and has it answered; again, where what was to answer it has just made way for something else.
    fn answered<T>(
        &self,
        name: &str,
        task: Task,
        options: &RequestOptions,
        user: Option<&str>,
        answer: impl Fn(&Admitted) -> Result<T>,
    ) -> Result<T> {
        loop {
            let admitted = self.admit(name, task, options, user)?;
            match answer(&admitted) {
                Err(error) if error.kind() == ErrorKind::ShuttingDown && self.has_made_way(&admitted) => {}
                other => return other,
            }
        }
    }

    /// Whether the entity is no longer served by its endpoint, which still is there.
    fn has_made_way(&self, admitted: &Admitted) -> bool {
        let Admitted { endpoint, entity, .. } = admitted;
        let present = self.inner.endpoints.find(endpoint.name());
        present.is_ok_and(|present| {
            Arc::ptr_eq(&present, endpoint)
                && !present.configuration().entities().iter().any(|(other, _)| Arc::ptr_eq(other, entity))
        })
    }

    /// The model that generates for an endpoint: the main one, where there are several.
    fn generation(&self, name: &str, asked: &str) -> Result<Arc<GenerationEntity>> {
        let configuration = self.inner.endpoints.find(name)?.configuration();
        configuration.main().served.generation(asked).cloned()
    }

    /// Where the runtime reads the time.
    pub(crate) fn clock(&self) -> &dyn Clock {
        self.inner.clock.as_ref()
    }

    fn submission<'a>(
        &'a self,
        prefix: &str,
        admitted: &'a Admitted,
        options: &'a RequestOptions,
        streaming: bool,
    ) -> Submission<'a> {
        let number = self.inner.requests.fetch_add(1, Ordering::Relaxed);
        let (id, seed) = (self.inner.request_id(prefix, number), self.inner.draw(number, 1));
        Submission { runtime: self, admitted, id, seed, options, streaming }
    }

    /// A new name for a request.
    fn request_id(&self, prefix: &str) -> String {
        self.inner.request_id(prefix, self.inner.requests.fetch_add(1, Ordering::Relaxed))
    }
}

impl Inner {
    /// Unpredictable from outside, different for every request, and in order of time: the ledger's index of them grows at
    /// its end instead of all over.
    fn request_id(&self, prefix: &str, number: u64) -> String {
        format!("{prefix}{:014x}{:016x}", self.clock.wall().as_microsecond(), self.draw(number, 0))
    }

    /// A draw for a request; nothing here needs more than a keyed hash.
    fn draw(&self, number: u64, salt: u64) -> u64 {
        let mut hasher = self.random.build_hasher();
        hasher.write_u64(number);
        hasher.write_u64(salt);
        hasher.finish()
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

//! How an endpoint serves, and what a caller may ask for beside the OpenAI shape.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::backend::cpu::CpuOptions;
use crate::weights::LoadProgress;

/// The longest context an endpoint gets when nobody asks for one: a model made for 131,072 positions would otherwise
/// reserve a cache for all of them.
pub const DEFAULT_CONTEXT: usize = 8192;

/// Hears how far a load has come and may stop it.
pub type Progress = Box<dyn FnMut(LoadProgress) -> ControlFlow<()> + Send>;

/// What an endpoint serves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelSource {
    /// A Hugging Face folder or a GGUF file.
    Path(PathBuf),
    /// A registered version, `models:/NAME/VERSION` or `models:/NAME@ALIAS`.
    Registered(String),
}

impl From<&str> for ModelSource {
    fn from(text: &str) -> Self {
        if text.starts_with("models:/") { Self::Registered(text.into()) } else { Self::Path(text.into()) }
    }
}

impl From<String> for ModelSource {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&Path> for ModelSource {
    fn from(path: &Path) -> Self {
        Self::Path(path.into())
    }
}

impl From<PathBuf> for ModelSource {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

/// What computes an endpoint's model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendChoice {
    /// This crate's own kernels.
    Cpu(CpuOptions),
    /// candle in single precision: the reference, slower and larger.
    #[cfg(feature = "candle")]
    Candle,
}

impl Default for BackendChoice {
    fn default() -> Self {
        Self::Cpu(CpuOptions::default())
    }
}

/// How an endpoint serves its model. The default suits most; every field can be set.
#[non_exhaustive]
pub struct ServeOptions {
    /// The most tokens of one request, prompt and answer together; of an encoder, the most tokens of one text. Without
    /// it: what the model was made for, at most [`DEFAULT_CONTEXT`], less where the memory budget asks for it.
    pub context_length: Option<usize>,
    /// Not for encoders, which have no cache. Tokens that the block cache holds for all requests together, at least `context_length`. Without it: four
    /// full contexts, fewer where the memory budget asks for it.
    pub cache_tokens: Option<usize>,
    /// The most rows of one step. An encoder computes whole texts: one that is longer is a step of its own.
    pub max_batch_tokens: usize,
    /// The most prefill rows of a step that also has running decodes: the longest pause, in tokens, that a running
    /// answer may see because of others' prompts.
    pub max_prefill_tokens: usize,
    /// The most requests that generate at once.
    pub max_sequences: usize,
    /// The most requests that wait; one more is refused as overloaded.
    pub max_queue: usize,
    /// Whether requests share what their prompts have in common.
    pub prefix_sharing: bool,
    /// What computes the model, and how.
    pub backend: BackendChoice,
    /// The version that responses name. Without it: the registered version, else the model's name and a digest of its files.
    pub version: Option<String>,
    /// The id under which the model is updated, in place of `version`: responses name it, and after an update
    /// ([`ModelRuntime::publish_update`](crate::ModelRuntime::publish_update)) this id with the day of the update. Which version
    /// each of these ids names is kept for ever.
    pub base_id: Option<String>,
    /// Not for encoders. Adapters that are loaded with the model, by name; more can come and go later
    /// ([`ModelRuntime::load_adapter`](crate::ModelRuntime::load_adapter)).
    pub adapters: Vec<(String, PathBuf)>,
    /// A chat template to use instead of the model's own (Jinja).
    pub chat_template: Option<String>,
    /// Hears how far the load has come and may stop it.
    pub progress: Option<Progress>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            context_length: None,
            cache_tokens: None,
            max_batch_tokens: 512,
            max_prefill_tokens: 256,
            max_sequences: 64,
            max_queue: 1024,
            prefix_sharing: true,
            backend: BackendChoice::default(),
            version: None,
            base_id: None,
            adapters: Vec::new(),
            chat_template: None,
            progress: None,
        }
    }
}

impl std::fmt::Debug for ServeOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServeOptions")
            .field("context_length", &self.context_length)
            .field("cache_tokens", &self.cache_tokens)
            .field("max_batch_tokens", &self.max_batch_tokens)
            .field("max_prefill_tokens", &self.max_prefill_tokens)
            .field("max_sequences", &self.max_sequences)
            .field("max_queue", &self.max_queue)
            .field("prefix_sharing", &self.prefix_sharing)
            .field("backend", &self.backend)
            .field("version", &self.version)
            .field("base_id", &self.base_id)
            .field("adapters", &self.adapters)
            .finish_non_exhaustive()
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty => $value:expr;)*) => {
        $($(#[$doc])*
        #[must_use]
        pub fn $name(mut self, $name: $type) -> Self {
            self.$name = $value;
            self
        })*
    };
}

pub(super) use setters;

impl ServeOptions {
    setters! {
        /// Sets [`context_length`](Self::context_length).
        context_length: usize => Some(context_length);
        /// Sets [`cache_tokens`](Self::cache_tokens).
        cache_tokens: usize => Some(cache_tokens);
        /// Sets [`max_batch_tokens`](Self::max_batch_tokens).
        max_batch_tokens: usize => max_batch_tokens;
        /// Sets [`max_prefill_tokens`](Self::max_prefill_tokens).
        max_prefill_tokens: usize => max_prefill_tokens;
        /// Sets [`max_sequences`](Self::max_sequences).
        max_sequences: usize => max_sequences;
        /// Sets [`max_queue`](Self::max_queue).
        max_queue: usize => max_queue;
        /// Sets [`prefix_sharing`](Self::prefix_sharing).
        prefix_sharing: bool => prefix_sharing;
        /// Sets [`backend`](Self::backend).
        backend: BackendChoice => backend;
        /// Sets [`version`](Self::version).
        version: impl Into<String> => Some(version.into());
        /// Sets [`base_id`](Self::base_id).
        base_id: impl Into<String> => Some(base_id.into());
        /// Sets [`chat_template`](Self::chat_template).
        chat_template: impl Into<String> => Some(chat_template.into());
    }

    /// Adds one to the [`adapters`](Self::adapters): a directory as PEFT saves it, under a name.
    #[must_use]
    pub fn adapter(mut self, name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        self.adapters.push((name.into(), path.into()));
        self
    }

    /// The same once more, without what hears of the progress.
    pub(super) fn again(&self) -> Self {
        Self {
            backend: self.backend.clone(),
            version: self.version.clone(),
            base_id: self.base_id.clone(),
            adapters: self.adapters.clone(),
            chat_template: self.chat_template.clone(),
            progress: None,
            ..*self
        }
    }

    /// Sets [`progress`](Self::progress).
    #[must_use]
    pub fn progress(
        mut self,
        progress: impl FnMut(LoadProgress) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }
}

/// What a caller may ask for beside the OpenAI shape.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestOptions {
    /// Higher runs first; 0 is normal.
    pub priority: i32,
    /// How long the caller is willing to wait for the whole answer.
    pub timeout: Option<Duration>,
    /// Who asks: whom limits, fairness, the ledger and retirements know the request by. Without it the request's `user`.
    pub principal: Option<Arc<str>>,
    /// The served entity that is to answer, whatever the shares of traffic say.
    pub entity: Option<Arc<str>>,
    /// Whether the response says what is known about the life of the model that answers (`x_lifecycle`).
    pub lifecycle: bool,
}

impl RequestOptions {
    setters! {
        /// Sets [`priority`](Self::priority).
        priority: i32 => priority;
        /// Sets [`timeout`](Self::timeout).
        timeout: Duration => Some(timeout);
        /// Sets [`principal`](Self::principal).
        principal: impl Into<Arc<str>> => Some(principal.into());
        /// Sets [`entity`](Self::entity).
        entity: impl Into<Arc<str>> => Some(entity.into());
        /// Sets [`lifecycle`](Self::lifecycle).
        lifecycle: bool => lifecycle;
    }
}

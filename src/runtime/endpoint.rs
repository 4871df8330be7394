//! What an endpoint serves: a loaded model with its tokenizer, its template and its engine.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::executor::ModelExecutor;
use super::memory::Reservation;
use super::options::ServeOptions;
use super::plan::LoadPlan;
use crate::backend::{BLOCK_TOKENS, Backend};
use crate::chat::{ChatTemplate, TemplateTokens};
use crate::clock::Clock;
use crate::engine::{Engine, EngineOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::models::{CausalSources, stop_tokens};
use crate::tokenizer::Tokenizer;
use crate::weights::{Checkpoint, LoadProgress};

/// What an endpoint serves.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EndpointInfo {
    /// The endpoint's name.
    pub name: String,
    /// The exact version that answers.
    pub version: String,
    /// Where the model was read from.
    pub path: PathBuf,
    /// The most tokens of one request, prompt and answer together.
    pub context_length: usize,
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Whether the model has a chat template.
    pub chat: bool,
    /// What computes.
    pub backend: &'static str,
    /// What the load took.
    pub plan: LoadPlan,
}

/// A name that answers.
pub(super) struct Endpoint {
    info: EndpointInfo,
    tokenizer: Arc<Tokenizer>,
    template: Option<ChatTemplate>,
    stop_tokens: Vec<u32>,
    engine: Engine,
}

impl Endpoint {
    /// Loads a model whose plan was accepted and starts its engine.
    pub(super) fn load<B: Backend>(
        name: &str,
        checkpoint: &Checkpoint,
        backend: B,
        plan: LoadPlan,
        memory: Reservation,
        mut options: ServeOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let mut silent = |_: LoadProgress| ControlFlow::Continue(());
        let progress: &mut dyn FnMut(LoadProgress) -> ControlFlow<()> = match &mut options.progress {
            Some(progress) => progress.as_mut(),
            None => &mut silent,
        };
        let tokenizer = Tokenizer::from_checkpoint(checkpoint)?;
        let template = match &options.chat_template {
            Some(source) => Some(ChatTemplate::new(source, TemplateTokens::from_checkpoint(checkpoint)?)?),
            None => ChatTemplate::from_checkpoint(checkpoint)?,
        };
        let version = match options.version.take() {
            Some(version) if version.trim().is_empty() => {
                return Err(Error::invalid("version", "version is empty; give it a name or leave it out"));
            }
            Some(version) => version,
            None => {
                let stem = checkpoint.path().file_stem().and_then(|stem| stem.to_str()).unwrap_or("model");
                let digest = checkpoint.digest(progress)?.to_string();
                format!("{stem}@{}", &digest[..12])
            }
        };
        let sources = CausalSources::resolve(checkpoint)?;
        let vocab_size = sources.shape().vocab_size;
        let blocks = plan.cache_tokens / BLOCK_TOKENS;
        let cache = backend.new_cache(&sources.cache_shape(blocks))?;
        let model = sources.load(&backend, progress)?;
        let info = EndpointInfo {
            name: name.into(),
            version,
            path: checkpoint.path().into(),
            context_length: plan.context_length,
            vocab_size,
            chat: template.is_some(),
            backend: backend.name(),
            plan,
        };
        let executor = ModelExecutor::new(backend, model, cache, memory);
        let engine = Engine::start(Box::new(executor), engine_options(&options, &plan), clock)?;
        Ok(Self {
            info,
            tokenizer: Arc::new(tokenizer),
            template,
            stop_tokens: stop_tokens(checkpoint)?,
            engine,
        })
    }

    pub(super) fn info(&self) -> &EndpointInfo {
        &self.info
    }

    pub(super) fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn stop_tokens(&self) -> &[u32] {
        &self.stop_tokens
    }

    pub(super) fn template(&self) -> Result<&ChatTemplate> {
        self.template.as_ref().ok_or_else(|| {
            let message = format!(
                "endpoint `{}` has no chat template; use completions, or serve it with `chat_template`",
                self.info.name
            );
            Error::new(ErrorKind::Unsupported, message).with_param("model")
        })
    }
}

/// The engine's bounds for these options; checked before anything is read.
pub(super) fn engine_options(options: &ServeOptions, plan: &LoadPlan) -> EngineOptions {
    EngineOptions {
        blocks: plan.cache_tokens / BLOCK_TOKENS,
        context_length: plan.context_length,
        max_batch_tokens: options.max_batch_tokens,
        max_prefill_tokens: options.max_prefill_tokens,
        max_sequences: options.max_sequences,
        max_queue: options.max_queue,
        prefix_sharing: options.prefix_sharing,
        ..EngineOptions::default()
    }
}

//! A served entity that generates: a loaded model with its tokenizer, its template and its engine.

use std::sync::Arc;

use super::adapters::{Adapters, Loader, Table};
use super::executor::ModelExecutor;
use super::info::{AdapterInfo, EndpointInfo};
use super::options::ServeOptions;
use super::plan::LoadPlan;
use super::serve::Load;
use crate::backend::{BLOCK_TOKENS, Backend};
use crate::catalog::Offering;
use crate::chat::{ChatTemplate, TemplateTokens};
use crate::engine::{Engine, EngineOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::fairness::MemberId;
use crate::models::{CausalSources, Task, stop_tokens};
use crate::tokenizer::Tokenizer;

/// A model that generates.
pub(super) struct GenerationEntity {
    info: EndpointInfo,
    tokenizer: Arc<Tokenizer>,
    template: Option<ChatTemplate>,
    stop_tokens: Vec<u32>,
    adapters: Adapters,
    engine: Engine,
    member: MemberId,
}

impl GenerationEntity {
    /// Loads a causal model and starts its engine.
    pub(super) fn load<B: Backend>(backend: B, load: Load<'_>) -> Result<Self> {
        let Load { name, version, checkpoint, plan, mut memory, options, progress, clock, gate } = load;
        let backend = Arc::new(backend);
        let tokenizer = Tokenizer::from_checkpoint(checkpoint)?;
        let template = match &options.chat_template {
            Some(source) => Some(ChatTemplate::new(source, TemplateTokens::from_checkpoint(checkpoint)?)?),
            None => ChatTemplate::from_checkpoint(checkpoint)?,
        };
        let sources = CausalSources::resolve(checkpoint)?;
        let vocab_size = sources.shape().vocab_size;
        let blocks = plan.cache_tokens / BLOCK_TOKENS;
        let cache = backend.new_cache(&sources.cache_shape(blocks))?;
        let (model, table) = (sources.adaptable(), Arc::new(Table::default()));
        let adapters =
            Adapters::new(Loader { backend: Arc::clone(&backend), model, table: Arc::clone(&table) });
        for (adapter, path) in &options.adapters {
            // Its memory is part of what was planned.
            adapters.load(adapter, path, &mut |bytes| Ok(memory.split(bytes)))?;
        }
        let model = sources.load(&*backend, progress)?;
        let info = EndpointInfo {
            name: name.into(),
            version,
            path: checkpoint.path().into(),
            task: Task::Generation,
            context_length: plan.context_length,
            vocab_size,
            chat: template.is_some(),
            embedding: None,
            adapters: Vec::new(),
            backend: backend.name(),
            plan,
            offering: Offering::PayPerToken,
            entities: Vec::new(),
            draining: 0,
        };
        let member = gate.member();
        let executor = ModelExecutor::new(backend, model, cache, table, memory);
        let engine = Engine::start(Box::new(executor), engine_options(&options, &plan), clock, Some(gate))?;
        Ok(Self {
            info,
            tokenizer: Arc::new(tokenizer),
            template,
            stop_tokens: stop_tokens(checkpoint)?,
            adapters,
            engine,
            member,
        })
    }

    /// What it serves, without its adapters.
    pub(super) fn info(&self) -> &EndpointInfo {
        &self.info
    }

    pub(super) fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    /// What callers are told about its adapters, in order of name.
    pub(super) fn adapter_infos(&self) -> Vec<AdapterInfo> {
        self.adapters.infos(&self.info.version)
    }

    /// Its engine among those that share the machine.
    pub(super) fn member(&self) -> MemberId {
        self.member
    }

    /// Gives its responses another id, before anybody has seen one.
    pub(super) fn rename(&mut self, version: String) {
        self.info.version = version;
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

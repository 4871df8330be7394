//! A served entity that generates: a loaded model with its tokenizer, its template and its engine.

use std::sync::Arc;

use parking_lot::Mutex;

use super::adapters::{Adapters, Loader, Table};
use super::constraint::MaskThread;
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
use crate::grammar::{Grammar, GrammarError, GrammarSource, Vocabulary};
use crate::models::{CausalSources, Task, stop_tokens};
use crate::tokenizer::Tokenizer;

/// So many of the grammars that were asked for last are kept: an application asks for the same few again and again.
const KEPT_GRAMMARS: usize = 32;

/// A model that generates.
pub(super) struct GenerationEntity {
    info: EndpointInfo,
    tokenizer: Arc<Tokenizer>,
    template: Option<ChatTemplate>,
    stop_tokens: Vec<u32>,
    /// The tokens that mean something by themselves in an answer.
    markers: Arc<[(u32, &'static str)]>,
    /// Prepared when the first grammar is asked for.
    vocabulary: Mutex<Option<Arc<Vocabulary>>>,
    /// The last one first.
    grammars: Mutex<Vec<(GrammarSource, Arc<Grammar>)>>,
    adapters: Adapters,
    engine: Engine,
    /// Dropped behind the engine, whose requests end first.
    masks: MaskThread,
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
        let spellings = template.as_ref().map(|template| template.dialect().markers()).unwrap_or_default();
        let marker = |spelling: &'static str| Some((tokenizer.token_to_id(spelling)?, spelling));
        Ok(Self {
            info,
            markers: spellings.into_iter().filter_map(marker).collect(),
            tokenizer: Arc::new(tokenizer),
            template,
            stop_tokens: stop_tokens(checkpoint)?,
            vocabulary: Mutex::default(),
            grammars: Mutex::default(),
            masks: MaskThread::default(),
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

    /// The tokens that mean something by themselves in an answer, as the vocabulary spells them.
    pub(super) fn markers(&self) -> &Arc<[(u32, &'static str)]> {
        &self.markers
    }

    /// Where sets of allowed tokens are computed.
    pub(super) fn mask_thread(&self) -> &MaskThread {
        &self.masks
    }

    /// All tokens as a bit set, but those that end an answer.
    pub(super) fn tokens_that_do_not_stop(&self) -> Vec<u32> {
        let mut set = vec![u32::MAX; self.info.vocab_size.div_ceil(32)];
        for token in &self.stop_tokens {
            if let Some(word) = set.get_mut(*token as usize / 32) {
                *word &= !(1 << (token % 32));
            }
        }
        set
    }

    /// Compiles a grammar for this model's tokens.
    ///
    /// # Errors
    /// It is malformed or not supported, nothing satisfies it, or the model cannot generate under grammars.
    pub(super) fn grammar(&self, source: GrammarSource) -> Result<Arc<Grammar>, GrammarError> {
        {
            let mut kept = self.grammars.lock();
            if let Some(place) = kept.iter().position(|(known, _)| *known == source) {
                let known = kept.remove(place);
                let grammar = Arc::clone(&known.1);
                kept.insert(0, known);
                return Ok(grammar);
            }
        }
        // Outside of the lock: a large schema may take a while, and nobody with another one waits for it.
        let grammar = Arc::new(Grammar::compile(&self.vocabulary()?, &source)?);
        let mut kept = self.grammars.lock();
        kept.insert(0, (source, Arc::clone(&grammar)));
        kept.truncate(KEPT_GRAMMARS);
        Ok(grammar)
    }

    fn vocabulary(&self) -> Result<Arc<Vocabulary>, GrammarError> {
        let mut known = self.vocabulary.lock();
        if let Some(vocabulary) = &*known {
            return Ok(Arc::clone(vocabulary));
        }
        let vocabulary = Vocabulary::new(&self.tokenizer, self.info.vocab_size, &self.stop_tokens)?;
        Ok(Arc::clone(known.insert(Arc::new(vocabulary))))
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

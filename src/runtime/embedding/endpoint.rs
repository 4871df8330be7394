//! An endpoint that embeds: a loaded encoder with its tokenizer, its settings and its engine.

use std::sync::Arc;

use super::executor::ModelEmbedder;
use super::inputs::{self, Encoded};
use super::options::EmbedOptions;
use super::pending::{PendingEmbeddings, Receiver, Shared};
use super::vectors::Applied;
use super::{mode, pooling};
use crate::backend::Backend;
use crate::clock::Clock;
use crate::embedding::{EmbeddingEngine, EmbeddingOptions, Request};
use crate::error::{Error, Result};
use crate::fairness::CallerId;
use crate::models::{EncoderSources, SentenceConfig, Task};
use crate::protocol::{EmbeddingInput, Normalize};
use crate::runtime::info::{self, EmbeddingInfo, EndpointInfo};
use crate::runtime::options::ServeOptions;
use crate::runtime::plan::LoadPlan;
use crate::runtime::serve::Load;
use crate::tokenizer::Tokenizer;

/// A name that embeds.
#[derive(Debug)]
pub(in crate::runtime) struct EmbeddingEndpoint {
    info: EndpointInfo,
    tokenizer: Tokenizer,
    sentence: SentenceConfig,
    engine: EmbeddingEngine,
}

impl EmbeddingEndpoint {
    /// Loads an encoder and starts its engine.
    pub(in crate::runtime) fn load<B: Backend>(backend: B, load: Load<'_>) -> Result<Self> {
        let Load { name, checkpoint, plan, memory, mut options, progress, clock } = load;
        let tokenizer = Tokenizer::from_checkpoint(checkpoint)?;
        let (before, after) = tokenizer.frame();
        let framing = before.len() + after.len();
        if plan.context_length <= framing {
            let message = format!(
                "context_length is {}; the {framing} special tokens around a text leave no room for it",
                plan.context_length
            );
            return Err(Error::invalid("context_length", message));
        }
        let version = info::version(&mut options, checkpoint, progress)?;
        let sources = EncoderSources::resolve(checkpoint)?;
        let shape = sources.shape();
        let sentence = SentenceConfig::from_checkpoint(checkpoint, &shape)?;
        let model = sources.load(&backend, progress)?;
        let info = EndpointInfo {
            name: name.into(),
            version,
            path: checkpoint.path().into(),
            task: Task::Embedding,
            context_length: plan.context_length,
            vocab_size: shape.vocab_size,
            chat: false,
            embedding: Some(EmbeddingInfo {
                dimension: shape.width,
                max_tokens: plan.context_length,
                pooling: mode(sentence.pooling),
                normalize: applied(sentence.normalize),
                prompts: sentence.prompts.clone(),
                default_prompt: sentence.default_prompt.clone(),
            }),
            adapters: Vec::new(),
            backend: backend.name(),
            plan,
        };
        let embedder = ModelEmbedder::new(backend, model, memory);
        let engine =
            EmbeddingEngine::start(Box::new(embedder), engine_options(&options, &plan), clock, None)?;
        Ok(Self { info, tokenizer, sentence, engine })
    }

    pub(in crate::runtime) fn info(&self) -> &EndpointInfo {
        &self.info
    }

    pub(in crate::runtime) fn engine(&self) -> &EmbeddingEngine {
        &self.engine
    }

    pub(super) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    pub(super) fn sentence(&self) -> &SentenceConfig {
        &self.sentence
    }

    /// Encodes texts and queues them.
    pub(in crate::runtime) fn submit(
        self: &Arc<Self>,
        input: &EmbeddingInput,
        options: &EmbedOptions,
        clock: &dyn Clock,
    ) -> Result<PendingEmbeddings> {
        // From before the texts are encoded: that is part of what the caller waits for.
        let deadline = options.timeout.map(|timeout| clock.monotonic().saturating_add(timeout));
        let Encoded { texts, rows } = inputs::encode(self, input, options)?;
        let pooling = options.pooling.map_or(self.sentence.pooling, pooling);
        let normalize = match options.normalize {
            Normalize::Model => self.sentence.normalize,
            Normalize::None => false,
            Normalize::L2 => true,
        };
        let request = Request {
            texts,
            pooling,
            dimensions: options.dimensions,
            normalize,
            caller: CallerId::default(),
            priority: options.priority,
            deadline,
        };
        let shared = Arc::new(Shared::default());
        let id = self.engine.submit(request, Box::new(Receiver(Arc::clone(&shared))))?;
        let version = self.info.version.clone();
        let applied = Applied { version, normalize: applied(normalize), pooling: mode(pooling) };
        Ok(PendingEmbeddings::new(shared, rows, applied, self, id))
    }
}

/// What a response says about it.
fn applied(normalize: bool) -> Normalize {
    if normalize { Normalize::L2 } else { Normalize::None }
}

/// The engine's bounds for these options; checked before anything is read.
pub(in crate::runtime) fn engine_options(options: &ServeOptions, plan: &LoadPlan) -> EmbeddingOptions {
    EmbeddingOptions {
        max_batch_tokens: options.max_batch_tokens,
        max_text_tokens: plan.context_length,
        max_queue: options.max_queue,
        ..EmbeddingOptions::default()
    }
}

//! A served entity that embeds: a loaded encoder with its tokenizer, its settings and its engine.

use std::sync::Arc;

use super::executor::ModelEmbedder;
use super::inputs::{self, Encoded};
use super::options::EmbedOptions;
use super::pending::{PendingEmbeddings, Receiver, Shared};
use super::vectors::Applied;
use super::{mode, pooling};
use crate::backend::Backend;
use crate::catalog::Offering;
use crate::embedding::{EmbeddingEngine, EmbeddingOptions, Request};
use crate::error::{Error, Result};
use crate::fairness::MemberId;
use crate::models::{EncoderSources, SentenceConfig, Task};
use crate::protocol::{EmbeddingInput, Normalize};
use crate::runtime::ModelRuntime;
use crate::runtime::admission::Admitted;
use crate::runtime::info::{EmbeddingInfo, EndpointInfo};
use crate::runtime::meter::Use;
use crate::runtime::options::ServeOptions;
use crate::runtime::plan::LoadPlan;
use crate::runtime::serve::Load;
use crate::tokenizer::Tokenizer;

/// The most texts of a request to an endpoint by the token.
const MAX_METERED_TEXTS: usize = 150;

/// A model that embeds.
#[derive(Debug)]
pub(in crate::runtime) struct EmbeddingEntity {
    info: EndpointInfo,
    tokenizer: Tokenizer,
    sentence: SentenceConfig,
    engine: EmbeddingEngine,
    member: MemberId,
}

impl EmbeddingEntity {
    /// Loads an encoder and starts its engine.
    pub(in crate::runtime) fn load<B: Backend>(backend: B, load: Load<'_>) -> Result<Self> {
        let Load { name, version, checkpoint, plan, memory, options, progress, clock, gate } = load;
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
            offering: Offering::PayPerToken,
            entities: Vec::new(),
            draining: 0,
        };
        let member = gate.member();
        let embedder = ModelEmbedder::new(backend, model, memory);
        let engine =
            EmbeddingEngine::start(Box::new(embedder), engine_options(&options, &plan), clock, Some(gate))?;
        Ok(Self { info, tokenizer, sentence, engine, member })
    }

    pub(in crate::runtime) fn info(&self) -> &EndpointInfo {
        &self.info
    }

    /// Its engine among those that share the machine.
    pub(in crate::runtime) fn member(&self) -> MemberId {
        self.member
    }

    /// Gives its responses another id, before anybody has seen one.
    pub(in crate::runtime) fn rename(&mut self, version: String) {
        self.info.version = version;
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
        runtime: &ModelRuntime,
        admitted: &Admitted,
        input: &EmbeddingInput,
        options: &EmbedOptions,
    ) -> Result<PendingEmbeddings> {
        check_number(input, admitted)?;
        // From before the texts are encoded: that is part of what the caller waits for.
        let now = runtime.clock().monotonic();
        let deadline = options.request.timeout.map(|timeout| now.saturating_add(timeout));
        let Encoded { texts, rows } = inputs::encode(self, input, options)?;
        let of = Use {
            id: runtime.request_id("embd-"),
            client_request_id: options.client_request_id.clone(),
            usage_context: options.usage_context.clone(),
            input_tokens: rows.iter().map(|row| row.tokens as u64).sum(),
            ..Use::default()
        };
        let meter = runtime.meter(admitted, of)?;
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
            caller: admitted.caller(),
            priority: options.request.priority,
            deadline,
        };
        let shared = Arc::new(Shared::default());
        let id = self.engine.submit(request, Box::new(Receiver::new(Arc::clone(&shared), meter)))?;
        let applied = Applied {
            version: self.info.version.clone(),
            normalize: applied(normalize),
            pooling: mode(pooling),
            lifecycle: admitted.lifecycle.clone(),
        };
        Ok(PendingEmbeddings::new(shared, rows, applied, self, id))
    }
}

/// By the token a request has a bounded number of texts.
fn check_number(input: &EmbeddingInput, admitted: &Admitted) -> Result<()> {
    let (texts, offering) = (input.len(), admitted.endpoint.options().offering);
    if offering == Offering::PayPerToken && texts > MAX_METERED_TEXTS {
        let message = format!(
            "input has {texts} texts; in {} a request has at most {MAX_METERED_TEXTS}",
            offering.title()
        );
        return Err(Error::invalid("input", message));
    }
    Ok(())
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

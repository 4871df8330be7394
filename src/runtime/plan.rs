//! What a load will cost, before it happens.

use serde::Serialize;

use super::options::{DEFAULT_CONTEXT, ServeOptions};
use crate::backend::{BLOCK_TOKENS, Backend};
use crate::engine::logit_rows;
use crate::error::{Error, ErrorKind, Result};
use crate::models::CausalSources;

/// Full contexts that the cache holds when nobody says how large it should be.
const DEFAULT_CACHED_CONTEXTS: usize = 4;

/// What a load will cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LoadPlan {
    /// Bytes of packed weights.
    pub weight_bytes: u64,
    /// Bytes of the adapters that are loaded with the model.
    pub adapter_bytes: u64,
    /// Bytes of the block cache.
    pub cache_bytes: u64,
    /// Bytes of activations of the largest step.
    pub scratch_bytes: u64,
    /// What the budget leaves for this load; `None` without a budget.
    pub available_bytes: Option<u64>,
    /// The most tokens of one request.
    pub context_length: usize,
    /// Tokens that the block cache holds.
    pub cache_tokens: usize,
    /// The longest context that the model was made for and that would fit the budget.
    pub max_context: usize,
}

impl LoadPlan {
    /// All bytes together.
    pub fn total_bytes(&self) -> u64 {
        let Self { weight_bytes, adapter_bytes, cache_bytes, scratch_bytes, .. } = *self;
        [adapter_bytes, cache_bytes, scratch_bytes].into_iter().fold(weight_bytes, u64::saturating_add)
    }

    /// Plans the load of a causal model and of adapters that take `adapter_bytes`. `available` is what the budget leaves.
    ///
    /// # Errors
    /// Options that contradict each other or the model, or a plan that does not fit: the error then names the
    /// largest context that would.
    pub(super) fn of_causal<B: Backend>(
        sources: &CausalSources<'_>,
        backend: &B,
        options: &ServeOptions,
        adapter_bytes: u64,
        available: Option<u64>,
    ) -> Result<Self> {
        let model_context = sources.shape().max_positions;
        if let Some(context) = options.context_length.filter(|&c| c == 0 || c > model_context) {
            let message = format!("context_length is {context}; this model takes 1 to {model_context}");
            return Err(Error::invalid("context_length", message));
        }
        let weight_bytes = sources.weight_bytes(backend)?;
        let logit_rows = logit_rows(options.max_sequences, options.max_batch_tokens);
        let scratch_bytes = sources.scratch_bytes(options.max_batch_tokens, logit_rows);
        let cache_bytes = |tokens: usize| {
            let blocks = tokens.div_ceil(BLOCK_TOKENS);
            backend.cache_bytes(&sources.cache_shape(blocks)).unwrap_or(u64::MAX)
        };
        let taken = weight_bytes.saturating_add(adapter_bytes).saturating_add(scratch_bytes);
        let room = available.map(|bytes| bytes.saturating_sub(taken));
        // The cache grows with its blocks, so what one block takes tells how many fit.
        let fitting = |room: u64| {
            let blocks = room / cache_bytes(BLOCK_TOKENS).max(1);
            usize::try_from(blocks).unwrap_or(usize::MAX).saturating_mul(BLOCK_TOKENS)
        };
        let fits = room.map_or(usize::MAX, fitting);
        let max_context = model_context.min(fits);

        let context_length =
            options.context_length.unwrap_or_else(|| DEFAULT_CONTEXT.min(max_context).max(1));
        let cache_tokens = match options.cache_tokens {
            Some(tokens) if tokens < context_length => {
                let message =
                    format!("cache_tokens is {tokens}; it must hold one context of {context_length} tokens");
                return Err(Error::invalid("cache_tokens", message));
            }
            Some(tokens) => tokens,
            None => (context_length.saturating_mul(DEFAULT_CACHED_CONTEXTS)).min(fits).max(context_length),
        };
        let plan = Self {
            weight_bytes,
            adapter_bytes,
            cache_bytes: cache_bytes(cache_tokens),
            scratch_bytes,
            available_bytes: available,
            context_length,
            cache_tokens: cache_tokens.div_ceil(BLOCK_TOKENS).saturating_mul(BLOCK_TOKENS),
            max_context,
        };
        match available {
            Some(available) if plan.total_bytes() > available => Err(plan.refusal(available)),
            _ => Ok(plan),
        }
    }

    fn refusal(&self, available: u64) -> Error {
        let Self { weight_bytes, adapter_bytes, cache_bytes, scratch_bytes, max_context, .. } = self;
        let advice = match max_context {
            0 => "no context would fit".to_string(),
            tokens => format!("the largest context_length that fits is {tokens}"),
        };
        let message = format!(
            "the model needs {} bytes ({weight_bytes} for weights, {adapter_bytes} for adapters, {cache_bytes} for a cache of {} tokens, \
             {scratch_bytes} for a step) and the memory budget leaves {available}; {advice}",
            self.total_bytes(),
            self.cache_tokens,
        );
        Error::new(ErrorKind::InsufficientMemory, message).with_param("memory_budget")
    }
}

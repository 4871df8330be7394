//! What the load of an encoder will cost, before it happens.

use crate::backend::Backend;
use crate::error::{Error, ErrorKind, Result};
use crate::models::{EncoderSources, SentenceConfig};
use crate::runtime::options::{DEFAULT_CONTEXT, ServeOptions};
use crate::runtime::plan::LoadPlan;

impl LoadPlan {
    /// Plans the load of an encoder. `available` is what the budget leaves.
    ///
    /// # Errors
    /// Options that contradict the model, or a plan that does not fit: the error then names the most tokens of a batch
    /// that would.
    pub(in crate::runtime) fn of_encoder<B: Backend>(
        sources: &EncoderSources<'_>,
        sentence: &SentenceConfig,
        backend: &B,
        options: &ServeOptions,
        available: Option<u64>,
    ) -> Result<Self> {
        for (name, given) in [
            ("cache_tokens", options.cache_tokens.is_some()),
            ("chat_template", options.chat_template.is_some()),
            ("adapter", !options.adapters.is_empty()),
        ] {
            if given {
                let message =
                    format!("{name} is given and this model is an encoder, which has none; leave it out");
                return Err(Error::invalid(name, message));
            }
        }
        let most = sentence.max_tokens;
        if let Some(context) = options.context_length.filter(|&context| context == 0 || context > most) {
            let message =
                format!("context_length is {context}; this model takes texts of 1 to {most} tokens");
            return Err(Error::invalid("context_length", message));
        }
        let weight_bytes = sources.weight_bytes(backend)?;
        let room = available.map(|bytes| bytes.saturating_sub(weight_bytes));
        let fits = room.map_or(usize::MAX, |room| {
            usize::try_from(room / sources.scratch_bytes(1).max(1)).unwrap_or(usize::MAX)
        });
        let max_context = most.min(fits);
        let context_length = options.context_length.unwrap_or_else(|| max_context.clamp(1, DEFAULT_CONTEXT));
        // A text is never cut into steps: the longest decides if the batch is smaller.
        let rows = options.max_batch_tokens.max(context_length);
        let plan = Self {
            weight_bytes,
            adapter_bytes: 0,
            cache_bytes: 0,
            scratch_bytes: sources.scratch_bytes(rows),
            available_bytes: available,
            context_length,
            cache_tokens: 0,
            max_context,
        };
        match available {
            Some(available) if plan.total_bytes() > available => {
                let message = format!(
                    "the model needs {} bytes ({weight_bytes} for weights, {} for a batch of {rows} tokens) and the \
                     memory budget leaves {available}; the most tokens of context_length and max_batch_tokens that fit \
                     are {fits}",
                    plan.total_bytes(),
                    plan.scratch_bytes,
                );
                Err(Error::new(ErrorKind::InsufficientMemory, message).with_param("memory_budget"))
            }
            _ => Ok(plan),
        }
    }
}

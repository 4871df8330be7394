//! How much an engine may do at once.

use serde::{Deserialize, Serialize};

use super::draft::MAX_VERIFIED_ROWS;
use crate::error::{Error, Result};

/// The bounds of one engine. All of them are checked when the engine starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EngineOptions {
    /// Blocks of the paged cache, of [`BLOCK_TOKENS`](crate::backend::BLOCK_TOKENS) tokens each.
    pub blocks: usize,
    /// The most tokens, prompt and answer together, of one sequence.
    pub context_length: usize,
    /// The most rows of one step: decode rows and prefill chunks together.
    pub max_batch_tokens: usize,
    /// The most prefill rows of a step that has decode rows: the longest pause that a running decode may see
    /// because of others' prefill, in tokens. At most the rest of `max_batch_tokens` is used. Drafts get what prefill
    /// leaves of it.
    pub max_prefill_tokens: usize,
    /// The most sequences in the cache at once; at most `max_batch_tokens`, so that every decode is in every step.
    pub max_sequences: usize,
    /// The most requests that wait for their first step; a request beyond that is refused as overloaded.
    pub max_queue: usize,
    /// Whether full blocks of equal beginnings are computed once and shared.
    pub prefix_sharing: bool,
    /// Ageing: one level of priority is worth the time in which the engine gives so much service, where a prompt token
    /// counts 1 and a generated one 2.
    pub service_per_priority: u32,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            blocks: 256,
            context_length: 4096,
            max_batch_tokens: 512,
            max_prefill_tokens: 256,
            max_sequences: 32,
            max_queue: 256,
            prefix_sharing: true,
            // About 64 steps of a full engine.
            service_per_priority: 1 << 12,
        }
    }
}

impl EngineOptions {
    /// The most tokens, prompt and answer together, that a request can ask for: what one sequence may have and
    /// what the cache can hold.
    pub fn max_request_tokens(&self) -> usize {
        self.context_length.min(self.blocks.saturating_mul(crate::backend::BLOCK_TOKENS))
    }

    /// The most rows of a step whose logits are computed: one of every sequence, more only for drafts and for prompts that
    /// are scored.
    pub fn logit_rows(&self) -> usize {
        logit_rows(self.max_sequences, self.max_batch_tokens)
    }

    /// Checks that the bounds fit together.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) naming the option.
    pub fn validate(&self) -> Result<()> {
        let positive = [
            ("blocks", self.blocks),
            ("context_length", self.context_length),
            ("max_batch_tokens", self.max_batch_tokens),
            ("max_prefill_tokens", self.max_prefill_tokens),
            ("max_sequences", self.max_sequences),
            ("max_queue", self.max_queue),
            ("service_per_priority", self.service_per_priority as usize),
        ];
        for (name, value) in positive {
            if value == 0 {
                return Err(Error::invalid(
                    name,
                    format!("engine option {name} is 0; it must be at least 1"),
                ));
            }
        }
        // Block numbers and positions are 32 bits wide in a batch.
        for (name, value) in [("blocks", self.blocks), ("context_length", self.context_length)] {
            if u32::try_from(value).is_err() {
                let most = u32::MAX;
                return Err(Error::invalid(name, format!("engine option {name} is {value}; at most {most}")));
            }
        }
        if self.max_sequences > self.max_batch_tokens {
            return Err(Error::invalid(
                "max_sequences",
                format!(
                    "engine option max_sequences is {}, more than max_batch_tokens ({}): a step could not hold \
                     one row of every sequence",
                    self.max_sequences, self.max_batch_tokens
                ),
            ));
        }
        Ok(())
    }
}

/// As [`EngineOptions::logit_rows`].
pub(crate) fn logit_rows(max_sequences: usize, max_batch_tokens: usize) -> usize {
    max_sequences.max(MAX_VERIFIED_ROWS).min(max_batch_tokens)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn defaults_are_valid_and_every_bound_is_named() {
        EngineOptions::default().validate().unwrap();
        let broken = [
            ("blocks", EngineOptions { blocks: 0, ..Default::default() }),
            ("blocks", EngineOptions { blocks: 1 << 33, ..Default::default() }),
            ("max_prefill_tokens", EngineOptions { max_prefill_tokens: 0, ..Default::default() }),
            ("max_sequences", EngineOptions { max_sequences: 513, ..Default::default() }),
        ];
        for (name, options) in broken {
            assert_eq!(options.validate().unwrap_err().param(), Some(name));
        }
    }
}

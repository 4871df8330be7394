//! How much an engine may do at once.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Priorities reach from minus this to this.
pub const MAX_PRIORITY: i32 = 100;

/// The bounds of one engine. All of them are checked when the engine starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmbeddingOptions {
    /// The most tokens of a batch of several texts. A longer text is a batch of its own.
    pub max_batch_tokens: usize,
    /// The most tokens of one text.
    pub max_text_tokens: usize,
    /// The most requests that wait for their first batch; a request beyond that is refused as overloaded.
    pub max_queue: usize,
    /// Ageing: one level of priority is worth the time in which so many tokens are computed.
    pub tokens_per_priority: u32,
}

impl Default for EmbeddingOptions {
    fn default() -> Self {
        Self { max_batch_tokens: 512, max_text_tokens: 512, max_queue: 1024, tokens_per_priority: 1 << 16 }
    }
}

impl EmbeddingOptions {
    /// Checks that the bounds make sense.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) naming the option.
    pub fn validate(&self) -> Result<()> {
        let positive = [
            ("max_batch_tokens", self.max_batch_tokens),
            ("max_text_tokens", self.max_text_tokens),
            ("max_queue", self.max_queue),
            ("tokens_per_priority", self.tokens_per_priority as usize),
        ];
        for (name, value) in positive {
            if value == 0 {
                let message = format!("embedding option {name} is 0; it must be at least 1");
                return Err(Error::invalid(name, message));
            }
        }
        // Positions are 32 bits wide in a batch.
        if u32::try_from(self.max_text_tokens).is_err() {
            let message =
                format!("embedding option max_text_tokens is {}; at most {}", self.max_text_tokens, u32::MAX);
            return Err(Error::invalid("max_text_tokens", message));
        }
        Ok(())
    }
}

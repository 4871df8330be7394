//! What every response ends with: why it ended and what it cost.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// The model was done, or a stop string or stop token was met.
    Stop,
    /// The limit of tokens was reached.
    Length,
    /// The model calls functions.
    ToolCalls,
}

impl FinishReason {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
        }
    }
}

/// How many tokens a request took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt, with everything that the chat template added.
    pub prompt_tokens: u64,
    /// Tokens that were generated.
    pub completion_tokens: u64,
    /// Both together.
    pub total_tokens: u64,
    /// What the prompt's tokens were.
    #[serde(default)]
    pub prompt_tokens_details: PromptTokensDetails,
    /// What the generated tokens were.
    #[serde(default)]
    pub completion_tokens_details: CompletionTokensDetails,
}

/// What generated tokens were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletionTokensDetails {
    /// Tokens of reasoning, which is no part of the answer.
    pub reasoning_tokens: u64,
}

/// What a prompt's tokens were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptTokensDetails {
    /// Tokens whose computation was found in the cache.
    pub cached_tokens: u64,
}

impl Usage {
    /// The usage of `prompt` tokens, `cached` of them found in the cache, and `completion` generated ones.
    pub fn new(prompt: u64, completion: u64, cached: u64) -> Self {
        Self {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: prompt.saturating_add(completion),
            prompt_tokens_details: PromptTokensDetails { cached_tokens: cached },
            completion_tokens_details: CompletionTokensDetails::default(),
        }
    }

    /// The same, `tokens` of the generated ones being reasoning.
    #[must_use]
    pub fn reasoning(mut self, tokens: u64) -> Self {
        self.completion_tokens_details.reasoning_tokens = tokens;
        self
    }
}

/// A chunk's `usage` has three states: not there (`None`), null (`Some(None)`), filled. Serde folds the first two.
pub(crate) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Usage>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// JSON has no infinity: an impossible token's log-probability is the -9999 that the hosted APIs print.
pub(crate) fn finite<S: Serializer>(logprob: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f32(if logprob.is_finite() { *logprob } else { -9999.0 })
}

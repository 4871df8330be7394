//! The text completion response and its chunks.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use super::usage::{FinishReason, Usage, present};

/// A continuation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompletionResponse {
    /// Names the request; begins with `cmpl-`.
    pub id: String,
    /// What this is.
    pub object: CompletionObject,
    /// When it was made, seconds since 1970, UTC.
    pub created: i64,
    /// The exact version that answered.
    pub model: String,
    /// The continuations, by prompt, as many of each as were asked for.
    pub choices: Vec<CompletionChoice>,
    /// What it took.
    pub usage: Usage,
    /// What is known about the life of the model, when it was asked for and there is anything to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x_lifecycle: Option<serde_json::Value>,
}

/// The constant `object` of a [`CompletionResponse`] and of a [`CompletionChunk`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompletionObject {
    /// `text_completion`.
    #[default]
    #[serde(rename = "text_completion")]
    TextCompletion,
}

/// One continuation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompletionChoice {
    /// The text, after the prompt if the request asked for an echo.
    pub text: String,
    /// The choice's number.
    pub index: u32,
    /// The tokens' log-probabilities, when asked for.
    pub logprobs: Option<CompletionLogprobs>,
    /// Why it ended.
    pub finish_reason: FinishReason,
}

/// The log-probabilities of a continuation's tokens: lists of equal length, one entry per token.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CompletionLogprobs {
    /// What each token contributes to the text.
    pub tokens: Vec<String>,
    /// Natural logarithm of each token's probability; null for the first token of an echoed prompt,
    /// which follows nothing.
    #[serde(serialize_with = "all_finite")]
    pub token_logprobs: Vec<Option<f32>>,
    /// The most likely tokens at each place; null for the first token of an echoed prompt.
    pub top_logprobs: Vec<Option<TopLogprobs>>,
    /// Where each token begins in the choice's text (of all chunks together), in Unicode code points.
    pub text_offset: Vec<u64>,
}

/// The most likely tokens at one place with their log-probabilities, descending. In JSON an object from text to
/// number; of tokens with the same text the most likely one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TopLogprobs(pub Vec<(String, f32)>);

/// A piece of a continuation while it is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompletionChunk {
    /// Names the request; the same in all its chunks.
    pub id: String,
    /// What this is.
    pub object: CompletionObject,
    /// When the continuation was begun, seconds since 1970, UTC.
    pub created: i64,
    /// The exact version that answers.
    pub model: String,
    /// What is new; empty in the chunk that reports the usage.
    pub choices: Vec<CompletionChunkChoice>,
    /// Not there unless `stream_options.include_usage` asked for it; then null in all chunks but the last.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub usage: Option<Option<Usage>>,
    /// What is known about the life of the model, when it was asked for and there is anything to say; only in the last chunk of the choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x_lifecycle: Option<serde_json::Value>,
}

/// What is new in a continuation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompletionChunkChoice {
    /// Text to append.
    pub text: String,
    /// The choice's number.
    pub index: u32,
    /// The new tokens' log-probabilities, when asked for.
    pub logprobs: Option<CompletionLogprobs>,
    /// Why it ended; null in all chunks but the choice's last.
    pub finish_reason: Option<FinishReason>,
}

fn to_finite(logprob: f32) -> f32 {
    if logprob.is_finite() { logprob } else { -9999.0 }
}

fn all_finite<S: Serializer>(logprobs: &[Option<f32>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(logprobs.iter().map(|logprob| logprob.map(to_finite)))
}

impl Serialize for TopLogprobs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (index, (token, logprob)) in self.0.iter().enumerate() {
            if self.0[..index].iter().all(|(earlier, _)| earlier != token) {
                map.serialize_entry(token, &to_finite(*logprob))?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for TopLogprobs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = TopLogprobs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object from token to log-probability")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<TopLogprobs, A::Error> {
                let mut list = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    list.push(entry);
                }
                Ok(TopLogprobs(list))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

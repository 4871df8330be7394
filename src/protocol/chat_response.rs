//! The chat response and its chunks.

use serde::{Deserialize, Serialize};

use super::message::Role;
use super::tools::{ToolCall, ToolKind};
use super::usage::{FinishReason, Usage, finite, present};

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatResponse {
    /// Names the request; begins with `chatcmpl-`.
    pub id: String,
    /// What this is.
    pub object: ChatResponseObject,
    /// When it was made, seconds since 1970, UTC.
    pub created: i64,
    /// The exact version that answered.
    pub model: String,
    /// The answers, as many as were asked for.
    pub choices: Vec<ChatChoice>,
    /// What it took.
    pub usage: Usage,
    /// What is known about the life of the model, when it was asked for and there is anything to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x_lifecycle: Option<serde_json::Value>,
}

/// The constant `object` of a [`ChatResponse`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChatResponseObject {
    /// `chat.completion`.
    #[default]
    #[serde(rename = "chat.completion")]
    ChatCompletion,
}

/// One choice of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatChoice {
    /// Its number among the choices.
    pub index: u32,
    /// What the model says.
    pub message: ResponseMessage,
    /// The tokens' log-probabilities, when asked for.
    pub logprobs: Option<ChatLogprobs>,
    /// Why it ended.
    pub finish_reason: FinishReason,
}

/// What the model says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseMessage {
    /// The assistant.
    pub role: Role,
    /// The text.
    pub content: Option<String>,
    /// Always null: nothing here writes refusals apart from the text.
    pub refusal: Option<String>,
    /// What a model that thinks thought first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// The functions that it calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// What a classifier of conversations (Llama Guard) found, where the text is in its format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x_classification: Option<Classification>,
}

/// What a classifier found in a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classification {
    /// Whether it found nothing.
    pub safe: bool,
    /// What it found, by the names of the model's categories, such as `S1`.
    pub categories: Vec<String>,
}

impl ResponseMessage {
    /// The assistant says `text`.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self {
            role: Role::Assistant,
            content: Some(text.into()),
            refusal: None,
            reasoning_content: None,
            tool_calls: Vec::new(),
            x_classification: None,
        }
    }
}

/// The log-probabilities of a choice's tokens.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatLogprobs {
    /// One per generated token, in order.
    pub content: Vec<TokenLogprob>,
    /// Always null.
    pub refusal: Option<Vec<TokenLogprob>>,
}

/// A generated token, its log-probability and its rivals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// What the token contributes to the text.
    pub token: String,
    /// Natural logarithm of its probability.
    #[serde(serialize_with = "finite")]
    pub logprob: f32,
    /// The same contribution in bytes, because a token may be a part of a character.
    pub bytes: Option<Vec<u8>>,
    /// The most likely tokens at this place, descending.
    pub top_logprobs: Vec<TopLogprob>,
}

/// One of the most likely tokens at a place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopLogprob {
    /// What the token would contribute to the text.
    pub token: String,
    /// Natural logarithm of its probability.
    #[serde(serialize_with = "finite")]
    pub logprob: f32,
    /// The same contribution in bytes.
    pub bytes: Option<Vec<u8>>,
}

/// A piece of an answer while it is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatChunk {
    /// Names the request; the same in all its chunks.
    pub id: String,
    /// What this is.
    pub object: ChatChunkObject,
    /// When the answer was begun, seconds since 1970, UTC.
    pub created: i64,
    /// The exact version that answers.
    pub model: String,
    /// What is new; empty in the chunk that reports the usage.
    pub choices: Vec<ChatChunkChoice>,
    /// Not there unless `stream_options.include_usage` asked for it; then null in all chunks but the last.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub usage: Option<Option<Usage>>,
    /// What is known about the life of the model, when it was asked for and there is anything to say; only in the last chunk of the choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x_lifecycle: Option<serde_json::Value>,
}

/// The constant `object` of a [`ChatChunk`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChatChunkObject {
    /// `chat.completion.chunk`.
    #[default]
    #[serde(rename = "chat.completion.chunk")]
    ChatCompletionChunk,
}

/// What is new in a choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatChunkChoice {
    /// The choice's number.
    pub index: u32,
    /// What is new.
    pub delta: ChatDelta,
    /// The new tokens' log-probabilities, when asked for.
    pub logprobs: Option<ChatLogprobs>,
    /// Why it ended; null in all chunks but the choice's last.
    pub finish_reason: Option<FinishReason>,
}

/// What is new in a message; absent fields say nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatDelta {
    /// Who speaks; only in the first chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Text to append.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Reasoning to append.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// Calls that begin or go on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCallDelta>,
}

/// What is new in a call: first its id, kind and name, then pieces of its arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCallDelta {
    /// Its number among the calls of the choice.
    pub index: u32,
    /// Its name; only in its first delta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What is called; only in its first delta.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<ToolKind>,
    /// What is new.
    pub function: FunctionCallDelta,
}

/// What is new in a call of a function.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionCallDelta {
    /// The function; only in the call's first delta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Text to append to the arguments.
    #[serde(default)]
    pub arguments: String,
}

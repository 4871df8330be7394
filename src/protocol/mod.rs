//! The OpenAI-compatible request and response types.
//!
//! Requests are read strictly: unknown fields, duplicate keys and fields of the API that are not supported yet are
//! refused by name, so that nothing is accepted and then ignored. Responses print as the OpenAI API prints them.

pub mod chat;
pub mod chat_response;
pub mod completion;
pub mod completion_response;
pub mod embedding;
pub mod embedding_response;
pub mod error_body;
pub mod event_stream;
pub(crate) mod json;
pub mod message;
pub mod options;
pub mod rate_limit;
pub mod response_format;
#[cfg(test)]
mod tests;
pub mod thinking;
pub mod tools;
pub mod usage;

pub use chat::ChatRequest;
pub use chat_response::{
    ChatChoice, ChatChunk, ChatChunkChoice, ChatChunkObject, ChatDelta, ChatLogprobs, ChatResponse,
    ChatResponseObject, Classification, FunctionCallDelta, ResponseMessage, TokenLogprob, ToolCallDelta,
    TopLogprob,
};
pub use completion::{CompletionRequest, ErrorBehavior, Prompt};
pub use completion_response::{
    CompletionChoice, CompletionChunk, CompletionChunkChoice, CompletionLogprobs, CompletionObject,
    CompletionResponse, TopLogprobs,
};
pub use embedding::{EmbeddingInput, EmbeddingRequest, EncodingFormat, Normalize, PoolingMode, Truncate};
pub use embedding_response::{
    EmbeddingData, EmbeddingListObject, EmbeddingObject, EmbeddingResponse, EmbeddingUsage, EmbeddingVector,
};
pub use error_body::{ErrorBody, ErrorDetail, PlainDetail, RateLimitDetail};
pub use event_stream::EventStream;
pub use message::{ChatMessage, Content, ContentPart, Role};
pub use options::{GenerationOptions, StreamOptions};
pub use rate_limit::{LimitType, RateLimited};
pub use response_format::{JsonSchema, ResponseFormat};
pub use thinking::Thinking;
pub use tools::{FunctionCall, FunctionDefinition, Tool, ToolCall, ToolChoice, ToolKind};
pub use usage::{CompletionTokensDetails, FinishReason, PromptTokensDetails, Usage};

//! The two shapes of an answer: chat and completion.

use std::sync::Arc;

use super::answer::Piece;
use crate::engine::SampledToken;
use crate::protocol::{
    ChatChoice, ChatChunk, ChatChunkChoice, ChatChunkObject, ChatDelta, ChatLogprobs, ChatResponse,
    ChatResponseObject, CompletionChoice, CompletionChunk, CompletionChunkChoice, CompletionLogprobs,
    CompletionObject, CompletionResponse, FinishReason, ResponseMessage, Role, TokenLogprob, TopLogprob,
    TopLogprobs, Usage,
};
use crate::tokenizer::Tokenizer;

/// What every chunk and the whole response have in common.
#[derive(Debug, Clone)]
pub struct Identity {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) version: String,
    pub(super) prompt_tokens: usize,
    pub(super) include_usage: bool,
    pub(super) lifecycle: Option<serde_json::Value>,
}

/// How an answer is put into words of the protocol. Implemented by [`Chat`] and [`Completion`].
pub trait Shape: sealed::Sealed + Send {
    /// A piece of the answer.
    type Chunk: Send;
    /// The whole answer.
    type Response: Send;

    /// Text that the answer begins with and that was not generated.
    #[doc(hidden)]
    fn echo(&self) -> &str {
        ""
    }
    /// What comes before any generated text.
    #[doc(hidden)]
    fn first(&self, identity: &Identity) -> Option<Self::Chunk>;
    /// New text, behind `shown` characters that earlier chunks have shown.
    #[doc(hidden)]
    fn piece(&self, identity: &Identity, piece: &Piece, shown: usize) -> Self::Chunk;
    #[doc(hidden)]
    fn last(&self, identity: &Identity, reason: FinishReason) -> Self::Chunk;
    #[doc(hidden)]
    fn usage(&self, identity: &Identity, usage: Usage) -> Self::Chunk;
    #[doc(hidden)]
    fn whole(&self, identity: &Identity, whole: &Piece, reason: FinishReason, usage: Usage)
    -> Self::Response;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Chat {}
    impl Sealed for super::Completion {}
}

/// Chat completions.
#[derive(Debug)]
pub struct Chat {
    /// To name the tokens of log-probabilities; `None` when those are not wanted.
    pub(super) logprobs: Option<Arc<Tokenizer>>,
}

impl Chat {
    fn chunk(&self, identity: &Identity, choices: Vec<ChatChunkChoice>, usage: Option<Usage>) -> ChatChunk {
        ChatChunk {
            id: identity.id.clone(),
            object: ChatChunkObject::ChatCompletionChunk,
            created: identity.created,
            model: identity.version.clone(),
            choices,
            usage: identity.include_usage.then_some(usage),
            x_lifecycle: None,
        }
    }

    fn delta(
        &self,
        identity: &Identity,
        delta: ChatDelta,
        logprobs: Option<ChatLogprobs>,
        finish_reason: Option<FinishReason>,
    ) -> ChatChunk {
        self.chunk(identity, vec![ChatChunkChoice { index: 0, delta, logprobs, finish_reason }], None)
    }

    fn logprobs(&self, tokens: &[SampledToken]) -> Option<ChatLogprobs> {
        let tokenizer = self.logprobs.as_ref()?;
        let content = tokens
            .iter()
            .map(|sampled| {
                let (token, bytes) = token_text(tokenizer, sampled.id);
                let top = sampled.top.iter().map(|&(id, logprob)| {
                    let (token, bytes) = token_text(tokenizer, id);
                    TopLogprob { token, logprob, bytes }
                });
                let logprob = sampled.logprob.unwrap_or(f32::NEG_INFINITY);
                TokenLogprob { token, logprob, bytes, top_logprobs: top.collect() }
            })
            .collect();
        Some(ChatLogprobs { content, refusal: None })
    }
}

impl Shape for Chat {
    type Chunk = ChatChunk;
    type Response = ChatResponse;

    fn first(&self, identity: &Identity) -> Option<ChatChunk> {
        let delta = ChatDelta { role: Some(Role::Assistant), content: Some(String::new()) };
        Some(self.delta(identity, delta, None, None))
    }

    fn piece(&self, identity: &Identity, piece: &Piece, _shown: usize) -> ChatChunk {
        let delta = ChatDelta { role: None, content: Some(piece.text.clone()) };
        self.delta(identity, delta, self.logprobs(&piece.tokens), None)
    }

    fn last(&self, identity: &Identity, reason: FinishReason) -> ChatChunk {
        let last = self.delta(identity, ChatDelta::default(), None, Some(reason));
        ChatChunk { x_lifecycle: identity.lifecycle.clone(), ..last }
    }

    fn usage(&self, identity: &Identity, usage: Usage) -> ChatChunk {
        self.chunk(identity, Vec::new(), Some(usage))
    }

    fn whole(&self, identity: &Identity, whole: &Piece, reason: FinishReason, usage: Usage) -> ChatResponse {
        ChatResponse {
            id: identity.id.clone(),
            object: ChatResponseObject::ChatCompletion,
            created: identity.created,
            model: identity.version.clone(),
            choices: vec![ChatChoice {
                index: 0,
                message: ResponseMessage::assistant(whole.text.clone()),
                logprobs: self.logprobs(&whole.tokens),
                finish_reason: reason,
            }],
            usage,
            x_lifecycle: identity.lifecycle.clone(),
        }
    }
}

/// Text completions.
#[derive(Debug)]
pub struct Completion {
    /// To name the tokens of log-probabilities; `None` when those are not wanted.
    pub(super) logprobs: Option<Arc<Tokenizer>>,
    /// The prompt's text, when the answer begins with it.
    pub(super) echo: Option<String>,
}

impl Completion {
    fn chunk(
        &self,
        identity: &Identity,
        choices: Vec<CompletionChunkChoice>,
        usage: Option<Usage>,
    ) -> CompletionChunk {
        CompletionChunk {
            id: identity.id.clone(),
            object: CompletionObject::TextCompletion,
            created: identity.created,
            model: identity.version.clone(),
            choices,
            usage: identity.include_usage.then_some(usage),
            x_lifecycle: None,
        }
    }

    fn text(
        &self,
        identity: &Identity,
        text: String,
        logprobs: Option<CompletionLogprobs>,
        finish_reason: Option<FinishReason>,
    ) -> CompletionChunk {
        self.chunk(identity, vec![CompletionChunkChoice { text, index: 0, logprobs, finish_reason }], None)
    }

    /// The log-probabilities of tokens whose text begins at character `offset` of the answer.
    fn logprobs(&self, tokens: &[SampledToken], mut offset: u64) -> Option<CompletionLogprobs> {
        let tokenizer = self.logprobs.as_ref()?;
        let mut logprobs = CompletionLogprobs::default();
        for sampled in tokens {
            let (token, _) = token_text(tokenizer, sampled.id);
            logprobs.text_offset.push(offset);
            offset += token.chars().count() as u64;
            logprobs.tokens.push(token);
            logprobs.token_logprobs.push(sampled.logprob);
            let top = sampled.top.iter().map(|&(id, logprob)| (token_text(tokenizer, id).0, logprob));
            logprobs.top_logprobs.push(Some(TopLogprobs(top.collect())));
        }
        Some(logprobs)
    }
}

impl Shape for Completion {
    type Chunk = CompletionChunk;
    type Response = CompletionResponse;

    fn echo(&self) -> &str {
        self.echo.as_deref().unwrap_or_default()
    }

    fn first(&self, identity: &Identity) -> Option<CompletionChunk> {
        Some(self.text(identity, self.echo.clone()?, None, None))
    }

    fn piece(&self, identity: &Identity, piece: &Piece, shown: usize) -> CompletionChunk {
        let logprobs = self.logprobs(&piece.tokens, shown as u64);
        self.text(identity, piece.text.clone(), logprobs, None)
    }

    fn last(&self, identity: &Identity, reason: FinishReason) -> CompletionChunk {
        let last = self.text(identity, String::new(), None, Some(reason));
        CompletionChunk { x_lifecycle: identity.lifecycle.clone(), ..last }
    }

    fn usage(&self, identity: &Identity, usage: Usage) -> CompletionChunk {
        self.chunk(identity, Vec::new(), Some(usage))
    }

    fn whole(
        &self,
        identity: &Identity,
        whole: &Piece,
        reason: FinishReason,
        usage: Usage,
    ) -> CompletionResponse {
        CompletionResponse {
            id: identity.id.clone(),
            object: CompletionObject::TextCompletion,
            created: identity.created,
            model: identity.version.clone(),
            choices: vec![CompletionChoice {
                text: format!("{}{}", self.echo(), whole.text),
                index: 0,
                logprobs: self.logprobs(&whole.tokens, self.echo().chars().count() as u64),
                finish_reason: reason,
            }],
            usage,
            x_lifecycle: identity.lifecycle.clone(),
        }
    }
}

/// A token as text, and its bytes where it has any (a special token has none).
fn token_text(tokenizer: &Tokenizer, id: u32) -> (String, Option<Vec<u8>>) {
    match tokenizer.token_bytes(id) {
        Some(bytes) => (String::from_utf8_lossy(&bytes).into_owned(), Some(bytes)),
        None => (tokenizer.id_to_token(id).unwrap_or_default(), None),
    }
}

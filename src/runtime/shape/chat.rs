//! Answers of the chat shape.

use std::sync::Arc;

use super::super::answer::{New, Piece, Whole};
use super::{Identity, Shape, token_text};
use crate::chat;
use crate::engine::SampledToken;
use crate::protocol::{
    ChatChoice, ChatChunk, ChatChunkChoice, ChatChunkObject, ChatDelta, ChatLogprobs, ChatResponse,
    ChatResponseObject, FinishReason, FunctionCallDelta, ResponseMessage, Role, TokenLogprob, ToolCallDelta,
    TopLogprob, Usage,
};
use crate::tokenizer::Tokenizer;

/// Chat completions.
#[derive(Debug)]
pub struct Chat {
    /// To name the tokens of log-probabilities; `None` when those are not wanted.
    pub(in crate::runtime) logprobs: Option<Arc<Tokenizer>>,
    /// Whether the model classifies conversations.
    pub(in crate::runtime) classifies: bool,
    /// Calls of each choice so far.
    pub(in crate::runtime) calls: Vec<u32>,
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
        choice: usize,
        delta: ChatDelta,
        logprobs: Option<ChatLogprobs>,
        finish_reason: Option<FinishReason>,
    ) -> ChatChunk {
        let index = choice as u32;
        self.chunk(identity, vec![ChatChunkChoice { index, delta, logprobs, finish_reason }], None)
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

    /// The number of the choice's last call, after another one if one `begins`.
    fn call(&mut self, choice: usize, begins: bool) -> u32 {
        let Some(calls) = self.calls.get_mut(choice) else { return 0 };
        *calls += u32::from(begins);
        calls.saturating_sub(1)
    }

    fn message(&self, whole: Whole) -> ResponseMessage {
        let x_classification = self.classifies.then(|| chat::classification(&whole.text)).flatten();
        let silent = whole.text.is_empty() && !whole.calls.is_empty();
        ResponseMessage {
            role: Role::Assistant,
            content: (!silent).then_some(whole.text),
            refusal: None,
            reasoning_content: Some(whole.reasoning).filter(|reasoning| !reasoning.is_empty()),
            tool_calls: whole.calls,
            x_classification,
        }
    }
}

impl Shape for Chat {
    type Chunk = ChatChunk;
    type Response = ChatResponse;

    fn first(&self, identity: &Identity, choice: usize) -> Option<ChatChunk> {
        let delta =
            ChatDelta { role: Some(Role::Assistant), content: Some(String::new()), ..ChatDelta::default() };
        Some(self.delta(identity, choice, delta, None, None))
    }

    fn piece(&mut self, identity: &Identity, piece: &Piece) -> ChatChunk {
        let empty = ChatDelta::default();
        let delta = match &piece.new {
            New::Text(text) => ChatDelta { content: Some(text.clone()), ..empty },
            New::Reasoning(text) => ChatDelta { reasoning_content: Some(text.clone()), ..empty },
            New::Call(call) => {
                let (name, arguments) = (Some(call.function.name.clone()), call.function.arguments.clone());
                let begins = ToolCallDelta {
                    index: self.call(piece.choice, true),
                    id: Some(call.id.clone()),
                    kind: Some(call.kind),
                    function: FunctionCallDelta { name, arguments },
                };
                ChatDelta { tool_calls: vec![begins], ..empty }
            }
            New::Arguments(text) => {
                let more = ToolCallDelta {
                    index: self.call(piece.choice, false),
                    function: FunctionCallDelta { name: None, arguments: text.clone() },
                    ..ToolCallDelta::default()
                };
                ChatDelta { tool_calls: vec![more], ..empty }
            }
        };
        self.delta(identity, piece.choice, delta, self.logprobs(&piece.tokens), None)
    }

    fn last(&self, identity: &Identity, choice: usize, reason: FinishReason, is_last: bool) -> ChatChunk {
        let last = self.delta(identity, choice, ChatDelta::default(), None, Some(reason));
        ChatChunk { x_lifecycle: identity.lifecycle.clone().filter(|_| is_last), ..last }
    }

    fn usage(&self, identity: &Identity, usage: Usage) -> ChatChunk {
        self.chunk(identity, Vec::new(), Some(usage))
    }

    fn whole(
        &self,
        identity: &Identity,
        choices: Vec<Whole>,
        reasons: &[FinishReason],
        usage: Usage,
    ) -> ChatResponse {
        let choice = |(index, (mut whole, reason)): (usize, (Whole, &FinishReason))| {
            let logprobs = self.logprobs(&std::mem::take(&mut whole.tokens));
            ChatChoice { index: index as u32, message: self.message(whole), logprobs, finish_reason: *reason }
        };
        ChatResponse {
            id: identity.id.clone(),
            object: ChatResponseObject::ChatCompletion,
            created: identity.created,
            model: identity.version.clone(),
            choices: choices.into_iter().zip(reasons).enumerate().map(choice).collect(),
            usage,
            x_lifecycle: identity.lifecycle.clone(),
        }
    }
}

//! Answers of the completion shape.

use std::sync::Arc;

use super::super::answer::{New, Piece, Whole};
use super::{Identity, Shape, token_text};
use crate::engine::SampledToken;
use crate::protocol::{
    CompletionChoice, CompletionChunk, CompletionChunkChoice, CompletionLogprobs, CompletionObject,
    CompletionResponse, FinishReason, TopLogprobs, Usage,
};
use crate::tokenizer::{StreamDecoder, Tokenizer};

/// Text completions.
#[derive(Debug)]
pub struct Completion {
    /// To name the tokens of log-probabilities; `None` when those are not wanted.
    pub(in crate::runtime) logprobs: Option<Arc<Tokenizer>>,
    /// Characters of each choice that chunks have shown.
    pub(in crate::runtime) shown: Vec<u64>,
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
        choice: usize,
        text: String,
        logprobs: Option<CompletionLogprobs>,
        finish_reason: Option<FinishReason>,
    ) -> CompletionChunk {
        let index = choice as u32;
        self.chunk(identity, vec![CompletionChunkChoice { text, index, logprobs, finish_reason }], None)
    }

    /// Appends the log-probabilities of tokens whose text begins at character `offset` of the answer.
    fn add_logprobs(&self, tokens: &[SampledToken], mut offset: u64, logprobs: &mut CompletionLogprobs) {
        let Some(tokenizer) = &self.logprobs else { return };
        // At its beginning a text is decoded otherwise than in its middle: a leading space may not count.
        let mut decoder = (offset == 0).then(|| StreamDecoder::new(Arc::clone(tokenizer), true));
        for sampled in tokens {
            let (token, bytes) = token_text(tokenizer, sampled.id);
            logprobs.text_offset.push(offset);
            offset += match &mut decoder {
                Some(decoder) => {
                    let text = decoder.push(sampled.id).ok().flatten().unwrap_or_default();
                    text.chars().count() as u64
                }
                // A token that stands for no text takes no place in it.
                None => bytes.map_or(0, |_| token.chars().count() as u64),
            };
            logprobs.tokens.push(token);
            logprobs.token_logprobs.push(sampled.logprob);
            let top = sampled.top.iter().map(|&(id, logprob)| (token_text(tokenizer, id).0, logprob));
            logprobs.top_logprobs.push(sampled.logprob.map(|_| TopLogprobs(top.collect())));
        }
    }
}

impl Completion {
    /// The log-probabilities of a whole choice.
    fn logprobs_of(&self, whole: &Whole) -> CompletionLogprobs {
        let mut logprobs = CompletionLogprobs::default();
        let ends = whole.places.iter().skip(1).map(|(token, _)| *token).chain([whole.tokens.len()]);
        for ((first, characters), end) in whole.places.iter().zip(ends) {
            let tokens = whole.tokens.get(*first..end).unwrap_or_default();
            self.add_logprobs(tokens, *characters as u64, &mut logprobs);
        }
        logprobs
    }
}

/// What is new as text: completions have no reasoning and no calls of their own.
fn text(new: &New) -> &str {
    match new {
        New::Text(text) | New::Reasoning(text) | New::Arguments(text) => text,
        New::Call(_) => "",
    }
}

impl Shape for Completion {
    type Chunk = CompletionChunk;
    type Response = CompletionResponse;

    fn first(&self, _: &Identity, _: usize) -> Option<CompletionChunk> {
        None
    }

    fn piece(&mut self, identity: &Identity, piece: &Piece) -> CompletionChunk {
        let text = text(&piece.new).to_owned();
        let shown = self.shown.get_mut(piece.choice);
        let offset = shown.as_deref().copied().unwrap_or_default();
        if let Some(shown) = shown {
            *shown += text.chars().count() as u64;
        }
        let logprobs = self.logprobs.is_some().then(|| {
            let mut logprobs = CompletionLogprobs::default();
            self.add_logprobs(&piece.tokens, offset, &mut logprobs);
            logprobs
        });
        self.text(identity, piece.choice, text, logprobs, None)
    }

    fn last(
        &self,
        identity: &Identity,
        choice: usize,
        reason: FinishReason,
        is_last: bool,
    ) -> CompletionChunk {
        let last = self.text(identity, choice, String::new(), None, Some(reason));
        CompletionChunk { x_lifecycle: identity.lifecycle.clone().filter(|_| is_last), ..last }
    }

    fn usage(&self, identity: &Identity, usage: Usage) -> CompletionChunk {
        self.chunk(identity, Vec::new(), Some(usage))
    }

    fn whole(
        &self,
        identity: &Identity,
        choices: Vec<Whole>,
        reasons: &[FinishReason],
        usage: Usage,
    ) -> CompletionResponse {
        let choice = |(index, (whole, reason)): (usize, (Whole, &FinishReason))| CompletionChoice {
            index: index as u32,
            logprobs: self.logprobs.is_some().then(|| self.logprobs_of(&whole)),
            text: whole.text,
            finish_reason: *reason,
        };
        CompletionResponse {
            id: identity.id.clone(),
            object: CompletionObject::TextCompletion,
            created: identity.created,
            model: identity.version.clone(),
            choices: choices.into_iter().zip(reasons).enumerate().map(choice).collect(),
            usage,
            x_lifecycle: identity.lifecycle.clone(),
        }
    }
}

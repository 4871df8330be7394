//! One generation, whichever way it is asked for.

use std::io;
use std::time::{Duration, Instant};

use model_runtime::protocol::{
    ChatChunk, ChatMessage, ChatRequest, CompletionChunk, CompletionRequest, FinishReason, GenerationOptions,
    StreamOptions, Usage,
};
use model_runtime::runtime::{ResponseStream, Shape};

use super::arguments::Arguments;
use super::common::Failure;
use super::load::{ENDPOINT, Model};

/// What to generate from.
#[derive(Debug, Clone)]
pub(crate) enum Prompt {
    /// Text to continue.
    Text(String),
    /// Messages to answer.
    Messages(Vec<ChatMessage>),
}

impl Prompt {
    /// What the command line asks for, or something to start with.
    pub(crate) fn of(arguments: &Arguments, has_template: bool) -> Self {
        if !has_template {
            return Self::Text(arguments.prompt.clone().unwrap_or_else(|| "Once upon a time".into()));
        }
        let mut messages: Vec<ChatMessage> = arguments.system.iter().map(ChatMessage::system).collect();
        let prompt = arguments.prompt.as_deref().unwrap_or("Tell me a short story.");
        messages.push(ChatMessage::user(prompt));
        Self::Messages(messages)
    }

    /// The text that the answer continues, if it does.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Messages(_) => None,
        }
    }
}

/// A finished generation.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) seed: u64,
    pub(crate) text: String,
    pub(crate) version: String,
    pub(crate) finish_reason: Option<FinishReason>,
    pub(crate) usage: Usage,
    pub(crate) started: Instant,
    pub(crate) first_token: Duration,
    pub(crate) total: Duration,
}

impl Generation {
    /// Tokens per second after the first, which is the prompt's.
    pub(crate) fn decode_rate(&self) -> Option<f64> {
        let tokens = self.usage.completion_tokens.checked_sub(1).filter(|&n| n > 0)?;
        Some(tokens as f64 / self.total.saturating_sub(self.first_token).as_secs_f64())
    }
}

/// What chat and completion chunks have in common.
struct Piece {
    text: Option<String>,
    finish_reason: Option<FinishReason>,
    version: String,
    usage: Option<Usage>,
}

impl From<ChatChunk> for Piece {
    fn from(chunk: ChatChunk) -> Self {
        let choice = chunk.choices.into_iter().next();
        let (text, finish_reason) = choice.map_or((None, None), |c| (c.delta.content, c.finish_reason));
        Self { text, finish_reason, version: chunk.model, usage: chunk.usage.flatten() }
    }
}

impl From<CompletionChunk> for Piece {
    fn from(chunk: CompletionChunk) -> Self {
        let choice = chunk.choices.into_iter().next();
        let (text, finish_reason) = choice.map_or((None, None), |c| (Some(c.text), c.finish_reason));
        Self { text, finish_reason, version: chunk.model, usage: chunk.usage.flatten() }
    }
}

/// Generates and hands every piece of text to `show` as it comes.
pub(crate) fn run(
    model: &Model,
    arguments: &Arguments,
    prompt: &Prompt,
    seed: u64,
    show: impl FnMut(&str) -> io::Result<()>,
) -> Result<Generation, Failure> {
    let options = GenerationOptions {
        max_tokens: arguments.max_tokens,
        temperature: Some(arguments.temperature),
        seed: Some(seed),
        stream: true,
        stream_options: Some(StreamOptions { include_usage: true }),
        ..GenerationOptions::default()
    };
    match prompt {
        Prompt::Messages(messages) => {
            let mut request = ChatRequest::new(ENDPOINT, messages.clone());
            request.options = options;
            collect(seed, Instant::now(), model.runtime.chat_stream(request)?, show)
        }
        Prompt::Text(text) => {
            let mut request = CompletionRequest::new(ENDPOINT, text.as_str());
            request.options = options;
            collect(seed, Instant::now(), model.runtime.complete_stream(request)?, show)
        }
    }
}

fn collect<S: Shape>(
    seed: u64,
    started: Instant,
    mut stream: ResponseStream<S>,
    mut show: impl FnMut(&str) -> io::Result<()>,
) -> Result<Generation, Failure>
where
    Piece: From<S::Chunk>,
{
    let (mut text, mut version) = (String::new(), stream.version().to_owned());
    let (mut finish_reason, mut usage) = (None, Usage::default());
    for chunk in stream.by_ref() {
        let piece = Piece::from(chunk?);
        if let Some(new) = piece.text.filter(|new| !new.is_empty()) {
            show(&new)?;
            text.push_str(&new);
        }
        version = piece.version;
        finish_reason = piece.finish_reason.or(finish_reason);
        usage = piece.usage.unwrap_or(usage);
    }
    // The engine's own times: a piece of text may be several tokens, and the first token may have none.
    let timings = stream.timings().ok_or("the answer has no timings")?;
    let first_token = timings.time_to_first_token.unwrap_or(timings.total);
    Ok(Generation { seed, text, version, finish_reason, usage, started, first_token, total: timings.total })
}

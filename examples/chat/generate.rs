//! One generation, whichever way it is asked for.

use std::io;
use std::time::{Duration, Instant};

use model_runtime::protocol::{
    ChatMessage, ChatRequest, CompletionRequest, FinishReason, GenerationOptions, StreamOptions, Usage,
};

use super::Failure;
use super::arguments::Arguments;
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

/// Generates and hands every piece of text to `show` as it comes.
pub(crate) fn run(
    model: &Model,
    arguments: &Arguments,
    prompt: &Prompt,
    seed: u64,
    mut show: impl FnMut(&str) -> io::Result<()>,
) -> Result<Generation, Failure> {
    let started = Instant::now();
    let mut generation = Generation {
        seed,
        text: String::new(),
        version: String::new(),
        finish_reason: None,
        usage: Usage::default(),
        started,
        first_token: Duration::ZERO,
        total: Duration::ZERO,
    };
    for piece in pieces(model, arguments, prompt, seed)? {
        let piece = piece?;
        if let Some(text) = piece.text.filter(|text| !text.is_empty()) {
            if generation.text.is_empty() {
                generation.first_token = started.elapsed();
            }
            show(&text)?;
            generation.text.push_str(&text);
        }
        generation.version = piece.version;
        generation.finish_reason = piece.finish_reason.or(generation.finish_reason);
        generation.usage = piece.usage.unwrap_or(generation.usage);
    }
    generation.total = started.elapsed();
    Ok(generation)
}

type Pieces = Box<dyn Iterator<Item = model_runtime::Result<Piece>>>;

fn pieces(model: &Model, arguments: &Arguments, prompt: &Prompt, seed: u64) -> model_runtime::Result<Pieces> {
    let options = GenerationOptions {
        max_tokens: Some(arguments.max_tokens),
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
            let stream = model.runtime.chat_stream(request)?;
            Ok(Box::new(stream.map(|chunk| {
                let chunk = chunk?;
                let choice = chunk.choices.into_iter().next();
                let (text, finish_reason) =
                    choice.map_or((None, None), |c| (c.delta.content, c.finish_reason));
                Ok(Piece { text, finish_reason, version: chunk.model, usage: chunk.usage.flatten() })
            })))
        }
        Prompt::Text(text) => {
            let mut request = CompletionRequest::new(ENDPOINT, text.as_str());
            request.options = options;
            let stream = model.runtime.complete_stream(request)?;
            Ok(Box::new(stream.map(|chunk| {
                let chunk = chunk?;
                let choice = chunk.choices.into_iter().next();
                let (text, finish_reason) = choice.map_or((None, None), |c| (Some(c.text), c.finish_reason));
                Ok(Piece { text, finish_reason, version: chunk.model, usage: chunk.usage.flatten() })
            })))
        }
    }
}

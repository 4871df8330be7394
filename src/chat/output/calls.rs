//! Tool calls in an answer, whatever their notation.

use super::deepseek::DeepSeekCalls;
use super::event::Event;
use super::generic::GenericCalls;
use super::llama::LlamaCalls;
use super::mistral::MistralCalls;
use super::tools::Tools;
use crate::chat::tool_format::ToolFormat;

/// Reads the part of an answer that may have calls, character by character: so it cannot matter how it is split.
#[derive(Debug)]
pub(super) enum Calls {
    /// No tools are offered: all is text.
    None,
    Llama(LlamaCalls),
    Mistral(MistralCalls),
    DeepSeek(DeepSeekCalls),
    Generic(GenericCalls),
}

impl Calls {
    /// `spelled`: as [`OutputOptions::spelled_markers`](super::OutputOptions::spelled_markers).
    pub(super) fn new(format: ToolFormat, tools: Vec<String>, spelled: bool) -> Self {
        if tools.is_empty() {
            return Self::None;
        }
        let tools = Tools::new(tools);
        match format {
            ToolFormat::Llama => Self::Llama(LlamaCalls::new(tools, spelled)),
            ToolFormat::Mistral => Self::Mistral(MistralCalls::new(tools, spelled)),
            ToolFormat::DeepSeek => Self::DeepSeek(DeepSeekCalls::new(tools, spelled)),
            ToolFormat::Generic => Self::Generic(GenericCalls::new(tools)),
        }
    }

    pub(super) fn text(&mut self, piece: &str, out: &mut Vec<Event>) {
        match self {
            Self::None => Event::text(piece, out),
            Self::Llama(calls) => piece.chars().for_each(|next| calls.push(next, out)),
            Self::Mistral(calls) => piece.chars().for_each(|next| calls.push(next, out)),
            Self::DeepSeek(calls) => piece.chars().for_each(|next| calls.push(next, out)),
            Self::Generic(calls) => piece.chars().for_each(|next| calls.push(next, out)),
        }
    }

    pub(super) fn marker(&mut self, token: &str, out: &mut Vec<Event>) {
        match self {
            Self::None => Event::text(token, out),
            Self::Llama(calls) => calls.marker(token, out),
            Self::Mistral(calls) => calls.marker(token, out),
            Self::DeepSeek(calls) => calls.marker(token, out),
            Self::Generic(calls) => calls.marker(token, out),
        }
    }

    pub(super) fn finish(&mut self, out: &mut Vec<Event>) {
        match self {
            Self::None => {}
            Self::Llama(calls) => calls.finish(out),
            Self::Mistral(calls) => calls.finish(out),
            Self::DeepSeek(calls) => calls.finish(out),
            Self::Generic(calls) => calls.finish(out),
        }
    }
}

//! Answers: what a model writes, split into text, reasoning and tool calls while it comes.
//!
//! Nothing is lost: what is no reasoning and no call of a tool on offer comes out as text, as the model wrote it. A call
//! that is cut off or damaged before its name is known is text, too; one that is cut off later has the arguments that
//! came. Only as much is held back as may still turn out to be the beginning of something else.
//!
//! White space that is dropped: line breaks right behind `<think>` and `</think>` and all white space before `<think>`; white
//! space between two calls, between the beginning of the answer and a call, and between a call and the end.

mod calls;
mod deepseek;
mod event;
mod generic;
mod json;
mod llama;
mod mistral;
mod object;
mod outside;
mod reasoning;
mod tag;
mod tools;

use self::calls::Calls;
use self::reasoning::ReasoningSplit;
use super::dialect::Dialect;

pub use self::event::Event;

/// What of the request decides how an answer is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputOptions {
    /// The names of the tools that are offered. Without any, an answer has no calls.
    pub tools: Vec<String>,
    /// Whether the prompt ends within the reasoning ([`Dialect::prompt_opens_reasoning`]).
    pub reasoning_open: bool,
    /// Whether the vocabulary lacks the marker that begins calls (the first of
    /// [`ToolFormat::markers`](super::ToolFormat::markers)), so that the model has to spell it in plain text. Where the
    /// vocabulary has it, the same characters in text are text. The tags of [`ToolFormat::Generic`](super::ToolFormat::Generic)
    /// and of reasoning are always recognised in text.
    pub spelled_markers: bool,
}

/// Reads an answer piece by piece. How it is split into pieces changes nothing.
#[derive(Debug)]
pub struct OutputParser {
    reasoning: ReasoningSplit,
    calls: Calls,
}

impl OutputParser {
    /// A parser at the beginning of an answer.
    pub fn new(dialect: &Dialect, options: OutputOptions) -> Self {
        let OutputOptions { tools, reasoning_open, spelled_markers } = options;
        Self {
            reasoning: ReasoningSplit::new(dialect.reasons(), reasoning_open),
            calls: Calls::new(dialect.tool_format(), tools, spelled_markers),
        }
    }

    /// Takes the next piece of ordinary text.
    pub fn text(&mut self, piece: &str, out: &mut Vec<Event>) {
        let mut answer = String::new();
        for next in piece.chars() {
            self.reasoning.push(next, &mut answer, out);
        }
        self.calls.text(&answer, out);
    }

    /// Takes a token of [`Dialect::markers`], as the vocabulary spells it. One that means nothing where it stands is text.
    pub fn marker(&mut self, token: &str, out: &mut Vec<Event>) {
        let mut answer = String::new();
        let taken = self.reasoning.marker(token, &mut answer, out);
        self.calls.text(&answer, out);
        if !taken {
            self.calls.marker(token, out);
        }
    }

    /// The end of the answer: what was held back comes out. Nothing may follow.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        let mut answer = String::new();
        self.reasoning.finish(&mut answer, out);
        self.calls.text(&answer, out);
        self.calls.finish(out);
    }

    /// Whether the answer is within the reasoning now.
    pub fn reasoning(&self) -> bool {
        self.reasoning.inside()
    }
}

#[cfg(test)]
mod tests;

//! One choice on the engine's side: tokens become text, reasoning and calls, and what the next token may be is told.

use std::sync::Arc;

use super::adapters::LoadedAdapter;
use super::answer::{New, Piece};
use super::constraint::Constraint;
use super::generation::GenerationEntity;
use super::group::{Ended, Group};
use super::stop::StopMatcher;
use crate::chat::{Event, OutputParser};
use crate::engine::{Allowed, Flow, Outcome, SampledToken, Sink};
use crate::error::{ErrorKind, Result};
use crate::protocol::{FinishReason, ToolCall};
use crate::tokenizer::StreamDecoder;

/// What a choice is made of, besides the group that it belongs to.
pub(super) struct Outline {
    /// Its number in the answer.
    pub(super) choice: usize,
    /// The prompt's text, where the answer begins with it. With log-probabilities it waits for those of the prompt.
    pub(super) echo: Option<String>,
    /// Ends the text, whatever was generated.
    pub(super) suffix: Option<String>,
    pub(super) stops: Vec<String>,
    /// Whether the tokens are kept for their log-probabilities.
    pub(super) logprobs: bool,
    /// The tokens of the prompt, where theirs are wanted too.
    pub(super) scored_prompt: Option<Vec<u32>>,
    /// Reads reasoning and calls; without it all is text.
    pub(super) parser: Option<OutputParser>,
    /// Tokens that mean something to it by themselves.
    pub(super) markers: Vec<(u32, &'static str)>,
    pub(super) constraint: Option<Constraint>,
    /// Whether an answer that runs out of time is given as far as it came.
    pub(super) truncate: bool,
    /// The choices that begin when the prompt is computed.
    pub(super) followers: Option<Box<dyn FnOnce() + Send>>,
    pub(super) leads: bool,
    /// What the request is computed with, held until its end.
    pub(super) adapter: Option<Arc<LoadedAdapter>>,
    /// Names its calls.
    pub(super) call_ids: CallIds,
}

/// The names of a choice's calls.
#[derive(Clone)]
pub(super) struct CallIds {
    /// Different for every choice of every request.
    pub(super) seed: u64,
    /// Whether they are nine letters and digits, as Mistral's templates want them.
    pub(super) short: bool,
}

impl CallIds {
    fn id(&self, index: usize) -> String {
        // SplitMix64's finalizer: neighbours look unrelated.
        let mixed = (self.seed ^ index as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let hex = format!("{:016x}", mixed ^ (mixed >> 31));
        if self.short { hex[..9].to_owned() } else { format!("call_{hex}{index:08x}") }
    }
}

/// The engine's side of one choice.
pub(super) struct TextSink {
    group: Arc<Group>,
    decoder: StreamDecoder,
    stops: StopMatcher,
    outline: Outline,
    events: Vec<Event>,
    /// Tokens whose text is still held back.
    held: Vec<SampledToken>,
    calls: usize,
    ids: Vec<u32>,
    reasoning_tokens: usize,
    stopped: bool,
}

impl TextSink {
    pub(super) fn new(group: Arc<Group>, entity: &GenerationEntity, mut outline: Outline) -> Self {
        let mut sink = Self {
            group,
            decoder: StreamDecoder::new(Arc::clone(entity.tokenizer()), true),
            stops: StopMatcher::new(std::mem::take(&mut outline.stops)),
            outline,
            events: Vec::new(),
            held: Vec::new(),
            calls: 0,
            ids: Vec::new(),
            reasoning_tokens: 0,
            stopped: false,
        };
        match &sink.outline.scored_prompt {
            // The first token of a prompt follows nothing.
            Some(prompt) => {
                sink.held.extend(prompt.first().map(|&id| SampledToken {
                    id,
                    logprob: None,
                    top: Vec::new(),
                }));
            }
            None => sink.show_prompt(),
        }
        sink
    }

    /// Lets others begin when the prompt is computed.
    pub(super) fn lead(&mut self, followers: Box<dyn FnOnce() + Send>) {
        self.outline.followers = Some(followers);
    }

    /// Shows the prompt, where the answer begins with it.
    fn show_prompt(&mut self) {
        if let Some(text) = self.outline.echo.take() {
            self.publish(New::Text(text));
        }
    }

    /// Shows what is new, together with the tokens that became part of it.
    fn publish(&mut self, new: New) {
        let (choice, tokens) = (self.outline.choice, std::mem::take(&mut self.held));
        self.group.answer().push(Piece { choice, new, tokens });
    }

    /// Whether the answer is within the reasoning.
    fn reasons(&self) -> bool {
        self.outline.parser.as_ref().is_some_and(OutputParser::reasoning)
    }

    /// Takes a token's text, or the token itself where it means something by itself.
    fn read(&mut self, token: u32) {
        let marker = self.outline.markers.iter().find(|(id, _)| *id == token).map(|(_, spelling)| *spelling);
        match (marker, &mut self.outline.parser) {
            (Some(spelling), Some(parser)) => {
                // What stands before it is complete.
                let before = self.decoder.finish().ok().flatten().unwrap_or_default();
                parser.text(&before, &mut self.events);
                parser.marker(spelling, &mut self.events);
            }
            (_, parser) => {
                // An id without a token is a row that pads the model's vocabulary: it has no text.
                let text = self.decoder.push(token).ok().flatten().unwrap_or_default();
                Self::split(parser, text, &mut self.events);
            }
        }
    }

    fn split(parser: &mut Option<OutputParser>, text: String, events: &mut Vec<Event>) {
        match parser {
            _ if text.is_empty() => {}
            Some(parser) => parser.text(&text, events),
            None => events.push(Event::Text(text)),
        }
    }

    /// Shows what was read, up to a stop string in the text.
    fn show(&mut self) {
        for event in std::mem::take(&mut self.events) {
            match event {
                Event::Text(text) => {
                    let passed = self.stops.push(&text);
                    if !passed.text.is_empty() {
                        self.publish(New::Text(passed.text));
                    }
                    if passed.stopped {
                        self.stopped = true;
                        return;
                    }
                }
                Event::Reasoning(text) => self.publish(New::Reasoning(text)),
                Event::Call { name } => {
                    // Stop strings do not reach across a call.
                    let text = self.stops.finish();
                    if !text.is_empty() {
                        self.publish(New::Text(text));
                    }
                    let id = self.outline.call_ids.id(self.calls);
                    self.calls += 1;
                    self.publish(New::Call(ToolCall::new(id, name, "")));
                }
                Event::Arguments(text) => self.publish(New::Arguments(text)),
            }
        }
    }

    /// Shows what was held back, when no more tokens come.
    fn complete(&mut self) {
        let last = self.decoder.finish().ok().flatten().unwrap_or_default();
        Self::split(&mut self.outline.parser, last, &mut self.events);
        if let Some(parser) = &mut self.outline.parser {
            parser.finish(&mut self.events);
        }
        self.show();
        if !self.stopped {
            let text = self.stops.finish();
            if !text.is_empty() || !self.held.is_empty() {
                self.publish(New::Text(text));
            }
        }
    }

    /// The choices that waited for the prompt begin.
    fn begin_followers(&mut self) {
        if let Some(begin) = self.outline.followers.take() {
            begin();
        }
    }
}

impl Sink for TextSink {
    fn prompt_token(&mut self, token: SampledToken) {
        self.held.push(token);
    }

    fn prepare(&mut self, drafts: &[u32]) {
        if !self.reasons()
            && let Some(constraint) = &mut self.outline.constraint
        {
            constraint.prepare(drafts);
        }
    }

    fn allowed(&mut self) -> Result<Allowed<'_>> {
        let (reasons, spent, first) = (self.reasons(), self.reasoning_tokens, self.ids.is_empty());
        let Some(constraint) = &mut self.outline.constraint else { return Ok(Allowed::Any) };
        if reasons { Ok(constraint.while_reasoning(spent)) } else { constraint.allowed(first) }
    }

    fn token(&mut self, token: SampledToken) -> Flow {
        self.begin_followers();
        if self.group.is_over() {
            return Flow::Cancel;
        }
        self.show_prompt();
        self.ids.push(token.id);
        let reasoned = self.reasons();
        self.read(token.id);
        let reasons = self.reasons();
        self.reasoning_tokens += usize::from(reasoned || reasons);
        let mut complete = false;
        if let Some(constraint) = &mut self.outline.constraint {
            match constraint.take(token.id, reasoned || reasons) {
                Ok(last) => complete = last,
                // It says so again when it is asked what may follow.
                Err(error) => tracing::debug!(%error, "a token that was allowed is refused"),
            }
        }
        if self.outline.logprobs {
            self.held.push(token);
        }
        self.show();
        if self.stopped || complete { Flow::Stop } else { Flow::Continue }
    }

    fn finish(mut self: Box<Self>, outcome: Outcome) {
        self.begin_followers();
        let late = |error: &crate::Error| error.kind() == ErrorKind::DeadlineExceeded;
        let result = match outcome.result {
            Err(error) if self.outline.truncate && late(&error) => Ok(crate::engine::FinishReason::Length),
            result => result,
        };
        let result = result.map(|reason| {
            self.show_prompt();
            if !self.stopped {
                self.complete();
            }
            if let Some(suffix) = self.outline.suffix.take().filter(|suffix| !suffix.is_empty()) {
                self.publish(New::Text(suffix));
            }
            match reason {
                crate::engine::FinishReason::Stop if self.calls > 0 => FinishReason::ToolCalls,
                crate::engine::FinishReason::Stop => FinishReason::Stop,
                crate::engine::FinishReason::Length => FinishReason::Length,
            }
        });
        // Before anybody hears of the end: by then its memory is given back.
        self.outline.adapter = None;
        let Self { group, outline, ids, reasoning_tokens, .. } = *self;
        let (Outline { choice, leads, .. }, tokens) = (outline, ids.len());
        group.answer().keep(choice, ids);
        let ended = Ended { result, tokens, reasoning_tokens, timings: Some(outcome.timings), leads };
        group.end(choice, ended);
    }
}

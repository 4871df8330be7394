//! What goes into the engine and what comes out of it.

use std::time::Duration;

use super::sampling::{SampledToken, SamplingParams};
use crate::backend::AdapterId;
use crate::error::Error;
use crate::fairness::CallerId;

/// Names a request within one engine; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// A generation to run: token ids in, token ids out.
#[derive(Debug, Clone)]
pub struct Request {
    /// The prompt's token ids; at least one.
    pub prompt: Vec<u32>,
    /// The adapter that all its tokens are computed with. The executor must have it until the request ends.
    pub adapter: AdapterId,
    /// The most tokens to generate; at least one.
    pub max_tokens: usize,
    /// Tokens that end the generation. The stop token itself is reported to nobody.
    pub stop_tokens: Vec<u32>,
    /// How each token is chosen.
    pub sampling: SamplingParams,
    /// Whose request it is: callers share the engine fairly.
    pub caller: CallerId,
    /// Higher runs first; 0 is normal.
    pub priority: i32,
    /// The most tokens that a step may guess ahead from what prompt and text have said before, at most
    /// [`MAX_DRAFT_TOKENS`](super::MAX_DRAFT_TOKENS); 0 is none. Right guesses come several in a step, wrong ones cost
    /// a row each; the tokens are the same.
    pub prompt_lookup_tokens: usize,
    /// When the answer is no longer wanted, in the clock's monotonic time.
    pub deadline: Option<Duration>,
    /// Whether the [`Sink`] is told the log-probabilities of the prompt's tokens, and of so many most likely ones beside
    /// each. All of the prompt is computed then: nothing that others have computed of it is used.
    pub prompt_logprobs: Option<u8>,
}

/// What the next token may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed<'a> {
    /// Any token.
    Any,
    /// The tokens of this bit set: token `t` is bit `t % 32` of word `t / 32`. What lies behind its end is not in it.
    Only(&'a [u32]),
    /// Not known yet. Whoever finds out calls [`Engine::waker`](super::Engine::waker)'s; the token is chosen then. Nobody else
    /// waits for it.
    Later,
}

/// What a [`Sink`] says to the engine after a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// The text is complete (a stop string was met): finish with [`FinishReason::Stop`].
    Stop,
    /// Nobody listens any more: finish as cancelled.
    Cancel,
}

/// Why a generation ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// A stop token or a stop string.
    Stop,
    /// `max_tokens` were generated.
    Length,
}

/// When things happened to a request, in the clock's monotonic time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// When the request was queued.
    pub submitted: Duration,
    /// When it first was part of a step.
    pub started: Option<Duration>,
    /// When its first token was sampled.
    pub first_token: Option<Duration>,
    /// When it ended.
    pub finished: Duration,
    /// Prompt tokens that others had computed before; what is found again after a preemption does not count.
    pub cached_tokens: usize,
    /// How often it was preempted and recomputed.
    pub preemptions: u32,
}

/// How a request ended.
#[derive(Debug)]
pub struct Outcome {
    /// The reason, or what went wrong (cancelled, deadline, an executor's error, shutdown).
    pub result: Result<FinishReason, Error>,
    /// When things happened.
    pub timings: Timings,
}

/// Receives a request's tokens on the engine's worker thread. It must return quickly and never block.
///
/// The engine calls [`token`](Self::token) once per generated token and [`finish`](Self::finish) exactly once,
/// whatever happens to the request.
pub trait Sink: Send {
    /// One generated token.
    fn token(&mut self, token: SampledToken) -> Flow;

    /// A token of the prompt from the second on, in order, if the request asked for
    /// [`prompt_logprobs`](Request::prompt_logprobs).
    fn prompt_token(&mut self, _token: SampledToken) {}

    /// A step is about to compute what may follow the tokens that were told, and what may follow each of `drafts`, should
    /// those turn out right: a hint for whoever limits tokens, who has the time of that step to find out what is allowed.
    fn prepare(&mut self, _drafts: &[u32]) {}

    /// What the token after those that were told may be. Asked before it is chosen, again after [`Allowed::Later`].
    ///
    /// # Errors
    /// What makes it impossible to go on: the request ends with it.
    fn allowed(&mut self) -> Result<Allowed<'_>, Error> {
        Ok(Allowed::Any)
    }

    /// The end.
    fn finish(self: Box<Self>, outcome: Outcome);
}

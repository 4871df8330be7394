//! One answer while it is made: the engine's worker writes it, the caller reads it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
#[cfg(feature = "async")]
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::adapters::LoadedAdapter;
use super::meter::{Meter, Used, phases};
use super::stop::StopMatcher;
use crate::engine::{FinishReason, Flow, Outcome, SampledToken, Sink, Timings};
use crate::error::{Error, ErrorKind, Result};
use crate::tokenizer::StreamDecoder;

/// Text that is new, with the tokens that became part of it.
#[derive(Debug, Clone, Default)]
pub struct Piece {
    pub(super) text: String,
    /// Empty unless log-probabilities were asked for.
    pub(super) tokens: Vec<SampledToken>,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) reason: FinishReason,
    /// Tokens generated, those of a stop string included.
    pub(super) tokens: usize,
    pub(super) timings: Timings,
}

/// What is there to read.
pub(super) enum Read {
    Pieces(VecDeque<Piece>),
    End(Result<End>),
    TimedOut,
}

#[derive(Debug, Default)]
struct State {
    unread: VecDeque<Piece>,
    whole: Piece,
    end: Option<Result<End>>,
    waker: Option<Waker>,
}

/// An answer that grows.
#[derive(Debug, Default)]
pub(super) struct Answer {
    state: Mutex<State>,
    changed: Condvar,
}

impl Answer {
    fn update(&self, change: impl FnOnce(&mut State)) {
        let waker = {
            let mut state = self.state.lock();
            change(&mut state);
            state.waker.take()
        };
        self.changed.notify_all();
        // Outside the lock: a waker may run the task that reads.
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn take(state: &mut State) -> Option<Read> {
        if !state.unread.is_empty() {
            return Some(Read::Pieces(std::mem::take(&mut state.unread)));
        }
        state.end.clone().map(Read::End)
    }

    /// Blocks until the state satisfies `ready`; `None` when `timeout` passes first.
    fn wait_for<T>(
        &self,
        timeout: Option<Duration>,
        mut ready: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state: MutexGuard<'_, State> = self.state.lock();
        loop {
            if let Some(found) = ready(&mut state) {
                return Some(found);
            }
            match deadline {
                None => self.changed.wait(&mut state),
                Some(deadline) => {
                    if self.changed.wait_until(&mut state, deadline).timed_out() {
                        return ready(&mut state);
                    }
                }
            }
        }
    }

    /// All that is new, or the end. Blocks until there is something, or until `timeout`.
    pub(super) fn read(&self, timeout: Option<Duration>) -> Read {
        self.wait_for(timeout, Self::take).unwrap_or(Read::TimedOut)
    }

    /// As [`read`](Self::read), for a task.
    #[cfg(feature = "async")]
    pub(super) fn poll_read(&self, context: &mut Context<'_>) -> Poll<Read> {
        let mut state = self.state.lock();
        match Self::take(&mut state) {
            Some(read) => Poll::Ready(read),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The whole answer, whatever of it was read before. Blocks until it ends, or until `timeout` (`None`).
    pub(super) fn whole(&self, timeout: Option<Duration>) -> Option<Result<(Piece, End)>> {
        self.wait_for(timeout, |state| match state.end.clone()? {
            Ok(end) => Some(Ok((state.whole.clone(), end))),
            Err(error) => Some(Err(error)),
        })
    }

    /// How it ended, if it has.
    pub(super) fn end(&self) -> Option<Result<End>> {
        self.state.lock().end.clone()
    }
}

/// The end of an answer, on its way to those who wait for it: they hear of it when this is dropped.
struct Ending {
    answer: Arc<Answer>,
    end: Option<Result<End>>,
}

impl Drop for Ending {
    /// Nobody waits for ever: what goes away without an end (a defect) ends the answer with an error.
    fn drop(&mut self) {
        let lost = || Err(Error::new(ErrorKind::Internal, "the engine lost the request"));
        let end = self.end.take().unwrap_or_else(lost);
        self.answer.update(|state| state.end = Some(end));
    }
}

/// The engine's side of an answer: tokens become text.
pub(super) struct TextSink {
    ending: Ending,
    meter: Meter,
    decoder: StreamDecoder,
    stops: StopMatcher,
    keep_tokens: bool,
    /// Tokens whose text is still held back.
    held: Vec<SampledToken>,
    tokens: usize,
    stopped: bool,
    /// What the request is computed with, held until its end.
    adapter: Option<Arc<LoadedAdapter>>,
}

impl TextSink {
    pub(super) fn new(
        answer: Arc<Answer>,
        decoder: StreamDecoder,
        stops: Vec<String>,
        keep_tokens: bool,
        adapter: Option<Arc<LoadedAdapter>>,
        meter: Meter,
    ) -> Self {
        let stops = StopMatcher::new(stops);
        let ending = Ending { answer, end: None };
        Self {
            ending,
            meter,
            decoder,
            stops,
            keep_tokens,
            held: Vec::new(),
            tokens: 0,
            stopped: false,
            adapter,
        }
    }

    /// Shows text, together with the tokens that became part of it.
    fn publish(&mut self, text: String) {
        let tokens = std::mem::take(&mut self.held);
        self.ending.answer.update(|state| {
            state.whole.text.push_str(&text);
            state.whole.tokens.extend(tokens.iter().cloned());
            state.unread.push_back(Piece { text, tokens });
        });
    }
}

impl Sink for TextSink {
    fn token(&mut self, token: SampledToken) -> Flow {
        self.tokens += 1;
        // An id without a token is a row that pads the model's vocabulary: it has no text.
        let text = self.decoder.push(token.id).ok().flatten().unwrap_or_default();
        if self.keep_tokens {
            self.held.push(token);
        }
        let passed = self.stops.push(&text);
        if !passed.text.is_empty() {
            self.publish(passed.text);
        }
        self.stopped = passed.stopped;
        if passed.stopped { Flow::Stop } else { Flow::Continue }
    }

    fn finish(mut self: Box<Self>, outcome: Outcome) {
        if !self.stopped && outcome.result.is_ok() {
            let last = self.decoder.finish().ok().flatten().unwrap_or_default();
            let passed = self.stops.push(&last);
            let mut text = passed.text;
            if !passed.stopped {
                text.push_str(&self.stops.finish());
            }
            if !text.is_empty() || !self.held.is_empty() {
                self.publish(text);
            }
        }
        // Before anybody hears of the end: by then its memory is given back.
        self.adapter = None;
        let Self { mut ending, meter, tokens, .. } = *self;
        let Outcome { result, timings } = outcome;
        let end = result.map(|reason| End { reason, tokens, timings });
        let reason = end.as_ref().map(|end| crate::protocol::FinishReason::from(end.reason).as_str());
        let used = Used {
            outcome: reason,
            cached_tokens: timings.cached_tokens as u64,
            output_tokens: tokens as u64,
            phases: phases(timings.submitted, timings.started, timings.first_token, timings.finished),
        };
        // The end goes along; it is told when the record is written.
        let told = end.clone();
        ending.end = Some(told);
        meter.end(used, ending);
    }
}

impl From<FinishReason> for crate::protocol::FinishReason {
    fn from(reason: FinishReason) -> Self {
        match reason {
            FinishReason::Stop => Self::Stop,
            FinishReason::Length => Self::Length,
        }
    }
}

//! The choices of one request, which begin, are cancelled, and end together.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::answer::{Answer, End};
use super::generation::GenerationEntity;
use super::meter::{Meter, Used, phases};
use super::sink::TextSink;
use crate::engine::{Request, RequestId, Timings};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{FinishReason, Usage};

/// How one choice ended.
pub(super) struct Ended {
    pub(super) result: Result<FinishReason>,
    /// Tokens generated, those of a stop string included.
    pub(super) tokens: usize,
    pub(super) reasoning_tokens: usize,
    /// `None` for one that never began.
    pub(super) timings: Option<Timings>,
    /// Whether it computed a prompt, which its followers did not.
    pub(super) leads: bool,
}

/// The choices of one request. Their sinks hold it; who waits for the answer does not.
pub(super) struct Group {
    answer: Arc<Answer>,
    entity: Weak<GenerationEntity>,
    prompt_tokens: usize,
    state: Mutex<State>,
}

struct State {
    /// The finish reasons of those that ended.
    reasons: Vec<Option<FinishReason>>,
    /// Choices that have not ended.
    running: usize,
    requests: Vec<RequestId>,
    cancelled: bool,
    failure: Option<Error>,
    tokens: usize,
    reasoning_tokens: usize,
    timings: Option<Timings>,
    meter: Option<Meter>,
}

impl Group {
    /// A group of `choices` choices, all prompts together having so many tokens.
    pub(super) fn new(
        answer: Arc<Answer>,
        entity: &Arc<GenerationEntity>,
        choices: usize,
        prompt_tokens: usize,
        meter: Meter,
    ) -> Self {
        let state = State {
            reasons: vec![None; choices],
            running: choices,
            requests: Vec::with_capacity(choices),
            cancelled: false,
            failure: None,
            tokens: 0,
            reasoning_tokens: 0,
            timings: None,
            meter: Some(meter),
        };
        Self { answer, entity: Arc::downgrade(entity), prompt_tokens, state: Mutex::new(state) }
    }

    pub(super) fn answer(&self) -> &Arc<Answer> {
        &self.answer
    }

    /// Gives a choice to the engine.
    ///
    /// # Errors
    /// The engine does not take it, or the group is cancelled.
    pub(super) fn submit(&self, request: Request, sink: TextSink) -> Result<()> {
        let gone = || Error::new(ErrorKind::ShuttingDown, "the endpoint is gone");
        let entity = self.entity.upgrade().ok_or_else(gone)?;
        if self.is_over() {
            return Err(Error::new(ErrorKind::Cancelled, "the request was cancelled"));
        }
        let id = entity.engine().submit(request, Box::new(sink))?;
        let mut state = self.state.lock();
        state.requests.push(id);
        // Whoever cancelled meanwhile did not know of it.
        let over = state.cancelled;
        drop(state);
        if over {
            entity.engine().cancel(id);
        }
        Ok(())
    }

    /// Whether nobody wants its tokens any more.
    pub(super) fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.cancelled || state.failure.is_some()
    }

    /// Cancels every choice that has not ended.
    pub(super) fn cancel(&self) {
        let requests = {
            let mut state = self.state.lock();
            state.cancelled = true;
            state.requests.clone()
        };
        if let Some(entity) = self.entity.upgrade() {
            requests.into_iter().for_each(|id| entity.engine().cancel(id));
        }
    }

    /// A choice has ended. With the last one the answer ends, as soon as its use is recorded. One that failed takes the
    /// others along.
    pub(super) fn end(&self, choice: usize, ended: Ended) {
        let failed = ended.result.is_err();
        let last = {
            let mut state = self.state.lock();
            state.take(choice, ended);
            if state.running > 0 { None } else { state.meter.take().map(|meter| state.last(meter)) }
        };
        match last {
            Some(last) => self.finish(last),
            None if failed => self.cancel(),
            None => {}
        }
    }

    fn finish(&self, last: Last) {
        let Last { meter, result, tokens, reasoning_tokens, timings } = last;
        let usage = Usage::new(self.prompt_tokens as u64, tokens as u64, timings.cached_tokens as u64)
            .reasoning(reasoning_tokens as u64);
        let end = result.map(|reasons| End { reasons, usage, timings });
        let reason = end.as_ref().map(|end| end.reasons.first().map_or("stop", |reason| reason.as_str()));
        let used = Used {
            outcome: reason,
            cached_tokens: timings.cached_tokens as u64,
            output_tokens: tokens as u64,
            reasoning_tokens: reasoning_tokens as u64,
            phases: phases(timings.submitted, timings.started, timings.first_token, timings.finished),
        };
        // The end goes along; it is told when the record is written.
        let ending = Ending { answer: Arc::clone(&self.answer), end: Some(end.clone()) };
        meter.end(used, ending);
    }
}

/// What is known when all choices have ended.
struct Last {
    meter: Meter,
    result: Result<Vec<FinishReason>>,
    tokens: usize,
    reasoning_tokens: usize,
    timings: Timings,
}

impl State {
    fn take(&mut self, choice: usize, ended: Ended) {
        self.running = self.running.saturating_sub(1);
        self.tokens += ended.tokens;
        self.reasoning_tokens += ended.reasoning_tokens;
        if let Some(mut new) = ended.timings {
            // What followers found in the cache is what their leader has just computed.
            new.cached_tokens *= usize::from(ended.leads);
            self.timings = Some(self.timings.map_or(new, |known| together(known, new)));
        }
        match ended.result {
            Ok(reason) => {
                if let Some(place) = self.reasons.get_mut(choice) {
                    *place = Some(reason);
                }
            }
            // The others are cancelled because of the first one that failed.
            Err(error) => drop(self.failure.get_or_insert(error)),
        }
    }

    fn last(&self, meter: Meter) -> Last {
        let reasons = self.reasons.iter().map(|reason| reason.unwrap_or(FinishReason::Stop)).collect();
        let result = self.failure.clone().map_or(Ok(reasons), Err);
        let (tokens, reasoning_tokens) = (self.tokens, self.reasoning_tokens);
        Last { meter, result, tokens, reasoning_tokens, timings: self.timings.unwrap_or_default() }
    }
}

/// From the first beginning to the last end.
fn together(a: Timings, b: Timings) -> Timings {
    let earlier = |a: Option<Duration>, b: Option<Duration>| match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    Timings {
        submitted: a.submitted.min(b.submitted),
        started: earlier(a.started, b.started),
        first_token: earlier(a.first_token, b.first_token),
        finished: a.finished.max(b.finished),
        cached_tokens: a.cached_tokens + b.cached_tokens,
        preemptions: a.preemptions + b.preemptions,
    }
}

/// The end of an answer, on its way to those who wait for it: they hear of it when this is dropped.
struct Ending {
    answer: Arc<Answer>,
    end: Option<Result<End>>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            self.answer.finish(end);
        }
    }
}

impl Drop for Group {
    /// Nobody waits for ever: what goes away without an end (a defect) ends the answer with an error.
    fn drop(&mut self) {
        if self.state.get_mut().meter.is_some() {
            self.answer.finish(Err(Error::new(ErrorKind::Internal, "the engine lost the request")));
        }
    }
}

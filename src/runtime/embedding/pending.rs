//! Vectors that are being made: the engine's worker tells how far they are, the caller waits.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::entity::EmbeddingEntity;
use super::vectors::{Applied, EmbeddingRow, Embeddings};
use crate::embedding::{Outcome, RequestId, Sink, Timings};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::Normalize;
use crate::runtime::meter::{Meter, Used, phases};

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmbeddingProgress {
    /// Texts whose vectors are there: the first ones, in the order of the request.
    pub done: usize,
    /// All texts.
    pub total: usize,
    /// Whether the request has ended, well or not.
    pub ended: bool,
}

#[derive(Debug, Default)]
struct State {
    done: usize,
    end: Option<Outcome>,
    /// Whether the end has come, be it taken or not.
    ended: bool,
    waker: Option<Waker>,
}

/// What the engine writes and the caller reads.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
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

    /// Blocks until the state satisfies `ready`; `None` when `timeout` passes first.
    fn wait_for<T>(
        &self,
        timeout: Option<Duration>,
        mut ready: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.state.lock();
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
}

/// The end of a request, on its way to those who wait for it: they hear of it when this is dropped.
pub(super) struct Ending {
    shared: Arc<Shared>,
    end: Option<Outcome>,
}

impl Drop for Ending {
    /// Nobody waits for ever: what goes away without an end (a defect) ends the request with an error.
    fn drop(&mut self) {
        let end = self.end.take().unwrap_or_else(|| {
            let lost = Error::new(ErrorKind::Internal, "the engine lost the request");
            Outcome { result: Err(lost), timings: Default::default() }
        });
        self.shared.update(|state| {
            if let Ok(vectors) = &end.result {
                state.done = vectors.rows();
            }
            state.ended = true;
            state.end = Some(end);
        });
    }
}

/// The engine's side.
pub(super) struct Receiver {
    ending: Ending,
    meter: Meter,
}

impl Receiver {
    pub(super) fn new(shared: Arc<Shared>, meter: Meter) -> Self {
        Self { ending: Ending { shared, end: None }, meter }
    }
}

impl Sink for Receiver {
    fn progress(&mut self, done: usize) {
        self.ending.shared.update(|state| state.done = done);
    }

    fn finish(self: Box<Self>, outcome: Outcome) {
        let Self { mut ending, meter } = *self;
        let Timings { submitted, started, finished } = outcome.timings;
        // Told apart from the outcome, which the ending takes along.
        let failed = outcome.result.as_ref().err().cloned();
        ending.end = Some(outcome);
        let used = Used {
            reasoning_tokens: 0,
            outcome: failed.as_ref().map_or(Ok("stop"), Err),
            cached_tokens: 0,
            output_tokens: 0,
            phases: phases(submitted, started, None, finished),
        };
        meter.end(used, ending);
    }
}

/// Vectors that are being made. Dropping it cancels the request.
///
/// It is a [`Future`](std::future::Future) too; once it has been ready there is nothing more to take.
#[derive(Debug)]
pub struct PendingEmbeddings {
    shared: Arc<Shared>,
    rows: Vec<EmbeddingRow>,
    applied: Applied,
    /// Weak: vectors that nobody takes keep no endpoint alive.
    endpoint: Weak<EmbeddingEntity>,
    request: RequestId,
}

impl PendingEmbeddings {
    pub(super) fn new(
        shared: Arc<Shared>,
        rows: Vec<EmbeddingRow>,
        applied: Applied,
        endpoint: &Arc<EmbeddingEntity>,
        request: RequestId,
    ) -> Self {
        Self { shared, rows, applied, endpoint: Arc::downgrade(endpoint), request }
    }

    /// How far the request is.
    pub fn progress(&self) -> EmbeddingProgress {
        self.progress_of(&self.shared.state.lock())
    }

    /// Waits until more than `seen` texts are done or the request has ended, at most `timeout`, and says how far it is.
    pub fn wait_progress(&self, seen: usize, timeout: Duration) -> EmbeddingProgress {
        let further = |state: &mut State| {
            let progress = self.progress_of(state);
            (progress.ended || progress.done > seen).then_some(progress)
        };
        self.shared.wait_for(Some(timeout), further).unwrap_or_else(|| self.progress())
    }

    /// Whether the request has ended; until it has, the waker of `context` is called when it does, in the place of one that was
    /// given before. Nothing is taken.
    pub fn poll_ended(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.shared.state.lock();
        if state.ended {
            return Poll::Ready(());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// The exact version that answers.
    pub fn version(&self) -> &str {
        &self.applied.version
    }

    /// What is applied to vectors: `none` or `l2`.
    pub fn normalize(&self) -> Normalize {
        self.applied.normalize
    }

    /// What became of each text, known from the start.
    pub fn rows(&self) -> &[EmbeddingRow] {
        &self.rows
    }

    /// Waits for all vectors.
    ///
    /// # Errors
    /// What ended the request.
    pub fn wait(mut self) -> Result<Embeddings> {
        match self.shared.wait_for(None, |state| state.end.take()) {
            Some(outcome) => self.complete(outcome),
            None => Err(taken()),
        }
    }

    /// Waits for all vectors, at most `timeout`: `None` when it passes first, and the request goes on.
    ///
    /// # Errors
    /// What ended the request; or that its vectors were taken before.
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<Option<Embeddings>> {
        let end = |state: &mut State| {
            if state.ended { Some(state.end.take().ok_or_else(taken)) } else { None }
        };
        match self.shared.wait_for(Some(timeout), end) {
            None => Ok(None),
            Some(outcome) => self.complete(outcome?).map(Some),
        }
    }

    /// Cancels the request: it ends with [`ErrorKind::Cancelled`] within one batch. A request that has ended stays as it
    /// is.
    pub fn cancel(&self) {
        if let Some(endpoint) = self.endpoint.upgrade() {
            endpoint.engine().cancel(self.request);
        }
    }

    fn progress_of(&self, state: &State) -> EmbeddingProgress {
        EmbeddingProgress { done: state.done, total: self.rows.len(), ended: state.ended }
    }

    fn complete(&mut self, outcome: Outcome) -> Result<Embeddings> {
        let Outcome { result, timings } = outcome;
        let (rows, applied) = (self.rows.clone(), self.applied.clone());
        Ok(Embeddings { vectors: result?, rows, applied, timings })
    }
}

fn taken() -> Error {
    Error::new(ErrorKind::Conflict, "the vectors of this request were taken before")
}

impl std::future::Future for PendingEmbeddings {
    type Output = Result<Embeddings>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state.lock();
        if !state.ended {
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let outcome = state.end.take();
        drop(state);
        Poll::Ready(outcome.ok_or_else(taken).and_then(|outcome| self.complete(outcome)))
    }
}

impl Drop for PendingEmbeddings {
    fn drop(&mut self) {
        // One that has ended is past cancelling; asking would only wake the worker.
        if !self.shared.state.lock().ended {
            self.cancel();
        }
    }
}

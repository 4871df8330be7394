//! An answer while it is made, of all choices of a request: the engine's worker writes it, the caller reads it.

use std::collections::VecDeque;
use std::task::Waker;
#[cfg(feature = "async")]
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::engine::{SampledToken, Timings};
use crate::error::Result;
use crate::protocol::{FinishReason, ToolCall, Usage};

/// What is new in a choice.
#[derive(Debug, Clone)]
pub(super) enum New {
    /// Text to append.
    Text(String),
    /// Reasoning to append.
    Reasoning(String),
    /// A call begins.
    Call(ToolCall),
    /// Text to append to the arguments of the last call.
    Arguments(String),
}

/// Something new, with the tokens that became part of it.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The choice that it belongs to.
    pub(super) choice: usize,
    pub(super) new: New,
    /// Empty unless log-probabilities were asked for.
    pub(super) tokens: Vec<SampledToken>,
}

/// A choice as far as it has come.
#[derive(Debug, Clone, Default)]
pub struct Whole {
    pub(super) text: String,
    pub(super) reasoning: String,
    pub(super) calls: Vec<ToolCall>,
    pub(super) tokens: Vec<SampledToken>,
    /// Where tokens are known to begin in the text: the number of one, and the characters before it.
    pub(super) places: Vec<(usize, usize)>,
    /// All tokens that were generated, known at the end.
    pub(super) ids: Vec<u32>,
}

impl Whole {
    fn append(&mut self, piece: &Piece) {
        if !piece.tokens.is_empty() {
            self.places.push((self.tokens.len(), self.text.chars().count()));
        }
        match &piece.new {
            New::Text(text) => self.text.push_str(text),
            New::Reasoning(text) => self.reasoning.push_str(text),
            New::Call(call) => self.calls.push(call.clone()),
            New::Arguments(text) => {
                if let Some(call) = self.calls.last_mut() {
                    call.function.arguments.push_str(text);
                }
            }
        }
        self.tokens.extend(piece.tokens.iter().cloned());
    }
}

/// How an answer ended.
#[derive(Debug, Clone)]
pub(super) struct End {
    /// Why each choice did.
    pub(super) reasons: Vec<FinishReason>,
    pub(super) usage: Usage,
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
    choices: Vec<Whole>,
    end: Option<Result<End>>,
    waker: Option<Waker>,
}

/// An answer that grows.
#[derive(Debug)]
pub(super) struct Answer {
    state: Mutex<State>,
    changed: Condvar,
}

impl Answer {
    /// An answer of so many choices, empty.
    pub(super) fn new(choices: usize) -> Self {
        let state = State { choices: vec![Whole::default(); choices], ..State::default() };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Appends what is new.
    pub(super) fn push(&self, piece: Piece) {
        self.update(|state| {
            if let Some(whole) = state.choices.get_mut(piece.choice) {
                whole.append(&piece);
            }
            state.unread.push_back(piece);
        });
    }

    /// The tokens of a choice that has ended.
    pub(super) fn keep(&self, choice: usize, ids: Vec<u32>) {
        if let Some(whole) = self.state.lock().choices.get_mut(choice) {
            whole.ids = ids;
        }
    }

    /// The end of all choices.
    pub(super) fn finish(&self, end: Result<End>) {
        self.update(|state| state.end = Some(end));
    }

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
    pub(super) fn whole(&self, timeout: Option<Duration>) -> Option<Result<(Vec<Whole>, End)>> {
        self.wait_for(timeout, |state| match state.end.clone()? {
            Ok(end) => Some(Ok((state.choices.clone(), end))),
            Err(error) => Some(Err(error)),
        })
    }

    /// How it ended, if it has.
    pub(super) fn end(&self) -> Option<Result<End>> {
        self.state.lock().end.clone()
    }
}

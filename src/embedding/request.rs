//! What goes into the engine and what comes out of it.

use std::time::Duration;

use super::vectors::Vectors;
use crate::backend::Pooling;
use crate::error::Error;
use crate::fairness::CallerId;

/// Names a request within one engine; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Texts to embed.
#[derive(Debug, Clone)]
pub struct Request {
    /// Token ids of every text, special tokens included; at least one text, each of at least one token.
    pub texts: Vec<Vec<u32>>,
    /// How the rows of a text become its vector.
    pub pooling: Pooling,
    /// Keep only so many values of each vector, from the first on (Kusupati et al., 2022); all when `None`.
    pub dimensions: Option<usize>,
    /// Whether vectors are divided by their length, after they were cut.
    pub normalize: bool,
    /// Whose request it is: callers share the engine fairly.
    pub caller: CallerId,
    /// Higher goes first; 0 is normal.
    pub priority: i32,
    /// When the answer is no longer wanted, in the clock's monotonic time.
    pub deadline: Option<Duration>,
}

/// When things happened to a request, in the clock's monotonic time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// When the request was queued.
    pub submitted: Duration,
    /// When its first text was part of a batch.
    pub started: Option<Duration>,
    /// When it ended.
    pub finished: Duration,
}

/// How a request ended.
#[derive(Debug)]
pub struct Outcome {
    /// The vectors of all texts in the order of the request, or what went wrong (cancelled, deadline, an embedder's
    /// error, shutdown).
    pub result: Result<Vectors, Error>,
    /// When things happened.
    pub timings: Timings,
}

/// Receives a request's vectors on the engine's worker thread. It must return quickly and never block.
///
/// The engine calls [`finish`](Self::finish) exactly once, whatever happens to the request.
pub trait Sink: Send {
    /// The vectors of the first `done` texts are there; called after a batch that leaves others to do.
    fn progress(&mut self, done: usize) {
        let _ = done;
    }

    /// The end.
    fn finish(self: Box<Self>, outcome: Outcome);
}

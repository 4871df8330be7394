//! What the tests of the embedding engine share.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, unbounded};
use parking_lot::Mutex;

use crate::backend::{Pooling, Texts};
use crate::clock::ManualClock;
use crate::embedding::{Embedder, EmbeddingEngine, EmbeddingOptions, Outcome, Request, RequestId, Sink};
use crate::error::{Error, ErrorKind, Result};
use crate::fairness::CallerId;

pub(super) const WIDTH: usize = 3;
pub(super) const VOCAB: usize = 50;

/// A token that sets off the double's fault; no text but the one that is to do so has it.
pub(super) const TRIGGER: u32 = VOCAB as u32 - 1;

/// Long enough for the slowest machine; only a hang takes it.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What a double does with a text that has the trigger.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    Fails,
    Panics,
    TooFewValues,
    NotFinite,
}

/// Computes vectors that tell the text and its pooling apart from all others.
pub(super) struct Toy {
    fault: Option<Fault>,
    gate: Option<(Sender<()>, Receiver<()>)>,
    log: Arc<Mutex<Vec<Vec<usize>>>>,
    values: Vec<f32>,
}

/// Holds a double back: it says when a batch begins, and waits for a permit. Dropping it lets all pass.
pub(super) struct Gate {
    pub(super) entered: Receiver<()>,
    pub(super) permits: Sender<()>,
}

impl Toy {
    pub(super) fn new() -> Self {
        Self { fault: None, gate: None, log: Arc::default(), values: Vec::new() }
    }

    pub(super) fn with(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::new() }
    }

    pub(super) fn gated(mut self) -> (Self, Gate) {
        let ((enter, entered), (permits, permit)) = (unbounded(), unbounded());
        self.gate = Some((enter, permit));
        (self, Gate { entered, permits })
    }

    /// The lengths of the texts of every batch so far.
    pub(super) fn log(&self) -> Arc<Mutex<Vec<Vec<usize>>>> {
        self.log.clone()
    }
}

/// The vector of a text.
pub(super) fn vector(text: &[u32], pooling: Pooling) -> [f32; WIDTH] {
    let digest = text.iter().fold(7u32, |digest, token| digest.wrapping_mul(31).wrapping_add(*token));
    let pooled = match pooling {
        Pooling::First => text[0],
        _ => text[text.len() - 1],
    };
    [(digest % 9973) as f32, text.len() as f32, pooled as f32 + 0.5]
}

impl Embedder for Toy {
    fn width(&self) -> usize {
        WIDTH
    }

    fn vocab_size(&self) -> usize {
        VOCAB
    }

    fn embed(&mut self, texts: &Texts, poolings: &[Pooling]) -> Result<&[f32]> {
        assert_eq!((texts.len(), texts.rows()), (poolings.len(), texts.positions.len()));
        self.log.lock().push(texts.spans.iter().map(ExactSizeIterator::len).collect());
        if let Some((enter, permit)) = &self.gate {
            let _ = enter.send(());
            let _ = permit.recv();
        }
        self.values.clear();
        for (span, pooling) in texts.spans.iter().zip(poolings) {
            assert!(texts.positions[span.clone()].iter().enumerate().all(|(at, p)| at as u32 == *p));
            let text = &texts.ids[span.clone()];
            let mut vector = vector(text, *pooling);
            match self.fault.filter(|_| text.contains(&TRIGGER)) {
                None => {}
                Some(Fault::Fails) => return Err(Error::new(ErrorKind::Internal, "told to fail")),
                Some(Fault::Panics) => panic!("told to panic"),
                Some(Fault::TooFewValues) => return Ok(&self.values),
                Some(Fault::NotFinite) => vector[1] = f32::NAN,
            }
            self.values.extend(vector);
        }
        Ok(&self.values)
    }
}

/// A request's answer as it arrives.
pub(super) struct Answer {
    pub(super) progress: Receiver<usize>,
    end: Receiver<Outcome>,
}

impl Answer {
    /// The end; after it the sink must be gone.
    pub(super) fn wait(&self) -> Outcome {
        let outcome = self.end.recv_timeout(PATIENCE).unwrap();
        assert!(self.end.recv_timeout(PATIENCE).is_err(), "the sink is gone after its end");
        outcome
    }

    pub(super) fn values(&self) -> Vec<f32> {
        self.wait().result.unwrap().into_values()
    }

    pub(super) fn error(&self) -> Error {
        self.wait().result.unwrap_err()
    }

    /// Whether the sink is gone and has said nothing.
    pub(super) fn is_silent(&self) -> bool {
        self.progress.recv_timeout(PATIENCE).is_err() && self.end.recv_timeout(PATIENCE).is_err()
    }
}

struct Channel {
    progress: Sender<usize>,
    end: Sender<Outcome>,
}

impl Sink for Channel {
    fn progress(&mut self, done: usize) {
        self.progress.send(done).ok();
    }

    fn finish(self: Box<Self>, outcome: Outcome) {
        self.end.send(outcome).ok();
    }
}

pub(super) fn channel() -> (Box<dyn Sink>, Answer) {
    let ((progress, progress_out), (end, end_out)) = (unbounded(), unbounded());
    (Box::new(Channel { progress, end }), Answer { progress: progress_out, end: end_out })
}

pub(super) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(jiff::Timestamp::UNIX_EPOCH))
}

pub(super) fn small() -> EmbeddingOptions {
    EmbeddingOptions { max_batch_tokens: 16, max_text_tokens: 40, max_queue: 100, tokens_per_priority: 32 }
}

pub(super) fn start(toy: Toy, options: EmbeddingOptions) -> EmbeddingEngine {
    EmbeddingEngine::start(Box::new(toy), options, clock(), None).unwrap()
}

/// A text of `length` tokens that begins with `first`.
pub(super) fn text(first: u32, length: usize) -> Vec<u32> {
    (0..length as u32).map(|position| (first + position * 5) % 40).collect()
}

pub(super) fn request(texts: Vec<Vec<u32>>) -> Request {
    Request {
        texts,
        pooling: Pooling::First,
        dimensions: None,
        normalize: false,
        caller: CallerId::default(),
        priority: 0,
        deadline: None,
    }
}

/// What a request gets, computed without an engine.
pub(super) fn expected(request: &Request) -> Vec<f32> {
    request.texts.iter().flat_map(|text| vector(text, request.pooling)).collect()
}

pub(super) fn submit(engine: &EmbeddingEngine, request: &Request) -> (RequestId, Answer) {
    let (sink, answer) = channel();
    (engine.submit(request.clone(), sink).unwrap(), answer)
}

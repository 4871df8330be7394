//! The engine's thread: it owns the batcher and the embedder, and hears everything by message.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::Receiver;

use super::batcher::Batcher;
use super::embedder::Embedder;
use super::handle::Shared;
use super::request::{Outcome, Request, RequestId, Sink, Timings};
use super::vectors::Vectors;
use crate::error::{Error, ErrorKind, Result};
use crate::fairness::{Entrance, Entry, Pass, Served};
use crate::mailbox::{guarded, shutting_down};

/// What the engine's callers tell its thread.
pub(crate) enum Message {
    Submit(Box<Submission>),
    Cancel(RequestId),
    /// Look whether the engine was closed.
    Wake,
}

/// A request on its way to the worker.
pub(crate) struct Submission {
    pub(crate) id: RequestId,
    pub(crate) request: Request,
    /// Room for the answer.
    pub(crate) vectors: Vectors,
    pub(crate) listener: Listener,
}

/// A sink that hears its end exactly once, even if the worker is gone before the request is taken up.
pub(crate) struct Listener {
    sink: Option<Box<dyn Sink>>,
    submitted: Duration,
}

impl Listener {
    pub(crate) fn new(sink: Box<dyn Sink>, submitted: Duration) -> Self {
        Self { sink: Some(sink), submitted }
    }

    /// Drops the sink without a word: its request was refused.
    pub(crate) fn dismiss(&mut self) {
        let sink = self.sink.take();
        let _ = guarded(move || drop(sink));
    }

    fn progress(&mut self, done: usize) {
        if let Some(sink) = &mut self.sink
            && let Err(panic) = guarded(|| sink.progress(done))
        {
            tracing::error!(%panic, "a sink panicked at the progress of its request");
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        if let Some(sink) = self.sink.take()
            && let Err(panic) = guarded(move || sink.finish(outcome))
        {
            tracing::error!(%panic, "a sink panicked at the end of its request");
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let timings = Timings { submitted: self.submitted, finished: self.submitted, ..Default::default() };
        self.finish(Outcome { result: Err(shutting_down()), timings });
    }
}

/// The worker's state.
pub(crate) struct Worker {
    batcher: Batcher,
    embedder: Box<dyn Embedder>,
    width: usize,
    listeners: HashMap<RequestId, Listener>,
    entrance: Entrance,
    receiver: Receiver<Message>,
    shared: Arc<Shared>,
    /// New requests received and not yet seen to leave the queue.
    new: usize,
}

impl Worker {
    pub(crate) fn new(
        batcher: Batcher,
        embedder: Box<dyn Embedder>,
        entrance: Entrance,
        receiver: Receiver<Message>,
        shared: Arc<Shared>,
    ) -> Self {
        let width = embedder.width();
        Self { batcher, embedder, width, listeners: HashMap::new(), entrance, receiver, shared, new: 0 }
    }

    /// Lets the embedder prepare this thread, which must be the one that will [`run`](Self::run).
    pub(crate) fn enter(&mut self) -> Result<()> {
        self.embedder.enter()
    }

    /// Serves until the engine is closed. A panic on the way (a defect of ours, or the host's clock) costs the requests that are
    /// there; those that come after it are served.
    pub(crate) fn run(mut self) {
        while let Err(panic) = guarded(|| self.serve()) {
            self.recover(&panic);
        }
        // What is still in the channel hears its end when the receiver is dropped.
    }

    /// Parked in the channel while there is nothing to do.
    fn serve(&mut self) {
        while !self.shared.door.is_closed() {
            if self.batcher.has_work() {
                match self.entrance.ask() {
                    Entry::Open(pass) => self.compute(pass),
                    Entry::Wait(at_most) => self.wait(at_most),
                }
            } else {
                self.entrance.withdraw();
                // A cancel may have ended what was left.
                self.settle();
                if self.shared.door.is_drained() {
                    break;
                }
                match self.receiver.recv() {
                    Ok(message) => self.receive(message),
                    // Nobody can ever submit again.
                    Err(_) => break,
                }
            }
            while let Ok(message) = self.receiver.try_recv() {
                self.receive(message);
            }
        }
        if self.batcher.has_work() {
            self.batcher.end_all(self.shared.clock.monotonic());
        }
        self.settle();
    }

    /// Ends every request with an error, and begins anew.
    fn recover(&mut self, panic: &str) {
        tracing::error!(%panic, "the engine's thread panicked");
        let error = Error::new(ErrorKind::Internal, format!("the engine's thread panicked: {panic}"));
        self.batcher.start_over(self.listeners.len());
        self.settle();
        for (_, mut listener) in self.listeners.drain() {
            let submitted = listener.submitted;
            // Not the time of now: the clock may be what has panicked.
            let timings = Timings { submitted, finished: submitted, ..Default::default() };
            listener.finish(Outcome { result: Err(error.clone()), timings });
        }
    }

    /// Waits for its turn to compute, and hears what is said meanwhile.
    fn wait(&mut self, at_most: Option<Duration>) {
        // What was heard before may have ended something.
        self.batcher.reap(self.shared.clock.monotonic());
        self.settle();
        if let Some(message) = self.entrance.wait(&self.receiver, at_most) {
            self.receive(message);
        }
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Submit(submission) => {
                let Submission { id, request, vectors, listener } = *submission;
                self.new += 1;
                self.batcher.submit(id, request, vectors, listener.submitted);
                self.listeners.insert(id, listener);
            }
            Message::Cancel(id) => self.batcher.cancel(id, self.shared.clock.monotonic()),
            Message::Wake => {}
        }
    }

    /// Plans one batch, computes it and hands out what came of it.
    fn compute(&mut self, pass: Pass) {
        self.batcher.plan(self.shared.clock.monotonic());
        self.settle();
        let (embedder, batch) = (&mut self.embedder, self.batcher.batch());
        if batch.texts.is_empty() {
            return pass.give_back(Served::default(), self.batcher.has_work());
        }
        let rows = batch.texts.rows() as u64;
        let wanted = batch.texts.len() * self.width;
        let computed = guarded(|| embedder.embed(&batch.texts, &batch.poolings));
        let now = self.shared.clock.monotonic();
        match computed {
            Ok(Ok(vectors)) if vectors.len() == wanted => {
                let listeners = &mut self.listeners;
                let progress = |id, done| {
                    if let Some(listener) = listeners.get_mut(&id) {
                        listener.progress(done);
                    }
                };
                self.batcher.commit(now, vectors, self.width, progress);
            }
            Ok(Ok(vectors)) => {
                let message = format!("the model returned {} values instead of {wanted}", vectors.len());
                self.batcher.fail(now, &Error::new(ErrorKind::Internal, message));
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "a batch failed");
                self.batcher.fail(now, &error);
            }
            Err(panic) => {
                tracing::error!(%panic, "a batch panicked");
                let message = format!("computing the batch panicked: {panic}");
                self.batcher.fail(now, &Error::new(ErrorKind::Internal, message));
            }
        }
        pass.give_back(Served { prompt: rows, output: 0 }, self.batcher.has_work());
        self.settle();
    }

    /// Publishes the numbers, then tells those whose requests have ended.
    fn settle(&mut self) {
        // Makes room in the bounded queue for as many new requests as have left it.
        let new = self.batcher.new_len();
        self.shared.door.leave(self.new - new);
        self.new = new;
        self.shared.stats.store(self.batcher.stats());
        for (id, outcome) in self.batcher.take_ended() {
            if let Some(mut listener) = self.listeners.remove(&id) {
                listener.finish(outcome);
            }
        }
    }
}

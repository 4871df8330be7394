//! The engine as its callers see it.

use std::sync::Arc;

use crossbeam::atomic::AtomicCell;

use super::batcher::Batcher;
use super::embedder::Embedder;
use super::options::{EmbeddingOptions, MAX_PRIORITY};
use super::request::{Request, RequestId, Sink};
use super::stats::EmbeddingStats;
use super::vectors::Vectors;
use super::worker::{Listener, Message, Submission, Worker};
use crate::clock::Clock;
use crate::door::Door;
use crate::error::{Error, ErrorKind, Result};
use crate::fairness::{Entrance, Gate};
use crate::mailbox::{Mailbox, shutting_down};

/// What handle and worker both reach, none of it under a lock that the worker could wait for.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stats: AtomicCell<EmbeddingStats>,
    /// Requests wait until one of their texts is part of a batch.
    pub(crate) door: Door,
}

/// Embeds for any number of callers at once, on one thread of its own.
///
/// All methods may be called from any thread, [`Sink`]s included. Dropping the engine ends every request with
/// [`ErrorKind::ShuttingDown`] and joins its thread, except when it is dropped on that thread, by a sink: then the
/// thread ends by itself as soon as the sink returns.
pub struct EmbeddingEngine {
    options: EmbeddingOptions,
    width: usize,
    vocab_size: usize,
    shared: Arc<Shared>,
    mailbox: Mailbox<Message>,
}

impl std::fmt::Debug for EmbeddingEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddingEngine").field("options", &self.options).finish_non_exhaustive()
    }
}

impl EmbeddingEngine {
    /// Starts an engine's thread over `embedder`. With a gate it computes when the gate's machine lets it, else whenever
    /// it has something to do.
    ///
    /// # Errors
    /// Options that make no sense, an embedder without values or that refuses the thread, or no thread to be had.
    pub fn start(
        embedder: Box<dyn Embedder>,
        options: EmbeddingOptions,
        clock: Arc<dyn Clock>,
        gate: Option<Gate>,
    ) -> Result<Self> {
        options.validate()?;
        let (width, vocab_size) = (embedder.width(), embedder.vocab_size());
        for (what, size) in [("vectors", width), ("a vocabulary", vocab_size)] {
            if size == 0 {
                return Err(Error::new(ErrorKind::InvalidModel, format!("the model has {what} of size 0")));
            }
        }
        let shared = Arc::new(Shared { clock, stats: AtomicCell::default(), door: Door::default() });
        let batcher = Batcher::new(options.clone());
        let make = |receiver| Worker::new(batcher, embedder, Entrance::new(gate), receiver, shared.clone());
        let mailbox = Mailbox::start("mr-embed", make, Worker::enter, Worker::run)?;
        Ok(Self { options, width, vocab_size, shared, mailbox })
    }

    /// The bounds that the engine was started with.
    pub fn options(&self) -> &EmbeddingOptions {
        &self.options
    }

    /// Queues a request. Its progress and its end go to `sink`, on the engine's thread; the sink of a refused request
    /// is dropped without a call. A sink may be called before this returns.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidRequest`]: no text, an empty text, a token that the model does not have, `dimensions`
    ///   outside 1 to the width, or a priority outside ±[`MAX_PRIORITY`].
    /// - [`ErrorKind::ContextLengthExceeded`]: a text of more tokens than the engine takes.
    /// - [`ErrorKind::InsufficientMemory`]: no room for the vectors.
    /// - [`ErrorKind::Overloaded`]: the queue is full; the only one that is worth trying again.
    /// - [`ErrorKind::ShuttingDown`]: the engine was shut down.
    pub fn submit(&self, request: Request, sink: Box<dyn Sink>) -> Result<RequestId> {
        let mut listener = Listener::new(sink, self.shared.clock.monotonic());
        let vectors = match self.admit(&request) {
            Ok(vectors) => vectors,
            Err(error) => {
                listener.dismiss();
                return Err(error);
            }
        };
        let submission = |number| {
            Message::Submit(Box::new(Submission { id: RequestId(number), request, vectors, listener }))
        };
        self.mailbox.send_numbered(submission).map(RequestId).map_err(|unheard| {
            if let Message::Submit(mut submission) = unheard {
                submission.listener.dismiss();
            }
            self.shared.door.leave(1);
            shutting_down()
        })
    }

    /// Checks a request, makes room for its vectors and counts it into the queue.
    fn admit(&self, request: &Request) -> Result<Vectors> {
        if self.shared.door.is_closed() || self.shared.door.is_draining() {
            return Err(shutting_down());
        }
        self.check(request)?;
        let vectors = Vectors::with_capacity(request.texts.len(), request.dimensions.unwrap_or(self.width))?;
        if !self.shared.door.enter(self.options.max_queue) {
            let most = self.options.max_queue;
            let message = format!("the queue is full: {most} requests wait, at most {most} may; retry later");
            return Err(Error::new(ErrorKind::Overloaded, message));
        }
        if self.shared.door.is_draining() {
            // Its thread may have seen somebody waiting and waits for a message.
            self.shared.door.leave(1);
            self.mailbox.send(Message::Wake);
            return Err(shutting_down());
        }
        Ok(vectors)
    }

    fn check(&self, request: &Request) -> Result<()> {
        if request.texts.is_empty() {
            return Err(Error::invalid("input", "input is empty; at least one text is needed"));
        }
        for (index, text) in request.texts.iter().enumerate() {
            let path = || format!("input[{index}]");
            if text.is_empty() {
                let message = format!("input[{index}] has no tokens; at least one is needed");
                return Err(Error::invalid(path(), message));
            }
            if text.len() > self.options.max_text_tokens {
                let (tokens, most) = (text.len(), self.options.max_text_tokens);
                let message = format!("input[{index}] has {tokens} tokens; a text may have {most}");
                return Err(Error::new(ErrorKind::ContextLengthExceeded, message).with_param(path()));
            }
            if let Some(at) = text.iter().position(|&token| token as usize >= self.vocab_size) {
                let (path, token, last) = (format!("input[{index}][{at}]"), text[at], self.vocab_size - 1);
                let message = format!("{path} is {token}; the vocabulary has ids 0 to {last}");
                return Err(Error::invalid(path, message));
            }
        }
        if let Some(dimensions) =
            request.dimensions.filter(|dimensions| !(1..=self.width).contains(dimensions))
        {
            let message = format!("dimensions is {dimensions}; this model takes 1 to {}", self.width);
            return Err(Error::invalid("dimensions", message));
        }
        if !(-MAX_PRIORITY..=MAX_PRIORITY).contains(&request.priority) {
            let message =
                format!("priority is {}; accepted is -{MAX_PRIORITY} to {MAX_PRIORITY}", request.priority);
            return Err(Error::invalid("priority", message));
        }
        Ok(())
    }

    /// Cancels a request: it ends with [`ErrorKind::Cancelled`] within one batch, wherever it is. A request that has
    /// ended already stays as it is.
    pub fn cancel(&self, id: RequestId) {
        self.mailbox.send(Message::Cancel(id));
    }

    /// The numbers as of the last batch; the queue as of now.
    pub fn stats(&self) -> EmbeddingStats {
        let mut stats = self.shared.stats.load();
        stats.queued = self.shared.door.waiting();
        stats.refused = self.shared.door.refused();
        stats
    }

    /// Takes no more requests: they are refused as after a [shutdown](Self::shutdown). Those that it has are served to their
    /// end; then the thread ends by itself and gives the embedder back.
    pub fn drain(&self) {
        self.shared.door.drain();
        self.mailbox.send(Message::Wake);
    }

    /// Whether it was drained or shut down, and its thread has ended.
    pub fn is_over(&self) -> bool {
        self.mailbox.has_ended()
    }

    /// Ends every request with [`ErrorKind::ShuttingDown`] and joins the thread, unless called on it. Later submissions
    /// are refused.
    pub fn shutdown(&self) {
        self.shared.door.close();
        self.mailbox.send(Message::Wake);
        self.mailbox.join();
    }
}

impl Drop for EmbeddingEngine {
    fn drop(&mut self) {
        self.shutdown();
    }
}

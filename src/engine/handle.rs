//! The engine as its callers see it.

use std::sync::Arc;

use crossbeam::atomic::AtomicCell;
use crossbeam::channel::Sender;

use super::executor::Executor;
use super::options::EngineOptions;
use super::request::{Request, RequestId, Sink};
use super::scheduler::{Scheduler, check, queue_full};
use super::stats::EngineStats;
use super::worker::{Listener, Message, Submission, Worker};
use crate::clock::Clock;
use crate::door::Door;
use crate::error::{Error, ErrorKind, Result};
use crate::fairness::{Entrance, Gate};
use crate::mailbox::{Mailbox, shutting_down};

/// What handle and worker both reach, none of it under a lock that the worker could wait for.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stats: AtomicCell<EngineStats>,
    /// Requests wait until they are part of a step.
    pub(crate) door: Door,
}

/// Generates for any number of callers at once, on one thread of its own.
///
/// All methods may be called from any thread, [`Sink`]s included. Dropping the engine ends every request with
/// [`ErrorKind::ShuttingDown`] and joins its thread, except when it is dropped on that thread, by a sink: then the
/// thread ends by itself as soon as the sink returns.
pub struct Engine {
    options: EngineOptions,
    vocab_size: usize,
    shared: Arc<Shared>,
    mailbox: Mailbox<Message>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts an engine's thread over `executor`, whose cache has the blocks that `options` tells. With a gate it
    /// computes when the gate's machine lets it, else whenever it has something to do.
    ///
    /// # Errors
    /// Options that do not fit together, an executor without a vocabulary or that refuses the thread, or no thread to
    /// be had.
    pub fn start(
        executor: Box<dyn Executor>,
        options: EngineOptions,
        clock: Arc<dyn Clock>,
        gate: Option<Gate>,
    ) -> Result<Self> {
        options.validate()?;
        let vocab_size = executor.vocab_size();
        if vocab_size == 0 {
            return Err(Error::new(ErrorKind::InvalidModel, "the model has a vocabulary of 0 tokens"));
        }
        let scheduler = Scheduler::new(options.clone());
        let shared =
            Arc::new(Shared { clock, stats: AtomicCell::new(scheduler.stats()), door: Door::default() });
        let make = |receiver| Worker::new(scheduler, executor, Entrance::new(gate), receiver, shared.clone());
        let mailbox = Mailbox::start("mr-engine", make, Worker::enter, Worker::run)?;
        Ok(Self { options, vocab_size, shared, mailbox })
    }

    /// The bounds that the engine was started with.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Queues a request. Its tokens and its end go to `sink`, on the engine's thread; the sink of a refused request
    /// is dropped without a call. A sink may be called before this returns.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidRequest`]: an empty prompt, a token that the model does not have, a `max_tokens` of 0,
    ///   [sampling parameters](super::SamplingParams::validate) out of range, or a priority outside ±[`MAX_PRIORITY`](super::MAX_PRIORITY).
    /// - [`ErrorKind::ContextLengthExceeded`]: prompt and `max_tokens` exceed the context length or the cache.
    /// - [`ErrorKind::Overloaded`]: the queue is full; the only one that is worth trying again.
    /// - [`ErrorKind::ShuttingDown`]: the engine was shut down.
    pub fn submit(&self, request: Request, sink: Box<dyn Sink>) -> Result<RequestId> {
        let submitted = self.shared.clock.monotonic();
        let mut listener = Listener::new(sink, submitted);
        let result = self.admit(&request);
        if let Err(error) = result {
            listener.dismiss();
            return Err(error);
        }
        let submission = |number| {
            Message::Submit(Box::new(Submission { id: RequestId(number), request, submitted, listener }))
        };
        self.mailbox.send_numbered(submission).map(RequestId).map_err(|unheard| {
            if let Message::Submit(mut submission) = unheard {
                submission.listener.dismiss();
            }
            self.shared.door.leave(1);
            shutting_down()
        })
    }

    /// Checks a request and counts it into the queue.
    fn admit(&self, request: &Request) -> Result<()> {
        if self.shared.door.is_closed() || self.shared.door.is_draining() {
            return Err(shutting_down());
        }
        check(request, &self.options)?;
        if let Some(token) = request.prompt.iter().find(|token| **token as usize >= self.vocab_size) {
            let message =
                format!("prompt token {token} is not one of the model's {} tokens", self.vocab_size);
            return Err(Error::invalid("prompt", message));
        }
        request.sampling.validate()?;
        if let Some((token, _)) =
            request.sampling.logit_bias.iter().find(|(token, _)| *token as usize >= self.vocab_size)
        {
            let message = format!(
                "logit_bias names token {token}, which is not one of the model's {}",
                self.vocab_size
            );
            return Err(Error::invalid("logit_bias", message));
        }
        if !self.shared.door.enter(self.options.max_queue) {
            return Err(queue_full(&self.options));
        }
        if self.shared.door.is_draining() {
            // Its thread may have seen somebody waiting and waits for a message.
            self.shared.door.leave(1);
            self.mailbox.send(Message::Wake);
            return Err(shutting_down());
        }
        Ok(())
    }

    /// Calls the engine's thread when what a token may be has become known ([`Allowed::Later`](super::Allowed::Later)).
    pub fn waker(&self) -> Waker {
        Waker(self.mailbox.sender())
    }

    /// Whether it is the engine's own thread that asks.
    pub(super) fn is_worker(&self) -> bool {
        self.mailbox.is_here()
    }

    pub(super) fn send(&self, message: Message) -> Result<()> {
        if self.shared.door.is_closed() || self.mailbox.has_ended() {
            return Err(shutting_down());
        }
        self.mailbox.send(message);
        Ok(())
    }

    /// Cancels a request: it ends with [`ErrorKind::Cancelled`] within one step, wherever it is. A request that has
    /// ended already stays as it is.
    pub fn cancel(&self, id: RequestId) {
        self.mailbox.send(Message::Cancel(id));
    }

    /// The numbers as of the last step; the queue as of now.
    pub fn stats(&self) -> EngineStats {
        let mut stats = self.shared.stats.load();
        stats.queued += self.shared.door.waiting();
        stats.refused = self.shared.door.refused();
        stats
    }

    /// Takes no more requests: they are refused as after a [shutdown](Self::shutdown). Those that it has are served to their
    /// end; then the thread ends by itself and gives the executor back.
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

/// Calls an engine's thread. Keeps nothing alive; an engine that is gone does not hear it.
#[derive(Clone)]
pub struct Waker(Sender<Message>);

impl Waker {
    /// Lets the engine look again for what was not known before.
    pub fn wake(&self) {
        let _ = self.0.send(Message::Wake);
    }
}

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waker")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shutdown();
    }
}

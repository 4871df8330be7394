//! The engine as its callers see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{JoinHandle, ThreadId};

use crossbeam::atomic::AtomicCell;
use crossbeam::channel::{Sender, bounded, unbounded};
use parking_lot::Mutex;

use super::executor::Executor;
use super::options::EngineOptions;
use super::request::{Request, RequestId, Sink};
use super::scheduler::{Scheduler, check, queue_full};
use super::stats::EngineStats;
use super::worker::{Listener, Message, Submission, Worker, shutting_down};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

/// What handle and worker both reach, none of it under a lock that the worker could wait for.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stats: AtomicCell<EngineStats>,
    /// Requests that were submitted and never part of a step.
    new: AtomicUsize,
    refused: AtomicU64,
    /// Set once, by the first shutdown; nothing is computed any more.
    closed: AtomicBool,
}

impl Shared {
    /// Counts a request in, unless `most` wait already.
    fn enter_queue(&self, most: usize) -> bool {
        let enter = |new: usize| (new < most).then_some(new + 1);
        self.new.fetch_update(Ordering::AcqRel, Ordering::Acquire, enter).is_ok()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn leave_queue(&self, requests: usize) {
        self.new.fetch_sub(requests, Ordering::AcqRel);
    }
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
    /// Numbers are given and messages sent under one lock, so that the order of numbers is the order of arrival.
    sender: Mutex<(Sender<Message>, u64)>,
    worker: ThreadId,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts an engine's thread over `executor`, whose cache has the blocks that `options` tells.
    ///
    /// # Errors
    /// Options that do not fit together, an executor without a vocabulary or that refuses the thread, or no thread to
    /// be had.
    pub fn start(executor: Box<dyn Executor>, options: EngineOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        options.validate()?;
        let vocab_size = executor.vocab_size();
        if vocab_size == 0 {
            return Err(Error::new(ErrorKind::InvalidModel, "the model has a vocabulary of 0 tokens"));
        }
        let scheduler = Scheduler::new(options.clone());
        let shared = Arc::new(Shared {
            clock,
            stats: AtomicCell::new(scheduler.stats()),
            new: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        });
        let (sender, receiver) = unbounded();
        let mut worker = Worker::new(scheduler, executor, receiver, shared.clone());
        let (tell, told) = bounded(1);
        let life = move || {
            let entered = worker.enter();
            let enters = entered.is_ok();
            // `start` waits for it.
            let _ = tell.send(entered);
            if enters {
                worker.run();
            }
        };
        let thread = std::thread::Builder::new().name("mr-engine".into()).spawn(life).map_err(|error| {
            Error::new(ErrorKind::Internal, "the engine's thread could not be started").with_source(error)
        })?;
        told.recv().unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the engine's thread ended")))?;
        Ok(Self {
            options,
            vocab_size,
            shared,
            sender: Mutex::new((sender, 0)),
            worker: thread.thread().id(),
            thread: Mutex::new(Some(thread)),
        })
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
        let mut guard = self.sender.lock();
        let (sender, last) = &mut *guard;
        *last += 1;
        let id = RequestId(*last);
        let message = Message::Submit(Box::new(Submission { id, request, submitted, listener }));
        let sent = sender.send(message);
        // Not under the lock: a dismissed sink may call the engine.
        drop(guard);
        if let Err(error) = sent {
            if let Message::Submit(mut submission) = error.into_inner() {
                submission.listener.dismiss();
            }
            self.shared.leave_queue(1);
            return Err(shutting_down());
        }
        Ok(id)
    }

    /// Checks a request and counts it into the queue.
    fn admit(&self, request: &Request) -> Result<()> {
        if self.shared.is_closed() {
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
        if !self.shared.enter_queue(self.options.max_queue) {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
            return Err(queue_full(&self.options));
        }
        Ok(())
    }

    /// Cancels a request: it ends with [`ErrorKind::Cancelled`] within one step, wherever it is. A request that has
    /// ended already stays as it is.
    pub fn cancel(&self, id: RequestId) {
        // Nobody to tell means that everything has ended.
        let _ = self.sender.lock().0.send(Message::Cancel(id));
    }

    /// The numbers as of the last step; the queue as of now.
    pub fn stats(&self) -> EngineStats {
        let mut stats = self.shared.stats.load();
        stats.queued += self.shared.new.load(Ordering::Acquire);
        stats.refused = self.shared.refused.load(Ordering::Relaxed);
        stats
    }

    /// Ends every request with [`ErrorKind::ShuttingDown`] and joins the thread, unless called on it. Later submissions
    /// are refused.
    pub fn shutdown(&self) {
        self.shared.closed.store(true, Ordering::Release);
        let _ = self.sender.lock().0.send(Message::Wake);
        if std::thread::current().id() == self.worker {
            return;
        }
        if let Some(thread) = self.thread.lock().take() {
            // The worker catches what its parts may panic with; if it has panicked, all its requests have ended.
            let _ = thread.join();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shutdown();
    }
}

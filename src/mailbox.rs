//! A thread that owns something and hears everything by message.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{JoinHandle, ThreadId};

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};

/// The sending side of a thread with a mailbox. Messages of all threads stand in one order.
pub(crate) struct Mailbox<M> {
    /// Numbers are given and messages sent under one lock, so that the order of numbers is the order of arrival.
    sender: Mutex<(Sender<M>, u64)>,
    worker: ThreadId,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<M: Send + 'static> Mailbox<M> {
    /// Starts a thread called `name`. `make` gets its mail on the caller's side; on the thread, `enter` prepares what
    /// was made and, unless that fails, `run` lives.
    ///
    /// # Errors
    /// No thread to be had, or what `enter` reports.
    pub(crate) fn start<W: Send + 'static>(
        name: &str,
        make: impl FnOnce(Receiver<M>) -> W,
        enter: impl FnOnce(&mut W) -> Result<()> + Send + 'static,
        run: impl FnOnce(W) + Send + 'static,
    ) -> Result<Self> {
        let (sender, receiver) = unbounded();
        let mut worker = make(receiver);
        let (tell, told) = bounded(1);
        let called = name.to_owned();
        let life = move || {
            let entered = guarded(|| enter(&mut worker)).unwrap_or_else(|panic| {
                let message = format!("preparing the thread {called:?} panicked: {panic}");
                Err(Error::new(ErrorKind::Internal, message))
            });
            let enters = entered.is_ok();
            // `start` waits for it.
            let _ = tell.send(entered);
            if enters {
                run(worker);
            }
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(life).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("the thread {name:?} could not be started"))
                .with_source(error)
        })?;
        let ended = || Error::new(ErrorKind::Internal, format!("the thread {name:?} ended"));
        told.recv().unwrap_or_else(|_| Err(ended()))?;
        let worker = thread.thread().id();
        Ok(Self { sender: Mutex::new((sender, 0)), worker, thread: Mutex::new(Some(thread)) })
    }

    /// Sends a message that bears the next number. Gives the message back when the thread has ended.
    pub(crate) fn send_numbered(&self, message: impl FnOnce(u64) -> M) -> Result<u64, M> {
        let mut guard = self.sender.lock();
        let (sender, last) = &mut *guard;
        *last += 1;
        let number = *last;
        let sent = sender.send(message(number));
        // What comes back is dropped by the caller, not under the lock: it may hold what calls the engine.
        drop(guard);
        sent.map(|()| number).map_err(|error| error.into_inner())
    }

    /// A further way in, for messages without a number.
    pub(crate) fn sender(&self) -> Sender<M> {
        self.sender.lock().0.clone()
    }

    /// Sends a message. Nobody to hear it means that everything has ended.
    pub(crate) fn send(&self, message: M) {
        let sent = self.sender.lock().0.send(message);
        drop(sent);
    }

    /// Whether it is the thread that asks.
    pub(crate) fn is_here(&self) -> bool {
        std::thread::current().id() == self.worker
    }

    /// Whether the thread has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.lock().as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the thread to end, unless called on it.
    pub(crate) fn join(&self) {
        if self.is_here() {
            return;
        }
        if let Some(thread) = self.thread.lock().take() {
            // The worker catches what its parts may panic with; if it has panicked, all its requests have ended.
            let _ = thread.join();
        }
    }
}

/// Runs `call` and turns a panic into its message.
pub(crate) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        let message = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
            (Some(text), _) => (*text).to_owned(),
            (None, Some(text)) => text.clone(),
            (None, None) => "a panic without a message".to_owned(),
        };
        // A payload of an unknown type may panic again when dropped; leaking it cannot.
        std::mem::forget(payload);
        message
    })
}

/// The error of requests that a shutdown ends.
pub(crate) fn shutting_down() -> Error {
    Error::new(ErrorKind::ShuttingDown, "the engine is shutting down")
}

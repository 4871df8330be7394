//! Threads that wait for answers, one for each that is being made.
//!
//! Whichever answer is there first must be heard of first, and an answer can be waited for only one at a time. A thread for each
//! is the simple thing that is bounded: there are no more of them than requests at once, they are asleep nearly always, and what
//! they do when they wake up, writing the answer as JSON, then happens beside the run and not in it.

use std::io;
use std::thread::{Builder, Scope};

use crossbeam::channel::{Receiver, Sender, unbounded};

use super::Event;
use super::pending::Pending;
use super::result::Head;
use crate::error::{Error, ErrorKind};
use crate::mailbox::guarded;

/// What a thread does needs little of its stack.
const STACK_BYTES: usize = 256 << 10;

/// An answer to wait for.
pub(super) struct Job {
    pub(super) number: u64,
    pub(super) head: Head,
    pub(super) pending: Pending,
}

/// The threads; they end when this is dropped and their answers are there.
pub(super) struct Waiters<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    jobs: Sender<Job>,
    receiver: Receiver<Job>,
    events: Sender<Event>,
    threads: usize,
}

impl<'scope, 'env> Waiters<'scope, 'env> {
    pub(super) fn new(scope: &'scope Scope<'scope, 'env>, events: Sender<Event>) -> Self {
        let (jobs, receiver) = unbounded();
        Self { scope, jobs, receiver, events, threads: 0 }
    }

    /// Waits for one more, beside `running` others.
    ///
    /// # Errors
    /// No thread to be had.
    pub(super) fn add(&mut self, job: Job, running: usize) -> io::Result<()> {
        if self.threads <= running {
            let (jobs, events) = (self.receiver.clone(), self.events.clone());
            let life = move || {
                for Job { number, head, pending } in jobs {
                    let ending = guarded(|| pending.wait(&head)).unwrap_or_else(|panic| {
                        let message = format!("waiting for an answer panicked: {panic}");
                        Err((Error::new(ErrorKind::Internal, message), None))
                    });
                    // The run listens until the last thread is gone.
                    let _ = events.send(Event::Ended(number, ending));
                }
            };
            let named = Builder::new().name("mr-batch".into()).stack_size(STACK_BYTES);
            named.spawn_scoped(self.scope, life)?;
            self.threads += 1;
        }
        // The receiver is here: it cannot be gone.
        let _ = self.jobs.send(job);
        Ok(())
    }
}

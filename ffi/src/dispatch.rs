//! Callbacks: one thread per runtime that waits for everything that has a callback at once and calls the host.
//!
//! The thread is a small executor: each thing is polled when its waker was called. While the host's function runs,
//! none of our locks is held.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use runtime::{Error, ErrorKind};

use crate::boundary::{self, Failure};
use crate::callback::EventCallback;
use crate::error::ErrorHandle;
use crate::event::EventHandle;
use crate::stream::Answer;

/// What has events.
pub(crate) trait Reports: Send {
    /// All that is new as one event; `None` after the end.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<EventHandle>, Error>>;
}

impl Reports for Box<dyn Answer> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<EventHandle>, Error>> {
        (**self).poll(context)
    }
}

/// An answer that is reported to a callback.
pub(crate) type PushedAnswer = Pushed<Box<dyn Answer>>;

/// Something that is reported to a callback.
pub(crate) struct Pushed<R: ?Sized> {
    id: u64,
    cancel: Box<dyn Fn() + Send + Sync>,
    slot: Mutex<Slot>,
    changed: Condvar,
    dispatcher: ThreadId,
    reports: Mutex<R>,
}

/// Who has the callback, and what became of it.
#[derive(Default)]
struct Slot {
    callback: Option<EventCallback>,
    /// The dispatch thread has it and is in it.
    calling: bool,
    /// The request is gone: the callback is not called again.
    freed: bool,
    /// The last event was reported, or the callback wants no more.
    ended: bool,
    /// What the callback returned when it was not zero.
    result: i32,
}

impl PushedAnswer {
    /// Waits until everything was reported, and gives the whole response; `None` when `timeout` passes first.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Option<Result<String, Failure>> {
        if std::thread::current().id() == self.dispatcher {
            let message = "waiting in a callback for a request with a callback would never end";
            return Some(Err(Error::new(ErrorKind::Conflict, message).with_param("request").into()));
        }
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut slot = self.slot.lock();
        while !slot.ended {
            match deadline {
                None => self.changed.wait(&mut slot),
                Some(deadline) if self.changed.wait_until(&mut slot, deadline).timed_out() && !slot.ended => {
                    return None;
                }
                Some(_) => {}
            }
        }
        let result = slot.result;
        drop(slot);
        if result != 0 {
            return Some(Err(Failure::callback(result)));
        }
        // Everything was reported, so the answer has ended and this does not wait.
        self.reports.lock().wait(None).map(|response| response.map_err(Failure::from))
    }

    /// Looks at the answer itself, between two reports.
    pub(crate) fn with_answer<T>(&self, look: impl FnOnce(&dyn Answer) -> T) -> T {
        look(self.reports.lock().as_ref())
    }
}

impl<R: Reports + ?Sized> Pushed<R> {
    /// Ends the reports: afterwards the callback neither runs nor will run, and its data is freed. Inside the
    /// callback itself the data is freed when that returns.
    pub(crate) fn free(&self) {
        (self.cancel)();
        let mut slot = self.slot.lock();
        slot.freed = true;
        if std::thread::current().id() != self.dispatcher {
            while slot.calling {
                self.changed.wait(&mut slot);
            }
        }
        self.finish(slot, None);
    }

    /// Marks the end, and frees the host's data outside the lock, if nobody is in the callback.
    fn finish(&self, mut slot: MutexGuard<'_, Slot>, callback: Option<EventCallback>) {
        slot.ended = true;
        let stored = slot.callback.take();
        self.changed.notify_all();
        drop(slot);
        drop((stored, callback));
    }

    /// Reports what is new. True if there is nothing more to report.
    fn step(&self, context: &mut Context<'_>) -> Poll<bool> {
        let polled = boundary::guard_thread(|| Ok(self.reports.lock().poll(context)));
        let (event, last) = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(Some(event)))) => (event, false),
            Ok(Poll::Ready(Ok(None))) => (EventHandle::end(None), true),
            Ok(Poll::Ready(Err(error))) => (EventHandle::end(Some(ErrorHandle::from(&error.into()))), true),
            Err(defect) => (EventHandle::end(Some(ErrorHandle::from(&defect))), true),
        };
        Poll::Ready(self.report(&event, last))
    }

    fn report(&self, event: &EventHandle, last: bool) -> bool {
        let mut slot = self.slot.lock();
        let Some(callback) = slot.callback.take() else { return true };
        slot.calling = true;
        drop(slot);

        let result = callback.call(event.lend());
        let over = last || result != 0;
        if over && !last {
            (self.cancel)();
        }
        // At the end the host's data is freed before anybody who waits for the end hears of it.
        let callback = if over {
            drop(callback);
            None
        } else {
            Some(callback)
        };

        let mut slot = self.slot.lock();
        slot.calling = false;
        slot.result = result;
        if over || slot.freed && slot.ended {
            // Ended by the host inside the callback, or over.
            self.finish(slot, callback);
            return true;
        }
        // Whoever frees the request meanwhile waits for this.
        slot.callback = callback;
        self.changed.notify_all();
        false
    }
}

enum Message {
    Add(Arc<Pushed<dyn Reports>>),
    Look(u64),
    Stop,
}

struct Bell {
    id: u64,
    sender: Sender<Message>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // A dispatcher that is gone has nobody to report to.
        let _ = self.sender.send(Message::Look(self.id));
    }
}

/// The thread of a runtime's callbacks. Dropping it ends the thread; in a callback, as soon as that returns.
pub(crate) struct Dispatcher {
    sender: Sender<Message>,
    next: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

impl Dispatcher {
    pub(crate) fn start() -> Result<Self, Error> {
        let (sender, receiver) = channel();
        let bells = sender.clone();
        let thread = std::thread::Builder::new()
            .name("mr-dispatch".into())
            .spawn(move || run(&receiver, &bells))
            .map_err(|error| {
                Error::new(ErrorKind::Internal, "the callbacks' thread does not start").with_source(error)
            })?;
        Ok(Self { sender, next: AtomicU64::new(0), thread: Some(thread) })
    }

    /// Reports what `reports` has to `callback` from now on; `cancel` ends it.
    pub(crate) fn add<R: Reports + 'static>(
        &self,
        reports: R,
        cancel: Box<dyn Fn() + Send + Sync>,
        callback: EventCallback,
    ) -> Result<Arc<Pushed<R>>, Error> {
        let gone = || Error::new(ErrorKind::Internal, "the callbacks' thread has ended");
        let dispatcher = self.thread.as_ref().ok_or_else(gone)?.thread().id();
        let pushed = Arc::new(Pushed {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            cancel,
            slot: Mutex::new(Slot { callback: Some(callback), ..Slot::default() }),
            changed: Condvar::new(),
            dispatcher,
            reports: Mutex::new(reports),
        });
        self.sender.send(Message::Add(Arc::clone(&pushed) as _)).map_err(|_| gone())?;
        Ok(pushed)
    }

    /// Lets go of something that was freed.
    pub(crate) fn forget<R: ?Sized>(&self, pushed: &Pushed<R>) {
        let _ = self.sender.send(Message::Look(pushed.id));
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        let _ = self.sender.send(Message::Stop);
        if let Some(thread) =
            self.thread.take().filter(|thread| thread.thread().id() != std::thread::current().id())
        {
            // It catches every panic of its parts; one that escaped has ended it all the same.
            let _ = thread.join();
        }
    }
}

fn run(receiver: &Receiver<Message>, sender: &Sender<Message>) {
    let mut answers: HashMap<u64, (Arc<Pushed<dyn Reports>>, Waker)> = HashMap::new();
    while let Ok(message) = receiver.recv() {
        let id = match message {
            Message::Stop => return,
            Message::Add(pushed) => {
                let id = pushed.id;
                let waker = Waker::from(Arc::new(Bell { id, sender: sender.clone() }));
                answers.insert(id, (pushed, waker));
                id
            }
            Message::Look(id) => id,
        };
        let Some((pushed, waker)) = answers.get(&id) else { continue };
        let over = match pushed.step(&mut Context::from_waker(waker)) {
            Poll::Ready(true) => true,
            Poll::Ready(false) => {
                // To the end of the line: other answers come first.
                waker.wake_by_ref();
                false
            }
            Poll::Pending => pushed.slot.lock().freed,
        };
        if over {
            answers.remove(&id);
        }
    }
}

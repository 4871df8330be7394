//! Bounds the requests that wait for a thread, and closes for good, without a lock.

use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};

/// The way in to a thread that serves requests.
#[derive(Debug)]
pub(crate) struct Door {
    /// Requests that were let in and never began.
    waiting: AtomicUsize,
    refused: AtomicU64,
    /// Set once, by the first shutdown; nothing is computed any more.
    closed: AtomicBool,
    /// Set once; nobody is let in any more, and who is in is served to the end.
    draining: AtomicBool,
}

impl Default for Door {
    fn default() -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        }
    }
}

impl Door {
    /// Counts a request in, unless `most` wait already.
    pub(crate) fn enter(&self, most: usize) -> bool {
        let enter = |waiting: usize| (waiting < most).then_some(waiting + 1);
        let entered = self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, enter).is_ok();
        if !entered {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        entered
    }

    /// Counts requests out: they have begun, or ended before.
    pub(crate) fn leave(&self, requests: usize) {
        self.waiting.fetch_sub(requests, Ordering::AcqRel);
    }

    /// Lets nobody in any more.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether who has [entered](Self::enter) has to leave again: nobody is let in any more. Asked after entering, so that
    /// either this sees the door draining, or the thread behind it sees somebody waiting.
    pub(crate) fn is_draining(&self) -> bool {
        // Entering comes before the question. With the fence below, one of the two sees what the other has done.
        fence(Ordering::SeqCst);
        self.draining.load(Ordering::Acquire)
    }

    /// Whether nobody is let in any more and nobody waits.
    pub(crate) fn is_drained(&self) -> bool {
        if !self.draining.load(Ordering::Acquire) {
            return false;
        }
        fence(Ordering::SeqCst);
        self.waiting.load(Ordering::Acquire) == 0
    }

    /// Requests that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Requests that were not let in.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Computes nothing any more.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Whether it was [closed](Self::close).
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

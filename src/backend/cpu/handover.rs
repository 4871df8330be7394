//! Hands the tasks of one operation to threads that wait for it, and gets them back, without a lock.

use crate::sync::{
    AtomicBool, AtomicUsize, Ordering, SPINS, SPINS_AT_ONCE, Thread, UnsafeCell, park, spin_loop, yield_now,
};

/// A borrowed task list: what to call, with the thread's number and the task's.
#[derive(Clone, Copy)]
struct Job {
    run: *const (dyn Fn(usize, usize) + Sync),
    tasks: usize,
}

/// What the thread that has an operation and its helpers share.
pub(super) struct Handover {
    /// Counts operations; a change tells the helpers that `job` is a new one.
    generation: AtomicUsize,
    job: UnsafeCell<Option<Job>>,
    /// The next task that nobody has taken.
    next: AtomicUsize,
    /// Helpers that have not finished the current operation.
    busy: AtomicUsize,
    panicked: AtomicBool,
    closing: AtomicBool,
}

// SAFETY: `job` is written only by the thread that has the operation, while no helper is busy, and is published by the
// release store of `generation`; helpers read it after the matching acquire load. What it points to is `Sync`.
unsafe impl Sync for Handover {}
// SAFETY: as above; the pointer is never followed after the operation that set it has ended.
unsafe impl Send for Handover {}

impl Handover {
    pub(super) fn new() -> Self {
        Self {
            generation: AtomicUsize::new(0),
            job: UnsafeCell::new(None),
            next: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        }
    }

    /// Calls `run` for every number below `tasks`, on this thread, which has number 0, and on all helpers, and returns
    /// when all calls have.
    ///
    /// # Safety
    /// `helpers` are exactly the threads that live in [`help`](Self::help), and no other operation runs.
    ///
    /// # Panics
    /// If a call panics, after all others have ended.
    pub(super) unsafe fn run<'a>(
        &self,
        helpers: impl ExactSizeIterator<Item = &'a Thread>,
        tasks: usize,
        run: &(dyn Fn(usize, usize) + Sync),
    ) {
        // SAFETY: the lifetime is erased only until this function returns, and it returns only when no helper is busy.
        let run_erased = unsafe {
            std::mem::transmute::<
                *const (dyn Fn(usize, usize) + Sync + '_),
                *const (dyn Fn(usize, usize) + Sync + 'static),
            >(run)
        };
        // SAFETY: no helper is busy, so none reads the job.
        self.job.with_mut(|job| unsafe { *job = Some(Job { run: run_erased, tasks }) });
        self.next.store(0, Ordering::Relaxed);
        self.busy.store(helpers.len(), Ordering::Relaxed);
        self.generation.fetch_add(1, Ordering::Release);
        for thread in helpers {
            thread.unpark();
        }
        // A panic of this thread's own tasks must wait for the helpers, who use what the caller's stack holds.
        let mine = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.take(tasks, 0, run)));
        let mut spins = 0_u32;
        while self.busy.load(Ordering::Acquire) != 0 {
            spins = spins.wrapping_add(1);
            pause(spins);
        }
        let theirs = self.panicked.swap(false, Ordering::Relaxed);
        if let Err(panic) = mine {
            std::panic::resume_unwind(panic);
        }
        if theirs {
            std::panic::resume_unwind(Box::new("a compute thread panicked"));
        }
    }

    /// Takes tasks until there are none.
    fn take(&self, tasks: usize, number: usize, run: &(dyn Fn(usize, usize) + Sync)) {
        loop {
            let task = self.next.fetch_add(1, Ordering::Relaxed);
            if task >= tasks {
                return;
            }
            run(number, task);
        }
    }

    /// The life of helper `number`: it ends after [`close`](Self::close).
    pub(super) fn help(&self, number: usize) {
        let mut seen = 0;
        loop {
            let mut spins = 0;
            while self.generation.load(Ordering::Acquire) == seen {
                if self.closing.load(Ordering::Relaxed) {
                    return;
                }
                spins += 1;
                if spins < SPINS { pause(spins) } else { park() }
            }
            if self.closing.load(Ordering::Relaxed) {
                return;
            }
            seen = self.generation.load(Ordering::Acquire);
            // SAFETY: the operation cannot end, nor the job change, before this helper says that it is not busy.
            if let Some(job) = self.job.with(|job| unsafe { *job }) {
                // SAFETY: as above: what the job borrows lives until then.
                let run = unsafe { &*job.run };
                let take = std::panic::AssertUnwindSafe(|| self.take(job.tasks, number, run));
                if std::panic::catch_unwind(take).is_err() {
                    self.panicked.store(true, Ordering::Relaxed);
                }
            }
            self.busy.fetch_sub(1, Ordering::Release);
        }
    }

    /// Ends the helpers, who must be unparked for it. No operation comes after it.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }
}

/// Between one look and the next.
fn pause(spins: u32) {
    if spins.is_multiple_of(SPINS_AT_ONCE) { yield_now() } else { spin_loop() }
}

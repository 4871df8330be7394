//! The threads of one backend: they split the tasks of one operation among them, spin for a moment after it, and park.
//!
//! Nothing here is shared between backends, and nothing decides results: a task computes the same numbers whoever
//! runs it.

use std::sync::Arc;
use std::thread::{JoinHandle, Thread};

use parking_lot::Mutex;

use super::super::BackendError;
use super::affinity::{self, Affinity};
use super::handover::Handover;

/// A set of threads that belong to one backend.
pub(super) struct Threads {
    handover: Arc<Handover>,
    helpers: Vec<(Thread, Option<JoinHandle<()>>)>,
    /// One operation at a time.
    running: Mutex<()>,
}

impl Threads {
    /// `count` threads, the calling one included, wherever the system puts them. Fewer when it has no more to give.
    #[cfg(test)]
    #[allow(clippy::unwrap_used)]
    pub(super) fn new(count: usize) -> Self {
        Self::bound(count, &Affinity::None).unwrap()
    }

    /// `count` threads, the calling one included: helper `n` is bound to the affinity's core for thread `n`, the
    /// calling thread stays as it is. Fewer when the system has no more to give.
    ///
    /// # Errors
    /// A core that a helper cannot be bound to.
    pub(super) fn bound(count: usize, affinity: &Affinity) -> Result<Self, BackendError> {
        let handover = Arc::new(Handover::new());
        let (tell, told) = std::sync::mpsc::channel();
        // Up to the first that cannot be had: the numbers have no gaps.
        let helpers: Vec<_> = (1..count)
            .map_while(|at| {
                let (handover, tell, affinity) = (Arc::clone(&handover), tell.clone(), affinity.clone());
                let life = move || {
                    // Nobody listens any more if another helper could not be bound.
                    let _ = tell.send(affinity::enter(&affinity, at));
                    drop(tell);
                    handover.help(at);
                };
                let name = format!("mr-compute-{at}");
                let handle = std::thread::Builder::new().name(name).spawn(life).ok()?;
                Some((handle.thread().clone(), Some(handle)))
            })
            .collect();
        drop(tell);
        let threads = Self { handover, helpers, running: Mutex::new(()) };
        told.iter().collect::<Result<(), _>>()?;
        Ok(threads)
    }

    /// How many threads there are, the calling one included.
    pub(super) fn count(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Calls `run` for every number below `tasks`, on all threads, and returns when all calls have.
    ///
    /// # Panics
    /// If a call panics, after all others have ended.
    pub(super) fn run(&self, tasks: usize, run: &(dyn Fn(usize) + Sync)) {
        self.run_numbered(tasks, &|_, task| run(task));
    }

    /// As [`run`](Self::run); every call also hears the number of its thread, below [`count`](Self::count): calls with
    /// the same number never run at once.
    ///
    /// # Panics
    /// If a call panics, after all others have ended.
    pub(super) fn run_numbered(&self, tasks: usize, run: &(dyn Fn(usize, usize) + Sync)) {
        if tasks == 0 {
            return;
        }
        let _running = self.running.lock();
        if tasks == 1 || self.helpers.is_empty() {
            (0..tasks).for_each(|task| run(0, task));
            return;
        }
        let helpers = self.helpers.iter().map(|(thread, _)| thread);
        // SAFETY: these are all helpers, and `running` is held.
        unsafe { self.handover.run(helpers, tasks, run) };
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.handover.close();
        for (thread, handle) in &mut self.helpers {
            thread.unpark();
            if let Some(handle) = handle.take() {
                // A helper catches what its tasks throw; there is nothing to learn from the join.
                let _ = handle.join();
            }
        }
    }
}

/// A place that the tasks of one operation write to, each its own part.
pub(super) struct SharedMut<T>(*mut T);

impl<T> Clone for SharedMut<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SharedMut<T> {}

// SAFETY: the pointer is followed only through the unsafe methods, whose callers write disjoint parts.
unsafe impl<T: Send> Send for SharedMut<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedMut<T> {}

impl<T> SharedMut<T> {
    pub(super) fn new(first: *mut T) -> Self {
        Self(first)
    }

    /// The address of element `at`.
    ///
    /// # Safety
    /// The element must exist.
    pub(super) unsafe fn at(self, at: usize) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(at) }
    }

    /// Elements `at` to `at + len`.
    ///
    /// # Safety
    /// They must exist for as long as the result is used, and nobody else may use them meanwhile.
    pub(super) unsafe fn slice<'a>(self, at: usize, len: usize) -> &'a mut [T] {
        // SAFETY: the caller's promise.
        let first = unsafe { self.at(at) };
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(first, len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// What every thread says of itself, in the order of their numbers.
    #[cfg(target_os = "linux")]
    fn ask_each<T: Clone + Default + Send>(threads: &Threads, ask: impl Fn() -> T + Sync) -> Vec<T> {
        let answers = Mutex::new(vec![T::default(); threads.count()]);
        // Nobody takes a second task before everybody has one.
        let all = std::sync::Barrier::new(threads.count());
        threads.run_numbered(threads.count(), &|number, _| {
            all.wait();
            answers.lock()[number] = ask();
        });
        answers.into_inner()
    }

    #[test]
    #[cfg(target_os = "linux")]
    #[allow(clippy::unwrap_used)]
    fn helpers_run_where_they_are_told_and_the_caller_where_it_was() {
        use super::affinity::tests::cores_of_this_thread;

        let before = cores_of_this_thread();
        let cores = affinity::usable().unwrap();
        // Two backends at once, the second in the opposite order.
        let reversed: Vec<usize> = cores.iter().rev().copied().collect();
        let bound = |cores: &[usize]| Threads::bound(cores.len(), &Affinity::Cores(cores.to_vec())).unwrap();
        let (first, second, free) = (bound(&cores), bound(&reversed), Threads::new(2));
        for (threads, cores) in [(&first, &cores), (&second, &reversed), (&first, &cores)] {
            let answers = ask_each(threads, cores_of_this_thread);
            assert_eq!(answers[0], before, "thread 0 is the caller's");
            let helpers: Vec<Vec<usize>> = cores[1..].iter().map(|&core| vec![core]).collect();
            assert_eq!(answers[1..], helpers);
        }
        assert_eq!(ask_each(&free, cores_of_this_thread), [before.clone(), before]);
    }

    #[test]
    fn every_task_runs_exactly_once() {
        for threads in [1, 2, 3, 8] {
            let threads = Threads::new(threads);
            for tasks in [0, 1, 2, 3, 17, 1000] {
                let hits: Vec<AtomicU64> = (0..tasks).map(|_| AtomicU64::new(0)).collect();
                threads.run(tasks, &|task| {
                    hits[task].fetch_add(1, Ordering::Relaxed);
                });
                assert!(hits.iter().all(|hit| hit.load(Ordering::Relaxed) == 1), "{tasks} tasks");
            }
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_threads_go_on() {
        let threads = Threads::new(3);
        for bad in [0, 5, 99] {
            let thrown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                threads.run(100, &|task| assert_ne!(task, bad));
            }));
            assert!(thrown.is_err());
        }
        let sum = AtomicU64::new(0);
        threads.run(100, &|task| {
            sum.fetch_add(task as u64, Ordering::Relaxed);
        });
        assert_eq!(sum.load(Ordering::Relaxed), 4950);
    }

    #[test]
    fn many_callers_take_turns() {
        let threads = Threads::new(2);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let sum = AtomicU64::new(0);
                        threads.run(10, &|task| {
                            sum.fetch_add(task as u64, Ordering::Relaxed);
                        });
                        assert_eq!(sum.load(Ordering::Relaxed), 45);
                    }
                });
            }
        });
    }
}

//! The lock-free parts under a model checker, which tries every order in which their steps can be seen by other threads
//! (loom; up to as many preemptions as each test says). They are compiled here from the library's own files, with the checker's
//! atomics for [`sync`].

#![allow(unsafe_code, dead_code, clippy::expect_used)]

#[path = "../../src/door.rs"]
mod door;
#[path = "../../src/backend/cpu/handover.rs"]
mod handover;
#[path = "../../src/backend/cpu/attention/slots.rs"]
mod slots;

/// As the library's `sync`, of the checker's types.
mod sync {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
    pub(crate) use loom::thread::yield_now;

    /// Every number above one only repeats what one look shows.
    pub(crate) const SPINS: u32 = 2;
    pub(crate) const SPINS_AT_ONCE: u32 = 2;

    loom::thread_local! {
        static SELF: std::cell::RefCell<Option<Thread>> = std::cell::RefCell::new(None);
    }

    /// A thread as whoever wakes it knows it. The checker's own takes waking a thread that is not parked for a
    /// synchronization, which would hide what is missing in the handover.
    #[derive(Clone)]
    pub(crate) struct Thread(std::sync::Arc<loom::sync::Notify>);

    impl Thread {
        pub(crate) fn new() -> Self {
            Self(std::sync::Arc::new(loom::sync::Notify::new()))
        }

        pub(crate) fn unpark(&self) {
            self.0.notify();
        }

        /// The thread that calls is this one.
        pub(crate) fn enter(&self) {
            SELF.with(|own| own.replace(Some(self.clone())));
        }
    }

    pub(crate) fn park() {
        let own = SELF.with(|own| own.borrow().clone());
        own.expect("only helpers park").0.wait();
    }
}

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;

/// Every order of a program's steps, as far as `preemptions` go.
fn every_order(preemptions: usize, program: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(program);
}

/// `helpers` threads live in [`handover::Handover::help`] while `program` runs on this one.
fn with_helpers(helpers: usize, program: impl FnOnce(&handover::Handover, &[sync::Thread])) {
    let shared = Arc::new(handover::Handover::new());
    let threads: Vec<_> = (0..helpers).map(|_| sync::Thread::new()).collect();
    let lives: Vec<_> = (1..)
        .zip(&threads)
        .map(|(number, own)| {
            let (shared, own) = (Arc::clone(&shared), own.clone());
            thread::spawn(move || {
                own.enter();
                shared.help(number);
            })
        })
        .collect();
    program(&shared, &threads);
    shared.close();
    threads.iter().for_each(sync::Thread::unpark);
    for life in lives {
        life.join().expect("a helper catches what its tasks throw");
    }
}

/// Every task of an operation runs once; the caller sees what it wrote; then comes the next operation.
fn operations(helpers: usize, tasks: &'static [usize]) {
    with_helpers(helpers, |shared, threads| {
        for &tasks in tasks {
            let written: Vec<_> = (0..tasks).map(|_| Counted::new()).collect();
            let run = |_number: usize, task: usize| written[task].add();
            // SAFETY: these are all helpers, and the operations follow each other.
            unsafe { shared.run(threads.iter(), tasks, &run) };
            assert!(written.iter().all(|task| task.get() == 1));
        }
    });
}

/// Counts without synchronization: the checker objects if what is checked does not order it.
struct Counted(UnsafeCell<usize>);

// SAFETY: the checker's cell tells of every access that is not ordered.
unsafe impl Sync for Counted {}

impl Counted {
    fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    fn add(&self) {
        // SAFETY: checked.
        self.0.with_mut(|value| unsafe { *value += 1 });
    }

    fn get(&self) -> usize {
        // SAFETY: checked.
        self.0.with(|value| unsafe { *value })
    }
}

#[test]
fn a_helper_does_its_part_of_operations_that_follow_each_other() {
    every_order(2, || operations(1, &[2, 1]));
}

#[test]
fn two_helpers_do_their_parts() {
    every_order(1, || operations(2, &[2]));
}

#[test]
fn helpers_that_were_never_asked_end() {
    every_order(2, || operations(2, &[]));
}

#[test]
fn a_panic_of_a_task_waits_for_the_others() {
    every_order(2, || {
        with_helpers(1, |shared, threads| {
            let ended = AtomicUsize::new(0);
            let run = |_number: usize, task: usize| {
                ended.fetch_add(1, Ordering::Relaxed);
                if task == 0 {
                    std::panic::resume_unwind(Box::new("a task's panic"));
                }
            };
            let operation = || {
                // SAFETY: these are all helpers, and it is the only operation.
                unsafe { shared.run(threads.iter(), 2, &run) }
            };
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(operation)).is_err());
            // The thread that panics takes no other task; whoever is left takes it, unless nobody is.
            assert!((1..=2).contains(&ended.load(Ordering::Relaxed)));
        });
    });
}

#[test]
fn a_slot_is_held_by_one_thread_at_a_time() {
    every_order(3, || {
        let slots = Arc::new((slots::Slots::new(1), Counted::new()));
        let hold = |slots: &(slots::Slots, Counted)| {
            let slot = slots.0.take();
            assert_eq!(slot.number(), 0);
            slots.1.add();
        };
        let other = {
            let slots = Arc::clone(&slots);
            thread::spawn(move || hold(&slots))
        };
        hold(&slots);
        other.join().expect("it only counts");
        assert_eq!(slots.1.get(), 2);
    });
}

#[test]
fn threads_hold_different_slots() {
    every_order(3, || {
        let slots = Arc::new(slots::Slots::new(2));
        let held: Arc<[AtomicBool; 2]> = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let hold = |slots: &slots::Slots, held: &[AtomicBool; 2]| {
            let slot = slots.take();
            assert!(
                !held[slot.number()].swap(true, Ordering::Relaxed),
                "slot {} is held twice",
                slot.number()
            );
            held[slot.number()].store(false, Ordering::Relaxed);
        };
        let other = {
            let (slots, held) = (Arc::clone(&slots), Arc::clone(&held));
            thread::spawn(move || hold(&slots, &held))
        };
        hold(&slots, &held);
        other.join().expect("it only looks");
    });
}

/// The worker ends when it sees nobody; a request that has entered must not be left behind it.
#[test]
fn whoever_enters_a_draining_door_is_served_or_sees_it() {
    every_order(3, || {
        let door = Arc::new(door::Door::default());
        let submits = {
            let door = Arc::clone(&door);
            thread::spawn(move || door.enter(4) && !door.is_draining())
        };
        let worker = {
            let door = Arc::clone(&door);
            thread::spawn(move || door.is_drained())
        };
        door.drain();
        let ends_here = door.is_drained();
        let (submitted, ended) =
            (submits.join().expect("it only asks"), worker.join().expect("it only asks"));
        assert!(!(submitted && (ended || ends_here)), "a request was let in behind a worker that has ended");
    });
}

#[test]
fn no_more_wait_than_are_let_in() {
    every_order(3, || {
        let door = Arc::new(door::Door::default());
        let entering: Vec<_> = (0..2)
            .map(|_| {
                let door = Arc::clone(&door);
                thread::spawn(move || door.enter(1))
            })
            .collect();
        let entered =
            entering.into_iter().filter_map(|thread| thread.join().ok()).filter(|&entered| entered).count();
        assert_eq!((entered, door.waiting(), door.refused()), (1, 1, 1));
    });
}

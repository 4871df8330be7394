//! An allocator that counts.

// An allocator cannot be written without.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The system's allocator, which counts while it is told to.
pub(crate) struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Where the first one was.
static FIRST: Mutex<Option<Backtrace>> = Mutex::new(None);

fn count() {
    if COUNTS.load(Ordering::Relaxed) && COUNT.fetch_add(1, Ordering::Relaxed) == 0 {
        // The rest is of no interest, and taking a backtrace allocates.
        COUNTS.store(false, Ordering::Relaxed);
        *FIRST.lock().unwrap() = Some(Backtrace::force_capture());
    }
}

// SAFETY: every call is the system allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Begins to count.
pub(crate) fn start() {
    COUNT.store(0, Ordering::Relaxed);
    COUNTS.store(true, Ordering::Relaxed);
}

/// Ends counting; `what` must not have allocated. Without a [`start`] before, there is nothing to complain of.
pub(crate) fn stop(what: &str) {
    COUNTS.store(false, Ordering::Relaxed);
    if COUNT.swap(0, Ordering::Relaxed) > 0 {
        // Not a panic: the engine would catch it.
        let first = FIRST.lock().unwrap().take();
        eprintln!(
            "{what} allocated, first here:\n{}",
            first.map_or_else(String::new, |trace| trace.to_string())
        );
        std::process::abort();
    }
}

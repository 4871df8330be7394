//! Which process the library lives in. A fork copies memory and one thread; the threads that everything here relies on stay behind.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use ::runtime::{Error, ErrorKind};

use crate::boundary::Failure;

/// The process that made the first runtime; 0 before that.
static HOME: AtomicU32 = AtomicU32::new(0);

/// Settles in this process, if no other one was there before.
pub(crate) fn settle() -> Result<(), Failure> {
    // Whoever was first stays.
    let _ = HOME.compare_exchange(0, process::id(), Ordering::Relaxed, Ordering::Relaxed);
    check()
}

/// Fails in a child of the process that the library lives in. Asked before any lock is taken.
pub(crate) fn check() -> Result<(), Failure> {
    let (home, here) = (HOME.load(Ordering::Relaxed), process::id());
    if home == 0 || home == here {
        return Ok(());
    }
    let message = format!(
        "the library lives in process {home}, of which process {here} is a fork without its threads; fork before the first runtime"
    );
    Err(Error::new(ErrorKind::Conflict, message).into())
}

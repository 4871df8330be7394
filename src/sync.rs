//! What the lock-free parts are made of. `tests/loom` compiles the same parts with the types of a model checker under the
//! same names, which tries every order of their steps.

pub(crate) use std::hint::spin_loop;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
pub(crate) use std::thread::{Thread, park, yield_now};

/// How often a thread looks again before it parks: long enough to bridge the pauses inside a step, short enough that an
/// idle runtime burns nothing anybody would notice.
pub(crate) const SPINS: u32 = 20_000;
/// How often it looks before others may run: where threads outnumber processors, the one that is waited for may need this
/// one's.
pub(crate) const SPINS_AT_ONCE: u32 = 500;

/// A value that is reached through a shared reference; when that is allowed is said by whoever follows the pointers.
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Reads through the pointer.
    pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    /// Reads and writes through the pointer.
    pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

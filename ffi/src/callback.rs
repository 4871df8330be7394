//! Functions of the host that this library calls.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use ::runtime::Clock;
use jiff::Timestamp;

use crate::event::mr_event;

/// Receives a request's events, one after the other, on the runtime's dispatch thread; see the overview for what it
/// may do. The event is lent until it returns.
///
/// It returns 0 to go on; anything else cancels the request, which then ends with MR_E_CALLBACK and is not reported
/// any more.
pub type mr_event_callback =
    Option<unsafe extern "C" fn(user_data: *mut c_void, event: *const mr_event) -> i32>;

/// Receives the progress of a load: what is being read (MR_PHASE_...), bytes done and bytes in all. It runs on the
/// thread that called mr_runtime_serve, before that returns.
///
/// It returns 0 to go on; anything else ends the load with MR_E_CALLBACK.
pub type mr_progress_callback = Option<
    unsafe extern "C" fn(user_data: *mut c_void, phase: i32, done_bytes: u64, total_bytes: u64) -> i32,
>;

/// Hears how far a run of many requests is: JSON, lent until it returns, with read, skipped, done, failed, running, waiting,
/// prompt_tokens, completion_tokens, bytes_read and bytes_total (null where it is not known). It runs on the thread that called
/// mr_runtime_run_batch, before that returns.
///
/// It returns 0 to go on; anything else ends the run, and what was written stays.
pub type mr_batch_callback =
    Option<unsafe extern "C" fn(user_data: *mut c_void, progress: *const c_char, progress_len: usize) -> i32>;

/// Tells the time: nanoseconds since 1970-01-01T00:00:00Z for MR_CLOCK_WALL, nanoseconds since any fixed moment, never
/// decreasing, for MR_CLOCK_MONOTONIC. It is called from any thread, from several at a time, and must return at once.
pub type mr_clock_callback = Option<unsafe extern "C" fn(user_data: *mut c_void, which: i32) -> i64>;

/// Hears what is new about the life of a model that somebody uses: JSON, lent until it returns, with "key", "message" and
/// "status". Each state is told once for each model and principal, in all processes that share a database. It is called on
/// the thread that came upon the news, from several at a time, none of the library's locks held; it may call every function
/// of this header.
pub type mr_lifecycle_callback =
    Option<unsafe extern "C" fn(user_data: *mut c_void, event: *const c_char, event_len: usize)>;

/// The time of day.
pub const MR_CLOCK_WALL: i32 = 0;
/// Time that only goes forward.
pub const MR_CLOCK_MONOTONIC: i32 = 1;

/// Frees the host's user_data. It runs exactly once, also when the call that took user_data fails.
pub type mr_user_data_free = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// Something that later releases name.
pub const MR_PHASE_OTHER: i32 = 0;
/// The files are read to name their exact version.
pub const MR_PHASE_DIGEST: i32 = 1;
/// The weights are read.
pub const MR_PHASE_WEIGHTS: i32 = 2;

/// The host's pointer together with its destructor, which runs when this is dropped.
#[derive(Debug)]
pub(crate) struct UserData {
    pointer: *mut c_void,
    free: mr_user_data_free,
}

// SAFETY: the header obliges the host to hand in data that may be used and freed on another thread, by one thread at
// a time.
unsafe impl Send for UserData {}

impl UserData {
    pub(crate) fn new(pointer: *mut c_void, free: mr_user_data_free) -> Self {
        Self { pointer, free }
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(free) = self.free.take() {
            // SAFETY: the host gave the destructor for this pointer, and it is called once.
            unsafe { free(self.pointer) };
        }
    }
}

/// The host's event callback.
#[derive(Debug)]
pub(crate) struct EventCallback {
    function: unsafe extern "C" fn(*mut c_void, *const mr_event) -> i32,
    data: UserData,
}

impl EventCallback {
    /// None without a function; the destructor of `data` then runs at once.
    pub(crate) fn new(function: mr_event_callback, data: UserData) -> Option<Self> {
        function.map(|function| Self { function, data })
    }

    pub(crate) fn call(&self, event: *const mr_event) -> i32 {
        // SAFETY: the host gave this function for this data; the event outlives the call.
        unsafe { (self.function)(self.data.pointer, event) }
    }
}

/// The host's progress callback.
#[derive(Debug)]
pub(crate) struct ProgressCallback {
    function: unsafe extern "C" fn(*mut c_void, i32, u64, u64) -> i32,
    data: UserData,
}

impl ProgressCallback {
    /// None without a function; the destructor of `data` then runs at once.
    pub(crate) fn new(function: mr_progress_callback, data: UserData) -> Option<Self> {
        function.map(|function| Self { function, data })
    }

    pub(crate) fn call(&self, phase: i32, done: u64, total: u64) -> i32 {
        // SAFETY: the host gave this function for this data.
        unsafe { (self.function)(self.data.pointer, phase, done, total) }
    }
}

/// The host's callback for the progress of a run.
#[derive(Debug)]
pub(crate) struct BatchCallback {
    function: unsafe extern "C" fn(*mut c_void, *const c_char, usize) -> i32,
    data: UserData,
}

impl BatchCallback {
    /// None without a function; the destructor of `data` then runs at once.
    pub(crate) fn new(function: mr_batch_callback, data: UserData) -> Option<Self> {
        function.map(|function| Self { function, data })
    }

    pub(crate) fn call(&self, progress: &str) -> i32 {
        // SAFETY: the host gave this function for this data; the text outlives the call.
        unsafe { (self.function)(self.data.pointer, progress.as_ptr().cast(), progress.len()) }
    }
}

/// A function of the host that any thread may call, several at a time, with its data.
struct SharedCallback<F> {
    function: F,
    data: UserData,
}

// SAFETY: the header obliges the host to hand in a function and data that several threads may use at a time.
unsafe impl<F> Sync for SharedCallback<F> {}

/// The host's clock.
pub(crate) struct HostClock(SharedCallback<unsafe extern "C" fn(*mut c_void, i32) -> i64>);

impl HostClock {
    /// None without a function; the destructor of `data` then runs at once.
    pub(crate) fn new(function: mr_clock_callback, data: UserData) -> Option<Self> {
        function.map(|function| Self(SharedCallback { function, data }))
    }

    fn read(&self, which: i32) -> i64 {
        // SAFETY: the host gave this function for this data.
        unsafe { (self.0.function)(self.0.data.pointer, which) }
    }
}

impl Clock for HostClock {
    fn wall(&self) -> Timestamp {
        // Every number of nanoseconds in 64 bits is a time within the calendar.
        Timestamp::from_nanosecond(self.read(MR_CLOCK_WALL).into()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.read(MR_CLOCK_MONOTONIC)).unwrap_or(0))
    }
}

/// The host's listener for the lives of models.
pub(crate) struct LifecycleCallback(SharedCallback<unsafe extern "C" fn(*mut c_void, *const c_char, usize)>);

impl LifecycleCallback {
    /// None without a function; the destructor of `data` then runs at once.
    pub(crate) fn new(function: mr_lifecycle_callback, data: UserData) -> Option<Self> {
        function.map(|function| Self(SharedCallback { function, data }))
    }

    pub(crate) fn call(&self, event: &str) {
        // SAFETY: the host gave this function for this data; the text outlives the call.
        unsafe { (self.0.function)(self.0.data.pointer, event.as_ptr().cast(), event.len()) };
    }
}

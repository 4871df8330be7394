//! The one door between C and Rust: no panic leaves it, every failure becomes a status and an owned error.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use runtime::{Error, ErrorKind};

use crate::error::{ErrorHandle, mr_error};
use crate::handle;
use crate::status::{self, MR_E_CALLBACK, MR_E_INVALID_ARGUMENT, mr_status};

/// Why a function fails: the status it returns and the error it hands out.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: mr_status,
    pub(crate) error: Error,
    /// What the host's callback returned, for [`MR_E_CALLBACK`].
    pub(crate) callback_result: i32,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { status: status::of(error.kind()), error, callback_result: 0 }
    }
}

impl Failure {
    /// The caller broke the contract of the parameter `name`.
    pub(crate) fn argument(name: &str, what: impl std::fmt::Display) -> Self {
        let error = Error::invalid(name, format!("`{name}` {what}"));
        Self { status: MR_E_INVALID_ARGUMENT, error, callback_result: 0 }
    }

    /// The host's callback returned `result`, which is not zero.
    pub(crate) fn callback(result: i32) -> Self {
        let error = Error::new(ErrorKind::Cancelled, format!("the callback returned {result}; 0 goes on"));
        Self { status: MR_E_CALLBACK, error, callback_result: result }
    }
}

thread_local! {
    /// How many guards are open on this thread, and where the last panic inside one happened.
    static OPEN: Cell<usize> = const { Cell::new(0) };
    static WHERE: RefCell<Option<String>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// The standard panic hook writes to the host's stderr. Inside a guard the panic is reported by its error instead;
/// panics elsewhere go to whatever hook was there.
fn install_hook() {
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            if OPEN.try_with(Cell::get).unwrap_or(0) == 0 {
                previous(info);
            } else if let Some(location) = info.location() {
                let place = format!("{}:{}", location.file(), location.line());
                let _ = WHERE.try_with(|slot| slot.try_borrow_mut().map(|mut slot| *slot = Some(place)));
            }
        }));
    });
}

struct Open;

impl Open {
    fn new() -> Self {
        install_hook();
        let _ = OPEN.try_with(|open| open.set(open.get() + 1));
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let _ = OPEN.try_with(|open| open.set(open.get() - 1));
    }
}

fn panic_failure(payload: Box<dyn Any + Send>) -> Failure {
    let what = if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    };
    // A payload of an unknown type could panic again while it is dropped.
    std::mem::forget(payload);
    let place =
        WHERE.try_with(|slot| slot.try_borrow_mut().ok().and_then(|mut slot| slot.take())).ok().flatten();
    let place = place.map(|place| format!(" at {place}")).unwrap_or_default();
    Error::new(ErrorKind::Internal, format!("a defect in the library{place}: {what}")).into()
}

/// Runs `body`; a panic is a failure like any other.
fn catch<T>(body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let _open = Open::new();
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(payload) => Err(panic_failure(payload)),
    }
}

/// The body of every fallible function. On failure the owned error goes to `error`, unless that is NULL.
///
/// # Safety
/// `error` is NULL or points to memory for a pointer.
pub(crate) unsafe fn guard(
    error: *mut *mut mr_error,
    body: impl FnOnce() -> Result<mr_status, Failure>,
) -> mr_status {
    match catch(body) {
        Ok(status) => status,
        Err(failure) => {
            let status = failure.status;
            if !error.is_null() {
                // A second panic here (it could only be a broken allocator) still may not leave.
                if let Ok(owned) = catch_unwind(AssertUnwindSafe(|| {
                    handle::into_box::<mr_error>(ErrorHandle::from(&failure))
                })) {
                    // SAFETY: not NULL, and the caller promises memory for a pointer.
                    unsafe { error.write(owned) };
                }
            }
            status
        }
    }
}

/// The body of every function that cannot fail: `otherwise` is what it answers for NULL and after a panic.
pub(crate) fn guard_or<T>(otherwise: T, body: impl FnOnce() -> Option<T>) -> T {
    catch(|| Ok(body())).ok().flatten().unwrap_or(otherwise)
}

/// Runs `body` for an event loop of our own.
pub(crate) fn guard_thread<T>(body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch(body)
}

/// Marks a handle whose state may be broken because a panic passed through a call on it.
#[derive(Debug, Default)]
pub(crate) struct Poison(AtomicBool);

impl Poison {
    /// Fails if the handle is poisoned; otherwise poisons it if a panic unwinds before the result is dropped.
    pub(crate) fn enter(&self) -> Result<Entered<'_>, Failure> {
        if self.0.load(Ordering::Acquire) {
            let message = "an earlier call on this handle met a defect in the library; free the handle";
            return Err(Error::new(ErrorKind::Internal, message).into());
        }
        Ok(Entered(self))
    }
}

/// A call on a handle that can be poisoned.
pub(crate) struct Entered<'a>(&'a Poison);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.0.store(true, Ordering::Release);
        }
    }
}

/// An out-parameter that was checked and is written only on success.
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    /// `out` is NULL or points to memory for a `T`.
    pub(crate) unsafe fn new(name: &str, out: *mut T) -> Result<Self, Failure> {
        if out.is_null() {
            Err(Failure::argument(name, "is NULL; it receives the result"))
        } else {
            Ok(Self(out))
        }
    }

    pub(crate) fn set(self, value: T) {
        // SAFETY: not NULL, and the caller of the C function promises memory for it.
        unsafe { self.0.write(value) };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::status::{MR_E_INTERNAL, MR_OK};

    #[test]
    fn a_panic_is_an_error_with_its_message_and_place() {
        let mut error = std::ptr::null_mut();
        // SAFETY: `error` is a local.
        let status = unsafe { guard(&raw mut error, || panic!("the {} fell", "sky")) };
        assert_eq!(status, MR_E_INTERNAL);
        // SAFETY: a failed guard wrote an owned error.
        let error = unsafe { handle::from_box(error) }.unwrap();
        assert!(error.message().contains("the sky fell") && error.message().contains("boundary.rs:"));
        // SAFETY: NULL is accepted.
        assert_eq!(unsafe { guard(std::ptr::null_mut(), || std::panic::panic_any(7)) }, MR_E_INTERNAL);
        assert_eq!(guard_or(-1, || panic!("again")), -1);
    }

    #[test]
    fn success_leaves_the_error_alone() {
        let mut error = std::ptr::dangling_mut();
        // SAFETY: `error` is a local.
        assert_eq!(unsafe { guard(&raw mut error, || Ok(MR_OK)) }, MR_OK);
        assert_eq!(error, std::ptr::dangling_mut());
    }

    #[test]
    fn a_panic_poisons_the_handle_it_passed_through() {
        let poison = Poison::default();
        drop(poison.enter().unwrap());
        let status: Result<(), Failure> = catch(|| {
            let _entered = poison.enter()?;
            panic!("half done")
        });
        assert_eq!(status.unwrap_err().status, MR_E_INTERNAL);
        assert_eq!(poison.enter().map(|_| ()).unwrap_err().status, MR_E_INTERNAL);
    }
}

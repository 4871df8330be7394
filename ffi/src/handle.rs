//! Handles: opaque pointers, each with one kind of ownership that is stated once and checked by the compiler.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;

use crate::boundary::Failure;
use crate::process;

/// Marks handles with one owner, freed once.
pub(crate) enum Boxed {}

/// Marks handles with counted references.
pub(crate) enum Shared {}

/// Marks handles that are numbers in a list: they may be freed while others use them, and a freed one is recognised.
pub(crate) enum Listed {}

/// A C type that stands for a Rust type.
pub(crate) trait Castable {
    /// [`Boxed`], [`Shared`] or [`Listed`]; a cast of the other kind does not compile.
    type Ownership;
    /// What the pointer points to.
    type RustType: Send + Sync;
}

/// Gives a value to the caller, who frees it once.
pub(crate) fn into_box<C: Castable<Ownership = Boxed>>(value: C::RustType) -> *mut C {
    Box::into_raw(Box::new(value)).cast()
}

/// Takes a value back; NULL is none.
///
/// # Safety
/// `handle` is NULL or came from [`into_box`] of the same type and is used by nobody afterwards.
pub(crate) unsafe fn from_box<C: Castable<Ownership = Boxed>>(handle: *mut C) -> Option<Box<C::RustType>> {
    if handle.is_null() {
        return None;
    }
    // SAFETY: the pointer came out of a box of this type, and the caller gives it up.
    Some(unsafe { Box::from_raw(handle.cast()) })
}

/// Gives one reference to the caller, who releases it once.
pub(crate) fn into_shared<C: Castable<Ownership = Shared>>(value: Arc<C::RustType>) -> *mut C {
    Arc::into_raw(value).cast_mut().cast()
}

/// Takes a reference back; NULL is none.
///
/// # Safety
/// `handle` is NULL or a reference from [`into_shared`] or [`retain`] that nobody uses afterwards.
pub(crate) unsafe fn from_shared<C: Castable<Ownership = Shared>>(
    handle: *mut C,
) -> Option<Arc<C::RustType>> {
    if handle.is_null() {
        return None;
    }
    // SAFETY: the pointer came out of an Arc of this type, and the caller gives up one reference.
    Some(unsafe { Arc::from_raw(handle.cast()) })
}

/// Adds a reference; NULL is ignored.
///
/// # Safety
/// `handle` is NULL or a live reference.
pub(crate) unsafe fn retain<C: Castable<Ownership = Shared>>(handle: *const C) {
    if !handle.is_null() {
        // SAFETY: the pointer came out of an Arc of this type that is still alive.
        unsafe { Arc::increment_strong_count(handle.cast::<C::RustType>()) };
    }
}

/// Borrows a handle for the duration of a call; NULL is none.
///
/// # Safety
/// `handle` is NULL or alive until the call returns.
pub(crate) unsafe fn peek<'a, C: Castable>(handle: *const C) -> Option<&'a C::RustType> {
    // SAFETY: NULL, or a pointer to a live value of this type; only shared references are ever made of it.
    unsafe { handle.cast::<C::RustType>().as_ref() }
}

/// Borrows a handle for the duration of a call.
///
/// # Safety
/// As [`peek`].
pub(crate) unsafe fn borrow<'a, C: Castable>(
    name: &str,
    handle: *const C,
) -> Result<&'a C::RustType, Failure> {
    // SAFETY: forwarded.
    unsafe { peek(handle) }.ok_or_else(|| Failure::argument(name, "is NULL; a handle is needed"))
}

/// The live handles of a type.
pub(crate) struct List<T> {
    live: RwLock<BTreeMap<usize, Arc<T>>>,
}

/// The next number of all lists: none is used again, and a handle of one kind is no handle of another.
static NEXT: AtomicUsize = AtomicUsize::new(1);

impl<T> List<T> {
    pub(crate) const fn new() -> Self {
        Self { live: RwLock::new(BTreeMap::new()) }
    }
}

/// A handle type with a list.
pub(crate) trait InList: Castable<Ownership = Listed> + Sized + 'static {
    fn list() -> &'static List<Self::RustType>;
}

/// Gives a value to the caller, who takes it off the list once.
pub(crate) fn enlist<C: InList>(value: C::RustType) -> *mut C {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    C::list().live.write().insert(number, Arc::new(value));
    std::ptr::without_provenance_mut(number)
}

/// A live handle's value. Nothing is read through the pointer.
pub(crate) fn find<C: InList>(name: &str, handle: *const C) -> Result<Arc<C::RustType>, Failure> {
    if handle.is_null() {
        return Err(Failure::argument(name, "is NULL; a handle is needed"));
    }
    process::check()?;
    let found = C::list().live.read().get(&handle.addr()).cloned();
    found.ok_or_else(|| Failure::argument(name, "was freed"))
}

/// Takes a handle off the list; none for NULL and for one that was freed before.
pub(crate) fn delist<C: InList>(handle: *mut C) -> Option<Arc<C::RustType>> {
    // In a child of a fork the lock may be held by nobody who could give it back, and there are no threads to end.
    process::check().ok()?;
    // The value may be the last of much else: it is dropped by the caller, not under the lock.
    C::list().live.write().remove(&handle.addr())
}

//! Text in (pointer and length) and text out (an owned handle).

use std::ffi::c_char;

use crate::boundary::{Failure, guard_or};
use crate::handle::{self, Boxed, Castable};

/// Text of this library, mostly JSON: UTF-8, owned by the caller, freed with mr_text_free. It never changes.
pub struct mr_text {
    _private: [u8; 0],
}

impl Castable for mr_text {
    type Ownership = Boxed;
    type RustType = CText;
}

/// Text with a NUL behind it that is not counted.
#[derive(Debug, Clone)]
pub(crate) struct CText(Box<[u8]>);

impl CText {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        let mut bytes = text.into().into_bytes();
        bytes.push(0);
        Self(bytes.into())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len() - 1
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0[..self.len()]).unwrap_or_default()
    }

    /// Borrows the text for C and tells the length, unless `len` is NULL.
    ///
    /// # Safety
    /// `len` is NULL or points to memory for a `size_t`.
    pub(crate) unsafe fn lend(&self, len: *mut usize) -> *const c_char {
        if !len.is_null() {
            // SAFETY: not NULL, and the caller promises memory for a `size_t`.
            unsafe { len.write(self.len()) };
        }
        self.0.as_ptr().cast()
    }
}

/// Text from the caller.
///
/// # Safety
/// `text` points to `len` bytes that stay unchanged during the call, or is NULL.
pub(crate) unsafe fn input<'a>(name: &str, text: *const c_char, len: usize) -> Result<&'a str, Failure> {
    if len == 0 {
        return Ok("");
    }
    if text.is_null() {
        return Err(Failure::argument(
            name,
            format!("is NULL with length {len}; NULL goes only with length 0"),
        ));
    }
    if isize::try_from(len).is_err() {
        return Err(Failure::argument(name, format!("has length {len}, more than memory can hold")));
    }
    // SAFETY: not NULL, not longer than an object can be, and the caller promises the bytes.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len) };
    std::str::from_utf8(bytes).map_err(|error| Failure::argument(name, format!("must be UTF-8: {error}")))
}

/// The body of a function that lends text of a handle: NULL, and `len` untouched, where there is none.
///
/// # Safety
/// `handle` is NULL or alive until the call returns; `len` is NULL or points to memory for a `size_t`.
pub(crate) unsafe fn lend<C: Castable>(
    handle: *const C,
    len: *mut usize,
    text: impl for<'a> FnOnce(&'a C::RustType) -> Option<&'a CText>,
) -> *const c_char {
    guard_or(std::ptr::null(), || {
        // SAFETY: forwarded.
        let text = text(unsafe { handle::peek(handle) }?)?;
        // SAFETY: forwarded.
        Some(unsafe { text.lend(len) })
    })
}

/// The bytes of a text, with a NUL behind them.
///
/// @param text (in) The text, or NULL.
/// @param len (out) Receives the number of bytes without the NUL; NULL if it is not wanted.
/// @return A pointer into the text, valid until it is freed; NULL (and *len untouched) if text is NULL.
///
/// Thread safety: any thread, concurrently.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_text_get_data(text: *const mr_text, len: *mut usize) -> *const c_char {
    // SAFETY: the contract of the header: a live handle, memory behind `len`.
    unsafe { lend(text, len, |text| Some(text)) }
}

/// Frees a text.
///
/// @param text (in) The text, given up; NULL does nothing.
///
/// Thread safety: any thread; nobody may use the text afterwards.
/// Blocking: never.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mr_text_free(text: *mut mr_text) {
    // SAFETY: the contract of the header: a handle that the caller gives up.
    guard_or((), || unsafe { handle::from_box(text) }.map(drop));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::multiple_unsafe_ops_per_block)]
    use super::*;
    use crate::status::MR_E_INVALID_ARGUMENT;

    #[test]
    fn input_is_checked_before_a_slice_is_made() {
        let null = std::ptr::null();
        // SAFETY: each pointer is NULL or covers its length.
        unsafe {
            assert_eq!(input("t", null, 0).unwrap(), "");
            assert_eq!(input("t", c"abc".as_ptr(), 2).unwrap(), "ab");
            for failure in
                [input("t", null, 1), input("t", c"a".as_ptr(), usize::MAX), input("t", c"\xff".as_ptr(), 1)]
            {
                let failure = failure.unwrap_err();
                assert_eq!((failure.status, failure.error.param()), (MR_E_INVALID_ARGUMENT, Some("t")));
            }
        }
    }

    #[test]
    fn output_ends_with_a_nul_that_is_not_counted() {
        let text = handle::into_box::<mr_text>(CText::new("a\0b"));
        let mut len = 0;
        // SAFETY: a live handle and a local.
        unsafe {
            let data = mr_text_get_data(text, &raw mut len);
            assert_eq!(std::slice::from_raw_parts(data.cast::<u8>(), len + 1), b"a\0b\0");
            assert!(!mr_text_get_data(text, std::ptr::null_mut()).is_null());
            mr_text_free(text);
            mr_text_free(std::ptr::null_mut());
            assert!(mr_text_get_data(std::ptr::null(), &raw mut len).is_null());
        }
        assert_eq!(len, 3);
    }
}

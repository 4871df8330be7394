//! Memory for activations: taken from an arena, given back when dropped, so that a steady step allocates nothing.

use std::alloc::{Layout, alloc_zeroed};
use std::sync::Arc;

use parking_lot::Mutex;

use super::super::BackendError;

/// One cache line, and one 512-bit register.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Zeroed bytes that begin at a cache line.
#[derive(Debug, Default)]
pub(super) struct AlignedBytes {
    lines: Vec<Line>,
    len: usize,
}

impl AlignedBytes {
    /// `len` bytes of zero.
    pub(super) fn zeroed(len: usize, what: &'static str) -> Result<Self, BackendError> {
        let failed = || BackendError::Memory { what, bytes: len as u64 };
        let count = len.div_ceil(64);
        let layout = Layout::array::<Line>(count).map_err(|_| failed())?;
        if layout.size() == 0 {
            return Ok(Self::default());
        }
        // Asked of the allocator as zeros: pages that nobody touches, such as those of a cache for contexts that
        // never come, are never made.
        // SAFETY: the layout has a size.
        let first = unsafe { alloc_zeroed(layout) };
        if first.is_null() {
            return Err(failed());
        }
        // SAFETY: the global allocator gave the memory for this layout, and zeros are lines.
        let lines = unsafe { Vec::from_raw_parts(first.cast::<Line>(), count, count) };
        Ok(Self { lines, len })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn as_ptr(&self) -> *const u8 {
        self.lines.as_ptr().cast()
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.lines.as_mut_ptr().cast()
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        // SAFETY: the lines hold at least `len` initialised bytes.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.len) }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: the lines hold at least `len` initialised bytes, borrowed mutably with `self`.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr(), self.len) }
    }
}

/// Blocks of memory that operations take and give back.
#[derive(Debug, Default)]
pub(super) struct Arena {
    free: Mutex<Vec<AlignedBytes>>,
}

impl Arena {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// At least `len` bytes, with whatever was in them before: the smallest free block that is large enough, else a
    /// new one.
    fn take(&self, len: usize) -> Result<AlignedBytes, BackendError> {
        let mut free = self.free.lock();
        let fits = |block: &AlignedBytes| block.lines.len() * 64 >= len;
        let best = (0..free.len()).filter(|&at| fits(&free[at])).min_by_key(|&at| free[at].lines.len());
        match best {
            Some(at) => {
                let mut block = free.swap_remove(at);
                block.len = len;
                Ok(block)
            }
            None => {
                drop(free);
                // A quarter more than asked for, so that contexts that grow a little do not allocate again.
                let mut block = AlignedBytes::zeroed(len + len / 4, "activations")?;
                block.len = len;
                Ok(block)
            }
        }
    }

    /// A block of `len` elements.
    pub(super) fn elements<T: Element>(self: &Arc<Self>, len: usize) -> Result<Elements<T>, BackendError> {
        let bytes = len
            .checked_mul(size_of::<T>())
            .ok_or(BackendError::Memory { what: "activations", bytes: u64::MAX })?;
        let block = Some(self.take(bytes)?);
        Ok(Elements { block, len, arena: Arc::clone(self), kind: std::marker::PhantomData })
    }

    /// Activations of `rows` by `width`; the content is whatever was there before.
    pub(super) fn tensor(self: &Arc<Self>, rows: usize, width: usize) -> Result<Tensor, BackendError> {
        let values = self.elements(rows.saturating_mul(width))?;
        Ok(Tensor { rows, width, values })
    }
}

/// Plain numbers: any bits are a value.
///
/// # Safety
/// Every bit pattern must be valid, and the alignment at most 64.
pub(super) unsafe trait Element: Copy + Send + Sync + 'static {}
// SAFETY: plain numbers.
unsafe impl Element for f32 {}
// SAFETY: plain numbers.
unsafe impl Element for i32 {}
// SAFETY: plain numbers.
unsafe impl Element for u32 {}
// SAFETY: plain numbers.
unsafe impl Element for u16 {}
// SAFETY: plain numbers.
unsafe impl Element for i8 {}

/// A block of elements from an arena.
#[derive(Debug)]
pub(super) struct Elements<T: Element> {
    /// `Some` until dropped.
    block: Option<AlignedBytes>,
    len: usize,
    arena: Arc<Arena>,
    kind: std::marker::PhantomData<T>,
}

impl<T: Element> Elements<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        let Some(block) = &self.block else { return &[] };
        // SAFETY: the block holds `len` elements of plain numbers, aligned to a cache line.
        unsafe { std::slice::from_raw_parts(block.as_ptr().cast(), self.len) }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
        let len = self.len;
        let Some(block) = &mut self.block else { return &mut [] };
        // SAFETY: as in `as_slice`, borrowed mutably with `self`.
        unsafe { std::slice::from_raw_parts_mut(block.as_mut_ptr().cast(), len) }
    }
}

impl<T: Element> Drop for Elements<T> {
    fn drop(&mut self) {
        if let Some(block) = self.block.take() {
            self.arena.free.lock().push(block);
        }
    }
}

/// Activations: `rows` by `width`, row-major, without gaps.
#[derive(Debug)]
pub struct Tensor {
    rows: usize,
    width: usize,
    values: Elements<f32>,
}

impl Tensor {
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn as_slice(&self) -> &[f32] {
        self.values.as_slice()
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [f32] {
        self.values.as_mut_slice()
    }

    /// The same values in rows of another width.
    pub(super) fn reshaped(self, rows: usize, width: usize) -> Self {
        debug_assert_eq!(rows * width, self.rows * self.width);
        Self { rows, width, values: self.values }
    }

    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.as_slice()[row * self.width..(row + 1) * self.width]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn blocks_are_aligned_and_used_again() {
        let arena = Arena::new();
        let first = arena.tensor(3, 5).unwrap();
        let address = first.as_slice().as_ptr();
        assert_eq!(address as usize % 64, 0);
        assert_eq!(first.as_slice().len(), 15);
        drop(first);
        let second = arena.tensor(2, 5).unwrap();
        assert_eq!(second.as_slice().as_ptr(), address);
        let third = arena.elements::<i8>(100).unwrap();
        assert_ne!(third.as_slice().as_ptr() as usize, address as usize);
    }

    #[test]
    fn what_cannot_be_had_is_an_error() {
        assert!(Arena::new().tensor(usize::MAX / 8, 16).is_err());
        assert!(AlignedBytes::zeroed(usize::MAX / 2, "weights").is_err());
    }
}

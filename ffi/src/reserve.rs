//! Memory for when there is none: an allocation that fails does not abort the host.
//!
//! Rust ends the process where a small allocation (a text, a list, a message) fails; the large ones of this library (weights, caches,
//! activations) report it as an error. So this allocator asks the system first and, where that has nothing, takes small things
//! from a reserve that was set aside when the library was loaded: pages of zeros that nobody touches, which cost address space
//! only. While anything is in the reserve and the system still has nothing, calls that would need memory are refused
//! ([`enough`]); what runs ends properly, and what ends gives the reserve back.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rlsf::Tlsf;
use runtime::{Error, ErrorKind};

use crate::boundary::Failure;

/// Bytes of the reserve.
const SIZE: usize = 32 << 20;

/// What a call finds free before it is let in while the reserve is in use.
const HEADROOM: Layout = Layout::new::<[u8; 1 << 20]>();

/// Weights, caches and activations are aligned to cache lines, and whoever asks for them takes no for an answer. Queues of
/// channels are aligned so too, but small.
const FALLIBLE_ALIGN: usize = 64;
const FALLIBLE_SIZE: usize = 16 << 10;

/// 21 powers of two from 32 bytes on reach 64 MiB.
type Free = Tlsf<'static, u32, u16, 21, 16>;

#[repr(C, align(4096))]
struct Pool<const N: usize>(UnsafeCell<[MaybeUninit<u8>; N]>);

// SAFETY: its bytes are only reached through the list of free blocks, which is behind a lock.
unsafe impl<const N: usize> Sync for Pool<N> {}

/// The system's allocator, and behind it a pool of `N` bytes.
pub(crate) struct Reserve<A, const N: usize> {
    system: A,
    pool: Pool<N>,
    free: UnsafeCell<Option<Free>>,
    /// A lock that cannot itself need memory. It is held for constant time.
    locked: AtomicBool,
    used: AtomicUsize,
}

// SAFETY: `free` is used by the holder of `locked` only.
unsafe impl<A: Sync, const N: usize> Sync for Reserve<A, N> {}

#[global_allocator]
static ALLOCATOR: Reserve<System, SIZE> = Reserve::over(System);

/// Fails while there is no memory for another call.
pub(crate) fn enough() -> Result<(), Failure> {
    ALLOCATOR.enough()
}

impl<A: GlobalAlloc, const N: usize> Reserve<A, N> {
    const fn over(system: A) -> Self {
        Self {
            system,
            pool: Pool(UnsafeCell::new([MaybeUninit::uninit(); N])),
            free: UnsafeCell::new(None),
            locked: AtomicBool::new(false),
            used: AtomicUsize::new(0),
        }
    }

    fn enough(&self) -> Result<(), Failure> {
        let used = self.used.load(Ordering::Relaxed);
        if used == 0 {
            return Ok(());
        }
        // SAFETY: the layout has a size.
        let probe = unsafe { self.system.alloc(HEADROOM) };
        if probe.is_null() {
            let message = format!(
                "the process has no memory left: the system gives none, and {used} bytes of the reserve of {N} are in use"
            );
            return Err(Error::new(ErrorKind::InsufficientMemory, message).into());
        }
        // SAFETY: it was allocated just now with this layout.
        unsafe { self.system.dealloc(probe, HEADROOM) };
        Ok(())
    }

    /// The free blocks, for one user at a time.
    fn with_free<T>(&self, body: impl FnOnce(&mut Free) -> T) -> T {
        while self.locked.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            std::thread::yield_now();
        }
        // SAFETY: this thread holds the lock.
        let free = unsafe { &mut *self.free.get() };
        let free = free.get_or_insert_with(|| {
            let mut free = Free::new();
            let first = self.pool.0.get().cast::<u8>();
            if let Some(first) = NonNull::new(first) {
                let pool = NonNull::slice_from_raw_parts(first, N);
                // SAFETY: the pool is used for nothing else, and lives as long as the allocator that is static.
                unsafe { free.insert_free_block_ptr(pool) };
            }
            free
        });
        let result = body(free);
        self.locked.store(false, Ordering::Release);
        result
    }

    fn owns(&self, memory: *const u8) -> bool {
        memory.addr().wrapping_sub(self.pool.0.get().addr()) < N
    }

    /// Memory of the reserve; NULL where whoever asks can live without, and when the reserve is used up.
    fn last(&self, layout: Layout) -> *mut u8 {
        if layout.align() >= FALLIBLE_ALIGN && layout.size() >= FALLIBLE_SIZE {
            return std::ptr::null_mut();
        }
        match self.with_free(|free| free.allocate(layout)) {
            Some(memory) => {
                self.used.fetch_add(layout.size(), Ordering::Relaxed);
                memory.as_ptr()
            }
            None => std::ptr::null_mut(),
        }
    }

    /// # Safety
    /// `memory` came from [`last`](Self::last) with this layout and is used by nobody afterwards.
    unsafe fn give_back(&self, memory: *mut u8, layout: Layout) {
        if let Some(memory) = NonNull::new(memory) {
            // SAFETY: the caller's promise.
            self.with_free(|free| unsafe { free.deallocate(memory, layout.align()) });
            self.used.fetch_sub(layout.size(), Ordering::Relaxed);
        }
    }
}

// SAFETY: memory comes from the system's allocator or from the pool, and goes back to where its address says it came from.
unsafe impl<A: GlobalAlloc, const N: usize> GlobalAlloc for Reserve<A, N> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let memory = unsafe { self.system.alloc(layout) };
        if memory.is_null() { self.last(layout) } else { memory }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let memory = unsafe { self.system.alloc_zeroed(layout) };
        if !memory.is_null() {
            return memory;
        }
        let memory = self.last(layout);
        if !memory.is_null() {
            // SAFETY: as many bytes were allocated just now; somebody may have used them before.
            unsafe { memory.write_bytes(0, layout.size()) };
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if self.owns(memory) {
            // SAFETY: the caller's promise, and it lies in the pool.
            unsafe { self.give_back(memory, layout) };
        } else {
            // SAFETY: the caller's promise, and it does not lie in the pool.
            unsafe { self.system.dealloc(memory, layout) };
        }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !self.owns(memory) {
            // SAFETY: the caller's promise, and it does not lie in the pool.
            let moved = unsafe { self.system.realloc(memory, layout, size) };
            if !moved.is_null() {
                return moved;
            }
        }
        // SAFETY: the caller promises that the new size is a size for this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the caller promises that the new size is not zero.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: both have so many bytes, and the new memory is nobody else's.
            unsafe { memory.copy_to_nonoverlapping(moved, layout.size().min(size)) };
            // SAFETY: the caller's promise; the old memory is given up.
            unsafe { self.dealloc(memory, layout) };
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A system that can run out of memory.
    #[derive(Default)]
    struct Host {
        empty: AtomicBool,
    }

    // SAFETY: the system's allocator, or nothing.
    unsafe impl GlobalAlloc for Host {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            if self.empty.load(Ordering::Relaxed) {
                return std::ptr::null_mut();
            }
            // SAFETY: forwarded.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
            // SAFETY: forwarded.
            unsafe { System.dealloc(memory, layout) }
        }
    }

    type Small = Reserve<Host, { 64 << 10 }>;

    fn reserve() -> Box<Small> {
        Box::new(Reserve::over(Host::default()))
    }

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    /// Allocates and fills.
    fn filled(from: &Small, layout: Layout, with: u8) -> *mut u8 {
        // SAFETY: the layout has a size.
        let memory = unsafe { from.alloc(layout) };
        if !memory.is_null() {
            assert_eq!(memory.addr() % layout.align(), 0);
            // SAFETY: so many bytes were allocated.
            unsafe { memory.write_bytes(with, layout.size()) };
        }
        memory
    }

    fn bytes<'a>(memory: *const u8, len: usize) -> &'a [u8] {
        // SAFETY: the tests ask for what they have filled.
        unsafe { std::slice::from_raw_parts(memory, len) }
    }

    #[test]
    fn the_reserve_serves_while_the_system_has_nothing_and_is_whole_again_afterwards() {
        let reserve = reserve();
        let before = layout(100, 8);
        let first = filled(&reserve, before, 1);
        assert!(!reserve.owns(first) && reserve.enough().is_ok());

        reserve.system.empty.store(true, Ordering::Relaxed);
        for _ in 0..3 {
            let mut held = Vec::with_capacity(1024);
            for turn in 0_usize.. {
                let layout = layout(1 + turn * 37 % 700, 1 << (turn % 8));
                let memory = filled(&reserve, layout, turn as u8);
                if memory.is_null() {
                    break;
                }
                assert!(reserve.owns(memory));
                held.push((memory, layout, turn as u8));
            }
            assert!(held.len() > 100, "{} blocks", held.len());
            assert_eq!(reserve.enough().unwrap_err().error.kind(), ErrorKind::InsufficientMemory);
            for (memory, layout, with) in held {
                assert!(bytes(memory, layout.size()).iter().all(|byte| *byte == with));
                // SAFETY: allocated above with this layout.
                unsafe { reserve.dealloc(memory, layout) };
            }
            assert!(reserve.enough().is_ok(), "nothing is in it any more");
        }
        // SAFETY: allocated above with this layout.
        unsafe { reserve.dealloc(first, before) };
    }

    #[test]
    fn what_grows_moves_into_the_reserve_and_out_of_it() {
        let reserve = reserve();
        let first = filled(&reserve, layout(10, 1), 7);
        reserve.system.empty.store(true, Ordering::Relaxed);
        // SAFETY: allocated above with this layout.
        let second = unsafe { reserve.realloc(first, layout(10, 1), 1000) };
        assert!(reserve.owns(second) && bytes(second, 10) == [7; 10]);
        // SAFETY: as above.
        let none = unsafe { reserve.realloc(second, layout(1000, 1), 1 << 20) };
        assert!(none.is_null() && bytes(second, 10) == [7; 10], "it is as it was");
        reserve.system.empty.store(false, Ordering::Relaxed);
        assert!(reserve.enough().is_ok(), "the system has memory again");
        // SAFETY: as above.
        let third = unsafe { reserve.realloc(second, layout(1000, 1), 20) };
        assert!(!reserve.owns(third) && bytes(third, 10) == [7; 10]);
        assert_eq!(reserve.used.load(Ordering::Relaxed), 0);
        // SAFETY: as above.
        unsafe { reserve.dealloc(third, layout(20, 1)) };
    }

    #[test]
    fn what_may_fail_fails_and_zeros_are_zeros() {
        let reserve = reserve();
        reserve.system.empty.store(true, Ordering::Relaxed);
        // SAFETY: the layouts have a size.
        assert!(unsafe { reserve.alloc(layout(FALLIBLE_SIZE, FALLIBLE_ALIGN)) }.is_null());
        let dirty = filled(&reserve, layout(512, 8), 0xFF);
        // SAFETY: allocated just now.
        unsafe { reserve.dealloc(dirty, layout(512, 8)) };
        // SAFETY: the layout has a size.
        let clean = unsafe { reserve.alloc_zeroed(layout(512, 8)) };
        assert!(bytes(clean, 512).iter().all(|byte| *byte == 0));
        // SAFETY: allocated just now.
        unsafe { reserve.dealloc(clean, layout(512, 8)) };
    }

    #[test]
    fn many_threads_share_it() {
        let reserve = reserve();
        reserve.system.empty.store(true, Ordering::Relaxed);
        std::thread::scope(|scope| {
            for with in 0..8_u8 {
                let reserve = &reserve;
                scope.spawn(move || {
                    for turn in 1..500 {
                        let layout = layout(turn, 16);
                        let memory = filled(reserve, layout, with);
                        assert!(bytes(memory, turn).iter().all(|byte| *byte == with));
                        // SAFETY: allocated just now.
                        unsafe { reserve.dealloc(memory, layout) };
                    }
                });
            }
        });
        assert_eq!(reserve.used.load(Ordering::Relaxed), 0);
    }
}

//! What the machine can do, on as many threads as the models are given.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use model_runtime::backend::cpu::Level;

use super::peak::{Peaks, read};

/// The rates that nothing can exceed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// GB/s read from memory.
    pub(crate) bandwidth: f64,
    /// GOP/s.
    pub(crate) peaks: Peaks,
}

/// Runs of one instruction in a round: about a millisecond, so that some rounds meet no interruption.
const RUNS: usize = 150;
const ROUNDS: usize = 100;
/// Bytes read in a round: some milliseconds. Before the same ones are read again all others are, and leave nothing of
/// them in the caches.
const WINDOW: usize = 256 << 20;
/// Passes over all windows for each number of streams.
const PASSES: usize = 3;
/// Bytes that a thread takes at a time.
const PIECE: usize = 4 << 20;

impl Limits {
    /// Measures all, with a buffer of so many megabytes.
    pub(crate) fn measure(level: Level, threads: usize, megabytes: usize) -> Self {
        let peaks = Peaks::measure(level, |instruction| {
            let seconds = shortest(threads, ROUNDS, &|_, _| (0..RUNS).for_each(|_| instruction.run()));
            instruction.operations() * (RUNS * threads) as f64 / seconds / 1e9
        });
        let buffer = Buffer::new(megabytes.max(1) << 20);
        let rates = [
            bandwidth::<1>(level, threads, buffer.bytes()),
            bandwidth::<2>(level, threads, buffer.bytes()),
            bandwidth::<4>(level, threads, buffer.bytes()),
        ];
        Self { bandwidth: rates.into_iter().fold(0.0, f64::max), peaks }
    }

    /// The higher of each.
    pub(crate) fn better(self, other: Self) -> Self {
        Self { bandwidth: self.bandwidth.max(other.bandwidth), peaks: self.peaks.better(other.peaks) }
    }
}

/// GB/s of all threads together, each with so many streams: the best pass.
fn bandwidth<const STREAMS: usize>(level: Level, threads: usize, bytes: &[u8]) -> f64 {
    let windows: Vec<&[u8]> = bytes.chunks_exact(WINDOW.min(bytes.len().max(1))).collect();
    let rounds = PASSES * windows.len();
    // Threads take pieces as they go: one that is held up does not keep the others waiting.
    let taken: Vec<AtomicUsize> = (0..rounds).map(|_| AtomicUsize::new(0)).collect();
    let seconds = shortest(threads, rounds, &|_, round| {
        let mut pieces = windows[round % windows.len()].chunks(PIECE);
        let mut next = 0;
        loop {
            let piece = taken[round].fetch_add(1, Ordering::Relaxed);
            let Some(bytes) = pieces.nth(piece - next) else { break };
            next = piece + 1;
            black_box(read::<STREAMS>(level, bytes));
        }
    });
    windows.first().map_or(0, |window| window.len()) as f64 / seconds / 1e9
}

/// Calls `run` with the thread's number and the round's on all threads at once; the seconds of the shortest round,
/// from the first thread's begin to the last one's end.
fn shortest(threads: usize, rounds: usize, run: &(dyn Fn(usize, usize) + Sync)) -> f64 {
    let arrived = AtomicUsize::new(0);
    let base = Instant::now();
    let times: Vec<_> = (0..rounds).map(|_| (AtomicU64::new(u64::MAX), AtomicU64::new(0))).collect();
    thread::scope(|scope| {
        for number in 0..threads {
            let (arrived, times) = (&arrived, &times);
            scope.spawn(move || {
                let now = || base.elapsed().as_nanos() as u64;
                for (round, (begin, end)) in times.iter().enumerate() {
                    arrived.fetch_add(1, Ordering::AcqRel);
                    let mut spins = 0_u32;
                    while arrived.load(Ordering::Acquire) < threads * (round + 1) {
                        spins += 1;
                        // Where threads outnumber processors, the one that is waited for needs this one's.
                        if spins.is_multiple_of(10_000) {
                            thread::yield_now();
                        } else {
                            std::hint::spin_loop();
                        }
                    }
                    begin.fetch_min(now(), Ordering::Relaxed);
                    run(number, round);
                    end.fetch_max(now(), Ordering::Relaxed);
                }
            });
        }
    });
    let seconds = times.into_iter().map(|(begin, end)| (end.into_inner() - begin.into_inner()) as f64 / 1e9);
    seconds.fold(f64::INFINITY, f64::min)
}

/// Memory in huge pages where the system gives them: with small ones the limit would be that of the address
/// translation.
struct Buffer {
    first: *mut u8,
    layout: Layout,
}

const HUGE_PAGE: usize = 2 << 20;

impl Buffer {
    fn new(bytes: usize) -> Self {
        let bytes = bytes.next_multiple_of(HUGE_PAGE);
        let Ok(layout) = Layout::from_size_align(bytes, HUGE_PAGE) else {
            return Self { first: std::ptr::null_mut(), layout: Layout::new::<()>() };
        };
        // SAFETY: the layout has a size.
        let first = unsafe { alloc(layout) };
        if first.is_null() {
            handle_alloc_error(layout);
        }
        advise(first, bytes);
        // SAFETY: the allocator gave so many bytes. Something else than zero, so that every page is one of its own.
        unsafe { first.write_bytes(0x2c, bytes) };
        Self { first, layout }
    }

    fn bytes(&self) -> &[u8] {
        if self.first.is_null() {
            return &[];
        }
        // SAFETY: so many bytes were allocated and written.
        unsafe { std::slice::from_raw_parts(self.first, self.layout.size()) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if !self.first.is_null() {
            // SAFETY: allocated with this layout.
            unsafe { dealloc(self.first, self.layout) };
        }
    }
}

/// Asks for huge pages. A system that has none to give goes on with small ones.
#[cfg(target_os = "linux")]
fn advise(first: *mut u8, bytes: usize) {
    const MADV_HUGEPAGE: i32 = 14;
    unsafe extern "C" {
        fn madvise(address: *mut std::ffi::c_void, length: usize, advice: i32) -> i32;
    }
    // SAFETY: whole pages of an allocation of this process; the advice changes no content.
    let _ = unsafe { madvise(first.cast(), bytes, MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn advise(_: *mut u8, _: usize) {}

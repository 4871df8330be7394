//! Rotary position embedding (Su et al., 2021) over half-split pairs.

#![allow(clippy::multiple_unsafe_ops_per_block)] // Kernels: every line is an access through a pointer.

use std::sync::Arc;

use super::super::super::BackendError;
use super::super::buffer::{Arena, Elements};
use super::super::simd::{LANES, Lanes};

/// Cosines and sines for the rows of one step, each `[rows, half]`.
#[derive(Debug)]
pub struct Rotary {
    cos: Elements<f32>,
    sin: Elements<f32>,
    half: usize,
    rows: usize,
}

impl Rotary {
    /// Cosines and sines of `position * frequency`, both times `scale`.
    ///
    /// # Errors
    /// An allocation that fails.
    pub(in super::super) fn new(
        arena: &Arc<Arena>,
        frequencies: &[f32],
        scale: f32,
        positions: &[u32],
    ) -> Result<Self, BackendError> {
        let (half, rows) = (frequencies.len(), positions.len());
        let len = rows.saturating_mul(half);
        let (mut cos, mut sin) = (arena.elements(len)?, arena.elements(len)?);
        let angles = positions.iter().flat_map(|&p| frequencies.iter().map(move |&f| p as f32 * f));
        let out = cos.as_mut_slice().iter_mut().zip(sin.as_mut_slice());
        for (angle, (cos, sin)) in angles.zip(out) {
            (*cos, *sin) = (angle.cos() * scale, angle.sin() * scale);
        }
        Ok(Self { cos, sin, half, rows })
    }

    /// The number of rows.
    pub(in super::super) fn rows(&self) -> usize {
        self.rows
    }

    /// Pairs of a head.
    pub(in super::super) fn half(&self) -> usize {
        self.half
    }

    /// The cosines and the sines of a row, `half` of each.
    pub(in super::super) fn row(&self, row: usize) -> (*const f32, *const f32) {
        let range = row * self.half..(row + 1) * self.half;
        (self.cos.as_slice()[range.clone()].as_ptr(), self.sin.as_slice()[range].as_ptr())
    }
}

/// Rotates one head of `head_dim` values: the first half times cosine minus the second times sine, the second times
/// cosine plus the first times sine.
///
/// # Safety
/// `x` and `out` must have `head_dim` values and not overlap, `cos` and `sin` half as many, and the processor the
/// instructions of `L`.
#[inline(always)]
pub(in super::super) unsafe fn rotated<L: Lanes>(
    x: *const f32,
    head_dim: usize,
    cos: *const f32,
    sin: *const f32,
    out: *mut f32,
) {
    let half = head_dim / 2;
    for at in (0..half).step_by(LANES) {
        let count = LANES.min(half - at);
        // SAFETY: `at + count` is at most `half`; the rest is the caller's promise.
        unsafe {
            let (cos, sin) = (L::load_part(cos.add(at), count), L::load_part(sin.add(at), count));
            let first = L::load_part(x.add(at), count);
            let second = L::load_part(x.add(half + at), count);
            first.mul(cos).sub(second.mul(sin)).store_part(out.add(at), count);
            second.mul(cos).add(first.mul(sin)).store_part(out.add(half + at), count);
        }
    }
}

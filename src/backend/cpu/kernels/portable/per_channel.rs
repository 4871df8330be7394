//! Panels of int8 weights with one scale per output, by int8 activations.

// A pointer is moved and followed under one promise.
#![allow(clippy::multiple_unsafe_ops_per_block)]

use super::super::{CHANNEL_SHARED, Form, Int8Kernel, Int8Rows, Side};
use crate::backend::cpu::pack::{ChannelPanel, GROUP, PANEL};

/// See [`Kernels::per_channel`](super::Kernels::per_channel).
pub(super) const KERNEL: Int8Kernel =
    Int8Kernel { panels, form: Form { max_height: 1, shared: CHANNEL_SHARED, side: Side::None } };

/// # Safety
/// As [`Int8Panels`](super::super::Int8Panels): `panel` holds `panels` whole panels of `x.groups` groups, the arrays of
/// `x` hold `rows` rows, and `out` has room for `rows` rows of `16 * panels` values that lie `out_stride` apart.
unsafe fn panels(
    panel: *const u8,
    panels: usize,
    x: &Int8Rows,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
) {
    let panel_bytes = ChannelPanel::bytes_of_groups(x.groups);
    let blocks = x.groups.div_ceil(CHANNEL_SHARED);
    let mut codes = [[[0.0; PANEL]; GROUP]; CHANNEL_SHARED];
    for index in 0..panels {
        // SAFETY: the caller's promise about `panel`.
        let bytes = unsafe { std::slice::from_raw_parts(panel.add(index * panel_bytes), panel_bytes) };
        let panel = ChannelPanel::new(bytes);
        for block in 0..blocks {
            // Decoded once for all rows; each row then adds the block to what it has.
            let first = block * CHANNEL_SHARED;
            let groups = CHANNEL_SHARED.min(x.groups - first);
            let codes = &mut codes[..groups];
            for (group, codes) in codes.iter_mut().enumerate() {
                decode(panel.group(first + group), codes);
            }
            for row in 0..rows {
                // SAFETY: the caller's promises about `x` and `out`; `i8` and `[i8; 32]` have the same alignment.
                let (q, scale, out) = unsafe {
                    let q = x.q.add(row * Int8Rows::tile_bytes(1, x.groups) + first * GROUP);
                    let out = out.add(row * out_stride + index * PANEL).cast::<[f32; PANEL]>();
                    if block == 0 {
                        out.write([0.0; PANEL]);
                    }
                    let q = std::slice::from_raw_parts(q.cast::<[i8; GROUP]>(), groups);
                    (q, *x.scales.add(row * blocks + block), &mut *out)
                };
                let dot = products(codes, q);
                for lane in 0..PANEL {
                    out[lane] += scale * dot[lane];
                    if block + 1 == blocks {
                        out[lane] *= panel.scale(lane);
                    }
                }
            }
        }
    }
}

/// The integers of a group, `[k][lane]`.
#[inline(always)]
fn decode(weights: &[u8], codes: &mut [[f32; PANEL]; GROUP]) {
    let steps = weights.as_chunks::<{ 4 * PANEL }>().0.iter();
    for (step, codes) in steps.zip(codes.as_chunks_mut::<4>().0) {
        for (lane, weights) in step.as_chunks::<4>().0.iter().enumerate() {
            for (codes, &weight) in codes.iter_mut().zip(weights) {
                codes[lane] = (i32::from(weight) - ChannelPanel::OFFSET) as f32;
            }
        }
    }
}

/// The integer dot products of a block. They are exact in `f32`: 256 products of at most 128 * 127 are below 2^24.
#[inline(always)]
fn products(codes: &[[[f32; PANEL]; GROUP]], q: &[[i8; GROUP]]) -> [f32; PANEL] {
    let mut dot = [0.0; PANEL];
    for (codes, q) in codes.iter().zip(q) {
        for (codes, &q) in codes.iter().zip(q) {
            let q = f32::from(q);
            for lane in 0..PANEL {
                dot[lane] += codes[lane] * q;
            }
        }
    }
    dot
}

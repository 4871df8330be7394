//! Panels of 8-bit floats with `f32` activations.

// A pointer is moved and followed under one promise; the signatures are those of all levels.
#![allow(clippy::multiple_unsafe_ops_per_block, clippy::too_many_arguments)]

use crate::backend::cpu::pack::{Fp8Group, PANEL, unpack_fp8_panel};

/// See [`Kernels::fp8`](super::Kernels::fp8).
pub(super) unsafe fn panels(
    panel: *const u8,
    panels: usize,
    cols: usize,
    group: Fp8Group,
    x: *const f32,
    x_stride: usize,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
) {
    let panel_bytes = group.count(cols) * group.bytes();
    let mut weights = [0.0; 128 * PANEL];
    let weights = &mut weights[..group.len() * PANEL];
    for index in 0..panels {
        // SAFETY: the caller's promise about `panel`.
        let panel = unsafe { std::slice::from_raw_parts(panel.add(index * panel_bytes), panel_bytes) };
        for row in 0..rows {
            // SAFETY: the caller's promise about `out`.
            unsafe { out.add(row * out_stride + index * PANEL).cast::<[f32; PANEL]>().write([0.0; PANEL]) };
        }
        for (number, bytes) in panel.chunks_exact(group.bytes()).enumerate() {
            // Widened once for all rows; each row then adds the group to what it has.
            unpack_fp8_panel(group, bytes, weights);
            let first = number * group.len();
            let len = group.len().min(cols - first);
            for row in 0..rows {
                // SAFETY: the caller's promises about `x` and `out`; the group lies inside the row.
                let (x, out) = unsafe {
                    let x = std::slice::from_raw_parts(x.add(row * x_stride + first), len);
                    (x, &mut *out.add(row * out_stride + index * PANEL).cast::<[f32; PANEL]>())
                };
                let mut sums = *out;
                for (&x, weights) in x.iter().zip(weights.as_chunks::<PANEL>().0) {
                    for lane in 0..PANEL {
                        sums[lane] += x * weights[lane];
                    }
                }
                *out = sums;
            }
        }
    }
}

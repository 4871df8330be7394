//! Panels of F32, F16 and BF16 with `f32` activations.

// A pointer is moved and followed under one promise; the signatures are those of all levels.
#![allow(clippy::multiple_unsafe_ops_per_block, clippy::too_many_arguments)]

use half::{bf16, f16};

use crate::backend::cpu::pack::PANEL;

/// Inputs that are widened at a time.
const CHUNK: usize = 32;

/// How a format stores the values of its inputs, two at a time: [`WIDTH`](Self::WIDTH) bytes per value and lane.
trait Values {
    const WIDTH: usize;
    /// Bytes of the panel that `cols` inputs take.
    fn bytes(cols: usize) -> usize {
        cols * Self::WIDTH * PANEL
    }
    /// Widens the inputs in `bytes` to `out[k][lane]`; there may be fewer than `out` has room for.
    fn widen(bytes: &[u8], out: &mut [[f32; PANEL]; CHUNK]);
}

struct F32;

impl Values for F32 {
    const WIDTH: usize = 4;

    fn widen(bytes: &[u8], out: &mut [[f32; PANEL]; CHUNK]) {
        for (value, out) in bytes.as_chunks::<4>().0.iter().zip(out.as_flattened_mut()) {
            *out = f32::from_le_bytes(*value);
        }
    }
}

struct F16;

impl Values for F16 {
    const WIDTH: usize = 2;

    fn widen(bytes: &[u8], out: &mut [[f32; PANEL]; CHUNK]) {
        for (value, out) in bytes.as_chunks::<2>().0.iter().zip(out.as_flattened_mut()) {
            *out = f16::from_le_bytes(*value).to_f32();
        }
    }
}

struct Bf16;

impl Values for Bf16 {
    const WIDTH: usize = 2;

    fn bytes(cols: usize) -> usize {
        cols.next_multiple_of(2) * Self::WIDTH * PANEL
    }

    fn widen(bytes: &[u8], out: &mut [[f32; PANEL]; CHUNK]) {
        let pairs = bytes.as_chunks::<{ 4 * PANEL }>().0.iter();
        for (pair, [even, odd]) in pairs.zip(out.as_chunks_mut::<2>().0) {
            for (lane, value) in pair.as_chunks::<4>().0.iter().enumerate() {
                even[lane] = bf16::from_le_bytes([value[0], value[1]]).to_f32();
                odd[lane] = bf16::from_le_bytes([value[2], value[3]]).to_f32();
            }
        }
    }
}

/// See [`Kernels::f32`](super::Kernels::f32).
pub(super) unsafe fn f32_panels(
    panel: *const u8,
    panels: usize,
    cols: usize,
    x: *const f32,
    x_stride: usize,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
) {
    // SAFETY: the same promises.
    unsafe { float_panels::<F32>(panel, panels, cols, x, x_stride, rows, out, out_stride) }
}

/// See [`Kernels::f16`](super::Kernels::f16).
pub(super) unsafe fn f16_panels(
    panel: *const u8,
    panels: usize,
    cols: usize,
    x: *const f32,
    x_stride: usize,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
) {
    // SAFETY: the same promises.
    unsafe { float_panels::<F16>(panel, panels, cols, x, x_stride, rows, out, out_stride) }
}

/// See [`Kernels::bf16`](super::Kernels::bf16).
pub(super) unsafe fn bf16_panels(
    panel: *const u8,
    panels: usize,
    cols: usize,
    x: *const f32,
    x_stride: usize,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
) {
    // SAFETY: the same promises.
    unsafe { float_panels::<Bf16>(panel, panels, cols, x, x_stride, rows, out, out_stride) }
}

/// # Safety
/// As [`FloatPanels`](super::super::FloatPanels): `panel` holds `panels` whole panels of `cols` inputs, `x` holds `rows`
/// rows of `cols` values that lie `x_stride` apart, and `out` has room for `rows` rows of `16 * panels` values that
/// lie `out_stride` apart.
unsafe fn float_panels<V: Values>(
    panel: *const u8,
    panels: usize,
    cols: usize,
    x: *const f32,
    x_stride: usize,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
) {
    let panel_bytes = V::bytes(cols);
    let mut weights = [[0.0; PANEL]; CHUNK];
    for index in 0..panels {
        // SAFETY: the caller's promise about `panel`.
        let panel = unsafe { std::slice::from_raw_parts(panel.add(index * panel_bytes), panel_bytes) };
        for row in 0..rows {
            // SAFETY: the caller's promise about `out`.
            unsafe { out.add(row * out_stride + index * PANEL).cast::<[f32; PANEL]>().write([0.0; PANEL]) };
        }
        for (chunk, bytes) in panel.chunks(CHUNK * V::WIDTH * PANEL).enumerate() {
            // Widened once for all rows; each row then adds the chunk to what it has.
            V::widen(bytes, &mut weights);
            let first = chunk * CHUNK;
            let len = CHUNK.min(cols - first);
            for row in 0..rows {
                // SAFETY: the caller's promises about `x` and `out`; the chunk lies inside the row.
                let (x, out) = unsafe {
                    let x = std::slice::from_raw_parts(x.add(row * x_stride + first), len);
                    (x, &mut *out.add(row * out_stride + index * PANEL).cast::<[f32; PANEL]>())
                };
                // In registers, where the weights cannot be taken to change with it.
                let mut sums = *out;
                for (&x, weights) in x.iter().zip(&weights) {
                    for lane in 0..PANEL {
                        sums[lane] += x * weights[lane];
                    }
                }
                *out = sums;
            }
        }
    }
}

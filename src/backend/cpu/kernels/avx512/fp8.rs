//! Panels of 8-bit floats: a register of 16 codes becomes an F16, an `f32`, and a weight.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::float::{F32, Next, Tile, by_height, tile_rows};
use crate::backend::cpu::pack::Fp8Group;

/// Up to so many rows are multiplied with weights in registers; for more, weights are widened once into the first-level
/// cache, a pair of panels at a time. Both perform the same operations on every output in the same order.
const DIRECT_ROWS: usize = 3;

/// The most rows of a tile of widened weights.
const ROWS: usize = 12;

/// Inputs that are widened at a time: two panels of them fill half of the first-level cache.
const WIDE_UNITS: usize = 128;

/// Two panels of widened weights.
#[repr(C, align(64))]
struct Wide([MaybeUninit<f32>; 2 * 16 * WIDE_UNITS]);

/// How far ahead, in bytes, weights are brought into the cache.
const AHEAD: usize = 2048;

/// See [`super::super::Fp8Panels`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
#[allow(clippy::too_many_arguments)] // the signature of all kernels
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
    for first in (0..panels).step_by(2) {
        let pair = first + 1 < panels;
        // SAFETY: one or two panels from here on, the caller's rows, and their outputs.
        unsafe {
            let panel = panel.add(first * panel_bytes);
            let of = Product {
                panel,
                panel_bytes,
                cols,
                group,
                x,
                x_stride,
                out: out.add(16 * first),
                out_stride,
            };
            match (rows, pair) {
                (0, _) => {}
                (1, true) => direct::<1, 2>(&of),
                (1, false) => direct::<1, 1>(&of),
                (2, true) => direct::<2, 2>(&of),
                (2, false) => direct::<2, 1>(&of),
                (DIRECT_ROWS, true) => direct::<DIRECT_ROWS, 2>(&of),
                (DIRECT_ROWS, false) => direct::<DIRECT_ROWS, 1>(&of),
                _ => widened(&of, rows, pair),
            }
        }
    }
}

/// One or two panels and all rows.
struct Product {
    panel: *const u8,
    /// From panel to panel.
    panel_bytes: usize,
    cols: usize,
    group: Fp8Group,
    x: *const f32,
    x_stride: usize,
    out: *mut f32,
    out_stride: usize,
}

/// Sixteen weights from their codes: [`pack::fp8`](crate::backend::cpu::pack) says why an F16 is between.
#[inline(always)]
unsafe fn weights(codes: *const u8, scale: __m512) -> __m512 {
    // SAFETY: sixteen codes; the features are those of the function this is inlined into.
    unsafe {
        // The sign is spread to the left; what it leaves in the exponent's highest bit is taken out.
        let halves = _mm256_slli_epi16::<7>(_mm256_cvtepi8_epi16(_mm_loadu_si128(codes.cast())));
        let halves = _mm256_and_si256(halves, _mm256_set1_epi16(0xBFFF_u16.cast_signed()));
        _mm512_mul_ps(_mm512_cvtph_ps(halves), scale)
    }
}

/// `R` rows by `P` panels, weights in registers.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn direct<const R: usize, const P: usize>(of: &Product) {
    let (len, bytes) = (of.group.len(), of.group.bytes());
    // SAFETY: the caller's promises: all codes, inputs and outputs exist. Prefetches may go anywhere.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); P]; R];
        for group in 0..of.group.count(of.cols) {
            let at = of.panel.add(group * bytes);
            let mut scales = [_mm512_setzero_ps(); P];
            for p in 0..P {
                scales[p] = _mm512_loadu_ps(at.add(p * of.panel_bytes).cast());
            }
            let (at, x) = (at.add(64), of.x.add(group * len));
            let here = len.min(of.cols - group * len);
            for k in 0..here {
                if k % 4 == 0 {
                    for p in 0..P {
                        let ahead = at.wrapping_add(p * of.panel_bytes + 16 * k + AHEAD);
                        _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
                    }
                }
                let mut wide = [_mm512_setzero_ps(); P];
                for p in 0..P {
                    wide[p] = weights(at.add(p * of.panel_bytes + 16 * k), scales[p]);
                }
                for row in 0..R {
                    let x = _mm512_set1_ps(*x.add(row * of.x_stride + k));
                    for p in 0..P {
                        sums[row][p] = _mm512_fmadd_ps(wide[p], x, sums[row][p]);
                    }
                }
            }
        }
        for row in 0..R {
            for p in 0..P {
                _mm512_storeu_ps(of.out.add(row * of.out_stride + 16 * p), sums[row][p]);
            }
        }
    }
}

/// Any number of rows, weights widened in pieces of whole groups.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn widened(of: &Product, rows: usize, pair: bool) {
    const { assert!(WIDE_UNITS.is_multiple_of(Fp8Group::Of128.len())) };
    let mut wide = MaybeUninit::<Wide>::uninit();
    let wide = wide.as_mut_ptr().cast::<f32>();
    let tiles = rows.div_ceil(ROWS);
    for first in (0..of.cols).step_by(WIDE_UNITS) {
        let here = WIDE_UNITS.min(of.cols - first);
        // SAFETY: the caller's promises: whole groups of one or two panels, room for two pieces, rows and outputs.
        unsafe {
            widen(of, first, here, 0, wide);
            if pair {
                widen(of, first, here, 1, wide.add(16 * WIDE_UNITS));
            }
            for index in 0..tiles {
                let (row, height) = tile_rows(index, tiles, rows);
                let tile = Tile {
                    panel: wide.cast(),
                    panel_stride: 64 * WIDE_UNITS,
                    units: here,
                    x: of.x.add(row * of.x_stride + first).cast(),
                    x_stride: 4 * of.x_stride,
                    out: of.out.add(row * of.out_stride),
                    out_stride: of.out_stride,
                    next: Next::once(of.panel),
                    add: first > 0,
                };
                by_height::<F32>(height, pair, &tile);
            }
        }
    }
}

/// Writes the weights of `inputs` inputs of panel `p` from input `first` on, sixteen lanes each.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn widen(of: &Product, first: usize, inputs: usize, p: usize, to: *mut f32) {
    let (len, bytes) = (of.group.len(), of.group.bytes());
    for k in (0..inputs).step_by(len) {
        // SAFETY: within what the caller promises.
        unsafe {
            let at = of.panel.add(p * of.panel_bytes + (first + k) / len * bytes);
            let scale = _mm512_loadu_ps(at.cast());
            for within in 0..len.min(inputs - k) {
                let wide = weights(at.add(64 + 16 * within), scale);
                _mm512_storeu_ps(to.add(16 * (k + within)), wide);
            }
        }
    }
}

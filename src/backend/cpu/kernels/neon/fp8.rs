//! Panels of 8-bit floats with f32 activations: products are added one k after the other.

use std::arch::aarch64::*;

use super::super::super::simd::prefetch;
use super::float::add;
use crate::backend::cpu::pack::Fp8Group;

/// Bytes ahead of the weights in use that are asked for while a panel is read for the first time.
const PREFETCH: usize = 2048;

/// Rows of a tile: 12 registers of sums, 4 of scales, 3 of activations, and of weights on their way.
const ROWS: usize = 3;

/// See [`Fp8Panels`](super::super::Fp8Panels).
///
/// # Safety
/// The processor must have NEON; `panel` must point to `panels` packed panels of `cols` inputs, `x` to `rows` rows of
/// `cols` values, `out` to `rows` rows of `16 * panels` values that nobody else uses.
#[target_feature(enable = "neon")]
#[allow(clippy::too_many_arguments)] // the signature that all levels share
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
    // Heights that differ by one at most, so that no tile is too low to keep the multipliers busy.
    let tiles = rows.div_ceil(ROWS);
    for index in 0..panels {
        let mut row = 0;
        for tile in 0..tiles {
            let height = (rows - row).div_ceil(tiles - tile);
            // SAFETY: panel `index` and rows `row..row + height` exist.
            unsafe {
                let tile = Tile {
                    panel: panel.add(index * panel_bytes),
                    cols,
                    group,
                    x: x.add(row * x_stride),
                    x_stride,
                    out: out.add(row * out_stride + 16 * index),
                    out_stride,
                    first: row == 0,
                };
                match height {
                    1 => few_rows::<1>(&tile),
                    2 => few_rows::<2>(&tile),
                    _ => few_rows::<ROWS>(&tile),
                }
            }
            row += height;
        }
    }
}

/// One panel, some rows, and where their products go.
struct Tile {
    panel: *const u8,
    cols: usize,
    group: Fp8Group,
    x: *const f32,
    x_stride: usize,
    out: *mut f32,
    out_stride: usize,
    /// Nobody has read this panel yet.
    first: bool,
}

/// # Safety
/// As for [`panels`], for one panel and `R` rows.
#[target_feature(enable = "neon")]
unsafe fn few_rows<const R: usize>(tile: &Tile) {
    let (len, bytes) = (tile.group.len(), tile.group.bytes());
    let mut sums = [[vdupq_n_f32(0.0); 4]; R];
    // SAFETY: the caller's promises: every group, every row and every output exists.
    unsafe {
        for group in 0..tile.group.count(tile.cols) {
            let at = tile.panel.add(group * bytes);
            let scales = scales(at);
            let (codes, x) = (at.add(64), tile.x.add(group * len));
            let inputs = len.min(tile.cols - group * len);
            for k in (0..inputs / 4 * 4).step_by(4) {
                let codes = codes.add(16 * k);
                if tile.first {
                    prefetch(codes.wrapping_add(PREFETCH));
                }
                let mut four = [vdupq_n_f32(0.0); R];
                for r in 0..R {
                    four[r] = vld1q_f32(x.add(r * tile.x_stride + k));
                }
                add::<0, R>(&mut sums, weights(codes, scales), &four);
                add::<1, R>(&mut sums, weights(codes.add(16), scales), &four);
                add::<2, R>(&mut sums, weights(codes.add(32), scales), &four);
                add::<3, R>(&mut sums, weights(codes.add(48), scales), &four);
            }
        }
        // Only the last group can have a number of inputs that is no multiple of four.
        for k in tile.cols / 4 * 4..tile.cols {
            let (at, within) = (tile.panel.add(k / len * bytes), k % len);
            let weights = weights(at.add(64 + 16 * within), scales(at));
            let mut one = [vdupq_n_f32(0.0); R];
            for r in 0..R {
                one[r] = vdupq_n_f32(*tile.x.add(r * tile.x_stride + k));
            }
            add::<0, R>(&mut sums, weights, &one);
        }
        for r in 0..R {
            for c in 0..4 {
                vst1q_f32(tile.out.add(r * tile.out_stride + 4 * c), sums[r][c]);
            }
        }
    }
}

/// The scales of a group, from its beginning.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn scales(group: *const u8) -> [float32x4_t; 4] {
    // SAFETY: sixteen scales.
    [0, 16, 32, 48].map(|at| unsafe { vld1q_f32(group.add(at).cast()) })
}

/// Sixteen weights from their codes: [`pack::fp8`](crate::backend::cpu::pack) says why an F16 is between.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn weights(codes: *const u8, scales: [float32x4_t; 4]) -> [float32x4_t; 4] {
    // SAFETY: sixteen codes.
    let codes = unsafe { vreinterpretq_s8_u8(vld1q_u8(codes)) };
    // The sign is spread to the left; what it leaves in the exponent's highest bit is taken out.
    let sign_and_rest = vdupq_n_s16(0xBFFF_u16.cast_signed());
    let low = vandq_s16(vshll_n_s8::<7>(vget_low_s8(codes)), sign_and_rest);
    let high = vandq_s16(vshll_high_n_s8::<7>(codes), sign_and_rest);
    let (low, high) = (vreinterpretq_f16_s16(low), vreinterpretq_f16_s16(high));
    [
        vmulq_f32(vcvt_f32_f16(vget_low_f16(low)), scales[0]),
        vmulq_f32(vcvt_high_f32_f16(low), scales[1]),
        vmulq_f32(vcvt_f32_f16(vget_low_f16(high)), scales[2]),
        vmulq_f32(vcvt_high_f32_f16(high), scales[3]),
    ]
}

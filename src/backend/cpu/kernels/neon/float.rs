//! Panels of floats with f32 activations: products are added one k after the other.

use std::arch::aarch64::*;
use std::slice;

use super::super::super::simd::prefetch;

/// Bytes ahead of the weights in use that are asked for while a panel is read for the first time.
const PREFETCH: usize = 2048;

/// Rows of a tile with one panel: 16 registers of sums, 8 of weights, 4 of activations.
const ROWS: usize = 4;

/// Up to so many rows are computed with two panels at once: the sums of one would wait for each other.
const LOW: usize = 2;

/// A float format as it is packed.
///
/// # Safety
/// `One` and `Two` must be valid for any bytes, without alignment. The methods require NEON.
pub(super) unsafe trait Weights {
    /// A k of 16 lanes, where an odd last one is left.
    type One;
    /// Two neighbouring k of 16 lanes.
    type Two;

    unsafe fn one(bytes: &Self::One) -> [float32x4_t; 4];

    unsafe fn two(bytes: &Self::Two) -> [[float32x4_t; 4]; 2];
}

/// A register's worth of each quarter of a panel.
type Line = [[u8; 16]; 4];

#[target_feature(enable = "neon")]
#[inline]
fn line(line: &Line) -> [uint32x4_t; 4] {
    // SAFETY: each load reads the 16 bytes of an array and asks for no alignment.
    let load = |bytes: &[u8; 16]| unsafe { vreinterpretq_u32_u8(vld1q_u8(bytes.as_ptr())) };
    [load(&line[0]), load(&line[1]), load(&line[2]), load(&line[3])]
}

/// Single precision.
pub(super) struct F32;

// SAFETY: arrays of bytes.
unsafe impl Weights for F32 {
    type One = Line;
    type Two = [Line; 2];

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn one(bytes: &Line) -> [float32x4_t; 4] {
        line(bytes).map(|bits| vreinterpretq_f32_u32(bits))
    }

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn two(bytes: &[Line; 2]) -> [[float32x4_t; 4]; 2] {
        // SAFETY: NEON is at hand here.
        unsafe { [Self::one(&bytes[0]), Self::one(&bytes[1])] }
    }
}

/// Half precision.
pub(super) struct F16;

// SAFETY: arrays of bytes.
unsafe impl Weights for F16 {
    type One = [[u8; 16]; 2];
    type Two = [[[u8; 16]; 2]; 2];

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn one(bytes: &Self::One) -> [float32x4_t; 4] {
        let [a, b] = [&bytes[0], &bytes[1]].map(|bytes| {
            // SAFETY: the load reads the 16 bytes of the array and asks for no alignment.
            let halfs = vreinterpretq_f16_u8(unsafe { vld1q_u8(bytes.as_ptr()) });
            [vcvt_f32_f16(vget_low_f16(halfs)), vcvt_high_f32_f16(halfs)]
        });
        [a[0], a[1], b[0], b[1]]
    }

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn two(bytes: &Self::Two) -> [[float32x4_t; 4]; 2] {
        // SAFETY: NEON is at hand here.
        unsafe { [Self::one(&bytes[0]), Self::one(&bytes[1])] }
    }
}

/// The upper half of single precision; two k share 32 bits, and an odd last one has a zero beside it.
pub(super) struct Bf16;

// SAFETY: arrays of bytes.
unsafe impl Weights for Bf16 {
    type One = Line;
    type Two = Line;

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn one(bytes: &Line) -> [float32x4_t; 4] {
        line(bytes).map(|bits| vreinterpretq_f32_u32(vshlq_n_u32::<16>(bits)))
    }

    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn two(bytes: &Line) -> [[float32x4_t; 4]; 2] {
        let upper = vdupq_n_u32(0xffff_0000);
        let second = line(bytes).map(|bits| vreinterpretq_f32_u32(vandq_u32(bits, upper)));
        // SAFETY: NEON is at hand here.
        [unsafe { Self::one(bytes) }, second]
    }
}

/// Activations and where their products go.
#[derive(Debug, Clone, Copy)]
struct Rows {
    x: *const f32,
    x_stride: usize,
    out: *mut f32,
    out_stride: usize,
}

/// See [`FloatPanels`](super::super::FloatPanels).
///
/// # Safety
/// The processor must have NEON; `panel` must point to `panels` packed panels of `cols` inputs, `x` to `rows` rows of
/// `cols` values, `out` to `rows` rows of `16 * panels` values that nobody else uses.
#[target_feature(enable = "neon")]
#[allow(clippy::too_many_arguments)] // the signature that all levels share
pub(super) unsafe fn panels<W: Weights>(
    panel: *const u8,
    panels: usize,
    cols: usize,
    x: *const f32,
    x_stride: usize,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
) {
    let panel_bytes = cols / 2 * size_of::<W::Two>() + cols % 2 * size_of::<W::One>();
    // Heights that differ by one at most, so that no tile is too low to keep the multipliers busy.
    let tiles = rows.div_ceil(ROWS);
    let mut index = 0;
    while index < panels {
        let pair = rows <= LOW && index + 1 < panels;
        let mut row = 0;
        for tile in 0..tiles {
            let height = (rows - row).div_ceil(tiles - tile);
            // SAFETY: panels `index`, and `index + 1` if paired, and rows `row..row + height` exist.
            unsafe {
                let at = panel.add(index * panel_bytes);
                let rows = Rows {
                    x: x.add(row * x_stride),
                    x_stride,
                    out: out.add(row * out_stride + 16 * index),
                    out_stride,
                };
                let first = row == 0;
                match (height, pair) {
                    (1, true) => few_rows::<W, 1, 2>(at, panel_bytes, cols, rows, first),
                    (_, true) => few_rows::<W, LOW, 2>(at, panel_bytes, cols, rows, first),
                    (1, false) => few_rows::<W, 1, 1>(at, panel_bytes, cols, rows, first),
                    (2, false) => few_rows::<W, 2, 1>(at, panel_bytes, cols, rows, first),
                    (3, false) => few_rows::<W, 3, 1>(at, panel_bytes, cols, rows, first),
                    (_, false) => few_rows::<W, ROWS, 1>(at, panel_bytes, cols, rows, first),
                }
            }
            row += height;
        }
        index += if pair { 2 } else { 1 };
    }
}

/// `P` panels, `panel_bytes` apart, with `R` rows; `first`: nobody has read these panels yet.
///
/// # Safety
/// As for [`panels`].
#[target_feature(enable = "neon")]
unsafe fn few_rows<W: Weights, const R: usize, const P: usize>(
    panel: *const u8,
    panel_bytes: usize,
    cols: usize,
    rows: Rows,
    first: bool,
) {
    let mut sums = [[[vdupq_n_f32(0.0); 4]; R]; P];
    let mut fours = [&[] as &[[W::Two; 2]]; P];
    for (p, fours) in fours.iter_mut().enumerate() {
        // SAFETY: every panel has `cols / 2` pairs, and one more k when `cols` is odd.
        *fours = unsafe { slice::from_raw_parts(panel.add(p * panel_bytes).cast(), cols / 4) };
    }
    for at in 0..cols / 4 {
        let mut x = [vdupq_n_f32(0.0); R];
        for r in 0..R {
            // SAFETY: `4 * at + 3` is less than `cols`, which every row has.
            x[r] = unsafe { vld1q_f32(rows.x.add(r * rows.x_stride + 4 * at)) };
        }
        for p in 0..P {
            let bytes = &fours[p][at];
            if first {
                let ahead = (&raw const *bytes).cast::<u8>().wrapping_add(PREFETCH);
                for line in 0..size_of::<[W::Two; 2]>() / 64 {
                    prefetch(ahead.wrapping_add(64 * line));
                }
            }
            // SAFETY: NEON is at hand here.
            let [first, second] = unsafe { W::two(&bytes[0]) };
            add::<0, R>(&mut sums[p], first, &x);
            add::<1, R>(&mut sums[p], second, &x);
            // SAFETY: as above.
            let [third, fourth] = unsafe { W::two(&bytes[1]) };
            add::<2, R>(&mut sums[p], third, &x);
            add::<3, R>(&mut sums[p], fourth, &x);
        }
    }
    for p in 0..P {
        // SAFETY: up to three k of a panel lie behind its fours, and every row has values for them.
        unsafe {
            let mut rest = panel.add(p * panel_bytes + cols / 4 * size_of::<[W::Two; 2]>());
            let mut k = cols / 4 * 4;
            if cols % 4 >= 2 {
                let [first, second] = W::two(&*rest.cast::<W::Two>());
                add_one(&mut sums[p], first, rows, k);
                add_one(&mut sums[p], second, rows, k + 1);
                rest = rest.add(size_of::<W::Two>());
                k += 2;
            }
            if cols % 2 == 1 {
                add_one(&mut sums[p], W::one(&*rest.cast::<W::One>()), rows, k);
            }
        }
    }
    for (p, sums) in sums.iter().enumerate() {
        for (r, sum) in sums.iter().enumerate() {
            for c in 0..4 {
                // SAFETY: 16 values of each of the rows belong to a panel.
                unsafe { vst1q_f32(rows.out.add(r * rows.out_stride + 16 * p + 4 * c), sum[c]) };
            }
        }
    }
}

/// `sums + weights * x`, with value `K` of four of each row.
#[target_feature(enable = "neon")]
#[inline]
pub(super) fn add<const K: i32, const R: usize>(
    sums: &mut [[float32x4_t; 4]; R],
    weights: [float32x4_t; 4],
    x: &[float32x4_t; R],
) {
    for r in 0..R {
        for c in 0..4 {
            sums[r][c] = vfmaq_laneq_f32::<K>(sums[r][c], weights[c], x[r]);
        }
    }
}

/// The same with value `k` of each row.
///
/// # Safety
/// So many rows have this value.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn add_one<const R: usize>(
    sums: &mut [[float32x4_t; 4]; R],
    weights: [float32x4_t; 4],
    rows: Rows,
    k: usize,
) {
    for r in 0..R {
        // SAFETY: the caller's promise.
        let x = unsafe { *rows.x.add(r * rows.x_stride + k) };
        for c in 0..4 {
            sums[r][c] = vfmaq_n_f32(sums[r][c], weights[c], x);
        }
    }
}

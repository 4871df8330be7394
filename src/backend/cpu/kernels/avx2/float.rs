//! Panels of floats with f32 activations: products are added one k after the other.

use std::arch::x86_64::*;
use std::slice;

use super::unpack::{Halfs, Line, line, widen};

/// Bytes ahead of the weights in use that are asked for while a panel is read for the first time.
const PREFETCH: usize = 2048;

/// Rows of a tile with one panel: 12 registers of sums, 2 of weights, 1 of activations.
const ROWS: usize = 6;

/// Up to so many rows are computed with two panels at once: the sums of one would wait for each other.
const LOW: usize = 2;

/// A float format as it is packed.
///
/// # Safety
/// `One` and `Two` must be valid for any bytes, without alignment. The methods require the features of this level.
pub(super) unsafe trait Weights {
    /// A k of 16 lanes, where an odd last one is left.
    type One;
    /// Two neighbouring k of 16 lanes.
    type Two;

    unsafe fn one(bytes: &Self::One) -> [__m256; 2];

    unsafe fn two(bytes: &Self::Two) -> [[__m256; 2]; 2];
}

/// Single precision.
pub(super) struct F32;

// SAFETY: arrays of bytes.
unsafe impl Weights for F32 {
    type One = Line;
    type Two = [Line; 2];

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn one(bytes: &Line) -> [__m256; 2] {
        line(bytes).map(|bits| _mm256_castsi256_ps(bits))
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn two(bytes: &[Line; 2]) -> [[__m256; 2]; 2] {
        // SAFETY: the level's features are at hand here.
        unsafe { [Self::one(&bytes[0]), Self::one(&bytes[1])] }
    }
}

/// Half precision.
pub(super) struct F16;

// SAFETY: arrays of bytes.
unsafe impl Weights for F16 {
    type One = Halfs;
    type Two = [Halfs; 2];

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn one(bytes: &Halfs) -> [__m256; 2] {
        widen(bytes)
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn two(bytes: &[Halfs; 2]) -> [[__m256; 2]; 2] {
        [widen(&bytes[0]), widen(&bytes[1])]
    }
}

/// The upper half of single precision; two k share 32 bits, and an odd last one has a zero beside it.
pub(super) struct Bf16;

// SAFETY: arrays of bytes.
unsafe impl Weights for Bf16 {
    type One = Line;
    type Two = Line;

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn one(bytes: &Line) -> [__m256; 2] {
        line(bytes).map(|bits| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits)))
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn two(bytes: &Line) -> [[__m256; 2]; 2] {
        let upper = _mm256_set1_epi32(0xffff_0000_u32.cast_signed());
        let second = line(bytes).map(|bits| _mm256_castsi256_ps(_mm256_and_si256(bits, upper)));
        // SAFETY: the level's features are at hand here.
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
/// The processor must have this level's features; `panel` must point to `panels` packed panels of `cols` inputs, `x`
/// to `rows` rows of `cols` values, `out` to `rows` rows of `16 * panels` values that nobody else uses.
#[target_feature(enable = "avx2,fma,f16c")]
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
                    (4, false) => few_rows::<W, 4, 1>(at, panel_bytes, cols, rows, first),
                    (5, false) => few_rows::<W, 5, 1>(at, panel_bytes, cols, rows, first),
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
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn few_rows<W: Weights, const R: usize, const P: usize>(
    panel: *const u8,
    panel_bytes: usize,
    cols: usize,
    rows: Rows,
    first: bool,
) {
    let mut sums = [[[_mm256_setzero_ps(); 2]; R]; P];
    let mut pairs = [&[] as &[W::Two]; P];
    for (p, pairs) in pairs.iter_mut().enumerate() {
        // SAFETY: every panel has `cols / 2` pairs, and one more k when `cols` is odd.
        *pairs = unsafe { slice::from_raw_parts(panel.add(p * panel_bytes).cast(), cols / 2) };
    }
    for at in 0..cols / 2 {
        for p in 0..P {
            let bytes = &pairs[p][at];
            if first {
                let ahead = (&raw const *bytes).cast::<i8>().wrapping_add(PREFETCH);
                for line in 0..size_of::<W::Two>() / 64 {
                    _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(64 * line));
                }
            }
            // SAFETY: the level's features are at hand here.
            let [even, odd] = unsafe { W::two(bytes) };
            for r in 0..R {
                // SAFETY: `2 * at + 1` is less than `cols`, which every row has.
                let (a, b) = unsafe {
                    let x = rows.x.add(r * rows.x_stride + 2 * at);
                    (*x, *x.add(1))
                };
                sums[p][r] = add(sums[p][r], even, a);
                sums[p][r] = add(sums[p][r], odd, b);
            }
        }
    }
    if cols % 2 == 1 {
        for p in 0..P {
            // SAFETY: the last k of a panel lies behind its pairs, and every row has a value for it.
            unsafe {
                let last = panel.add(p * panel_bytes + cols / 2 * size_of::<W::Two>()).cast::<W::One>();
                let weights = W::one(&*last);
                for r in 0..R {
                    sums[p][r] = add(sums[p][r], weights, *rows.x.add(r * rows.x_stride + cols - 1));
                }
            }
        }
    }
    for (p, sums) in sums.iter().enumerate() {
        for (r, sum) in sums.iter().enumerate() {
            // SAFETY: 16 values of each of the rows belong to a panel.
            unsafe {
                let out = rows.out.add(r * rows.out_stride + 16 * p);
                _mm256_storeu_ps(out, sum[0]);
                _mm256_storeu_ps(out.add(8), sum[1]);
            }
        }
    }
}

/// `sums + weights * x`.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn add(sums: [__m256; 2], weights: [__m256; 2], x: f32) -> [__m256; 2] {
    let x = _mm256_set1_ps(x);
    [_mm256_fmadd_ps(weights[0], x, sums[0]), _mm256_fmadd_ps(weights[1], x, sums[1])]
}

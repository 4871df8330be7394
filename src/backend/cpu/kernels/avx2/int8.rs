//! Panels of quantized weights with int8 activations: the tile that all formats share.
//!
//! `vpmaddubsw` multiplies unsigned weights with signed activations and adds neighbours in 16 bits, with saturation.
//! As many steps as cannot reach that limit are summed there before `vpmaddwd` takes the sums, times the scale of a
//! half group where the format has one, to 32 bits; so the integer of every group is exact. Groups are then added in
//! f32, from first to last.

use std::arch::x86_64::*;
use std::slice;

use super::super::Int8Rows;
use super::formats::{Activation, Format};
use super::values::Values;

/// Bytes ahead of the weights in use that are asked for while a panel is read for the first time.
const PREFETCH: usize = 4096;

/// See [`Int8Panels`](super::super::Int8Panels).
///
/// # Safety
/// The processor must have this level's features; `panel` must point to `panels` packed panels of `x.groups` groups,
/// `x` to `rows` rows, `out` to `rows` rows of `16 * panels` values that nobody else uses.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn panels<F: Format>(
    panel: *const u8,
    panels: usize,
    x: &Int8Rows,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
) {
    const {
        assert!(8 % <F::Values as Values>::FOLD == 0);
        assert!(<F::Values as Values>::ROWS <= 6);
    }
    let count = x.groups / F::GROUPS;
    // Heights that differ by one at most: no tile is so low that unpacking outweighs multiplying.
    let tiles = rows.div_ceil(<F::Values as Values>::ROWS);
    for index in 0..panels {
        // SAFETY: a panel has `count` blocks, which any bytes are; panels lie one behind the other.
        let blocks = unsafe { slice::from_raw_parts(panel.cast::<F>().add(index * count), count) };
        let mut row = 0;
        for tile in 0..tiles {
            let height = (rows - row).div_ceil(tiles - tile);
            // SAFETY: rows `row..row + height` exist in `x` and `out`.
            unsafe {
                let out = out.add(row * out_stride + 16 * index);
                match height {
                    1 => few_rows::<F, 1>(blocks, x, row, out, out_stride),
                    2 => few_rows::<F, 2>(blocks, x, row, out, out_stride),
                    3 => few_rows::<F, 3>(blocks, x, row, out, out_stride),
                    4 => few_rows::<F, 4>(blocks, x, row, out, out_stride),
                    5 => few_rows::<F, 5>(blocks, x, row, out, out_stride),
                    _ => few_rows::<F, 6>(blocks, x, row, out, out_stride),
                }
            }
            row += height;
        }
    }
}

/// One panel with `R` rows from `first` on.
///
/// # Safety
/// As for [`panels`]; `out` is the place of the first of these rows.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn few_rows<F: Format, const R: usize>(
    blocks: &[F],
    x: &Int8Rows,
    first: usize,
    out: *mut f32,
    out_stride: usize,
) {
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    for (at, block) in blocks.iter().enumerate() {
        for group in 0..F::GROUPS {
            if first == 0 {
                prefetch(block, group);
            }
            let of_row = at * F::GROUPS + group;
            // SAFETY: every row has 32 bytes, a scale and two sums for each of its groups; the level's features are
            // at hand here.
            unsafe {
                let stride = Int8Rows::tile_bytes(1, x.groups);
                let q = x.q.add(first * stride + 32 * of_row);
                let dots = dots::<F, R>(block, group, q, stride);
                let scale = block.scale(group);
                for r in 0..R {
                    let place = (first + r) * x.groups + of_row;
                    let x = Activation {
                        scale: *x.scales.add(place),
                        sums: *x.side.add(2 * place).cast::<[i32; 2]>(),
                    };
                    sums[r] = F::add(&scale, sums[r], dots[r], x);
                }
            }
        }
    }
    for (r, sum) in sums.iter().enumerate() {
        // SAFETY: 16 values of each of the rows belong to this panel.
        unsafe {
            let out = out.add(r * out_stride);
            _mm256_storeu_ps(out, sum[0]);
            _mm256_storeu_ps(out.add(8), sum[1]);
        }
    }
}

/// The integer dot products of a group with `R` rows.
///
/// # Safety
/// `q` must point to 32 bytes in each of `R` rows, `stride` bytes apart.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
unsafe fn dots<F: Format, const R: usize>(
    block: &F,
    group: usize,
    q: *const i8,
    stride: usize,
) -> [[__m256i; 2]; R] {
    let fold = <F::Values as Values>::FOLD;
    let mut products = [[_mm256_setzero_si256(); 2]; R];
    let mut dots = [[_mm256_setzero_si256(); 2]; R];
    // Spelled out, because the steps are constants of the unpacking.
    macro_rules! steps {
        ($($step:literal)*) => {$(
            // SAFETY: the level's features are at hand here.
            let weights = unsafe { block.values().step::<$step>(group) };
            for r in 0..R {
                // SAFETY: the step reads four of the row's 32 bytes.
                let x = unsafe { q.add(r * stride + 4 * $step).cast::<i32>().read_unaligned() };
                let x = _mm256_set1_epi32(x);
                for h in 0..2 {
                    // SAFETY: the level's features are at hand here.
                    let product = unsafe { F::Values::multiply(weights[h], x) };
                    products[r][h] = if $step % fold == 0 {
                        product
                    } else {
                        _mm256_add_epi16(products[r][h], product)
                    };
                }
            }
            if ($step + 1) % fold == 0 {
                // SAFETY: the level's features are at hand here.
                let multiplier = unsafe { block.multiplier(group, $step / 4) };
                for r in 0..R {
                    for h in 0..2 {
                        let dot = _mm256_madd_epi16(products[r][h], multiplier[h]);
                        dots[r][h] = _mm256_add_epi32(dots[r][h], dot);
                    }
                }
            }
        )*};
    }
    steps!(0 1 2 3 4 5 6 7);
    dots
}

/// Asks for a group's worth of bytes, ahead of where the panel is read.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn prefetch<F: Format>(block: &F, group: usize) {
    let share = size_of::<F>() / F::GROUPS;
    let from = (&raw const *block).cast::<i8>().wrapping_add(group * share + PREFETCH);
    for line in 0..share.div_ceil(64) {
        _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(64 * line));
    }
}

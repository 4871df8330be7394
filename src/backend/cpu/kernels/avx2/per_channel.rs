//! Panels of int8 weights with one scale per output.
//!
//! As for Q8_0, the products of one step are all that 16 bits hold; they are summed in 32 bits over the inputs that
//! share a scale.

use std::arch::x86_64::*;
use std::slice;

use super::super::{CHANNEL_SHARED, Form, Int8Kernel, Int8Rows, Side};
use super::unpack::{Line, line};
use super::values::{Eight, Values};
use crate::backend::cpu::pack::ChannelPanel;

/// The most rows of a tile: sums of two registers each, and what multiplying takes.
const ROWS: usize = 4;

/// See [`Kernels::per_channel`](super::super::Kernels::per_channel).
pub(super) const KERNEL: Int8Kernel =
    Int8Kernel { panels, form: Form { max_height: 1, shared: CHANNEL_SHARED, side: Side::None } };

/// # Safety
/// The processor must have this level's features; `panel` must point to `panels` packed panels of `x.groups` groups,
/// `x` to `rows` rows, `out` to `rows` rows of `16 * panels` values that nobody else uses.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn panels(
    panel: *const u8,
    panels: usize,
    x: &Int8Rows,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
) {
    let panel_bytes = ChannelPanel::bytes_of_groups(x.groups);
    let tiles = rows.div_ceil(ROWS);
    for index in 0..panels {
        // SAFETY: panels lie one behind the other: sixteen scales, which any bytes are, and then the groups.
        let (scales, groups) = unsafe {
            let panel = panel.add(index * panel_bytes);
            let groups = panel.add(size_of::<Line>()).cast::<Eight>();
            (&*panel.cast::<Line>(), slice::from_raw_parts(groups, x.groups))
        };
        let mut row = 0;
        for tile in 0..tiles {
            let height = (rows - row).div_ceil(tiles - tile);
            // SAFETY: rows `row..row + height` exist in `x` and `out`.
            unsafe {
                let out = out.add(row * out_stride + 16 * index);
                match height {
                    1 => few_rows::<1>(scales, groups, x, row, out, out_stride),
                    2 => few_rows::<2>(scales, groups, x, row, out, out_stride),
                    3 => few_rows::<3>(scales, groups, x, row, out, out_stride),
                    _ => few_rows::<4>(scales, groups, x, row, out, out_stride),
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
unsafe fn few_rows<const R: usize>(
    scales: &Line,
    groups: &[Eight],
    x: &Int8Rows,
    first: usize,
    out: *mut f32,
    out_stride: usize,
) {
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    let stride = Int8Rows::tile_bytes(1, x.groups);
    let blocks = x.groups.div_ceil(CHANNEL_SHARED);
    for (index, block) in groups.chunks(CHANNEL_SHARED).enumerate() {
        let mut dots = [[_mm256_setzero_si256(); 2]; R];
        for (group, weights) in block.iter().enumerate() {
            // SAFETY: every row has 32 bytes for each of its groups; the level's features are at hand here.
            unsafe {
                let q = x.q.add(first * stride + 32 * (index * CHANNEL_SHARED + group));
                add_products::<R>(weights, q, stride, &mut dots);
            }
        }
        for r in 0..R {
            // SAFETY: every row has a scale for each of its blocks.
            let scale = _mm256_set1_ps(unsafe { *x.scales.add((first + r) * blocks + index) });
            for h in 0..2 {
                sums[r][h] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[r][h]), scale, sums[r][h]);
            }
        }
    }
    let scales = line(scales).map(|scales| _mm256_castsi256_ps(scales));
    for (r, sum) in sums.iter().enumerate() {
        // SAFETY: 16 values of each of the rows belong to this panel.
        unsafe {
            let out = out.add(r * out_stride);
            _mm256_storeu_ps(out, _mm256_mul_ps(sum[0], scales[0]));
            _mm256_storeu_ps(out.add(8), _mm256_mul_ps(sum[1], scales[1]));
        }
    }
}

/// Adds the integer dot products of a group with `R` rows.
///
/// # Safety
/// `q` must point to 32 bytes in each of `R` rows, `stride` bytes apart.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
unsafe fn add_products<const R: usize>(
    group: &Eight,
    q: *const i8,
    stride: usize,
    dots: &mut [[__m256i; 2]; R],
) {
    // Spelled out, because the steps are constants of the unpacking.
    macro_rules! steps {
        ($($step:literal)*) => {$(
            // SAFETY: the level's features are at hand here.
            let weights = unsafe { group.step::<$step>(0) };
            for r in 0..R {
                // SAFETY: the step reads four of the row's 32 bytes.
                let x = unsafe { q.add(r * stride + 4 * $step).cast::<i32>().read_unaligned() };
                let x = _mm256_set1_epi32(x);
                for h in 0..2 {
                    // SAFETY: the level's features are at hand here.
                    let products = unsafe { Eight::multiply(weights[h], x) };
                    let dot = _mm256_madd_epi16(products, _mm256_set1_epi16(1));
                    dots[r][h] = _mm256_add_epi32(dots[r][h], dot);
                }
            }
        )*};
    }
    steps!(0 1 2 3 4 5 6 7);
}

//! Panels of 8-bit floats with f32 activations: products are added one k after the other.

use std::arch::x86_64::*;

use crate::backend::cpu::pack::Fp8Group;

/// Bytes ahead of the weights in use that are asked for while a panel is read for the first time.
const PREFETCH: usize = 2048;

/// Rows of a tile: 12 registers of sums, 2 of weights, 1 of activations.
const ROWS: usize = 6;

/// See [`Fp8Panels`](super::super::Fp8Panels).
///
/// # Safety
/// The processor must have this level's features; `panel` must point to `panels` packed panels of `cols` inputs, `x`
/// to `rows` rows of `cols` values, `out` to `rows` rows of `16 * panels` values that nobody else uses.
#[target_feature(enable = "avx2,fma,f16c")]
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
                    ahead: if row == 0 { PREFETCH } else { 0 },
                };
                match height {
                    1 => few_rows::<1>(&tile),
                    2 => few_rows::<2>(&tile),
                    3 => few_rows::<3>(&tile),
                    4 => few_rows::<4>(&tile),
                    5 => few_rows::<5>(&tile),
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
    ahead: usize,
}

/// # Safety
/// As for [`panels`], for one panel and `R` rows.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn few_rows<const R: usize>(tile: &Tile) {
    let (len, bytes) = (tile.group.len(), tile.group.bytes());
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    // SAFETY: the caller's promises: every group, every row and every output exists. Prefetches may go anywhere.
    unsafe {
        for group in 0..tile.group.count(tile.cols) {
            let at = tile.panel.add(group * bytes);
            let scales = [_mm256_loadu_ps(at.cast()), _mm256_loadu_ps(at.add(32).cast())];
            let (at, x) = (at.add(64), tile.x.add(group * len));
            for k in 0..len.min(tile.cols - group * len) {
                if k % 4 == 0 && tile.ahead > 0 {
                    _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(16 * k + tile.ahead).cast());
                }
                let weights = weights(at.add(16 * k), scales);
                for r in 0..R {
                    let x = _mm256_set1_ps(*x.add(r * tile.x_stride + k));
                    for half in 0..2 {
                        sums[r][half] = _mm256_fmadd_ps(weights[half], x, sums[r][half]);
                    }
                }
            }
        }
        for r in 0..R {
            let out = tile.out.add(r * tile.out_stride);
            _mm256_storeu_ps(out, sums[r][0]);
            _mm256_storeu_ps(out.add(8), sums[r][1]);
        }
    }
}

/// Sixteen weights from their codes: [`pack::fp8`](crate::backend::cpu::pack) says why an F16 is between.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
unsafe fn weights(codes: *const u8, scales: [__m256; 2]) -> [__m256; 2] {
    // SAFETY: sixteen codes.
    let codes = unsafe { _mm_loadu_si128(codes.cast()) };
    // The sign is spread to the left; what it leaves in the exponent's highest bit is taken out.
    let halves = _mm256_slli_epi16::<7>(_mm256_cvtepi8_epi16(codes));
    let halves = _mm256_and_si256(halves, _mm256_set1_epi16(0xBFFF_u16.cast_signed()));
    let low = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
    let high = _mm256_cvtph_ps(_mm256_extracti128_si256::<1>(halves));
    [_mm256_mul_ps(low, scales[0]), _mm256_mul_ps(high, scales[1])]
}

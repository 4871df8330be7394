//! Panels of quantized weights with int8 activations: the loops that all formats share.

use std::arch::aarch64::*;
use std::slice;

use super::super::{Form, Int8Kernel, Int8Rows};
use super::formats::{Activations, Format};
use super::level::Level;
use super::unpack::prefetch_all;

/// Bytes ahead of the weights in use that are asked for while a panel is read for the first time.
const PREFETCH: usize = 4096;

/// The kernel of a format at a level.
pub(super) fn kernel<L: Level, F: Format>() -> Int8Kernel {
    let form = Form { max_height: L::ROWS, shared: F::GROUPS, side: F::SIDE };
    Int8Kernel { panels: panels::<L, F>, form }
}

/// What a tile works on: a panel, and as many rows as it is high.
pub(super) struct Tile<'a, F> {
    blocks: &'a [F],
    /// The activations that the first block meets.
    x: Activations,
    /// Words beside a row and block.
    words: usize,
    /// Rows that exist.
    rows: usize,
    out: *mut f32,
    out_stride: usize,
    /// Nobody has read this panel yet.
    first: bool,
}

/// See [`Int8Panels`](super::super::Int8Panels).
///
/// # Safety
/// As there, on a processor with the level's features.
unsafe fn panels<L: Level, F: Format>(
    panel: *const u8,
    panels: usize,
    x: &Int8Rows,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
) {
    let blocks = x.groups / F::GROUPS;
    let words = Form { max_height: 1, shared: F::GROUPS, side: F::SIDE }.words(F::GROUPS);
    for index in 0..panels {
        let (mut number, mut row) = (0, 0);
        while row < rows {
            // SAFETY: a panel has so many blocks, which any bytes are, and panels lie one behind the other; `x` has a
            // tile of this number, and `out` the rows and columns of it that exist.
            unsafe {
                let before = number * blocks * x.height;
                let tile = Tile {
                    blocks: slice::from_raw_parts(panel.cast::<F>().add(index * blocks), blocks),
                    x: Activations {
                        q: x.q.add(number * Int8Rows::tile_bytes(x.height, x.groups)),
                        scales: x.scales.add(before),
                        side: x.side.add(before * words),
                    },
                    words,
                    rows: x.height.min(rows - row),
                    out: out.add(row * out_stride + 16 * index),
                    out_stride,
                    first: row == 0,
                };
                L::tile::<F>(x.height, &tile);
            }
            (number, row) = (number + 1, row + x.height);
        }
    }
}

/// `R` rows by one panel, `Q` quarters of it at a time. A row's operations are the same in every tile: each block
/// gives the exact integer sum of its products, and what its format makes of that is fused onto what the blocks before
/// gave.
///
/// # Safety
/// The rows and outputs as the tile says, on a processor with the level's features.
#[inline(always)]
pub(super) unsafe fn tile<L: Level, F: Format, const R: usize, const Q: usize>(t: &Tile<'_, F>) {
    // SAFETY: the caller's promises.
    unsafe {
        for part in 0..4 / Q {
            let mut sums = [[vdupq_n_f32(0.0); Q]; R];
            let mut x = t.x;
            for block in t.blocks {
                if t.first && part == 0 {
                    let ahead = (&raw const *block).cast::<u8>().wrapping_add(PREFETCH);
                    prefetch_all(ahead, size_of::<F>());
                }
                block.add::<L, R, Q>(part * Q, x, &mut sums);
                x.q = x.q.add(F::GROUPS * R * 32);
                x.scales = x.scales.add(R);
                x.side = x.side.add(t.words * R);
            }
            for r in 0..R {
                for c in 0..Q {
                    if r < t.rows {
                        vst1q_f32(t.out.add(r * t.out_stride + 4 * (part * Q + c)), sums[r][c]);
                    }
                }
            }
        }
    }
}

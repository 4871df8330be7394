//! Panels of int8 weights with one scale per output, by int8 rows with one scale per 256 inputs: the integers of a
//! whole block are summed before anything is scaled.

use std::arch::aarch64::*;
use std::slice;

use super::super::{CHANNEL_SHARED, Form, Int8Kernel, Int8Rows, Side};
use super::level::{Halves, Level};
use super::unpack::prefetch_all;
use super::values::Eight;
use crate::backend::cpu::pack::ChannelPanel;

/// Bytes ahead of the weights in use that are asked for while a panel is read for the first time.
const PREFETCH: usize = 4096;

/// Bytes of the scales of a panel, before its groups.
const SCALES: usize = 64;

/// The kernel of a level.
pub(super) const fn kernel<L: Level>() -> Int8Kernel {
    let form = Form { max_height: L::ROWS, shared: CHANNEL_SHARED, side: Side::None };
    Int8Kernel { panels: panels::<L>, form }
}

/// What a tile works on: a panel, and as many rows as it is high.
pub(super) struct Tile<'a> {
    /// `[16]`, without alignment.
    scales: *const f32,
    groups: &'a [Eight],
    /// `[groups][R][32]`
    q: *const i8,
    /// `[blocks][R]`
    x_scales: *const f32,
    /// Rows that exist.
    rows: usize,
    out: *mut f32,
    out_stride: usize,
    /// Nobody has read this panel yet.
    first: bool,
}

/// See [`Kernels::per_channel`](super::super::Kernels::per_channel).
///
/// # Safety
/// As there, on a processor with the level's features.
unsafe fn panels<L: Level>(
    panel: *const u8,
    panels: usize,
    x: &Int8Rows,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
) {
    let panel_bytes = ChannelPanel::bytes_of_groups(x.groups);
    let blocks = x.groups.div_ceil(CHANNEL_SHARED);
    for index in 0..panels {
        let (mut number, mut row) = (0, 0);
        while row < rows {
            // SAFETY: panels lie one behind the other: sixteen scales, and then groups, which any bytes are; `x` has a
            // tile of this number, and `out` the rows and columns of it that exist.
            unsafe {
                let panel = panel.add(index * panel_bytes);
                let tile = Tile {
                    scales: panel.cast(),
                    groups: slice::from_raw_parts(panel.add(SCALES).cast(), x.groups),
                    q: x.q.add(number * Int8Rows::tile_bytes(x.height, x.groups)),
                    x_scales: x.scales.add(number * blocks * x.height),
                    rows: x.height.min(rows - row),
                    out: out.add(row * out_stride + 16 * index),
                    out_stride,
                    first: row == 0,
                };
                L::channel_tile(x.height, &tile);
            }
            (number, row) = (number + 1, row + x.height);
        }
    }
}

/// `R` rows by one panel, `Q` quarters of it at a time.
///
/// # Safety
/// The rows and outputs as the tile says, on a processor with the level's features.
#[inline(always)]
pub(super) unsafe fn tile<L: Level, const R: usize, const Q: usize>(t: &Tile<'_>) {
    // SAFETY: the caller's promises.
    unsafe {
        for part in 0..4 / Q {
            let mut sums = [[vdupq_n_f32(0.0); Q]; R];
            let (mut q, mut x_scales) = (t.q, t.x_scales);
            for block in t.groups.chunks(CHANNEL_SHARED) {
                let mut dots = [[vdupq_n_s32(0); Q]; R];
                for group in block {
                    if t.first && part == 0 {
                        let ahead = (&raw const *group).cast::<u8>().wrapping_add(PREFETCH);
                        prefetch_all(ahead, size_of::<Eight>());
                    }
                    if R == 1 {
                        // Few sums would wait for their last products: those of a group are summed on their own.
                        let mut some = [[vdupq_n_s32(0); Q]; R];
                        L::dots(group, 0, part * Q, Halves::Both, q, &mut some);
                        for c in 0..Q {
                            dots[0][c] = vaddq_s32(dots[0][c], some[0][c]);
                        }
                    } else {
                        L::dots(group, 0, part * Q, Halves::Both, q, &mut dots);
                    }
                    q = q.add(32 * R);
                }
                for r in 0..R {
                    for c in 0..Q {
                        let dots = vcvtq_f32_s32(dots[r][c]);
                        sums[r][c] = vfmaq_n_f32(sums[r][c], dots, *x_scales.add(r));
                    }
                }
                x_scales = x_scales.add(R);
            }
            for c in 0..Q {
                let at = 4 * (part * Q + c);
                let scale = vld1q_f32(t.scales.add(at));
                for r in 0..R {
                    if r < t.rows {
                        vst1q_f32(t.out.add(r * t.out_stride + at), vmulq_f32(sums[r][c], scale));
                    }
                }
            }
        }
    }
}

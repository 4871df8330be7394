//! Panels of quantized weights by int8 rows: few rows straight from the packed weights, more of them from weights
//! unpacked to the first-level cache, a chunk of the inputs at a time.

use std::mem::MaybeUninit;

use super::super::Int8Rows;
use super::format::{Format, Weights};
use super::level::Level;
use super::rows::{ROWS, Rows, capacity};
use super::tile::Tile;

/// Panels that share a chunk of activations.
const PANELS: usize = 4;
/// How many groups before they are needed weights are brought into the cache.
const AHEAD: usize = 16;
/// The most rows of a tile over unpacked weights, two panels wide: twelve sums, twelve outputs, two weights and an
/// activation are 27 of 32 registers.
const WIDE_ROWS: usize = 6;
/// The same where every output has two sums.
const WIDE_ROWS_APART: usize = 4;
/// Groups that are unpacked at a time, whole super-blocks.
const UNPACKED_GROUPS: usize = 8;
/// Bytes of an unpacked group at most.
const UNPACKED_BYTES: usize = 512 + 4 * 64;

/// The unpacked weights of a chunk.
#[repr(C, align(64))]
struct Chunk([MaybeUninit<u8>; PANELS * UNPACKED_GROUPS * UNPACKED_BYTES]);

/// [`super::super::Int8Panels`] of a format at a level.
///
/// # Safety
/// As there, on a processor with the level's features.
pub(super) unsafe fn panels<L: Level, F: Format>(
    panel: *const u8,
    panels: usize,
    x: &Int8Rows,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
) {
    // SAFETY: the caller's promises.
    unsafe {
        if rows <= ROWS {
            few_rows::<L, F>(panel, panels, x, rows, out, out_stride);
        } else {
            many_rows::<L, F>(panel, panels, x, rows, out, out_stride);
        }
    }
}

unsafe fn few_rows<L: Level, F: Format>(
    panel: *const u8,
    panels: usize,
    x: &Int8Rows,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
) {
    let panel_bytes = x.groups / F::GROUPS * F::BYTES;
    let mut filled = Rows::uninit();
    // SAFETY: it holds nothing that has to be initialised.
    let filled = unsafe { filled.assume_init_mut() };
    let capacity = capacity(rows.clamp(1, ROWS));
    // Where all groups fit, the panels are read from front to back.
    let straight = x.groups <= capacity;
    let chunk = if straight { capacity } else { capacity.min(AHEAD) };
    for first_panel in (0..panels).step_by(PANELS) {
        let end = (first_panel + PANELS).min(panels);
        for first in (0..x.groups).step_by(chunk) {
            let groups = (x.groups - first).min(chunk);
            // SAFETY: groups and rows of `x`.
            unsafe { L::fill::<F>(filled, x, 0, rows, first, groups) };
            let at = |index: usize| {
                // The chunk after the last panel's is the first panel's next one.
                let (index, first) = if index < end {
                    (index, first)
                } else if first + chunk < x.groups {
                    (first_panel, first + chunk)
                } else {
                    (end, 0)
                };
                panel.wrapping_add(index * panel_bytes + first / F::GROUPS * F::BYTES)
            };
            for index in first_panel..end {
                let tile = Tile {
                    panel: at(index),
                    panel_stride: panel_bytes,
                    blocks: groups / F::GROUPS,
                    rows: filled,
                    out: out.wrapping_add(16 * index),
                    out_stride,
                    add: first > 0,
                    next: if straight {
                        at(index).wrapping_add(AHEAD * F::BYTES / F::GROUPS)
                    } else {
                        at(index + 1)
                    },
                    next_bytes: F::BYTES,
                };
                // SAFETY: a chunk of one panel, and as many rows as were filled.
                unsafe {
                    match rows {
                        1 => L::tile::<F, 1, 1>(&tile),
                        2 => L::tile::<F, 2, 1>(&tile),
                        3 => L::tile::<F, 3, 1>(&tile),
                        4 => L::tile::<F, 4, 1>(&tile),
                        5 => L::tile::<F, 5, 1>(&tile),
                        6 => L::tile::<F, 6, 1>(&tile),
                        7 => L::tile::<F, 7, 1>(&tile),
                        _ => L::tile::<F, 8, 1>(&tile),
                    }
                }
            }
        }
    }
}

unsafe fn many_rows<L: Level, F: Format>(
    panel: *const u8,
    panels: usize,
    x: &Int8Rows,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
) {
    let panel_bytes = x.groups / F::GROUPS * F::BYTES;
    let mut filled = Rows::uninit();
    // SAFETY: it holds nothing that has to be initialised.
    let filled = unsafe { filled.assume_init_mut() };
    let mut chunk = MaybeUninit::<Chunk>::uninit();
    let chunk = chunk.as_mut_ptr().cast::<u8>();
    let chunk_stride = UNPACKED_GROUPS * <F::Unpacked as Weights>::BYTES;
    let tiles = rows.div_ceil(if F::SCALES == 2 { WIDE_ROWS_APART } else { WIDE_ROWS });
    for first_panel in (0..panels).step_by(PANELS) {
        let here = (panels - first_panel).min(PANELS);
        for first in (0..x.groups).step_by(UNPACKED_GROUPS) {
            let groups = (x.groups - first).min(UNPACKED_GROUPS);
            for index in 0..here {
                let from = (first_panel + index) * panel_bytes + first / F::GROUPS * F::BYTES;
                // SAFETY: groups of one panel, and a quarter of the chunk.
                unsafe { L::unpack::<F>(panel.add(from), groups, chunk.add(index * chunk_stride)) };
            }
            for tile_index in 0..tiles {
                // Tiles of equal height, as nearly as that goes.
                let first_row = tile_index * rows / tiles;
                let height = (tile_index + 1) * rows / tiles - first_row;
                // SAFETY: groups and rows of `x`.
                unsafe { L::fill::<F>(filled, x, first_row, height, first, groups) };
                for index in (0..here).step_by(2) {
                    // The next chunk, of one panel beside the first tile and of the other beside the second.
                    let ahead = if first + UNPACKED_GROUPS < x.groups {
                        (first_panel + index + tile_index) * panel_bytes
                            + (first + UNPACKED_GROUPS) / F::GROUPS * F::BYTES
                    } else {
                        (first_panel + PANELS + index + tile_index) * panel_bytes
                    };
                    let tile = Tile {
                        panel: chunk.wrapping_add(index * chunk_stride),
                        panel_stride: chunk_stride,
                        blocks: groups,
                        rows: filled,
                        out: out.wrapping_add(first_row * out_stride + 16 * (first_panel + index)),
                        out_stride,
                        add: first > 0,
                        next: panel.wrapping_add(ahead),
                        next_bytes: if tile_index < 2 { F::BYTES / F::GROUPS } else { 0 },
                    };
                    // SAFETY: a chunk of one or two panels, and as many rows as were filled.
                    unsafe {
                        if index + 1 < here {
                            by_height::<L, F::Unpacked, 2>(height, &tile);
                        } else {
                            by_height::<L, F::Unpacked, 1>(height, &tile);
                        }
                    }
                }
            }
        }
    }
}

/// The tile of that height, at most [`WIDE_ROWS`].
#[inline(always)]
unsafe fn by_height<L: Level, W: Weights, const P: usize>(height: usize, tile: &Tile<'_>) {
    // SAFETY: the caller's promises.
    unsafe {
        match height {
            1 => L::tile::<W, 1, P>(tile),
            2 => L::tile::<W, 2, P>(tile),
            3 => L::tile::<W, 3, P>(tile),
            4 => L::tile::<W, 4, P>(tile),
            5 => L::tile::<W, 5, P>(tile),
            _ => L::tile::<W, 6, P>(tile),
        }
    }
}

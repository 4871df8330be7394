//! From scores to weights: a running softmax (Milakov and Gimelshein, 2018), tile by tile.
//!
//! Three passes over the rows of a tile, none with a branch on data: the greatest score of every row, the new maxima
//! and decays of sixteen rows at a time, the weights. So nothing waits for a row to end before the next begins.

#![allow(clippy::multiple_unsafe_ops_per_block)] // Kernels: every line is an access through a pointer.

use super::super::cache::Stored;
use super::super::simd::{LANES, Lanes, exp};
use super::tile::{BLOCKS, ROWS, TOKENS, Tile};

/// Turns scores into weights, hides what a row does not see, and moves every row's state to the new maximum. A row
/// that sees nothing of the tile keeps its state, bit for bit: its weights are zero and its decay is one.
#[inline(always)]
pub(super) unsafe fn weigh<L: Lanes, S: Stored>(tile: &Tile) {
    const { assert!(ROWS.is_multiple_of(LANES)) };
    let (mut peaks, mut decays) = ([0.0f32; ROWS], [0.0f32; ROWS]);
    // SAFETY: the tile's pointers are as long as it says.
    unsafe {
        for (row, peak) in peaks.iter_mut().enumerate().take(tile.rows) {
            *peak = greatest::<L, S>(tile, row);
        }
        for first in (0..tile.rows).step_by(LANES) {
            let count = LANES.min(tile.rows - first);
            let highest = tile.state.highest.add(first);
            let before = L::load_part(highest, count);
            let after = before.max(L::load(peaks.as_ptr().add(first)));
            after.store_part(highest, count);
            exp(before.sub(after)).store(decays.as_mut_ptr().add(first));
        }
        for (row, &decay) in decays.iter().enumerate().take(tile.rows) {
            weights::<L, S>(tile, row, decay);
        }
    }
}

/// The greatest score of a row, whose scores become what the exponential takes.
#[inline(always)]
unsafe fn greatest<L: Lanes, S: Stored>(tile: &Tile, row: usize) -> f32 {
    const { assert!(BLOCKS == 4) };
    let (first, end) = tile.seen(row);
    let hides = first > 0 || end < TOKENS;
    // SAFETY: the tile's pointers are as long as it says.
    unsafe {
        let line = tile.scores.add(row * TOKENS);
        let mut scores = [L::splat(0.0); BLOCKS];
        for (block, score) in scores.iter_mut().enumerate() {
            let mut x = L::load(line.add(block * LANES));
            if S::SCALED {
                x = x.mul(L::load(tile.key_scales[block]));
            }
            if tile.has_slopes {
                x = L::splat(tile.slopes[row]).fma(distances::<L>(tile, row, block), x);
            }
            if hides {
                let inside = |token: usize| token.saturating_sub(block * LANES).min(LANES);
                x = x.in_range_or(inside(first), inside(end), L::splat(f32::NEG_INFINITY));
            }
            if S::SCALED || tile.has_slopes || hides {
                x.store(line.add(block * LANES));
            }
            *score = x;
        }
        scores[0].max(scores[1]).max(scores[2].max(scores[3])).highest()
    }
}

/// The weights of a row's values, and the row's state times its decay.
#[inline(always)]
unsafe fn weights<L: Lanes, S: Stored>(tile: &Tile, row: usize, decay: f32) {
    // SAFETY: the tile's pointers are as long as it says.
    unsafe {
        let line = tile.scores.add(row * TOKENS);
        let (highest, decay) = (L::splat(*tile.state.highest.add(row)), L::splat(decay));
        let mut weights = [L::splat(0.0); BLOCKS];
        for (block, weight) in weights.iter_mut().enumerate() {
            *weight = exp(L::load(line.add(block * LANES)).sub(highest));
        }
        let sum = weights[0].add(weights[1]).add(weights[2].add(weights[3]));
        let sums = tile.state.sums.add(row * LANES);
        L::load(sums).fma(decay, sum).store(sums);
        for (block, weight) in weights.into_iter().enumerate() {
            let weight = if S::SCALED { weight.mul(L::load(tile.value_scales[block])) } else { weight };
            weight.store(line.add(block * LANES));
        }
        let values = tile.state.values.add(row * tile.padded);
        for at in (0..tile.padded).step_by(LANES) {
            L::load(values.add(at)).mul(decay).store(values.add(at));
        }
    }
}

/// The positions of a block minus that of a row.
#[inline(always)]
unsafe fn distances<L: Lanes>(tile: &Tile, row: usize, block: usize) -> L {
    const LANE: [f32; LANES] =
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0];
    let first = (tile.start + block * LANES) as i64 - i64::from(tile.positions[row]);
    // SAFETY: sixteen constants.
    unsafe { L::load(LANE.as_ptr()).add(L::splat(first as f32)) }
}

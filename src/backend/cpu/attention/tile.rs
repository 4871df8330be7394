//! The inner loops of attention: some rows of queries against one tile of keys and values.
//!
//! A row's numbers come from the same operations in the same order whatever rows stand beside it: a score is one
//! chain of fused products along the head, a value one chain along the positions that the row sees.

#![allow(clippy::needless_range_loop)] // Register tiles: the numbers are also those of rows and columns in memory.
#![allow(clippy::multiple_unsafe_ops_per_block)] // Kernels: every line is an access through a pointer.

use super::super::super::BLOCK_TOKENS;
use super::super::cache::{F32, Stored};
use super::super::simd::{LANES, Lanes, multiversion, prefetch};
use super::softmax::weigh;

/// Blocks of a tile.
pub(super) const BLOCKS: usize = 4;

/// Positions of a tile.
pub(super) const TOKENS: usize = BLOCKS * BLOCK_TOKENS;

/// Query rows (positions times heads of the group) that one task takes at most.
pub(super) const ROWS: usize = 32;

const _: () = assert!(BLOCK_TOKENS == LANES);

/// Bytes of a cache line.
const LINE: usize = 64;

/// The maximum of a row that has seen nothing.
pub(super) const NOTHING: f32 = f32::MIN;

/// Query rows, a tile of keys and values, and what the rows have seen so far.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub(super) rows: usize,
    /// Width of a key, and of a query.
    pub(super) head_dim: usize,
    /// Width of a value.
    pub(super) value_dim: usize,
    /// `value_dim` rounded up to whole vectors.
    pub(super) padded: usize,
    /// The position of the tile's first token.
    pub(super) start: usize,
    /// The positions each row sees: from the first up to but without the second.
    pub(super) seen: [(u32, u32); ROWS],
    /// The position of each row.
    pub(super) positions: [u32; ROWS],
    /// Added to a score per position of distance, with ALiBi.
    pub(super) slopes: [f32; ROWS],
    pub(super) has_slopes: bool,
    /// `[rows][head_dim]`, times what multiplies the scores.
    pub(super) queries: *const f32,
    /// Per block `[head_dim][16]`, and `[16][padded]`.
    pub(super) keys: [*const u8; BLOCKS],
    pub(super) values: [*const u8; BLOCKS],
    /// Per block 16 scales each; null for types without.
    pub(super) key_scales: [*const f32; BLOCKS],
    pub(super) value_scales: [*const f32; BLOCKS],
    /// The keys of the tile that comes next, to be fetched meanwhile; any where none comes.
    pub(super) next_keys: [*const u8; BLOCKS],
    /// `[rows][TOKENS]`: room for scores, then the weights of the values.
    pub(super) scores: *mut f32,
    /// Room for the tile widened to `f32`, `[BLOCKS][head_dim][16]` and `[BLOCKS][16][padded]`.
    pub(super) wide_keys: *mut f32,
    pub(super) wide_values: *mut f32,
    pub(super) state: State,
}

/// Up to so many rows, those of a decoded token in most models, keys and values are widened on their way into every
/// register tile, and fetched ahead: a block's keys or values are few lines in a row, too short a run for the processor
/// to foresee. While keys are read, the values of the same tile come, and then the next keys: two whole tiles would not
/// fit beside each other where power-of-two widths make them share cache sets. With more rows, which have their time in
/// the products and need the cache for themselves, a tile is widened once, to memory. Where widening is an instruction
/// or two, doing it twice costs less than the way through memory.
const fn few_rows<L: Lanes, S: Stored>() -> usize {
    if L::VECTORS == BLOCKS && !S::SCALED { 2 * L::ROWS } else { L::ROWS }
}

/// What rows have seen: a running softmax (Milakov and Gimelshein, 2018).
#[derive(Clone, Copy)]
pub(super) struct State {
    /// `[rows]`: the highest score.
    pub(super) highest: *mut f32,
    /// `[rows][16]`: the sum of `exp(score - highest)`, spread over lanes.
    pub(super) sums: *mut f32,
    /// `[rows][padded]`: values times `exp(score - highest)`.
    pub(super) values: *mut f32,
}

impl State {
    /// Elements that the state of `rows` rows takes.
    pub(super) fn len(rows: usize, padded: usize) -> usize {
        rows * (LANES + LANES + padded)
    }

    /// A state of `rows` rows in `at`, which has [`len`](Self::len) elements.
    ///
    /// # Safety
    /// The elements must exist.
    pub(super) unsafe fn at(at: *mut f32, rows: usize) -> Self {
        // SAFETY: the caller's promise. Every row has a vector's room for its maximum, which keeps the rest aligned.
        unsafe { Self { highest: at, sums: at.add(rows * LANES), values: at.add(rows * 2 * LANES) } }
    }

    /// Forgets everything.
    ///
    /// # Safety
    /// The state must have room for `rows` rows of `padded` values.
    pub(super) unsafe fn clear(&self, rows: usize, padded: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            std::slice::from_raw_parts_mut(self.highest, rows).fill(NOTHING);
            std::slice::from_raw_parts_mut(self.sums, rows * LANES).fill(0.0);
            std::slice::from_raw_parts_mut(self.values, rows * padded).fill(0.0);
        }
    }
}

impl Tile {
    /// The tokens of the tile that a row sees.
    #[inline(always)]
    pub(super) fn seen(&self, row: usize) -> (usize, usize) {
        let (first, end) = self.seen[row];
        let inside = |position: u32| (position as usize).saturating_sub(self.start).min(TOKENS);
        (inside(first), inside(end))
    }
}

multiversion! {
    /// Takes the tile into the state of every row.
    pub(super) fn attender<S: Stored>(tile: &Tile) = attend;
}

#[inline(always)]
pub(super) unsafe fn attend<L: Lanes, S: Stored>(tile: &Tile) {
    // SAFETY: the tile's pointers are as long as it says.
    unsafe {
        if S::WIDENS && tile.rows > few_rows::<L, S>() {
            let mut wide = *tile;
            widen::<L, S>(&mut wide);
            scores::<L, F32>(&wide);
            weigh::<L, S>(&wide);
            accumulate::<L, F32>(&wide);
        } else {
            scores::<L, S>(tile);
            weigh::<L, S>(tile);
            accumulate::<L, S>(tile);
        }
    }
}

/// Widens the tile to `f32`, once for all rows.
#[inline(always)]
unsafe fn widen<L: Lanes, S: Stored>(tile: &mut Tile) {
    // SAFETY: the tile's pointers are as long as it says.
    unsafe {
        for block in 0..BLOCKS {
            let (key_len, value_len) = (tile.head_dim * BLOCK_TOKENS, tile.padded * BLOCK_TOKENS);
            let (keys, values) =
                (tile.wide_keys.add(block * key_len), tile.wide_values.add(block * value_len));
            widen_some::<L, S>(tile.keys[block], keys, key_len);
            widen_some::<L, S>(tile.values[block], values, value_len);
            tile.keys[block] = keys.cast();
            tile.values[block] = values.cast();
        }
    }
}

/// Widens `len` elements, whole vectors.
#[inline(always)]
unsafe fn widen_some<L: Lanes, S: Stored>(from: *const u8, to: *mut f32, len: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        for at in (0..len).step_by(LANES) {
            S::load::<L>(from.cast::<S::Raw>().add(at)).store(to.add(at));
        }
    }
}

/// Products of all queries with all keys of the tile.
#[inline(always)]
unsafe fn scores<L: Lanes, S: Stored>(tile: &Tile) {
    // SAFETY: the tile's pointers are as long as it says.
    unsafe {
        let mut row = 0;
        while row < tile.rows {
            let rows = (tile.rows - row).min(L::ROWS);
            match rows {
                1 => some_scores::<L, S, 1>(tile, row),
                2 => some_scores::<L, S, 2>(tile, row),
                3 => some_scores::<L, S, 3>(tile, row),
                _ => some_scores::<L, S, 4>(tile, row),
            }
            row += rows;
        }
    }
}

#[inline(always)]
unsafe fn some_scores<L: Lanes, S: Stored, const R: usize>(tile: &Tile, row: usize) {
    // SAFETY: the tile's pointers are as long as it says.
    unsafe {
        if L::VECTORS == BLOCKS {
            score_blocks::<L, S, R, BLOCKS>(tile, row, 0);
        } else {
            for block in (0..BLOCKS).step_by(2) {
                score_blocks::<L, S, R, 2>(tile, row, block);
            }
        }
    }
}

#[inline(always)]
unsafe fn score_blocks<L: Lanes, S: Stored, const R: usize, const B: usize>(
    tile: &Tile,
    row: usize,
    block: usize,
) {
    // SAFETY: the tile's pointers are as long as it says.
    unsafe {
        let mut sums = [[L::splat(0.0); B]; R];
        let queries = tile.queries.add(row * tile.head_dim);
        let fetches = row == 0 && tile.rows <= few_rows::<L, S>();
        for d in 0..tile.head_dim {
            let at = d * LANES * size_of::<S::Raw>();
            if fetches && at.is_multiple_of(LINE) {
                for b in 0..B {
                    prefetch(tile.values[block + b].wrapping_add(at));
                }
            }
            let mut keys = [L::splat(0.0); B];
            for b in 0..B {
                keys[b] = S::load::<L>(tile.keys[block + b].cast::<S::Raw>().add(d * LANES));
            }
            for r in 0..R {
                let query = L::splat(*queries.add(r * tile.head_dim + d));
                for b in 0..B {
                    sums[r][b] = query.fma(keys[b], sums[r][b]);
                }
            }
        }
        for r in 0..R {
            for b in 0..B {
                sums[r][b].store(tile.scores.add((row + r) * TOKENS + (block + b) * LANES));
            }
        }
    }
}

/// Adds the weighted values of the tile to every row's sum.
#[inline(always)]
unsafe fn accumulate<L: Lanes, S: Stored>(tile: &Tile) {
    // SAFETY: the tile's pointers are as long as it says.
    unsafe {
        let mut row = 0;
        while row < tile.rows {
            let rows = (tile.rows - row).min(L::ROWS);
            let (mut first, mut end) = (0, TOKENS);
            for r in row..row + rows {
                let (row_first, row_end) = tile.seen(r);
                (first, end) = (first.max(row_first), end.min(row_end));
            }
            if first >= end {
                // They see nothing in common.
                for r in row..row + rows {
                    let (first, end) = tile.seen(r);
                    add_values::<L, S, 1>(tile, r, first, end);
                }
            } else {
                for r in row..row + rows {
                    add_values::<L, S, 1>(tile, r, tile.seen(r).0, first);
                }
                match rows {
                    1 => add_values::<L, S, 1>(tile, row, first, end),
                    2 => add_values::<L, S, 2>(tile, row, first, end),
                    3 => add_values::<L, S, 3>(tile, row, first, end),
                    _ => add_values::<L, S, 4>(tile, row, first, end),
                }
                for r in row..row + rows {
                    add_values::<L, S, 1>(tile, r, end, tile.seen(r).1);
                }
            }
            row += rows;
        }
    }
}

/// Adds the values of the tokens from `first` to `end` to `R` rows.
#[inline(always)]
unsafe fn add_values<L: Lanes, S: Stored, const R: usize>(tile: &Tile, row: usize, first: usize, end: usize) {
    if first >= end {
        return;
    }
    // SAFETY: the tile's pointers are as long as it says.
    unsafe {
        let mut column = 0;
        if L::VECTORS == 4 {
            while column + 4 * LANES <= tile.padded {
                add_columns::<L, S, R, 4>(tile, row, column, first, end);
                column += 4 * LANES;
            }
        }
        while column + 2 * LANES <= tile.padded {
            add_columns::<L, S, R, 2>(tile, row, column, first, end);
            column += 2 * LANES;
        }
        if column < tile.padded {
            add_columns::<L, S, R, 1>(tile, row, column, first, end);
        }
    }
}

#[inline(always)]
unsafe fn add_columns<L: Lanes, S: Stored, const R: usize, const D: usize>(
    tile: &Tile,
    row: usize,
    column: usize,
    first: usize,
    end: usize,
) {
    // SAFETY: the tile's pointers are as long as it says.
    unsafe {
        let sum = |r: usize, d: usize| tile.state.values.add((row + r) * tile.padded + column + d * LANES);
        let mut sums = [[L::splat(0.0); D]; R];
        for r in 0..R {
            for d in 0..D {
                sums[r][d] = L::load(sum(r, d));
            }
        }
        let weights = tile.scores.add(row * TOKENS);
        let fetches = row == 0 && tile.rows <= few_rows::<L, S>();
        for token in first..end {
            let values = tile.values[token / BLOCK_TOKENS].cast::<S::Raw>();
            let values = values.add(token % BLOCK_TOKENS * tile.padded + column);
            if fetches {
                let at = (token % BLOCK_TOKENS * tile.padded + column) * size_of::<S::Raw>();
                let keys = tile.next_keys[token / BLOCK_TOKENS].wrapping_add(at);
                for line in (0..D * LANES * size_of::<S::Raw>()).step_by(LINE) {
                    prefetch(keys.wrapping_add(line));
                }
            }
            let mut vectors = [L::splat(0.0); D];
            for d in 0..D {
                vectors[d] = S::load::<L>(values.add(d * LANES));
            }
            for r in 0..R {
                let weight = L::splat(*weights.add(r * TOKENS + token));
                for d in 0..D {
                    sums[r][d] = weight.fma(vectors[d], sums[r][d]);
                }
            }
        }
        for r in 0..R {
            for d in 0..D {
                sums[r][d].store(sum(r, d));
            }
        }
    }
}

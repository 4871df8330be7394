//! Multi-head latent attention: one head of keys for all query heads, each key a latent and a rotated part, whose value
//! is the latent again.
//!
//! A tile is widened to `f32` once for all rows of a unit, in the order of keys and, transposed, in that of values; what
//! follows is attention over `f32`. So nothing but the latents and the rotated keys is stored.

#![allow(clippy::multiple_unsafe_ops_per_block)] // Kernels: every line is an access through a pointer.

use super::super::super::{BLOCK_TOKENS, BackendError, Batch, LatentAttention};
use super::super::Level;
use super::super::cache::{self, Bf16, Cache, CacheType, F16, F32, Q8, Stored};
use super::super::rowwise::{Rotary, Run};
use super::super::simd::{LANES, Lanes, multiversion};
use super::tile::{BLOCKS, Tile, attend as attend_tile};
use super::{Queries, Query, Sight, attend};

/// What a step attends with; see [`LatentInputs`](crate::backend::LatentInputs).
#[derive(Clone, Copy)]
pub(in super::super) struct LatentRows<'a> {
    pub(in super::super) queries: &'a [f32],
    pub(in super::super) rope_queries: &'a [f32],
    pub(in super::super) latents: &'a [f32],
    pub(in super::super) rope_keys: &'a [f32],
    pub(in super::super) rotary: &'a Rotary,
    pub(in super::super) attention: &'a LatentAttention,
}

impl LatentRows<'_> {
    /// Checks that there are as many rows of everything.
    fn check(&self, rows: usize, out: &[f32]) -> Result<(), BackendError> {
        let &LatentAttention { heads, rank, rope_dim, .. } = self.attention;
        for (what, found, expected) in [
            ("rows of the queries", self.queries.len(), rows * heads * rank),
            ("rows of the rotated queries", self.rope_queries.len(), rows * heads * rope_dim),
            ("rows of the latents", self.latents.len(), rows * rank),
            ("rows of the rotated keys", self.rope_keys.len(), rows * rope_dim),
            ("rows of the rotary table", self.rotary.rows(), rows),
            ("width of the rotary table", 2 * self.rotary.half(), rope_dim),
            ("output width", out.len(), rows * heads * rank),
        ] {
            if found != expected {
                return Err(BackendError::Shape { operation: "latent_attention", what, found, expected });
            }
        }
        Ok(())
    }
}

impl Queries for LatentRows<'_> {
    fn heads(&self) -> usize {
        self.attention.heads
    }

    unsafe fn copy(&self, rotate: unsafe fn(&Query), row: usize, head: usize, to: *mut f32) {
        let &LatentAttention { heads, rank, rope_dim, scale } = self.attention;
        let at = row * heads + head;
        let (cos, sin) = self.rotary.row(row);
        let none = std::ptr::null();
        let (latent, rope) =
            (&self.queries[at * rank..][..rank], &self.rope_queries[at * rope_dim..][..rope_dim]);
        let latent = Query { from: latent.as_ptr(), head_dim: rank, cos: none, sin: none, factor: scale, to };
        // SAFETY: both parts lie in their rows; the rest is the caller's promise.
        unsafe {
            rotate(&latent);
            rotate(&Query {
                from: rope.as_ptr(),
                head_dim: rope_dim,
                cos,
                sin,
                factor: scale,
                to: to.add(rank),
            });
        }
    }
}

/// Causal latent attention: writes the step's latents and rotated keys to `layer`, and lets every row attend to the
/// positions up to its own. `out` is `[rows, heads * rank]`. The widths were checked against each other and the cache.
///
/// # Errors
/// Numbers of rows that do not fit, a block table that does not cover its span, or an allocation that fails.
pub(in super::super) fn latent(
    run: Run<'_>,
    inputs: LatentRows<'_>,
    cache: &mut Cache,
    layer: usize,
    batch: &Batch,
    out: &mut [f32],
) -> Result<(), BackendError> {
    let rows = inputs.latents.len() / inputs.attention.rank;
    inputs.check(rows, out)?;
    cache.check(batch, rows)?;
    let mut rotated = run.arena.elements(inputs.attention.rope_dim.next_multiple_of(LANES))?;
    let target = cache.target(layer, rotated.as_mut_slice())?;
    let tables = (&batch.spans[..], &batch.blocks[..]);
    let LatentRows { latents, rope_keys: keys, rotary, .. } = inputs;
    let source = cache::LatentSource { latents, keys, rotary };
    // SAFETY: the batch was checked against the cache, and the cache's entry is a latent.
    unsafe { cache::write_latents(run.level, &source, target, tables) };
    attend(run, &inputs, target.into(), tables, Sight::Before, out)
}

/// Takes a tile of latents into the state of every row.
pub(super) fn attender(kind: CacheType, level: Level) -> unsafe fn(&Tile) {
    match kind {
        CacheType::F16 => attender_of::<F16>(level),
        CacheType::Bf16 => attender_of::<Bf16>(level),
        CacheType::F32 => attender_of::<F32>(level),
        CacheType::Q8 => attender_of::<Q8>(level),
    }
}

multiversion! {
    fn attender_of<S: Stored>(tile: &Tile) = attend_latents;
}

#[inline(always)]
unsafe fn attend_latents<L: Lanes, S: Stored>(tile: &Tile) {
    let mut wide = *tile;
    // SAFETY: the tile's pointers are as long as it says, its first pool has latents and its second rotated keys.
    unsafe {
        for block in 0..BLOCKS {
            widen_block::<L, S>(&mut wide, block);
        }
        attend_tile::<L, F32>(&wide);
    }
}

/// Widens a block of keys and values, and makes the tile point to them.
#[inline(always)]
unsafe fn widen_block<L: Lanes, S: Stored>(tile: &mut Tile, block: usize) {
    let (rank, rope_dim) = (tile.value_dim, tile.head_dim - tile.value_dim);
    // SAFETY: the tile's pointers are as long as it says.
    unsafe {
        let keys = tile.wide_keys.add(block * tile.head_dim * BLOCK_TOKENS);
        let values = tile.wide_values.add(block * tile.padded * BLOCK_TOKENS);
        let scale = |scales: *const f32| if S::SCALED { L::load(scales) } else { L::splat(1.0) };
        let load = |from: *const u8, d: usize, scale: L| {
            let x = S::load::<L>(from.cast::<S::Raw>().add(d * LANES));
            if S::SCALED { x.mul(scale) } else { x }
        };
        let (from, scales) = (tile.keys[block], scale(tile.key_scales[block]));
        for first in (0..rank).step_by(LANES) {
            let mut square = [L::splat(0.0); LANES];
            for (at, line) in square[..LANES.min(rank - first)].iter_mut().enumerate() {
                *line = load(from, first + at, scales);
                line.store(keys.add((first + at) * LANES));
            }
            L::transpose(&mut square);
            for (token, line) in square.iter().enumerate() {
                line.store(values.add(token * tile.padded + first));
            }
        }
        let (from, scales) = (tile.values[block], scale(tile.value_scales[block]));
        for d in 0..rope_dim {
            load(from, d, scales).store(keys.add((rank + d) * LANES));
        }
        tile.keys[block] = keys.cast();
        tile.values[block] = values.cast();
        // Many rows are no matter of memory.
        tile.next_keys[block] = keys.cast();
    }
}

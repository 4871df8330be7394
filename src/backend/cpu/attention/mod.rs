//! Attention straight from the paged cache: nothing is gathered, and no matrix of scores exists.
//!
//! Positions are cut at fixed multiples from the start of the sequence: into tiles of [`tile::TOKENS`], through which
//! a softmax runs (Milakov and Gimelshein, 2018), and into partitions of [`PARTITION`] (as in FlashDecoding), whose
//! results are put together in order. Which thread computes a partition is open, and how a row gets its numbers is
//! not: its bits depend neither on chunking, nor on other rows, nor on threads.

#![allow(clippy::multiple_unsafe_ops_per_block)] // Addresses into pools and scratch, several at a time.

mod full;
mod latent;
mod merge;
mod scratch;
mod slots;
mod softmax;
mod tile;
mod units;

use std::ops::Range;

use super::super::{Attention, BLOCK_TOKENS, BackendError, Batch, CacheEntry, Span};
use super::cache::{self, Bf16, Cache, CacheType, F16, F32, Layout, Q8, Target};
use super::rowwise::{Rotary, Run};
pub(super) use full::full;
pub(super) use latent::{LatentRows, latent};
use merge::{Finish, Merge, Query};
use scratch::Scratch;
use tile::{BLOCKS, ROWS, State, TOKENS, Tile};
use units::{Unit, Units};

/// Positions of a partition: whole tiles, and few enough that a long context splits over threads.
const PARTITION: usize = 512;

const _: () = assert!(PARTITION.is_multiple_of(TOKENS));

/// Partitions are spread over threads while there are fewer units of work than this per thread.
const UNITS_PER_THREAD: usize = 4;

/// The most elements that results of spread partitions may take; beyond it, a unit computes its partitions itself.
const MAX_PARTIALS: usize = 16 << 20;

/// The queries of a call, and what they see.
trait Queries: Sync {
    /// Query heads.
    fn heads(&self) -> usize;

    /// The positions a row sees, itself and those before; all when `None`.
    fn window(&self) -> Option<usize> {
        None
    }

    /// ALiBi's slopes, one for each head.
    fn slopes(&self) -> Option<&[f32]> {
        None
    }

    /// Copies the query of a head of a row of the batch, rotated and times what multiplies the scores.
    ///
    /// # Safety
    /// `to` must have room for a query, and `rotate` be of the processor's level.
    unsafe fn copy(&self, rotate: unsafe fn(&Query), row: usize, head: usize, to: *mut f32);
}

/// What a step attends with.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    /// Queries, keys and values side by side, `[rows, qkv_width]`.
    pub(super) qkv: &'a [f32],
    pub(super) rotary: Option<&'a Rotary>,
    /// A factor per row, by which its rotated queries are multiplied.
    pub(super) query_scales: Option<&'a [f32]>,
    pub(super) attention: &'a Attention,
}

impl Inputs<'_> {
    /// The number of rows, if everything fits together.
    fn check(&self, out: &[f32]) -> Result<usize, BackendError> {
        let shape = |what, found, expected| {
            let operation = "attention";
            if found == expected {
                Ok(())
            } else {
                Err(BackendError::Shape { operation, what, found, expected })
            }
        };
        let &Attention { heads, kv_heads, head_dim, .. } = self.attention;
        shape("head width of zero", usize::from(head_dim == 0), 0)?;
        shape("heads beyond whole groups", heads.checked_rem(kv_heads).unwrap_or(heads.max(1)), 0)?;
        let width = self.attention.qkv_width();
        let rows = self.qkv.len() / width;
        shape("qkv width", self.qkv.len(), rows * width)?;
        shape("output width", out.len(), rows * heads * head_dim)?;
        if let Some(rotary) = self.rotary {
            shape("rows of the rotary table", rotary.rows(), rows)?;
            shape("width of the rotary table", 2 * rotary.half(), head_dim)?;
        }
        if let Some(scales) = self.query_scales {
            shape("query scales", scales.len(), rows)?;
        }
        if let Some(slopes) = self.attention.alibi.as_deref() {
            shape("ALiBi slopes", slopes.len(), heads)?;
        }
        Ok(rows)
    }

    /// Where keys and values are written from.
    pub(super) fn source(&self) -> cache::Source<'_> {
        let &Self { qkv, rotary, attention, .. } = self;
        cache::Source { qkv, width: attention.qkv_width(), heads: attention.heads, rotary }
    }
}

impl Queries for Inputs<'_> {
    fn heads(&self) -> usize {
        self.attention.heads
    }

    fn window(&self) -> Option<usize> {
        self.attention.window
    }

    fn slopes(&self) -> Option<&[f32]> {
        self.attention.alibi.as_deref()
    }

    unsafe fn copy(&self, rotate: unsafe fn(&Query), row: usize, head: usize, to: *mut f32) {
        let head_dim = self.attention.head_dim;
        let first = row * self.attention.qkv_width() + head * head_dim;
        let from = self.qkv[first..first + head_dim].as_ptr();
        let null = (std::ptr::null(), std::ptr::null());
        let (cos, sin) = self.rotary.map_or(null, |rotary| rotary.row(row));
        let factor = self.attention.scale * self.query_scales.map_or(1.0, |scales| scales[row]);
        // SAFETY: the head lies in its row; the rest is the caller's promise.
        unsafe { rotate(&Query { from, head_dim, cos, sin, factor, to }) }
    }
}

/// Causal attention over the paged cache: writes the step's keys and values to `layer`, rotated, and lets every row
/// attend to the positions up to its own, within the window. `out` is `[rows, heads * head_dim]`.
///
/// # Errors
/// Widths that do not fit, a block table that does not cover its span, or an allocation that fails.
pub(super) fn forward(
    run: Run<'_>,
    inputs: Inputs<'_>,
    cache: &mut Cache,
    layer: usize,
    batch: &Batch,
    out: &mut [f32],
) -> Result<(), BackendError> {
    let operation = "attention";
    let rows = inputs.check(out)?;
    let (kv_heads, head_dim) = match cache.entry {
        CacheEntry::KeyValue { kv_heads, head_dim } => (kv_heads, head_dim),
        CacheEntry::Latent { .. } => (0, 0),
    };
    for (what, found, expected) in [
        ("the cache's key and value heads", kv_heads, inputs.attention.kv_heads),
        ("the cache's head width", head_dim, inputs.attention.head_dim),
    ] {
        if found != expected {
            return Err(BackendError::Shape { operation, what, found, expected });
        }
    }
    cache.check(batch, rows)?;
    let mut rotated = run.arena.elements(run.threads.count() * cache.layout.padded)?;
    let target = cache.target(layer, rotated.as_mut_slice())?;
    let tables = (&batch.spans[..], &batch.blocks[..]);
    // SAFETY: the batch was checked against the cache.
    unsafe { cache::write((run.level, run.threads), &inputs.source(), target, tables) };
    attend(run, &inputs, target.into(), tables, Sight::Before, out)
}

/// Where keys and values are.
#[derive(Clone, Copy)]
struct Pools {
    layout: Layout,
    kind: CacheType,
    keys: *const u8,
    values: *const u8,
    /// Null for types without scales.
    key_scales: *const f32,
    value_scales: *const f32,
}

impl From<Target> for Pools {
    fn from(target: Target) -> Self {
        let Target { layout, kind, keys, values, key_scales, value_scales, .. } = target;
        let scales = |pool: *mut f32| if kind.has_scales() { pool.cast_const() } else { std::ptr::null() };
        let (key_scales, value_scales) = (scales(key_scales), scales(value_scales));
        Self { layout, kind, keys, values, key_scales, value_scales }
    }
}

/// What a row sees.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// The positions up to its own, within the window.
    Before,
    /// Every position of its span.
    All,
}

/// Everything that the tasks of one call share.
struct Job<'a> {
    queries: &'a dyn Queries,
    pools: Pools,
    spans: &'a [Span],
    tables: &'a [u32],
    sight: Sight,
    scratch: Scratch,
    out: *mut f32,
    attend: unsafe fn(&Tile),
    merge: unsafe fn(&Merge),
    finish: unsafe fn(&Finish),
    rotate: unsafe fn(&Query),
}

// SAFETY: tasks read the pools and write their own rows of the output, and scratch that they alone hold.
unsafe impl Sync for Job<'_> {}

/// Attention of every row over pools that hold all its keys and values. Inputs, spans and tables were checked.
fn attend(
    run: Run<'_>,
    queries: &dyn Queries,
    pools: Pools,
    (spans, tables): (&[Span], &[u32]),
    sight: Sight,
    out: &mut [f32],
) -> Result<(), BackendError> {
    let Layout { kv_heads, head_dim, padded, latent, .. } = pools.layout;
    let group = queries.heads() / kv_heads;
    let (threads, level) = (run.threads, run.level);
    let mut room = run.arena.elements(Scratch::len(threads.count(), head_dim, padded))?;
    let job = Job {
        queries,
        pools,
        spans,
        tables,
        sight,
        scratch: Scratch::new(room.as_mut_slice(), threads.count(), head_dim, padded),
        out: out.as_mut_ptr(),
        attend: match pools.kind {
            kind if latent => latent::attender(kind, level),
            CacheType::F16 => tile::attender::<F16>(level),
            CacheType::Bf16 => tile::attender::<Bf16>(level),
            CacheType::F32 => tile::attender::<F32>(level),
            CacheType::Q8 => tile::attender::<Q8>(level),
        },
        merge: merge::merger(level),
        finish: merge::finisher(level),
        rotate: merge::rotator(level),
    };
    let mut first_units = run.arena.elements(spans.len() + 1)?;
    let units = Units::new(spans, group, kv_heads, first_units.as_mut_slice())?;
    if threads.count() > 1 && units.count() < UNITS_PER_THREAD * threads.count() {
        // Few units: spread their partitions, if any has more than one.
        let (mut tasks, mut len, mut most) = (0, 0usize, 0);
        for unit in (0..units.count()).map(|task| units.unit(task)) {
            let parts = job.partitions(&unit).len();
            tasks += parts;
            most = most.max(parts);
            len = len.saturating_add(parts.saturating_mul(State::len(unit.rows, padded)));
        }
        if most > 1 && len <= MAX_PARTIALS {
            let mut partials = run.arena.elements(len)?;
            let partials = Partials { at: partials.as_mut_slice().as_mut_ptr(), units: &units };
            threads.run(tasks, &|task| job.one_partition(&partials, task));
            threads.run(units.count(), &|task| job.put_together(&partials, task));
            return Ok(());
        }
    }
    threads.run(units.count(), &|task| job.whole(&units.unit(task)));
    Ok(())
}

/// Results of spread partitions, unit after unit, partition after partition.
struct Partials<'a> {
    at: *mut f32,
    units: &'a Units<'a>,
}
// SAFETY: every task writes the result of its own partition only, and they are read after all have been written.
unsafe impl Sync for Partials<'_> {}

impl Job<'_> {
    /// The positions that a row of a span sees.
    fn seen(&self, span: &Span, position: usize) -> Range<usize> {
        match (self.sight, self.queries.window()) {
            (Sight::Before, Some(window)) => (position + 1).saturating_sub(window.max(1))..position + 1,
            (Sight::Before, None) => 0..position + 1,
            (Sight::All, _) => 0..span.context_len(),
        }
    }

    /// The position of a unit's row, counted over positions and heads of the group.
    fn position(&self, unit: &Unit, row: usize) -> usize {
        self.spans[unit.span].start + (unit.first_row + row) / unit.group
    }

    /// The positions that any row of a unit sees.
    fn seen_by_any(&self, unit: &Unit) -> Range<usize> {
        let span = &self.spans[unit.span];
        let first = self.seen(span, self.position(unit, 0));
        first.start..self.seen(span, self.position(unit, unit.rows - 1)).end
    }

    /// The partitions that hold them.
    fn partitions(&self, unit: &Unit) -> Range<usize> {
        let seen = self.seen_by_any(unit);
        seen.start / PARTITION..seen.end.div_ceil(PARTITION)
    }

    /// One unit from its first partition to its output.
    fn whole(&self, unit: &Unit) {
        let slot = self.scratch.take();
        let mut tile = self.tile(unit, slot.at());
        let padded = self.pools.layout.padded;
        let partitions = self.partitions(unit);
        let (total, part) = slot.states();
        // SAFETY: the slot's states have room for the unit's rows, and the level is the processor's.
        unsafe {
            total.clear(unit.rows, padded);
            if partitions.len() == 1 {
                // What would be copied from the part to an empty total is computed there at once.
                self.partition(unit, &mut tile, partitions.start, total);
            } else {
                for partition in partitions {
                    part.clear(unit.rows, padded);
                    self.partition(unit, &mut tile, partition, part);
                    (self.merge)(&Merge { total, part, rows: unit.rows, padded });
                }
            }
        }
        self.finish(unit, total);
    }

    /// One partition of one unit, for [`put_together`](Self::put_together) to go on with.
    fn one_partition(&self, partials: &Partials<'_>, task: usize) {
        let padded = self.pools.layout.padded;
        let (mut before, mut offset) = (0, 0);
        for unit in (0..partials.units.count()).map(|unit| partials.units.unit(unit)) {
            let (partitions, len) = (self.partitions(&unit), State::len(unit.rows, padded));
            if task < before + partitions.len() {
                let slot = self.scratch.take();
                let mut tile = self.tile(&unit, slot.at());
                let nth = task - before;
                // SAFETY: the partials have room for every partition of every unit, in this order.
                unsafe {
                    let part = State::at(partials.at.add(offset + nth * len), unit.rows);
                    part.clear(unit.rows, padded);
                    self.partition(&unit, &mut tile, partitions.start + nth, part);
                }
                return;
            }
            before += partitions.len();
            offset += partitions.len() * len;
        }
    }

    /// One unit's output from its partitions.
    fn put_together(&self, partials: &Partials<'_>, task: usize) {
        let padded = self.pools.layout.padded;
        let len = |unit: &Unit| State::len(unit.rows, padded);
        let before = (0..task).map(|unit| partials.units.unit(unit));
        let offset: usize = before.map(|unit| self.partitions(&unit).len() * len(&unit)).sum();
        let unit = partials.units.unit(task);
        let slot = self.scratch.take();
        let (total, _) = slot.states();
        // SAFETY: as in `one_partition`; the partitions are complete.
        unsafe {
            total.clear(unit.rows, padded);
            for nth in 0..self.partitions(&unit).len() {
                let part = State::at(partials.at.add(offset + nth * len(&unit)), unit.rows);
                (self.merge)(&Merge { total, part, rows: unit.rows, padded });
            }
        }
        self.finish(&unit, total);
    }

    /// A tile with the unit's queries, in scratch; keys and values are yet to be set.
    fn tile(&self, unit: &Unit, at: scratch::Parts) -> Tile {
        let Layout { head_dim, value_dim, padded, .. } = self.pools.layout;
        let span = &self.spans[unit.span];
        let all_slopes = self.queries.slopes();
        let (mut seen, mut positions, mut slopes) = ([(0, 0); ROWS], [0; ROWS], [0.0; ROWS]);
        for row in 0..unit.rows {
            let position = self.position(unit, row);
            let range = self.seen(span, position);
            seen[row] = (range.start as u32, range.end as u32);
            positions[row] = position as u32;
            let head = unit.query_head(row);
            slopes[row] = all_slopes.map_or(0.0, |slopes| slopes[head]);
            let batch_row = span.rows.start + position - span.start;
            // SAFETY: there is room for the queries of `ROWS` rows, and the level is the processor's.
            unsafe { self.queries.copy(self.rotate, batch_row, head, at.queries.add(row * head_dim)) }
        }
        Tile {
            rows: unit.rows,
            head_dim,
            value_dim,
            padded,
            start: 0,
            seen,
            positions,
            slopes,
            has_slopes: all_slopes.is_some(),
            queries: at.queries,
            keys: [std::ptr::null(); BLOCKS],
            values: [std::ptr::null(); BLOCKS],
            key_scales: [std::ptr::null(); BLOCKS],
            value_scales: [std::ptr::null(); BLOCKS],
            next_keys: [std::ptr::null(); BLOCKS],
            scores: at.scores,
            wide_keys: at.wide_keys,
            wide_values: at.wide_values,
            state: at.part,
        }
    }

    /// Takes a partition into a state.
    ///
    /// # Safety
    /// The state must have room for the unit's rows, and the tile be the unit's.
    unsafe fn partition(&self, unit: &Unit, tile: &mut Tile, partition: usize, state: State) {
        let seen = self.seen_by_any(unit);
        let first = seen.start.max(partition * PARTITION);
        let end = seen.end.min((partition + 1) * PARTITION);
        let table = &self.tables[self.spans[unit.span].blocks.clone()];
        let blocks = end.div_ceil(BLOCK_TOKENS);
        tile.state = state;
        for start in (first / TOKENS * TOKENS..end).step_by(TOKENS) {
            tile.start = start;
            let first_block = start / BLOCK_TOKENS;
            for at in 0..BLOCKS {
                // A tile at the end may lack blocks; no row sees what stands there, so any block will do.
                let block = if first_block + at < blocks { first_block + at } else { first_block };
                self.set_block(tile, at, table[block] as usize, unit.kv_head);
                let next = table[(first_block + BLOCKS + at).min(table.len() - 1)] as usize;
                tile.next_keys[at] = self.keys(next, unit.kv_head);
            }
            // SAFETY: the tile is complete, and the level is the processor's.
            unsafe { (self.attend)(tile) }
        }
    }

    /// The keys of a head in a block.
    fn keys(&self, block: usize, kv_head: usize) -> *const u8 {
        let Pools { layout, keys, .. } = self.pools;
        // SAFETY: the block exists, so its cells lie in the pool.
        unsafe { keys.add(layout.cell(block, kv_head) * layout.key_bytes()) }
    }

    /// Points a tile to the keys and values of a block.
    fn set_block(&self, tile: &mut Tile, at: usize, block: usize, kv_head: usize) {
        let Pools { layout, values, key_scales, value_scales, .. } = self.pools;
        let cell = layout.cell(block, kv_head);
        tile.keys[at] = self.keys(block, kv_head);
        // SAFETY: the block exists, so its cells lie in the pools.
        unsafe {
            tile.values[at] = values.add(cell * layout.value_bytes());
            if !key_scales.is_null() {
                tile.key_scales[at] = key_scales.add(cell * BLOCK_TOKENS);
                tile.value_scales[at] = value_scales.add(cell * BLOCK_TOKENS);
            }
        }
    }

    /// Writes the output of a unit's rows.
    fn finish(&self, unit: &Unit, total: State) {
        let Layout { value_dim, padded, .. } = self.pools.layout;
        let span = &self.spans[unit.span];
        for row in 0..unit.rows {
            let batch_row = span.rows.start + self.position(unit, row) - span.start;
            let first = (batch_row * self.queries.heads() + unit.query_head(row)) * value_dim;
            // SAFETY: the row and the head are within the output, and no other task has them.
            unsafe {
                (self.finish)(&Finish {
                    sums: total.sums.add(row * super::simd::LANES),
                    values: total.values.add(row * padded),
                    value_dim,
                    out: self.out.add(first),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;

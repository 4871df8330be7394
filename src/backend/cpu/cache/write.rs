//! Writing the keys and values of a step, keys rotated on the way.

#![allow(clippy::multiple_unsafe_ops_per_block)] // Kernels: every line is an access through a pointer.

use super::super::super::{BLOCK_TOKENS, Span};
use super::super::rowwise::Rotary;
use super::super::rowwise::rotary::rotated;
use super::super::simd::{LANES, Lanes, multiversion};
use super::super::{Level, threads::Threads};
use super::{Bf16, CacheType, F16, F32, Layout, Q8, Stored};

/// Rows that a task writes.
const TASK_ROWS: usize = BLOCK_TOKENS;

/// Rows of queries, keys and values side by side, and where keys begin.
#[derive(Clone, Copy)]
pub(in super::super) struct Source<'a> {
    pub(in super::super) qkv: &'a [f32],
    /// Values from row to row.
    pub(in super::super) width: usize,
    /// Query heads, which stand before the keys.
    pub(in super::super) heads: usize,
    pub(in super::super) rotary: Option<&'a Rotary>,
}

/// One key and one value, on their way to a slot.
#[derive(Clone, Copy)]
pub(in super::super) struct Slot {
    key: *const f32,
    value: *const f32,
    head_dim: usize,
    /// Cosines and sines of the row, and how many of each; null without rotation.
    cos: *const f32,
    sin: *const f32,
    /// Room for `head_dim` values rounded up to whole vectors.
    scratch: *mut f32,
    /// Element 0 of the key; element `d` is `16 * d` further.
    to_key: *mut u8,
    to_value: *mut u8,
    key_scale: *mut f32,
    value_scale: *mut f32,
}

/// The pools of one layer, to write to: every task writes the slots of its own rows.
#[derive(Clone, Copy)]
pub(in super::super) struct Target {
    pub(in super::super) layout: Layout,
    pub(in super::super) kind: CacheType,
    pub(in super::super) keys: *mut u8,
    pub(in super::super) values: *mut u8,
    /// Unused by types without scales.
    pub(in super::super) key_scales: *mut f32,
    pub(in super::super) value_scales: *mut f32,
    /// Room for a head per thread.
    pub(in super::super) scratch: *mut f32,
}

// SAFETY: tasks write disjoint parts: the cells of their rows, and the scratch of their thread.
unsafe impl Sync for Target {}

/// Writes the keys and values of every row of the spans. A task takes some rows of one span and all their heads, head
/// after head, so that it finds the rows in the caches and fills a block's cell of a head in one go.
///
/// # Safety
/// The pools must hold every block of the spans' tables, which must cover the spans' positions, and `scratch` have
/// room for `padded` values per thread.
pub(in super::super) unsafe fn write(
    (level, threads): (Level, &Threads),
    source: &Source<'_>,
    target: Target,
    (spans, tables): (&[Span], &[u32]),
) {
    let put = match target.kind {
        CacheType::F16 => putter::<F16>(level),
        CacheType::Bf16 => putter::<Bf16>(level),
        CacheType::F32 => putter::<F32>(level),
        CacheType::Q8 => putter::<Q8>(level),
    };
    let (layout, scaled) = (target.layout, target.kind.has_scales());
    let Layout { kv_heads, head_dim, padded, size, .. } = layout;
    let target = &target;
    let tasks = |span: &Span| span.len().div_ceil(TASK_ROWS);
    threads.run_numbered(spans.iter().map(tasks).sum(), &|thread, mut task| {
        let mut spans = spans.iter();
        let span = loop {
            match spans.next() {
                Some(span) if task < tasks(span) => break span,
                Some(span) => task -= tasks(span),
                None => return,
            }
        };
        let table = &tables[span.blocks.clone()];
        let rows = span.rows.clone().skip(task * TASK_ROWS).take(TASK_ROWS);
        let first_position = span.start + task * TASK_ROWS;
        for head in 0..kv_heads {
            for (position, row) in (first_position..).zip(rows.clone()) {
                let (block, token) = (table[position / BLOCK_TOKENS] as usize, position % BLOCK_TOKENS);
                let cell = layout.cell(block, head);
                let line = &source.qkv[row * source.width..(row + 1) * source.width];
                let part = |at: usize| line[at * head_dim..(at + 1) * head_dim].as_ptr();
                let (cos, sin) = source.rotary.map_or((std::ptr::null(), std::ptr::null()), |r| r.row(row));
                // SAFETY: the block exists, so the cell lies in its pools, and no other task has the row's slot in it
                // or the thread's scratch. The level is the processor's.
                unsafe {
                    let scale = |pool: *mut f32| {
                        if scaled { pool.add(cell * BLOCK_TOKENS + token) } else { std::ptr::null_mut() }
                    };
                    put(&Slot {
                        key: part(source.heads + head),
                        value: part(source.heads + kv_heads + head),
                        head_dim,
                        cos,
                        sin,
                        scratch: target.scratch.add(thread * padded),
                        to_key: target.keys.add(cell * layout.key_bytes() + token * size),
                        to_value: target.values.add(cell * layout.value_bytes() + token * padded * size),
                        key_scale: scale(target.key_scales),
                        value_scale: scale(target.value_scales),
                    });
                }
            }
        }
    });
}

multiversion! {
    /// Writes one key and one value.
    fn putter<S: Stored>(slot: &Slot) = put;
}

#[inline(always)]
unsafe fn put<L: Lanes, S: Stored>(slot: &Slot) {
    // SAFETY: the pointers are as long as `Slot` says.
    unsafe {
        let key = if slot.cos.is_null() {
            slot.key
        } else {
            rotated::<L>(slot.key, slot.head_dim, slot.cos, slot.sin, slot.scratch);
            slot.scratch
        };
        put_key::<L, S>(key, slot.head_dim, slot.to_key, slot.key_scale);
        let inverse = scale_of::<L, S>(slot.value, slot.head_dim, slot.value_scale);
        let to = slot.to_value.cast::<S::Raw>();
        for first in (0..slot.head_dim).step_by(LANES) {
            let count = LANES.min(slot.head_dim - first);
            S::store(L::load_part(slot.value.add(first), count).mul(inverse), to.add(first));
        }
    }
}

/// Writes a key to its token's place in a block: element `d` is `16 * d` behind the first.
#[inline(always)]
pub(super) unsafe fn put_key<L: Lanes, S: Stored>(key: *const f32, len: usize, to: *mut u8, scale: *mut f32) {
    // SAFETY: `len` values are readable, and their places and the scale writable.
    unsafe {
        let inverse = scale_of::<L, S>(key, len, scale);
        let to = to.cast::<S::Raw>();
        for first in (0..len).step_by(LANES) {
            let count = LANES.min(len - first);
            let mut elements = [S::Raw::default(); LANES];
            S::store(L::load_part(key.add(first), count).mul(inverse), elements.as_mut_ptr());
            for (at, &element) in elements[..count].iter().enumerate() {
                to.add((first + at) * BLOCK_TOKENS).write(element);
            }
        }
    }
}

/// Writes the scale that brings the greatest magnitude to 127, and returns its inverse; 1 for types without scales.
#[inline(always)]
unsafe fn scale_of<L: Lanes, S: Stored>(x: *const f32, len: usize, to: *mut f32) -> L {
    // SAFETY: `len` values are readable, and the scale writable where the type has one.
    unsafe {
        if !S::SCALED {
            return L::splat(1.0);
        }
        let mut greatest = L::splat(0.0);
        for first in (0..len).step_by(LANES) {
            greatest = greatest.max(L::load_part(x.add(first), LANES.min(len - first)).abs());
        }
        let greatest = greatest.highest();
        to.write(greatest / 127.0);
        // Magnitudes so small that their inverse overflows are zero beside any other key.
        L::splat(if greatest > 1e-36 { 127.0 / greatest } else { 0.0 })
    }
}

//! The paged cache of keys and values, or of latents and rotated keys, laid out for attention.
//!
//! Per layer, keys are `[kv_head][block][head_dim][16 tokens]` and values `[kv_head][block][16 tokens][padded]`, where
//! `padded` is the head's width rounded up to whole vectors. So the products of a query with the keys of a block are
//! sixteen lanes without a sum across lanes, and a weighted sum of values runs along the head. What one head reads of
//! neighbouring blocks lies side by side: whole pages, and no power of two between blocks.
//!
//! Latents are `[block][rank][16 tokens]` and rotated keys `[block][rope_dim][16 tokens]`: one copy, in the order of keys.
//!
//! A slot that nothing was written to, or that an earlier sequence left behind, may hold anything; attention never
//! lets a position into a sum that its row does not see.

mod block;
mod latent;
mod stored;
mod write;

pub(super) use latent::{LatentSource, write_latents};
pub(super) use stored::{Bf16, F16, F32, Q8, Stored};
pub(super) use write::{Source, Target, write};

use super::super::{BLOCK_TOKENS, BackendError, Batch, CacheEntry, CacheShape, Span};
use super::buffer::AlignedBytes;
use super::simd::LANES;

/// How keys and values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum CacheType {
    /// IEEE half precision; what exceeds its range becomes its greatest number.
    #[default]
    F16,
    /// The upper half of `f32`.
    Bf16,
    /// As computed.
    F32,
    /// 8-bit integers with one `f32` scale per token and head, or per token's latent and rotated key.
    Q8,
}

impl CacheType {
    /// Bytes of one element.
    fn size(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::Q8 => 1,
        }
    }

    /// Whether there is a scale per token and head.
    pub(super) fn has_scales(self) -> bool {
        self == Self::Q8
    }
}

/// The widths that addresses in one layer are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) blocks: usize,
    pub(super) kv_heads: usize,
    /// Width of a key, which is that of a query.
    pub(super) head_dim: usize,
    /// Width of a value.
    pub(super) value_dim: usize,
    /// `value_dim` rounded up to whole vectors.
    pub(super) padded: usize,
    /// Whether a value is the first part of its key, and only keys are stored: the first part in the first pool, the
    /// rest in the second.
    pub(super) latent: bool,
    /// Bytes of one element.
    pub(super) size: usize,
}

impl Layout {
    pub(super) fn new(blocks: usize, entry: CacheEntry, size: usize) -> Option<Self> {
        let (kv_heads, head_dim, value_dim, latent) = match entry {
            CacheEntry::KeyValue { kv_heads, head_dim } => (kv_heads, head_dim, head_dim, false),
            CacheEntry::Latent { rank, rope_dim } => (1, rank.checked_add(rope_dim)?, rank, true),
        };
        let padded = value_dim.checked_next_multiple_of(LANES)?;
        Some(Self { blocks, kv_heads, head_dim, value_dim, padded, latent, size })
    }

    /// Elements of a token in a cell of the first and of the second pool.
    fn elements(&self) -> [usize; 2] {
        if self.latent {
            [self.value_dim, self.head_dim - self.value_dim]
        } else {
            [self.head_dim, self.padded]
        }
    }

    /// Bytes from cell to cell of the first pool: from the keys of a head in a block to those in the next.
    pub(super) fn key_bytes(&self) -> usize {
        self.elements()[0] * BLOCK_TOKENS * self.size
    }

    /// Bytes from cell to cell of the second pool: from the values of a head in a block to those in the next.
    pub(super) fn value_bytes(&self) -> usize {
        self.elements()[1] * BLOCK_TOKENS * self.size
    }

    /// Where a head of a block stands in the order of both pools.
    pub(super) fn cell(&self, block: usize, head: usize) -> usize {
        head * self.blocks + block
    }
}

/// The pools of one layer; each is `[kv_head][block]` cells. Of latents, the first pool has the latents and the second
/// the rotated keys.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) keys: AlignedBytes,
    pub(super) values: AlignedBytes,
    /// `[kv_head][block][16]` of `f32`; empty for types without scales.
    pub(super) key_scales: AlignedBytes,
    pub(super) value_scales: AlignedBytes,
}

/// Keys and values of every layer.
#[derive(Debug)]
pub struct Cache {
    pub(super) kind: CacheType,
    pub(super) entry: CacheEntry,
    pub(super) layout: Layout,
    pub(super) layers: Vec<Layer>,
}

/// Bytes of the four pools of a layer: keys, values, and the scales of each.
fn layer_bytes(shape: &CacheShape, kind: CacheType) -> Option<[u64; 3]> {
    let layout = Layout::new(shape.blocks, shape.entry, kind.size())?;
    let cells = (shape.blocks as u64).checked_mul(layout.kv_heads as u64)?;
    let tokens = cells.checked_mul(BLOCK_TOKENS as u64)?;
    let elements = |width: usize| tokens.checked_mul(width as u64)?.checked_mul(kind.size() as u64);
    let scales = if kind.has_scales() { tokens.checked_mul(4)? } else { 0 };
    let [first, second] = layout.elements();
    Some([elements(first)?, elements(second)?, scales])
}

/// Bytes that [`Cache::new`] takes; `None` when that overflows.
pub(super) fn bytes(shape: &CacheShape, kind: CacheType) -> Option<u64> {
    let [keys, values, scales] = layer_bytes(shape, kind)?;
    let layer = keys.checked_add(values)?.checked_add(scales.checked_mul(2)?)?;
    layer.checked_mul(shape.layers as u64)
}

impl Cache {
    /// A cache of zeros.
    ///
    /// # Errors
    /// A size that overflows or cannot be allocated.
    pub(super) fn new(shape: &CacheShape, kind: CacheType) -> Result<Self, BackendError> {
        let what = "the block cache";
        let too_large = |bytes: u64| BackendError::Memory { what, bytes };
        let total = bytes(shape, kind).ok_or(too_large(u64::MAX))?;
        let sizes = layer_bytes(shape, kind).ok_or(too_large(total))?;
        let layout = Layout::new(shape.blocks, shape.entry, kind.size()).ok_or(too_large(total))?;
        let pool = |bytes: u64| {
            let bytes = usize::try_from(bytes).map_err(|_| too_large(total))?;
            AlignedBytes::zeroed(bytes, what)
        };
        let mut layers = Vec::new();
        layers.try_reserve_exact(shape.layers).map_err(|_| too_large(total))?;
        for _ in 0..shape.layers {
            let [keys, values, scales] = sizes;
            let (key_scales, value_scales) = (pool(scales)?, pool(scales)?);
            layers.push(Layer { keys: pool(keys)?, values: pool(values)?, key_scales, value_scales });
        }
        Ok(Self { kind, entry: shape.entry, layout, layers })
    }

    /// What it keeps of a token.
    pub(super) fn entry(&self) -> CacheEntry {
        self.entry
    }

    /// Checks that every span's block table covers its positions with blocks that exist, and that the spans take up
    /// all of `rows`, one after the other.
    pub(super) fn check(&self, batch: &Batch, rows: usize) -> Result<(), BackendError> {
        let operation = "attention";
        let shape = |what, found, expected| BackendError::Shape { operation, what, found, expected };
        check_rows(&batch.spans, rows)?;
        for span in &batch.spans {
            let context =
                span.start.checked_add(span.len()).ok_or(shape("start of a span", span.start, 0))?;
            let expected = context.div_ceil(BLOCK_TOKENS);
            let table = batch.blocks.get(span.blocks.clone()).unwrap_or_default();
            if table.len() < expected {
                return Err(shape("block table", table.len(), expected));
            }
            let len = self.layout.blocks;
            if let Some(&block) = table.iter().find(|&&block| block as usize >= len) {
                return Err(BackendError::Index { operation, index: block as usize, len });
            }
        }
        Ok(())
    }

    /// The pools of a layer, to write to; `scratch` is room as [`write`] or [`write_latents`] wants it.
    pub(super) fn target(&mut self, layer: usize, scratch: &mut [f32]) -> Result<Target, BackendError> {
        let (operation, len) = ("attention", self.layers.len());
        let pools = self.layers.get_mut(layer).ok_or(BackendError::Index { operation, index: layer, len })?;
        Ok(Target {
            layout: self.layout,
            kind: self.kind,
            keys: pools.keys.as_mut_ptr(),
            values: pools.values.as_mut_ptr(),
            key_scales: pools.key_scales.as_mut_ptr().cast(),
            value_scales: pools.value_scales.as_mut_ptr().cast(),
            scratch: scratch.as_mut_ptr(),
        })
    }
}

/// Checks that spans take up all of `rows`, one after the other.
pub(super) fn check_rows(spans: &[Span], rows: usize) -> Result<(), BackendError> {
    let shape = |what, found, expected| BackendError::Shape { operation: "attention", what, found, expected };
    let mut next = 0;
    for span in spans {
        if span.rows.start != next || span.rows.end < next {
            return Err(shape("first row of a span", span.rows.start, next));
        }
        next = span.rows.end;
    }
    if next == rows { Ok(()) } else { Err(shape("rows of all spans", next, rows)) }
}

#[cfg(test)]
mod tests;

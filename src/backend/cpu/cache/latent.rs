//! Writing the latents and keys of a step, keys rotated on the way.

#![allow(clippy::multiple_unsafe_ops_per_block)] // Kernels: every line is an access through a pointer.

use super::super::super::{BLOCK_TOKENS, Span};
use super::super::Level;
use super::super::rowwise::Rotary;
use super::super::rowwise::rotary::rotated;
use super::super::simd::{Lanes, multiversion};
use super::write::put_key;
use super::{Bf16, CacheType, F16, F32, Q8, Stored, Target};

/// The latents and the keys of a step's rows.
#[derive(Clone, Copy)]
pub(in super::super) struct LatentSource<'a> {
    /// `[rows, rank]`.
    pub(in super::super) latents: &'a [f32],
    /// `[rows, rope_dim]`, to be rotated.
    pub(in super::super) keys: &'a [f32],
    pub(in super::super) rotary: &'a Rotary,
}

/// One latent and one key, on their way to a slot.
#[derive(Clone, Copy)]
pub(in super::super) struct LatentSlot {
    latent: *const f32,
    rank: usize,
    key: *const f32,
    rope_dim: usize,
    cos: *const f32,
    sin: *const f32,
    /// Room for `rope_dim` values rounded up to whole vectors.
    scratch: *mut f32,
    /// Element 0 of the latent, and of the key.
    to_latent: *mut u8,
    to_key: *mut u8,
    latent_scale: *mut f32,
    key_scale: *mut f32,
}

/// Writes the latent and the rotated key of every row of the spans.
///
/// # Safety
/// The pools must be of latents and hold every block of the spans' tables, which must cover the spans' positions, and
/// `scratch` have room for `rope_dim` values, rounded up to whole vectors.
pub(in super::super) unsafe fn write_latents(
    level: Level,
    source: &LatentSource<'_>,
    target: Target,
    (spans, tables): (&[Span], &[u32]),
) {
    let put = match target.kind {
        CacheType::F16 => latent_putter::<F16>(level),
        CacheType::Bf16 => latent_putter::<Bf16>(level),
        CacheType::F32 => latent_putter::<F32>(level),
        CacheType::Q8 => latent_putter::<Q8>(level),
    };
    let (layout, scaled) = (target.layout, target.kind.has_scales());
    let (rank, rope_dim) = (layout.value_dim, layout.head_dim - layout.value_dim);
    // On one thread: it takes no time beside anything else of a layer.
    for span in spans {
        let table = &tables[span.blocks.clone()];
        for (position, row) in (span.start..).zip(span.rows.clone()) {
            let (block, token) = (table[position / BLOCK_TOKENS] as usize, position % BLOCK_TOKENS);
            let (cos, sin) = source.rotary.row(row);
            // SAFETY: the block exists, so its cells lie in the pools. The level is the processor's.
            unsafe {
                let scale = |pool: *mut f32| {
                    if scaled { pool.add(block * BLOCK_TOKENS + token) } else { std::ptr::null_mut() }
                };
                put(&LatentSlot {
                    latent: source.latents[row * rank..(row + 1) * rank].as_ptr(),
                    rank,
                    key: source.keys[row * rope_dim..(row + 1) * rope_dim].as_ptr(),
                    rope_dim,
                    cos,
                    sin,
                    scratch: target.scratch,
                    to_latent: target.keys.add(block * layout.key_bytes() + token * layout.size),
                    to_key: target.values.add(block * layout.value_bytes() + token * layout.size),
                    latent_scale: scale(target.key_scales),
                    key_scale: scale(target.value_scales),
                });
            }
        }
    }
}

multiversion! {
    /// Writes one latent and one rotated key.
    fn latent_putter<S: Stored>(slot: &LatentSlot) = put_latent;
}

#[inline(always)]
unsafe fn put_latent<L: Lanes, S: Stored>(slot: &LatentSlot) {
    // SAFETY: the pointers are as long as `LatentSlot` says.
    unsafe {
        put_key::<L, S>(slot.latent, slot.rank, slot.to_latent, slot.latent_scale);
        rotated::<L>(slot.key, slot.rope_dim, slot.cos, slot.sin, slot.scratch);
        put_key::<L, S>(slot.scratch, slot.rope_dim, slot.to_key, slot.key_scale);
    }
}

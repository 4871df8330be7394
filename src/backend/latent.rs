//! Multi-head latent attention (DeepSeek-AI, 2024, "DeepSeek-V2", arXiv 2405.04434, section 2.1).

use super::BackendError;

/// What attention over a latent cache needs to know besides its inputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatentAttention {
    /// Query heads; all of them share the latent and the rotated key of a position.
    pub heads: usize,
    /// Width of the latent.
    pub rank: usize,
    /// Width of the rotated key; even.
    pub rope_dim: usize,
    /// Multiplies the scores.
    pub scale: f32,
}

/// The inputs of a step, in the absorbed form: queries were multiplied with the key projection of their head, so that
/// they meet latents instead of keys.
#[derive(Debug)]
pub struct LatentInputs<'a, T> {
    /// Queries for latents, `[rows, heads * rank]`.
    pub queries: &'a T,
    /// Queries for rotated keys, not yet rotated, `[rows, heads * rope_dim]`.
    pub rope_queries: &'a T,
    /// The rows' own latents, `[rows, rank]`.
    pub latents: &'a T,
    /// The rows' own keys, not yet rotated, `[rows, rope_dim]`.
    pub rope_keys: &'a T,
}

impl LatentAttention {
    /// Checks that inputs of these widths fit, and that the cache's entry is a latent of the same widths.
    pub(super) fn check(&self, widths: [usize; 4], cache: CacheEntry) -> Result<(), BackendError> {
        let shape = |what, found, expected| {
            let operation = "latent_attention";
            if found == expected {
                Ok(())
            } else {
                Err(BackendError::Shape { operation, what, found, expected })
            }
        };
        let &Self { heads, rank, rope_dim, .. } = self;
        let [queries, rope_queries, latents, rope_keys] = widths;
        shape("rope_dim beyond pairs", rope_dim % 2, 0)?;
        shape("the number of heads below one", usize::from(heads * rank * rope_dim == 0), 0)?;
        shape("the width of queries", queries, heads * rank)?;
        shape("the width of rotated queries", rope_queries, heads * rope_dim)?;
        shape("the width of latents", latents, rank)?;
        shape("the width of rotated keys", rope_keys, rope_dim)?;
        let (cache_rank, cache_rope) = match cache {
            CacheEntry::Latent { rank, rope_dim } => (rank, rope_dim),
            CacheEntry::KeyValue { .. } => (0, 0),
        };
        shape("the cache's latent width", cache_rank, rank)?;
        shape("the cache's rotated key width", cache_rope, rope_dim)
    }
}

/// What a cache keeps for one token of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheEntry {
    /// A key and a value for each of some heads.
    KeyValue {
        /// Key and value heads.
        kv_heads: usize,
        /// Width of a head.
        head_dim: usize,
    },
    /// One latent and one rotated key that all heads share ([`LatentAttention`]). Values are the latents again.
    Latent {
        /// Width of the latent.
        rank: usize,
        /// Width of the rotated key.
        rope_dim: usize,
    },
}

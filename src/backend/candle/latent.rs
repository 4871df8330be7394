//! Latent attention as attention with one head of keys, each a latent and a rotated key side by side.

use candle_core::{D, Tensor};

use super::super::{Attention, BLOCK_TOKENS, BackendError, Batch, LatentAttention, LatentInputs};
use super::attention::{Queries, TILE};
use super::{Cache, Rotary};

pub(super) fn forward(
    inputs: &LatentInputs<'_, Tensor>,
    rotary: &Rotary,
    cache: &mut Cache,
    layer: usize,
    batch: &Batch,
    latent: &LatentAttention,
) -> Result<Tensor, BackendError> {
    let LatentInputs { queries, rope_queries, latents, rope_keys } = *inputs;
    let width = |x: &Tensor| x.dim(D::Minus1);
    latent
        .check([width(queries)?, width(rope_queries)?, width(latents)?, width(rope_keys)?], cache.entry())?;
    let &LatentAttention { heads, rank, rope_dim, scale } = latent;
    let rows = queries.dim(0)?;
    let rope_queries = rotary.apply(&rope_queries.reshape((rows, heads, rope_dim))?)?;
    let queries = Tensor::cat(&[queries.reshape((rows, heads, rank))?, rope_queries], D::Minus1)?;
    let rope_keys = rotary.apply(&rope_keys.unsqueeze(1)?)?;
    cache.write(layer, batch, latents, &rope_keys.flatten_from(1)?)?;
    let head_dim = rank + rope_dim;
    let attention = Attention { heads, kv_heads: 1, head_dim, scale, window: None, alibi: None };
    let outputs = batch
        .spans
        .iter()
        .map(|span| {
            let queries = Queries::new(&queries.narrow(0, span.rows.start, span.len())?, span, &attention)?;
            let table = &batch.blocks[span.blocks.clone()];
            queries.attend(0..span.context_len().div_ceil(TILE), |tile| {
                let start = tile * TILE;
                let tokens = TILE.min(span.context_len() - start);
                let (latents, keys) = cache.gather(layer, &table[start / BLOCK_TOKENS..], tokens, TILE)?;
                let keys = Tensor::cat(&[latents, keys], D::Minus1)?;
                // A value is the latent, the first part of the key: what comes of the rest is cut off below.
                Ok((keys.clone(), keys))
            })
        })
        .collect::<Result<Vec<_>, BackendError>>()?;
    let outputs = Tensor::cat(&outputs, 0)?.reshape((rows, heads, head_dim))?;
    Ok(outputs.narrow(D::Minus1, 0, rank)?.flatten_from(1)?)
}

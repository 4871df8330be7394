//! Causal attention over the paged cache, tile by tile with a running softmax (Milakov and Gimelshein, 2018).
//!
//! A tile is [`TILE`] positions, always at multiples of it from the start of the sequence and always full (padded
//! with zeros), so that a row sums in the same order whatever chunk it comes in and however long the context grew
//! behind it: a tile that a row does not see at all leaves its state as it was, bit for bit.

use candle_core::{D, Tensor};

use super::super::{Attention, BLOCK_TOKENS, BackendError, Batch, Span};
use super::{Cache, Rotary};

/// Positions per tile; a multiple of the block.
const TILE: usize = 8 * BLOCK_TOKENS;

/// The product of fewer rows with a tile takes a path with another order of summation.
const MIN_ROWS: usize = 4;

/// The score of what a row must not see. Finite, so that a row that sees nothing of its first tile stays free of
/// NaN; what such a tile added is later multiplied by `exp(HIDDEN - score)`, which is zero.
const HIDDEN: f32 = -1e30;

pub(super) fn forward(
    qkv: &Tensor,
    rotary: Option<&Rotary>,
    cache: &mut Cache,
    layer: usize,
    batch: &Batch,
    attention: &Attention,
) -> Result<Tensor, BackendError> {
    let &Attention { heads, kv_heads, head_dim, .. } = attention;
    let (rows, width) = qkv.dims2()?;
    if width != attention.qkv_width() {
        let expected = attention.qkv_width();
        return Err(BackendError::Shape {
            operation: "attention",
            what: "qkv width",
            found: width,
            expected,
        });
    }
    let part = |first: usize, heads: usize| -> Result<Tensor, BackendError> {
        Ok(qkv.narrow(D::Minus1, first * head_dim, heads * head_dim)?.reshape((rows, heads, head_dim))?)
    };
    let (mut queries, mut keys) = (part(0, heads)?, part(heads, kv_heads)?);
    let values = part(heads + kv_heads, kv_heads)?;
    if let Some(rotary) = rotary {
        queries = rotary.apply(&queries)?;
        keys = rotary.apply(&keys)?;
    }
    cache.write(layer, batch, &keys.flatten_from(1)?, &values.flatten_from(1)?)?;
    let outputs = batch
        .spans
        .iter()
        .map(|span| {
            let queries = queries.narrow(0, span.rows.start, span.len())?;
            one_span(&queries, cache, layer, &batch.blocks[span.blocks.clone()], span, attention)
        })
        .collect::<Result<Vec<_>, BackendError>>()?;
    Ok(Tensor::cat(&outputs, 0)?)
}

/// Attention of one sequence's rows, `[rows, heads, head_dim]` in, `[rows, heads * head_dim]` out.
fn one_span(
    queries: &Tensor,
    cache: &Cache,
    layer: usize,
    table: &[u32],
    span: &Span,
    attention: &Attention,
) -> Result<Tensor, BackendError> {
    let &Attention { heads, kv_heads, head_dim, scale, window } = attention;
    let group = heads / kv_heads;
    let rows = span.len() * group;
    // [kv_heads, rows of the group, head_dim]: the queries that share keys and values are rows of one product.
    let queries = queries
        .reshape((span.len(), kv_heads, group, head_dim))?
        .transpose(0, 1)?
        .reshape((kv_heads, rows, head_dim))?
        .pad_with_zeros(1, 0, MIN_ROWS.saturating_sub(rows))?
        .contiguous()?;
    let padded_rows = rows.max(MIN_ROWS);
    let device = queries.device();
    let context = span.context_len();
    let first_seen = window.map_or(0, |window| (span.start + 1).saturating_sub(window));

    let mut highest = Tensor::full(HIDDEN, (kv_heads, padded_rows, 1), device)?;
    let mut weight_sum = Tensor::zeros((kv_heads, padded_rows, 1), candle_core::DType::F32, device)?;
    let mut sum = Tensor::zeros((kv_heads, padded_rows, head_dim), candle_core::DType::F32, device)?;
    for tile in first_seen / TILE..context.div_ceil(TILE) {
        let start = tile * TILE;
        let tokens = TILE.min(context - start);
        let (keys, values) = cache.gather(layer, &table[start / BLOCK_TOKENS..], tokens, TILE)?;
        let mut scores = (queries.matmul(&keys.t()?)? * f64::from(scale))?;
        if start + TILE > span.start + 1 || first_seen > start || window.is_some() {
            let mask = mask(span, start, group, padded_rows, window);
            scores = scores.broadcast_add(&Tensor::from_vec(mask, (1, padded_rows, TILE), device)?)?;
        }
        let tile_highest = highest.maximum(&scores.max_keepdim(D::Minus1)?)?;
        let decay = (&highest - &tile_highest)?.exp()?;
        let weights = scores.broadcast_sub(&tile_highest)?.exp()?;
        weight_sum = ((weight_sum * &decay)? + weights.sum_keepdim(D::Minus1)?)?;
        sum = (sum.broadcast_mul(&decay)? + weights.matmul(&values)?)?;
        highest = tile_highest;
    }
    let output = sum.broadcast_div(&weight_sum)?.narrow(1, 0, rows)?;
    Ok(output
        .reshape((kv_heads, span.len(), group, head_dim))?
        .transpose(0, 1)?
        .reshape((span.len(), heads * head_dim))?)
}

/// Zero where a row sees a position of the tile, [`HIDDEN`] elsewhere; `[padded_rows, TILE]`.
fn mask(span: &Span, start: usize, group: usize, padded_rows: usize, window: Option<usize>) -> Vec<f32> {
    let mut mask = vec![0.0f32; padded_rows * TILE];
    for (row, line) in mask.chunks_exact_mut(TILE).enumerate() {
        let position = span.start + (row / group).min(span.len() - 1);
        let first = window.map_or(0, |window| (position + 1).saturating_sub(window));
        for (column, value) in line.iter_mut().enumerate() {
            if start + column > position || start + column < first {
                *value = HIDDEN;
            }
        }
    }
    mask
}

//! Attention tile by tile with a running softmax (Milakov and Gimelshein, 2018): causal over the paged cache, and of
//! encoders over the rows of a text.
//!
//! A tile is [`TILE`] positions, always at multiples of it from the start of the sequence and always full (padded
//! with zeros), so that a row sums in the same order whatever chunk it comes in and however long the context grew
//! behind it: a tile that a row does not see at all leaves its state as it was, bit for bit.

use std::ops::Range;

use candle_core::{D, DType, Tensor};

use super::super::{AdapterId, Attention, BLOCK_TOKENS, BackendError, Batch, Span};
use super::{Cache, Rotary};

/// Positions per tile; a multiple of the block.
pub(super) const TILE: usize = 8 * BLOCK_TOKENS;

/// The product of fewer rows with a tile takes a path with another order of summation.
const MIN_ROWS: usize = 4;

/// The score of what a row must not see. Finite, so that a row that sees nothing of its first tile stays free of
/// NaN; what such a tile added is later multiplied by `exp(HIDDEN - score)`, which is zero.
const HIDDEN: f32 = -1e30;

/// Causal attention over the cache, to which the step's keys and values are written first.
pub(super) fn causal(
    qkv: &Tensor,
    rotary: Option<&Rotary>,
    cache: &mut Cache,
    layer: usize,
    batch: &Batch,
    attention: &Attention,
) -> Result<Tensor, BackendError> {
    let (queries, keys, values) = parts(qkv, rotary, attention)?;
    cache.write(layer, batch, &keys.flatten_from(1)?, &values.flatten_from(1)?)?;
    let outputs = batch
        .spans
        .iter()
        .map(|span| {
            let queries = Queries::new(&queries.narrow(0, span.rows.start, span.len())?, span, attention)?;
            let table = &batch.blocks[span.blocks.clone()];
            let first_seen = queries.seen(0).start;
            queries.attend(first_seen / TILE..span.context_len().div_ceil(TILE), |tile| {
                let start = tile * TILE;
                let tokens = TILE.min(span.context_len() - start);
                cache.gather(layer, &table[start / BLOCK_TOKENS..], tokens, TILE)
            })
        })
        .collect::<Result<Vec<_>, BackendError>>()?;
    Ok(Tensor::cat(&outputs, 0)?)
}

/// Attention of every row over all rows of its text.
pub(super) fn encoder(
    qkv: &Tensor,
    rotary: Option<&Rotary>,
    texts: &[Range<usize>],
    query_scales: Option<&[f32]>,
    attention: &Attention,
) -> Result<Tensor, BackendError> {
    let operation = "encoder_attention";
    let shape = |what, found, expected| BackendError::Shape { operation, what, found, expected };
    attention.check_two_sided()?;
    let (mut queries, keys, values) = parts(qkv, rotary, attention)?;
    let rows = qkv.dim(0)?;
    let mut next = 0;
    for text in texts {
        if text.start != next || text.end < next {
            return Err(shape("first row of a text", text.start, next));
        }
        next = text.end;
    }
    if next != rows {
        return Err(shape("rows of all texts", next, rows));
    }
    if let Some(scales) = query_scales {
        if scales.len() != rows {
            return Err(shape("query scales", scales.len(), rows));
        }
        queries = queries.broadcast_mul(&Tensor::from_slice(scales, (rows, 1, 1), qkv.device())?)?;
    }
    let mut outputs = Vec::new();
    for text in texts.iter().filter(|text| !text.is_empty()) {
        let span = Span { rows: text.clone(), start: 0, blocks: 0..0, adapter: AdapterId::BASE };
        let of_text = |x: &Tensor| x.narrow(0, text.start, text.len());
        let (keys, values) = (of_text(&keys)?, of_text(&values)?);
        let mut queries = Queries::new(&of_text(&queries)?, &span, attention)?;
        queries.sees_all = true;
        outputs.push(queries.attend(0..text.len().div_ceil(TILE), |tile| {
            let start = tile * TILE;
            let tokens = TILE.min(text.len() - start);
            let take = |x: &Tensor| -> Result<Tensor, BackendError> {
                let rows = x.narrow(0, start, tokens)?.pad_with_zeros(0, 0, TILE - tokens)?;
                Ok(rows.transpose(0, 1)?.contiguous()?)
            };
            Ok((take(&keys)?, take(&values)?))
        })?);
    }
    if outputs.is_empty() {
        let width = attention.heads * attention.head_dim;
        return Ok(Tensor::zeros((0, width), DType::F32, qkv.device())?);
    }
    Ok(Tensor::cat(&outputs, 0)?)
}

/// Queries, keys and values, each `[rows, heads, head_dim]`, the first two rotated.
fn parts(
    qkv: &Tensor,
    rotary: Option<&Rotary>,
    attention: &Attention,
) -> Result<(Tensor, Tensor, Tensor), BackendError> {
    let &Attention { heads, kv_heads, head_dim, .. } = attention;
    let (rows, width) = qkv.dims2()?;
    let slopes = attention.alibi.as_deref().map_or(heads, <[f32]>::len);
    for (what, found, expected) in
        [("qkv width", width, attention.qkv_width()), ("ALiBi slopes", slopes, heads)]
    {
        if found != expected {
            return Err(BackendError::Shape { operation: "attention", what, found, expected });
        }
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
    Ok((queries, keys, values))
}

/// The queries of one sequence's rows.
pub(super) struct Queries<'a> {
    /// `[kv_heads, padded rows, head_dim]`: the queries that share keys and values are rows of one product.
    queries: Tensor,
    span: &'a Span,
    attention: &'a Attention,
    /// Whether rows see what comes after them.
    sees_all: bool,
}

impl<'a> Queries<'a> {
    /// Of queries `[rows, heads, head_dim]`.
    pub(super) fn new(
        queries: &Tensor,
        span: &'a Span,
        attention: &'a Attention,
    ) -> Result<Self, BackendError> {
        let &Attention { heads, kv_heads, head_dim, .. } = attention;
        let group = heads / kv_heads;
        let rows = span.len() * group;
        let queries = queries
            .reshape((span.len(), kv_heads, group, head_dim))?
            .transpose(0, 1)?
            .reshape((kv_heads, rows, head_dim))?
            .pad_with_zeros(1, 0, MIN_ROWS.saturating_sub(rows))?
            .contiguous()?;
        Ok(Self { queries, span, attention, sees_all: false })
    }

    fn group(&self) -> usize {
        self.attention.heads / self.attention.kv_heads
    }

    /// The position of a row of the group; rows of padding are at the last.
    fn position(&self, row: usize) -> usize {
        self.span.start + (row / self.group()).min(self.span.len().saturating_sub(1))
    }

    /// The positions that a row of the group sees.
    fn seen(&self, row: usize) -> Range<usize> {
        if self.sees_all {
            return 0..self.span.context_len();
        }
        let end = self.position(row) + 1;
        self.attention.window.map_or(0, |window| end.saturating_sub(window))..end
    }

    /// Goes through `tiles`, of which `gather` gives keys and values, `[kv_heads, TILE, head_dim]` each. Returns
    /// `[rows, heads * head_dim]`.
    pub(super) fn attend(
        &self,
        tiles: Range<usize>,
        gather: impl Fn(usize) -> Result<(Tensor, Tensor), BackendError>,
    ) -> Result<Tensor, BackendError> {
        let &Attention { heads, kv_heads, head_dim, scale, .. } = self.attention;
        let (_, rows, _) = self.queries.dims3()?;
        let device = self.queries.device();
        let mut highest = Tensor::full(HIDDEN, (kv_heads, rows, 1), device)?;
        let mut weight_sum = Tensor::zeros((kv_heads, rows, 1), DType::F32, device)?;
        let mut sum = Tensor::zeros((kv_heads, rows, head_dim), DType::F32, device)?;
        for tile in tiles {
            let (keys, values) = gather(tile)?;
            let mut scores = (self.queries.matmul(&keys.t()?)? * f64::from(scale))?;
            if let Some(bias) = self.bias(tile * TILE, rows)? {
                scores = scores.broadcast_add(&bias)?;
            }
            let tile_highest = highest.maximum(&scores.max_keepdim(D::Minus1)?)?;
            let decay = (&highest - &tile_highest)?.exp()?;
            let weights = scores.broadcast_sub(&tile_highest)?.exp()?;
            weight_sum = ((weight_sum * &decay)? + weights.sum_keepdim(D::Minus1)?)?;
            sum = (sum.broadcast_mul(&decay)? + weights.matmul(&values)?)?;
            highest = tile_highest;
        }
        let (len, group) = (self.span.len(), self.group());
        let output = sum.broadcast_div(&weight_sum)?.narrow(1, 0, len * group)?;
        Ok(output
            .reshape((kv_heads, len, group, head_dim))?
            .transpose(0, 1)?
            .reshape((len, heads * head_dim))?)
    }

    /// What is added to the scores of the tile from position `start` on: [`HIDDEN`] where a row does not see a
    /// position, elsewhere ALiBi or zero; `[1 or kv_heads, rows, TILE]`. `None` where that is zero everywhere.
    fn bias(&self, start: usize, rows: usize) -> Result<Option<Tensor>, BackendError> {
        let group = self.group();
        let slopes = self.attention.alibi.as_deref();
        let sees_tile = |row: usize| {
            let seen = self.seen(row);
            seen.start <= start && start + TILE <= seen.end
        };
        if slopes.is_none() && (0..rows).all(sees_tile) {
            return Ok(None);
        }
        let tables = if slopes.is_some() { self.attention.kv_heads } else { 1 };
        let mut bias = vec![0.0f32; tables * rows * TILE];
        for (at, line) in bias.chunks_exact_mut(TILE).enumerate() {
            let (table, row) = (at / rows, at % rows);
            let (seen, position) = (self.seen(row), self.position(row));
            let slope = slopes.map_or(0.0, |slopes| slopes[table * group + row % group]);
            for (position_of_key, value) in (start..).zip(line) {
                *value = match seen.contains(&position_of_key) {
                    true => slope * (position_of_key as f32 - position as f32),
                    false => HIDDEN,
                };
            }
        }
        Ok(Some(Tensor::from_vec(bias, (tables, rows, TILE), self.queries.device())?))
    }
}

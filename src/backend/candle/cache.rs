//! The paged cache of keys and values, in `f32`.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};

use super::super::{BLOCK_TOKENS, BackendError, Batch, CacheShape, Span};

/// Keys and values of every layer, each `[blocks * BLOCK_TOKENS, kv_heads * head_dim]`.
#[derive(Debug)]
pub struct Cache {
    shape: CacheShape,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    keys: Tensor,
    values: Tensor,
}

/// Bytes that [`Cache::new`] takes.
pub(super) fn bytes(shape: &CacheShape) -> Option<u64> {
    let tokens = (shape.blocks as u64).checked_mul(BLOCK_TOKENS as u64)?;
    let width = (shape.kv_heads as u64).checked_mul(shape.head_dim as u64)?;
    tokens.checked_mul(width)?.checked_mul(2 * 4)?.checked_mul(shape.layers as u64)
}

impl Cache {
    pub(super) fn new(shape: &CacheShape, device: &Device) -> Result<Self, BackendError> {
        let what = "the block cache";
        let bytes = bytes(shape).ok_or(BackendError::Memory { what, bytes: u64::MAX })?;
        let tokens = shape.blocks * BLOCK_TOKENS;
        let width = shape.kv_heads * shape.head_dim;
        // Ask first: an allocation that fails must be an error, and candle's own would abort.
        let probe =
            |bytes: u64| Vec::<u8>::new().try_reserve_exact(usize::try_from(bytes).unwrap_or(usize::MAX));
        if probe(bytes).is_err() {
            return Err(BackendError::Memory { what, bytes });
        }
        let layers = (0..shape.layers)
            .map(|_| {
                Ok(Layer {
                    keys: Tensor::zeros((tokens, width), DType::F32, device)?,
                    values: Tensor::zeros((tokens, width), DType::F32, device)?,
                })
            })
            .collect::<Result<_, BackendError>>()?;
        Ok(Self { shape: *shape, layers })
    }

    /// The slots of a span's rows in the cache: runs of rows that lie in one block.
    fn runs(&self, batch: &Batch, span: &Span) -> Result<Vec<(Range<usize>, usize)>, BackendError> {
        let operation = "attention";
        let table = &batch.blocks[span.blocks.clone()];
        let expected = span.context_len().div_ceil(BLOCK_TOKENS);
        if table.len() < expected {
            return Err(BackendError::Shape { operation, what: "block table", found: table.len(), expected });
        }
        if let Some(&block) = table.iter().find(|&&block| block as usize >= self.shape.blocks) {
            return Err(BackendError::Index { operation, index: block as usize, len: self.shape.blocks });
        }
        let mut runs = Vec::new();
        let mut position = span.start;
        while position < span.context_len() {
            let end = ((position / BLOCK_TOKENS + 1) * BLOCK_TOKENS).min(span.context_len());
            let first = span.rows.start + position - span.start;
            let slot = table[position / BLOCK_TOKENS] as usize * BLOCK_TOKENS + position % BLOCK_TOKENS;
            runs.push((first..first + end - position, slot));
            position = end;
        }
        Ok(runs)
    }

    /// Writes the keys and values of every row of the batch, each `[rows, kv_heads * head_dim]`.
    pub(super) fn write(
        &mut self,
        layer: usize,
        batch: &Batch,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<(), BackendError> {
        let len = self.layers.len();
        let at = self.layers.get(layer).ok_or(BackendError::Index {
            operation: "attention",
            index: layer,
            len,
        })?;
        for span in &batch.spans {
            for (rows, slot) in self.runs(batch, span)? {
                at.keys.slice_set(&keys.narrow(0, rows.start, rows.len())?.contiguous()?, 0, slot)?;
                at.values.slice_set(&values.narrow(0, rows.start, rows.len())?.contiguous()?, 0, slot)?;
            }
        }
        Ok(())
    }

    /// Keys and values of `tokens` positions from block `first` of a table on, padded with zeros to `padded`
    /// positions; each `[kv_heads, padded, head_dim]`.
    pub(super) fn gather(
        &self,
        layer: usize,
        table: &[u32],
        tokens: usize,
        padded: usize,
    ) -> Result<(Tensor, Tensor), BackendError> {
        let CacheShape { kv_heads, head_dim, blocks, .. } = self.shape;
        let layer = &self.layers[layer];
        let ids = Tensor::new(&table[..tokens.div_ceil(BLOCK_TOKENS)], layer.keys.device())?;
        let take = |pool: &Tensor| -> Result<Tensor, BackendError> {
            let rows = pool.reshape((blocks, BLOCK_TOKENS * kv_heads * head_dim))?.index_select(&ids, 0)?;
            let rows = rows.reshape(((), kv_heads, head_dim))?.narrow(0, 0, tokens)?;
            Ok(rows.pad_with_zeros(0, 0, padded - tokens)?.transpose(0, 1)?.contiguous()?)
        };
        Ok((take(&layer.keys)?, take(&layer.values)?))
    }
}

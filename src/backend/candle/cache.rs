//! The paged cache of keys and values, or of latents and rotated keys, in `f32`.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};

use super::super::{BLOCK_TOKENS, BackendError, Batch, CacheEntry, CacheShape, Span};

/// Every layer's two pools, `[blocks * BLOCK_TOKENS, width]` each: of the keys and of the values of all heads, or of
/// latents and of rotated keys.
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
    let [first, second] = widths(shape.entry)?;
    let width = (first as u64).checked_add(second as u64)?;
    tokens.checked_mul(width)?.checked_mul(4)?.checked_mul(shape.layers as u64)
}

/// The widths of the two pools; `None` when that overflows.
fn widths(entry: CacheEntry) -> Option<[usize; 2]> {
    match entry {
        CacheEntry::KeyValue { kv_heads, head_dim } => Some([kv_heads.checked_mul(head_dim)?; 2]),
        CacheEntry::Latent { rank, rope_dim } => Some([rank, rope_dim]),
    }
}

impl Cache {
    pub(super) fn new(shape: &CacheShape, device: &Device) -> Result<Self, BackendError> {
        let what = "the block cache";
        let bytes = bytes(shape).ok_or(BackendError::Memory { what, bytes: u64::MAX })?;
        let tokens = shape.blocks * BLOCK_TOKENS;
        let [keys, values] = widths(shape.entry).ok_or(BackendError::Memory { what, bytes: u64::MAX })?;
        // Ask first: an allocation that fails must be an error, and candle's own would abort.
        let probe =
            |bytes: u64| Vec::<u8>::new().try_reserve_exact(usize::try_from(bytes).unwrap_or(usize::MAX));
        if probe(bytes).is_err() {
            return Err(BackendError::Memory { what, bytes });
        }
        let layers = (0..shape.layers)
            .map(|_| {
                Ok(Layer {
                    keys: Tensor::zeros((tokens, keys), DType::F32, device)?,
                    values: Tensor::zeros((tokens, values), DType::F32, device)?,
                })
            })
            .collect::<Result<_, BackendError>>()?;
        Ok(Self { shape: *shape, layers })
    }

    /// What the bytes of a block mean.
    pub(super) fn format(&self) -> String {
        format!("{:?}, {} layers of F32, blocks of {BLOCK_TOKENS}", self.shape.entry, self.shape.layers)
    }

    /// Where a block begins in the pools.
    fn slot(&self, block: u32) -> Result<usize, BackendError> {
        let (index, len) = (block as usize, self.shape.blocks);
        if index < len {
            return Ok(index * BLOCK_TOKENS);
        }
        Err(BackendError::Index { operation: "a block of the cache", index, len })
    }

    /// Appends what a block holds: layer by layer its keys and its values.
    pub(super) fn read_block(&self, block: u32, bytes: &mut Vec<u8>) -> Result<(), BackendError> {
        let slot = self.slot(block)?;
        for pool in self.layers.iter().flat_map(|layer| [&layer.keys, &layer.values]) {
            let rows = pool.narrow(0, slot, BLOCK_TOKENS)?.flatten_all()?.to_vec1::<f32>()?;
            bytes.extend(rows.iter().flat_map(|value| value.to_le_bytes()));
        }
        Ok(())
    }

    /// Puts into a block what was read of one.
    pub(super) fn write_block(&mut self, block: u32, bytes: &[u8]) -> Result<(), BackendError> {
        let slot = self.slot(block)?;
        let widths = widths(self.shape.entry).unwrap_or_default();
        let expected = widths.iter().sum::<usize>() * BLOCK_TOKENS * 4 * self.layers.len();
        if bytes.len() != expected {
            let (operation, what) = ("a block of the cache", "bytes");
            return Err(BackendError::Shape { operation, what, found: bytes.len(), expected });
        }
        let mut values =
            bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
        for pool in self.layers.iter().flat_map(|layer| [&layer.keys, &layer.values]) {
            let width = pool.dim(1)?;
            let rows: Vec<f32> = values.by_ref().take(BLOCK_TOKENS * width).collect();
            pool.slice_set(&Tensor::from_vec(rows, (BLOCK_TOKENS, width), pool.device())?, 0, slot)?;
        }
        Ok(())
    }

    /// What it keeps of a token.
    pub(super) fn entry(&self) -> CacheEntry {
        self.shape.entry
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

    /// Writes every row of the batch to the two pools, `[rows, width]` each.
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

    /// What the two pools have of the first `tokens` positions of a table, padded with zeros to `padded` positions;
    /// `[heads, padded, width of a head]` each, with one head for latents.
    pub(super) fn gather(
        &self,
        layer: usize,
        table: &[u32],
        tokens: usize,
        padded: usize,
    ) -> Result<(Tensor, Tensor), BackendError> {
        let blocks = self.shape.blocks;
        let heads = match self.shape.entry {
            CacheEntry::KeyValue { kv_heads, .. } => kv_heads,
            CacheEntry::Latent { .. } => 1,
        };
        let layer = &self.layers[layer];
        let ids = Tensor::new(&table[..tokens.div_ceil(BLOCK_TOKENS)], layer.keys.device())?;
        let take = |pool: &Tensor| -> Result<Tensor, BackendError> {
            let width = pool.dim(1)?;
            let rows = pool.reshape((blocks, BLOCK_TOKENS * width))?.index_select(&ids, 0)?;
            let rows = rows.reshape(((), heads, width / heads))?.narrow(0, 0, tokens)?;
            Ok(rows.pad_with_zeros(0, 0, padded - tokens)?.transpose(0, 1)?.contiguous()?)
        };
        Ok((take(&layer.keys)?, take(&layer.values)?))
    }
}

//! Single blocks as bytes, to be kept and put back.

use super::super::super::{BLOCK_TOKENS, BackendError};
use super::Cache;

const OPERATION: &str = "a block of the cache";

/// Bytes of the scales of a block's tokens, for one head.
const SCALES: usize = BLOCK_TOKENS * size_of::<f32>();

impl Cache {
    /// What the bytes of a block mean.
    pub(in super::super) fn format(&self) -> String {
        format!("{:?}, {} layers of {:?}, blocks of {BLOCK_TOKENS}", self.entry, self.layers.len(), self.kind)
    }

    /// Bytes of one block.
    pub(in super::super) fn block_bytes(&self) -> usize {
        let scales = if self.kind.has_scales() { 2 * SCALES } else { 0 };
        let cell = self.layout.key_bytes() + self.layout.value_bytes() + scales;
        cell * self.layout.kv_heads * self.layers.len()
    }

    /// Appends what a block holds: layer by layer and head by head its keys, its values, and their scales.
    pub(in super::super) fn read_block(&self, block: u32, bytes: &mut Vec<u8>) -> Result<(), BackendError> {
        self.check_block(block)?;
        let wanted = self.block_bytes();
        bytes
            .try_reserve(wanted)
            .map_err(|_| BackendError::Memory { what: OPERATION, bytes: wanted as u64 })?;
        let sizes = self.cell_sizes();
        for layer in &self.layers {
            let pools = [&layer.keys, &layer.values, &layer.key_scales, &layer.value_scales];
            for head in 0..self.layout.kv_heads {
                let cell = self.layout.cell(block as usize, head);
                for (pool, size) in pools.iter().zip(sizes) {
                    bytes.extend_from_slice(&pool.as_slice()[cell * size..(cell + 1) * size]);
                }
            }
        }
        Ok(())
    }

    /// Puts into a block what was read of one.
    pub(in super::super) fn write_block(&mut self, block: u32, bytes: &[u8]) -> Result<(), BackendError> {
        self.check_block(block)?;
        let expected = self.block_bytes();
        if bytes.len() != expected {
            let (operation, what) = (OPERATION, "bytes");
            return Err(BackendError::Shape { operation, what, found: bytes.len(), expected });
        }
        let (sizes, layout) = (self.cell_sizes(), self.layout);
        let mut rest = bytes;
        for layer in &mut self.layers {
            for head in 0..layout.kv_heads {
                let cell = layout.cell(block as usize, head);
                let pools =
                    [&mut layer.keys, &mut layer.values, &mut layer.key_scales, &mut layer.value_scales];
                for (pool, size) in pools.into_iter().zip(sizes) {
                    let (own, others) = rest.split_at(size);
                    pool.as_mut_slice()[cell * size..(cell + 1) * size].copy_from_slice(own);
                    rest = others;
                }
            }
        }
        Ok(())
    }

    /// Bytes from cell to cell of each pool of a layer.
    fn cell_sizes(&self) -> [usize; 4] {
        let scales = if self.kind.has_scales() { SCALES } else { 0 };
        [self.layout.key_bytes(), self.layout.value_bytes(), scales, scales]
    }

    fn check_block(&self, block: u32) -> Result<(), BackendError> {
        let (index, len) = (block as usize, self.layout.blocks);
        if index < len { Ok(()) } else { Err(BackendError::Index { operation: OPERATION, index, len }) }
    }
}

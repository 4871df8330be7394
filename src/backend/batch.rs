//! The ragged batch: what one step computes, as plain data.
//!
//! A step is a flat list of tokens from many sequences. Each sequence contributes one [`Span`] of consecutive rows:
//! one row for a decode, many for a chunk of a prefill. No padding anywhere.

use std::ops::Range;

/// Tokens in one block of the paged cache.
pub const BLOCK_TOKENS: usize = 16;

/// Names the adapter that a sequence is computed with, among all that its engine ever had: never given twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AdapterId(pub u32);

impl AdapterId {
    /// No adapter: the model as it is.
    pub const BASE: Self = Self(0);
}

/// The rows that one sequence contributes to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The rows of the batch that belong to the sequence.
    pub rows: Range<usize>,
    /// The position in the sequence of the first row; positions of the span are consecutive.
    pub start: usize,
    /// Where the sequence's block table lies in [`Batch::blocks`]: one block per [`BLOCK_TOKENS`] positions,
    /// covering every position from 0 to the span's last.
    pub blocks: Range<usize>,
    /// The adapter that its rows are computed with.
    pub adapter: AdapterId,
}

impl Span {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the span has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The number of positions that are in the cache after the step: the length of the context.
    pub fn context_len(&self) -> usize {
        self.start + self.rows.len()
    }
}

/// One step over many sequences. Cleared and filled again, so that a steady decode allocates nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Token ids, one per row.
    pub ids: Vec<u32>,
    /// Position of each row in its sequence.
    pub positions: Vec<u32>,
    /// One span per sequence, in row order, covering all rows.
    pub spans: Vec<Span>,
    /// Block tables of all spans, one after the other.
    pub blocks: Vec<u32>,
    /// The rows whose logits are wanted, ascending.
    pub logit_rows: Vec<u32>,
}

impl Batch {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.ids.len()
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.positions.clear();
        self.spans.clear();
        self.blocks.clear();
        self.logit_rows.clear();
    }

    /// Appends a span of the model without adapter: as [`push_adapted`](Self::push_adapted).
    pub fn push(&mut self, ids: &[u32], start: usize, block_table: &[u32], logits: usize) {
        self.push_adapted(AdapterId::BASE, ids, start, block_table, logits);
    }

    /// Appends a span: `ids` at positions `start..`, with the sequence's block table (one block per
    /// [`BLOCK_TOKENS`] positions up to the last row), and logits wanted for its last `logits` rows.
    pub fn push_adapted(
        &mut self,
        adapter: AdapterId,
        ids: &[u32],
        start: usize,
        block_table: &[u32],
        logits: usize,
    ) {
        let first = self.ids.len();
        self.ids.extend_from_slice(ids);
        self.positions.extend((start..start + ids.len()).map(|position| position as u32));
        let blocks = self.blocks.len()..self.blocks.len() + block_table.len();
        self.blocks.extend_from_slice(block_table);
        let end = self.ids.len();
        self.logit_rows.extend((end - logits..end).map(|row| row as u32));
        self.spans.push(Span { rows: first..end, start, blocks, adapter });
    }
}

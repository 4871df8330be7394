//! Whole texts for an encoder, as plain data: one after the other, without padding.

use std::ops::Range;

/// The texts of one step. Cleared and filled again, so that its memory serves many steps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// Token ids, one per row.
    pub ids: Vec<u32>,
    /// Position of each row in its text.
    pub positions: Vec<u32>,
    /// The rows of each text, in row order, covering all rows.
    pub spans: Vec<Range<usize>>,
}

impl Texts {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.ids.len()
    }

    /// The number of texts.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.positions.clear();
        self.spans.clear();
    }

    /// Appends a text.
    pub fn push(&mut self, ids: &[u32]) {
        let first = self.ids.len();
        self.ids.extend_from_slice(ids);
        self.positions.extend((0..ids.len()).map(|position| position as u32));
        self.spans.push(first..self.ids.len());
    }
}

//! Units of work: query rows of one sequence that share a key and value head.

use super::super::super::{BackendError, Span};
use super::tile::ROWS;

/// Rows of one span and one key and value head. Rows are counted over the span's positions and, within a position,
/// the query heads of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) span: usize,
    pub(super) kv_head: usize,
    pub(super) first_row: usize,
    /// At least one, at most [`ROWS`].
    pub(super) rows: usize,
    /// Query heads of the group.
    pub(super) group: usize,
}

impl Unit {
    /// The query head of a row.
    pub(super) fn query_head(&self, row: usize) -> usize {
        self.kv_head * self.group + (self.first_row + row) % self.group
    }
}

/// The units of all spans.
pub(super) struct Units<'a> {
    spans: &'a [Span],
    group: usize,
    /// Per span the number of its first unit; then the number of all.
    first: &'a [i32],
}

impl<'a> Units<'a> {
    /// Counts the units; `first` has one element more than there are spans.
    pub(super) fn new(
        spans: &'a [Span],
        group: usize,
        kv_heads: usize,
        first: &'a mut [i32],
    ) -> Result<Self, BackendError> {
        let mut count = 0usize;
        for (span, first) in spans.iter().map(Some).chain([None]).zip(first.iter_mut()) {
            *first = i32::try_from(count)
                .map_err(|_| BackendError::Memory { what: "attention over a step", bytes: count as u64 })?;
            count += span.map_or(0, |span| (span.len() * group).div_ceil(ROWS) * kv_heads);
        }
        Ok(Self { spans, group, first })
    }

    /// The number of units.
    pub(super) fn count(&self) -> usize {
        self.first.last().map_or(0, |&count| count as usize)
    }

    /// A unit by its number. Units of a head come one after the other, while its keys and values are in the caches; of
    /// these the last rows come first: they have most to do.
    pub(super) fn unit(&self, number: usize) -> Unit {
        let span = self.first.partition_point(|&first| first as usize <= number) - 1;
        let within = number - self.first[span] as usize;
        let rows = self.spans[span].len() * self.group;
        let tiles = rows.div_ceil(ROWS);
        let (kv_head, tile) = (within / tiles, tiles - 1 - within % tiles);
        let first_row = tile * ROWS;
        let rows = ROWS.min(rows - first_row);
        Unit { span, kv_head, first_row, rows, group: self.group }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::backend::AdapterId;

    #[test]
    fn units_cover_every_row_and_head_once() {
        let lens = [1, 0, 33, 7, 64, 0];
        for (group, kv_heads) in [(1, 1), (3, 2), (71, 1), (4, 8)] {
            let mut start = 0;
            let spans = lens.map(|len| {
                start += len;
                Span { rows: start - len..start, start: 5, blocks: 0..0, adapter: AdapterId::BASE }
            });
            let mut first = [0; 7];
            let units = Units::new(&spans, group, kv_heads, &mut first).unwrap();
            let mut hits = vec![0; start * group * kv_heads];
            for unit in (0..units.count()).map(|number| units.unit(number)) {
                assert!((1..=ROWS).contains(&unit.rows));
                for row in 0..unit.rows {
                    let position = spans[unit.span].rows.start + (unit.first_row + row) / group;
                    hits[position * group * kv_heads + unit.query_head(row)] += 1;
                }
            }
            assert!(hits.iter().all(|&hit| hit == 1), "group {group}, {kv_heads} heads");
        }
    }
}

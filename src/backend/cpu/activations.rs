//! Activations rounded to int8, in the order in which a kernel reads them.
//!
//! The rows that one matrix multiplies are cut into tiles of equal height. In a tile, what belongs to the same inputs lies side by side for all rows,
//! so that the inner loop of a kernel has one pointer and constant distances. A tile that is not full ends with rows
//! of zeros.

use std::ops::Range;
use std::sync::Arc;

use super::buffer::{Arena, Elements};
use super::kernels::{Form, Int8Rows, Side};
use super::pack::GROUP;
use super::threads::SharedMut;
use crate::backend::BackendError;

/// Int8 activations of some rows.
///
/// Consecutive rows that are multiplied with the same weights are a *run*, named by its range: each run is tiled on its
/// own. Where a run lies follows from its range alone, so runs need no table.
pub(super) struct Int8Activations {
    form: Form,
    groups: usize,
    q: Elements<i8>,
    scales: Elements<f32>,
    side: Elements<i32>,
}

/// Where a run lies.
#[derive(Clone, Copy)]
struct Place {
    /// Rows of its tiles.
    height: usize,
    /// Rows before it, those that fill up tiles included.
    first: usize,
    /// Tiles before it, at most.
    tiles: usize,
}

impl Place {
    /// A run of `n` rows takes at most `n + (n - 1) / max_height` rows of at most `n` tiles: this leaves every run
    /// before this one enough of both.
    fn of(form: Form, run: &Range<usize>) -> Self {
        let first = run.start + run.start / form.max_height;
        Self { height: form.height(run.len()), first, tiles: run.start }
    }

    /// The first byte of a tile.
    fn tile(self, tile: usize, groups: usize) -> usize {
        let before = self.first * groups * GROUP + self.tiles * Int8Rows::tile_bytes(0, groups);
        before + tile * Int8Rows::tile_bytes(self.height, groups)
    }
}

impl Int8Activations {
    /// Room for `rows` rows of `groups` groups, in whatever runs; the content is whatever was there before.
    pub(super) fn new(
        arena: &Arc<Arena>,
        form: Form,
        rows: usize,
        groups: usize,
    ) -> Result<Self, BackendError> {
        let all = Place::of(form, &(rows..rows));
        Ok(Self {
            form,
            groups,
            q: arena.elements(all.tile(0, groups))?,
            scales: arena.elements(all.first * form.blocks(groups))?,
            side: arena.elements(all.first * form.words(groups))?,
        })
    }

    /// What kernels want of these activations.
    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// Rows of a run from its row `from` on, the first of a tile.
    pub(super) fn rows_from(&self, run: &Range<usize>, from: usize) -> Int8Rows {
        let place = Place::of(self.form, run);
        let tile = from / place.height;
        debug_assert_eq!(tile * place.height, from);
        let first = place.first + from;
        Int8Rows {
            q: self.q.as_slice()[place.tile(tile, self.groups)..].as_ptr(),
            scales: self.scales.as_slice()[first * self.form.blocks(self.groups)..].as_ptr(),
            side: self.side.as_slice()[first * self.form.words(self.groups)..].as_ptr(),
            groups: self.groups,
            height: place.height,
        }
    }

    /// Where rows are written.
    pub(super) fn writer(&mut self) -> Writer {
        Writer {
            form: self.form,
            groups: self.groups,
            q: SharedMut::new(self.q.as_mut_slice().as_mut_ptr()),
            scales: SharedMut::new(self.scales.as_mut_slice().as_mut_ptr()),
            side: SharedMut::new(self.side.as_mut_slice().as_mut_ptr()),
        }
    }
}

/// Writes rows, also several at once.
#[derive(Clone, Copy)]
pub(super) struct Writer {
    form: Form,
    groups: usize,
    q: SharedMut<i8>,
    scales: SharedMut<f32>,
    side: SharedMut<i32>,
}

impl Writer {
    /// Writes the rows of one run.
    pub(super) fn run(self, run: &Range<usize>) -> RunWriter {
        RunWriter { writer: self, place: Place::of(self.form, run), rows: run.len() }
    }
}

/// Writes the rows of one run, numbered from its first.
#[derive(Clone, Copy)]
pub(super) struct RunWriter {
    writer: Writer,
    place: Place,
    rows: usize,
}

impl RunWriter {
    /// Rows that the tiles of the run hold: those beyond its own must be zeros.
    pub(super) fn capacity(self) -> usize {
        self.rows.next_multiple_of(self.place.height)
    }

    /// Writes a row: its integers, a scale per group and the sums of half groups.
    ///
    /// # Safety
    /// The row is below the capacity, nobody else writes it meanwhile, and the activations still exist.
    pub(super) unsafe fn row(self, row: usize, q: &[i8], scales: &[f32], sums: &[i32]) {
        let Self { writer: Writer { form, groups, .. }, place, .. } = self;
        let (height, (tile, within)) = (place.height, (row / place.height, row % place.height));
        let q_first = place.tile(tile, groups) + within * GROUP;
        for (group, q) in q.chunks_exact(GROUP).take(groups).enumerate() {
            // SAFETY: every row has its own bytes in each group of its tile.
            unsafe { self.writer.q.slice(q_first + group * height * GROUP, GROUP) }.copy_from_slice(q);
        }
        let blocks = form.blocks(groups);
        for (block, scales) in scales.chunks(form.shared).take(blocks).enumerate() {
            let at = place.first * blocks + (tile * blocks + block) * height + within;
            // SAFETY: and a scale in each block.
            let to = unsafe { self.writer.scales.slice(at, 1) };
            to.copy_from_slice(&scales[..1]);
        }
        let words = form.words(form.shared);
        let sums = sums.chunks(2 * form.shared).zip(scales.chunks(form.shared));
        for (block, (sums, scales)) in sums.take(blocks).enumerate() {
            let at = place.first * blocks + (tile * blocks + block) * height + within;
            // SAFETY: and its words.
            let to = unsafe { self.writer.side.slice(at * words, words) };
            form.side.write(sums, scales[0], to);
        }
    }

    /// Writes a row of zeros.
    ///
    /// # Safety
    /// As for [`row`](Self::row).
    pub(super) unsafe fn zeros(self, row: usize) {
        let Self { writer: Writer { form, groups, .. }, place, .. } = self;
        let (height, (tile, within)) = (place.height, (row / place.height, row % place.height));
        let (blocks, words) = (form.blocks(groups), form.words(form.shared));
        let q_first = place.tile(tile, groups) + within * GROUP;
        for group in 0..groups {
            // SAFETY: as for other rows.
            unsafe { self.writer.q.slice(q_first + group * height * GROUP, GROUP) }.fill(0);
        }
        for block in 0..blocks {
            let at = place.first * blocks + (tile * blocks + block) * height + within;
            // SAFETY: as for other rows.
            unsafe { self.writer.scales.slice(at, 1) }.fill(0.0);
            // SAFETY: as for other rows.
            unsafe { self.writer.side.slice(at * words, words) }.fill(0);
        }
    }
}

impl Side {
    /// The words of a block from the sums of its half groups and its scale.
    fn write(self, sums: &[i32], scale: f32, to: &mut [i32]) {
        let whole = sums.as_chunks::<2>().0.iter().map(|[first, second]| first + second);
        match self {
            Self::None => {}
            Self::Sums => to.copy_from_slice(sums),
            Self::HalfStarts { offset } => {
                to.iter_mut().zip(sums).for_each(|(to, sum)| *to = -offset * sum);
            }
            Self::BlockStarts { offset } => to.fill(-offset * sums.iter().sum::<i32>()),
            Self::Starts { offset } => to.iter_mut().zip(whole).for_each(|(to, sum)| *to = -offset * sum),
            Self::Scaled => {
                for (to, sum) in to.iter_mut().zip(whole) {
                    *to = (scale * sum as f32).to_bits().cast_signed();
                }
            }
            Self::HalfPairs => {
                for (to, &[first, second]) in to.iter_mut().zip(sums.as_chunks::<2>().0) {
                    *to = pair(first, second);
                }
            }
            Self::Pairs => {
                for (to, &[a, b, c, d]) in to.iter_mut().zip(sums.as_chunks::<4>().0) {
                    *to = pair(a + b, c + d);
                }
            }
        }
    }
}

/// Two numbers of 16 bits, the first one in the low half. Sums of 32 integers up to 127 have 13 bits.
fn pair(low: i32, high: i32) -> i32 {
    low & 0xFFFF | high << 16
}

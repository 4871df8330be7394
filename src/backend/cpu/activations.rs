//! Activations rounded to int8, in the order in which a kernel reads them.
//!
//! Rows are cut into tiles of equal height. In a tile, what belongs to the same inputs lies side by side for all rows,
//! so that the inner loop of a kernel has one pointer and constant distances. A tile that is not full ends with rows
//! of zeros.

use std::sync::Arc;

use super::buffer::{Arena, Elements};
use super::kernels::{Form, Int8Rows, Side};
use super::pack::GROUP;
use super::threads::SharedMut;
use crate::backend::BackendError;

/// Int8 activations of some rows.
pub(super) struct Int8Activations {
    form: Form,
    groups: usize,
    height: usize,
    tiles: usize,
    q: Elements<i8>,
    scales: Elements<f32>,
    side: Elements<i32>,
}

impl Int8Activations {
    /// Room for `rows` rows of `groups` groups; the content is whatever was there before.
    pub(super) fn new(
        arena: &Arc<Arena>,
        form: Form,
        rows: usize,
        groups: usize,
    ) -> Result<Self, BackendError> {
        let height = form.height(rows);
        let tiles = rows.div_ceil(height);
        let tile_bytes = Int8Rows::tile_bytes(height, groups);
        Ok(Self {
            form,
            groups,
            height,
            tiles,
            q: arena.elements(tiles * tile_bytes)?,
            scales: arena.elements(tiles * height * form.blocks(groups))?,
            side: arena.elements(tiles * height * form.words(groups))?,
        })
    }

    /// What kernels want of these activations.
    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// Rows that there is room for: those of all tiles.
    pub(super) fn capacity(&self) -> usize {
        self.tiles * self.height
    }

    /// Rows from `first` on, the first of a tile.
    pub(super) fn rows_from(&self, first: usize) -> Int8Rows {
        let tile = first / self.height;
        debug_assert_eq!(tile * self.height, first);
        Int8Rows {
            q: self.q.as_slice()[tile * Int8Rows::tile_bytes(self.height, self.groups)..].as_ptr(),
            scales: self.scales.as_slice()[first * self.form.blocks(self.groups)..].as_ptr(),
            side: self.side.as_slice()[first * self.form.words(self.groups)..].as_ptr(),
            groups: self.groups,
            height: self.height,
        }
    }

    /// Where rows are written.
    pub(super) fn writer(&mut self) -> Writer {
        Writer {
            form: self.form,
            groups: self.groups,
            height: self.height,
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
    height: usize,
    q: SharedMut<i8>,
    scales: SharedMut<f32>,
    side: SharedMut<i32>,
}

impl Writer {
    /// Writes a row: its integers, a scale per group and the sums of half groups.
    ///
    /// # Safety
    /// The row is below the capacity, nobody else writes it meanwhile, and the activations still exist.
    pub(super) unsafe fn row(self, row: usize, q: &[i8], scales: &[f32], sums: &[i32]) {
        let Self { form, groups, height, .. } = self;
        let (tile, within) = (row / height, row % height);
        let q_first = tile * Int8Rows::tile_bytes(height, groups) + within * GROUP;
        for (group, q) in q.chunks_exact(GROUP).take(groups).enumerate() {
            // SAFETY: every row has its own bytes in each group of its tile.
            unsafe { self.q.slice(q_first + group * height * GROUP, GROUP) }.copy_from_slice(q);
        }
        let blocks = form.blocks(groups);
        for (block, scales) in scales.chunks(form.shared).take(blocks).enumerate() {
            // SAFETY: and a scale in each block.
            let to = unsafe { self.scales.slice((tile * blocks + block) * height + within, 1) };
            to.copy_from_slice(&scales[..1]);
        }
        let words = form.words(form.shared);
        let of_blocks = sums.chunks(2 * form.shared).zip(scales.chunks(form.shared));
        for (block, (sums, scales)) in of_blocks.take(blocks).enumerate() {
            let first = ((tile * blocks + block) * height + within) * words;
            // SAFETY: and its words.
            let to = unsafe { self.side.slice(first, words) };
            form.side.write(sums, scales[0], to);
        }
    }

    /// Writes a row of zeros.
    ///
    /// # Safety
    /// As for [`row`](Self::row).
    pub(super) unsafe fn zeros(self, row: usize) {
        let Self { form, groups, height, .. } = self;
        let (tile, within) = (row / height, row % height);
        let (blocks, words) = (form.blocks(groups), form.words(form.shared));
        let q_first = tile * Int8Rows::tile_bytes(height, groups) + within * GROUP;
        for group in 0..groups {
            // SAFETY: as for other rows.
            unsafe { self.q.slice(q_first + group * height * GROUP, GROUP) }.fill(0);
        }
        for block in 0..blocks {
            let at = (tile * blocks + block) * height + within;
            // SAFETY: as for other rows.
            unsafe { self.scales.slice(at, 1) }.fill(0.0);
            // SAFETY: as for other rows.
            unsafe { self.side.slice(at * words, words) }.fill(0);
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

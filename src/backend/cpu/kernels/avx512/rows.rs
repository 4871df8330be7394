//! A tile's rows of int8 activations, copied to where their distances are constants, with what a tile needs of their
//! sums made ready: so that the inner loop has one pointer for all rows, and every operand is in memory as it is used.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::super::Int8Rows;
use super::format::Format;
use super::level::Level;

/// The most rows of a tile.
pub(super) const ROWS: usize = 8;
/// Groups of all rows together, at most.
pub(super) const GROUPS: usize = 128;

/// Groups that there is room for with so many rows, whole super-blocks: row by row, what belongs to a group lies this
/// far from what belongs to the same group of the row before.
pub(super) const fn capacity(rows: usize) -> usize {
    GROUPS / rows / 8 * 8
}

/// Some groups of some rows.
#[repr(C, align(64))]
pub(super) struct Rows {
    /// The integers, the rows of a group side by side.
    q: [[MaybeUninit<i8>; 32]; GROUPS],
    /// What the dot products begin with: minus the offset of the weights times the sum of the activations.
    starts: [MaybeUninit<i32>; 2 * GROUPS],
    scales: [MaybeUninit<f32>; GROUPS],
    /// Scaled sums, for formats that have adds.
    sums: [MaybeUninit<f32>; 2 * GROUPS],
}

impl Rows {
    /// Of any content.
    #[inline(always)]
    pub(super) fn uninit() -> MaybeUninit<Self> {
        MaybeUninit::uninit()
    }

    /// The integers of step `S` of a group, in every lane.
    #[inline(always)]
    pub(super) unsafe fn step<const S: usize, const R: usize>(&self, row: usize, group: usize) -> __m512i {
        // SAFETY: the group was filled; the features are those of the function this is inlined into.
        unsafe {
            let q = self.q.as_ptr().cast::<i32>().add((group * R + row) * 8 + S);
            _mm512_set1_epi32(*q)
        }
    }

    /// What the dot product of a group, or of a half of it, begins with.
    #[inline(always)]
    pub(super) unsafe fn start<const R: usize>(&self, row: usize, at: usize) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_set1_epi32(*self.starts.as_ptr().cast::<i32>().add(row * 2 * capacity(R) + at)) }
    }

    #[inline(always)]
    pub(super) unsafe fn scale<const R: usize>(&self, row: usize, group: usize) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_set1_ps(*self.scales.as_ptr().cast::<f32>().add(row * capacity(R) + group)) }
    }

    /// The scaled sum of a group, or of a half of it.
    #[inline(always)]
    pub(super) unsafe fn sum<const R: usize>(&self, row: usize, at: usize) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_set1_ps(*self.sums.as_ptr().cast::<f32>().add(row * 2 * capacity(R) + at)) }
    }

    /// Copies `groups` groups from group `first` on, at most [`capacity`], of `rows` rows, at most [`ROWS`], for tiles
    /// of as many rows.
    #[inline(always)]
    pub(super) unsafe fn fill<L: Level, F: Format>(
        &mut self,
        x: &Int8Rows,
        first_row: usize,
        rows: usize,
        first: usize,
        groups: usize,
    ) {
        let offset = if F::SIGNED { L::SIGNED_OFFSET } else { F::OFFSET };
        for row in 0..rows {
            let from = first_row + row;
            // SAFETY: the groups are within the rows that the caller gives, and here within the arrays: eight groups
            // at a time, masked down to those there are.
            unsafe {
                let q = x.q.add(from * x.stride + 32 * first);
                let q_to = self.q.as_mut_ptr().cast::<u8>().add(row * 32);
                for group in 0..groups {
                    let bytes = _mm256_loadu_si256(q.add(32 * group).cast());
                    _mm256_storeu_si256(q_to.add(32 * rows * group).cast(), bytes);
                }
                for eight in (0..groups).step_by(8) {
                    let present = (groups - eight).min(8);
                    let eight_mask = (0xFF_u32 >> (8 - present)) as u8;
                    let halves_mask = (0xFFFF_u32 >> (16 - 2 * present)) as u16;
                    let at = from * x.groups + first + eight;
                    let scales = _mm256_maskz_loadu_ps(eight_mask, x.scales.add(at));
                    let scales_to = self.scales.as_mut_ptr().cast::<f32>().add(row * capacity(rows) + eight);
                    _mm256_storeu_ps(scales_to, scales);
                    let halves = _mm512_maskz_loadu_epi32(halves_mask, x.sums.add(2 * at));
                    let starts_to = self.starts.as_mut_ptr().cast::<i32>().add(row * 2 * capacity(rows));
                    let sums_to = self.sums.as_mut_ptr().cast::<f32>().add(row * 2 * capacity(rows));
                    if F::SCALES == 1 {
                        let sums = _mm512_add_epi32(halves, _mm512_srli_epi64::<32>(halves));
                        let sums = _mm512_cvtepi64_epi32(sums);
                        let starts = _mm256_mullo_epi32(sums, _mm256_set1_epi32(-offset));
                        _mm256_storeu_si256(starts_to.add(eight).cast(), starts);
                        if F::ADDS {
                            let sums = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), scales);
                            _mm256_storeu_ps(sums_to.add(eight), sums);
                        }
                    } else {
                        let starts = _mm512_mullo_epi32(halves, _mm512_set1_epi32(-offset));
                        _mm512_storeu_si512(starts_to.add(2 * eight).cast(), starts);
                        if F::ADDS {
                            let twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
                            let scales = _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(scales));
                            let sums = _mm512_mul_ps(_mm512_cvtepi32_ps(halves), scales);
                            _mm512_storeu_ps(sums_to.add(2 * eight), sums);
                        }
                    }
                }
            }
        }
    }
}

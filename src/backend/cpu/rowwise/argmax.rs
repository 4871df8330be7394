//! The greatest value of a row, as greedy decoding asks for it.

use super::super::Level;
use super::super::simd::{Lanes, multiversion};
use super::reduce::greatest;

/// Values that are searched for their greatest at once; where it was found they are searched again.
const PART: usize = 1024;

/// The index of the greatest value, the first of several; NaN counts as less than everything. Zero for a row without
/// numbers.
pub(in super::super) fn argmax(level: Level, row: &[f32]) -> usize {
    let search = searcher(level);
    let mut found = (0, f32::NEG_INFINITY);
    for (nth, part) in row.chunks(PART).enumerate() {
        // SAFETY: the level is the processor's.
        let value = unsafe { search(part) };
        if value > found.1 {
            found = (nth, value);
        }
    }
    let first = found.0 * PART;
    row.iter().skip(first).take(PART).position(|&x| x == found.1).map_or(0, |at| first + at)
}

multiversion! {
    /// The greatest value of a part.
    fn searcher(part: &[f32]) -> f32 = search;
}

#[inline(always)]
unsafe fn search<L: Lanes>(part: &[f32]) -> f32 {
    // SAFETY: a slice.
    unsafe { greatest::<L>(part.as_ptr(), part.len()) }
}

//! Panels of int8 weights with one scale per row: no file has this format, rows are rounded to it while they are read.
//!
//! A weight is `scale * (q - 128)` with `q` from 1 to 255. The scale of a row is its largest magnitude divided by 127,
//! so no weight is further off than half of it. Two kinds of rows are special, as in activations:
//! - one whose largest magnitude is below 2^-120 counts as zero;
//! - one with an infinity or a NaN has a scale that is not a number.

use super::{GROUP, PANEL};

/// Bytes of the scales: `f32[16]`, before the groups.
const SCALES: usize = 4 * PANEL;
/// Bytes of a group: `u8[8][16][4]`.
const GROUP_BYTES: usize = GROUP * PANEL;
/// Rows whose largest magnitude lies below count as zero: 127 divided by it would overflow.
const SMALLEST: f32 = f32::from_bits((127 - 120) << 23);

/// One panel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChannelPanel<'a> {
    bytes: &'a [u8],
}

impl<'a> ChannelPanel<'a> {
    /// What the integers are above the values that the scales mean.
    pub(crate) const OFFSET: i32 = 128;

    /// Bytes of a panel whose rows have so many inputs; `None` when there are too many. The last group is filled up
    /// with zeros.
    pub(super) fn bytes(cols: usize) -> Option<usize> {
        cols.div_ceil(GROUP).checked_mul(GROUP_BYTES)?.checked_add(SCALES)
    }

    /// The same for whole groups.
    pub(crate) const fn bytes_of_groups(groups: usize) -> usize {
        SCALES + groups * GROUP_BYTES
    }

    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Scale of a row.
    pub(crate) fn scale(self, lane: usize) -> f32 {
        let scales = self.bytes.as_chunks::<4>().0;
        scales.get(lane).map_or(0.0, |bytes| f32::from_le_bytes(*bytes))
    }

    /// Integers of a group: `[8][16][4]`.
    #[inline(always)]
    pub(crate) fn group(self, group: usize) -> &'a [u8] {
        &self.bytes[SCALES + group * GROUP_BYTES..][..GROUP_BYTES]
    }

    /// Widens one row to `f32`.
    pub(super) fn unpack_row(self, lane: usize, out: &mut [f32]) {
        let scale = self.scale(lane);
        for (index, out) in out.chunks_mut(GROUP).enumerate() {
            let steps = self.group(index).as_chunks::<{ 4 * PANEL }>().0;
            for (step, out) in steps.iter().zip(out.chunks_mut(4)) {
                for (q, out) in step[4 * lane..].iter().zip(out) {
                    *out = scale * (i32::from(*q) - Self::OFFSET) as f32;
                }
            }
        }
    }
}

/// Rounds a row and writes it to a lane of a panel, which holds zeros for the inputs that the row does not have.
pub(super) fn pack_row(row: &[f32], lane: usize, panel: &mut [u8]) {
    // Magnitudes order like their bits, with infinity and then NaN above all numbers.
    let max = row.iter().map(|x| x.abs().to_bits()).max().map_or(0.0, f32::from_bits);
    let (scale, inverse) = if !max.is_finite() {
        (f32::NAN, 0.0)
    } else if max < SMALLEST {
        (0.0, 0.0)
    } else {
        (max / 127.0, 127.0 / max)
    };
    panel[4 * lane..][..4].copy_from_slice(&scale.to_le_bytes());
    for (group, row) in panel[SCALES..].chunks_exact_mut(GROUP_BYTES).zip(row.chunks(GROUP)) {
        for (step, row) in group.as_chunks_mut::<{ 4 * PANEL }>().0.iter_mut().zip(row.chunks(4)) {
            for (out, x) in step[4 * lane..].iter_mut().zip(row) {
                *out = code(x * inverse);
            }
        }
    }
}

/// The nearest integer, ties to even, plus 128; zero for what is not a number.
fn code(x: f32) -> u8 {
    // Adding 1.5 * 2^23 rounds, as all numbers of this size are integers.
    const ROUND: f32 = 12_582_912.0;
    let whole = if x.is_nan() { 0.0 } else { (x + ROUND) - ROUND };
    (whole as i32 + ChannelPanel::OFFSET) as u8
}

/// A panel of zeros: its rows have a scale of zero.
pub(super) fn clear(panel: &mut [u8]) {
    let (scales, groups) = panel.split_at_mut(SCALES.min(panel.len()));
    scales.fill(0);
    groups.fill(ChannelPanel::OFFSET as u8);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::backend::cpu::pack::{PanelType, round_to_panel};

    /// Rows of numbers of many sizes, from a fixed sequence.
    fn rows(count: usize, cols: usize) -> Vec<f32> {
        let mut state = cols as u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count * cols).map(|at| next() * next().powi(3) * 10f32.powi((at / cols) as i32 - 8)).collect()
    }

    #[test]
    fn no_weight_is_further_off_than_half_of_its_scale() {
        for cols in [1, 3, 4, 31, 32, 33, 64, 100, 172, 256, 384, 1030] {
            for count in [1, 15, 16] {
                let rows = rows(count, cols);
                let mut panel = vec![0xa5; PanelType::PerChannel.panel_bytes(cols).unwrap()];
                round_to_panel(&rows, cols, &mut panel);
                let mut found = vec![f32::NAN; cols];
                for (lane, row) in rows.chunks_exact(cols).enumerate() {
                    PanelType::PerChannel.unpack_row(&panel, lane, &mut found);
                    let scale = ChannelPanel::new(&panel).scale(lane);
                    let max = row.iter().fold(0.0f32, |max, x| max.max(x.abs()));
                    assert_eq!(scale, max / 127.0);
                    for (x, found) in row.iter().zip(&found) {
                        // The rounding of `scale`, of the quotient and of the product beside it.
                        let allowed = 0.5 * f64::from(scale) + 4.0 * 2f64.powi(-24) * f64::from(max);
                        assert!((f64::from(*x) - f64::from(*found)).abs() <= allowed, "{x} became {found}");
                    }
                }
                for lane in count..PANEL {
                    PanelType::PerChannel.unpack_row(&panel, lane, &mut found);
                    assert!(found.iter().all(|x| *x == 0.0));
                }
                // What a row does not have is zero to a kernel.
                for lane in 0..PANEL {
                    for k in cols..cols.next_multiple_of(GROUP) {
                        assert_eq!(panel[64 + k / 4 * 64 + 4 * lane + k % 4], 128, "lane {lane} k {k}");
                    }
                }
            }
        }
    }

    #[test]
    fn bytes_lie_where_the_description_says() {
        let (cols, lane) = (70, 3);
        let mut rows = vec![0.0; 16 * cols];
        rows[lane * cols] = 127.0;
        rows[lane * cols + 46] = -2.5;
        rows[lane * cols + 69] = -127.0;
        let mut panel = vec![0; PanelType::PerChannel.panel_bytes(cols).unwrap()];
        round_to_panel(&rows, cols, &mut panel);
        assert_eq!(panel.len(), 64 + 3 * 512);
        let scales: Vec<f32> = (0..PANEL).map(|lane| ChannelPanel::new(&panel).scale(lane)).collect();
        assert_eq!(panel[4 * lane..][..4], 1.0f32.to_le_bytes());
        assert!(scales.iter().enumerate().all(|(at, scale)| *scale == f32::from(u8::from(at == lane))));
        let integers = panel[64..].iter().copied().enumerate();
        let set: Vec<(usize, u8)> = integers.filter(|(_, byte)| *byte != 128).collect();
        // k = 46 is byte 2 of step 3 of group 1, a tie that goes to even; k = 69 byte 1 of step 1 of group 2.
        let (second, third) = (512 + 3 * 64 + 4 * lane + 2, 1024 + 64 + 4 * lane + 1);
        assert_eq!(set, [(4 * lane, 255), (second, 126), (third, 1)]);
    }

    #[test]
    fn rows_that_are_no_numbers_stay_none_and_the_smallest_are_zero() {
        let mut rows = vec![1.0; 4 * 40];
        rows[39] = f32::NAN;
        rows[40] = f32::NEG_INFINITY;
        rows[80..120].fill(1e-37);
        let mut panel = vec![0; PanelType::PerChannel.panel_bytes(40).unwrap()];
        round_to_panel(&rows, 40, &mut panel);
        let mut row = [9.0; 40];
        for lane in [0, 1] {
            PanelType::PerChannel.unpack_row(&panel, lane, &mut row);
            assert!(row.iter().all(|x| x.is_nan()), "lane {lane}");
        }
        PanelType::PerChannel.unpack_row(&panel, 2, &mut row);
        assert_eq!(row, [0.0; 40]);
        PanelType::PerChannel.unpack_row(&panel, 3, &mut row);
        assert_eq!(row, [127.0 * (1.0f32 / 127.0); 40]);
    }

    #[test]
    fn panels_are_hardly_larger_than_their_weights() {
        for cols in 256..2000 {
            let bytes = PanelType::PerChannel.panel_bytes(cols).unwrap();
            assert!(bytes as f64 <= 1.15 * (PANEL * cols) as f64, "{cols}: {bytes}");
        }
        assert_eq!(PanelType::PerChannel.panel_bytes(usize::MAX), None);
    }
}

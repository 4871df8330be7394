//! Panels of quantized formats as numbers: the codes and the scales of a group, and whole rows and panels in `f32`.

use half::f16;

use super::layout::{BitField, Format, Layout, ScaleFields, Visit};
use super::{GROUP, PANEL};

/// The codes of a group as whole numbers, offset taken off: `codes[k][lane]`.
///
/// They are kept as `f32` because sums of products with int8 activations stay exact in it: 32 products of at most
/// 128 * 127 are below 2^24.
pub(crate) type Codes = [[f32; PANEL]; GROUP];

/// The scale and the minimum of the lanes for one half group: a weight is `scale * code - min`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scales {
    pub(crate) scale: [f32; PANEL],
    pub(crate) min: [f32; PANEL],
}

impl Layout {
    /// The codes of group `group` of a block.
    #[inline(always)]
    pub(crate) fn codes(&self, block: &[u8], group: usize) -> Codes {
        let mut out = [[0.0; PANEL]; GROUP];
        for (step, out) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            for lane in 0..PANEL {
                let codes = self.step(block, group, step, lane);
                for (out, code) in out.iter_mut().zip(codes) {
                    out[lane] = code as f32;
                }
            }
        }
        out
    }

    /// Four codes of one lane.
    #[inline(always)]
    fn step(&self, block: &[u8], group: usize, step: usize, lane: usize) -> [i32; 4] {
        let low = self.low.word(block, group, step, lane);
        let high = match self.high.bits {
            0 => 0,
            _ => self.high.word(block, group, step, lane) << self.low.bits,
        };
        (low | high).to_le_bytes().map(|code| i32::from(code) - self.offset)
    }

    /// Scales and minima of one half (0 or 1) of group `group` of a block; both halves have the same in formats that
    /// scale whole groups.
    #[inline(always)]
    pub(crate) fn scales(&self, block: &[u8], group: usize, half: usize) -> Scales {
        let mut out = Scales { scale: [0.0; PANEL], min: [0.0; PANEL] };
        for lane in 0..PANEL {
            (out.scale[lane], out.min[lane]) = self.lane_scales(block, group, half, lane);
        }
        out
    }

    #[inline(always)]
    fn lane_scales(&self, block: &[u8], group: usize, half: usize, lane: usize) -> (f32, f32) {
        let d = f16_at(block, 2 * lane);
        let min = self.min.map_or(0.0, |min| f16_at(block, min + 2 * lane));
        let number = |at: usize, row: usize| block[at + row * PANEL + lane];
        match self.scales {
            // Taking off the negated minimum is adding it, to the last bit.
            ScaleFields::None => (d, if self.min.is_some() { -min } else { 0.0 }),
            ScaleFields::PerGroup { scale, min: at } => {
                (d * f32::from(number(scale, group)), min * f32::from(number(at, group)))
            }
            ScaleFields::PerHalf { scale } => {
                (d * f32::from(number(scale, 2 * group + half).cast_signed()), 0.0)
            }
            ScaleFields::PerHalfNibbles { both } => {
                let both = number(both, 2 * group + half);
                (d * f32::from(both & 15), min * f32::from(both >> 4))
            }
        }
    }
}

impl BitField {
    /// This field's bits of four codes of one lane, each at the bottom of its byte.
    #[inline(always)]
    fn word(self, block: &[u8], group: usize, step: usize, lane: usize) -> u32 {
        let at = self.at + group * self.group_bytes();
        let word = |register: usize| {
            let at = at + register * 64 + 4 * lane;
            u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
        };
        match self.bits {
            8 => word(step),
            4 => word(step % 4) >> (4 * (step / 4)) & 0x0f0f_0f0f,
            2 => word(step / 4) >> (2 * (step % 4)) & 0x0303_0303,
            _ => {
                let bits = u32::from(block[at + 8 * step + lane / 2] >> (4 * (lane % 2)) & 15);
                // Bit i to byte i; products with the other bits lie outside the mask.
                bits.wrapping_mul(0x0020_4081) & 0x0101_0101
            }
        }
    }
}

fn f16_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// Widens a panel; see [`super::unpack_panel`].
pub(super) struct UnpackPanel<'a> {
    pub(super) panel: &'a [u8],
    pub(super) out: &'a mut [f32],
}

impl Visit for UnpackPanel<'_> {
    type Output = ();

    fn visit<F: Format>(self) {
        let layout = F::LAYOUT;
        let blocks = self.panel.chunks_exact(layout.bytes);
        let outs = self.out.chunks_exact_mut(layout.elements * PANEL);
        for (block, out) in blocks.zip(outs) {
            for (group, out) in out.chunks_exact_mut(GROUP * PANEL).enumerate() {
                let codes = layout.codes(block, group);
                let scales = [layout.scales(block, group, 0), layout.scales(block, group, 1)];
                for (k, (codes, out)) in codes.iter().zip(out.as_chunks_mut::<PANEL>().0).enumerate() {
                    let Scales { scale, min } = &scales[k / (GROUP / 2)];
                    for lane in 0..PANEL {
                        out[lane] = scale[lane] * codes[lane] - min[lane];
                    }
                }
            }
        }
    }
}

/// Widens one row; see [`super::unpack_row`].
pub(super) struct UnpackRow<'a> {
    pub(super) panel: &'a [u8],
    pub(super) lane: usize,
    pub(super) out: &'a mut [f32],
}

impl Visit for UnpackRow<'_> {
    type Output = ();

    fn visit<F: Format>(self) {
        let layout = F::LAYOUT;
        let blocks = self.panel.chunks_exact(layout.bytes);
        for (block, out) in blocks.zip(self.out.chunks_exact_mut(layout.elements)) {
            for (step, out) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                let (group, step) = (step / 8, step % 8);
                let (scale, min) = layout.lane_scales(block, group, step / 4, self.lane);
                let codes = layout.step(block, group, step, self.lane);
                *out = codes.map(|code| scale * code as f32 - min);
            }
        }
    }
}

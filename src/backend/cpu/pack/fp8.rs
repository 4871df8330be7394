//! Panels of 8-bit floats E4M3 with scales of blocks, as DeepSeek-V3 stores its weights (DeepSeek-AI, 2024, section 3.3).
//!
//! A panel is, for each group of [`Fp8Group`] inputs, `scale: f32[16]`, then for each k of the group 16 codes. The last
//! group is filled up with zeros. A weight is the code's value times the scale, rounded once.
//!
//! The scale that is stored is 2^8 times the checkpoint's: a code's bits, moved into an F16, are 2^-8 times its value,
//! and both factors are exact. Codes that are NaN have no such image in F16. A lane that has one in a group gets NaN for
//! a scale: its output is NaN in any case, and all of its weights in the group are.

use super::PANEL;
use crate::weights::e4m3;

/// What the stored scales are more than the checkpoint's.
pub(crate) const SCALE_FACTOR: f32 = 256.0;

/// Bytes of the scales of a group.
const SCALES: usize = 4 * PANEL;

/// Inputs that share a scale. The kernels go through inputs in pieces that are a multiple of any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fp8Group {
    /// 32 inputs: where blocks are no multiple of 128 wide, or do not begin at one.
    Of32,
    /// 128 inputs: DeepSeek's blocks.
    Of128,
}

impl Fp8Group {
    /// The group whose panels of `cols` inputs are smallest, of those that no edge of a block cuts; edges are at the
    /// multiples of `edges`, moved back by `first`. `None` when all are cut.
    pub(crate) fn within((edges, first): (usize, usize), cols: usize) -> Option<Self> {
        let fits = |group: &Self| edges.is_multiple_of(group.len()) && first.is_multiple_of(group.len());
        [Self::Of128, Self::Of32].into_iter().filter(fits).min_by_key(|group| group.panel_bytes(cols))
    }

    pub(crate) const fn len(self) -> usize {
        match self {
            Self::Of32 => 32,
            Self::Of128 => 128,
        }
    }

    /// Groups in a row.
    pub(crate) const fn count(self, cols: usize) -> usize {
        cols.div_ceil(self.len())
    }

    /// Bytes of a group of all lanes.
    pub(crate) const fn bytes(self) -> usize {
        SCALES + self.len() * PANEL
    }

    /// Bytes of a panel; `None` when that overflows.
    pub(crate) fn panel_bytes(self, cols: usize) -> Option<usize> {
        self.count(cols).checked_mul(self.bytes())
    }
}

/// Packs up to [`PANEL`] rows of codes and of one scale per group. Lanes without a row become zeros.
pub(crate) fn pack<'a>(group: Fp8Group, rows: impl Iterator<Item = (&'a [u8], &'a [f32])>, out: &mut [u8]) {
    out.fill(0);
    for (lane, (codes, scales)) in rows.enumerate() {
        let groups = out.chunks_exact_mut(group.bytes()).zip(codes.chunks(group.len()).zip(scales));
        for (out, (codes, scale)) in groups {
            let (out_scales, out_codes) = out.split_at_mut(SCALES);
            let is_nan = codes.iter().any(|code| code & 0x7f == 0x7f);
            let scale = if is_nan { f32::NAN } else { SCALE_FACTOR * scale };
            out_scales[4 * lane..][..4].copy_from_slice(&scale.to_le_bytes());
            for (out, code) in out_codes.iter_mut().skip(lane).step_by(PANEL).zip(codes) {
                *out = *code;
            }
        }
    }
}

/// Widens a row of a panel.
pub(crate) fn unpack_row(group: Fp8Group, panel: &[u8], lane: usize, out: &mut [f32]) {
    for (bytes, out) in panel.chunks_exact(group.bytes()).zip(out.chunks_mut(group.len())) {
        let (scales, codes) = bytes.split_at(SCALES);
        let scale = scales.as_chunks::<4>().0.get(lane).map_or(0.0, scale_of);
        for (out, code) in out.iter_mut().zip(codes.iter().skip(lane).step_by(PANEL)) {
            *out = e4m3(*code) * scale;
        }
    }
}

/// Widens a panel to `f32`: `out[k * 16 + lane]`, which is itself a panel of F32.
pub(crate) fn unpack_panel(group: Fp8Group, panel: &[u8], out: &mut [f32]) {
    let outs = out.chunks_mut(group.len() * PANEL);
    for (bytes, out) in panel.chunks_exact(group.bytes()).zip(outs) {
        let (scales, codes) = bytes.split_at(SCALES);
        for (codes, out) in codes.chunks_exact(PANEL).zip(out.chunks_exact_mut(PANEL)) {
            for ((out, code), scale) in out.iter_mut().zip(codes).zip(scales.as_chunks::<4>().0) {
                *out = e4m3(*code) * scale_of(scale);
            }
        }
    }
}

/// The checkpoint's scale.
fn scale_of(stored: &[u8; 4]) -> f32 {
    f32::from_le_bytes(*stored) / SCALE_FACTOR
}

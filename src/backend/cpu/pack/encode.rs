//! From blocks of a file to blocks of a panel.

use super::file::Block;
use super::layout::{BitField, Format, Layout, ScaleFields, Visit};
use super::{GROUP, PANEL};

/// Packs rows of a quantized format into a panel of zeros.
pub(super) struct Pack<'a> {
    pub(super) rows: &'a [&'a [u8]],
    pub(super) out: &'a mut [u8],
}

impl Visit for Pack<'_> {
    type Output = ();

    fn visit<F: Format>(self) {
        let layout = F::LAYOUT;
        for (index, out) in self.out.chunks_exact_mut(layout.bytes).enumerate() {
            let mut blocks = [Block::ZERO; PANEL];
            for (block, row) in blocks.iter_mut().zip(self.rows) {
                let at = index * layout.file_bytes;
                *block = F::read(row.get(at..).unwrap_or_default());
            }
            scales(&layout, &blocks, out);
            for group in 0..layout.groups() {
                codes(&layout, &blocks, group, out);
            }
        }
    }
}

fn scales(layout: &Layout, blocks: &[Block; PANEL], out: &mut [u8]) {
    for (lane, block) in blocks.iter().enumerate() {
        out[2 * lane..][..2].copy_from_slice(&block.d.to_le_bytes());
        if let Some(min) = layout.min {
            out[min + 2 * lane..][..2].copy_from_slice(&block.min.to_le_bytes());
        }
        match layout.scales {
            ScaleFields::None => {}
            ScaleFields::PerGroup { scale, min } => {
                for group in 0..8 {
                    out[scale + group * PANEL + lane] = block.scales[group];
                    out[min + group * PANEL + lane] = block.mins[group];
                }
            }
            ScaleFields::PerHalf { scale: at } | ScaleFields::PerHalfNibbles { both: at } => {
                for (half, &scale) in block.scales.iter().enumerate() {
                    out[at + half * PANEL + lane] = scale;
                }
            }
        }
    }
}

fn codes(layout: &Layout, blocks: &[Block; PANEL], group: usize, out: &mut [u8]) {
    for (lane, block) in blocks.iter().enumerate() {
        // A step of a lane is four codes: one little-endian word.
        let mut steps = [0; 8];
        let codes = &block.codes[group * GROUP..][..GROUP];
        for (step, codes) in steps.iter_mut().zip(codes.as_chunks::<4>().0) {
            *step = u32::from_le_bytes(*codes);
        }
        field(layout.low, group, lane, &steps, out);
        if layout.high.bits > 0 {
            let above = steps.map(|step| step >> layout.low.bits);
            field(layout.high, group, lane, &above, out);
        }
    }
}

/// Writes the lowest bits of the codes of one lane and group.
fn field(field: BitField, group: usize, lane: usize, steps: &[u32; 8], out: &mut [u8]) {
    let out = &mut out[field.at + group * field.group_bytes()..][..field.group_bytes()];
    let mut word = |register: usize, word: u32| {
        out[register * 64 + 4 * lane..][..4].copy_from_slice(&word.to_le_bytes());
    };
    match field.bits {
        8 => (0..8).for_each(|step| word(step, steps[step])),
        4 => (0..4).for_each(|j| word(j, steps[j] & 0x0f0f_0f0f | (steps[j + 4] & 0x0f0f_0f0f) << 4)),
        2 => {
            for half in 0..2 {
                let steps = &steps[4 * half..][..4];
                word(half, (0..4).fold(0, |all, s| all | (steps[s] & 0x0303_0303) << (2 * s)));
            }
        }
        _ => {
            for (step, &word) in steps.iter().enumerate() {
                // Brings bit 0 of the four bytes together: byte i to bit 28 + i, with nothing below carrying in.
                let bits = (word & 0x0101_0101).wrapping_mul(0x1020_4080) >> 28;
                out[8 * step + lane / 2] |= (bits as u8) << (4 * (lane % 2));
            }
        }
    }
}

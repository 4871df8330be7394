//! Weights in the order that kernels read them: one layout per format, the same for every instruction set.
//!
//! A matrix `[out, in]` is cut into *panels* of [`PANEL`] output rows (the last one filled up with zeros). A panel is
//! contiguous; inside it, `lane` is the output row and `k` the input:
//!
//! | format | a panel is |
//! |---|---|
//! | F32, F16 | for each k: 16 values |
//! | BF16 | for each pair of k: 16 x (value of k, value of k + 1); an odd last k is paired with zero |
//! | Q8_0 | for each group of 32 k: `d: f16[16]`, `q: u8[8][16][4]` |
//! | Q4_0 | group: `d: f16[16]`, nibbles |
//! | Q4_1 | group: `d: f16[16]`, `m: f16[16]`, nibbles |
//! | Q5_0 | group: `d: f16[16]`, nibbles, high bits |
//! | Q5_1 | group: `d: f16[16]`, `m: f16[16]`, nibbles, high bits |
//! | Q4_K | super-block of 256 k: `d: f16[16]`, `dmin: f16[16]`, `scale: u8[8][16]`, `min: u8[8][16]`, nibbles of 8 groups |
//! | Q5_K | as Q4_K, then the high bits of 8 groups |
//! | Q6_K | super-block: `d: f16[16]`, `scale: i8[16][16]` (one per 16 k), nibbles of 8 groups, high pairs of 8 groups |
//! | Q2_K | super-block: `d: f16[16]`, `dmin: f16[16]`, `u8[16][16]` (scale in the low, min in the high nibble, one per 16 k), pairs of 8 groups |
//! | Q3_K | super-block: `d: f16[16]`, `scale: i8[16][16]` (one per 16 k, already minus 32), pairs of 8 groups, high bits of 8 groups (set: no 4 is subtracted) |
//!
//! 8-bit floats with scales of blocks have panels of their own ([`fp8`]).
//!
//! A group of 32 k has 8 *steps* of 4 k; a step of a panel is 64 bytes `[16 lanes][4 k]`, which is one 512-bit
//! register. In a group:
//! - *nibbles*: 4 registers (256 bytes); register `j` holds step `j` in the low nibbles and step `j + 4` in the high ones;
//! - *pairs* (2 bits): 2 registers (128 bytes); register `h` holds step `4 h + s` in bits `2 s, 2 s + 1`;
//! - *high bits*: 8 little-endian `u64`, one per step; bit `4 * lane + i` belongs to byte `4 * lane + i` of the step.
//!
//! Values mean what they mean in GGUF: Q8_0 is `d * (q - 128)` (in a file the integers are 128 lower), Q4_0
//! `d * (q - 8)`, Q5_0 `d * (q - 16)`, Q4_K `d * scale * q - dmin * min`, Q6_K `d * scale * (q - 32)`, Q3_K
//! `d * scale * (q - 4)`. No value is changed by packing.
//!
//! One type of panel is in no file ([`PanelType::PerChannel`]): `scale: f32[16]`, then for each group of 32 k, the last
//! one filled up with zeros, `q: u8[8][16][4]`; a weight is `scale * (q - 128)`.

mod decode;
mod encode;
mod file;
mod float;
mod fp8;
mod layout;
mod per_channel;
mod quantize;
mod target;
#[cfg(test)]
mod tests;

use crate::weights::DType;

pub(crate) use decode::{Codes, Scales};
#[cfg(test)]
pub(crate) use fp8::unpack_row as unpack_fp8_row;
pub(crate) use fp8::{Fp8Group, pack as pack_fp8_panel, unpack_panel as unpack_fp8_panel};
pub(crate) use layout::{Format, Layout, Visit, visit};
pub(crate) use per_channel::ChannelPanel;
pub use quantize::Quantize;
pub(crate) use quantize::quantize_row;
pub(crate) use target::{Packing, PanelType};

/// Output rows of a panel.
pub(super) const PANEL: usize = 16;

/// Inputs that share a scale in the int8 activations, and in most formats.
pub(super) const GROUP: usize = 32;

/// Bytes of one panel with rows of `cols` inputs; `None` when `cols` is not a whole number of blocks, when the size
/// overflows, and for types that cannot be packed.
pub(super) fn panel_bytes(dtype: DType, cols: usize) -> Option<usize> {
    match dtype {
        DType::F32 => cols.checked_mul(4 * PANEL),
        DType::F16 => cols.checked_mul(2 * PANEL),
        DType::BF16 => cols.checked_next_multiple_of(2)?.checked_mul(2 * PANEL),
        _ => {
            let layout = Layout::of(dtype)?;
            if !cols.is_multiple_of(layout.elements) {
                return None;
            }
            (cols / layout.elements).checked_mul(layout.bytes)
        }
    }
}

/// Packs up to [`PANEL`] rows, each as it lies in a file, into one panel. Lanes without a row become zeros. Every row
/// has `cols` inputs and `out` is [`panel_bytes`] long.
pub(super) fn pack_panel(dtype: DType, rows: &[&[u8]], cols: usize, out: &mut [u8]) {
    debug_assert!(rows.len() <= PANEL);
    debug_assert!(rows.iter().all(|row| dtype.bytes_for(cols as u64) == Some(row.len() as u64)));
    debug_assert_eq!(panel_bytes(dtype, cols), Some(out.len()));
    out.fill(0);
    match dtype {
        DType::F32 => float::pack::<4>(rows, out),
        DType::F16 => float::pack::<2>(rows, out),
        DType::BF16 => float::pack_pairs(rows, out),
        _ => {
            visit(dtype, encode::Pack { rows, out });
        }
    }
}

/// Rounds up to [`PANEL`] rows of as many values to one panel of [`PanelType::PerChannel`]. Lanes without a row become
/// zeros. `out` is [`PanelType::panel_bytes`] long.
pub(super) fn round_to_panel(rows: &[f32], cols: usize, out: &mut [u8]) {
    per_channel::clear(out);
    for (lane, row) in rows.chunks_exact(cols).enumerate() {
        per_channel::pack_row(row, lane, out);
    }
}

/// Widens a panel to `f32`: `out[k * 16 + lane]`, which is itself a panel of F32. Values are those of
/// [`dequantize`](crate::weights::dequantize), bit for bit.
pub(super) fn unpack_panel(dtype: DType, panel: &[u8], cols: usize, out: &mut [f32]) {
    debug_assert_eq!(panel_bytes(dtype, cols), Some(panel.len()));
    debug_assert_eq!(out.len(), cols * PANEL);
    match dtype {
        DType::F32 => float::unpack_f32(panel, out),
        DType::F16 => float::unpack_f16(panel, out),
        DType::BF16 => float::unpack_bf16(panel, out),
        _ => {
            visit(dtype, decode::UnpackPanel { panel, out });
        }
    }
}

/// Widens one row of a panel to `f32`. Values are those of [`dequantize`](crate::weights::dequantize), bit for bit.
pub(super) fn unpack_row(dtype: DType, panel: &[u8], cols: usize, lane: usize, out: &mut [f32]) {
    debug_assert_eq!(panel_bytes(dtype, cols), Some(panel.len()));
    debug_assert!(lane < PANEL && out.len() == cols);
    match dtype {
        DType::F32 => float::row_f32(panel, lane, out),
        DType::F16 => float::row_f16(panel, lane, out),
        DType::BF16 => float::row_bf16(panel, lane, out),
        _ => {
            visit(dtype, decode::UnpackRow { panel, lane, out });
        }
    }
}

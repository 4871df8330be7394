//! The inner loops, one set per instruction level, chosen once when a backend is made.
//!
//! Every kernel computes each row on its own, in an order that depends on nothing but the row's length and the level:
//! a row has the same bits in any company. Rows are processed in register tiles; a tile of another height runs the
//! same operations per row.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(test)]
pub(super) mod cases;
#[cfg(target_arch = "aarch64")]
mod neon;
pub(super) mod portable;
mod table;

pub(super) use table::kernels;

use super::pack::{Fp8Group, GROUP};
use crate::weights::DType;

/// Rows of activations in int8, as [`Int8Activations`](super::activations::Int8Activations) arranges them: tiles of
/// `height` rows, the last one filled up with zeros.
///
/// `value = scale * q`, `q` from -127 to 127.
#[derive(Debug, Clone, Copy)]
pub(super) struct Int8Rows {
    /// `[tiles][groups][height][32]`, [`tile_bytes`](Self::tile_bytes) from tile to tile.
    pub(super) q: *const i8,
    /// `[tiles][blocks][height]`: a block is as many groups as [share](Form::shared) a scale.
    pub(super) scales: *const f32,
    /// `[tiles][blocks][height][words]`: what [`Form::side`] says.
    pub(super) side: *const i32,
    /// Groups of 32 in a row.
    pub(super) groups: usize,
    /// Rows of a tile.
    pub(super) height: usize,
}

impl Int8Rows {
    /// Bytes from tile to tile: a cache line more than they hold, because tiles whose distance is a power of two would
    /// share cache sets.
    pub(super) const fn tile_bytes(height: usize, groups: usize) -> usize {
        height * groups * GROUP + 64
    }
}

/// How a kernel wants int8 activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    /// The most rows of a tile.
    pub(super) max_height: usize,
    /// Groups that share a scale: 1, or the 8 of a super-block.
    pub(super) shared: usize,
    pub(super) side: Side,
}

impl Form {
    /// Rows of each tile when there are `rows` rows: the tiles are as few as can be, and of equal height.
    pub(super) fn height(self, rows: usize) -> usize {
        let rows = rows.max(1);
        rows.div_ceil(rows.div_ceil(self.max_height))
    }

    /// Blocks of groups that share a scale, the last one perhaps with fewer.
    pub(super) fn blocks(self, groups: usize) -> usize {
        groups.div_ceil(self.shared)
    }

    /// Words beside a row of so many groups.
    pub(super) fn words(self, groups: usize) -> usize {
        match self.side {
            Side::None => 0,
            Side::Sums | Side::HalfStarts { .. } => 2 * groups,
            Side::Starts { .. } | Side::Scaled | Side::HalfPairs => groups,
            Side::Pairs => groups / 2,
            Side::BlockStarts { .. } => self.blocks(groups),
        }
    }
}

/// What a kernel needs to know of the sums of activations, for weights whose integers have an offset or a minimum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Nothing.
    None,
    /// Per half group of 16: the sum of its integers.
    Sums,
    /// Per group: minus `offset` times its sum.
    Starts { offset: i32 },
    /// The same per half group.
    HalfStarts { offset: i32 },
    /// The same per block of groups that share a scale.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))] // AVX-512 alone asks for it.
    BlockStarts { offset: i32 },
    /// Per group, as `f32`: the scale times its sum.
    Scaled,
    /// Per two groups: their sums as `i16`.
    Pairs,
    /// Per group: the sums of its halves as `i16`.
    HalfPairs,
}

/// Groups that share a scale of the activations which meet weights with one scale per output. A scale per row would be
/// as accurate as its largest value allows all others to be; one for 256 inputs costs two operations for 64 dot
/// products.
pub(super) const CHANNEL_SHARED: usize = 8;

/// A kernel for panels of weights in integers, and the activations that it takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Int8Kernel {
    pub(super) panels: Int8Panels,
    pub(super) form: Form,
}

/// `out[row * out_stride + 16 * p + lane] = sum over k of x[row][k] * panel_p[lane][k]`, for `rows` rows from row 0 of
/// `x` on, at most [`MAX_INT8_ROWS`], and `panels` panels that lie one behind the other.
pub(super) type Int8Panels =
    unsafe fn(panel: *const u8, panels: usize, x: &Int8Rows, rows: usize, out: *mut f32, out_stride: usize);

/// The most rows of a call of [`Int8Panels`].
pub(super) const MAX_INT8_ROWS: usize = 384;

/// The same for `f32` activations `[rows][x_stride]` and `cols` inputs, with panels of F32, F16 or BF16. All
/// products and sums are `f32`.
pub(super) type FloatPanels = unsafe fn(
    panel: *const u8,
    panels: usize,
    cols: usize,
    x: *const f32,
    x_stride: usize,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
);

/// The same for panels of 8-bit floats whose scales belong to groups of inputs: the bits are those of [`FloatPanels`] of
/// the widened weights.
pub(super) type Fp8Panels = unsafe fn(
    panel: *const u8,
    panels: usize,
    cols: usize,
    group: Fp8Group,
    x: *const f32,
    x_stride: usize,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
);

/// The same for BF16 activations `[rows][x_stride]` (an odd width is followed by a zero) and BF16 panels.
pub(super) type Bf16Panels = unsafe fn(
    panel: *const u8,
    panels: usize,
    cols: usize,
    x: *const u16,
    x_stride: usize,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
);

/// Rounds one row to int8, with one scale for every `shared` groups of 32 values or what is left of them: the integers, a scale for each group
/// and the sum of the integers of each half group.
pub(super) type QuantizeRow =
    fn(x: &[f32], shared: usize, q: &mut [i8], scales: &mut [f32], sums: &mut [i32]);

/// The kernels of one level.
#[derive(Clone, Copy)]
pub(super) struct Kernels {
    /// Panels of a quantized format with int8 activations; `None` for formats that are not quantized.
    pub(super) int8: fn(DType) -> Option<Int8Kernel>,
    /// Panels of int8 with one scale per output, and at least one group.
    pub(super) per_channel: Int8Kernel,
    pub(super) f32: FloatPanels,
    pub(super) f16: FloatPanels,
    pub(super) bf16: FloatPanels,
    pub(super) fp8: Fp8Panels,
    /// BF16 dot products, where the processor has them.
    pub(super) bf16_dot: Option<Bf16Panels>,
    /// Whether these are faster than `f32` products of widened weights.
    pub(super) bf16_dot_is_fast: bool,
    /// Inputs that these three go through for all rows of a call before the next ones: no more of a row is in use at a
    /// time.
    pub(super) float_chunk: usize,
    /// One row to int8. The width is a multiple of 32; the last block may have fewer groups than share a scale.
    pub(super) quantize: QuantizeRow,
    /// One row rounded to BF16, to nearest even; `out` may be one longer than `x` and is then closed with zero.
    pub(super) to_bf16: fn(x: &[f32], out: &mut [u16]),
}

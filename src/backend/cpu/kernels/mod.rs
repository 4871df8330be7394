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
pub(super) mod portable;
mod table;

pub(super) use table::kernels;

use crate::weights::DType;

/// Rows of activations in int8: per group of 32 values a scale, per half group the sum of its integers.
///
/// `value = scale * q`, `q` from -127 to 127; `sums` serve formats whose integers have an offset or a minimum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Int8Rows {
    /// `[rows][stride]`; every row begins at a multiple of 64 bytes.
    pub(super) q: *const i8,
    /// Bytes from row to row, at least the width.
    pub(super) stride: usize,
    /// `[rows][groups]`.
    pub(super) scales: *const f32,
    /// `[rows][2 * groups]`: sums over 16 values each.
    pub(super) sums: *const i32,
    /// Groups of 32 in a row.
    pub(super) groups: usize,
}

/// `out[row * out_stride + 16 * p + lane] = sum over k of x[row][k] * panel_p[lane][k]`, for `rows` rows from row 0 of
/// `x` on and `panels` panels that lie one behind the other.
pub(super) type Int8Panels =
    unsafe fn(panel: *const u8, panels: usize, x: &Int8Rows, rows: usize, out: *mut f32, out_stride: usize);

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

/// Rounds one row to int8: the integers, then scales and sums as [`Int8Rows`] has them.
pub(super) type QuantizeRow = fn(x: &[f32], q: &mut [i8], scales: &mut [f32], sums: &mut [i32]);

/// The kernels of one level.
#[derive(Clone, Copy)]
pub(super) struct Kernels {
    /// Panels of a quantized format with int8 activations; `None` for formats that are not quantized.
    pub(super) int8: fn(DType) -> Option<Int8Panels>,
    pub(super) f32: FloatPanels,
    pub(super) f16: FloatPanels,
    pub(super) bf16: FloatPanels,
    /// BF16 dot products, where the processor has them.
    pub(super) bf16_dot: Option<Bf16Panels>,
    /// One row to int8: `q` and `scales` and `sums` of its groups. The width is a multiple of 32.
    pub(super) quantize: QuantizeRow,
    /// One row rounded to BF16, to nearest even; `out` may be one longer than `x` and is then closed with zero.
    pub(super) to_bf16: fn(x: &[f32], out: &mut [u16]),
}

//! The portable kernels stand the trial that all levels stand, and the trial tells right from wrong.

#![allow(clippy::too_many_arguments, clippy::multiple_unsafe_ops_per_block)] // signatures of kernels; brevity

use std::panic::catch_unwind;

use half::bf16;

use super::super::{Int8Kernel, Int8Panels, Int8Rows, cases};
use super::*;
use crate::weights::DType;

#[test]
fn int8_panels() {
    cases::int8(&KERNELS);
}

#[test]
fn panels_with_a_scale_per_channel() {
    cases::per_channel(&KERNELS);
}

#[test]
fn float_panels() {
    cases::float(&KERNELS);
    cases::fp8(&KERNELS);
}

#[test]
fn rows_in_other_types() {
    cases::quantize(&KERNELS);
    cases::to_bf16(&KERNELS);
}

/// What a BF16 dot product means, by way of `f32`.
unsafe fn widened_dot(
    panel: *const u8,
    panels: usize,
    cols: usize,
    x: *const u16,
    x_stride: usize,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
) {
    let even = cols.next_multiple_of(2);
    let mut wide = Vec::new();
    for row in 0..rows {
        // SAFETY: the caller's promise about `x`.
        let row = unsafe { std::slice::from_raw_parts(x.add(row * x_stride), even) };
        wide.extend(row.iter().map(|&bits| bf16::from_bits(bits).to_f32()));
    }
    // SAFETY: the caller's promises about `panel` and `out`.
    unsafe { (KERNELS.bf16)(panel, panels, cols, wide.as_ptr(), even, rows, out, out_stride) }
}

#[test]
fn bf16_dot_products() {
    cases::bf16_dot(&Kernels { bf16_dot: Some(widened_dot), ..KERNELS });
}

/// Right, but for one lane of the last row of a call, when there are several.
unsafe fn depends_on_company(
    panel: *const u8,
    panels: usize,
    x: &Int8Rows,
    rows: usize,
    out: *mut f32,
    stride: usize,
) {
    let Some(kernel) = (KERNELS.int8)(DType::Q4_0) else { return };
    // SAFETY: the caller's promises.
    unsafe {
        (kernel.panels)(panel, panels, x, rows, out, stride);
        if rows == 7 {
            let value = out.add(6 * stride + 3);
            *value = f32::from_bits((*value).to_bits() ^ 1);
        }
    }
}

/// Takes the half group sums for those of whole groups.
unsafe fn forgets_a_half(
    panel: *const u8,
    panels: usize,
    x: &Int8Rows,
    rows: usize,
    out: *mut f32,
    stride: usize,
) {
    let Some(kernel) = (KERNELS.int8)(DType::Q4_1) else { return };
    // SAFETY: the caller's promises; there are as many sums as before.
    unsafe {
        let sums = std::slice::from_raw_parts(x.side, 2 * x.groups * rows);
        let halved: Vec<i32> = sums.iter().enumerate().map(|(i, sum)| sum * (i as i32 % 2)).collect();
        (kernel.panels)(panel, panels, &Int8Rows { side: halved.as_ptr(), ..*x }, rows, out, stride);
    }
}

/// Writes one value too many.
unsafe fn writes_beyond(
    panel: *const u8,
    panels: usize,
    x: &Int8Rows,
    rows: usize,
    out: *mut f32,
    stride: usize,
) {
    let Some(kernel) = (KERNELS.int8)(DType::Q8_0) else { return };
    // SAFETY: the caller's promises; the trial's output has room behind every row.
    unsafe {
        (kernel.panels)(panel, panels, x, rows, out, stride);
        *out.add(rows * stride - 1) = 0.0;
    }
}

#[test]
fn the_trial_finds_what_is_wrong() {
    fn instead(dtype: DType, of: DType, panels: Int8Panels) -> Option<Int8Kernel> {
        let right = (KERNELS.int8)(dtype)?;
        Some(if dtype == of { Int8Kernel { panels, ..right } } else { right })
    }
    let wrong: [fn(DType) -> Option<Int8Kernel>; 3] = [
        |dtype| instead(dtype, DType::Q8_0, writes_beyond),
        |dtype| instead(dtype, DType::Q4_0, depends_on_company),
        |dtype| instead(dtype, DType::Q4_1, forgets_a_half),
    ];
    for (int8, complaint) in wrong.into_iter().zip(["was written", "alone", "allowed"]) {
        let found = catch_unwind(|| cases::int8(&Kernels { int8, ..KERNELS })).err();
        let message = found.and_then(|panic| panic.downcast::<String>().ok()).unwrap_or_default();
        assert!(message.contains(complaint), "{complaint:?} expected, found {message:?}");
    }
}

//! The trial of all levels, and that no sum of 16 bits saturates, whatever the bytes.

#![allow(clippy::unwrap_used)]

use super::super::super::level::Level;
use super::super::super::pack::{PANEL, panel_bytes, unpack_panel};
use super::super::{Int8Rows, cases};
use super::*;

const QUANTIZED: [DType; 10] = [
    DType::Q8_0,
    DType::Q4_0,
    DType::Q4_1,
    DType::Q5_0,
    DType::Q5_1,
    DType::Q2K,
    DType::Q3K,
    DType::Q4K,
    DType::Q5K,
    DType::Q6K,
];

#[test]
fn int8_panels() {
    if Level::Avx2.is_supported() {
        cases::int8(&KERNELS);
    }
}

#[test]
fn panels_with_a_scale_per_channel() {
    if Level::Avx2.is_supported() {
        cases::per_channel(&KERNELS);
    }
}

#[test]
fn float_panels() {
    if Level::Avx2.is_supported() {
        cases::float(&KERNELS);
        cases::fp8(&KERNELS);
    }
}

#[test]
fn rows_in_other_types() {
    if Level::Avx2.is_supported() {
        cases::quantize(&KERNELS);
        cases::to_bf16(&KERNELS);
    }
}

/// Bytes that look random (Knuth's 64-bit congruential generator).
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Sets the floats of every block to one, and keeps scales that have six bits in a file to that.
fn set_scales(dtype: DType, panel: &mut [u8]) {
    let floats = match dtype {
        DType::Q4_1 | DType::Q5_1 | DType::Q2K | DType::Q4K | DType::Q5K => 32,
        _ => 16,
    };
    for block in panel.chunks_exact_mut(panel_bytes(dtype, dtype.block_elements()).unwrap()) {
        for float in block.as_chunks_mut::<2>().0.iter_mut().take(floats) {
            *float = 0x3c00_u16.to_le_bytes();
        }
        if matches!(dtype, DType::Q4K | DType::Q5K) {
            block[64..320].iter_mut().for_each(|byte| *byte &= 63);
        }
    }
}

/// Rows of one super-block, all zero but for one group, with scales of one.
struct Rows {
    q: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<i32>,
}

impl Rows {
    fn in_group(group: usize, rows: &[[i8; 32]]) -> Self {
        let stride = Int8Rows::tile_bytes(1, 8);
        let mut q = vec![0; stride * rows.len()];
        let mut sums = Vec::new();
        for (row, values) in q.chunks_exact_mut(stride).zip(rows) {
            row[32 * group..][..32].copy_from_slice(values);
            let halves = row[..256].as_chunks::<16>().0.iter();
            sums.extend(halves.map(|half| half.iter().map(|&q| i32::from(q)).sum::<i32>()));
        }
        Self { scales: vec![1.0; 8 * rows.len()], sums, q }
    }

    fn times(&self, dtype: DType, panel: &[u8]) -> Vec<f32> {
        let rows = self.scales.len() / 8;
        let x = Int8Rows {
            q: self.q.as_ptr(),
            scales: self.scales.as_ptr(),
            side: self.sums.as_ptr(),
            groups: 8,
            height: 1,
        };
        let mut out = vec![f32::NAN; rows * PANEL];
        let kernel = int8(dtype).unwrap();
        // SAFETY: one panel of 256 inputs, and as many rows in `x` and `out`; the level is supported.
        unsafe { (kernel.panels)(panel.as_ptr(), 1, &x, rows, out.as_mut_ptr(), PANEL) };
        out
    }
}

/// With scales of one and a single group that is not zero, the result is an integer below 2^24: rounding hides nothing.
#[test]
fn integers_are_exact() {
    if !Level::Avx2.is_supported() {
        return;
    }
    let alternating = std::array::from_fn(|i| if i % 2 == 0 { 127 } else { -127 });
    let halves = std::array::from_fn(|i| if i < 16 { 127 } else { -127 });
    let mut rows = vec![[127_i8; 32], [-127; 32], alternating, halves];
    for noise in noise(7 * 32, 3).as_chunks::<32>().0 {
        rows.push(noise.map(|byte| byte.cast_signed().max(-127)));
    }
    let extremes = [0x00, 0x7f, 0x80, 0xff];
    for dtype in QUANTIZED {
        let bytes = panel_bytes(dtype, 256).unwrap();
        let mut panels = vec![noise(bytes, 1), noise(bytes, 2)];
        for scale in extremes {
            for value in extremes {
                let mut panel = vec![value; bytes];
                if dtype.block_elements() == 256 {
                    let minima = matches!(dtype, DType::Q2K | DType::Q4K | DType::Q5K);
                    panel[if minima { 64 } else { 32 }..][..256].fill(scale);
                }
                panels.push(panel);
            }
        }
        for (index, mut panel) in panels.into_iter().enumerate() {
            set_scales(dtype, &mut panel);
            let mut weights = vec![0.0; 256 * PANEL];
            unpack_panel(dtype, &panel, 256, &mut weights);
            for group in [0, 3, 7] {
                let out = Rows::in_group(group, &rows).times(dtype, &panel);
                for (r, row) in rows.iter().enumerate() {
                    for lane in 0..PANEL {
                        let weight = |i: usize| weights[(32 * group + i) * PANEL + lane] as i64;
                        let expected: i64 = (0..32).map(|i| weight(i) * i64::from(row[i])).sum();
                        assert!(expected.abs() < 1 << 24);
                        let found = out[r * PANEL + lane];
                        assert_eq!(found, expected as f32, "{dtype} panel {index} group {group} row {r}");
                    }
                }
            }
        }
    }
}

/// A call without rows or panels reads and writes nothing.
#[test]
fn nothing_to_do() {
    if !Level::Avx2.is_supported() {
        return;
    }
    let x = [1.0_f32; 64];
    let (q, scales, sums) = ([1_i8; 64], [1.0; 2], [16; 4]);
    let int8_rows =
        Int8Rows { q: q.as_ptr(), scales: scales.as_ptr(), side: sums.as_ptr(), groups: 2, height: 1 };
    let panel = vec![0; panel_bytes(DType::F32, 64).unwrap()];
    let mut out = [7.0; PANEL];
    for (panels, rows) in [(1, 0), (0, 1), (0, 0)] {
        for kernel in [KERNELS.f32, KERNELS.f16, KERNELS.bf16] {
            // SAFETY: a panel of 64 inputs, a row of as many and 16 outputs are there; the level is supported.
            unsafe { kernel(panel.as_ptr(), panels, 64, x.as_ptr(), 64, rows, out.as_mut_ptr(), PANEL) };
        }
        let kernel = int8(DType::Q4_0).unwrap();
        // SAFETY: a panel of 64 inputs, a row of as many and 16 outputs are there; the level is supported.
        unsafe { (kernel.panels)(panel.as_ptr(), panels, &int8_rows, rows, out.as_mut_ptr(), PANEL) };
        assert_eq!(out, [7.0; PANEL]);
    }
}

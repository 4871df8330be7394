//! What comparing with the portable kernels would not show: that no sum of 16 bits saturates, whatever the bytes.

#![allow(clippy::unwrap_used)]

use super::super::super::level::Level;
use super::super::super::pack::{PANEL, panel_bytes, unpack_panel};
use super::super::Int8Rows;
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
        let mut q = vec![0; 256 * rows.len()];
        for (row, values) in q.chunks_exact_mut(256).zip(rows) {
            row[32 * group..][..32].copy_from_slice(values);
        }
        let sums =
            q.as_chunks::<16>().0.iter().map(|half| half.iter().map(|&q| i32::from(q)).sum()).collect();
        Self { scales: vec![1.0; 8 * rows.len()], sums, q }
    }

    fn times(&self, dtype: DType, panel: &[u8]) -> Vec<f32> {
        let rows = self.q.len() / 256;
        let x = Int8Rows {
            q: self.q.as_ptr(),
            stride: 256,
            scales: self.scales.as_ptr(),
            sums: self.sums.as_ptr(),
            groups: 8,
        };
        let mut out = vec![f32::NAN; rows * PANEL];
        let kernel = int8(dtype).unwrap();
        // SAFETY: one panel of 256 inputs, and as many rows in `x` and `out`; the level is supported.
        unsafe { kernel(panel.as_ptr(), 1, &x, rows, out.as_mut_ptr(), PANEL) };
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

#[test]
fn integers_of_activations_stay_in_range() {
    if !Level::Avx2.is_supported() {
        return;
    }
    let mut groups: Vec<[f32; 32]> = vec![
        [0.0; 32],
        [-0.0; 32],
        [1.0; 32],
        [-3.4e38; 32],
        [f32::MIN_POSITIVE / 8.0; 32],
        [-f32::from_bits(1); 32],
        [f32::INFINITY; 32],
        [f32::NEG_INFINITY; 32],
        [f32::NAN; 32],
    ];
    groups.push(std::array::from_fn(|i| if i == 5 { f32::NAN } else { i as f32 }));
    groups.push(std::array::from_fn(|i| if i == 5 { f32::NEG_INFINITY } else { i as f32 }));
    for bytes in noise(32 * 50, 9).as_chunks::<32>().0 {
        groups.push(bytes.map(|byte| f32::from(byte.cast_signed()) * 0.37));
    }
    let x = groups.as_flattened();
    let (mut q, mut scales) = (vec![-128_i8; x.len()], vec![f32::NAN; groups.len()]);
    let mut sums = vec![i32::MAX; 2 * groups.len()];
    (KERNELS.quantize)(x, &mut q, &mut scales, &mut sums);
    assert!(q.iter().all(|&q| q >= -127));
    for (half, &sum) in q.as_chunks::<16>().0.iter().zip(&sums) {
        assert_eq!(half.iter().map(|&q| i32::from(q)).sum::<i32>(), sum);
    }
    for (group, x) in groups.iter().enumerate().filter(|(_, x)| x.iter().all(|x| x.is_finite())) {
        let largest = x.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        assert_eq!(scales[group], largest / 127.0);
        // Without an inverse, values round to zero.
        if largest.is_subnormal() {
            continue;
        }
        for (x, &q) in x.iter().zip(&q[32 * group..]) {
            let error = f64::from(*x) - f64::from(scales[group]) * f64::from(q);
            assert!(error.abs() <= f64::from(scales[group]) * 0.50002, "{x} became {q}");
        }
    }
}

#[test]
fn bf16_rounds_to_nearest_even() {
    if !Level::Avx2.is_supported() {
        return;
    }
    // Every pattern of the upper half beside the lower halves where rounding turns.
    let lower = [0x0000, 0x0001, 0x7fff, 0x8000, 0x8001, 0xffff];
    let x: Vec<f32> = lower
        .iter()
        .flat_map(|lower| (0..=0xffff_u32).map(move |upper| f32::from_bits(upper << 16 | lower)))
        .chain([1.5, f32::NAN, 2.5])
        .collect();
    let mut out = vec![0xffff; x.len() + 1];
    (KERNELS.to_bf16)(&x, &mut out);
    for (x, &out) in x.iter().zip(&out) {
        assert_eq!(out, half::bf16::from_f32(*x).to_bits(), "{:#x}", x.to_bits());
    }
    assert_eq!(out.last(), Some(&0));
}

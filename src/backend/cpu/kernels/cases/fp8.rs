//! Panels of 8-bit floats: every code in every lane, against `f32` panels of the same weights, bit for bit.

use super::super::Kernels;
use super::*;
use crate::backend::cpu::pack::{Fp8Group, pack_fp8_panel, unpack_fp8_panel, unpack_fp8_row};
use crate::weights::e4m3;

/// Around the edges of groups and of the pieces that kernels widen.
const WIDTHS: [usize; 12] = [1, 3, 16, 24, 31, 32, 33, 127, 128, 129, 256, 530];

/// Scales of real checkpoints are around 2^-12; the others reach into the subnormal and towards the largest numbers.
const SCALES: [f32; 4] = [2.3e-4, 1.7, 1e-38, 1e30];

struct Case {
    group: Fp8Group,
    width: usize,
    panels: usize,
    packed: AlignedBytes,
    /// The same weights as panels of F32.
    wide: Vec<f32>,
    /// `[16 * panels][width]`, as the definition has them.
    weights: Vec<f32>,
    inputs: Vec<f32>,
}

impl Case {
    fn new(group: Fp8Group, width: usize, scale: f32) -> Self {
        let mut random = Random(width as u64);
        let panels = 3;
        let (mut codes, mut scales, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..panels * PANEL {
            let of_row: Vec<f32> =
                (0..group.count(width)).map(|_| scale * (1.0 + random.unit() / 2.0)).collect();
            for k in 0..width {
                // All codes but NaN, in every lane.
                let code = (7 * row + k) as u8;
                codes.push(if code & 0x7f == 0x7f { 0x80 } else { code });
                weights.push(e4m3(*codes.last().unwrap()) * of_row[k / group.len()]);
            }
            scales.extend(of_row);
        }
        let size = group.panel_bytes(width).unwrap();
        let mut packed = AlignedBytes::zeroed(panels * size, "weights").unwrap();
        let mut wide = vec![0.0; panels * PANEL * width];
        let mut rows = codes.chunks_exact(width).zip(scales.chunks_exact(group.count(width)));
        let panel_wide = wide.chunks_exact_mut(PANEL * width);
        for (out, wide) in packed.as_mut_slice().chunks_exact_mut(size).zip(panel_wide) {
            pack_fp8_panel(group, rows.by_ref().take(PANEL), out);
            unpack_fp8_panel(group, out, wide);
        }
        let inputs = (0..ROWS * width).map(|_| random.unit()).collect();
        Self { group, width, panels, packed, wide, weights, inputs }
    }

    fn run(&self, kernels: &Kernels, call: Call) -> Vec<f32> {
        let panel = &self.packed.as_slice()[call.first_panel * self.group.panel_bytes(self.width).unwrap()..];
        let x = self.inputs[call.first_row * self.width..].as_ptr();
        let (width, group) = (self.width, self.group);
        guarded(call, |out, stride| {
            // SAFETY: the slices hold the panels and rows of the call, and `out` the rows that are asked for.
            unsafe {
                (kernels.fp8)(panel.as_ptr(), call.panels, width, group, x, width, call.rows, out, stride);
            }
        })
    }
}

/// Tries the kernel.
pub(crate) fn fp8(kernels: &Kernels) {
    for group in [Fp8Group::Of32, Fp8Group::Of128] {
        for (at, width) in WIDTHS.into_iter().enumerate() {
            let scale = SCALES[at % SCALES.len()];
            let case = Case::new(group, width, scale);
            let name = || format!("{group:?} width {width} scale {scale}");
            let found = in_any_company(case.panels, width == 33, &name, &|call| case.run(kernels, call));
            let (rows, panels) = (ROWS, case.panels);
            let expected = guarded(Call { first_panel: 0, panels, first_row: 0, rows }, |out, stride| {
                let (panel, x) = (case.wide.as_ptr().cast(), case.inputs.as_ptr());
                // SAFETY: as in `run`.
                unsafe { (kernels.f32)(panel, panels, width, x, width, rows, out, stride) }
            });
            for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert_eq!(found.to_bits(), expected.to_bits(), "{} value {index}", name());
            }
            weights_are_kept(&case);
        }
    }
    nan_stays_nan(kernels);
}

/// What is packed is what the definition says, read as panels or as rows.
fn weights_are_kept(case: &Case) {
    let size = case.group.panel_bytes(case.width).unwrap();
    for (row, weights) in case.weights.chunks_exact(case.width).enumerate() {
        let (panel, lane) = (row / PANEL, row % PANEL);
        let mut found = vec![f32::NAN; case.width];
        unpack_fp8_row(case.group, &case.packed.as_slice()[panel * size..][..size], lane, &mut found);
        let wide = case.wide[panel * PANEL * case.width..].iter().skip(lane).step_by(PANEL);
        for ((found, wide), expected) in found.iter().zip(wide).zip(weights) {
            assert_eq!(found.to_bits(), expected.to_bits());
            assert_eq!(wide.to_bits(), expected.to_bits());
        }
    }
}

/// One NaN among the weights makes its output NaN for every row, and no other output.
fn nan_stays_nan(kernels: &Kernels) {
    for code in [0x7f, 0xff] {
        let (group, width) = (Fp8Group::Of32, 70);
        let mut codes = vec![0x38; width];
        codes[40] = code;
        let (clean, scales) = (vec![0x38; width], [1.0; 3]);
        let rows = (0..PANEL).map(|lane| (if lane == 5 { &codes[..] } else { &clean[..] }, &scales[..]));
        let mut packed = AlignedBytes::zeroed(group.panel_bytes(width).unwrap(), "weights").unwrap();
        pack_fp8_panel(group, rows, packed.as_mut_slice());
        let x = vec![0.0; ROWS * width];
        for rows in [1, ROWS] {
            let found = guarded(Call { first_panel: 0, panels: 1, first_row: 0, rows }, |out, stride| {
                let panel = packed.as_slice().as_ptr();
                // SAFETY: one panel, and as many rows as there are.
                unsafe { (kernels.fp8)(panel, 1, width, group, x.as_ptr(), width, rows, out, stride) }
            });
            for (index, found) in found.iter().enumerate() {
                assert_eq!(found.is_nan(), index % PANEL == 5, "{code:#04x}, {rows} rows, value {index}");
            }
        }
    }
}

//! Panels of int8 with one scale per output, with int8 activations.

use super::super::Kernels;
use super::*;
use crate::backend::cpu::activations::Int8Activations;
use crate::backend::cpu::buffer::Arena;
use crate::backend::cpu::pack::{ChannelPanel, GROUP};

/// Less than a block of 256, whole blocks, a last one with less than the others, and more than kernels take at a time.
const WIDTHS: [usize; 9] = [32, 64, 224, 256, 288, 512, 800, 1024, 2336];

/// The weights of a case: integers as they are stored, and scales.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Weights {
    /// Random integers; scales of either sign.
    Random,
    /// Random integers; scale 1.
    Whole,
    /// The same integer everywhere; scale 1.
    Filled(u8),
}

/// The activations of a case.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Inputs {
    /// Random integers and scales.
    Random,
    /// Random integers; scale 1.
    Whole,
    /// The same integer everywhere; scale 1.
    Filled(i8),
}

const CASES: [(Weights, Inputs); 9] = [
    (Weights::Random, Inputs::Random),
    (Weights::Whole, Inputs::Whole),
    (Weights::Whole, Inputs::Filled(127)),
    (Weights::Filled(255), Inputs::Filled(127)),
    (Weights::Filled(255), Inputs::Filled(-127)),
    (Weights::Filled(1), Inputs::Filled(127)),
    (Weights::Filled(1), Inputs::Filled(-127)),
    // No weight is rounded to it, but a kernel need not rely on that.
    (Weights::Filled(0), Inputs::Filled(-127)),
    (Weights::Filled(128), Inputs::Whole),
];

/// Tries the kernel.
pub(crate) fn per_channel(kernels: &Kernels) {
    for (index, width) in WIDTHS.into_iter().enumerate() {
        // What concerns numbers alone is seen at small widths.
        let cases = if width <= 288 { CASES.len() } else { 2 };
        for (number, (weights, inputs)) in CASES.into_iter().take(cases).enumerate() {
            let one = 1 + (index + number) % 5;
            for panels in if index == 0 && number == 0 { 1..=5 } else { one..=one } {
                let case = Case::new(width, panels, weights, inputs, kernels.per_channel.form.shared);
                // The heights of single tiles, and those of several that go through chunks.
                case.check(kernels, number == 0 && (index == 0 || width > 2048));
            }
        }
    }
}

struct Case {
    name: String,
    groups: usize,
    panels: usize,
    panel_bytes: usize,
    packed: AlignedBytes,
    /// `[ROWS][groups][32]`.
    q: Vec<i8>,
    /// `[ROWS][groups]`, the same for all groups of a block.
    scales: Vec<f32>,
}

impl Case {
    fn new(width: usize, panels: usize, weights: Weights, inputs: Inputs, shared: usize) -> Self {
        let mut random = Random((width * 10 + panels) as u64);
        let groups = width / GROUP;
        let panel_bytes = ChannelPanel::bytes_of_groups(groups);
        let mut packed = AlignedBytes::zeroed(panels * panel_bytes, "weights").unwrap();
        for panel in packed.as_mut_slice().chunks_exact_mut(panel_bytes) {
            let (scales, integers) = panel.split_at_mut(4 * PANEL);
            for scale in scales.as_chunks_mut::<4>().0 {
                *scale = if weights == Weights::Random { 0.05 * random.unit() } else { 1.0 }.to_le_bytes();
            }
            integers.fill_with(|| match weights {
                Weights::Filled(code) => code,
                _ => random.next() as u8,
            });
        }
        let integer = |_| match inputs {
            Inputs::Filled(value) => value,
            _ => random.whole(127) as i8,
        };
        let q = (0..ROWS * width).map(integer).collect();
        let mut scales = Vec::new();
        for _ in 0..ROWS {
            let mut left = groups;
            while left > 0 {
                let scale = if inputs == Inputs::Random { 0.01 * random.unit().abs() + 1e-6 } else { 1.0 };
                scales.extend(std::iter::repeat_n(scale, shared.min(left)));
                left -= shared.min(left);
            }
        }
        let name = format!("per channel, width {width} {weights:?} {inputs:?}");
        Self { name, groups, panels, panel_bytes, packed, q, scales }
    }

    fn row(&self, row: usize) -> (&[i8], &[f32]) {
        let (width, groups) = (self.groups * GROUP, self.groups);
        (&self.q[row * width..][..width], &self.scales[row * groups..][..groups])
    }

    fn run(&self, kernels: &Kernels, call: Call) -> Vec<f32> {
        let kernel = kernels.per_channel;
        let panel = &self.packed.as_slice()[call.first_panel * self.panel_bytes..];
        let mut x = Int8Activations::new(&Arena::new(), kernel.form, call.rows, self.groups).unwrap();
        let writer = x.writer().run(&(0..call.rows));
        for row in 0..writer.capacity() {
            if row >= call.rows {
                // SAFETY: one row after the other.
                unsafe { writer.zeros(row) };
                continue;
            }
            let (q, scales) = self.row(call.first_row + row);
            let halves = q.as_chunks::<{ GROUP / 2 }>().0.iter();
            let sums: Vec<i32> = halves.map(|half| half.iter().map(|&q| i32::from(q)).sum()).collect();
            // SAFETY: as above.
            unsafe { writer.row(row, q, scales, &sums) };
        }
        guarded(call, |out, out_stride| {
            // SAFETY: the slices hold the panels of the call, `x` its rows, and `out` room for what is asked for.
            unsafe {
                let x = x.rows_from(&(0..call.rows), 0);
                (kernel.panels)(panel.as_ptr(), call.panels, &x, call.rows, out, out_stride)
            }
        })
    }

    fn check(&self, kernels: &Kernels, every_number: bool) {
        let found =
            in_any_company(self.panels, every_number, &|| self.name.clone(), &|call| self.run(kernels, call));
        let width = self.panels * PANEL;
        for row in 0..ROWS {
            for column in 0..width {
                let name = || format!("{} row {row} column {column}", self.name);
                self.expected(row, column).check(found[row * width + column], name);
            }
        }
    }

    /// From the bytes of the panel, as its description says where they lie.
    fn expected(&self, row: usize, column: usize) -> Sum {
        let (panel, lane) = (column / PANEL, column % PANEL);
        let panel = &self.packed.as_slice()[panel * self.panel_bytes..][..self.panel_bytes];
        let (scales, integers) = panel.split_at(4 * PANEL);
        let scale = f64::from(f32::from_le_bytes(scales.as_chunks::<4>().0[lane]));
        let (q, x_scales) = self.row(row);
        let mut sum = Sum::ZERO;
        for (group, x_scale) in x_scales.iter().enumerate() {
            let mut dot = 0i64;
            for k in 0..GROUP {
                let at = (group * 8 + k / 4) * 64 + 4 * lane + k % 4;
                dot += (i64::from(integers[at]) - 128) * i64::from(q[group * GROUP + k]);
            }
            sum.add([scale, f64::from(*x_scale), dot as f64]);
        }
        sum
    }
}

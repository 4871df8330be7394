//! Panels that are not quantized, with `f32` and with BF16 activations.

use half::{bf16, f16};

use super::super::{FloatPanels, Kernels};
use super::*;

/// The last one ends in the second chunk of kernels that go through their inputs in chunks, and in the third of half as
/// many.
const WIDTHS: [usize; 15] = [1, 2, 3, 15, 16, 17, 31, 32, 33, 64, 96, 172, 256, 512, 2051];

/// Where the values of a case come from.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Values {
    /// Between -1 and 1, with rounding in every product and sum.
    Random,
    /// From -8 to 8, so that all sums are whole.
    Whole,
    Zero,
    /// Weights near the largest f16, inputs of 10^20.
    Large,
    /// Weights below the smallest normal f16 (which are normal numbers in `f32` and BF16).
    Small,
}

const CASES: [Values; 5] = [Values::Random, Values::Whole, Values::Zero, Values::Large, Values::Small];

impl Values {
    fn weight(self, random: &mut Random) -> f32 {
        match self {
            Self::Random => random.unit(),
            Self::Whole => random.whole(8) as f32,
            Self::Zero => 0.0,
            Self::Large => 65504.0 * random.unit(),
            Self::Small => 6e-5 * random.unit(),
        }
    }

    fn input(self, random: &mut Random) -> f32 {
        match self {
            Self::Random | Self::Zero | Self::Small => random.unit(),
            Self::Whole => random.whole(8) as f32,
            Self::Large => 1e20 * random.unit(),
        }
    }
}

/// Tries the kernels with `f32` activations.
pub(crate) fn float(kernels: &Kernels) {
    let formats = [(DType::F32, kernels.f32), (DType::F16, kernels.f16), (DType::BF16, kernels.bf16)];
    each(&formats.map(|(dtype, _)| dtype), |case, every_number| {
        let kernel = formats.iter().find(|(dtype, _)| *dtype == case.dtype).unwrap().1;
        case.check(every_number, &case.inputs, &|call| case.run(kernel, call));
    });
}

/// Tries the kernel with BF16 activations, where the level has one.
pub(crate) fn bf16_dot(kernels: &Kernels) {
    let Some(kernel) = kernels.bf16_dot else { return };
    each(&[DType::BF16], |case, every_number| {
        // Rows end with a zero when their width is odd; what follows must not count.
        let even = case.width.next_multiple_of(2);
        let stride = even + 6;
        let mut x = vec![bf16::NAN.to_bits(); ROWS * stride];
        for (x, inputs) in x.chunks_exact_mut(stride).zip(case.inputs.chunks_exact(case.x_stride)) {
            x[..even].fill(0);
            for (x, input) in x.iter_mut().zip(&inputs[..case.width]) {
                *x = bf16::from_f32(*input).to_bits();
            }
        }
        let mut rounded = case.inputs.clone();
        for value in &mut rounded {
            *value = bf16::from_f32(*value).to_f32();
        }
        case.check(every_number, &rounded, &|call| {
            let panel = case.panels_from(call.first_panel);
            let x = x[call.first_row * stride..].as_ptr();
            guarded(call, |out, out_stride| {
                // SAFETY: the slices hold the panels and rows of the call, and `out` the rows that are asked for.
                unsafe {
                    kernel(panel.as_ptr(), call.panels, case.width, x, stride, call.rows, out, out_stride);
                }
            })
        });
    });
}

/// All cases of some formats, with whether to try every number of rows.
fn each(formats: &[DType], check: impl Fn(&Case, bool)) {
    for &dtype in formats {
        for width in WIDTHS {
            for (number, values) in CASES.into_iter().enumerate() {
                let panels = if number == 0 { 1..=3 } else { 1 + number % 3..=1 + number % 3 };
                for panels in panels {
                    check(&Case::new(dtype, width, panels, values), number == 0 && [3, 33].contains(&width));
                }
            }
        }
    }
}

struct Case {
    dtype: DType,
    width: usize,
    panels: usize,
    values: Values,
    packed: AlignedBytes,
    /// `[16 * panels][width]`.
    weights: Vec<f32>,
    /// `[ROWS][x_stride]`.
    inputs: Vec<f32>,
    x_stride: usize,
}

impl Case {
    fn new(dtype: DType, width: usize, panels: usize, values: Values) -> Self {
        let mut random = Random((width * 10 + panels) as u64);
        let mut weights = Vec::new();
        let rows: Vec<Vec<u8>> = (0..panels * PANEL)
            .map(|_| {
                let mut row = Vec::new();
                for _ in 0..width {
                    let value = values.weight(&mut random);
                    let (half, bfloat) = (f16::from_f32(value), bf16::from_f32(value));
                    match dtype {
                        DType::F16 => row.extend(half.to_le_bytes()),
                        DType::BF16 => row.extend(bfloat.to_le_bytes()),
                        _ => row.extend(value.to_le_bytes()),
                    }
                    weights.push(match dtype {
                        DType::F16 => half.to_f32(),
                        DType::BF16 => bfloat.to_f32(),
                        _ => value,
                    });
                }
                row
            })
            .collect();
        let packed = pack(dtype, &rows, width);
        let x_stride = width + 5;
        // What lies between the rows must not count.
        let mut inputs = vec![f32::NAN; ROWS * x_stride];
        for row in inputs.chunks_exact_mut(x_stride) {
            row[..width].fill_with(|| values.input(&mut random));
        }
        Self { dtype, width, panels, values, packed, weights, inputs, x_stride }
    }

    fn panels_from(&self, first: usize) -> &[u8] {
        &self.packed.as_slice()[first * panel_bytes(self.dtype, self.width).unwrap()..]
    }

    fn run(&self, kernel: FloatPanels, call: Call) -> Vec<f32> {
        let panel = self.panels_from(call.first_panel);
        let x = self.inputs[call.first_row * self.x_stride..].as_ptr();
        guarded(call, |out, out_stride| {
            // SAFETY: the slices hold the panels and rows of the call, and `out` the rows that are asked for.
            unsafe {
                kernel(panel.as_ptr(), call.panels, self.width, x, self.x_stride, call.rows, out, out_stride);
            }
        })
    }

    fn check(&self, every_number: bool, inputs: &[f32], run: &dyn Fn(Call) -> Vec<f32>) {
        let name = || format!("{} width {} {:?}", self.dtype, self.width, self.values);
        let found = in_any_company(self.panels, every_number, &name, run);
        let columns = self.panels * PANEL;
        for (row, (found, x)) in
            found.chunks_exact(columns).zip(inputs.chunks_exact(self.x_stride)).enumerate()
        {
            for (column, (found, weights)) in
                found.iter().zip(self.weights.chunks_exact(self.width)).enumerate()
            {
                let mut sum = Sum::ZERO;
                for (x, weight) in x.iter().zip(weights) {
                    sum.add([f64::from(*x), f64::from(*weight), 1.0]);
                }
                sum.check(*found, || format!("{} row {row} column {column}", name()));
            }
        }
    }
}

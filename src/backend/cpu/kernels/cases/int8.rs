//! Quantized panels with int8 activations.

use super::super::{Int8Kernel, Kernels};
use super::*;
use crate::backend::cpu::activations::Int8Activations;
use crate::backend::cpu::buffer::Arena;
use crate::backend::cpu::pack::{GROUP, Layout};

const FORMATS: [DType; 10] = [
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

const WIDTHS: [usize; 6] = [32, 64, 96, 256, 512, 1024];

/// The weights of a case: the bytes of their codes and small scales, and their f16 scale and minimum.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Weights {
    /// Random codes; scales of some hundredths, of either sign.
    Random,
    /// Random codes; scale and minimum 1, so that all terms are whole.
    Whole,
    /// Every byte of codes and small scales the same; scale and minimum 1.
    Filled(u8),
    /// Random codes; scale and minimum zero.
    Zero,
    /// Random codes; the largest scales that f16 has.
    Large,
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
    /// Random integers; scales of 10^20.
    Large,
}

const CASES: [(Weights, Inputs); 14] = [
    (Weights::Random, Inputs::Random),
    (Weights::Whole, Inputs::Whole),
    (Weights::Whole, Inputs::Filled(127)),
    (Weights::Random, Inputs::Filled(0)),
    (Weights::Zero, Inputs::Random),
    (Weights::Filled(0x00), Inputs::Filled(127)),
    (Weights::Filled(0xff), Inputs::Filled(127)),
    (Weights::Filled(0xff), Inputs::Filled(-127)),
    (Weights::Filled(0x7f), Inputs::Filled(-127)),
    (Weights::Filled(0x7f), Inputs::Filled(127)),
    (Weights::Filled(0x80), Inputs::Filled(127)),
    (Weights::Filled(0x80), Inputs::Filled(-127)),
    (Weights::Filled(0x81), Inputs::Whole),
    (Weights::Large, Inputs::Large),
];

/// Tries the kernels of all quantized formats; none may be missing.
pub(crate) fn int8(kernels: &Kernels) {
    for dtype in FORMATS {
        let Some(kernel) = (kernels.int8)(dtype) else { panic!("{dtype} has no kernel") };
        let widths = WIDTHS.into_iter().filter(|width| width % dtype.block_elements() == 0);
        for (index, width) in widths.enumerate() {
            // What concerns numbers alone is seen at small widths.
            let cases = if index < 2 { CASES.len() } else { 2 };
            for (number, (weights, inputs)) in CASES.into_iter().take(cases).enumerate() {
                // Every number of rows and of panels for the first case; one shape for each of the others.
                let panels = if number == 0 { 1..=3 } else { 1 + number % 3..=1 + number % 3 };
                for panels in panels {
                    let case = Case::new(dtype, width, panels, weights, inputs, kernel.form.shared);
                    let every_number = number == 0 && index == 0;
                    case.check(kernel, every_number);
                }
            }
        }
    }
    for dtype in [DType::F32, DType::F16, DType::BF16, DType::Other] {
        assert!((kernels.int8)(dtype).is_none(), "{dtype} is not quantized");
    }
}

struct Case {
    dtype: DType,
    width: usize,
    panels: usize,
    weights: Weights,
    inputs: Inputs,
    packed: AlignedBytes,
    /// `[ROWS][stride]`.
    q: AlignedBytes,
    stride: usize,
    scales: Vec<f32>,
    sums: Vec<i32>,
}

impl Case {
    fn new(
        dtype: DType,
        width: usize,
        panels: usize,
        weights: Weights,
        inputs: Inputs,
        shared: usize,
    ) -> Self {
        let mut random = Random((width * 10 + panels) as u64);
        let rows: Vec<Vec<u8>> =
            (0..panels * PANEL).map(|_| file_row(dtype, width, weights, &mut random)).collect();
        let packed = pack(dtype, &rows, width);
        let groups = width / GROUP;
        let stride = width.next_multiple_of(64) + 64;
        let mut q = AlignedBytes::zeroed(ROWS * stride, "activations").unwrap();
        // What lies between the rows must not count.
        q.as_mut_slice().fill(77);
        let (mut scales, mut sums) = (Vec::new(), Vec::new());
        for row in q.as_mut_slice().chunks_exact_mut(stride) {
            for group in row[..width].chunks_exact_mut(GROUP) {
                for half in group.chunks_exact_mut(GROUP / 2) {
                    let values: [i8; 16] = std::array::from_fn(|_| match inputs {
                        Inputs::Filled(value) => value,
                        _ => random.whole(127) as i8,
                    });
                    sums.push(values.iter().map(|&q| i32::from(q)).sum());
                    half.copy_from_slice(&values.map(i8::cast_unsigned));
                }
            }
            for _ in 0..groups / shared {
                let scale = match inputs {
                    Inputs::Random => 0.01 * random.unit().abs() + 1e-6,
                    Inputs::Whole | Inputs::Filled(_) => 1.0,
                    Inputs::Large => 1e20 * (1.0 + random.unit().abs()),
                };
                scales.extend(std::iter::repeat_n(scale, shared));
            }
        }
        Self { dtype, width, panels, weights, inputs, packed, q, stride, scales, sums }
    }

    fn name(&self) -> String {
        format!("{} width {} {:?} {:?}", self.dtype, self.width, self.weights, self.inputs)
    }

    fn run(&self, kernel: Int8Kernel, call: Call) -> Vec<f32> {
        let groups = self.width / GROUP;
        let panel_bytes = panel_bytes(self.dtype, self.width).unwrap();
        let panel = &self.packed.as_slice()[call.first_panel * panel_bytes..];
        let mut x = Int8Activations::new(&Arena::new(), kernel.form, call.rows, groups).unwrap();
        let writer = x.writer().run(&(0..call.rows));
        for row in 0..writer.capacity() {
            if row >= call.rows {
                // SAFETY: one row after the other.
                unsafe { writer.zeros(row) };
                continue;
            }
            let from = call.first_row + row;
            let q: Vec<i8> = self.q.as_slice()[from * self.stride..][..self.width]
                .iter()
                .map(|q| q.cast_signed())
                .collect();
            let scales = &self.scales[from * groups..][..groups];
            let sums = &self.sums[2 * from * groups..][..2 * groups];
            // SAFETY: as above.
            unsafe { writer.row(row, &q, scales, sums) };
        }
        guarded(call, |out, out_stride| {
            // SAFETY: the slices hold the panels of the call, `x` its rows, and `out` room for what is asked for.
            unsafe {
                (kernel.panels)(
                    panel.as_ptr(),
                    call.panels,
                    &x.rows_from(&(0..call.rows), 0),
                    call.rows,
                    out,
                    out_stride,
                )
            }
        })
    }

    fn check(&self, kernel: Int8Kernel, every_number: bool) {
        let found =
            in_any_company(self.panels, every_number, &|| self.name(), &|call| self.run(kernel, call));
        let width = self.panels * PANEL;
        for row in 0..ROWS {
            for panel in 0..self.panels {
                for (lane, sum) in self.expected(row, panel).iter().enumerate() {
                    let column = panel * PANEL + lane;
                    sum.check(found[row * width + column], || {
                        format!("{} row {row} column {column}", self.name())
                    });
                }
            }
        }
    }

    /// The outputs of one row and panel.
    fn expected(&self, row: usize, panel: usize) -> [Sum; PANEL] {
        let layout = Layout::of(self.dtype).unwrap();
        let panel_bytes = panel_bytes(self.dtype, self.width).unwrap();
        let panel = &self.packed.as_slice()[panel * panel_bytes..][..panel_bytes];
        let groups = self.width / GROUP;
        let mut out = [Sum::ZERO; PANEL];
        for group in 0..groups {
            let block = &panel[group / layout.groups() * layout.bytes..][..layout.bytes];
            let codes = layout.codes(block, group % layout.groups());
            let sx = f64::from(self.scales[row * groups + group]);
            for half in 0..2 {
                let scales = layout.scales(block, group % layout.groups(), half);
                let first = half * GROUP / 2;
                let q = &self.q.as_slice()[row * self.stride + group * GROUP + first..][..GROUP / 2];
                let sum: i32 = q.iter().map(|&q| i32::from(q.cast_signed())).sum();
                assert_eq!(sum, self.sums[(row * groups + group) * 2 + half]);
                for (lane, out) in out.iter_mut().enumerate() {
                    let products = codes[first..].iter().zip(q);
                    let dot: i64 =
                        products.map(|(codes, &q)| codes[lane] as i64 * i64::from(q.cast_signed())).sum();
                    out.add([f64::from(scales.scale[lane]), sx, dot as f64]);
                    if layout.min.is_some() {
                        out.add([-f64::from(scales.min[lane]), sx, f64::from(sum)]);
                    }
                }
            }
        }
        out
    }
}

/// A row of a file.
fn file_row(dtype: DType, width: usize, weights: Weights, random: &mut Random) -> Vec<u8> {
    let mut row = Vec::new();
    for _ in 0..width / dtype.block_elements() {
        let mut block: Vec<u8> = (0..dtype.block_bytes())
            .map(|_| match weights {
                Weights::Filled(byte) => byte,
                _ => random.next() as u8,
            })
            .collect();
        for at in half_fields(dtype) {
            let value = match weights {
                Weights::Random => 0.05 * random.unit(),
                Weights::Whole | Weights::Filled(_) => 1.0,
                Weights::Zero => 0.0,
                Weights::Large => 65504.0,
            };
            block[*at..at + 2].copy_from_slice(&half::f16::from_f32(value).to_le_bytes());
        }
        row.extend(block);
    }
    row
}

/// Where the f16 fields of a block lie in a file.
fn half_fields(dtype: DType) -> &'static [usize] {
    match dtype {
        DType::Q8_0 | DType::Q4_0 | DType::Q5_0 => &[0],
        DType::Q4_1 | DType::Q5_1 | DType::Q4K | DType::Q5K => &[0, 2],
        DType::Q2K => &[80, 82],
        DType::Q3K => &[108],
        DType::Q6K => &[208],
        _ => &[],
    }
}

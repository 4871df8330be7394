//! Panels of quantized formats with int8 activations.

// A pointer is moved and followed under one promise.
#![allow(clippy::multiple_unsafe_ops_per_block)]

use super::super::{Form, Int8Kernel, Int8Rows, Side};
use crate::backend::cpu::pack::{Codes, Format, GROUP, Layout, PANEL, Scales, Visit, visit};
use crate::weights::DType;

/// See [`Kernels::int8`](super::Kernels::int8).
pub(super) fn kernel(dtype: DType) -> Option<Int8Kernel> {
    struct Kernel;
    impl Visit for Kernel {
        type Output = Int8Kernel;
        fn visit<F: Format>(self) -> Int8Kernel {
            let form = Form { max_height: 1, shared: 1, side: Side::Sums };
            Int8Kernel { panels: panels::<F>, form }
        }
    }
    visit(dtype, Kernel)
}

/// # Safety
/// As [`Int8Panels`](super::super::Int8Panels): `panel` holds `panels` whole panels of `x.groups` groups, the arrays of `x` hold `rows` rows,
/// and `out` has room for `rows` rows of `16 * panels` values that lie `out_stride` apart.
unsafe fn panels<F: Format>(
    panel: *const u8,
    panels: usize,
    x: &Int8Rows,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
) {
    let groups = F::LAYOUT.groups();
    let panel_bytes = x.groups / groups * F::LAYOUT.bytes;
    for index in 0..panels {
        // SAFETY: the caller's promise about `panel`.
        let panel = unsafe { std::slice::from_raw_parts(panel.add(index * panel_bytes), panel_bytes) };
        for row in 0..rows {
            // SAFETY: the caller's promise about `out`.
            unsafe { out.add(row * out_stride + index * PANEL).cast::<[f32; PANEL]>().write([0.0; PANEL]) };
        }
        for (block_index, block) in panel.chunks_exact(F::LAYOUT.bytes).enumerate() {
            for within in 0..groups {
                // Decoded once for all rows; each row then adds the group to what it has.
                let group = Group::read(&F::LAYOUT, block, within);
                for row in 0..rows {
                    // SAFETY: the caller's promises about `x` and `out`; the group is one of the row's.
                    let (x, out) = unsafe {
                        let out = out.add(row * out_stride + index * PANEL).cast::<[f32; PANEL]>();
                        (Activations::read(x, row, block_index * groups + within), &mut *out)
                    };
                    group.add_to(&F::LAYOUT, &x, out);
                }
            }
        }
    }
}

/// A group of one row of activations.
struct Activations<'a> {
    q: &'a [i8; GROUP],
    scale: f32,
    sums: [i32; 2],
}

impl<'a> Activations<'a> {
    /// # Safety
    /// The arrays of `x` hold this row and group.
    unsafe fn read(x: &'a Int8Rows, row: usize, group: usize) -> Self {
        let index = row * x.groups + group;
        // SAFETY: the caller's promise; `i8` and `[i8; 32]` have the same alignment.
        unsafe {
            Self {
                q: &*x.q.add(row * Int8Rows::tile_bytes(1, x.groups) + group * GROUP).cast(),
                scale: *x.scales.add(index),
                sums: [*x.side.add(2 * index), *x.side.add(2 * index + 1)],
            }
        }
    }
}

/// A group of the weights of a panel.
struct Group {
    codes: Codes,
    scales: [Scales; 2],
}

impl Group {
    #[inline(always)]
    fn read(layout: &Layout, block: &[u8], group: usize) -> Self {
        let scales = [layout.scales(block, group, 0), layout.scales(block, group, 1)];
        Self { codes: layout.codes(block, group), scales }
    }

    #[inline(always)]
    fn add_to(&self, layout: &Layout, x: &Activations<'_>, out: &mut [f32; PANEL]) {
        let halves = self.codes.as_chunks::<{ GROUP / 2 }>().0.iter();
        let halves = halves.zip(x.q.as_chunks::<{ GROUP / 2 }>().0);
        if layout.scales_halves() {
            for (half, (codes, q)) in halves.enumerate() {
                let mut dot = [0.0; PANEL];
                add_products(codes, q, &mut dot);
                self.scales[half].add_to(layout, &dot, x.scale, x.sums[half], out);
            }
        } else {
            let mut dot = [0.0; PANEL];
            for (codes, q) in halves {
                add_products(codes, q, &mut dot);
            }
            self.scales[0].add_to(layout, &dot, x.scale, x.sums[0] + x.sums[1], out);
        }
    }
}

/// The integer dot product, exact in `f32` as [`Codes`] says.
#[inline(always)]
fn add_products(codes: &[[f32; PANEL]; GROUP / 2], q: &[i8; GROUP / 2], dot: &mut [f32; PANEL]) {
    for (codes, &q) in codes.iter().zip(q) {
        let q = f32::from(q);
        for lane in 0..PANEL {
            dot[lane] += codes[lane] * q;
        }
    }
}

impl Scales {
    #[inline(always)]
    fn add_to(&self, layout: &Layout, dot: &[f32; PANEL], sx: f32, sum: i32, out: &mut [f32; PANEL]) {
        for lane in 0..PANEL {
            out[lane] += self.scale[lane] * sx * dot[lane];
        }
        if layout.min.is_some() {
            let sum = sx * sum as f32;
            for (out, min) in out.iter_mut().zip(&self.min) {
                *out -= min * sum;
            }
        }
    }
}

//! The product of activations with a packed matrix, for every number of rows.
//!
//! The work is cut into tasks of consecutive panels. A task walks through the rows in blocks that stay in the second
//! level cache while all its panels pass by; inside, the kernels keep register tiles. Neither the cut nor the blocks
//! touch the order in which a single output is summed.

use super::Compute;
use super::buffer::{Arena, Elements, Tensor};
use super::kernels::{Bf16Panels, FloatPanels, Int8Panels, Int8Rows, Kernels};
use super::matrix::{PackedMatrix, PackedPart};
use super::pack::{GROUP, PANEL, unpack_panel};
use super::threads::{SharedMut, Threads};
use crate::backend::BackendError;
use crate::weights::DType;

use std::sync::Arc;

/// Bytes of activations that a task keeps in the second level cache: half of the smallest in use.
const ROW_BLOCK_BYTES: usize = 512 << 10;

/// The most rows of a block; bounds the tile of a last panel, which lies on the stack.
const MAX_ROW_BLOCK: usize = 384;

/// Tasks per thread: enough that a thread that was held up does not hold up the others.
const TASKS_PER_THREAD: usize = 6;

/// What a product is computed with.
pub(super) struct Gemm<'a> {
    pub(super) kernels: &'a Kernels,
    pub(super) threads: &'a Threads,
    pub(super) arena: &'a Arc<Arena>,
    pub(super) compute: Compute,
}

/// Activations in one of the forms that kernels take.
struct Int8Activations {
    q: Elements<i8>,
    scales: Elements<f32>,
    sums: Elements<i32>,
    stride: usize,
    groups: usize,
}

struct Bf16Activations {
    values: Elements<u16>,
    stride: usize,
}

/// How the panels of a part are multiplied.
enum Kernel {
    Int8(Int8Panels),
    Float(FloatPanels),
    Bf16(Bf16Panels),
    /// Widened to `f32`, panel by panel.
    Widened(FloatPanels),
}

impl Gemm<'_> {
    /// `x W^T + b`, `[rows, outputs]`.
    pub(super) fn multiply(&self, x: &Tensor, matrix: &PackedMatrix) -> Result<Tensor, BackendError> {
        if x.width() != matrix.cols() {
            let (found, expected) = (x.width(), matrix.cols());
            return Err(BackendError::Shape { operation: "linear", what: "input width", found, expected });
        }
        let mut out = self.arena.tensor(x.rows(), matrix.rows())?;
        let any = |wanted: fn(&Kernel) -> bool| {
            matrix.parts().iter().any(|part| wanted(&self.kernel(part.dtype())))
        };
        let int8 = any(|kernel| matches!(kernel, Kernel::Int8(_)));
        let int8 = if int8 { Some(self.to_int8(x)?) } else { None };
        let bf16 = any(|kernel| matches!(kernel, Kernel::Bf16(_)));
        let bf16 = if bf16 { Some(self.to_bf16(x)?) } else { None };
        // One panel in `f32` for each thread.
        let wide = x.width() * PANEL;
        let widened = any(|kernel| matches!(kernel, Kernel::Widened(_)));
        let mut scratch =
            self.arena.elements::<f32>(if widened { wide * self.threads.count() } else { 0 })?;
        let scratch = SharedMut::new(scratch.as_mut_slice().as_mut_ptr());

        let panels: usize = matrix.parts().iter().map(PackedPart::panels).sum();
        let per_task = panels.div_ceil(self.threads.count() * TASKS_PER_THREAD).max(1).next_multiple_of(2);
        let tasks = || {
            matrix.parts().iter().flat_map(move |part| {
                let starts = (0..part.panels()).step_by(per_task);
                starts.map(move |first| (part, first, per_task.min(part.panels() - first)))
            })
        };
        let out_stride = matrix.rows();
        let target = SharedMut::new(out.as_mut_slice().as_mut_ptr());
        self.threads.run_numbered(tasks().count(), &|thread, task| {
            let Some((part, first, panels)) = tasks().nth(task) else { return };
            let kernel = self.kernel(part.dtype());
            let (int8, bf16) = (int8.as_ref(), bf16.as_ref());
            // SAFETY: every thread has its own part of the scratch, which is empty when no kernel widens.
            let wide =
                unsafe { scratch.slice(thread * wide * usize::from(widened), wide * usize::from(widened)) };
            Job { x, int8, bf16, part, kernel, first, panels, target, out_stride }.run(matrix.bias(), wide);
        });
        Ok(out)
    }

    fn kernel(&self, dtype: DType) -> Kernel {
        let Kernels { f32, f16, bf16, bf16_dot, .. } = *self.kernels;
        match (dtype, (self.kernels.int8)(dtype)) {
            (DType::F32, _) => Kernel::Float(f32),
            (DType::F16, _) => Kernel::Float(f16),
            (DType::BF16, _) => match bf16_dot {
                Some(dot) if self.compute != Compute::F32 => Kernel::Bf16(dot),
                _ => Kernel::Float(bf16),
            },
            (_, Some(int8)) if self.compute != Compute::F32 => Kernel::Int8(int8),
            _ => Kernel::Widened(f32),
        }
    }

    fn to_int8(&self, x: &Tensor) -> Result<Int8Activations, BackendError> {
        let groups = x.width() / GROUP;
        // A cache line more than a multiple of 64: rows whose distance is a power of two would share cache sets.
        let stride = x.width().next_multiple_of(64) + 64;
        let mut q = self.arena.elements::<i8>(x.rows() * stride)?;
        let mut scales = self.arena.elements::<f32>(x.rows() * groups)?;
        let mut sums = self.arena.elements::<i32>(x.rows() * groups * 2)?;
        {
            let (q, scales, sums) = (
                SharedMut::new(q.as_mut_slice().as_mut_ptr()),
                SharedMut::new(scales.as_mut_slice().as_mut_ptr()),
                SharedMut::new(sums.as_mut_slice().as_mut_ptr()),
            );
            self.rows(x, &|row| {
                // SAFETY: every row has its own part of each of the three blocks, and each row is handled once.
                let q = unsafe { q.slice(row * stride, x.width()) };
                // SAFETY: as above.
                let scales = unsafe { scales.slice(row * groups, groups) };
                // SAFETY: as above.
                let sums = unsafe { sums.slice(row * groups * 2, groups * 2) };
                (self.kernels.quantize)(x.row(row), q, scales, sums);
            });
        }
        Ok(Int8Activations { q, scales, sums, stride, groups })
    }

    fn to_bf16(&self, x: &Tensor) -> Result<Bf16Activations, BackendError> {
        let width = x.width().next_multiple_of(2);
        let stride = width.next_multiple_of(32) + 32;
        let mut values = self.arena.elements::<u16>(x.rows() * stride)?;
        let target = SharedMut::new(values.as_mut_slice().as_mut_ptr());
        self.rows(x, &|row| {
            // SAFETY: every row has its own part of the block, and each row is handled once.
            (self.kernels.to_bf16)(x.row(row), unsafe { target.slice(row * stride, width) });
        });
        Ok(Bf16Activations { values, stride })
    }

    /// Calls `run` for every row, on several threads where that pays.
    fn rows(&self, x: &Tensor, run: &(dyn Fn(usize) + Sync)) {
        if x.rows() * x.width() < 1 << 14 {
            (0..x.rows()).for_each(run);
        } else {
            self.threads.run(x.rows(), run);
        }
    }
}

/// Some panels of one part, for all rows.
struct Job<'a> {
    x: &'a Tensor,
    int8: Option<&'a Int8Activations>,
    bf16: Option<&'a Bf16Activations>,
    part: &'a PackedPart,
    kernel: Kernel,
    first: usize,
    panels: usize,
    target: SharedMut<f32>,
    out_stride: usize,
}

/// Where the outputs of some rows and panels go.
#[derive(Clone, Copy)]
struct Target {
    out: *mut f32,
    stride: usize,
}

impl Job<'_> {
    fn run(&self, bias: Option<&[f32]>, wide: &mut [f32]) {
        let row_bytes = match self.kernel {
            Kernel::Int8(_) => self.x.width(),
            Kernel::Bf16(_) => self.x.width() * 2,
            Kernel::Float(_) | Kernel::Widened(_) => self.x.width() * 4,
        };
        let block = (ROW_BLOCK_BYTES / row_bytes.max(1)).clamp(24, MAX_ROW_BLOCK);
        for start in (0..self.x.rows()).step_by(block) {
            self.rows(start, block.min(self.x.rows() - start), wide);
        }
        let Some(bias) = bias else { return };
        let first = self.part.first_row() + self.first * PANEL;
        let lanes = (self.panels * PANEL).min(self.part.rows() - self.first * PANEL);
        for row in 0..self.x.rows() {
            // SAFETY: these outputs belong to this task alone.
            let out = unsafe { self.target.slice(row * self.out_stride + first, lanes) };
            out.iter_mut().zip(&bias[first..first + lanes]).for_each(|(out, bias)| *out += bias);
        }
    }

    /// All panels for some rows.
    fn rows(&self, start: usize, rows: usize, wide: &mut [f32]) {
        let lanes = self.part.rows() - self.first * PANEL;
        let whole = self.panels.min(lanes / PANEL);
        let first = start * self.out_stride + self.part.first_row() + self.first * PANEL;
        if whole > 0 {
            // SAFETY: the panels of this task own these outputs of every row.
            let out = unsafe { self.target.at(first) };
            self.multiply(self.first, whole, start, rows, Target { out, stride: self.out_stride }, wide);
        }
        if whole < self.panels {
            // The last panel is filled up with zeros: only its real lanes may be written.
            let rest = lanes - whole * PANEL;
            let mut tile = [0.0f32; MAX_ROW_BLOCK * PANEL];
            let target = Target { out: tile.as_mut_ptr(), stride: PANEL };
            self.multiply(self.first + whole, 1, start, rows, target, wide);
            for row in 0..rows {
                // SAFETY: as above.
                let out = unsafe { self.target.slice(first + row * self.out_stride + whole * PANEL, rest) };
                out.copy_from_slice(&tile[row * PANEL..row * PANEL + rest]);
            }
        }
    }

    /// Panels that are whole, for some rows.
    fn multiply(&self, first: usize, panels: usize, start: usize, rows: usize, to: Target, wide: &mut [f32]) {
        let panel = self.part.panels_from(first).as_ptr();
        let Target { out, stride } = to;
        let cols = self.x.width();
        let floats = || self.x.as_slice()[start * cols..].as_ptr();
        match self.kernel {
            Kernel::Int8(kernel) => {
                let Some(x) = self.int8 else { return };
                let x = Int8Rows {
                    q: x.q.as_slice()[start * x.stride..].as_ptr(),
                    stride: x.stride,
                    scales: x.scales.as_slice()[start * x.groups..].as_ptr(),
                    sums: x.sums.as_slice()[start * x.groups * 2..].as_ptr(),
                    groups: x.groups,
                };
                // SAFETY: the panels, the rows and the outputs exist; the kernel is one that this processor can run.
                unsafe { kernel(panel, panels, &x, rows, out, stride) }
            }
            Kernel::Bf16(kernel) => {
                let Some(x) = self.bf16 else { return };
                let values = x.values.as_slice()[start * x.stride..].as_ptr();
                // SAFETY: as above.
                unsafe { kernel(panel, panels, cols, values, x.stride, rows, out, stride) }
            }
            // SAFETY: as above.
            Kernel::Float(kernel) => unsafe {
                kernel(panel, panels, cols, floats(), cols, rows, out, stride)
            },
            Kernel::Widened(kernel) => {
                for at in 0..panels {
                    let packed =
                        self.part.panels_from(first + at).get(..self.part.panel_bytes()).unwrap_or_default();
                    unpack_panel(self.part.dtype(), packed, cols, wide);
                    // SAFETY: as above, for the panel after the ones before.
                    let out = unsafe { out.add(at * PANEL) };
                    // SAFETY: as above; the widened panel is one of F32.
                    unsafe { kernel(wide.as_ptr().cast(), 1, cols, floats(), cols, rows, out, stride) }
                }
            }
        }
    }
}

//! The product of activations with a packed matrix, for every number of rows; and many such products at once, each of
//! some of the rows with a matrix of its own, as the experts of a mixture are.
//!
//! The work of all products is cut into tasks of consecutive panels, one list for all threads. A task walks through the rows in blocks that stay in the second
//! level cache while all its panels pass by; inside, the kernels keep register tiles. Neither the cut nor the blocks
//! touch the order in which a single output is summed.

mod groups;
#[cfg(test)]
mod tests;

use super::Compute;
use super::activations::Int8Activations;
use super::buffer::{Arena, Elements, Tensor};
use super::kernels::{Bf16Panels, FloatPanels, Form, Fp8Panels, Int8Kernel, Kernels, MAX_INT8_ROWS};
use super::matrix::{PackedMatrix, PackedPart};
use super::pack::{Fp8Group, GROUP, PANEL, PanelType, unpack_panel};
use super::threads::{SharedMut, Threads};
use crate::backend::BackendError;
use crate::weights::DType;

pub(super) use groups::{Group, Groups, Shapes};

use std::ops::Range;
use std::sync::Arc;

/// Bytes of activations that a task keeps in the second level cache, where it has all of the smallest in use.
const ROW_BLOCK_BYTES: usize = 1 << 20;

/// The most rows of a block; bounds the tile of a last panel, which lies on the stack.
const MAX_ROW_BLOCK: usize = MAX_INT8_ROWS;

/// Tasks per thread: enough that a thread that was held up does not hold up the others.
const TASKS_PER_THREAD: usize = 6;

/// Multiply-adds below which a product is not worth a second thread: it would be done before the others have begun.
const MIN_SPREAD: usize = 1 << 17;

/// What a panel costs beyond its products, in rows: about as long as those take, it is read from memory.
const READING_ROWS: usize = 4;

/// What a product is computed with.
pub(super) struct Gemm<'a> {
    pub(super) kernels: &'a Kernels,
    pub(super) threads: &'a Threads,
    pub(super) arena: &'a Arc<Arena>,
    pub(super) compute: Compute,
}

/// Activations as they are, with rows further apart than their width. Rows whose distance is a multiple of 4 KB share
/// the same sets of the first-level cache, and the rows of a tile then drive each other out.
struct SpacedActivations {
    values: Elements<f32>,
    stride: usize,
}

/// Rows whose width is a multiple of this many values, a kilobyte, are kept apart: at least every fourth would meet.
const MEETING: usize = 256;

/// Activations rounded to BF16.
struct Bf16Activations {
    values: Elements<u16>,
    stride: usize,
}

/// How the panels of a part are multiplied.
enum Kernel {
    Int8(Int8Kernel),
    Float(FloatPanels),
    Bf16(Bf16Panels),
    Fp8(Fp8Panels, Fp8Group),
    /// Widened to `f32`, panel by panel.
    Widened(DType, FloatPanels),
}

/// Activations in every form that the parts of some matrices want.
struct Inputs<'a> {
    x: &'a Tensor,
    spaced: Option<SpacedActivations>,
    int8: Int8Forms,
    bf16: Option<Bf16Activations>,
}

impl Gemm<'_> {
    /// `x W^T + b`, `[rows, outputs]`.
    pub(super) fn multiply(&self, x: &Tensor, matrix: &PackedMatrix) -> Result<Tensor, BackendError> {
        let all = Group { matrix: 0, first: 0, rows: x.rows() as u32 };
        self.multiply_groups(
            x,
            &Groups { groups: &[all], matrix: &|_| matrix, source: None, shapes: Shapes::Equal },
        )
    }

    /// `x W^T + b` for the rows of each group with its own matrix, `[rows of all groups, outputs]`.
    pub(super) fn multiply_groups(&self, x: &Tensor, groups: &Groups<'_>) -> Result<Tensor, BackendError> {
        let (rows, outputs) = (groups.rows(), groups.outputs(x)?);
        self.check_kernels(groups)?;
        let mut out = self.arena.tensor(rows, outputs)?;
        let inputs = self.inputs(x, groups)?;
        // One panel in `f32` for each thread.
        let widened = groups.parts().any(|part| matches!(self.kernel(part.holds()), Kernel::Widened(..)));
        let wide = if widened { x.width() * PANEL } else { 0 };
        let mut scratch = self.arena.elements::<f32>(wide * self.threads.count())?;
        let scratch = SharedMut::new(scratch.as_mut_slice().as_mut_ptr());

        let spread = rows.saturating_mul(x.width()).saturating_mul(outputs) >= MIN_SPREAD;
        let tasks = if spread { self.threads.count() * TASKS_PER_THREAD } else { 1 };
        // Tasks of equal cost: the more rows a group has, the fewer panels.
        let cost = |group: Group| group.rows as usize + READING_ROWS;
        let panels = |matrix: &PackedMatrix| matrix.parts().iter().map(PackedPart::panels).sum::<usize>();
        let total: usize =
            groups.groups.iter().map(|group| panels(groups.matrix_of(*group)) * cost(*group)).sum();
        let share = total.div_ceil(tasks);
        let tasks = || {
            groups.groups.iter().flat_map(move |&group| {
                let matrix = groups.matrix_of(group);
                let per_task = share.div_ceil(cost(group)).max(1).next_multiple_of(2);
                matrix.parts().iter().flat_map(move |part| {
                    let starts = (0..part.panels()).step_by(per_task);
                    starts.map(move |first| (group, part, first, per_task.min(part.panels() - first)))
                })
            })
        };
        let target = SharedMut::new(out.as_mut_slice().as_mut_ptr());
        let run = |thread: usize, task: usize| {
            let Some((group, part, first, panels)) = tasks().nth(task) else { return };
            let (kernel, rows) = (self.kernel(part.holds()), group.range());
            let float_chunk = self.kernels.float_chunk;
            // SAFETY: every thread has its own part of the scratch, which is empty when no kernel widens.
            let wide = unsafe { scratch.slice(thread * wide, wide) };
            let matrix = groups.matrix_of(group);
            Job {
                inputs: &inputs,
                cols: matrix.cols(),
                rows,
                part,
                kernel,
                float_chunk,
                first,
                panels,
                target,
                out_stride: outputs,
            }
            .run(matrix.bias(), wide);
        };
        let count = tasks().count();
        if spread {
            self.threads.run_numbered(count, &run)
        } else {
            (0..count).for_each(|task| run(0, task))
        }
        Ok(out)
    }

    /// An error for matrices of other shapes that no kernel for floats multiplies: all others read whole rows.
    fn check_kernels(&self, groups: &Groups<'_>) -> Result<(), BackendError> {
        let is_float = |part: &PackedPart| matches!(self.kernel(part.holds()), Kernel::Float(_));
        if groups.shapes == Shapes::Equal || groups.parts().all(is_float) {
            return Ok(());
        }
        let (what, accepted) = ("the type of a factor".into(), "F32, F16 or BF16, computed as F32".into());
        Err(BackendError::Option { option: "matrices of several shapes", value: what, accepted })
    }

    /// The rows of the groups in every form that their matrices want.
    fn inputs<'x>(&self, x: &'x Tensor, groups: &Groups<'_>) -> Result<Inputs<'x>, BackendError> {
        let mut inputs = Inputs { x, spaced: None, int8: Int8Forms::default(), bf16: None };
        let meets = x.rows() > 1 && x.width().is_multiple_of(MEETING);
        for part in groups.parts() {
            match self.kernel(part.holds()) {
                Kernel::Int8(Int8Kernel { form, .. }) if inputs.int8.find(form).is_none() => {
                    inputs.int8.push(self.to_form(x, groups, form)?);
                }
                Kernel::Bf16(_) if inputs.bf16.is_none() => inputs.bf16 = Some(self.to_bf16(x, groups)?),
                Kernel::Float(_) | Kernel::Fp8(..) | Kernel::Widened(..)
                    if inputs.spaced.is_none() && (meets || groups.source.is_some()) =>
                {
                    inputs.spaced = Some(self.to_spaced(x, groups)?);
                }
                _ => {}
            }
        }
        Ok(inputs)
    }

    fn kernel(&self, holds: PanelType) -> Kernel {
        let Kernels { per_channel, f32, f16, bf16, fp8, bf16_dot, .. } = *self.kernels;
        let dtype = match holds {
            PanelType::File(dtype) => dtype,
            PanelType::PerChannel => return Kernel::Int8(per_channel),
            PanelType::Fp8(group) => return Kernel::Fp8(fp8, group),
        };
        match (dtype, (self.kernels.int8)(dtype)) {
            (DType::F32, _) => Kernel::Float(f32),
            (DType::F16, _) => Kernel::Float(f16),
            (DType::BF16, _) => match (bf16_dot, self.compute) {
                (Some(dot), Compute::Bf16) => Kernel::Bf16(dot),
                (Some(dot), Compute::Auto) if self.kernels.bf16_dot_is_fast => Kernel::Bf16(dot),
                _ => Kernel::Float(bf16),
            },
            (_, Some(int8)) if matches!(self.compute, Compute::Auto | Compute::Int8) => Kernel::Int8(int8),
            _ => Kernel::Widened(dtype, f32),
        }
    }

    fn to_form(&self, x: &Tensor, of: &Groups<'_>, form: Form) -> Result<Int8Activations, BackendError> {
        let groups = x.width().div_ceil(GROUP);
        // What a row lacks to whole groups is zeros, which every thread keeps behind a copy of it.
        let width = groups * GROUP;
        let padding = if width > x.width() { width } else { 0 };
        let mut activations = Int8Activations::new(self.arena, form, of.rows(), groups)?;
        // Each thread rounds a row at a time, from where it is put between its neighbours.
        let threads = self.threads.count();
        let mut padded = self.arena.elements::<f32>(threads * padding)?;
        padded.as_mut_slice().fill(0.0);
        let mut q = self.arena.elements::<i8>(threads * width)?;
        let mut scales = self.arena.elements::<f32>(threads * groups)?;
        let mut sums = self.arena.elements::<i32>(threads * groups * 2)?;
        let writer = activations.writer();
        let (padded, q, scales, sums) = (
            SharedMut::new(padded.as_mut_slice().as_mut_ptr()),
            SharedMut::new(q.as_mut_slice().as_mut_ptr()),
            SharedMut::new(scales.as_mut_slice().as_mut_ptr()),
            SharedMut::new(sums.as_mut_slice().as_mut_ptr()),
        );
        self.rows(of.rows(), width, &|thread, row| {
            let Some(run) = of.group_of(row).map(Group::range) else { return };
            // SAFETY: every thread has its own part of each of the four blocks.
            let padded = unsafe { padded.slice(thread * padding, padding) };
            // SAFETY: as above.
            let q = unsafe { q.slice(thread * width, width) };
            // SAFETY: as above.
            let scales = unsafe { scales.slice(thread * groups, groups) };
            // SAFETY: as above.
            let sums = unsafe { sums.slice(thread * groups * 2, groups * 2) };
            let x = x.row(of.source_of(row));
            let values = match padded.get_mut(..x.len()) {
                Some(copy) => {
                    copy.copy_from_slice(x);
                    &*padded
                }
                None => x,
            };
            (self.kernels.quantize)(values, form.shared, q, scales, sums);
            let writer = writer.run(&run);
            // SAFETY: each row is handled once.
            unsafe { writer.row(row - run.start, q, scales, sums) };
            if row + 1 == run.end {
                for empty in run.len()..writer.capacity() {
                    // SAFETY: with the last row of its run, once.
                    unsafe { writer.zeros(empty) };
                }
            }
        });
        Ok(activations)
    }

    fn to_spaced(&self, x: &Tensor, of: &Groups<'_>) -> Result<SpacedActivations, BackendError> {
        let width = x.width();
        let stride = if width.is_multiple_of(MEETING) { width + 16 } else { width };
        let mut values = self.arena.elements::<f32>(of.rows() * stride)?;
        let target = SharedMut::new(values.as_mut_slice().as_mut_ptr());
        self.rows(of.rows(), width, &|_, row| {
            // SAFETY: every row has its own part of the block, and each row is handled once.
            unsafe { target.slice(row * stride, width) }.copy_from_slice(x.row(of.source_of(row)));
        });
        Ok(SpacedActivations { values, stride })
    }

    fn to_bf16(&self, x: &Tensor, of: &Groups<'_>) -> Result<Bf16Activations, BackendError> {
        let width = x.width().next_multiple_of(2);
        let stride = width.next_multiple_of(32) + 32;
        let mut values = self.arena.elements::<u16>(of.rows() * stride)?;
        let target = SharedMut::new(values.as_mut_slice().as_mut_ptr());
        self.rows(of.rows(), x.width(), &|_, row| {
            let from = x.row(of.source_of(row));
            // SAFETY: every row has its own part of the block, and each row is handled once.
            (self.kernels.to_bf16)(from, unsafe { target.slice(row * stride, width) });
        });
        Ok(Bf16Activations { values, stride })
    }

    /// Calls `run` with the thread's number and the row's for every row, on several threads where that pays.
    fn rows(&self, rows: usize, width: usize, run: &(dyn Fn(usize, usize) + Sync)) {
        if rows * width < 1 << 14 {
            (0..rows).for_each(|row| run(0, row));
        } else {
            self.threads.run_numbered(rows, run);
        }
    }
}

/// Activations in the forms of a matrix's parts: as many as formats that differ in them.
#[derive(Default)]
struct Int8Forms {
    /// Parts of one matrix are nearly always of one format, seldom of two.
    first: Option<Int8Activations>,
    others: Vec<Int8Activations>,
}

impl Int8Forms {
    fn push(&mut self, activations: Int8Activations) {
        match &self.first {
            None => self.first = Some(activations),
            Some(_) => self.others.push(activations),
        }
    }

    fn find(&self, form: Form) -> Option<&Int8Activations> {
        self.first.iter().chain(&self.others).find(|activations| activations.form() == form)
    }
}

/// Some panels of one part, for the rows of one group.
struct Job<'a> {
    inputs: &'a Inputs<'a>,
    /// Inputs of the matrix: as many as the activations are wide, or fewer ([`Shapes::UpToWidest`]).
    cols: usize,
    /// The group's rows among all.
    rows: Range<usize>,
    part: &'a PackedPart,
    kernel: Kernel,
    /// See [`Kernels::float_chunk`].
    float_chunk: usize,
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
            Kernel::Int8(_) => self.inputs.x.width(),
            Kernel::Bf16(_) => self.inputs.x.width().min(self.float_chunk) * 2,
            Kernel::Float(_) | Kernel::Widened(..) => self.inputs.x.width().min(self.float_chunk) * 4,
            Kernel::Fp8(..) => self.inputs.x.width() * 4,
        };
        // Blocks end where tiles do.
        let tile = match self.kernel {
            Kernel::Int8(kernel) => kernel.form.height(self.rows.len()),
            Kernel::Float(_) | Kernel::Bf16(_) | Kernel::Fp8(..) | Kernel::Widened(..) => 1,
        };
        let block = (ROW_BLOCK_BYTES / row_bytes.max(1)).clamp(48, MAX_ROW_BLOCK) / tile * tile;
        for start in (0..self.rows.len()).step_by(block) {
            self.block(start, block.min(self.rows.len() - start), wide);
        }
        let Some(bias) = bias else { return };
        let first = self.part.first_row() + self.first * PANEL;
        let lanes = (self.panels * PANEL).min(self.part.rows() - self.first * PANEL);
        for row in self.rows.clone() {
            // SAFETY: these outputs belong to this task alone.
            let out = unsafe { self.target.slice(row * self.out_stride + first, lanes) };
            out.iter_mut().zip(&bias[first..first + lanes]).for_each(|(out, bias)| *out += bias);
        }
    }

    /// All panels for `rows` of the group's rows from `start` on.
    fn block(&self, start: usize, rows: usize, wide: &mut [f32]) {
        let lanes = self.part.rows() - self.first * PANEL;
        let whole = self.panels.min(lanes / PANEL);
        let first = (self.rows.start + start) * self.out_stride + self.part.first_row() + self.first * PANEL;
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
        let Inputs { x, spaced, int8, bf16 } = self.inputs;
        let (cols, from) = (self.cols, self.rows.start + start);
        let (floats, float_stride) = match spaced {
            Some(SpacedActivations { values, stride }) => (values.as_slice(), *stride),
            None => (x.as_slice(), x.width()),
        };
        let floats = floats.get(from * float_stride..).unwrap_or_default().as_ptr();
        match self.kernel {
            Kernel::Int8(kernel) => {
                let Some(x) = int8.find(kernel.form) else { return };
                let x = x.rows_from(&self.rows, start);
                // SAFETY: the panels, the rows and the outputs exist; the kernel is one that this processor can run.
                unsafe { (kernel.panels)(panel, panels, &x, rows, out, stride) }
            }
            Kernel::Bf16(kernel) => {
                let Some(x) = bf16 else { return };
                let values = x.values.as_slice()[from * x.stride..].as_ptr();
                // SAFETY: as above.
                unsafe { kernel(panel, panels, cols, values, x.stride, rows, out, stride) }
            }
            // SAFETY: as above.
            Kernel::Float(kernel) => unsafe {
                kernel(panel, panels, cols, floats, float_stride, rows, out, stride)
            },
            // SAFETY: as above.
            Kernel::Fp8(kernel, group) => unsafe {
                kernel(panel, panels, cols, group, floats, float_stride, rows, out, stride)
            },
            Kernel::Widened(dtype, kernel) => {
                for at in 0..panels {
                    let packed =
                        self.part.panels_from(first + at).get(..self.part.panel_bytes()).unwrap_or_default();
                    unpack_panel(dtype, packed, cols, wide);
                    // SAFETY: as above, for the panel after the ones before.
                    let out = unsafe { out.add(at * PANEL) };
                    // SAFETY: as above; the widened panel is one of F32.
                    unsafe { kernel(wide.as_ptr().cast(), 1, cols, floats, float_stride, rows, out, stride) }
                }
            }
        }
    }
}

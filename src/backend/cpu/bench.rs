//! Single kernels for the kernel benchmark; no part of the public interface.

use super::Level;
use super::activations::Int8Activations;
use super::buffer::{AlignedBytes, Arena};
use super::kernels::{Bf16Panels, FloatPanels, Int8Kernel, Kernels, MAX_INT8_ROWS, kernels};
use super::pack::{self, PanelType};
use crate::backend::BackendError;
use crate::weights::DType;

/// How weights meet activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Quantized weights and int8 activations.
    Int8,
    /// Float weights and `f32` activations.
    Float,
    /// BF16 weights and activations.
    Bf16Dot,
    /// Float weights rounded to int8 with one scale per output, and int8 activations.
    PerChannel,
}

/// One matrix of panels and some rows of activations.
pub struct Case {
    multiply: Multiply,
    cols: usize,
    panels: usize,
    rows: usize,
    panel_bytes: usize,
    weights: AlignedBytes,
    out: Vec<f32>,
}

/// A kernel with the activations that it takes.
enum Multiply {
    Int8(Int8Kernel, Int8Activations),
    Float(FloatPanels, AlignedBytes),
    Bf16Dot(Bf16Panels, AlignedBytes),
}

/// Bytes between rows of activations: no power of two, so that rows do not share a cache set.
fn stride(width: usize) -> usize {
    width.next_multiple_of(64) + 64
}

impl Case {
    /// `None` when the level has no such kernel.
    ///
    /// # Errors
    /// Memory that cannot be had.
    pub fn new(
        level: Level,
        dtype: DType,
        kind: Kind,
        cols: usize,
        panels: usize,
        rows: usize,
    ) -> Result<Option<Self>, BackendError> {
        if !level.is_supported() {
            return Ok(None);
        }
        let Kernels { int8, per_channel, f32, f16, bf16, bf16_dot, .. } = kernels(level);
        let multiply = match (kind, dtype) {
            (Kind::Int8, _) => match int8(dtype) {
                Some(kernel) => Multiply::Int8(kernel, int8_rows(kernel, cols, rows)?),
                None => return Ok(None),
            },
            (Kind::PerChannel, _) => Multiply::Int8(per_channel, int8_rows(per_channel, cols, rows)?),
            (Kind::Float, DType::F32) => Multiply::Float(f32, float_rows(4 * cols, rows)?),
            (Kind::Float, DType::F16) => Multiply::Float(f16, float_rows(4 * cols, rows)?),
            (Kind::Float, DType::BF16) => Multiply::Float(bf16, float_rows(4 * cols, rows)?),
            (Kind::Bf16Dot, DType::BF16) => match bf16_dot {
                Some(kernel) => Multiply::Bf16Dot(kernel, float_rows(2 * cols, rows)?),
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        let Some(panel_bytes) = panel_type(dtype, kind).panel_bytes(cols) else { return Ok(None) };
        let mut weights = AlignedBytes::zeroed(panel_bytes * panels, "weights")?;
        // As f16, BF16 or f32 a small positive number; integers, scales and bits that are not all the same.
        weights.as_mut_slice().fill(0x2c);
        let out = vec![0.0; rows * panels * pack::PANEL];
        Ok(Some(Self { multiply, cols, panels, rows, panel_bytes, weights, out }))
    }

    /// Multiplications and additions of [`run`](Self::run).
    pub fn operations(&self) -> f64 {
        2.0 * (self.rows * self.panels * pack::PANEL) as f64 * self.cols as f64
    }

    /// The weights, packed.
    pub fn weights(&self) -> &[u8] {
        self.weights.as_slice()
    }

    /// Multiplies, `at_once` panels in a call.
    pub fn run(&mut self, at_once: usize) {
        let width = self.panels * pack::PANEL;
        for first in (0..self.panels).step_by(at_once.max(1)) {
            let panels = at_once.max(1).min(self.panels - first);
            let panel = self.weights.as_slice()[first * self.panel_bytes..].as_ptr();
            let (cols, rows) = (self.cols, self.rows);
            // As many rows in a call as a product gives its kernels.
            let most = match &self.multiply {
                Multiply::Int8(kernel, _) => {
                    let height = kernel.form.height(rows);
                    MAX_INT8_ROWS / height * height
                }
                _ => rows.max(1),
            };
            for start in (0..rows).step_by(most) {
                let rows = most.min(rows - start);
                let out = self.out[start * width + first * pack::PANEL..].as_mut_ptr();
                match &self.multiply {
                    Multiply::Int8(kernel, x) => {
                        let x = x.rows_from(&(0..self.rows), start);
                        // SAFETY: whole panels and rows of `cols` inputs, and outputs for all of them.
                        unsafe { (kernel.panels)(panel, panels, &x, rows, out, width) };
                    }
                    Multiply::Float(kernel, x) => {
                        let (x, stride) = (x.as_ptr(), stride(4 * cols) / 4);
                        // SAFETY: as above.
                        unsafe { kernel(panel, panels, cols, x.cast(), stride, rows, out, width) };
                    }
                    Multiply::Bf16Dot(kernel, x) => {
                        let (x, stride) = (x.as_ptr(), stride(2 * cols) / 2);
                        // SAFETY: as above.
                        unsafe { kernel(panel, panels, cols, x.cast(), stride, rows, out, width) };
                    }
                }
            }
        }
    }
}

/// Bytes of a panel of such weights; `None` when the width is not one that the type has.
pub fn panel_bytes(dtype: DType, kind: Kind, cols: usize) -> Option<usize> {
    panel_type(dtype, kind).panel_bytes(cols)
}

fn panel_type(dtype: DType, kind: Kind) -> PanelType {
    if kind == Kind::PerChannel { PanelType::PerChannel } else { PanelType::File(dtype) }
}

fn float_rows(bytes: usize, rows: usize) -> Result<AlignedBytes, BackendError> {
    let mut x = AlignedBytes::zeroed(rows * stride(bytes), "activations")?;
    x.as_mut_slice().fill(0x2c);
    Ok(x)
}

fn int8_rows(kernel: Int8Kernel, cols: usize, rows: usize) -> Result<Int8Activations, BackendError> {
    let groups = cols.div_ceil(pack::GROUP);
    let mut int8 = Int8Activations::new(&Arena::new(), kernel.form, rows, groups)?;
    let (q, scales, sums) =
        (vec![0x2c; groups * pack::GROUP], vec![0.01; groups], vec![0x2c * 16; 2 * groups]);
    let writer = int8.writer().run(&(0..rows));
    for row in 0..writer.capacity() {
        // SAFETY: rows within the capacity, one after the other.
        unsafe { writer.row(row, &q, &scales, &sums) };
    }
    Ok(int8)
}

//! Single kernels for the kernel benchmark; no part of the public interface.

use super::activations::Int8Activations;
use super::buffer::{AlignedBytes, Arena};
use super::kernels::{Kernels, kernels};
use super::{Level, pack};
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
}

/// One matrix of panels and some rows of activations.
pub struct Case {
    kernels: Kernels,
    dtype: DType,
    kind: Kind,
    cols: usize,
    panels: usize,
    rows: usize,
    panel_bytes: usize,
    weights: AlignedBytes,
    x: AlignedBytes,
    int8: Option<Int8Activations>,
    out: Vec<f32>,
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
        let kernels = kernels(level);
        let exists = match kind {
            Kind::Int8 => (kernels.int8)(dtype).is_some(),
            Kind::Float => matches!(dtype, DType::F32 | DType::F16 | DType::BF16),
            Kind::Bf16Dot => dtype == DType::BF16 && kernels.bf16_dot.is_some(),
        };
        let Some(panel_bytes) = pack::panel_bytes(dtype, cols).filter(|_| exists) else {
            return Ok(None);
        };
        let mut weights = AlignedBytes::zeroed(panel_bytes * panels, "weights")?;
        // As f16, BF16 or f32 a small positive number; integers, scales and bits that are not all the same.
        weights.as_mut_slice().fill(0x2c);
        let mut x = AlignedBytes::zeroed(rows * stride(4 * cols), "activations")?;
        x.as_mut_slice().fill(0x2c);
        let int8 = match (kernels.int8)(dtype) {
            Some(kernel) => {
                let groups = cols / pack::GROUP;
                let mut int8 = Int8Activations::new(&Arena::new(), kernel.form, rows, groups)?;
                let (q, scales, sums) = (vec![0x2c; cols], vec![0.01; groups], vec![0x2c * 16; 2 * groups]);
                let writer = int8.writer().run(&(0..rows));
                for row in 0..writer.capacity() {
                    // SAFETY: rows within the capacity, one after the other.
                    unsafe { writer.row(row, &q, &scales, &sums) };
                }
                Some(int8)
            }
            None => None,
        };
        let out = vec![0.0; rows * panels * pack::PANEL];
        Ok(Some(Self { kernels, dtype, kind, cols, panels, rows, panel_bytes, weights, x, int8, out }))
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
            let out = self.out[first * pack::PANEL..].as_mut_ptr();
            let x = self.x.as_ptr();
            let (cols, rows) = (self.cols, self.rows);
            match self.kind {
                Kind::Int8 => {
                    if let (Some(kernel), Some(x)) = ((self.kernels.int8)(self.dtype), &self.int8) {
                        // SAFETY: whole panels and rows of `cols` inputs, and outputs for all of them.
                        unsafe {
                            (kernel.panels)(panel, panels, &x.rows_from(&(0..rows), 0), rows, out, width)
                        };
                    }
                }
                Kind::Float => {
                    let kernel = match self.dtype {
                        DType::F32 => self.kernels.f32,
                        DType::F16 => self.kernels.f16,
                        _ => self.kernels.bf16,
                    };
                    // SAFETY: as above.
                    unsafe { kernel(panel, panels, cols, x.cast(), stride(4 * cols) / 4, rows, out, width) };
                }
                Kind::Bf16Dot => {
                    if let Some(kernel) = self.kernels.bf16_dot {
                        // SAFETY: as above.
                        unsafe {
                            kernel(panel, panels, cols, x.cast(), stride(2 * cols) / 2, rows, out, width)
                        };
                    }
                }
            }
        }
    }
}

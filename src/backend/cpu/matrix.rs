//! A packed weight matrix: tensors stacked along the outputs, each in its own format.

mod load;
#[cfg(test)]
pub(super) mod tests;

use super::buffer::AlignedBytes;
use super::pack::{PANEL, Packing, PanelType};
use crate::backend::{BackendError, MatrixPart, MatrixSource, MatrixUse};
use crate::weights::WeightsError;

pub use super::pack::Quantize;

/// A weight matrix `[rows, cols]`: outputs by inputs.
#[derive(Debug)]
pub struct PackedMatrix {
    parts: Vec<PackedPart>,
    rows: usize,
    cols: usize,
    bias: Option<Vec<f32>>,
}

/// Outputs `first_row..first_row + rows` of a matrix: panels of one type, one behind the other. The last panel has
/// lanes beyond the rows when these are no multiple of [`PANEL`].
#[derive(Debug)]
pub(crate) struct PackedPart {
    holds: PanelType,
    first_row: usize,
    rows: usize,
    panel_bytes: usize,
    bytes: AlignedBytes,
}

impl PackedPart {
    /// What the panels hold.
    pub(crate) fn holds(&self) -> PanelType {
        self.holds
    }

    /// The output of the matrix that this part's first row is.
    pub(crate) fn first_row(&self) -> usize {
        self.first_row
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn panels(&self) -> usize {
        self.rows.div_ceil(PANEL)
    }

    /// Bytes from panel to panel.
    pub(crate) fn panel_bytes(&self) -> usize {
        self.panel_bytes
    }

    /// Panel `index` and all behind it.
    pub(crate) fn panels_from(&self, index: usize) -> &[u8] {
        self.bytes.as_slice().get(index * self.panel_bytes..).unwrap_or_default()
    }
}

impl PackedMatrix {
    /// Outputs.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs.
    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    /// The parts in the order of their rows.
    pub(crate) fn parts(&self) -> &[PackedPart] {
        &self.parts
    }

    /// One value per output, where any of the tensors has a bias.
    pub(crate) fn bias(&self) -> Option<&[f32]> {
        self.bias.as_deref()
    }

    /// The outputs of several matrices without biases, one behind the other.
    #[cfg(test)]
    pub(super) fn stacked(matrices: Vec<Self>) -> Self {
        let (mut parts, mut rows) = (Vec::new(), 0);
        let cols = matrices[0].cols;
        for matrix in matrices {
            assert_eq!((matrix.cols, &matrix.bias), (cols, &None));
            let of_matrix = matrix.parts.into_iter();
            parts.extend(of_matrix.map(|part| PackedPart { first_row: rows + part.first_row, ..part }));
            rows += matrix.rows;
        }
        Self { parts, rows, cols, bias: None }
    }

    /// Bytes that the matrix keeps in memory.
    #[cfg(test)]
    fn bytes(&self) -> u64 {
        let weights: usize = self.parts.iter().map(|part| part.bytes.len().next_multiple_of(64)).sum();
        weights as u64 + self.bias.as_ref().map_or(0, |bias| 4 * bias.len() as u64)
    }

    /// One row of the weights, widened to `f32`; `out` has one value per input.
    ///
    /// # Errors
    /// A row that the matrix does not have, or another width.
    pub(crate) fn row(&self, row: usize, out: &mut [f32]) -> Result<(), BackendError> {
        const OPERATION: &str = "embedding";
        if out.len() != self.cols {
            return Err(BackendError::Shape {
                operation: OPERATION,
                what: "the width",
                found: out.len(),
                expected: self.cols,
            });
        }
        let within = |part: &&PackedPart| (part.first_row..part.first_row + part.rows).contains(&row);
        let Some(part) = self.parts.iter().find(within) else {
            return Err(BackendError::Index { operation: OPERATION, index: row, len: self.rows });
        };
        let (panel, lane) = ((row - part.first_row) / PANEL, (row - part.first_row) % PANEL);
        if let Some(panel) = part.panels_from(panel).get(..part.panel_bytes) {
            part.holds.unpack_row(panel, lane, out);
        }
        Ok(())
    }
}

/// A part as it will be packed, before anything is read.
struct Planned<'a> {
    holds: PanelType,
    first_row: usize,
    rows: usize,
    panel_bytes: usize,
    /// The tensors that it holds. All but the last fill their panels.
    tensors: Vec<MatrixPart<'a>>,
}

impl Planned<'_> {
    fn bytes(&self) -> Option<usize> {
        self.rows.div_ceil(PANEL).checked_mul(self.panel_bytes)
    }
}

/// Bytes of memory that a matrix will keep when it is loaded.
///
/// # Errors
/// Whatever keeps the source from being loaded and can be known without reading it.
pub(crate) fn planned_bytes(source: &MatrixSource<'_>, packing: Packing) -> Result<u64, BackendError> {
    let mut bytes = 0u64;
    for part in plan(source, packing)? {
        let size = part.bytes().ok_or_else(too_large)?;
        bytes = bytes.saturating_add((size as u64).saturating_add(63) / 64 * 64);
    }
    Ok(bytes.saturating_add(if source.has_bias() { 4 * source.rows() as u64 } else { 0 }))
}

/// Decides what panels hold, and which tensors can share their storage: those of one type whose predecessors end with a
/// full panel.
fn plan<'a>(source: &MatrixSource<'a>, packing: Packing) -> Result<Vec<Planned<'a>>, BackendError> {
    source.check()?;
    // The choice of experts turns on small differences, and adapters are small differences.
    let exact = matches!(source.usage, MatrixUse::Router | MatrixUse::LowRank);
    let packing = if exact { Packing::default() } else { packing };
    let mut parts: Vec<Planned<'a>> = Vec::new();
    let (cols, mut first_row) = (source.cols(), 0usize);
    let multiplied = source.usage != MatrixUse::Rows;
    for part in &source.parts {
        let weight = part.weight();
        let refused = |problem| WeightsError::tensor(source.checkpoint.path(), weight.name(), problem);
        let holds = packing.target(weight.dtype(), part.scale_edges(), cols, multiplied).map_err(refused)?;
        let rows = part.outputs();
        match parts.last_mut() {
            Some(last) if last.holds == holds && last.rows.is_multiple_of(PANEL) => {
                last.rows += rows;
                last.tensors.push(*part);
            }
            _ => {
                let panel_bytes = holds.panel_bytes(cols).ok_or_else(too_large)?;
                parts.push(Planned { holds, first_row, rows, panel_bytes, tensors: vec![*part] });
            }
        }
        first_row = first_row.checked_add(rows).ok_or_else(too_large)?;
    }
    Ok(parts)
}

fn too_large() -> BackendError {
    BackendError::Memory { what: "a weight matrix", bytes: u64::MAX }
}

//! Reading a matrix: pieces of some panels at a time, on all threads.

use std::ops::Range;

use parking_lot::Mutex;

use super::{PackedMatrix, PackedPart, Planned, plan, too_large};
use crate::backend::cpu::buffer::AlignedBytes;
use crate::backend::cpu::pack::{
    Fp8Group, PANEL, Packing, PanelType, pack_fp8_panel, pack_panel, quantize_row, round_to_panel,
};
use crate::backend::cpu::threads::Threads;
use crate::backend::source::PartScales;
use crate::backend::{BackendError, MatrixPart, MatrixProgress, MatrixSource, report};
use crate::weights::{DType, dequantize};

/// File bytes that a thread holds at a time, except that one panel's rows are always held together.
const PIECE_BYTES: usize = 1 << 20;

/// The same for a transposed tensor. A piece is read as a stripe of all stored rows: the wider, the fewer reads.
const TRANSPOSED_PIECE_BYTES: usize = 4 << 20;

impl PackedMatrix {
    /// Reads the source's tensors, row by row in the order that the models expect, quantizes or rounds them where that
    /// is asked for, and packs them.
    ///
    /// # Errors
    /// Tensors of different widths, or that cannot be read, packed or quantized, or a `progress` that says so.
    pub(in crate::backend::cpu) fn load(
        source: &MatrixSource<'_>,
        packing: Packing,
        threads: &Threads,
        progress: &mut MatrixProgress<'_>,
    ) -> Result<Self, BackendError> {
        let mut parts = Vec::new();
        let mut done_bytes = 0;
        for planned in plan(source, packing)? {
            let size = planned.bytes().ok_or_else(too_large)?;
            let mut bytes = AlignedBytes::zeroed(size, "a weight matrix")?;
            read_part(source, &planned, bytes.as_mut_slice(), threads, &mut |bytes| {
                done_bytes += bytes;
                report(progress, done_bytes)
            })?;
            let Planned { holds, first_row, rows, panel_bytes, .. } = planned;
            parts.push(PackedPart { holds, first_row, rows, panel_bytes, bytes });
        }
        let (rows, cols) = (source.rows(), source.cols());
        Ok(Self { parts, rows, cols, bias: read_bias(source)? })
    }
}

/// Pieces of each thread between two reports: a fraction of a second where they are quantized, and enough that waiting
/// for the last thread costs little.
const ROUND_PIECES: usize = 8;

/// Some rows of one tensor, which begin with a panel.
struct Piece<'a> {
    tensor: &'a MatrixPart<'a>,
    rows: Range<usize>,
    out: &'a mut [u8],
    /// File bytes that were read.
    result: Result<u64, BackendError>,
}

fn read_part(
    source: &MatrixSource<'_>,
    planned: &Planned<'_>,
    mut out: &mut [u8],
    threads: &Threads,
    read: &mut dyn FnMut(u64) -> Result<(), BackendError>,
) -> Result<(), BackendError> {
    if out.is_empty() {
        return Ok(());
    }
    let mut pieces = Vec::new();
    for tensor in &planned.tensors {
        let panel_rows_bytes = tensor.row_bytes().unwrap_or(usize::MAX).saturating_mul(PANEL);
        let piece_bytes = if tensor.is_transposed() { TRANSPOSED_PIECE_BYTES } else { PIECE_BYTES };
        let step = (piece_bytes / panel_rows_bytes.max(1)).max(1) * PANEL;
        let rows = tensor.outputs();
        for first in (0..rows).step_by(step) {
            let rows = first..rows.min(first + step);
            let (piece, rest) = out.split_at_mut(rows.len().div_ceil(PANEL) * planned.panel_bytes);
            out = rest;
            pieces.push(Mutex::new(Piece { tensor, rows, out: piece, result: Ok(0) }));
        }
    }
    for round in pieces.chunks(threads.count() * ROUND_PIECES) {
        threads.run(round.len(), &|index| {
            let piece = &mut *round[index].lock();
            piece.result = read_piece(source, planned.holds, piece);
        });
        let mut bytes = 0;
        for piece in round {
            let piece = &mut *piece.lock();
            bytes += std::mem::replace(&mut piece.result, Ok(0))?;
        }
        read(bytes)?;
    }
    Ok(())
}

fn read_piece(
    source: &MatrixSource<'_>,
    holds: PanelType,
    piece: &mut Piece<'_>,
) -> Result<u64, BackendError> {
    let (stored, cols) = (piece.tensor.weight().dtype(), piece.tensor.inputs());
    let row_bytes = row_bytes(stored, cols)?;
    let mut encoded = buffer(0u8, piece.rows.len(), row_bytes)?;
    source.read(piece.tensor, piece.rows.clone(), &mut encoded)?;
    let scales = source.read_scales(piece.tensor)?;
    let panel_bytes = piece.out.len() / piece.rows.len().div_ceil(PANEL);
    let panels = piece.out.chunks_exact_mut(panel_bytes);
    match (holds, scales) {
        (PanelType::File(dtype), None) if dtype == stored => pack(dtype, &encoded, row_bytes, cols, panels),
        (PanelType::File(dtype), scales) => {
            let target_bytes = self::row_bytes(dtype, cols)?;
            let mut converted = buffer(0u8, piece.rows.len(), target_bytes)?;
            let mut row = buffer(0f32, 1, cols)?;
            let rows = encoded.chunks_exact(row_bytes).zip(converted.chunks_exact_mut(target_bytes));
            for (number, (bytes, out)) in piece.rows.clone().zip(rows) {
                widen_rows(stored, bytes, scales.as_ref(), number, &mut row)?;
                convert_row(dtype, &row, out);
            }
            pack(dtype, &converted, target_bytes, cols, panels);
        }
        (PanelType::PerChannel, scales) => {
            let mut rows = buffer(0f32, PANEL, cols)?;
            let firsts = piece.rows.clone().step_by(PANEL);
            for (first, (bytes, panel)) in firsts.zip(encoded.chunks(PANEL * row_bytes).zip(panels)) {
                let rows = &mut rows[..bytes.len() / row_bytes * cols];
                widen_rows(stored, bytes, scales.as_ref(), first, rows)?;
                round_to_panel(rows, cols, panel);
            }
        }
        (PanelType::Fp8(group), Some(scales)) => {
            pack_fp8(group, &encoded, cols, (piece.rows.start, &scales), panels)?;
        }
        // Refused where a matrix is planned.
        (PanelType::Fp8(_), None) => {}
    }
    Ok(encoded.len() as u64)
}

/// Whole rows in `f32`, the first of which is row `first` of its tensor.
fn widen_rows(
    stored: DType,
    bytes: &[u8],
    scales: Option<&PartScales>,
    first: usize,
    out: &mut [f32],
) -> Result<(), BackendError> {
    dequantize(stored, bytes, out)?;
    if let Some(scales) = scales {
        let cols = scales.inputs();
        out.chunks_exact_mut(cols.max(1)).zip(first..).for_each(|(row, number)| scales.apply(number, row));
    }
    Ok(())
}

/// A row in another format: one that can be quantized to, or F32.
fn convert_row(dtype: DType, row: &[f32], out: &mut [u8]) {
    if dtype == DType::F32 {
        out.as_chunks_mut::<4>().0.iter_mut().zip(row).for_each(|(out, x)| *out = x.to_le_bytes());
    } else {
        quantize_row(dtype, row, out);
    }
}

/// Packs rows as they lie in a file.
fn pack<'a>(
    dtype: DType,
    encoded: &[u8],
    row_bytes: usize,
    cols: usize,
    panels: impl Iterator<Item = &'a mut [u8]>,
) {
    let rows: Vec<&[u8]> = encoded.chunks_exact(row_bytes).collect();
    for (rows, panel) in rows.chunks(PANEL).zip(panels) {
        pack_panel(dtype, rows, cols, panel);
    }
}

/// Packs rows of codes, the first of which is row `first` of its tensor, with the scales of their groups.
fn pack_fp8<'a>(
    group: Fp8Group,
    codes: &[u8],
    cols: usize,
    (first, scales): (usize, &PartScales),
    panels: impl Iterator<Item = &'a mut [u8]>,
) -> Result<(), BackendError> {
    let groups = group.count(cols);
    let mut of_panel = buffer(0f32, PANEL, groups)?;
    for (number, (codes, panel)) in codes.chunks(PANEL * cols).zip(panels).enumerate() {
        for (lane, line) in of_panel.chunks_exact_mut(groups).take(codes.len() / cols).enumerate() {
            for (at, scale) in line.iter_mut().enumerate() {
                *scale = scales.at(first + number * PANEL + lane, at * group.len());
            }
        }
        pack_fp8_panel(group, codes.chunks_exact(cols).zip(of_panel.chunks_exact(groups)), panel);
    }
    Ok(())
}

fn row_bytes(dtype: DType, cols: usize) -> Result<usize, BackendError> {
    dtype.bytes_for(cols as u64).and_then(|bytes| usize::try_from(bytes).ok()).ok_or_else(too_large)
}

/// `count * len` times `value`, or an error instead of an abort when there is no memory.
fn buffer<T: Copy>(value: T, count: usize, len: usize) -> Result<Vec<T>, BackendError> {
    let len = count.checked_mul(len).ok_or_else(too_large)?;
    let mut buffer = Vec::new();
    let refused =
        |_| BackendError::Memory { what: "a buffer for weights", bytes: (len * size_of::<T>()) as u64 };
    buffer.try_reserve_exact(len).map_err(refused)?;
    buffer.resize(len, value);
    Ok(buffer)
}

fn read_bias(source: &MatrixSource<'_>) -> Result<Option<Vec<f32>>, BackendError> {
    if !source.has_bias() {
        return Ok(None);
    }
    let mut bias = buffer(0f32, 1, source.rows())?;
    let mut out = &mut bias[..];
    for part in &source.parts {
        let (of_part, rest) = out.split_at_mut(part.outputs());
        source.read_bias(part, of_part)?;
        out = rest;
    }
    Ok(Some(bias))
}

//! Panels of the formats that are not quantized.

use half::{bf16, f16};

use super::PANEL;

/// For each k, one value of `BYTES` per lane.
pub(super) fn pack<const BYTES: usize>(rows: &[&[u8]], out: &mut [u8]) {
    for (lane, row) in rows.iter().enumerate() {
        let out = out.as_chunks_mut::<BYTES>().0.iter_mut().skip(lane).step_by(PANEL);
        for (out, value) in out.zip(row.as_chunks::<BYTES>().0) {
            *out = *value;
        }
    }
}

/// For each pair of k, the two 16-bit values of each lane. What an odd last k is paired with stays as it is.
pub(super) fn pack_pairs(rows: &[&[u8]], out: &mut [u8]) {
    for (lane, row) in rows.iter().enumerate() {
        let out = out.as_chunks_mut::<4>().0.iter_mut().skip(lane).step_by(PANEL);
        for (out, pair) in out.zip(row.chunks(4)) {
            out[..pair.len()].copy_from_slice(pair);
        }
    }
}

pub(super) fn unpack_f32(panel: &[u8], out: &mut [f32]) {
    for (out, value) in out.iter_mut().zip(panel.as_chunks::<4>().0) {
        *out = f32::from_le_bytes(*value);
    }
}

pub(super) fn unpack_f16(panel: &[u8], out: &mut [f32]) {
    for (out, value) in out.iter_mut().zip(panel.as_chunks::<2>().0) {
        *out = f16::from_le_bytes(*value).to_f32();
    }
}

pub(super) fn unpack_bf16(panel: &[u8], out: &mut [f32]) {
    for (pair, out) in panel.as_chunks::<{ 4 * PANEL }>().0.iter().zip(out.chunks_mut(2 * PANEL)) {
        for (k, out) in out.chunks_mut(PANEL).enumerate() {
            for (value, out) in pair.as_chunks::<4>().0.iter().zip(out) {
                *out = bf16::from_le_bytes([value[2 * k], value[2 * k + 1]]).to_f32();
            }
        }
    }
}

pub(super) fn row_f32(panel: &[u8], lane: usize, out: &mut [f32]) {
    let values = panel.as_chunks::<4>().0.iter().skip(lane).step_by(PANEL);
    for (out, value) in out.iter_mut().zip(values) {
        *out = f32::from_le_bytes(*value);
    }
}

pub(super) fn row_f16(panel: &[u8], lane: usize, out: &mut [f32]) {
    let values = panel.as_chunks::<2>().0.iter().skip(lane).step_by(PANEL);
    for (out, value) in out.iter_mut().zip(values) {
        *out = f16::from_le_bytes(*value).to_f32();
    }
}

pub(super) fn row_bf16(panel: &[u8], lane: usize, out: &mut [f32]) {
    let pairs = panel.as_chunks::<4>().0.iter().skip(lane).step_by(PANEL);
    for (out, pair) in out.chunks_mut(2).zip(pairs) {
        for (out, value) in out.iter_mut().zip(pair.as_chunks::<2>().0) {
            *out = bf16::from_le_bytes(*value).to_f32();
        }
    }
}

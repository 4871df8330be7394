//! GGUF's block types of 32 elements: `d * q`, or `d * q + m`.
//!
//! Layouts as published with the GGUF format: the f16 scale `d` first, then the f16 minimum `m` where there is one,
//! then the fifth bits as a 32-bit mask, then the values; a byte with two values has element `i` in its low and
//! element `i + 16` in its high half.

use super::scale;

pub(super) fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let d = scale(block, 0);
    for (out, &q) in out.iter_mut().zip(&block[2..]) {
        *out = f32::from(q.cast_signed()) * d;
    }
}

pub(super) fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let d = scale(block, 0);
    let (low, high) = out.split_at_mut(16);
    for ((&q, low), high) in block[2..].iter().zip(low).zip(high) {
        *low = d * f32::from((q & 15) as i8 - 8);
        *high = d * f32::from((q >> 4) as i8 - 8);
    }
}

pub(super) fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let d = scale(block, 0);
    let m = scale(block, 2);
    let (low, high) = out.split_at_mut(16);
    for ((&q, low), high) in block[4..].iter().zip(low).zip(high) {
        *low = d * f32::from(q & 15) + m;
        *high = d * f32::from(q >> 4) + m;
    }
}

pub(super) fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let d = scale(block, 0);
    let fifth = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
    let (low, high) = out.split_at_mut(16);
    for (i, ((&q, low), high)) in block[6..].iter().zip(low).zip(high).enumerate() {
        *low = d * f32::from(fifth_bit(q & 15, fifth >> i) as i8 - 16);
        *high = d * f32::from(fifth_bit(q >> 4, fifth >> (i + 16)) as i8 - 16);
    }
}

pub(super) fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let d = scale(block, 0);
    let m = scale(block, 2);
    let fifth = u32::from_le_bytes([block[4], block[5], block[6], block[7]]);
    let (low, high) = out.split_at_mut(16);
    for (i, ((&q, low), high)) in block[8..].iter().zip(low).zip(high).enumerate() {
        *low = d * f32::from(fifth_bit(q & 15, fifth >> i)) + m;
        *high = d * f32::from(fifth_bit(q >> 4, fifth >> (i + 16))) + m;
    }
}

/// Four low bits and the lowest bit of `mask` as the fifth.
fn fifth_bit(low: u8, mask: u32) -> u8 {
    low | ((mask & 1) as u8) << 4
}

//! GGUF's superblocks of 256 elements: small integer scales, themselves scaled by one f16 per superblock.
//!
//! Layouts as published with the GGUF format. Values are packed so that one byte holds elements that lie a stride of
//! 32 (or 64) apart; the loops below therefore go over groups of 32 consecutive elements.

use super::scale;

/// 16 bytes of scale (low half) and minimum (high half) for 16 elements each, 64 bytes of values, `d`, `dmin`.
pub(super) fn q2_k(block: &[u8; 84], out: &mut [f32; 256]) {
    let (scales, values) = (&block[..16], &block[16..80]);
    let (d, dmin) = (scale(block, 80), scale(block, 82));
    for (group, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let values = &values[group / 4 * 32..][..32];
        let shift = 2 * (group % 4);
        for (half, (out, values)) in out.chunks_exact_mut(16).zip(values.chunks_exact(16)).enumerate() {
            let packed = scales[2 * group + half];
            let step = d * f32::from(packed & 15);
            let minimum = dmin * f32::from(packed >> 4);
            for (out, &q) in out.iter_mut().zip(values) {
                *out = step * f32::from(q >> shift & 3) - minimum;
            }
        }
    }
}

/// 32 bytes of third bits (set: nothing to subtract), 64 bytes of the two low bits, 12 bytes of 6-bit scales, `d`.
pub(super) fn q3_k(block: &[u8; 110], out: &mut [f32; 256]) {
    let (third, values, packed) = (&block[..32], &block[32..96], &block[96..108]);
    let d = scale(block, 108);
    for (group, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let values = &values[group / 4 * 32..][..32];
        let shift = 2 * (group % 4);
        for half in 0..2 {
            let index = 2 * group + half;
            // Four low bits from the first eight bytes, two high bits from the last four.
            let low = packed[index % 8] >> (4 * (index / 8)) & 15;
            let high = packed[8 + index % 4] >> (2 * (index / 4)) & 3;
            let step = d * f32::from((low | high << 4) as i8 - 32);
            let of = 16 * half..16 * half + 16;
            for ((out, &q), &third) in out[of.clone()].iter_mut().zip(&values[of.clone()]).zip(&third[of]) {
                let borrow = (third >> group & 1 ^ 1) << 2;
                *out = step * f32::from((q >> shift & 3) as i8 - borrow as i8);
            }
        }
    }
}

/// `d`, `dmin`, 12 bytes of 6-bit scales and minima, 128 bytes of values.
pub(super) fn q4_k(block: &[u8; 144], out: &mut [f32; 256]) {
    let (d, dmin) = (scale(block, 0), scale(block, 2));
    let (packed, values) = (&block[4..16], &block[16..]);
    for (group, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (step, minimum) = scale_and_minimum(packed, group);
        let (step, minimum) = (d * step, dmin * minimum);
        let values = &values[group / 2 * 32..][..32];
        let shift = 4 * (group % 2);
        for (out, &q) in out.iter_mut().zip(values) {
            *out = step * f32::from(q >> shift & 15) - minimum;
        }
    }
}

/// As Q4_K, with 32 bytes of fifth bits before the values.
pub(super) fn q5_k(block: &[u8; 176], out: &mut [f32; 256]) {
    let (d, dmin) = (scale(block, 0), scale(block, 2));
    let (packed, fifth, values) = (&block[4..16], &block[16..48], &block[48..]);
    for (group, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (step, minimum) = scale_and_minimum(packed, group);
        let (step, minimum) = (d * step, dmin * minimum);
        let values = &values[group / 2 * 32..][..32];
        let shift = 4 * (group % 2);
        for ((out, &q), &fifth) in out.iter_mut().zip(values).zip(fifth) {
            let q = q >> shift & 15 | (fifth >> group & 1) << 4;
            *out = step * f32::from(q) - minimum;
        }
    }
}

/// 128 bytes of four low bits, 64 bytes of two high bits, 16 signed scales for 16 elements each, `d`.
pub(super) fn q6_k(block: &[u8; 210], out: &mut [f32; 256]) {
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let d = scale(block, 208);
    for (group, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (part, quarter) = (group / 4, group % 4);
        let low = &low[64 * part + 32 * (quarter % 2)..][..32];
        let high = &high[32 * part..][..32];
        let (low_shift, high_shift) = (4 * (quarter / 2), 2 * quarter);
        for half in 0..2 {
            let step = d * f32::from(scales[2 * group + half].cast_signed());
            let of = 16 * half..16 * half + 16;
            for ((out, &low), &high) in out[of.clone()].iter_mut().zip(&low[of.clone()]).zip(&high[of]) {
                let q = low >> low_shift & 15 | (high >> high_shift & 3) << 4;
                *out = step * f32::from(q as i8 - 32);
            }
        }
    }
}

/// Scale and minimum of the `group`-th of eight, out of 12 bytes: the first four have six bits of a byte each; of the
/// last four, the low halves share a byte and the two high bits sit above the first four.
fn scale_and_minimum(packed: &[u8], group: usize) -> (f32, f32) {
    let (step, minimum) = if group < 4 {
        (packed[group] & 63, packed[group + 4] & 63)
    } else {
        let low = packed[group + 4];
        (low & 15 | packed[group - 4] >> 6 << 4, low >> 4 | packed[group] >> 6 << 4)
    };
    (f32::from(step), f32::from(minimum))
}

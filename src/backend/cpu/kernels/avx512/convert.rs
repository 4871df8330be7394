//! Activations to int8 and to BF16, bit for bit as [`super::super::portable`] states.

use std::arch::x86_64::*;

/// Groups whose largest magnitude lies below 2^-120 count as zero.
const SMALLEST: u32 = (127 - 120) << 23;
const INFINITY: u32 = 0x7F80_0000;

/// [`super::Kernels::quantize`].
pub(super) fn quantize(x: &[f32], q: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
    // SAFETY: these kernels are handed out for processors with these features only.
    unsafe { quantize_groups(x, q, scales, sums) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn quantize_groups(x: &[f32], q: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
    let groups = x.as_chunks::<32>().0.iter().zip(q.as_chunks_mut::<32>().0);
    let sums = sums.as_chunks_mut::<2>().0;
    let magnitude = _mm512_set1_epi32(0x7FFF_FFFF);
    for (((x, q), scale), sums) in groups.zip(scales).zip(sums) {
        // SAFETY: 32 values.
        let (low, high) = unsafe { (_mm512_loadu_ps(x.as_ptr()), _mm512_loadu_ps(x.as_ptr().add(16))) };
        // Magnitudes order like their bits, with infinity and then NaN above all numbers.
        let low_bits = _mm512_and_si512(_mm512_castps_si512(low), magnitude);
        let high_bits = _mm512_and_si512(_mm512_castps_si512(high), magnitude);
        let bits = _mm512_reduce_max_epu32(_mm512_max_epu32(low_bits, high_bits));
        let (inverse, keep) = if (SMALLEST..INFINITY).contains(&bits) {
            let max = f32::from_bits(bits);
            *scale = max / 127.0;
            (127.0 / max, u16::MAX)
        } else {
            *scale = if bits < SMALLEST { 0.0 } else { f32::NAN };
            (0.0, 0)
        };
        let inverse = _mm512_set1_ps(inverse);
        let low = _mm512_maskz_cvtps_epi32(keep, _mm512_mul_ps(low, inverse));
        let high = _mm512_maskz_cvtps_epi32(keep, _mm512_mul_ps(high, inverse));
        *sums = [_mm512_reduce_add_epi32(low), _mm512_reduce_add_epi32(high)];
        // SAFETY: 32 integers.
        unsafe {
            _mm_storeu_si128(q.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(low));
            _mm_storeu_si128(q.as_mut_ptr().add(16).cast(), _mm512_cvtepi32_epi8(high));
        }
    }
}

/// [`super::Kernels::to_bf16`].
pub(super) fn to_bf16(x: &[f32], out: &mut [u16]) {
    // SAFETY: these kernels are handed out for processors with these features only.
    unsafe { round_to_bf16(x, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn round_to_bf16(x: &[f32], out: &mut [u16]) {
    let (values, rest) = out.split_at_mut(x.len().min(out.len()));
    rest.fill(0);
    for (x, out) in x.chunks(16).zip(values.chunks_mut(16)) {
        let lanes = (0xFFFF_u32 >> (16 - out.len())) as u16;
        // SAFETY: as many values as the mask has lanes.
        let x = unsafe { _mm512_maskz_loadu_ps(lanes, x.as_ptr()) };
        let bits = _mm512_castps_si512(x);
        let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
        let rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), odd);
        // A NaN is not rounded, which might make it infinite, but kept quiet.
        let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x);
        let rounded = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x0040_0000));
        // SAFETY: as above.
        unsafe {
            let upper = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(rounded));
            _mm256_mask_storeu_epi16(out.as_mut_ptr().cast(), lanes, upper);
        }
    }
}

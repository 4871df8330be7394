//! Activations to int8 and to BF16, bit for bit as [`super::super::portable`] states.

use std::arch::x86_64::*;

/// Groups whose largest magnitude lies below 2^-120 count as zero.
const SMALLEST: u32 = (127 - 120) << 23;
const INFINITY: u32 = 0x7F80_0000;

/// [`super::Kernels::quantize`].
pub(super) fn quantize(x: &[f32], shared: usize, q: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
    let blocks = x.chunks(32 * shared).zip(q.chunks_mut(32 * shared));
    let sides = scales.chunks_mut(shared).zip(sums.chunks_mut(2 * shared));
    for ((x, q), (scales, sums)) in blocks.zip(sides) {
        // SAFETY: these kernels are handed out for processors with these features only.
        unsafe { quantize_block(x, q, scales, sums) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn quantize_block(x: &[f32], q: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
    let magnitude = _mm512_set1_epi32(0x7FFF_FFFF);
    // Magnitudes order like their bits, with infinity and then NaN above all numbers.
    let mut bits = _mm512_setzero_si512();
    for half in x.as_chunks::<16>().0 {
        // SAFETY: 16 values.
        let half = unsafe { _mm512_castps_si512(_mm512_loadu_ps(half.as_ptr())) };
        bits = _mm512_max_epu32(bits, _mm512_and_si512(half, magnitude));
    }
    let bits = _mm512_reduce_max_epu32(bits);
    let (scale, inverse, keep) = if (SMALLEST..INFINITY).contains(&bits) {
        let max = f32::from_bits(bits);
        (max / 127.0, 127.0 / max, u16::MAX)
    } else {
        (if bits < SMALLEST { 0.0 } else { f32::NAN }, 0.0, 0)
    };
    scales.fill(scale);
    let inverse = _mm512_set1_ps(inverse);
    let halves = x.as_chunks::<16>().0.iter().zip(q.as_chunks_mut::<16>().0);
    for ((x, q), sum) in halves.zip(sums) {
        // SAFETY: 16 values.
        let x = unsafe { _mm512_loadu_ps(x.as_ptr()) };
        let whole = _mm512_maskz_cvtps_epi32(keep, _mm512_mul_ps(x, inverse));
        *sum = _mm512_reduce_add_epi32(whole);
        // SAFETY: 16 integers.
        unsafe { _mm_storeu_si128(q.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(whole)) };
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

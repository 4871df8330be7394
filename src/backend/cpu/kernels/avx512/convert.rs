//! Activations to int8 and to BF16.

use std::arch::x86_64::*;

/// One row to int8, by groups of 32: `scale = max |x| / 127`, integers to nearest even.
pub(super) fn quantize(x: &[f32], q: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
    // SAFETY: these kernels are handed out for processors with these features only.
    unsafe { quantize_groups(x, q, scales, sums) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn quantize_groups(x: &[f32], q: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
    let groups = x.as_chunks::<32>().0.iter().zip(q.as_chunks_mut::<32>().0);
    let halves = sums.as_chunks_mut::<2>().0;
    for (((x, q), scale), sums) in groups.zip(scales).zip(halves) {
        let (low, high) = x.split_at(16);
        // SAFETY: sixteen values each, and 32 integers.
        unsafe {
            let (low, high) = (_mm512_loadu_ps(low.as_ptr()), _mm512_loadu_ps(high.as_ptr()));
            let largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(low), _mm512_abs_ps(high)));
            *scale = largest / 127.0;
            let inverse = _mm512_set1_ps(if largest == 0.0 { 0.0 } else { 127.0 / largest });
            let low = _mm512_cvtps_epi32(_mm512_mul_ps(low, inverse));
            let high = _mm512_cvtps_epi32(_mm512_mul_ps(high, inverse));
            *sums = [_mm512_reduce_add_epi32(low), _mm512_reduce_add_epi32(high)];
            _mm_storeu_si128(q.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(low));
            _mm_storeu_si128(q.as_mut_ptr().add(16).cast(), _mm512_cvtepi32_epi8(high));
        }
    }
}

/// One row to BF16, to nearest even.
pub(super) fn to_bf16(x: &[f32], out: &mut [u16]) {
    // SAFETY: these kernels are handed out for processors with these features only.
    unsafe { round_to_bf16(x, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn round_to_bf16(x: &[f32], out: &mut [u16]) {
    for (x, out) in x.iter().zip(&mut *out) {
        *out = half::bf16::from_f32(*x).to_bits();
    }
    if let Some(last) = out.get_mut(x.len()) {
        *last = 0;
    }
}

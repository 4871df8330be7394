//! Activations to int8 and BF16, a row at a time.

use std::arch::x86_64::*;

/// Groups whose largest magnitude lies below count as zero: 127 divided by it would overflow.
const SMALLEST: f32 = f32::from_bits((127 - 120) << 23);

/// See [`Kernels::quantize`](super::super::Kernels::quantize): bit for bit what the portable kernels define.
pub(super) fn quantize(x: &[f32], shared: usize, q: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
    let blocks = x.chunks(32 * shared).zip(q.chunks_mut(32 * shared));
    let results = scales.chunks_mut(shared).zip(sums.chunks_mut(2 * shared));
    for ((x, q), (scales, sums)) in blocks.zip(results) {
        // SAFETY: this level's table is used only where its features are supported.
        unsafe { quantize_block(x, q, scales, sums) };
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn quantize_block(x: &[f32], q: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
    let groups = x.as_chunks::<32>().0;
    // Magnitudes order like their bits, with infinity and then NaN above all numbers.
    let largest = groups.iter().map(|x| largest_magnitude(load(x)).to_bits()).max();
    let largest = largest.map_or(0.0, f32::from_bits);
    if !largest.is_finite() || largest < SMALLEST {
        q.fill(0);
        sums.fill(0);
        scales.fill(if largest.is_finite() { 0.0 } else { f32::NAN });
        return;
    }
    scales.fill(largest / 127.0);
    let inverse = 127.0 / largest;
    for ((x, q), sums) in groups.iter().zip(q.as_chunks_mut::<32>().0).zip(sums.as_chunks_mut::<2>().0) {
        *sums = round_group(load(x), inverse, q);
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn load(x: &[f32; 32]) -> [__m256; 4] {
    let x = x.as_ptr();
    // SAFETY: four times eight values.
    unsafe {
        [
            _mm256_loadu_ps(x),
            _mm256_loadu_ps(x.add(8)),
            _mm256_loadu_ps(x.add(16)),
            _mm256_loadu_ps(x.add(24)),
        ]
    }
}

/// The integers of a group; the result has the sums of its first and second 16.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn round_group(x: [__m256; 4], inverse: f32, q: &mut [i8; 32]) -> [i32; 2] {
    let inverse = _mm256_set1_ps(inverse);
    let integers = x.map(|x| _mm256_cvtps_epi32(_mm256_mul_ps(x, inverse)));
    // Packing works on halves of registers, so that four neighbours at a time come out in the wrong order.
    let low = _mm256_packs_epi32(integers[0], integers[1]);
    let high = _mm256_packs_epi32(integers[2], integers[3]);
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    let bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
    // SAFETY: the store writes the 32 bytes of the array.
    unsafe { _mm256_storeu_si256(q.as_mut_ptr().cast(), bytes) };
    [sum_of(_mm256_castsi256_si128(bytes)), sum_of(_mm256_extracti128_si256::<1>(bytes))]
}

/// The largest magnitude of 32 values; infinite or not a number when one of them is.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn largest_magnitude(x: [__m256; 4]) -> f32 {
    // Magnitudes order like their bits, with infinity and then NaN above all numbers.
    let bits = x.map(|x| _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(i32::MAX)));
    let eight = _mm256_max_epi32(_mm256_max_epi32(bits[0], bits[1]), _mm256_max_epi32(bits[2], bits[3]));
    let four = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
    let two = _mm_max_epi32(four, _mm_unpackhi_epi64(four, four));
    let one = _mm_max_epi32(two, _mm_shuffle_epi32::<0b01>(two));
    f32::from_bits(_mm_cvtsi128_si32(one).cast_unsigned())
}

/// The sum of 16 signed bytes.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn sum_of(bytes: __m128i) -> i32 {
    // Distances are summed of unsigned bytes: with the sign flipped, every byte is 128 too large.
    let unsigned = _mm_xor_si128(bytes, _mm_set1_epi8(-128));
    let sums = _mm_sad_epu8(unsigned, _mm_setzero_si128());
    _mm_cvtsi128_si32(sums) + _mm_extract_epi32::<2>(sums) - 16 * 128
}

/// See [`Kernels::to_bf16`](super::super::Kernels).
pub(super) fn to_bf16(x: &[f32], out: &mut [u16]) {
    let (chunks, rest) = x.as_chunks::<16>();
    let (out_chunks, _) = out.as_chunks_mut::<16>();
    for (x, out) in chunks.iter().zip(out_chunks) {
        // SAFETY: this level's table is used only where its features are supported.
        unsafe { round(x, out) };
    }
    let done = x.len() - rest.len();
    for (out, &x) in out[done..].iter_mut().zip(rest) {
        *out = half::bf16::from_f32(x).to_bits();
    }
    if let Some(closing) = out.get_mut(x.len()) {
        *closing = 0;
    }
}

/// 16 values rounded to BF16, to nearest even; what is not a number becomes a quiet one.
#[target_feature(enable = "avx2,fma,f16c")]
fn round(x: &[f32; 16], out: &mut [u16; 16]) {
    let halves: [__m256i; 2] = std::array::from_fn(|i| {
        // SAFETY: two times eight values.
        let x = unsafe { _mm256_loadu_ps(x.as_ptr().add(8 * i)) };
        let bits = _mm256_castps_si256(x);
        let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
        let half = _mm256_add_epi32(_mm256_set1_epi32(0x7fff), odd);
        let rounded = _mm256_srli_epi32::<16>(_mm256_add_epi32(bits, half));
        let quiet = _mm256_or_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(0x40));
        let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(x, x));
        _mm256_blendv_epi8(rounded, quiet, nan)
    });
    let packed = _mm256_packus_epi32(halves[0], halves[1]);
    let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(packed);
    // SAFETY: the store writes the 32 bytes of the array.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), packed) };
}

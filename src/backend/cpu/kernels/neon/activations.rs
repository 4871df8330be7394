//! Activations to int8 and BF16, a row at a time.

use std::arch::aarch64::*;

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

#[target_feature(enable = "neon")]
fn quantize_block(x: &[f32], q: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
    let halves = x.as_chunks::<16>().0;
    let mut largest = vdupq_n_u32(0);
    for x in halves {
        largest = vmaxq_u32(largest, largest_magnitudes(load(x)));
    }
    let largest = f32::from_bits(vmaxvq_u32(largest));
    if !largest.is_finite() || largest < SMALLEST {
        q.fill(0);
        sums.fill(0);
        scales.fill(if largest.is_finite() { 0.0 } else { f32::NAN });
        return;
    }
    scales.fill(largest / 127.0);
    let inverse = 127.0 / largest;
    for ((x, q), sum) in halves.iter().zip(q.as_chunks_mut::<16>().0).zip(sums) {
        *sum = round_half_group(load(x), inverse, q);
    }
}

#[target_feature(enable = "neon")]
#[inline]
fn load(x: &[f32; 16]) -> [float32x4_t; 4] {
    // SAFETY: four times four values.
    [0, 4, 8, 12].map(|lane| unsafe { vld1q_f32(x.as_ptr().add(lane)) })
}

/// The integers of half a group; the result is their sum.
#[target_feature(enable = "neon")]
#[inline]
fn round_half_group(x: [float32x4_t; 4], inverse: f32, q: &mut [i8; 16]) -> i32 {
    let [a, b, c, d] = x.map(|x| vcvtnq_s32_f32(vmulq_n_f32(x, inverse)));
    let low = vqmovn_high_s32(vqmovn_s32(a), b);
    let high = vqmovn_high_s32(vqmovn_s32(c), d);
    let bytes = vqmovn_high_s16(vqmovn_s16(low), high);
    // SAFETY: the store writes the 16 bytes of the array.
    unsafe { vst1q_s8(q.as_mut_ptr(), bytes) };
    i32::from(vaddlvq_s8(bytes))
}

/// The largest of 16 magnitudes in four parts, as bits: these order like the magnitudes, with infinity and then NaN above
/// all numbers.
#[target_feature(enable = "neon")]
#[inline]
fn largest_magnitudes(x: [float32x4_t; 4]) -> uint32x4_t {
    let [a, b, c, d] = x.map(|x| vreinterpretq_u32_f32(vabsq_f32(x)));
    vmaxq_u32(vmaxq_u32(a, b), vmaxq_u32(c, d))
}

/// See [`Kernels::to_bf16`](super::super::Kernels).
pub(super) fn to_bf16(x: &[f32], out: &mut [u16]) {
    let (chunks, rest) = x.as_chunks::<8>();
    let (out_chunks, _) = out.as_chunks_mut::<8>();
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

/// 8 values rounded to BF16, to nearest even; what is not a number becomes a quiet one.
#[target_feature(enable = "neon")]
fn round(x: &[f32; 8], out: &mut [u16; 8]) {
    let [low, high] = [0, 4].map(|lane| {
        // SAFETY: two times four values.
        let x = unsafe { vld1q_f32(x.as_ptr().add(lane)) };
        let bits = vreinterpretq_u32_f32(x);
        let odd = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
        let rounded = vaddq_u32(bits, vaddq_u32(vdupq_n_u32(0x7fff), odd));
        let quiet = vorrq_u32(bits, vdupq_n_u32(0x40_0000));
        vbslq_u32(vceqq_f32(x, x), rounded, quiet)
    });
    let packed = vshrn_high_n_u32::<16>(vshrn_n_u32::<16>(low), high);
    // SAFETY: the store writes the 16 bytes of the array.
    unsafe { vst1q_u16(out.as_mut_ptr(), packed) };
}

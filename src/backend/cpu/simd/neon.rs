//! Lanes as four 128-bit registers.

use std::arch::aarch64::*;

use super::{LANES, Lanes};

/// NEON: four lanes in each of four registers.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Quads([float32x4_t; 4]);

impl Quads {
    #[inline(always)]
    fn map(self, f: impl Fn(float32x4_t) -> float32x4_t) -> Self {
        let [a, b, c, d] = self.0;
        Self([f(a), f(b), f(c), f(d)])
    }

    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(float32x4_t, float32x4_t) -> float32x4_t) -> Self {
        let ([a, b, c, d], [e, g, h, i]) = (self.0, other.0);
        Self([f(a, e), f(b, g), f(c, h), f(d, i)])
    }

    /// A vector made of what `f` gives for the first lane of each register.
    #[inline(always)]
    fn each(f: impl Fn(usize) -> float32x4_t) -> Self {
        Self([f(0), f(4), f(8), f(12)])
    }
}

/// The first `count` of four lanes, the others zero.
#[inline(always)]
unsafe fn load_some(from: *const f32, count: usize) -> float32x4_t {
    // SAFETY: as many values as are read are the caller's promise.
    unsafe {
        let none = vdupq_n_f32(0.0);
        match count {
            0 => none,
            1 => vld1q_lane_f32::<0>(from, none),
            2 => vcombine_f32(vld1_f32(from), vdup_n_f32(0.0)),
            3 => vld1q_lane_f32::<2>(from.add(2), vcombine_f32(vld1_f32(from), vdup_n_f32(0.0))),
            _ => vld1q_f32(from),
        }
    }
}

/// Stores the first `count` of four lanes.
#[inline(always)]
unsafe fn store_some(to: *mut f32, x: float32x4_t, count: usize) {
    // SAFETY: as many values as are written are the caller's promise.
    unsafe {
        match count {
            0 => {}
            1 => vst1q_lane_f32::<0>(to, x),
            2 => vst1_f32(to, vget_low_f32(x)),
            3 => {
                vst1_f32(to, vget_low_f32(x));
                vst1q_lane_f32::<2>(to.add(2), x);
            }
            _ => vst1q_f32(to, x),
        }
    }
}

/// All bits set in those lanes of `lane..lane + 4` that are in `first..end`.
#[inline(always)]
unsafe fn range_mask(lane: usize, first: usize, end: usize) -> uint32x4_t {
    // SAFETY: the caller has NEON, and the array has four numbers.
    unsafe {
        let lanes = vaddq_u32(vld1q_u32([0, 1, 2, 3].as_ptr()), vdupq_n_u32(lane as u32));
        vandq_u32(vcgeq_u32(lanes, vdupq_n_u32(first as u32)), vcltq_u32(lanes, vdupq_n_u32(end as u32)))
    }
}

/// `x * 2^exponent` in two steps, of which only the last can round: 2^-150 is no number of its own.
#[inline(always)]
unsafe fn scale_4_by_power(x: float32x4_t, exponent: float32x4_t) -> float32x4_t {
    // SAFETY: the caller has NEON.
    unsafe {
        let power =
            |exponent| vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(exponent, vdupq_n_s32(127))));
        let exponent = vcvtq_s32_f32(exponent);
        let half = vshrq_n_s32::<1>(exponent);
        vmulq_f32(vmulq_f32(x, power(half)), power(vsubq_s32(exponent, half)))
    }
}

/// Four rows of four become columns.
#[inline(always)]
unsafe fn transposed_4([a, b, c, d]: [float32x4_t; 4]) -> [float32x4_t; 4] {
    // SAFETY: the caller has NEON.
    unsafe {
        let wide = |x| vreinterpretq_f64_f32(x);
        let (ab, cd) = (vtrn1q_f32(a, b), vtrn1q_f32(c, d));
        let (ab_odd, cd_odd) = (vtrn2q_f32(a, b), vtrn2q_f32(c, d));
        [
            vtrn1q_f64(wide(ab), wide(cd)),
            vtrn1q_f64(wide(ab_odd), wide(cd_odd)),
            vtrn2q_f64(wide(ab), wide(cd)),
            vtrn2q_f64(wide(ab_odd), wide(cd_odd)),
        ]
        .map(|x| vreinterpretq_f32_f64(x))
    }
}

/// Methods whose bodies are intrinsics.
macro_rules! methods {
    ($(fn $name:ident($($arg:ident $(: $type:ty)?),*) $(-> $out:ty)? $body:block)*) => {
        $(
            #[inline(always)]
            unsafe fn $name($($arg $(: $type)?),*) $(-> $out)? {
                // SAFETY: the trait's promise: the instructions exist, and the pointers are valid.
                unsafe { $body }
            }
        )*
    };
}

impl Lanes for Quads {
    // Sixteen registers of sums, eight of what all rows share, and one for each row.
    const ROWS: usize = 2;
    const VECTORS: usize = 2;

    methods! {
        fn splat(x: f32) -> Self { Self([vdupq_n_f32(x); 4]) }
        fn load(from: *const f32) -> Self { Self::each(|lane| vld1q_f32(from.add(lane))) }
        fn load_part(from: *const f32, count: usize) -> Self {
            // Where a register has none of them its address may lie outside the object, and is not followed.
            Self::each(|lane| load_some(from.wrapping_add(lane), count.saturating_sub(lane)))
        }
        fn load_f16(from: *const u16) -> Self {
            Self::each(|lane| vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from.add(lane)))))
        }
        fn load_bf16(from: *const u16) -> Self {
            Self::each(|lane| vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(from.add(lane)))))
        }
        fn load_i8(from: *const i8) -> Self {
            let bytes = vld1q_s8(from);
            let (low, high) = (vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes));
            let [a, b] = [vmovl_s16(vget_low_s16(low)), vmovl_high_s16(low)];
            let [c, d] = [vmovl_s16(vget_low_s16(high)), vmovl_high_s16(high)];
            Self([vcvtq_f32_s32(a), vcvtq_f32_s32(b), vcvtq_f32_s32(c), vcvtq_f32_s32(d)])
        }
        fn store(self, to: *mut f32) {
            let [a, b, c, d] = self.0;
            vst1q_f32(to, a);
            vst1q_f32(to.add(4), b);
            vst1q_f32(to.add(8), c);
            vst1q_f32(to.add(12), d);
        }
        fn store_part(self, to: *mut f32, count: usize) {
            for (quad, x) in self.0.into_iter().enumerate() {
                store_some(to.wrapping_add(4 * quad), x, count.saturating_sub(4 * quad));
            }
        }
        fn store_f16(self, to: *mut u16) {
            for (quad, x) in self.0.into_iter().enumerate() {
                vst1_u16(to.add(4 * quad), vreinterpret_u16_f16(vcvt_f16_f32(x)));
            }
        }
        fn store_i8(self, to: *mut i8) {
            let [a, b, c, d] = self.0;
            let words = |a, b| vqmovn_high_s32(vqmovn_s32(vcvtnq_s32_f32(a)), vcvtnq_s32_f32(b));
            vst1q_s8(to, vqmovn_high_s16(vqmovn_s16(words(a, b)), words(c, d)));
        }
        fn add(self, other: Self) -> Self { self.zip(other, |a, b| vaddq_f32(a, b)) }
        fn sub(self, other: Self) -> Self { self.zip(other, |a, b| vsubq_f32(a, b)) }
        fn mul(self, other: Self) -> Self { self.zip(other, |a, b| vmulq_f32(a, b)) }
        fn div(self, other: Self) -> Self { self.zip(other, |a, b| vdivq_f32(a, b)) }
        fn fma(self, factor: Self, term: Self) -> Self {
            let ([a, b, c, d], [e, f, g, h]) = (self.0, factor.0);
            let [i, j, k, l] = term.0;
            Self([vfmaq_f32(i, a, e), vfmaq_f32(j, b, f), vfmaq_f32(k, c, g), vfmaq_f32(l, d, h)])
        }
        // Not `fmax` and `fmin`, which give NaN for NaN.
        fn max(self, other: Self) -> Self { self.zip(other, |a, b| vbslq_f32(vcgtq_f32(a, b), a, b)) }
        fn min(self, other: Self) -> Self { self.zip(other, |a, b| vbslq_f32(vcltq_f32(a, b), a, b)) }
        fn abs(self) -> Self { self.map(|x| vabsq_f32(x)) }
        fn if_negative(self, yes: Self, no: Self) -> Self {
            let ([a, b, c, d], [e, f, g, h], [i, j, k, l]) = (self.0, yes.0, no.0);
            let pick = |x, yes, no| vbslq_f32(vcltzq_f32(x), yes, no);
            Self([pick(a, e, i), pick(b, f, j), pick(c, g, k), pick(d, h, l)])
        }
        fn in_range_or(self, first: usize, end: usize, other: Self) -> Self {
            let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
            let pick = |lane, yes, no| vbslq_f32(range_mask(lane, first, end), yes, no);
            Self([pick(0, a, e), pick(4, b, f), pick(8, c, g), pick(12, d, h)])
        }
        fn scale_by_power(self, exponent: Self) -> Self {
            self.zip(exponent, |x, exponent| scale_4_by_power(x, exponent))
        }
        fn sum(self) -> f32 {
            let [a, b, c, d] = self.0;
            let four = vaddq_f32(vaddq_f32(a, c), vaddq_f32(b, d));
            let two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
            vget_lane_f32::<0>(two) + vget_lane_f32::<1>(two)
        }
        fn transpose(square: &mut [Self; LANES]) {
            // Squares of four, each to the place across the diagonal.
            let rows = *square;
            for i in 0..4 {
                for j in 0..4 {
                    let part = [0, 1, 2, 3].map(|row| rows[4 * i + row].0[j]);
                    for (column, x) in transposed_4(part).into_iter().enumerate() {
                        square[4 * j + column].0[i] = x;
                    }
                }
            }
        }
        fn highest(self) -> f32 {
            let [a, b, c, d] = self.0;
            vmaxvq_f32(vmaxq_f32(vmaxq_f32(a, b), vmaxq_f32(c, d)))
        }
    }
}

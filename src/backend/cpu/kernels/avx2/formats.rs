//! The packed formats by what surrounds their integers: scales, offsets and minima.

use std::arch::x86_64::*;

use super::unpack::{Bytes, Halfs, Lanes, interleave, signed, unsigned, widen};
use super::values::{Eight, Five, Four, Six, Three, Two, Values};

pub(super) type Q8_0 = Offset<Eight, 0>;
pub(super) type Q4_0 = Offset<Four<1>, 8>;
pub(super) type Q5_0 = Offset<Five<1>, 16>;
pub(super) type Q4_1 = Minimum<Four<1>>;
pub(super) type Q5_1 = Minimum<Five<1>>;
pub(super) type Q2K = HalfMinima;
pub(super) type Q3K = HalfScales<Three, 4>;
pub(super) type Q4K = Minima<Four<8>>;
pub(super) type Q5K = Minima<Five<8>>;
pub(super) type Q6K = HalfScales<Six, 32>;

/// One row's scale and sums of integers (of the first and the second 16 values) in one group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Activation {
    pub(super) scale: f32,
    pub(super) sums: [i32; 2],
}

/// A quantized format as it is packed: the smallest unit of a panel, a group or a super-block of eight.
///
/// # Safety
/// Any bytes must be a value, without alignment. A [`multiplier`](Self::multiplier) other than one needs values that
/// are summed over half a group at most. All methods require the features of this level.
pub(super) unsafe trait Format {
    type Values: Values;
    /// What all rows share of a group besides its integers.
    type Scale: Copy;
    /// Groups of 32 k in a block.
    const GROUPS: usize;

    fn values(&self) -> &Self::Values;

    /// What the sums of products of a half group are multiplied with, in 16 bits, twice per lane.
    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn multiplier(&self, _group: usize, _half: usize) -> Lanes {
        [_mm256_set1_epi16(1); 2]
    }

    unsafe fn scale(&self, group: usize) -> Self::Scale;

    /// Adds a group, whose integers gave `dot`, to a row's sums.
    unsafe fn add(scale: &Self::Scale, sums: [__m256; 2], dot: Lanes, x: Activation) -> [__m256; 2];
}

/// `d * (q - OFFSET)`.
#[repr(C)]
pub(super) struct Offset<V, const OFFSET: i32> {
    d: Halfs,
    values: V,
}

// SAFETY: arrays of bytes.
unsafe impl<V: Values, const OFFSET: i32> Format for Offset<V, OFFSET> {
    type Values = V;
    type Scale = [__m256; 2];
    const GROUPS: usize = 1;

    fn values(&self) -> &V {
        &self.values
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn scale(&self, _group: usize) -> Self::Scale {
        widen(&self.d)
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn add(scale: &Self::Scale, sums: [__m256; 2], dot: Lanes, x: Activation) -> [__m256; 2] {
        let offset = _mm256_set1_epi32(OFFSET * (x.sums[0] + x.sums[1]));
        add_scaled(scale, sums, dot.map(|dot| _mm256_sub_epi32(dot, offset)), x)
    }
}

/// `d * q + m`.
#[repr(C)]
pub(super) struct Minimum<V> {
    d: Halfs,
    m: Halfs,
    values: V,
}

// SAFETY: arrays of bytes.
unsafe impl<V: Values> Format for Minimum<V> {
    type Values = V;
    type Scale = [[__m256; 2]; 2];
    const GROUPS: usize = 1;

    fn values(&self) -> &V {
        &self.values
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn scale(&self, _group: usize) -> Self::Scale {
        [widen(&self.d), widen(&self.m)]
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn add(scale: &Self::Scale, sums: [__m256; 2], dot: Lanes, x: Activation) -> [__m256; 2] {
        add_minimum(&scale[1], add_scaled(&scale[0], sums, dot, x), x)
    }
}

/// `d * scale * q - dmin * min`, a scale and a minimum per group.
#[repr(C)]
pub(super) struct Minima<V> {
    d: Halfs,
    dmin: Halfs,
    scales: [Bytes; 8],
    minima: [Bytes; 8],
    values: V,
}

// SAFETY: arrays of bytes.
unsafe impl<V: Values> Format for Minima<V> {
    type Values = V;
    type Scale = [[__m256; 2]; 2];
    const GROUPS: usize = 8;

    fn values(&self) -> &V {
        &self.values
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn scale(&self, group: usize) -> Self::Scale {
        let (d, dmin) = (widen(&self.d), widen(&self.dmin));
        let scale = unsigned(&self.scales[group]).map(|scale| _mm256_cvtepi32_ps(scale));
        let minimum = unsigned(&self.minima[group]).map(|minimum| _mm256_cvtepi32_ps(minimum));
        let minus = |a, b| _mm256_xor_ps(_mm256_mul_ps(a, b), _mm256_set1_ps(-0.0));
        [
            [_mm256_mul_ps(d[0], scale[0]), _mm256_mul_ps(d[1], scale[1])],
            [minus(dmin[0], minimum[0]), minus(dmin[1], minimum[1])],
        ]
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn add(scale: &Self::Scale, sums: [__m256; 2], dot: Lanes, x: Activation) -> [__m256; 2] {
        add_minimum(&scale[1], add_scaled(&scale[0], sums, dot, x), x)
    }
}

/// `d * scale * (q - OFFSET)`, a signed scale per half group. All but `d` is computed in integers: with 6 bits,
/// 128 * 32 * 127 * 32 is below 2^24 and so exact in f32 as well.
#[repr(C)]
pub(super) struct HalfScales<V, const OFFSET: i16> {
    d: Halfs,
    scales: [[Bytes; 2]; 8],
    values: V,
}

// SAFETY: arrays of bytes; used with values that are summed over at most four steps.
unsafe impl<V: Values, const OFFSET: i16> Format for HalfScales<V, OFFSET> {
    type Values = V;
    /// `d`, and `scale * OFFSET` of both halves, interleaved.
    type Scale = ([__m256; 2], Lanes);
    const GROUPS: usize = 8;

    fn values(&self) -> &V {
        &self.values
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn multiplier(&self, group: usize, half: usize) -> Lanes {
        let scale = signed(&self.scales[group][half]);
        interleave(scale, scale)
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn scale(&self, group: usize) -> Self::Scale {
        let scales = &self.scales[group];
        let pairs = interleave(signed(&scales[0]), signed(&scales[1]));
        (widen(&self.d), pairs.map(|pair| _mm256_mullo_epi16(pair, _mm256_set1_epi16(OFFSET))))
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn add(scale: &Self::Scale, sums: [__m256; 2], dot: Lanes, x: Activation) -> [__m256; 2] {
        let (d, offsets) = scale;
        let less = weigh_sums(offsets, x);
        let dot = [_mm256_sub_epi32(dot[0], less[0]), _mm256_sub_epi32(dot[1], less[1])];
        add_scaled(d, sums, dot, x)
    }
}

/// `d * scale * q - dmin * min`, a scale and a minimum of 4 bits in one byte per half group: Q2_K.
#[repr(C)]
pub(super) struct HalfMinima {
    d: Halfs,
    dmin: Halfs,
    /// Scale in the low, minimum in the high nibble.
    scales: [[Bytes; 2]; 8],
    values: Two,
}

// SAFETY: arrays of bytes; the values are summed over four steps.
unsafe impl Format for HalfMinima {
    type Values = Two;
    /// `d`, `-dmin`, and both halves' minima interleaved.
    type Scale = ([__m256; 2], [__m256; 2], Lanes);
    const GROUPS: usize = 8;

    fn values(&self) -> &Two {
        &self.values
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn multiplier(&self, group: usize, half: usize) -> Lanes {
        let scale =
            unsigned(&self.scales[group][half]).map(|packed| _mm256_and_si256(packed, _mm256_set1_epi32(15)));
        interleave(scale, scale)
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn scale(&self, group: usize) -> Self::Scale {
        let minima =
            self.scales[group].map(|half| unsigned(&half).map(|packed| _mm256_srli_epi32::<4>(packed)));
        let minus = widen(&self.dmin).map(|dmin| _mm256_xor_ps(dmin, _mm256_set1_ps(-0.0)));
        (widen(&self.d), minus, interleave(minima[0], minima[1]))
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn add(scale: &Self::Scale, sums: [__m256; 2], dot: Lanes, x: Activation) -> [__m256; 2] {
        let (d, minus_dmin, minima) = scale;
        add_scaled(minus_dmin, add_scaled(d, sums, dot, x), weigh_sums(minima, x), x)
    }
}

/// `sums + scale * x.scale * dot`.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn add_scaled(scale: &[__m256; 2], sums: [__m256; 2], dot: Lanes, x: Activation) -> [__m256; 2] {
    let x_scale = _mm256_set1_ps(x.scale);
    let add = |scale, dot, sum| _mm256_fmadd_ps(_mm256_mul_ps(scale, x_scale), _mm256_cvtepi32_ps(dot), sum);
    [add(scale[0], dot[0], sums[0]), add(scale[1], dot[1], sums[1])]
}

/// `sums + minimum * x.scale * total`, where `total` is the sum of the group's integers.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn add_minimum(minimum: &[__m256; 2], sums: [__m256; 2], x: Activation) -> [__m256; 2] {
    let total = _mm256_set1_ps(x.scale * (x.sums[0] + x.sums[1]) as f32);
    [_mm256_fmadd_ps(minimum[0], total, sums[0]), _mm256_fmadd_ps(minimum[1], total, sums[1])]
}

/// `a * sums[0] + b * sums[1]` for lanes with `a` and `b` in 16 bits each.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn weigh_sums(weights: &Lanes, x: Activation) -> Lanes {
    // A sum of 16 integers of at most 127 fits 16 bits.
    let pair = _mm256_set1_epi32(x.sums[0] & 0xffff | x.sums[1] << 16);
    [_mm256_madd_epi16(weights[0], pair), _mm256_madd_epi16(weights[1], pair)]
}

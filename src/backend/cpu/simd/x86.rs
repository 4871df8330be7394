//! Lanes as one 512-bit register, or as two of 256 bits.

use std::arch::x86_64::*;

use super::{LANES, Lanes};

/// AVX-512: sixteen lanes in one register.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Zmm(__m512);

/// AVX2 with FMA and F16C: the lower and the upper eight lanes.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Ymm(__m256, __m256);

/// Bits of the lanes from `first` up to but without `end`.
#[inline(always)]
fn range_bits(first: usize, end: usize) -> u16 {
    let below = |lane: usize| ((1u32 << lane.min(16)) - 1) as u16;
    below(end) & !below(first)
}

/// All bits set in the lanes of `offset..offset + 8` that are in `first..end`.
#[inline(always)]
unsafe fn range_mask(offset: i32, first: usize, end: usize) -> __m256i {
    // SAFETY: the caller has AVX2.
    unsafe {
        let lane = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(offset));
        let from_first = _mm256_cmpgt_epi32(lane, _mm256_set1_epi32(first as i32 - 1));
        let before_end = _mm256_cmpgt_epi32(_mm256_set1_epi32(end as i32), lane);
        _mm256_and_si256(from_first, before_end)
    }
}

/// The sum of eight lanes: four apart first, then two, then one.
#[inline(always)]
unsafe fn sum_of_8(x: __m256) -> f32 {
    // SAFETY: the caller has AVX2.
    unsafe {
        let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
        _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)))
    }
}

/// The greatest of eight lanes.
#[inline(always)]
unsafe fn highest_of_8(x: __m256) -> f32 {
    // SAFETY: the caller has AVX2.
    unsafe {
        let x = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        let x = _mm_max_ps(x, _mm_movehl_ps(x, x));
        _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)))
    }
}

/// Eight rows of eight become columns.
#[inline(always)]
unsafe fn transposed_8(mut rows: [__m256; 8]) -> [__m256; 8] {
    // SAFETY: the caller has AVX2.
    unsafe {
        for at in (0..8).step_by(2) {
            let (a, b) = (rows[at], rows[at + 1]);
            (rows[at], rows[at + 1]) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        }
        for at in (0..8).step_by(4) {
            let [a, b, c, d] = [rows[at], rows[at + 1], rows[at + 2], rows[at + 3]];
            rows[at] = _mm256_shuffle_ps::<0x44>(a, c);
            rows[at + 1] = _mm256_shuffle_ps::<0xee>(a, c);
            rows[at + 2] = _mm256_shuffle_ps::<0x44>(b, d);
            rows[at + 3] = _mm256_shuffle_ps::<0xee>(b, d);
        }
        for at in 0..4 {
            let (a, b) = (rows[at], rows[at + 4]);
            rows[at] = _mm256_permute2f128_ps::<0x20>(a, b);
            rows[at + 4] = _mm256_permute2f128_ps::<0x31>(a, b);
        }
        rows
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

impl Lanes for Zmm {
    const ROWS: usize = 4;
    const VECTORS: usize = 4;

    methods! {
        fn splat(x: f32) -> Self { Self(_mm512_set1_ps(x)) }
        fn load(from: *const f32) -> Self { Self(_mm512_loadu_ps(from)) }
        fn load_part(from: *const f32, count: usize) -> Self {
            Self(_mm512_maskz_loadu_ps(range_bits(0, count), from))
        }
        fn load_f16(from: *const u16) -> Self { Self(_mm512_cvtph_ps(_mm256_loadu_si256(from.cast()))) }
        fn load_bf16(from: *const u16) -> Self {
            let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            Self(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits)))
        }
        fn load_i8(from: *const i8) -> Self {
            Self(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()))))
        }
        fn store(self, to: *mut f32) { _mm512_storeu_ps(to, self.0) }
        fn store_part(self, to: *mut f32, count: usize) {
            _mm512_mask_storeu_ps(to, range_bits(0, count), self.0)
        }
        fn store_f16(self, to: *mut u16) {
            _mm256_storeu_si256(to.cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(self.0))
        }
        fn store_i8(self, to: *mut i8) {
            _mm_storeu_si128(to.cast(), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(self.0)))
        }
        fn add(self, other: Self) -> Self { Self(_mm512_add_ps(self.0, other.0)) }
        fn sub(self, other: Self) -> Self { Self(_mm512_sub_ps(self.0, other.0)) }
        fn mul(self, other: Self) -> Self { Self(_mm512_mul_ps(self.0, other.0)) }
        fn div(self, other: Self) -> Self { Self(_mm512_div_ps(self.0, other.0)) }
        fn fma(self, factor: Self, term: Self) -> Self { Self(_mm512_fmadd_ps(self.0, factor.0, term.0)) }
        fn max(self, other: Self) -> Self { Self(_mm512_max_ps(self.0, other.0)) }
        fn min(self, other: Self) -> Self { Self(_mm512_min_ps(self.0, other.0)) }
        fn abs(self) -> Self { Self(_mm512_abs_ps(self.0)) }
        fn if_negative(self, yes: Self, no: Self) -> Self {
            let negative = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, _mm512_setzero_ps());
            Self(_mm512_mask_blend_ps(negative, no.0, yes.0))
        }
        fn in_range_or(self, first: usize, end: usize, other: Self) -> Self {
            Self(_mm512_mask_blend_ps(range_bits(first, end), other.0, self.0))
        }
        fn scale_by_power(self, exponent: Self) -> Self { Self(_mm512_scalef_ps(self.0, exponent.0)) }
        fn sum(self) -> f32 {
            let high = _mm512_extractf32x8_ps::<1>(self.0);
            sum_of_8(_mm256_add_ps(_mm512_castps512_ps256(self.0), high))
        }
        fn transpose(square: &mut [Self; LANES]) {
            // Pairs of lanes, pairs of pairs, then quarters of registers twice.
            let mut rows = square.map(|row| row.0);
            for at in (0..LANES).step_by(2) {
                let (a, b) = (rows[at], rows[at + 1]);
                (rows[at], rows[at + 1]) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
            }
            for at in (0..LANES).step_by(4) {
                let [a, b, c, d] = [rows[at], rows[at + 1], rows[at + 2], rows[at + 3]].map(|x| _mm512_castps_pd(x));
                rows[at] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
                rows[at + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
                rows[at + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
                rows[at + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
            }
            for at in 0..4 {
                let [a, b, c, d] = [rows[at], rows[at + 4], rows[at + 8], rows[at + 12]];
                let low = [_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0x88>(c, d)];
                let high = [_mm512_shuffle_f32x4::<0xdd>(a, b), _mm512_shuffle_f32x4::<0xdd>(c, d)];
                square[at] = Self(_mm512_shuffle_f32x4::<0x88>(low[0], low[1]));
                square[at + 4] = Self(_mm512_shuffle_f32x4::<0x88>(high[0], high[1]));
                square[at + 8] = Self(_mm512_shuffle_f32x4::<0xdd>(low[0], low[1]));
                square[at + 12] = Self(_mm512_shuffle_f32x4::<0xdd>(high[0], high[1]));
            }
        }
        fn highest(self) -> f32 {
            let high = _mm512_extractf32x8_ps::<1>(self.0);
            highest_of_8(_mm256_max_ps(_mm512_castps512_ps256(self.0), high))
        }
    }
}

/// Rounded to the nearest 16-bit integers, ties to even.
#[inline(always)]
unsafe fn words_of_8(x: __m256) -> __m128i {
    // SAFETY: the caller has AVX2.
    unsafe {
        let x = _mm256_cvtps_epi32(x);
        _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x))
    }
}

/// `2^exponent`, for exponents that make a normal number.
#[inline(always)]
unsafe fn powers_of_8(exponent: __m256i) -> __m256 {
    // SAFETY: the caller has AVX2.
    unsafe {
        _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(exponent, _mm256_set1_epi32(127))))
    }
}

/// `x * 2^exponent` in two steps, of which only the last can round: 2^-150 is no number of its own.
#[inline(always)]
unsafe fn scale_8_by_power(x: __m256, exponent: __m256) -> __m256 {
    // SAFETY: the caller has AVX2.
    unsafe {
        let exponent = _mm256_cvtps_epi32(exponent);
        let half = _mm256_srai_epi32::<1>(exponent);
        _mm256_mul_ps(_mm256_mul_ps(x, powers_of_8(half)), powers_of_8(_mm256_sub_epi32(exponent, half)))
    }
}

impl Lanes for Ymm {
    const ROWS: usize = 2;
    const VECTORS: usize = 2;

    methods! {
        fn splat(x: f32) -> Self { Self(_mm256_set1_ps(x), _mm256_set1_ps(x)) }
        fn load(from: *const f32) -> Self { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
        fn load_part(from: *const f32, count: usize) -> Self {
            let low = _mm256_maskload_ps(from, range_mask(0, 0, count));
            // Where the second half is wholly masked its address may lie outside the object, and is not followed.
            Self(low, _mm256_maskload_ps(from.wrapping_add(8), range_mask(8, 0, count)))
        }
        fn load_f16(from: *const u16) -> Self {
            Self(
                _mm256_cvtph_ps(_mm_loadu_si128(from.cast())),
                _mm256_cvtph_ps(_mm_loadu_si128(from.add(8).cast())),
            )
        }
        fn load_bf16(from: *const u16) -> Self {
            let low = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            let high = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.add(8).cast()));
            Self(
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(low)),
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(high)),
            )
        }
        fn load_i8(from: *const i8) -> Self {
            Self(
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()))),
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.add(8).cast()))),
            )
        }
        fn store(self, to: *mut f32) {
            _mm256_storeu_ps(to, self.0);
            _mm256_storeu_ps(to.add(8), self.1);
        }
        fn store_part(self, to: *mut f32, count: usize) {
            _mm256_maskstore_ps(to, range_mask(0, 0, count), self.0);
            _mm256_maskstore_ps(to.wrapping_add(8), range_mask(8, 0, count), self.1);
        }
        fn store_f16(self, to: *mut u16) {
            _mm_storeu_si128(to.cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(self.0));
            _mm_storeu_si128(to.add(8).cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(self.1));
        }
        fn store_i8(self, to: *mut i8) {
            _mm_storeu_si128(to.cast(), _mm_packs_epi16(words_of_8(self.0), words_of_8(self.1)));
        }
        fn add(self, other: Self) -> Self {
            Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1))
        }
        fn sub(self, other: Self) -> Self {
            Self(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1))
        }
        fn mul(self, other: Self) -> Self {
            Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1))
        }
        fn div(self, other: Self) -> Self {
            Self(_mm256_div_ps(self.0, other.0), _mm256_div_ps(self.1, other.1))
        }
        fn fma(self, factor: Self, term: Self) -> Self {
            Self(
                _mm256_fmadd_ps(self.0, factor.0, term.0),
                _mm256_fmadd_ps(self.1, factor.1, term.1),
            )
        }
        fn max(self, other: Self) -> Self {
            Self(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1))
        }
        fn min(self, other: Self) -> Self {
            Self(_mm256_min_ps(self.0, other.0), _mm256_min_ps(self.1, other.1))
        }
        fn abs(self) -> Self {
            let sign = _mm256_set1_ps(-0.0);
            Self(_mm256_andnot_ps(sign, self.0), _mm256_andnot_ps(sign, self.1))
        }
        fn if_negative(self, yes: Self, no: Self) -> Self {
            let zero = _mm256_setzero_ps();
            Self(
                _mm256_blendv_ps(no.0, yes.0, _mm256_cmp_ps::<_CMP_LT_OQ>(self.0, zero)),
                _mm256_blendv_ps(no.1, yes.1, _mm256_cmp_ps::<_CMP_LT_OQ>(self.1, zero)),
            )
        }
        fn in_range_or(self, first: usize, end: usize, other: Self) -> Self {
            Self(
                _mm256_blendv_ps(other.0, self.0, _mm256_castsi256_ps(range_mask(0, first, end))),
                _mm256_blendv_ps(other.1, self.1, _mm256_castsi256_ps(range_mask(8, first, end))),
            )
        }
        fn scale_by_power(self, exponent: Self) -> Self {
            Self(scale_8_by_power(self.0, exponent.0), scale_8_by_power(self.1, exponent.1))
        }
        fn sum(self) -> f32 { sum_of_8(_mm256_add_ps(self.0, self.1)) }
        fn transpose(square: &mut [Self; LANES]) {
            let quarter = |rows: [__m256; 8]| transposed_8(rows);
            let first: [__m256; 8] = std::array::from_fn(|i| square[i].0);
            let above: [__m256; 8] = std::array::from_fn(|i| square[i].1);
            let below: [__m256; 8] = std::array::from_fn(|i| square[i + 8].0);
            let last: [__m256; 8] = std::array::from_fn(|i| square[i + 8].1);
            let [first, above, below, last] = [first, above, below, last].map(quarter);
            for at in 0..8 {
                square[at] = Self(first[at], below[at]);
                square[at + 8] = Self(above[at], last[at]);
            }
        }
        fn highest(self) -> f32 { highest_of_8(_mm256_max_ps(self.0, self.1)) }
    }
}

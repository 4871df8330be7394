//! The formats with super-blocks of 256 inputs: Q2_K to Q6_K.

use std::arch::x86_64::*;

use super::format::{Format, Unpacked, Weights, load_f16, nibbles, pairs, pairs_at_4, with_high_bits};

/// Sixteen unsigned bytes as `f32`.
#[inline(always)]
unsafe fn widen(bytes: __m128i) -> __m512 {
    // SAFETY: the features are those of the function this is inlined into.
    unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)) }
}

/// Sixteen signed bytes as `f32`.
#[inline(always)]
unsafe fn widen_signed(at: *const u8) -> __m512 {
    // SAFETY: the caller's promise: 16 bytes.
    unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(at.cast()))) }
}

/// The scale and the negated minimum of a super-block.
#[inline(always)]
unsafe fn scale_and_minimum(block: *const u8) -> [__m512; 2] {
    // SAFETY: the caller's promise: 64 bytes.
    unsafe {
        let negated = _mm512_xor_ps(load_f16(block.add(32)), _mm512_set1_ps(-0.0));
        [load_f16(block), negated]
    }
}

/// Byte `i` of the first and of the second, side by side as `i16`.
#[inline(always)]
unsafe fn interleave(first: __m128i, second: __m128i) -> __m512i {
    // SAFETY: the features are those of the function this is inlined into.
    unsafe {
        let (low, high) = (_mm_unpacklo_epi8(first, second), _mm_unpackhi_epi8(first, second));
        _mm512_cvtepu8_epi16(_mm256_set_m128i(high, low))
    }
}

/// Q4_K and Q5_K: a scale and a minimum per group, six bits each.
macro_rules! with_minima {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, |$values:ident, $group:ident| $step:expr) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl Weights for $name {
            const GROUPS: usize = 8;
            const BYTES: usize = $bytes;
            const SCALES: usize = 1;
            const SHARED: bool = true;
            const ADDS: bool = true;
            const EIGHT_BITS: bool = false;
            type Head = [__m512; 2];

            #[inline(always)]
            unsafe fn head(block: *const u8) -> [__m512; 2] {
                // SAFETY: within the block.
                unsafe { scale_and_minimum(block) }
            }

            #[inline(always)]
            unsafe fn scale(block: *const u8, [d, _]: [__m512; 2], group: usize, _: usize) -> __m512 {
                // SAFETY: within the block.
                unsafe { _mm512_mul_ps(d, widen(_mm_loadu_si128(block.add(64 + 16 * group).cast()))) }
            }

            #[inline(always)]
            unsafe fn minima(block: *const u8, pair: usize) -> __m512i {
                // SAFETY: within the block.
                unsafe {
                    let minima = block.add(192 + 32 * pair);
                    interleave(_mm_loadu_si128(minima.cast()), _mm_loadu_si128(minima.add(16).cast()))
                }
            }

            #[inline(always)]
            unsafe fn minimum_scale(_: *const u8, [_, dmin]: [__m512; 2]) -> __m512 {
                dmin
            }

            #[inline(always)]
            unsafe fn step<const S: usize>(block: *const u8, $group: usize) -> __m512i {
                // SAFETY: within the block.
                unsafe {
                    let $values = block.add(320);
                    $step
                }
            }
        }

        impl Format for $name {
            const OFFSET: i32 = 0;
            type Unpacked = Unpacked<1, true, true, false>;
        }
    };
}

with_minima!(/// `d * scale * q - dmin * min`, four bits.
    Q4K, 2368, |values, group| nibbles::<S>(values.add(256 * group)));
with_minima!(/// `d * scale * q - dmin * min`, five bits.
Q5K, 2880, |values, group| {
    let low = nibbles::<S>(values.add(256 * group));
    with_high_bits::<S>(low, values.add(2048 + 64 * group), 16)
});

/// Q6_K and Q3_K: a signed scale per half group, and an offset.
macro_rules! with_signed_scales {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, offset: $offset:literal,
     |$values:ident, $group:ident| $step:expr) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl Weights for $name {
            const GROUPS: usize = 8;
            const BYTES: usize = $bytes;
            const SCALES: usize = 2;
            const SHARED: bool = true;
            const ADDS: bool = false;
            const EIGHT_BITS: bool = false;
            type Head = __m512;

            #[inline(always)]
            unsafe fn head(block: *const u8) -> __m512 {
                // SAFETY: within the block.
                unsafe { load_f16(block) }
            }

            #[inline(always)]
            unsafe fn scale(block: *const u8, d: __m512, group: usize, half: usize) -> __m512 {
                // SAFETY: within the block.
                unsafe { _mm512_mul_ps(d, widen_signed(block.add(32 + 32 * group + 16 * half))) }
            }

            #[inline(always)]
            unsafe fn step<const S: usize>(block: *const u8, $group: usize) -> __m512i {
                // SAFETY: within the block.
                unsafe {
                    let $values = block.add(288);
                    $step
                }
            }
        }

        impl Format for $name {
            const OFFSET: i32 = $offset;
            type Unpacked = Unpacked<2, true, false, false>;
        }
    };
}

with_signed_scales!(/// `d * scale * (q - 32)`.
Q6K, 3360, offset: 32, |values, group| {
    let low = nibbles::<S>(values.add(256 * group));
    let high = pairs_at_4::<S>(values.add(2048 + 128 * group));
    // low | high & 0x30
    _mm512_ternarylogic_epi32::<0xF8>(low, high, _mm512_set1_epi8(0x30))
});
with_signed_scales!(/// `d * scale * (q - 4)`.
Q3K, 1824, offset: 4, |values, group| {
    let low = pairs::<S>(values.add(128 * group));
    with_high_bits::<S>(low, values.add(1024 + 64 * group), 4)
});

/// `d * scale * q - dmin * min`, two bits, a scale and a minimum of four bits per half group.
pub(super) struct Q2K;

impl Weights for Q2K {
    const GROUPS: usize = 8;
    const BYTES: usize = 1344;
    const SCALES: usize = 2;
    const SHARED: bool = true;
    const ADDS: bool = true;
    const EIGHT_BITS: bool = false;
    type Head = [__m512; 2];

    #[inline(always)]
    unsafe fn head(block: *const u8) -> [__m512; 2] {
        // SAFETY: within the block.
        unsafe { scale_and_minimum(block) }
    }

    #[inline(always)]
    unsafe fn scale(block: *const u8, [d, _]: [__m512; 2], group: usize, half: usize) -> __m512 {
        // SAFETY: within the block.
        unsafe {
            let both = _mm_loadu_si128(block.add(64 + 32 * group + 16 * half).cast());
            _mm512_mul_ps(d, widen(_mm_and_si128(both, _mm_set1_epi8(15))))
        }
    }

    #[inline(always)]
    unsafe fn minima(block: *const u8, pair: usize) -> __m512i {
        // SAFETY: within the block.
        unsafe {
            let both = block.add(64 + 32 * pair);
            let high = interleave(_mm_loadu_si128(both.cast()), _mm_loadu_si128(both.add(16).cast()));
            _mm512_srli_epi16::<4>(high)
        }
    }

    #[inline(always)]
    unsafe fn minimum_scale(_: *const u8, [_, dmin]: [__m512; 2]) -> __m512 {
        dmin
    }

    #[inline(always)]
    unsafe fn step<const S: usize>(block: *const u8, group: usize) -> __m512i {
        // SAFETY: within the block.
        unsafe { pairs::<S>(block.add(320 + 128 * group)) }
    }
}

impl Format for Q2K {
    const OFFSET: i32 = 0;
    type Unpacked = Unpacked<2, true, true, false>;
}

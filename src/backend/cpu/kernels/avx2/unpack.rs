//! Packed weights to registers. A step of 4 k by 16 lanes is two registers of 32 bytes: lanes 0..8 and lanes 8..16.

use std::arch::x86_64::*;

/// The 16 lanes of something, as two registers.
pub(super) type Lanes = [__m256i; 2];

/// 64 bytes: a step, or more than one in fewer bits.
pub(super) type Line = [[u8; 32]; 2];
/// A group's values in four bits: line `j` has step `j` low and step `j + 4` high.
pub(super) type Nibbles = [Line; 4];
/// A group's values, or parts of them, in two bits: line `h` has step `4 h + s` in bits `2 s` and `2 s + 1`.
pub(super) type Pairs = [Line; 2];
/// One bit of each of a group's values: per step two words of 32 bits.
pub(super) type Bits = [[[u8; 4]; 2]; 8];
/// An f16 for each lane.
pub(super) type Halfs = [[u8; 16]; 2];
/// A byte for each lane.
pub(super) type Bytes = [[u8; 8]; 2];

/// 32 bytes as they are.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
pub(super) fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: the load reads the 32 bytes of the array and asks for no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// 16 bytes as they are.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
pub(super) fn load_half(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: the load reads the 16 bytes of the array and asks for no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

/// A step of whole bytes.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
pub(super) fn line(line: &Line) -> Lanes {
    [load(&line[0]), load(&line[1])]
}

/// Step `S` of a group in four bits: 0..=15.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
pub(super) fn nibble<const S: usize>(group: &Nibbles) -> Lanes {
    let mask = _mm256_set1_epi8(15);
    line(&group[S % 4]).map(|bytes| {
        let bytes = if S < 4 { bytes } else { _mm256_srli_epi16::<4>(bytes) };
        _mm256_and_si256(bytes, mask)
    })
}

/// Step `S` of a group in two bits: 0..=3.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
pub(super) fn pair<const S: usize>(group: &Pairs) -> Lanes {
    let mask = _mm256_set1_epi8(3);
    line(&group[S / 4]).map(|bytes| {
        let bytes = match S % 4 {
            0 => bytes,
            1 => _mm256_srli_epi16::<2>(bytes),
            2 => _mm256_srli_epi16::<4>(bytes),
            _ => _mm256_srli_epi16::<6>(bytes),
        };
        _mm256_and_si256(bytes, mask)
    })
}

/// Step `S` of a group of two high bits, where they belong above four low ones: 0, 16, 32 or 48.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
pub(super) fn high_pair<const S: usize>(group: &Pairs) -> Lanes {
    let mask = _mm256_set1_epi8(0x30);
    line(&group[S / 4]).map(|bytes| {
        let bytes = match S % 4 {
            0 => _mm256_slli_epi16::<4>(bytes),
            1 => _mm256_slli_epi16::<2>(bytes),
            2 => bytes,
            _ => _mm256_srli_epi16::<2>(bytes),
        };
        _mm256_and_si256(bytes, mask)
    })
}

/// Step `S` of a group of single bits: `VALUE` where the bit is set, else 0.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
pub(super) fn bit<const S: usize, const VALUE: i8>(group: &Bits) -> Lanes {
    // Byte b of the register gets byte b / 8 of the word, of which bit b % 8 is its own.
    let spread = _mm256_set_epi64x(
        0x0303_0303_0303_0303,
        0x0202_0202_0202_0202,
        0x0101_0101_0101_0101,
        0x0000_0000_0000_0000,
    );
    let own = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64.cast_signed());
    group[S].map(|word| {
        let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(i32::from_le_bytes(word)), spread);
        let set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, own), own);
        _mm256_and_si256(set, _mm256_set1_epi8(VALUE))
    })
}

/// Two steps bit by bit in one.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
pub(super) fn or(a: Lanes, b: Lanes) -> Lanes {
    [_mm256_or_si256(a[0], b[0]), _mm256_or_si256(a[1], b[1])]
}

/// An f16 for each lane, widened.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
pub(super) fn widen(halfs: &Halfs) -> [__m256; 2] {
    [_mm256_cvtph_ps(load_half(&halfs[0])), _mm256_cvtph_ps(load_half(&halfs[1]))]
}

/// An unsigned byte for each lane, in 32 bits.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
pub(super) fn unsigned(bytes: &Bytes) -> Lanes {
    bytes.map(|bytes| _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(i64::from_le_bytes(bytes))))
}

/// A signed byte for each lane, in 32 bits.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
pub(super) fn signed(bytes: &Bytes) -> Lanes {
    bytes.map(|bytes| _mm256_cvtepi8_epi32(_mm_cvtsi64_si128(i64::from_le_bytes(bytes))))
}

/// The low 16 bits of every lane of `a` and, above them, those of `b`.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
pub(super) fn interleave(a: Lanes, b: Lanes) -> Lanes {
    let both = |a, b| _mm256_blend_epi16::<0b1010_1010>(a, _mm256_slli_epi32::<16>(b));
    [both(a[0], b[0]), both(a[1], b[1])]
}

//! Packed weights to registers. A step of 4 k by 16 lanes is four registers, the *quarters* of a panel, with four lanes
//! each.

use std::arch::aarch64::*;
use std::arch::asm;

use super::super::super::simd::prefetch;

/// 64 bytes: a step, or more than one in fewer bits.
pub(super) type Line = [[u8; 16]; 4];
/// A group's values in four bits: line `j` has step `j` low and step `j + 4` high.
pub(super) type Nibbles = [Line; 4];
/// A group's values, or parts of them, in two bits: line `h` has step `4 h + s` in bits `2 s` and `2 s + 1`.
pub(super) type Pairs = [Line; 2];
/// One bit of each of a group's values: per step two bytes for each quarter.
pub(super) type Bits = [[u8; 8]; 8];
/// An f16 for each lane.
pub(super) type Halfs = [[u8; 8]; 4];
/// A byte for each lane, in two halves of a panel.
pub(super) type Bytes = [[u8; 8]; 2];

/// 16 bytes as they are.
#[target_feature(enable = "neon")]
#[inline]
pub(super) fn load(bytes: &[u8; 16]) -> uint8x16_t {
    // SAFETY: the load reads the 16 bytes of the array and asks for no alignment.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

/// 8 bytes as they are.
#[target_feature(enable = "neon")]
#[inline]
fn load_half(bytes: &[u8; 8]) -> uint8x8_t {
    // SAFETY: the load reads the 8 bytes of the array and asks for no alignment.
    unsafe { vld1_u8(bytes.as_ptr()) }
}

/// Step `S` of a group in four bits: 0..=15.
#[target_feature(enable = "neon")]
#[inline]
pub(super) fn nibble<const S: usize>(group: &Nibbles, quarter: usize) -> uint8x16_t {
    let bytes = load(&group[S % 4][quarter]);
    if S < 4 { vandq_u8(bytes, vdupq_n_u8(15)) } else { vshrq_n_u8::<4>(bytes) }
}

/// Step `S` of a group in two bits: 0..=3.
#[target_feature(enable = "neon")]
#[inline]
pub(super) fn pair<const S: usize>(group: &Pairs, quarter: usize) -> uint8x16_t {
    let (bytes, mask) = (load(&group[S / 4][quarter]), vdupq_n_u8(3));
    match S % 4 {
        0 => vandq_u8(bytes, mask),
        1 => vandq_u8(vshrq_n_u8::<2>(bytes), mask),
        2 => vandq_u8(vshrq_n_u8::<4>(bytes), mask),
        _ => vshrq_n_u8::<6>(bytes),
    }
}

/// Puts step `S` of a group of two high bits above the four low ones in `low`.
#[target_feature(enable = "neon")]
#[inline]
pub(super) fn with_high_pair<const S: usize>(low: uint8x16_t, group: &Pairs, quarter: usize) -> uint8x16_t {
    let bytes = load(&group[S / 4][quarter]);
    match S % 4 {
        0 => vandq_u8(vsliq_n_u8::<4>(low, bytes), vdupq_n_u8(63)),
        1 => vandq_u8(vsliq_n_u8::<4>(low, vshrq_n_u8::<2>(bytes)), vdupq_n_u8(63)),
        2 => vorrq_u8(low, vandq_u8(bytes, vdupq_n_u8(48))),
        _ => vsliq_n_u8::<4>(low, vshrq_n_u8::<6>(bytes)),
    }
}

/// Adds `VALUE`, a bit that `low` does not have, where step `S` of a group of single bits has one.
#[target_feature(enable = "neon")]
#[inline]
pub(super) fn with_bit<const S: usize, const VALUE: u8>(
    low: uint8x16_t,
    group: &Bits,
    quarter: usize,
) -> uint8x16_t {
    // Byte b of the register gets byte b / 8 of its quarter's two, of which bit b % 8 is its own.
    let both = load_half(&group[S]);
    let own = vreinterpretq_u8_u64(vdupq_n_u64(0x8040_2010_0804_0201));
    let at = (2 * quarter) as u8;
    let spread = vcombine_u8(vdup_n_u8(at), vdup_n_u8(at + 1));
    let bits = vqtbl1q_u8(vcombine_u8(both, both), spread);
    vorrq_u8(low, vandq_u8(vtstq_u8(bits, own), vdupq_n_u8(VALUE)))
}

/// Four lanes' f16, widened.
#[target_feature(enable = "neon")]
#[inline]
pub(super) fn widen(halfs: &[u8; 8]) -> float32x4_t {
    vcvt_f32_f16(vreinterpret_f16_u8(load_half(halfs)))
}

/// An unsigned byte for each lane of half a panel, in 16 bits.
#[target_feature(enable = "neon")]
#[inline]
pub(super) fn unsigned(bytes: &[u8; 8]) -> int16x8_t {
    vreinterpretq_s16_u16(vmovl_u8(load_half(bytes)))
}

/// A signed byte for each lane of half a panel, in 16 bits.
#[target_feature(enable = "neon")]
#[inline]
pub(super) fn signed(bytes: &[u8; 8]) -> int16x8_t {
    vmovl_s8(vreinterpret_s8_u8(load_half(bytes)))
}

/// Brings the lines of `bytes` bytes from `at` on into the cache.
#[inline(always)]
#[allow(clippy::pointers_in_nomem_asm_block)] // nothing is read through them
pub(super) fn prefetch_all(mut at: *const u8, bytes: usize) {
    // SAFETY: no instruction at all. An address that the compiler knew as a distance from another one would be too far
    // from it for the addition of a constant.
    unsafe { asm!("/* {0} */", inout(reg) at, options(pure, nomem, nostack, preserves_flags)) };
    for line in 0..bytes.div_ceil(64) {
        prefetch(at.wrapping_add(64 * line));
    }
}

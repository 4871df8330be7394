//! Blocks of GGUF's quantized formats, taken apart into whole numbers.
//!
//! Only the arrangement of bits is undone here; what the numbers mean stays with the decoders. Layouts as published
//! with the GGUF format.

/// The fields of one block of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// Bits of the f16 scale.
    pub(crate) d: u16,
    /// Bits of the f16 minimum.
    pub(crate) min: u16,
    /// Scales: 8 of groups, or 16 of half groups; signed ones as their bits.
    pub(crate) scales: [u8; 16],
    /// Minima of 8 groups.
    pub(crate) mins: [u8; 8],
    /// One code per input, with all of its bits; the first 32 in formats with blocks of 32.
    pub(crate) codes: [u8; 256],
}

impl Block {
    pub(crate) const ZERO: Self = Self { d: 0, min: 0, scales: [0; 16], mins: [0; 8], codes: [0; 256] };
}

fn half(block: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

pub(super) fn q8_0(block: &[u8; 34]) -> Block {
    let mut out = Block { d: half(block, 0), ..Block::ZERO };
    // As unsigned numbers, 128 higher.
    out.codes.iter_mut().zip(&block[2..]).for_each(|(code, signed)| *code = signed ^ 0x80);
    out
}

pub(super) fn q4_0(block: &[u8; 18]) -> Block {
    let mut out = Block { d: half(block, 0), ..Block::ZERO };
    nibbles(&block[2..], 0, &mut out.codes);
    out
}

pub(super) fn q4_1(block: &[u8; 20]) -> Block {
    let mut out = Block { d: half(block, 0), min: half(block, 2), ..Block::ZERO };
    nibbles(&block[4..], 0, &mut out.codes);
    out
}

pub(super) fn q5_0(block: &[u8; 22]) -> Block {
    let mut out = Block { d: half(block, 0), ..Block::ZERO };
    let fifth = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
    nibbles(&block[6..], fifth, &mut out.codes);
    out
}

pub(super) fn q5_1(block: &[u8; 24]) -> Block {
    let mut out = Block { d: half(block, 0), min: half(block, 2), ..Block::ZERO };
    let fifth = u32::from_le_bytes([block[4], block[5], block[6], block[7]]);
    nibbles(&block[8..], fifth, &mut out.codes);
    out
}

/// 16 bytes with element `i` in the low and element `i + 16` in the high half; bit `i` of `fifth` above element `i`.
fn nibbles(bytes: &[u8], fifth: u32, codes: &mut [u8; 256]) {
    let (low, high) = codes[..32].split_at_mut(16);
    for (i, ((&q, low), high)) in bytes.iter().zip(low).zip(high).enumerate() {
        *low = q & 15 | ((fifth >> i & 1) as u8) << 4;
        *high = q >> 4 | ((fifth >> (i + 16) & 1) as u8) << 4;
    }
}

/// 16 bytes of scale and minimum, 64 bytes of codes, `d`, `dmin`.
pub(super) fn q2_k(block: &[u8; 84]) -> Block {
    let mut out = Block { d: half(block, 80), min: half(block, 82), ..Block::ZERO };
    out.scales.copy_from_slice(&block[..16]);
    pairs(&block[16..80], &mut out.codes);
    out
}

/// 32 bytes of third bits, 64 bytes of the two low bits, 12 bytes of 6-bit scales, `d`.
pub(super) fn q3_k(block: &[u8; 110]) -> Block {
    let mut out = Block { d: half(block, 108), ..Block::ZERO };
    let (third, packed) = (&block[..32], &block[96..108]);
    for (index, scale) in out.scales.iter_mut().enumerate() {
        // Four low bits from the first eight bytes, two high bits from the last four.
        let low = packed[index % 8] >> (4 * (index / 8)) & 15;
        let high = packed[8 + index % 4] >> (2 * (index / 4)) & 3;
        *scale = (low | high << 4).wrapping_sub(32);
    }
    pairs(&block[32..96], &mut out.codes);
    for (group, codes) in out.codes.chunks_exact_mut(32).enumerate() {
        for (code, &third) in codes.iter_mut().zip(third) {
            *code |= (third >> group & 1) << 2;
        }
    }
    out
}

/// 32 bytes hold four groups of 32, two bits of each.
fn pairs(bytes: &[u8], codes: &mut [u8; 256]) {
    for (group, codes) in codes.chunks_exact_mut(32).enumerate() {
        for (code, &q) in codes.iter_mut().zip(&bytes[group / 4 * 32..]) {
            *code = q >> (2 * (group % 4)) & 3;
        }
    }
}

/// `d`, `dmin`, 12 bytes of 6-bit scales and minima, 128 bytes of codes.
pub(super) fn q4_k(block: &[u8; 144]) -> Block {
    let mut out = Block { d: half(block, 0), min: half(block, 2), ..Block::ZERO };
    scales_and_mins(&block[4..16], &mut out);
    group_nibbles(&block[16..], &mut out.codes);
    out
}

/// As Q4_K, with 32 bytes of fifth bits before the codes.
pub(super) fn q5_k(block: &[u8; 176]) -> Block {
    let mut out = Block { d: half(block, 0), min: half(block, 2), ..Block::ZERO };
    scales_and_mins(&block[4..16], &mut out);
    group_nibbles(&block[48..], &mut out.codes);
    for (group, codes) in out.codes.chunks_exact_mut(32).enumerate() {
        for (code, &fifth) in codes.iter_mut().zip(&block[16..48]) {
            *code |= (fifth >> group & 1) << 4;
        }
    }
    out
}

/// 32 bytes hold two groups of 32.
fn group_nibbles(bytes: &[u8], codes: &mut [u8; 256]) {
    for (group, codes) in codes.chunks_exact_mut(32).enumerate() {
        for (code, &q) in codes.iter_mut().zip(&bytes[group / 2 * 32..]) {
            *code = q >> (4 * (group % 2)) & 15;
        }
    }
}

/// The first four groups have six bits of a byte each; of the last four, the low halves share a byte and the two high
/// bits sit above the first four.
fn scales_and_mins(packed: &[u8], out: &mut Block) {
    for group in 0..4 {
        out.scales[group] = packed[group] & 63;
        out.mins[group] = packed[group + 4] & 63;
        let low = packed[group + 8];
        out.scales[group + 4] = low & 15 | packed[group] >> 6 << 4;
        out.mins[group + 4] = low >> 4 | packed[group + 4] >> 6 << 4;
    }
}

/// 128 bytes of four low bits, 64 bytes of two high bits, 16 signed scales, `d`.
pub(super) fn q6_k(block: &[u8; 210]) -> Block {
    let mut out = Block { d: half(block, 208), ..Block::ZERO };
    out.scales.copy_from_slice(&block[192..208]);
    for (group, codes) in out.codes.chunks_exact_mut(32).enumerate() {
        let (part, quarter) = (group / 4, group % 4);
        let low = &block[64 * part + 32 * (quarter % 2)..];
        let high = &block[128 + 32 * part..];
        for ((code, &low), &high) in codes.iter_mut().zip(low).zip(high) {
            *code = low >> (4 * (quarter / 2)) & 15 | (high >> (2 * quarter) & 3) << 4;
        }
    }
    out
}

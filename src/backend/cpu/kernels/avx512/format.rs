//! How a tile sees weights, and the formats with one scale per group of 32: Q8_0, Q4_0, Q4_1, Q5_0 and Q5_1.

use std::arch::x86_64::*;

/// Panels of weights in blocks of groups of 32 inputs, as a tile reads them.
///
/// All functions are inlined into functions with at least AVX-512 F, BW, DQ and VL, and read within the block that
/// they are given.
pub(super) trait Weights {
    /// Groups of a block.
    const GROUPS: usize;
    /// Bytes of a block of one panel.
    const BYTES: usize;
    /// Scales of a group: one, or one per 16 inputs.
    const SCALES: usize;
    /// Whether the activations of a block share their scale.
    const SHARED: bool;
    /// Whether there is a minimum beside each scale. Formats without one have an offset instead.
    const ADDS: bool;
    /// Whether the bytes have all eight bits: values from -128 to 127, stored 128 higher.
    const EIGHT_BITS: bool;
    /// Whether the bytes are what [`super::level::Level::bytes`] makes of them.
    const READY: bool = false;
    /// What the groups of a block share.
    type Head: Copy;

    /// What the groups of a block share.
    unsafe fn head(block: *const u8) -> Self::Head;

    /// A scale of a group, lane by lane.
    unsafe fn scale(block: *const u8, head: Self::Head, group: usize, half: usize) -> __m512;

    /// What is multiplied with the scaled sum of the activations of the block's only group; for formats that add and
    /// do not share.
    #[inline(always)]
    unsafe fn add(_block: *const u8) -> __m512 {
        // SAFETY: the features are those of the function this is inlined into.
        unsafe { _mm512_setzero_ps() }
    }

    /// Minima `2 pair` and `2 pair + 1` of the block as `i16`, lane by lane; for formats that add and share.
    #[inline(always)]
    unsafe fn minima(_block: *const u8, _pair: usize) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_setzero_si512() }
    }

    /// What the minima are multiplied with.
    #[inline(always)]
    unsafe fn minimum_scale(_block: *const u8, _head: Self::Head) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_setzero_ps() }
    }

    /// Step `S` of a group: four bytes of each lane.
    unsafe fn step<const S: usize>(block: *const u8, group: usize) -> __m512i;
}

/// Words beside the activations of a block, in each row.
pub(super) const fn words<W: Weights>() -> usize {
    match (W::SHARED, W::ADDS) {
        (false, _) => 1,
        (true, false) => 8 * W::SCALES,
        (true, true) => 4 * W::SCALES,
    }
}

/// A format of packed panels.
pub(super) trait Format: Weights {
    /// What its unsigned bytes are above the values that the scales mean.
    const OFFSET: i32;
    /// The same weights, unpacked.
    type Unpacked: Weights;
}

/// Blocks of weights that were unpacked: for each group 8 registers of bytes ready for the dot product and its scales
/// as registers of `f32`; then what the format adds.
pub(super) struct Unpacked<const SCALES: usize, const SHARED: bool, const ADDS: bool, const EIGHT_BITS: bool>;

impl<const SCALES: usize, const SHARED: bool, const ADDS: bool, const EIGHT_BITS: bool>
    Unpacked<SCALES, SHARED, ADDS, EIGHT_BITS>
{
    const GROUP: usize = 512 + 64 * SCALES;
    const ADDS_AT: usize = Self::GROUP * <Self as Weights>::GROUPS;
    /// Registers of pairs of minima.
    const PAIRS: usize = 4 * SCALES;
}

impl<const SCALES: usize, const SHARED: bool, const ADDS: bool, const EIGHT_BITS: bool> Weights
    for Unpacked<SCALES, SHARED, ADDS, EIGHT_BITS>
{
    const GROUPS: usize = if SHARED { 8 } else { 1 };
    const BYTES: usize = Self::ADDS_AT
        + match (ADDS, SHARED) {
            (false, _) => 0,
            (true, false) => 64,
            (true, true) => 64 * (Self::PAIRS + 1),
        };
    const SCALES: usize = SCALES;
    const SHARED: bool = SHARED;
    const ADDS: bool = ADDS;
    const EIGHT_BITS: bool = EIGHT_BITS;
    const READY: bool = true;
    type Head = ();

    #[inline(always)]
    unsafe fn head(_: *const u8) {}

    #[inline(always)]
    unsafe fn scale(block: *const u8, (): (), group: usize, half: usize) -> __m512 {
        // SAFETY: within the block.
        unsafe { load_f32(block.add(group * Self::GROUP + 512 + 64 * half)) }
    }

    #[inline(always)]
    unsafe fn add(block: *const u8) -> __m512 {
        // SAFETY: within the block, which has it when this is called.
        unsafe { load_f32(block.add(Self::ADDS_AT)) }
    }

    #[inline(always)]
    unsafe fn minima(block: *const u8, pair: usize) -> __m512i {
        // SAFETY: as above.
        unsafe { load(block.add(Self::ADDS_AT + 64 * pair)) }
    }

    #[inline(always)]
    unsafe fn minimum_scale(block: *const u8, (): ()) -> __m512 {
        // SAFETY: as above.
        unsafe { load_f32(block.add(Self::ADDS_AT + 64 * Self::PAIRS)) }
    }

    #[inline(always)]
    unsafe fn step<const S: usize>(block: *const u8, group: usize) -> __m512i {
        // SAFETY: within the block.
        unsafe { load(block.add(group * Self::GROUP + 64 * S)) }
    }
}

#[inline(always)]
pub(super) unsafe fn load(at: *const u8) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe { _mm512_loadu_si512(at.cast()) }
}

#[inline(always)]
unsafe fn load_f32(at: *const u8) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe { _mm512_loadu_ps(at.cast()) }
}

/// Sixteen f16, widened.
#[inline(always)]
pub(super) unsafe fn load_f16(at: *const u8) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(at.cast())) }
}

/// Step `S` of the nibbles of a group.
#[inline(always)]
pub(super) unsafe fn nibbles<const S: usize>(at: *const u8) -> __m512i {
    // SAFETY: the caller's promise: 256 bytes.
    unsafe {
        let both = load(at.add(64 * (S % 4)));
        let low = if S < 4 { both } else { _mm512_srli_epi16::<4>(both) };
        _mm512_and_si512(low, _mm512_set1_epi8(15))
    }
}

/// The pair of bits of step `S` of a group, moved to bits 4 and 5 of each byte; other bits are whatever they are.
#[inline(always)]
pub(super) unsafe fn pairs_at_4<const S: usize>(at: *const u8) -> __m512i {
    // SAFETY: the caller's promise: 128 bytes.
    unsafe {
        let four = load(at.add(64 * (S / 4)));
        match S % 4 {
            0 => _mm512_slli_epi16::<4>(four),
            1 => _mm512_slli_epi16::<2>(four),
            2 => four,
            _ => _mm512_srli_epi16::<2>(four),
        }
    }
}

/// The pair of bits of step `S` of a group.
#[inline(always)]
pub(super) unsafe fn pairs<const S: usize>(at: *const u8) -> __m512i {
    // SAFETY: the caller's promise: 128 bytes.
    unsafe {
        let four = load(at.add(64 * (S / 4)));
        let low = match S % 4 {
            0 => four,
            1 => _mm512_srli_epi16::<2>(four),
            2 => _mm512_srli_epi16::<4>(four),
            _ => _mm512_srli_epi16::<6>(four),
        };
        _mm512_and_si512(low, _mm512_set1_epi8(3))
    }
}

/// `bytes` with `bit` set where step `S` of the high bits of a group says so; the bit must be clear before.
#[inline(always)]
pub(super) unsafe fn with_high_bits<const S: usize>(bytes: __m512i, at: *const u8, bit: i8) -> __m512i {
    // SAFETY: the caller's promise: 64 bytes.
    unsafe {
        let mask = at.cast::<u64>().add(S).read_unaligned();
        _mm512_mask_add_epi8(bytes, mask, bytes, _mm512_set1_epi8(bit))
    }
}

/// The weights of a format with one f16 scale per group: how many bytes come before the values, whether the second
/// 32 of them are f16 adds, and how a step is read from the values.
macro_rules! one_scale {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, adds: $adds:literal, eight_bits: $eight_bits:literal,
     offset: $offset:literal, |$at:ident| $step:expr) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl Weights for $name {
            const GROUPS: usize = 1;
            const BYTES: usize = $bytes;
            const SCALES: usize = 1;
            const SHARED: bool = false;
            const ADDS: bool = $adds;
            const EIGHT_BITS: bool = $eight_bits;
            type Head = ();

            #[inline(always)]
            unsafe fn head(_: *const u8) {}

            #[inline(always)]
            unsafe fn scale(block: *const u8, (): (), _: usize, _: usize) -> __m512 {
                // SAFETY: within the block.
                unsafe { load_f16(block) }
            }

            #[inline(always)]
            unsafe fn add(block: *const u8) -> __m512 {
                // SAFETY: within the block.
                unsafe { load_f16(block.add(32)) }
            }

            #[inline(always)]
            unsafe fn step<const S: usize>(block: *const u8, _: usize) -> __m512i {
                // SAFETY: within the block.
                unsafe {
                    let $at = block.add(if $adds { 64 } else { 32 });
                    $step
                }
            }
        }

        impl Format for $name {
            const OFFSET: i32 = $offset;
            type Unpacked = Unpacked<1, false, $adds, $eight_bits>;
        }
    };
}

one_scale!(/// `d * (q - 128)`.
    Q8_0, 544, adds: false, eight_bits: true, offset: 0, |at| load(at.add(64 * S)));
one_scale!(/// `d * (q - 8)`.
    Q4_0, 288, adds: false, eight_bits: false, offset: 8, |at| nibbles::<S>(at));
one_scale!(/// `d * q + m`, four bits.
    Q4_1, 320, adds: true, eight_bits: false, offset: 0, |at| nibbles::<S>(at));
one_scale!(/// `d * (q - 16)`.
    Q5_0, 352, adds: false, eight_bits: false, offset: 16,
    |at| with_high_bits::<S>(nibbles::<S>(at), at.add(256), 16));
one_scale!(/// `d * q + m`, five bits.
    Q5_1, 384, adds: true, eight_bits: false, offset: 0,
    |at| with_high_bits::<S>(nibbles::<S>(at), at.add(256), 16));

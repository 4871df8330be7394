//! Where the fields of a quantized format lie in a panel.

use super::file::Block;
use super::{GROUP, PANEL, file};
use crate::weights::DType;

/// A field of f16, one per lane.
const HALVES: usize = 2 * PANEL;

/// Where the scales of a block lie, beside `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScaleFields {
    /// There are none: `d` is the scale, and where there is a minimum it is added.
    None,
    /// `u8[8][16]` scales and `u8[8][16]` minima, one of each per 32 k.
    PerGroup { scale: usize, min: usize },
    /// `i8[16][16]`, one per 16 k.
    PerHalf { scale: usize },
    /// `u8[16][16]`, one per 16 k: the scale in the low, the minimum in the high nibble.
    PerHalfNibbles { both: usize },
}

/// Bits of the codes: how many of each, and where those of the first group begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BitField {
    /// 0, 1, 2, 4 or 8.
    pub(crate) bits: usize,
    /// Bytes from the begin of the block.
    pub(crate) at: usize,
}

impl BitField {
    const NONE: Self = Self { bits: 0, at: 0 };

    /// Bytes that the 16 lanes of a group take.
    pub(crate) const fn group_bytes(self) -> usize {
        self.bits * 64
    }
}

/// One block of all lanes of a panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Inputs of a block: 32 or 256.
    pub(crate) elements: usize,
    /// Bytes of a block of one row in a file.
    pub(crate) file_bytes: usize,
    /// Bytes of a block of all lanes in a panel. It begins with `d: f16[16]`.
    pub(crate) bytes: usize,
    /// `f16[16]`: the minimum, or what multiplies the minima.
    pub(crate) min: Option<usize>,
    pub(crate) scales: ScaleFields,
    /// The low bits of the codes.
    pub(crate) low: BitField,
    /// The bits above them.
    pub(crate) high: BitField,
    /// What is taken off a code.
    pub(crate) offset: i32,
}

impl Layout {
    /// Groups of 32 inputs in a block.
    pub(crate) const fn groups(&self) -> usize {
        self.elements / GROUP
    }

    /// Whether the two halves of a group have scales of their own.
    pub(crate) const fn scales_halves(&self) -> bool {
        matches!(self.scales, ScaleFields::PerHalf { .. } | ScaleFields::PerHalfNibbles { .. })
    }

    /// The layout of a quantized format; `None` for the others.
    pub(crate) fn of(dtype: DType) -> Option<Self> {
        struct Get;
        impl Visit for Get {
            type Output = Layout;
            fn visit<F: Format>(self) -> Layout {
                F::LAYOUT
            }
        }
        visit(dtype, Get)
    }

    /// A layout whose fields follow one another in the order of the arguments.
    const fn new(
        elements: usize,
        file_bytes: usize,
        min: bool,
        scales: ScaleFields,
        low: usize,
        high: usize,
        offset: i32,
    ) -> Self {
        let first = if min { 2 * HALVES } else { HALVES };
        let (scales, codes) = match scales {
            ScaleFields::None => (scales, first),
            ScaleFields::PerGroup { .. } => {
                (ScaleFields::PerGroup { scale: first, min: first + 8 * PANEL }, first + 16 * PANEL)
            }
            ScaleFields::PerHalf { .. } => (ScaleFields::PerHalf { scale: first }, first + 16 * PANEL),
            ScaleFields::PerHalfNibbles { .. } => {
                (ScaleFields::PerHalfNibbles { both: first }, first + 16 * PANEL)
            }
        };
        let groups = elements / GROUP;
        let low = BitField { bits: low, at: codes };
        let above = codes + groups * low.group_bytes();
        let high = if high == 0 { BitField::NONE } else { BitField { bits: high, at: above } };
        let bytes = above + groups * high.group_bytes();
        let min = if min { Some(HALVES) } else { None };
        Self { elements, file_bytes, bytes, min, scales, low, high, offset }
    }
}

/// A quantized format, as a type, so that loops over its blocks are compiled for it.
pub(crate) trait Format {
    const LAYOUT: Layout;
    /// Takes a block of a file apart; `bytes` is [`Layout::file_bytes`] long.
    fn read(bytes: &[u8]) -> Block;
}

/// Something to be done for one format.
pub(crate) trait Visit {
    type Output;
    fn visit<F: Format>(self) -> Self::Output;
}

const GROUPED: ScaleFields = ScaleFields::PerGroup { scale: 0, min: 0 };
const HALVED: ScaleFields = ScaleFields::PerHalf { scale: 0 };
const NIBBLED: ScaleFields = ScaleFields::PerHalfNibbles { both: 0 };

macro_rules! formats {
    ($($name:ident, $read:path: $elements:expr, $bytes:expr, $min:expr, $scales:expr, $low:expr, $high:expr, $offset:expr;)*) => {
        $(
            struct $name;
            impl Format for $name {
                const LAYOUT: Layout =
                    Layout::new($elements, $bytes, $min, $scales, $low, $high, $offset);
                fn read(bytes: &[u8]) -> Block {
                    bytes.first_chunk::<{ $bytes }>().map_or(Block::ZERO, $read)
                }
            }
        )*

        /// Does something for a quantized format; `None` for the others.
        pub(crate) fn visit<V: Visit>(dtype: DType, visitor: V) -> Option<V::Output> {
            match dtype {
                $(DType::$name => Some(visitor.visit::<$name>()),)*
                _ => None,
            }
        }
    };
}

formats! {
    // name, reader: elements and bytes of a block in a file, minimum, scales, low bits, high bits, offset
    Q8_0, file::q8_0: 32, 34, false, ScaleFields::None, 8, 0, 128;
    Q4_0, file::q4_0: 32, 18, false, ScaleFields::None, 4, 0, 8;
    Q4_1, file::q4_1: 32, 20, true, ScaleFields::None, 4, 0, 0;
    Q5_0, file::q5_0: 32, 22, false, ScaleFields::None, 4, 1, 16;
    Q5_1, file::q5_1: 32, 24, true, ScaleFields::None, 4, 1, 0;
    Q2K, file::q2_k: 256, 84, true, NIBBLED, 2, 0, 0;
    Q3K, file::q3_k: 256, 110, false, HALVED, 2, 1, 4;
    Q4K, file::q4_k: 256, 144, true, GROUPED, 4, 0, 0;
    Q5K, file::q5_k: 256, 176, true, GROUPED, 4, 1, 0;
    Q6K, file::q6_k: 256, 210, false, HALVED, 4, 2, 32;
}

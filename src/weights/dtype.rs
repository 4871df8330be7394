//! Element types of tensors as they lie in files.

use std::fmt;

/// How a tensor's elements are encoded.
///
/// The quantised types are those of GGUF: a row is cut into blocks of equal numbers of elements, each with its own
/// scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(non_camel_case_types)] // the names that the format gives them
pub enum DType {
    /// 32-bit IEEE float.
    F32,
    /// 16-bit IEEE float.
    F16,
    /// The upper half of a 32-bit IEEE float.
    BF16,
    /// 8-bit float with 4 bits of exponent, without infinities. Checkpoints keep the scales of such a tensor in another
    /// one: what is read from this one alone are its codes' values.
    F8_E4M3,
    /// 8-bit, blocks of 32 with an f16 scale.
    Q8_0,
    /// 4-bit around 8, blocks of 32 with an f16 scale.
    Q4_0,
    /// 4-bit, blocks of 32 with an f16 scale and minimum.
    Q4_1,
    /// 5-bit around 16, blocks of 32 with an f16 scale.
    Q5_0,
    /// 5-bit, blocks of 32 with an f16 scale and minimum.
    Q5_1,
    /// 2-bit, superblocks of 256 with 4-bit scales and minima.
    Q2K,
    /// 3-bit, superblocks of 256 with 6-bit scales.
    Q3K,
    /// 4-bit, superblocks of 256 with 6-bit scales and minima.
    Q4K,
    /// 5-bit, superblocks of 256 with 6-bit scales and minima.
    Q5K,
    /// 6-bit, superblocks of 256 with 8-bit scales.
    Q6K,
    /// A type that this library does not decode; [`super::TensorInfo::type_name`] has the file's name for it.
    Other,
}

impl DType {
    /// The name that the formats use, such as `Q4_K`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::F8_E4M3 => "F8_E4M3",
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q2K => "Q2_K",
            Self::Q3K => "Q3_K",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
            Self::Other => "other",
        }
    }

    /// Elements in one block; 1 for the float types and for [`DType::Other`].
    pub fn block_elements(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::BF16 | Self::F8_E4M3 | Self::Other => 1,
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 => 32,
            Self::Q2K | Self::Q3K | Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Bytes of one block; 0 for [`DType::Other`], which has no size that holds for all.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::F8_E4M3 => 1,
            Self::Q8_0 => 34,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q2K => 84,
            Self::Q3K => 110,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
            Self::Other => 0,
        }
    }

    /// Whether [`super::dequantize`] and the readers of [`super::Checkpoint`] take this type.
    pub fn is_supported(self) -> bool {
        self != Self::Other
    }

    /// The bytes that `elements` consecutive elements take; `None` when they are not a whole number of blocks, when
    /// the product overflows, or for [`DType::Other`].
    pub fn bytes_for(self, elements: u64) -> Option<u64> {
        if self == Self::Other {
            return None;
        }
        block_layout_bytes(elements, self.block_elements() as u64, self.block_bytes() as u64)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The bytes of `elements` in blocks of `block_elements` with `block_bytes` each.
pub(crate) fn block_layout_bytes(elements: u64, block_elements: u64, block_bytes: u64) -> Option<u64> {
    if block_elements == 0 || !elements.is_multiple_of(block_elements) {
        return None;
    }
    (elements / block_elements).checked_mul(block_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_refuse_ragged_blocks_and_overflow() {
        assert_eq!(DType::Q4_0.bytes_for(64), Some(36));
        assert_eq!(DType::Q4_0.bytes_for(65), None);
        assert_eq!(DType::Q6K.bytes_for(512), Some(420));
        assert_eq!(DType::F32.bytes_for(u64::MAX), None);
        assert_eq!(DType::F32.bytes_for(0), Some(0));
        assert_eq!(DType::Other.bytes_for(4), None);
    }
}

//! Which kernels a level has.

use super::super::level::Level;
#[cfg(target_arch = "aarch64")]
use super::neon;
use super::{Kernels, portable};
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};

/// The kernels of a level, which must be [supported](Level::is_supported). A level without its own has those of the
/// nearest one below.
pub(crate) fn kernels(level: Level) -> Kernels {
    match level {
        #[cfg(target_arch = "aarch64")]
        Level::Neon => neon::KERNELS,
        #[cfg(target_arch = "aarch64")]
        Level::NeonDot => neon::DOT_KERNELS,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => avx2::KERNELS,
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 | Level::Avx512Vnni | Level::Avx512Bf16 => {
            avx512::kernels(level).unwrap_or(avx2::KERNELS)
        }
        _ => portable::KERNELS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::DType;

    #[test]
    fn every_level_has_every_format() {
        let quantized = [
            DType::Q8_0,
            DType::Q4_0,
            DType::Q4_1,
            DType::Q5_0,
            DType::Q5_1,
            DType::Q2K,
            DType::Q3K,
            DType::Q4K,
            DType::Q5K,
            DType::Q6K,
        ];
        for level in Level::supported() {
            let kernels = kernels(level);
            for dtype in quantized {
                assert!((kernels.int8)(dtype).is_some(), "{} lacks {dtype}", level.name());
            }
            assert_eq!(kernels.bf16_dot.is_some(), level == Level::Avx512Bf16, "{}", level.name());
        }
    }
}

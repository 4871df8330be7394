//! The instruction sets that kernels exist for, found at run time.

/// What the processor can do, from the least to the most. A kernel for one level runs on every level above it of the
/// same family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Plain Rust, on any processor.
    Portable,
    /// AArch64 with NEON, which nearly all of its processors have.
    Neon,
    /// NEON with int8 dot products (FEAT_DotProd).
    NeonDot,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
    /// AVX-512 with int8 dot products (VNNI).
    Avx512Vnni,
    /// AVX-512 with int8 and BF16 dot products.
    Avx512Bf16,
}

impl Level {
    /// Every level, from the least to the most.
    pub const ALL: [Self; 7] = [
        Self::Portable,
        Self::Neon,
        Self::NeonDot,
        Self::Avx2,
        Self::Avx512,
        Self::Avx512Vnni,
        Self::Avx512Bf16,
    ];

    /// The name, as `MR_CPU` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::NeonDot => "neondot",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512vnni",
            Self::Avx512Bf16 => "avx512bf16",
        }
    }

    /// The most that this processor can do.
    pub fn native() -> Self {
        Self::ALL.into_iter().rev().find(|level| level.is_supported()).unwrap_or(Self::Portable)
    }

    /// The level to use: the processor's, lowered to what the environment variable `MR_CPU` names. A name that is
    /// unknown or that the processor does not reach changes nothing.
    pub fn detect() -> Self {
        let native = Self::native();
        let asked = std::env::var("MR_CPU").unwrap_or_default();
        let named = Self::ALL.into_iter().find(|level| level.name() == asked);
        named.filter(|level| *level <= native && level.is_supported()).unwrap_or(native)
    }

    /// Every level that this processor can run, for tests.
    pub fn supported() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|level| level.is_supported())
    }

    /// Whether this processor, and this build, can run the level's kernels.
    #[cfg(target_arch = "x86_64")]
    pub fn is_supported(self) -> bool {
        let avx2 = || {
            is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
        };
        let avx512 = || {
            avx2()
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
        };
        let vnni = || avx512() && is_x86_feature_detected!("avx512vnni");
        match self {
            Self::Portable => true,
            Self::Neon | Self::NeonDot => false,
            Self::Avx2 => avx2(),
            Self::Avx512 => avx512(),
            Self::Avx512Vnni => vnni(),
            Self::Avx512Bf16 => vnni() && is_x86_feature_detected!("avx512bf16"),
        }
    }

    /// Whether this processor, and this build, can run the level's kernels.
    #[cfg(target_arch = "aarch64")]
    pub fn is_supported(self) -> bool {
        use std::arch::is_aarch64_feature_detected;
        let neon = || is_aarch64_feature_detected!("neon");
        match self {
            Self::Portable => true,
            Self::Neon => neon(),
            Self::NeonDot => neon() && is_aarch64_feature_detected!("dotprod"),
            Self::Avx2 | Self::Avx512 | Self::Avx512Vnni | Self::Avx512Bf16 => false,
        }
    }

    /// Whether this processor, and this build, can run the level's kernels.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    pub fn is_supported(self) -> bool {
        self == Self::Portable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_ordered_and_portable_is_everywhere() {
        assert!(Level::ALL.is_sorted());
        assert!(Level::Portable.is_supported());
        assert!(Level::native().is_supported());
        assert!(Level::detect() <= Level::native());
    }

    #[test]
    fn levels_of_another_architecture_are_not_supported() {
        let neon = [Level::Neon, Level::NeonDot];
        for level in Level::supported().filter(|level| *level != Level::Portable) {
            assert_eq!(neon.contains(&level), cfg!(target_arch = "aarch64"), "{}", level.name());
        }
    }
}

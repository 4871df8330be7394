//! Which kernels a level has.

use super::super::level::Level;
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};
use super::{Kernels, portable};

/// The kernels of a level, which must be [supported](Level::is_supported). A level without its own has those of the
/// nearest one below.
pub(crate) fn kernels(level: Level) -> Kernels {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => avx2::KERNELS,
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 | Level::Avx512Vnni | Level::Avx512Bf16 => avx512::kernels(level).unwrap_or(avx2::KERNELS),
        _ => portable::KERNELS,
    }
}

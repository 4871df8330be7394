//! NEON: AArch64's registers of 128 bits, with int8 dot products (`sdot`) where the processor has them, and without.

// Pointer arithmetic and the load that it is for belong together; one comment serves both.
#![allow(clippy::multiple_unsafe_ops_per_block)]
// Loops over indices of registers are unrolled; iterators over several arrays at once would hide what goes together.
#![allow(clippy::needless_range_loop)]

mod activations;
mod float;
mod formats;
mod fp8;
mod int8;
mod kquants;
mod level;
mod per_channel;
mod unpack;
mod values;

#[cfg(test)]
mod tests;

use super::{Int8Kernel, Kernels};
use crate::weights::DType;
use level::{Dot, Level, Plain};

/// The kernels of [`Level::Neon`](super::super::Level::Neon), to be used where that level is supported.
pub(super) const KERNELS: Kernels = kernels::<Plain>();

/// The kernels of [`Level::NeonDot`](super::super::Level::NeonDot), to be used where that level is supported.
pub(super) const DOT_KERNELS: Kernels = kernels::<Dot>();

const fn kernels<L: Level>() -> Kernels {
    Kernels {
        int8: int8::<L>,
        per_channel: per_channel::kernel::<L>(),
        f32: float::panels::<float::F32>,
        f16: float::panels::<float::F16>,
        bf16: float::panels::<float::Bf16>,
        fp8: fp8::panels,
        bf16_dot: None,
        bf16_dot_is_fast: false,
        float_chunk: usize::MAX,
        quantize: activations::quantize,
        to_bf16: activations::to_bf16,
    }
}

fn int8<L: Level>(dtype: DType) -> Option<Int8Kernel> {
    Some(match dtype {
        DType::Q8_0 => int8::kernel::<L, formats::Q8_0>(),
        DType::Q4_0 => int8::kernel::<L, formats::Q4_0>(),
        DType::Q4_1 => int8::kernel::<L, formats::Q4_1>(),
        DType::Q5_0 => int8::kernel::<L, formats::Q5_0>(),
        DType::Q5_1 => int8::kernel::<L, formats::Q5_1>(),
        DType::Q2K => int8::kernel::<L, kquants::Q2K>(),
        DType::Q3K => int8::kernel::<L, kquants::Q3K>(),
        DType::Q4K => int8::kernel::<L, kquants::Q4K>(),
        DType::Q5K => int8::kernel::<L, kquants::Q5K>(),
        DType::Q6K => int8::kernel::<L, kquants::Q6K>(),
        _ => return None,
    })
}

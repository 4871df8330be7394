//! AVX2 with FMA and F16C: the integers of a group are multiplied in 16 bits and summed exactly, without VNNI.

// Pointer arithmetic and the load that it is for belong together; one comment serves both.
#![allow(clippy::multiple_unsafe_ops_per_block)]
// Loops over indices of registers are unrolled; iterators over several arrays at once would hide what goes together.
#![allow(clippy::needless_range_loop)]

mod activations;
mod float;
mod formats;
mod fp8;
mod int8;
mod per_channel;
mod unpack;
mod values;

#[cfg(test)]
mod tests;

use super::{Form, Int8Kernel, Kernels, Side};
use crate::weights::DType;

/// The kernels of [`Level::Avx2`](super::super::Level::Avx2), to be used where that level is supported.
pub(super) const KERNELS: Kernels = Kernels {
    int8,
    per_channel: per_channel::KERNEL,
    f32: float::panels::<float::F32>,
    f16: float::panels::<float::F16>,
    bf16: float::panels::<float::Bf16>,
    fp8: fp8::panels,
    bf16_dot: None,
    bf16_dot_is_fast: false,
    float_chunk: usize::MAX,
    quantize: activations::quantize,
    to_bf16: activations::to_bf16,
};

fn int8(dtype: DType) -> Option<Int8Kernel> {
    let panels = match dtype {
        DType::Q8_0 => int8::panels::<formats::Q8_0> as super::Int8Panels,
        DType::Q4_0 => int8::panels::<formats::Q4_0>,
        DType::Q4_1 => int8::panels::<formats::Q4_1>,
        DType::Q5_0 => int8::panels::<formats::Q5_0>,
        DType::Q5_1 => int8::panels::<formats::Q5_1>,
        DType::Q2K => int8::panels::<formats::Q2K>,
        DType::Q3K => int8::panels::<formats::Q3K>,
        DType::Q4K => int8::panels::<formats::Q4K>,
        DType::Q5K => int8::panels::<formats::Q5K>,
        DType::Q6K => int8::panels::<formats::Q6K>,
        _ => return None,
    };
    Some(Int8Kernel { panels, form: Form { max_height: 1, shared: 1, side: Side::Sums } })
}

//! AVX-512: a step of a panel is one register.
//!
//! Int8 dot products by `vpdpbusd` where the processor has it, else by `vpmaddubsw` and `vpmaddwd`; BF16 ones by
//! `vdpbf16ps`.

#![allow(clippy::multiple_unsafe_ops_per_block)] // kernels are nothing but such operations, under one promise
#![allow(clippy::needless_range_loop)] // index loops over registers are unrolled and never become memory

mod convert;
mod float;
mod format;
mod fp8;
mod int8;
mod kquants;
mod level;
mod per_channel;
mod tile;
mod unroll;

use std::arch::x86_64::__cpuid;

use crate::weights::DType;

use super::super::level::Level;
use super::{Int8Kernel, Kernels};
use float::FloatWeights;

/// The kernels of a level of AVX-512; `None` for other levels.
pub(super) fn kernels(level: Level) -> Option<Kernels> {
    let int8 = match level {
        Level::Avx512 => int8_kernel::<level::Madd>,
        Level::Avx512Vnni | Level::Avx512Bf16 => int8_kernel::<level::Vnni>,
        _ => return None,
    };
    let bf16_dot = (level == Level::Avx512Bf16).then_some(bf16_dot as super::Bf16Panels);
    let per_channel = match level {
        Level::Avx512 => per_channel::kernel::<level::Madd>(),
        _ => per_channel::kernel::<level::Vnni>(),
    };
    Some(Kernels {
        int8,
        per_channel,
        f32: float_panels::<float::F32>,
        f16: float_panels::<float::F16>,
        bf16: float_panels::<float::Bf16>,
        fp8: fp8::panels,
        bf16_dot,
        bf16_dot_is_fast: made_by_amd(),
        float_chunk: float::UNITS,
        quantize: convert::quantize,
        to_bf16: convert::to_bf16,
    })
}

fn int8_kernel<L: level::Level>(dtype: DType) -> Option<Int8Kernel> {
    Some(match dtype {
        DType::Q8_0 => int8::kernel::<L, format::Q8_0>(),
        DType::Q4_0 => int8::kernel::<L, format::Q4_0>(),
        DType::Q4_1 => int8::kernel::<L, format::Q4_1>(),
        DType::Q5_0 => int8::kernel::<L, format::Q5_0>(),
        DType::Q5_1 => int8::kernel::<L, format::Q5_1>(),
        DType::Q2K => int8::kernel::<L, kquants::Q2K>(),
        DType::Q3K => int8::kernel::<L, kquants::Q3K>(),
        DType::Q4K => int8::kernel::<L, kquants::Q4K>(),
        DType::Q5K => int8::kernel::<L, kquants::Q5K>(),
        DType::Q6K => int8::kernel::<L, kquants::Q6K>(),
        _ => return None,
    })
}

/// Whether the processor is AMD's. Since Zen 4 these multiply BF16 at twice the rate of `f32`, where Intel's without
/// matrix tiles (AMX) are at half of it, with the same instruction; no feature flag tells them apart.
fn made_by_amd() -> bool {
    let vendor = __cpuid(0);
    [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).as_flattened() == b"AuthenticAMD"
}

/// [`FloatPanels`] of a format.
#[allow(clippy::too_many_arguments)] // the signature of all kernels
unsafe fn float_panels<W: FloatWeights>(
    panel: *const u8,
    panels: usize,
    cols: usize,
    x: *const f32,
    x_stride: usize,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
) {
    // SAFETY: the caller's promises; a unit is one input.
    unsafe { float::panels::<W>(panel, panels, cols, x.cast(), 4 * x_stride, rows, out, out_stride) }
}

/// [`super::Bf16Panels`].
#[allow(clippy::too_many_arguments)] // the signature of all kernels
unsafe fn bf16_dot(
    panel: *const u8,
    panels: usize,
    cols: usize,
    x: *const u16,
    x_stride: usize,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
) {
    let pairs = cols.div_ceil(2);
    // SAFETY: the caller's promises; a unit is a pair of inputs.
    unsafe {
        float::panels::<float::Bf16Dot>(panel, panels, pairs, x.cast(), 2 * x_stride, rows, out, out_stride)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::kernels::cases;

    fn levels() -> impl Iterator<Item = Kernels> {
        Level::supported().filter_map(kernels)
    }

    #[test]
    fn int8_panels() {
        levels().for_each(|kernels| cases::int8(&kernels));
    }

    #[test]
    fn panels_with_a_scale_per_channel() {
        levels().for_each(|kernels| cases::per_channel(&kernels));
    }

    #[test]
    fn float_panels() {
        levels().for_each(|kernels| cases::float(&kernels));
    }

    #[test]
    fn fp8_panels() {
        levels().for_each(|kernels| cases::fp8(&kernels));
    }

    #[test]
    fn bf16_dot_products() {
        levels().for_each(|kernels| cases::bf16_dot(&kernels));
    }

    #[test]
    fn rows_in_other_types() {
        levels().for_each(|kernels| {
            cases::quantize(&kernels);
            cases::to_bf16(&kernels);
        });
    }
}

//! Kernels in plain Rust: what every other level's kernels mean.
//!
//! # Int8 activations
//! Values share a scale in groups of 32, or in blocks of 8 such groups where a kernel asks for it
//! ([`Form::shared`](super::Form::shared)); the last block of a row may have fewer. With the largest magnitude `max` among them, the scale is `max / 127`; a
//! value `x` becomes `x * (127 / max)` rounded to the nearest integer, ties to even. Division, product and rounding are
//! those of `f32`, so that all levels agree to the last bit. Two kinds of values are special:
//! - `max` below 2^-120 counts as zero: scale 0, integers 0 (`127 / max` would overflow);
//! - with an infinity or a NaN among them the scale is NaN and the integers are 0, so that they are not mistaken for
//!   numbers later.
//!
//! # Sums
//! Every output begins at zero and takes in the groups in order. Within a group, the sum of integer products `idot` is
//! exact; then, with `sx` the activations' scale:
//!
//! | formats | the group adds |
//! |---|---|
//! | Q8_0, Q4_0, Q5_0 | `(d * sx) * idot` |
//! | Q4_1, Q5_1 | `(d * sx) * idot`, then `m * (sx * sum)` |
//! | Q4_K, Q5_K | `((d * scale) * sx) * idot`, then `-(dmin * min) * (sx * sum)` |
//! | Q6_K, Q3_K | per half group of 16: `((d * scale) * sx) * idot` |
//! | Q2_K | per half group: `((d * scale) * sx) * idot`, then `-(dmin * min) * (sx * sum)` |
//!
//! Offsets (128 of Q8_0, 8 of Q4_0, 16 of Q5_0, 32 of Q6_K, 4 of Q3_K) belong to the integers. `sum` is the exact integer sum of the
//! activations of the group or half group, converted to `f32`. Levels with fused multiply-add fuse the last product
//! with its addition; here it is rounded on its own, because fused operations are a call into the C library on
//! processors without them. Where the groups of a block share a scale, AVX-512 sums the block without it first: the
//! products with the weights' scales group by group, then the minima with an exact integer sum, and then the scale once.
//! NEON's small scales are integers too, and all of a block is exact: `d * sx` and `dmin * sx` multiply integer sums.
//!
//! Int8 weights with one scale per output: within a block of 256 inputs (the last one may be shorter) `idot` is exact;
//! each block adds `sx * idot`, and the sum of all is multiplied with the scale of the weights.
//!
//! Float panels add `x[k] * w[k]` for k in order, those of 8-bit floats with the weight already multiplied with its scale.

mod float;
mod fp8;
mod int8;
mod per_channel;
mod rows;

use super::Kernels;

/// The kernels of this level.
pub(crate) const KERNELS: Kernels = Kernels {
    int8: int8::kernel,
    per_channel: per_channel::KERNEL,
    f32: float::f32_panels,
    f16: float::f16_panels,
    bf16: float::bf16_panels,
    fp8: fp8::panels,
    // Without the processor's help, widening the weights costs less than widening both.
    bf16_dot: None,
    bf16_dot_is_fast: false,
    float_chunk: usize::MAX,
    quantize: rows::quantize,
    to_bf16: rows::to_bf16,
};

#[cfg(test)]
mod tests;

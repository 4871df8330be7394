//! Quantizing at load: rows of `f32` become blocks as a GGUF file has them, which are then packed like a file's.
//!
//! Every format looks for the scales that lose least, in plain squared error or, where the zero point moves as well,
//! in squared error that counts large weights more. Values that are not finite become some finite value.

mod q4_k;
mod q6_k;
mod q8_0;
#[cfg(test)]
mod tests;

use half::f16;

use crate::weights::DType;

/// What to do with weights that a file stores as F32, F16, BF16 or F8_E4M3. Quantized ones stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quantize {
    /// Keep them.
    #[default]
    None,
    /// Quantize them to Q8_0, Q6_K or Q4_K. Rows whose length is a multiple of 32 but not of 256 become Q8_0 in any
    /// case.
    To(DType),
}

impl Quantize {
    /// The formats that can be made.
    pub(crate) const FORMATS: [DType; 3] = [DType::Q8_0, DType::Q6K, DType::Q4K];

    /// What rows of `stored` and `cols` elements become.
    ///
    /// # Errors
    /// What is wrong, to be told with the tensor's name.
    pub(crate) fn target(self, stored: DType, cols: usize) -> Result<DType, String> {
        let Self::To(wanted) = self else { return Ok(stored) };
        if !Self::FORMATS.contains(&wanted) {
            return Err(format!("it cannot be quantized to {wanted}; Q8_0, Q6_K and Q4_K are offered"));
        }
        if !matches!(stored, DType::F32 | DType::F16 | DType::BF16 | DType::F8_E4M3) {
            return Ok(stored);
        }
        [wanted, DType::Q8_0].into_iter().find(|to| cols.is_multiple_of(to.block_elements())).ok_or_else(
            || {
                format!(
                    "its rows of {cols} elements cannot be quantized to {wanted}; a multiple of 32 is needed"
                )
            },
        )
    }
}

/// Quantizes a row to one of [`Quantize::FORMATS`]. `out` has the bytes that the format takes for the row.
pub(crate) fn quantize_row(dtype: DType, row: &[f32], out: &mut [u8]) {
    match dtype {
        DType::Q8_0 => blocks(row, out, q8_0::quantize),
        DType::Q6K => blocks(row, out, q6_k::quantize),
        DType::Q4K => blocks(row, out, q4_k::quantize),
        _ => debug_assert!(false, "{dtype} is no format to quantize to"),
    }
}

fn blocks<const ELEMENTS: usize, const BYTES: usize>(
    row: &[f32],
    out: &mut [u8],
    quantize: fn(&[f32; ELEMENTS]) -> [u8; BYTES],
) {
    for (x, out) in row.as_chunks::<ELEMENTS>().0.iter().zip(out.as_chunks_mut::<BYTES>().0) {
        *out = quantize(x);
    }
}

/// The f16 nearest to `x`, finite in any case, and its value.
fn scale(x: f32) -> (f16, f32) {
    let scale = if x.is_nan() { 0.0 } else { x.clamp(f16::MIN.to_f32(), f16::MAX.to_f32()) };
    let scale = f16::from_f32(scale);
    (scale, scale.to_f32())
}

/// The whole number nearest to `x` within `low..=high`, ties to even. The limits lie far below 2^22, where adding and
/// taking off 1.5 * 2^23 rounds: two additions instead of a call on processors without a rounding instruction.
fn nearest(x: f32, low: f32, high: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    (x.clamp(low, high) + ROUND) - ROUND
}

/// `1 / x`, or 0 where that is not a number.
fn inverse(x: f32) -> f32 {
    let inverse = 1.0 / x;
    if inverse.is_finite() { inverse } else { 0.0 }
}

/// The sum, in eight interleaved parts, because sums in order cannot be vectorized.
#[inline(always)]
fn sum<const N: usize>(values: &[f32; N]) -> f32 {
    let mut parts = [0.0; 8];
    for values in values.as_chunks::<8>().0 {
        for lane in 0..8 {
            parts[lane] += values[lane];
        }
    }
    parts.iter().sum()
}

#[inline(always)]
fn product<const N: usize>(a: &[f32; N], b: &[f32; N]) -> [f32; N] {
    std::array::from_fn(|i| a[i] * b[i])
}

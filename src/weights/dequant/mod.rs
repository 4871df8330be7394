//! Widening encoded elements to `f32`.
//!
//! The results are those of the format's own reference decoder bit for bit: scales are multiplied first, then the
//! quantised value, then the minimum is taken off, each step rounded to `f32`.

mod fp8;
mod kquants;
mod legacy;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

pub(crate) use fp8::e4m3;

use super::dtype::DType;
use super::error::WeightsError;

/// Widens the encoded elements in `bytes`, which are whole blocks, to `out`.
///
/// # Errors
/// [`WeightsError::Buffer`] when `bytes` is not what `out.len()` elements take; [`WeightsError::Undecodable`]
/// for [`DType::Other`].
pub fn dequantize(dtype: DType, bytes: &[u8], out: &mut [f32]) -> Result<(), WeightsError> {
    let what = || format!("decoding {dtype}");
    if !dtype.is_supported() {
        return Err(WeightsError::Undecodable(dtype));
    }
    match dtype.bytes_for(out.len() as u64) {
        Some(expected) if expected == bytes.len() as u64 => {}
        Some(expected) => {
            return Err(WeightsError::Buffer {
                what: what(),
                unit: "bytes",
                expected,
                found: bytes.len() as u64,
            });
        }
        None => {
            let block = dtype.block_elements() as u64;
            let found = out.len() as u64;
            return Err(WeightsError::Buffer {
                what: what(),
                unit: "elements",
                expected: found.next_multiple_of(block),
                found,
            });
        }
    }
    match dtype {
        DType::F32 => {
            for (bytes, out) in bytes.as_chunks::<4>().0.iter().zip(out) {
                *out = f32::from_le_bytes(*bytes);
            }
        }
        DType::F16 => widen_f16(bytes, out),
        DType::BF16 => {
            for (bytes, out) in bytes.as_chunks::<2>().0.iter().zip(out) {
                *out = bf16::from_le_bytes(*bytes).to_f32();
            }
        }
        DType::F8_E4M3 => bytes.iter().zip(out).for_each(|(&code, out)| *out = e4m3(code)),
        DType::Q8_0 => blocks(bytes, out, legacy::q8_0),
        DType::Q4_0 => blocks(bytes, out, legacy::q4_0),
        DType::Q4_1 => blocks(bytes, out, legacy::q4_1),
        DType::Q5_0 => blocks(bytes, out, legacy::q5_0),
        DType::Q5_1 => blocks(bytes, out, legacy::q5_1),
        DType::Q2K => blocks(bytes, out, kquants::q2_k),
        DType::Q3K => blocks(bytes, out, kquants::q3_k),
        DType::Q4K => blocks(bytes, out, kquants::q4_k),
        DType::Q5K => blocks(bytes, out, kquants::q5_k),
        DType::Q6K => blocks(bytes, out, kquants::q6_k),
        DType::Other => return Err(WeightsError::Undecodable(dtype)),
    }
    Ok(())
}

/// Decodes block after block; the sizes are array types so that the decoders' loops need no bounds checks.
fn blocks<const BYTES: usize, const ELEMENTS: usize>(
    bytes: &[u8],
    out: &mut [f32],
    decode: impl Fn(&[u8; BYTES], &mut [f32; ELEMENTS]),
) {
    for (block, out) in bytes.as_chunks::<BYTES>().0.iter().zip(out.as_chunks_mut::<ELEMENTS>().0) {
        decode(block, out);
    }
}

fn widen_f16(bytes: &[u8], out: &mut [f32]) {
    // In pieces, because the vectorised conversion wants typed input and file bytes have no alignment.
    const PIECE: usize = 256;
    let mut typed = [f16::ZERO; PIECE];
    for (bytes, out) in bytes.chunks(2 * PIECE).zip(out.chunks_mut(PIECE)) {
        let typed = &mut typed[..out.len()];
        for (bytes, value) in bytes.as_chunks::<2>().0.iter().zip(typed.iter_mut()) {
            *value = f16::from_le_bytes(*bytes);
        }
        typed.convert_to_f32_slice(out);
    }
}

/// The f16 at `at` of a block, widened.
fn scale(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::Value;

    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        text.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// Random blocks of every type, decoded by gguf-py 0.19.0.
    #[test]
    fn every_type_decodes_like_the_reference_bit_for_bit() {
        let fixture = include_bytes!("../../../tests/data/gguf/block-dequant.json");
        let fixture: Value = serde_json::from_slice(fixture).unwrap();
        let all = [
            DType::F32,
            DType::F16,
            DType::BF16,
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
        for dtype in all {
            let case = &fixture["types"][dtype.name()];
            let bytes = unhex(case["bytes"].as_str().unwrap());
            let expected = unhex(case["f32"].as_str().unwrap());
            let mut out = vec![0.0; expected.len() / 4];
            assert!(out.len() >= 2 * dtype.block_elements());
            dequantize(dtype, &bytes, &mut out).unwrap();
            for (i, (out, expected)) in out.iter().zip(expected.as_chunks::<4>().0).enumerate() {
                assert_eq!(
                    out.to_bits(),
                    u32::from_le_bytes(*expected),
                    "{dtype} element {i}: {out} against {}",
                    f32::from_le_bytes(*expected)
                );
            }
        }
    }

    #[test]
    fn wrong_sizes_are_refused() {
        let error = dequantize(DType::Q4_0, &[0; 18], &mut [0.0; 31]).unwrap_err();
        assert_eq!(error.to_string(), "decoding Q4_0: the buffer holds 31 elements, 32 are needed");
        let error = dequantize(DType::Q4_0, &[0; 17], &mut [0.0; 32]).unwrap_err();
        assert_eq!(error.to_string(), "decoding Q4_0: the buffer holds 17 bytes, 18 are needed");
        let error = dequantize(DType::Other, &[], &mut []).unwrap_err();
        assert_eq!(error.to_string(), "element type other cannot be decoded");
    }
}

//! 8 bits, blocks of 32 with one scale.

use super::{inverse, nearest, scale};

pub(super) fn quantize(x: &[f32; 32]) -> [u8; 34] {
    let max = x.iter().fold(0.0f32, |max, x| max.max(x.abs()));
    let (d, step) = scale(max / 127.0);
    // Of the scale as it is stored, so that its rounding costs nothing.
    let per_step = inverse(step);
    let mut block = [0; 34];
    block[..2].copy_from_slice(&d.to_le_bytes());
    for (x, out) in x.iter().zip(&mut block[2..]) {
        *out = (nearest(x * per_step, -127.0, 127.0) as i8).cast_unsigned();
    }
    block
}

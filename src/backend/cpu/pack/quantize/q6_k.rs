//! 6 bits, superblocks of 256: an f16 scale for all, signed 8-bit scales for 16 elements each.

use super::{inverse, nearest, product, scale, sum};

/// Elements with a scale of their own.
const PART: usize = 16;
const PARTS: usize = 256 / PART;

pub(super) fn quantize(x: &[f32; 256]) -> [u8; 210] {
    let parts = x.as_chunks::<PART>().0;
    let mut steps = [0.0; PARTS];
    for (step, x) in steps.iter_mut().zip(parts) {
        *step = best_step(x);
    }
    // The largest, whatever its sign, becomes -128 of them.
    let largest = steps.iter().fold(0.0f32, |max, step| if step.abs() > max.abs() { *step } else { max });
    let (d, unit) = scale(largest / -128.0);
    let per_unit = inverse(unit);
    let mut block = [0; 210];
    block[208..].copy_from_slice(&d.to_le_bytes());
    for (part, (x, step)) in parts.iter().zip(steps).enumerate() {
        let near = nearest(step * per_unit, -128.0, 127.0);
        // Rounding the scale moves the best choice of codes; its neighbours may lose less.
        let tries = [near, near - 1.0, near + 1.0].map(|number| number.clamp(-128.0, 127.0));
        let (mut best, mut least) = (near, f32::INFINITY);
        for number in tries {
            let loss = loss(x, unit * number);
            if loss < least {
                (best, least) = (number, loss);
            }
        }
        block[192 + part] = (best as i8).cast_unsigned();
        write(&mut block, part, &codes(x, unit * best));
    }
    block
}

/// The scale, of either sign, that loses least in squared error. Candidates spread the codes a little wider and a
/// little narrower than the largest value asks for; for the codes that a candidate gives, the best scale is known
/// (least squares).
fn best_step(x: &[f32; PART]) -> f32 {
    let largest = x.iter().fold(0.0f32, |max, x| if x.abs() > max.abs() { *x } else { max });
    let (mut best, mut most) = (0.0, 0.0);
    for candidate in -3..=3 {
        // -32 is the code that has no counterpart: the largest value gets it.
        let per_step = inverse(largest) * -(32.0 + 0.9 * candidate as f32);
        let codes = x.map(|x| nearest(x * per_step, -32.0, 31.0));
        let (products, squares) = (sum(&product(x, &codes)), sum(&product(&codes, &codes)));
        // What the best scale for these codes takes off the squared error.
        let gain = products * products * inverse(squares);
        if gain > most {
            (best, most) = (products / squares, gain);
        }
    }
    best
}

fn codes(x: &[f32; PART], step: f32) -> [f32; PART] {
    let per_step = inverse(step);
    x.map(|x| nearest(x * per_step, -32.0, 31.0))
}

fn loss(x: &[f32; PART], step: f32) -> f32 {
    let codes = codes(x, step);
    let errors = std::array::from_fn::<f32, PART, _>(|i| x[i] - step * codes[i]);
    sum(&product(&errors, &errors))
}

/// Four low bits in the first 128 bytes, two high bits in the next 64.
fn write(block: &mut [u8; 210], part: usize, codes: &[f32; PART]) {
    let (group, first) = (part / 2, PART * (part % 2));
    let (side, quarter) = (group / 4, group % 4);
    for (i, code) in codes.iter().enumerate() {
        let code = (code + 32.0) as u8;
        block[64 * side + 32 * (quarter % 2) + first + i] |= (code & 15) << (4 * (quarter / 2));
        block[128 + 32 * side + first + i] |= (code >> 4) << (2 * quarter);
    }
}

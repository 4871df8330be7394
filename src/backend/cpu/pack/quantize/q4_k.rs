//! 4 bits, superblocks of 256: f16 scales for all, 6-bit scales and minima for 32 elements each.

use super::{inverse, nearest, product, scale, sum};

/// Elements with a scale and a minimum of their own.
const PART: usize = 32;
const PARTS: usize = 256 / PART;

/// `x` is about `step * code - min`, with codes from 0 to 15.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    step: f32,
    min: f32,
}

pub(super) fn quantize(x: &[f32; 256]) -> [u8; 144] {
    let parts = x.as_chunks::<PART>().0;
    let mut weights = [[0.0; PART]; PARTS];
    let mut lines = [Line::default(); PARTS];
    for ((line, weights), x) in lines.iter_mut().zip(&mut weights).zip(parts) {
        *weights = importance(x);
        *line = best_line(x, weights);
    }
    let largest = |of: fn(&Line) -> f32| lines.iter().map(of).fold(0.0, f32::max) / 63.0;
    let (d, step_unit) = scale(largest(|line| line.step));
    let (dmin, min_unit) = scale(largest(|line| line.min));
    let (mut steps, mut mins) = ([0; PARTS], [0; PARTS]);
    let mut block = [0; 144];
    block[..2].copy_from_slice(&d.to_le_bytes());
    block[2..4].copy_from_slice(&dmin.to_le_bytes());
    for (part, (x, line)) in parts.iter().zip(lines).enumerate() {
        let (step, min) = best_numbers(x, &weights[part], line, step_unit, min_unit);
        (steps[part], mins[part]) = (step as u8, min as u8);
        let codes = codes(x, Line { step: step_unit * step, min: min_unit * min });
        for (i, code) in codes.iter().enumerate() {
            block[16 + 32 * (part / 2) + i] |= (*code as u8) << (4 * (part % 2));
        }
    }
    // Six bits of the first four fill a byte up to two bits, which take the high bits of the last four.
    for part in 0..4 {
        let (step, min) = (steps[part + 4], mins[part + 4]);
        block[4 + part] = steps[part] | step >> 4 << 6;
        block[8 + part] = mins[part] | min >> 4 << 6;
        block[12 + part] = step & 15 | (min & 15) << 4;
    }
    block
}

/// How much an error of each element counts: large weights more, and small ones not nothing.
fn importance(x: &[f32; PART]) -> [f32; PART] {
    let mean_square = sum(&product(x, x)) / PART as f32;
    let typical = mean_square.sqrt();
    x.map(|x| typical + x.abs())
}

/// The line that loses least. Candidates spread the codes over the range of values, or over a little less or more; for
/// the codes that a candidate gives, the best line is known (weighted least squares), as long as the minimum keeps its
/// sign.
fn best_line(x: &[f32; PART], weights: &[f32; PART]) -> Line {
    let low = x.iter().copied().fold(0.0, f32::min);
    let high = x.iter().copied().fold(low, f32::max);
    let range = inverse(high - low);
    if range == 0.0 {
        return Line { step: 0.0, min: -low };
    }
    let (sum_w, sum_x) = (sum(weights), sum(&product(weights, x)));
    let mut best = Line { step: (high - low) / 15.0, min: -low };
    let mut least = loss(x, weights, best);
    for candidate in -3..=3 {
        let per_step = range * (15.0 + 0.4 * candidate as f32);
        let codes = x.map(|x| nearest((x - low) * per_step, 0.0, 15.0));
        let weighted = product(weights, &codes);
        let (sum_q, sum_qq) = (sum(&weighted), sum(&product(&weighted, &codes)));
        let sum_xq = sum(&product(&weighted, x));
        let determinant = inverse(sum_w * sum_qq - sum_q * sum_q);
        let mut line = Line {
            step: (sum_w * sum_xq - sum_x * sum_q) * determinant,
            min: (sum_q * sum_xq - sum_qq * sum_x) * determinant,
        };
        if line.min < 0.0 {
            line = Line { step: sum_xq * inverse(sum_qq), min: 0.0 };
        }
        let loss = loss(x, weights, line);
        if line.step > 0.0 && loss < least {
            (best, least) = (line, loss);
        }
    }
    best
}

/// The 6-bit numbers for a line: of those next to it, the pair that loses least.
fn best_numbers(
    x: &[f32; PART],
    weights: &[f32; PART],
    line: Line,
    step_unit: f32,
    min_unit: f32,
) -> (f32, f32) {
    let near = |value: f32, unit: f32| nearest(value * inverse(unit), 0.0, 63.0);
    let (step, min) = (near(line.step, step_unit), near(line.min, min_unit));
    let (mut best, mut least) = ((step, min), f32::INFINITY);
    for by in [0.0, -1.0, 1.0] {
        for min_by in [0.0, -1.0, 1.0] {
            let (step, min) = ((step + by).clamp(0.0, 63.0), (min + min_by).clamp(0.0, 63.0));
            let loss = loss(x, weights, Line { step: step_unit * step, min: min_unit * min });
            if loss < least {
                (best, least) = ((step, min), loss);
            }
        }
    }
    best
}

fn codes(x: &[f32; PART], line: Line) -> [f32; PART] {
    let per_step = inverse(line.step);
    x.map(|x| nearest((x + line.min) * per_step, 0.0, 15.0))
}

fn loss(x: &[f32; PART], weights: &[f32; PART], line: Line) -> f32 {
    let codes = codes(x, line);
    let errors = std::array::from_fn::<f32, PART, _>(|i| x[i] - (line.step * codes[i] - line.min));
    sum(&product(weights, &product(&errors, &errors)))
}

//! Rows of activations in other types.

use half::bf16;

use super::super::{Kernels, portable};
use super::*;
use crate::backend::cpu::pack::GROUP;

/// Groups with something to get wrong.
fn groups() -> Vec<[f32; GROUP]> {
    let mut random = Random(7);
    let mut groups = vec![[0.0; GROUP], [-0.0; GROUP], [127.0; GROUP], [-127.0; GROUP]];
    // The scale is 1 and every value lies between two integers.
    groups.push(std::array::from_fn(|i| if i == 9 { -127.0 } else { i as f32 * 7.0 - 100.5 }));
    groups.push(std::array::from_fn(|i| if i == 31 { 127.0 } else { 15.5 - i as f32 }));
    // One value outshines the others, at every place.
    groups.extend((0..GROUP).map(|at| std::array::from_fn(|i| if i == at { -1e4 } else { i as f32 })));
    let scales =
        [f32::MAX, 1e30, 1e3, 1.0, 1e-3, 1e-30, 1e-36, 7e-37, 1e-37, f32::MIN_POSITIVE, 1e-40, 1e-45];
    for scale in scales {
        groups.push([scale; GROUP]);
        groups.extend((0..20).map(|_| std::array::from_fn(|_| random.unit() * scale)));
    }
    for special in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in [0, 1, 7, 15, 16, 31] {
            groups.push(std::array::from_fn(|i| if i == at { special } else { random.unit() }));
        }
        groups.push([special; GROUP]);
    }
    groups
}

/// Tries the conversion to int8: bit for bit what the portable one gives, also in rows of many groups.
pub(crate) fn quantize(kernels: &Kernels) {
    let groups = groups();
    for (per_row, shared) in
        [(1, 1), (2, 1), (3, 1), (5, 1), (8, 1), (32, 1), (8, 8), (32, 8), (5, 8), (13, 8)]
    {
        for row in groups.chunks(per_row) {
            let x = row.as_flattened();
            let convert = |kernels: &Kernels| {
                let (mut q, mut scales, mut sums) =
                    (vec![99; x.len()], vec![9.0; row.len()], vec![9; 2 * row.len()]);
                (kernels.quantize)(x, shared, &mut q, &mut scales, &mut sums);
                (q, scales, sums)
            };
            let (q, scales, sums) = convert(kernels);
            let (q_expected, scales_expected, sums_expected) = convert(&portable::KERNELS);
            for (index, x) in row.iter().enumerate() {
                let (scale, expected) = (scales[index], scales_expected[index]);
                assert!(
                    scale.to_bits() == expected.to_bits() || (scale.is_nan() && expected.is_nan()),
                    "scale {scale} against {expected} of {x:?}"
                );
                let of = index * GROUP..(index + 1) * GROUP;
                assert_eq!(q[of.clone()], q_expected[of], "integers of {x:?}");
                let of = 2 * index..2 * index + 2;
                assert_eq!(sums[of.clone()], sums_expected[of], "sums of {x:?}");
            }
        }
    }
}

/// Tries the conversion to BF16. Numbers below the normal range may become zero, as they do on x86.
pub(crate) fn to_bf16(kernels: &Kernels) {
    let mut random = Random(11);
    let mut values: Vec<f32> = groups().as_flattened().to_vec();
    // Ties, to both sides, and the largest that rounds to infinity.
    values.extend(
        [0x3f80_8000, 0x3f81_8000, 0x3f80_7fff, 0x3f80_8001, 0x7f7f_7fff, 0x7f7f_8000].map(f32::from_bits),
    );
    values.extend((0..2000).map(|_| f32::from_bits(random.next() as u32)));
    for width in [1, 2, 3, 15, 16, 17, 31, 32, 33, 64, 172, values.len()] {
        for closed in [0, 1] {
            for x in values.chunks(width) {
                let mut out = vec![0x1234; x.len() + closed];
                (kernels.to_bf16)(x, &mut out);
                for (x, &found) in x.iter().zip(&out) {
                    let expected = bf16::from_f32(*x);
                    let found = bf16::from_bits(found);
                    let same = found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan());
                    let flushed = x.is_subnormal() && found.to_f32() == 0.0;
                    assert!(same || flushed, "{x:e} ({:08x}): {found:?} against {expected:?}", x.to_bits());
                }
                assert!(
                    out[x.len()..].iter().all(|&bits| bits == 0),
                    "the closing zero after {width} values"
                );
            }
        }
    }
}

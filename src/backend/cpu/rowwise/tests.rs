//! Rows against their formulas in `f64`, the same bits in any company and at every level.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::backend::Activation;

fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((state >> 40) as f32 / (1u64 << 24) as f32) * 8.0 - 4.0
        })
        .collect()
}

/// Widths around every edge of vectors and of their fours.
const WIDTHS: [usize; 12] = [1, 2, 3, 15, 16, 17, 63, 64, 65, 100, 172, 3000];

const ROWS: usize = 9;

/// Takes the width, the rows, and room for as many.
type Operation<'a> = &'a dyn Fn(Run<'_>, usize, &[f32], &mut [f32]);

/// Runs an operation of `[rows, width]` to `[rows, width]` at every level, with one and with three threads, all rows
/// at once and alone; compares all of them bit for bit, and one with the formula.
fn check(tolerance: f64, operation: Operation<'_>, formula: &dyn Fn(&[f64]) -> Vec<f64>) {
    let arena = Arena::new();
    let (one, three) = (Threads::new(1), Threads::new(3));
    for width in WIDTHS {
        let x = numbers(width as u64, ROWS * width);
        let mut expected = None;
        for level in Level::supported() {
            for threads in [&one, &three] {
                let run = Run { level, threads, arena: &arena };
                let mut out = vec![f32::NAN; x.len()];
                operation(run, width, &x, &mut out);
                let mut alone = vec![f32::NAN; x.len()];
                for (x, out) in x.chunks(width).zip(alone.chunks_mut(width)) {
                    operation(run, width, x, out);
                }
                assert_eq!(alone, out, "{level:?} {width}");
                assert_eq!(expected.get_or_insert(out.clone()), &out, "{level:?} {width}");
            }
        }
        for (x, out) in x.chunks(width).zip(expected.unwrap().chunks(width)) {
            let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
            for (exact, &found) in formula(&x).iter().zip(out) {
                let allowed = tolerance * (1.0 + exact.abs());
                assert!((exact - f64::from(found)).abs() < allowed, "{width}: {exact} {found}");
            }
        }
    }
}

fn weight(width: usize) -> Vec<f32> {
    numbers(77, width)
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

fn rms(x: &[f64]) -> Vec<f64> {
    let scale = (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64 + 1e-5).sqrt();
    x.iter().zip(wide(&weight(x.len()))).map(|(x, w)| x / scale * w).collect()
}

#[test]
fn rms_norm_is_its_formula() {
    check(1e-6, &|run, width, x, out| rms_norm(run, x, &weight(width), 1e-5, out).unwrap(), &rms);
}

#[test]
fn add_rms_norm_is_the_norm_of_the_sum() {
    check(
        1e-6,
        &|run, width, x, out| {
            let delta = vec![0.75; x.len()];
            let mut residual = x.to_vec();
            add_rms_norm(run, &mut residual, &delta, &weight(width), 1e-5, out).unwrap();
            let mut sum = vec![0.0; x.len()];
            add(run, x, &delta, &mut sum).unwrap();
            assert_eq!(residual, sum);
            let mut norm = vec![0.0; x.len()];
            rms_norm(run, &sum, &weight(width), 1e-5, &mut norm).unwrap();
            assert_eq!(norm, out);
        },
        &|x| rms(&x.iter().map(|x| x + 0.75).collect::<Vec<_>>()),
    );
}

#[test]
fn layer_norm_is_its_formula() {
    for with_bias in [false, true] {
        check(
            2e-6,
            &|run, width, x, out| {
                let bias = vec![0.5; width];
                layer_norm(run, x, &weight(width), with_bias.then_some(&bias), 1e-2, out).unwrap();
            },
            &|x| {
                let mean = x.iter().sum::<f64>() / x.len() as f64;
                let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
                let bias = if with_bias { 0.5 } else { 0.0 };
                let normal = x.iter().map(|x| (x - mean) / (variance + 1e-2).sqrt());
                normal.zip(wide(&weight(x.len()))).map(|(x, w)| x * w + bias).collect()
            },
        );
    }
}

#[test]
fn add_layer_norm_is_the_norm_of_the_sum() {
    check(
        2e-6,
        &|run, width, x, out| {
            let (delta, bias) = (vec![0.75; x.len()], numbers(5, width));
            let mut residual = x.to_vec();
            add_layer_norm(run, &mut residual, &delta, &weight(width), Some(&bias), 1e-2, out).unwrap();
            let mut sum = vec![0.0; x.len()];
            add(run, x, &delta, &mut sum).unwrap();
            assert_eq!(residual, sum);
            let mut norm = vec![0.0; x.len()];
            layer_norm(run, &sum, &weight(width), Some(&bias), 1e-2, &mut norm).unwrap();
            assert_eq!(norm, out);
        },
        &|x| {
            let mean = x.iter().sum::<f64>() / x.len() as f64;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
            let scaled = x.iter().map(|x| (x - mean) / (variance + 1e-2).sqrt());
            let scaled = scaled.zip(wide(&weight(x.len()))).map(|(x, w)| x * w);
            scaled.zip(wide(&numbers(5, x.len()))).map(|(x, b)| x + b).collect()
        },
    );
}

#[test]
fn softmax_is_its_formula() {
    check(
        3e-7,
        &|run, width, x, out| {
            out.copy_from_slice(x);
            softmax(run, out, width).unwrap();
        },
        &|x| {
            let sum: f64 = x.iter().map(|x| x.exp()).sum();
            x.iter().map(|x| x.exp() / sum).collect()
        },
    );
}

#[test]
fn gates_are_their_formula() {
    let silu = |x: f64| x / (1.0 + (-x).exp());
    let tanh = |x: f64| {
        let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
        x / 2.0 * (1.0 + inner.tanh())
    };
    // The series of the error function.
    let erf = |x: f64| {
        let z = x / std::f64::consts::SQRT_2;
        let (mut term, mut sum) = (z, z);
        for n in 1..100 {
            term *= -z * z / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        x / 2.0 * (1.0 + sum * 2.0 / std::f64::consts::PI.sqrt())
    };
    let formulas: [(Activation, &dyn Fn(f64) -> f64); 3] =
        [(Activation::Silu, &silu), (Activation::GeluTanh, &tanh), (Activation::GeluErf, &erf)];
    for (activation, formula) in formulas {
        check(
            1e-6,
            &|run, width, x, out| {
                let up = weight(width);
                let gate_up: Vec<f32> = x.chunks(width).flat_map(|x| [x, &up].concat()).collect();
                gated(run, &gate_up, width, activation, out).unwrap();
                let mut alone = x.to_vec();
                activate(run, &mut alone, activation);
                for (row, out) in alone.chunks(width).zip(out.chunks(width)) {
                    let product: Vec<f32> = row.iter().zip(&up).map(|(a, b)| a * b).collect();
                    assert_eq!(product, out);
                }
            },
            &|x| x.iter().zip(wide(&weight(x.len()))).map(|(&x, up)| formula(x) * up).collect(),
        );
    }
}

#[test]
fn sigmoids_are_their_formula() {
    check(
        3e-7,
        &|run, _, x, out| {
            out.copy_from_slice(x);
            sigmoids(run, out);
        },
        &|x| x.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect(),
    );
}

#[test]
fn activations_in_place_reach_every_value() {
    let arena = Arena::new();
    let threads = Threads::new(3);
    let run = Run { level: Level::native(), threads: &threads, arena: &arena };
    for len in [0, 1, TASK_VALUES - 1, TASK_VALUES, TASK_VALUES + 1, 3 * TASK_VALUES + 5] {
        let mut x = vec![1.0; len];
        activate(run, &mut x, Activation::Silu);
        assert!(x.iter().all(|x| (x - 0.731_058_6).abs() < 1e-6), "{len}");
        let mut sum = vec![0.0; len];
        add(run, &vec![1.5; len], &vec![2.0; len], &mut sum).unwrap();
        assert!(sum.iter().all(|&x| x == 3.5), "{len}");
    }
}

#[test]
fn argmax_is_the_first_of_the_greatest() {
    for level in Level::supported() {
        for len in [1, 2, 15, 16, 17, 1000, 1024, 1025, 5000] {
            let mut row = numbers(len as u64, len);
            let first = |row: &[f32]| {
                let greatest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                row.iter().position(|&x| x == greatest).unwrap_or(0)
            };
            assert_eq!(argmax(level, &row), first(&row), "{level:?} {len}");
            for at in [0, len / 3, len / 2, len - 1] {
                row[at] = 100.0;
                assert_eq!(argmax(level, &row), first(&row), "{level:?} {len} {at}");
                row[at] = f32::NAN;
                assert_eq!(argmax(level, &row), first(&row), "{level:?} {len} {at}");
            }
            // A row below zero: nothing may come from beyond its end.
            let below: Vec<f32> = numbers(3, len).iter().map(|x| x - 1000.0).collect();
            assert_eq!(argmax(level, &below), first(&below), "{level:?} {len}");
            assert_eq!(argmax(level, &vec![f32::NAN; len]), 0);
            assert_eq!(argmax(level, &vec![f32::NEG_INFINITY; len]), 0);
        }
        assert_eq!(argmax(level, &[]), 0);
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let arena = Arena::new();
    let threads = Threads::new(1);
    let run = Run { level: Level::native(), threads: &threads, arena: &arena };
    let (six, four) = ([1.0; 6], [1.0; 4]);
    let mut out = [0.0; 6];
    assert!(rms_norm(run, &six, &four, 1e-5, &mut out).is_err());
    assert!(rms_norm(run, &six, &[1.0; 3], 1e-5, &mut out[..3]).is_err());
    assert!(rms_norm(run, &six, &[], 1e-5, &mut out).is_err());
    assert!(add_rms_norm(run, &mut [1.0; 6], &four, &[1.0; 3], 1e-5, &mut out).is_err());
    assert!(layer_norm(run, &six, &[1.0; 3], Some(&four), 1e-5, &mut out).is_err());
    let mut residual = [1.0; 6];
    assert!(add_layer_norm(run, &mut residual, &four, &[1.0; 3], None, 1e-5, &mut out).is_err());
    assert!(add_layer_norm(run, &mut residual, &six, &[1.0; 3], Some(&four), 1e-5, &mut out).is_err());
    assert!(gated(run, &six, 2, Activation::Silu, &mut out[..2]).is_err());
    assert!(add(run, &six, &four, &mut out).is_err());
    assert!(softmax(run, &mut out, 4).is_err());
}

//! Both backends on the same inputs: against each other, and against formulas in `f64`.

#![allow(clippy::unwrap_used)]

mod fp8;
mod latent;
mod loading;
mod low_rank;
mod mixture;
mod rows;

use std::ops::ControlFlow;

use half::{bf16, f16};
use tempfile::TempDir;

use super::cpu::{CpuBackend, CpuOptions, Level};
use super::*;
use crate::weights::DType;

/// A small generator, so that every run sees the same numbers.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// A number from -1 to 1.
    pub(crate) fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 40) as f32 / (1u64 << 24) as f32) * 2.0 - 1.0
    }

    pub(crate) fn take(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }
}

/// Tensors of a safetensors file that is written when it is opened.
pub(crate) struct Weights {
    numbers: Numbers,
    header: serde_json::Map<String, serde_json::Value>,
    data: Vec<u8>,
    folder: TempDir,
}

impl Weights {
    pub(crate) fn new(seed: u64) -> Self {
        let (header, data) = (serde_json::Map::new(), Vec::new());
        Self { numbers: Numbers(seed), header, data, folder: TempDir::new().unwrap() }
    }

    /// A tensor of random numbers; returns what it holds.
    pub(crate) fn add(&mut self, name: &str, shape: &[usize], dtype: DType) -> Vec<f32> {
        let values = self.numbers.take(shape.iter().product());
        self.put(name, shape, dtype, &values)
    }

    /// A tensor of these numbers; returns what it holds.
    pub(crate) fn put(&mut self, name: &str, shape: &[usize], dtype: DType, values: &[f32]) -> Vec<f32> {
        let start = self.data.len();
        let mut stored = Vec::new();
        for &value in values {
            let value = match dtype {
                DType::BF16 => bf16::from_f32(value).to_f32(),
                DType::F16 => f16::from_f32(value).to_f32(),
                _ => value,
            };
            match dtype {
                DType::BF16 => self.data.extend(bf16::from_f32(value).to_le_bytes()),
                DType::F16 => self.data.extend(f16::from_f32(value).to_le_bytes()),
                _ => self.data.extend(value.to_le_bytes()),
            }
            stored.push(value);
        }
        let offsets = [start, self.data.len()];
        let entry = serde_json::json!({"dtype": dtype.name(), "shape": shape, "data_offsets": offsets});
        self.header.insert(name.to_owned(), entry);
        stored
    }

    /// A tensor of these bytes, of a type by its name in the format.
    pub(crate) fn raw(&mut self, name: &str, shape: &[usize], dtype: &str, bytes: &[u8]) {
        let start = self.data.len();
        self.data.extend(bytes);
        let offsets = [start, self.data.len()];
        let entry = serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": offsets});
        self.header.insert(name.to_owned(), entry);
    }

    pub(crate) fn open(&self) -> Checkpoint {
        let header = serde_json::to_vec(&self.header).unwrap();
        let file = [&(header.len() as u64).to_le_bytes()[..], &header, &self.data].concat();
        std::fs::write(self.folder.path().join("model.safetensors"), file).unwrap();
        Checkpoint::open(self.folder.path()).unwrap()
    }
}

/// What can be asked of any backend in plain numbers.
trait Plain: Backend {
    fn matrix(&self, checkpoint: &Checkpoint, parts: &[MatrixPart<'_>]) -> Self::Matrix {
        let source = MatrixSource { checkpoint, parts: parts.to_vec(), usage: MatrixUse::Product };
        let mut heard = 0;
        let matrix = self
            .load_matrix(&source, &mut |done| {
                heard = done;
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(heard, source.file_bytes());
        matrix
    }

    /// A matrix of these numbers.
    fn stored(&self, values: &[f32], width: usize) -> Self::Matrix {
        let mut weights = Weights::new(0);
        weights.put("w", &[values.len() / width, width], DType::F32, values);
        let checkpoint = weights.open();
        self.matrix(&checkpoint, &[MatrixPart::whole(checkpoint.tensor("w").unwrap())])
    }

    /// Activations of these numbers: rows of a matrix, as of an embedding.
    fn activations(&self, values: &[f32], width: usize) -> Self::Tensor {
        let ids: Vec<u32> = (0..(values.len() / width) as u32).collect();
        self.embed(&self.stored(values, width), &ids).unwrap()
    }

    fn vector(&self, values: &[f32]) -> Self::Vector {
        let mut weights = Weights::new(0);
        weights.put("v", &[values.len()], DType::F32, values);
        let checkpoint = weights.open();
        self.load_vector(&checkpoint, checkpoint.tensor("v").unwrap()).unwrap()
    }

    fn values(&self, x: &Self::Tensor) -> Vec<f32> {
        self.read(x, &mut Vec::new()).unwrap().to_vec()
    }
}

impl<B: Backend> Plain for B {}

/// A question that any backend answers in numbers.
trait Question {
    fn ask<B: Backend>(&self, backend: &B) -> Vec<f32>;
}

/// The CPU backend at every level, with one and with three threads.
fn processors() -> impl Iterator<Item = CpuBackend> {
    let options = |level: Level| [1, 3].map(|count| CpuOptions::default().level(level).threads(count));
    Level::supported().flat_map(options).map(|options| CpuBackend::new(options).unwrap())
}

/// Asks both backends. All answers are close to the expected ones, and those of one level have the same bits at any
/// number of threads.
fn ask(question: &impl Question, tolerance: f64, expected: &[f64]) {
    let close = |who: &str, found: &[f32]| {
        assert_eq!(found.len(), expected.len(), "{who}");
        for (at, (&found, &expected)) in found.iter().zip(expected).enumerate() {
            let allowed = tolerance * (1.0 + expected.abs());
            let near = (f64::from(found) - expected).abs() <= allowed;
            let same = found.is_nan() && expected.is_nan();
            assert!(near || same, "{who}, value {at}: {found}, expected {expected}");
        }
    };
    #[cfg(feature = "candle")]
    close("candle", &question.ask(&candle::CandleBackend::cpu()));
    let mut before: Option<(Level, Vec<u32>)> = None;
    for backend in processors() {
        let found = question.ask(&backend);
        close(&format!("{backend:?}"), &found);
        let bits: Vec<u32> = found.iter().map(|value| value.to_bits()).collect();
        if let Some((level, before)) = &before
            && *level == backend.level()
        {
            assert!(*before == bits, "{backend:?}: other bits");
        }
        before = Some((backend.level(), bits));
    }
}

#[test]
fn the_error_function_is_continuous_and_known() {
    // Abramowitz and Stegun, table 7.1.
    for (z, known) in [(0.5, 0.479_500_122_2), (1.0, 0.157_299_207_1), (2.0, 0.004_677_734_98)] {
        assert!((erfc(z) - known).abs() < 1e-10, "{z}: {}", erfc(z));
    }
    assert!((erfc(2.0) / erfc(2.0 + 1e-12) - 1.0).abs() < 1e-9);
}

/// The numbers as `f64`.
fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// `x W^T` for `W` of rows as wide as those of `x`.
fn product(x: &[f64], weight: &[f64], width: usize) -> Vec<f64> {
    let dot = |x: &[f64], w: &[f64]| x.iter().zip(w).map(|(x, w)| x * w).sum::<f64>();
    x.chunks(width).flat_map(|x| weight.chunks(width).map(move |w| dot(x, w))).collect()
}

/// `erfc(z)` for `z` above zero: by the series of `erf` where that is small, else as a continued fraction.
fn erfc(z: f64) -> f64 {
    let root = std::f64::consts::PI.sqrt();
    if z > 2.0 {
        let fraction = (1..=80).rev().fold(0.0, |rest, n| f64::from(n) / 2.0 / (z + rest));
        return (-z * z).exp() / root / (z + fraction);
    }
    let (mut term, mut sum) = (z, z);
    for n in 1..60 {
        term *= -z * z / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    1.0 - sum * 2.0 / root
}

/// The activations in `f64`.
fn activate(x: f64, activation: Activation) -> f64 {
    match activation {
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::GeluTanh => {
            x / 2.0 * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
        }
        Activation::GeluErf => {
            let tail = erfc(x.abs() / std::f64::consts::SQRT_2) / 2.0;
            x * if x < 0.0 { tail } else { 1.0 - tail }
        }
    }
}

//! How far the vectors of each precision are from those of single precision, as the model leaves them.

use std::path::Path;

use model_runtime::ModelRuntime;
use model_runtime::protocol::{Normalize, Truncate};
use model_runtime::runtime::{EmbedOptions, Embeddings};

use super::Failure;
use super::arguments::{Arguments, Precision};

/// The texts: paragraphs of what the project says about itself.
const TEXT: &str = concat!(include_str!("../../README.md"), include_str!("../README.md"));

/// The worst of all texts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deviation {
    pub(crate) texts: usize,
    /// The smallest cosine to the vector of single precision.
    pub(crate) cosine: f64,
    /// The largest difference of norms, relative.
    pub(crate) norm: f64,
}

/// Compares every precision but single precision.
pub(crate) fn measure(model: &Path, a: &Arguments) -> Result<Vec<(Precision, Deviation)>, Failure> {
    let others: Vec<Precision> = a.precisions.iter().copied().filter(|&of| of != Precision::F32).collect();
    if others.is_empty() {
        return Ok(Vec::new());
    }
    let exact = vectors(model, Precision::F32, a)?;
    others
        .into_iter()
        .map(|precision| Ok((precision, compare(&exact, &vectors(model, precision, a)?))))
        .collect()
}

fn vectors(model: &Path, precision: Precision, a: &Arguments) -> Result<Embeddings, Failure> {
    let runtime = ModelRuntime::builder().build()?;
    runtime.serve("model", model, precision.options(a))?;
    let texts: Vec<String> =
        TEXT.split("\n\n").map(str::trim).filter(|text| !text.is_empty()).map(String::from).collect();
    // Without normalization, which would hide what happens to norms.
    let options = EmbedOptions::default().normalize(Normalize::None).truncate(Truncate::End);
    Ok(runtime.embed("model", texts, options)?)
}

fn compare(exact: &Embeddings, other: &Embeddings) -> Deviation {
    let mut worst = Deviation { texts: exact.len(), cosine: 1.0, norm: 0.0 };
    for (a, b) in exact.iter().zip(other.iter()) {
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        let (na, nb) = (dot(a, a).sqrt(), dot(b, b).sqrt());
        worst.cosine = worst.cosine.min(dot(a, b) / (na * nb));
        worst.norm = worst.norm.max((nb / na - 1.0).abs());
    }
    worst
}

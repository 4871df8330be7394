//! What the CPU backend lets its callers choose.

use model_runtime::backend::cpu::{CacheType, Compute, CpuBackend, CpuOptions, Quantize};
use model_runtime::models::CausalSources;
use model_runtime::weights::{Checkpoint, DType};

use super::Failure;

pub(crate) const COMPUTES: [(&str, Compute); 4] =
    [("auto", Compute::Auto), ("f32", Compute::F32), ("bf16", Compute::Bf16), ("int8", Compute::Int8)];

pub(crate) const QUANTIZATIONS: [(&str, Quantize); 4] = [
    ("none", Quantize::None),
    ("q8_0", Quantize::To(DType::Q8_0)),
    ("q6_k", Quantize::To(DType::Q6K)),
    ("q4_k", Quantize::To(DType::Q4K)),
];

pub(crate) const CACHES: [(&str, CacheType); 4] =
    [("f32", CacheType::F32), ("f16", CacheType::F16), ("bf16", CacheType::Bf16), ("q8", CacheType::Q8)];

/// One of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) compute: (&'static str, Compute),
    pub(crate) quantize: (&'static str, Quantize),
    pub(crate) cache: (&'static str, CacheType),
}

/// Single precision throughout.
pub(crate) fn reference() -> Choice {
    Choice { compute: COMPUTES[1], quantize: QUANTIZATIONS[0], cache: CACHES[0] }
}

/// The entry of that name.
fn named<T: Copy>(list: &[(&'static str, T)], name: &str) -> Option<(&'static str, T)> {
    list.iter().find(|(of_list, _)| *of_list == name).copied()
}

impl Choice {
    pub(crate) fn named(compute: &str, quantize: &str, cache: &str) -> Option<Self> {
        Some(Self {
            compute: named(&COMPUTES, compute)?,
            quantize: named(&QUANTIZATIONS, quantize)?,
            cache: named(&CACHES, cache)?,
        })
    }

    pub(crate) fn options(&self, threads: Option<usize>) -> CpuOptions {
        let options = CpuOptions::default().compute(self.compute.1).quantize(self.quantize.1);
        let options = options.cache(self.cache.1);
        match threads {
            Some(threads) => options.threads(threads),
            None => options,
        }
    }
}

/// Why a choice is not possible for a model, or none of its own.
pub(crate) fn obstacle(checkpoint: &Checkpoint, choice: Choice) -> Result<Option<String>, Failure> {
    let bytes = |quantize: Quantize| -> Result<Result<u64, String>, Failure> {
        let backend = CpuBackend::new(CpuOptions::default().threads(1).quantize(quantize))?;
        let bytes = CausalSources::resolve(checkpoint)?.weight_bytes(&backend);
        // The model is named above the table.
        let path = format!("{}: ", checkpoint.path().display());
        Ok(bytes.map_err(|error| error.to_string().replace(&path, "")))
    };
    let (name, quantize) = choice.quantize;
    if quantize == Quantize::None {
        return Ok(None);
    }
    let size = match bytes(quantize)? {
        Ok(size) => size,
        Err(error) => return Ok(Some(error)),
    };
    if bytes(Quantize::None)? == Ok(size) {
        return Ok(Some("no weights are in floating point".into()));
    }
    let q8_0 = QUANTIZATIONS[1];
    if name != q8_0.0 && bytes(q8_0.1)? == Ok(size) {
        return Ok(Some("no width is a multiple of 256: it would be q8_0".into()));
    }
    Ok(None)
}

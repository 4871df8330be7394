//! Goldens of an encoder in a GGUF file of small weights: token ids as they are, vectors near those of the model that
//! it was made from.

use std::path::{Path, PathBuf};

use model_runtime::protocol::{Normalize, PoolingMode, Truncate};
use model_runtime::runtime::{BackendChoice, EmbedOptions, Embeddings};
use model_runtime::{ModelRuntime, ServeOptions};
use safetensors::SafeTensors;
use serde_json::Value;

use super::causal::{cpu_options, ids, tensor};
use super::embeddings::{length, tokens};
use super::{Outcome, Verdict, children, json};

/// The GGUF file of a folder that has one beside its goldens.
pub(super) fn file(folder: &Path) -> Option<PathBuf> {
    children(folder).into_iter().find(|file| file.extension().is_some_and(|ending| ending == "gguf"))
}

/// The least cosine between a vector and that of the weights in F16, over all texts; and how far the cosine of two
/// texts may be from theirs. What rounding the weights costs is measured in the README beside the model.
const LEAST_COSINE: f64 = 0.99;
const SCORE: f64 = 0.02;
/// Of a length that is to be 1. Weights cannot change it.
const LENGTH: f64 = 1e-6;

/// Compares one folder.
pub(super) fn run(folder: &Path) -> Outcome {
    let golden = json(&folder.join("golden.json"))?;
    let bytes = std::fs::read(folder.join("golden.safetensors")).map_err(|e| e.to_string())?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| e.to_string())?;
    let texts =
        golden["texts"].as_array().filter(|texts| !texts.is_empty()).ok_or("golden.json: no texts")?;
    let file = file(folder).ok_or("no GGUF file")?;
    tokens(&file, texts)?;
    let choices = [
        #[cfg(feature = "candle")]
        ("candle", BackendChoice::Candle),
        ("cpu, float32", BackendChoice::Cpu(cpu_options())),
        ("cpu", BackendChoice::default()),
    ];
    for (name, backend) in choices {
        vectors(backend, &file, &golden, texts, &tensors).map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(Verdict::Ran)
}

/// What the file says about itself, and every text's vector, alone and in company.
fn vectors(
    backend: BackendChoice,
    file: &Path,
    golden: &Value,
    texts: &[Value],
    tensors: &SafeTensors<'_>,
) -> Result<(), String> {
    let runtime = ModelRuntime::builder().build().map_err(|e| e.to_string())?;
    let served = runtime.serve("model", file, ServeOptions::default().backend(backend));
    let info = served.map_err(|e| e.to_string())?.embedding.ok_or("it makes no vectors")?;
    let limit = golden["max_seq_length"].as_u64().ok_or("golden.json: no max_seq_length")? as usize;
    if (info.pooling, info.normalize, info.max_tokens) != (PoolingMode::Mean, Normalize::L2, limit) {
        return Err(format!("{info:?}, expected mean, l2 and {limit} tokens"));
    }
    let embed = |texts: Vec<String>| -> Result<Embeddings, String> {
        let options = EmbedOptions::default().truncate(Truncate::End);
        runtime.embed("model", texts, options).map_err(|e| e.to_string())
    };
    let contents: Vec<String> =
        texts.iter().map(|text| text["text"].as_str().unwrap_or_default().to_string()).collect();
    let together = embed(contents.clone())?;
    let mut expected = Vec::new();
    for ((at, text), found) in texts.iter().enumerate().zip(together.iter()) {
        let name = text["name"].as_str().unwrap_or_default();
        if embed(vec![contents[at].clone()])?.values() != found {
            return Err(format!("{name}: other bits alone than in company"));
        }
        let wanted = ids(&text["input_ids"]).len();
        if together.rows()[at].tokens != wanted {
            return Err(format!("{name}: {} tokens, expected {wanted}", together.rows()[at].tokens));
        }
        if (length(found) - 1.0).abs() > LENGTH {
            return Err(format!("{name}: length {}, expected 1", length(found)));
        }
        let reference = tensor(tensors, &format!("{name}.embedding"))?;
        let cosine = cosine(found, &reference);
        // NaN must fail too.
        if cosine.is_nan() || cosine < LEAST_COSINE {
            return Err(format!("{name}: cosine {cosine} to the reference, expected {LEAST_COSINE} or more"));
        }
        expected.push(reference);
    }
    scores(&together, &expected)?;
    let long = embed(vec!["bread ".repeat(2 * limit)])?;
    match (long.rows()[0].tokens, long.rows()[0].truncated) {
        (tokens, true) if tokens == limit => Ok(()),
        (tokens, truncated) => Err(format!("a long text: {tokens} tokens, truncated: {truncated}")),
    }
}

/// The cosine of every pair of texts, which is what a search shows.
fn scores(found: &Embeddings, expected: &[Vec<f32>]) -> Result<(), String> {
    for (a, (one, one_expected)) in found.iter().zip(expected).enumerate() {
        for (b, (other, other_expected)) in found.iter().zip(expected).enumerate().skip(a + 1) {
            let (score, wanted) = (cosine(one, other), cosine(one_expected, other_expected));
            if (score - wanted).abs() > SCORE {
                return Err(format!("texts {a} and {b}: cosine {score}, expected {wanted} within {SCORE}"));
            }
        }
    }
    Ok(())
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let product: f64 = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
    product / (length(a) * length(b))
}

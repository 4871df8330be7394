//! Goldens of an encoder: token ids, hidden states, vectors and their lengths.

use std::ops::ControlFlow;
use std::path::Path;

use model_runtime::backend::{Backend, Texts};
use model_runtime::models::EncoderSources;
use model_runtime::protocol::{Normalize, PoolingMode, Truncate};
use model_runtime::runtime::{BackendChoice, EmbedOptions};
use model_runtime::tokenizer::{AddSpecial, Tokenizer};
use model_runtime::weights::Checkpoint;
use model_runtime::{ModelRuntime, ServeOptions};
use safetensors::SafeTensors;
use serde_json::Value;

#[cfg(feature = "candle")]
use super::causal::candle;
use super::causal::{close_within, cpu, cpu_options, ids, tensor};
use super::{Outcome, Verdict};

/// Largest difference of a value that a float32 runtime may show, and of a length relative to it. An angle alone
/// would not see a normalization that is missing or too many.
const TOLERANCE: f32 = 1e-4;

/// Compares one folder.
pub(super) fn run(path: &Path, golden: &Value) -> Outcome {
    let bytes = std::fs::read(path.join("golden.safetensors")).map_err(|e| e.to_string())?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| e.to_string())?;
    let texts =
        golden["texts"].as_array().filter(|texts| !texts.is_empty()).ok_or("golden.json: no texts")?;
    tokens(path, texts)?;
    hidden_states(cpu()?, path, texts, &tensors).map_err(|why| format!("cpu: {why}"))?;
    #[cfg(feature = "candle")]
    hidden_states(candle(), path, texts, &tensors).map_err(|why| format!("candle: {why}"))?;
    vectors(BackendChoice::Cpu(cpu_options()), path, texts, &tensors).map_err(|why| format!("cpu: {why}"))?;
    #[cfg(feature = "candle")]
    vectors(BackendChoice::Candle, path, texts, &tensors).map_err(|why| format!("candle: {why}"))?;
    Ok(Verdict::Ran)
}

fn name(text: &Value) -> &str {
    text["name"].as_str().unwrap_or_default()
}

/// Ids as the tokenizer alone gives them, where the reference did not cut.
pub(super) fn tokens(path: &Path, texts: &[Value]) -> Result<(), String> {
    let checkpoint = Checkpoint::open(path).map_err(|e| e.to_string())?;
    let tokenizer = Tokenizer::from_checkpoint(&checkpoint).map_err(|e| e.to_string())?;
    for text in texts {
        let expected = ids(&text["input_ids"]);
        let content = text["text"].as_str().ok_or("a text without text")?;
        let found = tokenizer.encode(content, AddSpecial::Yes).map_err(|e| e.to_string())?;
        let cut =
            found.len() > expected.len() && found[..expected.len() - 1] == expected[..expected.len() - 1];
        if found != expected && !cut {
            return Err(format!("{}: ids {found:?}, expected {expected:?}", name(text)));
        }
    }
    Ok(())
}

/// All texts in one batch against the hidden states of each.
fn hidden_states<B: Backend>(
    backend: B,
    path: &Path,
    texts: &[Value],
    tensors: &SafeTensors<'_>,
) -> Result<(), String> {
    let checkpoint = Checkpoint::open(path).map_err(|e| e.to_string())?;
    let sources = EncoderSources::resolve(&checkpoint).map_err(|e| e.to_string())?;
    let model = sources.load(&backend, &mut |_| ControlFlow::Continue(())).map_err(|e| e.to_string())?;
    let mut batch = Texts::default();
    texts.iter().for_each(|text| batch.push(&ids(&text["input_ids"])));
    let rows: Vec<u32> = (0..batch.rows() as u32).collect();
    let hidden = model.forward(&backend, &batch, &rows).map_err(|e| e.to_string())?;
    let mut buffer = Vec::new();
    let values = backend.read(&hidden, &mut buffer).map_err(|e| e.to_string())?;
    for (text, span) in texts.iter().zip(&batch.spans) {
        let width = model.width();
        let what = format!("{}.last_hidden", name(text));
        // Trained models come with their vectors alone.
        if tensors.tensor(&what).is_ok() {
            let found = &values[span.start * width..span.end * width];
            close_within(&what, found, &tensor(tensors, &what)?, TOLERANCE)?;
        }
    }
    Ok(())
}

/// Texts in, vectors out, each alone and all together: the same bits, and those of the reference within tolerance.
fn vectors(
    backend: BackendChoice,
    path: &Path,
    texts: &[Value],
    tensors: &SafeTensors<'_>,
) -> Result<(), String> {
    let runtime = ModelRuntime::builder().build().map_err(|e| e.to_string())?;
    runtime.serve("model", path, ServeOptions::default().backend(backend)).map_err(|e| e.to_string())?;
    let contents: Vec<String> =
        texts.iter().map(|text| text["text"].as_str().unwrap_or_default().to_string()).collect();
    let default = || EmbedOptions::default().truncate(Truncate::End);
    let raw = |pooling| default().normalize(Normalize::None).pooling(pooling);
    let forms = [
        ("embedding", default()),
        ("mean_unnormalised", raw(PoolingMode::Mean)),
        ("cls_unnormalised", raw(PoolingMode::Cls)),
    ];
    let mut compared = 0;
    for (form, options) in forms {
        let together =
            runtime.embed("model", contents.clone(), options.clone()).map_err(|e| e.to_string())?;
        for (at, text) in texts.iter().enumerate() {
            let what = format!("{}.{form}", name(text));
            let Some(found) = together.get(at) else { return Err(format!("{what}: no vector")) };
            let alone =
                runtime.embed("model", contents[at].as_str(), options.clone()).map_err(|e| e.to_string())?;
            if alone.values() != found {
                return Err(format!("{what}: other bits alone than in company"));
            }
            let tokens = ids(&text["input_ids"]).len();
            if together.rows()[at].tokens != tokens {
                return Err(format!("{what}: {} tokens, expected {tokens}", together.rows()[at].tokens));
            }
            if tensors.tensor(&what).is_ok() {
                let expected = tensor(tensors, &what)?;
                close_within(&what, found, &expected, TOLERANCE)?;
                let (length, wanted) = (length(found), length(&expected));
                // Values that are no numbers have been refused above.
                if (length - wanted).abs() > f64::from(TOLERANCE) * wanted {
                    return Err(format!("{what}: length {length}, expected {wanted}"));
                }
                compared += 1;
            }
        }
    }
    if compared < texts.len() {
        return Err(format!("{compared} vectors compared for {} texts", texts.len()));
    }
    Ok(())
}

pub(super) fn length(vector: &[f32]) -> f64 {
    vector.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt()
}

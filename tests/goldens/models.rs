//! Goldens of a model folder; of a causal model logits of every prompt token, log-probabilities, greedy tokens.

use std::path::Path;

use super::causal::{self, Sequence, close, ids, log_softmax, tensor};
use super::{Outcome, Verdict, embeddings, json};
use model_runtime::backend::Backend;
use model_runtime::models::{SUPPORTED, SUPPORTED_ENCODERS};

/// Compares one folder.
pub(super) fn run(path: &Path) -> Outcome {
    let kind = json(&path.join("config.json"))?["model_type"].as_str().unwrap_or("(none)").to_string();
    let golden = json(&path.join("golden.json"))?;
    if SUPPORTED_ENCODERS.contains(&kind.as_str()) {
        return embeddings::run(path, &golden);
    }
    if !SUPPORTED.contains(&kind.as_str()) {
        return Ok(Verdict::Skipped(format!("architecture `{kind}` is not served by this version")));
    }
    let tensors = std::fs::read(path.join("golden.safetensors")).map_err(|e| e.to_string())?;
    let tensors = safetensors::SafeTensors::deserialize(&tensors).map_err(|e| e.to_string())?;
    let prompts = golden["prompts"].as_array().ok_or("golden.json: no prompts")?;
    if prompts.is_empty() {
        return Err("golden.json: no prompts".into());
    }
    for prompt in prompts {
        let name = prompt["name"].as_str().unwrap_or_default();
        one_prompt(causal::cpu()?, path, name, prompt, &tensors)
            .map_err(|why| format!("cpu, {name}: {why}"))?;
        #[cfg(feature = "candle")]
        one_prompt(causal::candle(), path, name, prompt, &tensors)
            .map_err(|why| format!("candle, {name}: {why}"))?;
    }
    Ok(Verdict::Ran)
}

fn one_prompt<B: Backend>(
    backend: B,
    path: &Path,
    name: &str,
    prompt: &serde_json::Value,
    tensors: &safetensors::SafeTensors<'_>,
) -> Result<(), String> {
    let (input, greedy) = (ids(&prompt["input_ids"]), ids(&prompt["greedy_ids"]));
    let mut sequence = Sequence::load(backend, path, input.len() + greedy.len() + 1)?;

    let logits = sequence.step(&input, 0, input.len())?;
    close("logits", &logits.concat(), &tensor(tensors, &format!("{name}.logits"))?)?;
    let expected: Vec<f32> = numbers(&prompt["prompt_logprobs"]);
    let found: Vec<f32> = logits.iter().zip(&input[1..]).map(|(row, &id)| log_softmax(row, id)).collect();
    close("prompt_logprobs", &found, &expected)?;

    let (tokens, _) = sequence.greedy(&input, greedy.len())?;
    let (found, logprobs): (Vec<u32>, Vec<f32>) = tokens.into_iter().unzip();
    if found != greedy {
        return Err(format!("greedy ids {found:?}, expected {greedy:?}"));
    }
    close("greedy_logprobs", &logprobs, &numbers(&prompt["greedy_logprobs"]))
}

/// The numbers of a list; the null in front of prompt log-probabilities is passed over.
fn numbers(value: &serde_json::Value) -> Vec<f32> {
    value.as_array().into_iter().flatten().filter_map(|n| Some(n.as_f64()? as f32)).collect()
}

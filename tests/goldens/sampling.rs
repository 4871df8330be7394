//! Goldens of sampling probabilities.

use std::path::Path;

use model_runtime::engine::sampling::{Sampler, SamplingParams};
use serde_json::Value;

use super::{Outcome, Verdict, json};

/// Parameters are single precision here and decimal there, which moves a probability by a few 1e-8.
const TOLERANCE: f64 = 1e-6;

/// Compares one item.
pub(super) fn run(path: &Path) -> Outcome {
    let golden = json(path)?;
    let cases = golden["cases"].as_array().filter(|cases| !cases.is_empty()).ok_or("no cases")?;
    for case in cases {
        compare(case).map_err(|why| format!("case {}: {why}", case["name"]))?;
    }
    Ok(Verdict::Ran)
}

fn compare(case: &Value) -> Result<(), String> {
    let logits: Vec<f32> = numbers(&case["logits"])?.into_iter().map(|n| n as f32).collect();
    let expected = numbers(&case["probs"])?;
    let kept: Vec<u32> = ids(&case["kept"])?;
    // The reference penalizes repetition and occurrences over one history, so all of it counts as generated.
    let history = ids(&case["history"])?;
    let params = params(&case["params"])?;
    let found = Sampler::new(logits.len())
        .distribution(&logits, &params, &[], &history)
        .map_err(|error| error.to_string())?;
    let found_ids: Vec<u32> = found.iter().map(|&(id, _)| id).collect();
    if found_ids != kept {
        return Err(format!("kept {found_ids:?}, expected {kept:?}"));
    }
    for (id, probability) in found {
        let wanted = expected.get(id as usize).copied().ok_or("fewer probabilities than logits")?;
        if (probability - wanted).abs() > TOLERANCE {
            return Err(format!("token {id} has probability {probability}, expected {wanted}"));
        }
    }
    Ok(())
}

fn params(value: &Value) -> Result<SamplingParams, String> {
    let mut params = SamplingParams::default();
    for (name, value) in value.as_object().ok_or("params is not an object")? {
        if name == "logit_bias" {
            for (id, bias) in value.as_object().ok_or("logit_bias is not an object")? {
                params
                    .logit_bias
                    .push((id.parse().map_err(|_| format!("logit_bias key {id}"))?, number(bias)? as f32));
            }
            continue;
        }
        let number = number(value)?;
        match name.as_str() {
            "temperature" => params.temperature = number as f32,
            "top_k" => params.top_k = Some(number as u32),
            "top_p" => params.top_p = number as f32,
            "min_p" => params.min_p = number as f32,
            "repetition_penalty" => params.repetition_penalty = number as f32,
            "frequency_penalty" => params.frequency_penalty = number as f32,
            "presence_penalty" => params.presence_penalty = number as f32,
            other => return Err(format!("parameter {other} is not known to this test")),
        }
    }
    Ok(params)
}

fn number(value: &Value) -> Result<f64, String> {
    value.as_f64().ok_or_else(|| format!("{value} is not a number"))
}

fn numbers(value: &Value) -> Result<Vec<f64>, String> {
    value.as_array().ok_or("not a list of numbers")?.iter().map(number).collect()
}

fn ids(value: &Value) -> Result<Vec<u32>, String> {
    Ok(numbers(value)?.into_iter().map(|n| n as u32).collect())
}

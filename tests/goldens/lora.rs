//! Adapters: PEFT's logits and greedy tokens with them, and the losses that fine-tuning ended with.

use std::path::{Path, PathBuf};

use model_runtime::backend::Backend;
use serde_json::{Value, json};

use super::causal::{self, Sequence, close, ids, log_softmax, tensor};
use super::{Outcome, Verdict, json as read_json};

/// Compares an adapter's folder, on every model that it says it is for.
pub(super) fn run(path: &Path) -> Outcome {
    let golden = read_json(&path.join("golden.json"))?;
    let tensors = std::fs::read(path.join("golden.safetensors")).map_err(|e| e.to_string())?;
    let tensors = safetensors::SafeTensors::deserialize(&tensors).map_err(|e| e.to_string())?;
    let (bases, prompts) = (golden["bases"].as_array(), golden["prompts"].as_array());
    let (Some(bases), Some(prompts)) = (bases, prompts) else { return Err("no bases or no prompts".into()) };
    if bases.is_empty() || prompts.is_empty() {
        return Err("nothing to compare".into());
    }
    for base in bases.iter().filter_map(Value::as_str) {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join(base);
        for prompt in prompts {
            let named = |backend: &str, why| format!("{base}, {backend}, {}: {why}", prompt["name"]);
            one_prompt(causal::cpu()?, &model, path, prompt, &tensors).map_err(|why| named("cpu", why))?;
            #[cfg(feature = "candle")]
            one_prompt(causal::candle(), &model, path, prompt, &tensors)
                .map_err(|why| named("candle", why))?;
        }
    }
    Ok(Verdict::Ran)
}

fn one_prompt<B: Backend>(
    backend: B,
    model: &Path,
    adapter: &Path,
    prompt: &Value,
    tensors: &safetensors::SafeTensors<'_>,
) -> Result<(), String> {
    let name = prompt["name"].as_str().unwrap_or_default();
    let (input, greedy) = (ids(&prompt["input_ids"]), ids(&prompt["greedy_ids"]));
    if greedy == ids(&prompt["base_greedy_ids"]) {
        return Err("the adapter changes nothing that this would see".into());
    }
    let positions = input.len() + greedy.len() + 1;
    let mut sequence = Sequence::load_adapted(backend, model, Some(adapter), positions)?;
    let logits = sequence.step(&input, 0, input.len())?;
    close("logits", &logits.concat(), &tensor(tensors, &format!("{name}.logits"))?)?;
    let (tokens, _) = sequence.greedy(&input, greedy.len())?;
    let found: Vec<u32> = tokens.into_iter().map(|(id, _)| id).collect();
    if found != greedy {
        return Err(format!("greedy ids {found:?}, expected {greedy:?}"));
    }
    Ok(())
}

/// The run that ends in an adapter.
const RUN: &str = "chat-completion-lora";

/// Compares the losses that a model has with the adapter that was trained for it.
pub(super) fn trained(path: &Path) -> Outcome {
    let golden = read_json(path)?;
    let run = &golden["runs"][RUN];
    let (Some(examples), Some(losses)) = (run["data"].as_array(), run["final_losses"].as_array()) else {
        return Err(format!("no run {RUN}"));
    };
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    convert(path, run, folder.path()).map_err(|e| format!("{RUN}: {e}"))?;
    let root = path.parent().and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default();
    let model: PathBuf = root.join("tiny/llama3");
    for (example, expected) in examples.iter().zip(losses) {
        let expected = expected.as_f64().ok_or("a loss is no number")? as f32;
        let (input, labels) = (ids(&example["input_ids"]), &example["labels"]);
        let adapter = Some(folder.path());
        let cpu = Sequence::load_adapted(causal::cpu()?, &model, adapter, input.len())?;
        close("loss on cpu", &[loss(cpu, &input, labels)?], &[expected])?;
        #[cfg(feature = "candle")]
        {
            let candle = Sequence::load_adapted(causal::candle(), &model, adapter, input.len())?;
            close("loss on candle", &[loss(candle, &input, labels)?], &[expected])?;
        }
    }
    if examples.len() == losses.len() && !losses.is_empty() {
        return Ok(Verdict::Ran);
    }
    Err(format!("{} examples and {} losses", examples.len(), losses.len()))
}

/// The mean cross entropy of every row against the label behind it, where that is not masked.
fn loss<B: Backend>(mut sequence: Sequence<B>, input: &[u32], labels: &Value) -> Result<f32, String> {
    let logits = sequence.step(input, 0, input.len())?;
    let labels = labels.as_array().into_iter().flatten().skip(1);
    let seen = logits.iter().zip(labels).filter_map(|(row, label)| Some((row, label.as_u64()? as u32)));
    let terms: Vec<f32> = seen.map(|(row, label)| -log_softmax(row, label)).collect();
    Ok(terms.iter().sum::<f32>() / terms.len() as f32)
}

/// Writes the trained tensors in the layout of PEFT.
fn convert(golden: &Path, run: &Value, folder: &Path) -> Result<(), String> {
    let file = golden.with_file_name(run["tensors"].as_str().unwrap_or_default());
    let bytes = std::fs::read(file).map_err(|e| e.to_string())?;
    let tensors = safetensors::SafeTensors::deserialize(&bytes).map_err(|e| e.to_string())?;
    let trained = tensors.tensors().into_iter().filter(|(name, _)| !name.starts_with("init."));
    let renamed = trained.map(|(name, view)| (format!("base_model.model.{name}.weight"), view));
    let file = folder.join("adapter_model.safetensors");
    safetensors::serialize_to_file(renamed, None, &file).map_err(|e| e.to_string())?;
    let parameters = &run["hyperparameters"];
    let config = json!({
        "peft_type": "LORA",
        "r": parameters["lora_r"],
        "lora_alpha": parameters["lora_alpha"],
        "target_modules": parameters["lora_targets"],
    });
    std::fs::write(folder.join("adapter_config.json"), config.to_string()).map_err(|e| e.to_string())
}

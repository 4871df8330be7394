//! Goldens of a GGUF file: dequantised tensors, logits and greedy tokens.

use std::path::Path;

use model_runtime::backend::Backend;
use model_runtime::models::SUPPORTED_GGUF;
use model_runtime::weights::{Checkpoint, TensorInfo};
use safetensors::SafeTensors;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::causal::{self, Sequence, close, ids, tensor};
use super::{Outcome, Verdict, children, json};

/// Compares one item.
pub(super) fn run(path: &Path) -> Outcome {
    let Some(entry) = entry(path)? else {
        return Err("no *golden.json beside it has an entry for it".into());
    };
    let dequantised = dequantisation(path, &entry)?;
    let generated = generation(path, &entry)?;
    if dequantised + generated == 0 {
        return Ok(Verdict::Skipped("its golden has nothing to compare".into()));
    }
    Ok(Verdict::Ran)
}

/// Logits behind every prompt and the greedy tokens after it, on the dequantised weights. Returns how many prompts
/// there were.
fn generation(path: &Path, entry: &Value) -> Result<usize, String> {
    let checkpoint = Checkpoint::open(path).map_err(|e| e.to_string())?;
    let architecture =
        checkpoint.metadata().require_str("general.architecture").map_err(|e| e.to_string())?;
    if !SUPPORTED_GGUF.contains(&architecture) {
        return Ok(0);
    }
    let prompts = entry["prompts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows_file = match entry["golden"].as_str() {
        Some(name) => name.to_string(),
        None => format!("{}.golden.safetensors", path.file_stem().unwrap_or_default().to_string_lossy()),
    };
    let bytes = std::fs::read(path.with_file_name(&rows_file)).map_err(|e| format!("{rows_file}: {e}"))?;
    let golden = SafeTensors::deserialize(&bytes).map_err(|e| format!("{rows_file}: {e}"))?;
    for prompt in prompts {
        one_prompt(causal::cpu()?, path, prompt, &golden).map_err(|why| format!("cpu: {why}"))?;
        #[cfg(feature = "candle")]
        one_prompt(causal::candle(), path, prompt, &golden).map_err(|why| format!("candle: {why}"))?;
    }
    Ok(prompts.len())
}

fn one_prompt<B: Backend>(
    backend: B,
    path: &Path,
    prompt: &Value,
    golden: &SafeTensors<'_>,
) -> Result<(), String> {
    let name = prompt["name"].as_str().unwrap_or_default();
    let (input, greedy) = (ids(&prompt["input_ids"]), ids(&prompt["greedy_ids"]));
    let mut sequence = Sequence::load(backend, path, input.len() + greedy.len() + 1)?;
    let (tokens, logits) = sequence.greedy(&input, greedy.len())?;
    close(&format!("{name}.last_logits"), &logits, &tensor(golden, &format!("{name}.last_logits"))?)?;
    let found: Vec<u32> = tokens.into_iter().map(|(id, _)| id).collect();
    if found != greedy {
        return Err(format!("{name}: greedy ids {found:?}, expected {greedy:?}"));
    }
    Ok(())
}

/// Every tensor, widened to `f32`, against the SHA-256 of what gguf-py makes of it, and the rows that stand verbatim
/// in `*.golden.safetensors` (tensors `dequant.NAME`) against theirs. Returns how many were compared.
fn dequantisation(path: &Path, entry: &Value) -> Result<usize, String> {
    let checkpoint = Checkpoint::open(path).map_err(|e| e.to_string())?;
    let hashes = entry.get("dequant_sha256").and_then(Value::as_object);
    let rows_file = entry.get("golden").and_then(Value::as_str);
    let mut compared = 0;
    if let Some(hashes) = hashes {
        for tensor in checkpoint.tensors() {
            if !hashes.contains_key(tensor.name()) {
                return Err(format!("tensor {} has no hash", tensor.name()));
            }
        }
        for (name, expected) in hashes {
            let found = hash(&checkpoint, name)?;
            if Some(found.as_str()) != expected.as_str() {
                return Err(format!("tensor {name}: sha256 {found} against {expected}"));
            }
            compared += 1;
        }
    }
    if let Some(rows_file) = rows_file {
        let bytes = std::fs::read(path.with_file_name(rows_file)).map_err(|e| format!("{rows_file}: {e}"))?;
        let golden = SafeTensors::deserialize(&bytes).map_err(|e| format!("{rows_file}: {e}"))?;
        for (name, expected) in golden.tensors() {
            let Some(name) = name.strip_prefix("dequant.") else { continue };
            rows(&checkpoint, name, expected.shape(), expected.data())?;
            compared += 1;
        }
    }
    Ok(compared)
}

/// The entry of the golden files beside `path` that is about it.
fn entry(path: &Path) -> Result<Option<Value>, String> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|name| name.to_str());
    for golden in children(folder) {
        if golden.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with("golden.json"))
        {
            let golden = json(&golden)?;
            let files = golden["files"].as_array().into_iter().flatten();
            if let Some(found) = files.into_iter().find(|file| file["file"].as_str() == name) {
                return Ok(Some(found.clone()));
            }
        }
    }
    Ok(None)
}

/// SHA-256 of all elements as `f32`, little endian; read in several calls, as loading a model does.
fn hash(checkpoint: &Checkpoint, name: &str) -> Result<String, String> {
    const ROWS: usize = 100;
    let tensor = checkpoint.tensor(name).map_err(|e| e.to_string())?;
    let mut hasher = Sha256::new();
    for start in (0..tensor.rows()).step_by(ROWS) {
        let count = ROWS.min(tensor.rows() - start);
        hasher.update(bytes(checkpoint, tensor, start, count)?);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn rows(checkpoint: &Checkpoint, name: &str, shape: &[usize], expected: &[u8]) -> Result<(), String> {
    let tensor = checkpoint.tensor(name).map_err(|e| e.to_string())?;
    let &[count, columns] = shape else { return Err(format!("{name}: golden rows of shape {shape:?}")) };
    if columns != tensor.cols() || count > tensor.rows() {
        return Err(format!("tensor {name}: shape {:?} against rows of shape {shape:?}", tensor.shape()));
    }
    if bytes(checkpoint, tensor, 0, count)? != expected {
        return Err(format!("tensor {name}: the first {count} rows differ"));
    }
    Ok(())
}

fn bytes(
    checkpoint: &Checkpoint,
    tensor: &TensorInfo,
    start: usize,
    count: usize,
) -> Result<Vec<u8>, String> {
    let mut values = vec![0.0f32; count * tensor.cols()];
    checkpoint.read_rows_f32(tensor, start..start + count, &mut values).map_err(|e| e.to_string())?;
    Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

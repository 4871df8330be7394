//! An adapter beside a model is the model with the adapter merged into its weights: for every architecture and module.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::backend::cpu::{CacheType, Compute, CpuBackend, CpuOptions};
use crate::backend::tests::Numbers;
use crate::backend::{AdapterId, Backend, Batch};
use crate::models::{CausalSources, ModelError};
use crate::weights::Checkpoint;

const RANK: usize = 5;
const ALPHA: f64 = 7.5;

/// Tensors by name: shape and values.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn tiny(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny").join(name)
}

fn write(path: &Path, tensors: &Tensors) {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for (name, (shape, values)) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
        header.insert(name.clone(), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    std::fs::write(path, [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()).unwrap();
}

/// A model's folder with these tensors.
fn model(like: &str, tensors: &Tensors) -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::copy(tiny(like).join("config.json"), folder.path().join("config.json")).unwrap();
    write(&folder.path().join("model.safetensors"), tensors);
    folder
}

/// An adapter's folder.
fn adapter(config: &Value, tensors: &Tensors) -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("adapter_config.json"), config.to_string()).unwrap();
    write(&folder.path().join("adapter_model.safetensors"), tensors);
    folder
}

fn config() -> Value {
    json!({"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA})
}

/// All of a checkpoint's tensors, widened.
fn widened(checkpoint: &Checkpoint) -> Tensors {
    let read = |tensor: &crate::weights::TensorInfo| {
        let mut values = vec![0.0; tensor.elements()];
        checkpoint.read_rows_f32(tensor, 0..tensor.rows(), &mut values).unwrap();
        (tensor.name().to_owned(), (tensor.shape().to_vec(), values))
    };
    checkpoint.tensors().map(read).collect()
}

/// The logits of every row of two texts in one step, the first of which has the adapter if there is one.
fn logits(folder: &Path, adapter: Option<&Path>) -> Vec<Vec<f32>> {
    let options = CpuOptions::default().threads(1).compute(Compute::F32).cache(CacheType::F32);
    let backend = CpuBackend::new(options).unwrap();
    let checkpoint = Checkpoint::open(folder).unwrap();
    let sources = CausalSources::resolve(&checkpoint).unwrap();
    let adapter = adapter.map(|folder| {
        let files = Checkpoint::open_adapter(folder).unwrap();
        let found = AdapterSources::resolve(&files, &sources.adaptable()).unwrap();
        Arc::new(found.load(&backend).unwrap())
    });
    let mut cache = backend.new_cache(&sources.cache_shape(4)).unwrap();
    let model = sources.load(&backend, &mut |_| ControlFlow::Continue(())).unwrap();
    let mut batch = Batch::default();
    let id = AdapterId(u32::from(adapter.is_some()));
    let ids = [3, 14, 15, 9, 2, 6, 5, 35, 8, 97, 93, 2, 38, 4, 62, 64, 33, 8];
    batch.push(&ids[..5], 0, &[3], 2);
    batch.push_adapted(id, &ids, 0, &[2, 0], 7);
    let mut step = StepAdapters::default();
    step.fill(&batch, |_| adapter.clone()).unwrap();
    let found = model.forward(&backend, &batch, &step, &mut cache).unwrap();
    let mut buffer = Vec::new();
    let values = backend.read(&found, &mut buffer).unwrap();
    values.chunks_exact(model.vocab_size()).map(<[f32]>::to_vec).collect()
}

/// The largest difference.
fn apart(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, |most, apart| if apart > most { apart } else { most })
}

/// For every kind of module, an adapter of all its modules; then one of everything.
fn merged_is_beside(name: &str, expected: &[&str]) {
    let checkpoint = Checkpoint::open(&tiny(name)).unwrap();
    let adaptable = CausalSources::resolve(&checkpoint).unwrap().adaptable();
    let kinds: Vec<String> = adaptable.kinds().into_iter().map(str::to_owned).collect();
    assert_eq!(kinds, expected, "{name}");
    let base = widened(&checkpoint);
    let base_folder = model(name, &base);
    let before = logits(base_folder.path(), None);
    let mut numbers = Numbers(9);
    for chosen in kinds.iter().map(|kind| vec![kind.clone()]).chain([kinds.clone()]) {
        let (mut merged, mut factors) = (base.clone(), Tensors::new());
        for (tensor, (shape, weight)) in &mut merged {
            let Some(module) = tensor.strip_suffix(".weight") else { continue };
            let is_chosen = chosen.iter().any(|kind| site::kind(module) == kind);
            if !is_chosen || adaptable.find(module).next().is_none() {
                continue;
            }
            let [outputs, inputs] = shape[..] else { continue };
            let down: Vec<f32> = numbers.take(RANK * inputs).iter().map(|value| value * 0.3).collect();
            let up: Vec<f32> = numbers.take(outputs * RANK).iter().map(|value| value * 0.3).collect();
            for (at, value) in weight.iter_mut().enumerate() {
                let (row, column) = (at / inputs, at % inputs);
                let terms =
                    (0..RANK).map(|k| f64::from(up[row * RANK + k]) * f64::from(down[k * inputs + column]));
                *value = (f64::from(*value) + ALPHA / RANK as f64 * terms.sum::<f64>()) as f32;
            }
            let stem = format!("base_model.model.{module}");
            factors.insert(format!("{stem}.lora_A.weight"), (vec![RANK, inputs], down));
            factors.insert(format!("{stem}.lora_B.weight"), (vec![outputs, RANK], up));
        }
        let (merged, beside) = (model(name, &merged), adapter(&config(), &factors));
        let (merged, beside) = (logits(merged.path(), None), logits(base_folder.path(), Some(beside.path())));
        assert!(apart(&before[2..], &beside[2..]) > 0.01, "{name} {chosen:?}: nothing has changed");
        let most = merged.iter().flatten().fold(1.0f32, |most, value| most.max(value.abs()));
        let apart = apart(&merged[2..], &beside[2..]);
        assert!(apart < 2e-4 * most, "{name} {chosen:?}: {apart} apart, values up to {most}");
        // The rows of the other text, bit for bit.
        assert!(before[..2] == beside[..2], "{name} {chosen:?}: the other text has changed");
    }
}

#[test]
fn llama_and_mistral() {
    let all = ["down_proj", "gate_proj", "k_proj", "lm_head", "o_proj", "q_proj", "up_proj", "v_proj"];
    merged_is_beside("llama3", &all);
    merged_is_beside("mistral", &all);
}

#[test]
fn attention_of_mixtral() {
    merged_is_beside("mixtral", &["k_proj", "lm_head", "o_proj", "q_proj", "v_proj"]);
}

#[test]
fn mpt() {
    merged_is_beside("mpt", &["Wqkv", "down_proj", "out_proj", "up_proj"]);
}

#[test]
fn attention_of_dbrx() {
    merged_is_beside("dbrx", &["Wqkv", "lm_head", "out_proj"]);
}

#[test]
fn deepseek_but_for_what_is_absorbed() {
    let all = [
        "down_proj",
        "gate_proj",
        "kv_a_proj_with_mqa",
        "lm_head",
        "o_proj",
        "q_a_proj",
        "q_b_proj",
        "up_proj",
    ];
    merged_is_beside("deepseek_v3", &all);
}

/// What an adapter of one query projection is refused for, changed by `change`.
fn refused(name: &str, change: impl FnOnce(&mut Value, &mut Tensors)) -> String {
    let checkpoint = Checkpoint::open(&tiny(name)).unwrap();
    let adaptable = CausalSources::resolve(&checkpoint).unwrap().adaptable();
    let stem = "base_model.model.model.layers.0.self_attn.q_proj";
    let mut tensors = Tensors::from([
        (format!("{stem}.lora_A.weight"), (vec![RANK, 64], vec![0.5; RANK * 64])),
        (format!("{stem}.lora_B.weight"), (vec![64, RANK], vec![0.5; 64 * RANK])),
    ]);
    let mut config = config();
    change(&mut config, &mut tensors);
    let folder = adapter(&config, &tensors);
    let files = Checkpoint::open_adapter(folder.path()).unwrap();
    match AdapterSources::resolve(&files, &adaptable) {
        Ok(sources) => format!("taken: rank {}, {:?}", sources.rank(), sources.modules().collect::<Vec<_>>()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_tensor_without_a_place_is_named() {
    assert_eq!(refused("llama3", |_, _| {}), "taken: rank 5, [\"q_proj\"]");
    let add = |name: &str| {
        let name = name.to_owned();
        move |_: &mut Value, tensors: &mut Tensors| {
            tensors.insert(name, (vec![RANK, 64], vec![0.0; RANK * 64]));
        }
    };
    for (model, name) in [
        ("llama3", "base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight"),
        ("llama3", "base_model.model.model.embed_tokens.lora_A.weight"),
        ("mixtral", "base_model.model.model.layers.0.block_sparse_moe.experts.0.w1.lora_A.weight"),
        ("mixtral", "base_model.model.model.layers.0.block_sparse_moe.gate.lora_A.weight"),
    ] {
        let message = refused(model, add(name));
        assert!(message.contains(name) && message.contains("q_proj"), "{message}");
        assert!(message.contains("is no module of this model that takes an adapter"), "{message}");
    }
    for name in [
        "base_model.model.model.embed_tokens.lora_embedding_A",
        "base_model.model.lm_head.base_layer.weight",
        "model.layers.0.self_attn.k_proj.lora_A.weight",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector",
    ] {
        let message = refused("llama3", add(name));
        assert!(message.contains(name) && message.contains("lora_A.weight"), "{message}");
    }
    let alone = "base_model.model.model.layers.1.self_attn.k_proj.lora_A.weight";
    let message = refused("llama3", add(alone));
    assert!(message.contains(alone) && message.contains("no counterpart"), "{message}");
    let twice = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight";
    assert!(refused("llama3", add(twice)).contains("the same factor"));
    assert!(refused("llama3", |_, tensors| tensors.clear()).contains("has no tensors"));
    // What is absorbed per head is no product.
    let absorbed = "base_model.model.model.layers.0.self_attn.kv_b_proj.lora_A.weight";
    let message = refused("deepseek_v3", |_, tensors| {
        tensors.clear();
        tensors.insert(absorbed.into(), (vec![RANK, 8], vec![0.0; RANK * 8]));
    });
    assert!(message.contains(absorbed) && message.contains("absorbed per head"), "{message}");
}

#[test]
fn older_names_are_the_same_tensors() {
    let message = refused("llama3", |_, tensors| {
        let renamed = std::mem::take(tensors).into_iter();
        tensors.extend(renamed.map(|(name, tensor)| (name.replace(".weight", ".default.weight"), tensor)));
    });
    assert_eq!(message, "taken: rank 5, [\"q_proj\"]");
}

#[test]
fn shapes_are_those_of_rank_and_model() {
    for (name, shape) in [
        ("lora_A", [RANK, 63]),
        ("lora_A", [RANK + 1, 64]),
        ("lora_B", [63, RANK]),
        ("lora_B", [64, RANK - 1]),
    ] {
        let message = refused("llama3", |_, tensors| {
            let tensor = tensors.iter_mut().find(|(key, _)| key.contains(name)).unwrap().1;
            *tensor = (shape.to_vec(), vec![0.0; shape[0] * shape[1]]);
        });
        assert!(message.contains(name) && message.contains(&format!("{shape:?}")), "{message}");
    }
    let message = refused("llama3", |config, _| config["rank_pattern"] = json!({"q_proj": 4}));
    assert!(message.contains("[4, 64]"), "{message}");
}

#[test]
fn what_is_more_than_lora_is_refused_by_its_key() {
    for (key, value) in [
        ("peft_type", json!("IA3")),
        ("use_dora", json!(true)),
        ("bias", json!("lora_only")),
        ("modules_to_save", json!(["lm_head"])),
        ("fan_in_fan_out", json!(true)),
        ("layer_replication", json!([[0, 2]])),
        ("lora_bias", json!(true)),
        ("target_parameters", json!(["experts.w1"])),
        ("trainable_token_indices", json!([1])),
        ("alora_invocation_tokens", json!([1, 2])),
        ("use_qalora", json!(true)),
        ("init_lora_weights", json!("pissa_niter_16")),
        ("something_newer", json!({"deeper": 1})),
        ("r", json!(0)),
        ("r", json!("8")),
        ("r", json!(1u64 << 40)),
        ("lora_alpha", json!(-1)),
        ("rank_pattern", json!({"q_proj": 0})),
        ("rank_pattern", json!({"layers\\.\\d+": 4})),
        ("alpha_pattern", json!({"q_proj": 0.0})),
    ] {
        let message = refused("llama3", |config, _| config[key] = value.clone());
        assert!(
            message.contains(key) && message.contains("adapter_config.json"),
            "{key}, {value}: {message}"
        );
    }
    for key in ["peft_type", "r", "lora_alpha"] {
        let message = refused("llama3", |config, _| drop(config.as_object_mut().unwrap().remove(key)));
        assert!(message.contains(key) && message.contains("missing"), "{message}");
    }
    let harmless = json!({
        "use_dora": false, "bias": "none", "modules_to_save": null, "init_lora_weights": "gaussian",
        "target_modules": "all-linear", "megatron_config": null, "loftq_config": {}, "something_newer": [],
    });
    let message = refused("llama3", |config, _| {
        config.as_object_mut().unwrap().extend(harmless.as_object().unwrap().clone());
    });
    assert!(message.starts_with("taken"), "{message}");
}

#[test]
fn patterns_count_in_their_order_and_end_a_name() {
    let config = json!({
        "peft_type": "LORA", "r": 8, "lora_alpha": 16,
        "rank_pattern": {"z.q_proj": 2, "q_proj": 4, "^k_proj": 6}, "alpha_pattern": {"q_proj": 3},
    });
    let mut config = LoraConfig::from_json(config.to_string().as_bytes()).unwrap();
    let ranks = ["a.z.q_proj", "a.q_proj", "q_proj", "a.xq_proj", "k_proj", "a.k_proj"];
    assert_eq!(ranks.map(|module| config.rank(module)), [2, 4, 4, 8, 6, 8]);
    assert_eq!((config.scale("a.q_proj"), config.scale("v_proj")), (0.75, 2.0));
    config.use_rslora = true;
    assert_eq!((config.scale("a.q_proj"), config.scale("v_proj")), (1.5, (16.0 / 8f64.sqrt()) as f32));
}

#[test]
fn a_damaged_file_is_an_error() {
    let folder = adapter(&config(), &Tensors::from([("x".into(), (vec![2, 2], vec![0.0; 4]))]));
    let weights = folder.path().join("adapter_model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    for len in [0, 7, 20, bytes.len() - 1] {
        std::fs::write(&weights, &bytes[..len]).unwrap();
        Checkpoint::open_adapter(folder.path()).unwrap_err();
    }
    std::fs::remove_file(&weights).unwrap();
    let message = Checkpoint::open_adapter(folder.path()).unwrap_err().to_string();
    assert!(message.contains("adapter_model.safetensors"), "{message}");
    std::fs::write(&weights, &bytes).unwrap();
    std::fs::remove_file(folder.path().join("adapter_config.json")).unwrap();
    let files = Checkpoint::open_adapter(folder.path()).unwrap();
    let checkpoint = Checkpoint::open(&tiny("llama3")).unwrap();
    let model = CausalSources::resolve(&checkpoint).unwrap().adaptable();
    let error = AdapterSources::resolve(&files, &model).unwrap_err();
    assert!(matches!(error, ModelError::Missing { .. }), "{error}");
}

proptest! {
    #[test]
    fn any_bytes_are_a_configuration_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(LoraConfig::from_json(&bytes));
    }
}

//! A BERT of any shape with random weights, in the layout of sentence-transformers.

use std::fs;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::Failure;
use super::weights::{self, Tensor};

/// Whose tokenizer the model uses.
const TOKENIZER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tokenizers/bert-uncased");
/// Its tokens.
const VOCAB: usize = 30522;
/// The longest text.
const POSITIONS: usize = 512;

/// What distinguishes one BERT from another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) layers: usize,
    /// Width of the residual stream; a multiple of `heads`.
    pub(crate) hidden: usize,
    pub(crate) heads: usize,
    /// Width of the feed-forward network.
    pub(crate) intermediate: usize,
}

fn tensors(a: Shape) -> Vec<Tensor> {
    let mut tensors = Vec::new();
    for (name, rows) in [("word", VOCAB), ("position", POSITIONS), ("token_type", 2)] {
        tensors.push((format!("embeddings.{name}_embeddings.weight"), rows, Some(a.hidden)));
    }
    let norm = |tensors: &mut Vec<Tensor>, stem: &str| {
        for of in ["weight", "bias"] {
            tensors.push((format!("{stem}.{of}"), a.hidden, None));
        }
    };
    norm(&mut tensors, "embeddings.LayerNorm");
    for layer in 0..a.layers {
        let stem = format!("encoder.layer.{layer}");
        for (name, rows, columns) in [
            ("attention.self.query", a.hidden, a.hidden),
            ("attention.self.key", a.hidden, a.hidden),
            ("attention.self.value", a.hidden, a.hidden),
            ("attention.output.dense", a.hidden, a.hidden),
            ("intermediate.dense", a.intermediate, a.hidden),
            ("output.dense", a.hidden, a.intermediate),
        ] {
            tensors.push((format!("{stem}.{name}.weight"), rows, Some(columns)));
            tensors.push((format!("{stem}.{name}.bias"), rows, None));
        }
        norm(&mut tensors, &format!("{stem}.attention.output.LayerNorm"));
        norm(&mut tensors, &format!("{stem}.output.LayerNorm"));
    }
    tensors
}

/// Writes the model into a temporary folder. Its vectors are those of the first token, of unit length, as BGE's are.
pub(crate) fn write(a: Shape) -> Result<TempDir, Failure> {
    let folder = tempfile::tempdir()?;
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(Path::new(TOKENIZER).join(name), folder.path().join(name))?;
    }
    let file = |name: &str, value: serde_json::Value| -> Result<(), Failure> {
        Ok(fs::write(folder.path().join(name), serde_json::to_vec_pretty(&value)?)?)
    };
    file(
        "config.json",
        json!({
            "architectures": ["BertModel"],
            "model_type": "bert",
            "hidden_size": a.hidden,
            "num_hidden_layers": a.layers,
            "num_attention_heads": a.heads,
            "intermediate_size": a.intermediate,
            "vocab_size": VOCAB,
            "max_position_embeddings": POSITIONS,
            "type_vocab_size": 2,
            "layer_norm_eps": 1e-12,
            "hidden_act": "gelu",
            "torch_dtype": "float32",
        }),
    )?;
    let module = |at: usize, path: &str, of: &str| json!({ "idx": at, "name": at.to_string(), "path": path, "type": format!("sentence_transformers.models.{of}") });
    let modules = [
        module(0, "", "Transformer"),
        module(1, "1_Pooling", "Pooling"),
        module(2, "2_Normalize", "Normalize"),
    ];
    file("modules.json", json!(modules))?;
    fs::create_dir(folder.path().join("1_Pooling"))?;
    file(
        "1_Pooling/config.json",
        json!({ "word_embedding_dimension": a.hidden, "pooling_mode_cls_token": true }),
    )?;
    weights::write(&folder.path().join("model.safetensors"), &tensors(a))?;
    Ok(folder)
}

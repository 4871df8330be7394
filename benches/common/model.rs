//! A Llama of any shape with random weights, in the layout of a Hugging Face directory.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde_json::json;
use tempfile::TempDir;

use super::Failure;
use super::weights::{self, Tensor};

/// Whose tokenizer the model uses.
const TOKENIZER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/models/stories260K");
pub(crate) const TOKENIZER_VOCAB: usize = 512;

/// What distinguishes one Llama from another.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Shape {
    /// Width of the residual stream; a multiple of `heads`.
    pub(crate) hidden: usize,
    pub(crate) layers: usize,
    /// Query heads.
    pub(crate) heads: usize,
    /// Key and value heads; divides `heads`.
    pub(crate) kv_heads: usize,
    /// Width of the feed-forward network.
    pub(crate) intermediate: usize,
    /// At least the tokenizer's 512.
    pub(crate) vocab: usize,
    /// The longest context.
    pub(crate) context: usize,
}

fn tensors(a: &Shape) -> Vec<Tensor> {
    let kv = a.hidden / a.heads * a.kv_heads;
    let mut tensors = vec![("model.embed_tokens.weight".to_owned(), a.vocab, Some(a.hidden))];
    for layer in 0..a.layers {
        let mut add = |name: &str, rows, columns| {
            tensors.push((format!("model.layers.{layer}.{name}.weight"), rows, columns));
        };
        add("input_layernorm", a.hidden, None);
        add("self_attn.q_proj", a.hidden, Some(a.hidden));
        add("self_attn.k_proj", kv, Some(a.hidden));
        add("self_attn.v_proj", kv, Some(a.hidden));
        add("self_attn.o_proj", a.hidden, Some(a.hidden));
        add("post_attention_layernorm", a.hidden, None);
        add("mlp.gate_proj", a.intermediate, Some(a.hidden));
        add("mlp.up_proj", a.intermediate, Some(a.hidden));
        add("mlp.down_proj", a.hidden, Some(a.intermediate));
    }
    tensors.push(("model.norm.weight".to_owned(), a.hidden, None));
    tensors
}

/// How many weights the model has; the head is the embedding.
pub(crate) fn parameters(a: &Shape) -> usize {
    tensors(a).iter().map(|(_, rows, columns)| rows * columns.unwrap_or(1)).sum()
}

/// Writes the model into a temporary folder.
pub(crate) fn write(a: &Shape) -> Result<TempDir, Failure> {
    if a.heads == 0
        || a.kv_heads == 0
        || !a.hidden.is_multiple_of(a.heads)
        || !a.heads.is_multiple_of(a.kv_heads)
    {
        let (hidden, heads, kv_heads) = (a.hidden, a.heads, a.kv_heads);
        return Err(format!(
            "--hidden {hidden} must be a multiple of --heads {heads}, and that of --kv-heads {kv_heads}"
        )
        .into());
    }
    if a.vocab < TOKENIZER_VOCAB {
        return Err(format!("--vocab {} is less than the tokenizer's {TOKENIZER_VOCAB}", a.vocab).into());
    }
    let folder = tempfile::tempdir()?;
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(Path::new(TOKENIZER).join(name), folder.path().join(name))?;
    }
    let config = json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": a.hidden,
        "num_hidden_layers": a.layers,
        "num_attention_heads": a.heads,
        "num_key_value_heads": a.kv_heads,
        "head_dim": a.hidden / a.heads,
        "intermediate_size": a.intermediate,
        "vocab_size": a.vocab,
        "max_position_embeddings": a.context,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": true,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "float32",
    });
    fs::write(folder.path().join("config.json"), serde_json::to_vec_pretty(&config)?)?;
    weights::write(&folder.path().join("model.safetensors"), &tensors(a))?;
    Ok(folder)
}

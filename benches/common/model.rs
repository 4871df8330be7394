//! A Llama of any shape with random weights, in the layout of a Hugging Face directory.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::Failure;

/// Whose tokenizer the model uses.
const TOKENIZER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/models/stories260K");
pub(crate) const TOKENIZER_VOCAB: usize = 512;

/// What distinguishes one Llama from another.
#[derive(Debug, Clone, Copy)]
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

/// Every tensor: name, rows and columns; a vector has no columns.
fn tensors(a: &Shape) -> Vec<(String, usize, Option<usize>)> {
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
    weights(&folder.path().join("model.safetensors"), &tensors(a))?;
    Ok(folder)
}

/// A safetensors file: the length of the header, the header, the tensors one after the other.
fn weights(path: &Path, tensors: &[(String, usize, Option<usize>)]) -> Result<(), Failure> {
    let mut header = Map::new();
    let mut end = 0;
    for (name, rows, columns) in tensors {
        let start = end;
        end += rows * columns.unwrap_or(1) * size_of::<f32>();
        let shape: Vec<usize> = [Some(*rows), *columns].into_iter().flatten().collect();
        header.insert(name.clone(), json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, end] }));
    }
    let mut header = serde_json::to_vec(&Value::Object(header))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    let mut random = Random(1);
    for (_, rows, columns) in tensors {
        match columns {
            // Variance 1/columns keeps activations of unit size through any number of layers.
            Some(columns) => {
                let scale = (12.0 / *columns as f32).sqrt();
                for _ in 0..rows * columns {
                    file.write_all(&(random.centred() * scale).to_le_bytes())?;
                }
            }
            None => (0..*rows).try_for_each(|_| file.write_all(&1_f32.to_le_bytes()))?,
        }
    }
    Ok(file.flush()?)
}

/// Knuth's 64-bit linear congruential generator (MMIX): quick, and good enough for weights nobody reads.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// Uniform in -0.5..0.5.
    fn centred(&mut self) -> f32 {
        self.next() as f32 / (1_u64 << 31) as f32 - 0.5
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

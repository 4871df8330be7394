//! BERT from GGUF: the tiny BGE, written as a GGUF file, is the same model.

use std::path::Path;

use model_runtime::ModelRuntime;
use model_runtime::protocol::{Normalize, PoolingMode};
use model_runtime::runtime::EmbedOptions;
use model_runtime::weights::Checkpoint;
use serde_json::Value;

use super::super::tiny;
use super::{both, single};

/// Names of Hugging Face and of GGUF, the layer's number left out.
const NAMES: [(&str, &str); 12] = [
    ("embeddings.word_embeddings", "token_embd"),
    ("embeddings.position_embeddings", "position_embd"),
    ("embeddings.token_type_embeddings", "token_types"),
    ("embeddings.LayerNorm", "token_embd_norm"),
    ("attention.self.query", "attn_q"),
    ("attention.self.key", "attn_k"),
    ("attention.self.value", "attn_v"),
    ("attention.output.dense", "attn_output"),
    ("attention.output.LayerNorm", "attn_output_norm"),
    ("intermediate.dense", "ffn_up"),
    ("output.dense", "ffn_down"),
    ("output.LayerNorm", "layer_output_norm"),
];

/// `None` for what converters leave out: the head of BERT's own training.
fn renamed(name: &str) -> Option<String> {
    let (stem, kind) = name.rsplit_once('.').unwrap();
    let (layer, part) = match stem.strip_prefix("encoder.layer.") {
        Some(rest) => {
            let (layer, part) = rest.split_once('.').unwrap();
            (format!("blk.{layer}."), part)
        }
        None => (String::new(), stem),
    };
    let (_, gguf) = NAMES.iter().find(|(hugging_face, _)| *hugging_face == part)?;
    Some(format!("{layer}{gguf}.{kind}"))
}

/// A GGUF file that grows.
#[derive(Default)]
struct Gguf {
    entries: u64,
    metadata: Vec<u8>,
    tensors: u64,
    infos: Vec<u8>,
    data: Vec<u8>,
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

impl Gguf {
    fn entry(&mut self, key: &str, kind: u32, value: &[u8]) {
        self.entries += 1;
        self.metadata.extend(string(key));
        self.metadata.extend(kind.to_le_bytes());
        self.metadata.extend(value);
    }

    fn number(&mut self, key: &str, value: u32) {
        self.entry(key, 4, &value.to_le_bytes());
    }

    fn array(&mut self, key: &str, kind: u32, elements: &[Vec<u8>]) {
        let head = [&kind.to_le_bytes()[..], &(elements.len() as u64).to_le_bytes()].concat();
        self.entry(key, 9, &[head, elements.concat()].concat());
    }

    fn tensor(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.tensors += 1;
        self.infos.extend(string(name));
        self.infos.extend((shape.len() as u32).to_le_bytes());
        // Innermost first.
        shape.iter().rev().for_each(|&size| self.infos.extend((size as u64).to_le_bytes()));
        self.infos.extend(0u32.to_le_bytes());
        self.infos.extend((self.data.len() as u64).to_le_bytes());
        self.data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        self.data.resize(self.data.len().next_multiple_of(32), 0);
    }

    fn write(&self, path: &Path) {
        let mut file = Vec::from(*b"GGUF");
        file.extend(3u32.to_le_bytes());
        file.extend(self.tensors.to_le_bytes());
        file.extend(self.entries.to_le_bytes());
        file.extend(&self.metadata);
        file.extend(&self.infos);
        file.resize(file.len().next_multiple_of(32), 0);
        file.extend(&self.data);
        std::fs::write(path, file).unwrap();
    }
}

/// The tokens as converters spell them: those that begin a word are marked, and the others lose their mark.
fn vocabulary(folder: &Path) -> Vec<String> {
    let file = std::fs::read(folder.join("tokenizer.json")).unwrap();
    let tokenizer: Value = serde_json::from_slice(&file).unwrap();
    let vocab = tokenizer["model"]["vocab"].as_object().unwrap();
    let mut tokens: Vec<(u64, &str)> =
        vocab.iter().map(|(t, id)| (id.as_u64().unwrap(), t.as_str())).collect();
    tokens.sort_unstable();
    let special = |token: &str| token.len() > 2 && token.starts_with('[') && token.ends_with(']');
    let spelled = |token: &str| match token.strip_prefix("##") {
        Some(rest) => rest.to_string(),
        None if special(token) => token.to_string(),
        None => format!("\u{2581}{token}"),
    };
    tokens.into_iter().map(|(_, token)| spelled(token)).collect()
}

fn write_gguf(folder: &Path, file: &Path, pooling: u32) {
    let mut gguf = Gguf::default();
    gguf.entry("general.architecture", 8, &string("bert"));
    for (key, value) in [
        ("bert.embedding_length", 64),
        ("bert.feed_forward_length", 160),
        ("bert.block_count", 3),
        ("bert.attention.head_count", 4),
        ("bert.context_length", 96),
        ("bert.pooling_type", pooling),
        ("tokenizer.ggml.cls_token_id", 101),
        ("tokenizer.ggml.seperator_token_id", 102),
        ("tokenizer.ggml.unknown_token_id", 100),
    ] {
        gguf.number(key, value);
    }
    gguf.entry("bert.attention.causal", 7, &[0]);
    gguf.entry("bert.attention.layer_norm_epsilon", 6, &1e-12f32.to_le_bytes());
    gguf.entry("tokenizer.ggml.model", 8, &string("bert"));
    let tokens = vocabulary(folder);
    let types = tokens.iter().map(|token| if token.starts_with('[') { 3i32 } else { 1 });
    let types: Vec<Vec<u8>> = types.map(|kind| kind.to_le_bytes().to_vec()).collect();
    let tokens: Vec<Vec<u8>> = tokens.iter().map(|token| string(token)).collect();
    gguf.array("tokenizer.ggml.tokens", 8, &tokens);
    gguf.array("tokenizer.ggml.token_type", 5, &types);
    let checkpoint = Checkpoint::open(folder).unwrap();
    for tensor in checkpoint.tensors() {
        let Some(name) = renamed(tensor.name()) else { continue };
        let mut values = vec![0.0; tensor.elements()];
        checkpoint.read_rows_f32(tensor, 0..tensor.rows(), &mut values).unwrap();
        gguf.tensor(&name, tensor.shape(), &values);
    }
    gguf.write(file);
}

#[test]
fn a_gguf_file_gives_the_vectors_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bge.gguf");
    let runtime = both();
    let texts = ["What is Deep Learning?", "naïve café 日本語 😁", "unbelievable"];
    for (pooling, mode) in [(1, PoolingMode::Mean), (2, PoolingMode::Cls), (3, PoolingMode::Last)] {
        write_gguf(&tiny("bert_bge"), &file, pooling);
        let info = runtime.serve("gguf", &*file, single()).unwrap().embedding.unwrap();
        // The format has no key for it: what its programs do.
        assert_eq!((info.pooling, info.normalize, info.max_tokens), (mode, Normalize::L2, 96));
        let found = runtime.embed("gguf", texts, EmbedOptions::default()).unwrap();
        let expected = runtime.embed("bge", texts, EmbedOptions::default().pooling(mode)).unwrap();
        assert_eq!(found.values(), expected.values());
        assert_eq!(found.rows(), expected.rows());
        runtime.remove("gguf").unwrap();
    }
    write_gguf(&tiny("bert_bge"), &file, 4);
    let error = ModelRuntime::builder().build().unwrap().serve("rank", &*file, single()).unwrap_err();
    assert!(error.message().contains("bert.pooling_type"), "{error}");
}

//! What the tensors of BERT are called in each format.

use crate::weights::Format;

/// Where Hugging Face folders of models with a head have the encoder.
pub(super) const PREFIX: &str = "bert.";

/// A weight of BERT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The embedding of tokens.
    Words,
    /// The embedding of positions.
    Positions,
    /// The embedding of segments.
    Types,
    /// The norm of the embeddings.
    EmbeddingNorm,
    /// The query projection.
    Query(usize),
    /// The key projection.
    Key(usize),
    /// The value projection.
    Value(usize),
    /// The projection behind attention.
    Output(usize),
    /// The norm behind attention.
    AttentionNorm(usize),
    /// Up, in the feed-forward network.
    Up(usize),
    /// Down, in the feed-forward network.
    Down(usize),
    /// The norm behind the feed-forward network.
    MlpNorm(usize),
}

impl Part {
    /// The name without `.weight` or `.bias`; `prefix` is for Hugging Face names.
    pub(super) fn stem(self, format: Format, prefix: &str) -> String {
        let (layer, hugging_face, gguf) = match self {
            Self::Words => (None, "embeddings.word_embeddings", "token_embd"),
            Self::Positions => (None, "embeddings.position_embeddings", "position_embd"),
            Self::Types => (None, "embeddings.token_type_embeddings", "token_types"),
            Self::EmbeddingNorm => (None, "embeddings.LayerNorm", "token_embd_norm"),
            Self::Query(layer) => (Some(layer), "attention.self.query", "attn_q"),
            Self::Key(layer) => (Some(layer), "attention.self.key", "attn_k"),
            Self::Value(layer) => (Some(layer), "attention.self.value", "attn_v"),
            Self::Output(layer) => (Some(layer), "attention.output.dense", "attn_output"),
            Self::AttentionNorm(layer) => (Some(layer), "attention.output.LayerNorm", "attn_output_norm"),
            Self::Up(layer) => (Some(layer), "intermediate.dense", "ffn_up"),
            Self::Down(layer) => (Some(layer), "output.dense", "ffn_down"),
            Self::MlpNorm(layer) => (Some(layer), "output.LayerNorm", "layer_output_norm"),
        };
        match (format, layer) {
            (Format::HuggingFace, None) => format!("{prefix}{hugging_face}"),
            (Format::HuggingFace, Some(layer)) => format!("{prefix}encoder.layer.{layer}.{hugging_face}"),
            (Format::Gguf, None) => gguf.into(),
            (Format::Gguf, Some(layer)) => format!("blk.{layer}.{gguf}"),
        }
    }
}

//! What the tensors of a Llama-like model are called in each format.

use crate::weights::Format;

/// A weight of a Llama-like model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The token embedding.
    Embedding,
    /// The norm after the last layer.
    FinalNorm,
    /// The output head.
    Head,
    /// The norm before attention.
    AttentionNorm(usize),
    /// The query projection.
    Query(usize),
    /// The key projection.
    Key(usize),
    /// The value projection.
    Value(usize),
    /// The projection behind attention.
    Output(usize),
    /// The norm before the feed-forward network.
    MlpNorm(usize),
    /// The gate of the feed-forward network.
    Gate(usize),
    /// Its up projection.
    Up(usize),
    /// Its down projection.
    Down(usize),
    /// The router of a mixture of experts.
    Router(usize),
}

impl Part {
    /// The name without `.weight` or `.bias`.
    pub(super) fn stem(self, format: Format) -> String {
        let (layer, hugging_face, gguf) = match self {
            Self::Embedding => (None, "model.embed_tokens", "token_embd"),
            Self::FinalNorm => (None, "model.norm", "output_norm"),
            Self::Head => (None, "lm_head", "output"),
            Self::AttentionNorm(layer) => (Some(layer), "input_layernorm", "attn_norm"),
            Self::Query(layer) => (Some(layer), "self_attn.q_proj", "attn_q"),
            Self::Key(layer) => (Some(layer), "self_attn.k_proj", "attn_k"),
            Self::Value(layer) => (Some(layer), "self_attn.v_proj", "attn_v"),
            Self::Output(layer) => (Some(layer), "self_attn.o_proj", "attn_output"),
            Self::MlpNorm(layer) => (Some(layer), "post_attention_layernorm", "ffn_norm"),
            Self::Gate(layer) => (Some(layer), "mlp.gate_proj", "ffn_gate"),
            Self::Up(layer) => (Some(layer), "mlp.up_proj", "ffn_up"),
            Self::Down(layer) => (Some(layer), "mlp.down_proj", "ffn_down"),
            Self::Router(layer) => (Some(layer), "block_sparse_moe.gate", "ffn_gate_inp"),
        };
        match (format, layer) {
            (Format::HuggingFace, None) => hugging_face.into(),
            (Format::HuggingFace, Some(layer)) => format!("model.layers.{layer}.{hugging_face}"),
            (Format::Gguf, None) => gguf.into(),
            (Format::Gguf, Some(layer)) => format!("blk.{layer}.{gguf}"),
        }
    }

    /// The name of its module in Hugging Face's model.
    pub(super) fn module(self) -> String {
        self.stem(Format::HuggingFace)
    }

    /// The name of the weight.
    pub(super) fn weight(self, format: Format) -> String {
        self.stem(format) + ".weight"
    }
}

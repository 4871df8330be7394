//! The shape of a synthetic model on the command line.

use clap::Args;

use super::model::Shape;

/// What distinguishes one Llama from another, but for its context.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ShapeArguments {
    /// Width of the residual stream; a multiple of --heads.
    #[arg(long, default_value_t = 512)]
    hidden: usize,
    /// Decoder layers.
    #[arg(long, default_value_t = 8)]
    layers: usize,
    /// Query heads.
    #[arg(long, default_value_t = 8)]
    heads: usize,
    /// Key and value heads; divides --heads.
    #[arg(long, default_value_t = 4)]
    kv_heads: usize,
    /// Width of the feed-forward network.
    #[arg(long, default_value_t = 1408)]
    intermediate: usize,
    /// Vocabulary size; at least the 512 tokens of the tokenizer that is used.
    #[arg(long, default_value_t = 8192)]
    vocab: usize,
}

impl ShapeArguments {
    /// The shape, with a context of so many tokens.
    pub(crate) fn with_context(self, context: usize) -> Shape {
        let Self { hidden, layers, heads, kv_heads, intermediate, vocab } = self;
        Shape { hidden, layers, heads, kv_heads, intermediate, vocab, context }
    }
}

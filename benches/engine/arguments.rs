//! What can be said on the command line.

use std::path::PathBuf;

use clap::Parser;

use super::model::Shape;
use super::shape::ShapeArguments;

/// Measures decode and prefill tokens/s, batch-size scaling, the longest pause of a running generation while a long
/// prompt arrives, and what a prefix hit saves, on a synthetic model of the given shape.
#[derive(Debug, Parser)]
#[command(name = "engine", bin_name = "cargo bench --bench engine --")]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ShapeArguments,

    /// Tokens that each request of the batch measurements generates.
    #[arg(long, default_value_t = 48)]
    pub(crate) tokens: u32,
    /// Prompt length of the prefill measurement.
    #[arg(long, default_value_t = 512)]
    pub(crate) prefill: usize,
    /// Length of the prompt that arrives while others decode.
    #[arg(long, default_value_t = 4000)]
    pub(crate) long_prompt: usize,
    /// Generations that run while it arrives.
    #[arg(long, default_value_t = 4)]
    pub(crate) running: usize,
    /// The bound: prefill tokens per step beside running generations.
    #[arg(long, default_value_t = 128)]
    pub(crate) bound: usize,
    /// Length of the prefix that two prompts share.
    #[arg(long, default_value_t = 1024)]
    pub(crate) prefix: usize,
    /// Batch sizes.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16,32")]
    pub(crate) batches: Vec<usize>,
    /// How often each figure is taken; the best counts, because other programs only ever make it worse.
    #[arg(long, default_value_t = 2)]
    pub(crate) repeat: usize,

    /// Write the same figures as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// What `cargo bench` passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    /// The model to measure.
    pub(crate) fn shape(&self) -> Shape {
        self.model.with_context(self.context())
    }

    /// How long the context has to be for every measurement.
    pub(crate) fn context(&self) -> usize {
        (self.long_prompt + 64)
            .max(self.prefix + 64)
            .max(self.prefill + 64)
            .max(self.tokens as usize + 64)
            .next_multiple_of(64)
    }
}

pub(crate) fn parse() -> Arguments {
    Arguments::parse()
}

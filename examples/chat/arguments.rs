//! What can be said on the command line.

use std::path::PathBuf;

use clap::Parser;

/// The model that comes with this repository.
const STORIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/models/stories260K");

/// Writes text as a model generates it, then how fast that was.
#[derive(Debug, Parser)]
#[command(name = "chat", version)]
pub(crate) struct Arguments {
    /// A Hugging Face directory or a GGUF file.
    #[arg(long, value_name = "DIR|FILE.gguf", default_value = STORIES)]
    pub(crate) model: PathBuf,

    /// What to continue, or to answer where the model has a chat template.
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: Option<String>,

    /// The instruction before the conversation; only where the model has a chat template.
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,

    /// The most tokens of one answer; by default it ends where the model ends it or the context is full.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_tokens: Option<u32>,

    /// 0 always takes the most likely token, 2 is the wildest.
    #[arg(long, value_name = "T", default_value_t = 0.5)]
    pub(crate) temperature: f32,

    /// The same seed gives the same text. With --parallel, request i has this seed plus i.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,

    /// How many requests to run at once.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) parallel: u32,

    /// The context window in tokens; the model's own, or what memory allows, by default.
    #[arg(long, value_name = "TOKENS")]
    pub(crate) context: Option<usize>,

    /// Print one JSON object at the end and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
}

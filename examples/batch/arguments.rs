//! What can be said on the command line.

use std::path::PathBuf;

use clap::Parser;

use super::named::{self, Named};

/// Answers a file of requests, a line each, in the shape of the OpenAI batch API. Run again, it goes on where it ended.
#[derive(Debug, Parser)]
#[command(name = "batch", version)]
pub(crate) struct Arguments {
    /// The requests: lines of `custom_id`, `method`, `url` and `body`.
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) input: PathBuf,

    /// Where the results go. What is there already is kept and not done again.
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) output: PathBuf,

    /// A model and its name, as often as there are models: a Hugging Face directory or a GGUF file.
    #[arg(long = "model", value_name = "NAME=PATH", required = true, value_parser = named::parse)]
    pub(crate) models: Vec<Named>,

    /// How many requests are answered at once.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) concurrency: usize,

    /// Write each result when it is ready, and not in the order of the requests.
    #[arg(long)]
    pub(crate) as_ready: bool,

    /// The context window in tokens; each model's own, or what memory allows, by default.
    #[arg(long, value_name = "TOKENS")]
    pub(crate) context: Option<usize>,
}

//! What can be said on the command line.

use clap::Parser;

use super::named::{self, Named};

/// Answers OpenAI's HTTP API on this machine only.
#[derive(Debug, Parser)]
#[command(name = "host", version)]
pub(crate) struct Arguments {
    /// A model and its name, as often as there are models: a Hugging Face directory or a GGUF file.
    #[arg(long = "model", value_name = "NAME=PATH", required = true, value_parser = named::parse)]
    pub(crate) models: Vec<Named>,

    /// The port; any free one with 0. The address is printed.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) port: u16,

    /// The context window in tokens; each model's own, or what memory allows, by default.
    #[arg(long, value_name = "TOKENS")]
    pub(crate) context: Option<usize>,
}

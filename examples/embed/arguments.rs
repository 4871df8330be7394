//! What can be said on the command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use model_runtime::protocol::{Normalize, PoolingMode, Truncate};
use model_runtime::runtime::EmbedOptions;
use serde::de::DeserializeOwned;

use super::encoder::MINILM;

/// Makes a vector of every line of a text.
#[derive(Debug, Parser)]
#[command(name = "embed", version)]
pub(crate) struct Arguments {
    /// The text; the standard input without it.
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Where the vectors go: a `.npy` file (float32, a row per line), or JSON lines in a file of another name. JSON
    /// lines on the standard output without it.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// A sentence-transformers directory or a GGUF file.
    #[arg(long, value_name = "DIR|FILE.gguf", default_value = MINILM)]
    pub(crate) model: PathBuf,

    /// Whether vectors have unit length: as the model's authors have it, never, always.
    #[arg(long, value_name = "HOW", default_value = "model", value_parser = named::<Normalize>(&["model", "none", "l2"]))]
    pub(crate) normalize: Normalize,

    /// What happens to a line that is longer than the model takes: an error, or which side is cut.
    #[arg(long, value_name = "HOW", default_value = "error", value_parser = named::<Truncate>(&["error", "end", "start"]))]
    pub(crate) truncate: Truncate,

    /// How the tokens of a line become its vector; as the model has it by default.
    #[arg(long, value_name = "HOW", value_parser = named::<PoolingMode>(&["cls", "mean", "last"]))]
    pub(crate) pooling: Option<PoolingMode>,

    /// Keep only so many values of each vector, from the first on.
    #[arg(long, value_name = "N")]
    pub(crate) dimensions: Option<NonZeroUsize>,

    /// Put before every line, as it is.
    #[arg(long, value_name = "TEXT")]
    pub(crate) instruction: Option<String>,

    /// The name of one of the model's own prompts, put before every line.
    #[arg(long, value_name = "NAME", conflicts_with = "instruction")]
    pub(crate) prompt_name: Option<String>,

    /// Leave empty lines out; they are an error otherwise.
    #[arg(long)]
    pub(crate) skip_empty: bool,

    /// How many threads compute; one per core by default. The vectors are the same with any number.
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,

    /// How many lines one request takes; two requests are in the engine at once. The vectors are the same with any
    /// number.
    #[arg(long, value_name = "N", default_value = "128")]
    pub(crate) batch: NonZeroUsize,
}

/// One of these words, as requests spell them.
fn named<T>(words: &[&'static str]) -> impl TypedValueParser<Value = T> + use<T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| serde_json::from_value(word.into()))
}

impl Arguments {
    /// What every request asks for.
    pub(crate) fn options(&self) -> EmbedOptions {
        let mut options = EmbedOptions::default().normalize(self.normalize).truncate(self.truncate);
        options.pooling = self.pooling;
        options.dimensions = self.dimensions.map(NonZeroUsize::get);
        options.instruction.clone_from(&self.instruction);
        options.prompt_name.clone_from(&self.prompt_name);
        options
    }
}

//! What can be said on the command line.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Parser;

use super::choices::{CACHES, COMPUTES, Choice, QUANTIZATIONS};

/// The model that is measured when none is named.
const DEFAULT_MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/models/stories260K");

/// Measures what each choice of compute, quantization and cache type costs in quality: perplexity, and how far the
/// distributions of the next token are from those of single precision.
#[derive(Debug, Parser)]
#[command(name = "quality", bin_name = "cargo bench --bench quality --")]
pub(crate) struct Arguments {
    /// A Hugging Face folder or a GGUF file; may be given several times. The trained model of the repository by
    /// default.
    #[arg(long, value_name = "DIR|FILE")]
    model: Vec<PathBuf>,
    /// A text, UTF-8, of which the beginning is taken. By default the model writes its own.
    #[arg(long, value_name = "FILE")]
    pub(crate) text: Option<PathBuf>,
    /// Tokens of the text.
    #[arg(long, default_value = "4096")]
    pub(crate) tokens: NonZeroUsize,
    /// Tokens of one context: the text is cut into windows of so many. At most what the model was made for.
    #[arg(long, default_value_t = 512)]
    pub(crate) window: usize,
    /// Tokens of a window that are computed in one step.
    #[arg(long, default_value = "128")]
    pub(crate) chunk: NonZeroUsize,
    /// The seed of a text that the model writes.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// What products are computed with.
    #[arg(long, value_delimiter = ',', default_value = "auto,f32,bf16,int8", value_parser = of(&COMPUTES))]
    compute: Vec<String>,
    /// What weights in floating point become.
    #[arg(long, value_delimiter = ',', default_value = "none,q8_0,q6_k,q4_k", value_parser = of(&QUANTIZATIONS))]
    quantize: Vec<String>,
    /// What the cache holds.
    #[arg(long, value_delimiter = ',', default_value = "f32,f16,bf16,q8", value_parser = of(&CACHES))]
    cache: Vec<String>,
    /// Threads; as many as the process may use by default.
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Write the same figures as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// What `cargo bench` passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Accepts the names of a list.
fn of<T>(named: &'static [(&'static str, T)]) -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(named.iter().map(|(name, _)| *name))
}

pub(crate) fn parse() -> Arguments {
    Arguments::parse()
}

impl Arguments {
    pub(crate) fn models(&self) -> Vec<PathBuf> {
        if self.model.is_empty() { vec![Path::new(DEFAULT_MODEL).into()] } else { self.model.clone() }
    }

    /// Every combination that was asked for.
    pub(crate) fn choices(&self) -> Vec<Choice> {
        let mut choices = Vec::new();
        for quantize in &self.quantize {
            for compute in &self.compute {
                choices.extend(self.cache.iter().filter_map(|cache| Choice::named(compute, quantize, cache)));
            }
        }
        choices
    }
}

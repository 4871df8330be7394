//! What can be said on the command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Parser;

use super::encoder::MINILM;
use super::index::Settings;

/// Answers questions from a folder of text.
#[derive(Debug, Parser)]
#[command(name = "search", version)]
pub(crate) struct Arguments {
    /// What to look for; without it a question is read from every line of the standard input.
    #[arg(value_name = "QUESTION")]
    words: Vec<String>,

    /// The folder whose text is searched, with everything in it that git does not ignore and is not hidden.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,

    /// Endings of the files that are searched.
    #[arg(
        long,
        value_name = "LIST",
        default_value = "md,txt,rst,rs,h,c,cpp,go,java,py",
        value_delimiter = ','
    )]
    extensions: Vec<String>,

    /// Where the index is kept; it lives in memory only without it.
    #[arg(long, value_name = "DIR")]
    pub(crate) index: Option<PathBuf>,

    /// Forget what is in the kept index and begin again.
    #[arg(long, requires = "index")]
    pub(crate) rebuild: bool,

    /// How many passages to show.
    #[arg(long, short = 'k', value_name = "N", default_value = "5")]
    pub(crate) top: NonZeroUsize,

    /// The most characters of a passage.
    #[arg(long, value_name = "N", default_value_t = 800, value_parser = clap::value_parser!(u32).range(80..=16_000))]
    passage: u32,

    /// The most characters at the end of a passage that the next one repeats; less than half a passage.
    #[arg(long, value_name = "N", default_value_t = 160)]
    overlap: u32,

    /// The encoder: a sentence-transformers directory or a GGUF file.
    #[arg(long, value_name = "DIR|FILE.gguf", default_value = MINILM)]
    pub(crate) model: PathBuf,

    /// Put before the question, where the model's authors ask for it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) instruction: Option<String>,

    /// A model that writes an answer from the passages: a Hugging Face directory or a GGUF file.
    #[arg(long, value_name = "DIR|FILE.gguf", conflicts_with = "json")]
    pub(crate) chat: Option<PathBuf>,

    /// The most tokens of that answer.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_tokens: u32,

    /// How many threads compute; one per core by default.
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,

    /// Print one JSON object per question and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Arguments {
    /// The question on the command line, with or without quotes around it.
    pub(crate) fn question(&self) -> Option<String> {
        let question = self.words.join(" ").trim().to_owned();
        (!question.is_empty()).then_some(question)
    }

    /// What decides the passages and their vectors.
    pub(crate) fn settings(&self, version: &str) -> Settings {
        let passage = self.passage as usize;
        Settings { model: version.into(), passage, overlap: (self.overlap as usize).min(passage / 2 - 1) }
    }

    /// Endings without dots, as they are compared.
    pub(crate) fn endings(&self) -> Vec<String> {
        self.extensions.iter().map(|ending| ending.trim().trim_start_matches('.').to_lowercase()).collect()
    }
}

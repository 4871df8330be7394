//! Grammars over the tokenizers of the repository, and those of the goldens where they are.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

mod calls;
mod forms;
mod random;
mod refusals;
mod states;
mod texts;
mod walk;

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use serde_json::Value;

use super::{Grammar, GrammarError, GrammarSource, Matcher, Vocabulary};
use crate::tokenizer::Tokenizer;

/// A tokenizer with its vocabulary for grammars.
pub(super) struct Model {
    pub(super) name: String,
    pub(super) tokenizer: Arc<Tokenizer>,
    pub(super) vocabulary: Arc<Vocabulary>,
}

impl Model {
    pub(super) fn load(folder: &Path) -> Self {
        let bytes = std::fs::read(folder.join("tokenizer.json")).unwrap();
        let tokenizer = Arc::new(Tokenizer::from_json(&bytes).unwrap());
        let ends =
            ["</s>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>", "<｜end▁of▁sentence｜>"];
        let stop: Vec<u32> = ends.iter().filter_map(|end| tokenizer.token_to_id(end)).collect();
        // Models round their rows up.
        let rows = tokenizer.vocab_size().next_multiple_of(64) + 64;
        let vocabulary = Arc::new(Vocabulary::new(&tokenizer, rows, &stop).unwrap());
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        Self { name, tokenizer, vocabulary }
    }

    pub(super) fn compile(&self, source: &GrammarSource) -> Result<Grammar, GrammarError> {
        Grammar::compile(&self.vocabulary, source)
    }

    pub(super) fn schema(&self, schema: Value) -> Result<Grammar, GrammarError> {
        self.compile(&GrammarSource::JsonSchema(schema))
    }

    /// The ids of a text that goes on.
    pub(super) fn ids(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode(text, crate::tokenizer::AddSpecial::No).unwrap()
    }
}

/// The smallest tokenizer that a real model has: 512 tokens, SentencePiece with byte tokens.
pub(super) static SMALL: LazyLock<Model> = LazyLock::new(|| Model::load(&data("tokenizers/tinystories-512")));

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The tokens of a set.
pub(super) fn tokens(mask: &[u32]) -> Vec<u32> {
    (0_u32..)
        .zip(mask.iter().flat_map(|word| (0..32).map(move |bit| word >> bit & 1)))
        .filter(|(_, bit)| *bit == 1)
        .map(|(token, _)| token)
        .collect()
}

/// Whether the tokens of `ids` are accepted one after the other and the answer may end then.
pub(super) fn accepts(matcher: &mut Matcher, ids: &[u32]) -> bool {
    for id in ids {
        let allowed = tokens(matcher.allowed().unwrap()).contains(id);
        assert_eq!(matcher.accept(*id).is_ok(), allowed, "token {id}");
        if !allowed {
            return false;
        }
    }
    matcher.may_end()
}

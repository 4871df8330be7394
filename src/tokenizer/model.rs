//! The vocabulary and its algorithm, as the `tokenizers` pipeline sees them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tokenizers::models::{ModelWrapper, TrainerWrapper};
use tokenizers::{
    DecoderWrapper, Model, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Token, TokenizerImpl,
};

use super::gguf::sentencepiece::ScoredPairs;

/// Text to ids, without the tokens that frame a text.
pub(super) type Pipeline =
    TokenizerImpl<TokenModel, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// The algorithms: those of the `tokenizers` library, and pair merging by score, which it does not have.
#[derive(Debug)]
pub(super) enum TokenModel {
    Library(ModelWrapper),
    Scored(ScoredPairs),
}

impl Model for TokenModel {
    type Trainer = TrainerWrapper;

    fn tokenize(&self, sequence: &str) -> tokenizers::Result<Vec<Token>> {
        match self {
            Self::Library(model) => model.tokenize(sequence),
            Self::Scored(model) => Ok(model.tokenize(sequence)),
        }
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        match self {
            Self::Library(model) => model.token_to_id(token),
            Self::Scored(model) => model.token_to_id(token),
        }
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        match self {
            Self::Library(model) => model.id_to_token(id),
            Self::Scored(model) => model.id_to_token(id),
        }
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        match self {
            Self::Library(model) => model.get_vocab(),
            Self::Scored(model) => model.vocabulary(),
        }
    }

    fn get_vocab_size(&self) -> usize {
        match self {
            Self::Library(model) => model.get_vocab_size(),
            Self::Scored(model) => model.len(),
        }
    }

    fn save(&self, folder: &Path, prefix: Option<&str>) -> tokenizers::Result<Vec<PathBuf>> {
        match self {
            Self::Library(model) => model.save(folder, prefix),
            Self::Scored(_) => Err("a vocabulary with scores has no file format of its own".into()),
        }
    }

    fn get_trainer(&self) -> TrainerWrapper {
        match self {
            Self::Library(model) => model.get_trainer(),
            Self::Scored(_) => tokenizers::models::bpe::BpeTrainer::default().into(),
        }
    }
}

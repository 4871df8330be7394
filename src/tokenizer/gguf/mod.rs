//! Tokenizers rebuilt from the metadata of a GGUF file, whose keys begin with `tokenizer.ggml.`.

mod byte_pair;
mod pre_tokenizer;
pub(super) mod sentencepiece;
mod vocabulary;
mod word_piece;

use super::error::TokenizerError;
use super::load::Parts;
use crate::error::Error;
use crate::weights::{Metadata, WeightsError};

/// Rebuilds the tokenizer that `tokenizer.ggml.model` names.
pub(super) fn parts(metadata: &Metadata) -> Result<Parts, TokenizerError> {
    match metadata.require_str("tokenizer.ggml.model").map_err(read)? {
        "llama" => sentencepiece::parts(metadata),
        "gpt2" => byte_pair::parts(metadata),
        "bert" => word_piece::parts(metadata),
        other => Err(TokenizerError::unsupported("tokenizer.ggml.model", other, "llama, gpt2, bert")),
    }
}

/// What the metadata said, as an error of this area.
pub(super) fn read(error: WeightsError) -> TokenizerError {
    let error = Error::from(error);
    TokenizerError::Read { message: error.message().to_owned(), kind: error.kind() }
}

#[cfg(test)]
mod tests;

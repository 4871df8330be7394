//! `gpt2`: byte-level pair encoding with listed merges.

use tokenizers::TokenizerImpl;
use tokenizers::models::ModelWrapper;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::unicode::NFC;

use super::pre_tokenizer::Kind;
use super::read;
use super::vocabulary::Vocabulary;
use crate::tokenizer::TokenizerError;
use crate::tokenizer::decode::Decoder;
use crate::tokenizer::load::{CACHED_WORDS, Parts, check_merge};
use crate::tokenizer::model::TokenModel;
use crate::weights::Metadata;

pub(super) fn parts(metadata: &Metadata) -> Result<Parts, TokenizerError> {
    let vocabulary = Vocabulary::read(metadata)?;
    let architecture = metadata.str("general.architecture").map_err(read)?.unwrap_or_default();
    let kind = Kind::find(metadata.str("tokenizer.ggml.pre").map_err(read)?, architecture)?;
    let vocab: Vocab = vocabulary.iter().map(|(id, token, _)| (token.to_owned(), id)).collect();
    let merges = metadata
        .require_str_array("tokenizer.ggml.merges")
        .map_err(read)?
        .iter()
        .enumerate()
        .map(|(index, merge)| {
            let field = || format!("tokenizer.ggml.merges[{index}]");
            let (left, right) = merge.split_once(' ').ok_or_else(|| {
                TokenizerError::invalid(field(), "expected two tokens with a space between")
            })?;
            let pair = (left.to_owned(), right.to_owned());
            check_merge(&vocab, &pair, "").map_err(|reason| TokenizerError::invalid(field(), reason))?;
            Ok(pair)
        })
        .collect::<Result<Merges, TokenizerError>>()?;
    let model = BPE::builder()
        .cache_capacity(CACHED_WORDS)
        .ignore_merges(kind.whole_words)
        .vocab_and_merges(vocab, merges)
        .build()
        .map_err(|e| TokenizerError::invalid("tokenizer.ggml.merges", e))?;
    let mut pipeline = TokenizerImpl::new(TokenModel::Library(ModelWrapper::BPE(model)));
    if kind.composed {
        pipeline.with_normalizer(Some(NFC)).map_err(|e| TokenizerError::invalid("tokenizer.ggml.pre", e))?;
    }
    pipeline.with_pre_tokenizer(Some(kind.build()?));
    vocabulary.add_to(&mut pipeline)?;
    Ok(Parts { pipeline, frame: vocabulary.frame(kind.begins, false)?, decoder: Decoder::byte_level() })
}

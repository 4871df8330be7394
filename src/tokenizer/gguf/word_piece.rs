//! `bert`: WordPiece.

use tokenizers::TokenizerImpl;
use tokenizers::models::ModelWrapper;
use tokenizers::models::bpe::Vocab;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;

use super::vocabulary::{TokenKind, Vocabulary};
use crate::tokenizer::TokenizerError;
use crate::tokenizer::decode::Decoder;
use crate::tokenizer::frame::Frame;
use crate::tokenizer::load::Parts;
use crate::tokenizer::model::TokenModel;
use crate::weights::Metadata;

/// What converters put before a token that begins a word, having taken `##` from those that do not.
const WORD_START: char = '\u{2581}';

pub(super) fn parts(metadata: &Metadata) -> Result<Parts, TokenizerError> {
    let vocabulary = Vocabulary::read(metadata)?;
    let converted = vocabulary.tokens.iter().any(|token| token.starts_with(WORD_START));
    let spelled = |token: &str| if converted { original(token) } else { token.to_owned() };
    let vocab: Vocab = vocabulary.iter().map(|(id, token, _)| (spelled(token), id)).collect();
    let unknown = vocabulary.first_id(&["tokenizer.ggml.unknown_token_id"])?;
    let unknown = unknown
        .and_then(|id| usize::try_from(id).ok())
        .and_then(|id| vocabulary.tokens.get(id))
        .map_or("[UNK]", String::as_str);
    let model = WordPiece::builder()
        .vocab(vocab)
        .unk_token(unknown.to_owned())
        .continuing_subword_prefix("##".to_owned())
        .max_input_chars_per_word(100)
        .build()
        .map_err(|e| TokenizerError::invalid("tokenizer.ggml.tokens", e))?;
    // The file does not say whether the model tells capitals apart. If it does, it has tokens with capitals.
    let cased = vocabulary.iter().any(|(_, token, kind)| {
        kind == TokenKind::Normal && !is_bracketed(token) && token.bytes().any(|b| b.is_ascii_uppercase())
    });
    let mut pipeline = TokenizerImpl::new(TokenModel::Library(ModelWrapper::WordPiece(model)));
    pipeline
        .with_normalizer(Some(BertNormalizer::new(true, true, None, !cased)))
        .map_err(|e| TokenizerError::invalid("tokenizer.ggml.model", e))?;
    pipeline.with_pre_tokenizer(Some(BertPreTokenizer));
    vocabulary.add_to(&mut pipeline)?;

    let mut frame = Frame::default();
    if vocabulary.flag("tokenizer.ggml.add_bos_token", true)? {
        frame
            .before
            .extend(vocabulary.first_id(&["tokenizer.ggml.cls_token_id", "tokenizer.ggml.bos_token_id"])?);
    }
    if vocabulary.flag("tokenizer.ggml.add_eos_token", true)? {
        // The key was misspelled when the format began, and files have it either way.
        frame.after.extend(vocabulary.first_id(&[
            "tokenizer.ggml.seperator_token_id",
            "tokenizer.ggml.separator_token_id",
            "tokenizer.ggml.eos_token_id",
        ])?);
    }
    Ok(Parts { pipeline, frame, decoder: Decoder::word_piece() })
}

/// The token as WordPiece spells it.
fn original(token: &str) -> String {
    match token.strip_prefix(WORD_START) {
        Some(word) => word.to_owned(),
        None if is_bracketed(token) => token.to_owned(),
        None => format!("##{token}"),
    }
}

/// Whether the token is one like `[CLS]`, which converters leave alone.
fn is_bracketed(token: &str) -> bool {
    token.len() > 2 && token.starts_with('[') && token.ends_with(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_get_their_spelling_back() {
        for (converted, spelled) in
            [("▁the", "the"), ("ing", "##ing"), ("[CLS]", "[CLS]"), ("▁[", "["), ("]", "##]"), ("[]", "##[]")]
        {
            assert_eq!(original(converted), spelled);
        }
    }
}

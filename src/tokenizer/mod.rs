//! Text to token ids and back.
//!
//! [`Tokenizer`] reads the tokenizer.json of a Hugging Face checkpoint or rebuilds a tokenizer from the metadata of a
//! GGUF file. [`StreamDecoder`] turns ids into text as they come, without ever splitting or repeating a character.

mod bytes;
mod config;
mod decode;
mod error;
mod frame;
mod gguf;
mod load;
mod model;
mod stream;

use std::collections::HashSet;

use crate::weights::{Checkpoint, Format, Metadata};

use self::decode::{DecodeState, Decoder};
use self::frame::Frame;
use self::load::Parts;
use self::model::Pipeline;

pub use self::error::TokenizerError;
pub use self::stream::StreamDecoder;

/// Whether encoding adds the tokens that the model expects around a text, such as a beginning-of-sequence token.
/// Special tokens that are written out in the text are recognised either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddSpecial {
    /// Adds them: for a bare prompt.
    Yes,
    /// Leaves them out: for a text that has them already, such as a rendered chat template.
    No,
}

/// A vocabulary with everything that leads from text to ids and back.
///
/// Immutable once loaded; share it between threads in an `Arc`.
pub struct Tokenizer {
    pipeline: Pipeline,
    frame: Frame,
    decoder: Decoder,
    special: HashSet<u32>,
    size: usize,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer").field("vocab_size", &self.size).field("frame", &self.frame).finish()
    }
}

impl Tokenizer {
    /// Reads the contents of a tokenizer.json. Truncation and padding that the file asks for are switched off.
    ///
    /// # Errors
    /// The file is damaged, contradicts itself, or has a part of a kind that is not known.
    pub fn from_json(bytes: &[u8]) -> Result<Self, TokenizerError> {
        Self::build(load::parse(bytes)?)
    }

    /// Reads a tokenizer.json together with the tokenizer_config.json beside it, which for the tokenizer classes of
    /// Llama, Gemma and Cohere decides whether a text begins and ends with the sequence tokens.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json), for either file.
    pub fn from_files(tokenizer: &[u8], config: Option<&[u8]>) -> Result<Self, TokenizerError> {
        let mut parts = load::parse(tokenizer)?;
        if let Some(config) = config {
            config::apply(config, &mut parts)?;
        }
        Self::build(parts)
    }

    /// Rebuilds the tokenizer that a GGUF file describes: `tokenizer.ggml.model` is `llama` (SentencePiece byte
    /// pairs with scores), `gpt2` (byte-level pairs with merges) or `bert` (WordPiece).
    ///
    /// # Errors
    /// Keys are missing or contradict each other, or the model or pre-tokenizer is of an unknown kind.
    pub fn from_gguf(metadata: &Metadata) -> Result<Self, TokenizerError> {
        Self::build(gguf::parts(metadata)?)
    }

    /// The tokenizer of a checkpoint: tokenizer.json and tokenizer_config.json of a folder, the metadata of a GGUF
    /// file.
    ///
    /// # Errors
    /// There is none, it cannot be read, or what [`from_files`](Self::from_files) and
    /// [`from_gguf`](Self::from_gguf) say.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self, TokenizerError> {
        let missing = || TokenizerError::Missing { path: checkpoint.path().display().to_string() };
        if checkpoint.format() == Format::Gguf {
            let metadata = checkpoint.metadata();
            metadata.get("tokenizer.ggml.model").ok_or_else(missing)?;
            return Self::from_gguf(metadata);
        }
        let file = checkpoint.read_small("tokenizer.json").map_err(gguf::read)?.ok_or_else(missing)?;
        let config = checkpoint.read_small("tokenizer_config.json").map_err(gguf::read)?;
        Self::from_files(&file, config.as_deref())
    }

    fn build(parts: Parts) -> Result<Self, TokenizerError> {
        let Parts { pipeline, frame, decoder } = parts;
        let special = pipeline
            .get_added_vocabulary()
            .get_added_tokens_decoder()
            .iter()
            .filter(|(_, token)| token.special)
            .map(|(id, _)| *id)
            .collect();
        let size = pipeline.get_vocab_size(true);
        let tokenizer = Self { pipeline, frame, decoder, special, size };
        for id in tokenizer.frame.before.iter().chain(&tokenizer.frame.after) {
            tokenizer.token(*id)?;
        }
        Ok(tokenizer)
    }

    /// The ids of `text`.
    ///
    /// # Errors
    /// The vocabulary has neither tokens for a part of the text nor one for the unknown.
    pub fn encode(&self, text: &str, special: AddSpecial) -> Result<Vec<u32>, TokenizerError> {
        let encoding = self
            .pipeline
            .encode_fast(text, false)
            .map_err(|e| TokenizerError::Encode { bytes: text.len(), reason: e.to_string() })?;
        Ok(match special {
            AddSpecial::No => encoding.get_ids().to_vec(),
            AddSpecial::Yes => [&self.frame.before, encoding.get_ids(), &self.frame.after].concat(),
        })
    }

    /// The special tokens that [`AddSpecial::Yes`] puts before and after a text.
    pub fn frame(&self) -> (&[u32], &[u32]) {
        (&self.frame.before, &self.frame.after)
    }

    /// The text of `ids`. `skip_special` leaves out special tokens such as the end of a turn.
    ///
    /// Bytes that form no character become U+FFFD.
    ///
    /// # Errors
    /// An id is not in the vocabulary; the error names it.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, TokenizerError> {
        let mut state = self.decoder.start();
        let mut text = String::new();
        for id in ids {
            self.decode_next(&mut state, *id, skip_special, &mut text)?;
        }
        self.decoder.finish(&mut state, &mut text)?;
        Ok(text)
    }

    /// The id of a token as the vocabulary spells it, special tokens included.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.pipeline.token_to_id(token)
    }

    /// The token as the vocabulary spells it, which is not its text: a space may be `▁` or `Ġ`, a byte `<0x0A>`.
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.pipeline.id_to_token(id)
    }

    /// How many tokens there are, added tokens included. Ids may have gaps, and a model may have more rows than this.
    pub fn vocab_size(&self) -> usize {
        self.size
    }

    /// Whether the token is a special one, which [`decode`](Self::decode) can skip.
    pub fn is_special(&self, id: u32) -> bool {
        self.special.contains(&id)
    }

    /// The bytes that the token adds to a text when it stands in the middle of it; possibly only part of a
    /// character. `None` for special tokens, which stand for no text, and for ids that are not in the vocabulary.
    pub fn token_bytes(&self, id: u32) -> Option<Vec<u8>> {
        if self.is_special(id) {
            return None;
        }
        self.id_to_token(id).map(|token| self.decoder.token_bytes(&token))
    }

    fn token(&self, id: u32) -> Result<String, TokenizerError> {
        self.id_to_token(id).ok_or(TokenizerError::UnknownId { id, vocab_size: self.size })
    }

    fn decode_next(
        &self,
        state: &mut DecodeState,
        id: u32,
        skip_special: bool,
        out: &mut String,
    ) -> Result<(), TokenizerError> {
        let token = self.token(id)?;
        if skip_special && self.is_special(id) {
            return Ok(());
        }
        self.decoder.push(state, token, out)
    }
}

#[cfg(test)]
mod tests;

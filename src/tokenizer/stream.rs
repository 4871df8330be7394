//! Text as it is generated.

use std::sync::Arc;

use super::decode::DecodeState;
use super::{Tokenizer, TokenizerError};

/// How much certain text may wait for a character to be completed, in bytes. Text reaches this only where token after
/// token ends within a character.
const MAX_WAITING: usize = 256;

/// Decodes ids one by one into pieces of text.
///
/// A piece ends where a token ends: text before a character that a token leaves incomplete waits with it. So a piece
/// never ends within a character, and the pieces put together, that of [`finish`](Self::finish) included, are
/// what [`Tokenizer::decode`] makes of all the ids. Each token costs time in proportion to its own length only.
#[derive(Debug)]
pub struct StreamDecoder {
    tokenizer: Arc<Tokenizer>,
    skip_special: bool,
    state: DecodeState,
    waiting: String,
}

impl StreamDecoder {
    /// A decoder at the start of a text. `skip_special` as in [`Tokenizer::decode`].
    pub fn new(tokenizer: Arc<Tokenizer>, skip_special: bool) -> Self {
        let state = tokenizer.decoder.start();
        Self { tokenizer, skip_special, state, waiting: String::new() }
    }

    /// The text that `id` makes certain; `None` where there is none yet or the token stands for none.
    ///
    /// # Errors
    /// The id is not in the vocabulary; the decoder stays as it was.
    pub fn push(&mut self, id: u32) -> Result<Option<String>, TokenizerError> {
        self.tokenizer.decode_next(&mut self.state, id, self.skip_special, &mut self.waiting)?;
        if self.waiting.is_empty() || (self.state.within_character() && self.waiting.len() < MAX_WAITING) {
            return Ok(None);
        }
        Ok(Some(std::mem::take(&mut self.waiting)))
    }

    /// What is still held back when no more ids come: an incomplete character becomes U+FFFD. The decoder is at the
    /// start of a new text afterwards.
    ///
    /// # Errors
    /// The vocabulary's decoder could not be run.
    pub fn finish(&mut self) -> Result<Option<String>, TokenizerError> {
        let mut piece = std::mem::take(&mut self.waiting);
        self.tokenizer.decoder.finish(&mut self.state, &mut piece)?;
        Ok((!piece.is_empty()).then_some(piece))
    }
}

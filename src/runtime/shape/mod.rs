//! The two shapes of an answer: chat and completion.

mod chat;
mod completion;

pub use chat::Chat;
pub use completion::Completion;

use std::sync::Arc;

use super::answer::{Piece, Whole};
use crate::protocol::{FinishReason, Usage};
use crate::tokenizer::Tokenizer;

/// What every chunk and the whole response have in common.
#[derive(Debug, Clone)]
pub struct Identity {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) version: String,
    pub(super) prompt_tokens: usize,
    /// What the conversations that it makes belong to.
    pub(super) endpoint: String,
    pub(super) adapter: Option<String>,
    /// The tokens of each prompt; the choices go by prompt, as many of each.
    pub(super) prompts: Arc<[Vec<u32>]>,
    /// How many answers there are.
    pub(super) choices: usize,
    pub(super) include_usage: bool,
    pub(super) lifecycle: Option<serde_json::Value>,
}

/// How an answer is put into words of the protocol. Implemented by [`Chat`] and [`Completion`].
pub trait Shape: sealed::Sealed + Send {
    /// A piece of the answer.
    type Chunk: Send;
    /// The whole answer.
    type Response: Send;

    /// What comes before any generated text of a choice.
    #[doc(hidden)]
    fn first(&self, identity: &Identity, choice: usize) -> Option<Self::Chunk>;
    /// Something new.
    #[doc(hidden)]
    fn piece(&mut self, identity: &Identity, piece: &Piece) -> Self::Chunk;
    /// The end of a choice, `is_last` of all.
    #[doc(hidden)]
    fn last(&self, identity: &Identity, choice: usize, reason: FinishReason, is_last: bool) -> Self::Chunk;
    #[doc(hidden)]
    fn usage(&self, identity: &Identity, usage: Usage) -> Self::Chunk;
    /// All choices.
    #[doc(hidden)]
    fn whole(
        &self,
        identity: &Identity,
        choices: Vec<Whole>,
        reasons: &[FinishReason],
        usage: Usage,
    ) -> Self::Response;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Chat {}
    impl Sealed for super::Completion {}
}

/// A token as text, and its bytes where it has any (a special token has none).
fn token_text(tokenizer: &Tokenizer, id: u32) -> (String, Option<Vec<u8>>) {
    match tokenizer.token_bytes(id) {
        Some(bytes) => (String::from_utf8_lossy(&bytes).into_owned(), Some(bytes)),
        None => (tokenizer.id_to_token(id).unwrap_or_default(), None),
    }
}

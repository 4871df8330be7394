//! The list of tokens in a GGUF file, and the keys that all kinds of tokenizers share.

use tokenizers::AddedToken;

use super::read;
use crate::tokenizer::TokenizerError;
use crate::tokenizer::frame::Frame;
use crate::tokenizer::model::Pipeline;
use crate::weights::Metadata;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// The tokens by id and what each is for.
pub(in crate::tokenizer) struct Vocabulary<'a> {
    pub(super) tokens: &'a [String],
    pub(super) kinds: Vec<TokenKind>,
    metadata: &'a Metadata,
}

impl<'a> Vocabulary<'a> {
    /// Reads `tokens` and `token_type`. Where types are missing all tokens are normal.
    pub(super) fn read(metadata: &'a Metadata) -> Result<Self, TokenizerError> {
        let tokens = metadata.require_str_array("tokenizer.ggml.tokens").map_err(read)?;
        if u32::try_from(tokens.len()).is_err() {
            return Err(TokenizerError::invalid("tokenizer.ggml.tokens", "more tokens than ids"));
        }
        let kinds = match metadata.i32_array("tokenizer.ggml.token_type").map_err(read)? {
            None => vec![TokenKind::Normal; tokens.len()],
            Some(types) if types.len() == tokens.len() => types.iter().map(|t| kind(*t)).collect(),
            Some(types) => {
                return Err(TokenizerError::invalid(
                    "tokenizer.ggml.token_type",
                    format!("has {} entries for {} tokens", types.len(), tokens.len()),
                ));
            }
        };
        Ok(Self { tokens, kinds, metadata })
    }

    /// Every token with its id and what it is for.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &'a str, TokenKind)> + '_ {
        (0..).zip(self.tokens).zip(&self.kinds).map(|((id, token), kind)| (id, token.as_str(), *kind))
    }

    /// The id under `key`, if the file has one. An id that stands for no token is an error.
    pub(in crate::tokenizer) fn id(metadata: &Metadata, key: &str) -> Result<Option<u32>, TokenizerError> {
        let Some(id) = metadata.u32(key).map_err(read)? else { return Ok(None) };
        let tokens = metadata.require_str_array("tokenizer.ggml.tokens").map_err(read)?.len();
        if usize::try_from(id).is_ok_and(|id| id < tokens) {
            return Ok(Some(id));
        }
        Err(TokenizerError::invalid(key, format!("is {id}, but there are {tokens} tokens")))
    }

    /// The id under the first of `keys` that the file has.
    pub(super) fn first_id(&self, keys: &[&str]) -> Result<Option<u32>, TokenizerError> {
        for key in keys {
            if let Some(id) = Self::id(self.metadata, key)? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// The flag under `key`.
    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, TokenizerError> {
        Ok(self.metadata.bool(key).map_err(read)?.unwrap_or(default))
    }

    /// What stands around a text: `add_bos_token` and `add_eos_token`, or these defaults.
    pub(super) fn frame(&self, begins: bool, ends: bool) -> Result<Frame, TokenizerError> {
        let mut frame = Frame::default();
        if self.flag("tokenizer.ggml.add_bos_token", begins)?
            && let Some(bos) = self.first_id(&["tokenizer.ggml.bos_token_id"])?
        {
            frame.before.push(bos);
        }
        if self.flag("tokenizer.ggml.add_eos_token", ends)?
            && let Some(eos) = self.first_id(&["tokenizer.ggml.eos_token_id"])?
        {
            frame.after.push(eos);
        }
        Ok(frame)
    }

    /// Makes control tokens special and lets user-defined ones be found in a text before it is cut into words.
    pub(super) fn add_to(&self, pipeline: &mut Pipeline) -> Result<(), TokenizerError> {
        let added = self
            .iter()
            .filter(|(id, token, _)| !token.is_empty() && !is_filler(*id, token))
            .filter_map(|(_, token, kind)| {
                let special = match kind {
                    TokenKind::Control | TokenKind::Unknown => true,
                    TokenKind::UserDefined => false,
                    _ => return None,
                };
                Some(AddedToken::from(token, special).normalized(false))
            });
        pipeline.add_tokens(added).map_err(|e| TokenizerError::invalid("tokenizer.ggml.tokens", e))?;
        Ok(())
    }
}

/// Converters fill a vocabulary up to the number of the model's rows with tokens called after their ids. No text means
/// them.
fn is_filler(id: u32, token: &str) -> bool {
    token.strip_prefix("[PAD").and_then(|t| t.strip_suffix(']')).is_some_and(|t| t == id.to_string())
}

fn kind(code: i32) -> TokenKind {
    match code {
        2 => TokenKind::Unknown,
        3 => TokenKind::Control,
        4 => TokenKind::UserDefined,
        5 => TokenKind::Unused,
        6 => TokenKind::Byte,
        _ => TokenKind::Normal,
    }
}

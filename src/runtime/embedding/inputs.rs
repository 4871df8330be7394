//! From the inputs of a request to token ids: prompts, special tokens, and what is too long.

use super::entity::EmbeddingEntity;
use super::options::EmbedOptions;
use super::vectors::EmbeddingRow;
use crate::error::{Error, ErrorKind, Result};
use crate::models::SentenceConfig;
use crate::protocol::{EmbeddingInput, Truncate};
use crate::tokenizer::{AddSpecial, Tokenizer};

/// The token ids of every text, and what a caller is told about each.
pub(super) struct Encoded {
    pub(super) texts: Vec<Vec<u32>>,
    pub(super) rows: Vec<EmbeddingRow>,
}

/// Encodes the inputs of a request.
pub(super) fn encode(
    endpoint: &EmbeddingEntity,
    input: &EmbeddingInput,
    options: &EmbedOptions,
) -> Result<Encoded> {
    input.validate()?;
    let tokenizer = endpoint.tokenizer();
    let sentence = endpoint.sentence();
    let fit = Fit { tokenizer, most: endpoint.info().context_length, truncate: options.truncate };
    let mut encoded =
        Encoded { texts: Vec::with_capacity(input.len()), rows: Vec::with_capacity(input.len()) };
    let mut add = |path: &dyn Fn() -> String, ids: Vec<u32>| -> Result<()> {
        let (ids, truncated) = fit.apply(path, ids)?;
        encoded.rows.push(EmbeddingRow { tokens: ids.len(), truncated });
        encoded.texts.push(ids);
        Ok(())
    };
    let one: &dyn Fn() -> String = &|| "input".into();
    match input {
        EmbeddingInput::Text(text) => {
            let prompt = prompt(sentence, options)?.unwrap_or_default();
            add(one, frame(tokenizer, prompt, text)?)?;
        }
        EmbeddingInput::Texts(texts) => {
            let prompt = prompt(sentence, options)?.unwrap_or_default();
            for (at, text) in texts.iter().enumerate() {
                add(&|| format!("input[{at}]"), frame(tokenizer, prompt, text)?)?;
            }
        }
        EmbeddingInput::Tokens(ids) => {
            refuse_prompt(options)?;
            check_ids(one, ids, endpoint.info().vocab_size)?;
            add(one, ids.clone())?;
        }
        EmbeddingInput::TokenLists(lists) => {
            refuse_prompt(options)?;
            for (at, ids) in lists.iter().enumerate() {
                let path = || format!("input[{at}]");
                check_ids(&path, ids, endpoint.info().vocab_size)?;
                add(&path, ids.clone())?;
            }
        }
    }
    Ok(encoded)
}

/// What stands before every text.
fn prompt<'a>(sentence: &'a SentenceConfig, options: &'a EmbedOptions) -> Result<Option<&'a str>> {
    match (&options.instruction, &options.prompt_name) {
        (Some(_), Some(_)) => {
            let message =
                "prompt_name is accepted only without instruction; both would be put before the text";
            Err(Error::invalid("prompt_name", message))
        }
        (Some(instruction), None) => Ok(Some(instruction)),
        (None, Some(name)) => match sentence.prompts.get(name) {
            Some(prompt) => Ok(Some(prompt)),
            None => {
                let names: Vec<&str> = sentence.prompts.keys().map(String::as_str).collect();
                let has =
                    if names.is_empty() { "has none".into() } else { format!("has {}", names.join(", ")) };
                let message = format!("the model has no prompt {name:?}; it {has}");
                Err(Error::invalid("prompt_name", message))
            }
        },
        (None, None) => Ok(sentence
            .default_prompt
            .as_ref()
            .and_then(|name| sentence.prompts.get(name))
            .map(String::as_str)),
    }
}

/// Token ids are used as they are: nothing can be put before them.
fn refuse_prompt(options: &EmbedOptions) -> Result<()> {
    let given = [("instruction", &options.instruction), ("prompt_name", &options.prompt_name)];
    match given.into_iter().find(|(_, value)| value.is_some()) {
        None => Ok(()),
        Some((name, _)) => {
            let message = format!("{name} is put before texts, and the input is token ids; leave it out");
            Err(Error::invalid(name, message))
        }
    }
}

fn check_ids(path: &dyn Fn() -> String, ids: &[u32], vocab: usize) -> Result<()> {
    match ids.iter().position(|&id| id as usize >= vocab) {
        None => Ok(()),
        Some(at) => {
            let path = format!("{}[{at}]", path());
            let message = format!("{path} is {}; the vocabulary has ids 0 to {}", ids[at], vocab - 1);
            Err(Error::invalid(path, message))
        }
    }
}

/// A text's ids with the special tokens around them.
fn frame(tokenizer: &Tokenizer, prompt: &str, text: &str) -> Result<Vec<u32>> {
    Ok(if prompt.is_empty() {
        tokenizer.encode(text, AddSpecial::Yes)?
    } else {
        tokenizer.encode(&format!("{prompt}{text}"), AddSpecial::Yes)?
    })
}

/// Brings texts to the length that the endpoint takes.
struct Fit<'a> {
    tokenizer: &'a Tokenizer,
    most: usize,
    truncate: Truncate,
}

impl Fit<'_> {
    /// The ids that are computed, and whether some were cut.
    fn apply(&self, path: &dyn Fn() -> String, mut ids: Vec<u32>) -> Result<(Vec<u32>, bool)> {
        if ids.len() <= self.most {
            return Ok((ids, false));
        }
        let (before, after) = self.kept(&ids);
        let cut = ids.len() - self.most;
        match self.truncate {
            Truncate::Error => {
                let (path, tokens, most) = (path(), ids.len(), self.most);
                let message = format!(
                    "{path} has {tokens} tokens, special tokens included; the endpoint takes {most}: shorten it, or \
                     set truncate to end or start"
                );
                return Err(Error::new(ErrorKind::ContextLengthExceeded, message).with_param(path));
            }
            Truncate::End => {
                let end = ids.len() - after;
                ids.drain(end - cut..end);
            }
            Truncate::Start => {
                ids.drain(before..before + cut);
            }
        }
        Ok((ids, true))
    }

    /// How many special tokens stand before and after the text and stay; ids that a caller gives may have none.
    fn kept(&self, ids: &[u32]) -> (usize, usize) {
        let (before, after) = self.tokenizer.frame();
        // With no room for anything else they are not worth keeping.
        if before.len() + after.len() < self.most && ids.starts_with(before) && ids.ends_with(after) {
            (before.len(), after.len())
        } else {
            (0, 0)
        }
    }
}

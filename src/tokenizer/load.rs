//! tokenizer.json, read with suspicion.
//!
//! The format is that of the `tokenizers` library, which builds the parts. That library trusts its files: a merge
//! whose result is longer than every token, a component of length zero or a damaged table make it panic. So the file
//! is checked here first, only components that are known to be sound are let through, and vocabularies are handed
//! over piece by piece.

use serde_json::{Map, Value};
use tokenizers::models::ModelWrapper;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::{AddedToken, NormalizerWrapper, PreTokenizerWrapper, TokenizerImpl};

use super::decode::Decoder;
use super::error::TokenizerError;
use super::frame::Frame;
use super::model::{Pipeline, TokenModel};

/// How many words each thread remembers the tokens of; bounds what a thread of the host keeps per tokenizer.
pub(super) const CACHED_WORDS: usize = 4096;
/// The longest word that WordPiece may be asked to try, as its time grows with the square.
const MAX_WORD_CHARACTERS: u64 = 10_000;
const MAX_DEPTH: usize = 8;

const NORMALIZERS: &[&str] = &[
    "BertNormalizer",
    "ByteLevel",
    "Lowercase",
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Nmt",
    "Prepend",
    "Replace",
    "Sequence",
    "Strip",
    "StripAccents",
];
const PRE_TOKENIZERS: &[&str] = &[
    "BertPreTokenizer",
    "ByteLevel",
    "CharDelimiterSplit",
    "Digits",
    "FixedLength",
    "Metaspace",
    "Punctuation",
    "Sequence",
    "Split",
    "UnicodeScripts",
    "Whitespace",
    "WhitespaceSplit",
];

/// What a tokenizer is made of.
pub(super) struct Parts {
    pub(super) pipeline: Pipeline,
    pub(super) frame: Frame,
    pub(super) decoder: Decoder,
}

/// Reads a tokenizer.json. Its truncation and padding are left out: how long a text may be is the model's affair.
pub(super) fn parse(bytes: &[u8]) -> Result<Parts, TokenizerError> {
    let mut file: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|e| TokenizerError::invalid("tokenizer.json", e))?;
    if let Some(version) = file.get("version").and_then(Value::as_str)
        && version != "1.0"
    {
        return Err(TokenizerError::unsupported("version", version, "1.0"));
    }
    let mut take = |name: &str| file.remove(name).unwrap_or(Value::Null);
    let mut pipeline = TokenizerImpl::new(model(take("model"))?);
    let normalizer = take("normalizer");
    if !normalizer.is_null() {
        check_component(&normalizer, "normalizer", "normalizers", NORMALIZERS, 0)?;
        let normalizer: NormalizerWrapper =
            serde_json::from_value(normalizer).map_err(|e| TokenizerError::invalid("normalizer", e))?;
        pipeline.with_normalizer(Some(normalizer)).map_err(|e| TokenizerError::invalid("normalizer", e))?;
    }
    let pre_tokenizer = take("pre_tokenizer");
    if !pre_tokenizer.is_null() {
        check_component(&pre_tokenizer, "pre_tokenizer", "pretokenizers", PRE_TOKENIZERS, 0)?;
        let pre_tokenizer: PreTokenizerWrapper =
            serde_json::from_value(pre_tokenizer).map_err(|e| TokenizerError::invalid("pre_tokenizer", e))?;
        pipeline.with_pre_tokenizer(Some(pre_tokenizer));
    }
    add_tokens(&mut pipeline, take("added_tokens"))?;
    let frame = Frame::from_json(&take("post_processor"))?;
    let decoder = Decoder::from_json(&take("decoder"))?;
    Ok(Parts { pipeline, frame, decoder })
}

/// Checks that a normalizer or pre-tokenizer, and every part of a sequence, is of a known kind.
fn check_component(
    value: &Value,
    field: &str,
    list: &str,
    known: &[&str],
    depth: usize,
) -> Result<(), TokenizerError> {
    if depth > MAX_DEPTH {
        return Err(TokenizerError::invalid(field, format!("nested more than {MAX_DEPTH} deep")));
    }
    let kind = value.get("type").and_then(Value::as_str).ok_or_else(|| {
        TokenizerError::invalid(field, format!("no type; expected one of {}", known.join(", ")))
    })?;
    if !known.contains(&kind) {
        return Err(TokenizerError::unsupported(format!("{field}.type"), kind, known.join(", ")));
    }
    match kind {
        "Sequence" => {
            let parts = value
                .get(list)
                .and_then(Value::as_array)
                .ok_or_else(|| TokenizerError::invalid(format!("{field}.{list}"), "expected a list"))?;
            for (index, part) in parts.iter().enumerate() {
                check_component(part, &format!("{field}.{list}[{index}]"), list, known, depth + 1)?;
            }
            Ok(())
        }
        "FixedLength" if value.get("length").and_then(Value::as_u64) == Some(0) => {
            Err(TokenizerError::invalid(format!("{field}.length"), "is 0; expected at least 1"))
        }
        _ => Ok(()),
    }
}

fn model(value: Value) -> Result<TokenModel, TokenizerError> {
    let Value::Object(mut value) = value else {
        return Err(TokenizerError::invalid("model", "missing; expected an object"));
    };
    // The first files of the format had no type; those were byte-pair vocabularies.
    let kind = match value.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        None if value.contains_key("merges") => "BPE".to_owned(),
        _ => String::new(),
    };
    let model = match kind.as_str() {
        "BPE" => ModelWrapper::BPE(byte_pair(&mut value)?),
        "WordPiece" => ModelWrapper::WordPiece(word_piece(&mut value)?),
        "WordLevel" => {
            serde_json::from_value(Value::Object(value)).map_err(|e| TokenizerError::invalid("model", e))?
        }
        "Unigram" => {
            let tokens = value.get("vocab").and_then(Value::as_array);
            if tokens.is_some_and(|t| t.iter().any(|t| t.get(0).and_then(Value::as_str) == Some(""))) {
                return Err(TokenizerError::invalid("model.vocab", "has an empty token"));
            }
            let mut model: ModelWrapper = serde_json::from_value(Value::Object(value))
                .map_err(|e| TokenizerError::invalid("model", e))?;
            model.resize_cache(CACHED_WORDS);
            model
        }
        other => {
            return Err(TokenizerError::unsupported(
                "model.type",
                other,
                "BPE, WordPiece, WordLevel, Unigram",
            ));
        }
    };
    Ok(TokenModel::Library(model))
}

fn byte_pair(value: &mut Map<String, Value>) -> Result<BPE, TokenizerError> {
    let vocab = vocabulary(value)?;
    let prefix = optional_text(value, "continuing_subword_prefix")?;
    let mut builder = BPE::builder().cache_capacity(CACHED_WORDS);
    if let Some(suffix) = optional_text(value, "end_of_word_suffix")? {
        builder = builder.end_of_word_suffix(suffix);
    }
    if let Some(unknown) = optional_text(value, "unk_token")? {
        builder = builder.unk_token(unknown);
    }
    builder = builder
        .fuse_unk(flag(value, "fuse_unk")?)
        .byte_fallback(flag(value, "byte_fallback")?)
        .ignore_merges(flag(value, "ignore_merges")?);
    let Some(Value::Array(merges)) = value.remove("merges") else {
        return Err(TokenizerError::invalid("model.merges", "missing; expected a list"));
    };
    let merges = merges
        .into_iter()
        .filter(|merge| !merge.as_str().is_some_and(|m| m.starts_with("#version")))
        .enumerate()
        .map(|(index, merge)| {
            let pair = pair(merge).ok_or_else(|| {
                TokenizerError::invalid(format!("model.merges[{index}]"), "expected a pair of tokens")
            })?;
            check_merge(&vocab, &pair, prefix.as_deref().unwrap_or_default())
                .map_err(|reason| TokenizerError::invalid(format!("model.merges[{index}]"), reason))?;
            Ok(pair)
        })
        .collect::<Result<Merges, TokenizerError>>()?;
    if let Some(prefix) = prefix {
        builder = builder.continuing_subword_prefix(prefix);
    }
    builder.vocab_and_merges(vocab, merges).build().map_err(|e| TokenizerError::invalid("model", e))
}

fn pair(merge: Value) -> Option<(String, String)> {
    match merge {
        Value::String(text) => {
            let (left, right) = text.split_once(' ')?;
            (!right.contains(' ')).then(|| (left.to_owned(), right.to_owned()))
        }
        Value::Array(parts) => match <[Value; 2]>::try_from(parts).ok()? {
            [Value::String(left), Value::String(right)] => Some((left, right)),
            _ => None,
        },
        _ => None,
    }
}

/// Checks that a merge joins two tokens into a third. `prefix` marks tokens that continue a word.
pub(super) fn check_merge(
    vocab: &Vocab,
    (left, right): &(String, String),
    prefix: &str,
) -> Result<(), String> {
    for part in [left, right] {
        if !vocab.contains_key(part) {
            return Err(format!("{part:?} is not in the vocabulary"));
        }
    }
    let Some(continuation) = right.strip_prefix(prefix) else {
        return Err(format!("{right:?} continues a word but does not begin with {prefix:?}"));
    };
    let joined = format!("{left}{continuation}");
    if !vocab.contains_key(&joined) {
        return Err(format!("the result {joined:?} is not in the vocabulary"));
    }
    Ok(())
}

fn word_piece(value: &mut Map<String, Value>) -> Result<WordPiece, TokenizerError> {
    let longest = match value.get("max_input_chars_per_word") {
        None => 100,
        Some(number) => number.as_u64().filter(|n| *n <= MAX_WORD_CHARACTERS).ok_or_else(|| {
            TokenizerError::invalid(
                "model.max_input_chars_per_word",
                format!("is {number}; expected at most {MAX_WORD_CHARACTERS}"),
            )
        })?,
    };
    let mut builder = WordPiece::builder()
        .vocab(vocabulary(value)?)
        .max_input_chars_per_word(usize::try_from(longest).unwrap_or(100));
    if let Some(unknown) = optional_text(value, "unk_token")? {
        builder = builder.unk_token(unknown);
    }
    if let Some(prefix) = optional_text(value, "continuing_subword_prefix")? {
        builder = builder.continuing_subword_prefix(prefix);
    }
    builder.build().map_err(|e| TokenizerError::invalid("model", e))
}

fn vocabulary(value: &mut Map<String, Value>) -> Result<Vocab, TokenizerError> {
    let Some(Value::Object(tokens)) = value.remove("vocab") else {
        return Err(TokenizerError::invalid("model.vocab", "missing; expected an object of token: id"));
    };
    tokens
        .into_iter()
        .map(|(token, id)| match id.as_u64().and_then(|id| u32::try_from(id).ok()) {
            Some(id) => Ok((token, id)),
            None => {
                Err(TokenizerError::invalid(format!("model.vocab[{token:?}]"), format!("{id} is not an id")))
            }
        })
        .collect()
}

fn optional_text(value: &Map<String, Value>, name: &str) -> Result<Option<String>, TokenizerError> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => {
            Err(TokenizerError::invalid(format!("model.{name}"), format!("is {other}; expected a string")))
        }
    }
}

fn flag(value: &Map<String, Value>, name: &str) -> Result<bool, TokenizerError> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(TokenizerError::invalid(
            format!("model.{name}"),
            format!("is {other}; expected true or false"),
        )),
    }
}

fn add_tokens(pipeline: &mut Pipeline, value: Value) -> Result<(), TokenizerError> {
    let tokens = match value {
        Value::Null => return Ok(()),
        Value::Array(tokens) => tokens,
        _ => return Err(TokenizerError::invalid("added_tokens", "expected a list")),
    };
    let mut ids = Vec::with_capacity(tokens.len());
    let mut added = Vec::with_capacity(tokens.len());
    for (index, token) in tokens.into_iter().enumerate() {
        let field = || format!("added_tokens[{index}]");
        let id = token
            .get("id")
            .and_then(Value::as_u64)
            .and_then(|id| u32::try_from(id).ok())
            .ok_or_else(|| TokenizerError::invalid(field(), "no id"))?;
        let token: AddedToken =
            serde_json::from_value(token).map_err(|e| TokenizerError::invalid(field(), e))?;
        if token.content.is_empty() {
            return Err(TokenizerError::invalid(field(), "its content is empty"));
        }
        // A token of white space that also takes in the white space around it can match inside another match.
        if token.lstrip && token.content.trim().is_empty() {
            return Err(TokenizerError::invalid(field(), "white space that strips white space"));
        }
        ids.push((id, token.content.clone()));
        added.push(token);
    }
    pipeline.add_tokens(added).map_err(|e| TokenizerError::invalid("added_tokens", e))?;
    for (id, content) in ids {
        let given = pipeline.token_to_id(&content);
        if given != Some(id) {
            return Err(TokenizerError::invalid(
                "added_tokens",
                format!("{content:?} has id {id}, but the vocabulary leads to {given:?}"),
            ));
        }
    }
    Ok(())
}

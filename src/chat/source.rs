//! Where a checkpoint keeps its chat template and its special tokens.

use serde_json::{Map, Value};

use super::error::TemplateError;
use super::template::{ChatTemplate, TemplateTokens};
use crate::error::Error;
use crate::weights::{Checkpoint, Format, Metadata, WeightsError};

const CONFIG: &str = "tokenizer_config.json";
const TOKENS: &str = "special_tokens_map.json";
const TEMPLATE: &str = "chat_template.jinja";
const LEGACY_TEMPLATE: &str = "chat_template.json";
/// The one of several named templates that plain chat uses.
const DEFAULT: &str = "default";

impl ChatTemplate {
    /// The chat template of a checkpoint; `None` where it has none, as base models do.
    ///
    /// In a folder: `chat_template.jinja`, or else `chat_template` in `chat_template.json` or
    /// `tokenizer_config.json`, which is the template or a list of named ones, of which `default` counts. In a GGUF
    /// file: `tokenizer.chat_template`.
    ///
    /// # Errors
    /// A file cannot be read or is damaged, or the template does not compile.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Option<Self>, TemplateError> {
        let tokens = TemplateTokens::from_checkpoint(checkpoint)?;
        let source = match checkpoint.format() {
            Format::Gguf => {
                checkpoint.metadata().str("tokenizer.chat_template").map_err(read)?.map(str::to_owned)
            }
            _ => folder_template(checkpoint)?,
        };
        source.map(|source| Self::new(&source, tokens)).transpose()
    }
}

impl TemplateTokens {
    /// The special tokens of a checkpoint, as text.
    ///
    /// # Errors
    /// A file cannot be read or is damaged.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self, TemplateError> {
        if checkpoint.format() == Format::Gguf {
            return gguf_tokens(checkpoint.metadata());
        }
        let config = json_file(checkpoint, CONFIG)?;
        let map = json_file(checkpoint, TOKENS)?;
        Ok(Self::from_maps(&[&config, &map]))
    }

    /// The first of `maps` that has a token decides.
    fn from_maps(maps: &[&Map<String, Value>]) -> Self {
        let token =
            |name: &str| maps.iter().filter_map(|map| map.get(name)).find_map(token_text).map(str::to_owned);
        Self {
            bos: token("bos_token"),
            eos: token("eos_token"),
            unk: token("unk_token"),
            pad: token("pad_token"),
        }
    }
}

/// A token is a string or an object with `content`.
fn token_text(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}

fn gguf_tokens(metadata: &Metadata) -> Result<TemplateTokens, TemplateError> {
    let Some(tokens) = metadata.str_array("tokenizer.ggml.tokens").map_err(read)? else {
        return Ok(TemplateTokens::default());
    };
    let token = |key: &str| -> Result<Option<String>, TemplateError> {
        let id = metadata.u32(key).map_err(read)?.and_then(|id| usize::try_from(id).ok());
        Ok(id.and_then(|id| tokens.get(id)).cloned())
    };
    Ok(TemplateTokens {
        bos: token("tokenizer.ggml.bos_token_id")?,
        eos: token("tokenizer.ggml.eos_token_id")?,
        unk: token("tokenizer.ggml.unknown_token_id")?,
        pad: token("tokenizer.ggml.padding_token_id")?,
    })
}

fn folder_template(checkpoint: &Checkpoint) -> Result<Option<String>, TemplateError> {
    if let Some(bytes) = checkpoint.read_small(TEMPLATE).map_err(read)? {
        let text = String::from_utf8(bytes).map_err(|e| invalid(TEMPLATE, e.to_string()))?;
        return Ok(Some(text));
    }
    for file in [LEGACY_TEMPLATE, CONFIG] {
        let map = json_file(checkpoint, file)?;
        if let Some(value) = map.get("chat_template") {
            return named(value).map_err(|reason| invalid(&format!("{file}: chat_template"), reason));
        }
    }
    Ok(None)
}

/// The template itself, or the one called `default` in a list of `{name, template}`.
fn named(value: &Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(source) => Ok(Some(source.clone())),
        Value::Array(list) => {
            let name = |entry: &Value| entry.get("name").and_then(Value::as_str).map(str::to_owned);
            match list.iter().find(|entry| name(entry).as_deref() == Some(DEFAULT)) {
                Some(entry) => match entry.get("template").and_then(Value::as_str) {
                    Some(source) => Ok(Some(source.to_owned())),
                    None => Err(format!("the template named {DEFAULT:?} is not a string")),
                },
                None => {
                    let names: Vec<String> = list.iter().filter_map(name).take(8).collect();
                    Err(format!("none of the templates is named {DEFAULT:?}, only {names:?}"))
                }
            }
        }
        _ => Err("expected a string or a list of named templates".to_owned()),
    }
}

/// A companion file that holds an object; empty where the file is absent.
fn json_file(checkpoint: &Checkpoint, name: &str) -> Result<Map<String, Value>, TemplateError> {
    match checkpoint.read_small(name).map_err(read)? {
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|e| invalid(name, e.to_string())),
        None => Ok(Map::new()),
    }
}

fn invalid(file: &str, reason: String) -> TemplateError {
    TemplateError::Invalid { file: file.to_owned(), reason }
}

fn read(error: WeightsError) -> TemplateError {
    let error = Error::from(error);
    TemplateError::Read { message: error.message().to_owned(), kind: error.kind() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use serde_json::json;

    use super::*;

    fn repository(path: &str) -> Checkpoint {
        Checkpoint::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
    }

    #[test]
    fn tokens_come_as_text_or_as_objects() {
        let config = json!({"bos_token": {"content": "<s>", "special": true}, "eos_token": null});
        let map = json!({"eos_token": "</s>", "bos_token": "<other>"});
        let tokens = TemplateTokens::from_maps(&[config.as_object().unwrap(), map.as_object().unwrap()]);
        assert_eq!(tokens, TemplateTokens::new("<s>".to_owned(), "</s>".to_owned()));
    }

    #[test]
    fn a_list_has_a_default() {
        let list = json!([{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]);
        assert_eq!(named(&list).unwrap().as_deref(), Some("d"));
        let error = named(&json!([{"name": "rag", "template": "r"}])).unwrap_err();
        assert!(error.contains("rag"), "{error}");
        assert!(named(&json!([{"name": "default"}])).is_err());
        assert!(named(&json!(7)).is_err());
        assert_eq!(named(&Value::Null).unwrap(), None);
    }

    #[test]
    fn folders_with_and_without_a_template() {
        assert!(ChatTemplate::from_checkpoint(&repository("tests/data/tiny/llama3")).unwrap().is_some());
        assert!(ChatTemplate::from_checkpoint(&repository("examples/models/stories260K")).unwrap().is_none());
        let tokens = TemplateTokens::from_checkpoint(&repository("tests/data/tiny/llama3")).unwrap();
        assert_eq!(tokens.bos.as_deref(), Some("<|begin_of_text|>"));
    }
}

//! The text completion request.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::json::{self, Path};
use super::options::{GenerationOptions, generation_builders, read_token_ids, refuse};
use crate::error::{Error, Result};

/// The most alternatives per token that `logprobs` may ask for.
pub const MAX_LOGPROBS: u8 = 5;

/// Fields of the API that are refused for now unless their value asks for nothing.
const UNSUPPORTED: &[&str] = &["n", "best_of", "suffix", "use_raw_prompt", "error_behavior", "extra_params"];

/// A request for the continuation of a text.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CompletionRequest {
    /// The endpoint's name.
    pub model: String,
    /// What to continue.
    pub prompt: Prompt,
    /// How to generate.
    #[serde(flatten)]
    pub options: GenerationOptions,
    /// Whether the answer begins with the prompt.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub echo: bool,
    /// Report log-probabilities, with this many most likely alternatives per token, 0 to 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<u8>,
}

/// What to continue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Prompt {
    /// Text; the tokenizer adds the special tokens that the model begins with.
    Text(String),
    /// Token ids, at least one, used as they are.
    Tokens(Vec<u32>),
}

impl Default for Prompt {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl From<&str> for Prompt {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Prompt {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u32>> for Prompt {
    fn from(ids: Vec<u32>) -> Self {
        Self::Tokens(ids)
    }
}

fn read_prompt(path: &Path<'_>, value: Value) -> Result<Prompt> {
    const EXPECTED: &str = "a string, a list of one string, or a list of at least one token id";
    let mut items = match value {
        Value::String(text) => return Ok(Prompt::Text(text)),
        Value::Array(items) if !items.is_empty() => items,
        other => return Err(json::wrong(path, EXPECTED, &other)),
    };
    match &items[0] {
        Value::Number(_) => return Ok(Prompt::Tokens(read_token_ids(path, Value::Array(items))?)),
        Value::String(_) | Value::Array(_) => {}
        other => return Err(json::wrong(&Path::Index(path, 0), "a string or a token id", other)),
    }
    if items.len() > 1 {
        return Err(json::unsupported(
            path,
            "more than one prompt per request is not supported yet; give one",
        ));
    }
    match items.swap_remove(0) {
        Value::String(text) => Ok(Prompt::Text(text)),
        Value::Array(ids) if ids.is_empty() => {
            Err(json::wrong(&Path::Index(path, 0), "a list of at least one token id", &Value::Array(ids)))
        }
        ids => Ok(Prompt::Tokens(read_token_ids(&Path::Index(path, 0), ids)?)),
    }
}

impl CompletionRequest {
    /// A request with every option at its default.
    pub fn new(model: impl Into<String>, prompt: impl Into<Prompt>) -> Self {
        Self { model: model.into(), prompt: prompt.into(), ..Self::default() }
    }

    /// Reads a request in the OpenAI shape and validates it.
    ///
    /// # Errors
    /// As [`ChatRequest::from_json`](super::ChatRequest::from_json).
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        Self::from_tree(json::parse(bytes)?)
    }

    fn from_tree(tree: Value) -> Result<Self> {
        let mut request = Self::default();
        let (mut model, mut prompt) = (None, None);
        for (key, value) in json::object(&Path::Root, tree)? {
            let path = &Path::Key(&Path::Root, &key);
            match key.as_str() {
                "model" => model = Some(json::string(path, value)?),
                "prompt" => prompt = Some(read_prompt(path, value)?),
                "echo" if value.is_null() => {}
                "echo" => request.echo = json::boolean(path, &value)?,
                "logprobs" if value.is_null() => {}
                "logprobs" => {
                    request.logprobs = Some(json::unsigned(path, &value, 0, MAX_LOGPROBS.into())? as u8)
                }
                name => {
                    if let Some(value) = request.options.read(name, value)? {
                        refuse(path, name, &value, UNSUPPORTED)?;
                    }
                }
            }
        }
        request.model = model.ok_or_else(|| json::missing(&Path::Key(&Path::Root, "model")))?;
        request.prompt = prompt.ok_or_else(|| json::missing(&Path::Key(&Path::Root, "prompt")))?;
        request.validate()?;
        Ok(request)
    }

    /// Checks what the types do not: ranges and fields that need each other.
    ///
    /// # Errors
    /// Names the field, its value and what is accepted.
    pub fn validate(&self) -> Result<()> {
        if self.model.is_empty() {
            return Err(Error::invalid("model", "`model` is empty; it names the endpoint"));
        }
        if matches!(&self.prompt, Prompt::Tokens(ids) if ids.is_empty()) {
            return Err(Error::invalid("prompt", "`prompt` has no tokens; at least one is needed"));
        }
        if let Some(count) = self.logprobs.filter(|count| *count > MAX_LOGPROBS) {
            let message = format!("`logprobs` is {count}; accepted is an integer from 0 to {MAX_LOGPROBS}");
            return Err(Error::invalid("logprobs", message));
        }
        self.options.validate()
    }

    /// Asks for log-probabilities, with `top` most likely alternatives per token.
    #[must_use]
    pub fn logprobs(mut self, top: u8) -> Self {
        self.logprobs = Some(top);
        self
    }

    /// Asks for the prompt at the beginning of the answer.
    #[must_use]
    pub fn echo(mut self) -> Self {
        self.echo = true;
        self
    }
}

generation_builders!(CompletionRequest);

impl<'de> Deserialize<'de> for CompletionRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_tree(json::tree(deserializer)?).map_err(serde::de::Error::custom)
    }
}

//! The text completion request.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::json::{self, Path};
use super::options::{GenerationOptions, generation_builders, read_token_ids, refuse};
use crate::error::{Error, Result};

/// The most alternatives per token that `logprobs` may ask for.
pub const MAX_LOGPROBS: u8 = 5;

/// The most prompts of one request.
pub const MAX_PROMPTS: usize = 16;

/// Fields of the API that are refused unless their value asks for nothing.
const UNSUPPORTED: &[&str] = &["best_of", "extra_params"];

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
    /// A text that is put behind every answer. It is not what the model fills the gap before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// Whether texts go to the model as they are. Without it they are put into the model's chat template, as what a user
    /// says, if it has one. Token ids always go as they are.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub use_raw_prompt: bool,
    /// What happens where the context or the time is too short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_behavior: Option<ErrorBehavior>,
}

/// What happens where the context length is exceeded or the time is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorBehavior {
    /// The answer has as many tokens as fit, and ends with `length`.
    Truncate,
    /// An error.
    #[default]
    Error,
}

/// What to continue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Prompt {
    /// Text; the tokenizer adds the special tokens that the model begins with.
    Text(String),
    /// Token ids, at least one, used as they are.
    Tokens(Vec<u32>),
    /// Several texts, each with answers of its own; at most 16, and one when the answer is streamed.
    Texts(Vec<String>),
    /// Several lists of token ids.
    TokenLists(Vec<Vec<u32>>),
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

impl From<Vec<String>> for Prompt {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}

impl From<Vec<u32>> for Prompt {
    fn from(ids: Vec<u32>) -> Self {
        Self::Tokens(ids)
    }
}

impl Prompt {
    /// How many texts there are to continue.
    pub fn count(&self) -> usize {
        match self {
            Self::Text(_) | Self::Tokens(_) => 1,
            Self::Texts(texts) => texts.len(),
            Self::TokenLists(lists) => lists.len(),
        }
    }

    fn read(path: &Path<'_>, value: Value) -> Result<Self> {
        const EXPECTED: &str = "a string, a list of token ids, or a list of at least one of these";
        let items = match value {
            Value::String(text) => return Ok(Self::Text(text)),
            Value::Array(items) if !items.is_empty() => items,
            other => return Err(json::wrong(path, EXPECTED, &other)),
        };
        let tokens = |path: &Path<'_>, item| match item {
            Value::Array(ids) if ids.is_empty() => {
                Err(json::wrong(path, "a list of at least one token id", &Value::Array(ids)))
            }
            ids => read_token_ids(path, ids),
        };
        match &items[0] {
            Value::Number(_) => Ok(Self::Tokens(read_token_ids(path, Value::Array(items))?)),
            Value::String(_) => Ok(Self::Texts(json::list(path, items, json::string)?)),
            Value::Array(_) => Ok(Self::TokenLists(json::list(path, items, tokens)?)),
            other => {
                Err(json::wrong(&Path::Index(path, 0), "a string, a token id or a list of token ids", other))
            }
        }
    }

    fn validate(&self) -> Result<()> {
        let count = self.count();
        if count == 0 || count > MAX_PROMPTS {
            let message = format!("`prompt` has {count} prompts; accepted are 1 to {MAX_PROMPTS}");
            return Err(Error::invalid("prompt", message));
        }
        let empty = match self {
            Self::Tokens(ids) if ids.is_empty() => Some("prompt".into()),
            Self::TokenLists(lists) => {
                lists.iter().position(Vec::is_empty).map(|index| format!("prompt[{index}]"))
            }
            _ => None,
        };
        match empty {
            Some(path) => {
                let message = format!("`{path}` has no tokens; at least one is needed");
                Err(Error::invalid(path, message))
            }
            None => Ok(()),
        }
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
                "prompt" => prompt = Some(Prompt::read(path, value)?),
                "echo" if value.is_null() => {}
                "echo" => request.echo = json::boolean(path, &value)?,
                "logprobs" if value.is_null() => {}
                "logprobs" => {
                    request.logprobs = Some(json::unsigned(path, &value, 0, MAX_LOGPROBS.into())? as u8)
                }
                "suffix" | "use_raw_prompt" | "error_behavior" if value.is_null() => {}
                "suffix" => request.suffix = Some(json::string(path, value)?),
                "use_raw_prompt" => request.use_raw_prompt = json::boolean(path, &value)?,
                "error_behavior" => {
                    request.error_behavior = Some(match value.as_str() {
                        Some("truncate") => ErrorBehavior::Truncate,
                        Some("error") => ErrorBehavior::Error,
                        _ => return Err(json::wrong(path, "\"truncate\" or \"error\"", &value)),
                    });
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
        self.prompt.validate()?;
        if self.options.stream && self.prompt.count() > 1 {
            let count = self.prompt.count();
            let message = format!("`prompt` has {count} prompts; accepted is one with `stream`: true");
            return Err(Error::invalid("prompt", message));
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

    /// Sends the prompt to the model as it is, without its chat template.
    #[must_use]
    pub fn raw(mut self) -> Self {
        self.use_raw_prompt = true;
        self
    }

    /// Sets [`suffix`](Self::suffix).
    #[must_use]
    pub fn suffix(mut self, text: impl Into<String>) -> Self {
        self.suffix = Some(text.into());
        self
    }

    /// Sets [`error_behavior`](Self::error_behavior).
    #[must_use]
    pub fn error_behavior(mut self, behavior: ErrorBehavior) -> Self {
        self.error_behavior = Some(behavior);
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

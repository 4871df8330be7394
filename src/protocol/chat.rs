//! The chat request.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::json::{self, Path};
use super::message::{self, ChatMessage};
use super::options::{GenerationOptions, generation_builders, refuse};
use super::response_format::ResponseFormat;
use super::thinking::Thinking;
use super::tools::{self, Tool, ToolChoice};
use crate::error::{Error, Result};

/// The most alternatives per token that `top_logprobs` may ask for.
pub const MAX_TOP_LOGPROBS: u8 = 20;

/// Fields of the API that are refused unless their value asks for nothing.
const UNSUPPORTED: &[&str] = &[
    "functions",
    "function_call",
    "audio",
    "modalities",
    "store",
    "metadata",
    "service_tier",
    "reasoning_effort",
    "verbosity",
    "prediction",
    "web_search_options",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "extra_params",
];

/// A request for the next message of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ChatRequest {
    /// The endpoint's name.
    pub model: String,
    /// The conversation so far, at least one message; a system message only once and first.
    pub messages: Vec<ChatMessage>,
    /// How to generate.
    #[serde(flatten)]
    pub options: GenerationOptions,
    /// Whether to report the log-probabilities of the generated tokens.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub logprobs: bool,
    /// How many most likely tokens to report beside each generated one, 0 to 20; only with
    /// [`logprobs`](Self::logprobs).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_logprobs: Option<u8>,
    /// Functions that the model may call, at most 32.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// Whether it calls them; without this it decides itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// Whether one answer may hold several calls; yes by default, where the model's format has room for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_tool_calls: Option<bool>,
    /// What form the answer must have; any text by default. A call of a function is no answer in this sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_format: Option<ResponseFormat>,
    /// How long a model that thinks may think.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Thinking>,
}

impl ChatRequest {
    /// A request with every option at its default.
    pub fn new(model: impl Into<String>, messages: Vec<ChatMessage>) -> Self {
        Self { model: model.into(), messages, ..Self::default() }
    }

    /// Reads a request in the OpenAI shape and validates it.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for what is malformed, unknown, given twice, of a wrong
    /// type or out of range, and [`Unsupported`](crate::ErrorKind::Unsupported) for what the API knows and this
    /// version does not; [`Error::param`] is the path of the field.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        Self::from_tree(json::parse(bytes)?)
    }

    fn from_tree(tree: Value) -> Result<Self> {
        let mut request = Self::default();
        let (mut model, mut messages, mut completion_tokens) = (None, None, None);
        for (key, value) in json::object(&Path::Root, tree)? {
            let path = &Path::Key(&Path::Root, &key);
            match key.as_str() {
                "model" => model = Some(json::string(path, value)?),
                "messages" => match value {
                    Value::Array(items) => messages = Some(json::list(path, items, ChatMessage::read)?),
                    other => return Err(json::wrong(path, "a list of messages", &other)),
                },
                "max_completion_tokens" if value.is_null() => {}
                "max_completion_tokens" => {
                    completion_tokens = Some(json::unsigned(path, &value, 1, u32::MAX)?)
                }
                "logprobs" if value.is_null() => {}
                "logprobs" => request.logprobs = json::boolean(path, &value)?,
                "top_logprobs" if value.is_null() => {}
                "top_logprobs" => {
                    request.top_logprobs =
                        Some(json::unsigned(path, &value, 0, MAX_TOP_LOGPROBS.into())? as u8);
                }
                "tools" | "tool_choice" | "parallel_tool_calls" | "response_format" | "thinking"
                    if value.is_null() => {}
                "tools" => match value {
                    Value::Array(items) => request.tools = json::list(path, items, Tool::read)?,
                    other => return Err(json::wrong(path, "a list of functions", &other)),
                },
                "tool_choice" => request.tool_choice = Some(ToolChoice::read(path, value)?),
                "parallel_tool_calls" => request.parallel_tool_calls = Some(json::boolean(path, &value)?),
                "response_format" => request.response_format = Some(ResponseFormat::read(path, value)?),
                "thinking" => request.thinking = Some(Thinking::read(path, value)?),
                name => {
                    if let Some(value) = request.options.read(name, value)? {
                        refuse(path, name, &value, UNSUPPORTED)?;
                    }
                }
            }
        }
        request.model = model.ok_or_else(|| json::missing(&Path::Key(&Path::Root, "model")))?;
        request.messages = messages.ok_or_else(|| json::missing(&Path::Key(&Path::Root, "messages")))?;
        if let Some(tokens) = completion_tokens {
            if request.options.max_tokens.is_some() {
                let message = "`max_completion_tokens` and `max_tokens` are the same limit; give one of them";
                return Err(Error::invalid("max_completion_tokens", message));
            }
            request.options.max_tokens = Some(tokens);
        }
        request.validate()?;
        Ok(request)
    }

    /// Checks what the types do not: ranges, the order of the messages, fields that need each other.
    ///
    /// # Errors
    /// Names the field, its value and what is accepted.
    pub fn validate(&self) -> Result<()> {
        if self.model.is_empty() {
            return Err(Error::invalid("model", "`model` is empty; it names the endpoint"));
        }
        message::validate(&self.messages)?;
        tools::validate(&self.tools, self.tool_choice.as_ref())?;
        if let Some(format) = &self.response_format {
            format.validate()?;
        }
        if let Some(thinking) = &self.thinking {
            thinking.validate()?;
        }
        match self.top_logprobs {
            Some(count) if count > MAX_TOP_LOGPROBS => {
                let message =
                    format!("`top_logprobs` is {count}; accepted is an integer from 0 to {MAX_TOP_LOGPROBS}");
                return Err(Error::invalid("top_logprobs", message));
            }
            Some(_) if !self.logprobs => {
                let message = "`top_logprobs` is accepted only with `logprobs`: true";
                return Err(Error::invalid("top_logprobs", message));
            }
            _ => {}
        }
        self.options.validate()
    }

    /// Offers a function to the model.
    #[must_use]
    pub fn tool(mut self, tool: Tool) -> Self {
        self.tools.push(tool);
        self
    }

    /// Sets [`tool_choice`](Self::tool_choice).
    #[must_use]
    pub fn tool_choice(mut self, choice: ToolChoice) -> Self {
        self.tool_choice = Some(choice);
        self
    }

    /// Sets [`response_format`](Self::response_format).
    #[must_use]
    pub fn response_format(mut self, format: ResponseFormat) -> Self {
        self.response_format = Some(format);
        self
    }

    /// Sets [`thinking`](Self::thinking): at most `budget_tokens` of it.
    #[must_use]
    pub fn thinking(mut self, budget_tokens: u32) -> Self {
        self.thinking = Some(Thinking { budget_tokens });
        self
    }

    /// Asks for log-probabilities, with `top` most likely alternatives per token.
    #[must_use]
    pub fn logprobs(mut self, top: u8) -> Self {
        self.logprobs = true;
        self.top_logprobs = Some(top);
        self
    }
}

generation_builders!(ChatRequest);

impl<'de> Deserialize<'de> for ChatRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_tree(json::tree(deserializer)?).map_err(serde::de::Error::custom)
    }
}

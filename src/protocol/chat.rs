//! The chat request.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::json::{self, Path};
use super::options::{GenerationOptions, generation_builders, refuse};
use crate::error::{Error, Result};

/// The most alternatives per token that `top_logprobs` may ask for.
pub const MAX_TOP_LOGPROBS: u8 = 20;

/// Fields of the API that are refused for now unless their value asks for nothing.
const UNSUPPORTED: &[&str] = &[
    "n",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "functions",
    "function_call",
    "response_format",
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
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChatMessage {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub content: Content,
}

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Role {
    /// Instructions that hold for the whole conversation; overrides the model's default ones.
    System,
    /// The person who asks.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The role's name in JSON and in chat templates.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// Pieces; at least one.
    Parts(Vec<ContentPart>),
}

impl Content {
    /// The text; pieces of text are joined with nothing between them.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Parts(parts) => {
                Cow::Owned(parts.iter().map(|ContentPart::Text { text }| text.as_str()).collect())
            }
        }
    }
}

/// A piece of a message's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ContentPart {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
}

impl ChatMessage {
    /// A message of `role`.
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        Self { role, content: Content::Text(text.into()) }
    }

    /// A system message.
    pub fn system(text: impl Into<String>) -> Self {
        Self::new(Role::System, text)
    }

    /// A user's message.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new(Role::User, text)
    }

    /// An answer of the model.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::new(Role::Assistant, text)
    }

    fn read(path: &Path<'_>, value: Value) -> Result<Self> {
        let (mut role, mut content) = (None, None);
        for (key, value) in json::object(path, value)? {
            let at = Path::Key(path, &key);
            match key.as_str() {
                "role" => role = Some(read_role(&at, &value)?),
                "content" => content = Some(read_content(&at, value)?),
                // What other servers put into the messages that they return, when it says nothing.
                "name" | "refusal" | "audio" | "function_call" | "tool_calls" | "tool_call_id"
                | "annotations" | "reasoning_content" => match value {
                    Value::Null => {}
                    Value::Array(items) if items.is_empty() => {}
                    _ => return Err(json::unsupported(&at, "")),
                },
                _ => return Err(json::unknown(&at)),
            }
        }
        Ok(Self {
            role: role.ok_or_else(|| json::missing(&Path::Key(path, "role")))?,
            content: content.ok_or_else(|| json::missing(&Path::Key(path, "content")))?,
        })
    }
}

fn read_role(path: &Path<'_>, value: &Value) -> Result<Role> {
    match value.as_str() {
        Some("system") => Ok(Role::System),
        Some("user") => Ok(Role::User),
        Some("assistant") => Ok(Role::Assistant),
        Some("tool") => Err(json::unsupported(path, "messages of role tool are not supported yet")),
        _ => Err(json::wrong(path, "one of system, user, assistant", value)),
    }
}

fn read_content(path: &Path<'_>, value: Value) -> Result<Content> {
    match value {
        Value::String(text) => Ok(Content::Text(text)),
        Value::Array(items) if !items.is_empty() => Ok(Content::Parts(json::list(path, items, read_part)?)),
        other => Err(json::wrong(path, "a string or a list of at least one text part", &other)),
    }
}

fn read_part(path: &Path<'_>, value: Value) -> Result<ContentPart> {
    let mut part = json::object(path, value)?;
    let kind_path = Path::Key(path, "type");
    let kind = part.shift_remove("type").ok_or_else(|| json::missing(&kind_path))?;
    match kind.as_str() {
        Some("text") => {}
        Some("image_url" | "input_audio" | "file" | "document" | "reasoning" | "refusal" | "video_url") => {
            return Err(json::unsupported(&kind_path, "only parts of type text are supported yet"));
        }
        _ => return Err(json::wrong(&kind_path, "\"text\"", &kind)),
    }
    let text_path = Path::Key(path, "text");
    let text = part.shift_remove("text").ok_or_else(|| json::missing(&text_path))?;
    if let Some(key) = part.keys().next() {
        return Err(json::unknown(&Path::Key(path, key)));
    }
    Ok(ContentPart::Text { text: json::string(&text_path, text)? })
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
        if self.messages.is_empty() {
            return Err(Error::invalid("messages", "`messages` is empty; at least one message is needed"));
        }
        for (index, message) in self.messages.iter().enumerate() {
            if message.role == Role::System && index > 0 {
                let path = format!("messages[{index}].role");
                let message =
                    format!("`{path}` is system; a system message comes only once, as the first message");
                return Err(Error::invalid(path, message));
            }
            if matches!(&message.content, Content::Parts(parts) if parts.is_empty()) {
                let path = format!("messages[{index}].content");
                return Err(Error::invalid(
                    path.clone(),
                    format!("`{path}` has no parts; at least one is needed"),
                ));
            }
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

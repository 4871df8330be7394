//! The messages of a conversation.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::{self, Path};
use super::tools::ToolCall;
use crate::error::{Error, Result};

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChatMessage {
    /// Who says it.
    pub role: Role,
    /// What is said; only an assistant that calls functions may say nothing.
    pub content: Option<Content>,
    /// What the assistant thought before; most models' templates leave it out of the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// The functions that the assistant called.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The call that a message of role tool answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
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
    /// What a function that the model called has returned.
    Tool,
}

impl Role {
    /// The role's name in JSON and in chat templates.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
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
        let content = Some(Content::Text(text.into()));
        Self { role, content, reasoning_content: None, tool_calls: Vec::new(), tool_call_id: None }
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

    /// An answer of the model that calls functions.
    pub fn calls(tool_calls: Vec<ToolCall>) -> Self {
        Self { content: None, tool_calls, ..Self::new(Role::Assistant, "") }
    }

    /// What the function of a call has returned.
    pub fn tool(tool_call_id: impl Into<String>, result: impl Into<String>) -> Self {
        Self { tool_call_id: Some(tool_call_id.into()), ..Self::new(Role::Tool, result) }
    }

    /// What is said, empty where nothing is.
    pub fn text(&self) -> Cow<'_, str> {
        self.content.as_ref().map_or(Cow::Borrowed(""), Content::text)
    }

    pub(super) fn read(path: &Path<'_>, value: Value) -> Result<Self> {
        let (mut role, mut content) = (None, None);
        let mut message = Self { content: None, ..Self::new(Role::User, "") };
        for (key, value) in json::object(path, value)? {
            let at = Path::Key(path, &key);
            match key.as_str() {
                "role" => role = Some(read_role(&at, &value)?),
                "content" => content = Some(value),
                "tool_calls" if value.is_null() => {}
                "tool_calls" => match value {
                    Value::Array(items) => message.tool_calls = json::list(&at, items, ToolCall::read)?,
                    other => return Err(json::wrong(&at, "a list of calls", &other)),
                },
                "tool_call_id" if value.is_null() => {}
                "tool_call_id" => message.tool_call_id = Some(json::string(&at, value)?),
                "reasoning_content" if value.is_null() => {}
                "reasoning_content" => message.reasoning_content = Some(json::string(&at, value)?),
                // What other servers put into the messages that they return, when it says nothing.
                "name" | "refusal" | "audio" | "function_call" | "annotations" => match value {
                    Value::Null => {}
                    Value::Array(items) if items.is_empty() => {}
                    _ => return Err(json::unsupported(&at, "")),
                },
                _ => return Err(json::unknown(&at)),
            }
        }
        message.role = role.ok_or_else(|| json::missing(&Path::Key(path, "role")))?;
        let at = Path::Key(path, "content");
        message.content = match content {
            None | Some(Value::Null) if !message.tool_calls.is_empty() => None,
            None => return Err(json::missing(&at)),
            Some(content) => Some(read_content(&at, content)?),
        };
        Ok(message)
    }
}

fn read_role(path: &Path<'_>, value: &Value) -> Result<Role> {
    match value.as_str() {
        Some("system") => Ok(Role::System),
        Some("user") => Ok(Role::User),
        Some("assistant") => Ok(Role::Assistant),
        Some("tool") => Ok(Role::Tool),
        _ => Err(json::wrong(path, "one of system, user, assistant, tool", value)),
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
            return Err(json::unsupported(&kind_path, "only parts of type text are supported"));
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

/// Checks the order of a conversation: a system message only first; calls only by the assistant; results only of calls
/// that were made before, one each.
pub(super) fn validate(messages: &[ChatMessage]) -> Result<()> {
    if messages.is_empty() {
        return Err(Error::invalid("messages", "`messages` is empty; at least one message is needed"));
    }
    let wrong = |index: usize, field: &str, what: &str| {
        let path = format!("messages[{index}].{field}");
        let message = format!("`{path}` {what}");
        Err(Error::invalid(path, message))
    };
    // Calls without a result so far.
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        if message.role == Role::System && index > 0 {
            return wrong(index, "role", "is system; a system message comes only once, as the first message");
        }
        match &message.content {
            None if message.tool_calls.is_empty() => return wrong(index, "content", "is required"),
            Some(Content::Parts(parts)) if parts.is_empty() => {
                return wrong(index, "content", "has no parts; at least one is needed");
            }
            _ => {}
        }
        if message.role != Role::Assistant {
            if !message.tool_calls.is_empty() {
                return wrong(index, "tool_calls", "is accepted only from the role assistant");
            }
            if message.reasoning_content.is_some() {
                return wrong(index, "reasoning_content", "is accepted only from the role assistant");
            }
        }
        for (number, call) in message.tool_calls.iter().enumerate() {
            let arguments = serde_json::from_str::<serde_json::Map<String, Value>>(&call.function.arguments);
            if let Err(error) = arguments {
                let field = format!("tool_calls[{number}].function.arguments");
                return wrong(index, &field, &format!("is not a JSON object: {error}"));
            }
            if open.contains(&call.id.as_str()) {
                let field = format!("tool_calls[{number}].id");
                return wrong(index, &field, &format!("is {:.80?}, which another call has", call.id));
            }
            open.push(&call.id);
        }
        match (message.role, &message.tool_call_id) {
            (Role::Tool, None) => return wrong(index, "tool_call_id", "is required in the role tool"),
            (Role::Tool, Some(id)) => match open.iter().position(|call| call == id) {
                Some(place) => drop(open.remove(place)),
                None => {
                    let what = format!("is {id:.80?}; no earlier message has such a call without a result");
                    return wrong(index, "tool_call_id", &what);
                }
            },
            (_, Some(_)) => return wrong(index, "tool_call_id", "is accepted only in the role tool"),
            (_, None) => {}
        }
    }
    Ok(())
}

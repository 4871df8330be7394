//! Functions that the model may ask its caller to run.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use super::json::{self, Path};
use crate::error::{Error, Result};

/// The most functions that a request may offer.
pub const MAX_TOOLS: usize = 32;

/// The longest name of a function.
pub const MAX_TOOL_NAME: usize = 64;

/// Something that the model may use; here always a function.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Tool {
    /// A function of the caller.
    Function {
        /// What it is.
        function: FunctionDefinition,
    },
}

/// A function of the caller, as the model is told about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct FunctionDefinition {
    /// 1 to 64 letters, digits, `_` and `-`.
    pub name: String,
    /// When and how to use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON schema of its arguments, an object; none takes no arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
    /// Accepted as true or false: arguments always follow the schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// Whether the model calls functions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// It answers in text.
    None,
    /// It calls at least one of the functions.
    Required,
    /// It calls this one.
    Function(String),
}

/// A call that the model wants made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Names the call; the message with its result refers to it.
    pub id: String,
    /// What is called.
    #[serde(rename = "type")]
    pub kind: ToolKind,
    /// The call.
    pub function: FunctionCall,
}

/// What can be called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolKind {
    /// A function of the caller.
    #[default]
    Function,
}

/// The name of a function and what it is called with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionCall {
    /// Its name.
    pub name: String,
    /// A JSON object, as text.
    pub arguments: String,
}

impl Tool {
    /// A function that takes arguments of this JSON schema.
    pub fn function(name: impl Into<String>, description: impl Into<String>, parameters: Value) -> Self {
        let (name, description) = (name.into(), Some(description.into()));
        Self::Function {
            function: FunctionDefinition { name, description, parameters: Some(parameters), strict: None },
        }
    }

    /// The function.
    pub fn definition(&self) -> &FunctionDefinition {
        let Self::Function { function } = self;
        function
    }

    pub(super) fn read(path: &Path<'_>, value: Value) -> Result<Self> {
        let (mut kind, mut function) = (None, None);
        for (key, value) in json::object(path, value)? {
            let at = Path::Key(path, &key);
            match key.as_str() {
                "type" => kind = Some(read_kind(&at, &value)?),
                "function" => function = Some(FunctionDefinition::read(&at, value)?),
                _ => return Err(json::unknown(&at)),
            }
        }
        kind.ok_or_else(|| json::missing(&Path::Key(path, "type")))?;
        let function = function.ok_or_else(|| json::missing(&Path::Key(path, "function")))?;
        Ok(Self::Function { function })
    }
}

fn read_kind(path: &Path<'_>, value: &Value) -> Result<ToolKind> {
    match value.as_str() {
        Some("function") => Ok(ToolKind::Function),
        Some("custom") => Err(json::unsupported(path, "only tools of type function are supported")),
        _ => Err(json::wrong(path, "\"function\"", value)),
    }
}

impl FunctionDefinition {
    fn read(path: &Path<'_>, value: Value) -> Result<Self> {
        let (mut name, mut function) = (None, Self::default());
        for (key, value) in json::object(path, value)? {
            let at = Path::Key(path, &key);
            match key.as_str() {
                "name" => name = Some(json::string(&at, value)?),
                _ if value.is_null() && matches!(key.as_str(), "description" | "parameters" | "strict") => {}
                "description" => function.description = Some(json::string(&at, value)?),
                "parameters" => function.parameters = Some(Value::Object(json::object(&at, value)?)),
                "strict" => function.strict = Some(json::boolean(&at, &value)?),
                _ => return Err(json::unknown(&at)),
            }
        }
        function.name = name.ok_or_else(|| json::missing(&Path::Key(path, "name")))?;
        Ok(function)
    }
}

impl ToolChoice {
    pub(super) fn read(path: &Path<'_>, value: Value) -> Result<Self> {
        const EXPECTED: &str =
            r#""auto", "none", "required" or {"type": "function", "function": {"name": NAME}}"#;
        let value = match value {
            Value::String(choice) => match choice.as_str() {
                "auto" => return Ok(Self::Auto),
                "none" => return Ok(Self::None),
                "required" => return Ok(Self::Required),
                _ => return Err(json::wrong(path, EXPECTED, &Value::String(choice))),
            },
            value @ Value::Object(_) => value,
            other => return Err(json::wrong(path, EXPECTED, &other)),
        };
        let mut named = None;
        for (key, value) in json::object(path, value)? {
            let at = Path::Key(path, &key);
            match key.as_str() {
                "type" => drop(read_kind(&at, &value)?),
                "function" => {
                    for (key, value) in json::object(&at, value)? {
                        let at = Path::Key(&at, &key);
                        match key.as_str() {
                            "name" => named = Some(json::string(&at, value)?),
                            _ => return Err(json::unknown(&at)),
                        }
                    }
                }
                _ => return Err(json::unknown(&at)),
            }
        }
        let function = Path::Key(path, "function");
        Ok(Self::Function(named.ok_or_else(|| json::missing(&Path::Key(&function, "name")))?))
    }
}

impl Serialize for ToolChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::None => serializer.serialize_str("none"),
            Self::Required => serializer.serialize_str("required"),
            Self::Function(name) => {
                json!({ "type": "function", "function": { "name": name } }).serialize(serializer)
            }
        }
    }
}

impl ToolCall {
    /// A call of a function; `arguments` is a JSON object as text.
    pub fn new(id: impl Into<String>, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        let function = FunctionCall { name: name.into(), arguments: arguments.into() };
        Self { id: id.into(), kind: ToolKind::Function, function }
    }

    pub(super) fn read(path: &Path<'_>, value: Value) -> Result<Self> {
        let (mut id, mut kind, mut function) = (None, None, None);
        for (key, value) in json::object(path, value)? {
            let at = Path::Key(path, &key);
            match key.as_str() {
                "id" => id = Some(json::string(&at, value)?),
                "type" => kind = Some(read_kind(&at, &value)?),
                "function" => function = Some(FunctionCall::read(&at, value)?),
                // The place in a stream, which accumulating clients leave in the message.
                "index" if value.is_u64() => {}
                _ => return Err(json::unknown(&at)),
            }
        }
        Ok(Self {
            id: id.ok_or_else(|| json::missing(&Path::Key(path, "id")))?,
            kind: kind.unwrap_or_default(),
            function: function.ok_or_else(|| json::missing(&Path::Key(path, "function")))?,
        })
    }
}

impl FunctionCall {
    fn read(path: &Path<'_>, value: Value) -> Result<Self> {
        let (mut name, mut arguments) = (None, None);
        for (key, value) in json::object(path, value)? {
            let at = Path::Key(path, &key);
            match key.as_str() {
                "name" => name = Some(json::string(&at, value)?),
                "arguments" => arguments = Some(json::string(&at, value)?),
                _ => return Err(json::unknown(&at)),
            }
        }
        Ok(Self {
            name: name.ok_or_else(|| json::missing(&Path::Key(path, "name")))?,
            arguments: arguments.ok_or_else(|| json::missing(&Path::Key(path, "arguments")))?,
        })
    }
}

/// Checks the functions that a request offers, and that its choice is one of them.
pub(super) fn validate(tools: &[Tool], choice: Option<&ToolChoice>) -> Result<()> {
    if tools.len() > MAX_TOOLS {
        let message = format!("`tools` has {} functions; at most {MAX_TOOLS} are accepted", tools.len());
        return Err(Error::invalid("tools", message));
    }
    for (index, tool) in tools.iter().enumerate() {
        let path = format!("tools[{index}].function.name");
        let name = &tool.definition().name;
        let accepted = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || name.len() > MAX_TOOL_NAME || !name.chars().all(accepted) {
            let message = format!(
                "`{path}` is {name:.80?}; accepted are 1 to {MAX_TOOL_NAME} letters, digits, `_` and `-`"
            );
            return Err(Error::invalid(path, message));
        }
        if tools[..index].iter().any(|earlier| earlier.definition().name == *name) {
            return Err(Error::invalid(path.clone(), format!("`{path}` is {name:?} a second time")));
        }
    }
    match choice {
        Some(ToolChoice::Required) if tools.is_empty() => {
            Err(Error::invalid("tool_choice", "`tool_choice` is required, and `tools` offers no function"))
        }
        Some(ToolChoice::Function(name)) if tools.iter().all(|tool| tool.definition().name != *name) => {
            let message = format!("`tool_choice` names {name:?}, which is not among `tools`");
            Err(Error::invalid("tool_choice", message))
        }
        _ => Ok(()),
    }
}

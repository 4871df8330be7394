//! What form an answer must have.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::json::{self, Path};
use crate::error::{Error, Result};

/// What form an answer must have. Every token is chosen among those that lead to it.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub enum ResponseFormat {
    /// Any text.
    #[default]
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON of a schema, in the subset that the documents name.
    JsonSchema(JsonSchema),
    /// A text that a regular expression matches as a whole. Not part of the OpenAI shape of `response_format`; written
    /// as its tools write grammars: `{"type": "grammar", "grammar": {"syntax": "regex", "definition": ...}}`.
    Regex(String),
    /// A text of a context-free grammar in the notation of Lark, its start rule named `start`; `"syntax": "lark"`.
    Lark(String),
}

/// A named JSON schema.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct JsonSchema {
    /// 1 to 64 letters, digits, `_` and `-`.
    pub name: String,
    /// What the format is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The schema.
    pub schema: Value,
    /// Accepted as true or false: answers always follow the schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

impl ResponseFormat {
    /// JSON of `schema`.
    pub fn json_schema(name: impl Into<String>, schema: Value) -> Self {
        Self::JsonSchema(JsonSchema { name: name.into(), schema, ..JsonSchema::default() })
    }

    pub(super) fn read(path: &Path<'_>, value: Value) -> Result<Self> {
        const KINDS: &str = r#"one of "text", "json_object", "json_schema", "grammar""#;
        let mut format = json::object(path, value)?;
        let kind_path = Path::Key(path, "type");
        let kind = format.shift_remove("type").ok_or_else(|| json::missing(&kind_path))?;
        let mut part = |name: &str| {
            let at = Path::Key(path, name);
            format.shift_remove(name).ok_or_else(|| json::missing(&at))
        };
        let read = match kind.as_str() {
            Some("text") => Self::Text,
            Some("json_object") => Self::JsonObject,
            Some("json_schema") => {
                let schema = part("json_schema")?;
                Self::JsonSchema(JsonSchema::read(&Path::Key(path, "json_schema"), schema)?)
            }
            Some("grammar") => {
                let grammar = part("grammar")?;
                read_grammar(&Path::Key(path, "grammar"), grammar)?
            }
            _ => return Err(json::wrong(&kind_path, KINDS, &kind)),
        };
        match format.keys().next() {
            Some(key) => Err(json::unknown(&Path::Key(path, key))),
            None => Ok(read),
        }
    }

    /// Checks what can be told without the model.
    pub(super) fn validate(&self) -> Result<()> {
        let Self::JsonSchema(JsonSchema { name, .. }) = self else { return Ok(()) };
        let accepted = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || name.len() > 64 || !name.chars().all(accepted) {
            let path = "response_format.json_schema.name";
            let message =
                format!("`{path}` is {name:.80?}; accepted are 1 to 64 letters, digits, `_` and `-`");
            return Err(Error::invalid(path, message));
        }
        Ok(())
    }
}

impl JsonSchema {
    fn read(path: &Path<'_>, value: Value) -> Result<Self> {
        let (mut name, mut schema, mut format) = (None, None, Self::default());
        for (key, value) in json::object(path, value)? {
            let at = Path::Key(path, &key);
            match key.as_str() {
                "name" => name = Some(json::string(&at, value)?),
                "schema" => schema = Some(Value::Object(json::object(&at, value)?)),
                "description" | "strict" if value.is_null() => {}
                "description" => format.description = Some(json::string(&at, value)?),
                "strict" => format.strict = Some(json::boolean(&at, &value)?),
                _ => return Err(json::unknown(&at)),
            }
        }
        format.name = name.ok_or_else(|| json::missing(&Path::Key(path, "name")))?;
        format.schema = schema.ok_or_else(|| json::missing(&Path::Key(path, "schema")))?;
        Ok(format)
    }
}

fn read_grammar(path: &Path<'_>, value: Value) -> Result<ResponseFormat> {
    let (mut syntax, mut definition) = (None, None);
    for (key, value) in json::object(path, value)? {
        let at = Path::Key(path, &key);
        match key.as_str() {
            "syntax" => match value.as_str() {
                Some("regex") => syntax = Some(ResponseFormat::Regex as fn(String) -> ResponseFormat),
                Some("lark") => syntax = Some(ResponseFormat::Lark),
                _ => return Err(json::wrong(&at, "\"regex\" or \"lark\"", &value)),
            },
            "definition" => definition = Some(json::string(&at, value)?),
            _ => return Err(json::unknown(&at)),
        }
    }
    let syntax = syntax.ok_or_else(|| json::missing(&Path::Key(path, "syntax")))?;
    Ok(syntax(definition.ok_or_else(|| json::missing(&Path::Key(path, "definition")))?))
}

impl Serialize for ResponseFormat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let grammar = |syntax: &str, definition: &str| json!({ "type": "grammar", "grammar": { "syntax": syntax, "definition": definition } });
        let value = match self {
            Self::Text => json!({ "type": "text" }),
            Self::JsonObject => json!({ "type": "json_object" }),
            Self::JsonSchema(schema) => json!({ "type": "json_schema", "json_schema": schema }),
            Self::Regex(definition) => grammar("regex", definition),
            Self::Lark(definition) => grammar("lark", definition),
        };
        value.serialize(serializer)
    }
}
